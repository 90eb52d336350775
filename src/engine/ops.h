/*
 * ops.h: the differentiable operations.  Shapes: B batch, N tokens, C channels; "..., C" means any
 * leading axes.  Every op checks shapes (a mismatch is EARSHOT_ERROR_INTERNAL with both shapes in
 * the message), allocates its output from the step's arena, calls kernels of the backend and, while
 * recording, leaves a node.  Each op's backward stands above it in its file.
 */
#ifndef EARSHOT_ENGINE_OPS_H
#define EARSHOT_ENGINE_OPS_H

#include "engine/graph.h"

/* ---- products (ops_linear.c) ------------------------------------------------------------------
 */

/* x[..., in] -> x w^T + bias: [..., out].  w[out, ...] with out * in elements; bias[out] or NULL.
 */
struct tensor *op_linear(struct graph *g, struct tensor *x, struct param *w, struct param *bias);

/* ---- the halves of a transformer block (ops_fused.c) ------------------------------------------
 */

struct linear_layer {
    struct param *weight, *bias; /* [out, in]; [out] or NULL */
};

struct norm_layer {
    struct param *weight, *bias;
    float epsilon;
};

struct mlp_layer {
    struct linear_layer fc1, fc2; /* fc2(gelu(fc1(x))) with the exact (erf) GELU */
};

/* Rows in another order, as I32 indices: row i of the new is row to[i] of the old, zeros where
 * to[i] < 0; old row j, each in one place only, is row from[j] of the new. */
struct row_order {
    const struct tensor *to, *from;
};

/* linear(reorder(norm(x))): [..., out] of x's shape, or of order.to's (order may be NULL).  Of x
 * its statistics are kept, nothing else. */
struct tensor *op_norm_linear(struct graph *g, struct tensor *x, const struct norm_layer *norm,
                              const struct row_order *order, const struct linear_layer *linear);
/* x + drop(restore(linear(h))): h has the rows of the order, whose old ones are x's.  drop is
 * op_dropout, then op_drop_path. */
struct tensor *op_linear_residual(struct graph *g, struct tensor *x, struct tensor *h,
                                  const struct linear_layer *linear, const struct row_order *order,
                                  float dropout, float drop_path);
/* x + drop(mlp(norm(x))); norm may be NULL.  What GELU is given and the statistics are kept. */
struct tensor *op_mlp_residual(struct graph *g, struct tensor *x, const struct norm_layer *norm,
                               const struct mlp_layer *mlp, float dropout, float drop_path);

/* ---- attention (ops_attention.c) --------------------------------------------------------------
 */

struct attention_options {
    int heads;
    bool causal;
    const struct tensor *key_mask; /* U8 [B, Nk] or NULL */
    struct tensor *bias;           /* F32 [heads, Nq, Nk] from op_attention_bias, or NULL */
    const struct tensor *region;   /* I32 [regions, N]: attention within equal numbers only */
    float *probabilities;          /* host, f32 [B, heads, Nq, Nk]; NULL: not wanted */
};

/* Self-attention on packed qkv[B, N, 3C] (q, then k, then v; heads adjacent) -> [B, N, C]. */
struct tensor *op_self_attention(struct graph *g, struct tensor *qkv,
                                 const struct attention_options *options);
/* q[B, Nq, C], kv[B, Nk, 2C] (k, then v) -> [B, Nq, C]; or kv[B, 2, heads, Nk, C / heads], each
 * head's keys and values on their own.  key_count: only the first so many keys of each sample (a
 * partly filled cache); -1: all. */
struct tensor *op_cross_attention(struct graph *g, struct tensor *q, struct tensor *kv,
                                  int64_t key_count, const struct attention_options *options);
/* table[entries, heads], index I32 [nq, nk] -> F32 [heads, nq, nk]. */
struct tensor *op_attention_bias(struct graph *g, struct param *table, const struct tensor *index);

/* ---- norms and pointwise (ops_pointwise.c) ----------------------------------------------------
 */

struct tensor *op_layer_norm(struct graph *g, struct tensor *x, struct param *gamma,
                             struct param *beta, float epsilon);
struct tensor *op_gelu(struct graph *g, struct tensor *x);
/* alpha x + beta y, same shape. */
struct tensor *op_axpby(struct graph *g, float alpha, struct tensor *x, float beta,
                        struct tensor *y);
struct tensor *op_add(struct graph *g, struct tensor *x, struct tensor *y);
/* Adds table row (r / repeat) % period to row r of x[..., C]; table has period * C elements. */
struct tensor *op_add_rows(struct graph *g, struct tensor *x, struct param *table, int64_t period,
                           int64_t repeat);
/* Inverted dropout with probability p in GRAPH_TRAIN; x itself otherwise. */
struct tensor *op_dropout(struct graph *g, struct tensor *x, float p);
/* Stochastic depth (Huang et al. 2016): drops whole samples of x[B, ...]. */
struct tensor *op_drop_path(struct graph *g, struct tensor *x, float p);

/* ---- moving data (ops_move.c) -----------------------------------------------------------------
 */

struct tensor *op_reshape(struct graph *g, struct tensor *x, int rank, const int64_t *dim);
/* x[R, C] (any leading axes), index I32 [...]: rows x[index], zeros where index < 0: [..., C]. */
struct tensor *op_gather_rows(struct graph *g, struct tensor *x, const struct tensor *index);
/* ids I32 [...] into table[V, C]: [..., C]. */
struct tensor *op_embed(struct graph *g, struct param *table, const struct tensor *ids);
/* x_i[B, N_i, C] -> [B, sum N_i, C]. */
struct tensor *op_concat_tokens(struct graph *g, int count, struct tensor **x);
/* x[B, N, C] -> x[:, start:start+count]. */
struct tensor *op_slice_tokens(struct graph *g, struct tensor *x, int64_t start, int64_t count);
/* table[...] repeated: [times, dim...] of rank 3: [times, rows, C] with rows * C elements. */
struct tensor *op_broadcast(struct graph *g, struct param *table, int64_t times, int64_t rows);
/* x[B, R, C] -> [B, C, R]. */
struct tensor *op_transpose(struct graph *g, struct tensor *x);
/* x[B, ch, t, h, w] -> [B, ot*oh*ow, ch*kt*kh*kw]: see struct unfold; batch, channels, t, h, w and
 * ot, oh, ow are filled in here (as many patches as start inside and, without pad, end inside). */
struct tensor *op_unfold(struct graph *g, struct tensor *x, const int64_t patch[3],
                         const int64_t stride[3], bool pad, int64_t grid[3]);
/* x[B, N, C] -> mean over N: [B, C]. */
struct tensor *op_mean_tokens(struct graph *g, struct tensor *x);
/* Copies kv[B, 1, C] into cache[B, length, C] at a position; not differentiable. */
void op_cache_store(struct graph *g, struct tensor *cache, const struct tensor *kv,
                    int64_t position);

/* ---- loss (ops_loss.c) ------------------------------------------------------------------------
 */

/* logits[..., V], target I32 [R], weight F32 [R] or NULL -> F32 [R]: see cross_entropy_fwd. */
struct tensor *op_cross_entropy(struct graph *g, struct tensor *logits, const struct tensor *target,
                                const struct tensor *weight, float smoothing);

/* ---- for the op files -------------------------------------------------------------------------
 */

/* The size of the last axis, and the product of the others. */
int64_t tensor_last(const struct tensor *x);
int64_t tensor_rows(const struct tensor *x);
/* An address `elements` activations into a buffer; NULL stays NULL. */
void *act_at(const struct backend *b, const void *data, int64_t elements);
/* Sticks an error that shows the tensor's shape. */
void op_shape_error(struct graph *g, const char *op, const struct tensor *x, const char *expected);
/* y = x w^T + bias in whatever type w is; with gelu y = GELU(that), and pre, unless NULL, gets what
 * GELU was given (f32 weights only). */
void linear_forward(struct backend *b, const struct param *w, const struct param *bias,
                    int64_t rows, const void *x, bool gelu, void *y, void *pre);
/* Its gradients: dx is written, or added to with add_dx, or not wanted when NULL; the parameters'
 * are added to. */
void linear_gradients(struct backend *b, const struct param *w, const struct param *bias,
                      int64_t rows, const void *x, const void *dy, void *dx, bool add_dx);
/* dx += dy, the last use of dy: y's gradient may become x's own. */
void op_pass_gradient(struct graph *g, struct tensor *y, struct tensor *x);
/* Fails the graph when w is of lower precision: nothing is recorded over it. */
void linear_needs_f32(struct graph *g, const struct param *w);

#endif
