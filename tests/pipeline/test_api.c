/* test_api.c: captions through earshot.h, from model directory and media file to tokens. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "support/toy_model.h"
#include "toyworld/toyworld.h"

#define CLIP_S 2
#define FRAMES (CLIP_S * TOY_CLIP_RATE_HZ)
#define SAMPLES (CLIP_S * TOYWORLD_RATE_HZ)
#define FRAME_BYTES ((size_t)TOY_CLIP_SIZE * TOY_CLIP_SIZE * 3)

/* Made once for all tests. */
static struct world {
    char model_path[1024];
    char both[1024], picture[1024], sound[1024], text[1024], empty[1024], missing[1024];
    struct earshot_model *model;
    uint8_t *rgb;
    float *samples;
} world;

static int set_up(void **state)
{
    struct earshot_error error;
    char directory[900];

    (void)state;
    snprintf(directory, sizeof directory, "%s", test_directory("api"));
    snprintf(world.model_path, sizeof world.model_path, "%s/model", directory);
    snprintf(world.both, sizeof world.both, "%s/both.mkv", directory);
    snprintf(world.picture, sizeof world.picture, "%s/picture.mkv", directory);
    snprintf(world.sound, sizeof world.sound, "%s/sound.mka", directory);
    snprintf(world.text, sizeof world.text, "%s/text.mp4", directory);
    snprintf(world.empty, sizeof world.empty, "%s/empty.mp4", directory);
    snprintf(world.missing, sizeof world.missing, "%s/missing.mp4", directory);
    toy_model_save(world.model_path, STREAM_BIT(STREAM_VIDEO) | STREAM_BIT(STREAM_AUDIO), 7);
    toy_clip_write(world.both, CLIP_S, true, true);
    toy_clip_write(world.picture, CLIP_S, true, false);
    toy_clip_write(world.sound, CLIP_S, false, true);
    assert_ok(file_write_atomic(world.text, "no media\n", 9, &error));
    assert_ok(file_write_atomic(world.empty, "", 0, &error));
    assert_ok(earshot_model_open(world.model_path, &world.model, &error));
    world.rgb = malloc(FRAMES * FRAME_BYTES);
    world.samples = malloc(SAMPLES * sizeof *world.samples);
    assert_true(world.rgb && world.samples);
    for (int i = 0; i < FRAMES; i++)
        toy_clip_frame(i, world.rgb + (size_t)i * FRAME_BYTES);
    toy_clip_samples(world.samples, SAMPLES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    earshot_model_close(world.model);
    free(world.rgb);
    free(world.samples);
    return 0;
}

static struct earshot_session_options defaults(void)
{
    struct earshot_session_options options;

    earshot_session_options_init(&options, sizeof options);
    options.threads = 1;
    return options;
}

static struct earshot_session *open_session(const struct earshot_session_options *options)
{
    struct earshot_session *session;
    struct earshot_error error;

    assert_ok(earshot_session_open(world.model, options, &session, &error));
    return session;
}

/* One file with these options. */
static struct earshot_result *caption_file(const struct earshot_session_options *options,
                                           const char *path)
{
    struct earshot_session *session = open_session(options);
    struct earshot_result *result;
    struct earshot_error error;

    assert_ok(earshot_caption_file(session, path, &result, &error));
    earshot_session_close(session);
    return result;
}

static struct earshot_result *caption_clip(const struct earshot_session_options *options,
                                           const struct earshot_clip *clip)
{
    struct earshot_session *session = open_session(options);
    struct earshot_result *result;
    struct earshot_error error;

    assert_ok(earshot_caption_clip(session, clip, &result, &error));
    earshot_session_close(session);
    return result;
}

static void assert_same_caption(const struct earshot_caption *a, const struct earshot_caption *b)
{
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->token_count, b->token_count);
    for (int i = 0; i < a->token_count; i++) {
        assert_int_equal(a->token[i].id, b->token[i].id);
        assert_string_equal(a->token[i].text, b->token[i].text);
        /* The same product in a batch of another size may round differently. */
        assert_true(fabs(a->token[i].log_probability - b->token[i].log_probability) < 1e-4);
    }
    assert_int_equal(a->streams, b->streams);
}

static void assert_same_captions(const struct earshot_result *a, const struct earshot_result *b)
{
    assert_int_equal(a->caption_count, b->caption_count);
    for (int i = 0; i < a->caption_count; i++)
        assert_same_caption(a->caption[i], b->caption[i]);
}

static const unsigned both_streams = EARSHOT_VIDEO | EARSHOT_AUDIO;

/* ---- what a result holds ----------------------------------------------------------------------
 */

static void test_model_info(void **state)
{
    struct earshot_model_info info = {0};

    (void)state;
    earshot_model_get_info(world.model, &info, sizeof info);
    assert_string_equal(info.name, "toy");
    assert_int_equal(info.streams, both_streams);
    assert_int_equal(info.frames, 8);
    assert_int_equal(info.max_tokens, 12);
    assert_true(info.window_s == 2.5 && info.sound_s == 2.5);
    assert_true(info.parameters > 100000 && info.vocabulary > 50);
    /* A program with a shorter struct gets what fits. */
    info.parameters = -1;
    earshot_model_get_info(world.model, &info, offsetof(struct earshot_model_info, parameters));
    assert_true(info.parameters == -1);
}

static void test_file(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_result *result = caption_file(&options, world.both);
    const struct earshot_caption *caption = result->caption[0];
    double sum = 0;

    (void)state;
    assert_int_equal(result->caption_count, 1);
    assert_int_equal(result->streams_present, both_streams);
    assert_int_equal(result->streams_used, both_streams);
    assert_int_equal(caption->streams, both_streams);
    assert_true(fabs(result->duration_s - CLIP_S) < 0.01);
    assert_true(caption->start_s == 0 && fabs(caption->end_s - CLIP_S) < 0.01);
    assert_int_equal(result->failed_windows, 0);
    assert_string_equal(result->problem, "");
    assert_true(result->times.read_s > 0 && result->times.encode_s > 0 &&
                result->times.decode_s > 0);
    assert_true(caption->token_count >= 1 && caption->token_count <= 12);
    for (int i = 0; i < caption->token_count; i++) {
        const struct earshot_token *token = &caption->token[i];
        bool last = i == caption->token_count - 1;

        assert_true(token->log_probability < 0);
        sum += token->log_probability;
        /* Words only, and the end. */
        if (last && caption->complete)
            assert_string_equal(token->text, "[SEP]");
        else
            assert_true(token->text[0] != '[');
    }
    assert_true(fabs(sum - caption->log_probability) < 1e-9);
    assert_true(fabs(sum / caption->token_count - caption->score) < 1e-9);
    assert_null(strstr(caption->text, "[SEP]"));
    earshot_result_free(result);
}

static void test_best_list(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_result *one = caption_file(&options, world.both), *result;
    const struct earshot_caption *caption;
    double last;

    (void)state;
    options.best = 3;
    result = caption_file(&options, world.both);
    caption = result->caption[0];
    last = caption->score;
    assert_same_caption(caption, one->caption[0]);
    assert_int_equal(caption->other_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(caption->other[i]->score <= last);
        assert_int_equal(caption->other[i]->other_count, 0);
        assert_string_not_equal(caption->other[i]->text, caption->text);
        last = caption->other[i]->score;
    }
    earshot_result_free(one);
    earshot_result_free(result);
}

/* ---- files and memory -------------------------------------------------------------------------
 */

static void test_memory_is_file(void **state)
{
    const struct earshot_clip clips[] = {
        {world.rgb, FRAMES, TOY_CLIP_SIZE, TOY_CLIP_SIZE, world.samples, SAMPLES, 0, NULL},
        {.rgb = world.rgb, .frame_count = FRAMES, .width = TOY_CLIP_SIZE, .height = TOY_CLIP_SIZE},
        {.samples = world.samples, .sample_count = SAMPLES},
    };
    const char *const files[] = {world.both, world.picture, world.sound};
    const unsigned streams[] = {both_streams, EARSHOT_VIDEO, EARSHOT_AUDIO};
    struct earshot_session_options options = defaults();
    struct earshot_result *from_file[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct earshot_result *from_memory = caption_clip(&options, &clips[i]);

        from_file[i] = caption_file(&options, files[i]);
        assert_same_captions(from_file[i], from_memory);
        assert_int_equal(from_memory->streams_present, streams[i]);
        assert_int_equal(from_file[i]->streams_present, streams[i]);
        assert_int_equal(from_file[i]->streams_used, streams[i]);
        earshot_result_free(from_memory);
    }
    /* The network does look and listen. */
    assert_true(fabs(from_file[0]->caption[0]->log_probability -
                     from_file[1]->caption[0]->log_probability) > 1e-3);
    assert_true(fabs(from_file[0]->caption[0]->log_probability -
                     from_file[2]->caption[0]->log_probability) > 1e-3);
    for (int i = 0; i < 3; i++)
        earshot_result_free(from_file[i]);
}

/* A stream that is not selected counts as absent: as if the file did not have it. */
static void test_stream_selection(void **state)
{
    const char *const files[] = {world.picture, world.sound};
    const unsigned streams[] = {EARSHOT_VIDEO, EARSHOT_AUDIO};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct earshot_session_options options = defaults();
        struct earshot_result *only = caption_file(&options, files[i]), *selected;
        struct earshot_session *session;
        struct earshot_result *none;
        struct earshot_error error;

        options.streams = streams[i];
        selected = caption_file(&options, world.both);
        assert_same_captions(only, selected);
        assert_int_equal(selected->streams_present, both_streams);
        assert_int_equal(selected->streams_used, streams[i]);
        session = open_session(&options);
        assert_int_equal(earshot_caption_file(session, files[1 - i], &none, &error),
                         EARSHOT_ERROR_NO_STREAM);
        assert_null(none);
        assert_non_null(strstr(error.message, files[1 - i]));
        earshot_session_close(session);
        earshot_result_free(only);
        earshot_result_free(selected);
    }
}

/* ---- windows ----------------------------------------------------------------------------------
 */

static void assert_windows(double window_s, double stride_s, const double *start_s,
                           const double *end_s, int count)
{
    struct earshot_session_options options = defaults();
    struct earshot_result *result;

    options.window_s = window_s;
    options.stride_s = stride_s;
    options.method = EARSHOT_GREEDY;
    options.max_tokens = 2;
    result = caption_file(&options, world.both);
    assert_int_equal(result->caption_count, count);
    for (int i = 0; i < count; i++) {
        assert_true(fabs(result->caption[i]->start_s - start_s[i]) < 1e-9);
        assert_true(fabs(result->caption[i]->end_s - end_s[i]) < 0.01);
    }
    earshot_result_free(result);
}

static void test_window_times(void **state)
{
    (void)state;
    assert_windows(0.5, 0, (double[]){0, 0.5, 1, 1.5}, (double[]){0.5, 1, 1.5, 2}, 4);
    assert_windows(1, 0.5, (double[]){0, 0.5, 1}, (double[]){1, 1.5, 2}, 3);
    assert_windows(0.5, 1.2, (double[]){0, 1.2}, (double[]){0.5, 1.7}, 2);
    assert_windows(1.5, 0, (double[]){0, 1.5}, (double[]){1.5, 2}, 2);
    assert_windows(1.9, 0, (double[]){0}, (double[]){1.9}, 1); /* the rest is too short */
    assert_windows(100, 0, (double[]){0}, (double[]){2}, 1);
}

struct collected {
    struct earshot_result *result[16];
    enum earshot_status status[16];
    int count, stop_after;
};

static bool collect(void *context, int64_t index, struct earshot_result *result,
                    const struct earshot_error *error)
{
    struct collected *c = context;

    assert_int_equal(index, c->count);
    assert_true((result != NULL) != (error != NULL));
    c->result[c->count] = result;
    c->status[c->count++] = error ? error->status : EARSHOT_OK;
    return c->count != c->stop_after;
}

static void collected_free(struct collected *c)
{
    for (int i = 0; i < c->count; i++)
        earshot_result_free(c->result[i]);
}

/* Whatever shares a batch with a window, its caption stays; and a window is the same clip as the
 * stretch of the file asked for by its times. */
static void test_batches_change_nothing(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_source source[8];
    struct collected collected = {0};
    struct earshot_result *windows[3];
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    for (int i = 0; i < 8; i++)
        source[i] = (struct earshot_source){world.both, i * 0.25, i * 0.25 + 0.25, NULL};
    session = open_session(&options);
    assert_ok(earshot_caption_sources(session, source, 8, collect, &collected, &error));
    earshot_session_close(session);
    assert_int_equal(collected.count, 8);
    options.window_s = 0.25;
    for (int i = 0; i < 3; i++) {
        options.batch = (int[]){1, 3, 8}[i];
        windows[i] = caption_file(&options, world.both);
        assert_int_equal(windows[i]->caption_count, 8);
        for (int k = 0; k < 8; k++)
            assert_same_caption(windows[i]->caption[k], collected.result[k]->caption[0]);
    }
    assert_true(fabs(windows[0]->caption[0]->log_probability -
                     windows[0]->caption[7]->log_probability) > 1e-4);
    for (int i = 0; i < 3; i++)
        earshot_result_free(windows[i]);
    collected_free(&collected);
}

/* ---- many sources -----------------------------------------------------------------------------
 */

static void test_sources_go_on(void **state)
{
    const struct earshot_source source[] = {
        {world.missing, 0, 0, NULL}, {world.both, 0, 0, NULL},  {world.text, 0, 0, NULL},
        {world.sound, 0.5, 1, NULL}, {world.empty, 0, 0, NULL}, {world.both, 5, 0, NULL},
        {world.picture, 0, 0, NULL},
    };
    const enum earshot_status expected[] = {
        EARSHOT_ERROR_IO,       EARSHOT_OK, EARSHOT_ERROR_FORMAT, EARSHOT_OK, EARSHOT_ERROR_FORMAT,
        EARSHOT_ERROR_ARGUMENT, EARSHOT_OK};
    struct earshot_session_options options = defaults();
    struct collected collected = {0};
    struct earshot_result *alone;
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    options.batch = 2;
    session = open_session(&options);
    assert_ok(earshot_caption_sources(session, source, 7, collect, &collected, &error));
    assert_int_equal(collected.count, 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(collected.status[i], expected[i]);
    alone = caption_file(&options, world.picture);
    assert_same_captions(collected.result[6], alone);
    assert_true(collected.result[3]->caption[0]->start_s == 0.5 &&
                collected.result[3]->caption[0]->end_s == 1);
    earshot_result_free(alone);
    collected_free(&collected);

    /* Nothing but failures, more of them than a pack holds, then none at all. */
    {
        struct earshot_source broken[12];

        for (int i = 0; i < 12; i++)
            broken[i] = (struct earshot_source){.path = world.missing};
        collected = (struct collected){0};
        assert_ok(earshot_caption_sources(session, broken, 12, collect, &collected, &error));
        assert_int_equal(collected.count, 12);
        assert_ok(earshot_caption_sources(session, broken, 0, collect, &collected, &error));
        assert_int_equal(collected.count, 12);
    }
    earshot_session_close(session);
}

/* Writes the file into a pipe once there is a first caption. */
struct late {
    const char *pipe;
    int count;
};

static bool write_late(void *context, int64_t index, struct earshot_result *result,
                       const struct earshot_error *failure)
{
    struct late *late = context;
    struct file_map map;
    struct earshot_error error;
    FILE *out;

    assert_null(failure);
    late->count++;
    earshot_result_free(result);
    if (index > 0)
        return true;
    assert_ok(file_map_open(world.both, &map, &error));
    out = fopen(late->pipe, "wb"); /* waits for the reader */
    assert_non_null(out);
    fwrite(map.data, 1, map.size_bytes, out);
    fclose(out);
    file_map_close(&map);
    return true;
}

/* A batch that is left to the session does not keep what could be captioned waiting: the second
 * source has nothing to read before the first one's caption is there. */
static void test_first_caption_does_not_wait(void **state)
{
    char path[1100];
    struct late late = {.pipe = path};
    const struct earshot_source source[] = {
        {world.both, 0, 0, NULL}, {path, 0, 0, NULL}, {world.sound, 0, 0, NULL}};
    struct earshot_session_options options = defaults();
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    snprintf(path, sizeof path, "%s.pipe", world.both);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    session = open_session(&options);
    alarm(300); /* it would wait for ever */
    assert_ok(earshot_caption_sources(session, source, 3, write_late, &late, &error));
    alarm(0);
    assert_int_equal(late.count, 3);
    earshot_session_close(session);
    unlink(path);
}

static void test_stopping(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_source source[8];
    struct collected collected = {.stop_after = 3};
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    for (int i = 0; i < 8; i++)
        source[i] = (struct earshot_source){.path = world.both};
    options.batch = 1;
    session = open_session(&options);
    assert_int_equal(earshot_caption_sources(session, source, 8, collect, &collected, &error),
                     EARSHOT_ERROR_CANCELLED);
    assert_int_equal(collected.count, 3);
    collected_free(&collected);
    earshot_session_close(session);
}

/* ---- progress ---------------------------------------------------------------------------------
 */

struct watch {
    int calls, stop_at;
    struct earshot_progress last;
};

static bool watch(void *context, const struct earshot_progress *progress)
{
    struct watch *w = context;

    w->last = *progress;
    return ++w->calls != w->stop_at;
}

static void test_progress_and_cancel(void **state)
{
    struct earshot_session_options options = defaults();
    struct watch w = {0};
    struct earshot_session *session;
    struct earshot_result *result;
    struct earshot_error error;
    int calls;

    (void)state;
    options.progress = watch;
    options.progress_context = &w;
    options.window_s = 0.5;
    session = open_session(&options);
    assert_ok(earshot_caption_file(session, world.both, &result, &error));
    assert_string_equal(w.last.path, world.both);
    assert_int_equal(w.last.files, 1);
    assert_int_equal(w.last.captions, 4);
    assert_true(fabs(w.last.done_s - CLIP_S) < 0.01 && fabs(w.last.total_s - CLIP_S) < 0.01);
    earshot_result_free(result);
    calls = w.calls;
    assert_true(calls >= 3);
    /* Stopped at the first call and in the middle; the session can go on afterwards. */
    for (int stop = 1; stop < calls; stop += (calls + 2) / 3) {
        w = (struct watch){.stop_at = stop};
        assert_int_equal(earshot_caption_file(session, world.both, &result, &error),
                         EARSHOT_ERROR_CANCELLED);
        assert_null(result);
        assert_int_equal(error.status, EARSHOT_ERROR_CANCELLED);
    }
    w = (struct watch){0};
    assert_ok(earshot_caption_file(session, world.both, &result, &error));
    earshot_result_free(result);
    earshot_session_close(session);
}

/* ---- sampling ---------------------------------------------------------------------------------
 */

static void test_seeds(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_result *first, *again, *other, *windows;

    (void)state;
    options.method = EARSHOT_SAMPLE;
    options.temperature = 2;
    options.seed = 5;
    first = caption_file(&options, world.both);
    again = caption_file(&options, world.both);
    assert_same_captions(first, again);
    options.seed = 6;
    other = caption_file(&options, world.both);
    assert_string_not_equal(first->caption[0]->text, other->caption[0]->text);
    /* Draws belong to a clip's place in its file. */
    options.seed = 5;
    options.window_s = 100;
    windows = caption_file(&options, world.both);
    assert_same_captions(first, windows);
    earshot_result_free(first);
    earshot_result_free(again);
    earshot_result_free(other);
    earshot_result_free(windows);
}

/* ---- threads ----------------------------------------------------------------------------------
 */

struct job {
    struct earshot_result *result;
    enum earshot_status status;
    struct earshot_error error;
};

static void *caption_in_thread(void *context)
{
    struct job *job = context;
    struct earshot_session_options options = defaults();
    struct earshot_session *session;

    options.window_s = 0.5;
    job->status = earshot_session_open(world.model, &options, &session, &job->error);
    if (job->status == EARSHOT_OK) {
        job->status = earshot_caption_file(session, world.both, &job->result, &job->error);
        earshot_session_close(session);
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    struct earshot_session_options options = defaults();
    struct job jobs[2] = {0};
    struct earshot_result *alone;
    pthread_t thread[2];

    (void)state;
    options.window_s = 0.5;
    alone = caption_file(&options, world.both);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, caption_in_thread, &jobs[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jobs[i].status, EARSHOT_OK);
        assert_same_captions(alone, jobs[i].result);
        earshot_result_free(jobs[i].result);
    }
    earshot_result_free(alone);
}

/* ---- wrong use --------------------------------------------------------------------------------
 */

static void refuse_options(const struct earshot_session_options *options, const char *word)
{
    struct earshot_session *session;
    struct earshot_error error;

    assert_int_equal(earshot_session_open(world.model, options, &session, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_null(session);
    assert_non_null(strstr(error.message, word));
}

#define REFUSE(field, value, word)                                                                 \
    do {                                                                                           \
        struct earshot_session_options wrong = defaults();                                         \
        wrong.field = (value);                                                                     \
        refuse_options(&wrong, word);                                                              \
    } while (0)

static void test_options(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    REFUSE(struct_size, 0, "earshot_session_options_init");
    REFUSE(beam_width, 0, "beam");
    REFUSE(best, 5, "best");
    REFUSE(streams, 0, "stream");
    REFUSE(window_s, -1, "window");
    REFUSE(window_s, NAN, "window");
    REFUSE(stride_s, 1, "window");
    REFUSE(batch, -1, "batch");
    REFUSE(threads, -1, "threads");
    REFUSE(max_tokens, 13, "12");
    REFUSE(length_penalty, INFINITY, "length_penalty");
    REFUSE(method, (enum earshot_method)9, "method");
    assert_ok(earshot_session_open(world.model, NULL, &session, &error));
    earshot_session_close(session);
    /* An older program's options end earlier: what lies behind them is not read. */
    options.struct_size = offsetof(struct earshot_session_options, streams);
    options.streams = 0;
    options.threads = -5;
    assert_ok(earshot_session_open(world.model, &options, &session, &error));
    earshot_session_close(session);
    earshot_session_close(NULL);
    earshot_model_close(NULL);
    earshot_result_free(NULL);
}

static void test_one_stream_model(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_session *session;
    struct earshot_model *model;
    struct earshot_result *result;
    struct earshot_error error;
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s", test_directory("api-sound"));
    toy_model_save(path, STREAM_BIT(STREAM_AUDIO), 7);
    assert_ok(earshot_model_open(path, &model, &error));
    options.streams = EARSHOT_VIDEO;
    assert_int_equal(earshot_session_open(model, &options, &session, &error),
                     EARSHOT_ERROR_ARGUMENT);
    options.streams = both_streams;
    assert_ok(earshot_session_open(model, &options, &session, &error));
    assert_ok(earshot_caption_file(session, world.both, &result, &error));
    assert_int_equal(result->streams_used, EARSHOT_AUDIO);
    earshot_result_free(result);
    assert_int_equal(earshot_caption_file(session, world.picture, &result, &error),
                     EARSHOT_ERROR_NO_STREAM);
    earshot_session_close(session);
    earshot_model_close(model);
}

/* ---- transcripts and sets of streams ----------------------------------------------------------
 */

/* A model of all three streams. */
static struct earshot_model *open_reader(const char *name)
{
    struct earshot_model *model;
    struct earshot_error error;
    char path[1024];

    snprintf(path, sizeof path, "%s", test_directory(name));
    toy_model_save(path, EARSHOT_VIDEO | EARSHOT_AUDIO | EARSHOT_TEXT, 7);
    assert_ok(earshot_model_open(path, &model, &error));
    return model;
}

static struct earshot_result *caption_with(const struct earshot_model *model,
                                           const struct earshot_session_options *options,
                                           const struct earshot_source *source)
{
    struct earshot_session *session;
    struct earshot_error error;
    struct collected collected = {0};

    assert_ok(earshot_session_open(model, options, &session, &error));
    assert_ok(earshot_caption_sources(session, source, 1, collect, &collected, &error));
    earshot_session_close(session);
    assert_non_null(collected.result[0]);
    return collected.result[0];
}

/* A window reads what is said in it, and only that; without a transcript the stream is absent. */
static void test_transcript(void **state)
{
    static const struct earshot_cue cues[] = {{0, 1, "a red ball"}, {1, 2, "a dog barks"}};
    static const struct earshot_cue first = {0, 0, "a red ball"}, second = {0, 0, "a dog barks"};
    const struct earshot_transcript both = {cues, 2}, one = {&first, 1}, two = {&second, 1};
    struct earshot_session_options options = defaults();
    struct earshot_model *model = open_reader("api-reader");
    struct earshot_source source = {.path = world.both, .transcript = &both};
    struct earshot_result *result, *part;
    struct earshot_clip clip = {.rgb = world.rgb,
                                .frame_count = FRAMES,
                                .width = TOY_CLIP_SIZE,
                                .height = TOY_CLIP_SIZE,
                                .transcript = "a red ball a dog barks"};
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    options.window_s = 1;
    options.streams = EARSHOT_TEXT;
    result = caption_with(model, &options, &source);
    assert_int_equal(result->caption_count, 2);
    assert_int_equal(result->streams_used, EARSHOT_TEXT);
    assert_int_equal(result->streams_present, EARSHOT_VIDEO | EARSHOT_AUDIO | EARSHOT_TEXT);
    for (int i = 0; i < 2; i++) { /* each window as if it had been alone */
        const struct earshot_source alone = {world.both, i, i + 1, i ? &two : &one};

        part = caption_with(model, &options, &alone);
        assert_same_caption(result->caption[i], part->caption[0]);
        earshot_result_free(part);
    }
    assert_true(fabs(result->caption[0]->log_probability - result->caption[1]->log_probability) >
                1e-4);
    earshot_result_free(result);

    /* In memory as in a file; the model reads it without being asked. */
    options = defaults();
    options.streams &= ~EARSHOT_AUDIO;
    assert_ok(earshot_session_open(model, &options, &session, &error));
    assert_ok(earshot_caption_clip(session, &clip, &result, &error));
    assert_int_equal(result->streams_used, EARSHOT_VIDEO | EARSHOT_TEXT);
    part = caption_with(model, &options, &source);
    assert_same_caption(result->caption[0], part->caption[0]);
    earshot_result_free(part);
    earshot_result_free(result);
    clip.transcript = " ";
    assert_ok(earshot_caption_clip(session, &clip, &result, &error));
    assert_int_equal(result->streams_used, EARSHOT_VIDEO);
    earshot_result_free(result);
    clip = (struct earshot_clip){.duration_s = 1, .transcript = " "};
    assert_int_equal(earshot_caption_clip(session, &clip, &result, &error),
                     EARSHOT_ERROR_NO_STREAM);
    earshot_session_close(session);
    earshot_model_close(model);
}

/* Captions with several sets of streams are those of several sessions. */
static void test_stream_sets(void **state)
{
    static const unsigned sets[] = {EARSHOT_VIDEO, EARSHOT_VIDEO | EARSHOT_TEXT,
                                    EARSHOT_VIDEO | EARSHOT_AUDIO, EARSHOT_AUDIO};
    static const struct earshot_cue cue = {0, 1, "a red ball"}; /* nothing in the second window */
    const struct earshot_transcript said = {&cue, 1};
    struct earshot_model *model = open_reader("api-sets");
    struct earshot_session_options options = defaults();
    const char *const files[] = {world.both, world.picture, world.sound};
    const int expected[] = {7, 3, 2};

    (void)state;
    options.window_s = 1;
    for (int f = 0; f < 3; f++) {
        struct earshot_source source = {.path = files[f], .transcript = &said};
        struct earshot_result *result, *one;
        int next = 0;

        options.stream_sets = sets;
        options.stream_set_count = 4;
        options.streams = 0; /* is not looked at */
        result = caption_with(model, &options, &source);
        assert_int_equal(result->caption_count, expected[f]);
        for (int window = 0; window < 2; window++)
            for (int k = 0; k < 4; k++) {
                struct earshot_session_options alone = options;
                const struct earshot_caption *caption = result->caption[next];

                if (next == result->caption_count || caption->set != k ||
                    caption->start_s != window)
                    continue;
                alone.stream_sets = NULL;
                alone.streams = sets[k];
                one = caption_with(model, &alone, &source);
                assert_same_caption(caption, one->caption[window]);
                assert_int_equal(caption->streams, sets[k]);
                earshot_result_free(one);
                next++;
            }
        assert_int_equal(next, result->caption_count);
        earshot_result_free(result);
    }
    earshot_model_close(model);
}

static void test_bad_stream_sets(void **state)
{
    static const unsigned none[] = {0}, text[] = {EARSHOT_VIDEO, EARSHOT_TEXT},
                          sound[] = {EARSHOT_AUDIO};
    const struct earshot_cue cue = {0, 1, NULL};
    const struct earshot_transcript said = {&cue, 1};
    const struct earshot_source wordless = {.path = world.both, .transcript = &said};
    struct collected collected = {0};
    struct earshot_session_options options = defaults();
    struct earshot_session *session;
    struct earshot_result *result;
    struct earshot_error error;

    (void)state;
    options.stream_sets = none;
    assert_int_equal(earshot_session_open(world.model, &options, &session, &error),
                     EARSHOT_ERROR_ARGUMENT);
    options.stream_set_count = 1;
    assert_int_equal(earshot_session_open(world.model, &options, &session, &error),
                     EARSHOT_ERROR_ARGUMENT);
    options.stream_sets = text;
    options.stream_set_count = 2;
    assert_int_equal(earshot_session_open(world.model, &options, &session, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "transcript"));
    options.stream_sets = sound;
    options.stream_set_count = 1;
    assert_ok(earshot_session_open(world.model, &options, &session, &error));
    assert_int_equal(earshot_caption_file(session, world.picture, &result, &error),
                     EARSHOT_ERROR_NO_STREAM);
    assert_int_equal(earshot_caption_sources(session, &wordless, 1, collect, &collected, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "no text"));
    earshot_session_close(session);
}

static void test_errors(void **state)
{
    struct earshot_session *session = open_session(NULL);
    struct earshot_clip clip = {.rgb = world.rgb, .frame_count = 0, .width = 1, .height = 1};
    struct earshot_source source = {.path = world.both, .start_s = 2, .end_s = 1};
    struct earshot_model *model;
    struct earshot_result *result;
    struct earshot_error error;

    (void)state;
    assert_int_equal(earshot_model_open(world.missing, &model, &error), EARSHOT_ERROR_IO);
    assert_null(model);
    assert_non_null(strstr(error.message, "not a model directory"));
    assert_int_equal(earshot_caption_file(session, world.missing, &result, &error),
                     EARSHOT_ERROR_IO);
    assert_null(result);
    assert_non_null(strstr(error.message, "missing.mp4"));
    assert_int_equal(earshot_caption_file(session, world.text, &result, NULL),
                     EARSHOT_ERROR_FORMAT);
    assert_int_equal(earshot_caption_clip(session, &clip, &result, &error), EARSHOT_ERROR_ARGUMENT);
    assert_null(result);
    clip = (struct earshot_clip){.samples = world.samples};
    assert_int_equal(earshot_caption_clip(session, &clip, &result, &error),
                     EARSHOT_ERROR_NO_STREAM);
    assert_int_equal(earshot_caption_sources(session, &source, 1, collect, NULL, &error),
                     EARSHOT_ERROR_ARGUMENT);
    earshot_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_info),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_best_list),
        cmocka_unit_test(test_memory_is_file),
        cmocka_unit_test(test_stream_selection),
        cmocka_unit_test(test_window_times),
        cmocka_unit_test(test_batches_change_nothing),
        cmocka_unit_test(test_sources_go_on),
        cmocka_unit_test(test_first_caption_does_not_wait),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_progress_and_cancel),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_one_stream_model),
        cmocka_unit_test(test_transcript),
        cmocka_unit_test(test_stream_sets),
        cmocka_unit_test(test_bad_stream_sets),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
