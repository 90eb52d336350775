/* logits.c: two models' logits over the same words.  See logits.h. */
#include "train/logits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/captioner.h"
#include "model/cost.h"
#include "train/loader.h"

#define BATCH 8
#define KEEP_BYTES ((int64_t)64 << 20)

struct side {
    struct captioner *captioner;
    struct wordpiece *tokenizer;
    float *logits; /* [BATCH, max_length, vocabulary] */
};

struct comparison {
    struct backend *backend;
    struct graph *graph;
    struct side side[2];
    struct dataset *data;
    struct clip_reader *reader;
    struct clip_store *clips;
    struct loader *loader;
    double sum;
    int64_t same;
};

static void close_all(struct comparison *c)
{
    loader_close(c->loader);
    clip_store_close(c->clips);
    clip_reader_close(c->reader);
    dataset_close(c->data);
    graph_close(c->graph);
    for (int i = 0; i < 2; i++) {
        captioner_free(c->side[i].captioner);
        wordpiece_free(c->side[i].tokenizer);
        free(c->side[i].logits);
    }
    if (c->backend)
        c->backend->close(c->backend);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* The same parameters, whatever their precision. */
static bool same_network(const struct captioner *a, const struct captioner *b)
{
    bool same = params_count(a->params) == params_count(b->params);

    for (int i = 0; same && i < params_count(a->params); i++) {
        const struct param *x = params_at(a->params, i), *y = params_at(b->params, i);

        same = strcmp(x->name, y->name) == 0 && x->elements == y->elements;
    }
    return same;
}

static enum earshot_status open_models(struct comparison *c, const char *a, const char *b,
                                       struct earshot_error *error)
{
    const char *const directory[2] = {a, b};
    enum earshot_status status = EARSHOT_OK;
    const struct decoder_config *config;
    size_t size_bytes;

    for (int i = 0; i < 2 && status == EARSHOT_OK; i++)
        status = captioner_open(directory[i], c->backend, false, &c->side[i].captioner,
                                &c->side[i].tokenizer, error);
    if (status != EARSHOT_OK)
        return status;
    if (!same_network(c->side[0].captioner, c->side[1].captioner))
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s and %s are not the same network", a, b);
    config = &c->side[0].captioner->config.decoder;
    size_bytes = (size_t)(BATCH * config->max_length * config->vocabulary) * sizeof(float);
    for (int i = 0; i < 2; i++) {
        c->side[i].logits = malloc(size_bytes);
        if (!c->side[i].logits)
            return error_memory(error, size_bytes);
    }
    return EARSHOT_OK;
}

static enum earshot_status open_clips(struct comparison *c, const char *manifest, int threads,
                                      struct earshot_error *error)
{
    const struct model_config *config = &c->side[0].captioner->config;
    const struct clip_reader_options reading = captioner_reader_options(config);
    const struct clip_store_options keeping = {.limit_bytes = KEEP_BYTES,
                                               .window_s = config->window_s};
    const struct loader_options loading = {.batch_size = BATCH,
                                           .threads = threads > 0 ? threads : 2,
                                           .ahead = 2,
                                           .objectives = OBJECTIVE_BIT(OBJECTIVE_CAPTION),
                                           .text_input = OBJECTIVE_BIT(OBJECTIVE_CAPTION)};
    enum earshot_status status = dataset_open(manifest, &c->data, error);

    if (status == EARSHOT_OK)
        status = clip_reader_open(&reading, &c->reader, error);
    if (status == EARSHOT_OK)
        status = clip_store_open(c->data, c->reader, &keeping, &c->clips, error);
    if (status == EARSHOT_OK)
        status = loader_open(c->clips, c->side[0].captioner, c->side[0].tokenizer, &loading, 0,
                             &c->loader, error);
    return status;
}

/* A forward's memory is that of a validation. */
static enum earshot_status open_graph(struct comparison *c, struct earshot_error *error)
{
    const struct cost_question question = {.batch = BATCH, .training = true, .scoring = true};
    struct model_cost cost;
    enum earshot_status status = model_cost(&c->side[0].captioner->config, &question, &cost, error);

    return status == EARSHOT_OK ? graph_open(c->backend, &cost.memory, &c->graph, error) : status;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static enum earshot_status forward(struct comparison *c, struct side *side,
                                   const struct batch *batch, struct earshot_error *error)
{
    int64_t dim[2] = {batch->clips.size, batch->length};
    struct graph *g = c->graph;
    struct stream_set streams;
    struct fusion_memory memory;
    struct tensor *tokens;

    graph_begin(g, GRAPH_INFER, 0, 0);
    streams = captioner_encode(g, side->captioner, &batch->clips);
    memory = fusion_forward(g, &side->captioner->fusion, &streams);
    tokens = graph_input(g, ELEMENT_I32, 2, dim, batch->text[OBJECTIVE_CAPTION].tokens);
    graph_download(g, decoder_forward(g, &side->captioner->decoder, &memory, tokens), side->logits);
    return graph_status(g, error);
}

static void compare_place(struct comparison *c, const float *a, const float *b, int64_t n,
                          struct logits_difference *d)
{
    int64_t best_a = 0, best_b = 0;

    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);

        c->sum += difference;
        /* not a number is as far as can be */
        d->largest = difference <= d->largest ? d->largest : difference;
        d->scale = fmax(d->scale, fabs((double)a[i]));
        best_a = a[i] > a[best_a] ? i : best_a;
        best_b = b[i] > b[best_b] ? i : best_b;
    }
    c->same += best_a == best_b;
    d->places++;
}

static enum earshot_status compare_batch(struct comparison *c, const struct batch *batch,
                                         struct logits_difference *d, struct earshot_error *error)
{
    int64_t vocabulary = c->side[0].captioner->config.decoder.vocabulary;
    enum earshot_status status = EARSHOT_OK;

    for (int i = 0; i < 2 && status == EARSHOT_OK && batch->text[OBJECTIVE_CAPTION].target_count;
         i++)
        status = forward(c, &c->side[i], batch, error);
    if (status != EARSHOT_OK)
        return status;
    for (int64_t i = 0; i < batch->clips.size * batch->length; i++)
        if (batch->text[OBJECTIVE_CAPTION].targets[i] >= 0)
            compare_place(c, c->side[0].logits + i * vocabulary, c->side[1].logits + i * vocabulary,
                          vocabulary, d);
    d->clips += batch->clips.size - batch->unreadable;
    return EARSHOT_OK;
}

enum earshot_status logits_compare(const char *a, const char *b, const char *manifest, int threads,
                                   bool (*cancelled)(void), struct logits_difference *d,
                                   struct earshot_error *error)
{
    struct comparison c = {0};
    const struct batch *batch;
    enum earshot_status status = backend_cpu_open(threads, &c.backend, error);

    *d = (struct logits_difference){0};
    if (status == EARSHOT_OK)
        status = open_models(&c, a, b, error);
    if (status == EARSHOT_OK)
        status = open_clips(&c, manifest, threads, error);
    if (status == EARSHOT_OK)
        status = open_graph(&c, error);
    while (status == EARSHOT_OK) {
        if (cancelled && cancelled())
            status = error_set(error, EARSHOT_ERROR_CANCELLED, "the comparison was stopped");
        else
            status = loader_next(c.loader, &batch, error);
        if (status != EARSHOT_OK || !batch)
            break;
        status = compare_batch(&c, batch, d, error);
        loader_release(c.loader, batch);
    }
    if (status == EARSHOT_OK && d->places == 0)
        status = error_set(error, EARSHOT_ERROR_FORMAT, "%s: no clip with a caption can be read",
                           manifest);
    if (status == EARSHOT_OK) {
        int64_t vocabulary = c.side[0].captioner->config.decoder.vocabulary;

        d->mean = c.sum / ((double)d->places * (double)vocabulary);
        d->same_best = (double)c.same / (double)d->places;
    }
    close_all(&c);
    return status;
}
