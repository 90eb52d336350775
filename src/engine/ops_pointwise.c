/* ops_pointwise.c: layer norm, GELU, sums, dropout.  See ops.h. */
#include "engine/ops.h"

/* ---- layer norm -------------------------------------------------------------------------------
 */

struct norm_node {
    struct node node;
    struct tensor *x, *y, *stats;
    struct param *gamma, *beta;
};

static void norm_backward(struct graph *g, struct node *node)
{
    struct norm_node *n = (struct norm_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (!graph_failed(g))
        b->layer_norm_bwd(b, tensor_rows(n->x), tensor_last(n->x), n->x->data, n->gamma->value,
                          n->stats->data, dy, dx, n->gamma->gradient, n->beta->gradient);
}

struct tensor *op_layer_norm(struct graph *g, struct tensor *x, struct param *gamma,
                             struct param *beta, float epsilon)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    bool record = graph_wants(g, x) || graph_wants_param(g, gamma) || graph_wants_param(g, beta);
    int64_t rows = tensor_rows(x), c = tensor_last(x);
    struct tensor *y, *stats = NULL;
    struct norm_node *n;

    if (!graph_failed(g) && (gamma->elements != c || beta->elements != c))
        op_shape_error(g, gamma->name, x, "a last axis as long as this weight");
    y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    if (record)
        stats = graph_tensor(g, ELEMENT_F32, 2, (int64_t[]){rows, 2});
    if (graph_failed(g))
        return y;
    b->layer_norm_fwd(b, rows, c, x->data, gamma->value, beta->value, epsilon, y->data,
                      stats ? stats->data : NULL);
    if (record && (n = graph_record(g, sizeof *n, mark, norm_backward, y))) {
        n->x = x;
        n->y = y;
        n->stats = stats;
        n->gamma = gamma;
        n->beta = beta;
    }
    return y;
}

/* ---- GELU -------------------------------------------------------------------------------------
 */

struct pair_node {
    struct node node;
    struct tensor *x, *z, *y;
    float alpha, beta;
};

static void gelu_backward(struct graph *g, struct node *node)
{
    struct pair_node *n = (struct pair_node *)node;
    struct backend *b = graph_backend(g);
    bool add;
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient_unset(g, n->x, &add);

    if (!graph_failed(g))
        b->gelu_bwd(b, n->x->elements, n->x->data, dy, dx, add, NULL);
}

struct tensor *op_gelu(struct graph *g, struct tensor *x)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct tensor *y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    struct pair_node *n;

    if (graph_failed(g))
        return y;
    b->gelu_fwd(b, x->elements, x->data, y->data);
    if (graph_wants(g, x) && (n = graph_record(g, sizeof *n, mark, gelu_backward, y))) {
        n->x = x;
        n->y = y;
    }
    return y;
}

/* ---- weighted sum -----------------------------------------------------------------------------
 */

/* dx += factor * dy */
static void add_gradient(struct graph *g, float factor, const void *dy, struct tensor *x)
{
    struct backend *b = graph_backend(g);
    bool add;
    void *dx = graph_gradient_unset(g, x, &add);

    if (dx)
        b->axpby(b, x->elements, factor, dy, 1, add ? dx : NULL, dx);
}

void op_pass_gradient(struct graph *g, struct tensor *y, struct tensor *x)
{
    if (!graph_pass_gradient(g, y, x))
        add_gradient(g, 1, graph_gradient(g, y), x);
}

static void axpby_backward(struct graph *g, struct node *node)
{
    struct pair_node *n = (struct pair_node *)node;
    void *dy = graph_gradient(g, n->y);

    if (graph_failed(g))
        return;
    add_gradient(g, n->beta, dy, n->z);
    if (n->alpha == 1)
        op_pass_gradient(g, n->y, n->x);
    else
        add_gradient(g, n->alpha, dy, n->x);
}

struct tensor *op_axpby(struct graph *g, float alpha, struct tensor *x, float beta,
                        struct tensor *z)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct pair_node *n;
    struct tensor *y;

    if (!graph_failed(g) && x->elements != z->elements)
        op_shape_error(g, "sum", z, "as many elements as the other term");
    y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    if (graph_failed(g))
        return y;
    b->axpby(b, x->elements, alpha, x->data, beta, z->data, y->data);
    if ((graph_wants(g, x) || graph_wants(g, z)) &&
        (n = graph_record(g, sizeof *n, mark, axpby_backward, y))) {
        n->x = x;
        n->z = z;
        n->y = y;
        n->alpha = alpha;
        n->beta = beta;
    }
    return y;
}

struct tensor *op_add(struct graph *g, struct tensor *x, struct tensor *y)
{
    return op_axpby(g, 1, x, 1, y);
}

/* ---- rows of a table --------------------------------------------------------------------------
 */

struct rows_node {
    struct node node;
    struct tensor *x, *y;
    struct param *table;
    int64_t period, repeat;
};

static void add_rows_backward(struct graph *g, struct node *node)
{
    struct rows_node *n = (struct rows_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y);

    if (graph_failed(g))
        return;
    if (n->table->gradient)
        b->add_rows_bwd(b, tensor_rows(n->x), tensor_last(n->x), n->period, n->repeat, dy,
                        n->table->gradient);
    op_pass_gradient(g, n->y, n->x);
}

struct tensor *op_add_rows(struct graph *g, struct tensor *x, struct param *table, int64_t period,
                           int64_t repeat)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct rows_node *n;
    struct tensor *y;

    if (!graph_failed(g) && table->elements != period * tensor_last(x))
        op_shape_error(g, table->name, x, "a last axis that fits this table");
    y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    if (graph_failed(g))
        return y;
    b->add_rows_fwd(b, tensor_rows(x), tensor_last(x), period, repeat, x->data, table->value,
                    y->data);
    if ((graph_wants(g, x) || graph_wants_param(g, table)) &&
        (n = graph_record(g, sizeof *n, mark, add_rows_backward, y))) {
        n->x = x;
        n->y = y;
        n->table = table;
        n->period = period;
        n->repeat = repeat;
    }
    return y;
}

/* ---- dropout ----------------------------------------------------------------------------------
 */

struct dropout_node {
    struct node node;
    struct tensor *x, *y;
    int64_t group;
    float p;
    uint64_t stream;
};

static void dropout_backward(struct graph *g, struct node *node)
{
    struct dropout_node *n = (struct dropout_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y), *dx;
    bool passed = graph_pass_gradient(g, n->y, n->x); /* then it is masked where it lies */

    dx = graph_gradient(g, n->x);
    if (!graph_failed(g) && dx)
        b->dropout(b, n->x->elements, n->group, n->p, graph_seed_value(g), n->stream,
                   passed ? dx : dy, dx, !passed);
}

static struct tensor *dropout(struct graph *g, struct tensor *x, int64_t group, float p)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct dropout_node *n;
    uint64_t stream;
    struct tensor *y;

    if (p <= 0 || graph_get_mode(g) != GRAPH_TRAIN)
        return x;
    stream = graph_next_stream(g);
    y = graph_tensor(g, ELEMENT_ACT, x->rank, x->dim);
    if (graph_failed(g))
        return y;
    b->dropout(b, x->elements, group, p, graph_seed_value(g), stream, x->data, y->data, false);
    if (graph_wants(g, x) && (n = graph_record(g, sizeof *n, mark, dropout_backward, y))) {
        n->x = x;
        n->y = y;
        n->group = group;
        n->p = p;
        n->stream = stream;
    }
    return y;
}

struct tensor *op_dropout(struct graph *g, struct tensor *x, float p)
{
    return dropout(g, x, 1, p);
}

struct tensor *op_drop_path(struct graph *g, struct tensor *x, float p)
{
    return dropout(g, x, x->rank && x->dim[0] ? x->elements / x->dim[0] : 1, p);
}
