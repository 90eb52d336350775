/*
 * wordpiece_encode.c: text to ids as BERT's uncased tokenizer does it.  See wordpiece.h.
 *
 * In order: literal special tokens are split out; code points of category C* (but tab, LF, CR),
 * U+0000 and U+FFFD vanish; white space and CJK ideographs end a word; each word is lower-cased (a
 * final sigma by its neighbours), decomposed (NFD), loses its non-spacing marks, and is split at
 * punctuation; each part becomes its longest-matching pieces, or [UNK] if it is longer than 100
 * code points or some of it matches nothing.  Source: Devlin et al., "BERT" (2019), and the
 * behaviour of the tokenizers published with it.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "text/wordpiece_internal.h"

#define WORD_MAX 100 /* code points */
#define CAPITAL_SIGMA 0x3A3
#define FINAL_SIGMA 0x3C2

struct codes {
    uint32_t *code;
    size_t count, capacity;
};

struct encoder {
    const struct wordpiece *tokenizer;
    struct codes word;   /* since the last white space, as written */
    struct codes folded; /* the same, lower-cased and decomposed */
    int32_t *ids;
    int count, capacity;
    bool failed; /* out of memory: everything after does nothing */
};

static void put_code(struct encoder *encoder, struct codes *codes, uint32_t code)
{
    if (codes->count == codes->capacity) {
        size_t capacity = codes->capacity ? 2 * codes->capacity : 128;
        uint32_t *grown = realloc(codes->code, capacity * sizeof *grown);

        if (!grown) {
            encoder->failed = true;
            return;
        }
        codes->code = grown;
        codes->capacity = capacity;
    }
    codes->code[codes->count++] = code;
}

static void put_id(struct encoder *encoder, int32_t id)
{
    if (encoder->count == encoder->capacity) {
        int capacity = encoder->capacity ? 2 * encoder->capacity : 64;
        int32_t *grown = realloc(encoder->ids, (size_t)capacity * sizeof *grown);

        if (!grown) {
            encoder->failed = true;
            return;
        }
        encoder->ids = grown;
        encoder->capacity = capacity;
    }
    encoder->ids[encoder->count++] = id;
}

static void put_special(struct encoder *encoder, int special)
{
    int32_t id = encoder->tokenizer->special[special];

    put_id(encoder, id >= 0 ? id : encoder->tokenizer->special[SPECIAL_UNK]);
}

/* The longest token that text begins with, at the given node of the trie.  Returns its length. */
static size_t longest_match(const struct wordpiece *tokenizer, uint32_t node, const char *text,
                            const char *end, int32_t *id)
{
    size_t length = 0;

    for (const char *p = text; p < end && node != TRIE_NONE; p++) {
        node = trie_step(tokenizer, node, (unsigned char)*p);
        if (node != TRIE_NONE && tokenizer->node_id[node] >= 0) {
            *id = tokenizer->node_id[node];
            length = (size_t)(p + 1 - text);
        }
    }
    return length;
}

/* One part of a word: no space, and no punctuation unless it is that one character. */
static void encode_part(struct encoder *encoder, const uint32_t *code, size_t count)
{
    char text[4 * WORD_MAX], *end = text;
    int before = encoder->count;
    uint32_t node = TRIE_ROOT;

    if (count > WORD_MAX) {
        put_special(encoder, SPECIAL_UNK);
        return;
    }
    for (size_t i = 0; i < count; i++)
        end += str_utf8_put(end, code[i]);
    for (const char *p = text; p < end;) {
        int32_t id = 0;
        size_t length = longest_match(encoder->tokenizer, node, p, end, &id);

        if (length == 0) {
            encoder->count = before;
            put_special(encoder, SPECIAL_UNK);
            return;
        }
        put_id(encoder, id);
        p += length;
        node = encoder->tokenizer->continuation;
    }
}

/* Whether the first code point that is not case-ignorable, going from at by step (1 or -1), is
 * cased. Going below 0 wraps round past count. */
static bool meets_cased(const struct codes *word, size_t at, size_t step)
{
    for (size_t i = at + step; i < word->count; i += step) {
        unsigned properties = unicode_properties(word->code[i]);

        if (!(properties & UNICODE_IS_CASE_IGNORABLE))
            return properties & UNICODE_IS_CASED;
    }
    return false;
}

/* Unicode 3.13, Final_Sigma: after a cased letter and not before one. */
static bool is_final_sigma(const struct codes *word, size_t at)
{
    return meets_cased(word, at, (size_t)-1) && !meets_cased(word, at, 1);
}

/*
 * Canonical ordering of the combining characters code[0..count), all of non-zero class: a stable
 * insertion sort.  A run with more than WORD_MAX that stay (that are not Mn) is left as it is: they
 * are all in one word, which is [UNK] in any order, and sorting it could take quadratic time.
 */
static void order_run(uint32_t *code, size_t count)
{
    if (count > WORD_MAX)
        return;
    for (size_t i = 1; i < count; i++) {
        uint32_t moving = code[i];
        size_t k = i;

        for (; k > 0 && unicode_combining_class(code[k - 1]) > unicode_combining_class(moving); k--)
            code[k] = code[k - 1];
        code[k] = moving;
    }
}

/* Marks (Mn) go; what other combining characters are left is put into canonical order.  The marks
 * of a run do not matter for that, except that one of class 0 ends the run. */
static void strip_marks(struct codes *folded)
{
    size_t kept = 0, run = 0;

    for (size_t i = 0; i < folded->count; i++) {
        uint32_t code = folded->code[i];
        bool is_combining = code >= 0x300 && unicode_combining_class(code) != 0;

        if (!is_combining)
            order_run(folded->code + run, kept - run);
        if (!(unicode_properties(code) & UNICODE_IS_MARK))
            folded->code[kept++] = code;
        if (!is_combining)
            run = kept;
    }
    order_run(folded->code + run, kept - run);
    folded->count = kept;
}

static void fold_word(struct encoder *encoder)
{
    const struct codes *word = &encoder->word;

    encoder->folded.count = 0;
    for (size_t i = 0; i < word->count; i++) {
        uint32_t out[UNICODE_FOLD_MAX];
        int length = unicode_fold(word->code[i], out);

        if (word->code[i] == CAPITAL_SIGMA && is_final_sigma(word, i))
            out[0] = FINAL_SIGMA;
        for (int k = 0; k < length; k++)
            put_code(encoder, &encoder->folded, out[k]);
    }
    strip_marks(&encoder->folded);
}

/* A word that became a special token only when its control characters vanished keeps its capitals
 * (and is then split at its brackets): so the original. */
static bool is_hidden_special(const struct codes *word)
{
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        const char *name = wordpiece_special_names[i];
        size_t k = 0;

        while (k < word->count && name[k] && word->code[k] == (unsigned char)name[k])
            k++;
        if (k == word->count && !name[k])
            return true;
    }
    return false;
}

static bool is_punctuation(uint32_t code)
{
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126) || unicode_properties(code) & UNICODE_IS_PUNCTUATION;
}

static void end_word(struct encoder *encoder)
{
    const struct codes *text = &encoder->folded;
    size_t start = 0;

    if (encoder->word.count == 0)
        return;
    if (is_hidden_special(&encoder->word))
        text = &encoder->word;
    else
        fold_word(encoder);
    for (size_t i = 0; i < text->count && !encoder->failed; i++) {
        if (!is_punctuation(text->code[i]))
            continue;
        encode_part(encoder, text->code + start, i - start);
        encode_part(encoder, text->code + i, 1);
        start = i + 1;
    }
    encode_part(encoder, text->code + start, text->count - start);
    encoder->word.count = 0;
}

static bool is_ideograph(uint32_t code)
{
    return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
           (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
           (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B820 && code <= 0x2CEAF) ||
           (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

static void take_code(struct encoder *encoder, uint32_t code)
{
    unsigned properties = unicode_properties(code);

    if (code == '\t' || code == '\n' || code == '\r' || code == 0x2028 || code == 0x2029 ||
        properties & UNICODE_IS_SPACE) {
        end_word(encoder);
    } else if (code == 0xFFFD || properties & UNICODE_IS_OTHER) {
        return;
    } else if (is_ideograph(code)) {
        end_word(encoder);
        put_code(encoder, &encoder->word, code);
        end_word(encoder);
    } else {
        put_code(encoder, &encoder->word, code);
    }
}

/* The special token that text begins with, or -1. */
static int special_at(const char *text, const char *end)
{
    for (int i = 0; *text == '[' && i < SPECIAL_COUNT; i++) {
        size_t length = strlen(wordpiece_special_names[i]);

        if ((size_t)(end - text) >= length && memcmp(text, wordpiece_special_names[i], length) == 0)
            return i;
    }
    return -1;
}

enum earshot_status wordpiece_encode(const struct wordpiece *tokenizer, const char *text,
                                     size_t size_bytes, int32_t **ids, int *count,
                                     struct earshot_error *error)
{
    struct encoder encoder = {.tokenizer = tokenizer};
    const char *end = text + size_bytes;

    *ids = NULL;
    *count = 0;
    if (size_bytes > INT_MAX / (2 * UNICODE_FOLD_MAX))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "tokenizer: a text of %zu bytes; expected at most %d", size_bytes,
                         INT_MAX / (2 * UNICODE_FOLD_MAX));
    encoder.ids = malloc(64 * sizeof *encoder.ids);
    encoder.capacity = 64;
    encoder.failed = !encoder.ids;
    while (text < end && !encoder.failed) {
        int special = special_at(text, end);

        if (special < 0) {
            take_code(&encoder, str_utf8_next(&text, end));
            continue;
        }
        end_word(&encoder);
        put_special(&encoder, special);
        text += strlen(wordpiece_special_names[special]);
    }
    if (!encoder.failed)
        end_word(&encoder);
    free(encoder.word.code);
    free(encoder.folded.code);
    if (encoder.failed) {
        free(encoder.ids);
        return error_memory(error, size_bytes * sizeof *encoder.ids);
    }
    *ids = encoder.ids;
    *count = encoder.count;
    return EARSHOT_OK;
}
