/* test_options.c: flags, configuration keys and --help from one table. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

struct sample {
    bool verbose, cache;
    int64_t beam;
    double dropout;
    char *out;
    int kind;
    struct option_list depths;
};

static const char *const kinds[] = {"merged", "cross", "local-global", NULL};

#define FIELD(name) offsetof(struct sample, name)
/* clang-format off */
static const struct option sample_options[] = {
    {"verbose", 'v', OPTION_BOOL, FIELD(verbose), 0, 0, NULL, NULL, "say more"},
    {"cache", 'c', OPTION_BOOL, FIELD(cache), 0, 0, NULL, NULL, "keep keys"},
    {"beam_size", 'b', OPTION_INT, FIELD(beam), 1, 64, NULL, "N", "beams"},
    {"fusion.dropout", 0, OPTION_FLOAT, FIELD(dropout), 0, 1, NULL, "P", "dropped share"},
    {"out", 'o', OPTION_STRING, FIELD(out), 0, 0, NULL, "DIR", "where to"},
    {"fusion.kind", 0, OPTION_CHOICE, FIELD(kind), 0, 0, kinds, NULL, "how streams meet"},
    {"swin.depths", 0, OPTION_INT_LIST, FIELD(depths), 1, 99, NULL, "N,N,...", "blocks a stage"},
};
/* clang-format on */
static const struct option_table table = {sample_options, 7};

static const struct sample defaults = {
    .cache = true, .beam = 4, .dropout = 0.1, .kind = 2, .depths = {4, {2, 2, 6, 2}}};

static struct earshot_error error;

static void assert_same_sample(const struct sample *a, const struct sample *b)
{
    assert_true(a->verbose == b->verbose && a->cache == b->cache && a->beam == b->beam &&
                a->dropout == b->dropout && a->out == b->out && a->kind == b->kind);
    assert_memory_equal(&a->depths, &b->depths, sizeof a->depths);
}

static int parse(struct sample *sample, int argc, const char *const *arguments, char **argv)
{
    struct option_binding binding = {table, sample};
    int positional = -1;

    for (int i = 0; i < argc; i++)
        argv[i] = (char *)(uintptr_t)arguments[i];
    error_clear(&error);
    if (options_parse(&binding, 1, argc, argv, &positional, &error) != EARSHOT_OK)
        return -1;
    return positional;
}
#define PARSE(sample, ...)                                                                         \
    parse(sample, (int)(sizeof((const char *[]){"x", __VA_ARGS__}) / sizeof(char *)),              \
          (const char *[]){"x", __VA_ARGS__}, argv)

static void test_flags_in_every_spelling(void **state)
{
    struct sample s = defaults;
    char *argv[32];

    (void)state;
    assert_int_equal(PARSE(&s, "a.mp4", "--beam_size", "8", "-v", "--fusion.kind=cross", "-", "-o",
                           "dir", "--no-cache", "--swin.depths=1,2,3", "--", "--beam_size", "-v"),
                     4);
    assert_string_equal(argv[1], "a.mp4");
    assert_string_equal(argv[2], "-");
    assert_string_equal(argv[3], "--beam_size");
    assert_string_equal(argv[4], "-v");
    assert_true(s.verbose);
    assert_false(s.cache);
    assert_int_equal(s.beam, 8);
    assert_int_equal(s.kind, 1);
    assert_string_equal(s.out, "dir");
    assert_int_equal(s.depths.count, 3);
    assert_int_equal(s.depths.value[2], 3);

    assert_int_equal(
        PARSE(&s, "-cvb16", "--verbose=off", "--fusion.dropout", "2.5e-1", "-oz", "--beam-size=9"),
        0);
    assert_true(s.cache);
    assert_false(s.verbose);
    assert_int_equal(s.beam, 9);
    assert_true(s.dropout == 0.25);
    assert_string_equal(s.out, "z");
    assert_int_equal(PARSE(&s, "--out", "--beam_size"), 0); /* a value may look like a flag */
    assert_string_equal(s.out, "--beam_size");
    assert_int_equal(PARSE(&s, "--out="), 0);
    assert_string_equal(s.out, "");
    options_free(table, &s);
    assert_null(s.out);
}

static void test_refused_flags(void **state)
{
    struct sample s = defaults;
    char *argv[32];

    (void)state;
    assert_int_equal(PARSE(&s, "--beam_sise", "3"), -1);
    assert_string_equal(error.message, "unknown option --beam_sise; did you mean --beam_size?");
    assert_int_equal(PARSE(&s, "--fusion.knid=cross"), -1);
    assert_non_null(strstr(error.message, "did you mean --fusion.kind?"));
    assert_int_equal(PARSE(&s, "--no-beam_size"), -1);
    assert_int_equal(PARSE(&s, "--no-cache=true"), -1);
    assert_int_equal(PARSE(&s, "-q"), -1);
    assert_int_equal(PARSE(&s, "--beam_size"), -1);
    assert_string_equal(error.message, "option --beam_size needs a value (N)");
    assert_int_equal(PARSE(&s, "--verbose=perhaps"), -1);
    assert_int_equal(PARSE(&s, "-b", "65"), -1);
    assert_string_equal(error.message, "option beam_size: \"65\" is not an integer from 1 to 64");
    assert_int_equal(PARSE(&s, "--fusion.kind", "glue"), -1);
    assert_string_equal(error.message,
                        "option fusion.kind: \"glue\" is not one of merged, cross, local-global");
    assert_int_equal(error.status, EARSHOT_ERROR_ARGUMENT);
    assert_same_sample(&s, &defaults); /* a refused value changes nothing */
}

static void test_text_that_is_no_value(void **state)
{
    static const char *const bad[][2] = {
        {"beam_size", ""},
        {"beam_size", "4x"},
        {"beam_size", " 4"},
        {"beam_size", "4.0"},
        {"beam_size", "0"},
        {"beam_size", "+"},
        {"beam_size", "99999999999999999999"},
        {"fusion.dropout", "nan"},
        {"fusion.dropout", "inf"},
        {"fusion.dropout", "1e999"},
        {"fusion.dropout", "1.01"},
        {"fusion.dropout", ""},
        {"fusion.dropout", "0.5 "},
        {"swin.depths", "1,,2"},
        {"swin.depths", "1,"},
        {"swin.depths", ",1"},
        {"swin.depths", "0"},
        {"swin.depths", "a"},
        {"swin.depths", "1,2,3,4,5,6,7,8,9"},
        {"fusion.kind", ""},
        {"fusion.kind", "Cross"},
        {"verbose", ""},
        {"", "1"},
        {"fusion", "1"},
    };
    struct sample s = defaults;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (options_set(table, &s, bad[i][0], bad[i][1], &error) != EARSHOT_ERROR_ARGUMENT)
            fail_msg("%s=\"%s\" was taken", bad[i][0], bad[i][1]);
    assert_same_sample(&s, &defaults);
    assert_ok(options_set(table, &s, "swin.depths", "1,2,3,4,5,6,7,8", &error));
    assert_int_equal(s.depths.count, OPTION_LIST_MAX);
    assert_ok(options_set(table, &s, "swin.depths", "", &error));
    assert_int_equal(s.depths.count, 0);
}

static void test_several_tables(void **state)
{
    static const struct option other_options[] = {
        {.key = "beam_size", .type = OPTION_INT, .offset = 0},
        {.key = "rate", .type = OPTION_INT, .offset = 0},
    };
    int64_t rate = 0;
    struct sample s = defaults;
    struct option_binding binding[2] = {{table, &s}, {{other_options, 2}, &rate}};
    char *argv[] = {(char[]){"x"}, (char[]){"--rate=-7"}, (char[]){"--beam_size=2"}};
    int positional;

    (void)state;
    assert_ok(options_parse(binding, 2, 3, argv, &positional, &error));
    assert_int_equal(rate, -7); /* no limits given: any integer */
    assert_int_equal(s.beam, 2);
}

static enum earshot_status read_json(struct sample *s, const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    enum earshot_status status;

    assert_non_null(json);
    error_clear(&error);
    status = options_read_json(table, s, json, &error);
    json_decref(json);
    return status;
}

static void test_json_round_trip(void **state)
{
    struct sample s = defaults, back = defaults;
    json_t *json;
    char *text;

    (void)state;
    assert_ok(read_json(&s,
                        "{\"beam_size\": 1e1, \"fusion\": {\"kind\": \"merged\", \"dropout\": 1},"
                        " \"out\": \"caf\\u00e9\", \"swin.depths\": [2, 18], \"cache\": false}"));
    assert_int_equal(s.beam, 10);
    assert_int_equal(s.kind, 0);
    assert_true(s.dropout == 1);
    assert_string_equal(s.out, "caf\xc3\xa9");
    json = options_write_json(table, &s);
    assert_non_null(json);
    text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, "{\"verbose\":false,\"cache\":false,\"beam_size\":10,"
                              "\"fusion\":{\"dropout\":1.0,\"kind\":\"merged\"},"
                              "\"out\":\"caf\xc3\xa9\",\"swin\":{\"depths\":[2,18]}}");
    assert_ok(options_read_json(table, &back, json, &error));
    assert_string_equal(back.out, s.out);
    assert_ok(read_json(&back, "{\"out\": null}"));
    assert_null(back.out);
    free(text);
    json_decref(json);
    json = options_write_json(table, &back);
    assert_null(json_object_get(json, "out"));
    json_decref(json);
    options_free(table, &s);
    options_free(table, &back);
}

static void test_refused_json(void **state)
{
    static const char *const bad[] = {
        "{\"beam\": 1}",
        "{\"fusion\": {\"kinds\": \"cross\"}}",
        "{\"fusion\": \"cross\"}",
        "{\"fusion\": {\"kind\": {\"x\": 1}}}",
        "{\"nothing\": {\"kind\": 1}}",
        "{\"beam_size\": \"4\"}",
        "{\"beam_size\": 1.5}",
        "{\"beam_size\": 1e300}",
        "{\"beam_size\": true}",
        "{\"fusion.dropout\": \"0.1\"}",
        "{\"fusion.dropout\": -0.1}",
        "{\"verbose\": 1}",
        "{\"out\": 5}",
        "{\"swin\": {\"depths\": 2}}",
        "{\"swin\": {\"depths\": [2, \"2\"]}}",
        "{\"swin\": {\"depths\": [1,2,3,4,5,6,7,8,9]}}",
        "{\"fusion.kind\": 1}",
    };
    struct sample s = defaults;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (read_json(&s, bad[i]) != EARSHOT_ERROR_ARGUMENT)
            fail_msg("%s was taken", bad[i]);
    assert_same_sample(&s, &defaults);
    assert_int_equal(read_json(&s, "[1]"), EARSHOT_ERROR_FORMAT);
    assert_int_equal(read_json(&s, "{\"fusion\": {\"kinds\": 1}}"), EARSHOT_ERROR_ARGUMENT);
    assert_string_equal(error.message, "unknown option fusion.kinds; did you mean fusion.kind?");
}

static void test_help(void **state)
{
    static const char expected[] =
        "  -v, --verbose                                say more\n"
        "  -c, --no-cache                               keep keys (default: on)\n"
        "  -b, --beam_size N                            beams (default: 4)\n"
        "      --fusion.dropout P                       dropped share (default: 0.1)\n"
        "  -o, --out DIR                                where to\n"
        "      --fusion.kind merged|cross|local-global  how streams meet (default: local-global)\n"
        "      --swin.depths N,N,...                    blocks a stage (default: 2,2,6,2)\n";
    char text[2048] = "";
    FILE *stream = fmemopen(text, sizeof text, "w");

    (void)state;
    options_print_help(table, &defaults, stream);
    fclose(stream);
    assert_string_equal(text, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_in_every_spelling),
        cmocka_unit_test(test_refused_flags),
        cmocka_unit_test(test_text_that_is_no_value),
        cmocka_unit_test(test_several_tables),
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_refused_json),
        cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
