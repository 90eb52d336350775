/*
 * meteor_normalise.c: the normaliser that METEOR's "-norm" switches on.  See meteor.h.
 *
 * A chain of rewriting passes, each over the whole text and each left to right without overlaps, as
 * regular-expression replacement works: in "a-b-c" the first dash takes "b" with it, so the second
 * one stays.  Non-breaking prefixes: words after which a period does not end a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "metrics/meteor.h"
#include "metrics/ptb_unicode.h"

static const char *const prefixes_any[] = {
    "A",    "B",    "C",    "D",    "E",    "F",    "G",    "H",      "I",    "J",
    "K",    "L",    "M",    "N",    "O",    "P",    "Q",    "R",      "S",    "T",
    "U",    "V",    "W",    "X",    "Y",    "Z",    "Adj",  "Adm",    "Adv",  "Asst",
    "Bart", "Bldg", "Brig", "Bros", "Capt", "Cmdr", "Col",  "Comdr",  "Con",  "Corp",
    "Cpl",  "DR",   "Dr",   "Drs",  "Ens",  "Gen",  "Gov",  "Hon",    "Hr",   "Hosp",
    "Insp", "Lt",   "MM",   "MR",   "MRS",  "MS",   "Maj",  "Messrs", "Mlle", "Mme",
    "Mr",   "Mrs",  "Ms",   "Msgr", "Op",   "Ord",  "Pfc",  "Ph",     "Prof", "Pvt",
    "Rep",  "Reps", "Res",  "Rev",  "Rt",   "Sen",  "Sens", "Sfc",    "Sgt",  "Sr",
    "St",   "Supt", "Surg", "v",    "vs",   "i.e",  "rev",  "e.g",    "Nos",  "Nr"};
static const char *const prefixes_number[] = {"No", "Art", "pp"};

/* Text as code points. */
struct codes {
    uint32_t *code;
    size_t count, capacity;
    bool failed;
};

static void put(struct codes *out, uint32_t code)
{
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 256;
        uint32_t *grown = realloc(out->code, capacity * sizeof *grown);

        if (!grown) {
            out->failed = true;
            return;
        }
        out->code = grown;
        out->capacity = capacity;
    }
    out->code[out->count++] = code;
}

static void put_text(struct codes *out, const char *text)
{
    for (; *text; text++)
        put(out, (unsigned char)*text);
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

static bool is_alpha(uint32_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == 0x160 || c == 0x17D ||
           c == 0x161 || c == 0x17E || c == 0x178 || (c >= 0xC0 && c <= 0xD6) ||
           (c >= 0xD8 && c <= 0xF6) || (c >= 0xF8 && c <= 0x17E) || (c >= 0x400 && c <= 0x4FF) ||
           (c >= 0x500 && c <= 0x527) || (c >= 0xA640 && c <= 0xA66E) ||
           (c >= 0xA67E && c <= 0xA697) || (c >= 0x1D00 && c <= 0x1D7F);
}

static bool is_alnum(uint32_t c)
{
    return is_alpha(c) || is_digit(c);
}

/* ---- passes ---- */

static void pass_symbols(const struct codes *in, struct codes *out)
{
    for (size_t i = 0; i < in->count; i++) {
        uint32_t c = in->code[i];

        if (is_alnum(c) || is_space(c) || c == '.' || c == '\'' || c == '`' || c == ',' ||
            c == '-' || c == 0x2018 || c == 0x2019) {
            put(out, c);
        } else {
            put(out, ' ');
            put(out, c);
            put(out, ' ');
        }
    }
}

/* Matches an ASCII word at i. */
static bool at_text(const struct codes *in, size_t i, const char *text)
{
    for (; *text; text++, i++)
        if (i >= in->count || in->code[i] != (unsigned char)*text)
            return false;
    return true;
}

static bool contains(const struct codes *in, const char *text)
{
    for (size_t i = 0; i < in->count; i++)
        if (at_text(in, i, text))
            return true;
    return false;
}

/* Every `from` becomes `to`. */
static void pass_text(const struct codes *in, struct codes *out, const char *from, const char *to)
{
    size_t length = strlen(from);

    for (size_t i = 0; i < in->count;) {
        if (at_text(in, i, from)) {
            put_text(out, to);
            i += length;
        } else {
            put(out, in->code[i++]);
        }
    }
}

/* A run of two dots or more: a space and DOTMULTI stand for its first dot. */
static void pass_dots(const struct codes *in, struct codes *out)
{
    for (size_t i = 0; i < in->count; i++) {
        if (!at_text(in, i, "..")) {
            put(out, in->code[i]);
            continue;
        }
        put_text(out, " DOTMULTI");
        for (i++; i < in->count && in->code[i] == '.'; i++)
            put(out, '.');
        i--;
    }
}

/* "DOTMULTI." and something else: the run ends here, with a space. */
static void pass_dots_end(const struct codes *in, struct codes *out)
{
    static const char mark[] = "DOTMULTI.";
    size_t length = sizeof mark - 1;

    for (size_t i = 0; i < in->count;) {
        if (at_text(in, i, mark) && i + length < in->count && in->code[i + length] != '.') {
            put_text(out, "DOTDOTMULTI ");
            put(out, in->code[i + length]);
            i += length + 1;
        } else {
            put(out, in->code[i++]);
        }
    }
}

enum kind { ANY_DIGIT, NO_DIGIT, ALPHA, NO_ALPHA, NO_ALNUM, DOT_OR_ALNUM, ALNUM, LETTER_S };

static bool is_kind(uint32_t c, enum kind kind)
{
    switch (kind) {
    case ANY_DIGIT:
        return is_digit(c);
    case NO_DIGIT:
        return !is_digit(c);
    case ALPHA:
        return is_alpha(c);
    case NO_ALPHA:
        return !is_alpha(c);
    case NO_ALNUM:
        return !is_alnum(c);
    case DOT_OR_ALNUM:
        return c == '.' || is_alnum(c);
    case ALNUM:
        return is_alnum(c);
    default:
        return c == 's';
    }
}

/* `middle` between one of kind before and one of kind after becomes `with`; all three are used up.
 */
static void pass_between(const struct codes *in, struct codes *out, enum kind before,
                         uint32_t middle, enum kind after, const char *with)
{
    for (size_t i = 0; i < in->count;) {
        if (i + 2 < in->count && in->code[i + 1] == middle && is_kind(in->code[i], before) &&
            is_kind(in->code[i + 2], after)) {
            put(out, in->code[i]);
            put_text(out, with);
            put(out, in->code[i + 2]);
            i += 3;
        } else {
            put(out, in->code[i++]);
        }
    }
}

/* Typographic quotes: single ones become ', double ones stand alone as ". */
static void pass_quotes(const struct codes *in, struct codes *out)
{
    for (size_t i = 0; i < in->count; i++) {
        uint32_t c = in->code[i];

        if (c == '`' || c == 0x2018 || c == 0x2019)
            put(out, '\'');
        else if (c == 0x201C || c == 0x201D)
            put_text(out, " \" ");
        else
            put(out, c == 0x2013 ? '-' : c);
    }
}

/* ---- words ---- */

struct span {
    const uint32_t *code;
    size_t count;
};

static bool is_prefix(struct span word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < word.count && list[i][k] && (unsigned char)list[i][k] == word.code[k])
            k++;
        if (k == word.count && !list[i][k])
            return true;
    }
    return false;
}

static struct span next_word(const struct codes *in, size_t *at)
{
    size_t from;

    while (*at < in->count && is_space(in->code[*at]))
        ++*at;
    from = *at;
    while (*at < in->count && !is_space(in->code[*at]))
        ++*at;
    return (struct span){in->code + from, *at - from};
}

static void put_word(struct codes *out, struct span word, struct span following)
{
    struct span rest = {word.code, word.count - 1};
    uint32_t next = following.count ? following.code[0] : 0;
    bool dot = false, alpha = false;

    if (word.count < 2 || word.code[word.count - 1] != '.') {
        for (size_t i = 0; i < word.count; i++)
            put(out, word.code[i]);
        return;
    }
    for (size_t i = 0; i < rest.count; i++) {
        dot |= rest.code[i] == '.';
        alpha |= is_alpha(rest.code[i]);
    }
    for (size_t i = 0; i < rest.count; i++)
        if (!(dot && alpha && rest.code[i] == '.'))
            put(out, rest.code[i]);
    if (dot && alpha)
        return;
    if (is_prefix(rest, prefixes_any, sizeof prefixes_any / sizeof *prefixes_any) ||
        (next >= 'a' && next <= 'z') ||
        (is_prefix(rest, prefixes_number, sizeof prefixes_number / sizeof *prefixes_number) &&
         is_digit(next)))
        put(out, '.');
    else
        put_text(out, " .");
}

static void pass_words(const struct codes *in, struct codes *out)
{
    size_t at = 0;
    struct span word = next_word(in, &at);

    while (word.count) {
        struct span following = next_word(in, &at);

        put_word(out, word, following);
        put(out, ' ');
        word = following;
    }
}

static bool is_wide_space(uint32_t c)
{
    return c == ' ' || c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

static void append_lower(const struct codes *in, struct str *out)
{
    struct str text = {0};
    bool space = false;

    for (size_t i = 0; i < in->count; i++) {
        char bytes[4];

        if (is_wide_space(in->code[i])) {
            space = true;
            continue;
        }
        if (space && text.length)
            str_append(&text, " ", 1);
        space = false;
        str_append(&text, bytes, str_utf8_put(bytes, in->code[i]));
    }
    if (text.length)
        ptb_append_lower(out, text.data, text.length);
    out->failed |= text.failed;
    str_free(&text);
}

/* Runs one pass from *in into *spare and swaps them. */
#define PASS(call)                                                                                 \
    do {                                                                                           \
        struct codes swapped;                                                                      \
        spare.count = 0;                                                                           \
        call;                                                                                      \
        swapped = in;                                                                              \
        in = spare;                                                                                \
        spare = swapped;                                                                           \
    } while (0)

void meteor_normalise(const char *text, struct str *out)
{
    const char *end = text + strlen(text);
    struct codes in = {0}, spare = {0};

    put(&in, ' ');
    while (text < end)
        put(&in, str_utf8_next(&text, end));
    put(&in, ' ');
    PASS(pass_symbols(&in, &spare));
    PASS(pass_dots(&in, &spare));
    while (contains(&in, "DOTMULTI.") && !in.failed && !spare.failed) {
        PASS(pass_dots_end(&in, &spare));
        PASS(pass_text(&in, &spare, "DOTMULTI.", "DOTDOTMULTI"));
    }
    PASS(pass_between(&in, &spare, NO_DIGIT, ',', NO_DIGIT, " , "));
    PASS(pass_between(&in, &spare, ANY_DIGIT, ',', NO_DIGIT, " , "));
    PASS(pass_between(&in, &spare, NO_DIGIT, ',', ANY_DIGIT, " , "));
    PASS(pass_quotes(&in, &spare));
    PASS(pass_text(&in, &spare, "''", " \" "));
    PASS(pass_text(&in, &spare, "--", "-"));
    PASS(pass_between(&in, &spare, DOT_OR_ALNUM, '-', ALNUM, " "));
    PASS(pass_between(&in, &spare, NO_ALPHA, '\'', NO_ALPHA, " ' "));
    PASS(pass_between(&in, &spare, NO_ALNUM, '\'', ALPHA, " ' "));
    PASS(pass_between(&in, &spare, ALPHA, '\'', NO_ALPHA, " ' "));
    PASS(pass_between(&in, &spare, ALPHA, '\'', ALPHA, " '"));
    PASS(pass_between(&in, &spare, ANY_DIGIT, '\'', LETTER_S, " '"));
    PASS(pass_words(&in, &spare));
    while (contains(&in, "DOTDOTMULTI") && !in.failed && !spare.failed)
        PASS(pass_text(&in, &spare, "DOTDOTMULTI", "DOTMULTI."));
    PASS(pass_text(&in, &spare, "DOTMULTI", "."));
    append_lower(&in, out);
    out->failed |= in.failed || spare.failed;
    free(in.code);
    free(spare.code);
}
