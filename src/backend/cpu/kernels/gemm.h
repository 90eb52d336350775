/*
 * gemm.h: the register tile that products and attention are made of.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_GEMM_H
#define EARSHOT_BACKEND_CPU_KERNELS_GEMM_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/vec.h"

/* Rows and columns of the largest tile: as many sums as there are registers for. */
#if VW == 16
#define TILE_ROWS 14
#else
#define TILE_ROWS 6
#endif
#define TILE_COLUMNS (2 * VW)

/* Every instruction set has its own. */
#define gemm_tile SIMD(gemm_tile)
#define gemm_tile_ahead SIMD(gemm_tile_ahead)
#define gemm_tile_at SIMD(gemm_tile_at)
#define gemm_pack SIMD(gemm_pack)
#define gemm_pack_transposed SIMD(gemm_pack_transposed)
#define gemm_pack_low SIMD(gemm_pack_low)

/*
 * c[i, j] = (add ? c[i, j] : init ? init[j] : 0) + sum_p a[i, p] b[p, j]   i < rows, j < columns
 * rows <= TILE_ROWS; columns <= TILE_COLUMNS.  a[i, p] is a[i * a_row + p]; b is packed: k rows of
 * TILE_COLUMNS, and so is init.  Sums are taken in the order of p, whatever rows is.
 */
void gemm_tile(int rows, int64_t columns, int64_t k, const float *a, int64_t a_row, const float *b,
               const float *init, bool add, float *c, int64_t c_row);

/* What a tile brings into the second-level cache meanwhile, for a later one: from, from + step, ...
 * (floats), one line for every two of k. */
struct gemm_ahead {
    const float *from;
    int64_t step;
};

/* As gemm_tile. */
void gemm_tile_ahead(int rows, int64_t columns, int64_t k, const float *a, int64_t a_row,
                     const float *b, const float *init, bool add, float *c, int64_t c_row,
                     struct gemm_ahead ahead);

/* The same with a[i, p] at a[p * a_k + i]. */
void gemm_tile_at(int rows, int64_t columns, int64_t k, const float *a, int64_t a_k, const float *b,
                  const float *init, bool add, float *c, int64_t c_row);

/* to[p, j] = factor * from[p * stride + j], 0 for columns <= j < TILE_COLUMNS; k rows. */
void gemm_pack(int64_t k, int64_t columns, const float *from, int64_t stride, float factor,
               float *to);

/* to[p, j] = factor * from[j * stride + p], 0 for columns <= j < TILE_COLUMNS; k rows. */
void gemm_pack_transposed(int64_t k, int64_t columns, const float *from, int64_t stride,
                          float factor, float *to);

/* The same of w[., stride] from row `column` and element `first` of each on, as f32, scale
 * included. */
void gemm_pack_low(int64_t k, int64_t columns, const struct low_weight *w, int64_t column,
                   int64_t first, int64_t stride, float *to);

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t round_up(int64_t n, int64_t to)
{
    return ceil_div(n, to) * to;
}

#endif
