/*
 * loss.c: token cross-entropy with label smoothing (Szegedy et al. 2016), from logits.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/vec_math.h"

/* The first n lanes of x, `other` in the rest. */
static vec load_or(const float *p, int64_t n, vec other)
{
    float lanes[VW];

    if (n >= VW)
        return v_load(p);
    v_store(lanes, other);
    for (int64_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return v_load(lanes);
}

static float row_top(int64_t v, const float *row)
{
    vec top = v_set(-INFINITY);

    for (int64_t i = 0; i < v; i += VW)
        top = v_max(top, load_or(row + i, v - i, top));
    return v_top(top);
}

/* log sum exp(row - top), and the sum of row - top. */
static float row_log_sum(int64_t v, const float *row, float top, float *total)
{
    vec sum = v_set(0), differences = v_set(0);

    for (int64_t i = 0; i < v; i += VW) {
        vec x = load_or(row + i, v - i, v_set(-INFINITY)) - v_set(top);

        sum = sum + v_exp(x);
        differences = differences + load_or(row + i, v - i, v_set(top)) - v_set(top);
    }
    *total = v_sum(differences);
    return logf(v_sum(sum));
}

static void cross_entropy_fwd(struct backend *b, int64_t rows, int64_t v, const void *logits,
                              const int32_t *target, const float *weight, float smoothing,
                              float *loss, float *lse)
{
    const float *lf = logits;
    int team = cpu_team(b, 2.0 * (double)rows * (double)v);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *row = lf + r * v;
        float top = row_top(v, row), total, log_sum = row_log_sum(v, row, top, &total);

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
    int team = cpu_team(b, 2.0 * (double)rows * (double)v);

    if (!dlogits)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float scale = dloss[r] * (weight ? weight[r] : 1), even = smoothing / (float)v;
        const float *row = lf + r * v;
        float *to = df + r * v;

        if (target[r] < 0)
            continue;
        for (int64_t i = 0; i < v; i += VW) {
            int64_t n = v - i;
            vec p = v_exp(v_load_first(row + i, n) - v_set(lse[r])) - v_set(even);

            v_store_first(to + i, n, v_fma(v_set(scale), p, v_load_first(to + i, n)));
        }
        to[target[r]] -= scale * (1 - smoothing);
    }
}

void SIMD(install_loss)(struct backend *b)
{
    b->cross_entropy_fwd = cross_entropy_fwd;
    b->cross_entropy_bwd = cross_entropy_bwd;
}
