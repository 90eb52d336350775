/* ptb_rules.h: the tokenizer's rules as a table, for ptb.c alone. */
#ifndef EARSHOT_METRICS_PTB_RULES_H
#define EARSHOT_METRICS_PTB_RULES_H

#include "metrics/lexer.h"

/* What becomes of a match. */
enum ptb_action {
    PTB_KEEP,        /* a token as it stands */
    PTB_WORD,        /* ... without soft hyphens; "-" if nothing is left */
    PTB_SPLIT,       /* two tokens, the first `argument` units long */
    PTB_TAG,         /* spaces become U+00A0 */
    PTB_PHONE,       /* ... and round brackets their names */
    PTB_SMILEY,      /* round brackets become their names */
    PTB_AMPERSAND,   /* &amp; becomes & */
    PTB_TEXT,        /* the token is `text` */
    PTB_ACRONYM_END, /* ends a sentence: "I." gives "I" and then ".", "U.S." gives "U.S." and "." */
    PTB_ABBREV_END,  /* ... "etc." gives "etc." and then "." */
    PTB_HYPHENS,     /* 3 or 4 become 2 */
    PTB_QUOTES,      /* typographic quotes become ` `` ' '' */
    PTB_SKIP,
    PTB_NEWLINE
};

struct ptb_rule {
    const char *pattern, *context;
    enum ptb_action action;
    int argument;
    const char *text;
};

extern const struct ptb_rule ptb_rules[];
extern const int ptb_rule_count;
extern const struct lexer_macro ptb_macros[];

#endif
