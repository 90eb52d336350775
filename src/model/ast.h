/*
 * ast.h: the Audio Spectrogram Transformer (Gong et al., Interspeech 2021), as the original
 * ASTModel: overlapping patches of the log-mel, class and distillation tokens, learned positions,
 * pre-norm blocks, a final norm.
 *
 * Parameter names are the original ones without "module.v.", under a prefix: PREFIX.cls_token, ...
 */
#ifndef EARSHOT_MODEL_AST_H
#define EARSHOT_MODEL_AST_H

#include "model/config.h"
#include "model/layers.h"

#define AST_EXTRA_TOKENS 2 /* class and distillation, first in the sequence */

struct ast {
    struct ast_config config;
    struct param *cls_token, *dist_token, *positions;
    struct linear_layer patch;
    struct transformer_block *block;
    struct norm_layer norm;
};

enum earshot_status ast_declare(struct ast *ast, struct params *params, const char *prefix,
                                const struct ast_config *config, struct earshot_error *error);
void ast_free(struct ast *ast);

/* Patches along frequency and time for a log-mel of the configured size. */
void ast_grid(const struct ast_config *config, int64_t grid[2]);

typedef void (*ast_probe)(void *context, const char *name, struct tensor *tokens);

/* x[B, frames, mel_bins] (normalised) -> tokens [B, 2 + f * t, hidden], frequency-major.
 * probe may be NULL; its names: "patch_embed", "embedded", "block.i". */
struct tensor *ast_forward(struct graph *g, const struct ast *ast, struct tensor *x,
                           ast_probe probe, void *probe_context);

#endif
