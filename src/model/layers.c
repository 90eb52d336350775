/* layers.c: transformer parts.  See layers.h. */
#include "model/layers.h"

#include <math.h>
#include <stdio.h>

#define NAME_MAX_BYTES 192

float weight_deviation(int64_t in, int64_t out)
{
    return (float)sqrt(2.0 / (double)(in + out));
}

struct linear_layer linear_declare(struct params *params, const char *prefix, int64_t in,
                                   int64_t out, bool with_bias)
{
    struct linear_layer layer = {0};

    layer.weight = params_add(params, PARAM_NORMAL, weight_deviation(in, out), 2,
                              (int64_t[]){out, in}, "%s.weight", prefix);
    if (layer.weight)
        layer.weight->product = true;
    if (with_bias)
        layer.bias = params_add(params, PARAM_ZEROS, 0, 1, &out, "%s.bias", prefix);
    return layer;
}

struct norm_layer norm_declare(struct params *params, const char *prefix, int64_t width,
                               float epsilon)
{
    struct norm_layer layer = {.epsilon = epsilon};

    layer.weight = params_add(params, PARAM_ONES, 0, 1, &width, "%s.weight", prefix);
    layer.bias = params_add(params, PARAM_ZEROS, 0, 1, &width, "%s.bias", prefix);
    return layer;
}

/* PREFIX.PART declared as a linear layer. */
static struct linear_layer linear_part(struct params *params, const char *prefix, const char *part,
                                       int64_t in, int64_t out, bool with_bias)
{
    char name[NAME_MAX_BYTES + 16];

    snprintf(name, sizeof name, "%s.%s", prefix, part);
    return linear_declare(params, name, in, out, with_bias);
}

static struct norm_layer norm_part(struct params *params, const char *prefix, const char *part,
                                   int64_t width, float epsilon)
{
    char name[NAME_MAX_BYTES];

    snprintf(name, sizeof name, "%s.%s", prefix, part);
    return norm_declare(params, name, width, epsilon);
}

int64_t mlp_width(int64_t width, double ratio)
{
    /* Cut, as the originals do; a ratio that was read off a checkpoint (10 / 3) is not exact. */
    return (int64_t)((double)width * ratio + 1e-6);
}

struct mlp_layer mlp_declare(struct params *params, const char *prefix, int64_t width, double ratio)
{
    int64_t hidden = mlp_width(width, ratio);

    return (struct mlp_layer){
        .fc1 = linear_part(params, prefix, "fc1", width, hidden, true),
        .fc2 = linear_part(params, prefix, "fc2", hidden, width, true),
    };
}

struct tensor *linear_apply(struct graph *g, const struct linear_layer *layer, struct tensor *x)
{
    return op_linear(g, x, layer->weight, layer->bias);
}

struct tensor *norm_apply(struct graph *g, const struct norm_layer *layer, struct tensor *x)
{
    return op_layer_norm(g, x, layer->weight, layer->bias, layer->epsilon);
}

struct tensor *embed_words(struct graph *g, struct param *embedding, struct param *positions,
                           const struct tensor *ids)
{
    struct tensor *x = op_embed(g, embedding, ids);
    int32_t *position;

    if (!graph_failed(g) && (ids->rank != 2 || ids->dim[1] > positions->dim[0]))
        op_shape_error(g, positions->name, ids, "[batch, at most as many as there are positions]");
    if (graph_failed(g))
        return x;
    position = graph_host(g, (size_t)ids->elements * sizeof *position);
    if (graph_failed(g))
        return x;
    for (int64_t i = 0; i < ids->elements; i++)
        position[i] = (int32_t)(i % ids->dim[1]);
    return op_add(g, x, op_embed(g, positions, graph_input(g, ELEMENT_I32, 2, ids->dim, position)));
}

/* ---- residual halves --------------------------------------------------------------------------
 */

struct mlp_context {
    struct norm_layer norm;
    struct mlp_layer mlp;
    float dropout, drop_path;
    bool post_norm;
};

static void run_mlp(struct graph *g, const void *context, struct tensor **in, struct tensor **out)
{
    const struct mlp_context *c = context;
    struct tensor *y = op_mlp_residual(g, in[0], c->post_norm ? NULL : &c->norm, &c->mlp,
                                       c->dropout, c->drop_path);

    out[0] = c->post_norm ? norm_apply(g, &c->norm, y) : y;
}

struct tensor *mlp_residual(struct graph *g, const struct norm_layer *norm,
                            const struct mlp_layer *mlp, float dropout, float drop_path,
                            struct tensor *x)
{
    struct mlp_context context = {*norm, *mlp, dropout, drop_path, false};

    return graph_update(g, run_mlp, &context, sizeof context, x);
}

struct transformer_block block_declare(struct params *params, const char *prefix, int64_t width,
                                       int64_t heads, double mlp_ratio, double dropout,
                                       float epsilon)
{
    struct transformer_block block = {.heads = (int)heads, .dropout = (float)dropout};
    char name[NAME_MAX_BYTES];

    block.norm1 = norm_part(params, prefix, "norm1", width, epsilon);
    block.qkv = linear_part(params, prefix, "attn.qkv", width, 3 * width, true);
    block.proj = linear_part(params, prefix, "attn.proj", width, width, true);
    block.norm2 = norm_part(params, prefix, "norm2", width, epsilon);
    snprintf(name, sizeof name, "%s.mlp", prefix);
    block.mlp = mlp_declare(params, name, width, mlp_ratio);
    return block;
}

struct attention_context {
    struct transformer_block block;
    const struct tensor *key_mask;
};

static void run_attention(struct graph *g, const void *context, struct tensor **in,
                          struct tensor **out)
{
    const struct attention_context *c = context;
    const struct transformer_block *b = &c->block;
    struct attention_options options = {.heads = b->heads, .key_mask = c->key_mask};
    struct tensor *qkv = b->post_norm ? linear_apply(g, &b->qkv, in[0])
                                      : op_norm_linear(g, in[0], &b->norm1, NULL, &b->qkv);
    struct tensor *y = op_self_attention(g, qkv, &options);

    y = op_linear_residual(g, in[0], y, &b->proj, NULL, b->dropout, 0);
    out[0] = b->post_norm ? norm_apply(g, &b->norm1, y) : y;
}

struct tensor *block_apply(struct graph *g, const struct transformer_block *block, struct tensor *x,
                           const struct tensor *key_mask)
{
    struct attention_context context = {*block, key_mask};
    struct mlp_context mlp = {block->norm2, block->mlp, block->dropout, 0, block->post_norm};

    x = graph_update(g, run_attention, &context, sizeof context, x);
    return graph_update(g, run_mlp, &mlp, sizeof mlp, x);
}

/* ---- cross-attention --------------------------------------------------------------------------
 */

struct cross_layer cross_declare(struct params *params, const char *prefix, int64_t width,
                                 int64_t heads, double dropout)
{
    struct cross_layer layer = {.heads = (int)heads, .dropout = (float)dropout};

    layer.norm = norm_part(params, prefix, "norm", width, 1e-5f);
    layer.q = linear_part(params, prefix, "q", width, width, true);
    layer.kv = linear_part(params, prefix, "kv", width, 2 * width, true);
    layer.proj = linear_part(params, prefix, "proj", width, width, false);
    return layer;
}

struct tensor *cross_keys(struct graph *g, const struct cross_layer *layer, struct tensor *context)
{
    return linear_apply(g, &layer->kv, context);
}

/* x[..., C] as one sequence of all its rows, or any other shape of as many elements. */
static struct tensor *shaped(struct graph *g, struct tensor *x, int64_t batch, int64_t tokens)
{
    return graph_failed(g) ? x : op_reshape(g, x, 3, (int64_t[]){batch, tokens, tensor_last(x)});
}

struct tensor *cross_apply_each(struct graph *g, const struct cross_layer *layer, struct tensor *x,
                                int count, struct tensor *const kv[],
                                const struct tensor *const key_mask[])
{
    struct tensor *q = op_norm_linear(g, x, &layer->norm, NULL, &layer->q);
    struct tensor *part[CROSS_CONTEXTS_MAX], *y;
    int64_t share;

    if (!graph_failed(g) && (count < 1 || count > CROSS_CONTEXTS_MAX || x->rank != 3 ||
                             x->dim[0] % (count * kv[0]->dim[0]) != 0))
        op_shape_error(g, "cross-attention", x, "[a multiple of the contexts' rows, tokens, C]");
    if (graph_failed(g))
        return x;
    share = tensor_rows(x) / count;
    q = shaped(g, q, 1, count * share);
    /* What attends to one context is one sequence of queries: nothing orders them. */
    for (int i = 0; i < count; i++) {
        struct attention_options options = {.heads = layer->heads, .key_mask = key_mask[i]};
        struct tensor *mine = op_slice_tokens(g, q, i * share, share);

        if (graph_failed(g))
            return x;
        mine = shaped(g, mine, kv[i]->dim[0], share / kv[i]->dim[0]);
        part[i] = shaped(g, op_cross_attention(g, mine, kv[i], -1, &options), 1, share);
    }
    y = shaped(g, op_concat_tokens(g, count, part), x->dim[0], x->dim[1]);
    return op_linear_residual(g, x, y, &layer->proj, NULL, layer->dropout, 0);
}

struct tensor *cross_apply(struct graph *g, const struct cross_layer *layer, struct tensor *x,
                           struct tensor *kv, const struct tensor *key_mask)
{
    return cross_apply_each(g, layer, x, 1, &kv, &key_mask);
}
