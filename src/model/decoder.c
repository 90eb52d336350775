/* decoder.c: the caption decoder.  See decoder.h. */
#include "model/decoder.h"

#include <stdio.h>
#include <stdlib.h>

#define DECODER_EPSILON 1e-5f

/* ---- declaration ------------------------------------------------------------------------------
 */

enum earshot_status decoder_declare(struct decoder *decoder, struct params *params,
                                    const char *prefix, const struct model_config *config,
                                    struct earshot_error *error)
{
    const struct decoder_config *c = &config->decoder;
    int64_t width = config->width;
    char name[128];

    *decoder = (struct decoder){.config = *c, .width = width};
    decoder->layer = calloc((size_t)c->layers, sizeof *decoder->layer);
    if (!decoder->layer)
        return error_memory(error, (size_t)c->layers * sizeof *decoder->layer);
    decoder->embedding =
        params_add(params, PARAM_NORMAL, 0.02f, 2, (int64_t[]){c->vocabulary, width},
                   "%s.embedding.weight", prefix);
    decoder->positions =
        params_add(params, PARAM_NORMAL, 0.02f, 2, (int64_t[]){c->max_length, width},
                   "%s.positions.weight", prefix);
    decoder->output_bias =
        params_add(params, PARAM_ZEROS, 0, 1, &c->vocabulary, "%s.output.bias", prefix);
    if (decoder->embedding && decoder->positions) {
        decoder->embedding->decay = decoder->positions->decay = false;
        decoder->embedding->product = true; /* the output layer */
    }
    for (int64_t i = 0; i < c->layers; i++) {
        snprintf(name, sizeof name, "%s.layers.%d", prefix, (int)i);
        decoder->layer[i].block =
            block_declare(params, name, width, c->heads, c->mlp_ratio, c->dropout, DECODER_EPSILON);
        snprintf(name, sizeof name, "%s.layers.%d.cross", prefix, (int)i);
        decoder->layer[i].cross = cross_declare(params, name, width, c->heads, c->dropout);
    }
    snprintf(name, sizeof name, "%s.norm", prefix);
    decoder->norm = norm_declare(params, name, width, DECODER_EPSILON);
    return EARSHOT_OK;
}

void decoder_free(struct decoder *decoder)
{
    free(decoder->layer);
    decoder->layer = NULL;
}

/* ---- shared by both ways in -------------------------------------------------------------------
 */

/* What is left of a layer's self-attention half once the attention is done: projection, residual.
 */
static struct tensor *project(struct graph *g, const struct transformer_block *block,
                              struct tensor *x, struct tensor *attended)
{
    return op_linear_residual(g, x, attended, &block->proj, NULL, block->dropout, 0);
}

static struct tensor *output(struct graph *g, const struct decoder *decoder, struct tensor *x)
{
    x = norm_apply(g, &decoder->norm, x);
    return op_linear(g, x, decoder->embedding, decoder->output_bias);
}

/* ---- all positions at once --------------------------------------------------------------------
 */

struct layer_context {
    struct decoder_layer layer;
    int memories;
    const struct tensor *memory_mask[CROSS_CONTEXTS_MAX];
};

/* in: x [B, L, D], memory [B, M, D]. */
static void run_layer(struct graph *g, const void *context, struct tensor **in, struct tensor **out)
{
    const struct layer_context *c = context;
    const struct transformer_block *block = &c->layer.block;
    struct attention_options options = {.heads = block->heads, .causal = true};
    struct tensor *x = in[0], *kv[CROSS_CONTEXTS_MAX];
    struct tensor *qkv = op_norm_linear(g, x, &block->norm1, NULL, &block->qkv);

    x = project(g, block, x, op_self_attention(g, qkv, &options));
    for (int i = 0; i < c->memories; i++)
        kv[i] = cross_keys(g, &c->layer.cross, in[1 + i]);
    out[0] = cross_apply_each(g, &c->layer.cross, x, c->memories, kv, c->memory_mask);
}

struct tensor *decoder_forward(struct graph *g, const struct decoder *decoder,
                               const struct fusion_memory *memory, const struct tensor *tokens)
{
    return decoder_forward_each(g, decoder, 1, memory, tokens);
}

struct tensor *decoder_forward_each(struct graph *g, const struct decoder *decoder, int count,
                                    const struct fusion_memory *memory, const struct tensor *tokens)
{
    struct tensor *x = embed_words(g, decoder->embedding, decoder->positions, tokens);

    x = op_dropout(g, x, (float)decoder->config.dropout);
    for (int64_t i = 0; i < decoder->config.layers; i++) {
        struct layer_context context = {.layer = decoder->layer[i], .memories = count};
        const struct transformer_block *block = &decoder->layer[i].block;
        struct tensor *in[1 + CROSS_CONTEXTS_MAX] = {x};

        for (int j = 0; j < count; j++) {
            in[1 + j] = memory[j].tokens;
            context.memory_mask[j] = memory[j].key_mask;
        }
        graph_block(g, run_layer, &context, sizeof context, 1 + count, in, 1, &x);
        x = mlp_residual(g, &block->norm2, &block->mlp, block->dropout, 0, x);
    }
    return output(g, decoder, x);
}

/* ---- one token a step -------------------------------------------------------------------------
 */

struct cache_layer {
    /* [samples, 2, heads, memory_tokens, D / heads]: the few queries of a step read each head's
     * keys one after the other, then its values. */
    void *memory_kv;
    void *self_kv[2]; /* [rows, max_length, 2D]: this step's and the previous one's, in turn */
};

struct decoder_cache {
    struct backend *backend;
    int64_t samples, rows, memory_tokens, layers, width, length_limit;
    int64_t length;    /* tokens so far */
    int current;       /* which self_kv holds the last step */
    void *memory_mask; /* U8 [samples, memory_tokens] */
    struct cache_layer *layer;
};

static size_t memory_kv_bytes(const struct decoder_cache *c)
{
    return (size_t)(c->samples * c->memory_tokens * 2 * c->width) * c->backend->act_bytes;
}

static size_t self_kv_bytes(const struct decoder_cache *c)
{
    return (size_t)(c->rows * c->length_limit * 2 * c->width) * c->backend->act_bytes;
}

static size_t mask_bytes(const struct decoder_cache *c)
{
    return (size_t)(c->samples * c->memory_tokens);
}

size_t decoder_cache_bytes(const struct decoder_cache *c)
{
    return mask_bytes(c) + (size_t)c->layers * (memory_kv_bytes(c) + 2 * self_kv_bytes(c));
}

enum earshot_status decoder_cache_new(const struct decoder *decoder, struct backend *backend,
                                      int64_t samples, int64_t rows, int64_t memory_tokens,
                                      struct decoder_cache **out, struct earshot_error *error)
{
    struct decoder_cache *c = calloc(1, sizeof *c);
    bool whole = true;

    *out = NULL;
    if (!c)
        return error_memory(error, sizeof *c);
    *c = (struct decoder_cache){.backend = backend,
                                .samples = samples,
                                .rows = rows,
                                .memory_tokens = memory_tokens,
                                .layers = decoder->config.layers,
                                .width = decoder->width,
                                .length_limit = decoder->config.max_length};
    c->layer = calloc((size_t)c->layers, sizeof *c->layer);
    c->memory_mask = backend->mem_alloc(backend, mask_bytes(c));
    whole = c->layer && c->memory_mask;
    for (int64_t i = 0; whole && i < c->layers; i++) {
        c->layer[i].memory_kv = backend->mem_alloc(backend, memory_kv_bytes(c));
        c->layer[i].self_kv[0] = backend->mem_alloc(backend, self_kv_bytes(c));
        c->layer[i].self_kv[1] = backend->mem_alloc(backend, self_kv_bytes(c));
        whole = c->layer[i].memory_kv && c->layer[i].self_kv[0] && c->layer[i].self_kv[1];
    }
    if (!whole) {
        enum earshot_status status = error_memory(error, decoder_cache_bytes(c));

        decoder_cache_free(c);
        return status;
    }
    *out = c;
    return EARSHOT_OK;
}

static void give_back(struct decoder_cache *c, void *memory, size_t size_bytes)
{
    if (memory)
        c->backend->mem_free(c->backend, memory, size_bytes);
}

void decoder_cache_free(struct decoder_cache *c)
{
    if (!c)
        return;
    for (int64_t i = 0; c->layer && i < c->layers; i++) {
        give_back(c, c->layer[i].memory_kv, memory_kv_bytes(c));
        give_back(c, c->layer[i].self_kv[0], self_kv_bytes(c));
        give_back(c, c->layer[i].self_kv[1], self_kv_bytes(c));
    }
    give_back(c, c->memory_mask, mask_bytes(c));
    free(c->layer);
    free(c);
}

/* [samples, memory_tokens, parts, 2D / parts] -> [samples, parts, memory_tokens, 2D / parts] */
static void part_heads(const struct decoder_cache *c, int64_t parts, void *from, void *to)
{
    int64_t row = 2 * c->width, d = row / parts, run = c->memory_tokens * d;
    const struct strided s = {c->memory_tokens, d, row, d};

    for (int64_t i = 0; i < c->samples * parts; i++)
        c->backend->copy_strided(
            c->backend, &s,
            act_at(c->backend, from, i / parts * c->memory_tokens * row + i % parts * d),
            act_at(c->backend, to, i * run), false);
}

void decoder_cache_begin(struct graph *g, const struct decoder *decoder, struct decoder_cache *c,
                         const struct fusion_memory *memory)
{
    struct backend *b = c->backend;

    if (!graph_failed(g) &&
        (memory->tokens->dim[0] != c->samples || memory->tokens->dim[1] != c->memory_tokens))
        op_shape_error(g, "decoder cache", memory->tokens, "the memory it was made for");
    c->length = 0;
    for (int64_t i = 0; i < c->layers && !graph_failed(g); i++) {
        struct tensor *kv = cross_keys(g, &decoder->layer[i].cross, memory->tokens);

        if (!graph_failed(g))
            part_heads(c, 2 * decoder->layer[i].cross.heads, kv->data, c->layer[i].memory_kv);
    }
    if (!graph_failed(g))
        b->mem_move(b, c->memory_mask, memory->key_mask->data, mask_bytes(c));
}

/* The tokens so far of the rows that the rows of this step continue, copied into the other buffer.
 */
static void reorder(struct decoder_cache *c, int64_t rows, const int32_t *parents)
{
    struct backend *b = c->backend;
    int64_t run = c->length_limit * 2 * c->width;
    size_t used_bytes = (size_t)(c->length * 2 * c->width) * b->act_bytes;
    bool same = true; /* rows that nobody continues may be missing at the end */

    for (int64_t r = 0; r < rows; r++)
        same = same && parents[r] == r;
    if (same)
        return;
    for (int64_t i = 0; i < c->layers; i++) {
        void *from = c->layer[i].self_kv[c->current], *to = c->layer[i].self_kv[!c->current];

        for (int64_t r = 0; r < rows; r++)
            b->mem_move(b, act_at(c->backend, to, r * run),
                        act_at(c->backend, from, parents[r] * run), used_bytes);
    }
    c->current = !c->current;
}

/* Rows of one sample side by side as the queries of that sample's memory: [samples, widest, D]. */
struct slots {
    int64_t widest;
    struct tensor *to_slot;   /* I32 [samples, widest]: row or -1 */
    struct tensor *from_slot; /* I32 [1, rows] */
};

static struct slots slots_build(struct graph *g, const struct decoder_cache *c, int64_t rows,
                                const int32_t *sample)
{
    struct slots slots = {.widest = 1};
    int32_t *to, *from;

    for (int64_t r = 0, run = 0; r < rows; r++) {
        run = r && sample[r] == sample[r - 1] ? run + 1 : 1;
        if (run > slots.widest)
            slots.widest = run;
    }
    to = graph_host(g, (size_t)(c->samples * slots.widest) * sizeof *to);
    from = graph_host(g, (size_t)rows * sizeof *from);
    if (graph_failed(g))
        return slots;
    for (int64_t i = 0; i < c->samples * slots.widest; i++)
        to[i] = -1;
    for (int64_t r = 0, place = 0; r < rows; r++) {
        place = r && sample[r] == sample[r - 1] ? place + 1 : 0;
        from[r] = (int32_t)(sample[r] * slots.widest + place);
        to[from[r]] = (int32_t)r;
    }
    slots.to_slot = graph_input(g, ELEMENT_I32, 2, (int64_t[]){c->samples, slots.widest}, to);
    slots.from_slot = graph_input(g, ELEMENT_I32, 2, (int64_t[]){rows, 1}, from);
    return slots;
}

/* x[rows, 1, D] through one layer. */
static struct tensor *step_layer(struct graph *g, const struct decoder_layer *layer,
                                 struct decoder_cache *c, int64_t index, struct tensor *x,
                                 const struct slots *slots, struct tensor *memory_mask)
{
    const struct transformer_block *block = &layer->block;
    struct attention_options options = {.heads = block->heads};
    int64_t rows = x->dim[0], d = c->width;
    struct cache_layer *store = &c->layer[index];
    struct tensor *qkv = op_norm_linear(g, x, &block->norm1, NULL, &block->qkv);
    struct tensor *q, *kv, *cache, *memory;

    /* As tokens of width D, qkv is [rows, 3, D]: q first, then k and v together. */
    qkv = op_reshape(g, qkv, 3, (int64_t[]){rows, 3, d});
    q = op_slice_tokens(g, qkv, 0, 1);
    kv = op_reshape(g, op_slice_tokens(g, qkv, 1, 2), 3, (int64_t[]){rows, 1, 2 * d});
    cache = graph_external(g, ELEMENT_ACT, 3, (int64_t[]){rows, c->length_limit, 2 * d},
                           store->self_kv[c->current]);
    op_cache_store(g, cache, kv, c->length);
    x = project(g, block, x, op_cross_attention(g, q, cache, c->length + 1, &options));

    memory = graph_external(
        g, ELEMENT_ACT, 5,
        (int64_t[]){c->samples, 2, layer->cross.heads, c->memory_tokens, d / layer->cross.heads},
        store->memory_kv);
    x = op_gather_rows(g, x, slots->to_slot);
    x = cross_apply(g, &layer->cross, x, memory, memory_mask);
    x = op_gather_rows(g, x, slots->from_slot);
    return mlp_residual(g, &block->norm2, &block->mlp, 0, 0, x);
}

struct tensor *decoder_step(struct graph *g, const struct decoder *decoder, struct decoder_cache *c,
                            int64_t rows, const int32_t *tokens, const int32_t *parents,
                            const int32_t *sample)
{
    int64_t dim[2] = {rows, 1};
    int32_t *position = graph_host(g, (size_t)rows * sizeof *position);
    struct tensor *x, *mask;
    struct slots slots;

    if (!graph_failed(g) && (rows > c->rows || c->length >= c->length_limit))
        graph_fail(g, EARSHOT_ERROR_INTERNAL,
                   "decoder: %lld rows at position %lld do not fit a cache of %lld x %lld",
                   (long long)rows, (long long)c->length, (long long)c->rows,
                   (long long)c->length_limit);
    if (c->length > 0 && !graph_failed(g))
        reorder(c, rows, parents);
    slots = slots_build(g, c, rows, sample);
    if (graph_failed(g))
        return graph_tensor(g, ELEMENT_ACT, 0, NULL);
    for (int64_t r = 0; r < rows; r++)
        position[r] = (int32_t)c->length;
    mask =
        graph_external(g, ELEMENT_U8, 2, (int64_t[]){c->samples, c->memory_tokens}, c->memory_mask);
    x = op_add(g, op_embed(g, decoder->embedding, graph_input(g, ELEMENT_I32, 2, dim, tokens)),
               op_embed(g, decoder->positions, graph_input(g, ELEMENT_I32, 2, dim, position)));
    for (int64_t i = 0; i < c->layers; i++)
        x = step_layer(g, &decoder->layer[i], c, i, x, &slots, mask);
    c->length++;
    x = output(g, decoder, x);
    return op_reshape(g, x, 2, (int64_t[]){rows, decoder->config.vocabulary});
}
