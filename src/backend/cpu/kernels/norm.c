/*
 * norm.c: layer normalisation over the last axis (Ba et al. 2016), forward and backward.
 *
 *   xhat = (x - mean) rstd;  dx = rstd (g - mean(g) - xhat mean(g xhat)),  g = dy gamma.
 * The variance is that of the differences from the mean (two passes), as the mean may be large.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/vec.h"

#include <omp.h>

static void row_scale(int64_t c, const float *x, const float *gamma, const float *beta, float mean,
                      float rstd, float *y)
{
    for (int64_t i = 0; i < c; i += VW) {
        int64_t n = c - i;
        vec hat = (v_load_first(x + i, n) - v_set(mean)) * v_set(rstd);

        v_store_first(y + i, n, v_fma(hat, v_load_first(gamma + i, n), v_load_first(beta + i, n)));
    }
}

static void row_fwd(int64_t c, const float *x, const float *gamma, const float *beta, float epsilon,
                    float *y, float *stats)
{
    vec sum = v_set(0), rest = v_set(0), squares = v_set(0);
    int64_t whole = c / VW * VW;
    float mean, off, rstd;

    for (int64_t i = 0; i < c; i += VW)
        sum = sum + v_load_first(x + i, c - i);
    mean = v_sum(sum) / (float)c;
    for (int64_t i = 0; i < whole; i += VW) {
        vec d = v_load(x + i) - v_set(mean);

        rest = rest + d;
        squares = v_fma(d, d, squares);
    }
    for (int64_t i = whole; i < c; i++) {
        vec d = {x[i] - mean};

        rest = rest + d;
        squares = v_fma(d, d, squares);
    }
    /* What the differences sum to is the rounding of the mean. */
    off = v_sum(rest) / (float)c;
    rstd = 1 / sqrtf(v_sum(squares) / (float)c - off * off + epsilon);
    mean += off;
    row_scale(c, x, gamma, beta, mean, rstd, y);
    if (stats) {
        stats[0] = mean;
        stats[1] = rstd;
    }
}

static void layer_norm_fwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *beta, float epsilon, void *y,
                           float *stats)
{
    const float *xf = x;
    float *yf = y;
    int team = cpu_team(b, (double)rows * (double)c);

    if (c <= 0)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        row_fwd(c, xf + r * c, gamma, beta, epsilon, yf + r * c, stats ? stats + 2 * r : NULL);
}

static void layer_norm_again(struct backend *b, int64_t rows, int64_t c, const void *x,
                             const float *gamma, const float *beta, const float *stats, void *y)
{
    const float *xf = x;
    float *yf = y;
    int team = cpu_team(b, (double)rows * (double)c);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        row_scale(c, xf + r * c, gamma, beta, stats[2 * r], stats[2 * r + 1], yf + r * c);
}

static void row_bwd(int64_t c, const float *x, const float *gamma, float mean, float rstd,
                    const float *dy, float *dx)
{
    vec g_sum = v_set(0), gx_sum = v_set(0);
    float g_mean, gx_mean;

    for (int64_t i = 0; i < c; i += VW) {
        int64_t n = c - i;
        vec g = v_load_first(dy + i, n) * v_load_first(gamma + i, n);

        g_sum = g_sum + g;
        gx_sum = v_fma(g, v_load_first(x + i, n) - v_set(mean), gx_sum);
    }
    g_mean = v_sum(g_sum) / (float)c;
    gx_mean = v_sum(gx_sum) * rstd * rstd / (float)c;
    for (int64_t i = 0; i < c; i += VW) {
        int64_t n = c - i;
        vec g = v_load_first(dy + i, n) * v_load_first(gamma + i, n) - v_set(g_mean);
        vec d = v_load_first(x + i, n) - v_set(mean);

        g = g - d * v_set(gx_mean);
        v_store_first(dx + i, n, v_fma(g, v_set(rstd), v_load_first(dx + i, n)));
    }
}

/* Rows [from, to): dx, and the sums of this thread for dgamma and dbeta. */
static void rows_bwd(int64_t from, int64_t to, int64_t c, const float *x, const float *gamma,
                     const float *stats, const float *dy, float *dx, float *gamma_sum,
                     float *beta_sum)
{
    for (int64_t i = 0; i < c; i++)
        gamma_sum[i] = beta_sum[i] = 0;
    for (int64_t r = from; r < to; r++) {
        const float *in = x + r * c, *out = dy + r * c;
        float mean = stats[2 * r], rstd = stats[2 * r + 1];

        for (int64_t i = 0; i < c; i += VW) {
            int64_t n = c - i;
            vec g = v_load_first(out + i, n);
            vec hat = (v_load_first(in + i, n) - v_set(mean)) * v_set(rstd);

            v_store_first(gamma_sum + i, n, v_fma(g, hat, v_load_first(gamma_sum + i, n)));
            v_store_first(beta_sum + i, n, g + v_load_first(beta_sum + i, n));
        }
        if (dx)
            row_bwd(c, in, gamma, mean, rstd, out, dx + r * c);
    }
}

static void layer_norm_bwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *stats, const void *dy, void *dx,
                           float *dgamma, float *dbeta)
{
    int team = cpu_team(b, 8.0 * (double)rows * (double)c), started = 1;

    if (c <= 0 || rows <= 0)
        return;
#pragma omp parallel num_threads(team) if (team > 1)
    {
        int t = omp_get_thread_num(), n = omp_get_num_threads();
        float *sums = cpu_thread_scratch(b, t);

        if (t == 0)
            started = n;
        rows_bwd(rows * t / n, rows * (t + 1) / n, c, x, gamma, stats, dy, dx, sums, sums + c);
    }
    for (int t = 0; t < started; t++) {
        const float *sums = cpu_thread_scratch(b, t);

        for (int64_t i = 0; dgamma && i < c; i++)
            dgamma[i] += sums[i];
        for (int64_t i = 0; dbeta && i < c; i++)
            dbeta[i] += sums[c + i];
    }
}

void SIMD(install_norm)(struct backend *b)
{
    b->layer_norm_fwd = layer_norm_fwd;
    b->layer_norm_again = layer_norm_again;
    b->layer_norm_bwd = layer_norm_bwd;
}
