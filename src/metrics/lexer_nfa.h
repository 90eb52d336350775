/*
 * lexer_nfa.h: the inside of a lexer, for lexer.c and lexer_nfa.c alone.
 */
#ifndef EARSHOT_METRICS_LEXER_NFA_H
#define EARSHOT_METRICS_LEXER_NFA_H

#include <stdbool.h>

#include "metrics/lexer.h"
#include "metrics/ptb_unicode.h"

#define UNITS 65536
#define CLASSES_MAX 256
#define DFA_STATES_MAX 8192 /* beyond this the cache starts anew: a bound for hostile text */

/* A set of units: sorted, disjoint ranges. */
struct unit_set {
    struct unit_range *range;
    size_t count;
};

/* set >= 0: consume a unit of that set, go to out.  SPLIT: out and out2.  ACCEPT: rule in out. */
enum { NFA_SPLIT = -1, NFA_ACCEPT = -2 };

struct nfa_state {
    int set, out, out2;
};

struct dfa {
    int start;     /* NFA state */
    int first;     /* DFA state of start, -1 when not yet made */
    int *next;     /* [state][class]: state, -1 unknown, -2 dead */
    int *accept;   /* rule, or -1 */
    int **members; /* NFA states (consuming and accepting ones), ascending */
    int *member_count;
    int state_count, capacity;
    int *hash; /* of member lists; 2 * DFA_STATES_MAX slots, -1 empty */
};

struct context_pair {
    struct dfa token, context;
};

struct lexer {
    struct nfa_state *nfa;
    int nfa_count, nfa_capacity;
    struct unit_set *sets;
    int set_count, set_capacity;
    uint8_t unit_class[UNITS];
    bool *class_in_set; /* [set][class] */
    int class_count;
    struct dfa all;
    struct context_pair **contexts; /* per rule; NULL without a context */
    int rule_count;
    /* scratch of the subset construction */
    unsigned *mark, generation;
    int *stack, *list;
    bool failed; /* an allocation failed while building */
};

/* A piece of NFA: enter at start; end is a SPLIT state whose out is to be set. */
struct piece {
    int start, end;
};

int lexer_add_state(struct lexer *lexer, int set, int out, int out2);
struct piece lexer_join(struct lexer *lexer, struct piece a, struct piece b);
/* *wrong becomes true for a malformed pattern; lexer->failed when out of memory. */
struct piece lexer_parse(struct lexer *lexer, const struct lexer_macro *macros, const char *pattern,
                         bool *wrong);
/* After all patterns: puts units that no set tells apart into one class. */
void lexer_classify(struct lexer *lexer, bool *wrong);

#endif
