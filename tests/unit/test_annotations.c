/* test_annotations.c: every published layout, and files that are wrong in every way. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "annotations/annotations.h"
#include "base/str.h"

static void read_fixture(const char *name, const char *split, struct annotations *a)
{
    struct earshot_error error;
    char path[128];

    snprintf(path, sizeof path, "annotations/%s", name);
    assert_ok(annotations_read_file(a, test_fixture(path), split, &error));
}

struct text {
    const char *p;
    size_t left, step;
};

static size_t text_source(void *context, void *buffer, size_t size)
{
    struct text *text = context;
    size_t count = text->left < size ? text->left : size;

    if (count > text->step)
        count = text->step;
    memcpy(buffer, text->p, count);
    text->p += count;
    text->left -= count;
    return count;
}

static enum earshot_status read_text(const char *json, struct annotations *a,
                                     struct earshot_error *error)
{
    struct text text = {json, strlen(json), 1};

    return annotations_read(a, text_source, &text, false, NULL, error);
}

static void test_msrvtt(void **state)
{
    struct annotations a;
    size_t all;

    (void)state;
    read_fixture("msrvtt.json", NULL, &a);
    assert_string_equal(a.layout, "msr-vtt");
    assert_int_equal(a.item_count, 5);
    assert_string_equal(annotations_find(&a, "video0")->split, "train");
    all = a.caption_count;
    assert_int_equal(all, 60);
    annotations_free(&a);
    read_fixture("msrvtt.json", "validate", &a);
    assert_true(a.item_count > 0 && a.item_count < 5);
    assert_true(a.caption_count < all);
    for (size_t i = 0; i < a.item_count; i++)
        assert_string_equal(a.item[i].split, "val");
    annotations_free(&a);
}

static void test_vatex(void **state)
{
    struct annotations a;
    const struct annotation_item *item;

    (void)state;
    read_fixture("vatex.json", NULL, &a);
    assert_string_equal(a.layout, "vatex");
    assert_int_equal(a.item_count, 3);
    item = annotations_find(&a, "5-xGskbsBgI_000055_000065");
    assert_non_null(item);
    assert_int_equal(item->count, 10); /* the Chinese captions are not references */
    annotations_free(&a);
}

static void test_youcook2(void **state)
{
    struct annotations a, b;
    const struct annotation_item *item;

    (void)state;
    read_fixture("youcook2.json", NULL, &a);
    assert_string_equal(a.layout, "youcook2");
    item = annotations_find(&a, "GLd3aX16zBg@90.00-102.00");
    assert_non_null(item);
    assert_string_equal(item->video, "GLd3aX16zBg");
    assert_string_equal(item->split, "train");
    assert_true(item->start_s == 90 && item->end_s == 102);
    assert_string_equal(a.caption[item->first], "spread margarine on two slices of white bread");
    annotations_free(&a);
    read_fixture("youcook2.json", "val", &b);
    for (size_t i = 0; i < b.item_count; i++)
        assert_string_equal(b.item[i].split, "val");
    annotations_free(&b);
}

static void test_activitynet_and_densevid(void **state)
{
    struct annotations a;

    (void)state;
    read_fixture("activitynet.json", NULL, &a);
    assert_string_equal(a.layout, "activitynet");
    assert_non_null(annotations_find(&a, "v_uqiMw7tQ1Cc@0.28-55.15"));
    annotations_free(&a);
    read_fixture("youcook2_anet.json", NULL, &a);
    assert_non_null(annotations_find(&a, "xHr8X2Wpmno@47.00-60.00"));
    annotations_free(&a);
    read_fixture("densevid.json", NULL, &a);
    assert_string_equal(a.layout, "densevid");
    /* single-precision times meet the references' two decimals */
    assert_non_null(annotations_find(&a, "v_ecUypvzBAOQ@51.26-151.42"));
    annotations_free(&a);
}

static void test_coco_manifest_map(void **state)
{
    struct annotations a;

    (void)state;
    read_fixture("coco_results.json", NULL, &a);
    assert_string_equal(a.layout, "coco results");
    assert_int_equal(a.item_count, 10);
    annotations_free(&a);
    read_fixture("coco.json", NULL, &a);
    assert_string_equal(a.layout, "coco");
    assert_int_equal(a.item_count, 8);
    assert_int_equal(a.items_without, 3);
    assert_int_equal(a.item[0].count, 2);
    assert_string_equal(a.item[0].video, "COCO_val2014_000000404464.jpg");
    annotations_free(&a);
    read_fixture("manifest.jsonl", NULL, &a);
    assert_string_equal(a.layout, "manifest");
    assert_int_equal(a.item_count, 3);
    assert_int_equal(a.empty_captions, 1);
    assert_string_equal(a.item[1].video, "clips/1.mp4");
    assert_true(a.item[1].end_s == 5 && isnan(a.item[2].start_s));
    annotations_free(&a);
    read_fixture("manifest.jsonl", "val", &a);
    assert_int_equal(a.item_count, 1);
    annotations_free(&a);
    read_fixture("map.json", NULL, &a);
    assert_string_equal(a.layout, "map");
    assert_int_equal(a.item_count, 3);
    annotations_free(&a);
}

static void test_escapes(void **state)
{
    struct earshot_error error;
    struct annotations a;

    (void)state;
    assert_ok(read_text("{\"1\": \"\\u00e9\\ud83d\\ude00 \\ud800x \\ud800\\u0041 \\u0000\\n\\/\"}",
                        &a, &error));
    assert_string_equal(a.caption[0], "\xC3\xA9\xF0\x9F\x98\x80 \xEF\xBF\xBDx \xEF\xBF\xBD"
                                      "A \xEF\xBF\xBD\n/");
    annotations_free(&a);
}

/* Numbers and strings are the same id; several records of one id are several captions. */
static void test_ids(void **state)
{
    struct earshot_error error;
    struct annotations a;

    (void)state;
    assert_ok(read_text("[{\"caption\": \"a\", \"image_id\": 7}, {\"image_id\": \"7\", "
                        "\"id\": 3, \"caption\": \"b\"}, {\"image_id\": 8, \"caption\": \"c\"}]",
                        &a, &error));
    assert_int_equal(a.item_count, 2);
    assert_int_equal(a.repeated_ids, 1);
    assert_int_equal(annotations_find(&a, "7")->count, 2);
    assert_string_equal(a.caption[1], "b");
    assert_null(annotations_find(&a, "9"));
    annotations_free(&a);
}

/* Each: what is wrong, and a word that the message must have. */
static void test_wrong_files(void **state)
{
    static const struct {
        const char *json, *word;
    } wrong[] = {
        {"", "empty"},
        {"   \n ", "empty"},
        {"{\"a\": ", "cut short"},
        {"[{\"image_id\": 1, \"caption\": \"x\"}", "cut short"},
        {"{\"a\": \"b\"} trailing", "line 1"},
        {"[1, 2]", "must hold objects"},
        {"{\"a\": \"caf\xE9\"}", "UTF-8"},
        {"\xFF\xFE{\0", "UTF-16"},
        {"\x1F\x8B\x08", "gunzip"},
        {"PK\x03\x04", "unzip"},
        {"{\"a\": [1]}", "list of captions"},
        {"{\"annotations\": [{\"caption\": \"x\"}]}", "without an id"},
        {"{\"annotations\": []}", "no captions"},
        {"{\"v\": {\"timestamps\": [[1, 2]], \"sentences\": []}}", "1 timestamps but 0"},
        {"{\"v\": {\"timestamps\": [[1]], \"sentences\": [\"x\"]}}", "segment"},
        {"{\"results\": {\"v\": [{\"sentence\": \"x\"}]}}", "without its times"},
        {"{\"a\": \"x\" \"b\": \"y\"}", "comma"},
        {"{a: 1}", "double quotes"},
        {"{\"a\": \"\\x\"}", "escape"},
        {"{\"a\": tru}", "neither"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct earshot_error error;
        struct annotations a;

        assert_int_equal(read_text(wrong[i].json, &a, &error), EARSHOT_ERROR_FORMAT);
        if (!strstr(error.message, wrong[i].word))
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", wrong[i].json, error.message,
                     wrong[i].word);
        assert_null(a.item);
    }
}

static void test_limits(void **state)
{
    struct earshot_error error;
    struct annotations a;
    struct str json = {0};

    (void)state;
    str_append_text(&json, "{\"a\": \"");
    for (int i = 0; i <= CAPTION_BYTES_MAX; i++)
        str_append_text(&json, "x");
    str_append_text(&json, "\"}");
    assert_int_equal(read_text(json.data, &a, &error), EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "65537 bytes"));
    str_clear(&json);
    for (int i = 0; i < 100; i++)
        str_append_text(&json, "[");
    assert_int_equal(read_text(json.data, &a, &error), EARSHOT_ERROR_FORMAT);
    str_free(&json);
    assert_int_equal(annotations_read_file(&a, "/nonexistent.json", NULL, &error),
                     EARSHOT_ERROR_IO);
    assert_int_equal(
        annotations_read_file(&a, test_fixture("annotations/msrvtt.json"), "nosuch", &error),
        EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "nosuch"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msrvtt),
        cmocka_unit_test(test_vatex),
        cmocka_unit_test(test_youcook2),
        cmocka_unit_test(test_activitynet_and_densevid),
        cmocka_unit_test(test_coco_manifest_map),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
