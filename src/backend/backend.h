/*
 * backend.h: the kernel table and each kernel's contract.
 *
 * A backend is one struct of flat functions over device pointers and sizes.  Everything is
 * row-major and contiguous unless a stride is named.  "act" pointers hold activations in the
 * backend's element type (act_bytes each; f32 on the CPU); "float *" pointers hold f32 on every
 * backend: parameters, their gradients, optimiser moments, statistics, losses.
 *
 * Rules for every kernel
 *  - *_fwd writes its outputs completely; *_bwd ADDS to every gradient it is given, and skips a
 *    gradient that is NULL.  A gradient with a flag `add` is written instead when that is false.
 *  - Outputs never overlap inputs unless the contract says so.
 *  - Any size may be 0 (nothing is read or written) and none need be a multiple of anything.
 *  - The same call on the same backend with the same thread count gives the same bits.
 *  - Kernels cannot fail; sizes have been checked by the op that calls.
 *  - One thread at a time calls a backend: it keeps scratch.  Threads open one each.
 *
 * Slots marked [fused] may be NULL; the op then composes other slots.
 *
 * Backends: cpu/ (the only place with OpenMP and oneDNN), guard/ (the CPU's kernels over memory
 * that is unreadable between calls, for tests), plan/ (no arithmetic and no memory: counts
 * multiply-adds, so that a run can be costed before it is started).
 */
#ifndef EARSHOT_BACKEND_BACKEND_H
#define EARSHOT_BACKEND_BACKEND_H

#include "base/error.h"

/*
 * Scaled dot-product attention over `batch` independent problems.
 *   S[b,h,i,j] = scale * q[b,i,h,:].k[b,j,h,:] + bias[h,i,j],  P = softmax_j(S),  o = P v
 * Key j is visible to query i when all of these that are given allow it:
 *   key_mask[b, j] != 0;   !causal or j <= i + (nk - nq);   region[b % regions, i] == region[.., j]
 * A query that sees no key gets o = 0 and passes no gradient.
 * q, k, v, o point at element (b=0, token 0, head 0, component 0); heads are adjacent (head h
 * starts at h * head_dim); the next token is *_stride elements on, the next problem *_batch
 * elements on.  kv_head, unless 0, says otherwise of k and v: their head h starts at h * kv_head
 * (each head's keys on their own, as few queries want them).
 * head_dim is at most ATTENTION_HEAD_DIM_MAX; regions are not INT32_MIN.
 */
#define ATTENTION_HEAD_DIM_MAX 1024

struct attention {
    int64_t batch, heads, nq, nk, head_dim;
    int64_t q_stride, k_stride, v_stride, o_stride;
    int64_t q_batch, k_batch, v_batch, o_batch;
    int64_t kv_head; /* 0: head_dim */
    float scale;
    bool causal;
    const uint8_t *key_mask; /* [batch, nk] or NULL */
    const float *bias;       /* [heads, nq, nk] or NULL */
    const int32_t *region;   /* [regions, nq] with nq == nk, or NULL */
    int64_t regions;
};

/*
 * Sliding patches of x[batch, channels, t, h, w] as rows:
 *   y[((b*ot + i)*oh + j)*ow + k, ((c*kt + a)*kh + p)*kw + q] = x[b, c, i*st+a, j*sh+p, k*sw+q],
 * 0 where that lies past the end of an axis.
 */
struct unfold {
    int64_t batch, channels, t, h, w;
    int64_t kt, kh, kw; /* patch */
    int64_t st, sh, sw; /* stride */
    int64_t ot, oh, ow; /* patches along each axis */
};

/* `blocks` runs of `length` elements; block i starts at i * stride.  A stride of 0 repeats one run.
 */
struct strided {
    int64_t blocks, length, from_stride, to_stride;
};

struct adamw {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    float bias1, bias2;   /* 1 - beta^t */
    float gradient_scale; /* multiplies the gradient first (clipping) */
};

/*
 * A matrix [out, in] whose elements are shorter than f32; for inference only.
 *   BF16: the upper halves of f32;   I8: w[o, i] = scale[o] * data[o, i]
 * data is aligned to its elements and may be in a mapped file where host_memory allows it.
 */
enum weight_type { WEIGHT_F32, WEIGHT_BF16, WEIGHT_I8 };

/* Bytes of an element. */
static inline size_t weight_type_bytes(enum weight_type type)
{
    return type == WEIGHT_F32 ? sizeof(float) : type == WEIGHT_BF16 ? 2 : 1;
}

struct low_weight {
    enum weight_type type; /* WEIGHT_F32: there is none; the other fields say nothing */
    const void *data;
    const float *scale; /* [out] of WEIGHT_I8; else NULL */
};

struct backend {
    const char *name;
    size_t act_bytes;
    bool host_memory; /* kernels read host memory too: low_weight.data may stay where it is */
    void *state;      /* the backend's own */

    /* ---- memory ------------------------------------------------------------------------------ */
    /* 64-byte aligned, contents undefined; NULL when there is none.  Large blocks must not become
     * resident before they are touched. */
    void *(*mem_alloc)(struct backend *b, size_t size_bytes);
    void (*mem_free)(struct backend *b, void *memory, size_t size_bytes);
    void (*mem_zero)(struct backend *b, void *to, size_t size_bytes);
    void (*mem_move)(struct backend *b, void *to, const void *from,
                     size_t size_bytes); /* may overlap */
    void (*upload)(struct backend *b, void *to, const void *host, size_t size_bytes);
    void (*download)(struct backend *b, void *host, const void *from, size_t size_bytes);
    /* f32 on the host <-> activations on the device */
    void (*upload_act)(struct backend *b, void *to, const float *host, int64_t n);
    void (*download_act)(struct backend *b, float *host, const void *from, int64_t n);

    /* ---- products ---------------------------------------------------------------------------- */
    /* y[rows, out] = x[rows, in] w[out, in]^T + bias[out]; bias may be NULL. */
    void (*linear_fwd)(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const float *bias, void *y);
    void (*linear_bwd)(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const void *dy, void *dx, bool add_dx, float *dw,
                       float *dbias);
    /* [fused] as linear_fwd, then exact GELU; pre[rows, out] gets what GELU was given, may be NULL.
     */
    void (*linear_gelu_fwd)(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                            const float *w, const float *bias, void *y, void *pre);
    /*
     * As linear_fwd, or with gelu as linear_gelu_fwd without pre, for a weight of lower precision.
     * Sums are f32 or exact integers.  A processor with products of that type may be given x
     * rounded: to bf16, and for I8 to 8 bits by row (largest |x| / 127 is one step).  Which of the
     * ways is taken depends on the processor and on the sizes, never on what else runs.
     */
    void (*linear_low_fwd)(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                           const struct low_weight *w, const float *bias, bool gelu, void *y);

    /* ---- attention --------------------------------------------------------------------------- */
    /* lse[batch, heads, nq] (natural log of the softmax denominator, scores included; -INFINITY for
     * a query that sees nothing) is for the backward pass and may be NULL.  probabilities
     * [batch, heads, nq, nk] (f32) are for pictures and may be NULL. */
    void (*attention_fwd)(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, void *o, float *lse, float *probabilities);
    /* Strides of dq, dk, dv, do are those of q, k, v, o.  dbias[heads, nq, nk].  Without add_dq, dq
     * is written where there is a query; without add_dkv, dk and dv where there is a key, but not
     * when there are no queries (or no keys) at all. */
    void (*attention_bwd)(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, const void *o, const float *lse,
                          const void *dout, void *dq, bool add_dq, void *dk, void *dv, bool add_dkv,
                          float *dbias);
    /* bias[h, i] = table[index[i], h] for i < n (n = nq * nk); index may repeat. */
    void (*bias_gather_fwd)(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *table, float *bias);
    void (*bias_gather_bwd)(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *dbias, float *dtable);

    /* ---- norms and pointwise ----------------------------------------------------------------- */
    /* y = (x - mean) * rstd * gamma + beta over the last axis; stats[rows][2] = mean, rstd; NULL
     * ok. */
    void (*layer_norm_fwd)(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *beta, float epsilon, void *y,
                           float *stats);
    /* y once more, to the bit, from the stats that layer_norm_fwd gave. */
    void (*layer_norm_again)(struct backend *b, int64_t rows, int64_t c, const void *x,
                             const float *gamma, const float *beta, const float *stats, void *y);
    void (*layer_norm_bwd)(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *stats, const void *dy, void *dx,
                           float *dgamma, float *dbeta);
    /* Exact GELU: x/2 (1 + erf(x / sqrt 2)).  y may be x. */
    void (*gelu_fwd)(struct backend *b, int64_t n, const void *x, void *y);
    /* Without add, dx may be dy.  y, unless NULL, gets what gelu_fwd would give. */
    void (*gelu_bwd)(struct backend *b, int64_t n, const void *x, const void *dy, void *dx,
                     bool add, void *y);
    /* y = alpha x + beta z; z may be NULL (then beta is ignored); y may be x or z. */
    void (*axpby)(struct backend *b, int64_t n, float alpha, const void *x, float beta,
                  const void *z, void *y);
    /* y[r, :] = x[r, :] + table[(r / repeat) % period, :].  Backward: dtable from dy. */
    void (*add_rows_fwd)(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *x, const float *table, void *y);
    void (*add_rows_bwd)(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *dy, float *dtable);
    /* Inverted dropout: group g of `group` neighbouring elements is kept with probability 1 - p and
     * then scaled by 1 / (1 - p).  Kept iff random_word(seed, stream, g) >= p 2^32.  y may be x.
     * Backward is the same call with accumulate = true: y += mask * x / (1 - p). */
    void (*dropout)(struct backend *b, int64_t n, int64_t group, float p, uint64_t seed,
                    uint64_t stream, const void *x, void *y, bool accumulate);

    /* ---- moving data ------------------------------------------------------------------------- */
    /* y[i, :] = x[index[i], :], or 0 where index[i] < 0.  x has x_rows rows of c elements. */
    void (*gather_rows_fwd)(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *x, void *y);
    /* dx[index[i], :] += dy[i, :]; an index may repeat. */
    void (*gather_rows_bwd)(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *dy, void *dx);
    /* The same over an f32 table (token embeddings). */
    void (*embed_fwd)(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const float *table, void *y);
    void (*embed_bwd)(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const void *dy, float *dtable);
    /* The same over a table [table_rows, c] of lower precision; each row is an output of it. */
    void (*embed_low_fwd)(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                          int64_t table_rows, const struct low_weight *table, void *y);
    /* to(block i) = from(block i), or += with accumulate (then to_stride may be 0: a sum). */
    void (*copy_strided)(struct backend *b, const struct strided *s, const void *from, void *to,
                         bool accumulate);
    /* The same from an f32 table into activations, and back. */
    void (*broadcast_fwd)(struct backend *b, int64_t times, int64_t n, const float *table, void *y);
    void (*broadcast_bwd)(struct backend *b, int64_t times, int64_t n, const void *dy,
                          float *dtable);
    /* y[batch, cols, rows] = x[batch, rows, cols]^T, or += with accumulate. */
    void (*transpose)(struct backend *b, int64_t batch, int64_t rows, int64_t cols, const void *x,
                      void *y, bool accumulate);
    void (*unfold_fwd)(struct backend *b, const struct unfold *u, const void *x, void *y);
    void (*unfold_bwd)(struct backend *b, const struct unfold *u, const void *dy, void *dx);
    /* y[b, :] = mean over the n rows of x[b, n, :]. */
    void (*mean_rows_fwd)(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *x,
                          void *y);
    void (*mean_rows_bwd)(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *dy,
                          void *dx);

    /* ---- loss -------------------------------------------------------------------------------- */
    /*
     * Token cross-entropy with label smoothing e over v classes:
     *   loss[r] = weight[r] * ((1-e) * -log p[target] + e * mean_c(-log p[c])),  p =
     * softmax(logits[r]) target[r] < 0: loss 0, no gradient.  weight may be NULL (1).  lse[r] = log
     * sum exp. dloss[r] is the gradient of each row's loss; dlogits += dloss[r] * d loss[r] / d
     * logits.
     */
    void (*cross_entropy_fwd)(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              float *loss, float *lse);
    void (*cross_entropy_bwd)(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              const float *lse, const float *dloss, void *dlogits);

    /* ---- optimiser (f32 blocks) ---------------------------------------------------------------
     */
    /* Sum of squares in double, in a fixed order; NaN or infinity if any element is. */
    double (*sum_squares)(struct backend *b, int64_t n, const float *x);
    /* Decoupled weight decay (Loshchilov & Hutter 2019), PyTorch's order of operations. */
    void (*adamw_step)(struct backend *b, const struct adamw *a, int64_t n, float *value,
                       const float *gradient, float *moment1, float *moment2);

    void (*close)(struct backend *b); /* frees the struct too */
};

/* threads 0: all processors this process may use. */
enum earshot_status backend_cpu_open(int threads, struct backend **backend,
                                     struct earshot_error *error);
/* The CPU's kernels; every mem_alloc block is unreadable except during kernel calls and transfers.
 */
enum earshot_status backend_guard_open(struct backend **backend, struct earshot_error *error);
/* Counts; mem_alloc gives distinct addresses that must not be touched. */
enum earshot_status backend_plan_open(struct backend **backend, struct earshot_error *error);
/* Multiply-adds counted by a plan backend since it was opened or reset (products and attention). */
double backend_plan_multiply_adds(const struct backend *plan);
void backend_plan_reset(struct backend *plan);

#endif
