/* ast.c: the Audio Spectrogram Transformer.  See ast.h. */
#include "model/ast.h"

#include <stdio.h>
#include <stdlib.h>

void ast_grid(const struct ast_config *config, int64_t grid[2])
{
    grid[0] = (config->mel_bins - config->patch.value[0]) / config->stride.value[0] + 1;
    grid[1] = (config->frames - config->patch.value[1]) / config->stride.value[1] + 1;
}

enum earshot_status ast_declare(struct ast *ast, struct params *params, const char *prefix,
                                const struct ast_config *config, struct earshot_error *error)
{
    int64_t c = config->hidden, grid[2];
    float epsilon = (float)config->epsilon;
    char name[128];

    *ast = (struct ast){.config = *config};
    ast->block = calloc((size_t)config->layers, sizeof *ast->block);
    if (!ast->block)
        return error_memory(error, (size_t)config->layers * sizeof *ast->block);
    ast_grid(config, grid);
    ast->cls_token =
        params_add(params, PARAM_NORMAL, 0.02f, 3, (int64_t[]){1, 1, c}, "%s.cls_token", prefix);
    ast->dist_token =
        params_add(params, PARAM_NORMAL, 0.02f, 3, (int64_t[]){1, 1, c}, "%s.dist_token", prefix);
    ast->positions =
        params_add(params, PARAM_NORMAL, 0.02f, 3,
                   (int64_t[]){1, AST_EXTRA_TOKENS + grid[0] * grid[1], c}, "%s.pos_embed", prefix);
    ast->patch.weight = params_add(
        params, PARAM_NORMAL, weight_deviation(config->patch.value[0] * config->patch.value[1], c),
        4, (int64_t[]){c, 1, config->patch.value[0], config->patch.value[1]},
        "%s.patch_embed.proj.weight", prefix);
    ast->patch.bias = params_add(params, PARAM_ZEROS, 0, 1, &c, "%s.patch_embed.proj.bias", prefix);
    for (int64_t i = 0; i < config->layers; i++) {
        snprintf(name, sizeof name, "%s.blocks.%d", prefix, (int)i);
        ast->block[i] = block_declare(params, name, c, config->heads, config->mlp_ratio,
                                      config->dropout, epsilon);
    }
    snprintf(name, sizeof name, "%s.norm", prefix);
    ast->norm = norm_declare(params, name, c, epsilon);
    if (ast->cls_token && ast->dist_token && ast->positions)
        ast->cls_token->decay = ast->dist_token->decay = ast->positions->decay = false;
    return EARSHOT_OK;
}

void ast_free(struct ast *ast)
{
    free(ast->block);
    ast->block = NULL;
}

struct tensor *ast_forward(struct graph *g, const struct ast *ast, struct tensor *x,
                           ast_probe probe, void *probe_context)
{
    const struct ast_config *c = &ast->config;
    int64_t batch = x->dim[0], grid[3];
    int64_t patch[3] = {1, c->patch.value[0], c->patch.value[1]};
    int64_t stride[3] = {1, c->stride.value[0], c->stride.value[1]};
    struct tensor *part[3];
    char name[32];

    if (!graph_failed(g) && (x->rank != 3 || x->dim[1] != c->frames || x->dim[2] != c->mel_bins))
        op_shape_error(g, "audio encoder", x, "[batch, configured frames, configured mel bins]");
    x = op_transpose(g, x); /* the kernel's first axis is frequency */
    x = op_reshape(g, x, 5, (int64_t[]){batch, 1, 1, c->mel_bins, c->frames});
    x = op_unfold(g, x, patch, stride, false, grid);
    part[0] = op_broadcast(g, ast->cls_token, batch, 1);
    part[1] = op_broadcast(g, ast->dist_token, batch, 1);
    part[2] = linear_apply(g, &ast->patch, x);
    if (probe)
        probe(probe_context, "patch_embed", part[2]);
    x = op_concat_tokens(g, 3, part);
    x = op_add_rows(g, x, ast->positions, x->dim[1], 1);
    if (probe)
        probe(probe_context, "embedded", x);
    for (int64_t i = 0; i < c->layers; i++) {
        x = block_apply(g, &ast->block[i], x, NULL);
        snprintf(name, sizeof name, "block.%d", (int)i);
        if (probe)
            probe(probe_context, name, x);
    }
    return norm_apply(g, &ast->norm, x);
}
