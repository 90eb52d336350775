/*
 * unicode.c: look-ups in the generated tables, and Hangul syllables, which decompose by arithmetic
 * (The Unicode Standard 14.0, section 3.12).  See unicode.h.
 */
#include "text/unicode.h"

#include "text/unicode_data.h"

enum {
    HANGUL_BASE = 0xAC00,
    HANGUL_COUNT = 11172,
    HANGUL_LEAD = 0x1100,
    HANGUL_VOWEL = 0x1161,
    HANGUL_TAIL = 0x11A7,
    HANGUL_VOWELS = 21,
    HANGUL_TAILS = 28
};

static uint32_t place(uint32_t block, uint32_t code)
{
    return block << UNICODE_SHIFT | (code & ((1u << UNICODE_SHIFT) - 1));
}

unsigned unicode_properties(uint32_t code)
{
    return unicode_properties_stage2[place(unicode_properties_stage1[code >> UNICODE_SHIFT], code)];
}

unsigned unicode_combining_class(uint32_t code)
{
    return unicode_combining_stage2[place(unicode_combining_stage1[code >> UNICODE_SHIFT], code)];
}

static int decompose_hangul(uint32_t syllable, uint32_t out[UNICODE_FOLD_MAX])
{
    out[0] = HANGUL_LEAD + syllable / (HANGUL_VOWELS * HANGUL_TAILS);
    out[1] = HANGUL_VOWEL + syllable / HANGUL_TAILS % HANGUL_VOWELS;
    out[2] = HANGUL_TAIL + syllable % HANGUL_TAILS;
    return syllable % HANGUL_TAILS == 0 ? 2 : 3;
}

int unicode_fold(uint32_t code, uint32_t out[UNICODE_FOLD_MAX])
{
    unsigned entry, length;

    if (code - HANGUL_BASE < HANGUL_COUNT)
        return decompose_hangul(code - HANGUL_BASE, out);
    entry = unicode_fold_stage2[place(unicode_fold_stage1[code >> UNICODE_SHIFT], code)];
    if (entry == 0) {
        out[0] = code;
        return 1;
    }
    length = entry % 4 == 0 ? 4 : entry % 4;
    for (unsigned i = 0; i < length; i++)
        out[i] = unicode_fold_pool[(entry - length) / 4 + i];
    return (int)length;
}
