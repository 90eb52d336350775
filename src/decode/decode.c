/*
 * decode.c: the loop that all methods share: gather the live rows of every sample, score them in
 * one call, normalise, let each sample take its step.  See decode.h for what is computed.
 */
#include "decode/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decode/search.h"

void decode_options_init(struct decode_options *options)
{
    *options = (struct decode_options){
        .method = DECODE_BEAM,
        .beam_width = 4,
        .best = 1,
        .length_penalty = 1,
        .max_tokens = 32,
        .temperature = 1,
        .top_p = 1,
    };
}

static enum earshot_status check_tokens(const struct decode_options *options, int64_t vocabulary,
                                        struct earshot_error *error)
{
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "vocabulary of %lld tokens",
                         (long long)vocabulary);
    if (options->start_token < 0 || options->start_token >= vocabulary || options->end_token < 0 ||
        options->end_token >= vocabulary)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "start token %d or end token %d is not below the vocabulary's %lld",
                         options->start_token, options->end_token, (long long)vocabulary);
    for (int i = 0; i < options->banned_count; i++)
        if (options->banned[i] < 0 || options->banned[i] >= vocabulary ||
            options->banned[i] == options->end_token)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "banned token %d is the end token or not below the vocabulary's %lld",
                             options->banned[i], (long long)vocabulary);
    return EARSHOT_OK;
}

static enum earshot_status check_options(const struct decode_options *options,
                                         struct earshot_error *error)
{
    if (options->max_tokens < 1 || options->max_tokens > DECODE_TOKENS_MAX)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "max_tokens is %d: 1 to %d is possible",
                         options->max_tokens, DECODE_TOKENS_MAX);
    if (options->min_tokens < 0 || options->no_repeat_ngram < 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "min_tokens %d and no_repeat_ngram %d may not be negative",
                         options->min_tokens, options->no_repeat_ngram);
    if (!isfinite(options->length_penalty))
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "length_penalty must be a finite number");
    if (options->method == DECODE_BEAM &&
        (options->beam_width < 1 || options->beam_width > DECODE_BEAM_MAX || options->best < 1 ||
         options->best > options->beam_width))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "beam width %d and best %d: a width of 1 to %d is possible, and as many "
                         "captions as the beam is wide",
                         options->beam_width, options->best, DECODE_BEAM_MAX);
    if (options->method == DECODE_SAMPLE &&
        (!(options->temperature > 0) || !isfinite(options->temperature) || options->top_k < 0 ||
         !(options->top_p > 0) || options->top_p > 1))
        return error_set(
            error, EARSHOT_ERROR_ARGUMENT,
            "temperature %g, top_k %d, top_p %g: temperature must be above 0 (greedy is "
            "its limit), top_k at least 0, top_p in (0, 1]",
            options->temperature, options->top_k, options->top_p);
    return EARSHOT_OK;
}

enum earshot_status decode_options_check(const struct decode_options *options, int64_t vocabulary,
                                         struct earshot_error *error)
{
    enum earshot_status status = check_options(options, error);

    return status == EARSHOT_OK ? check_tokens(options, vocabulary, error) : status;
}

static enum earshot_status check_arguments(const struct decode_scorer *scorer,
                                           const struct decode_options *options, int64_t samples,
                                           struct earshot_error *error)
{
    enum earshot_status status = decode_options_check(options, scorer->vocabulary, error);

    /* With the limits of beam and length this keeps every size below from overflowing. */
    if (status == EARSHOT_OK && (samples < 0 || samples > DECODE_SAMPLES_MAX))
        status = error_set(error, EARSHOT_ERROR_ARGUMENT, "%lld samples in one batch: at most %d",
                           (long long)samples, DECODE_SAMPLES_MAX);
    return status;
}

double search_score(const struct decode_options *options, double sum, int count)
{
    return count == 0 ? 0 : sum / pow(count, options->length_penalty);
}

/* The n-gram rule: a token is blocked where it followed the same n - 1 tokens before. */
static void mark_repeats(struct search *search, const struct sample *sample,
                         const struct beam *beam, uint8_t mark)
{
    int n = search->options->no_repeat_ngram, count = sample->count;

    if (n == 0 || count < n)
        return;
    for (int i = 0; i + n <= count; i++)
        if (memcmp(beam->tokens + i, beam->tokens + count - n + 1,
                   (size_t)(n - 1) * sizeof *beam->tokens) == 0)
            search->blocked[beam->tokens[i + n - 1]] = mark;
}

void search_block(struct search *search, const struct sample *sample, const struct beam *beam)
{
    mark_repeats(search, sample, beam, 1);
    search->blocked[search->options->end_token] = sample->count < search->options->min_tokens;
}

/* A live sequence holds no banned token, so what its repeats marked was free before. */
void search_unblock(struct search *search, const struct sample *sample, const struct beam *beam)
{
    mark_repeats(search, sample, beam, 0);
}

void search_keep(struct search *search, struct sample *sample, const struct beam *beam, int count,
                 double sum, bool ended)
{
    struct decode_hypothesis *kept = sample->result->hypothesis, new;
    double score = search_score(search->options, sum, count);
    int at = sample->result->count;

    if (at == search->best && !(score > kept[at - 1].score))
        return;
    if (at < search->best)
        sample->result->count++;
    else
        at--;
    new = kept[at]; /* its buffers are free to write */
    for (; at > 0 && score > kept[at - 1].score; at--)
        kept[at] = kept[at - 1];
    memcpy(new.tokens, beam->tokens, (size_t)count * sizeof *new.tokens);
    memcpy(new.log_probabilities, beam->log_probabilities,
           (size_t)count * sizeof *new.log_probabilities);
    new.count = count;
    new.ended = ended;
    new.sum = sum;
    new.score = score;
    kept[at] = new;
}

void search_continue(struct sample *sample, int index, const struct candidate *candidate)
{
    const struct beam *from = &sample->live[candidate->beam];
    struct beam *to = &sample->next[index];
    int count = sample->count;

    memcpy(to->tokens, from->tokens, (size_t)count * sizeof *to->tokens);
    memcpy(to->log_probabilities, from->log_probabilities,
           (size_t)count * sizeof *to->log_probabilities);
    to->tokens[count] = candidate->token;
    to->log_probabilities[count] = candidate->log_probability;
    to->sum = candidate->sum;
    to->row = from->row;
}

void search_turn(struct sample *sample, int live_count)
{
    struct beam *last = sample->live;

    sample->live = sample->next;
    sample->next = last;
    sample->live_count = live_count;
    sample->count++;
}

/* log sum exp of one row in double; false, and *at, for a logit that is not finite. */
static bool normalise(const float *logits, int64_t n, double *normaliser, int64_t *at)
{
    float highest = logits[0];
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(logits[i])) {
            *at = i;
            return false;
        }
        highest = logits[i] > highest ? logits[i] : highest;
    }
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - highest);
    *normaliser = highest + log(sum);
    return true;
}

/* Scores every live row.  *rows is their number: 0 when all samples are done. */
static enum earshot_status score_rows(struct search *search, const struct decode_scorer *scorer,
                                      int64_t *rows, struct earshot_error *error)
{
    enum earshot_status status;
    int64_t n = 0, row = 0, at;

    for (int64_t s = 0; s < search->samples; s++) {
        struct sample *sample = &search->sample[s];

        for (int b = 0; b < sample->live_count; b++, n++) {
            struct beam *beam = &sample->live[b];

            search->tokens[n] =
                sample->count > 0 ? beam->tokens[sample->count - 1] : search->options->start_token;
            search->parents[n] = (int32_t)beam->row;
            beam->row = n;
        }
    }
    *rows = n;
    if (n == 0)
        return EARSHOT_OK;
    status =
        scorer->step(scorer->context, search->tokens, search->parents, n, search->logits, error);
    if (status != EARSHOT_OK)
        return status;
    for (int64_t s = 0; s < search->samples; s++)
        for (int b = 0; b < search->sample[s].live_count; b++, row++) {
            const float *logits = search->logits + row * search->vocabulary;

            if (!normalise(logits, search->vocabulary, &search->normaliser[row], &at))
                return error_set(
                    error, EARSHOT_ERROR_NUMERIC,
                    "decoding sample %lld, token %d: the logit of token id %lld is %g; "
                    "the model's weights or its input hold values that are not finite",
                    (long long)s, search->sample[s].count, (long long)at, (double)logits[at]);
        }
    return EARSHOT_OK;
}

static enum earshot_status search_run(struct search *search, const struct decode_scorer *scorer,
                                      struct earshot_error *error)
{
    void (*advance)(struct search *, struct sample *, const float *, const double *) =
        search->options->method == DECODE_SAMPLE ? search_advance_sample
        : search->width > 1                      ? search_advance_beam
                                                 : search_advance_greedy;

    for (;;) {
        int64_t rows, row = 0;
        enum earshot_status status = score_rows(search, scorer, &rows, error);

        if (status != EARSHOT_OK || rows == 0)
            return status;
        for (int64_t s = 0; s < search->samples; s++) {
            struct sample *sample = &search->sample[s];
            int live_count = sample->live_count;

            if (live_count > 0)
                advance(search, sample, search->logits + row * search->vocabulary,
                        search->normaliser + row);
            row += live_count;
        }
    }
}

/* One block a result: the hypotheses, then their log-probabilities, then their tokens. */
static enum earshot_status result_new(struct decode_result *result, int best, int max_tokens,
                                      struct earshot_error *error)
{
    size_t tokens = (size_t)best * (size_t)max_tokens;
    size_t size =
        (size_t)best * sizeof *result->hypothesis + tokens * (sizeof(double) + sizeof(int32_t));
    double *log_probabilities;

    result->count = 0;
    if (!(result->hypothesis = calloc(1, size)))
        return error_memory(error, size);
    log_probabilities = (double *)(result->hypothesis + best);
    for (int i = 0; i < best; i++) {
        result->hypothesis[i].log_probabilities =
            log_probabilities + (size_t)i * (size_t)max_tokens;
        result->hypothesis[i].tokens =
            (int32_t *)(log_probabilities + tokens) + (size_t)i * (size_t)max_tokens;
    }
    return EARSHOT_OK;
}

/* Cuts one block for the live sequences: two generations of `width` a sample. */
static enum earshot_status sequences_new(struct search *search, struct earshot_error *error)
{
    size_t length = (size_t)search->options->max_tokens;
    size_t count = (size_t)search->samples * (size_t)search->width * 2;
    size_t size = count * (sizeof(struct beam) + length * (sizeof(double) + sizeof(int32_t)));
    struct beam *beams = search->memory = malloc(size);
    double *log_probabilities = (double *)(beams + count);
    int32_t *tokens = (int32_t *)(log_probabilities + count * length);

    if (!beams)
        return error_memory(error, size);
    for (size_t i = 0; i < count; i++)
        beams[i] = (struct beam){.tokens = tokens + i * length,
                                 .log_probabilities = log_probabilities + i * length};
    for (int64_t s = 0; s < search->samples; s++) {
        struct sample *sample = &search->sample[s];

        sample->live = beams + s * 2 * search->width;
        sample->next = sample->live + search->width;
        sample->live_count = 1; /* all sequences begin alike: one row does for them */
        sample->live[0].row = s;
    }
    return EARSHOT_OK;
}

static enum earshot_status search_new(struct search *search, const uint64_t *keys,
                                      struct decode_result *results, struct earshot_error *error)
{
    const struct decode_options *options = search->options;
    size_t rows = (size_t)search->samples * (size_t)search->width;
    size_t vocabulary = (size_t)search->vocabulary;
    size_t candidates = vocabulary > (size_t)search->width ? vocabulary : (size_t)search->width;
    enum earshot_status status = EARSHOT_OK;

    search->sample = calloc((size_t)search->samples, sizeof *search->sample);
    search->logits = malloc(rows * vocabulary * sizeof *search->logits);
    search->normaliser = malloc(rows * sizeof *search->normaliser);
    search->tokens = malloc(rows * sizeof *search->tokens);
    search->parents = malloc(rows * sizeof *search->parents);
    search->blocked = calloc(vocabulary, 1);
    search->candidates = malloc(candidates * sizeof *search->candidates);
    if (!search->sample || !search->logits || !search->normaliser || !search->tokens ||
        !search->parents || !search->blocked || !search->candidates)
        return error_memory(error, rows * (vocabulary * sizeof *search->logits + 16) +
                                       candidates * sizeof *search->candidates);
    for (int i = 0; i < options->banned_count; i++)
        search->blocked[options->banned[i]] = 1;
    for (int64_t s = 0; status == EARSHOT_OK && s < search->samples; s++) {
        search->sample[s].key = keys ? keys[s] : (uint64_t)s;
        search->sample[s].result = &results[s];
        status = result_new(&results[s], search->best, options->max_tokens, error);
    }
    return status == EARSHOT_OK ? sequences_new(search, error) : status;
}

static void search_free(struct search *search)
{
    free(search->sample);
    free(search->logits);
    free(search->normaliser);
    free(search->tokens);
    free(search->parents);
    free(search->blocked);
    free(search->candidates);
    free(search->memory);
}

enum earshot_status decode_run(const struct decode_scorer *scorer,
                               const struct decode_options *options, int64_t samples,
                               const uint64_t *keys, struct decode_result *results,
                               struct earshot_error *error)
{
    bool beam = options->method == DECODE_BEAM;
    struct search search = {
        .options = options,
        .vocabulary = scorer->vocabulary,
        .width = beam ? options->beam_width : 1,
        .best = beam ? options->best : 1,
        .samples = samples,
    };
    enum earshot_status status = check_arguments(scorer, options, samples, error);

    if (status != EARSHOT_OK || samples == 0)
        return status;
    memset(results, 0, (size_t)samples * sizeof *results);
    status = search_new(&search, keys, results, error);
    if (status == EARSHOT_OK)
        status = search_run(&search, scorer, error);
    search_free(&search);
    if (status != EARSHOT_OK)
        decode_results_free(results, samples);
    return status;
}

void decode_results_free(struct decode_result *results, int64_t samples)
{
    for (int64_t s = 0; s < samples; s++) {
        free(results[s].hypothesis);
        results[s] = (struct decode_result){0};
    }
}
