/* test_optimizer.c: AdamW with clipping against PyTorch's formula in double. */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "engine/optimizer.h"

#define GROUPS 4
#define ELEMENTS 37
#define STEPS 12

static struct backend *backend;

/* Weight, bias, frozen weight, weight at a tenth of the rate. */
struct fixture {
    struct params *params;
    struct param *param[GROUPS];
};

static struct fixture fixture_new(void)
{
    struct fixture f = {.params = params_new()};
    struct earshot_error error;

    for (int i = 0; i < GROUPS; i++)
        f.param[i] = params_add(f.params, i == 1 ? PARAM_ZEROS : PARAM_NORMAL, 1, i == 1 ? 1 : 2,
                                (int64_t[]){ELEMENTS, 1}, "p%d", i);
    f.param[2]->trainable = false;
    f.param[3]->learning_rate_scale = 0.1f;
    assert_ok(params_allocate(f.params, backend, true, &error));
    params_initialise(f.params, 3);
    return f;
}

static void download(const float *device, float host[ELEMENTS])
{
    backend->download(backend, host, device, ELEMENTS * sizeof *host);
}

static float gradient(int step, int group, int i)
{
    return (float)random_normal(1, (uint64_t)(step * GROUPS + group), (uint64_t)i);
}

static void set_gradients(const struct fixture *f, int step)
{
    for (int p = 0; p < GROUPS; p++) {
        float host[ELEMENTS];

        for (int i = 0; i < ELEMENTS; i++)
            host[i] = gradient(step, p, i);
        if (f->param[p]->gradient)
            backend->upload(backend, f->param[p]->gradient, host, sizeof host);
    }
}

/* torch.optim.AdamW after torch.nn.utils.clip_grad_norm_, in double. */
struct reference {
    double value[GROUPS][ELEMENTS], m[GROUPS][ELEMENTS], v[GROUPS][ELEMENTS];
};

static double reference_step(struct reference *r, const struct optimizer_options *o, double rate,
                             int step)
{
    double norm = 0, scale = 1;

    for (int p = 0; p < GROUPS; p++)
        for (int i = 0; i < ELEMENTS && p != 2; i++)
            norm += pow((double)gradient(step, p, i), 2);
    norm = sqrt(norm);
    if (o->clip_norm > 0)
        scale = fmin(1, o->clip_norm / (norm + 1e-6));
    for (int p = 0; p < GROUPS; p++) {
        double lr = rate * (p == 3 ? 0.1 : 1);

        for (int i = 0; i < ELEMENTS && p != 2; i++) {
            double g = (double)gradient(step, p, i) * scale;

            if (p != 1) /* no decay of biases */
                r->value[p][i] *= 1 - lr * o->weight_decay;
            r->m[p][i] = o->beta1 * r->m[p][i] + (1 - o->beta1) * g;
            r->v[p][i] = o->beta2 * r->v[p][i] + (1 - o->beta2) * g * g;
            r->value[p][i] -= lr / (1 - pow(o->beta1, step)) * r->m[p][i] /
                              (sqrt(r->v[p][i]) / sqrt(1 - pow(o->beta2, step)) + o->epsilon);
        }
    }
    return norm;
}

static void steps_like_pytorch(void **state)
{
    static const struct optimizer_options options[] = {
        {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.05},
        {.beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-6, .weight_decay = 0.3, .clip_norm = 5},
        {.beta1 = 0.5, .beta2 = 0.9, .epsilon = 1e-3, .clip_norm = 1e9},
    };

    (void)state;
    for (size_t n = 0; n < sizeof options / sizeof *options; n++) {
        struct fixture f = fixture_new();
        struct reference r;
        float host[ELEMENTS], frozen[ELEMENTS];

        memset(&r, 0, sizeof r);
        for (int p = 0; p < GROUPS; p++) {
            download(f.param[p]->value, host);
            for (int i = 0; i < ELEMENTS; i++)
                r.value[p][i] = (double)host[i];
        }
        download(f.param[2]->value, frozen);
        for (int step = 1; step <= STEPS; step++) {
            double rate = 0.01 * step, norm, want = reference_step(&r, &options[n], rate, step);

            set_gradients(&f, step);
            assert_true(optimizer_step(f.params, &options[n], rate, step, &norm));
            assert_true(fabs(norm - want) < 1e-9 * want);
        }
        for (int p = 0; p < GROUPS; p++) {
            download(f.param[p]->value, host);
            for (int i = 0; i < ELEMENTS && p != 2; i++)
                if (!(fabs((double)host[i] - r.value[p][i]) < 1e-6))
                    fail_msg("options %d, group %d, element %d: %.9g, expected %.9g", (int)n, p, i,
                             (double)host[i], r.value[p][i]);
        }
        download(f.param[2]->value, host);
        assert_memory_equal(host, frozen, sizeof host);
        params_free(f.params);
    }
}

/* Nothing moves when the norm is no number. */
static void a_bad_gradient_is_refused(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const struct optimizer_options options = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .clip_norm = 1};
    struct fixture f = fixture_new();
    float before[3][ELEMENTS], after[3][ELEMENTS];
    double norm;

    (void)state;
    set_gradients(&f, 1);
    assert_true(optimizer_step(f.params, &options, 0.01, 1, &norm));
    download(f.param[0]->value, before[0]);
    download(f.param[0]->moment1, before[1]);
    download(f.param[0]->moment2, before[2]);
    for (int i = 0; i < 3; i++) {
        set_gradients(&f, 2);
        backend->upload(backend, f.param[1]->gradient + 5, &bad[i], sizeof bad[i]);
        assert_false(optimizer_step(f.params, &options, 0.01, 2, &norm));
        assert_false(isfinite(norm));
        download(f.param[0]->value, after[0]);
        download(f.param[0]->moment1, after[1]);
        download(f.param[0]->moment2, after[2]);
        assert_memory_equal(before, after, sizeof before);
    }
    params_free(f.params);
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
        cmocka_unit_test(steps_like_pytorch),
        cmocka_unit_test(a_bad_gradient_is_refused),
    };

    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
