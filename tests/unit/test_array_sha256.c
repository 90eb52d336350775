/* test_array_sha256.c: growing arrays; FIPS 180-4's examples and lengths around a block's end. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/sha256.h"

static void check(const char *text, size_t repeat, const char *expected)
{
    struct sha256 hash;
    char hex[SHA256_HEX_SIZE];

    sha256_init(&hash);
    for (size_t i = 0; i < repeat; i++)
        sha256_add(&hash, text, strlen(text));
    sha256_finish(&hash, hex);
    assert_string_equal(hex, expected);
}

static void test_examples(void **state)
{
    (void)state;
    check("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_pieces_do_not_matter(void **state)
{
    char text[200], whole[SHA256_HEX_SIZE], pieces[SHA256_HEX_SIZE];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t length = 50; length < sizeof text; length++) {
        struct sha256 hash;

        sha256_init(&hash);
        sha256_add(&hash, text, length);
        sha256_finish(&hash, whole);
        sha256_init(&hash);
        for (size_t i = 0; i < length; i += 7)
            sha256_add(&hash, text + i, length - i < 7 ? length - i : 7);
        sha256_finish(&hash, pieces);
        assert_string_equal(whole, pieces);
    }
}

static void test_array_reserve(void **state)
{
    int *array = NULL;
    size_t capacity = 0;

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(array_reserve((void **)&array, &capacity, i + 1, sizeof *array));
        assert_true(capacity > i);
        array[i] = (int)i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], (int)i);
    assert_false(array_reserve((void **)&array, &capacity, SIZE_MAX / 2, sizeof *array));
    assert_int_equal(array[999], 999);
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_pieces_do_not_matter),
        cmocka_unit_test(test_array_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
