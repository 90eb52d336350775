/* gradcheck.c: see gradcheck.h. */
#include "support/gradcheck.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define TOLERANCE 2e-4
#define ARENA_BYTES ((size_t)64 << 20)

/* One block of numbers that the loss depends on. */
struct variable {
    char name[128];
    struct param *param; /* NULL: an input */
    int64_t elements;
    float *value, *gradient, *direction;
};

struct run {
    const struct gradcheck *check;
    struct graph *graph;
    int count;
    struct variable *variable; /* inputs first */
    float *seed, *output;      /* [elements of the output] */
    int64_t outputs;
    double size; /* sqrt(sum (seed * output)^2): how large the rounding of the loss can be */
};

static float *floats(int64_t n)
{
    float *x = calloc((size_t)n + 1, sizeof *x);

    assert_non_null(x);
    return x;
}

static void fill_normal(float *x, int64_t n, uint64_t seed, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)random_normal(seed, random_stream(name), (uint64_t)i);
}

static void variables_make(struct run *run)
{
    const struct gradcheck *c = run->check;
    int params = c->params ? params_count(c->params) : 0;

    run->variable = calloc((size_t)(c->input_count + params), sizeof *run->variable);
    assert_non_null(run->variable);
    for (int i = 0; i < c->input_count + params; i++) {
        struct variable *v = &run->variable[run->count];

        v->param = i < c->input_count ? NULL : params_at(c->params, i - c->input_count);
        if (v->param && !v->param->gradient)
            continue;
        if (v->param)
            snprintf(v->name, sizeof v->name, "%s", v->param->name);
        else
            snprintf(v->name, sizeof v->name, "input %d", i);
        v->elements = 1;
        for (int d = 0; !v->param && d < c->input[i].rank; d++)
            v->elements *= c->input[i].dim[d];
        if (v->param)
            v->elements = v->param->elements;
        v->value = floats(v->elements);
        v->gradient = floats(v->elements);
        v->direction = floats(v->elements);
        if (v->param)
            c->backend->download(c->backend, v->value, v->param->value,
                                 (size_t)v->elements * sizeof(float));
        else
            fill_normal(v->value, v->elements, 1, v->name);
        run->count++;
    }
}

/* The output with `step` times their directions added to variables first .. last - 1. */
static struct tensor *forward(struct run *run, int first, int last, double step, bool record,
                              struct tensor **in)
{
    const struct gradcheck *c = run->check;
    enum graph_mode mode = c->mode == GRAPH_INFER ? GRAPH_RECORD : c->mode;
    struct earshot_error error;
    struct tensor *out;

    graph_begin(run->graph, mode, 7, 3);
    for (int i = 0; i < run->count; i++) {
        struct variable *v = &run->variable[i];
        float *moved = floats(v->elements);

        for (int64_t j = 0; j < v->elements; j++)
            moved[j] = v->value[j] +
                       (i >= first && i < last ? (float)(step * (double)v->direction[j]) : 0);
        if (v->param)
            c->backend->upload(c->backend, v->param->value, moved,
                               (size_t)v->elements * sizeof(float));
        else
            in[i] = graph_input(run->graph, ELEMENT_ACT, c->input[i].rank, c->input[i].dim, moved);
        if (!v->param && record)
            graph_require_gradient(in[i]);
        free(moved);
    }
    out = c->build(run->graph, c->context, in);
    if (graph_status(run->graph, &error) != EARSHOT_OK)
        fail_msg("%s: %s", c->what, error.message);
    return out;
}

static double loss(struct run *run, int first, int last, double step)
{
    struct tensor *in[GRADCHECK_INPUTS_MAX];
    struct tensor *out = forward(run, first, last, step, false, in);
    double sum = 0;

    graph_download(run->graph, out, run->output);
    for (int64_t i = 0; i < run->outputs; i++)
        sum += (double)run->seed[i] * (double)run->output[i];
    return sum;
}

static void backward(struct run *run)
{
    const struct gradcheck *c = run->check;
    struct tensor *in[GRADCHECK_INPUTS_MAX];
    struct earshot_error error;
    struct tensor *out = forward(run, 0, 0, 0, true, in);

    run->outputs = out->elements;
    run->seed = floats(run->outputs);
    run->output = floats(run->outputs);
    fill_normal(run->seed, run->outputs, 2, "seed");
    graph_download(run->graph, out, run->output);
    for (int64_t i = 0; i < run->outputs; i++)
        run->size += pow((double)run->seed[i] * (double)run->output[i], 2);
    run->size = sqrt(run->size);
    if (c->params)
        params_zero_gradients(c->params);
    graph_seed(run->graph, out, run->seed);
    graph_backward(run->graph);
    if (graph_status(run->graph, &error) != EARSHOT_OK)
        fail_msg("%s, backward: %s", c->what, error.message);
    for (int i = 0; i < run->count; i++) {
        struct variable *v = &run->variable[i];

        if (v->param)
            c->backend->download(c->backend, v->gradient, v->param->gradient,
                                 (size_t)v->elements * sizeof(float));
        else
            graph_download_gradient(run->graph, in[i], v->gradient);
    }
}

/* sum(gradient * u) along a new random direction u through variables first .. last - 1. */
static double turn(struct run *run, int first, int last, int draw, double *norm)
{
    double exact = 0, square = 0;

    for (int i = first; i < last; i++) {
        struct variable *v = &run->variable[i];

        fill_normal(v->direction, v->elements, 3 + (uint64_t)draw, v->name);
        for (int64_t j = 0; j < v->elements; j++) {
            exact += (double)v->gradient[j] * (double)v->direction[j];
            square += (double)v->gradient[j] * (double)v->gradient[j];
        }
    }
    *norm = sqrt(square);
    return exact;
}

/* The error over the error allowed in one direction, for the step that suits it better: a long one
 * where the loss is nearly straight, a short one where it bends. */
static double direction_error(struct run *run, int first, int last, int draw)
{
    static const double steps[] = {1e-2, 3e-3, 1e-3};
    double norm, exact = turn(run, first, last, draw, &norm), best = HUGE_VAL;

    for (size_t i = 0; i < sizeof steps / sizeof *steps && !(best <= 0.5); i++) {
        double h = steps[i];
        double numeric = (8 * (loss(run, first, last, h) - loss(run, first, last, -h)) -
                          (loss(run, first, last, 2 * h) - loss(run, first, last, -2 * h))) /
                         (12 * h);
        double allowed = TOLERANCE * norm + 4 * FLT_EPSILON * run->size / h;
        double ratio = fabs(exact - numeric) / allowed;

        if (ratio < best) /* NaN never is */
            best = ratio;
    }
    return best;
}

double gradcheck_worst(const struct gradcheck *check, char where[160])
{
    struct graph_options options = {ARENA_BYTES, ARENA_BYTES,
                                    check->checkpoint ? GRAPH_CHECKPOINT_ALL : 0};
    struct run run = {.check = check};
    struct earshot_error error;
    double worst = 0;

    assert_ok(graph_open(check->backend, &options, &run.graph, &error));
    variables_make(&run);
    backward(&run);
    for (int i = 0; i <= run.count; i++) {
        int first = i < run.count ? i : 0, last = i < run.count ? i + 1 : run.count;

        for (int draw = 0; draw < (check->directions ? check->directions : 2); draw++) {
            double ratio = direction_error(&run, first, last, draw);

            if (ratio > worst && where)
                snprintf(where, 160, "%s", i < run.count ? run.variable[i].name : "everything");
            worst = ratio > worst ? ratio : worst;
        }
    }
    for (int i = 0; i < run.count; i++) {
        struct variable *v = &run.variable[i];

        if (v->param) /* as it was */
            check->backend->upload(check->backend, v->param->value, v->value,
                                   (size_t)v->elements * sizeof(float));
        free(v->value);
        free(v->gradient);
        free(v->direction);
    }
    free(run.variable);
    free(run.seed);
    free(run.output);
    graph_close(run.graph);
    return worst;
}

void gradcheck_run(const struct gradcheck *check)
{
    char where[160] = "";
    double worst = gradcheck_worst(check, where);
    if (!(worst <= 1))
        fail_msg("%s: the gradient of %s is off: %.3g times the error allowed", check->what, where,
                 worst);
}

void gradcheck_randomise(struct params *params)
{
    struct backend *b = params_backend(params);

    for (int i = 0; i < params_count(params); i++) {
        struct param *p = params_at(params, i);
        float *value = floats(p->elements);
        double scale = 0.3, mean = p->init == PARAM_ONES;

        if (p->rank >= 2)
            scale = 1 / sqrt((double)p->elements / (double)p->dim[0]);
        fill_normal(value, p->elements, 4, p->name);
        for (int64_t j = 0; j < p->elements; j++)
            value[j] = (float)(mean + scale * (double)value[j]);
        b->upload(b, p->value, value, (size_t)p->elements * sizeof(float));
        free(value);
    }
}
