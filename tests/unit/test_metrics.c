/* test_metrics.c: the caption metrics against the reference's numbers, and their own edges. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metrics/evaluate.h"
#include "metrics/ptb.h"
#include "support/metrics_parity.h"

static void check_fixture(const char *name)
{
    struct metrics_parity result;
    char path[128];

    snprintf(path, sizeof path, "metrics/%s", name);
    assert_true(metrics_parity_check(test_fixture(path), NULL, &result));
    if (result.wrong)
        fail_msg("%s: %zu of %zu differ; %s", name, result.wrong, result.compared, result.first);
    if (result.compared == 0 && result.lacking == 0)
        fail_msg("%s: nothing was compared", name);
    if (result.lacking)
        print_message("%s: %zu parts left out: no WordNet here\n", name, result.lacking);
}

static void test_tokenizer_fixtures(void **state)
{
    (void)state;
    check_fixture("tokenizer.jsonl");
    check_fixture("tokenizer_sequences.jsonl");
    check_fixture("tokenizer_stream.jsonl");
    check_fixture("tokenizer_bmp.tsv");
}

static void test_score_fixtures(void **state)
{
    (void)state;
    check_fixture("metrics_edges.json");
    check_fixture("metrics_audio_200.json");
    check_fixture("known_jar_outputs.json");
}

static void test_meteor_fixtures(void **state)
{
    (void)state;
    check_fixture("meteor_normalize.jsonl");
    check_fixture("meteor_words.tsv");
    check_fixture("meteor_pairs.jsonl");
    check_fixture("meteor_example_full.jsonl");
}

/* ---- tokenizer ---- */

struct kept {
    const char *const *in;
    char out[4][256];
};

static const char *kept_source(void *context, size_t index)
{
    return ((struct kept *)context)->in[index];
}

static enum earshot_status kept_sink(void *context, size_t index, const char *text, size_t length,
                                     struct earshot_error *error)
{
    struct kept *kept = context;

    (void)error;
    if (index < 4 && length < sizeof kept->out[0])
        strcpy(kept->out[index], text);
    return EARSHOT_OK;
}

static enum earshot_status tokenise(const char *const *in, size_t count, struct kept *kept,
                                    struct earshot_error *error)
{
    struct ptb_call call = {kept_source, kept_sink, kept, count, false};
    struct ptb *ptb;
    enum earshot_status status;

    memset(kept->out, 0, sizeof kept->out);
    kept->in = in;
    assert_int_equal(ptb_new(&ptb, error), EARSHOT_OK);
    status = ptb_tokenize(ptb, &call, error);
    ptb_free(ptb);
    return status;
}

static void test_malformed_utf8_is_no_token(void **state)
{
    const char *const in[] = {"a \xFF\xFE man", "\xC3", "caf\xC3\xA9 \xED\xA0\x80 x"};
    struct earshot_error error;
    struct kept kept;

    (void)state;
    assert_ok(tokenise(in, 3, &kept, &error));
    assert_string_equal(kept.out[0], "a man");
    assert_string_equal(kept.out[1], "");
    assert_string_equal(kept.out[2], "caf\xC3\xA9 x");
}

/* Rules look over the window's end as if it were not there. */
static void test_window_does_not_show(void **state)
{
    enum { COUNT = 6000 };
    const char **in = calloc(COUNT, sizeof *in);
    struct kept kept;
    struct earshot_error error;
    struct ptb_call call = {kept_source, NULL, &kept, COUNT, false};
    struct ptb *ptb;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        in[i] = i % 2 ? "The man writes" : "in plan B.";
    kept.in = in;
    assert_ok(ptb_new(&ptb, &error));
    assert_ok(ptb_tokenize(ptb, &call, &error));
    ptb_free(ptb);
    free(in);
}

static void test_caption_too_long(void **state)
{
    char *text = malloc(PTB_CAPTION_BYTES_MAX + 2);
    const char *in[1] = {text};
    struct earshot_error error;
    struct kept kept;

    (void)state;
    memset(text, 'a', PTB_CAPTION_BYTES_MAX + 1);
    text[PTB_CAPTION_BYTES_MAX + 1] = '\0';
    assert_int_equal(tokenise(in, 1, &kept, &error), EARSHOT_ERROR_ARGUMENT);
    text[PTB_CAPTION_BYTES_MAX] = '\0';
    assert_ok(tokenise(in, 1, &kept, &error));
    free(text);
}

/* ---- scores ---- */

/* A candidate of more than 64 words: the blocks of ROUGE-L's bit-parallel LCS carry over. */
static void test_long_texts(void **state)
{
    struct earshot_error error;
    struct earshot_scores *scores;
    struct str candidate = {0}, reference = {0};
    const char *candidates[1], *references[1];
    const size_t counts[1] = {1};
    struct earshot_score_request request = {.item_count = 1,
                                            .candidates = candidates,
                                            .references = references,
                                            .reference_counts = counts,
                                            .metrics = EARSHOT_METRIC_ROUGE_L,
                                            .tokenised = true};

    (void)state;
    /* every second word of 200 in common, in order: LCS 100 */
    for (int i = 0; i < 200; i++) {
        str_append_format(&candidate, "%sw%d", i ? " " : "", i);
        str_append_format(&reference, "%s%c%d", i ? " " : "", i % 2 ? 'w' : 'x', i);
    }
    candidates[0] = candidate.data;
    references[0] = reference.data;
    assert_ok(earshot_score(&request, &scores, &error));
    assert_int_equal(earshot_scores_count(scores), 1);
    assert_string_equal(earshot_scores_name(scores, 0), "ROUGE_L");
    assert_true(fabs(earshot_scores_item(scores, 0, 0) - 0.5) < 1e-12);
    assert_null(earshot_scores_name(scores, 1));
    assert_true(isnan(earshot_scores_item(scores, 0, 1)));
    earshot_scores_free(scores);
    str_free(&candidate);
    str_free(&reference);
}

static const char *const thread_candidates[] = {"a man rides a horse", "a dog barks loudly",
                                                "two people don't talk"};
static const char *const thread_references[] = {"a man is riding a horse", "someone on a horse",
                                                "a dog is barking", "two people are silent",
                                                "Two people; they do not talk."};
static const size_t thread_counts[] = {2, 1, 2};

static void *score_in_thread(void *out)
{
    struct earshot_score_request request = {
        .item_count = 3,
        .candidates = thread_candidates,
        .references = thread_references,
        .reference_counts = thread_counts,
        .metrics = EARSHOT_METRIC_BLEU | EARSHOT_METRIC_ROUGE_L | EARSHOT_METRIC_CIDER |
                   EARSHOT_METRIC_METEOR_EXACT_STEM};
    double *value = out;

    for (int round = 0; round < 5; round++) {
        struct earshot_scores *scores;

        if (earshot_score(&request, &scores, NULL) != EARSHOT_OK)
            return NULL;
        for (int c = 0; c < 7; c++)
            value[c] = earshot_scores_corpus(scores, c);
        earshot_scores_free(scores);
    }
    return out;
}

static void test_threads(void **state)
{
    pthread_t thread[4];
    double value[4][7] = {{0}};

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, score_in_thread, value[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *done;

        assert_int_equal(pthread_join(thread[i], &done), 0);
        assert_non_null(done);
        assert_memory_equal(value[i], value[0], sizeof value[0]);
        assert_true(value[i][0] > 0.3);
    }
}

static void test_bad_requests(void **state)
{
    const char *const candidates[] = {"a"};
    const char *const holes[] = {NULL};
    const size_t counts[] = {1};
    struct earshot_error error;
    struct earshot_scores *scores;
    struct earshot_score_request request = {.item_count = 1,
                                            .candidates = candidates,
                                            .references = holes,
                                            .reference_counts = counts,
                                            .metrics = EARSHOT_METRIC_BLEU};

    (void)state;
    assert_int_equal(earshot_score(&request, &scores, &error), EARSHOT_ERROR_ARGUMENT);
    assert_null(scores);
    request.references = candidates;
    request.metrics = 0;
    assert_int_equal(earshot_score(&request, &scores, &error), EARSHOT_ERROR_ARGUMENT);
    request.metrics = EARSHOT_METRIC_METEOR | EARSHOT_METRIC_METEOR_EXACT_STEM;
    assert_int_equal(earshot_score(&request, &scores, &error), EARSHOT_ERROR_ARGUMENT);
    request.metrics = EARSHOT_METRIC_METEOR;
    request.meteor_directory = "/nonexistent";
    assert_int_equal(earshot_score(&request, &scores, &error), EARSHOT_ERROR_IO);
    assert_non_null(strstr(error.message, "wordnet-sense-index"));
    /* nothing to score is no error */
    request = (struct earshot_score_request){.metrics = EARSHOT_METRIC_BLEU | EARSHOT_METRIC_CIDER};
    assert_ok(earshot_score(&request, &scores, &error));
    earshot_scores_free(scores);
}

static void test_meteor_name_says_what_it_is(void **state)
{
    struct meteor_sources sources = {.exact_stem_only = true};
    struct meteor_data *data;
    struct earshot_error error;

    (void)state;
    assert_ok(meteor_data_load(&sources, &data, &error));
    assert_string_equal(meteor_data_name(data), "METEOR_exact_stem");
    meteor_data_free(data);
    if (!file_exists("/usr/share/wordnet/index.sense"))
        return;
    sources = (struct meteor_sources){.paraphrases = test_fixture("metrics/was_has_been.gz")};
    assert_ok(meteor_data_load(&sources, &data, &error));
    assert_string_equal(meteor_data_name(data), "METEOR");
    meteor_data_free(data);
    sources.no_paraphrases = true;
    assert_ok(meteor_data_load(&sources, &data, &error));
    assert_string_equal(meteor_data_name(data), "METEOR_nopara");
    meteor_data_free(data);
}

static void test_metric_names(void **state)
{
    struct earshot_error error;
    unsigned metrics;

    (void)state;
    assert_ok(evaluate_parse_metrics("bleu,cider,meteor-nopara", &metrics, &error));
    assert_int_equal(metrics,
                     EARSHOT_METRIC_BLEU | EARSHOT_METRIC_CIDER | EARSHOT_METRIC_METEOR_NOPARA);
    assert_int_equal(evaluate_parse_metrics("bleu,spice", &metrics, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "spice"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer_fixtures),
        cmocka_unit_test(test_score_fixtures),
        cmocka_unit_test(test_meteor_fixtures),
        cmocka_unit_test(test_malformed_utf8_is_no_token),
        cmocka_unit_test(test_window_does_not_show),
        cmocka_unit_test(test_caption_too_long),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_meteor_name_says_what_it_is),
        cmocka_unit_test(test_metric_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
