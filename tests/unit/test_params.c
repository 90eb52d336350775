/* test_params.c: the table of parameters: declaring, blocks, initial values, norms. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/params.h"

static struct backend *backend;

static void allocate(struct params *params, bool training)
{
    struct earshot_error error;

    assert_ok(params_allocate(params, backend, training, &error));
}

static float *values_of(const struct param *param)
{
    float *host = malloc((size_t)param->elements * sizeof *host);

    assert_non_null(host);
    backend->download(backend, host, param->value, (size_t)param->elements * sizeof *host);
    return host;
}

static void declared_and_found(void **state)
{
    struct params *params = params_new();
    struct param *w = params_add(params, PARAM_NORMAL, 0.02f, 3, (int64_t[]){3, 5, 2}, "a.%d.w", 7);
    struct param *bias = params_add(params, PARAM_ZEROS, 0, 1, (int64_t[]){3}, "a.%d.bias", 7);
    struct param *norm = params_add(params, PARAM_ONES, 0, 1, (int64_t[]){5}, "norm");

    (void)state;
    assert_int_equal(params_count(params), 3);
    assert_ptr_equal(params_at(params, 1), bias);
    assert_ptr_equal(params_find(params, "a.7.w"), w);
    assert_null(params_find(params, "a.7"));
    assert_int_equal(w->elements, 30);
    assert_int_equal(params_elements(params), 38);
    assert_true(w->decay && !bias->decay && !norm->decay);
    assert_true(w->trainable && w->learning_rate_scale == 1);
    assert_int_equal(w->offset % 16, 0);
    assert_int_equal(norm->offset % 16, 0);
    assert_int_equal(params_bytes(params, false), (32 + 16 + 16) * 4);
    assert_int_equal(params_bytes(params, true), 4 * (32 + 16 + 16) * 4);
    bias->trainable = false;
    allocate(params, true);
    assert_ptr_equal(params_backend(params), backend);
    assert_int_equal((uintptr_t)norm->value % 64, 0);
    assert_non_null(w->gradient);
    assert_non_null(w->moment2);
    assert_null(bias->gradient); /* frozen */
    assert_null(bias->moment1);
    params_free(params);
}

/* A thousand declarations move the table; the pointers stay. */
static void pointers_stay_valid(void **state)
{
    struct params *params = params_new();
    struct param *param[1000];

    (void)state;
    for (int i = 0; i < 1000; i++)
        param[i] = params_add(params, PARAM_ONES, 0, 1, (int64_t[]){1 + i % 3}, "p%d", i);
    for (int i = 0; i < 1000; i++)
        assert_ptr_equal(params_at(params, i), param[i]);
    allocate(params, false);
    assert_null(param[999]->gradient);
    params_initialise(params, 1);
    for (int i = 0; i < 1000; i++) {
        float *value = values_of(param[i]);

        assert_true(value[param[i]->elements - 1] == 1);
        free(value);
    }
    params_free(params);
}

static void the_first_failure_sticks(void **state)
{
    static const int64_t bad[][2] = {{0, 1}, {-1, 1}, {(int64_t)1 << 39, 4}, {INT64_MAX, 2}};
    struct earshot_error error;

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct params *params = params_new();

        params_add(params, PARAM_ONES, 0, 1, (int64_t[]){3}, "twice");
        if (i < 4)
            assert_null(params_add(params, PARAM_ONES, 0, 2, bad[i], "odd"));
        else
            assert_null(params_add(params, PARAM_ONES, 0, 1, (int64_t[]){4}, "twice"));
        assert_null(params_add(params, PARAM_ONES, 0, 1, (int64_t[]){3}, "good"));
        assert_int_equal(params_allocate(params, backend, true, &error),
                         i < 4 ? EARSHOT_ERROR_ARGUMENT : EARSHOT_ERROR_INTERNAL);
        assert_non_null(strstr(error.message, i < 4 ? "parameter odd" : "twice"));
        params_free(params);
    }
}

/* Values depend on the seed and on the parameter's own name and shape, not on what else there is.
 */
static void initial_values_depend_on_names(void **state)
{
    struct params *one = params_new(), *other = params_new();
    struct param *a = params_add(one, PARAM_NORMAL, 0.5f, 2, (int64_t[]){7, 9}, "a");
    struct param *b = params_add(one, PARAM_NORMAL, 0.5f, 2, (int64_t[]){7, 9}, "b");
    struct param *extra = params_add(other, PARAM_NORMAL, 0.5f, 1, (int64_t[]){5000}, "extra");
    struct param *b2 = params_add(other, PARAM_NORMAL, 0.5f, 2, (int64_t[]){7, 9}, "b");
    float *values[4];

    (void)state;
    allocate(one, false);
    allocate(other, true);
    params_initialise(one, 11);
    params_initialise(other, 11);
    values[0] = values_of(a);
    values[1] = values_of(b);
    values[2] = values_of(b2);
    assert_memory_equal(values[1], values[2], 63 * sizeof(float));
    assert_memory_not_equal(values[0], values[1], 63 * sizeof(float));
    params_initialise(other, 12);
    values[3] = values_of(b2);
    assert_memory_not_equal(values[2], values[3], 63 * sizeof(float));
    for (int i = 0; i < 4; i++)
        free(values[i]);
    values[0] = values_of(extra); /* longer than one upload */
    assert_memory_not_equal(values[0], values[0] + 4096, 900 * sizeof(float));
    free(values[0]);
    params_free(one);
    params_free(other);
}

/* A normal cut at two deviations has deviation 0.8796 (its variance is 1 - 4 phi(2) / (Phi(2) -
 * Phi(-2))). */
static void the_normal_is_cut(void **state)
{
    struct params *params = params_new();
    struct param *p = params_add(params, PARAM_NORMAL, 0.02f, 1, (int64_t[]){40000}, "w");
    double sum = 0, square = 0, largest = 0;
    float *value;

    (void)state;
    allocate(params, false);
    params_initialise(params, 1);
    value = values_of(p);
    for (int i = 0; i < 40000; i++) {
        double x = (double)value[i] / 0.02;

        sum += x;
        square += x * x;
        largest = fmax(largest, fabs(x));
    }
    assert_true(largest <= 2.0001 && largest > 1.99);
    assert_true(fabs(sum / 40000) < 0.02);
    assert_true(fabs(sqrt(square / 40000) - 0.8796) < 0.01);
    free(value);
    params_free(params);
}

static void norms(void **state)
{
    struct params *params = params_new();
    struct param *a = params_add(params, PARAM_ONES, 0, 1, (int64_t[]){3}, "a");
    struct param *b = params_add(params, PARAM_ONES, 0, 1, (int64_t[]){2}, "b");

    (void)state;
    allocate(params, true);
    assert_true(params_gradient_norm(params) == 0);
    backend->upload(backend, a->gradient, (float[]){1, 2, 2}, 12);
    backend->upload(backend, b->gradient, (float[]){4, -12}, 8);
    assert_true(fabs(params_gradient_norm(params) - 13) < 1e-12);
    backend->upload(backend, b->gradient, (float[]){NAN, 0}, 8);
    assert_true(isnan(params_gradient_norm(params)));
    backend->upload(backend, b->gradient, (float[]){INFINITY, 0}, 8);
    assert_false(isfinite(params_gradient_norm(params)));
    params_zero_gradients(params);
    assert_true(params_gradient_norm(params) == 0);
    params_free(params);
}

static int open_backend(void **state)
{
    (void)state;
    return backend_cpu_open(1, &backend, NULL);
}

static int close_backend(void **state)
{
    (void)state;
    backend->close(backend);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(declared_and_found),
        cmocka_unit_test(pointers_stay_valid),
        cmocka_unit_test(the_first_failure_sticks),
        cmocka_unit_test(initial_values_depend_on_names),
        cmocka_unit_test(the_normal_is_cut),
        cmocka_unit_test(norms),
    };

    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
