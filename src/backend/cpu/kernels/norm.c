/*
 * norm.c: layer normalisation over the last axis (Ba et al. 2016), forward and backward.
 *
 *   xhat = (x - mean) rstd;  dx = rstd (g - mean(g) - xhat mean(g xhat)),  g = dy gamma.
 * The variance is that of the differences from the mean (two passes), as the mean may be large.
 */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <omp.h>

static void layer_norm_fwd(struct backend *b, int64_t rows, int64_t c, const void *x,
                           const float *gamma, const float *beta, float epsilon, void *y,
                           float *stats)
{
    const float *xf = x;
    float *yf = y;
    int team = cpu_team(b, 4.0 * (double)rows * (double)c);

    if (c <= 0)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *in = xf + r * c;
        float *out = yf + r * c;
        float sum = 0, squares = 0, mean, rstd;

#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < c; i++)
            sum += in[i];
        mean = sum / (float)c;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < c; i++)
            squares += (in[i] - mean) * (in[i] - mean);
        rstd = 1 / sqrtf(squares / (float)c + epsilon);
        for (int64_t i = 0; i < c; i++)
            out[i] = (in[i] - mean) * rstd * gamma[i] + beta[i];
        if (stats) {
            stats[2 * r] = mean;
            stats[2 * r + 1] = rstd;
        }
    }
}

static void row_bwd(int64_t c, const float *x, const float *gamma, float mean, float rstd,
                    const float *dy, float *dx)
{
    float g_sum = 0, gx_sum = 0;

#pragma omp simd reduction(+ : g_sum, gx_sum)
    for (int64_t i = 0; i < c; i++) {
        float g = dy[i] * gamma[i];

        g_sum += g;
        gx_sum += g * (x[i] - mean);
    }
    g_sum /= (float)c;
    gx_sum *= rstd * rstd / (float)c;
    for (int64_t i = 0; i < c; i++)
        dx[i] += rstd * (dy[i] * gamma[i] - g_sum - (x[i] - mean) * gx_sum);
}

/* Rows [from, to): dx, and the sums of this thread for dgamma and dbeta. */
static void rows_bwd(int64_t from, int64_t to, int64_t c, const float *x, const float *gamma,
                     const float *stats, const float *dy, float *dx, float *gamma_sum,
                     float *beta_sum)
{
    for (int64_t i = 0; i < c; i++)
        gamma_sum[i] = beta_sum[i] = 0;
    for (int64_t r = from; r < to; r++) {
        const float *in = x + r * c, *g = dy + r * c;
        float mean = stats[2 * r], rstd = stats[2 * r + 1];

        for (int64_t i = 0; i < c; i++) {
            gamma_sum[i] += g[i] * (in[i] - mean) * rstd;
            beta_sum[i] += g[i];
        }
        if (dx)
            row_bwd(c, in, gamma, mean, rstd, g, dx + r * c);
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
    b->layer_norm_bwd = layer_norm_bwd;
}
