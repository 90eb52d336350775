/* ops_linear.c: products with parameters.  See ops.h. */
#include "engine/ops.h"

#include <stdio.h>

int64_t tensor_last(const struct tensor *x)
{
    return x->rank ? x->dim[x->rank - 1] : 1;
}

void *act_at(const struct backend *b, const void *data, int64_t elements)
{
    return data ? (unsigned char *)(uintptr_t)data + (size_t)elements * b->act_bytes : NULL;
}

int64_t tensor_rows(const struct tensor *x)
{
    int64_t last = tensor_last(x);

    return last ? x->elements / last : 0;
}

void op_shape_error(struct graph *g, const char *op, const struct tensor *x, const char *expected)
{
    char shape[160] = "";
    size_t used = 0;

    for (int i = 0; i < x->rank && used < sizeof shape; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%lld", i ? ", " : "",
                                 (long long)x->dim[i]);
    graph_fail(g, EARSHOT_ERROR_INTERNAL, "%s: got a tensor [%s], expected %s", op, shape,
               expected);
}

void linear_needs_f32(struct graph *g, const struct param *w)
{
    if (w->low.type != WEIGHT_F32)
        graph_fail(g, EARSHOT_ERROR_INTERNAL, "%s is %s: no gradient passes through it", w->name,
                   weight_type_name(w->low.type));
}

void linear_forward(struct backend *b, const struct param *w, const struct param *bias,
                    int64_t rows, const void *x, bool gelu, void *y, void *pre)
{
    int64_t out = w->dim[0], in = w->elements / out;
    const float *add = bias ? bias->value : NULL;

    if (w->low.type != WEIGHT_F32) {
        b->linear_low_fwd(b, rows, in, out, x, &w->low, add, gelu, y);
    } else if (!gelu) {
        b->linear_fwd(b, rows, in, out, x, w->value, add, y);
    } else if (b->linear_gelu_fwd) {
        b->linear_gelu_fwd(b, rows, in, out, x, w->value, add, y, pre);
    } else {
        b->linear_fwd(b, rows, in, out, x, w->value, add, pre ? pre : y);
        b->gelu_fwd(b, rows * out, pre ? pre : y, y);
    }
}

void linear_gradients(struct backend *b, const struct param *w, const struct param *bias,
                      int64_t rows, const void *x, const void *dy, void *dx, bool add_dx)
{
    int64_t out = w->dim[0];

    b->linear_bwd(b, rows, w->elements / out, out, x, w->value, dy, dx, add_dx, w->gradient,
                  bias ? bias->gradient : NULL);
}

struct linear_node {
    struct node node;
    struct tensor *x, *y;
    struct param *w, *bias;
};

static void linear_backward(struct graph *g, struct node *node)
{
    struct linear_node *n = (struct linear_node *)node;
    bool add_dx;
    void *dy = graph_gradient(g, n->y);
    void *dx = graph_gradient_unset(g, n->x, &add_dx);

    if (!graph_failed(g))
        linear_gradients(graph_backend(g), n->w, n->bias, tensor_rows(n->y), n->x->data, dy, dx,
                         add_dx);
}

struct tensor *op_linear(struct graph *g, struct tensor *x, struct param *w, struct param *bias)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    int64_t in = tensor_last(x), rows = tensor_rows(x), out = w->dim[0], dim[RANK_MAX];
    struct tensor *y;
    struct linear_node *n;
    bool record = graph_wants(g, x) || graph_wants_param(g, w) || graph_wants_param(g, bias);

    if (record)
        linear_needs_f32(g, w);
    if (!graph_failed(g) &&
        (!x->rank || w->elements != out * in || (bias && bias->elements != out)))
        op_shape_error(g, w->name, x, "a last axis that fits this weight");
    for (int i = 0; i < x->rank; i++)
        dim[i] = i == x->rank - 1 ? out : x->dim[i];
    y = graph_tensor(g, ELEMENT_ACT, x->rank, dim);
    if (graph_failed(g))
        return y;
    linear_forward(b, w, bias, rows, x->data, false, y->data, NULL);
    if (record && (n = graph_record(g, sizeof *n, mark, linear_backward, y))) {
        n->x = x;
        n->y = y;
        n->w = w;
        n->bias = bias;
    }
    return y;
}
