/* subject_network.c: the stages of the network.  Each runs on the plan backend first: what it
 * reads of results there means nothing.  See subject.h. */
#include "bench.h"
#include "engine/optimizer.h"
#include "subject_internal.h"
#include "train/step.h"

#define LABEL_SMOOTHING 0.1f

/* Ends a run: the sticky error, or the tensor as output. */
static enum earshot_status finish(struct subject *s, struct subject_network *n,
                                  const struct tensor *out, struct earshot_error *error)
{
    enum earshot_status status = graph_status(n->graph, error);

    subject_stop(s);
    if (status != EARSHOT_OK || !s->want_output || !out)
        return status;
    if (!subject_output(s, out->elements))
        return error_memory(error, (size_t)out->elements * sizeof(float));
    graph_download(n->graph, out, s->output);
    return EARSHOT_OK;
}

static enum earshot_status encoder(struct subject *s, struct subject_network *n, enum stream stream,
                                   struct earshot_error *error)
{
    const struct clip_batch batch = subject_clips(s);
    struct tensor *x;

    subject_start(s);
    graph_begin(n->graph, GRAPH_INFER, 0, 0);
    x = captioner_run_encoder(n->graph, n->captioner, stream, &batch);
    return finish(s, n, x, error);
}

static enum earshot_status swin(struct subject *s, struct subject_network *n,
                                struct earshot_error *error)
{
    return encoder(s, n, STREAM_VIDEO, error);
}

static enum earshot_status ast(struct subject *s, struct subject_network *n,
                               struct earshot_error *error)
{
    return encoder(s, n, STREAM_AUDIO, error);
}

static enum earshot_status fuse(struct subject *s, struct subject_network *n,
                                struct earshot_error *error)
{
    struct stream_set streams = {.batch = s->setup.batch, .present = s->present};
    struct fusion_memory memory;

    graph_begin(n->graph, GRAPH_INFER, 0, 0);
    for (int i = 0; i < STREAM_COUNT; i++)
        if (s->stream_tokens[i] > 0)
            streams.tokens[i] = graph_input(
                n->graph, ELEMENT_ACT, 3,
                (int64_t[]){s->setup.batch, s->stream_tokens[i], n->captioner->config.width},
                s->stream[i]);
    subject_start(s);
    memory = fusion_forward(n->graph, &n->captioner->fusion, &streams);
    decoder_cache_begin(n->graph, &n->captioner->decoder, n->cache, &memory);
    return finish(s, n, NULL, error);
}

static enum earshot_status forward(struct subject *s, struct subject_network *n,
                                   struct earshot_error *error)
{
    const struct clip_batch batch = subject_clips(s);
    struct stream_set streams;
    struct fusion_memory memory;

    subject_start(s);
    graph_begin(n->graph, GRAPH_INFER, 0, 0);
    streams = captioner_encode(n->graph, n->captioner, &batch);
    memory = fusion_forward(n->graph, &n->captioner->fusion, &streams);
    decoder_cache_begin(n->graph, &n->captioner->decoder, n->cache, &memory);
    return finish(s, n, NULL, error);
}

/* As a search does it: every sample's rows continue one of them, so that the cache moves. */
static enum earshot_status token(struct subject *s, struct subject_network *n,
                                 struct earshot_error *error)
{
    int64_t batch = s->setup.batch, rows = batch * s->setup.beams, width = 0;
    int32_t tokens[DECODE_BEAM_MAX], parents[DECODE_BEAM_MAX], sample[DECODE_BEAM_MAX];
    int64_t memory_tokens = s->stream_tokens[STREAM_VIDEO] + s->stream_tokens[STREAM_AUDIO];
    struct fusion_memory memory;
    enum earshot_status status;

    if (rows > DECODE_BEAM_MAX)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "token: at most %d rows", DECODE_BEAM_MAX);
    width = n->captioner->config.width;
    for (int64_t r = 0; r < rows; r++) {
        tokens[r] = (int32_t)r;
        sample[r] = (int32_t)(r / s->setup.beams);
        parents[r] = (int32_t)(sample[r] * s->setup.beams);
    }
    graph_begin(n->graph, GRAPH_INFER, 0, 0);
    memory.tokens =
        graph_input(n->graph, ELEMENT_ACT, 3, (int64_t[]){batch, memory_tokens, width}, s->memory);
    memory.key_mask =
        graph_input(n->graph, ELEMENT_U8, 2, (int64_t[]){batch, memory_tokens}, s->present);
    decoder_cache_begin(n->graph, &n->captioner->decoder, n->cache, &memory);
    status = graph_status(n->graph, error);
    if (status != EARSHOT_OK)
        return status;
    subject_start(s);
    for (int64_t i = 0; i < s->setup.tokens && status == EARSHOT_OK; i++) {
        if (n != &s->network) /* counts one step: the last */
            backend_plan_reset(n->backend);
        graph_begin(n->graph, GRAPH_INFER, 0, 0);
        decoder_step(n->graph, &n->captioner->decoder, n->cache, rows, tokens, i ? parents : NULL,
                     sample);
        status = graph_status(n->graph, error);
    }
    subject_stop(s);
    s->seconds /= (double)s->setup.tokens;
    return status;
}

static enum earshot_status logits(struct subject *s, struct subject_network *n,
                                  struct earshot_error *error)
{
    const struct clip_batch batch = subject_clips(s);
    struct stream_set streams;
    struct fusion_memory memory;
    struct tensor *tokens, *out;

    subject_start(s);
    graph_begin(n->graph, GRAPH_INFER, 0, 0);
    streams = captioner_encode(n->graph, n->captioner, &batch);
    memory = fusion_forward(n->graph, &n->captioner->fusion, &streams);
    tokens = graph_input(n->graph, ELEMENT_I32, 2, (int64_t[]){s->setup.batch, s->setup.tokens},
                         s->tokens);
    out = decoder_forward(n->graph, &n->captioner->decoder, &memory, tokens);
    return finish(s, n, out, error);
}

/* ---- a training step --------------------------------------------------------------------------
 */

/* Which part of a training step counts. */
enum part { WHOLE, FORWARD, BACKWARD, UPDATE };

/* What it learns from: one text for a clip; with the losses of each stream alone; two texts. */
enum lesson { PLAIN, MONO, FULL };

static struct batch training_batch(const struct subject *s, enum lesson lesson)
{
    struct batch batch = {.clips = subject_clips(s), .length = s->setup.tokens};
    const struct batch_text text = {s->tokens, s->targets, s->setup.batch * s->setup.tokens};

    batch.text[OBJECTIVE_CAPTION] = text;
    if (lesson == FULL)
        batch.text[OBJECTIVE_PCC] = text;
    return batch;
}

/* Forward and backward; *between_s is what the clock said between the two. */
static enum earshot_status learn(struct subject *s, struct subject_network *n, enum lesson lesson,
                                 struct step *step, double *between_s, struct earshot_error *error)
{
    double weight[OBJECTIVE_COUNT][PASS_COUNT];
    const struct batch batch = training_batch(s, lesson);
    enum earshot_status status;

    for (int o = 0; o < OBJECTIVE_COUNT; o++)
        for (int p = 0; p < PASS_COUNT; p++)
            weight[o][p] = 1;
    status =
        step_forward(n->graph, n->captioner, &batch, LABEL_SMOOTHING, lesson != PLAIN, step, error);
    *between_s = bench_clock_s(s->clock);
    if (status == EARSHOT_OK)
        status = step_backward(n->graph, step, weight, error);
    return status;
}

static enum earshot_status train_check(struct subject *s, struct subject_network *n,
                                       struct earshot_error *error)
{
    const struct batch batch = training_batch(s, PLAIN);
    int64_t count = s->setup.batch * s->setup.tokens;
    struct step step;
    enum earshot_status status;
    double between_s;

    if (!subject_output(s, 2 + count))
        return error_memory(error, (size_t)(2 + count) * sizeof(float));
    graph_begin(n->graph, GRAPH_INFER, 0, 0);
    status = step_forward(n->graph, n->captioner, &batch, LABEL_SMOOTHING, false, &step, error);
    if (status != EARSHOT_OK)
        return status;
    graph_download(n->graph, step.tensor, s->output + 2);
    params_zero_gradients(n->captioner->params);
    graph_begin(n->graph, GRAPH_RECORD, 0, 0);
    status = learn(s, n, PLAIN, &step, &between_s, error);
    s->output[0] = (float)step.losses.value[OBJECTIVE_CAPTION][PASS_MULTI];
    s->output[1] = (float)params_gradient_norm(n->captioner->params);
    return status;
}

static enum earshot_status train_step(struct subject *s, struct subject_network *n,
                                      enum lesson lesson, enum part part,
                                      struct earshot_error *error)
{
    const struct optimizer_options adamw = {0.9, 0.98, 1e-8, 0.05, 1};
    enum earshot_status status;
    double time_s[4], norm; /* at the beginning, between, and at the end of the parts */
    struct step step;

    if (s->want_output)
        return train_check(s, n, error);
    time_s[0] = bench_clock_s(s->clock);
    if (n == &s->network) /* a plan has no values */
        params_zero_gradients(n->captioner->params);
    graph_begin(n->graph, GRAPH_TRAIN, 1, (uint64_t)s->steps);
    status = learn(s, n, lesson, &step, &time_s[1], error);
    if (n != &s->network && part != WHOLE) /* only the whole's operations are told apart */
        backend_plan_reset(n->backend);
    if (n != &s->network || status != EARSHOT_OK)
        return status;
    time_s[2] = bench_clock_s(s->clock);
    if (!optimizer_step(n->captioner->params, &adamw, 1e-5, ++s->steps, &norm))
        return error_set(error, EARSHOT_ERROR_NUMERIC, "train: gradient norm %g", norm);
    time_s[3] = bench_clock_s(s->clock);
    s->seconds = part == WHOLE ? time_s[3] - time_s[0] : time_s[part] - time_s[part - 1];
    return EARSHOT_OK;
}

static enum earshot_status train(struct subject *s, struct subject_network *n,
                                 struct earshot_error *error)
{
    return train_step(s, n, PLAIN, WHOLE, error);
}

static enum earshot_status train_mono(struct subject *s, struct subject_network *n,
                                      struct earshot_error *error)
{
    return train_step(s, n, MONO, WHOLE, error);
}

static enum earshot_status train_full(struct subject *s, struct subject_network *n,
                                      struct earshot_error *error)
{
    return train_step(s, n, FULL, WHOLE, error);
}

static enum earshot_status train_forward(struct subject *s, struct subject_network *n,
                                         struct earshot_error *error)
{
    return train_step(s, n, PLAIN, FORWARD, error);
}

static enum earshot_status train_backward(struct subject *s, struct subject_network *n,
                                          struct earshot_error *error)
{
    return train_step(s, n, PLAIN, BACKWARD, error);
}

static enum earshot_status train_update(struct subject *s, struct subject_network *n,
                                        struct earshot_error *error)
{
    return train_step(s, n, PLAIN, UPDATE, error);
}

const struct subject_kind subject_kinds_network[] = {
    {"swin", NEEDS_NETWORK, swin, NULL, NULL, true},
    {"ast", NEEDS_NETWORK, ast, NULL, NULL, true},
    {"fuse", NEEDS_NETWORK | NEEDS_CACHE, fuse, NULL, NULL, false},
    {"forward", NEEDS_NETWORK | NEEDS_CACHE, forward, NULL, NULL, false},
    {"token", NEEDS_NETWORK | NEEDS_CACHE, token, NULL, NULL, false},
    {"logits", NEEDS_NETWORK, logits, NULL, NULL, true},
    {"train", NEEDS_NETWORK | NEEDS_TRAINING, train, NULL, NULL, true},
    {"train.mono", NEEDS_NETWORK | NEEDS_TRAINING, train_mono, NULL, NULL, false},
    {"train.full", NEEDS_NETWORK | NEEDS_TRAINING, train_full, NULL, NULL, false},
    {"train.forward", NEEDS_NETWORK | NEEDS_TRAINING, train_forward, NULL, NULL, false},
    {"train.backward", NEEDS_NETWORK | NEEDS_TRAINING, train_backward, NULL, NULL, false},
    {"train.update", NEEDS_NETWORK | NEEDS_TRAINING, train_update, NULL, NULL, false},
    {NULL, 0, NULL, NULL, NULL, false},
};
