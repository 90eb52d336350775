/*
 * attention.h: what the forward and the backward attention kernels share.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_ATTENTION_H
#define EARSHOT_BACKEND_CPU_KERNELS_ATTENTION_H

#include "backend/backend.h"

#include <math.h>

/* s[nk] = the scores of query i, -INFINITY where it may not look; returns the largest. */
static inline float attention_scores(const struct attention *a, int64_t batch, int64_t head,
                                     int64_t i, const float *q, const float *k, float *s)
{
    const uint8_t *mask = a->key_mask ? a->key_mask + batch * a->nk : NULL;
    const float *bias = a->bias ? a->bias + (head * a->nq + i) * a->nk : NULL;
    const int32_t *region = a->region ? a->region + batch % a->regions * a->nq : NULL;
    int64_t last = a->causal ? i + a->nk - a->nq : a->nk - 1;
    float top = -INFINITY;

    for (int64_t j = 0; j < a->nk; j++) {
        const float *row = k + j * a->k_stride;
        float dot = 0;

        s[j] = -INFINITY;
        if (j > last || (mask && !mask[j]) || (region && region[i] != region[j]))
            continue;
#pragma omp simd reduction(+ : dot)
        for (int64_t c = 0; c < a->head_dim; c++)
            dot += q[c] * row[c];
        s[j] = a->scale * dot + (bias ? bias[j] : 0);
        if (s[j] > top)
            top = s[j];
    }
    return top;
}

#endif
