/*
 * sample.c: one step of sampling: temperature, then the k likeliest, then the nucleus of mass p
 * (Holtzman et al. 2020, "The curious case of neural text degeneration"), then one draw.
 *
 * The draw is a pure function of (seed, key of the sample, position), so a caption does not depend
 * on which other samples share its batch.
 */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "decode/search.h"

static int compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->sum != b->sum)
        return a->sum > b->sum ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

/* candidate.sum holds the unnormalised weight here.  Returns how many stay, likeliest first. */
static int64_t filter(struct candidate *candidates, int64_t count,
                      const struct decode_options *options, double total)
{
    int64_t kept = options->top_k > 0 && options->top_k < count ? options->top_k : count;
    double sum = 0;

    if (kept == count && options->top_p >= 1)
        return count;
    qsort(candidates, (size_t)count, sizeof *candidates, compare);
    if (kept < count) {
        total = 0;
        for (int64_t i = 0; i < kept; i++)
            total += candidates[i].sum;
    }
    for (int64_t i = 0; i < kept; i++) {
        sum += candidates[i].sum;
        if (sum >= options->top_p * total)
            return i + 1;
    }
    return kept;
}

static const struct candidate *draw(const struct candidate *candidates, int64_t count, double u)
{
    double total = 0, sum = 0;

    for (int64_t i = 0; i < count; i++)
        total += candidates[i].sum;
    for (int64_t i = 0; i < count; i++) {
        sum += candidates[i].sum;
        if (u * total < sum)
            return &candidates[i];
    }
    return &candidates[count - 1];
}

void search_advance_sample(struct search *search, struct sample *sample, const float *logits,
                           const double *normaliser)
{
    const struct decode_options *options = search->options;
    struct beam *beam = &sample->live[0];
    struct candidate *candidates = search->candidates, chosen;
    double highest = -INFINITY, total = 0;
    int64_t count = 0;
    bool ended;

    search_block(search, sample, beam);
    for (int32_t v = 0; v < search->vocabulary; v++)
        if (!search->blocked[v]) {
            double log_probability = logits[v] - *normaliser;

            candidates[count++] =
                (struct candidate){.token = v, .log_probability = log_probability};
            highest = log_probability > highest ? log_probability : highest;
        }
    search_unblock(search, sample, beam);
    if (count == 0) {
        search_keep(search, sample, beam, sample->count, beam->sum, false);
        sample->live_count = 0;
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        candidates[i].sum = exp((candidates[i].log_probability - highest) / options->temperature);
        total += candidates[i].sum;
    }
    count = filter(candidates, count, options, total);
    chosen = *draw(candidates, count,
                   random_uniform(options->seed, random_stream("decode") ^ sample->key,
                                  (uint64_t)sample->count));
    chosen.sum = beam->sum + chosen.log_probability;
    search_continue(sample, 0, &chosen);
    search_turn(sample, 1);
    ended = chosen.token == options->end_token;
    if (ended || sample->count == options->max_tokens) {
        search_keep(search, sample, &sample->live[0], sample->count, chosen.sum, ended);
        sample->live_count = 0;
    }
}
