/*
 * test_product_low.c: linear layers and embeddings with weights of lower precision against plain
 * double loops.  A result may be that of x as it is given or of x rounded as backend.h says, but
 * all of it must be the one or the other.
 */
#include "support/kernels.h"

#include <math.h>
#include <string.h>

struct product {
    int64_t rows, in, out;
};

static const struct product products[] = {
    {0, 3, 4},      {3, 0, 4},      {3, 4, 0},     {20, 0, 3},     {1, 1, 1},
    {1, 3, 17},     {3, 17, 33},    {17, 33, 3},   {2, 64, 5},     {5, 96, 288},
    {14, 32, 32},   {15, 31, 64},   {16, 1, 1},    {29, 7, 31},    {33, 100, 1},
    {70, 65, 66},   {200, 96, 97},  {131, 40, 24}, {64, 513, 48},  {8, 1100, 130},
    {40, 2100, 70}, {97, 64, 1030}, {600, 64, 64}, {1100, 33, 50}, {1030, 128, 16},
};

#define PACKED_ROWS 64 /* from here on both f32 and low precision pack their weights */
#define COUNT(array) (sizeof(array) / sizeof *(array))

static float widened(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* By arithmetic, not by bits: the nearer of the two neighbours, at a tie the one with an even last
 * bit. */
static float nearest_bf16(float x)
{
    uint32_t bits;
    float below, above;

    memcpy(&bits, &x, sizeof bits);
    below = widened((uint16_t)(bits >> 16));
    above = widened((uint16_t)((bits >> 16) + 1));
    if (fabs((double)x - below) != fabs((double)above - x))
        return fabs((double)x - below) < fabs((double)above - x) ? below : above;
    return bits >> 16 & 1 ? above : below;
}

/* x as a processor with products of that type may take it. */
static void round_rows(enum weight_type type, int64_t rows, int64_t in, const float *x, float *to)
{
    for (int64_t r = 0; r < rows; r++, x += in, to += in) {
        float top = 0;

        for (int64_t i = 0; i < in; i++)
            top = fmaxf(top, fabsf(x[i]));
        for (int64_t i = 0; i < in; i++)
            to[i] = type == WEIGHT_BF16 ? nearest_bf16(x[i])
                    : top > 0           ? rintf(x[i] * (127 / top)) * (top / 127)
                                        : 0;
    }
}

/* A weight on the device, and its values on the host. */
static struct low_weight put_weight(struct kernel_run *run, enum weight_type type, int64_t out,
                                    int64_t in, float *value)
{
    float *random = kernel_random(run, out * in, 0.3f), *scale = kernel_random(run, out, 0.001f);
    uint16_t *half = kernel_host(run, (size_t)(out * in) * sizeof *half);
    int8_t *byte = kernel_host(run, (size_t)(out * in));

    for (int64_t i = 0; i < out; i++)
        scale[i] = 0.002f + fabsf(scale[i]);
    for (int64_t i = 0; i < out * in; i++) {
        uint32_t bits;

        memcpy(&bits, random + i, sizeof bits);
        half[i] = (uint16_t)(bits >> 16);
        byte[i] = (int8_t)(int)fmaxf(-127, fminf(127, rintf(random[i] * 150)));
        value[i] = type == WEIGHT_BF16 ? widened(half[i]) : scale[i / in] * (float)byte[i];
    }
    if (type == WEIGHT_BF16)
        return (struct low_weight){type, kernel_put(run, half, (size_t)(out * in) * 2), NULL};
    return (struct low_weight){type, kernel_put(run, byte, (size_t)(out * in)),
                               kernel_put_floats(run, scale, out)};
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void reference(const struct product *p, const float *x, const float *w, const float *bias,
                      double *y, double *y_gelu)
{
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t c = 0; c < p->out; c++) {
            double sum = bias ? bias[c] : 0;

            for (int64_t i = 0; i < p->in; i++)
                sum += (double)x[r * p->in + i] * (double)w[c * p->in + i];
            y[r * p->out + c] = sum;
            y_gelu[r * p->out + c] = gelu(sum);
        }
}

static bool near(const float *got, const double *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            return false;
    return true;
}

static void forward(const struct product *p, struct backend *b, enum weight_type type,
                    bool with_bias)
{
    struct kernel_run run = {.b = b};
    int64_t n = p->rows * p->out;
    float *x = kernel_random(&run, p->rows * p->in, 1), *bias = kernel_random(&run, p->out, 1);
    float *value = kernel_host(&run, (size_t)(p->in * p->out) * sizeof *value);
    float *rounded = kernel_host(&run, (size_t)(p->rows * p->in) * sizeof *rounded);
    struct low_weight w = put_weight(&run, type, p->out, p->in, value);
    double *want = kernel_host(&run, (size_t)n * 2 * sizeof *want);
    double *want_rounded = kernel_host(&run, (size_t)n * 2 * sizeof *want);
    float *px = kernel_put_floats(&run, x, p->rows * p->in), *y[4];
    float *pbias = with_bias ? kernel_put_floats(&run, bias, p->out) : NULL;
    double tolerance = 2e-6 * sqrt((double)p->in + 1);

    round_rows(type, p->rows, p->in, x, rounded);
    reference(p, x, value, with_bias ? bias : NULL, want, want + n);
    reference(p, rounded, value, with_bias ? bias : NULL, want_rounded, want_rounded + n);
    for (int i = 0; i < 4; i++)
        y[i] = kernel_room(&run, n);
    for (int i = 0; i < 3; i++)
        b->linear_low_fwd(b, p->rows, p->in, p->out, px, &w, pbias, i == 2, y[i]);
    /* Many rows with x as it is: exactly what those weights would give in f32. */
    b->linear_fwd(b, p->rows, p->in, p->out, px, kernel_put_floats(&run, value, p->in * p->out),
                  pbias, y[3]);
    if (near(kernel_get(&run, y[0]), want_rounded, n, tolerance))
        want = want_rounded;
    else if (p->rows >= PACKED_ROWS)
        kernel_check_same(&run, "low and f32", y[0], y[3]);
    kernel_check(&run, "low", kernel_get(&run, y[0]), want, n, tolerance);
    kernel_check_same(&run, "low", y[0], y[1]);
    kernel_check(&run, "low gelu", kernel_get(&run, y[2]), want + n, n, tolerance);
    kernel_run_end(&run);
}

static void linear_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t p = 0; p < COUNT(products); p++)
            for (int bias = 0; bias < 2; bias++) {
                forward(&products[p], kernel_backends[i], WEIGHT_BF16, bias);
                forward(&products[p], kernel_backends[i], WEIGHT_I8, bias);
            }
}

/* More weights than are packed at once; some columns stand for all. */
static void many_weights_match(void **state)
{
    const int64_t rows = 17, in = 740, out = 5600;

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (int type = WEIGHT_BF16; type <= WEIGHT_I8; type++) {
            struct kernel_run run = {.b = kernel_backends[i]};
            float *x = kernel_random(&run, rows * in, 1), *got;
            float *value = kernel_host(&run, (size_t)(in * out) * sizeof *value);
            float *rounded = kernel_host(&run, (size_t)(rows * in) * sizeof *rounded);
            struct low_weight w = put_weight(&run, (enum weight_type)type, out, in, value);
            float *px = kernel_put_floats(&run, x, rows * in), *y = kernel_room(&run, rows * out);

            round_rows((enum weight_type)type, rows, in, x, rounded);
            run.b->linear_low_fwd(run.b, rows, in, out, px, &w, NULL, false, y);
            got = kernel_get(&run, y);
            for (int64_t c = 0; c < out; c += 97) {
                const struct product one = {1, in, 1};
                double want[2], want_rounded[2];
                int64_t r = c % rows;
                float at = got[r * out + c];

                reference(&one, x + r * in, value + c * in, NULL, want, want + 1);
                reference(&one, rounded + r * in, value + c * in, NULL, want_rounded,
                          want_rounded + 1);
                if (!near(&at, want_rounded, 1, 3e-5))
                    kernel_check(&run, "many weights", &at, want, 1, 3e-5);
            }
            kernel_run_end(&run);
        }
}

/* Rows whose values no byte can stand for: zeros, far apart, not finite. */
static void odd_rows_do_not_spread(void **state)
{
    const int64_t rows = 32, in = 70, out = 40;

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (int type = WEIGHT_BF16; type <= WEIGHT_I8; type++) {
            struct kernel_run run = {.b = kernel_backends[i]};
            float *x = kernel_random(&run, rows * in, 1), *plain, *odd, *px, *y[2];
            float *value = kernel_host(&run, (size_t)(in * out) * sizeof *value);
            struct low_weight w = put_weight(&run, (enum weight_type)type, out, in, value);

            y[0] = kernel_room(&run, rows * out);
            y[1] = kernel_room(&run, rows * out);
            px = kernel_put_floats(&run, x, rows * in);
            run.b->linear_low_fwd(run.b, rows, in, out, px, &w, NULL, false, y[0]);
            for (int64_t k = 0; k < in; k++) {
                x[3 * in + k] = 0;
                x[5 * in + k] *= 1e-44f;
            }
            x[7 * in + 69] = NAN;
            x[9 * in] = INFINITY;
            px = kernel_put_floats(&run, x, rows * in);
            run.b->linear_low_fwd(run.b, rows, in, out, px, &w, NULL, false, y[1]);
            plain = kernel_get(&run, y[0]);
            odd = kernel_get(&run, y[1]);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < out; c++) {
                    float at = odd[r * out + c];

                    if (r == 3)
                        assert_true(at == 0);
                    else if (r == 5)
                        assert_true(fabsf(at) < 1e-38f);
                    else if (r == 7 || r == 9)
                        assert_false(isfinite(at));
                    else
                        assert_true(at == plain[r * out + c]);
                }
            kernel_run_end(&run);
        }
}

static void embedding_matches(void **state)
{
    static const int32_t index[] = {4, -1, 0, 4, 6};
    static const int64_t widths[] = {1, 5, 16, 33, 64, 100};

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (int type = WEIGHT_BF16; type <= WEIGHT_I8; type++)
            for (size_t k = 0; k < COUNT(widths); k++) {
                struct kernel_run run = {.b = kernel_backends[i]};
                int64_t c = widths[k];
                float *value = kernel_host(&run, (size_t)(7 * c) * sizeof *value), *y, *got;
                struct low_weight table = put_weight(&run, (enum weight_type)type, 7, c, value);
                int32_t *rows = kernel_put(&run, index, sizeof index);

                y = kernel_room(&run, (int64_t)COUNT(index) * c);
                run.b->embed_low_fwd(run.b, COUNT(index), c, rows, 7, &table, y);
                got = kernel_get(&run, y);
                for (size_t r = 0; r < COUNT(index); r++)
                    for (int64_t j = 0; j < c; j++)
                        assert_true(got[(int64_t)r * c + j] ==
                                    (index[r] < 0 ? 0 : value[index[r] * c + j]));
                kernel_run_end(&run);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_matches),
        cmocka_unit_test(many_weights_match),
        cmocka_unit_test(odd_rows_do_not_spread),
        cmocka_unit_test(embedding_matches),
    };

    return cmocka_run_group_tests(tests, kernel_backends_open, kernel_backends_close);
}
