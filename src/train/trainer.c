/* trainer.c: the training loop.  See trainer.h. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "engine/optimizer.h"
#include "model/cost.h"
#include "train/checkpoint.h"
#include "train/holdout.h"
#include "train/log_fields.h"
#include "train/measure.h"
#include "train/network.h"
#include "train/run_log.h"
#include "train/schedule.h"

struct trainer {
    const struct train_options *options;
    struct model_config *config;
    const struct train_callbacks *callbacks;
    struct backend *backend;
    struct dataset *data, *validation;
    struct wordpiece *tokenizer;
    struct captioner *captioner;
    struct clip_reader *reader;
    struct clip_store *clips, *validation_clips;
    struct loader *loader;
    struct graph *graph;
    struct run_log *log;
    struct balance_options balance;
    unsigned objectives;    /* OBJECTIVE_BITs in use */
    struct holdout holdout; /* G-Blend's */
    struct train_state state;
    struct train_progress shown;
    double started_s; /* clock when the loop began */
    int64_t first_step;
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- setting up -------------------------------------------------------------------------------
 */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash * 0x9E3779B97F4A7C15u + (text ? random_stream(text) : 0);
}

/* Of all that decides what is in which batch, but for the media files' bytes. */
static uint64_t hash_data(const struct trainer *t)
{
    uint64_t hash = t->objectives;

    for (int64_t i = 0; i < t->data->count; i++) {
        const struct dataset_item *item = &t->data->item[i];

        hash = hash_text(hash, item->id) + (t->holdout.held && t->holdout.held[i]) +
               2 * (uint64_t)item->caption_count;
        for (int c = 0; c < item->caption_count; c++)
            hash = hash_text(hash, item->caption[c]);
        hash = hash_text(hash, item->transcript);
        hash = hash_text(hash, item->next);
    }
    return hash;
}

static enum earshot_status choose_objectives(struct trainer *t, struct earshot_error *error)
{
    const struct train_options *o = t->options;

    t->balance = (struct balance_options){.kind = (enum balance_kind)o->balance,
                                          .alpha = o->mbp_alpha,
                                          .beta = o->mbp_beta,
                                          .start = o->balance_start,
                                          .smoothing = o->index_smoothing,
                                          .shared = o->balance_shared};
    for (int i = 0; i < OBJECTIVE_COUNT; i++) {
        t->balance.objective_weight[i] = o->objective_weight[i];
        t->objectives |= o->objective_weight[i] != 0 ? OBJECTIVE_BIT(i) : 0;
    }
    if (!t->objectives)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "nothing to learn: caption_weight, pcc_weight and pnc_weight are all 0");
    if (t->balance.kind == BALANCE_GBLEND_OFFLINE && o->gblend_steps >= o->steps)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "gblend_steps is %lld: expected fewer than the %lld steps of the run, "
                         "which the estimate is for",
                         (long long)o->gblend_steps, (long long)o->steps);
    return EARSHOT_OK;
}

static enum earshot_status resume(struct trainer *t, const char *directory,
                                  struct earshot_error *error)
{
    const struct train_options *o = t->options;
    uint64_t hash = hash_data(t);
    enum earshot_status status =
        captioner_open(directory, t->backend, true, &t->captioner, &t->tokenizer, error);

    if (status == EARSHOT_OK)
        status = network_set_rates(o, t->captioner, error);
    if (status == EARSHOT_OK)
        status = checkpoint_load(directory, t->captioner, &t->state, error);
    if (status != EARSHOT_OK)
        return status;
    if (t->state.data_hash != hash || t->state.seed != o->seed ||
        t->state.batch_size != o->batch_size)
        return error_set(
            error, EARSHOT_ERROR_ARGUMENT,
            "%s was made with other clips, texts or objectives, another seed (%lld) or "
            "another batch size (%lld); resume with the same, or train into another "
            "folder",
            directory, (long long)t->state.seed, (long long)t->state.batch_size);
    return EARSHOT_OK;
}

static enum earshot_status open_network(struct trainer *t, struct earshot_error *error)
{
    const struct train_options *o = t->options;
    char *newest = checkpoint_newest(o->out);
    enum earshot_status status;

    t->state = (struct train_state){
        .data_hash = hash_data(t), .seed = o->seed, .batch_size = o->batch_size};
    if (newest && !o->resume)
        status = error_set(error, EARSHOT_ERROR_ARGUMENT,
                           "%s holds a run already: add --resume to continue it, or choose another "
                           "folder",
                           o->out);
    else if (newest)
        status = resume(t, newest, error);
    else
        status = network_start(o, t->config, t->backend, &t->captioner, &t->tokenizer, error);
    if (status == EARSHOT_OK && !newest)
        status = network_set_rates(o, t->captioner, error);
    free(newest);
    return status;
}

/* The balance of a fresh run needs to know the network's streams; a resumed one brings its own. */
static void start_balance(struct trainer *t)
{
    memcpy(t->balance.use_stream, t->captioner->config.use_stream, sizeof t->balance.use_stream);
    if (t->state.step == 0)
        balance_start(&t->balance, &t->state.balance);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Memory for a training step and, where one is made, an evaluation, which has every pass. */
static enum earshot_status open_graph(struct trainer *t, struct earshot_error *error)
{
    struct cost_question question = train_options_question(t->options, t->options->batch_size);
    struct model_cost cost, scoring = {0};
    char activations[32], parameters[32];
    enum earshot_status status;

    status = model_cost(&t->captioner->config, &question, &cost, error);
    question.mono = question.scoring = true;
    if (status == EARSHOT_OK && (t->validation || balance_is_gblend(t->balance.kind)))
        status = model_cost(&t->captioner->config, &question, &scoring, error);
    if (status != EARSHOT_OK)
        return status;
    if (question.limit_bytes && model_cost_bytes(&cost) > question.limit_bytes)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "weights, optimiser and a step take %s even when every block is computed "
                         "again, memory_mb allows %lld MB: use a smaller batch_size or a larger "
                         "memory_mb",
                         str_bytes(activations, (double)model_cost_bytes(&cost)),
                         (long long)t->options->memory_mb);
    if (question.limit_bytes && cost.memory.checkpoint < GRAPH_CHECKPOINT_ALL)
        log_message(LOG_INFO, "%lld blocks are computed again to fit memory_mb",
                    (long long)cost.memory.checkpoint);
    cost.memory.activation_bytes =
        larger(cost.memory.activation_bytes, scoring.memory.activation_bytes);
    log_message(LOG_INFO, "%lld parameters; %s for them and the optimiser, up to %s for a step",
                (long long)cost.parameters, str_bytes(parameters, (double)cost.parameter_bytes),
                str_bytes(activations,
                          (double)(cost.memory.activation_bytes + cost.memory.gradient_bytes)));
    /* The plan is of a full batch.  Shorter texts and absent streams take less, but leave other
     * gaps between gradients, so that the highest of them may lie higher. */
    cost.memory.gradient_bytes *= 2;
    return graph_open(t->backend, &cost.memory, &t->graph, error);
}

/* Both manifests' clips, within one limit. */
static enum earshot_status open_clips(struct trainer *t, struct earshot_error *error)
{
    const struct model_config *config = &t->captioner->config;
    const struct clip_reader_options reading = captioner_reader_options(config);
    struct clip_store_options keeping = {.directory = t->options->cache_dir,
                                         .limit_bytes = t->options->cache_mb * 1000000,
                                         .window_s = config->window_s};
    enum earshot_status status = clip_reader_open(&reading, &t->reader, error);

    if (status == EARSHOT_OK)
        status = clip_store_open(t->data, t->reader, &keeping, &t->clips, error);
    if (status != EARSHOT_OK || !t->validation)
        return status;
    keeping.limit_bytes -= clip_store_bytes(t->clips);
    return clip_store_open(t->validation, t->reader, &keeping, &t->validation_clips, error);
}

static enum earshot_status open_all(struct trainer *t, struct earshot_error *error)
{
    const struct train_options *o = t->options;
    struct loader_options loading = {.batch_size = o->batch_size,
                                     .threads = (int)o->loader_threads,
                                     .ahead = 4,
                                     .seed = (uint64_t)o->seed,
                                     .stream_dropout = o->stream_dropout,
                                     .shuffle = true};
    enum earshot_status status;

    if (!o->data || !o->out)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "a training run needs --data MANIFEST and --out DIR");
    status = choose_objectives(t, error);
    if (status == EARSHOT_OK)
        status = dataset_open(o->data, &t->data, error);
    if (status == EARSHOT_OK && o->validation)
        status = dataset_open(o->validation, &t->validation, error);
    if (status == EARSHOT_OK && balance_is_gblend(t->balance.kind))
        status = holdout_open(t->data, o->gblend_holdout, (uint64_t)o->seed, &t->holdout, error);
    if (status == EARSHOT_OK)
        status = file_make_directories(o->out, error);
    if (status == EARSHOT_OK)
        status = backend_cpu_open((int)o->threads, &t->backend, error);
    if (status == EARSHOT_OK)
        status = open_network(t, error);
    if (status == EARSHOT_OK) {
        start_balance(t);
        status = open_graph(t, error);
    }
    loading.objectives = t->objectives;
    loading.text_input = train_text_input(o);
    loading.use = t->holdout.train;
    if (status == EARSHOT_OK)
        status = open_clips(t, error);
    if (status == EARSHOT_OK)
        status = loader_open(t->clips, t->captioner, t->tokenizer, &loading, t->state.step,
                             &t->loader, error);
    if (status == EARSHOT_OK)
        status = run_log_open(o->out, t->state.step, &t->log, error);
    return status;
}

static void close_all(struct trainer *t)
{
    loader_close(t->loader);
    clip_store_close(t->clips);
    clip_store_close(t->validation_clips);
    clip_reader_close(t->reader);
    run_log_close(t->log);
    graph_close(t->graph);
    captioner_free(t->captioner);
    wordpiece_free(t->tokenizer);
    dataset_close(t->data);
    dataset_close(t->validation);
    holdout_close(&t->holdout);
    if (t->backend)
        t->backend->close(t->backend);
}

/* ---- saying -----------------------------------------------------------------------------------
 */

static void report(struct trainer *t, const char *note)
{
    t->shown.note = note;
    if (t->callbacks->progress)
        t->callbacks->progress(t->callbacks->context, &t->shown);
}

static void update_progress(struct trainer *t, double loss, double norm, double rate)
{
    int64_t done = t->state.step - t->first_step;
    double spent_s = now_s() - t->started_s;
    double weight = done < 50 ? 1.0 / (double)(done > 0 ? done : 1) : 0.02;

    if (isfinite(loss))
        t->shown.smoothed_loss += weight * (loss - t->shown.smoothed_loss);
    t->shown.step = t->state.step;
    t->shown.steps = t->options->steps;
    t->shown.loss = loss;
    t->shown.gradient_norm = norm;
    t->shown.learning_rate = rate;
    t->shown.clips_per_s = (double)(done * t->options->batch_size) / spent_s;
    t->shown.seconds_left = spent_s / (double)done * (double)(t->options->steps - t->state.step);
    t->shown.skipped = t->state.skipped;
    t->shown.unreadable = t->state.unreadable;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static struct measurer measurer_of(const struct trainer *t)
{
    return (struct measurer){.graph = t->graph,
                             .captioner = t->captioner,
                             .tokenizer = t->tokenizer,
                             .batch_size = t->options->batch_size,
                             .threads = (int)t->options->loader_threads,
                             .objectives = t->objectives,
                             .text_input = train_text_input(t->options)};
}

/* Writes a line of the log and frees its fields. */
static enum earshot_status write_line(struct trainer *t, int64_t step, struct str *fields,
                                      struct earshot_error *error)
{
    enum earshot_status status = fields->failed
                                     ? error_memory(error, fields->length)
                                     : run_log_write(t->log, step, error, "%s", fields->data);

    str_free(fields);
    return status;
}

static enum earshot_status validate(struct trainer *t, struct earshot_error *error)
{
    struct measurer measurer = measurer_of(t);
    double weight[OBJECTIVE_COUNT][PASS_COUNT] = {{0}}, total;
    struct losses losses;
    struct str fields = {0};
    char note[96];
    enum earshot_status status =
        measure_losses(&measurer, t->validation_clips, NULL, &losses, error);

    if (status != EARSHOT_OK)
        return status;
    for (int o = 0; o < OBJECTIVE_COUNT; o++)
        weight[o][PASS_MULTI] = t->balance.objective_weight[o];
    total = losses_sum(&losses, weight);
    snprintf(note, sizeof note, "step %lld: validation loss %.4f", (long long)t->state.step, total);
    report(t, note);
    str_append_format(&fields, "\"validation_loss\": %.9g", total);
    log_validation_fields(&fields, &losses);
    return write_line(t, t->state.step, &fields, error);
}

/* G-Blend's measurement: due before the first step, then after gblend_steps or every gblend_every.
 */
static bool measurement_due(const struct trainer *t)
{
    const struct train_options *o = t->options;

    switch (t->balance.kind) {
    case BALANCE_GBLEND_OFFLINE:
        return t->state.step == 0 || t->state.step == o->gblend_steps;
    case BALANCE_GBLEND_ONLINE:
        return t->state.step % o->gblend_every == 0;
    case BALANCE_NONE:
    case BALANCE_FIXED:
    case BALANCE_MBP:
        break;
    }
    return false;
}

static enum earshot_status estimate_weights(struct trainer *t, struct earshot_error *error)
{
    struct measurer measurer = measurer_of(t);
    struct losses train, held;
    struct gblend_estimate estimate;
    struct str fields = {0};
    enum earshot_status status =
        measure_losses(&measurer, t->clips, t->holdout.sample, &train, error);

    if (status == EARSHOT_OK)
        status = measure_losses(&measurer, t->clips, t->holdout.held, &held, error);
    if (status != EARSHOT_OK || !balance_measure(&t->state.balance, &train, &held, &estimate))
        return status;
    log_estimate_fields(&fields, &t->state.balance, &estimate);
    /* Of the step that first uses it: a checkpoint of this step was saved before. */
    return write_line(t, t->state.step + 1, &fields, error);
}

/* What a step came to. */
struct outcome {
    struct losses losses;
    struct balance balance; /* after the step */
    double index[OBJECTIVE_COUNT][STREAM_COUNT];
    double loss, norm, rate;
};

/* The gradient of a batch, the losses' weights moved before it. */
static enum earshot_status learn(struct trainer *t, const struct batch *batch,
                                 struct outcome *outcome, struct earshot_error *error)
{
    double weight[OBJECTIVE_COUNT][PASS_COUNT];
    struct step step;
    enum earshot_status status;

    params_zero_gradients(t->captioner->params);
    graph_begin(t->graph, GRAPH_TRAIN, (uint64_t)t->options->seed, (uint64_t)t->state.step);
    status = step_forward(t->graph, t->captioner, batch, (float)t->options->label_smoothing,
                          balance_trains_mono(t->balance.kind), &step, error);
    if (status != EARSHOT_OK)
        return status;
    outcome->losses = step.losses;
    balance_update(&t->balance, &outcome->balance, &step.losses, outcome->index);
    balance_total_weights(&t->balance, &outcome->balance, weight);
    outcome->loss = losses_sum(&step.losses, weight);
    return isfinite(outcome->loss) ? step_backward(t->graph, &step, weight, error) : EARSHOT_OK;
}

static bool update_network(struct trainer *t, struct outcome *outcome)
{
    const struct train_options *o = t->options;
    const struct schedule schedule = {.kind = (enum schedule_kind)o->schedule,
                                      .peak = o->learning_rate,
                                      .warmup = o->warmup,
                                      .steps = o->steps,
                                      .final = o->final_rate};
    const struct optimizer_options adamw = {.beta1 = o->beta1,
                                            .beta2 = o->beta2,
                                            .epsilon = o->epsilon,
                                            .weight_decay = o->weight_decay,
                                            .clip_norm = o->clip_norm};

    outcome->rate = schedule_rate(&schedule, t->state.step + 1);
    return isfinite(outcome->loss) && optimizer_step(t->captioner->params, &adamw, outcome->rate,
                                                     t->state.updates + 1, &outcome->norm);
}

/* One step: batch number state.step.  A loss or gradient that is not finite leaves the weights, of
 * the network and of the losses, as they were. */
static enum earshot_status train_step(struct trainer *t, struct earshot_error *error)
{
    struct outcome outcome = {.balance = t->state.balance, .norm = NAN};
    const struct batch *batch;
    struct str fields = {0};
    bool applied;
    enum earshot_status status = loader_next(t->loader, &batch, error);

    if (status != EARSHOT_OK)
        return status;
    status = learn(t, batch, &outcome, error);
    t->state.unreadable += batch->unreadable;
    loader_release(t->loader, batch);
    if (status != EARSHOT_OK)
        return status;
    applied = update_network(t, &outcome);
    t->state.step++;
    t->state.updates += applied;
    t->state.skipped += !applied;
    update_progress(t, applied ? outcome.loss : NAN, outcome.norm, outcome.rate);
    if (!applied) {
        log_message(LOG_WARNING, "step %lld: loss %g, gradient norm %g: not finite, step skipped",
                    (long long)t->state.step, outcome.loss, outcome.norm);
        return run_log_write(t->log, t->state.step, error, "\"skipped\": true");
    }
    t->state.balance = outcome.balance;
    report(t, NULL);
    str_append_format(&fields,
                      "\"loss\": %.9g, \"gradient_norm\": %.9g, \"learning_rate\": %.9g, "
                      "\"clips_per_s\": %.4g",
                      outcome.loss, outcome.norm, outcome.rate, t->shown.clips_per_s);
    log_step_fields(&fields, &t->balance, &outcome.losses, &outcome.balance, outcome.index);
    return write_line(t, t->state.step, &fields, error);
}

static bool cancelled(const struct trainer *t)
{
    return t->callbacks->cancelled && t->callbacks->cancelled(t->callbacks->context);
}

static enum earshot_status loop(struct trainer *t, struct earshot_error *error)
{
    const struct train_options *o = t->options;
    enum earshot_status status = EARSHOT_OK;
    int64_t saved = t->state.step;

    t->first_step = t->state.step;
    t->started_s = now_s();
    while (t->state.step < o->steps && status == EARSHOT_OK && !cancelled(t)) {
        bool last;

        if (measurement_due(t))
            status = estimate_weights(t, error);
        if (status == EARSHOT_OK)
            status = train_step(t, error);
        if (status != EARSHOT_OK)
            break;
        last = t->state.step == o->steps;
        if (t->validation && (last || t->state.step % o->validate_every == 0))
            status = validate(t, error);
        if (status == EARSHOT_OK && (last || t->state.step % o->checkpoint_every == 0)) {
            status = checkpoint_save(o->out, t->captioner, t->tokenizer, &t->state, o->keep, error);
            saved = t->state.step;
        }
    }
    if (status != EARSHOT_OK || t->state.step == o->steps)
        return status;
    if (saved != t->state.step)
        status = checkpoint_save(o->out, t->captioner, t->tokenizer, &t->state, o->keep, error);
    if (status == EARSHOT_OK)
        status = error_set(error, EARSHOT_ERROR_CANCELLED,
                           "stopped after step %lld of %lld and saved; continue with --resume",
                           (long long)t->state.step, (long long)o->steps);
    return status;
}

enum earshot_status train_run(const struct train_options *options, struct model_config *model,
                              const struct train_callbacks *callbacks, struct earshot_error *error)
{
    struct trainer t = {.options = options, .config = model, .callbacks = callbacks};
    enum earshot_status status = open_all(&t, error);

    if (status == EARSHOT_OK)
        status = loop(&t, error);
    if (status == EARSHOT_OK) {
        char *directory = str_format("%s/model", options->out);

        status = directory ? captioner_save(t.captioner, t.tokenizer, directory, error)
                           : error_memory(error, strlen(options->out));
        free(directory);
    }
    close_all(&t);
    return status;
}
