/*
 * ptb.c: runs the rules of ptb_rules.c over a stream of captions and prints lines.  See ptb.h.
 *
 * The text is held as UTF-16, the units the rules were written for, in a window that moves: more
 * captions are read when a match stopped only because the window ended.
 */
#include "metrics/ptb.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "metrics/ptb_rules.h"
#include "metrics/ptb_unicode.h"

#define WINDOW_UNITS 32768
#define NBSP 0x00A0
#define SOFT_HYPHEN 0x00AD

struct ptb {
    struct lexer *lexer;
    uint16_t *window;
    size_t count, capacity; /* units in the window */
    struct str token, lower, line;
};

/* One call under way. */
struct run {
    struct ptb *ptb;
    const struct ptb_call *call;
    size_t read;    /* captions in the window so far */
    size_t printed; /* lines given to the sink */
};

enum earshot_status ptb_new(struct ptb **out, struct earshot_error *error)
{
    struct ptb *ptb = calloc(1, sizeof *ptb);
    struct lexer_rule *rules = calloc((size_t)ptb_rule_count, sizeof *rules);
    enum earshot_status status = EARSHOT_ERROR_MEMORY;

    *out = NULL;
    if (!ptb || !rules) {
        error_memory(error, sizeof *ptb);
    } else {
        for (int i = 0; i < ptb_rule_count; i++)
            rules[i] = (struct lexer_rule){ptb_rules[i].pattern, ptb_rules[i].context};
        status = lexer_new(ptb_macros, rules, ptb_rule_count, &ptb->lexer, error);
    }
    free(rules);
    if (status != EARSHOT_OK) {
        free(ptb);
        return status;
    }
    *out = ptb;
    return EARSHOT_OK;
}

void ptb_free(struct ptb *ptb)
{
    if (!ptb)
        return;
    lexer_free(ptb->lexer);
    free(ptb->window);
    str_free(&ptb->token);
    str_free(&ptb->lower);
    str_free(&ptb->line);
    free(ptb);
}

/* ---- text in ---- */

/* Appends the next caption; a newline goes before all but the first. */
static enum earshot_status read_caption(struct run *run, struct earshot_error *error)
{
    struct ptb *ptb = run->ptb;
    const char *text = run->call->source(run->call->context, run->read);
    size_t length = strlen(text);
    const char *end = text + length;

    if (length > PTB_CAPTION_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "caption %zu is %zu bytes long; at most %d are allowed", run->read + 1,
                         length, PTB_CAPTION_BYTES_MAX);
    if (ptb->capacity - ptb->count < length + 1) {
        size_t capacity = 2 * ptb->capacity + length + WINDOW_UNITS;
        uint16_t *window = realloc(ptb->window, capacity * sizeof *window);

        if (!window)
            return error_memory(error, capacity * sizeof *window);
        ptb->window = window;
        ptb->capacity = capacity;
    }
    if (run->read++ > 0)
        ptb->window[ptb->count++] = '\n';
    while (text < end) {
        uint32_t code = str_utf8_next(&text, end);

        if (code == '\n') {
            code = ' ';
        } else if (code >= 0x10000) {
            ptb->window[ptb->count++] = (uint16_t)(0xD800 + ((code - 0x10000) >> 10));
            code = 0xDC00 + ((code - 0x10000) & 0x3FF);
        }
        ptb->window[ptb->count++] = (uint16_t)code;
    }
    return EARSHOT_OK;
}

/* Drops what is before *at and reads on until the window has at least twice what was left. */
static enum earshot_status refill(struct run *run, size_t *at, struct earshot_error *error)
{
    struct ptb *ptb = run->ptb;
    size_t left = ptb->count - *at;

    if (left)
        memmove(ptb->window, ptb->window + *at, left * sizeof *ptb->window);
    ptb->count = left;
    *at = 0;
    while (run->read < run->call->count && ptb->count < 2 * left + WINDOW_UNITS / 2) {
        enum earshot_status status = read_caption(run, error);

        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

/* ---- lines out ---- */

/* Tokens that the metrics do not count.  The names of brackets are lower-cased when compared, so
 * those four never match: the reference's own slip, kept. */
static bool is_punctuation(const char *text, size_t length)
{
    static const char *const dropped[] = {"''",    "'",     "``", "`",   "-LRB-", "-RRB-",
                                          "-LCB-", "-RCB-", ".",  "?",   "!",     ",",
                                          ":",     "-",     "--", "...", ";"};

    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        if (strlen(dropped[i]) == length && memcmp(dropped[i], text, length) == 0)
            return true;
    return false;
}

/* What Python's rstrip takes off the end of a line. */
static size_t stripped_length(const char *text, size_t length)
{
    static const char *const spaces[] = {
        "\t",           "\n",           "\v",           "\f",           "\r",
        "\x1C",         "\x1D",         "\x1E",         "\x1F",         " ",
        "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
        "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

    for (size_t i = 0; length && i < sizeof spaces / sizeof *spaces;) {
        size_t n = strlen(spaces[i]);

        if (n <= length && memcmp(text + length - n, spaces[i], n) == 0) {
            length -= n;
            i = 0;
        } else {
            i++;
        }
    }
    return length;
}

/* Tokens stand in ptb->line, a space between them: drops the punctuation and gives it away. */
static enum earshot_status end_line(struct run *run, struct earshot_error *error)
{
    struct ptb *ptb = run->ptb;
    struct str *line = &ptb->line;
    size_t length, out = 0;

    str_append(line, "", 0);
    if (line->failed)
        return error_memory(error, line->length);
    if (run->printed >= run->call->count) {
        str_clear(line);
        return EARSHOT_OK;
    }
    length = stripped_length(line->data, line->length);
    for (size_t from = 0, to; from <= length && length; from = to + 1) {
        char *space = memchr(line->data + from, ' ', length - from);

        to = space ? (size_t)(space - line->data) : length;
        if (!run->call->keep_all && is_punctuation(line->data + from, to - from))
            continue;
        if (out > 0)
            line->data[out++] = ' ';
        memmove(line->data + out, line->data + from, to - from);
        out += to - from;
    }
    line->data[out] = '\0';
    length = out;
    out = run->printed++;
    if (run->call->sink) {
        enum earshot_status status =
            run->call->sink(run->call->context, out, line->data, length, error);

        if (status != EARSHOT_OK)
            return status;
    }
    str_clear(line);
    return EARSHOT_OK;
}

/* Prints ptb->token in lower case.  A newline inside it (in a tag's quotes) breaks the line. */
static enum earshot_status print_token(struct run *run, struct earshot_error *error)
{
    struct ptb *ptb = run->ptb;
    const char *text, *end, *newline;

    str_clear(&ptb->lower);
    if (ptb->token.length)
        ptb_append_lower(&ptb->lower, ptb->token.data, ptb->token.length);
    str_append(&ptb->lower, "", 0);
    if (ptb->token.failed || ptb->lower.failed)
        return error_memory(error, ptb->token.length);
    if (ptb->line.length)
        str_append(&ptb->line, " ", 1);
    text = ptb->lower.data;
    end = text + ptb->lower.length;
    while ((newline = memchr(text, '\n', (size_t)(end - text)))) {
        enum earshot_status status;

        str_append(&ptb->line, text, (size_t)(newline - text));
        status = end_line(run, error);
        if (status != EARSHOT_OK)
            return status;
        text = newline + 1;
    }
    str_append(&ptb->line, text, (size_t)(end - text));
    return EARSHOT_OK;
}

/* ---- tokens ---- */

static void token_set(struct str *token, const char *text)
{
    str_clear(token);
    str_append_text(token, text);
}

/* The straight form of a typographic quote, or NULL. */
static const char *straight_quote(uint32_t unit)
{
    switch (unit) {
    case 0x0091:
    case 0x2018:
    case 0x201B:
    case 0x2039:
        return "`";
    case 0x0092:
    case 0x2019:
    case 0x203A:
        return "'";
    case 0x0093:
    case 0x00AB:
    case 0x201C:
        return "``";
    case 0x0094:
    case 0x00BB:
    case 0x201D:
        return "''";
    default:
        return NULL;
    }
}

/* One unit as `action` wants it: NULL for as it stands, "" for nothing. */
static const char *replacement(enum ptb_action action, uint32_t unit)
{
    if ((action == PTB_TAG || action == PTB_PHONE) && unit == ' ')
        return "\xC2\xA0";
    if ((action == PTB_PHONE || action == PTB_SMILEY) && (unit == '(' || unit == ')'))
        return unit == '(' ? "-LRB-" : "-RRB-";
    if (action == PTB_WORD && unit == SOFT_HYPHEN)
        return "";
    if (action == PTB_QUOTES)
        return straight_quote(unit);
    return NULL;
}

static bool token_replace(struct str *token, const char *entity, char with)
{
    size_t length = strlen(entity);

    for (size_t i = 0; i + length <= token->length; i++)
        if (memcmp(token->data + i, entity, length) == 0) {
            token->data[i] = with;
            memmove(token->data + i + 1, token->data + i + length, token->length - i - length + 1);
            token->length -= length - 1;
            return true;
        }
    return false;
}

/* Turns units into ptb->token by the rule's action. */
static void make_token(struct str *token, const uint16_t *unit, size_t count,
                       enum ptb_action action)
{
    str_clear(token);
    for (size_t i = 0; i < count; i++) {
        const char *text;
        uint32_t code = unit[i];
        char bytes[64];
        size_t ascii = 0;

        /* Nearly every token: letters that no action changes. */
        while (action <= PTB_WORD && i < count && unit[i] < 0x80 && ascii < sizeof bytes)
            bytes[ascii++] = (char)unit[i++];
        if (ascii) {
            str_append(token, bytes, ascii);
            i--;
            continue;
        }
        text = replacement(action, unit[i]);
        if (text) {
            str_append_text(token, text);
            continue;
        }
        if (code >= 0xD800 && code < 0xDC00 && i + 1 < count && unit[i + 1] >= 0xDC00 &&
            unit[i + 1] < 0xE000)
            code = 0x10000 + ((code - 0xD800) << 10) + (unit[++i] - 0xDC00u);
        str_append(token, bytes, str_utf8_put(bytes, code));
    }
    if (token->failed)
        return;
    if (action == PTB_WORD && token->length == 0)
        token_set(token, "-");
    if (action == PTB_AMPERSAND)
        while (token_replace(token, "&amp;", '&'))
            ;
    if (action == PTB_QUOTES)
        while (token_replace(token, "&apos;", '\''))
            ;
}

/* Acts on one match; *length becomes what is used up. */
static enum earshot_status act(struct run *run, const struct ptb_rule *rule, const uint16_t *unit,
                               size_t *length, struct earshot_error *error)
{
    struct ptb *ptb = run->ptb;
    enum earshot_status status;

    switch (rule->action) {
    case PTB_SKIP:
        return EARSHOT_OK;
    case PTB_NEWLINE:
        return end_line(run, error);
    case PTB_TEXT:
        token_set(&ptb->token, rule->text);
        return print_token(run, error);
    case PTB_HYPHENS:
        make_token(&ptb->token, unit, *length == 3 || *length == 4 ? 2 : *length, PTB_KEEP);
        return print_token(run, error);
    case PTB_SPLIT:
        make_token(&ptb->token, unit, (size_t)rule->argument, PTB_KEEP);
        status = print_token(run, error);
        if (status != EARSHOT_OK)
            return status;
        make_token(&ptb->token, unit + rule->argument, *length - (size_t)rule->argument, PTB_KEEP);
        return print_token(run, error);
    case PTB_ACRONYM_END:
    case PTB_ABBREV_END:
        make_token(&ptb->token, unit, rule->action == PTB_ACRONYM_END && *length == 2 ? 1 : *length,
                   PTB_KEEP);
        *length -= 1;
        return print_token(run, error);
    default:
        make_token(&ptb->token, unit, *length, rule->action);
        return print_token(run, error);
    }
}

static enum earshot_status run_all(struct run *run, struct earshot_error *error)
{
    struct ptb *ptb = run->ptb;
    enum earshot_status status;
    size_t at = 0;

    for (;;) {
        struct lexer_match match = {-1, 0, true};

        if (at < ptb->count) {
            status = lexer_match(ptb->lexer, ptb->window + at, ptb->count - at, &match, error);
            if (status != EARSHOT_OK)
                return status;
        }
        if (match.hit_end && run->read < run->call->count) {
            status = refill(run, &at, error);
            if (status != EARSHOT_OK)
                return status;
            continue;
        }
        if (at == ptb->count)
            break;
        status = act(run, &ptb_rules[match.rule], ptb->window + at, &match.length, error);
        if (status != EARSHOT_OK)
            return status;
        at += match.length;
    }
    while (run->printed < run->call->count) {
        status = end_line(run, error);
        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

enum earshot_status ptb_tokenize(struct ptb *ptb, const struct ptb_call *call,
                                 struct earshot_error *error)
{
    struct run run = {ptb, call, 0, 0};

    ptb->count = 0;
    str_clear(&ptb->line);
    return run_all(&run, error);
}
