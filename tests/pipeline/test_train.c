/* test_train.c: training runs from real media files: resume, skipping, cancelling, broken clips. */
#include "support/test.h"
#include "support/toy_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "toyworld/toyworld.h"
#include "train/checkpoint.h"
#include "train/dataset.h"
#include "train/loader.h"
#include "train/schedule.h"
#include "train/trainer.h"

static struct earshot_error error;
static char manifest[1024];

static void copy(char **to, const char *text)
{
    free(*to);
    *to = str_format("%s", text);
}

static void tiny_options(struct train_options *train, const char *out)
{
    *train = train_options_default;
    copy(&train->data, manifest);
    copy(&train->out, out);
    train->steps = 6;
    train->batch_size = 4;
    train->warmup = 2;
    train->checkpoint_every = 100;
    train->threads = 1;
}

struct watch {
    int64_t stop_after; /* steps seen before cancelling; 0: never */
    int64_t seen, skipped, unreadable;
    char note[256];
};

static void on_progress(void *context, const struct train_progress *p)
{
    struct watch *watch = context;

    if (p->note) {
        snprintf(watch->note, sizeof watch->note, "%s", p->note);
        return;
    }
    watch->seen++;
    watch->skipped = p->skipped;
    watch->unreadable = p->unreadable;
}

static bool on_cancelled(void *context)
{
    const struct watch *watch = context;

    return watch->stop_after && watch->seen >= watch->stop_after;
}

/* text: the model reads transcripts too. */
static enum earshot_status run_model(struct train_options *train, struct watch *watch, bool text)
{
    const struct train_callbacks callbacks = {on_progress, on_cancelled, watch};
    struct model_config model;
    enum earshot_status status;

    toy_model_tiny(&model);
    model.use_stream[STREAM_TEXT] = text;
    status = train_run(train, &model, &callbacks, &error);
    model_config_free(&model);
    return status;
}

static enum earshot_status run(struct train_options *train, struct watch *watch)
{
    return run_model(train, watch, false);
}

static int make_corpus(void **state)
{
    struct toyworld_options world = toyworld_options_default;

    (void)state;
    world.out = str_format("%s", test_directory("train-corpus"));
    world.clips = 10;
    world.seed = 5;
    assert_ok(toyworld_generate(&world, NULL, NULL, &error));
    snprintf(manifest, sizeof manifest, "%s/manifest.jsonl", world.out);
    free(world.out);
    return 0;
}

/* Stopped after 4 of 6 steps and resumed, with other threads, clips cached in a file and then not
 * at all: the same bytes. */
static void test_resume(void **state)
{
    struct train_options train = {0};
    struct watch watch = {0};
    char whole[1024], parts[1024], *log;
    int lines = 0;

    (void)state;
    snprintf(whole, sizeof whole, "%s", test_directory("train-whole"));
    tiny_options(&train, whole);
    assert_ok(run(&train, &watch));
    assert_int_equal(watch.seen, 6);
    train_options_free(&train);

    snprintf(parts, sizeof parts, "%s", test_directory("train-parts"));
    tiny_options(&train, parts);
    train.loader_threads = 3;
    copy(&train.cache_dir, parts);
    watch = (struct watch){.stop_after = 4};
    assert_int_equal(run(&train, &watch), EARSHOT_ERROR_CANCELLED);
    assert_non_null(strstr(error.message, "--resume"));
    watch = (struct watch){0};
    assert_int_equal(run(&train, &watch), EARSHOT_ERROR_ARGUMENT); /* without --resume: refused */
    train.resume = true;
    train.cache_mb = 0;
    assert_ok(run(&train, &watch));
    assert_int_equal(watch.seen, 2);
    train_options_free(&train);

    assert_same_file(whole, parts, "model/model.safetensors");
    assert_same_file(whole, parts, "model/config.json");
    assert_same_file(whole, parts, "model/vocab.txt");
    assert_same_file(whole, parts, "checkpoints/step-00000006/trainer.safetensors");
    assert_same_file(whole, parts, "checkpoints/step-00000006/trainer.json");
    snprintf(parts + strlen(parts), sizeof parts - strlen(parts), "/log.jsonl");
    assert_ok(file_read_text(parts, 1 << 20, &log, NULL, &error));
    for (const char *p = log; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 6);
    free(log);
}

/* A run goes on with the texts it began with: other words for one clip are refused. */
static void test_resume_with_other_texts(void **state)
{
    struct train_options train = {0};
    struct watch watch = {.stop_after = 2};
    const char *out = test_directory("train-texts");
    char *text, *caption, *other = str_format("%s.other.jsonl", manifest);

    (void)state;
    tiny_options(&train, out);
    assert_int_equal(run(&train, &watch), EARSHOT_ERROR_CANCELLED);
    assert_ok(file_read_text(manifest, 1 << 20, &text, NULL, &error));
    caption = strstr(text, "\"captions\"");
    assert_non_null(caption);
    caption = strchr(strchr(caption, '['), '"') + 1;
    *caption = *caption == 'x' ? 'y' : 'x';
    assert_ok(file_write_atomic(other, text, strlen(text), &error));
    train.resume = true;
    watch = (struct watch){0};
    copy(&train.data, other);
    assert_int_equal(run(&train, &watch), EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "other clips, texts"));
    copy(&train.data, manifest);
    assert_ok(run(&train, &watch));
    train_options_free(&train);
    free(other);
    free(text);
}

static void count_recomputing(void *context, enum log_level level, const char *line)
{
    (void)level;
    *(int *)context += strstr(line, "blocks are computed again") != NULL;
}

/* Recomputing activations, all or some, changes memory, not the result. */
static void test_recompute(void **state)
{
    char folder[3][1024];
    int said = 0;

    (void)state;
    log_set_sink(count_recomputing, &said);
    for (int i = 0; i < 3; i++) {
        struct train_options train = {0};
        struct watch watch = {0};

        snprintf(folder[i], sizeof folder[i], "%s",
                 test_directory(i == 0   ? "train-keep"
                                : i == 1 ? "train-recompute"
                                         : "train-recompute-some"));
        tiny_options(&train, folder[i]);
        train.steps = 3;
        train.recompute = i == 1;
        train.memory_mb = i == 2 ? 3 : 0;
        assert_ok(run(&train, &watch));
        train_options_free(&train);
        assert_same_file(folder[0], folder[i], "model/model.safetensors");
        assert_int_equal(said, i == 2);
    }
    log_set_sink(NULL, NULL);
}

/* A learning rate that throws the weights to infinity: later steps are skipped, counted and said,
 * and the run ends by itself. */
static void test_not_finite(void **state)
{
    struct train_options train = {0};
    struct watch watch = {0};
    char *log, *path;

    (void)state;
    tiny_options(&train, test_directory("train-not-finite"));
    train.learning_rate = 100;
    train.clip_norm = 0;
    train.warmup = 0;
    train.epsilon = 0;
    train.weight_decay = 100;
    train.steps = 30;
    assert_ok(run(&train, &watch));
    assert_int_equal(watch.seen < 30, 1);
    path = str_format("%s/log.jsonl", train.out);
    assert_ok(file_read_text(path, 1 << 20, &log, NULL, &error));
    assert_non_null(strstr(log, "\"skipped\": true"));
    free(log);
    free(path);
    train_options_free(&train);
}

static void ignore_line(void *context, enum log_level level, const char *line)
{
    int *warnings = context;

    *warnings += level == LOG_WARNING && strstr(line, "left out") != NULL;
}

/* Clips that cannot be read are counted, said once each, and training goes on. */
static void test_unreadable_clips(void **state)
{
    struct train_options train = {0};
    struct watch watch = {0};
    char *text, *path, *vocabulary;
    int warnings = 0;

    (void)state;
    tiny_options(&train, test_directory("train-unreadable"));
    path = str_format("%s/some.jsonl", train.out);
    vocabulary = str_format("%.*s/vocab.txt", (int)(strrchr(manifest, '/') - manifest), manifest);
    text = str_format(
        "{\"id\": \"a\", \"video\": \"missing.mp4\", \"caption\": \"a red ball falls\"}\n"
        "{\"id\": \"b\", \"video\": \"some.jsonl\", \"caption\": \"a red ball falls\"}\n"
        "{\"id\": \"c\", \"video\": \"%.*s/media/000000.mp4\", \"caption\": \"a red ball "
        "falls\"}\n",
        (int)(strrchr(manifest, '/') - manifest), manifest);
    assert_ok(file_write_atomic(path, text, strlen(text), &error));
    copy(&train.data, path);
    train.vocabulary = vocabulary;
    train.batch_size = 3;
    train.steps = 4;
    log_set_sink(ignore_line, &warnings);
    assert_ok(run(&train, &watch));
    log_set_sink(NULL, NULL);
    assert_int_equal(watch.unreadable, 8); /* two of every batch of three */
    assert_int_equal(warnings, 2);
    assert_int_equal(watch.skipped, 0);
    free(text);
    free(path);
    train_options_free(&train);
}

/* A loader over the corpus and all that it reads with. */
struct loading {
    struct captioner *captioner;
    struct wordpiece *tokenizer;
    struct clip_reader *reader;
    struct dataset *data;
    struct clip_store *store;
    struct loader *loader;
};

/* The loader is left to loading_start.  text: the model reads transcripts too. */
static void loading_open(struct loading *loading, bool text)
{
    const struct clip_store_options keeping = {.limit_bytes = 1 << 30};
    char *vocabulary =
        str_format("%.*s/vocab.txt", (int)(strrchr(manifest, '/') - manifest), manifest);
    struct clip_reader_options reading;
    struct model_config model;

    toy_model_tiny(&model);
    model.use_stream[STREAM_TEXT] = text;
    reading = captioner_reader_options(&model);
    assert_ok(captioner_new(&model, &loading->captioner, &error));
    assert_ok(wordpiece_open(vocabulary, &loading->tokenizer, &error));
    assert_ok(dataset_open(manifest, &loading->data, &error));
    assert_ok(clip_reader_open(&reading, &loading->reader, &error));
    assert_ok(clip_store_open(loading->data, loading->reader, &keeping, &loading->store, &error));
    model_config_free(&model);
    free(vocabulary);
}

static void loading_start(struct loading *loading, const struct loader_options *options)
{
    assert_ok(loader_open(loading->store, loading->captioner, loading->tokenizer, options, 0,
                          &loading->loader, &error));
}

static void loading_close(struct loading *loading)
{
    loader_close(loading->loader);
    clip_store_close(loading->store);
    clip_reader_close(loading->reader);
    dataset_close(loading->data);
    wordpiece_free(loading->tokenizer);
    captioner_free(loading->captioner);
}

/* presence[clips][STREAM_COUNT] of the first batches of a loader over the corpus. */
static void presence_of(double stream_dropout, int batches, uint8_t *presence)
{
    const struct loader_options options = {.batch_size = 4,
                                           .threads = 2,
                                           .ahead = 4,
                                           .seed = 9,
                                           .shuffle = true,
                                           .objectives = OBJECTIVE_BIT(OBJECTIVE_CAPTION),
                                           .stream_dropout = stream_dropout};
    struct loading loading;

    loading_open(&loading, false);
    loading_start(&loading, &options);
    for (int i = 0; i < batches; i++) {
        const struct batch *batch;

        assert_ok(loader_next(loading.loader, &batch, &error));
        memcpy(presence + i * 4 * STREAM_COUNT, batch->clips.present, 4 * STREAM_COUNT);
        loader_release(loading.loader, batch);
    }
    loading_close(&loading);
}

/* About half of the clips lose one stream, either one, never both; the same ones every time. */
static void test_stream_dropout(void **state)
{
    enum { BATCHES = 25, CLIPS = 4 * BATCHES };
    uint8_t all[CLIPS * STREAM_COUNT], some[CLIPS * STREAM_COUNT], again[CLIPS * STREAM_COUNT];
    int without_video = 0, without_audio = 0;

    (void)state;
    presence_of(0, BATCHES, all);
    presence_of(0.5, BATCHES, some);
    presence_of(0.5, BATCHES, again);
    assert_memory_equal(some, again, sizeof some);
    for (int i = 0; i < CLIPS; i++) {
        const uint8_t *present = some + i * STREAM_COUNT;

        assert_true(all[i * STREAM_COUNT] && all[i * STREAM_COUNT + 1]);
        assert_true(present[STREAM_VIDEO] || present[STREAM_AUDIO]);
        without_video += !present[STREAM_VIDEO];
        without_audio += !present[STREAM_AUDIO];
    }
    assert_in_range(without_video, 12, 40);
    assert_in_range(without_audio, 12, 40);
}

static void check_transcripts(const struct loading *loading, const struct batch *batch, int *there,
                              int *absent)
{
    const struct clip_batch *clips = &batch->clips;
    int64_t longest = 0;

    for (int64_t i = 0; i < clips->size; i++) {
        const struct dataset_item *item = &loading->data->item[batch->item[i]];
        int32_t ids[64];
        int64_t count;

        assert_ok(text_encoder_tokens(loading->tokenizer, item->transcript,
                                      loading->captioner->config.text.max_length, ids, &count,
                                      &error));
        assert_int_equal(clips->present[i * STREAM_COUNT + STREAM_TEXT], count > 0);
        assert_true(count <= clips->text_length);
        if (count > 0)
            assert_memory_equal(clips->text + i * clips->text_length, ids,
                                (size_t)count * sizeof *ids);
        for (int64_t k = count; k < clips->text_length; k++)
            assert_int_equal(clips->text[i * clips->text_length + k], -1);
        longest = count > longest ? count : longest;
        *there += count > 0;
        *absent += count == 0;
    }
    assert_int_equal(clips->text_length, longest);
}

/* A clip's transcript is its text stream: there when it says something, as many tokens as the text
 * encoder takes, padded to the longest of the batch. */
static void test_transcripts(void **state)
{
    const struct loader_options options = {.batch_size = 5,
                                           .threads = 2,
                                           .ahead = 3,
                                           .objectives = OBJECTIVE_BIT(OBJECTIVE_CAPTION),
                                           .text_input = OBJECTIVE_BIT(OBJECTIVE_CAPTION)};
    struct loading loading;
    int there = 0, absent = 0;

    (void)state;
    loading_open(&loading, true);
    free(loading.data->item[1].transcript);
    loading.data->item[1].transcript = NULL;
    free(loading.data->item[3].transcript);
    loading.data->item[3].transcript = str_format(" ");
    loading_start(&loading, &options);
    for (int64_t b = 0; b < loader_batches(loading.loader); b++) {
        const struct batch *batch;

        assert_ok(loader_next(loading.loader, &batch, &error));
        check_transcripts(&loading, batch, &there, &absent);
        loader_release(loading.loader, batch);
    }
    assert_true(there > 0 && absent >= 2);
    loading_close(&loading);
}

/* A transcript is input only where no objective in use has it as its answer. */
static void test_transcripts_are_no_answer(void **state)
{
    const unsigned caption = OBJECTIVE_BIT(OBJECTIVE_CAPTION), pcc = OBJECTIVE_BIT(OBJECTIVE_PCC),
                   pnc = OBJECTIVE_BIT(OBJECTIVE_PNC);
    const struct {
        unsigned objectives, text_input;
        bool seen;
    } cases[] = {{caption, caption, true},
                 {pcc, caption, false},
                 {caption | pcc, caption, false},
                 {pcc, caption | pnc, false},
                 {pcc, caption | pcc | pnc, true}};
    struct train_options train = train_options_default;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct loader_options options = {.batch_size = 4,
                                               .threads = 1,
                                               .ahead = 2,
                                               .objectives = cases[i].objectives,
                                               .text_input = cases[i].text_input};
        const struct batch *batch;
        struct loading loading;
        bool seen = false;

        loading_open(&loading, true);
        loading_start(&loading, &options);
        assert_ok(loader_next(loading.loader, &batch, &error));
        for (int64_t b = 0; b < batch->clips.size; b++)
            seen |= batch->clips.present[b * STREAM_COUNT + STREAM_TEXT];
        assert_int_equal(seen, cases[i].seen);
        assert_int_equal(batch->clips.text != NULL, cases[i].seen);
        loader_release(loading.loader, batch);
        loading_close(&loading);
    }
    assert_int_equal(train_text_input(&train), caption);
    assert_ok(options_set(train_option_table, &train, "text_input", "pnc", &error));
    assert_int_equal(train_text_input(&train), caption | pnc);
    assert_ok(options_set(train_option_table, &train, "text_input", "all", &error));
    assert_int_equal(train_text_input(&train), caption | pcc | pnc);
}

/* A model of all three streams learns. */
static void test_three_streams(void **state)
{
    struct train_options train = {0};
    struct watch watch = {0};
    struct model_config read;
    char *directory;

    (void)state;
    tiny_options(&train, test_directory("train-three-streams"));
    train.steps = 2;
    train.stream_dropout = 0.5;
    assert_ok(run_model(&train, &watch, true));
    assert_int_equal(watch.skipped, 0);
    directory = str_format("%s/model", train.out);
    assert_ok(captioner_read_config(directory, &read, &error));
    assert_true(read.use_stream[STREAM_TEXT]);
    assert_int_equal(read.text.hidden, 96);
    model_config_free(&read);
    free(directory);
    train_options_free(&train);
}

static void test_validation(void **state)
{
    struct train_options train = {0};
    struct watch watch = {0};

    (void)state;
    tiny_options(&train, test_directory("train-validation"));
    copy(&train.validation, manifest);
    train.steps = 2;
    assert_ok(run(&train, &watch));
    assert_non_null(strstr(watch.note, "validation loss "));
    assert_true(isfinite(atof(strstr(watch.note, "loss ") + 5)));
    train_options_free(&train);
}

static void test_newest_checkpoints_stay(void **state)
{
    struct train_options train = {0};
    struct watch watch = {0};
    char *newest, *old;

    (void)state;
    tiny_options(&train, test_directory("train-keep-two"));
    train.checkpoint_every = 1;
    train.keep = 2;
    train.steps = 4;
    assert_ok(run(&train, &watch));
    newest = checkpoint_newest(train.out);
    assert_true(str_ends_with(newest, "/step-00000004"));
    old = str_format("%s/checkpoints/step-00000003", train.out);
    assert_true(file_exists(old));
    free(old);
    old = str_format("%s/checkpoints/step-00000002", train.out);
    assert_false(file_exists(old));
    free(old);
    free(newest);
    train_options_free(&train);
}

static void test_bad_manifests(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "no clips"},
        {"[]\n", "line 1: expected a JSON object"},
        {"{\"id\": \"a\", \"video\": \"x.mp4\"}\nnot json\n", "line 2"},
        {"{\"video\": \"x.mp4\"}\n", "\"id\""},
        {"{\"id\": \"a\"}\n", "\"video\""},
        {"{\"id\": \"a\", \"video\": \"x\", \"start\": 3, \"end\": 2}\n",
         "the end after the start"},
        {"{\"id\": \"a\", \"video\": \"x\", \"start\": \"3\"}\n", "seconds"},
        {"{\"id\": \"a\", \"video\": \"x\", \"captions\": [1]}\n", "captions"},
        {"{\"id\": \"a\", \"video\": \"x\"}\n{\"id\": \"a\", \"video\": \"y\"}\n", "there twice"},
    };
    char path[1100];
    struct dataset *data;

    (void)state;
    snprintf(path, sizeof path, "%s/m.jsonl", test_directory("manifests"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_ok(file_write_atomic(path, bad[i].text, strlen(bad[i].text), &error));
        assert_int_equal(dataset_open(path, &data, &error), EARSHOT_ERROR_FORMAT);
        assert_non_null(strstr(error.message, bad[i].message));
        assert_null(data);
    }
}

static void test_schedule(void **state)
{
    struct schedule s = {SCHEDULE_COSINE, 2.0, 10, 110, 0.1};

    (void)state;
    assert_float_equal(schedule_rate(&s, 1), 0.2, 1e-12);
    assert_float_equal(schedule_rate(&s, 10), 2.0, 1e-12);
    assert_float_equal(schedule_rate(&s, 60), 2.0 * (0.1 + 0.9 * 0.5), 1e-12);
    assert_float_equal(schedule_rate(&s, 110), 0.2, 1e-12);
    s.kind = SCHEDULE_LINEAR;
    assert_float_equal(schedule_rate(&s, 35), 2.0 * (0.1 + 0.9 * 0.75), 1e-12);
    s.kind = SCHEDULE_CONSTANT;
    assert_float_equal(schedule_rate(&s, 110), 2.0, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_with_other_texts),
        cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_unreadable_clips),
        cmocka_unit_test(test_stream_dropout),
        cmocka_unit_test(test_transcripts),
        cmocka_unit_test(test_transcripts_are_no_answer),
        cmocka_unit_test(test_three_streams),
        cmocka_unit_test(test_validation),
        cmocka_unit_test(test_newest_checkpoints_stay),
        cmocka_unit_test(test_bad_manifests),
        cmocka_unit_test(test_schedule),
    };

    return cmocka_run_group_tests_name("train", tests, make_corpus, NULL);
}
