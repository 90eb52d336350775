/*
 * product.c: linear layers, forward and backward.
 */
#include "backend/cpu/cpu.h"

#include <math.h>

static void bias_rows(struct backend *b, int64_t rows, int64_t out, const float *bias, float *y)
{
    int team = cpu_team(b, (double)rows * (double)out);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < out; c++)
            y[r * out + c] += bias[c];
}

static void linear_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const float *bias, void *y)
{
    if (rows <= 0 || out <= 0)
        return;
    if (in > 0)
        cpu_sgemm(b, false, true, rows, out, in, x, in, w, in, 0, y, out);
    else
        b->mem_zero(b, y, (size_t)(rows * out) * sizeof(float));
    if (bias)
        bias_rows(b, rows, out, bias, y);
}

static void linear_bwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const void *dy, void *dx, float *dw, float *dbias)
{
    if (rows <= 0 || out <= 0)
        return;
    if (dx && in > 0)
        cpu_sgemm(b, false, false, rows, in, out, dy, out, w, in, 1, dx, in);
    if (dw && in > 0)
        cpu_sgemm(b, true, false, out, in, rows, dy, out, x, in, 1, dw, in);
    if (dbias)
        b->broadcast_bwd(b, rows, out, dy, dbias);
}

static void linear_gelu_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                            const float *w, const float *bias, void *y, void *pre)
{
    void *to = pre ? pre : y;

    b->linear_fwd(b, rows, in, out, x, w, bias, to);
    b->gelu_fwd(b, rows * out, to, y);
}

void SIMD(install_product)(struct backend *b)
{
    b->linear_fwd = linear_fwd;
    b->linear_bwd = linear_bwd;
    b->linear_gelu_fwd = linear_gelu_fwd;
}
