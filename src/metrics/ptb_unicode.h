/*
 * ptb_unicode.h: what the PTB tokenizer calls a letter, a digit, a mark and a symbol, and lower
 * case.
 *
 * The classes are those of the lexer that the reference was generated with (an old Unicode
 * version), as observed over the whole Basic Multilingual Plane; lower case is Java 17's.
 */
#ifndef EARSHOT_METRICS_PTB_UNICODE_H
#define EARSHOT_METRICS_PTB_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct unit_range {
    uint16_t first, last;
};

struct unit_table {
    const struct unit_range *range; /* ascending, apart */
    size_t count;
};

extern const struct unit_table ptb_letters, ptb_digits, ptb_marks, ptb_symbols;

/* One code point in lower case. */
uint32_t ptb_lower(uint32_t code);

/*
 * Appends text in lower case as Java's toLowerCase(ENGLISH) does: U+0130 becomes two characters and
 * a final sigma its own form.  Malformed UTF-8 becomes U+FFFD.
 */
void ptb_append_lower(struct str *out, const char *text, size_t length);

#endif
