/* bleu.c: clipped n-gram matches.  See scores.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/ngram.h"
#include "metrics/scores.h"

/* The reference's guards against division by zero. */
#define TINY 1e-15
#define SMALL 1e-9

/* The candidate's distinct n-grams of one order. */
struct count_table {
    struct {
        const uint32_t *word; /* NULL: empty */
        uint32_t candidate, reference, best, stamp;
    } * slot;
    size_t capacity, size;
};

static size_t find(const struct count_table *table, const uint32_t *word, int n)
{
    size_t at = ngram_hash(word, n) & (table->size - 1);

    while (table->slot[at].word && !ngram_equal(table->slot[at].word, word, n))
        at = (at + 1) & (table->size - 1);
    return at;
}

static bool prepare(struct count_table *table, size_t count)
{
    size_t size = ngram_table_size(count);

    if (size > table->capacity) {
        void *slot = realloc(table->slot, size * sizeof *table->slot);

        if (!slot)
            return false;
        table->slot = slot;
        table->capacity = size;
    }
    table->size = size;
    memset(table->slot, 0, size * sizeof *table->slot);
    return true;
}

/* Matches of order n, clipped by the largest count in any one reference. */
static uint64_t clipped_matches(struct count_table *table, const struct corpus *corpus, size_t item,
                                int n)
{
    struct word_span words = sentence_words(&corpus->candidates, item);
    uint32_t stamp = 0;
    uint64_t correct = 0;

    for (size_t i = 0; i + (size_t)n <= words.count; i++) {
        size_t at = find(table, words.word + i, n);

        table->slot[at].word = words.word + i;
        table->slot[at].candidate++;
    }
    for (size_t r = corpus->first_reference[item]; r < corpus->first_reference[item + 1]; r++) {
        struct word_span reference = sentence_words(&corpus->references, r);

        stamp++;
        for (size_t i = 0; i + (size_t)n <= reference.count; i++) {
            size_t at = find(table, reference.word + i, n);

            if (!table->slot[at].word)
                continue;
            if (table->slot[at].stamp != stamp) {
                table->slot[at].stamp = stamp;
                table->slot[at].reference = 0;
            }
            if (++table->slot[at].reference > table->slot[at].best)
                table->slot[at].best = table->slot[at].reference;
        }
    }
    for (size_t i = 0; i < table->size; i++)
        if (table->slot[i].word)
            correct += table->slot[i].best < table->slot[i].candidate ? table->slot[i].best
                                                                      : table->slot[i].candidate;
    return correct;
}

static size_t closest_length(const struct corpus *corpus, size_t item, size_t length)
{
    size_t best = 0, best_distance = SIZE_MAX;

    for (size_t r = corpus->first_reference[item]; r < corpus->first_reference[item + 1]; r++) {
        size_t l = sentence_words(&corpus->references, r).count;
        size_t distance = l > length ? l - length : length - l;

        if (distance < best_distance || (distance == best_distance && l < best)) {
            best_distance = distance;
            best = l;
        }
    }
    return best;
}

void bleu_combine(const struct bleu_counts *counts, double score[NGRAM_MAX])
{
    double ratio = ((double)counts->length + TINY) / ((double)counts->reference_length + SMALL);
    double product = 1;

    for (int k = 0; k < NGRAM_MAX; k++) {
        product *= ((double)counts->correct[k] + TINY) / ((double)counts->guess[k] + SMALL);
        score[k] = pow(product, 1.0 / (k + 1));
        if (ratio < 1)
            score[k] *= exp(1 - 1 / ratio);
    }
}

void bleu_add(struct bleu_counts *sum, const struct bleu_counts *counts)
{
    sum->length += counts->length;
    sum->reference_length += counts->reference_length;
    for (int k = 0; k < NGRAM_MAX; k++) {
        sum->guess[k] += counts->guess[k];
        sum->correct[k] += counts->correct[k];
    }
}

void bleu_free(struct bleu_result *result)
{
    free(result->item);
    free(result->counts);
    *result = (struct bleu_result){0};
}

enum earshot_status bleu_score(const struct corpus *corpus, struct bleu_result *result,
                               struct earshot_error *error)
{
    size_t items = corpus->item_count ? corpus->item_count : 1;
    struct count_table table = {0};

    *result = (struct bleu_result){0};
    result->item = calloc(items, sizeof *result->item);
    result->counts = calloc(items, sizeof *result->counts);
    if (!result->item || !result->counts)
        goto memory;
    for (size_t i = 0; i < corpus->item_count; i++) {
        struct bleu_counts *counts = &result->counts[i];

        if (corpus->first_reference[i] == corpus->first_reference[i + 1])
            continue;
        counts->length = sentence_words(&corpus->candidates, i).count;
        counts->reference_length = closest_length(corpus, i, counts->length);
        for (int k = 0; k < NGRAM_MAX; k++) {
            if (!prepare(&table, counts->length))
                goto memory;
            counts->guess[k] = counts->length > (size_t)k ? counts->length - (size_t)k : 0;
            counts->correct[k] = clipped_matches(&table, corpus, i, k + 1);
        }
        bleu_add(&result->total, counts);
        bleu_combine(counts, result->item[i]);
    }
    free(table.slot);
    bleu_combine(&result->total, result->corpus);
    return EARSHOT_OK;
memory:
    free(table.slot);
    bleu_free(result);
    return error_memory(error, items * sizeof *result->counts);
}
