/* lexer.c: NFA to DFA on demand, and matching.  See lexer.h. */
#include "metrics/lexer_nfa.h"

#include <stdlib.h>
#include <string.h>

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
    struct piece piece = lexer_parse(lexer, macros, pattern, wrong);
    int accept = lexer_add_state(lexer, NFA_ACCEPT, rule, -1);

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
        struct piece piece = lexer_parse(lexer, macros, rules[i].pattern, &wrong);
        int accept = lexer_add_state(lexer, NFA_ACCEPT, i, -1);

        if (rules[i].context) {
            piece = lexer_join(lexer, piece, lexer_parse(lexer, macros, rules[i].context, &wrong));
            if (!add_context(lexer, macros, &rules[i], i, &wrong))
                lexer->failed = true;
        }
        if (lexer->failed)
            break;
        lexer->nfa[piece.end].out = accept;
        start = lexer_add_state(lexer, NFA_SPLIT, piece.start, start);
    }
    if (!lexer->failed)
        lexer_classify(lexer, &wrong);
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
