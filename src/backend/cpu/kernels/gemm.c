/*
 * gemm.c: the register tile, and packing for it.
 *
 * A tile keeps rows x 2 vectors of sums in registers; each step loads two vectors of packed b and
 * broadcasts one element of each row of a, which is read where it lies (Goto & van de Geijn 2008,
 * without the packing of a: its rows are long and few).  Meanwhile it asks for memory that a later
 * tile will need: the processor's own prefetching does not see that far, and without it a core
 * waits for a third of the time.
 */
#include "backend/cpu/kernels/gemm.h"

#include "backend/cpu/kernels/vec_low.h"

INLINE void tile_start(const int rows, int64_t columns, const float *init, bool add, const float *c,
                       int64_t c_row, vec sum[][2])
{
    int64_t left = columns < VW ? columns : VW;
    vec from[2];

    if (add) {
        UNROLL for (int i = 0; i < rows; i++)
        {
            sum[i][0] = v_load_first(c + i * c_row, left);
            sum[i][1] = columns > VW ? v_load_first(c + i * c_row + VW, columns - VW) : v_set(0);
        }
        return;
    }
    from[0] = init ? v_load(init) : v_set(0);
    from[1] = init ? v_load(init + VW) : v_set(0);
    UNROLL for (int i = 0; i < rows; i++)
    {
        sum[i][0] = from[0];
        sum[i][1] = from[1];
    }
}

INLINE void tile_finish(const int rows, int64_t columns, vec sum[][2], float *c, int64_t c_row)
{
    int64_t left = columns < VW ? columns : VW;

    if (columns == TILE_COLUMNS) {
        UNROLL for (int i = 0; i < rows; i++)
        {
            v_store(c + i * c_row, sum[i][0]);
            v_store(c + i * c_row + VW, sum[i][1]);
        }
        return;
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        v_store_first(c + i * c_row, left, sum[i][0]);
        if (columns > VW)
            v_store_first(c + i * c_row + VW, columns - VW, sum[i][1]);
    }
}

/* Rows are reached from every third one, so that few registers hold addresses. */
INLINE void tile_step(const int rows, const int wide, const float *const *third, int64_t a_row,
                      const float *b, int64_t p, vec sum[][2])
{
    vec left = v_load(b), right = wide ? v_load(b + VW) : v_set(0);

    UNROLL for (int i = 0; i < rows; i++)
    {
        vec x = v_set(third[i / 3][i % 3 * a_row + p]);

        sum[i][0] = v_fma(x, left, sum[i][0]);
        if (wide)
            sum[i][1] = v_fma(x, right, sum[i][1]);
    }
}

INLINE void tile(const int rows, const int wide, int64_t columns, int64_t k, const float *a,
                 int64_t a_row, const float *b, const float *init, bool add, float *c,
                 int64_t c_row, struct gemm_ahead ahead)
{
    vec sum[TILE_ROWS][2];
    const float *third[(TILE_ROWS + 2) / 3];
    int64_t p = 0;

    UNROLL for (int i = 0; i < (rows + 2) / 3; i++) third[i] = a + 3 * i * a_row;
    tile_start(rows, columns, init, add, c, c_row, sum);
    for (; p + 2 <= k; p += 2, b += 2 * TILE_COLUMNS) {
        __builtin_prefetch(ahead.from, 0, 2);
        ahead.from += ahead.step;
        tile_step(rows, wide, third, a_row, b, p, sum);
        tile_step(rows, wide, third, a_row, b + TILE_COLUMNS, p + 1, sum);
    }
    if (p < k)
        tile_step(rows, wide, third, a_row, b, p, sum);
    tile_finish(rows, columns, sum, c, c_row);
}

INLINE void tile_at(const int rows, const int wide, int64_t columns, int64_t k, const float *a,
                    int64_t a_k, const float *b, const float *init, bool add, float *c,
                    int64_t c_row, struct gemm_ahead ahead)
{
    vec sum[TILE_ROWS][2];

    (void)ahead;
    tile_start(rows, columns, init, add, c, c_row, sum);
    for (int64_t p = 0; p < k; p++, b += TILE_COLUMNS, a += a_k) {
        vec left = v_load(b), right = wide ? v_load(b + VW) : v_set(0);

        UNROLL for (int i = 0; i < rows; i++)
        {
            vec x = v_set(a[i]);

            sum[i][0] = v_fma(x, left, sum[i][0]);
            if (wide)
                sum[i][1] = v_fma(x, right, sum[i][1]);
        }
    }
    tile_finish(rows, columns, sum, c, c_row);
}

#define ROWS_CASE(function, n)                                                                     \
    case n:                                                                                        \
        function(n, WIDE, columns, k, a, a_step, b, init, add, c, c_row, ahead);                   \
        break

#if TILE_ROWS == 14
#define ROWS_MORE(function)                                                                        \
    ROWS_CASE(function, 7);                                                                        \
    ROWS_CASE(function, 8);                                                                        \
    ROWS_CASE(function, 9);                                                                        \
    ROWS_CASE(function, 10);                                                                       \
    ROWS_CASE(function, 11);                                                                       \
    ROWS_CASE(function, 12);                                                                       \
    ROWS_CASE(function, 13);                                                                       \
    ROWS_CASE(function, 14)
#else
#define ROWS_MORE(function)
#endif

#define ROWS_ALL(function)                                                                         \
    switch (rows) {                                                                                \
        ROWS_CASE(function, 1);                                                                    \
        ROWS_CASE(function, 2);                                                                    \
        ROWS_CASE(function, 3);                                                                    \
        ROWS_CASE(function, 4);                                                                    \
        ROWS_CASE(function, 5);                                                                    \
        ROWS_CASE(function, 6);                                                                    \
        ROWS_MORE(function);                                                                       \
    }

/* One compiled tile per number of rows, and one and two vectors wide. */
#define DEFINE_TILE(linkage, name, function)                                                       \
    linkage void name(int rows, int64_t columns, int64_t k, const float *a, int64_t a_step,        \
                      const float *b, const float *init, bool add, float *c, int64_t c_row,        \
                      struct gemm_ahead ahead)                                                     \
    {                                                                                              \
        if (columns > VW) {                                                                        \
            enum { WIDE = 1 };                                                                     \
            ROWS_ALL(function)                                                                     \
        } else {                                                                                   \
            enum { WIDE = 0 };                                                                     \
            ROWS_ALL(function)                                                                     \
        }                                                                                          \
    }

DEFINE_TILE(, gemm_tile_ahead, tile)
DEFINE_TILE(static, any_tile_at, tile_at)

void gemm_tile(int rows, int64_t columns, int64_t k, const float *a, int64_t a_row, const float *b,
               const float *init, bool add, float *c, int64_t c_row)
{
    gemm_tile_ahead(rows, columns, k, a, a_row, b, init, add, c, c_row, (struct gemm_ahead){b, 0});
}

void gemm_tile_at(int rows, int64_t columns, int64_t k, const float *a, int64_t a_k, const float *b,
                  const float *init, bool add, float *c, int64_t c_row)
{
    any_tile_at(rows, columns, k, a, a_k, b, init, add, c, c_row, (struct gemm_ahead){b, 0});
}

void gemm_pack(int64_t k, int64_t columns, const float *from, int64_t stride, float factor,
               float *to)
{
    int64_t left = columns < VW ? columns : VW, right = columns - left;
    vec scale = v_set(factor);

    for (int64_t p = 0; p < k; p++, from += stride, to += TILE_COLUMNS) {
        if (columns == TILE_COLUMNS) {
            v_store(to, v_load(from) * scale);
            v_store(to + VW, v_load(from + VW) * scale);
        } else {
            v_store(to, v_load_first(from, left) * scale);
            v_store(to + VW, (right ? v_load_first(from + VW, right) : v_set(0)) * scale);
        }
    }
}

/* Times scale[column] if there is such a list, else times `factor`. */
INLINE void pack_transposed(const enum weight_type type, int64_t k, int64_t columns,
                            const void *from, int64_t at, int64_t stride, const float *scale,
                            float factor, float *to)
{
    for (int64_t j = 0; j < TILE_COLUMNS; j += VW) {
        int64_t width = columns - j < VW ? columns - j : VW;
        vec scales = scale && width > 0 ? v_load_first(scale + j, width) : v_set(factor);

        for (int64_t p = 0; p < k; p += VW) {
            int64_t depth = k - p < VW ? k - p : VW;
            vec block[VW];

            UNROLL for (int i = 0; i < VW; i++)
            {
                block[i] = i < width
                               ? v_load_first_weight(type, from, at + (j + i) * stride + p, depth)
                               : v_set(0);
            }
            v_transpose(block);
            UNROLL for (int i = 0; i < VW; i++)
            {
                if (i < depth)
                    v_store(to + (p + i) * TILE_COLUMNS + j, block[i] * scales);
            }
        }
    }
}

void gemm_pack_transposed(int64_t k, int64_t columns, const float *from, int64_t stride,
                          float factor, float *to)
{
    pack_transposed(WEIGHT_F32, k, columns, from, 0, stride, NULL, factor, to);
}

void gemm_pack_low(int64_t k, int64_t columns, const struct low_weight *w, int64_t column,
                   int64_t first, int64_t stride, float *to)
{
    int64_t at = column * stride + first;

    if (w->type == WEIGHT_BF16)
        pack_transposed(WEIGHT_BF16, k, columns, w->data, at, stride, NULL, 1, to);
    else
        pack_transposed(WEIGHT_I8, k, columns, w->data, at, stride, w->scale + column, 1, to);
}
