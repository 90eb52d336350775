/*
 * test_decode.c: decoding over toy scorers whose every probability is known.
 *
 * The toy model remembers what each row has been fed, as a real one does in its cache, so a wrong
 * parent gives wrong logits.  Its logits are random normals drawn from (sample, sequence so far),
 * or a fixed table.
 */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "decode/decode.h"

#define TOKENS 40
#define ROWS 1024

struct toy {
    int64_t vocabulary;
    double sharpness;          /* standard deviation of the logits */
    const float *table;        /* [vocabulary], the same at each step, instead of random ones */
    int64_t first_sample;      /* the batch holds samples first_sample, ... */
    const int64_t *sample_ids; /* or these */
    int length[ROWS];
    int64_t sample[ROWS];
    int32_t fed[ROWS][TOKENS];
    int64_t calls, rows_scored;
    int64_t bad_call, bad_token; /* gives NaN there when bad_call > 0 */
};

static uint64_t sequence_hash(const int32_t *tokens, int count)
{
    uint64_t hash = 1469598103934665603u;

    for (int i = 0; i < count; i++)
        hash = (hash ^ (uint64_t)(tokens[i] + 1)) * 1099511628211u;
    return hash;
}

static void toy_logits(const struct toy *toy, int64_t sample, const int32_t *fed, int count,
                       float *logits)
{
    for (int64_t v = 0; v < toy->vocabulary; v++)
        logits[v] =
            toy->table
                ? toy->table[v]
                : (float)(toy->sharpness * random_normal(7, (uint64_t)sample,
                                                         sequence_hash(fed, count) + (uint64_t)v));
}

static enum earshot_status toy_step(void *context, const int32_t *tokens, const int32_t *parents,
                                    int64_t rows, float *logits, struct earshot_error *error)
{
    struct toy *toy = context;
    struct toy *before = malloc(sizeof *before);

    (void)error;
    assert_non_null(before);
    *before = *toy;
    toy->calls++;
    toy->rows_scored += rows;
    for (int64_t r = 0; r < rows; r++) {
        if (toy->calls == 1) {
            assert_int_equal(parents[r], r);
            toy->sample[r] = toy->sample_ids ? toy->sample_ids[r] : toy->first_sample + r;
            toy->length[r] = 0;
        } else {
            toy->sample[r] = before->sample[parents[r]];
            toy->length[r] = before->length[parents[r]];
            memcpy(toy->fed[r], before->fed[parents[r]], sizeof toy->fed[r]);
        }
        toy->fed[r][toy->length[r]++] = tokens[r];
        toy_logits(toy, toy->sample[r], toy->fed[r], toy->length[r], logits + r * toy->vocabulary);
        if (toy->calls == toy->bad_call)
            logits[r * toy->vocabulary + toy->bad_token] = NAN;
    }
    free(before);
    return EARSHOT_OK;
}

static struct toy *toy_new(int64_t vocabulary, double sharpness)
{
    struct toy *toy = calloc(1, sizeof *toy);

    assert_non_null(toy);
    toy->vocabulary = vocabulary;
    toy->sharpness = sharpness;
    return toy;
}

static enum earshot_status toy_run(struct toy *toy, const struct decode_options *options,
                                   int64_t samples, const uint64_t *keys,
                                   struct decode_result *results, struct earshot_error *error)
{
    struct decode_scorer scorer = {toy, toy->vocabulary, toy_step};

    toy->calls = toy->rows_scored = 0;
    return decode_run(&scorer, options, samples, keys, results, error);
}

/* Token 0 starts, 1 ends, the rest are words. */
static struct decode_options toy_options(enum decode_method method)
{
    static const int32_t banned[] = {0};
    struct decode_options options;

    decode_options_init(&options);
    options.method = method;
    options.max_tokens = 8;
    options.start_token = 0;
    options.end_token = 1;
    options.banned = banned;
    options.banned_count = 1;
    return options;
}

static void assert_same_hypothesis(const struct decode_hypothesis *a,
                                   const struct decode_hypothesis *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->ended, b->ended);
    assert_memory_equal(a->tokens, b->tokens, (size_t)a->count * sizeof *a->tokens);
    assert_memory_equal(a->log_probabilities, b->log_probabilities,
                        (size_t)a->count * sizeof *a->log_probabilities);
    assert_true(a->sum == b->sum && a->score == b->score);
}

static void assert_same_result(const struct decode_result *a, const struct decode_result *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        assert_same_hypothesis(&a->hypothesis[i], &b->hypothesis[i]);
}

/* ---- exhaustive search ------------------------------------------------------------------------
 */

struct found {
    double score;
    int count;
    int32_t tokens[TOKENS];
};

struct exhaustive {
    struct toy *toy;
    const struct decode_options *options;
    struct found *found;
    int found_count;
};

static bool is_banned(const struct decode_options *options, int32_t token)
{
    for (int i = 0; i < options->banned_count; i++)
        if (options->banned[i] == token)
            return true;
    return false;
}

static void explore(struct exhaustive *all, int32_t *fed, int count, double sum)
{
    const struct decode_options *options = all->options;
    float logits[16];
    double total = 0;

    toy_logits(all->toy, 0, fed, count + 1, logits);
    for (int64_t v = 0; v < all->toy->vocabulary; v++)
        total += exp(logits[v]);
    for (int32_t v = 0; v < all->toy->vocabulary; v++) {
        double next = sum + logits[v] - log(total);
        bool ends = v == options->end_token;

        if (is_banned(options, v) || (ends && count < options->min_tokens))
            continue;
        fed[count + 1] = v;
        if (ends || count + 1 == options->max_tokens) {
            struct found *found = &all->found[all->found_count++];

            found->count = count + 1;
            found->score = next / pow(count + 1, options->length_penalty);
            memcpy(found->tokens, fed + 1, sizeof *fed * (size_t)(count + 1));
        } else {
            explore(all, fed, count + 1, next);
        }
    }
}

static int by_score(const void *a, const void *b)
{
    double x = ((const struct found *)a)->score, y = ((const struct found *)b)->score;

    return (x < y) - (x > y);
}

static void test_wide_beam_is_exhaustive(void **state)
{
    static const double penalties[] = {0, 1, 2.5, -1};
    static const int minima[] = {0, 2};
    struct toy *toy = toy_new(5, 1.5);
    struct earshot_error error;

    (void)state;
    for (size_t p = 0; p < 4; p++)
        for (size_t m = 0; m < 2; m++) {
            struct decode_options options = toy_options(DECODE_BEAM);
            struct found *found = calloc(4096, sizeof *found);
            struct exhaustive all = {toy, &options, found, 0};
            struct decode_result result;
            int32_t fed[TOKENS] = {0};

            assert_non_null(found);
            options.max_tokens = 5; /* three words: at most 3^5 = 243 live sequences */
            options.beam_width = 256;
            options.best = 20;
            options.length_penalty = penalties[p];
            options.min_tokens = minima[m];
            explore(&all, fed, 0, 0);
            qsort(found, (size_t)all.found_count, sizeof *found, by_score);
            assert_ok(toy_run(toy, &options, 1, NULL, &result, &error));
            assert_int_equal(result.count, 20);
            for (int i = 0; i < result.count; i++) {
                assert_int_equal(result.hypothesis[i].count, found[i].count);
                assert_memory_equal(result.hypothesis[i].tokens, found[i].tokens,
                                    sizeof *fed * (size_t)found[i].count);
                assert_true(fabs(result.hypothesis[i].score - found[i].score) < 1e-12);
            }
            decode_results_free(&result, 1);
            free(found);
        }
    free(toy);
}

/* ---- greedy -----------------------------------------------------------------------------------
 */

static void test_greedy_takes_the_likeliest(void **state)
{
    struct toy *toy = toy_new(9, 2);
    struct earshot_error error;
    int ended = 0;

    (void)state;
    for (int64_t sample = 0; sample < 50; sample++) {
        struct decode_options greedy = toy_options(DECODE_GREEDY), beam = toy_options(DECODE_BEAM);
        struct decode_result a, b;
        int32_t fed[TOKENS] = {0};
        double sum = 0;

        beam.beam_width = 1;
        toy->first_sample = sample;
        assert_ok(toy_run(toy, &greedy, 1, NULL, &a, &error));
        assert_ok(toy_run(toy, &beam, 1, NULL, &b, &error));
        assert_same_result(&a, &b);
        for (int i = 0; i < a.hypothesis->count; i++) {
            int best = 1;
            float logits[16];
            double total = 0;

            toy_logits(toy, sample, fed, i + 1, logits);
            for (int v = 0; v < 9; v++) {
                total += exp(logits[v]);
                best = v >= 1 && logits[v] > logits[best] ? v : best;
            }
            assert_int_equal(a.hypothesis->tokens[i], best);
            assert_true(fabs(a.hypothesis->log_probabilities[i] - logits[best] + log(total)) <
                        1e-12);
            sum += a.hypothesis->log_probabilities[i];
            fed[i + 1] = best;
        }
        assert_true(a.hypothesis->sum == sum);
        assert_true(a.hypothesis->score == sum / a.hypothesis->count);
        assert_int_equal(a.hypothesis->ended,
                         a.hypothesis->tokens[a.hypothesis->count - 1] == greedy.end_token);
        assert_true(a.hypothesis->ended || a.hypothesis->count == greedy.max_tokens);
        ended += a.hypothesis->ended;
        decode_results_free(&a, 1);
        decode_results_free(&b, 1);
    }
    assert_in_range(ended, 5, 45); /* both ways of ending were seen */
    free(toy);
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static void test_batch_equals_single(void **state)
{
    static const enum decode_method methods[] = {DECODE_GREEDY, DECODE_BEAM, DECODE_SAMPLE};
    enum { SAMPLES = 17 };
    struct toy *toy = toy_new(11, 1.5);
    struct earshot_error error;

    (void)state;
    for (size_t m = 0; m < 3; m++) {
        struct decode_options options = toy_options(methods[m]);
        struct decode_result batch[SAMPLES], one;
        uint64_t keys[SAMPLES];
        int64_t batch_calls;

        options.best = 3;
        options.max_tokens = 20;
        for (int i = 0; i < SAMPLES; i++)
            keys[i] = 1000u + (uint64_t)i * 77;
        toy->first_sample = 0;
        assert_ok(toy_run(toy, &options, SAMPLES, keys, batch, &error));
        batch_calls = toy->calls;
        for (int i = 0; i < SAMPLES; i++) {
            toy->first_sample = i;
            assert_ok(toy_run(toy, &options, 1, &keys[i], &one, &error));
            assert_same_result(&batch[i], &one);
            assert_true(toy->calls <= batch_calls);
            decode_results_free(&one, 1);
        }
        decode_results_free(batch, SAMPLES);
    }
    free(toy);
}

/* The rows of finished samples are gone: greedy scores exactly one row a generated token. */
static void test_finished_samples_leave_the_batch(void **state)
{
    enum { SAMPLES = 30 };
    struct toy *toy = toy_new(6, 1.5);
    struct decode_options options = toy_options(DECODE_GREEDY);
    struct decode_result results[SAMPLES];
    struct earshot_error error;
    int64_t generated = 0, longest = 0;

    (void)state;
    options.max_tokens = 30;
    assert_ok(toy_run(toy, &options, SAMPLES, NULL, results, &error));
    for (int i = 0; i < SAMPLES; i++) {
        generated += results[i].hypothesis->count;
        longest = results[i].hypothesis->count > longest ? results[i].hypothesis->count : longest;
    }
    assert_int_equal(toy->rows_scored, generated);
    assert_int_equal(toy->calls, longest);
    decode_results_free(results, SAMPLES);
    free(toy);
}

static void test_early_stop_is_exact(void **state)
{
    static const double penalties[] = {0, 0.6, 1, 2, -0.7};
    enum { SAMPLES = 20 };
    struct toy *toy = toy_new(8, 2);
    struct earshot_error error;
    int64_t stopped = 0, full = 0;

    (void)state;
    for (size_t p = 0; p < sizeof penalties / sizeof *penalties; p++)
        for (int best = 1; best <= 4; best += 3)
            for (int repeat = 0; repeat <= 2; repeat += 2) {
                struct decode_options options = toy_options(DECODE_BEAM);
                struct decode_result a[SAMPLES], b[SAMPLES];

                options.max_tokens = 16;
                options.best = best;
                options.length_penalty = penalties[p];
                options.no_repeat_ngram = repeat;
                assert_ok(toy_run(toy, &options, SAMPLES, NULL, a, &error));
                stopped += toy->rows_scored;
                options.run_to_the_end = true;
                assert_ok(toy_run(toy, &options, SAMPLES, NULL, b, &error));
                full += toy->rows_scored;
                for (int i = 0; i < SAMPLES; i++)
                    assert_same_result(&a[i], &b[i]);
                decode_results_free(a, SAMPLES);
                decode_results_free(b, SAMPLES);
            }
    assert_true(stopped < full * 3 / 4); /* and it does stop early */
    free(toy);
}

/* ---- scores and limits ------------------------------------------------------------------------
 */

/* Two words: p(end) = 1/2, p(a) = 1/4, p(b) = 1/4, at every step; the start token never
 * (-inf-like). */
static const float quarter_table[] = {-1000, 0.69314718f, 0, 0};

static void test_length_penalty_arithmetic(void **state)
{
    struct toy *toy = toy_new(4, 0);
    struct decode_options options = toy_options(DECODE_BEAM);
    struct decode_result result;
    struct earshot_error error;

    (void)state;
    toy->table = quarter_table;
    options.max_tokens = 3;
    options.beam_width = options.best = 16;
    /* Plain sums: "end" (1/2), then "a end", "b end" (1/8), then the cut ones and "x y end". */
    options.length_penalty = 0;
    assert_ok(toy_run(toy, &options, 1, NULL, &result, &error));
    assert_int_equal(result.hypothesis[0].count, 1);
    assert_true(fabs(result.hypothesis[0].score - log(0.5)) < 1e-6);
    assert_int_equal(result.hypothesis[1].count, 2);
    assert_int_equal(result.hypothesis[1].tokens[0], 2);
    assert_int_equal(result.hypothesis[2].tokens[0], 3);
    assert_true(fabs(result.hypothesis[1].score - log(0.125)) < 1e-6);
    assert_int_equal(result.count, 1 + 2 + 4 + 8);
    decode_results_free(&result, 1);
    /* Squared length: log(1/32) / 9 = -0.385 beats log(1/8) / 4 = -0.520 and log(1/2) = -0.693. */
    options.length_penalty = 2;
    assert_ok(toy_run(toy, &options, 1, NULL, &result, &error));
    assert_int_equal(result.hypothesis[0].count, 3);
    assert_true(result.hypothesis[0].ended);
    assert_true(fabs(result.hypothesis[0].sum - log(1.0 / 32)) < 1e-6);
    assert_true(fabs(result.hypothesis[0].score - log(1.0 / 32) / 9) < 1e-6);
    decode_results_free(&result, 1);
    free(toy);
}

static void test_min_tokens_and_bans(void **state)
{
    static const int32_t banned[] = {0, 2};
    static const enum decode_method methods[] = {DECODE_GREEDY, DECODE_BEAM, DECODE_SAMPLE};
    struct toy *toy = toy_new(5, 0);
    static const float table[] = {5, 9, 7, 1, 0};
    struct earshot_error error;

    (void)state;
    toy->table = table;
    for (size_t m = 0; m < 3; m++) {
        struct decode_options options = toy_options(methods[m]);
        struct decode_result result;

        options.banned = banned;
        options.banned_count = 2;
        options.min_tokens = 3;
        options.length_penalty = 0;
        assert_ok(toy_run(toy, &options, 1, NULL, &result, &error));
        assert_true(result.hypothesis->count >= 4 && result.hypothesis->ended);
        for (int i = 0; i < result.hypothesis->count; i++)
            assert_in_range(result.hypothesis->tokens[i], i + 1 == result.hypothesis->count ? 1 : 3,
                            i + 1 == result.hypothesis->count ? 1 : 4);
        /* The probabilities are the model's, over banned tokens too. */
        assert_true(result.hypothesis->log_probabilities[0] < -7);
        decode_results_free(&result, 1);
    }
    free(toy);
}

static void test_no_repeat_ngram(void **state)
{
    static const enum decode_method methods[] = {DECODE_GREEDY, DECODE_BEAM, DECODE_SAMPLE};
    static const float table[] = {0, -9, 2, 1.5f, 1};
    struct toy *toy = toy_new(5, 0);
    struct earshot_error error;

    (void)state;
    toy->table = table;
    for (size_t m = 0; m < 3; m++)
        for (int n = 1; n <= 3; n++) {
            struct decode_options options = toy_options(methods[m]);
            struct decode_result result;
            const struct decode_hypothesis *h;

            options.max_tokens = 14;
            options.min_tokens = 14; /* the end token would be a way out */
            options.no_repeat_ngram = n;
            assert_ok(toy_run(toy, &options, 1, NULL, &result, &error));
            h = result.hypothesis;
            for (int i = 0; i + n <= h->count; i++)
                for (int j = 0; j < i; j++)
                    assert_memory_not_equal(h->tokens + i, h->tokens + j,
                                            sizeof *h->tokens * (size_t)n);
            assert_false(h->ended);
            if (n == 1) /* three words, then nothing is left: cut there */
                assert_int_equal(h->count, 3);
            decode_results_free(&result, 1);
        }
    free(toy);
}

/* ---- sampling ---------------------------------------------------------------------------------
 */

/* Draws first tokens of many samples and compares their frequencies with what is expected. */
static void check_frequencies(struct decode_options options, const float *table,
                              const double *expected)
{
    enum { BATCH = 1000, BATCHES = 20 };
    struct toy *toy = toy_new(6, 0);
    struct decode_result *results = calloc(BATCH, sizeof *results);
    uint64_t keys[BATCH];
    int seen[6] = {0};
    struct earshot_error error;

    assert_non_null(results);
    toy->table = table;
    options.max_tokens = 1;
    for (int b = 0; b < BATCHES; b++) {
        for (int i = 0; i < BATCH; i++)
            keys[i] = (uint64_t)(b * BATCH + i);
        assert_ok(toy_run(toy, &options, BATCH, keys, results, &error));
        for (int i = 0; i < BATCH; i++)
            seen[results[i].hypothesis->tokens[0]]++;
        decode_results_free(results, BATCH);
    }
    for (int v = 0; v < 6; v++) {
        double n = BATCH * BATCHES, p = expected[v];

        /* four standard deviations; exactly none where none is expected */
        assert_true(fabs(seen[v] / n - p) <= 4 * sqrt(p * (1 - p) / n));
    }
    free(results);
    free(toy);
}

static void test_sampling_frequencies(void **state)
{
    /* probabilities 0.4, 0.1, 0.2, 0.1, 0.15, 0.05; token 0 is banned below unless said */
    static const float table[] = {-0.91629073f, -2.30258509f, -1.60943791f,
                                  -2.30258509f, -1.89711998f, -2.99573227f};
    static const double plain[] = {0.4, 0.1, 0.2, 0.1, 0.15, 0.05};
    static const double without_0[] = {0, 0.1 / 0.6, 0.2 / 0.6, 0.1 / 0.6, 0.15 / 0.6, 0.05 / 0.6};
    static const double top_2[] = {0, 0, 0.2 / 0.35, 0, 0.15 / 0.35, 0};
    /* of 0.6: 0.2, 0.35, then token 1 (the lower id of two equal ones) makes 0.45 >= 0.7 * 0.6 */
    static const double nucleus[] = {0, 0.1 / 0.45, 0.2 / 0.45, 0, 0.15 / 0.45, 0};
    double squares[6], sum = 0;
    struct decode_options options = toy_options(DECODE_SAMPLE);

    (void)state;
    options.seed = 42;
    check_frequencies(options, table, without_0);
    options.top_k = 2;
    check_frequencies(options, table, top_2);
    options.top_k = 0;
    options.top_p = 0.7;
    check_frequencies(options, table, nucleus);
    options.banned_count = 0;
    options.top_p = 1;
    check_frequencies(options, table, plain);
    options.temperature = 0.5;
    for (int v = 0; v < 6; v++)
        sum += plain[v] * plain[v];
    for (int v = 0; v < 6; v++)
        squares[v] = plain[v] * plain[v] / sum;
    check_frequencies(options, table, squares);
}

static void test_sampling_seeds(void **state)
{
    struct toy *toy = toy_new(50, 0.5);
    struct decode_options options = toy_options(DECODE_SAMPLE);
    struct decode_result a, b, c;
    struct earshot_error error;

    (void)state;
    options.max_tokens = 30;
    options.min_tokens = 30;
    options.seed = 1;
    assert_ok(toy_run(toy, &options, 1, NULL, &a, &error));
    assert_ok(toy_run(toy, &options, 1, NULL, &b, &error));
    options.seed = 2;
    assert_ok(toy_run(toy, &options, 1, NULL, &c, &error));
    assert_same_result(&a, &b);
    assert_memory_not_equal(a.hypothesis->tokens, c.hypothesis->tokens, 30 * sizeof(int32_t));
    decode_results_free(&a, 1);
    decode_results_free(&b, 1);
    decode_results_free(&c, 1);
    free(toy);
}

/* ---- failures ---------------------------------------------------------------------------------
 */

static void test_logits_that_are_not_finite(void **state)
{
    struct toy *toy = toy_new(7, 1);
    struct decode_options options = toy_options(DECODE_BEAM);
    struct decode_result results[2];
    struct earshot_error error;

    (void)state;
    options.min_tokens = 5;
    toy->bad_call = 3;
    toy->bad_token = 4;
    assert_int_equal(toy_run(toy, &options, 2, NULL, results, &error), EARSHOT_ERROR_NUMERIC);
    assert_non_null(strstr(error.message, "sample 0, token 2"));
    assert_non_null(strstr(error.message, "token id 4"));
    assert_null(results[0].hypothesis);
    free(toy);
}

static enum earshot_status cancel(void *context, const int32_t *tokens, const int32_t *parents,
                                  int64_t rows, float *logits, struct earshot_error *error)
{
    (void)context, (void)tokens, (void)parents, (void)rows, (void)logits;
    return error_set(error, EARSHOT_ERROR_CANCELLED, "stopped");
}

static void test_arguments(void **state)
{
    static const int32_t bans_end[] = {1}, bans_far[] = {7};
    struct toy *toy = toy_new(7, 1);
    struct decode_scorer scorer = {NULL, 7, cancel};
    struct decode_options good = toy_options(DECODE_BEAM), o;
    struct decode_result result;
    struct earshot_error error;

    (void)state;
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        o = good;                                                                                  \
        change;                                                                                    \
        assert_int_equal(toy_run(toy, &o, 1, NULL, &result, &error), EARSHOT_ERROR_ARGUMENT);      \
    } while (0)
    REFUSED(o.beam_width = 0);
    REFUSED(o.beam_width = DECODE_BEAM_MAX + 1);
    REFUSED(o.best = 0);
    REFUSED(o.best = 5);
    REFUSED(o.max_tokens = 0);
    REFUSED(o.min_tokens = -1);
    REFUSED(o.no_repeat_ngram = -1);
    REFUSED(o.length_penalty = NAN);
    REFUSED(o.start_token = 7);
    REFUSED(o.end_token = -1);
    REFUSED((o.banned = bans_end, o.banned_count = 1));
    REFUSED((o.banned = bans_far, o.banned_count = 1));
    good.method = DECODE_SAMPLE;
    REFUSED(o.temperature = 0);
    REFUSED(o.temperature = NAN);
    REFUSED(o.top_k = -1);
    REFUSED(o.top_p = 0);
    REFUSED(o.top_p = 1.01);
#undef REFUSED
    assert_int_equal(decode_run(&scorer, &good, 1, NULL, &result, &error), EARSHOT_ERROR_CANCELLED);
    assert_ok(decode_run(&scorer, &good, 0, NULL, NULL, &error));
    free(toy);
}

/* Large logits must not overflow, and their differences must survive. */
static void test_softmax_is_stable(void **state)
{
    static const float table[] = {3e38f, 2.9e38f, 3e38f, -3e38f};
    struct toy *toy = toy_new(4, 0);
    struct decode_options options = toy_options(DECODE_BEAM);
    struct decode_result result;
    struct earshot_error error;

    (void)state;
    toy->table = table;
    options.max_tokens = 4;
    assert_ok(toy_run(toy, &options, 1, NULL, &result, &error));
    assert_int_equal(result.hypothesis->count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(result.hypothesis->tokens[i], 2);
    assert_true(isfinite(result.hypothesis->sum) && result.hypothesis->sum <= 0);
    decode_results_free(&result, 1);
    free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wide_beam_is_exhaustive),
        cmocka_unit_test(test_greedy_takes_the_likeliest),
        cmocka_unit_test(test_batch_equals_single),
        cmocka_unit_test(test_finished_samples_leave_the_batch),
        cmocka_unit_test(test_early_stop_is_exact),
        cmocka_unit_test(test_length_penalty_arithmetic),
        cmocka_unit_test(test_min_tokens_and_bans),
        cmocka_unit_test(test_no_repeat_ngram),
        cmocka_unit_test(test_sampling_frequencies),
        cmocka_unit_test(test_sampling_seeds),
        cmocka_unit_test(test_logits_that_are_not_finite),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_softmax_is_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
