/* test_product.c: linear layers against plain double loops. */
#include "support/kernels.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

struct product {
    int64_t rows, in, out;
};

static const struct product products[] = {
    {0, 3, 4},      {3, 0, 4},      {3, 4, 0},     {1, 1, 1},     {1, 3, 17},    {3, 17, 33},
    {17, 33, 3},    {2, 64, 5},     {5, 96, 288},  {14, 32, 32},  {15, 31, 64},  {29, 7, 31},
    {33, 100, 1},   {70, 65, 66},   {200, 96, 97}, {131, 40, 24}, {64, 513, 48}, {8, 1100, 130},
    {40, 2100, 70}, {97, 64, 1030}, {600, 64, 64},
};

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void forward(const struct product *p, struct backend *b, bool with_bias)
{
    struct kernel_run run = {.b = b};
    float *x = kernel_random(&run, p->rows * p->in, 1),
          *w = kernel_random(&run, p->in * p->out, 0.3f);
    float *bias = kernel_random(&run, p->out, 1);
    double *want = kernel_host(&run, (size_t)(p->rows * p->out) * sizeof(double));
    double *want_gelu = kernel_host(&run, (size_t)(p->rows * p->out) * sizeof(double));
    float *dx = kernel_put_floats(&run, x, p->rows * p->in);
    float *dw = kernel_put_floats(&run, w, p->in * p->out);
    float *dbias = with_bias ? kernel_put_floats(&run, bias, p->out) : NULL;
    float *y[5];
    double tolerance = 1e-6 * sqrt((double)p->in + 1);

    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t c = 0; c < p->out; c++) {
            double sum = with_bias ? bias[c] : 0;

            for (int64_t i = 0; i < p->in; i++)
                sum += (double)x[r * p->in + i] * (double)w[c * p->in + i];
            want[r * p->out + c] = sum;
            want_gelu[r * p->out + c] = gelu(sum);
        }
    for (int i = 0; i < 5; i++)
        y[i] = kernel_room(&run, p->rows * p->out);
    for (int i = 0; i < 2; i++)
        b->linear_fwd(b, p->rows, p->in, p->out, dx, dw, dbias, y[i]);
    kernel_check(&run, "linear", kernel_get(&run, y[0]), want, p->rows * p->out, tolerance);
    kernel_check_same(&run, "linear", y[0], y[1]);
    if (b->linear_gelu_fwd) {
        b->linear_gelu_fwd(b, p->rows, p->in, p->out, dx, dw, dbias, y[2], y[3]);
        b->linear_gelu_fwd(b, p->rows, p->in, p->out, dx, dw, dbias, y[4], NULL);
        kernel_check(&run, "pre", kernel_get(&run, y[3]), want, p->rows * p->out, tolerance);
        kernel_check(&run, "gelu", kernel_get(&run, y[2]), want_gelu, p->rows * p->out, tolerance);
        kernel_check_same(&run, "gelu without pre", y[2], y[4]);
    }
    kernel_run_end(&run);
}

static void backward(const struct product *p, struct backend *b)
{
    struct kernel_run run = {.b = b};
    int64_t nx = p->rows * p->in, nw = p->in * p->out, ny = p->rows * p->out;
    float *x = kernel_random(&run, nx, 1), *w = kernel_random(&run, nw, 0.3f);
    float *dy = kernel_random(&run, ny, 1), *start = kernel_random(&run, nx + nw + p->out, 1);
    double *want = kernel_host(&run, (size_t)(nx + nw + p->out) * sizeof(double));
    float *px = kernel_put_floats(&run, x, nx), *pw = kernel_put_floats(&run, w, nw);
    float *pdy = kernel_put_floats(&run, dy, ny), *dx[2], *dw[2], *db[2];
    double tolerance = 1e-6 * sqrt((double)(p->rows + p->out) + 1);

    for (int64_t i = 0; i < nx + nw + p->out; i++)
        want[i] = start[i];
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t c = 0; c < p->out; c++) {
            double g = dy[r * p->out + c];

            for (int64_t i = 0; i < p->in; i++) {
                want[r * p->in + i] += g * (double)w[c * p->in + i];
                want[nx + c * p->in + i] += g * (double)x[r * p->in + i];
            }
            want[nx + nw + c] += g;
        }
    for (int i = 0; i < 2; i++) {
        dx[i] = kernel_put_floats(&run, start, nx);
        dw[i] = kernel_put_floats(&run, start + nx, nw);
        db[i] = kernel_put_floats(&run, start + nx + nw, p->out);
    }
    b->linear_bwd(b, p->rows, p->in, p->out, px, pw, pdy, dx[0], true, dw[0], db[0]);
    /* one gradient at a time gives the same bits, so a NULL changes nothing else */
    b->linear_bwd(b, p->rows, p->in, p->out, px, pw, pdy, dx[1], true, NULL, NULL);
    b->linear_bwd(b, p->rows, p->in, p->out, px, pw, pdy, NULL, true, dw[1], NULL);
    b->linear_bwd(b, p->rows, p->in, p->out, px, pw, pdy, NULL, true, NULL, db[1]);
    kernel_check(&run, "dx", kernel_get(&run, dx[0]), want, nx, tolerance);
    kernel_check(&run, "dw", kernel_get(&run, dw[0]), want + nx, nw, tolerance);
    kernel_check(&run, "dbias", kernel_get(&run, db[0]), want + nx + nw, p->out, tolerance);
    kernel_check_same(&run, "dx", dx[0], dx[1]);
    kernel_check_same(&run, "dw", dw[0], dw[1]);
    kernel_check_same(&run, "dbias", db[0], db[1]);
    /* written instead of added to: what was there does not matter */
    for (int64_t i = 0; i < nx; i++) {
        want[i] -= start[i];
        start[i] = NAN;
    }
    dx[0] = kernel_put_floats(&run, start, nx);
    b->linear_bwd(b, p->rows, p->in, p->out, px, pw, pdy, dx[0], false, NULL, NULL);
    kernel_check(&run, "dx written", kernel_get(&run, dx[0]), want, nx, tolerance);
    kernel_run_end(&run);
}

static void linear_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t p = 0; p < sizeof products / sizeof *products; p++)
            for (int bias = 0; bias < 2; bias++)
                forward(&products[p], kernel_backends[i], bias);
}

static void linear_gradients_match(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t p = 0; p < sizeof products / sizeof *products; p++)
            backward(&products[p], kernel_backends[i]);
}

/* More weights than are packed at once; some columns stand for all. */
static void many_weights_match(void **state)
{
    const int64_t rows = 17, in = 740, out = 5600;

    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        struct kernel_run run = {.b = kernel_backends[i]};
        float *x = kernel_random(&run, rows * in, 1),
              *w = kernel_host(&run, 4 * (size_t)(in * out));
        float *y = kernel_room(&run, rows * out), *got;

        for (int64_t j = 0; j < in * out; j++)
            w[j] = (float)(j * 7 % 31) * 0.1f - 1.5f;
        run.b->linear_fwd(run.b, rows, in, out, kernel_put_floats(&run, x, rows * in),
                          kernel_put_floats(&run, w, in * out), NULL, y);
        got = kernel_get(&run, y);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < out; c += 37) {
                double sum = 0;

                for (int64_t k = 0; k < in; k++)
                    sum += (double)x[r * in + k] * (double)w[c * in + k];
                kernel_check(&run, "y", &got[r * out + c], &sum, 1, 3e-5);
            }
        kernel_run_end(&run);
    }
}

/* ---- signals ---- */

#define SIGNALS 20 /* handled while products are computed */

static volatile sig_atomic_t signals;

/* A handler with a frame of some size, as a profiler's has. */
static void on_signal(int number)
{
    volatile char frame[2048];

    (void)number;
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = 0x77;
    signals++;
}

/* To the process: any thread that lets it in may get it, but not this one. */
static void *send_signals(void *context)
{
    volatile sig_atomic_t *stop = context;
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    while (!*stop) {
        kill(getpid(), SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return NULL;
}

static void add_products(struct backend *b, const struct product *p, int count, const float *x,
                         const float *dy, float *dw)
{
    for (int i = 0; i < count; i++)
        b->linear_bwd(b, p->rows, p->in, p->out, x, NULL, dy, NULL, false, dw, NULL);
}

/* A product in the hands of a library must not be torn by a signal (cpu/sgemm.c): that breaks the
 * heap, which malloc sees when the library frees its buffers. */
static void under_signals(const struct product *p, struct backend *b)
{
    struct kernel_run run = {.b = b};
    int64_t nx = p->rows * p->in, nw = p->in * p->out, ny = p->rows * p->out;
    const float *x = kernel_put_floats(&run, kernel_random(&run, nx, 1), nx);
    const float *dy = kernel_put_floats(&run, kernel_random(&run, ny, 1), ny);
    float *start = kernel_random(&run, nw, 1);
    float *dw[2] = {kernel_put_floats(&run, start, nw), kernel_put_floats(&run, start, nw)};
    volatile sig_atomic_t stop = 0;
    pthread_t thread;
    sigset_t mask;
    int count = 0;

    signals = 0;
    assert_int_equal(pthread_create(&thread, NULL, send_signals, (void *)&stop), 0);
    for (; signals < SIGNALS; count++)
        add_products(b, p, 1, x, dy, dw[0]);
    stop = 1;
    pthread_join(thread, NULL);
    add_products(b, p, count, x, dy, dw[1]);
    kernel_check_same(&run, "dw", dw[0], dw[1]);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    assert_false(sigismember(&mask, SIGUSR1));
    kernel_run_end(&run);
}

static void signals_do_no_harm(void **state)
{
    const struct product p = {.rows = 4096, .in = 192, .out = 64};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;

    (void)state;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    for (int i = 0; kernel_backends[i]; i++)
        under_signals(&p, kernel_backends[i]);
    sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_matches),
        cmocka_unit_test(linear_gradients_match),
        cmocka_unit_test(many_weights_match),
        cmocka_unit_test(signals_do_no_harm),
    };

    return cmocka_run_group_tests(tests, kernel_backends_open, kernel_backends_close);
}
