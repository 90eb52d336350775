/*
 * layers.h: the parts that every transformer here is made of: declared under a prefix, then called.
 */
#ifndef EARSHOT_MODEL_LAYERS_H
#define EARSHOT_MODEL_LAYERS_H

#include "engine/ops.h"

/* The deviation of an initial weight [out, in]: sqrt(2 / (in + out)) (Glorot & Bengio 2010).  At
 * the widths of the published encoders this is their 0.02; narrower layers start wider, without
 * which a small network's blocks hardly touch what passes through them. */
float weight_deviation(int64_t in, int64_t out);

/* weight[out, in] named PREFIX.weight, normal of that deviation; bias[out] unless with_bias is
 * false. */
struct linear_layer linear_declare(struct params *params, const char *prefix, int64_t in,
                                   int64_t out, bool with_bias);
struct norm_layer norm_declare(struct params *params, const char *prefix, int64_t width,
                               float epsilon);
/* Hidden channels of an MLP. */
int64_t mlp_width(int64_t width, double ratio);
/* PREFIX.fc1, PREFIX.fc2 */
struct mlp_layer mlp_declare(struct params *params, const char *prefix, int64_t width,
                             double ratio);

struct tensor *linear_apply(struct graph *g, const struct linear_layer *layer, struct tensor *x);
struct tensor *norm_apply(struct graph *g, const struct norm_layer *layer, struct tensor *x);

/* embedding[V, C] and positions[P, C] of ids I32 [B, L], L <= P: their sum [B, L, C]. */
struct tensor *embed_words(struct graph *g, struct param *embedding, struct param *positions,
                           const struct tensor *ids);

/* A transformer block with timm's names: norm1, attn.qkv, attn.proj, norm2, mlp.fc1/fc2.  Pre-norm:
 * x + f(norm(x)) for attention, then for the MLP; post-norm, as BERT: norm(x + f(x)). */
struct transformer_block {
    struct norm_layer norm1, norm2;
    struct linear_layer qkv, proj;
    struct mlp_layer mlp;
    int heads;
    float dropout;
    bool post_norm; /* false from block_declare */
};

struct transformer_block block_declare(struct params *params, const char *prefix, int64_t width,
                                       int64_t heads, double mlp_ratio, double dropout,
                                       float epsilon);
/* x[B, N, C] -> [B, N, C]; x may be overwritten (graph_update).  key_mask U8 [B, N] or NULL. */
struct tensor *block_apply(struct graph *g, const struct transformer_block *block, struct tensor *x,
                           const struct tensor *key_mask);

/* x + dropout(mlp(norm(x))); x may be overwritten (graph_update). */
struct tensor *mlp_residual(struct graph *g, const struct norm_layer *norm,
                            const struct mlp_layer *mlp, float dropout, float drop_path,
                            struct tensor *x);

/* Attention of x[B, N, C] to a context [B, M, C]: q from norm(x), keys and values from the context
 * as it is given; x + dropout(proj(attention)).  proj has no bias, so a sample that sees no context
 * passes unchanged. */
struct cross_layer {
    struct norm_layer norm;
    struct linear_layer q, kv, proj;
    int heads;
    float dropout;
};

struct cross_layer cross_declare(struct params *params, const char *prefix, int64_t width,
                                 int64_t heads, double dropout);
/* The context's keys and values: [B, M, 2C]. */
struct tensor *cross_keys(struct graph *g, const struct cross_layer *layer, struct tensor *context);
/* kv from cross_keys; key_mask U8 [B, M] or NULL. */
struct tensor *cross_apply(struct graph *g, const struct cross_layer *layer, struct tensor *x,
                           struct tensor *kv, const struct tensor *key_mask);
/* Several contexts kv[i][B, M_i, 2C] at once: x[count k B, N, C] holds, context by context, k
 * sequences side by side for each of its B samples. */
#define CROSS_CONTEXTS_MAX 7
struct tensor *cross_apply_each(struct graph *g, const struct cross_layer *layer, struct tensor *x,
                                int count, struct tensor *const kv[],
                                const struct tensor *const key_mask[]);

#endif
