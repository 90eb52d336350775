/*
 * ops_fused.c: the halves of a transformer block as ops that keep little for the backward pass.
 * See ops.h.
 *
 * What costs a pass over memory to make again (a norm, the order of rows, GELU) is not kept, and
 * what nobody reads afterwards (a product that a residual is added to) never leaves scratch.  The
 * MLP goes through in blocks of rows, forward and backward, so that its hidden layer and the
 * gradient of it stay near the processor: only what GELU was given is kept whole.
 */
#include "engine/ops.h"

/* Activations of a block of rows in the wide layer: a megabyte in f32. */
#define BLOCK_ELEMENTS ((int64_t)1 << 18)

/* Rows of a block whose widest layer has `width` columns: at least so many that what each block
 * does once, packing weights and adding to their gradients, is little beside its products. */
static int64_t block_rows(int64_t rows, int64_t width)
{
    int64_t most = width > 0 ? BLOCK_ELEMENTS / width : rows, blocks;

    if (most < width)
        most = width;
    blocks = most > 0 ? (rows + most - 1) / most : 1;
    return blocks ? (rows + blocks - 1) / blocks : 0;
}

static bool norm_fits(const struct norm_layer *norm, int64_t c)
{
    return norm->weight->elements == c && norm->bias->elements == c;
}

static bool linear_fits(const struct linear_layer *linear, int64_t in)
{
    int64_t out = linear->weight->dim[0];

    return linear->weight->elements == out * in && (!linear->bias || linear->bias->elements == out);
}

static bool wants_linear(struct graph *g, const struct linear_layer *linear)
{
    bool weight = graph_wants_param(g, linear->weight);

    return graph_wants_param(g, linear->bias) || weight;
}

static bool wants_norm(struct graph *g, const struct norm_layer *norm)
{
    bool weight = graph_wants_param(g, norm->weight);

    return graph_wants_param(g, norm->bias) || weight;
}

static void norm_forward(struct backend *b, const struct norm_layer *l, int64_t rows, const void *x,
                         void *y, float *stats)
{
    b->layer_norm_fwd(b, rows, l->weight->elements, x, l->weight->value, l->bias->value, l->epsilon,
                      y, stats);
}

static void norm_again(struct backend *b, const struct norm_layer *l, int64_t rows, const void *x,
                       const float *stats, void *y)
{
    b->layer_norm_again(b, rows, l->weight->elements, x, l->weight->value, l->bias->value, stats,
                        y);
}

static void norm_backward(struct backend *b, const struct norm_layer *l, int64_t rows,
                          const void *x, const float *stats, const void *dy, void *dx)
{
    b->layer_norm_bwd(b, rows, l->weight->elements, x, l->weight->value, stats, dy, dx,
                      l->weight->gradient, l->bias->gradient);
}

static struct tensor *stats_tensor(struct graph *g, int64_t rows)
{
    return graph_tensor(g, ELEMENT_F32, 2, (int64_t[]){rows, 2});
}

/* ---- norm, order of rows, product -------------------------------------------------------------
 */

struct norm_linear_node {
    struct node node;
    struct tensor *x, *y, *stats;
    struct norm_layer norm;
    struct linear_layer linear;
    struct row_order order;
};

/* Rows in another order: all at once. */
static void norm_linear_backward_ordered(struct graph *g, const struct norm_linear_node *n,
                                         const void *dy, void *dx)
{
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(n->x), rows = tensor_rows(n->x), places = n->order.to->elements;
    void *normed = graph_scratch(g, rows * c), *ordered = graph_scratch(g, places * c);
    void *dordered = graph_scratch(g, places * c);

    if (graph_failed(g))
        return;
    norm_again(b, &n->norm, rows, n->x->data, n->stats->data, normed);
    b->gather_rows_fwd(b, places, c, n->order.to->data, rows, normed, ordered);
    linear_gradients(b, n->linear.weight, n->linear.bias, places, ordered, dy, dordered, false);
    /* From here on the gradient of the norm stands where the norm stood. */
    b->gather_rows_fwd(b, rows, c, n->order.from->data, places, dordered, normed);
    norm_backward(b, &n->norm, rows, n->x->data, n->stats->data, normed, dx);
}

static void norm_linear_backward_blocks(struct graph *g, const struct norm_linear_node *n,
                                        const void *dy, void *dx)
{
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(n->x), out = tensor_last(n->y), rows = tensor_rows(n->x);
    int64_t step = block_rows(rows, c > out ? c : out);
    void *normed = graph_scratch(g, step * c), *dnormed = graph_scratch(g, step * c);

    for (int64_t r = 0; r < rows && !graph_failed(g); r += step) {
        int64_t count = rows - r < step ? rows - r : step;
        const void *x = act_at(b, n->x->data, r * c);
        const float *stats = (const float *)n->stats->data + 2 * r;

        norm_again(b, &n->norm, count, x, stats, normed);
        linear_gradients(b, n->linear.weight, n->linear.bias, count, normed, act_at(b, dy, r * out),
                         dnormed, false);
        norm_backward(b, &n->norm, count, x, stats, dnormed, act_at(b, dx, r * c));
    }
}

static void norm_linear_backward(struct graph *g, struct node *node)
{
    struct norm_linear_node *n = (struct norm_linear_node *)node;
    size_t mark = graph_mark(g);
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (graph_failed(g))
        return;
    if (n->order.to)
        norm_linear_backward_ordered(g, n, dy, dx);
    else
        norm_linear_backward_blocks(g, n, dy, dx);
    graph_scratch_end(g, mark);
}

struct tensor *op_norm_linear(struct graph *g, struct tensor *x, const struct norm_layer *norm,
                              const struct row_order *order, const struct linear_layer *linear)
{
    const struct row_order o = order ? *order : (struct row_order){NULL, NULL};
    const struct tensor *shape = o.to ? o.to : x;
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(x), rows = tensor_rows(x), dim[RANK_MAX];
    size_t mark = graph_mark(g), scratch;
    struct tensor *y, *stats = NULL;
    struct norm_linear_node *n;
    void *normed, *ordered;
    bool record = graph_wants(g, x), norm_wants = wants_norm(g, norm);
    int rank = o.to ? o.to->rank + 1 : x->rank;

    record = wants_linear(g, linear) || norm_wants || record;
    if (record)
        linear_needs_f32(g, linear->weight);
    if (!graph_failed(g) && (!x->rank || rank > RANK_MAX || !linear_fits(linear, c) ||
                             !norm_fits(norm, c) || (o.to && o.from->elements != rows)))
        op_shape_error(g, linear->weight->name, x,
                       "a last axis that fits this weight and its norm, and rows that are ordered");
    for (int i = 0; i < rank - 1 && !graph_failed(g); i++)
        dim[i] = shape->dim[i];
    dim[rank > 0 ? rank - 1 : 0] = linear->weight->dim[0];
    y = graph_tensor(g, ELEMENT_ACT, rank, dim);
    if (record)
        stats = stats_tensor(g, rows);
    scratch = graph_mark(g);
    normed = ordered = graph_scratch(g, rows * c);
    if (o.to)
        ordered = graph_scratch(g, o.to->elements * c);
    if (graph_failed(g))
        return y;
    norm_forward(b, norm, rows, x->data, normed, stats ? stats->data : NULL);
    if (o.to)
        b->gather_rows_fwd(b, o.to->elements, c, o.to->data, rows, normed, ordered);
    linear_forward(b, linear->weight, linear->bias, tensor_rows(y), ordered, false, y->data, NULL);
    graph_scratch_end(g, scratch);
    if (record && (n = graph_record(g, sizeof *n, mark, norm_linear_backward, y))) {
        n->x = x;
        n->y = y;
        n->stats = stats;
        n->norm = *norm;
        n->linear = *linear;
        n->order = o;
    }
    return y;
}

/* ---- what is added to a residual --------------------------------------------------------------
 */

/* The draws of one op: elements, then whole samples.  0: no draw. */
struct drops {
    float each, path;
    uint64_t each_stream, path_stream;
};

static struct drops drops_start(struct graph *g, float each, float path)
{
    struct drops d = {0};

    if (graph_get_mode(g) != GRAPH_TRAIN)
        return d;
    if (each > 0)
        d = (struct drops){.each = each, .each_stream = graph_next_stream(g)};
    if (path > 0) {
        d.path = path;
        d.path_stream = graph_next_stream(g);
    }
    return d;
}

/* y = x where it is kept, scaled; y has the shape of `like` and may be x. */
static void drops_apply(struct graph *g, const struct drops *d, const struct tensor *like,
                        const void *x, void *y)
{
    struct backend *b = graph_backend(g);
    int64_t n = like->elements, sample = like->rank && like->dim[0] ? n / like->dim[0] : 1;

    if (d->each > 0) {
        b->dropout(b, n, 1, d->each, graph_seed_value(g), d->each_stream, x, y, false);
        x = y;
    }
    if (d->path > 0)
        b->dropout(b, n, sample, d->path, graph_seed_value(g), d->path_stream, x, y, false);
}

/* x + y, in y's memory or, where that is welcome, in x's. */
static struct tensor *add_to_residual(struct graph *g, struct tensor *x, struct tensor *y)
{
    struct backend *b = graph_backend(g);
    struct tensor *sum = graph_may_overwrite(g, x) ? x : y;

    b->axpby(b, y->elements, 1, x->data, 1, y->data, sum->data);
    return sum;
}

/* The gradient of what was added: dy itself, or in scratch. */
static const void *drops_gradient(struct graph *g, const struct drops *d, const struct tensor *like,
                                  const void *dy)
{
    void *kept;

    if (d->each <= 0 && d->path <= 0)
        return dy;
    kept = graph_scratch(g, like->elements);
    if (kept)
        drops_apply(g, d, like, dy, kept);
    return kept;
}

/* ---- product, order of rows, residual ---------------------------------------------------------
 */

struct linear_residual_node {
    struct node node;
    struct tensor *x, *h, *y;
    struct linear_layer linear;
    struct row_order order;
    struct drops drops;
};

static void linear_residual_backward(struct graph *g, struct node *node)
{
    struct linear_residual_node *n = (struct linear_residual_node *)node;
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(n->y), rows = tensor_rows(n->y), places = tensor_rows(n->h);
    size_t mark = graph_mark(g);
    const void *dy = drops_gradient(g, &n->drops, n->y, graph_gradient(g, n->y));
    bool add;
    void *dh = graph_gradient_unset(g, n->h, &add);

    if (n->order.to) {
        void *ordered = graph_scratch(g, places * c);

        if (!graph_failed(g))
            b->gather_rows_fwd(b, places, c, n->order.to->data, rows, dy, ordered);
        dy = ordered;
    }
    if (graph_failed(g))
        return;
    linear_gradients(b, n->linear.weight, n->linear.bias, places, n->h->data, dy, dh, add);
    graph_scratch_end(g, mark);
    op_pass_gradient(g, n->y, n->x);
}

struct tensor *op_linear_residual(struct graph *g, struct tensor *x, struct tensor *h,
                                  const struct linear_layer *linear, const struct row_order *order,
                                  float dropout, float drop_path)
{
    const struct row_order o = order ? *order : (struct row_order){NULL, NULL};
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(x), rows = tensor_rows(x), places = tensor_rows(h);
    size_t mark = graph_mark(g), scratch;
    struct linear_residual_node *n;
    struct drops drops = drops_start(g, dropout, drop_path);
    struct tensor *y;
    void *product;
    bool record = graph_wants(g, x), h_wants = graph_wants(g, h);

    record = wants_linear(g, linear) || h_wants || record;
    if (record)
        linear_needs_f32(g, linear->weight);
    if (!graph_failed(g) &&
        (!h->rank || !linear_fits(linear, tensor_last(h)) || linear->weight->dim[0] != c ||
         (o.to ? o.to->elements != places || o.from->elements != rows : places != rows)))
        op_shape_error(g, linear->weight->name, h, "rows for the residual that fit this weight");
    y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    scratch = graph_mark(g);
    product = o.to ? graph_scratch(g, places * c) : y->data;
    if (graph_failed(g))
        return y;
    linear_forward(b, linear->weight, linear->bias, places, h->data, false, product, NULL);
    if (o.to)
        b->gather_rows_fwd(b, rows, c, o.from->data, places, product, y->data);
    graph_scratch_end(g, scratch);
    drops_apply(g, &drops, y, y->data, y->data);
    y = add_to_residual(g, x, y);
    if (record && (n = graph_record(g, sizeof *n, mark, linear_residual_backward, y))) {
        n->x = x;
        n->h = h;
        n->y = y;
        n->linear = *linear;
        n->order = o;
        n->drops = drops;
    }
    return y;
}

/* ---- the MLP ----------------------------------------------------------------------------------
 */

struct mlp_node {
    struct node node;
    struct tensor *x, *y, *stats, *pre; /* pre: what GELU was given; stats NULL: no norm */
    struct norm_layer norm;
    struct mlp_layer mlp;
    struct drops drops;
};

/* Rows [r, r + count) of the gradient: dx += all but the residual, which is dy. */
static void mlp_block_backward(struct backend *b, const struct mlp_node *n, int64_t r,
                               int64_t count, const void *dy, void *dx, void *normed, void *dnormed,
                               void *hidden, void *dhidden)
{
    const struct linear_layer *fc1 = &n->mlp.fc1, *fc2 = &n->mlp.fc2;
    int64_t c = tensor_last(n->x), wide = tensor_last(n->pre);
    const void *x = act_at(b, n->x->data, r * c), *pre = act_at(b, n->pre->data, r * wide);
    const float *stats;

    dy = act_at(b, dy, r * c);
    dx = act_at(b, dx, r * c);
    b->linear_bwd(b, count, wide, c, NULL, fc2->weight->value, dy, dhidden, false, NULL, NULL);
    b->gelu_bwd(b, count * wide, pre, dhidden, dhidden, false, hidden);
    linear_gradients(b, fc2->weight, fc2->bias, count, hidden, dy, NULL, false);
    if (!n->stats) {
        linear_gradients(b, fc1->weight, fc1->bias, count, x, dhidden, dx, true);
        return;
    }
    stats = (const float *)n->stats->data + 2 * r;
    norm_again(b, &n->norm, count, x, stats, normed);
    linear_gradients(b, fc1->weight, fc1->bias, count, normed, dhidden, dnormed, false);
    norm_backward(b, &n->norm, count, x, stats, dnormed, dx);
}

static void mlp_backward(struct graph *g, struct node *node)
{
    struct mlp_node *n = (struct mlp_node *)node;
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(n->x), wide = tensor_last(n->pre), rows = tensor_rows(n->x);
    int64_t step = block_rows(rows, wide);
    size_t mark = graph_mark(g);
    void *out = graph_gradient(g, n->y), *dx, *normed, *dnormed, *hidden, *dhidden;
    const void *dy = drops_gradient(g, &n->drops, n->y, out);

    /* The gradient may now belong to x: a block of it is read before that block is added to. */
    op_pass_gradient(g, n->y, n->x);
    dx = graph_gradient(g, n->x);
    normed = graph_scratch(g, step * c);
    dnormed = graph_scratch(g, step * c);
    hidden = graph_scratch(g, step * wide);
    dhidden = graph_scratch(g, step * wide);
    for (int64_t r = 0; r < rows && !graph_failed(g); r += step)
        mlp_block_backward(b, n, r, rows - r < step ? rows - r : step, dy, dx, normed, dnormed,
                           hidden, dhidden);
    graph_scratch_end(g, mark);
}

static void mlp_forward(struct graph *g, const struct mlp_node *n)
{
    struct backend *b = graph_backend(g);
    const struct linear_layer *fc1 = &n->mlp.fc1, *fc2 = &n->mlp.fc2;
    int64_t c = tensor_last(n->x), wide = fc1->weight->dim[0], rows = tensor_rows(n->x);
    int64_t step = block_rows(rows, wide);
    size_t mark = graph_mark(g);
    void *normed = graph_scratch(g, n->norm.weight ? step * c : 0);
    void *hidden = graph_scratch(g, step * wide);

    for (int64_t r = 0; r < rows && !graph_failed(g); r += step) {
        int64_t count = rows - r < step ? rows - r : step;
        const void *x = act_at(b, n->x->data, r * c);
        void *pre = n->pre ? act_at(b, n->pre->data, r * wide) : NULL;

        if (n->norm.weight) {
            norm_forward(b, &n->norm, count, x, normed,
                         n->stats ? (float *)n->stats->data + 2 * r : NULL);
            x = normed;
        }
        linear_forward(b, fc1->weight, fc1->bias, count, x, true, hidden, pre);
        linear_forward(b, fc2->weight, fc2->bias, count, hidden, false,
                       act_at(b, n->y->data, r * c), NULL);
    }
    graph_scratch_end(g, mark);
}

struct tensor *op_mlp_residual(struct graph *g, struct tensor *x, const struct norm_layer *norm,
                               const struct mlp_layer *mlp, float dropout, float drop_path)
{
    int64_t c = tensor_last(x), wide = mlp->fc1.weight->dim[0], dim[RANK_MAX];
    size_t mark = graph_mark(g);
    struct mlp_node *n, node = {.x = x, .mlp = *mlp, .drops = drops_start(g, dropout, drop_path)};
    bool record = graph_wants(g, x);

    record = wants_linear(g, &mlp->fc1) || record;
    record = wants_linear(g, &mlp->fc2) || record;
    if (norm) {
        record = wants_norm(g, norm) || record;
        node.norm = *norm;
    }
    if (record) {
        linear_needs_f32(g, mlp->fc1.weight);
        linear_needs_f32(g, mlp->fc2.weight);
    }
    if (!graph_failed(g) &&
        (!x->rank || !linear_fits(&mlp->fc1, c) || !linear_fits(&mlp->fc2, wide) ||
         mlp->fc2.weight->dim[0] != c || (norm && !norm_fits(norm, c))))
        op_shape_error(g, mlp->fc1.weight->name, x, "a last axis that fits this MLP and its norm");
    for (int i = 0; i < x->rank; i++)
        dim[i] = i == x->rank - 1 ? wide : x->dim[i];
    node.y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    if (record && norm)
        node.stats = stats_tensor(g, tensor_rows(x));
    if (record)
        node.pre = graph_tensor(g, ELEMENT_ACT, x->rank, dim);
    if (graph_failed(g))
        return node.y;
    mlp_forward(g, &node);
    if (graph_failed(g))
        return node.y;
    drops_apply(g, &node.drops, node.y, node.y->data, node.y->data);
    node.y = add_to_residual(g, x, node.y);
    if (record && (n = graph_record(g, sizeof *n, mark, mlp_backward, node.y))) {
        node.node = n->node;
        *n = node;
    }
    return node.y;
}
