/* test_pointwise.c: norms, GELU, sums, dropout, loss and optimiser against plain double loops. */
#include "support/kernels.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

static const int64_t sizes[] = {0, 1, 3, 17, 33, 64, 1000, 40003};
#define SIZES (sizeof sizes / sizeof *sizes)

struct rows {
    int64_t rows, c;
};

static const struct rows row_shapes[] = {{0, 5},  {3, 1},    {1, 3},     {17, 17}, {5, 33},
                                         {9, 96}, {70, 768}, {301, 130}, {2, 5000}};
#define ROW_SHAPES (sizeof row_shapes / sizeof *row_shapes)

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double gelu_slope(double x)
{
    return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI);
}

static void gelu_case(struct backend *b, int64_t n)
{
    struct kernel_run run = {.b = b};
    float *x = kernel_random(&run, n, 3), *dy = kernel_random(&run, n, 1);
    float *start = kernel_random(&run, n, 1);
    double *want = kernel_host(&run, (size_t)n * sizeof(double));
    double *slope = kernel_host(&run, (size_t)n * sizeof(double));
    float *in, *out, *dx, *in_place, *again;

    for (int64_t i = 0; i < n; i++) {
        if (n > 100)
            x[i] = (float)(-12 + 24.0 * (double)i / (double)n); /* the whole curve */
        want[i] = gelu(x[i]);
        slope[i] = start[i] + dy[i] * gelu_slope(x[i]);
    }
    in = kernel_put_floats(&run, x, n);
    out = kernel_room(&run, n);
    dx = kernel_put_floats(&run, start, n);
    b->gelu_fwd(b, n, in, out);
    kernel_check(&run, "gelu", kernel_get(&run, out), want, n, 7e-7);
    b->gelu_bwd(b, n, in, kernel_put_floats(&run, dy, n), dx, true, NULL);
    kernel_check(&run, "gelu dx", kernel_get(&run, dx), slope, n, 1e-6);
    in_place = kernel_put_floats(&run, dy, n);
    again = kernel_room(&run, n);
    b->gelu_bwd(b, n, in, in_place, in_place, false, again);
    for (int64_t i = 0; i < n; i++)
        slope[i] -= start[i];
    kernel_check(&run, "gelu dx in place", kernel_get(&run, in_place), slope, n, 1e-6);
    kernel_check_same(&run, "gelu beside its slope", again, out);
    b->gelu_fwd(b, n, in, in);
    kernel_check_same(&run, "gelu in place", in, out);
    kernel_run_end(&run);
}

static void gelu_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < SIZES; s++)
            gelu_case(kernel_backends[i], sizes[s]);
}

static void gelu_keeps_what_is_not_finite(void **state)
{
    const float x[4] = {NAN, INFINITY, -INFINITY, 1e30f};

    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        struct kernel_run run = {.b = kernel_backends[i]};
        float *in = kernel_put_floats(&run, x, 4), *y = kernel_room(&run, 4), *got;

        run.b->gelu_fwd(run.b, 4, in, y);
        got = kernel_get(&run, y);
        assert_true(isnan(got[0]));
        assert_true(isinf(got[1]) && isfinite(got[3]) && got[3] == 1e30f);
        kernel_run_end(&run);
    }
}

static void axpby_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < SIZES; s++) {
            struct kernel_run run = {.b = kernel_backends[i]};
            int64_t n = sizes[s];
            float *x = kernel_random(&run, n, 1), *z = kernel_random(&run, n, 1);
            double *want = kernel_host(&run, (size_t)n * sizeof(double));
            double *scaled = kernel_host(&run, (size_t)n * sizeof(double));
            float *dx = kernel_put_floats(&run, x, n), *dz = kernel_put_floats(&run, z, n);
            float *y = kernel_room(&run, n);

            for (int64_t j = 0; j < n; j++) {
                want[j] = 1.5 * (double)x[j] - 0.75 * (double)z[j];
                scaled[j] = 1.5 * (double)x[j];
            }
            run.b->axpby(run.b, n, 1.5f, dx, NAN, NULL, y);
            kernel_check(&run, "axpby without z", kernel_get(&run, y), scaled, n, 1e-7);
            run.b->axpby(run.b, n, 1.5f, dx, -0.75f, dz, y);
            kernel_check(&run, "axpby", kernel_get(&run, y), want, n, 2e-7);
            run.b->axpby(run.b, n, 1.5f, dx, -0.75f, dz, dx);
            kernel_check_same(&run, "axpby into x", dx, y);
            dx = kernel_put_floats(&run, x, n);
            run.b->axpby(run.b, n, 1.5f, dx, -0.75f, dz, dz);
            kernel_check_same(&run, "axpby into z", dz, y);
            kernel_run_end(&run);
        }
}

static void add_rows_case(struct backend *b, const struct rows *r, int64_t period, int64_t repeat)
{
    struct kernel_run run = {.b = b};
    int64_t n = r->rows * r->c, t = period * r->c;
    float *x = kernel_random(&run, n, 1), *table = kernel_random(&run, t, 1);
    double *want = kernel_host(&run, (size_t)n * sizeof(double));
    double *sums = kernel_host(&run, (size_t)t * sizeof(double));
    float *dx = kernel_put_floats(&run, x, n), *dtable = kernel_put_floats(&run, table, t);
    float *y = kernel_room(&run, n);

    for (int64_t i = 0; i < t; i++)
        sums[i] = table[i];
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i / r->c / repeat % period * r->c + i % r->c;

        want[i] = (double)x[i] + (double)table[at];
        sums[at] += x[i];
    }
    b->add_rows_fwd(b, r->rows, r->c, period, repeat, dx, dtable, y);
    kernel_check(&run, "add_rows", kernel_get(&run, y), want, n, 1e-7);
    b->add_rows_bwd(b, r->rows, r->c, period, repeat, dx, dtable);
    b->add_rows_bwd(b, r->rows, r->c, period, repeat, dx, NULL);
    kernel_check(&run, "add_rows dtable", kernel_get(&run, dtable), sums, t, 1e-5);
    kernel_run_end(&run);
}

static void add_rows_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < ROW_SHAPES; s++) {
            add_rows_case(kernel_backends[i], &row_shapes[s], 1, 1);
            add_rows_case(kernel_backends[i], &row_shapes[s], 4, 3);
            add_rows_case(kernel_backends[i], &row_shapes[s], 500, 1);
        }
}

static void dropout_case(struct backend *b, int64_t n, int64_t group, float p)
{
    const uint64_t seed = 0xFEDCBA9876543210u, stream = 0x89ABCDEF00F00001u;
    struct kernel_run run = {.b = b};
    float *x = kernel_random(&run, n, 1);
    double *want = kernel_host(&run, (size_t)n * sizeof(double));
    double *added = kernel_host(&run, (size_t)n * sizeof(double));
    float *dx = kernel_put_floats(&run, x, n), *y = kernel_room(&run, n);
    float *sum = kernel_put_floats(&run, x, n);

    for (int64_t i = 0; i < n; i++) {
        bool kept = random_word(seed, stream, (uint64_t)(i / group)) >= (double)p * 0x1p32;

        want[i] = kept ? (double)x[i] / (1 - (double)p) : 0;
        added[i] = (double)x[i] + want[i];
    }
    b->dropout(b, n, group, p, seed, stream, dx, y, false);
    b->dropout(b, n, group, p, seed, stream, dx, sum, true);
    kernel_check(&run, "dropout", kernel_get(&run, y), want, n, 3e-7);
    kernel_check(&run, "dropout added", kernel_get(&run, sum), added, n, 3e-7);
    b->dropout(b, n, group, p, seed, stream, dx, dx, false);
    kernel_check_same(&run, "dropout in place", dx, y);
    kernel_run_end(&run);
}

static void dropout_matches(void **state)
{
    const float rates[] = {0, 0.1f, 0.5f, 1};

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < SIZES; s++)
            for (int p = 0; p < 4; p++) {
                dropout_case(kernel_backends[i], sizes[s], 1, rates[p]);
                dropout_case(kernel_backends[i], sizes[s], 7, rates[p]);
            }
}

static void layer_norm_case(struct backend *b, const struct rows *r)
{
    struct kernel_run run = {.b = b};
    int64_t n = r->rows * r->c, c = r->c;
    float *x = kernel_random(&run, n, 2), *gamma = kernel_random(&run, c, 1);
    float *beta = kernel_random(&run, c, 1), *dy = kernel_random(&run, n, 1);
    float *start = kernel_random(&run, n + 2 * c, 1), *out[6], *in[4], *again;
    double *y = kernel_host(&run, (size_t)n * sizeof(double));
    double *stats = kernel_host(&run, (size_t)r->rows * 2 * sizeof(double));
    double *grad = kernel_host(&run, (size_t)(n + 2 * c) * sizeof(double));

    for (int64_t i = 0; i < n + 2 * c; i++)
        grad[i] = start[i];
    for (int64_t k = 0; k < r->rows; k++) {
        double mean = 0, variance = 0, rstd, g_mean = 0, gx_mean = 0;

        for (int64_t i = 0; i < c; i++) {
            x[k * c + i] += 10; /* a mean that is large against the spread */
            mean += x[k * c + i] / (double)c;
        }
        for (int64_t i = 0; i < c; i++)
            variance += (x[k * c + i] - mean) * (x[k * c + i] - mean) / (double)c;
        rstd = 1 / sqrt(variance + 1e-5);
        stats[2 * k] = mean;
        stats[2 * k + 1] = rstd;
        for (int64_t i = 0; i < c; i++) {
            double hat = (x[k * c + i] - mean) * rstd, g = dy[k * c + i];

            y[k * c + i] = hat * (double)gamma[i] + (double)beta[i];
            grad[n + i] += g * hat;
            grad[n + c + i] += g;
            g_mean += g * (double)gamma[i] / (double)c;
            gx_mean += g * (double)gamma[i] * hat / (double)c;
        }
        for (int64_t i = 0; i < c; i++)
            grad[k * c + i] += rstd * ((double)dy[k * c + i] * (double)gamma[i] - g_mean -
                                       (x[k * c + i] - mean) * rstd * gx_mean);
    }
    in[0] = kernel_put_floats(&run, x, n);
    in[1] = kernel_put_floats(&run, gamma, c);
    in[2] = kernel_put_floats(&run, beta, c);
    in[3] = kernel_put_floats(&run, dy, n);
    for (int i = 0; i < 2; i++)
        out[i] = kernel_room(&run, n);
    out[2] = kernel_room(&run, 2 * r->rows);
    b->layer_norm_fwd(b, r->rows, c, in[0], in[1], in[2], 1e-5f, out[0], out[2]);
    b->layer_norm_fwd(b, r->rows, c, in[0], in[1], in[2], 1e-5f, out[1], NULL);
    /* with one column the difference from the mean is pure rounding, times rstd 316 */
    kernel_check(&run, "layer norm", kernel_get(&run, out[0]), y, n, 1e-5);
    kernel_check(&run, "layer norm stats", kernel_get(&run, out[2]), stats, 2 * r->rows, 3e-6);
    kernel_check_same(&run, "layer norm without stats", out[0], out[1]);
    again = kernel_room(&run, n);
    b->layer_norm_again(b, r->rows, c, in[0], in[1], in[2], out[2], again);
    kernel_check_same(&run, "layer norm again", out[0], again);
    for (int pass = 0; pass < 2; pass++) {
        float *dx = kernel_put_floats(&run, start, n), *dg = kernel_put_floats(&run, start + n, c);
        float *db = kernel_put_floats(&run, start + n + c, c);

        if (pass == 0) {
            b->layer_norm_bwd(b, r->rows, c, in[0], in[1], out[2], in[3], dx, dg, db);
        } else {
            b->layer_norm_bwd(b, r->rows, c, in[0], in[1], out[2], in[3], dx, NULL, NULL);
            b->layer_norm_bwd(b, r->rows, c, in[0], in[1], out[2], in[3], NULL, dg, NULL);
            b->layer_norm_bwd(b, r->rows, c, in[0], in[1], out[2], in[3], NULL, NULL, db);
        }
        kernel_check(&run, "layer norm dx", kernel_get(&run, dx), grad, n, 3e-5);
        kernel_check(&run, "dgamma", kernel_get(&run, dg), grad + n, c, 3e-5);
        kernel_check(&run, "dbeta", kernel_get(&run, db), grad + n + c, c, 1e-5);
        out[3 + pass] = dg;
    }
    kernel_check_same(&run, "dgamma", out[3], out[4]);
    kernel_run_end(&run);
}

static void layer_norm_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < ROW_SHAPES; s++)
            layer_norm_case(kernel_backends[i], &row_shapes[s]);
}

static void cross_entropy_case(struct backend *b, const struct rows *r, float e, bool weighted)
{
    struct kernel_run run = {.b = b};
    int64_t n = r->rows * r->c, v = r->c;
    float *logits = kernel_random(&run, n, 4), *weight = kernel_random(&run, r->rows, 1);
    float *dloss = kernel_random(&run, r->rows, 1), *start = kernel_random(&run, n, 1);
    int32_t *target = kernel_host(&run, (size_t)r->rows * sizeof *target);
    double *loss = kernel_host(&run, (size_t)r->rows * sizeof(double));
    double *lse = kernel_host(&run, (size_t)r->rows * sizeof(double));
    double *grad = kernel_host(&run, (size_t)n * sizeof(double));
    float *dl, *dw, *out[2], *dlogits[2];
    void *dt;

    for (int64_t k = 0; k < r->rows; k++) {
        const float *row = logits + k * v;
        double w = weighted ? (double)weight[k] : 1, sum = 0, mean = 0;

        target[k] = k % 5 == 3 ? -1 : (int32_t)(k * 7 % v);
        for (int64_t i = 0; i < v; i++) {
            sum += exp((double)row[i]);
            mean += (double)row[i] / (double)v;
        }
        lse[k] = log(sum);
        if (target[k] >= 0)
            loss[k] = w * ((1 - (double)e) * (lse[k] - (double)row[target[k]]) +
                           (double)e * (lse[k] - mean));
        for (int64_t i = 0; i < v; i++) {
            double want = (i == target[k] ? 1 - (double)e : 0) + (double)e / (double)v;

            grad[k * v + i] = start[k * v + i];
            if (target[k] >= 0)
                grad[k * v + i] += w * (double)dloss[k] * (exp((double)row[i] - lse[k]) - want);
        }
    }
    dl = kernel_put_floats(&run, logits, n);
    dw = weighted ? kernel_put_floats(&run, weight, r->rows) : NULL;
    dt = kernel_put(&run, target, (size_t)r->rows * sizeof *target);
    out[0] = kernel_room(&run, r->rows);
    out[1] = kernel_room(&run, r->rows);
    b->cross_entropy_fwd(b, r->rows, v, dl, dt, dw, e, out[0], out[1]);
    kernel_check(&run, "loss", kernel_get(&run, out[0]), loss, r->rows, 3e-6);
    kernel_check(&run, "lse", kernel_get(&run, out[1]), lse, r->rows, 3e-6);
    for (int i = 0; i < 2; i++) {
        dlogits[i] = kernel_put_floats(&run, start, n);
        b->cross_entropy_bwd(b, r->rows, v, dl, dt, dw, e, out[1],
                             kernel_put_floats(&run, dloss, r->rows), dlogits[i]);
    }
    kernel_check(&run, "dlogits", kernel_get(&run, dlogits[0]), grad, n, 5e-6);
    kernel_check_same(&run, "dlogits", dlogits[0], dlogits[1]);
    kernel_run_end(&run);
}

static void cross_entropy_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < ROW_SHAPES; s++) {
            cross_entropy_case(kernel_backends[i], &row_shapes[s], 0, false);
            cross_entropy_case(kernel_backends[i], &row_shapes[s], 0.1f, true);
        }
}

static void sum_squares_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < SIZES; s++) {
            struct kernel_run run = {.b = kernel_backends[i]};
            int64_t n = sizes[s];
            float *x = kernel_random(&run, n, 1), *dx = kernel_put_floats(&run, x, n);
            double want = 0, got = run.b->sum_squares(run.b, n, dx);

            for (int64_t j = 0; j < n; j++)
                want += (double)x[j] * (double)x[j];
            assert_true(fabs(got - want) <= 1e-12 * want);
            assert_true(run.b->sum_squares(run.b, n, dx) == got);
            if (n > 0) {
                x[n / 2] = NAN;
                assert_true(isnan(run.b->sum_squares(run.b, n, kernel_put_floats(&run, x, n))));
                x[n / 2] = -INFINITY;
                assert_true(isinf(run.b->sum_squares(run.b, n, kernel_put_floats(&run, x, n))));
            }
            kernel_run_end(&run);
        }
}

static void adamw_case(struct backend *b, int64_t n)
{
    const struct adamw a = {.learning_rate = 0.01f,
                            .beta1 = 0.9f,
                            .beta2 = 0.98f,
                            .epsilon = 1e-6f,
                            .weight_decay = 0.05f,
                            .bias1 = 0.271f,
                            .bias2 = 0.0588f,
                            .gradient_scale = 0.5f};
    struct kernel_run run = {.b = b};
    float *start[4], *device[4];
    double *want[4];

    for (int k = 0; k < 4; k++) {
        start[k] = kernel_random(&run, n, 1);
        want[k] = kernel_host(&run, (size_t)n * sizeof(double));
    }
    for (int64_t i = 0; i < n; i++) {
        double g = (double)start[1][i] * (double)a.gradient_scale;

        start[3][i] = fabsf(start[3][i]);
        want[1][i] = start[1][i];
        want[2][i] = (double)a.beta1 * (double)start[2][i] + (1 - (double)a.beta1) * g;
        want[3][i] = (double)a.beta2 * (double)start[3][i] + (1 - (double)a.beta2) * g * g;
        want[0][i] = (double)start[0][i] * (1 - (double)a.learning_rate * (double)a.weight_decay) -
                     (double)a.learning_rate * (want[2][i] / (double)a.bias1) /
                         (sqrt(want[3][i] / (double)a.bias2) + (double)a.epsilon);
    }
    for (int k = 0; k < 4; k++)
        device[k] = kernel_put_floats(&run, start[k], n);
    b->adamw_step(b, &a, n, device[0], device[1], device[2], device[3]);
    for (int k = 0; k < 4; k++)
        kernel_check(&run, "adamw", kernel_get(&run, device[k]), want[k], n, 1e-6);
    kernel_run_end(&run);
}

static void adamw_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < SIZES; s++)
            adamw_case(kernel_backends[i], sizes[s]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_matches),          cmocka_unit_test(gelu_keeps_what_is_not_finite),
        cmocka_unit_test(axpby_matches),         cmocka_unit_test(add_rows_matches),
        cmocka_unit_test(dropout_matches),       cmocka_unit_test(layer_norm_matches),
        cmocka_unit_test(cross_entropy_matches), cmocka_unit_test(sum_squares_matches),
        cmocka_unit_test(adamw_matches),
    };

    return cmocka_run_group_tests(tests, kernel_backends_open, kernel_backends_close);
}
