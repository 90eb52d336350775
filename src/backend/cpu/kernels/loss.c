/*
 * loss.c: token cross-entropy with label smoothing (Szegedy et al. 2016), from logits.
 */
#include "backend/cpu/cpu.h"

#include <math.h>

static void cross_entropy_fwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              float *loss, float *lse)
{
    const float *lf = logits;
    int team = cpu_team(b, 16.0 * (double)rows * (double)v);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *row = lf + r * v;
        float top = -INFINITY, sum = 0, total = 0, log_sum;

        for (int64_t i = 0; i < v; i++)
            top = row[i] > top ? row[i] : top;
        for (int64_t i = 0; i < v; i++) {
            sum += expf(row[i] - top);
            total += row[i] - top;
        }
        log_sum = logf(sum);
        lse[r] = top + log_sum;
        loss[r] = 0;
        if (target[r] >= 0)
            loss[r] =
                (weight ? weight[r] : 1) * ((1 - smoothing) * (log_sum - (row[target[r]] - top)) +
                                            smoothing * (log_sum - total / (float)v));
    }
}

static void cross_entropy_bwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              const float *lse, const float *dloss, void *dlogits)
{
    const float *lf = logits;
    float *df = dlogits;
    int team = cpu_team(b, 16.0 * (double)rows * (double)v);

    if (!dlogits)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float scale = dloss[r] * (weight ? weight[r] : 1), even = smoothing / (float)v;

        if (target[r] < 0)
            continue;
        for (int64_t i = 0; i < v; i++)
            df[r * v + i] += scale * (expf(lf[r * v + i] - lse[r]) - even);
        df[r * v + target[r]] -= scale * (1 - smoothing);
    }
}

void SIMD(install_loss)(struct backend *b)
{
    b->cross_entropy_fwd = cross_entropy_fwd;
    b->cross_entropy_bwd = cross_entropy_bwd;
}
