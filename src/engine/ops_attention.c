/* ops_attention.c: scaled dot-product attention and its relative position bias.  See ops.h. */
#include "engine/ops.h"

#include <math.h>

struct attention_node {
    struct node node;
    struct attention shape;
    struct tensor *q, *kv, *bias, *o, *lse; /* self-attention: q and kv are the same tensor */
    int64_t k_offset, v_offset;             /* in elements, from kv's start */
};

static void attention_backward(struct graph *g, struct node *node)
{
    struct attention_node *n = (struct attention_node *)node;
    struct backend *b = graph_backend(g);
    void *dout = graph_gradient(g, n->o);
    /* Every element of a new gradient is written, unless some keys, or all, take no part. */
    bool all = n->shape.nq > 0 && n->shape.nk > 0 && n->shape.nk == n->kv->dim[1];
    bool add_dq = true, add_dkv = true, self = n->q == n->kv;
    void *dq = all ? graph_gradient_unset(g, n->q, &add_dq) : graph_gradient(g, n->q);
    void *dkv = self  ? dq
                : all ? graph_gradient_unset(g, n->kv, &add_dkv)
                      : graph_gradient(g, n->kv);
    float *dbias = graph_gradient(g, n->bias);

    if (graph_failed(g))
        return;
    b->attention_bwd(b, &n->shape, n->q->data, act_at(b, n->kv->data, n->k_offset),
                     act_at(b, n->kv->data, n->v_offset), n->o->data, n->lse->data, dout, dq,
                     add_dq, act_at(b, dkv, n->k_offset), act_at(b, dkv, n->v_offset),
                     self ? add_dq : add_dkv, dbias);
}

static struct tensor *attention(struct graph *g, struct attention shape, struct tensor *q,
                                struct tensor *kv, int64_t k_offset, int64_t v_offset,
                                const struct attention_options *options)
{
    struct backend *b = graph_backend(g);
    int64_t c = shape.heads * shape.head_dim;
    size_t mark = graph_mark(g);
    struct tensor *o, *lse = NULL, *probabilities = NULL;
    bool record = graph_wants(g, q) || graph_wants(g, kv) || graph_wants(g, options->bias);
    struct attention_node *n;

    shape.scale = (float)(1 / sqrt((double)shape.head_dim));
    shape.causal = options->causal;
    shape.key_mask = options->key_mask ? options->key_mask->data : NULL;
    shape.bias = options->bias ? options->bias->data : NULL;
    shape.region = options->region ? options->region->data : NULL;
    shape.regions = options->region ? options->region->dim[0] : 0;
    shape.o_stride = c;
    shape.o_batch = shape.nq * c;
    o = graph_tensor(g, ELEMENT_ACT, 3, (int64_t[]){shape.batch, shape.nq, c});
    if (record)
        lse = graph_tensor(g, ELEMENT_F32, 3, (int64_t[]){shape.batch, shape.heads, shape.nq});
    if (options->probabilities)
        probabilities = graph_tensor(g, ELEMENT_F32, 4,
                                     (int64_t[]){shape.batch, shape.heads, shape.nq, shape.nk});
    if (graph_failed(g))
        return o;
    b->attention_fwd(b, &shape, q->data, act_at(b, kv->data, k_offset),
                     act_at(b, kv->data, v_offset), o->data, lse ? lse->data : NULL,
                     probabilities ? probabilities->data : NULL);
    if (probabilities)
        graph_download(g, probabilities, options->probabilities);
    if (record && (n = graph_record(g, sizeof *n, mark, attention_backward, o))) {
        n->shape = shape;
        n->q = q;
        n->kv = kv;
        n->bias = options->bias;
        n->o = o;
        n->lse = lse;
        n->k_offset = k_offset;
        n->v_offset = v_offset;
    }
    return o;
}

static bool options_fit(struct graph *g, const struct attention_options *o, int64_t batch,
                        int64_t nq, int64_t nk)
{
    const struct tensor *mask = o->key_mask, *bias = o->bias, *region = o->region;

    if (graph_failed(g))
        return false;
    if (mask && (mask->element != ELEMENT_U8 || mask->elements != batch * nk))
        op_shape_error(g, "attention key mask", mask, "U8 [batch, keys]");
    if (bias && (bias->element != ELEMENT_F32 || bias->elements != o->heads * nq * nk))
        op_shape_error(g, "attention bias", bias, "F32 [heads, queries, keys]");
    if (region && (region->element != ELEMENT_I32 || nq != nk || region->rank != 2 ||
                   region->dim[1] != nq || batch % region->dim[0] != 0))
        op_shape_error(g, "attention regions", region, "I32 [regions, tokens], square attention");
    return !graph_failed(g);
}

struct tensor *op_self_attention(struct graph *g, struct tensor *qkv,
                                 const struct attention_options *options)
{
    int64_t c = tensor_last(qkv) / 3, n = qkv->dim[1];
    struct attention shape = {.batch = qkv->dim[0],
                              .heads = options->heads,
                              .nq = n,
                              .nk = n,
                              .head_dim = c / options->heads,
                              .q_stride = 3 * c,
                              .k_stride = 3 * c,
                              .v_stride = 3 * c,
                              .q_batch = n * 3 * c,
                              .k_batch = n * 3 * c,
                              .v_batch = n * 3 * c};

    if (!graph_failed(g) && (qkv->rank != 3 || tensor_last(qkv) != 3 * c || c % options->heads))
        op_shape_error(g, "self-attention", qkv, "[batch, tokens, 3 * heads * head size]");
    options_fit(g, options, shape.batch, n, n);
    return attention(g, shape, qkv, qkv, c, 2 * c, options);
}

struct tensor *op_cross_attention(struct graph *g, struct tensor *q, struct tensor *kv,
                                  int64_t key_count, const struct attention_options *options)
{
    bool by_head = kv->rank == 5;
    int64_t c = tensor_last(q), d = c / options->heads, tokens = kv->dim[by_head ? 3 : 1];
    int64_t nk = key_count < 0 ? tokens : key_count;
    struct attention shape = {.batch = q->dim[0],
                              .heads = options->heads,
                              .nq = q->dim[1],
                              .nk = nk,
                              .head_dim = d,
                              .q_stride = c,
                              .k_stride = by_head ? d : 2 * c,
                              .v_stride = by_head ? d : 2 * c,
                              .q_batch = q->dim[1] * c,
                              .k_batch = tokens * 2 * c,
                              .v_batch = tokens * 2 * c,
                              .kv_head = by_head ? tokens * d : 0};

    if (!graph_failed(g) &&
        (q->rank != 3 || (kv->rank != 3 && !by_head) || kv->dim[0] != q->dim[0] ||
         kv->elements != q->dim[0] * tokens * 2 * c || c % options->heads || nk > tokens))
        op_shape_error(g, "cross-attention", kv, "[the queries' batch, tokens, 2 * their width]");
    options_fit(g, options, shape.batch, shape.nq, nk);
    return attention(g, shape, q, kv, 0, by_head ? tokens * c : c, options);
}

struct bias_node {
    struct node node;
    struct tensor *bias;
    const struct tensor *index;
    struct param *table;
};

static void bias_backward(struct graph *g, struct node *node)
{
    struct bias_node *n = (struct bias_node *)node;
    struct backend *b = graph_backend(g);
    float *dbias = graph_gradient(g, n->bias);

    if (dbias)
        b->bias_gather_bwd(b, n->bias->dim[0], n->index->elements, n->index->data, dbias,
                           n->table->gradient);
}

struct tensor *op_attention_bias(struct graph *g, struct param *table, const struct tensor *index)
{
    struct backend *b = graph_backend(g);
    size_t mark = graph_mark(g);
    int64_t heads = table->dim[1];
    struct tensor *bias;
    struct bias_node *n;

    if (!graph_failed(g) && (index->element != ELEMENT_I32 || index->rank != 2))
        op_shape_error(g, table->name, index, "an I32 index [queries, keys]");
    bias = graph_tensor(g, ELEMENT_F32, 3, (int64_t[]){heads, index->dim[0], index->dim[1]});
    if (graph_failed(g))
        return bias;
    b->bias_gather_fwd(b, heads, index->elements, index->data, table->value, bias->data);
    if (graph_wants_param(g, table) &&
        (n = graph_record(g, sizeof *n, mark, bias_backward, bias))) {
        n->bias = bias;
        n->index = index;
        n->table = table;
    }
    return bias;
}
