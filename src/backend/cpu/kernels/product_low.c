/*
 * product_low.c: linear layers and embeddings whose weights are bf16 or bytes with a scale for each
 * output.
 *
 * Three ways, by what limits them:
 *  - few rows (a decoder's tokens) wait for memory: w is walked as it lies (dots.h);
 *  - many rows, on a processor with products of that type: x is rounded a block of rows at a time
 *    and multiplied by oneDNN (low_matmul.c), bias and GELU follow while y is in the cache;
 *  - many rows elsewhere: panels of w are widened when they are packed, then the f32 tile runs, so
 *    that nothing is slower, or less exact, than with those weights in f32.
 *
 * Rounding x: bf16 to nearest, ties to even; bytes by row, symmetric: a step is max |x| / 127 (as
 * "dynamic quantisation" elsewhere).  Sums of byte products are exact, so of the three ways only
 * the second adds an error of its own, about 2^-9 of |x| for bf16 and 2^-8 of a row's max |x| for
 * bytes.
 */
#include <float.h>
#include <omp.h>

#include "backend/cpu/kernels/dots.h"
#include "backend/cpu/kernels/gemm.h"
#include "backend/cpu/kernels/product.h"
#include "backend/cpu/kernels/vec_low.h"
#include "backend/cpu/kernels/vec_math.h"
#include "backend/cpu/low_matmul.h"
#include "base/bfloat.h"

/* Fewer rows than this are not worth rounding x for (oneDNN packs w on each call) ... */
#define MATMUL_ROWS 10
/* ... nor packing w as f32 for. */
#define PACK_ROWS 64
/* x, rounded, and y of one block of rows: a quarter of a second-level cache. */
#define BLOCK_BYTES 524288
/* But so many rows at least that reading w once more for each block costs little. */
#define BLOCK_ROWS 256

struct low_product {
    int64_t rows, in, out;
    const float *x, *bias;
    const struct low_weight *w;
    bool gelu;
    float *y;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- few rows ---------------------------------------------------------------------------------
 */

static void run_dots(struct backend *b, const struct low_product *p)
{
    const struct dots dots = {p->rows,    p->in,      p->out,      p->x, p->bias,
                              p->w->type, p->w->data, p->w->scale, p->y};

    dots_run(b, &dots);
    if (p->gelu)
        v_gelu_run(p->rows * p->out, p->y, p->y);
}

/* ---- many rows on a processor with such products ----------------------------------------------
 */

/* One row; returns the step, NaN for a row with an element that is not finite. */
static float round_bytes(int64_t n, const float *x, int8_t *to)
{
    vec largest = v_set(0), finite = v_set(0);
    float top, inverse;

    for (int64_t i = 0; i < n; i += VW) {
        vec part = v_load_first(x + i, n - i);

        largest = v_max(largest, v_max(part, v_set(0) - part));
        finite = v_fma(part, v_set(0), finite);
    }
    if (v_sum(finite) != 0) {
        memset(to, 0, (size_t)n);
        return NAN;
    }
    top = v_top(largest);
    inverse = top >= FLT_MIN ? 127 / top : 0;
    for (int64_t i = 0; i < n; i++)
        to[i] = (int8_t)(int)rintf(x[i] * inverse);
    return top / 127;
}

/* Integer sums become values in place: times the steps of x and of w. */
static void scale_row(const struct low_product *p, float step, float *y)
{
    for (int64_t i = 0; i < p->out; i++) {
        int32_t sum;

        memcpy(&sum, y + i, sizeof sum);
        y[i] = (float)sum * (step * p->w->scale[i]) + (p->bias ? p->bias[i] : 0);
    }
}

static void add_bias(const struct low_product *p, float *y)
{
    int64_t i = 0;

    for (; i < p->out; i += VW)
        v_store_first(y + i, p->out - i,
                      v_load_first(y + i, p->out - i) + v_load_first(p->bias + i, p->out - i));
}

/* What a block keeps in its thread's scratch, before oneDNN's own; whole cache lines. */
static int64_t step_bytes(int64_t rows)
{
    return ceil_div(rows, 16) * 64;
}

static int64_t x_bytes(const struct low_product *p, int64_t rows)
{
    return round_up(rows * p->in * (int64_t)weight_type_bytes(p->w->type), 64);
}

/* Rows [row, row + rows) of x, rounded, times w. */
static void run_block(const struct low_product *p, const struct low_matmul *matmul, int thread,
                      int64_t row, int64_t rows, unsigned char *scratch)
{
    float *y = p->y + row * p->out, *step = (float *)scratch; /* [rows] */
    unsigned char *x = scratch + step_bytes(rows), *work = x + x_bytes(p, rows);

    if (p->w->type == WEIGHT_BF16)
        for (int64_t i = 0; i < rows * p->in; i++)
            ((uint16_t *)x)[i] = bfloat_from(p->x[row * p->in + i]);
    else
        for (int64_t i = 0; i < rows; i++)
            step[i] = round_bytes(p->in, p->x + (row + i) * p->in, (int8_t *)x + i * p->in);
    low_matmul_run(matmul, thread, x, p->w->data, y, work);
    for (int64_t i = 0; i < rows; i++) {
        if (p->w->type == WEIGHT_I8)
            scale_row(p, step[i], y + i * p->out);
        else if (p->bias)
            add_bias(p, y + i * p->out);
        if (p->gelu)
            v_gelu_run(p->out, y + i * p->out, y + i * p->out);
    }
}

/* Rows of a block; the last may be shorter.  Depends on the shape only, so that the threads do not
 * change the bits. */
static int64_t block_rows(const struct low_product *p)
{
    int64_t rows = BLOCK_BYTES / (x_bytes(p, 1) + p->out * (int64_t)sizeof(float));

    if (rows < BLOCK_ROWS)
        rows = BLOCK_ROWS;
    return ceil_div(p->rows, ceil_div(p->rows, rows));
}

/* False: the processor or oneDNN has no such product, or a block of it needs too much room. */
static bool run_matmul(struct backend *b, const struct low_product *p)
{
    int64_t block = block_rows(p), blocks = ceil_div(p->rows, block);
    int64_t tail = p->rows - (blocks - 1) * block;
    int team = cpu_team(b, (double)p->rows * (double)p->out * (double)p->in / 8);
    const struct low_matmul *whole = low_matmul_get(b, p->w->type, block, p->in, p->out);
    const struct low_matmul *last =
        whole && tail != block ? low_matmul_get(b, p->w->type, tail, p->in, p->out) : whole;

    if (!last || (size_t)(step_bytes(block) + x_bytes(p, block)) + low_matmul_scratch_bytes(whole) >
                     CPU_SCRATCH_BYTES)
        return false;
    if (team > blocks)
        team = (int)blocks;
#pragma omp parallel num_threads(team) if (team > 1)
    {
        int thread = omp_get_thread_num();
        struct low_matmul_hold hold = low_matmul_begin(thread);

#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < blocks; i++)
            run_block(p, i == blocks - 1 ? last : whole, thread, i * block,
                      i == blocks - 1 ? tail : block, cpu_thread_scratch(b, thread));
        low_matmul_end(&hold, thread);
    }
    return true;
}

/* ---- slots ------------------------------------------------------------------------------------
 */

static void linear_low_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                           const struct low_weight *w, const float *bias, bool gelu, void *y)
{
    const struct low_product p = {rows, in, out, x, bias, w, gelu, y};

    if (rows <= 0 || out <= 0)
        return;
    if (rows >= MATMUL_ROWS && in > 0 && run_matmul(b, &p))
        return;
    if (rows < PACK_ROWS || in <= 0)
        run_dots(b, &p);
    else
        product_widened(b, rows, in, out, x, w, bias, gelu, y);
}

static void embed_low_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                          int64_t table_rows, const struct low_weight *table, void *y)
{
    float *to = y;

    (void)b;
    (void)table_rows;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i += VW) {
            int64_t n = smaller(c - i, VW), at = (int64_t)index[r] * c + i;
            vec part = v_set(0);

            if (index[r] >= 0)
                part = v_load_first_weight(table->type, table->data, at, n);
            if (index[r] >= 0 && table->type == WEIGHT_I8)
                part = part * v_set(table->scale[index[r]]);
            v_store_first(to + r * c + i, n, part);
        }
}

void SIMD(install_product_low)(struct backend *b)
{
    b->linear_low_fwd = linear_low_fwd;
    b->embed_low_fwd = embed_low_fwd;
}
