/* test_ops.c: every op of engine/ops.h against numeric derivatives, at odd sizes, on the CPU and
 * over guarded memory. */
#include "support/gradcheck.h"

#include <math.h>

/* What one case needs; ops take what they use. */
struct fixture {
    struct params *params;
    struct param *w, *bias, *table, *w2, *bias2, *gamma, *beta;
    float p; /* of dropout and drop path */
    bool ordered;
    int32_t index[64];
    uint8_t mask[64];
    struct attention_options attention;
};

static struct backend *backend;

static struct param *add(struct fixture *f, const char *name, int rank, const int64_t *dim)
{
    struct param *param = params_add(f->params, PARAM_NORMAL, 1, rank, dim, "%s", name);

    assert_non_null(param);
    return param;
}

static struct fixture fixture_new(void)
{
    struct fixture f = {.params = params_new()};

    assert_non_null(f.params);
    return f;
}

/* Runs the check and frees the fixture's parameters. */
static void run(struct fixture *f, struct gradcheck check)
{
    struct earshot_error error;

    check.backend = backend;
    check.context = f;
    check.params = f->params;
    assert_ok(params_allocate(f->params, backend, true, &error));
    gradcheck_randomise(f->params);
    gradcheck_run(&check);
    params_free(f->params);
}

static struct tensor *indices(struct graph *g, const struct fixture *f, int rank,
                              const int64_t *dim)
{
    return graph_input(g, ELEMENT_I32, rank, dim, f->index);
}

/* ---- products ---------------------------------------------------------------------------------
 */

static struct tensor *build_linear(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;

    return op_linear(g, in[0], f->w, f->bias);
}

static void linear(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f = fixture_new();

        f.w = add(&f, "w", 2, (int64_t[]){7, 13});
        if (i % 2)
            f.bias = add(&f, "bias", 1, (int64_t[]){7});
        run(&f, (struct gradcheck){.what = "linear",
                                   .build = build_linear,
                                   .input_count = 1,
                                   .input = {{3, {2, 5, 13}}}});
    }
}

/* ---- the halves of a transformer block --------------------------------------------------------
 */

/* 2 samples of 3 rows in 8 places, two of them empty. */
static const int32_t order_to[8] = {4, -1, 0, 5, 2, 3, -1, 1};
static const int32_t order_from[6] = {2, 7, 4, 5, 0, 3};

static struct row_order row_order(struct graph *g)
{
    return (struct row_order){graph_input(g, ELEMENT_I32, 2, (int64_t[]){4, 2}, order_to),
                              graph_input(g, ELEMENT_I32, 2, (int64_t[]){2, 3}, order_from)};
}

static struct tensor *build_norm_linear(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;
    const struct norm_layer norm = {f->gamma, f->beta, 1e-5f};
    const struct linear_layer linear = {f->w, f->bias};
    struct row_order order = row_order(g);

    return op_norm_linear(g, in[0], &norm, f->ordered ? &order : NULL, &linear);
}

static void norm_linear(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f = fixture_new();

        f.ordered = i % 2;
        f.gamma = add(&f, "gamma", 1, (int64_t[]){5});
        f.beta = add(&f, "beta", 1, (int64_t[]){5});
        f.w = add(&f, "w", 2, (int64_t[]){7, 5});
        if (i / 2)
            f.bias = add(&f, "bias", 1, (int64_t[]){7});
        run(&f, (struct gradcheck){.what = f.ordered ? "norm_linear, ordered" : "norm_linear",
                                   .build = build_norm_linear,
                                   .input_count = 1,
                                   .input = {{3, {2, 3, 5}}}});
    }
}

static struct tensor *build_linear_residual(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;
    const struct linear_layer linear = {f->w, f->bias};
    struct row_order order = row_order(g);
    struct tensor *y =
        op_linear_residual(g, in[0], in[1], &linear, f->ordered ? &order : NULL, f->p, f->p);

    /* With a gradient of x's that is there before its residual's, and without. */
    return f->p > 0 ? op_axpby(g, 1, in[0], 0.5f, y) : y;
}

static void linear_residual(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f = fixture_new();

        f.ordered = i % 2;
        f.p = i / 2 ? 0.4f : 0;
        f.w = add(&f, "w", 2, (int64_t[]){5, 7});
        if (i / 2)
            f.bias = add(&f, "bias", 1, (int64_t[]){5});
        run(&f,
            (struct gradcheck){.what = f.ordered ? "linear_residual, ordered" : "linear_residual",
                               .build = build_linear_residual,
                               .mode = GRAPH_TRAIN,
                               .input_count = 2,
                               .input = {{3, {2, 3, 5}}, {3, {2, f.ordered ? 4 : 3, 7}}}});
    }
}

static struct tensor *build_mlp(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;
    const struct norm_layer norm = {f->gamma, f->beta, 1e-5f};
    const struct mlp_layer mlp = {{f->w, f->bias}, {f->w2, f->bias2}};

    return op_mlp_residual(g, in[0], f->gamma ? &norm : NULL, &mlp, f->p, f->p);
}

/* 900 rows of 701 hidden columns are two blocks. */
static void mlp(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f = fixture_new();
        int64_t wide = i == 3 ? 701 : 11, rows = i == 3 ? 450 : 3;

        if (i) {
            f.gamma = add(&f, "gamma", 1, (int64_t[]){5});
            f.beta = add(&f, "beta", 1, (int64_t[]){5});
        }
        f.p = i == 2 ? 0.4f : 0;
        f.w = add(&f, "fc1.weight", 2, (int64_t[]){wide, 5});
        f.w2 = add(&f, "fc2.weight", 2, (int64_t[]){5, wide});
        if (i % 2) {
            f.bias = add(&f, "fc1.bias", 1, (int64_t[]){wide});
            f.bias2 = add(&f, "fc2.bias", 1, (int64_t[]){5});
        }
        run(&f, (struct gradcheck){.what = "mlp",
                                   .build = build_mlp,
                                   .mode = GRAPH_TRAIN,
                                   .input_count = 1,
                                   .input = {{3, {2, rows, 5}}}});
    }
}

/* ---- attention --------------------------------------------------------------------------------
 */

static struct tensor *build_self(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;
    struct attention_options options = f->attention;
    int64_t batch = in[0]->dim[0], n = in[0]->dim[1];

    if (f->table)
        options.bias = op_attention_bias(g, f->table, indices(g, f, 2, (int64_t[]){n, n}));
    if (f->mask[0])
        options.key_mask = graph_input(g, ELEMENT_U8, 2, (int64_t[]){batch, n}, f->mask);
    if (f->index[63])
        options.region = graph_input(g, ELEMENT_I32, 2, (int64_t[]){2, n}, f->index + 40);
    return op_self_attention(g, in[0], &options);
}

static void self_attention(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) { /* causal, bias, mask, regions */
        struct fixture f = fixture_new();

        f.attention.heads = 3;
        f.attention.causal = i & 1;
        if (i & 2) {
            f.table = add(&f, "table", 2, (int64_t[]){9, 3});
            for (int j = 0; j < 25; j++)
                f.index[j] = (j * 7) % 9;
        }
        if (i & 4) /* every second key; the last two samples see nothing at all */
            for (int j = 0; j < 10; j++)
                f.mask[j] = j % 2 == 0;
        if (i & 8) {
            for (int j = 0; j < 10; j++)
                f.index[40 + j] = j < 5 ? j / 2 : j % 2;
            f.index[63] = 1;
        }
        run(&f, (struct gradcheck){.what = "self-attention",
                                   .build = build_self,
                                   .input_count = 1,
                                   .input = {{3, {4, 5, 3 * 3 * 5}}}});
    }
}

static struct tensor *build_cross(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;
    struct attention_options options = {.heads = 2};
    int64_t keys = f->index[0] ? f->index[0] : -1;

    if (f->mask[0])
        options.key_mask =
            graph_input(g, ELEMENT_U8, 2, (int64_t[]){2, keys < 0 ? in[1]->dim[1] : keys}, f->mask);
    return op_cross_attention(g, in[0], in[1], keys, &options);
}

static void cross_attention(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) { /* mask, fewer keys */
        struct fixture f = fixture_new();

        if (i & 1)
            f.mask[0] = f.mask[2] = f.mask[3] = 1;
        f.index[0] = i & 2 ? 4 : 0;
        run(&f, (struct gradcheck){.what = "cross-attention",
                                   .build = build_cross,
                                   .input_count = 2,
                                   .input = {{3, {2, 3, 10}}, {3, {2, 7, 20}}}});
    }
}

/* ---- norms and pointwise ----------------------------------------------------------------------
 */

static struct tensor *build_norm(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;

    return op_layer_norm(g, in[0], f->w, f->bias, 1e-5f);
}

static void layer_norm(void **state)
{
    struct fixture f = fixture_new();

    (void)state;
    f.w = add(&f, "gamma", 1, (int64_t[]){19});
    f.bias = add(&f, "beta", 1, (int64_t[]){19});
    run(&f, (struct gradcheck){.what = "layer norm",
                               .build = build_norm,
                               .input_count = 1,
                               .input = {{3, {2, 3, 19}}}});
}

static struct tensor *build_gelu(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_gelu(g, in[0]);
}

static struct tensor *build_axpby(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_axpby(g, 0.7f, in[0], -1.3f, in[1]);
}

/* A tensor used several times: its gradients add up. */
static struct tensor *build_reused(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_axpby(g, 0.7f, op_add(g, in[0], in[0]), 0.5f, op_gelu(g, in[0]));
}

static struct tensor *build_add_rows(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;

    return op_add_rows(g, in[0], f->table, 3, 2);
}

static void pointwise(void **state)
{
    struct fixture gelu = fixture_new(), axpby = fixture_new(), reused = fixture_new();
    struct fixture rows = fixture_new();

    (void)state;
    run(&gelu, (struct gradcheck){
                   .what = "gelu", .build = build_gelu, .input_count = 1, .input = {{2, {5, 7}}}});
    run(&axpby, (struct gradcheck){.what = "axpby",
                                   .build = build_axpby,
                                   .input_count = 2,
                                   .input = {{2, {5, 7}}, {2, {5, 7}}}});
    run(&reused, (struct gradcheck){.what = "a tensor used twice",
                                    .build = build_reused,
                                    .input_count = 1,
                                    .input = {{2, {5, 7}}}});
    rows.table = add(&rows, "table", 2, (int64_t[]){3, 5});
    run(&rows, (struct gradcheck){.what = "add rows",
                                  .build = build_add_rows,
                                  .input_count = 1,
                                  .input = {{3, {2, 7, 5}}}});
}

static struct tensor *build_dropout(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_dropout(g, op_gelu(g, op_dropout(g, in[0], 0.4f)), 0.25f);
}

static struct tensor *build_drop_path(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_add(g, in[0], op_drop_path(g, op_gelu(g, in[0]), 0.5f));
}

static void dropout(void **state)
{
    struct fixture elements = fixture_new(), samples = fixture_new();

    (void)state;
    run(&elements, (struct gradcheck){.what = "dropout",
                                      .build = build_dropout,
                                      .mode = GRAPH_TRAIN,
                                      .input_count = 1,
                                      .input = {{2, {11, 7}}}});
    run(&samples, (struct gradcheck){.what = "drop path",
                                     .build = build_drop_path,
                                     .mode = GRAPH_TRAIN,
                                     .input_count = 1,
                                     .input = {{3, {9, 3, 5}}}});
}

/* ---- moving data ------------------------------------------------------------------------------
 */

static struct tensor *build_gather(struct graph *g, void *context, struct tensor **in)
{
    return op_gather_rows(g, in[0], indices(g, context, 2, (int64_t[]){3, 3}));
}

static struct tensor *build_embed(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;

    (void)in;
    return op_embed(g, f->table, indices(g, f, 2, (int64_t[]){2, 4}));
}

static struct tensor *build_broadcast(struct graph *g, void *context, struct tensor **in)
{
    struct fixture *f = context;

    (void)in;
    return op_broadcast(g, f->table, 4, 3);
}

static void rows_by_index(void **state)
{
    static const int32_t index[9] = {4, -1, 0, 4, 4, 9, -1, 2, 0};
    struct fixture gather = fixture_new(), embed = fixture_new(), broadcast = fixture_new();

    (void)state;
    for (int i = 0; i < 9; i++) {
        gather.index[i] = index[i];
        embed.index[i] = index[i] < 0 ? 3 : index[i];
    }
    run(&gather, (struct gradcheck){.what = "gather rows",
                                    .build = build_gather,
                                    .input_count = 1,
                                    .input = {{3, {2, 5, 7}}}});
    embed.table = add(&embed, "table", 2, (int64_t[]){10, 7});
    run(&embed, (struct gradcheck){.what = "embed", .build = build_embed});
    broadcast.table = add(&broadcast, "table", 2, (int64_t[]){3, 5});
    run(&broadcast, (struct gradcheck){.what = "broadcast", .build = build_broadcast});
}

static struct tensor *build_concat(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_concat_tokens(g, 4, (struct tensor *[]){in[0], in[1], in[2], in[0]});
}

static struct tensor *build_slice(struct graph *g, void *context, struct tensor **in)
{
    struct tensor *part[2] = {op_slice_tokens(g, in[0], 2, 3), op_slice_tokens(g, in[0], 4, 2)};

    (void)context;
    return op_concat_tokens(g, 2, part);
}

/* Views share the gradient of their root, whoever comes first. */
static struct tensor *build_reshape(struct graph *g, void *context, struct tensor **in)
{
    struct tensor *view = op_reshape(g, in[0], 2, (int64_t[]){6, 7});
    struct tensor *back = op_reshape(g, op_gelu(g, view), 3, (int64_t[]){2, 3, 7});

    (void)context;
    return op_add(g, back, in[0]);
}

static struct tensor *build_transpose(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_transpose(g, in[0]);
}

static struct tensor *build_mean(struct graph *g, void *context, struct tensor **in)
{
    (void)context;
    return op_mean_tokens(g, in[0]);
}

static void tokens(void **state)
{
    static const struct gradcheck checks[] = {
        {.what = "concatenation",
         .build = build_concat,
         .input_count = 3,
         .input = {{3, {2, 3, 5}}, {3, {2, 1, 5}}, {3, {2, 7, 5}}}},
        {.what = "slice", .build = build_slice, .input_count = 1, .input = {{3, {2, 7, 5}}}},
        {.what = "reshape", .build = build_reshape, .input_count = 1, .input = {{3, {2, 3, 7}}}},
        {.what = "transpose",
         .build = build_transpose,
         .input_count = 1,
         .input = {{3, {2, 11, 5}}}},
        {.what = "mean", .build = build_mean, .input_count = 1, .input = {{3, {3, 7, 5}}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct fixture f = fixture_new();

        run(&f, checks[i]);
    }
}

static struct tensor *build_unfold(struct graph *g, void *context, struct tensor **in)
{
    const struct fixture *f = context;
    static const int64_t patch[3] = {2, 3, 4};
    int64_t stride[3] = {2, 3, 4}, grid[3];

    if (!f->index[0]) /* overlapping patches, no padding */
        stride[0] = 1, stride[1] = 2, stride[2] = 3;
    return op_unfold(g, in[0], patch, stride, f->index[0], grid);
}

static void unfold(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f = fixture_new();

        f.index[0] = i;
        run(&f, (struct gradcheck){.what = i ? "padded patches" : "overlapping patches",
                                   .build = build_unfold,
                                   .input_count = 1,
                                   .input = {{5, {2, 3, 3, 7, 9}}}});
    }
}

/* ---- loss -------------------------------------------------------------------------------------
 */

static struct tensor *build_loss(struct graph *g, void *context, struct tensor **in)
{
    static const float weights[6] = {1, 0.5f, 2, 0, 1, 3};
    const struct fixture *f = context;
    int64_t rows = 6;
    struct tensor *weight = f->index[10] ? graph_input(g, ELEMENT_F32, 1, &rows, weights) : NULL;

    return op_cross_entropy(g, in[0], indices(g, f, 1, &rows), weight, f->index[11] ? 0.1f : 0);
}

static void cross_entropy(void **state)
{
    static const int32_t target[6] = {0, 12, -1, 5, 7, 7};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f = fixture_new();

        for (int j = 0; j < 6; j++)
            f.index[j] = target[j];
        f.index[10] = i & 1;
        f.index[11] = i & 2;
        run(&f, (struct gradcheck){.what = "cross-entropy",
                                   .build = build_loss,
                                   .input_count = 1,
                                   .input = {{3, {2, 3, 13}}}});
    }
}

/* ---- the check itself -------------------------------------------------------------------------
 */

struct wrong_node {
    struct node node;
    struct tensor *x, *y;
    float factor;
};

static void wrong_backward(struct graph *g, struct node *node)
{
    struct wrong_node *n = (struct wrong_node *)node;

    backend->axpby(backend, n->x->elements, n->factor, graph_gradient(g, n->y), 1,
                   graph_gradient(g, n->x), graph_gradient(g, n->x));
}

/* y = 2 x with a gradient of 2 * 0.998. */
static struct tensor *build_wrong(struct graph *g, void *context, struct tensor **in)
{
    size_t mark = graph_mark(g);
    struct tensor *y = graph_tensor(g, ELEMENT_ACT, in[0]->rank, in[0]->dim);
    struct wrong_node *n = NULL;

    backend->axpby(backend, y->elements, 2, in[0]->data, 0, NULL, y->data);
    if (graph_wants(g, in[0]))
        n = graph_record(g, sizeof *n, mark, wrong_backward, y);
    if (n) {
        n->x = in[0];
        n->y = y;
        n->factor = *(const float *)context;
    }
    return y;
}

static void a_wrong_gradient_is_found(void **state)
{
    float factor = 2;
    struct gradcheck check = {.what = "wrong",
                              .backend = backend,
                              .build = build_wrong,
                              .context = &factor,
                              .input_count = 1,
                              .input = {{2, {5, 7}}}};

    (void)state;
    assert_true(gradcheck_worst(&check, NULL) < 1);
    factor = 1.996f;
    assert_true(gradcheck_worst(&check, NULL) > 2);
}

static int open_cpu(void **state)
{
    (void)state;
    return backend_cpu_open(1, &backend, NULL);
}

static int open_guard(void **state)
{
    (void)state;
    return backend_guard_open(&backend, NULL);
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
        cmocka_unit_test(linear),          cmocka_unit_test(norm_linear),
        cmocka_unit_test(linear_residual), cmocka_unit_test(mlp),
        cmocka_unit_test(self_attention),  cmocka_unit_test(cross_attention),
        cmocka_unit_test(layer_norm),      cmocka_unit_test(pointwise),
        cmocka_unit_test(dropout),         cmocka_unit_test(rows_by_index),
        cmocka_unit_test(tokens),          cmocka_unit_test(unfold),
        cmocka_unit_test(cross_entropy),   cmocka_unit_test(a_wrong_gradient_is_found),
    };
    int failed = cmocka_run_group_tests_name("cpu", tests, open_cpu, close_backend);

    return failed + cmocka_run_group_tests_name("guard", tests, open_guard, close_backend);
}
