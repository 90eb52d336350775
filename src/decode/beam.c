/*
 * beam.c: one step of greedy decoding and of beam search.  See decode.h for the rules.
 */
#include <math.h>
#include <string.h>

#include "decode/search.h"

/* The order of continuations: higher sum first; equal ones by sequence, then by token. */
static bool precedes(const struct candidate *a, const struct candidate *b)
{
    if (a->sum != b->sum)
        return a->sum > b->sum;
    return a->beam != b->beam ? a->beam < b->beam : a->token < b->token;
}

void search_advance_greedy(struct search *search, struct sample *sample, const float *logits,
                           const double *normaliser)
{
    const struct beam *beam = &sample->live[0];
    struct candidate best = {.token = -1};
    float highest = -INFINITY;

    search_block(search, sample, beam);
    for (int64_t v = 0; v < search->vocabulary; v++)
        if (!search->blocked[v] && logits[v] > highest) {
            highest = logits[v];
            best.token = (int32_t)v;
        }
    search_unblock(search, sample, beam);
    if (best.token < 0) {
        search_keep(search, sample, beam, sample->count, beam->sum, false);
        sample->live_count = 0;
        return;
    }
    best.log_probability = highest - *normaliser;
    best.sum = beam->sum + best.log_probability;
    search_continue(sample, 0, &best);
    search_turn(sample, 1);
    if (best.token == search->options->end_token || sample->count == search->options->max_tokens) {
        search_keep(search, sample, &sample->live[0], sample->count, best.sum,
                    best.token == search->options->end_token);
        sample->live_count = 0;
    }
}

/* Puts a candidate into the sorted list of at most `limit`; returns the list's new length. */
static int insert(struct candidate *list, int count, int limit, const struct candidate *new)
{
    int at = count < limit ? count : limit - 1;

    if (count == limit && !precedes(new, &list[limit - 1]))
        return count;
    for (; at > 0 && precedes(new, &list[at - 1]); at--)
        list[at] = list[at - 1];
    list[at] = *new;
    return count < limit ? count + 1 : count;
}

/* Adds the continuations of one sequence, the end token apart.  False if it has none at all. */
static bool gather(struct search *search, const struct sample *sample, int b, const float *logits,
                   double normaliser, int *count)
{
    const struct beam *beam = &sample->live[b];
    int32_t end = search->options->end_token;
    bool any;

    search_block(search, sample, beam);
    any = !search->blocked[end];
    for (int32_t v = 0; v < search->vocabulary; v++) {
        struct candidate new = {.beam = b, .token = v};

        if (search->blocked[v] || v == end)
            continue;
        any = true;
        new.log_probability = logits[v] - normaliser;
        new.sum = beam->sum + new.log_probability;
        /* The cheap test first: almost no token of a large vocabulary passes it. */
        if (*count < search->width || new.sum > search->candidates[*count - 1].sum)
            *count = insert(search->candidates, *count, search->width, &new);
    }
    search_unblock(search, sample, beam);
    return any;
}

/* Closes the hypotheses whose end token is among the `width` best continuations. */
static void close_ended(struct search *search, struct sample *sample, const float *logits,
                        const double *normaliser, int count)
{
    struct candidate ended[DECODE_BEAM_MAX];
    int32_t end = search->options->end_token;
    int ends = 0;

    if (sample->count < search->options->min_tokens)
        return;
    for (int b = 0; b < sample->live_count; b++) {
        struct candidate new = {.beam = b, .token = end};

        new.log_probability = logits[b * search->vocabulary + end] - normaliser[b];
        new.sum = sample->live[b].sum + new.log_probability;
        ends = insert(ended, ends, DECODE_BEAM_MAX, &new);
    }
    for (int e = 0, better = 0; e < ends; e++) {
        struct beam *beam = &sample->live[ended[e].beam];

        while (better < count && precedes(&search->candidates[better], &ended[e]))
            better++;
        if (better + e >= search->width)
            break;
        beam->tokens[sample->count] = end;
        beam->log_probabilities[sample->count] = ended[e].log_probability;
        search_keep(search, sample, beam, sample->count + 1, ended[e].sum, true);
    }
}

/*
 * No live sequence can reach a score that would still be kept.  Every token adds a logarithm <= 0,
 * so what grows from a live sequence has a sum <= its own, and that is <= live[0]'s (they are
 * sorted), which is <= 0.  It will be between `count` and max_tokens long.  sum / length^penalty
 * for a sum <= 0 is largest at the largest length^penalty: at max_tokens for a positive penalty,
 * else at the length that it has now.  search_keep takes a score only if it is above the worst one
 * kept, so an equal bound settles it too.
 */
static bool settled(const struct search *search, const struct sample *sample)
{
    const struct decode_options *options = search->options;
    const struct decode_result *result = sample->result;
    int length = options->length_penalty > 0 ? options->max_tokens : sample->count;

    return !options->run_to_the_end && result->count == search->best &&
           search_score(options, sample->live[0].sum, length) <=
               result->hypothesis[result->count - 1].score;
}

void search_advance_beam(struct search *search, struct sample *sample, const float *logits,
                         const double *normaliser)
{
    int count = 0;

    for (int b = 0; b < sample->live_count; b++)
        if (!gather(search, sample, b, logits + b * search->vocabulary, normaliser[b], &count))
            search_keep(search, sample, &sample->live[b], sample->count, sample->live[b].sum,
                        false);
    close_ended(search, sample, logits, normaliser, count);
    for (int i = 0; i < count; i++)
        search_continue(sample, i, &search->candidates[i]);
    search_turn(sample, count);
    if (sample->count == search->options->max_tokens) {
        for (int i = 0; i < count; i++)
            search_keep(search, sample, &sample->live[i], sample->count, sample->live[i].sum,
                        false);
        sample->live_count = 0;
    } else if (count > 0 && settled(search, sample)) {
        sample->live_count = 0;
    }
}
