/*
 * lexer.h: regular expressions over UTF-16 units, matched longest-first by a lazily built DFA.
 *
 * What a lexer generator does at build time (Aho, Lam, Sethi, Ullman, "Compilers", chapter 3:
 * Thompson's construction, subset construction), done when first needed: rules are parsed into one
 * NFA, and DFA states are made as texts ask for them.  All rules are tried at once; the longest
 * match wins, among equals the rule with the lowest number.
 *
 * Pattern syntax: literals match any case of ASCII letters; [...] sets are case-sensitive, with
 * ranges, ^ and escapes; ( ) | * + ? {m} {m,n} as usual; <NAME> is another pattern; escapes are
 * \n \r \t \uXXXX, \L letters, \D digits, \M marks, \S symbols, \. any unit; \ before
 * anything else is that character.  Patterns are constants of this program, not user input.
 */
#ifndef EARSHOT_METRICS_LEXER_H
#define EARSHOT_METRICS_LEXER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct lexer_macro {
    const char *name, *pattern;
};

struct lexer_rule {
    const char *pattern;
    const char *context; /* what must follow (it counts in the length compared); NULL: nothing */
};

struct lexer;

/* The macro table ends with a NULL name; both tables must outlive the lexer. */
enum earshot_status lexer_new(const struct lexer_macro *macros, const struct lexer_rule *rules,
                              int rule_count, struct lexer **lexer, struct earshot_error *error);
void lexer_free(struct lexer *lexer);

struct lexer_match {
    int rule;      /* -1: no rule matches */
    size_t length; /* units of the token, without its right context */
    bool hit_end;  /* the scan reached the end of the text: more text could change the answer */
};

/* Matches at text[0..count).  Not thread-safe: the DFA grows.  Fails only for want of memory. */
enum earshot_status lexer_match(struct lexer *lexer, const uint16_t *text, size_t count,
                                struct lexer_match *match, struct earshot_error *error);

#endif
