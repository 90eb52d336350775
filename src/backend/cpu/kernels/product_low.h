/*
 * product_low.h: what products with f32 weights and those of lower precision ask of each other.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_PRODUCT_LOW_H
#define EARSHOT_BACKEND_CPU_KERNELS_PRODUCT_LOW_H

#include "backend/cpu/cpu.h"

#define low_pack_transposed SIMD(low_pack_transposed)
#define product_of_low SIMD(product_of_low)

/* As gemm_pack_transposed, of outputs [column, column + columns) and inputs [first, first + depth)
 * of w[., in], in f32 with the scale multiplied in. */
void low_pack_transposed(const struct low_weight *w, int64_t depth, int64_t column, int64_t columns,
                         int64_t first, int64_t in, float *to);

/* linear_low_fwd by packing panels of w as f32 for the f32 tile. */
void product_of_low(struct backend *b, int64_t rows, int64_t in, int64_t out, const float *x,
                    const struct low_weight *w, const float *bias, bool gelu, float *y);

#endif
