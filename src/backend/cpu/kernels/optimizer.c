/*
 * optimizer.c: the norm of a block and one AdamW step (Loshchilov & Hutter 2019).
 */
#include "backend/cpu/cpu.h"

#include <math.h>

/* The block is cut into a number of pieces that does not depend on the threads. */
#define PIECES 512
#define LANES 8

static double piece_squares(const float *x, int64_t n)
{
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)x[i + l] * (double)x[i + l];
    for (; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

static double sum_squares(struct backend *b, int64_t n, const float *x)
{
    double piece[PIECES], sum = 0;
    int64_t length = (n + PIECES - 1) / PIECES;
    int team = cpu_team(b, (double)n);

    if (length < 1024)
        length = 1024;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int i = 0; i < PIECES; i++) {
        int64_t from = i * length, left = n - from;

        piece[i] = left > 0 ? piece_squares(x + from, left < length ? left : length) : 0;
    }
    for (int i = 0; i < PIECES; i++)
        sum += piece[i];
    return sum;
}

static void adamw_step(struct backend *b, const struct adamw *a, int64_t n, float *value,
                       const float *gradient, float *moment1, float *moment2)
{
    const float decay = 1 - a->learning_rate * a->weight_decay, step = a->learning_rate / a->bias1;
    const float root2 = sqrtf(a->bias2), one1 = 1 - a->beta1, one2 = 1 - a->beta2;
    const float beta2 = a->beta2, epsilon = a->epsilon, scale = a->gradient_scale;
    int team = cpu_team(b, 4.0 * (double)n);

#pragma omp parallel for simd num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i] * scale;
        float m = moment1[i] + one1 * (g - moment1[i]);
        float v = beta2 * moment2[i] + one2 * g * g;

        moment1[i] = m;
        moment2[i] = v;
        value[i] = value[i] * decay - step * (m / (sqrtf(v) / root2 + epsilon));
    }
}

void SIMD(install_optimizer)(struct backend *b)
{
    b->sum_squares = sum_squares;
    b->adamw_step = adamw_step;
}
