/*
 * product.c: linear layers, forward and backward, on the tile of gemm.h.
 *
 * y = x w^T + bias: w is packed into panels of TILE_COLUMNS columns (bias first), in the shared
 * scratch, by the whole team; then each task takes some rows and walks the panels, so that its rows
 * stay in the second-level cache while a panel's part is in the first.  GELU is applied to a tile
 * while it is in the first-level cache.  Few rows are not worth packing for (dots.h).  The gradient
 * of x is the same product with w not transposed; the gradient of w is oneDNN's sgemm.
 *
 * Every output is one chain of sums in a fixed order, so the bits do not depend on the threads.
 */
#include "backend/cpu/kernels/product.h"

#include "backend/cpu/kernels/dots.h"
#include "backend/cpu/kernels/gemm.h"
#include "backend/cpu/kernels/vec_math.h"

/* The longest run of sums before c is stored: a panel of it is about half a first-level cache away
 * from the second level. */
#define DEPTH_MAX 768
/* Floats of x that a task works on: a third of a megabyte, 126 rows of the longest runs. */
#define BLOCK_FLOATS (126 * DEPTH_MAX)
/* Tiles that it takes to ask for a whole panel when every two of depth ask for half a line. */
#define FETCH_TILES 8
/* Rows of packed panels that stay in the second-level cache: half a megabyte. */
#define RESIDENT_ROWS (131072 / TILE_COLUMNS)
/* Fewer rows than this are not worth packing w for. */
#define PACK_ROWS 40

enum product_end { END_NONE, END_GELU };

struct product {
    int64_t rows, depth, columns;
    const float *x, *w, *bias;
    const struct low_weight *low; /* if not NULL: [columns, depth], instead of w */
    bool transposed;              /* w[columns, depth]; otherwise w[depth, columns] */
    bool add;                     /* y += */
    enum product_end end;
    float *y, *gelu; /* END_GELU: y gets the sums, gelu the result; they may be the same */
};

/* A range of columns and of depth that is packed at once. */
struct part {
    int64_t first_column, columns, first_depth, depth;
    float *panels; /* each: bias, then depth rows, of TILE_COLUMNS */
};

static void pack_panel(const struct product *p, const struct part *part, int64_t panel)
{
    int64_t column = part->first_column + panel * TILE_COLUMNS;
    int64_t left = part->first_column + part->columns - column;
    int64_t columns = left < TILE_COLUMNS ? left : TILE_COLUMNS;
    float *to = part->panels + panel * (part->depth + 1) * TILE_COLUMNS;

    for (int64_t j = 0; j < TILE_COLUMNS; j++)
        to[j] = p->bias && j < columns ? p->bias[column + j] : 0;
    if (p->low)
        gemm_pack_low(part->depth, columns, p->low, column, part->first_depth, p->depth,
                      to + TILE_COLUMNS);
    else if (p->transposed)
        gemm_pack_transposed(part->depth, columns, p->w + column * p->depth + part->first_depth,
                             p->depth, 1, to + TILE_COLUMNS);
    else
        gemm_pack(part->depth, columns, p->w + part->first_depth * p->columns + column, p->columns,
                  1, to + TILE_COLUMNS);
}

/* Memory that will be needed after what is being worked on: the second run after the first. */
struct later {
    const float *at[2], *end[2];
};

static void later_set(struct later *l, int run, const float *at, int64_t floats)
{
    l->at[run] = at;
    l->end[run] = at + floats;
}

/* What a tile of this depth can ask for, `step` floats for every two of its depth. */
static struct gemm_ahead later_take(struct later *l, int64_t depth, int64_t step,
                                    const float *otherwise)
{
    for (int run = 0; run < 2; run++)
        if (l->at[run] < l->end[run]) {
            const float *from = l->at[run];

            l->at[run] += depth / 2 * step;
            return (struct gemm_ahead){from, step};
        }
    return (struct gemm_ahead){otherwise, 0};
}

/* At most TILE_ROWS rows of one panel. */
static void panel_tile(const struct product *p, const struct part *part, int64_t panel, int64_t row,
                       int rows, struct later *later, int64_t step)
{
    int64_t column = part->first_column + panel * TILE_COLUMNS;
    int64_t left = part->first_column + part->columns - column;
    int64_t columns = left < TILE_COLUMNS ? left : TILE_COLUMNS;
    const float *b = part->panels + panel * (part->depth + 1) * TILE_COLUMNS;
    bool last = part->first_depth + part->depth == p->depth;
    float *y = p->y + row * p->columns + column;

    gemm_tile_ahead(rows, columns, part->depth, p->x + row * p->depth + part->first_depth, p->depth,
                    b + TILE_COLUMNS, b, p->add || part->first_depth > 0, y, p->columns,
                    later_take(later, part->depth, step, b));
    if (last && p->end == END_GELU)
        for (int64_t i = 0; i < rows; i++)
            v_gelu_run(columns, y + i * p->columns, p->gelu + (row + i) * p->columns + column);
}

static int tile_rows(int64_t row, int64_t end)
{
    return end - row < TILE_ROWS ? (int)(end - row) : TILE_ROWS;
}

/* The panels [first, last) all stay in the second-level cache: y is written row by row, and what
 * must be there in time is the next rows of x and y. */
static void resident_block(const struct product *p, const struct part *part, int64_t first,
                           int64_t last, int64_t row, int64_t end)
{
    for (; row < end; row += TILE_ROWS) {
        int64_t next = row + TILE_ROWS, more = next < end ? tile_rows(next, end) : 0;
        struct later later = {{NULL}, {NULL}};

        if (part->depth == p->depth)
            later_set(&later, 0, p->x + next * p->depth, more * p->depth);
        if ((last - first) * TILE_COLUMNS >= p->columns)
            later_set(&later, 1, p->y + next * p->columns, more * p->columns);
        for (int64_t i = first; i < last; i++)
            panel_tile(p, part, i, row, tile_rows(row, end), &later, LINE_FLOATS);
    }
}

/* The rows of x stay in the second-level cache: while they meet one panel, the next one is
 * fetched, and with what is left of the time the rows of the next block. */
static void streamed_block(const struct product *p, const struct part *part, int64_t first,
                           int64_t last, int64_t row, int64_t end, int64_t rows_after)
{
    int64_t panel_floats = (part->depth + 1) * TILE_COLUMNS, tiles = ceil_div(end - row, TILE_ROWS);
    int64_t step = tiles < FETCH_TILES ? LINE_FLOATS : LINE_FLOATS / 2;
    struct later later = {{NULL}, {NULL}};

    if (part->depth == p->depth)
        later_set(&later, 1, p->x + end * p->depth, rows_after * p->depth);
    for (int64_t i = first; i < last; i++) {
        later_set(&later, 0, part->panels + (i + 1 < last ? i + 1 : first) * panel_floats,
                  panel_floats);
        for (int64_t r = row; r < end; r += TILE_ROWS) {
            const float *y = p->y + r * p->columns + part->first_column + i * TILE_COLUMNS;
            int rows = tile_rows(r, end);

            for (int j = 0; j < rows; j++) {
                __builtin_prefetch(y + j * p->columns, 1, 3);
                __builtin_prefetch(y + j * p->columns + TILE_COLUMNS / 2, 1, 3);
            }
            panel_tile(p, part, i, r, rows, &later, step);
        }
    }
}

static void run_part(struct backend *b, const struct product *p, const struct part *part)
{
    int64_t panels = ceil_div(part->columns, TILE_COLUMNS);
    int team = cpu_team(b, (double)p->rows * (double)part->columns * (double)part->depth / 8);
    int64_t block = BLOCK_FLOATS / part->depth / TILE_ROWS * TILE_ROWS, blocks, groups = 1;

    /* A few tasks for every thread, as some may be slowed down by others' work. */
    if (block > ceil_div(p->rows, 4 * team))
        block = round_up(ceil_div(p->rows, 4 * team), TILE_ROWS);
    if (block < 2 * TILE_ROWS)
        block = 2 * TILE_ROWS;
    blocks = ceil_div(p->rows, block);
    if (blocks < 4 * team)
        groups = ceil_div(4 * team, blocks);
    if (groups > panels)
        groups = panels;
    if (team == 1)
        groups = 1;
#pragma omp parallel num_threads(team) if (team > 1)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < panels; i++)
            pack_panel(p, part, i);
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < blocks * groups; t++) {
            int64_t row = t / groups * block, g = t % groups;
            int64_t end = row + block < p->rows ? row + block : p->rows;
            int64_t first = panels * g / groups, last = panels * (g + 1) / groups;

            if ((last - first) * part->depth <= RESIDENT_ROWS)
                resident_block(p, part, first, last, row, end);
            else
                streamed_block(p, part, first, last, row, end,
                               end + block < p->rows ? block : p->rows - end);
        }
    }
}

static void run_packed(struct backend *b, const struct product *p)
{
    int64_t pieces = ceil_div(p->depth, DEPTH_MAX), depth = ceil_div(p->depth, pieces);
    int64_t room = (int64_t)(CPU_SHARED_BYTES / sizeof(float)) / (depth + 1) / TILE_COLUMNS;

    for (int64_t column = 0; column < p->columns; column += room * TILE_COLUMNS)
        for (int64_t d = 0; d < p->depth; d += depth) {
            int64_t columns = p->columns - column, deep = p->depth - d;
            const struct part part = {
                .first_column = column,
                .columns = columns < room * TILE_COLUMNS ? columns : room * TILE_COLUMNS,
                .first_depth = d,
                .depth = deep < depth ? deep : depth,
                .panels = cpu_shared_scratch(b),
            };

            run_part(b, p, &part);
        }
}

static void run_dots(struct backend *b, const struct product *p)
{
    const struct dots dots = {p->rows,    p->depth, p->columns, p->x, p->bias,
                              WEIGHT_F32, p->w,     NULL,       p->y};

    dots_run(b, &dots);
    if (p->end == END_GELU)
        v_gelu_run(p->rows * p->columns, p->y, p->gelu);
}

/* ---- slots ---- */

static void run_product(struct backend *b, const struct product *p)
{
    if (p->rows <= 0 || p->columns <= 0)
        return;
    if (p->depth <= 0 || (p->rows < PACK_ROWS && p->transposed && !p->add))
        run_dots(b, p);
    else
        run_packed(b, p);
}

static void linear_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const float *bias, void *y)
{
    const struct product p = {.rows = rows,
                              .depth = in,
                              .columns = out,
                              .x = x,
                              .w = w,
                              .bias = bias,
                              .transposed = true,
                              .y = y};

    run_product(b, &p);
}

static void linear_gelu_fwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                            const float *w, const float *bias, void *y, void *pre)
{
    const struct product p = {.rows = rows,
                              .depth = in,
                              .columns = out,
                              .x = x,
                              .w = w,
                              .bias = bias,
                              .transposed = true,
                              .end = END_GELU,
                              .y = pre ? pre : y,
                              .gelu = y};

    run_product(b, &p);
}

static void linear_bwd(struct backend *b, int64_t rows, int64_t in, int64_t out, const void *x,
                       const float *w, const void *dy, void *dx, bool add_dx, float *dw,
                       float *dbias)
{
    const struct product p = {
        .rows = rows, .depth = out, .columns = in, .x = dy, .w = w, .add = add_dx, .y = dx};

    if (dx && (out > 0 || !add_dx))
        run_product(b, &p);
    if (rows <= 0 || out <= 0)
        return;
    if (dw && in > 0)
        cpu_sgemm(b, true, false, out, in, rows, dy, out, x, in, 1, dw, in);
    if (dbias)
        b->broadcast_bwd(b, rows, out, dy, dbias);
}

void product_widened(struct backend *b, int64_t rows, int64_t in, int64_t out, const float *x,
                     const struct low_weight *w, const float *bias, bool gelu, float *y)
{
    const struct product p = {.rows = rows,
                              .depth = in,
                              .columns = out,
                              .x = x,
                              .low = w,
                              .bias = bias,
                              .transposed = true,
                              .end = gelu ? END_GELU : END_NONE,
                              .y = y,
                              .gelu = y};

    run_packed(b, &p);
}

void SIMD(install_product)(struct backend *b)
{
    b->linear_fwd = linear_fwd;
    b->linear_bwd = linear_bwd;
    b->linear_gelu_fwd = linear_gelu_fwd;
}
