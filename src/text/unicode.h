/*
 * unicode.h: the facts about code points that BERT's tokenizer asks for (Unicode 14.0.0).
 *
 * Code points above U+10FFFF do not exist; str_utf8_next never gives one.
 */
#ifndef EARSHOT_TEXT_UNICODE_H
#define EARSHOT_TEXT_UNICODE_H

#include <stdint.h>

#define UNICODE_FOLD_MAX 4

enum unicode_property {
    UNICODE_IS_OTHER = 1,       /* category C*: control, format, surrogate, private, unassigned */
    UNICODE_IS_SPACE = 2,       /* Zs */
    UNICODE_IS_PUNCTUATION = 4, /* P* */
    UNICODE_IS_MARK = 8,        /* Mn */
    UNICODE_IS_CASED = 16,      /* Cased and not Case_Ignorable */
    UNICODE_IS_CASE_IGNORABLE = 32
};

unsigned unicode_properties(uint32_t code);

/* Canonical_Combining_Class. */
unsigned unicode_combining_class(uint32_t code);

/* Lower case without context (a capital sigma is not final), then canonical decomposition.
 * Returns the number of code points written, 1 to UNICODE_FOLD_MAX. */
int unicode_fold(uint32_t code, uint32_t out[UNICODE_FOLD_MAX]);

#endif
