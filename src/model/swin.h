/*
 * swin.h: the Video Swin Transformer (Liu et al., CVPR 2022), exactly as the official
 * SwinTransformer3D: 3-D patches, windows shifted in every second block, relative position bias,
 * patch merging between stages, a final layer norm.
 *
 * Parameter names are the official ones under a prefix: PREFIX.patch_embed.proj.weight, ...
 */
#ifndef EARSHOT_MODEL_SWIN_H
#define EARSHOT_MODEL_SWIN_H

#include "model/config.h"
#include "model/layers.h"

#define SWIN_STAGES_MAX OPTION_LIST_MAX

struct swin_block {
    struct norm_layer norm1, norm2;
    struct param *bias_table;
    struct linear_layer qkv, proj;
    struct mlp_layer mlp;
    float drop_path;
};

struct swin_stage {
    struct swin_block *block;
    int depth, heads;
    struct norm_layer merge_norm;     /* all but the last stage */
    struct linear_layer merge_reduce; /* 4C -> 2C, no bias */
};

struct swin {
    struct swin_config config;
    struct linear_layer patch;
    struct norm_layer patch_norm, norm;
    struct swin_stage stage[SWIN_STAGES_MAX];
};

/* Declares every parameter.  swin_free frees the blocks, not the parameters. */
enum earshot_status swin_declare(struct swin *swin, struct params *params, const char *prefix,
                                 const struct swin_config *config, struct earshot_error *error);
void swin_free(struct swin *swin);

/* Channels of the last stage. */
int64_t swin_channels(const struct swin_config *config);
/* Tokens that come out for a clip of the configured size. */
int64_t swin_tokens(const struct swin_config *config);

/* Called with each stage's tokens, for tests: name is "patch_embed", "block.i.j", "stage.i", tokens
 * are [B, grid[0] * grid[1] * grid[2], C]. */
typedef void (*swin_probe)(void *context, const char *name, struct tensor *tokens,
                           const int64_t grid[3]);

/* x[B, 3, T, H, W], any T, H, W >= 1 -> tokens [B, t*h*w, C] and their grid.  probe may be NULL (a
 * probe needs a graph without checkpointing). */
struct tensor *swin_forward(struct graph *g, const struct swin *swin, struct tensor *x,
                            int64_t grid[3], swin_probe probe, void *probe_context);

#endif
