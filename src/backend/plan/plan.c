/*
 * plan.c: a backend that computes nothing and owns nothing: it counts the multiply-adds of products
 * and attention, so that `info` can cost a run of any size before it is started.
 *
 * Addresses are distinct, aligned and not canonical on 64-bit machines, so touching one faults.
 * What is read back from the device is zero.  Masks and regions live in device memory and are not
 * looked at: attention counts every pair that causality and the shapes allow.
 */
#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ADDRESS ((uintptr_t)1 << (sizeof(void *) * 7)) /* 2^56 with 64-bit pointers */

struct plan_state {
    uintptr_t next;
    double multiply_adds;
};

static void count(struct backend *b, double multiply_adds)
{
    struct plan_state *state = b->state;

    state->multiply_adds += multiply_adds;
}

static void *mem_alloc(struct backend *b, size_t size_bytes)
{
    struct plan_state *state = b->state;
    uintptr_t at = state->next;

    state->next += (size_bytes / 64 + 1) * 64;
    return (void *)at;
}

static void mem_free(struct backend *b, void *memory, size_t size_bytes)
{
    (void)b;
    (void)memory;
    (void)size_bytes;
}

static void download(struct backend *b, void *host, const void *from, size_t size_bytes)
{
    (void)b;
    (void)from;
    if (size_bytes)
        memset(host, 0, size_bytes);
}

static void download_act(struct backend *b, float *host, const void *from, int64_t n)
{
    download(b, host, from, (size_t)n * sizeof(float));
}

static void linear_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const float *bias, void *y)
{
    (void)x;
    (void)w;
    (void)bias;
    (void)y;
    count(b, (double)rows * (double)in * (double)out);
}

static void linear_bwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const void *dy, void *dx, bool add_dx, float *dw,
                       float *dbias)
{
    (void)add_dx;
    (void)x;
    (void)w;
    (void)dy;
    (void)dbias;
    count(b, (double)rows * (double)in * (double)out * ((dx != NULL) + (dw != NULL)));
}

static void linear_gelu_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                            const float *w, const float *bias, void *y, void *pre)
{
    (void)pre;
    linear_fwd(b, rows, in, out, x, w, bias, y);
}

static void linear_low_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                           const struct low_weight *w, const float *bias, bool gelu, void *y)
{
    (void)w;
    (void)gelu;
    linear_fwd(b, rows, in, out, x, NULL, bias, y);
}

/* Pairs of query and key that causality leaves, over the whole batch and all heads. */
static double visible_pairs(const struct attention *a)
{
    double pairs = 0;

    if (!a->causal)
        return (double)a->batch * (double)a->heads * (double)a->nq * (double)a->nk;
    for (int64_t i = 0; i < a->nq; i++) {
        int64_t seen = i + a->nk - a->nq + 1;

        pairs += seen > 0 ? (double)seen : 0;
    }
    return (double)a->batch * (double)a->heads * pairs;
}

static void attention_fwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, void *o, float *lse, float *probabilities)
{
    (void)q;
    (void)k;
    (void)v;
    (void)o;
    (void)lse;
    (void)probabilities;
    count(b, 2 * visible_pairs(a) * (double)a->head_dim);
}

/* The scores again, do v^T, and one product for each of dq, dk, dv. */
static void attention_bwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, const void *o, const float *lse,
                          const void *dout, void *dq, bool add_dq, void *dk, void *dv, bool add_dkv,
                          float *dbias)
{
    (void)q;
    (void)k;
    (void)v;
    (void)o;
    (void)lse;
    (void)dout;
    (void)add_dq;
    (void)add_dkv;
    (void)dbias;
    count(b, (2 + (dq != NULL) + (dk != NULL) + (dv != NULL)) * visible_pairs(a) *
                 (double)a->head_dim);
}

static double sum_squares(struct backend *b, int64_t n, const float *x)
{
    (void)b;
    (void)n;
    (void)x;
    return 0;
}

static void plan_close(struct backend *b)
{
    free(b->state);
    free(b);
}

double backend_plan_multiply_adds(const struct backend *plan)
{
    const struct plan_state *state = plan->state;

    return state->multiply_adds;
}

void backend_plan_reset(struct backend *plan)
{
    struct plan_state *state = plan->state;

    state->multiply_adds = 0;
}

/* ---- slots with nothing to count ---- */

static void mem_zero(struct backend *b, void *to, size_t size_bytes)
{
    (void)b;
    (void)to;
    (void)size_bytes;
}

static void mem_move(struct backend *b, void *to, const void *from, size_t size_bytes)
{
    (void)b;
    (void)to;
    (void)from;
    (void)size_bytes;
}

static void upload(struct backend *b, void *to, const void *host, size_t size_bytes)
{
    (void)b;
    (void)to;
    (void)host;
    (void)size_bytes;
}

static void upload_act(struct backend *b, void *to, const float *host, int64_t n)
{
    (void)b;
    (void)to;
    (void)host;
    (void)n;
}

static void bias_gather_fwd(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *table, float *bias)
{
    (void)b;
    (void)heads;
    (void)n;
    (void)index;
    (void)table;
    (void)bias;
}

static void bias_gather_bwd(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *dbias, float *dtable)
{
    (void)b;
    (void)heads;
    (void)n;
    (void)index;
    (void)dbias;
    (void)dtable;
}

static void layer_norm_fwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *beta, float epsilon, void *y,
                           float *stats)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)x;
    (void)gamma;
    (void)beta;
    (void)epsilon;
    (void)y;
    (void)stats;
}

static void layer_norm_again(struct backend *b, int64_t rows, int64_t c, const void *x,
                             const float *gamma, const float *beta, const float *stats, void *y)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)x;
    (void)gamma;
    (void)beta;
    (void)stats;
    (void)y;
}

static void layer_norm_bwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *stats, const void *dy, void *dx,
                           float *dgamma, float *dbeta)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)x;
    (void)gamma;
    (void)stats;
    (void)dy;
    (void)dx;
    (void)dgamma;
    (void)dbeta;
}

static void gelu_fwd(struct backend *b, int64_t n, const void *x, void *y)
{
    (void)b;
    (void)n;
    (void)x;
    (void)y;
}

static void gelu_bwd(struct backend *b, int64_t n, const void *x, const void *dy, void *dx,
                     bool add, void *y)
{
    (void)y;
    (void)b;
    (void)n;
    (void)x;
    (void)dy;
    (void)dx;
    (void)add;
}

static void axpby(struct backend *b, int64_t n, float alpha, const void *x, float beta,
                  const void *z, void *y)
{
    (void)b;
    (void)n;
    (void)alpha;
    (void)x;
    (void)beta;
    (void)z;
    (void)y;
}

static void add_rows_fwd(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *x, const float *table, void *y)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)period;
    (void)repeat;
    (void)x;
    (void)table;
    (void)y;
}

static void add_rows_bwd(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *dy, float *dtable)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)period;
    (void)repeat;
    (void)dy;
    (void)dtable;
}

static void dropout(struct backend *b, int64_t n, int64_t group, float p, uint64_t seed,
                    uint64_t stream, const void *x, void *y, bool accumulate)
{
    (void)b;
    (void)n;
    (void)group;
    (void)p;
    (void)seed;
    (void)stream;
    (void)x;
    (void)y;
    (void)accumulate;
}

static void gather_rows_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *x, void *y)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)index;
    (void)x_rows;
    (void)x;
    (void)y;
}

static void gather_rows_bwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *dy, void *dx)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)index;
    (void)x_rows;
    (void)dy;
    (void)dx;
}

static void embed_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const float *table, void *y)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)index;
    (void)table_rows;
    (void)table;
    (void)y;
}

static void embed_low_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                          int64_t table_rows, const struct low_weight *table, void *y)
{
    (void)table;
    embed_fwd(b, rows, c, index, table_rows, NULL, y);
}

static void embed_bwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const void *dy, float *dtable)
{
    (void)b;
    (void)rows;
    (void)c;
    (void)index;
    (void)table_rows;
    (void)dy;
    (void)dtable;
}

static void copy_strided(struct backend *b, const struct strided *s, const void *from, void *to,
                         bool accumulate)
{
    (void)b;
    (void)s;
    (void)from;
    (void)to;
    (void)accumulate;
}

static void broadcast_fwd(struct backend *b, int64_t times, int64_t n, const float *table, void *y)
{
    (void)b;
    (void)times;
    (void)n;
    (void)table;
    (void)y;
}

static void broadcast_bwd(struct backend *b, int64_t times, int64_t n, const void *dy,
                          float *dtable)
{
    (void)b;
    (void)times;
    (void)n;
    (void)dy;
    (void)dtable;
}

static void transpose(struct backend *b, int64_t batch, int64_t rows, int64_t cols, const void *x,
                      void *y, bool accumulate)
{
    (void)b;
    (void)batch;
    (void)rows;
    (void)cols;
    (void)x;
    (void)y;
    (void)accumulate;
}

static void unfold_fwd(struct backend *b, const struct unfold *u, const void *x, void *y)
{
    (void)b;
    (void)u;
    (void)x;
    (void)y;
}

static void unfold_bwd(struct backend *b, const struct unfold *u, const void *dy, void *dx)
{
    (void)b;
    (void)u;
    (void)dy;
    (void)dx;
}

static void mean_rows_fwd(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *x,
                          void *y)
{
    (void)b;
    (void)batch;
    (void)n;
    (void)c;
    (void)x;
    (void)y;
}

static void mean_rows_bwd(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *dy,
                          void *dx)
{
    (void)b;
    (void)batch;
    (void)n;
    (void)c;
    (void)dy;
    (void)dx;
}

static void cross_entropy_fwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              float *loss, float *lse)
{
    (void)b;
    (void)rows;
    (void)v;
    (void)logits;
    (void)target;
    (void)weight;
    (void)smoothing;
    (void)loss;
    (void)lse;
}

static void cross_entropy_bwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              const float *lse, const float *dloss, void *dlogits)
{
    (void)b;
    (void)rows;
    (void)v;
    (void)logits;
    (void)target;
    (void)weight;
    (void)smoothing;
    (void)lse;
    (void)dloss;
    (void)dlogits;
}

static void adamw_step(struct backend *b, const struct adamw *a, int64_t n, float *value,
                       const float *gradient, float *moment1, float *moment2)
{
    (void)b;
    (void)a;
    (void)n;
    (void)value;
    (void)gradient;
    (void)moment1;
    (void)moment2;
}

enum earshot_status backend_plan_open(struct backend **backend, struct earshot_error *error)
{
    static const struct backend table = {
        .name = "plan",
        .act_bytes = sizeof(float),
        .mem_alloc = mem_alloc,
        .mem_free = mem_free,
        .mem_zero = mem_zero,
        .mem_move = mem_move,
        .upload = upload,
        .download = download,
        .upload_act = upload_act,
        .download_act = download_act,
        .linear_fwd = linear_fwd,
        .linear_bwd = linear_bwd,
        .linear_gelu_fwd = linear_gelu_fwd,
        .linear_low_fwd = linear_low_fwd,
        .attention_fwd = attention_fwd,
        .attention_bwd = attention_bwd,
        .bias_gather_fwd = bias_gather_fwd,
        .bias_gather_bwd = bias_gather_bwd,
        .layer_norm_fwd = layer_norm_fwd,
        .layer_norm_again = layer_norm_again,
        .layer_norm_bwd = layer_norm_bwd,
        .gelu_fwd = gelu_fwd,
        .gelu_bwd = gelu_bwd,
        .axpby = axpby,
        .add_rows_fwd = add_rows_fwd,
        .add_rows_bwd = add_rows_bwd,
        .dropout = dropout,
        .gather_rows_fwd = gather_rows_fwd,
        .gather_rows_bwd = gather_rows_bwd,
        .embed_fwd = embed_fwd,
        .embed_low_fwd = embed_low_fwd,
        .embed_bwd = embed_bwd,
        .copy_strided = copy_strided,
        .broadcast_fwd = broadcast_fwd,
        .broadcast_bwd = broadcast_bwd,
        .transpose = transpose,
        .unfold_fwd = unfold_fwd,
        .unfold_bwd = unfold_bwd,
        .mean_rows_fwd = mean_rows_fwd,
        .mean_rows_bwd = mean_rows_bwd,
        .cross_entropy_fwd = cross_entropy_fwd,
        .cross_entropy_bwd = cross_entropy_bwd,
        .sum_squares = sum_squares,
        .adamw_step = adamw_step,
        .close = plan_close,
    };
    struct plan_state *state = calloc(1, sizeof *state);
    struct backend *b = calloc(1, sizeof *b);

    *backend = NULL;
    if (!state || !b) {
        free(state);
        free(b);
        return error_memory(error, sizeof *b);
    }
    state->next = FIRST_ADDRESS;
    *b = table;
    b->state = state;
    *backend = b;
    return EARSHOT_OK;
}
