/*
 * product.h: what the files that make up linear layers ask of each other.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_PRODUCT_H
#define EARSHOT_BACKEND_CPU_KERNELS_PRODUCT_H

#include "backend/cpu/cpu.h"

#define product_widened SIMD(product_widened)

/* linear_low_fwd by packing panels of w as f32 for the f32 tile. */
void product_widened(struct backend *b, int64_t rows, int64_t in, int64_t out, const float *x,
                     const struct low_weight *w, const float *bias, bool gelu, float *y);

#endif
