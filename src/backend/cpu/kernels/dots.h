/*
 * dots.h: linear layers of few rows (a decoder's tokens), weights of every type.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_DOTS_H
#define EARSHOT_BACKEND_CPU_KERNELS_DOTS_H

#include "backend/cpu/cpu.h"

#define dots_run SIMD(dots_run)

/* y[rows, out] = x[rows, in] w[out, in]^T + bias; bias may be NULL. */
struct dots {
    int64_t rows, in, out;
    const float *x, *bias;
    enum weight_type type;
    const void *w;
    const float *scale; /* [out] of WEIGHT_I8 */
    float *y;
};

void dots_run(struct backend *b, const struct dots *p);

#endif
