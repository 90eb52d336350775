/*
 * test_wordpiece.c: vocabulary files, what the tokenizer does with odd text, and the Unicode tables
 * against figures from the Python whose behaviour they must have.  Recorded cases: tests/parity.
 */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"
#include "text/wordpiece.h"

static struct earshot_error error;

static const char small_vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"      /* 0-4 */
                                       "a\n##a\nab\n##b\nabc\n##bcd\n.\n"          /* 5-11 */
                                       "'\ns\ne\n\xcf\x82\n##\xcf\x82\n\xcf\x83\n" /* 12-17 */
                                       "##\xcf\x83\n\xe4\xb8\x80\n\xe1\x84\x80\n##\xe1\x85\xa1\n"
                                       "##x\nx"; /* 18-23 */

static struct wordpiece *parse(const char *text)
{
    struct wordpiece *tokenizer;

    assert_ok(wordpiece_parse("test", text, strlen(text), &tokenizer, &error));
    return tokenizer;
}

/* The ids as text: "5 6". */
static void assert_encodes(const struct wordpiece *tokenizer, const char *text, size_t size,
                           const char *expected)
{
    struct str got = {0};
    int32_t *ids;
    int count;

    assert_ok(wordpiece_encode(tokenizer, text, size, &ids, &count, &error));
    str_append_text(&got, "");
    for (int i = 0; i < count; i++)
        str_append_format(&got, "%s%d", i ? " " : "", (int)ids[i]);
    assert_string_equal(got.data, expected);
    str_free(&got);
    free(ids);
}

static void test_encode(void **state)
{
    static const char *const expected[][2] = {
        {"", ""},
        {" \t\r\n\xc2\xa0\xe3\x80\x80", ""},
        {"abc", "9"},
        {"abcd", "1"}, /* greedy: "abc" leaves "d"; no going back to "a" + "##bcd" */
        {"abba", "7 8 6"},
        {"ABBA", "7 8 6"},
        {"ab.a'a", "7 11 5 12 5"},
        {"abq a", "1 5"},               /* one bad piece spoils its word only */
        {"\xc3\xa1", "5"},              /* a with acute */
        {"a\xcc\x81\xcc\x80x", "5 22"}, /* the same, decomposed, twice over */
        {"a\xc2\xad"
         "b\xe2\x80\x8d"
         "c",
         "9"}, /* soft hyphen and joiner vanish */
        {"a\x0b\x0c\xef\xbb\xbf"
         "b",
         "7"}, /* so do VT, FF, BOM */
        {"a\xe2\x80\xa8"
         "a\xe2\x80\xa9"
         "a",
         "5 5 5"},                       /* line and paragraph separator */
        {"a\xe4\xb8\x80\x61", "5 19 5"}, /* an ideograph stands alone */
        {"\xea\xb0\x80", "20 21"},       /* a Hangul syllable is two jamo */
        {"A\xce\xa3", "5 16"},           /* final after a letter */
        {"X\xce\xa3", "23 16"},
        {"X\xce\xa3X", "23 18 22"},                     /* not final: "##σ" */
        {"\xce\xa3", "17"},                             /* alone: not final */
        {"X\xcc\x81\xce\xa3\xcc\x81\xcc\x80", "23 16"}, /* marks are looked past */
        {"a[MASK]b[CLS]", "5 4 1 2"},
        {"[SEP][sep]", "3 1 1 1"},
        {"[U\xe2\x80\x8bNK]", "1 1 1"}, /* hidden: not special, and split at its brackets */
        {"[[PAD]]", "1 0 1"},
        {"[PAD", "1 1"},
        {"a\xff"
         "b\xc3",
         "7"},                     /* ill-formed bytes vanish */
        {"a\xe2\x82[SEP]", "5 3"}, /* and do not eat what follows */
        {"a\xef\xbf\xbd\xed\xa0\x80"
         "b",
         "7"},                  /* U+FFFD itself, an encoded surrogate */
        {"a\xe2\x82\xac", "1"}, /* the euro sign is no punctuation */
        {"a\xe2\x80\xa6"
         "a",
         "5 1 5"},              /* the ellipsis is */
        {"\xcc\x81", ""},       /* nothing left of a lone mark */
        {"a\xe1\xba\x9e", "1"}, /* capital sharp s: lower, not folded to ss */
    };
    struct wordpiece *tokenizer = parse(small_vocabulary);

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_encodes(tokenizer, expected[i][0], strlen(expected[i][0]), expected[i][1]);
    assert_encodes(tokenizer, "a\0b", 3, "7");
    assert_encodes(tokenizer, NULL, 0, "");
    wordpiece_free(tokenizer);
}

/* A hundred code points are a word, a hundred and one are [UNK]: counted without marks, in code
 * points. */
static void test_long_words(void **state)
{
    struct wordpiece *tokenizer = parse(small_vocabulary);
    struct str text = {0}, expected = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        str_append_text(&text, "x\xcc\x81");
        str_append_text(&expected, i ? " 22" : "23");
    }
    assert_encodes(tokenizer, text.data, text.length, expected.data);
    str_append_text(&text, "x");
    assert_encodes(tokenizer, text.data, text.length, "1");
    str_append_text(&text, ".a");
    assert_encodes(tokenizer, text.data, text.length, "1 11 5");
    str_free(&text);
    str_free(&expected);
    wordpiece_free(tokenizer);
}

/* Combining characters that are not Mn stay, in canonical order: U+302E (class 224, Mc) moves
 * behind U+1D165 (class 216, Mc), but not past a mark of class 0 (U+034F), which itself is dropped.
 */
static void test_canonical_order(void **state)
{
    struct wordpiece *tokenizer = parse(
        "[PAD]\n[UNK]\nx\n##\xe3\x80\xae\n##\xf0\x9d\x85\xa5\n##\xe3\x80\xae\xf0\x9d\x85\xa5\n");

    (void)state;
    assert_encodes(tokenizer, "x\xe3\x80\xae\xf0\x9d\x85\xa5", 8, "2 4 3");
    assert_encodes(tokenizer, "x\xf0\x9d\x85\xa5\xcc\x81\xe3\x80\xae", 10, "2 4 3");
    assert_encodes(tokenizer, "x\xe3\x80\xae\xcd\x8f\xf0\x9d\x85\xa5", 10, "2 5");
    wordpiece_free(tokenizer);
}

/* What could cost quadratic time: it must merely finish. */
static void test_hostile_text(void **state)
{
    static const char *const unit[] = {"\xe3\x80\xae\xf0\x9d\x85\xa5",
                                       "\xcc\x81",
                                       "'\xce\xa3",
                                       "\xce\xa3",
                                       "[",
                                       "a",
                                       "ab ",
                                       "\xff",
                                       "\xea\xb0\x81"};
    struct wordpiece *tokenizer = parse(small_vocabulary);

    (void)state;
    for (size_t u = 0; u < sizeof unit / sizeof unit[0]; u++) {
        struct str text = {0};
        int32_t *ids;
        int count;

        while (text.length < 300000)
            str_append_text(&text, unit[u]);
        assert_ok(wordpiece_encode(tokenizer, text.data, text.length, &ids, &count, &error));
        free(ids);
        str_free(&text);
    }
    assert_int_equal(
        wordpiece_encode(tokenizer, "", (size_t)1 << 31, &(int32_t *){NULL}, &(int){0}, &error),
        EARSHOT_ERROR_ARGUMENT);
    wordpiece_free(tokenizer);
}

static void assert_decodes(const struct wordpiece *tokenizer, const int32_t *ids, int count,
                           bool skip_special, enum wordpiece_cleanup cleanup, const char *expected)
{
    struct str out = {0};

    str_append_text(&out, ">");
    wordpiece_decode(tokenizer, ids, count, skip_special, cleanup, &out);
    assert_string_equal(out.data + 1, expected);
    str_free(&out);
}

static void test_decode(void **state)
{
    struct wordpiece *tokenizer =
        parse("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nit\n'\ns\ndo\nnot\n##ing\n.\nn\n'\n##\n \n"
              "n't\n");
    static const int32_t its[] = {2, 5, 6, 7, 8, 9, 11, 3, 0};
    static const int32_t odd[] = {10, 10, 14, 5, -1, 17, 15};
    static const int32_t not [] = {8, 16, 11};

    (void)state;
    assert_decodes(tokenizer, its, 9, false, WORDPIECE_PLAIN, "[CLS] it ' s do not . [SEP] [PAD]");
    assert_decodes(tokenizer, its, 9, true, WORDPIECE_PLAIN, "it ' s do not .");
    assert_decodes(tokenizer, its, 9, true, WORDPIECE_CLEAN, "it's do not.");
    assert_decodes(tokenizer, its, 9, true, WORDPIECE_CLEAN_SWINBERT, "it's don't.");
    assert_decodes(tokenizer, not, 3, true, WORDPIECE_CLEAN, "don't.");
    assert_decodes(tokenizer, odd, 7, true, WORDPIECE_PLAIN, "##inging it [UNK] [UNK]");
    assert_decodes(tokenizer, odd, 0, true, WORDPIECE_CLEAN, "");
    assert_decodes(tokenizer, its, 1, true, WORDPIECE_CLEAN, "");
    wordpiece_free(tokenizer);
}

static void test_vocabulary(void **state)
{
    struct wordpiece *tokenizer = parse("[UNK]\r\n\r\nb\r\nb\n[PAD]\n\ntwo words\n");
    char path[1200];
    char *text;

    (void)state;
    assert_int_equal(wordpiece_size(tokenizer), 7);
    assert_int_equal(wordpiece_find(tokenizer, "[PAD]"), 4);
    assert_int_equal(wordpiece_find(tokenizer, "b"), 3); /* the later of two */
    assert_string_equal(wordpiece_token(tokenizer, 2), "b");
    assert_int_equal(wordpiece_find(tokenizer, "two words"), 6);
    assert_int_equal(wordpiece_find(tokenizer, "two"), -1);
    assert_int_equal(wordpiece_find(tokenizer, ""), 5);
    assert_null(wordpiece_token(tokenizer, 7));
    assert_null(wordpiece_token(tokenizer, -1));
    /* no continuation at all, no [CLS]: a piece of more than one is [UNK], and so is [CLS] */
    assert_encodes(tokenizer, "b bb [CLS]", 10, "3 0 0");

    snprintf(path, sizeof path, "%s/vocab.txt", test_directory("wordpiece"));
    assert_ok(wordpiece_save(tokenizer, path, &error));
    assert_ok(file_read_text(path, 1000, &text, NULL, &error));
    assert_string_equal(text, "[UNK]\n\nb\nb\n[PAD]\n\ntwo words\n");
    free(text);
    wordpiece_free(tokenizer);
    assert_ok(wordpiece_open(path, &tokenizer, &error));
    assert_int_equal(wordpiece_size(tokenizer), 7);
    wordpiece_free(tokenizer);
    wordpiece_free(NULL);
}

static void test_refused_vocabularies(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *message;
    } bad[] = {
        {"", 0, "test: no token [PAD] among 0"},
        {"[PAD]\n[unk]\n", 12, "no token [UNK] among 2"},
        {"[PAD]\n[UNK]\na\xff\n", 16, "line 3 is not UTF-8"},
        {"[PAD]\n[UNK]\n\xed\xa0\x80\n", 16, "line 3 is not UTF-8"},
        {"[PAD]\n[UNK]\na\0b\n", 16, "line 3 is not UTF-8"},
    };
    struct wordpiece *tokenizer;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(wordpiece_parse("test", bad[i].text, bad[i].size, &tokenizer, &error),
                         EARSHOT_ERROR_FORMAT);
        assert_null(tokenizer);
        if (!strstr(error.message, bad[i].message))
            fail_msg("%s: %s", bad[i].message, error.message);
    }
    assert_int_equal(wordpiece_parse("test", "", (size_t)1 << 24, &tokenizer, &error),
                     EARSHOT_ERROR_FORMAT);
    assert_int_equal(wordpiece_open("/nonexistent/vocab", &tokenizer, &error), EARSHOT_ERROR_IO);
    tokenizer = parse("[PAD]\n[UNK]\n\xef\xbf\xbd\n"); /* U+FFFD well spelled is text */
    assert_int_equal(wordpiece_find(tokenizer, "\xef\xbf\xbd"), 2);
    wordpiece_free(tokenizer);
}

/*
 * FNV-1a over every code point (surrogates' folding left out): properties, combining class, then
 * the folded code points; computed with Python 3.11's unicodedata 14.0.0 and str.lower by
 * tools/make-unicode-tables.py --check.
 */
static void test_unicode_tables(void **state)
{
    uint64_t hash = 0xcbf29ce484222325u;

    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint32_t out[UNICODE_FOLD_MAX];
        int length = unicode_fold(code, out);

        hash = (hash ^ unicode_properties(code)) * 0x100000001b3u;
        hash = (hash ^ unicode_combining_class(code)) * 0x100000001b3u;
        for (int i = 0; i < length; i++)
            hash = (hash ^ out[i]) * 0x100000001b3u;
    }
    assert_true(hash == 0x9884f74806f36a8au);
    assert_int_equal(unicode_properties('A'), UNICODE_IS_CASED);
    assert_int_equal(unicode_properties('.'), UNICODE_IS_PUNCTUATION | UNICODE_IS_CASE_IGNORABLE);
    assert_int_equal(unicode_properties(0x301), UNICODE_IS_MARK | UNICODE_IS_CASE_IGNORABLE);
    assert_int_equal(unicode_properties(0x10FFFF), UNICODE_IS_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_canonical_order),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_refused_vocabularies),
        cmocka_unit_test(test_unicode_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
