/*
 * result.c: results as the caller gets them.
 *
 * A caption is one block of memory: the struct, its tokens, pointers to the rest of its n-best
 * list, and every string.
 */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The public struct comes first, so that a pointer to one is a pointer to the other. */
struct whole_result {
    struct earshot_result public;
    struct earshot_caption **caption;
    int capacity;
    char problem[sizeof((struct earshot_error *)0)->message];
};

struct earshot_result *result_new(void)
{
    struct whole_result *whole = calloc(1, sizeof *whole);

    if (!whole)
        return NULL;
    whole->public.problem = whole->problem;
    return &whole->public;
}

static void caption_free(const struct earshot_caption *caption)
{
    if (!caption)
        return;
    for (int i = 0; i < caption->other_count; i++)
        caption_free(caption->other[i]);
    free((void *)(uintptr_t)caption);
}

void earshot_result_free(struct earshot_result *result)
{
    struct whole_result *whole = (struct whole_result *)result;

    if (!whole)
        return;
    for (int i = 0; i < result->caption_count; i++)
        caption_free(whole->caption[i]);
    free(whole->caption);
    free(whole);
}

void result_set_problem(struct earshot_result *result, const char *message)
{
    struct whole_result *whole = (struct whole_result *)result;

    if (!whole->problem[0])
        snprintf(whole->problem, sizeof whole->problem, "%s", message);
}

void result_add_failure(struct earshot_result *result, const struct earshot_error *error)
{
    result->failed_windows++;
    result_set_problem(result, error->message);
}

/* Copies a string to *to and moves on. */
static const char *put_string(char **to, const char *text)
{
    size_t size_bytes = strlen(text) + 1;
    char *at = *to;

    memcpy(at, text, size_bytes);
    *to += size_bytes;
    return at;
}

static const char *spelling(const struct wordpiece *tokenizer, int32_t id)
{
    const char *text = wordpiece_token(tokenizer, id);

    return text ? text : "[UNK]";
}

/* One hypothesis with room for others; NULL when out of memory. */
static struct earshot_caption *caption_new(const struct wordpiece *tokenizer,
                                           const struct decode_hypothesis *h, int others)
{
    size_t count = (size_t)h->count, strings = 0;
    struct earshot_caption *caption = NULL;
    struct earshot_token *token;
    struct str text = {0};

    wordpiece_decode(tokenizer, h->tokens, h->count - h->ended, true, WORDPIECE_CLEAN, &text);
    for (int i = 0; i < h->count; i++)
        strings += strlen(spelling(tokenizer, h->tokens[i])) + 1;
    if (!text.failed)
        caption = calloc(1, sizeof *caption + (size_t)others * sizeof caption->other[0] +
                                count * sizeof *token + strings + text.length + 1);
    if (caption) {
        const struct earshot_caption **other = (const struct earshot_caption **)(caption + 1);
        char *to;

        token = (struct earshot_token *)(other + others);
        to = (char *)(token + count);
        caption->text = put_string(&to, text.data ? text.data : "");
        for (int i = 0; i < h->count; i++)
            token[i] = (struct earshot_token){h->tokens[i],
                                              put_string(&to, spelling(tokenizer, h->tokens[i])),
                                              h->log_probabilities[i]};
        caption->token = token;
        caption->token_count = h->count;
        caption->other = other;
        caption->log_probability = h->sum;
        caption->score = h->score;
        caption->complete = h->ended;
    }
    str_free(&text);
    return caption;
}

/* The best hypothesis and, hanging from it, the rest. */
static struct earshot_caption *caption_of(const struct wordpiece *tokenizer,
                                          const struct decode_result *found, double start_s,
                                          double end_s, unsigned streams)
{
    struct earshot_caption *caption = NULL;

    for (int i = 0; i < found->count; i++) {
        struct earshot_caption *c =
            caption_new(tokenizer, &found->hypothesis[i], i ? 0 : found->count - 1);

        if (!c) {
            caption_free(caption);
            return NULL;
        }
        c->start_s = start_s;
        c->end_s = end_s;
        c->streams = streams;
        if (caption)
            ((const struct earshot_caption **)(uintptr_t)caption->other)[caption->other_count++] =
                c;
        else
            caption = c;
    }
    return caption;
}

enum earshot_status result_add(struct earshot_result *result, const struct wordpiece *tokenizer,
                               const struct decode_result *found, double start_s, double end_s,
                               unsigned streams, struct earshot_error *error)
{
    struct whole_result *whole = (struct whole_result *)result;
    struct earshot_caption *caption;

    if (result->caption_count == whole->capacity) {
        int capacity = whole->capacity ? 2 * whole->capacity : 4;
        struct earshot_caption **grown =
            realloc(whole->caption, (size_t)capacity * sizeof *whole->caption);

        if (!grown)
            return error_memory(error, (size_t)capacity * sizeof *whole->caption);
        whole->caption = grown;
        whole->capacity = capacity;
        result->caption = (const struct earshot_caption *const *)grown;
    }
    caption = caption_of(tokenizer, found, start_s, end_s, streams);
    if (!caption)
        return error_memory(error, sizeof *caption);
    whole->caption[result->caption_count++] = caption;
    result->streams_used |= streams;
    return EARSHOT_OK;
}
