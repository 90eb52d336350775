/* lexer.c: patterns -> NFA -> DFA on demand.  See lexer.h. */
#include "metrics/lexer.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- sets ---- */

static int compare_ranges(const void *a, const void *b)
{
    const struct unit_range *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static void set_add(struct lexer *lexer, struct unit_set *set, uint32_t first, uint32_t last)
{
    struct unit_range *range = realloc(set->range, (set->count + 1) * sizeof *range);

    if (!range) {
        lexer->failed = true;
        return;
    }
    set->range = range;
    range[set->count++] = (struct unit_range){(uint16_t)first, (uint16_t)last};
}

static void set_add_table(struct lexer *lexer, struct unit_set *set, struct unit_table table)
{
    for (size_t i = 0; i < table.count; i++)
        set_add(lexer, set, table.range[i].first, table.range[i].last);
}

static void set_normalise(struct unit_set *set)
{
    size_t count = 0;

    if (!set->count)
        return;
    qsort(set->range, set->count, sizeof *set->range, compare_ranges);
    for (size_t i = 1; i < set->count; i++) {
        struct unit_range *last = &set->range[count];

        if (set->range[i].first <= last->last + 1) {
            if (set->range[i].last > last->last)
                last->last = set->range[i].last;
        } else {
            set->range[++count] = set->range[i];
        }
    }
    set->count = count + 1;
}

static void set_negate(struct lexer *lexer, struct unit_set *set)
{
    struct unit_set out = {0};
    uint32_t next = 0;

    set_normalise(set);
    for (size_t i = 0; i < set->count; i++) {
        if (set->range[i].first > next)
            set_add(lexer, &out, next, set->range[i].first - 1u);
        next = set->range[i].last + 1u;
    }
    if (next < UNITS)
        set_add(lexer, &out, next, UNITS - 1);
    free(set->range);
    *set = out;
}

static bool set_has(const struct unit_set *set, uint32_t unit)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (set->range[middle].last < unit)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->range[low].first <= unit;
}

/* The number of an equal set, new if there is none.  Takes set. */
static int set_intern(struct lexer *lexer, struct unit_set *set)
{
    set_normalise(set);
    for (int i = 0; i < lexer->set_count; i++)
        if (lexer->sets[i].count == set->count &&
            memcmp(lexer->sets[i].range, set->range, set->count * sizeof *set->range) == 0) {
            free(set->range);
            return i;
        }
    if (lexer->set_count == lexer->set_capacity) {
        int capacity = lexer->set_capacity ? lexer->set_capacity * 2 : 64;
        struct unit_set *sets = realloc(lexer->sets, (size_t)capacity * sizeof *sets);

        if (!sets) {
            lexer->failed = true;
            free(set->range);
            return 0;
        }
        lexer->sets = sets;
        lexer->set_capacity = capacity;
    }
    lexer->sets[lexer->set_count] = *set;
    return lexer->set_count++;
}

/* ---- patterns ---- */

struct parser {
    struct lexer *lexer;
    const struct lexer_macro *macros;
    const char *p, *end;
    bool wrong; /* a mistake in a pattern */
};

/* A piece of NFA: enter at start; end is a SPLIT state whose out is to be set. */
struct piece {
    int start, end;
};

static int add_state(struct lexer *lexer, int set, int out, int out2)
{
    if (lexer->nfa_count == lexer->nfa_capacity) {
        int capacity = lexer->nfa_capacity ? lexer->nfa_capacity * 2 : 1024;
        struct nfa_state *nfa = realloc(lexer->nfa, (size_t)capacity * sizeof *nfa);

        if (!nfa) {
            lexer->failed = true;
            return 0;
        }
        lexer->nfa = nfa;
        lexer->nfa_capacity = capacity;
    }
    lexer->nfa[lexer->nfa_count] = (struct nfa_state){set, out, out2};
    return lexer->nfa_count++;
}

static struct piece piece_empty(struct lexer *lexer)
{
    int state = add_state(lexer, NFA_SPLIT, -1, -1);

    return (struct piece){state, state};
}

static struct piece piece_set(struct lexer *lexer, struct unit_set *set)
{
    int end = add_state(lexer, NFA_SPLIT, -1, -1);
    int start = add_state(lexer, set_intern(lexer, set), end, -1);

    return (struct piece){start, end};
}

static struct piece piece_join(struct lexer *lexer, struct piece a, struct piece b)
{
    if (!lexer->failed)
        lexer->nfa[a.end].out = b.start;
    return (struct piece){a.start, b.end};
}

static struct piece piece_or(struct lexer *lexer, struct piece a, struct piece b)
{
    int end = add_state(lexer, NFA_SPLIT, -1, -1);
    int start = add_state(lexer, NFA_SPLIT, a.start, b.start);

    if (!lexer->failed)
        lexer->nfa[a.end].out = lexer->nfa[b.end].out = end;
    return (struct piece){start, end};
}

static struct piece piece_star(struct lexer *lexer, struct piece a)
{
    int end = add_state(lexer, NFA_SPLIT, -1, -1);
    int start = add_state(lexer, NFA_SPLIT, a.start, end);

    if (!lexer->failed)
        lexer->nfa[a.end].out = start;
    return (struct piece){start, end};
}

static uint32_t parse_escape(struct parser *parser)
{
    char c = *parser->p++;
    char digits[5] = {0};

    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'f':
        return '\f';
    case 'u':
        if (parser->end - parser->p < 4) {
            parser->wrong = true;
            return 0;
        }
        memcpy(digits, parser->p, 4);
        parser->p += 4;
        return (uint32_t)strtoul(digits, NULL, 16);
    default:
        return (unsigned char)c;
    }
}

static struct piece parse_bracket(struct parser *parser)
{
    struct unit_set set = {0};
    bool negate = *parser->p == '^';

    parser->p += negate;
    while (parser->p < parser->end && *parser->p != ']') {
        uint32_t first = (unsigned char)*parser->p++, last;

        if (first == '\\')
            first = parse_escape(parser);
        last = first;
        if (parser->end - parser->p > 1 && parser->p[0] == '-' && parser->p[1] != ']') {
            parser->p++;
            last = (unsigned char)*parser->p++;
            if (last == '\\')
                last = parse_escape(parser);
        }
        set_add(parser->lexer, &set, first, last);
    }
    parser->p++;
    if (negate)
        set_negate(parser->lexer, &set);
    return piece_set(parser->lexer, &set);
}

static struct piece parse_literal(struct parser *parser)
{
    struct unit_set set = {0};
    uint32_t unit = (unsigned char)*parser->p++;

    if (unit == '\\') {
        const struct unit_table *table = NULL;

        switch (*parser->p) {
        case 'L':
            table = &ptb_letters;
            break;
        case 'D':
            table = &ptb_digits;
            break;
        case 'M':
            table = &ptb_marks;
            break;
        case 'S':
            table = &ptb_symbols;
            break;
        }
        if (table) {
            parser->p++;
            set_add_table(parser->lexer, &set, *table);
            return piece_set(parser->lexer, &set);
        }
        unit = parse_escape(parser);
    }
    set_add(parser->lexer, &set, unit, unit);
    if ((unit >= 'a' && unit <= 'z') || (unit >= 'A' && unit <= 'Z'))
        set_add(parser->lexer, &set, unit ^ 0x20, unit ^ 0x20);
    return piece_set(parser->lexer, &set);
}

static struct piece parse_alternatives(struct parser *parser);

static struct piece parse_macro(struct parser *parser)
{
    const char *close = memchr(parser->p, '>', (size_t)(parser->end - parser->p));
    struct parser inner = *parser;
    struct piece piece;
    size_t length;

    if (close) {
        length = (size_t)(close - parser->p);
        for (const struct lexer_macro *m = parser->macros; m->name; m++)
            if (strlen(m->name) == length && memcmp(m->name, parser->p, length) == 0) {
                inner.p = m->pattern;
                inner.end = m->pattern + strlen(m->pattern);
                piece = parse_alternatives(&inner);
                parser->wrong |= inner.wrong || inner.p != inner.end;
                parser->p = close + 1;
                return piece;
            }
    }
    parser->wrong = true;
    parser->p = parser->end;
    return piece_empty(parser->lexer);
}

static struct piece parse_atom(struct parser *parser)
{
    struct piece piece;

    switch (*parser->p) {
    case '(':
        parser->p++;
        piece = parse_alternatives(parser);
        if (parser->p < parser->end && *parser->p == ')')
            parser->p++;
        else
            parser->wrong = true;
        return piece;
    case '[':
        parser->p++;
        return parse_bracket(parser);
    case '<':
        parser->p++;
        return parse_macro(parser);
    default:
        return parse_literal(parser);
    }
}

/* {m}, {m,n}: m copies, then n - m optional ones.  Each copy is parsed anew from `from`. */
static struct piece parse_counted(struct parser *parser, const char *from)
{
    struct lexer *lexer = parser->lexer;
    char *after;
    long low = strtol(parser->p + 1, &after, 10), high = low;
    struct piece piece = piece_empty(lexer);

    if (*after == ',')
        high = strtol(after + 1, &after, 10);
    for (long i = 0; i < high; i++) {
        struct parser again = *parser;
        struct piece copy;

        again.p = from;
        copy = parse_atom(&again);
        if (i >= low)
            copy = piece_or(lexer, copy, piece_empty(lexer));
        piece = piece_join(lexer, piece, copy);
    }
    parser->p = after + 1;
    return piece;
}

static struct piece parse_repeated(struct parser *parser)
{
    struct lexer *lexer = parser->lexer;
    const char *from = parser->p;
    struct piece piece = parse_atom(parser);

    if (parser->p < parser->end) {
        switch (*parser->p) {
        case '*':
            parser->p++;
            return piece_star(lexer, piece);
        case '?':
            parser->p++;
            return piece_or(lexer, piece, piece_empty(lexer));
        case '+': {
            struct parser again = *parser;

            parser->p++;
            again.p = from;
            return piece_join(lexer, piece, piece_star(lexer, parse_atom(&again)));
        }
        case '{':
            return parse_counted(parser, from);
        }
    }
    return piece;
}

static struct piece parse_alternatives(struct parser *parser)
{
    struct lexer *lexer = parser->lexer;
    struct piece all = {-1, -1};

    for (;;) {
        struct piece piece = piece_empty(lexer);

        while (parser->p < parser->end && *parser->p != '|' && *parser->p != ')' && !lexer->failed)
            piece = piece_join(lexer, piece, parse_repeated(parser));
        all = all.start < 0 ? piece : piece_or(lexer, all, piece);
        if (parser->p >= parser->end || *parser->p != '|' || lexer->failed)
            return all;
        parser->p++;
    }
}

static struct piece parse_pattern(struct lexer *lexer, const struct lexer_macro *macros,
                                  const char *pattern, bool *wrong)
{
    struct parser parser = {lexer, macros, pattern, pattern + strlen(pattern), false};
    struct piece piece = parse_alternatives(&parser);

    *wrong |= parser.wrong || (parser.p != parser.end && !lexer->failed);
    return piece;
}

/* ---- classes: units that no set tells apart ---- */

static void classify(struct lexer *lexer, bool *wrong)
{
    size_t words = ((size_t)lexer->set_count + 63) / 64;
    bool *boundary = calloc(UNITS + 1, sizeof *boundary);
    uint64_t *signatures = calloc(CLASSES_MAX * words, sizeof *signatures);
    uint64_t *signature = calloc(words, sizeof *signature);
    int current = 0;

    lexer->class_in_set = calloc((size_t)lexer->set_count * CLASSES_MAX, sizeof(bool));
    if (!boundary || !signatures || !signature || !lexer->class_in_set) {
        lexer->failed = true;
        goto done;
    }
    for (int s = 0; s < lexer->set_count; s++)
        for (size_t i = 0; i < lexer->sets[s].count; i++) {
            boundary[lexer->sets[s].range[i].first] = true;
            boundary[lexer->sets[s].range[i].last + 1] = true;
        }
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        if (unit == 0 || boundary[unit]) {
            memset(signature, 0, words * sizeof *signature);
            for (int s = 0; s < lexer->set_count; s++)
                if (set_has(&lexer->sets[s], unit))
                    signature[s / 64] |= UINT64_C(1) << (s % 64);
            for (current = 0; current < lexer->class_count; current++)
                if (memcmp(signatures + (size_t)current * words, signature,
                           words * sizeof *signature) == 0)
                    break;
            if (current == CLASSES_MAX) {
                *wrong = true;
                goto done;
            }
            if (current == lexer->class_count) {
                memcpy(signatures + (size_t)current * words, signature, words * sizeof *signature);
                for (int s = 0; s < lexer->set_count; s++)
                    lexer->class_in_set[s * CLASSES_MAX + current] =
                        signature[s / 64] >> (s % 64) & 1;
                lexer->class_count++;
            }
        }
        lexer->unit_class[unit] = (uint8_t)current;
    }
done:
    free(boundary);
    free(signatures);
    free(signature);
}

/* ---- DFA ---- */

static void dfa_init(struct dfa *dfa, int start)
{
    *dfa = (struct dfa){.start = start, .first = -1};
}

static void dfa_clear(struct dfa *dfa)
{
    for (int i = 0; i < dfa->state_count; i++)
        free(dfa->members[i]);
    dfa->state_count = 0;
    dfa->first = -1;
    if (dfa->hash)
        memset(dfa->hash, 0xFF, 2 * DFA_STATES_MAX * sizeof *dfa->hash);
}

static void dfa_free(struct dfa *dfa)
{
    dfa_clear(dfa);
    free(dfa->next);
    free(dfa->accept);
    free(dfa->members);
    free(dfa->member_count);
    free(dfa->hash);
}

/* Appends what can be reached from state without consuming to list; returns the new count. */
static int close_over(struct lexer *lexer, int state, int *list, int count)
{
    int depth = 0;

    lexer->stack[depth++] = state;
    while (depth > 0) {
        const struct nfa_state *s;

        state = lexer->stack[--depth];
        if (state < 0 || lexer->mark[state] == lexer->generation)
            continue;
        lexer->mark[state] = lexer->generation;
        s = &lexer->nfa[state];
        if (s->set == NFA_SPLIT) {
            lexer->stack[depth++] = s->out;
            lexer->stack[depth++] = s->out2;
        } else {
            list[count++] = state;
        }
    }
    return count;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return x < y ? -1 : x > y;
}

static bool dfa_reserve(struct dfa *dfa, int classes)
{
    int capacity = dfa->capacity ? dfa->capacity * 2 : 16;
    int *next, *accept, *member_count, **members;

    if (dfa->state_count < dfa->capacity)
        return true;
    next = realloc(dfa->next, (size_t)capacity * (size_t)classes * sizeof *next);
    if (next)
        dfa->next = next;
    accept = realloc(dfa->accept, (size_t)capacity * sizeof *accept);
    if (accept)
        dfa->accept = accept;
    member_count = realloc(dfa->member_count, (size_t)capacity * sizeof *member_count);
    if (member_count)
        dfa->member_count = member_count;
    members = realloc(dfa->members, (size_t)capacity * sizeof *members);
    if (members)
        dfa->members = members;
    if (!next || !accept || !member_count || !members)
        return false;
    dfa->capacity = capacity;
    return true;
}

/* The DFA state of a set of NFA states; -2 for none of them, -3 when out of memory. */
static int dfa_state(struct lexer *lexer, struct dfa *dfa, int *list, int count)
{
    uint32_t hash = 2166136261u, slot;
    int id, *members;

    if (!count)
        return -2;
    qsort(list, (size_t)count, sizeof *list, compare_ints);
    for (int i = 0; i < count; i++)
        hash = (hash ^ (uint32_t)list[i]) * 16777619u;
    for (slot = hash % (2 * DFA_STATES_MAX); (id = dfa->hash[slot]) >= 0;
         slot = (slot + 1) % (2 * DFA_STATES_MAX))
        if (dfa->member_count[id] == count &&
            memcmp(dfa->members[id], list, (size_t)count * sizeof *list) == 0)
            return id;
    members = malloc((size_t)count * sizeof *members);
    if (!members || !dfa_reserve(dfa, lexer->class_count)) {
        free(members);
        return -3;
    }
    memcpy(members, list, (size_t)count * sizeof *list);
    id = dfa->state_count++;
    dfa->hash[slot] = id;
    dfa->members[id] = members;
    dfa->member_count[id] = count;
    dfa->accept[id] = -1;
    for (int i = 0; i < count; i++) {
        const struct nfa_state *s = &lexer->nfa[list[i]];

        if (s->set == NFA_ACCEPT && (dfa->accept[id] < 0 || s->out < dfa->accept[id]))
            dfa->accept[id] = s->out;
    }
    for (int c = 0; c < lexer->class_count; c++)
        dfa->next[(size_t)id * (size_t)lexer->class_count + (size_t)c] = -1;
    return id;
}

static int dfa_start(struct lexer *lexer, struct dfa *dfa)
{
    if (!dfa->hash) {
        dfa->hash = malloc(2 * DFA_STATES_MAX * sizeof *dfa->hash);
        if (!dfa->hash)
            return -3;
        dfa_clear(dfa);
    }
    if (dfa->first < 0) {
        lexer->generation++;
        dfa->first =
            dfa_state(lexer, dfa, lexer->list, close_over(lexer, dfa->start, lexer->list, 0));
    }
    return dfa->first;
}

static int dfa_step(struct lexer *lexer, struct dfa *dfa, int state, int class)
{
    int count = 0, next;

    lexer->generation++;
    for (int i = 0; i < dfa->member_count[state]; i++) {
        const struct nfa_state *s = &lexer->nfa[dfa->members[state][i]];

        if (s->set >= 0 && lexer->class_in_set[s->set * CLASSES_MAX + class])
            count = close_over(lexer, s->out, lexer->list, count);
    }
    if (dfa->state_count == DFA_STATES_MAX) {
        dfa_clear(dfa); /* `state` is gone: nothing to remember the step in */
        return dfa_state(lexer, dfa, lexer->list, count);
    }
    next = dfa_state(lexer, dfa, lexer->list, count);
    if (next != -3)
        dfa->next[(size_t)state * (size_t)lexer->class_count + (size_t) class] = next;
    return next;
}

/*
 * Runs dfa over text[0..count).  Every accepting end is told to *rule and *length, the last one
 * staying; with `ends` (count + 1 flags) each is marked there too.  Returns where the scan stopped,
 * or SIZE_MAX when out of memory.
 */
static size_t dfa_run(struct lexer *lexer, struct dfa *dfa, const uint16_t *text, size_t count,
                      int *rule, size_t *length, bool *ends)
{
    int state = dfa_start(lexer, dfa);
    size_t i = 0;

    *rule = -1;
    *length = 0;
    for (;; i++) {
        int class, next;

        if (state < 0)
            return state == -3 ? SIZE_MAX : i;
        if (dfa->accept[state] >= 0) {
            *rule = dfa->accept[state];
            *length = i;
            if (ends)
                ends[i] = true;
        }
        if (i == count)
            return i;
        class = lexer->unit_class[text[i]];
        next = dfa->next[(size_t)state * (size_t)lexer->class_count + (size_t) class];
        state = next != -1 ? next : dfa_step(lexer, dfa, state, class);
    }
}

/* The longest token such that the rest of the matched text is its right context. */
static enum earshot_status cut_context(struct lexer *lexer, struct context_pair *pair,
                                       const uint16_t *text, size_t *length,
                                       struct earshot_error *error)
{
    size_t total = *length, end;
    bool *ends = calloc(total + 1, sizeof *ends);
    int rule;

    if (!ends)
        return error_memory(error, total + 1);
    if (dfa_run(lexer, &pair->token, text, total, &rule, &end, ends) == SIZE_MAX)
        goto memory;
    for (size_t i = total; i-- > 0;) {
        if (!ends[i])
            continue;
        if (dfa_run(lexer, &pair->context, text + i, total - i, &rule, &end, NULL) == SIZE_MAX)
            goto memory;
        if (rule >= 0 && end == total - i) {
            *length = i;
            free(ends);
            return EARSHOT_OK;
        }
    }
    free(ends);
    return error_set(error, EARSHOT_ERROR_INTERNAL, "lexer: a right context was lost");
memory:
    free(ends);
    return error_memory(error, sizeof *lexer);
}

enum earshot_status lexer_match(struct lexer *lexer, const uint16_t *text, size_t count,
                                struct lexer_match *match, struct earshot_error *error)
{
    size_t stop = dfa_run(lexer, &lexer->all, text, count, &match->rule, &match->length, NULL);

    if (stop == SIZE_MAX)
        return error_memory(error, sizeof *lexer);
    match->hit_end = stop == count;
    if (match->rule >= 0 && lexer->contexts[match->rule])
        return cut_context(lexer, lexer->contexts[match->rule], text, &match->length, error);
    return EARSHOT_OK;
}

/* ---- making one ---- */

/* A pattern of its own that accepts with `rule`; its start. */
static int add_accepting(struct lexer *lexer, const struct lexer_macro *macros, const char *pattern,
                         int rule, bool *wrong)
{
    struct piece piece = parse_pattern(lexer, macros, pattern, wrong);
    int accept = add_state(lexer, NFA_ACCEPT, rule, -1);

    if (!lexer->failed)
        lexer->nfa[piece.end].out = accept;
    return piece.start;
}

static bool add_context(struct lexer *lexer, const struct lexer_macro *macros,
                        const struct lexer_rule *rule, int number, bool *wrong)
{
    struct context_pair *pair = calloc(1, sizeof *pair);

    lexer->contexts[number] = pair;
    if (!pair)
        return false;
    dfa_init(&pair->token, add_accepting(lexer, macros, rule->pattern, 0, wrong));
    dfa_init(&pair->context, add_accepting(lexer, macros, rule->context, 0, wrong));
    return true;
}

enum earshot_status lexer_new(const struct lexer_macro *macros, const struct lexer_rule *rules,
                              int rule_count, struct lexer **out, struct earshot_error *error)
{
    struct lexer *lexer = calloc(1, sizeof *lexer);
    bool wrong = false;
    int start = -1;

    *out = NULL;
    if (!lexer)
        return error_memory(error, sizeof *lexer);
    lexer->rule_count = rule_count;
    lexer->contexts = calloc((size_t)rule_count, sizeof *lexer->contexts);
    lexer->failed = !lexer->contexts;
    for (int i = 0; i < rule_count && !lexer->failed; i++) {
        struct piece piece = parse_pattern(lexer, macros, rules[i].pattern, &wrong);
        int accept = add_state(lexer, NFA_ACCEPT, i, -1);

        if (rules[i].context) {
            piece =
                piece_join(lexer, piece, parse_pattern(lexer, macros, rules[i].context, &wrong));
            if (!add_context(lexer, macros, &rules[i], i, &wrong))
                lexer->failed = true;
        }
        if (lexer->failed)
            break;
        lexer->nfa[piece.end].out = accept;
        start = add_state(lexer, NFA_SPLIT, piece.start, start);
    }
    if (!lexer->failed)
        classify(lexer, &wrong);
    if (!lexer->failed) {
        lexer->mark = calloc((size_t)lexer->nfa_count, sizeof *lexer->mark);
        lexer->stack = malloc(2 * (size_t)lexer->nfa_count * sizeof *lexer->stack);
        lexer->list = malloc((size_t)lexer->nfa_count * sizeof *lexer->list);
        lexer->failed = !lexer->mark || !lexer->stack || !lexer->list;
        dfa_init(&lexer->all, start);
    }
    if (lexer->failed || wrong) {
        enum earshot_status status =
            lexer->failed ? error_memory(error, sizeof *lexer)
                          : error_set(error, EARSHOT_ERROR_INTERNAL, "lexer: malformed pattern");

        lexer_free(lexer);
        return status;
    }
    *out = lexer;
    return EARSHOT_OK;
}

void lexer_free(struct lexer *lexer)
{
    if (!lexer)
        return;
    dfa_free(&lexer->all);
    for (int i = 0; lexer->contexts && i < lexer->rule_count; i++)
        if (lexer->contexts[i]) {
            dfa_free(&lexer->contexts[i]->token);
            dfa_free(&lexer->contexts[i]->context);
            free(lexer->contexts[i]);
        }
    for (int i = 0; i < lexer->set_count; i++)
        free(lexer->sets[i].range);
    free(lexer->contexts);
    free(lexer->sets);
    free(lexer->nfa);
    free(lexer->class_in_set);
    free(lexer->mark);
    free(lexer->stack);
    free(lexer->list);
    free(lexer);
}
