/* test_str.c: growing strings, formatting, UTF-8. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void test_append_and_take(void **state)
{
    struct str s = {0};
    char *taken;

    (void)state;
    for (int i = 0; i < 1000; i++)
        str_append_format(&s, "%d,", i);
    str_append(&s, "a\0b", 3);
    str_append(&s, NULL, 0);
    assert_int_equal(s.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_memory_equal(s.data + s.length - 7, "999,a\0b", 8); /* with its NUL */
    taken = str_take(&s);
    assert_int_equal(memcmp(taken, "0,1,2,", 6), 0);
    free(taken);
    assert_null(s.data);
    taken = str_take(&s);
    assert_string_equal(taken, "");
    free(taken);
    str_append_text(&s, "xyz");
    str_clear(&s);
    str_append_text(&s, "w");
    assert_string_equal(s.data, "w");
    str_free(&s);
}

static void test_failure_sticks(void **state)
{
    struct str s = {0};

    (void)state;
    str_append_text(&s, "kept");
    str_append(&s, "", SIZE_MAX - 2); /* the size wraps round: must not be attempted */
    assert_true(s.failed);
    str_append_text(&s, "ignored");
    assert_string_equal(s.data, "kept");
    assert_null(str_take(&s));
    assert_null(s.data);
}

static void test_text_helpers(void **state)
{
    char buffer[32], *text = str_format("%s-%05.1f", "a", 2.25);

    (void)state;
    assert_string_equal(text, "a-002.2");
    free(text);
    assert_true(str_starts_with("model.safetensors", "model"));
    assert_false(str_starts_with("mod", "model"));
    assert_true(str_ends_with("model.pth", ".pth"));
    assert_false(str_ends_with("pth", ".pth"));
    assert_true(str_ends_with("x", ""));
    assert_string_equal(str_bytes(buffer, 999), "999 B");
    assert_string_equal(str_bytes(buffer, 1000), "1.00 kB");
    assert_string_equal(str_bytes(buffer, 12345678), "12.3 MB");
    assert_string_equal(str_bytes(buffer, 5e15), "5000.0 TB");
    assert_string_equal(str_duration(buffer, 0.4), "0:00");
    assert_string_equal(str_duration(buffer, 245), "4:05");
    assert_string_equal(str_duration(buffer, 3723.4), "1:02:03");
    assert_string_equal(str_duration(buffer, -1), "--:--");
    assert_string_equal(str_duration(buffer, 0.0 / 0.0), "--:--");
}

/*
 * Every sequence of four bytes out of those at which UTF-8's rules change, decoded and hashed.  The
 * two figures are Python's: sum of lengths and FNV-1a over the code points of
 * bytes(t).decode("utf-8", "replace") for t in itertools.product(boundary, repeat=4).
 */
static void test_utf8_as_python_decodes_it(void **state)
{
    static const unsigned char boundary[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                             0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                             0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    uint64_t hash = 0xcbf29ce484222325u;
    long codes = 0;

    (void)state;
    for (int i = 0; i < 26 * 26 * 26 * 26; i++) {
        unsigned char bytes[4] = {boundary[i / 17576], boundary[i / 676 % 26],
                                  boundary[i / 26 % 26], boundary[i % 26]};
        const char *p = (const char *)bytes, *end = p + 4;

        for (; p < end; codes++)
            hash = (hash ^ str_utf8_next(&p, end)) * 0x100000001b3u;
        assert_ptr_equal(p, end);
    }
    assert_int_equal(codes, 1690600);
    assert_true(hash == 0xea9fad5998fe7c25u);
}

static void test_utf8_every_code_point(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        char bytes[4];
        const char *p = bytes;
        size_t length = str_utf8_put(bytes, code);
        size_t expected = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        uint32_t back = str_utf8_next(&p, bytes + length);

        assert_int_equal(length, expected);
        if (code >= 0xD800 && code <= 0xDFFF) {
            assert_int_equal(back, 0xFFFD); /* a surrogate is not text */
        } else {
            assert_int_equal(back, code);
            assert_ptr_equal(p, bytes + length);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_take),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_text_helpers),
        cmocka_unit_test(test_utf8_as_python_decodes_it),
        cmocka_unit_test(test_utf8_every_code_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
