/* test_captions_output.c: caption formats, escapes, times, and output that cannot be written. */
#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/captions_output.h"

struct memory {
    char *data;
    size_t size;
    FILE *stream;
};

static void memory_open(struct memory *memory)
{
    assert_non_null(memory->stream = open_memstream(&memory->data, &memory->size));
}

/* Writes `count` files in one format; returns the text, to be freed. */
static char *written(enum captions_format format, const struct captioned_file *files, int count)
{
    struct captions_writer writer;
    struct earshot_error error;
    struct memory memory;

    memory_open(&memory);
    assert_ok(captions_open(&writer, format, memory.stream, "memory", count, &error));
    for (int i = 0; i < count; i++)
        assert_ok(captions_write(&writer, &files[i], &error));
    assert_ok(captions_close(&writer, &error));
    fclose(memory.stream);
    return memory.data;
}

static void assert_written(enum captions_format format, const struct captioned_file *files,
                           int count, const char *expected)
{
    char *text = written(format, files, count);

    assert_string_equal(text, expected);
    free(text);
}

#define CAPTIONS_MAX 4

/* A file and its result, with pointers to the captions given. */
struct example {
    struct earshot_result result;
    const struct earshot_caption *caption[CAPTIONS_MAX];
};

static struct captioned_file file_of(struct example *example, const char *path,
                                     const struct earshot_caption *caption, int count)
{
    for (int i = 0; i < count; i++)
        example->caption[i] = &caption[i];
    example->result = (struct earshot_result){.caption = example->caption,
                                              .caption_count = count,
                                              .duration_s = 12.5,
                                              .streams_present = EARSHOT_VIDEO | EARSHOT_AUDIO,
                                              .streams_used = EARSHOT_VIDEO,
                                              .times = {0.25, 0.5, 0.125}};
    return (struct captioned_file){.path = path, .model = "toy", .result = &example->result};
}

static void test_text(void **state)
{
    static const struct earshot_caption one = {.end_s = 12.5, .text = "a bell\nrings"};
    static const struct earshot_caption two[] = {{.start_s = 0, .end_s = 10, .text = "a"},
                                                 {.start_s = 10, .end_s = 3725, .text = "b"}};
    struct example x, y;
    struct captioned_file files[] = {file_of(&x, "x\n.mp4", &one, 1), file_of(&y, "y", two, 2)};

    (void)state;
    assert_written(CAPTIONS_TEXT, files, 1, "a bell rings\n");
    assert_written(CAPTIONS_TEXT, files + 1, 1, "[0:00-0:10] a\n[0:10-1:02:05] b\n");
    assert_written(CAPTIONS_TEXT, files, 2,
                   "x .mp4: a bell rings\ny: [0:00-0:10] a\ny: [0:10-1:02:05] b\n");
}

static void test_cues(void **state)
{
    static const struct earshot_caption captions[] = {
        {.start_s = -0.5, .end_s = 1.2345, .text = "one --> two & <three>"},
        {.start_s = 1.2345, .end_s = 2, .text = " \r\n\n "},
        {.start_s = 3599.9996, .end_s = 360000.001, .text = "first\n\nsecond\tthird ---> x"},
        {.start_s = 5, .end_s = 5, .text = "3"},
    };
    struct example example;
    struct captioned_file file = file_of(&example, "x", captions, 4);

    (void)state;
    assert_written(CAPTIONS_VTT, &file, 1,
                   "WEBVTT\n\n"
                   "00:00:00.000 --> 00:00:01.235\none --&gt; two &amp; &lt;three&gt;\n\n"
                   "01:00:00.000 --> 100:00:00.001\nfirst second third ---&gt; x\n\n"
                   "00:00:05.000 --> 00:00:05.001\n3\n\n");
    assert_written(CAPTIONS_SRT, &file, 1,
                   "1\n00:00:00,000 --> 00:00:01,235\none -- > two & <three>\n\n"
                   "2\n01:00:00,000 --> 100:00:00,001\nfirst second third --- > x\n\n"
                   "3\n00:00:05,000 --> 00:00:05,001\n3\n\n");
}

static void test_cues_of_one_file_only(void **state)
{
    struct captions_writer writer;
    struct earshot_error error;

    (void)state;
    assert_int_equal(captions_open(&writer, CAPTIONS_VTT, stdout, "x", 2, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_int_equal(captions_open(&writer, CAPTIONS_SRT, stdout, "x", 2, &error),
                     EARSHOT_ERROR_ARGUMENT);
}

static const struct earshot_token tokens[] = {{5, "a", -0.1234567}, {3, "[SEP]", -1}};
static const struct earshot_caption other = {.start_s = 0, .end_s = 1, .text = "no \"bell\""};
static const struct earshot_caption *const others[] = {&other};
static const struct earshot_caption rich = {.start_s = 7200.1234,
                                            .end_s = 7201,
                                            .text = "caf\xc3\xa9 \xff",
                                            .log_probability = -1.25,
                                            .score = NAN,
                                            .token = tokens,
                                            .token_count = 2,
                                            .other = others,
                                            .other_count = 1};

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "(none)";
}

static double number_at(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void test_json(void **state)
{
    struct example a, b;
    struct captioned_file files[] = {file_of(&a, "a\xff.mp4", &rich, 1),
                                     file_of(&b, "b", &rich, 1)};
    char *text = written(CAPTIONS_JSON, files, 2);
    json_t *root = json_loads(text, 0, NULL), *file, *caption, *token;

    (void)state;
    assert_int_equal(json_array_size(root), 2);
    file = json_array_get(root, 0);
    assert_string_equal(text_at(file, "file"), "a\xef\xbf\xbd.mp4");
    assert_string_equal(text_at(file, "model"), "toy");
    assert_true(number_at(file, "duration") == 12.5);
    assert_true(number_at(json_object_get(file, "seconds"), "read") == 0.25);
    assert_true(number_at(json_object_get(file, "seconds"), "encode") == 0.5);
    assert_true(number_at(json_object_get(file, "seconds"), "decode") == 0.125);
    assert_null(json_object_get(file, "id"));
    assert_null(json_object_get(file, "references"));
    assert_int_equal(json_array_size(json_object_get(file, "streams_present")), 2);
    assert_int_equal(json_array_size(json_object_get(file, "streams_used")), 1);
    caption = json_array_get(json_object_get(file, "captions"), 0);
    assert_string_equal(text_at(caption, "caption"), "caf\xc3\xa9 \xef\xbf\xbd");
    assert_true(number_at(caption, "start") == 7200.123);
    assert_true(number_at(caption, "log_probability") == -1.25);
    assert_true(json_is_null(json_object_get(caption, "score")));
    token = json_array_get(json_object_get(caption, "tokens"), 0);
    assert_string_equal(text_at(token, "text"), "a");
    assert_true(number_at(token, "log_probability") == -0.123457);
    assert_string_equal(text_at(json_array_get(json_object_get(caption, "others"), 0), "caption"),
                        "no \"bell\"");
    json_decref(root);
    free(text);
    assert_written(CAPTIONS_JSON, NULL, 0, "[\n]\n");
}

static void test_json_lines_and_failures(void **state)
{
    static const char *const references[] = {"r\xff", "s"};
    static const struct captioned_file missing = {.path = "b", .id = "clip b"};
    struct example example;
    struct captioned_file file = file_of(&example, "a", &rich, 1);
    struct earshot_error failure = {EARSHOT_ERROR_FORMAT, "b: not media"}, error;
    static const enum captions_format formats[] = {CAPTIONS_JSON, CAPTIONS_JSONL, CAPTIONS_TEXT};

    (void)state;
    file.id = "clip a";
    file.reference = references;
    file.reference_count = 2;
    for (int f = 0; f < 3; f++) {
        struct captions_writer writer;
        struct memory memory;
        json_t *root = NULL, *second = NULL;
        char *newline;

        memory_open(&memory);
        assert_ok(captions_open(&writer, formats[f], memory.stream, "memory", 2, &error));
        assert_ok(captions_write(&writer, &file, &error));
        assert_ok(captions_write_failure(&writer, &missing, &failure, &error));
        assert_ok(captions_close(&writer, &error));
        fclose(memory.stream);
        if (formats[f] == CAPTIONS_JSON) {
            root = json_loads(memory.data, 0, NULL);
            second = json_incref(json_array_get(root, 1));
        } else if (formats[f] == CAPTIONS_JSONL) {
            assert_non_null(newline = strchr(memory.data, '\n'));
            *newline = '\0';
            root = json_loads(memory.data, 0, NULL);
            assert_true(number_at(root, "end") == 7201);
            assert_string_equal(text_at(root, "file"), "a");
            assert_string_equal(text_at(root, "id"), "clip a");
            assert_string_equal(
                json_string_value(json_array_get(json_object_get(root, "references"), 0)),
                "r\xef\xbf\xbd");
            assert_int_equal(json_array_size(json_object_get(root, "references")), 2);
            second = json_loads(newline + 1, 0, NULL);
        } else {
            assert_null(strstr(memory.data, "not media"));
        }
        if (formats[f] != CAPTIONS_TEXT) {
            assert_non_null(second);
            assert_string_equal(text_at(second, "error"), "b: not media");
            assert_string_equal(text_at(second, "file"), "b");
            assert_string_equal(text_at(second, "id"), "clip b");
        }
        json_decref(second);
        json_decref(root);
        free(memory.data);
    }
}

static void test_full_disk(void **state)
{
    struct example example;
    struct captioned_file file = file_of(&example, "a", &rich, 1);
    struct captions_writer writer;
    struct earshot_error error;
    FILE *stream = fopen("/dev/full", "w");

    (void)state;
    if (!stream) {
        print_message("SKIP: no /dev/full here\n");
        skip();
    }
    assert_ok(captions_open(&writer, CAPTIONS_TEXT, stream, "the disk", 1, &error));
    assert_int_equal(captions_write(&writer, &file, &error), EARSHOT_ERROR_IO);
    assert_non_null(strstr(error.message, "the disk"));
    assert_non_null(strstr(error.message, "No space left"));
    fclose(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_cues),
        cmocka_unit_test(test_cues_of_one_file_only),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_lines_and_failures),
        cmocka_unit_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
