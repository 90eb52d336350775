/*
 * dots.c: dot products of rows as they lie.
 *
 * What bounds a product of few rows is how fast w comes in, so w is read once, in order, widened in
 * registers, and what follows is asked for meanwhile.  Four outputs share each load of x and up to
 * four rows each load of w.
 */
#include "backend/cpu/kernels/dots.h"

#include "backend/cpu/kernels/gemm.h"
#include "backend/cpu/kernels/vec_low.h"

#define ROWS 4
#define COLUMNS 4

/* Brings what will be read later; it may lie behind the end. */
INLINE void fetch(const enum weight_type type, const void *w, int64_t at)
{
    __builtin_prefetch((const void *)((uintptr_t)w + (uintptr_t)at * weight_type_bytes(type)));
}

INLINE void dot_block(const enum weight_type type, const int rows, const int columns,
                      const struct dots *p, int64_t row, int64_t column)
{
    const float *x = p->x + row * p->in;
    int64_t d = p->in, w = column * d;
    vec sum[ROWS][COLUMNS];

    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int c = 0; c < columns; c++)
        {
            sum[r][c] = v_set(0);
        }
    }
    for (int64_t i = 0; i < d; i += VW) {
        vec part[COLUMNS];

        UNROLL for (int c = 0; c < columns; c++)
        {
            part[c] = v_load_first_weight(type, p->w, w + c * d + i, d - i);
            fetch(type, p->w, w + (columns + c) * d + i);
        }
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec row_part = v_load_first(x + r * d + i, d - i);

            UNROLL for (int c = 0; c < columns; c++)
            {
                sum[r][c] = v_fma(row_part, part[c], sum[r][c]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int c = 0; c < columns; c++)
        {
            float scale = type == WEIGHT_I8 ? p->scale[column + c] : 1;

            p->y[(row + r) * p->out + column + c] =
                scale * v_sum(sum[r][c]) + (p->bias ? p->bias[column + c] : 0);
        }
    }
}

/* Some outputs of all rows. */
INLINE void dot_columns(const enum weight_type type, const int columns, const struct dots *p,
                        int64_t column)
{
    int64_t row = 0;

    for (; row + ROWS <= p->rows; row += ROWS)
        dot_block(type, ROWS, columns, p, row, column);
    switch (p->rows - row) {
    case 1:
        dot_block(type, 1, columns, p, row, column);
        break;
    case 2:
        dot_block(type, 2, columns, p, row, column);
        break;
    case 3:
        dot_block(type, 3, columns, p, row, column);
        break;
    }
}

INLINE void dot_group(const enum weight_type type, const struct dots *p, int64_t column)
{
    if (p->out - column >= COLUMNS)
        dot_columns(type, COLUMNS, p, column);
    else
        for (; column < p->out; column++)
            dot_columns(type, 1, p, column);
}

void dots_run(struct backend *b, const struct dots *p)
{
    int team = cpu_team(b, (double)p->rows * (double)p->out * (double)p->in / 8);
    int64_t groups = ceil_div(p->out, COLUMNS);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t group = 0; group < groups; group++)
        switch (p->type) {
        case WEIGHT_F32:
            dot_group(WEIGHT_F32, p, group * COLUMNS);
            break;
        case WEIGHT_BF16:
            dot_group(WEIGHT_BF16, p, group * COLUMNS);
            break;
        case WEIGHT_I8:
            dot_group(WEIGHT_I8, p, group * COLUMNS);
            break;
        }
}
