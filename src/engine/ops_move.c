/* ops_move.c: gathers, slices, patches.  See ops.h. */
#include "engine/ops.h"

struct move_node {
    struct node node;
    struct tensor *x, *y;
    const struct tensor *index;
    struct param *table;
    struct unfold unfold;
    int64_t offset; /* elements into each of x's blocks */
};

static struct move_node *record(struct graph *g, size_t mark,
                                void (*backward)(struct graph *, struct node *), struct tensor *x,
                                struct tensor *y)
{
    struct move_node *n = graph_record(g, sizeof *n, mark, backward, y);

    if (n) {
        n->x = x;
        n->y = y;
    }
    return n;
}

struct tensor *op_reshape(struct graph *g, struct tensor *x, int rank, const int64_t *dim)
{
    return graph_view(g, x, rank, dim);
}

/* ---- rows by index ----------------------------------------------------------------------------
 */

static void gather_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (!graph_failed(g))
        b->gather_rows_bwd(b, n->index->elements, tensor_last(n->x), n->index->data,
                           tensor_rows(n->x), dy, dx);
}

/* The shape of index with c appended. */
static struct tensor *rows_tensor(struct graph *g, const char *op, const struct tensor *index,
                                  int64_t c)
{
    int64_t dim[RANK_MAX];

    if (!graph_failed(g) && (index->element != ELEMENT_I32 || index->rank >= RANK_MAX))
        op_shape_error(g, op, index, "an I32 index");
    if (graph_failed(g))
        return graph_tensor(g, ELEMENT_ACT, 0, NULL);
    for (int i = 0; i < index->rank; i++)
        dim[i] = index->dim[i];
    dim[index->rank] = c;
    return graph_tensor(g, ELEMENT_ACT, index->rank + 1, dim);
}

struct tensor *op_gather_rows(struct graph *g, struct tensor *x, const struct tensor *index)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct tensor *y = rows_tensor(g, "gather", index, tensor_last(x));
    struct move_node *n;

    if (graph_failed(g))
        return y;
    b->gather_rows_fwd(b, index->elements, tensor_last(x), index->data, tensor_rows(x), x->data,
                       y->data);
    if (graph_wants(g, x) && (n = record(g, mark, gather_backward, x, y)))
        n->index = index;
    return y;
}

static void embed_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y);

    if (!graph_failed(g))
        b->embed_bwd(b, n->index->elements, tensor_last(n->y), n->index->data, n->table->dim[0], dy,
                     n->table->gradient);
}

struct tensor *op_embed(struct graph *g, struct param *table, const struct tensor *ids)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    int64_t c = table->dim[1];
    struct tensor *y = rows_tensor(g, table->name, ids, c);
    struct move_node *n;

    if (graph_failed(g))
        return y;
    if (table->low.type != WEIGHT_F32)
        b->embed_low_fwd(b, ids->elements, c, ids->data, table->dim[0], &table->low, y->data);
    else
        b->embed_fwd(b, ids->elements, c, ids->data, table->dim[0], table->value, y->data);
    if (graph_wants_param(g, table) && (n = record(g, mark, embed_backward, NULL, y))) {
        n->index = ids;
        n->table = table;
    }
    return y;
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

/* y[B, count, C] = x[B, offset.., C]: dx gets dy back at the same places. */
static void slice_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(n->x), length = n->y->dim[1] * c;
    struct strided s = {n->x->dim[0], length, length, n->x->dim[1] * c};
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (!graph_failed(g) && dx)
        b->copy_strided(b, &s, dy, act_at(b, dx, n->offset), true);
}

struct tensor *op_slice_tokens(struct graph *g, struct tensor *x, int64_t start, int64_t count)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    int64_t c = tensor_last(x);
    struct strided s = {x->dim[0], count * c, x->dim[1] * c, count * c};
    struct move_node *n;
    struct tensor *y;

    if (!graph_failed(g) && (x->rank != 3 || start < 0 || count < 0 || start + count > x->dim[1]))
        op_shape_error(g, "slice", x, "[batch, tokens, channels] that holds the slice");
    if (!graph_failed(g) && start == 0 && count == x->dim[1])
        return x;
    y = graph_tensor(g, ELEMENT_ACT, 3, (int64_t[]){x->dim[0], count, c});
    if (graph_failed(g))
        return y;
    b->copy_strided(b, &s, act_at(b, x->data, start * c), y->data, false);
    if (graph_wants(g, x) && (n = record(g, mark, slice_backward, x, y)))
        n->offset = start * c;
    return y;
}

struct concat_node {
    struct node node;
    struct tensor *y;
    int count;
    struct tensor *x[];
};

static void concat_backward(struct graph *g, struct node *node)
{
    struct concat_node *n = (struct concat_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y);
    int64_t c = tensor_last(n->y), start = 0;

    for (int i = 0; i < n->count; i++) {
        int64_t length = n->x[i]->dim[1] * c;
        struct strided s = {n->y->dim[0], length, n->y->dim[1] * c, length};
        void *dx = graph_gradient(g, n->x[i]);

        if (graph_failed(g))
            return;
        if (dx)
            b->copy_strided(b, &s, act_at(b, dy, start), dx, true);
        start += length;
    }
}

struct tensor *op_concat_tokens(struct graph *g, int count, struct tensor **x)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    int64_t tokens = 0, start = 0, c = tensor_last(x[0]);
    struct concat_node *n;
    bool wanted = false;
    struct tensor *y;

    if (count == 1)
        return x[0];
    for (int i = 0; i < count; i++) {
        if (!graph_failed(g) &&
            (x[i]->rank != 3 || x[i]->dim[0] != x[0]->dim[0] || tensor_last(x[i]) != c))
            op_shape_error(g, "concatenation", x[i], "[the others' batch, tokens, their channels]");
        tokens += x[i]->dim[1];
        wanted |= graph_wants(g, x[i]);
    }
    y = graph_tensor(g, ELEMENT_ACT, 3, (int64_t[]){x[0]->dim[0], tokens, c});
    if (graph_failed(g))
        return y;
    for (int i = 0; i < count; i++) {
        int64_t length = x[i]->dim[1] * c;
        struct strided s = {y->dim[0], length, length, tokens * c};

        b->copy_strided(b, &s, x[i]->data, act_at(b, y->data, start), false);
        start += length;
    }
    if (wanted &&
        (n = graph_record(g, sizeof *n + (size_t)count * sizeof *x, mark, concat_backward, y))) {
        n->y = y;
        n->count = count;
        for (int i = 0; i < count; i++)
            n->x[i] = x[i];
    }
    return y;
}

static void broadcast_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y);

    if (!graph_failed(g))
        b->broadcast_bwd(b, n->y->dim[0], n->table->elements, dy, n->table->gradient);
}

struct tensor *op_broadcast(struct graph *g, struct param *table, int64_t times, int64_t rows)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct move_node *n;
    struct tensor *y =
        graph_tensor(g, ELEMENT_ACT, 3, (int64_t[]){times, rows, table->elements / rows});

    if (graph_failed(g))
        return y;
    b->broadcast_fwd(b, times, table->elements, table->value, y->data);
    if (graph_wants_param(g, table) && (n = record(g, mark, broadcast_backward, NULL, y)))
        n->table = table;
    return y;
}

/* ---- layout -----------------------------------------------------------------------------------
 */

static void transpose_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (!graph_failed(g) && dx)
        b->transpose(b, n->y->dim[0], n->y->dim[1], n->y->dim[2], dy, dx, true);
}

struct tensor *op_transpose(struct graph *g, struct tensor *x)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct tensor *y;

    if (!graph_failed(g) && x->rank != 3)
        op_shape_error(g, "transpose", x, "three axes");
    y = graph_tensor(g, ELEMENT_ACT, 3, (int64_t[]){x->dim[0], x->dim[2], x->dim[1]});
    if (graph_failed(g))
        return y;
    b->transpose(b, x->dim[0], x->dim[1], x->dim[2], x->data, y->data, false);
    if (graph_wants(g, x))
        record(g, mark, transpose_backward, x, y);
    return y;
}

static void unfold_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (!graph_failed(g) && dx)
        b->unfold_bwd(b, &n->unfold, dy, dx);
}

struct tensor *op_unfold(struct graph *g, struct tensor *x, const int64_t patch[3],
                         const int64_t stride[3], bool pad, int64_t grid[3])
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct move_node *n;
    struct unfold u;
    struct tensor *y;

    for (int i = 0; i < 3; i++) {
        int64_t size = x->dim[2 + i];

        grid[i] = pad ? (size + stride[i] - 1) / stride[i] : (size - patch[i]) / stride[i] + 1;
        if (!graph_failed(g) && (x->rank != 5 || size < 1 || (!pad && size < patch[i])))
            op_shape_error(g, "patches", x, "[batch, channels, t, h, w], at least one patch");
    }
    u = (struct unfold){x->dim[0], x->dim[1], x->dim[2], x->dim[3], x->dim[4], patch[0], patch[1],
                        patch[2],  stride[0], stride[1], stride[2], grid[0],   grid[1],  grid[2]};
    y = graph_tensor(g, ELEMENT_ACT, 3,
                     (int64_t[]){u.batch, u.ot * u.oh * u.ow, u.channels * u.kt * u.kh * u.kw});
    if (graph_failed(g))
        return y;
    b->unfold_fwd(b, &u, x->data, y->data);
    if (graph_wants(g, x) && (n = record(g, mark, unfold_backward, x, y)))
        n->unfold = u;
    return y;
}

static void mean_backward(struct graph *g, struct node *node)
{
    struct move_node *n = (struct move_node *)node;
    struct backend *b = graph_backend(g);
    void *dy = graph_gradient(g, n->y), *dx = graph_gradient(g, n->x);

    if (!graph_failed(g))
        b->mean_rows_bwd(b, n->x->dim[0], n->x->dim[1], n->x->dim[2], dy, dx);
}

struct tensor *op_mean_tokens(struct graph *g, struct tensor *x)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    struct tensor *y;

    if (!graph_failed(g) && x->rank != 3)
        op_shape_error(g, "mean over tokens", x, "[batch, tokens, channels]");
    y = graph_tensor(g, ELEMENT_ACT, 2, (int64_t[]){x->dim[0], x->dim[2]});
    if (graph_failed(g))
        return y;
    b->mean_rows_fwd(b, x->dim[0], x->dim[1], x->dim[2], x->data, y->data);
    if (graph_wants(g, x))
        record(g, mark, mean_backward, x, y);
    return y;
}

void op_cache_store(struct graph *g, struct tensor *cache, const struct tensor *kv,
                    int64_t position)
{
    struct backend *b = graph_backend(g);
    int64_t c = tensor_last(kv);
    struct strided s = {kv->dim[0], kv->dim[1] * c, kv->dim[1] * c, cache->dim[1] * c};

    if (!graph_failed(g) && (tensor_last(cache) != c || cache->dim[0] < kv->dim[0] ||
                             position + kv->dim[1] > cache->dim[1]))
        op_shape_error(g, "cache", kv, "keys and values that fit the cache");
    if (!graph_failed(g))
        b->copy_strided(b, &s, kv->data, act_at(b, cache->data, position * c), false);
}
