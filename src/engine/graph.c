/* graph.c: the tape and the memory of one step.  See graph.h. */
#include "engine/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "engine/pool.h"

#define HOST_CHUNK_BYTES ((size_t)1 << 20)

/* Host memory of a step: chunks that are kept and used again.  Released like the arena. */
struct host_chunk {
    struct host_chunk *next;
    size_t size_bytes, used_bytes;
    _Alignas(64) unsigned char data[];
};

struct host_mark {
    struct host_chunk *chunk;
    size_t used_bytes;
};

struct graph {
    struct backend *backend;
    struct graph_options options;
    struct arena arena; /* activations */
    struct pool pool;   /* gradients of activations */
    struct host_chunk *first, *current;
    struct node *last; /* the newest node: the tape runs through node.previous */
    enum graph_mode mode;
    bool recording;
    bool replay; /* in the first run of a checkpointed block: its inputs must stay as they are */
    bool wanted; /* an op met something that wants a gradient, recorded or not */
    const struct tensor *updated; /* what the running graph_update will overwrite */
    int64_t blocks;               /* recorded in this step */
    uint64_t seed, stream;
    struct earshot_error error;
    struct tensor empty;          /* what ops get after a failure */
    unsigned char overflow[4096]; /* what graph_host gives when the host is out of memory */
};

/* ---- host memory ------------------------------------------------------------------------------
 */

static struct host_chunk *chunk_new(size_t size_bytes)
{
    struct host_chunk *chunk = NULL;
    size_t total = (sizeof *chunk + size_bytes + 63) / 64 * 64;

    if (total < size_bytes || !(chunk = aligned_alloc(64, total)))
        return NULL;
    *chunk = (struct host_chunk){.size_bytes = size_bytes};
    return chunk;
}

static void *host_alloc(struct graph *graph, size_t size_bytes)
{
    size_t rounded = (size_bytes + 63) / 64 * 64;
    struct host_chunk *chunk = graph->current;
    void *memory;

    while (chunk->size_bytes - chunk->used_bytes < rounded) {
        if (!chunk->next) {
            chunk->next = chunk_new(rounded > HOST_CHUNK_BYTES ? rounded : HOST_CHUNK_BYTES);
            if (!chunk->next)
                return NULL;
        }
        chunk = chunk->next;
        chunk->used_bytes = 0;
        graph->current = chunk;
    }
    memory = chunk->data + chunk->used_bytes;
    chunk->used_bytes += rounded;
    return memory;
}

static struct host_mark host_mark(const struct graph *graph)
{
    return (struct host_mark){graph->current, graph->current->used_bytes};
}

static void host_release(struct graph *graph, struct host_mark mark)
{
    graph->current = mark.chunk;
    graph->current->used_bytes = mark.used_bytes;
}

void *graph_host(struct graph *graph, size_t size_bytes)
{
    void *memory = host_alloc(graph, size_bytes);

    if (memory)
        return memory;
    graph_fail(graph, EARSHOT_ERROR_MEMORY, "out of memory: %zu bytes of host memory for a step",
               size_bytes);
    return size_bytes <= sizeof graph->overflow ? graph->overflow : NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */

enum earshot_status graph_open(struct backend *backend, const struct graph_options *options,
                               struct graph **out, struct earshot_error *error)
{
    struct graph *graph = calloc(1, sizeof *graph);
    void *activations, *gradients;

    *out = NULL;
    if (!graph)
        return error_memory(error, sizeof *graph);
    graph->backend = backend;
    graph->options = *options;
    graph->first = graph->current = chunk_new(HOST_CHUNK_BYTES);
    activations = backend->mem_alloc(backend, options->activation_bytes);
    arena_init(&graph->arena, activations, options->activation_bytes);
    gradients = backend->mem_alloc(backend, options->gradient_bytes);
    pool_init(&graph->pool, gradients, options->gradient_bytes);
    if (!graph->first || !activations || !gradients) {
        graph_close(graph);
        return error_memory(error, options->activation_bytes + options->gradient_bytes);
    }
    graph->empty.root = &graph->empty;
    *out = graph;
    return EARSHOT_OK;
}

void graph_close(struct graph *graph)
{
    if (!graph)
        return;
    if (graph->arena.base)
        graph->backend->mem_free(graph->backend, graph->arena.base, graph->arena.size_bytes);
    if (graph->pool.base)
        graph->backend->mem_free(graph->backend, graph->pool.base, graph->pool.size_bytes);
    pool_destroy(&graph->pool);
    while (graph->first) {
        struct host_chunk *next = graph->first->next;

        free(graph->first);
        graph->first = next;
    }
    free(graph);
}

void graph_begin(struct graph *graph, enum graph_mode mode, uint64_t seed, uint64_t step)
{
    graph->mode = mode;
    graph->recording = mode != GRAPH_INFER;
    graph->replay = graph->wanted = false;
    graph->blocks = 0;
    graph->seed = seed;
    graph->stream = step << 20;
    graph->last = NULL;
    arena_release(&graph->arena, 0);
    pool_reset(&graph->pool);
    host_release(graph, (struct host_mark){graph->first, 0});
    error_clear(&graph->error);
}

enum graph_mode graph_get_mode(const struct graph *graph)
{
    return graph->mode;
}

enum earshot_status graph_status(const struct graph *graph, struct earshot_error *error)
{
    if (error)
        *error = graph->error;
    return graph->error.status;
}

enum earshot_status graph_fail(struct graph *graph, enum earshot_status status, const char *format,
                               ...)
{
    va_list args;

    if (graph->error.status == EARSHOT_OK) {
        graph->error.status = status;
        va_start(args, format);
        vsnprintf(graph->error.message, sizeof graph->error.message, format, args);
        va_end(args);
    }
    return graph->error.status;
}

bool graph_failed(const struct graph *graph)
{
    return graph->error.status != EARSHOT_OK;
}

struct graph_options graph_needs(const struct graph *graph)
{
    struct graph_options needs = graph->options;

    needs.activation_bytes = graph->arena.high_water_bytes;
    needs.gradient_bytes = graph->pool.high_water_bytes;
    return needs;
}

int64_t graph_block_count(const struct graph *graph)
{
    return graph->blocks;
}

struct backend *graph_backend(const struct graph *graph)
{
    return graph->backend;
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

static size_t element_bytes(const struct graph *graph, enum element element)
{
    switch (element) {
    case ELEMENT_ACT:
        return graph->backend->act_bytes;
    case ELEMENT_U8:
        return 1;
    case ELEMENT_F32:
    case ELEMENT_I32:
        break;
    }
    return 4;
}

static size_t tensor_bytes(const struct graph *graph, const struct tensor *tensor)
{
    return (size_t)tensor->elements * element_bytes(graph, tensor->element);
}

/* The struct alone, without data. */
static struct tensor *tensor_struct(struct graph *graph, enum element element, int rank,
                                    const int64_t *dim)
{
    struct tensor *tensor = host_alloc(graph, sizeof *tensor);

    if (!tensor) {
        graph_fail(graph, EARSHOT_ERROR_MEMORY, "out of memory for a tensor's shape");
        return &graph->empty;
    }
    *tensor = (struct tensor){.element = element, .rank = rank, .elements = 1, .root = tensor};
    for (int i = 0; i < rank; i++) {
        tensor->dim[i] = dim[i];
        tensor->elements *= dim[i];
    }
    return tensor;
}

static struct tensor *empty_tensor(struct graph *graph)
{
    graph->empty = (struct tensor){.rank = 0, .root = &graph->empty};
    return &graph->empty;
}

static void *activation_bytes(struct graph *graph, size_t size_bytes)
{
    void *memory = arena_alloc(&graph->arena, size_bytes);

    if (!memory)
        graph_fail(graph, EARSHOT_ERROR_MEMORY,
                   "a step needs more than the %zu bytes reserved for activations (at least %zu); "
                   "use a smaller batch or clip, or reserve more",
                   graph->arena.size_bytes, graph->arena.high_water_bytes);
    return memory;
}

struct tensor *graph_tensor(struct graph *graph, enum element element, int rank, const int64_t *dim)
{
    struct tensor *tensor;

    if (graph_failed(graph))
        return empty_tensor(graph);
    tensor = tensor_struct(graph, element, rank, dim);
    tensor->data = activation_bytes(graph, tensor_bytes(graph, tensor));
    return tensor->data ? tensor : empty_tensor(graph);
}

void *graph_scratch(struct graph *graph, int64_t elements)
{
    if (graph_failed(graph))
        return NULL;
    return activation_bytes(graph, (size_t)elements * graph->backend->act_bytes);
}

void graph_scratch_end(struct graph *graph, size_t mark)
{
    arena_release(&graph->arena, mark);
}

struct tensor *graph_view(struct graph *graph, struct tensor *tensor, int rank, const int64_t *dim)
{
    struct tensor *view;

    if (graph_failed(graph))
        return empty_tensor(graph);
    view = tensor_struct(graph, tensor->element, rank, dim);
    if (view->elements != tensor->elements) {
        graph_fail(graph, EARSHOT_ERROR_INTERNAL, "reshape from %lld to %lld elements",
                   (long long)tensor->elements, (long long)view->elements);
        return empty_tensor(graph);
    }
    view->data = tensor->data;
    view->root = tensor->root;
    view->needs_gradient = tensor->root->needs_gradient;
    return view;
}

struct tensor *graph_input(struct graph *graph, enum element element, int rank, const int64_t *dim,
                           const void *host)
{
    struct tensor *tensor = graph_tensor(graph, element, rank, dim);
    struct backend *backend = graph->backend;

    if (graph_failed(graph))
        return tensor;
    if (!host)
        backend->mem_zero(backend, tensor->data, tensor_bytes(graph, tensor));
    else if (element == ELEMENT_ACT)
        backend->upload_act(backend, tensor->data, host, tensor->elements);
    else
        backend->upload(backend, tensor->data, host, tensor_bytes(graph, tensor));
    return tensor;
}

void graph_require_gradient(struct tensor *tensor)
{
    tensor->root->needs_gradient = true;
    tensor->needs_gradient = true;
}

struct tensor *graph_external(struct graph *graph, enum element element, int rank,
                              const int64_t *dim, void *data)
{
    struct tensor *tensor;

    if (graph_failed(graph))
        return empty_tensor(graph);
    tensor = tensor_struct(graph, element, rank, dim);
    tensor->data = data;
    return tensor;
}

static void download(struct graph *graph, const struct tensor *tensor, const void *data,
                     float *host)
{
    if (tensor->element == ELEMENT_ACT)
        graph->backend->download_act(graph->backend, host, data, tensor->elements);
    else
        graph->backend->download(graph->backend, host, data, tensor_bytes(graph, tensor));
}

void graph_download(struct graph *graph, const struct tensor *tensor, float *host)
{
    if (!graph_failed(graph))
        download(graph, tensor, tensor->data, host);
}

void graph_download_gradient(struct graph *graph, const struct tensor *tensor, float *host)
{
    if (graph_failed(graph))
        return;
    if (tensor->root->gradient)
        download(graph, tensor, tensor->root->gradient, host);
    else
        memset(host, 0, (size_t)tensor->elements * sizeof *host);
}

/* ---- the tape ---------------------------------------------------------------------------------
 */

bool graph_wants(struct graph *graph, const struct tensor *tensor)
{
    bool wants = tensor && tensor->root->needs_gradient;

    graph->wanted |= wants;
    return graph->recording && wants;
}

bool graph_wants_param(struct graph *graph, const struct param *param)
{
    bool wants = param && param->gradient;

    graph->wanted |= wants;
    return graph->recording && wants;
}

size_t graph_mark(const struct graph *graph)
{
    return arena_mark(&graph->arena);
}

void *graph_record(struct graph *graph, size_t size_bytes, size_t activation_mark,
                   void (*backward)(struct graph *, struct node *), struct tensor *out)
{
    struct node *node = graph_failed(graph) ? NULL : host_alloc(graph, size_bytes);

    if (!node) {
        graph_fail(graph, EARSHOT_ERROR_MEMORY, "out of memory for the tape");
        return NULL;
    }
    memset(node, 0, size_bytes);
    node->backward = backward;
    node->out = out;
    node->activation_mark = activation_mark;
    node->previous = graph->last;
    graph->last = node;
    if (out)
        graph_require_gradient(out);
    return node;
}

void *graph_gradient_unset(struct graph *graph, struct tensor *tensor, bool *add)
{
    struct tensor *root;

    *add = true;
    if (!tensor || graph_failed(graph) || !tensor->root->needs_gradient)
        return NULL;
    root = tensor->root;
    if (root->gradient)
        return root->gradient;
    *add = false;
    root->gradient = pool_alloc(&graph->pool, tensor_bytes(graph, root));
    if (!root->gradient) {
        graph_fail(graph, EARSHOT_ERROR_MEMORY,
                   "a step needs more than the %zu bytes reserved for gradients (at least %zu); "
                   "use a smaller batch or clip, or reserve more",
                   graph->pool.size_bytes, graph->pool.high_water_bytes);
        return NULL;
    }
    return root->gradient;
}

void *graph_gradient(struct graph *graph, struct tensor *tensor)
{
    bool add;
    void *gradient = graph_gradient_unset(graph, tensor, &add);

    if (gradient && !add)
        graph->backend->mem_zero(graph->backend, gradient, tensor_bytes(graph, tensor->root));
    return gradient;
}

bool graph_pass_gradient(struct graph *graph, struct tensor *y, struct tensor *x)
{
    struct tensor *from = y->root, *to = x->root;

    if (graph_failed(graph) || !to->needs_gradient || to->gradient || !from->gradient ||
        from->element != to->element || from->elements != to->elements)
        return false;
    to->gradient = from->gradient;
    from->gradient = NULL;
    return true;
}

uint64_t graph_next_stream(struct graph *graph)
{
    return graph->stream++;
}

uint64_t graph_seed_value(const struct graph *graph)
{
    return graph->seed;
}

void graph_seed(struct graph *graph, struct tensor *tensor, const float *host)
{
    struct backend *backend = graph->backend;
    void *gradient = graph_gradient(graph, tensor);

    if (!gradient)
        return;
    if (tensor->element == ELEMENT_ACT)
        backend->upload_act(backend, gradient, host, tensor->elements);
    else
        backend->upload(backend, gradient, host, (size_t)tensor->elements * sizeof *host);
}

/* Runs the nodes newer than `stop`, newest first, and takes them off the tape. */
static void walk_back_to(struct graph *graph, struct node *stop)
{
    while (graph->last != stop && !graph_failed(graph)) {
        struct node *node = graph->last;
        struct tensor *root = node->out ? node->out->root : NULL;

        graph->last = node->previous;
        if (!root || root->gradient)
            node->backward(graph, node);
        if (root && root->gradient) {
            pool_free(&graph->pool, root->gradient);
            root->gradient = NULL;
        }
        arena_release(&graph->arena, node->activation_mark);
    }
}

void graph_backward(struct graph *graph)
{
    graph->recording = false;
    walk_back_to(graph, NULL);
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

struct block_node {
    struct node node;
    graph_block_function function;
    const void *context;
    int in_count, out_count;
    struct tensor *in[GRAPH_BLOCK_TENSORS], *out[GRAPH_BLOCK_TENSORS];
    uint64_t stream;
};

/* Runs the block again, this time recording, hands it its outputs' gradients, and walks it back. */
static void block_backward(struct graph *graph, struct node *node)
{
    struct block_node *n = (struct block_node *)node;
    struct tensor *out[GRAPH_BLOCK_TENSORS] = {0};
    struct host_mark mark = host_mark(graph);
    uint64_t stream = graph->stream;
    struct node *stop = graph->last;
    bool touched = false;

    for (int i = 0; i < n->out_count; i++)
        touched |= n->out[i]->root->gradient != NULL;
    if (!touched)
        return;
    graph->recording = true;
    graph->stream = n->stream;
    n->function(graph, n->context, n->in, out);
    graph->stream = stream;
    graph->recording = false;
    for (int i = 0; i < n->out_count && !graph_failed(graph); i++) {
        struct tensor *root = out[i]->root;
        void *gradient = n->out[i]->root->gradient;

        n->out[i]->root->gradient = NULL; /* moved: the walk frees it */
        if (!gradient)
            continue;
        if (root->gradient)
            graph_fail(graph, EARSHOT_ERROR_INTERNAL,
                       "a block's output %d is one of its inputs or given out twice", i);
        else if (root->needs_gradient)
            root->gradient = gradient;
        else
            pool_free(&graph->pool, gradient);
    }
    walk_back_to(graph, stop);
    host_release(graph, mark);
}

/* Moves the outputs down to `mark`, in address order, and gives back everything above them. */
static void keep_outputs(struct graph *graph, size_t mark, struct host_mark host, int count,
                         struct tensor **out)
{
    struct tensor kept[GRAPH_BLOCK_TENSORS];
    bool done[GRAPH_BLOCK_TENSORS] = {false};

    for (int i = 0; i < count; i++)
        kept[i] = *out[i];
    host_release(graph, host);
    arena_release(&graph->arena, mark);
    for (int n = 0; n < count; n++) {
        unsigned char *end = graph->arena.base + mark;
        int lowest = -1;
        void *to;

        for (int i = 0; i < count; i++)
            if (!done[i] &&
                (lowest < 0 || (unsigned char *)kept[i].data < (unsigned char *)kept[lowest].data))
                lowest = i;
        done[lowest] = true;
        out[lowest] =
            tensor_struct(graph, kept[lowest].element, kept[lowest].rank, kept[lowest].dim);
        if ((unsigned char *)kept[lowest].data <
            end) { /* older than the block: stays where it is */
            out[lowest]->data = kept[lowest].data;
            continue;
        }
        to = arena_alloc(&graph->arena, tensor_bytes(graph, &kept[lowest]));
        if (to != kept[lowest].data)
            graph->backend->mem_move(graph->backend, to, kept[lowest].data,
                                     tensor_bytes(graph, &kept[lowest]));
        out[lowest]->data = to;
    }
}

/* Runs a block on the tape.  One that leaves nothing there (frozen parameters over inputs that want
 * no gradient) will never be walked, so its inside is given back, as when nothing is recorded. */
static void run_recorded(struct graph *graph, graph_block_function function, const void *context,
                         int in_count, struct tensor *const *inputs, int out_count,
                         struct tensor **out)
{
    struct tensor *in[GRAPH_BLOCK_TENSORS];
    const struct node *last = graph->last;
    size_t mark = graph_mark(graph);
    struct host_mark host = host_mark(graph);
    bool wanted = false;

    memcpy(in, inputs, (size_t)in_count * sizeof *in); /* in and out may be one array */
    function(graph, context, in, out);
    for (int i = 0; i < in_count; i++) /* a block may give out a view of an input */
        wanted |= in[i]->root->needs_gradient;
    if (graph->last == last && !wanted && !graph_failed(graph))
        keep_outputs(graph, mark, host, out_count, out);
}

void graph_block(struct graph *graph, graph_block_function function, const void *context,
                 size_t context_bytes, int in_count, struct tensor **in, int out_count,
                 struct tensor **out)
{
    size_t mark = graph_mark(graph);
    bool recording = graph->recording, replay = graph->replay, wanted = graph->wanted;
    struct host_mark host;
    struct block_node saved = {.function = function,
                               .in_count = in_count,
                               .out_count = out_count,
                               .stream = graph->stream};
    struct block_node *n;
    void *copy = NULL;

    memcpy(saved.in, in, (size_t)in_count * sizeof *in); /* in and out may be one array */
    if (recording && graph->blocks++ >= graph->options.checkpoint) {
        run_recorded(graph, function, context, in_count, in, out_count, out);
        return;
    }
    if (recording && context_bytes) {
        copy = graph_host(graph, context_bytes);
        if (copy)
            memcpy(copy, context, context_bytes);
    }
    host = host_mark(graph);
    graph->recording = false;
    graph->replay = replay || recording;
    graph->wanted = false;
    function(graph, context, in, out);
    graph->recording = recording;
    graph->replay = replay;
    for (int i = 0; i < in_count; i++) /* a block may give out a view of an input */
        graph->wanted |= saved.in[i]->root->needs_gradient;
    recording = recording && graph->wanted;
    graph->wanted |= wanted;
    if (graph_failed(graph)) {
        for (int i = 0; i < out_count; i++)
            out[i] = empty_tensor(graph);
        return;
    }
    keep_outputs(graph, mark, host, out_count, out);
    if (!recording)
        return;
    n = graph_record(graph, sizeof *n, mark, block_backward, NULL);
    if (!n)
        return;
    saved.node = n->node;
    *n = saved;
    n->context = copy;
    for (int i = 0; i < out_count; i++) {
        n->out[i] = out[i];
        graph_require_gradient(out[i]);
    }
}

void graph_scope(struct graph *graph, graph_block_function function, const void *context,
                 size_t context_bytes, int in_count, struct tensor **in, int out_count,
                 struct tensor **out)
{
    if (graph->recording)
        run_recorded(graph, function, context, in_count, in, out_count, out);
    else
        graph_block(graph, function, context, context_bytes, in_count, in, out_count, out);
}

struct tensor *graph_update(struct graph *graph, graph_block_function function, const void *context,
                            size_t context_bytes, struct tensor *x)
{
    struct tensor *in = x, *out;
    const struct tensor *outer = graph->updated;
    struct host_mark host;
    size_t mark;

    if (graph->recording || graph->replay) {
        graph_block(graph, function, context, context_bytes, 1, &in, 1, &out);
        return out;
    }
    mark = graph_mark(graph);
    host = host_mark(graph);
    graph->updated = x;
    function(graph, context, &in, &out);
    graph->updated = outer;
    if (graph_failed(graph))
        return empty_tensor(graph);
    if (out->elements != x->elements || out->element != x->element) {
        keep_outputs(graph, mark, host, 1, &out);
        return out;
    }
    if (out != x)
        graph->backend->mem_move(graph->backend, x->data, out->data, tensor_bytes(graph, x));
    host_release(graph, host);
    arena_release(&graph->arena, mark);
    return x;
}

bool graph_may_overwrite(const struct graph *graph, const struct tensor *x)
{
    return graph->updated == x;
}
