/* cost.c: the network run on the plan backend.  See cost.h. */
#include "model/cost.h"

#include <stdlib.h>
#include <string.h>

/* More than any machine has, and far from the end of the address space. */
#define BOUNDLESS_BYTES ((size_t)1 << (sizeof(size_t) * 7 - 4))

/* One planned network and the batch it is asked about. */
struct plan {
    struct cost_question question;
    struct backend *backend;
    struct captioner *captioner;
    struct graph *graph;
    int64_t batch, rows, length, texts, sets;
    bool mono, scoring;
    uint8_t *present;          /* [sets * batch, STREAM_COUNT], all ones */
    int32_t *text;             /* [batch, text.max_length]: no padding */
    int32_t *clip;             /* [sets * batch]: of each sample */
    int32_t *parents, *sample; /* [rows] */
};

static enum earshot_status plan_check(const struct plan *plan, struct earshot_error *error)
{
    int64_t limit = plan->captioner->config.decoder.max_length;

    if (plan->batch < 1 || plan->sets < 1 || plan->texts < 1 ||
        plan->rows < plan->batch * plan->sets)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "cannot plan a run of %lld clips, %lld rows, %lld texts and %lld sets of "
                         "streams: expected at least one of each, and a row for every clip and set",
                         (long long)plan->batch, (long long)plan->rows, (long long)plan->texts,
                         (long long)plan->sets);
    if (plan->length < 1 || plan->length > limit)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "cannot plan captions of %lld tokens: this decoder writes 1 to %lld",
                         (long long)plan->length, (long long)limit);
    return EARSHOT_OK;
}

/* Host arrays: rows spread evenly over the samples, each continuing another row than itself, so
 * that the step that moves the cache is planned. */
static enum earshot_status plan_rows(struct plan *plan, struct earshot_error *error)
{
    size_t samples = (size_t)(plan->sets * plan->batch);
    size_t words = (size_t)(plan->batch * plan->captioner->config.text.max_length);

    plan->present = malloc(samples * STREAM_COUNT);
    plan->clip = calloc(samples, sizeof *plan->clip);
    plan->parents = calloc((size_t)plan->rows, sizeof *plan->parents);
    plan->sample = calloc((size_t)plan->rows, sizeof *plan->sample);
    plan->text = calloc(words, sizeof *plan->text);
    if (!plan->present || !plan->clip || !plan->parents || !plan->sample || !plan->text)
        return error_memory(error,
                            ((size_t)plan->rows * 2 + samples * 2 + words) * sizeof(int32_t));
    memset(plan->present, 1, samples * STREAM_COUNT);
    for (size_t i = 0; i < samples; i++)
        plan->clip[i] = (int32_t)(i % (size_t)plan->batch);
    for (int64_t r = 0; r < plan->rows; r++)
        plan->sample[r] = (int32_t)(r * (int64_t)samples / plan->rows);
    return EARSHOT_OK;
}

static void plan_close(struct plan *plan)
{
    graph_close(plan->graph);
    captioner_free(plan->captioner);
    free(plan->present);
    free(plan->text);
    free(plan->clip);
    free(plan->parents);
    free(plan->sample);
    if (plan->backend)
        plan->backend->close(plan->backend);
}

/* A new graph, which has needed nothing so far. */
static enum earshot_status plan_graph(struct plan *plan, int64_t checkpoint,
                                      struct earshot_error *error)
{
    const struct graph_options options = {BOUNDLESS_BYTES, BOUNDLESS_BYTES, checkpoint};

    graph_close(plan->graph);
    plan->graph = NULL;
    return graph_open(plan->backend, &options, &plan->graph, error);
}

static enum earshot_status plan_open(struct plan *plan, const struct model_config *config,
                                     const struct cost_question *question,
                                     struct earshot_error *error)
{
    enum earshot_status status = backend_plan_open(&plan->backend, error);

    plan->question = *question;
    plan->batch = question->batch;
    plan->rows = question->training ? question->batch : question->rows;
    plan->length = question->length ? question->length : config->decoder.max_length;
    plan->mono = question->mono;
    plan->sets = !question->training && question->sets ? question->sets : 1;
    plan->texts = question->texts ? question->texts : 1;
    plan->scoring = question->scoring;
    if (status == EARSHOT_OK)
        status = captioner_new(config, &plan->captioner, error);
    if (status == EARSHOT_OK)
        status = plan_check(plan, error);
    if (status == EARSHOT_OK)
        status = plan_rows(plan, error);
    for (int i = 0; status == EARSHOT_OK && i < params_count(plan->captioner->params); i++) {
        struct param *param = params_at(plan->captioner->params, i);
        int part = captioner_part_of(param->name);

        if (part >= 0 && (question->frozen & CAPTIONER_PART_BIT(part)))
            param_freeze(param);
    }
    if (status == EARSHOT_OK)
        status = params_allocate(plan->captioner->params, plan->backend, question->training, error);
    return status == EARSHOT_OK ? plan_graph(plan, question->checkpoint, error) : status;
}

/* The plan backend never reads what it is given: one number stands for every host array of floats.
 */
static struct stream_set encode(const struct plan *plan, const uint8_t *present)
{
    static const float anything = 0;
    struct clip_batch batch = {.size = plan->batch,
                               .video = &anything,
                               .audio = &anything,
                               .text = plan->text,
                               .text_length = plan->captioner->config.text.max_length,
                               .present = present};

    return captioner_encode(plan->graph, plan->captioner, &batch);
}

static void training_step(const struct plan *plan)
{
    static const float anything = 0;
    const struct captioner *c = plan->captioner;
    struct graph *g = plan->graph;
    int64_t dim[2] = {0, plan->length}, rows;
    struct tensor *tokens, *target, *weight, *losses;
    struct fusion_memory memory[1 + STREAM_COUNT];
    struct stream_set streams;
    int memories;

    graph_begin(g, plan->scoring ? GRAPH_INFER : GRAPH_TRAIN, 0, 0);
    streams = encode(plan, plan->present);
    memories = captioner_fuse(g, c, &streams, plan->mono ? ~0u : 0, memory);
    rows = memories * plan->batch * plan->texts * plan->length;
    dim[0] = rows / plan->length;
    tokens = graph_input(g, ELEMENT_I32, 2, dim, NULL);
    target = graph_input(g, ELEMENT_I32, 1, &rows, NULL);
    weight = graph_input(g, ELEMENT_F32, 1, &rows, NULL);
    losses = op_cross_entropy(g, decoder_forward_each(g, &c->decoder, memories, memory, tokens),
                              target, weight, 0.1f);
    if (plan->scoring)
        return;
    graph_seed(g, losses, &anything);
    graph_backward(g);
}

/* The steps of captioning; cost gets the cache and the multiply-adds of the parts after the
 * encoders. */
static enum earshot_status captioning_steps(const struct plan *plan, struct model_cost *cost,
                                            struct earshot_error *error)
{
    const struct captioner *c = plan->captioner;
    struct graph *g = plan->graph;
    struct decoder_cache *cache;
    struct fusion_memory memory;
    struct stream_set streams;
    enum earshot_status status;

    graph_begin(g, GRAPH_INFER, 0, 0);
    streams = encode(plan, plan->present);
    if (plan->sets > 1)
        streams =
            captioner_select(g, &streams, plan->sets * plan->batch, plan->clip, plan->present);
    backend_plan_reset(plan->backend);
    memory = fusion_forward(g, &c->fusion, &streams);
    status = graph_status(g, error);
    if (status == EARSHOT_OK)
        status = decoder_cache_new(&c->decoder, plan->backend, plan->batch * plan->sets, plan->rows,
                                   memory.tokens->dim[1], &cache, error);
    if (status != EARSHOT_OK)
        return status;
    decoder_cache_begin(g, &c->decoder, cache, &memory);
    cost->fusion_multiply_adds = backend_plan_multiply_adds(plan->backend);
    cost->cache_bytes = decoder_cache_bytes(cache);
    status = graph_status(g, error);
    for (int64_t i = 0; i < plan->length && status == EARSHOT_OK; i++) {
        graph_begin(g, GRAPH_INFER, 0, 0);
        backend_plan_reset(plan->backend);
        decoder_step(g, &c->decoder, cache, plan->rows, plan->parents, plan->parents, plan->sample);
        cost->decoder_step_multiply_adds = backend_plan_multiply_adds(plan->backend);
        status = graph_status(g, error);
    }
    decoder_cache_free(cache);
    return status;
}

/* Each encoder alone on one clip; then the rest of one clip and one row. */
static enum earshot_status count_parts(struct plan *plan, struct model_cost *cost,
                                       struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;

    plan->batch = plan->rows = plan->sets = 1;
    plan->sample[0] = 0;
    for (int s = 0; s < STREAM_COUNT && status == EARSHOT_OK; s++) {
        uint8_t present[STREAM_COUNT] = {0};
        struct stream_set streams;

        present[s] = 1;
        graph_begin(plan->graph, GRAPH_INFER, 0, 0);
        backend_plan_reset(plan->backend);
        streams = encode(plan, present);
        cost->encoder_multiply_adds[s] = backend_plan_multiply_adds(plan->backend);
        status = graph_status(plan->graph, error);
        if (status == EARSHOT_OK && streams.tokens[s])
            cost->tokens[s] = streams.tokens[s]->dim[1];
    }
    return status == EARSHOT_OK ? captioning_steps(plan, cost, error) : status;
}

size_t model_cost_bytes(const struct model_cost *cost)
{
    return cost->parameter_bytes + cost->memory.activation_bytes + cost->memory.gradient_bytes +
           cost->cache_bytes;
}

/* One step with so many blocks run again. */
static enum earshot_status plan_training(struct plan *plan, int64_t checkpoint,
                                         struct model_cost *cost, struct earshot_error *error)
{
    enum earshot_status status = plan_graph(plan, checkpoint, error);

    if (status != EARSHOT_OK)
        return status;
    training_step(plan);
    status = graph_status(plan->graph, error);
    cost->memory = graph_needs(plan->graph);
    return status;
}

/* The fewest blocks with which a step is within the limit, by halving. */
static enum earshot_status plan_within(struct plan *plan, struct model_cost *cost,
                                       struct earshot_error *error)
{
    const struct cost_question *question = &plan->question;
    int64_t too_few = question->checkpoint, enough = GRAPH_CHECKPOINT_ALL;
    enum earshot_status status = plan_training(plan, question->checkpoint, cost, error);

    if (status != EARSHOT_OK || !question->limit_bytes || question->scoring ||
        too_few == GRAPH_CHECKPOINT_ALL || model_cost_bytes(cost) <= question->limit_bytes)
        return status;
    enough = graph_block_count(plan->graph);
    while (status == EARSHOT_OK && too_few + 1 < enough) {
        int64_t middle = too_few + (enough - too_few) / 2;

        status = plan_training(plan, middle, cost, error);
        if (model_cost_bytes(cost) <= question->limit_bytes)
            enough = middle;
        else
            too_few = middle;
    }
    if (status == EARSHOT_OK)
        status = plan_training(plan, enough, cost, error);
    /* Blocks inside blocks are run again too only where all are. */
    if (status == EARSHOT_OK && model_cost_bytes(cost) > question->limit_bytes)
        status = plan_training(plan, GRAPH_CHECKPOINT_ALL, cost, error);
    return status;
}

enum earshot_status model_cost(const struct model_config *config,
                               const struct cost_question *question, struct model_cost *cost,
                               struct earshot_error *error)
{
    struct plan plan = {0};
    enum earshot_status status = plan_open(&plan, config, question, error);
    size_t cache_bytes = 0;

    *cost = (struct model_cost){0};
    if (status == EARSHOT_OK) {
        cost->parameters = params_elements(plan.captioner->params);
        cost->parameter_bytes = params_bytes(plan.captioner->params, question->training);
    }
    if (status == EARSHOT_OK && question->training) {
        status = plan_within(&plan, cost, error);
    } else if (status == EARSHOT_OK) {
        status = captioning_steps(&plan, cost, error);
        cache_bytes = cost->cache_bytes;
        cost->memory = graph_needs(plan.graph);
    }
    if (status == EARSHOT_OK) {
        status = count_parts(&plan, cost, error);
        cost->cache_bytes = cache_bytes; /* of the question, not of the one row that was counted */
    }
    plan_close(&plan);
    return status;
}
