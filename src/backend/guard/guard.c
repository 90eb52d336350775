/*
 * guard.c: the CPU's kernels over memory that cannot be touched between calls.
 *
 * Every block is its own mapping, PROT_NONE except while a kernel or a transfer runs, and ends
 * against a page that is never readable.  Code that reads an activation without the backend, or a
 * kernel that runs past the end of a block, dies at that instruction.  For tests.
 */
#include "backend/backend.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard_block {
    struct guard_block *next;
    unsigned char *pages; /* usable pages, then one that is never open */
    size_t open_bytes;    /* of the usable pages */
    unsigned char *memory;
};

struct guard_state {
    struct backend *cpu;
    struct guard_block *blocks;
    size_t page_bytes;
};

static void protect_all(const struct guard_state *state, int protection)
{
    for (const struct guard_block *block = state->blocks; block; block = block->next)
        mprotect(block->pages, block->open_bytes, protection);
}

static struct backend *guard_enter(struct backend *b)
{
    struct guard_state *state = b->state;

    protect_all(state, PROT_READ | PROT_WRITE);
    return state->cpu;
}

static void guard_leave(struct backend *b)
{
    protect_all(b->state, PROT_NONE);
}

static void *mem_alloc(struct backend *b, size_t size_bytes)
{
    struct guard_state *state = b->state;
    size_t rounded = (size_bytes + 63) & ~(size_t)63;
    struct guard_block *block;
    void *pages;

    block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    if (rounded == 0)
        rounded = 64;
    block->open_bytes = (rounded + state->page_bytes - 1) / state->page_bytes * state->page_bytes;
    pages = mmap(NULL, block->open_bytes + state->page_bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        free(block);
        return NULL;
    }
    block->pages = pages;
    block->memory = block->pages + block->open_bytes - rounded;
    block->next = state->blocks;
    state->blocks = block;
    return block->memory;
}

static void free_block(struct guard_state *state, struct guard_block *block)
{
    munmap(block->pages, block->open_bytes + state->page_bytes);
    free(block);
}

static void mem_free(struct backend *b, void *memory, size_t size_bytes)
{
    struct guard_state *state = b->state;

    (void)size_bytes;
    for (struct guard_block **at = &state->blocks; *at; at = &(*at)->next) {
        struct guard_block *block = *at;

        if (block->memory != memory)
            continue;
        *at = block->next;
        free_block(state, block);
        return;
    }
}

static void guard_close(struct backend *b)
{
    struct guard_state *state = b->state;

    while (state->blocks) {
        struct guard_block *next = state->blocks->next;

        free_block(state, state->blocks);
        state->blocks = next;
    }
    state->cpu->close(state->cpu);
    free(state);
    free(b);
}

/* ---- every slot between guard_enter and guard_leave ---- */

static void mem_zero(struct backend *b, void *to, size_t size_bytes)
{
    struct backend *cpu = guard_enter(b);

    cpu->mem_zero(cpu, to, size_bytes);
    guard_leave(b);
}

static void mem_move(struct backend *b, void *to, const void *from, size_t size_bytes)
{
    struct backend *cpu = guard_enter(b);

    cpu->mem_move(cpu, to, from, size_bytes);
    guard_leave(b);
}

static void upload(struct backend *b, void *to, const void *host, size_t size_bytes)
{
    struct backend *cpu = guard_enter(b);

    cpu->upload(cpu, to, host, size_bytes);
    guard_leave(b);
}

static void download(struct backend *b, void *host, const void *from, size_t size_bytes)
{
    struct backend *cpu = guard_enter(b);

    cpu->download(cpu, host, from, size_bytes);
    guard_leave(b);
}

static void upload_act(struct backend *b, void *to, const float *host, int64_t n)
{
    struct backend *cpu = guard_enter(b);

    cpu->upload_act(cpu, to, host, n);
    guard_leave(b);
}

static void download_act(struct backend *b, float *host, const void *from, int64_t n)
{
    struct backend *cpu = guard_enter(b);

    cpu->download_act(cpu, host, from, n);
    guard_leave(b);
}

static void linear_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const float *bias, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->linear_fwd(cpu, rows, in, out, x, w, bias, y);
    guard_leave(b);
}

static void linear_bwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const void *dy, void *dx, bool add_dx, float *dw,
                       float *dbias)
{
    struct backend *cpu = guard_enter(b);

    cpu->linear_bwd(cpu, rows, in, out, x, w, dy, dx, add_dx, dw, dbias);
    guard_leave(b);
}

static void linear_gelu_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                            const float *w, const float *bias, void *y, void *pre)
{
    struct backend *cpu = guard_enter(b);

    cpu->linear_gelu_fwd(cpu, rows, in, out, x, w, bias, y, pre);
    guard_leave(b);
}

static void linear_low_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                           const struct low_weight *w, const float *bias, bool gelu, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->linear_low_fwd(cpu, rows, in, out, x, w, bias, gelu, y);
    guard_leave(b);
}

static void attention_fwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, void *o, float *lse, float *probabilities)
{
    struct backend *cpu = guard_enter(b);

    cpu->attention_fwd(cpu, a, q, k, v, o, lse, probabilities);
    guard_leave(b);
}

static void attention_bwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, const void *o, const float *lse,
                          const void *dout, void *dq, bool add_dq, void *dk, void *dv, bool add_dkv,
                          float *dbias)
{
    struct backend *cpu = guard_enter(b);

    cpu->attention_bwd(cpu, a, q, k, v, o, lse, dout, dq, add_dq, dk, dv, add_dkv, dbias);
    guard_leave(b);
}

static void bias_gather_fwd(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *table, float *bias)
{
    struct backend *cpu = guard_enter(b);

    cpu->bias_gather_fwd(cpu, heads, n, index, table, bias);
    guard_leave(b);
}

static void bias_gather_bwd(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *dbias, float *dtable)
{
    struct backend *cpu = guard_enter(b);

    cpu->bias_gather_bwd(cpu, heads, n, index, dbias, dtable);
    guard_leave(b);
}

static void layer_norm_fwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *beta, float epsilon, void *y,
                           float *stats)
{
    struct backend *cpu = guard_enter(b);

    cpu->layer_norm_fwd(cpu, rows, c, x, gamma, beta, epsilon, y, stats);
    guard_leave(b);
}

static void layer_norm_again(struct backend *b, int64_t rows, int64_t c, const void *x,
                             const float *gamma, const float *beta, const float *stats, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->layer_norm_again(cpu, rows, c, x, gamma, beta, stats, y);
    guard_leave(b);
}

static void layer_norm_bwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *stats, const void *dy, void *dx,
                           float *dgamma, float *dbeta)
{
    struct backend *cpu = guard_enter(b);

    cpu->layer_norm_bwd(cpu, rows, c, x, gamma, stats, dy, dx, dgamma, dbeta);
    guard_leave(b);
}

static void gelu_fwd(struct backend *b, int64_t n, const void *x, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->gelu_fwd(cpu, n, x, y);
    guard_leave(b);
}

static void gelu_bwd(struct backend *b, int64_t n, const void *x, const void *dy, void *dx,
                     bool add, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->gelu_bwd(cpu, n, x, dy, dx, add, y);
    guard_leave(b);
}

static void axpby(struct backend *b, int64_t n, float alpha, const void *x, float beta,
                  const void *z, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->axpby(cpu, n, alpha, x, beta, z, y);
    guard_leave(b);
}

static void add_rows_fwd(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *x, const float *table, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->add_rows_fwd(cpu, rows, c, period, repeat, x, table, y);
    guard_leave(b);
}

static void add_rows_bwd(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *dy, float *dtable)
{
    struct backend *cpu = guard_enter(b);

    cpu->add_rows_bwd(cpu, rows, c, period, repeat, dy, dtable);
    guard_leave(b);
}

static void dropout(struct backend *b, int64_t n, int64_t group, float p, uint64_t seed,
                    uint64_t stream, const void *x, void *y, bool accumulate)
{
    struct backend *cpu = guard_enter(b);

    cpu->dropout(cpu, n, group, p, seed, stream, x, y, accumulate);
    guard_leave(b);
}

static void gather_rows_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *x, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->gather_rows_fwd(cpu, rows, c, index, x_rows, x, y);
    guard_leave(b);
}

static void gather_rows_bwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *dy, void *dx)
{
    struct backend *cpu = guard_enter(b);

    cpu->gather_rows_bwd(cpu, rows, c, index, x_rows, dy, dx);
    guard_leave(b);
}

static void embed_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const float *table, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->embed_fwd(cpu, rows, c, index, table_rows, table, y);
    guard_leave(b);
}

static void embed_low_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                          int64_t table_rows, const struct low_weight *table, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->embed_low_fwd(cpu, rows, c, index, table_rows, table, y);
    guard_leave(b);
}

static void embed_bwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const void *dy, float *dtable)
{
    struct backend *cpu = guard_enter(b);

    cpu->embed_bwd(cpu, rows, c, index, table_rows, dy, dtable);
    guard_leave(b);
}

static void copy_strided(struct backend *b, const struct strided *s, const void *from, void *to,
                         bool accumulate)
{
    struct backend *cpu = guard_enter(b);

    cpu->copy_strided(cpu, s, from, to, accumulate);
    guard_leave(b);
}

static void broadcast_fwd(struct backend *b, int64_t times, int64_t n, const float *table, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->broadcast_fwd(cpu, times, n, table, y);
    guard_leave(b);
}

static void broadcast_bwd(struct backend *b, int64_t times, int64_t n, const void *dy,
                          float *dtable)
{
    struct backend *cpu = guard_enter(b);

    cpu->broadcast_bwd(cpu, times, n, dy, dtable);
    guard_leave(b);
}

static void transpose(struct backend *b, int64_t batch, int64_t rows, int64_t cols, const void *x,
                      void *y, bool accumulate)
{
    struct backend *cpu = guard_enter(b);

    cpu->transpose(cpu, batch, rows, cols, x, y, accumulate);
    guard_leave(b);
}

static void unfold_fwd(struct backend *b, const struct unfold *u, const void *x, void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->unfold_fwd(cpu, u, x, y);
    guard_leave(b);
}

static void unfold_bwd(struct backend *b, const struct unfold *u, const void *dy, void *dx)
{
    struct backend *cpu = guard_enter(b);

    cpu->unfold_bwd(cpu, u, dy, dx);
    guard_leave(b);
}

static void mean_rows_fwd(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *x,
                          void *y)
{
    struct backend *cpu = guard_enter(b);

    cpu->mean_rows_fwd(cpu, batch, n, c, x, y);
    guard_leave(b);
}

static void mean_rows_bwd(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *dy,
                          void *dx)
{
    struct backend *cpu = guard_enter(b);

    cpu->mean_rows_bwd(cpu, batch, n, c, dy, dx);
    guard_leave(b);
}

static void cross_entropy_fwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              float *loss, float *lse)
{
    struct backend *cpu = guard_enter(b);

    cpu->cross_entropy_fwd(cpu, rows, v, logits, target, weight, smoothing, loss, lse);
    guard_leave(b);
}

static void cross_entropy_bwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              const float *lse, const float *dloss, void *dlogits)
{
    struct backend *cpu = guard_enter(b);

    cpu->cross_entropy_bwd(cpu, rows, v, logits, target, weight, smoothing, lse, dloss, dlogits);
    guard_leave(b);
}

static double sum_squares(struct backend *b, int64_t n, const float *x)
{
    struct backend *cpu = guard_enter(b);
    double result = cpu->sum_squares(cpu, n, x);

    guard_leave(b);
    return result;
}

static void adamw_step(struct backend *b, const struct adamw *a, int64_t n, float *value,
                       const float *gradient, float *moment1, float *moment2)
{
    struct backend *cpu = guard_enter(b);

    cpu->adamw_step(cpu, a, n, value, gradient, moment1, moment2);
    guard_leave(b);
}

enum earshot_status backend_guard_open(struct backend **backend, struct earshot_error *error)
{
    static const struct backend table = {
        .name = "guard",
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
        .close = guard_close,
    };
    struct guard_state *state = calloc(1, sizeof *state);
    struct backend *b = calloc(1, sizeof *b);
    enum earshot_status status;

    *backend = NULL;
    if (!state || !b) {
        free(state);
        free(b);
        return error_memory(error, sizeof *b);
    }
    status = backend_cpu_open(0, &state->cpu, error);
    if (status != EARSHOT_OK) {
        free(state);
        free(b);
        return status;
    }
    state->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    *b = table;
    b->state = state;
    *backend = b;
    return EARSHOT_OK;
}
