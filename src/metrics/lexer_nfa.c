/* lexer_nfa.c: patterns to NFA, units to classes.  See lexer.h. */
#include "metrics/lexer_nfa.h"

#include <stdlib.h>
#include <string.h>

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

int lexer_add_state(struct lexer *lexer, int set, int out, int out2)
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
    int state = lexer_add_state(lexer, NFA_SPLIT, -1, -1);

    return (struct piece){state, state};
}

static struct piece piece_set(struct lexer *lexer, struct unit_set *set)
{
    int end = lexer_add_state(lexer, NFA_SPLIT, -1, -1);
    int start = lexer_add_state(lexer, set_intern(lexer, set), end, -1);

    return (struct piece){start, end};
}

struct piece lexer_join(struct lexer *lexer, struct piece a, struct piece b)
{
    if (!lexer->failed)
        lexer->nfa[a.end].out = b.start;
    return (struct piece){a.start, b.end};
}

static struct piece piece_or(struct lexer *lexer, struct piece a, struct piece b)
{
    int end = lexer_add_state(lexer, NFA_SPLIT, -1, -1);
    int start = lexer_add_state(lexer, NFA_SPLIT, a.start, b.start);

    if (!lexer->failed)
        lexer->nfa[a.end].out = lexer->nfa[b.end].out = end;
    return (struct piece){start, end};
}

static struct piece piece_star(struct lexer *lexer, struct piece a)
{
    int end = lexer_add_state(lexer, NFA_SPLIT, -1, -1);
    int start = lexer_add_state(lexer, NFA_SPLIT, a.start, end);

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
        piece = lexer_join(lexer, piece, copy);
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
            return lexer_join(lexer, piece, piece_star(lexer, parse_atom(&again)));
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
            piece = lexer_join(lexer, piece, parse_repeated(parser));
        all = all.start < 0 ? piece : piece_or(lexer, all, piece);
        if (parser->p >= parser->end || *parser->p != '|' || lexer->failed)
            return all;
        parser->p++;
    }
}

struct piece lexer_parse(struct lexer *lexer, const struct lexer_macro *macros, const char *pattern,
                         bool *wrong)
{
    struct parser parser = {lexer, macros, pattern, pattern + strlen(pattern), false};
    struct piece piece = parse_alternatives(&parser);

    *wrong |= parser.wrong || (parser.p != parser.end && !lexer->failed);
    return piece;
}

/* ---- classes: units that no set tells apart ---- */

void lexer_classify(struct lexer *lexer, bool *wrong)
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
