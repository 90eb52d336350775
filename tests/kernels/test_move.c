/* test_move.c: gathering, copying, transposing, unfolding and means against plain loops; memory. */
#include "support/kernels.h"

#include <string.h>

struct moved {
    int64_t rows, c, from;
};

static const struct moved moves[] = {{0, 4, 3},   {3, 0, 3},    {1, 1, 1},     {5, 3, 2},
                                     {17, 33, 9}, {100, 17, 3}, {700, 96, 250}};
#define MOVES (sizeof moves / sizeof *moves)

static double *as_doubles(struct kernel_run *run, const float *x, int64_t n)
{
    double *d = kernel_host(run, (size_t)n * sizeof(double));

    for (int64_t i = 0; i < n; i++)
        d[i] = x ? x[i] : 0;
    return d;
}

static void gather_case(struct backend *b, const struct moved *m)
{
    struct kernel_run run = {.b = b};
    int64_t n = m->rows * m->c, xn = m->from * m->c;
    float *x = kernel_random(&run, xn, 1), *dy = kernel_random(&run, n, 1);
    double *want = as_doubles(&run, NULL, n), *sums = as_doubles(&run, x, xn);
    int32_t *index = kernel_host(&run, (size_t)m->rows * sizeof *index);
    float *px = kernel_put_floats(&run, x, xn), *pdy = kernel_put_floats(&run, dy, n);
    float *dx[2], *y[2];
    void *pi;

    for (int64_t i = 0; i < m->rows; i++) {
        index[i] = i % 7 == 5 ? -1 : (int32_t)(i * i % m->from);
        for (int64_t j = 0; index[i] >= 0 && j < m->c; j++) {
            want[i * m->c + j] = x[index[i] * m->c + j];
            sums[index[i] * m->c + j] += dy[i * m->c + j];
        }
    }
    pi = kernel_put(&run, index, (size_t)m->rows * sizeof *index);
    for (int i = 0; i < 2; i++) {
        y[i] = kernel_room(&run, n);
        dx[i] = kernel_put_floats(&run, x, xn);
    }
    b->gather_rows_fwd(b, m->rows, m->c, pi, m->from, px, y[0]);
    b->embed_fwd(b, m->rows, m->c, pi, m->from, px, y[1]);
    b->gather_rows_bwd(b, m->rows, m->c, pi, m->from, pdy, dx[0]);
    b->embed_bwd(b, m->rows, m->c, pi, m->from, pdy, dx[1]);
    b->gather_rows_bwd(b, m->rows, m->c, pi, m->from, pdy, NULL);
    for (int i = 0; i < 2; i++) {
        kernel_check(&run, "gather", kernel_get(&run, y[i]), want, n, 0);
        kernel_check(&run, "gather dx", kernel_get(&run, dx[i]), sums, xn, 2e-6);
    }
    kernel_check_same(&run, "gather dx", dx[0], dx[1]);
    kernel_run_end(&run);
}

static void gather_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t m = 0; m < MOVES; m++)
            gather_case(kernel_backends[i], &moves[m]);
}

static void strided_case(struct backend *b, const struct strided *s, bool accumulate)
{
    struct kernel_run run = {.b = b};
    int64_t from_n = s->blocks ? (s->blocks - 1) * s->from_stride + s->length : 0;
    int64_t to_n = s->blocks ? (s->blocks - 1) * s->to_stride + s->length : 0;
    float *x = kernel_random(&run, from_n, 1), *start = kernel_random(&run, to_n, 1);
    double *want = as_doubles(&run, start, to_n);
    float *to = kernel_put_floats(&run, start, to_n);

    for (int64_t i = 0; i < s->blocks; i++)
        for (int64_t j = 0; j < s->length; j++) {
            double *at = &want[i * s->to_stride + j];

            *at = (accumulate ? *at : 0) + (double)x[i * s->from_stride + j];
        }
    b->copy_strided(b, s, kernel_put_floats(&run, x, from_n), to, accumulate);
    kernel_check(&run, "copy_strided", kernel_get(&run, to), want, to_n, accumulate ? 1e-5 : 0);
    kernel_run_end(&run);
}

static void copy_strided_matches(void **state)
{
    const struct strided list[] = {
        {0, 4, 4, 4},       {3, 0, 4, 4},     {1, 1, 1, 1},       {7, 3, 5, 4},   {5, 17, 0, 20},
        {300, 130, 140, 0}, {40, 33, 33, 10}, {500, 96, 96, 200}, {100, 1, 1, 3},
    };

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < sizeof list / sizeof *list; s++)
            for (int accumulate = 0; accumulate < 2; accumulate++)
                strided_case(kernel_backends[i], &list[s], accumulate);
}

static void broadcast_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t m = 0; m < MOVES; m++) {
            struct kernel_run run = {.b = kernel_backends[i]};
            int64_t times = moves[m].rows, n = moves[m].c;
            float *table = kernel_random(&run, n, 1);
            double *want = as_doubles(&run, NULL, times * n), *sums = as_doubles(&run, table, n);
            float *dtable = kernel_put_floats(&run, table, n), *y = kernel_room(&run, times * n);

            for (int64_t j = 0; j < times * n; j++) {
                want[j] = table[j % n];
                sums[j % n] += table[j % n];
            }
            run.b->broadcast_fwd(run.b, times, n, dtable, y);
            run.b->broadcast_bwd(run.b, times, n, y, dtable);
            run.b->broadcast_bwd(run.b, times, n, y, NULL);
            kernel_check(&run, "broadcast", kernel_get(&run, y), want, times * n, 0);
            kernel_check(&run, "broadcast dtable", kernel_get(&run, dtable), sums, n, 1e-5);
            kernel_run_end(&run);
        }
}

static void transpose_case(struct backend *b, int64_t batch, int64_t rows, int64_t cols)
{
    struct kernel_run run = {.b = b};
    int64_t n = batch * rows * cols;
    float *x = kernel_random(&run, n, 1), *px = kernel_put_floats(&run, x, n);
    double *want = as_doubles(&run, NULL, n), *twice = as_doubles(&run, NULL, n);
    float *y = kernel_room(&run, n);

    for (int64_t k = 0; k < batch; k++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) {
                want[(k * cols + c) * rows + r] = x[(k * rows + r) * cols + c];
                twice[(k * cols + c) * rows + r] = 2 * (double)x[(k * rows + r) * cols + c];
            }
    b->transpose(b, batch, rows, cols, px, y, false);
    kernel_check(&run, "transpose", kernel_get(&run, y), want, n, 0);
    b->transpose(b, batch, rows, cols, px, y, true);
    kernel_check(&run, "transpose added", kernel_get(&run, y), twice, n, 0);
    kernel_run_end(&run);
}

static void transpose_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        transpose_case(kernel_backends[i], 0, 3, 3);
        transpose_case(kernel_backends[i], 2, 0, 3);
        transpose_case(kernel_backends[i], 1, 1, 1);
        transpose_case(kernel_backends[i], 3, 17, 5);
        transpose_case(kernel_backends[i], 2, 96, 1000);
        transpose_case(kernel_backends[i], 1, 33, 64);
    }
}

static double *unfold_place(const struct unfold *u, double *x, int64_t row, int64_t column)
{
    int64_t k = row % u->ow, j = row / u->ow % u->oh, i = row / u->ow / u->oh % u->ot;
    int64_t n = row / u->ow / u->oh / u->ot;
    int64_t q = column % u->kw, p = column / u->kw % u->kh, a = column / u->kw / u->kh % u->kt;
    int64_t c = column / u->kw / u->kh / u->kt;
    int64_t t = i * u->st + a, h = j * u->sh + p, w = k * u->sw + q;

    if (t >= u->t || h >= u->h || w >= u->w)
        return NULL;
    return x + (((n * u->channels + c) * u->t + t) * u->h + h) * u->w + w;
}

static void unfold_case(struct backend *b, const struct unfold *u)
{
    struct kernel_run run = {.b = b};
    int64_t xn = u->batch * u->channels * u->t * u->h * u->w;
    int64_t rows = u->batch * u->ot * u->oh * u->ow, c = u->channels * u->kt * u->kh * u->kw;
    float *x = kernel_random(&run, xn, 1), *dy = kernel_random(&run, rows * c, 1);
    double *values = as_doubles(&run, x, xn), *grad = as_doubles(&run, x, xn);
    double *want = as_doubles(&run, NULL, rows * c);
    float *y = kernel_room(&run, rows * c), *dx = kernel_put_floats(&run, x, xn);

    for (int64_t i = 0; i < rows * c; i++) {
        const double *at = unfold_place(u, values, i / c, i % c);

        want[i] = at ? *at : 0;
        if (at)
            grad[at - values] += dy[i];
    }
    b->unfold_fwd(b, u, kernel_put_floats(&run, x, xn), y);
    b->unfold_bwd(b, u, kernel_put_floats(&run, dy, rows * c), dx);
    b->unfold_bwd(b, u, y, NULL);
    kernel_check(&run, "unfold", kernel_get(&run, y), want, rows * c, 0);
    kernel_check(&run, "unfold dx", kernel_get(&run, dx), grad, xn, 2e-6);
    kernel_run_end(&run);
}

static void unfold_matches(void **state)
{
    const struct unfold list[] = {
        {0, 3, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2},
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
        {2, 3, 4, 8, 12, 2, 4, 4, 2, 4, 4, 2, 2, 3},
        {1, 3, 3, 7, 9, 2, 4, 4, 2, 4, 4, 2, 2, 3},
        {3, 1, 1, 33, 50, 1, 16, 16, 1, 10, 10, 1, 2, 4},
        {1, 2, 5, 6, 7, 3, 2, 3, 1, 1, 2, 3, 5, 3},
    };

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < sizeof list / sizeof *list; s++)
            unfold_case(kernel_backends[i], &list[s]);
}

static void mean_rows_case(struct backend *b, int64_t batch, int64_t n, int64_t c)
{
    struct kernel_run run = {.b = b};
    float *x = kernel_random(&run, batch * n * c, 1), *dy = kernel_random(&run, batch * c, 1);
    double *want = as_doubles(&run, NULL, batch * c), *grad = as_doubles(&run, x, batch * n * c);
    float *y = kernel_room(&run, batch * c), *dx = kernel_put_floats(&run, x, batch * n * c);

    for (int64_t i = 0; i < batch * n * c; i++) {
        int64_t at = i / c / n * c + i % c;

        want[at] += x[i] / (double)n;
        grad[i] += dy[at] / (double)n;
    }
    b->mean_rows_fwd(b, batch, n, c, dx, y);
    b->mean_rows_bwd(b, batch, n, c, kernel_put_floats(&run, dy, batch * c), dx);
    b->mean_rows_bwd(b, batch, n, c, y, NULL);
    kernel_check(&run, "mean_rows", kernel_get(&run, y), want, batch * c, 2e-6);
    kernel_check(&run, "mean_rows dx", kernel_get(&run, dx), grad, batch * n * c, 2e-7);
    kernel_run_end(&run);
}

static void mean_rows_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        mean_rows_case(kernel_backends[i], 0, 3, 3);
        mean_rows_case(kernel_backends[i], 2, 3, 0);
        mean_rows_case(kernel_backends[i], 1, 1, 1);
        mean_rows_case(kernel_backends[i], 3, 17, 33);
        mean_rows_case(kernel_backends[i], 5, 200, 130);
    }
}

static void memory_moves(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        struct kernel_run run = {.b = kernel_backends[i]};
        float x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, *d = kernel_put_floats(&run, x, 9), out[9];

        run.b->mem_move(run.b, d + 1, d, 8 * sizeof *d); /* overlapping */
        run.b->mem_zero(run.b, d + 8, sizeof *d);
        memcpy(out, kernel_get(&run, d), sizeof out);
        assert_true(out[0] == 1 && out[1] == 1 && out[7] == 7 && out[8] == 0);
        run.b->upload_act(run.b, d + 2, x, 3);
        run.b->download_act(run.b, out, d + 1, 4);
        assert_true(out[0] == 1 && out[1] == 1 && out[3] == 3);
        run.b->mem_zero(run.b, d, 0);
        run.b->mem_move(run.b, d, d + 1, 0);
        kernel_run_end(&run);
    }
}

/* Blocks above and below the size from which memory is mapped. */
static void memory_is_aligned(void **state)
{
    const size_t sizes[] = {0, 1, 4096, 1 << 20, 5 << 20};

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            struct backend *b = kernel_backends[i];
            void *memory = b->mem_alloc(b, sizes[s]);

            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % 64, 0);
            b->mem_zero(b, memory, sizes[s]);
            b->mem_free(b, memory, sizes[s]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gather_matches),    cmocka_unit_test(copy_strided_matches),
        cmocka_unit_test(broadcast_matches), cmocka_unit_test(transpose_matches),
        cmocka_unit_test(unfold_matches),    cmocka_unit_test(mean_rows_matches),
        cmocka_unit_test(memory_moves),      cmocka_unit_test(memory_is_aligned),
    };

    return cmocka_run_group_tests(tests, kernel_backends_open, kernel_backends_close);
}
