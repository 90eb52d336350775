/* test_graph.c: the tape, the memory of a step, blocks and checkpoints. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "support/tiny.h"

static struct backend *backend;

/* ---- running out of host memory ----------------------------------------------------------------
 */

/* The graph's host memory comes from aligned_alloc, which this program takes the place of: after so
 * many calls more it gives nothing; -1: never. */
static int allocations_left = -1;

void *aligned_alloc(size_t alignment, size_t size)
{
    void *memory;

    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    return posix_memalign(&memory, alignment, size) ? NULL : memory;
}

static struct graph *open_graph(size_t activations, size_t gradients, bool checkpoint)
{
    struct graph_options options = {activations, gradients, checkpoint ? GRAPH_CHECKPOINT_ALL : 0};
    struct earshot_error error;
    struct graph *g;

    assert_ok(graph_open(backend, &options, &g, &error));
    return g;
}

static struct graph *roomy(bool checkpoint)
{
    return open_graph((size_t)32 << 20, (size_t)8 << 20, checkpoint);
}

static struct tensor *filled(struct graph *g, int rank, const int64_t *dim, float value)
{
    int64_t n = 1;
    struct tensor *x;
    float *host;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    host = malloc((size_t)n * sizeof *host);
    for (int64_t i = 0; i < n; i++)
        host[i] = value + (float)i;
    x = graph_input(g, ELEMENT_ACT, rank, dim, host);
    free(host);
    return x;
}

/* ---- errors -----------------------------------------------------------------------------------
 */

/* A set of parameters and tensors of shapes that no op takes together. */
struct odd {
    struct param *w, *vector, *table;
    struct tensor *x3, *x2, *scalar, *ids, *bytes, *floats, *video;
    struct tensor *y3; /* another batch than x3 */
};

static void odd_linear(struct graph *g, const struct odd *o)
{
    op_linear(g, o->x3, o->w, NULL);
}

static void odd_linear_bias(struct graph *g, const struct odd *o)
{
    op_linear(g, o->x2, o->w, o->w);
}

static void odd_linear_scalar(struct graph *g, const struct odd *o)
{
    op_linear(g, o->scalar, o->w, NULL);
}

static void odd_self_attention(struct graph *g, const struct odd *o)
{
    op_self_attention(g, o->x3, &(struct attention_options){.heads = 1});
}

static void odd_heads(struct graph *g, const struct odd *o)
{
    op_self_attention(g, o->y3, &(struct attention_options){.heads = 2});
}

static void odd_mask(struct graph *g, const struct odd *o)
{
    op_self_attention(g, o->y3, &(struct attention_options){.heads = 1, .key_mask = o->bytes});
}

static void odd_bias(struct graph *g, const struct odd *o)
{
    op_self_attention(g, o->y3, &(struct attention_options){.heads = 1, .bias = o->floats});
}

static void odd_region(struct graph *g, const struct odd *o)
{
    op_self_attention(g, o->y3, &(struct attention_options){.heads = 1, .region = o->ids});
}

static void odd_cross_attention(struct graph *g, const struct odd *o)
{
    op_cross_attention(g, o->x3, o->y3, -1, &(struct attention_options){.heads = 1});
}

static void odd_attention_bias(struct graph *g, const struct odd *o)
{
    op_attention_bias(g, o->table, o->x2);
}

static void odd_norm(struct graph *g, const struct odd *o)
{
    op_layer_norm(g, o->x3, o->vector, o->vector, 1e-5f);
}

static void odd_sum(struct graph *g, const struct odd *o)
{
    op_add(g, o->x3, o->y3);
}

static void odd_rows(struct graph *g, const struct odd *o)
{
    op_add_rows(g, o->x3, o->vector, 1, 1);
}

static void odd_reshape(struct graph *g, const struct odd *o)
{
    op_reshape(g, o->x3, 1, (int64_t[]){31});
}

static void odd_gather(struct graph *g, const struct odd *o)
{
    op_gather_rows(g, o->x3, o->x2);
}

static void odd_embed(struct graph *g, const struct odd *o)
{
    op_embed(g, o->table, o->x2);
}

static void odd_concat(struct graph *g, const struct odd *o)
{
    op_concat_tokens(g, 2, (struct tensor *[]){o->x3, o->y3});
}

static void odd_slice(struct graph *g, const struct odd *o)
{
    op_slice_tokens(g, o->x3, 2, 2);
}

static void odd_transpose(struct graph *g, const struct odd *o)
{
    op_transpose(g, o->x2);
}

static void odd_unfold(struct graph *g, const struct odd *o)
{
    int64_t grid[3];

    op_unfold(g, o->video, (int64_t[]){2, 2, 9}, (int64_t[]){1, 1, 1}, false, grid);
}

static void odd_mean(struct graph *g, const struct odd *o)
{
    op_mean_tokens(g, o->x2);
}

static void odd_cache(struct graph *g, const struct odd *o)
{
    op_cache_store(g, o->x3, o->x3, 1);
}

static void odd_target(struct graph *g, const struct odd *o)
{
    op_cross_entropy(g, o->x3, o->ids, NULL, 0);
}

static void odd_weight(struct graph *g, const struct odd *o)
{
    op_cross_entropy(g, o->x2, o->ids, o->floats, 0);
}

static const struct {
    void (*call)(struct graph *g, const struct odd *o);
    const char *op, *shape;
} odd_calls[] = {
    {odd_linear, "odd.w", "[2, 3, 5]"},
    {odd_linear_bias, "odd.w", "[2, 7]"},
    {odd_linear_scalar, "odd.w", "[]"},
    {odd_self_attention, "self-attention", "[2, 3, 5]"},
    {odd_heads, "self-attention", "[1, 3, 9]"},
    {odd_mask, "key mask", "[4]"},
    {odd_bias, "attention bias", "[4]"},
    {odd_region, "regions", "[2]"},
    {odd_cross_attention, "cross-attention", "[1, 3, 9]"},
    {odd_attention_bias, "odd.table", "[2, 7]"},
    {odd_norm, "odd.vector", "[2, 3, 5]"},
    {odd_sum, "sum", "[1, 3, 9]"},
    {odd_rows, "odd.vector", "[2, 3, 5]"},
    {odd_reshape, "reshape", "30 to 31"},
    {odd_gather, "gather", "[2, 7]"},
    {odd_embed, "odd.table", "[2, 7]"},
    {odd_concat, "concatenation", "[1, 3, 9]"},
    {odd_slice, "slice", "[2, 3, 5]"},
    {odd_transpose, "transpose", "[2, 7]"},
    {odd_unfold, "patches", "[1, 1, 2, 3, 4]"},
    {odd_mean, "mean", "[2, 7]"},
    {odd_cache, "cache", "[2, 3, 5]"},
    {odd_target, "targets", "[2]"},
    {odd_weight, "weights", "[4]"},
};

#define ODD_CALLS (sizeof odd_calls / sizeof *odd_calls)

static struct odd odd_new(struct graph *g, struct params *params)
{
    return (struct odd){
        .w = params_find(params, "odd.w"),
        .vector = params_find(params, "odd.vector"),
        .table = params_find(params, "odd.table"),
        .x3 = filled(g, 3, (int64_t[]){2, 3, 5}, 0),
        .x2 = filled(g, 2, (int64_t[]){2, 7}, 0),
        .scalar = filled(g, 0, NULL, 0),
        .y3 = filled(g, 3, (int64_t[]){1, 3, 9}, 0),
        .ids = graph_input(g, ELEMENT_I32, 1, (int64_t[]){2}, NULL),
        .bytes = graph_input(g, ELEMENT_U8, 1, (int64_t[]){4}, NULL),
        .floats = graph_input(g, ELEMENT_F32, 1, (int64_t[]){4}, NULL),
        .video = filled(g, 5, (int64_t[]){1, 1, 2, 3, 4}, 0),
    };
}

static struct params *odd_params(void)
{
    struct params *params = params_new();
    struct earshot_error error;

    params_add(params, PARAM_ONES, 0, 2, (int64_t[]){4, 7}, "odd.w");
    params_add(params, PARAM_ONES, 0, 1, (int64_t[]){6}, "odd.vector");
    params_add(params, PARAM_ONES, 0, 2, (int64_t[]){6, 2}, "odd.table");
    assert_ok(params_allocate(params, backend, true, &error));
    return params;
}

static void shapes_that_do_not_fit(void **state)
{
    struct params *params = odd_params();
    struct graph *g = roomy(false);
    struct earshot_error error;

    (void)state;
    for (size_t i = 0; i < ODD_CALLS; i++) {
        struct odd o;

        graph_begin(g, GRAPH_RECORD, 0, 0);
        o = odd_new(g, params);
        odd_calls[i].call(g, &o);
        assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_INTERNAL);
        if (!strstr(error.message, odd_calls[i].op) || !strstr(error.message, odd_calls[i].shape))
            fail_msg("'%s' does not say '%s' and '%s'", error.message, odd_calls[i].op,
                     odd_calls[i].shape);
    }
    graph_close(g);
    params_free(params);
}

/* After the first error every op may be called with whatever the failed ones gave. */
static void the_first_error_sticks(void **state)
{
    struct params *params = odd_params();
    struct graph *g = roomy(false);
    struct earshot_error error;
    float nothing[64] = {42};
    struct odd o;

    (void)state;
    for (int way = 0; way < 2; way++) {
        graph_begin(g, GRAPH_RECORD, 0, 0);
        if (way)
            o = odd_new(g, params); /* good tensors after an error; or else failed ones */
        graph_fail(g, EARSHOT_ERROR_NO_STREAM, "the %s error", "first");
        if (!way)
            o = odd_new(g, params);
        for (size_t i = 0; i < ODD_CALLS; i++)
            odd_calls[i].call(g, &o);
        op_gelu(g, o.x3);
        op_dropout(g, o.x3, 0.5f);
        op_drop_path(g, o.x3, 0.5f);
        op_broadcast(g, o.table, 2, 6);
        graph_seed(g, o.x3, nothing);
        graph_backward(g);
        graph_download(g, o.x3, nothing);
        graph_download_gradient(g, o.x3, nothing);
        assert_true(nothing[0] == 42);
        graph_fail(g, EARSHOT_ERROR_MEMORY, "the second");
        assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_NO_STREAM);
        assert_string_equal(error.message, "the first error");
    }
    graph_begin(g, GRAPH_RECORD, 0, 0);
    assert_ok(graph_status(g, &error));
    graph_close(g);
    params_free(params);
}

static void host_memory_runs_out(void **state)
{
    struct graph_options options = {1 << 20, 1 << 20, false};
    struct earshot_error error;
    struct graph *g = NULL;
    struct tensor *x;
    unsigned char *bytes;

    (void)state;
    allocations_left = 0;
    assert_int_equal(graph_open(backend, &options, &g, &error), EARSHOT_ERROR_MEMORY);
    assert_null(g);
    allocations_left = 1;
    assert_ok(graph_open(backend, &options, &g, &error));
    graph_begin(g, GRAPH_RECORD, 0, 0);
    assert_null(graph_host(g, 2 << 20)); /* too much for the first chunk */
    assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_MEMORY);
    assert_non_null(strstr(error.message, "2097152"));
    bytes = graph_host(g, 100); /* a little may be written after an error */
    memset(bytes, 1, 100);
    graph_begin(g, GRAPH_RECORD, 0, 0); /* tape and shapes */
    x = filled(g, 1, (int64_t[]){1}, 0);
    graph_require_gradient(x);
    for (int i = 0; i < 20000; i++)
        x = op_gelu(g, x);
    assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_MEMORY);
    graph_backward(g);
    allocations_left = -1; /* there is memory again */
    graph_begin(g, GRAPH_RECORD, 0, 0);
    assert_non_null(graph_host(g, 2 << 20));
    assert_ok(graph_status(g, &error));
    graph_close(g);
}

/* ---- the memory of a step ----------------------------------------------------------------------
 */

/* One training step; the sum of its losses, 0 when it failed. */
static double training_step(struct graph *g, const struct captioner *c)
{
    float losses[TINY_LOSSES], ones[TINY_LOSSES];
    struct tensor *out;
    double sum = 0;

    graph_begin(g, GRAPH_TRAIN, 3, 5);
    params_zero_gradients(c->params);
    out = tiny_losses(g, c);
    graph_download(g, out, losses);
    for (int i = 0; i < TINY_LOSSES; i++)
        ones[i] = 1;
    graph_seed(g, out, ones);
    graph_backward(g);
    for (int i = 0; i < TINY_LOSSES && !graph_failed(g); i++)
        sum += (double)losses[i];
    return sum;
}

/* All gradients in one array. */
static float *gradients_of(const struct captioner *c)
{
    float *all = malloc((size_t)params_elements(c->params) * sizeof *all), *at = all;

    assert_non_null(all);
    for (int i = 0; i < params_count(c->params); i++) {
        const struct param *p = params_at(c->params, i);

        backend->download(backend, at, p->gradient, (size_t)p->elements * sizeof *at);
        at += p->elements;
    }
    return all;
}

static struct captioner *dropping_captioner(void)
{
    struct model_config config = tiny_config(FUSION_LOCAL_GLOBAL, 1);

    tiny_set_dropout(&config);
    return tiny_captioner(&config, backend, true);
}

static void every_size_from_too_small_to_enough(void **state)
{
    struct captioner *c = dropping_captioner();

    (void)state;
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        struct graph *g = roomy(checkpoint);
        double loss = training_step(g, c);
        struct graph_options needs = graph_needs(g);
        size_t bytes = (size_t)params_elements(c->params) * sizeof(float);
        float *want = gradients_of(c);

        assert_true(loss > 0);
        graph_close(g);
        for (int i = 0; i <= 24; i++)
            for (int which = 0; which < 2; which++) {
                size_t activations = which ? needs.activation_bytes : 0;
                size_t gradients = which ? 0 : needs.gradient_bytes;
                struct earshot_error error;
                double got;

                if (which)
                    gradients = needs.gradient_bytes * (size_t)i / 24;
                else
                    activations = needs.activation_bytes * (size_t)i / 24;
                g = open_graph(activations, gradients, checkpoint);
                got = training_step(g, c);
                if (i < 24) {
                    const char *kind = which ? "reserved for gradients" : "for activations";

                    assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_MEMORY);
                    assert_non_null(strstr(error.message, kind));
                    assert_true(
                        (which ? graph_needs(g).gradient_bytes : graph_needs(g).activation_bytes) >
                        (which ? gradients : activations));
                } else { /* exactly what was needed */
                    float *have = gradients_of(c);

                    assert_ok(graph_status(g, &error));
                    assert_true(got == loss);
                    assert_memory_equal(have, want, bytes);
                    assert_int_equal(graph_needs(g).activation_bytes, needs.activation_bytes);
                    assert_int_equal(graph_needs(g).gradient_bytes, needs.gradient_bytes);
                    free(have);
                }
                graph_close(g);
            }
        free(want);
    }
    captioner_free(c);
}

static void the_message_names_the_size(void **state)
{
    struct graph *g = open_graph(1024, 64, false);
    struct earshot_error error;
    struct tensor *x;

    (void)state;
    graph_begin(g, GRAPH_RECORD, 0, 0);
    filled(g, 1, (int64_t[]){300}, 0);
    assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_MEMORY);
    assert_non_null(strstr(error.message, "1024 bytes"));
    assert_non_null(strstr(error.message, "at least 1216"));
    graph_begin(g, GRAPH_RECORD, 0, 0);
    x = filled(g, 1, (int64_t[]){50}, 0);
    graph_require_gradient(x);
    graph_seed(g, x, (float[50]){0});
    assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_MEMORY);
    assert_non_null(strstr(error.message, "64 bytes"));
    assert_non_null(strstr(error.message, "at least 256"));
    graph_close(g);
}

/* ---- checkpoints, scopes, updates --------------------------------------------------------------
 */

static void checkpoints_change_no_bit(void **state)
{
    struct captioner *c = dropping_captioner();
    size_t bytes = (size_t)params_elements(c->params) * sizeof(float);
    struct graph *plain = roomy(false), *checked = roomy(true);
    double loss = training_step(plain, c);
    float *want = gradients_of(c), *got;

    (void)state;
    assert_true(loss > 0);
    for (int again = 0; again < 2; again++) { /* the second step of a graph is as good */
        assert_true(training_step(checked, c) == loss);
        assert_int_equal(graph_status(checked, NULL), EARSHOT_OK);
        got = gradients_of(c);
        assert_memory_equal(got, want, bytes);
        free(got);
    }
    assert_true(graph_needs(checked).activation_bytes < graph_needs(plain).activation_bytes);
    graph_close(plain);
    graph_close(checked);
    free(want);
    captioner_free(c);
}

static void inference_changes_no_bit(void **state)
{
    static const enum graph_mode modes[] = {GRAPH_INFER, GRAPH_RECORD, GRAPH_RECORD};
    struct captioner *c = dropping_captioner();
    float losses[3][TINY_LOSSES];
    size_t needs[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct graph *g = roomy(i == 2);
        struct earshot_error error;

        graph_begin(g, modes[i], 0, 0);
        graph_download(g, tiny_losses(g, c), losses[i]);
        assert_ok(graph_status(g, &error));
        needs[i] = graph_needs(g).activation_bytes;
        assert_int_equal(graph_needs(g).gradient_bytes, 0);
        graph_close(g);
    }
    assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
    assert_memory_equal(losses[0], losses[2], sizeof losses[0]);
    assert_true(needs[0] < needs[2] && needs[2] < needs[1]);
    captioner_free(c);
}

struct counter {
    int *runs;
    float factor;
};

/* Two outputs of different sizes: factor * gelu(in0 + in1), and a slice of in1. */
static void two_outputs(struct graph *g, const void *context, struct tensor **in,
                        struct tensor **out)
{
    const struct counter *c = context;
    struct tensor *second = op_slice_tokens(g, in[1], 1, 2);
    struct tensor *sum = op_gelu(g, op_add(g, in[0], in[1]));

    ++*c->runs;
    out[0] = op_axpby(g, c->factor, sum, 0, sum);
    out[1] = second;
}

/* What seeds on the outputs in the mask leave on the inputs: gradients[2][30], outputs[30 + 20]. */
static void run_two_outputs(struct graph *g, unsigned mask, float *gradients, float *outputs)
{
    static const int64_t dim[3] = {2, 3, 5};
    float seed[30];
    struct tensor *in[2], *out[2];
    struct earshot_error error;
    int runs = 0;

    for (int i = 0; i < 30; i++)
        seed[i] = 1 + 0.1f * (float)i;
    graph_begin(g, GRAPH_RECORD, 0, 0);
    for (int i = 0; i < 2; i++) {
        in[i] = filled(g, 3, dim, (float)i - 3);
        graph_require_gradient(in[i]);
    }
    {
        struct counter context = {&runs, 0.5f};

        graph_block(g, two_outputs, &context, sizeof context, 2, in, 2, out);
        context.factor = 0; /* the block has its own copy */
    }
    graph_download(g, out[0], outputs);
    graph_download(g, out[1], outputs + 30);
    for (int i = 0; i < 2; i++)
        if (mask & 1u << i)
            graph_seed(g, out[i], seed);
    graph_backward(g);
    for (int i = 0; i < 2; i++)
        graph_download_gradient(g, in[i], gradients + 30 * i);
    assert_ok(graph_status(g, &error));
}

static void blocks_of_several_outputs(void **state)
{
    struct graph *plain = roomy(false), *checked = roomy(true);
    float want[4][60], got[60], outputs[2][50];

    (void)state;
    for (unsigned mask = 0; mask < 4; mask++) { /* which outputs are used */
        run_two_outputs(plain, mask, want[mask], outputs[0]);
        run_two_outputs(checked, mask, got, outputs[1]);
        assert_memory_equal(want[mask], got, sizeof got);
        assert_memory_equal(outputs[0], outputs[1], sizeof outputs[0]);
    }
    for (int i = 0; i < 60; i++) {
        assert_true(want[0][i] == 0);
        assert_true(want[3][i] == want[1][i] + want[2][i]); /* seeds add up */
    }
    for (int i = 0; i < 30; i++)
        assert_true(want[2][i] == 0 && (i % 15 < 5 || want[2][30 + i] != 0));
    graph_close(plain);
    graph_close(checked);
}

static void gelu_counted(struct graph *g, const void *context, struct tensor **in,
                         struct tensor **out)
{
    ++*((const struct counter *)context)->runs;
    out[0] = op_gelu(g, in[0]);
}

/* A block that updates its own input in place, as inference may: run again, it must find it whole.
 */
static void updates_input(struct graph *g, const void *context, struct tensor **in,
                          struct tensor **out)
{
    struct tensor *x = graph_update(g, gelu_counted, context, sizeof(struct counter), in[0]);

    out[0] = graph_update(g, gelu_counted, context, sizeof(struct counter), x);
}

static void nested_updates(void **state)
{
    static const int64_t dim[2] = {3, 7};
    float result[3][21], gradient[2][21], ones[21];
    struct counter counter;
    int runs;

    (void)state;
    counter.runs = &runs;
    for (int i = 0; i < 21; i++)
        ones[i] = 1;
    for (int way = 0; way < 3; way++) {
        struct graph *g = roomy(way == 1);
        struct tensor *x, *y;
        struct earshot_error error;

        runs = 0;
        graph_begin(g, way == 2 ? GRAPH_INFER : GRAPH_RECORD, 0, 0);
        x = filled(g, 2, dim, -2);
        graph_require_gradient(x);
        graph_block(g, updates_input, &counter, sizeof counter, 1, &x, 1, &y);
        graph_download(g, y, result[way]);
        assert_int_equal(runs, 2);
        if (way < 2) {
            graph_seed(g, y, ones);
            graph_backward(g);
            graph_download_gradient(g, x, gradient[way]);
        }
        assert_ok(graph_status(g, &error));
        graph_close(g);
    }
    assert_memory_equal(result[0], result[1], sizeof result[0]);
    assert_memory_equal(result[0], result[2], sizeof result[0]);
    assert_memory_equal(gradient[0], gradient[1], sizeof gradient[0]);
    assert_true(gradient[0][0] != 0);
}

static void nothing_wanted_is_not_run_again(void **state)
{
    struct graph *g = roomy(true);
    struct earshot_error error;
    int runs = 0;
    struct counter counter = {&runs, 0};
    struct tensor *x, *frozen, *y;

    (void)state;
    graph_begin(g, GRAPH_RECORD, 0, 0);
    x = filled(g, 2, (int64_t[]){3, 7}, 0);
    graph_block(g, gelu_counted, &counter, sizeof counter, 1, &x, 1, &frozen);
    assert_false(frozen->needs_gradient);
    graph_require_gradient(frozen);
    graph_block(g, gelu_counted, &counter, sizeof counter, 1, &frozen, 1, &y);
    assert_int_equal(runs, 2);
    graph_seed(g, y, (float[21]){1});
    graph_backward(g);
    assert_ok(graph_status(g, &error));
    assert_int_equal(runs, 3);
    graph_close(g);
}

static void gives_its_input(struct graph *g, const void *context, struct tensor **in,
                            struct tensor **out)
{
    (void)g;
    (void)context;
    out[0] = in[0];
}

static void a_block_that_gives_its_input(void **state)
{
    struct graph *g = roomy(true);
    struct earshot_error error;
    struct tensor *x, *y;
    float gradient[3];

    (void)state;
    for (int used = 0; used < 2; used++) {
        graph_begin(g, GRAPH_RECORD, 0, 0);
        x = filled(g, 1, (int64_t[]){3}, 0);
        graph_require_gradient(x);
        graph_block(g, gives_its_input, NULL, 0, 1, &x, 1, &y);
        graph_seed(g, y, (float[]){1, 2, 3});
        if (used) /* a gradient would be lost: said, not done */
            graph_seed(g, x, (float[]){1, 1, 1});
        graph_backward(g);
        graph_download_gradient(g, x, gradient);
        if (used) {
            assert_int_equal(graph_status(g, &error), EARSHOT_ERROR_INTERNAL);
            continue;
        }
        assert_ok(graph_status(g, &error));
        assert_true(gradient[0] == 1 && gradient[1] == 2 && gradient[2] == 3);
    }
    graph_close(g);
}

/* A scope gives back its inside in inference, and any number of outputs comes out whole. */
static void many_outputs(struct graph *g, const void *context, struct tensor **in,
                         struct tensor **out)
{
    struct tensor *kept[3];

    (void)context;
    for (int i = 0; i < 3; i++) {
        op_gelu(g, in[0]); /* thrown away */
        kept[i] = op_axpby(g, (float)(i + 1), in[0], 0, in[0]);
    }
    out[0] = kept[2]; /* not in the order they were made in */
    out[1] = kept[0];
    out[2] = in[0];
    out[3] = op_reshape(g, kept[1], 1, (int64_t[]){21});
}

static void scopes_keep_their_outputs(void **state)
{
    static const float factor[4] = {3, 1, 1, 2};
    struct graph *g = roomy(false);
    struct earshot_error error;
    struct tensor *x, *out[4];
    size_t before;
    float host[21];

    (void)state;
    graph_begin(g, GRAPH_INFER, 0, 0);
    x = filled(g, 2, (int64_t[]){3, 7}, 1);
    before = graph_mark(g);
    graph_scope(g, many_outputs, NULL, 0, 1, &x, 4, out);
    assert_int_equal(graph_mark(g), before + 3 * 128); /* 84 bytes each, in whole cache lines */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out[i]->elements, 21);
        graph_download(g, out[i], host);
        for (int j = 0; j < 21; j++)
            assert_true(host[j] == factor[i] * (float)(1 + j));
    }
    assert_int_equal(out[3]->rank, 1);
    assert_ok(graph_status(g, &error));
    graph_close(g);
}

static void backward_gives_memory_back(void **state)
{
    struct graph *g = roomy(false);
    struct earshot_error error;
    struct tensor *x, *y, *unused;
    size_t before;
    float host[1000];

    (void)state;
    graph_begin(g, GRAPH_RECORD, 0, 0);
    x = filled(g, 1, (int64_t[]){1000}, 0);
    unused = filled(g, 1, (int64_t[]){1000}, 0);
    graph_require_gradient(x);
    graph_require_gradient(unused);
    before = graph_mark(g);
    y = x;
    for (int i = 0; i < 10; i++)
        y = op_gelu(g, y);
    assert_true(graph_mark(g) >= before + 40000);
    for (int i = 0; i < 1000; i++)
        host[i] = 1;
    graph_seed(g, y, host);
    graph_backward(g);
    assert_int_equal(graph_mark(g), before);
    assert_true(graph_needs(g).gradient_bytes <= 3 * 4096); /* never more than three at once */
    graph_download_gradient(g, x, host);
    assert_true(host[999] == 1);
    graph_download_gradient(g, unused, host);
    for (int i = 0; i < 1000; i++)
        assert_true(host[i] == 0);
    assert_ok(graph_status(g, &error));
    graph_close(g);
}

/* ---- over guarded memory -----------------------------------------------------------------------
 */

static void guarded_memory_gives_the_same_bits(void **state)
{
    struct captioner *c = dropping_captioner();
    size_t bytes = (size_t)params_elements(c->params) * sizeof(float);
    struct graph *g = roomy(true);
    double loss = training_step(g, c);
    struct graph_options needs = graph_needs(g);
    struct backend *cpu = backend;
    float *want = gradients_of(c), *got;
    struct earshot_error error;

    (void)state;
    graph_close(g);
    captioner_free(c);
    assert_ok(backend_guard_open(&backend, &error));
    c = dropping_captioner();
    g = open_graph(needs.activation_bytes, needs.gradient_bytes, true);
    assert_true(training_step(g, c) == loss);
    got = gradients_of(c);
    assert_memory_equal(got, want, bytes);
    graph_close(g);
    captioner_free(c);
    backend->close(backend);
    backend = cpu;
    free(got);
    free(want);
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
        cmocka_unit_test(shapes_that_do_not_fit),
        cmocka_unit_test(the_first_error_sticks),
        cmocka_unit_test(host_memory_runs_out),
        cmocka_unit_test(every_size_from_too_small_to_enough),
        cmocka_unit_test(the_message_names_the_size),
        cmocka_unit_test(checkpoints_change_no_bit),
        cmocka_unit_test(inference_changes_no_bit),
        cmocka_unit_test(blocks_of_several_outputs),
        cmocka_unit_test(nested_updates),
        cmocka_unit_test(nothing_wanted_is_not_run_again),
        cmocka_unit_test(a_block_that_gives_its_input),
        cmocka_unit_test(scopes_keep_their_outputs),
        cmocka_unit_test(backward_gives_memory_back),
        cmocka_unit_test(guarded_memory_gives_the_same_bits),
    };

    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
