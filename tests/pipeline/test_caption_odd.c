/*
 * test_caption_odd.c: captioning of every broken and odd file of the corpus: a caption or an error
 * that names the file, whatever the streams and windows; and one list of them all, which none of
 * them stops.
 */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/odd_files.h"
#include "support/toy_model.h"

static struct odd_files files;
static struct earshot_model *model;

static int set_up(void **state)
{
    struct earshot_error error;
    char path[1024];

    (void)state;
    files = odd_files_make(test_directory("caption-odd"));
    snprintf(path, sizeof path, "%s", test_directory("caption-odd-model"));
    toy_model_save(path, STREAM_BIT(STREAM_VIDEO) | STREAM_BIT(STREAM_AUDIO), 3);
    assert_ok(earshot_model_open(path, &model, &error));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    earshot_model_close(model);
    odd_files_free(&files);
    return 0;
}

struct outcomes {
    int captioned, failed;
};

static void check_result(const char *path, const struct earshot_result *result)
{
    if (result->caption_count < 1)
        fail_msg("%s: a result without a caption", path);
    for (int i = 0; i < result->caption_count; i++) {
        const struct earshot_caption *caption = result->caption[i];

        if (!caption->streams || caption->token_count < 1 || !(caption->log_probability < 0) ||
            !(caption->end_s > caption->start_s))
            fail_msg("%s: caption %d makes no sense", path, i);
    }
}

static bool take(void *context, int64_t index, struct earshot_result *result,
                 const struct earshot_error *error)
{
    struct outcomes *outcomes = context;
    const struct odd_file *file = &files.file[index];

    if (result) {
        check_result(file->path, result);
        outcomes->captioned++;
    } else {
        if (!strstr(error->message, file->path))
            fail_msg("%s: the message does not name it: %s", file->path, error->message);
        outcomes->failed++;
    }
    earshot_result_free(result);
    return true;
}

/* All files in one call. */
static struct outcomes caption_all(const struct earshot_session_options *options)
{
    struct earshot_source *source = calloc((size_t)files.count, sizeof *source);
    struct outcomes outcomes = {0};
    struct earshot_session *session;
    struct earshot_error error;

    assert_non_null(source);
    for (int i = 0; i < files.count; i++)
        source[i].path = files.file[i].path;
    assert_ok(earshot_session_open(model, options, &session, &error));
    assert_ok(earshot_caption_sources(session, source, files.count, take, &outcomes, &error));
    assert_int_equal(outcomes.captioned + outcomes.failed, files.count);
    earshot_session_close(session);
    free(source);
    return outcomes;
}

static struct earshot_session_options defaults(void)
{
    struct earshot_session_options options;

    earshot_session_options_init(&options, sizeof options);
    options.threads = 1;
    options.method = EARSHOT_GREEDY;
    options.max_tokens = 3;
    return options;
}

static void test_whole_files(void **state)
{
    struct earshot_session_options options = defaults();
    struct outcomes outcomes = caption_all(&options);
    int must = 0;

    (void)state;
    /* What opens is captioned. */
    for (int i = 0; i < files.count; i++)
        must += files.file[i].outcome == ODD_OPENS;
    assert_true(files.count >= 40);
    assert_true(outcomes.captioned >= must);
    print_message("%d odd files: %d captioned, %d refused\n", files.count, outcomes.captioned,
                  outcomes.failed);
}

static void test_one_stream(void **state)
{
    struct earshot_session_options options = defaults();

    (void)state;
    options.streams = EARSHOT_AUDIO;
    caption_all(&options);
    options.streams = EARSHOT_VIDEO;
    caption_all(&options);
}

/* A file may claim to last for hours, and then has that many windows: the first seconds will do. */
static bool until_10_s(void *context, const struct earshot_progress *progress)
{
    (void)context;
    return progress->done_s < 10;
}

static void test_windows(void **state)
{
    struct earshot_session_options options = defaults();
    struct earshot_session *session;
    struct earshot_error error;

    (void)state;
    options.window_s = 0.7;
    options.batch = 3;
    options.max_tokens = 1;
    options.progress = until_10_s;
    assert_ok(earshot_session_open(model, &options, &session, &error));
    for (int i = 0; i < files.count; i++) {
        struct earshot_result *result;
        enum earshot_status status =
            earshot_caption_file(session, files.file[i].path, &result, &error);

        if (status == EARSHOT_OK)
            check_result(files.file[i].path, result);
        else if (status != EARSHOT_ERROR_CANCELLED && !strstr(error.message, files.file[i].path))
            fail_msg("%s: the message does not name it: %s", files.file[i].path, error.message);
        earshot_result_free(result);
    }
    earshot_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_files),
        cmocka_unit_test(test_one_stream),
        cmocka_unit_test(test_windows),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
