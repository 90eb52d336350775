/*
 * rouge.c: longest common subsequences, 64 candidate words a step.  See scores.h.
 *
 * Bit-parallel LCS (Hyyro, "Bit-parallel LCS-length computation revisited", 2004): bit i of V is 0
 * where the i-th candidate word ends one more match; V <- (V + (V & M)) | (V & ~M) for the mask M
 * of the positions that hold the reference's next word.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "metrics/ngram.h"
#include "metrics/scores.h"

#define BETA 1.2

/* Where each word of the candidate stands: a bit mask of `blocks` words per distinct word. */
struct mask_table {
    uint32_t *slot; /* distinct word + 1, 0 empty */
    uint32_t *word;
    uint64_t *mask; /* [distinct][blocks] */
    uint64_t *state;
    size_t size, blocks, distinct;
    size_t slot_capacity, word_capacity, mask_capacity;
};

static size_t find(const struct mask_table *table, uint32_t word)
{
    size_t at = ngram_hash(&word, 1) & (table->size - 1);

    while (table->slot[at] && table->word[table->slot[at] - 1] != word)
        at = (at + 1) & (table->size - 1);
    return at;
}

static bool set_candidate(struct mask_table *table, struct word_span words)
{
    uint64_t *state;

    table->size = ngram_table_size(words.count);
    table->blocks = (words.count + 63) / 64;
    table->distinct = 0;
    state = realloc(table->state, (table->blocks + 1) * sizeof *state);
    if (state)
        table->state = state;
    if (!state ||
        !array_reserve((void **)&table->slot, &table->slot_capacity, table->size,
                       sizeof *table->slot) ||
        !array_reserve((void **)&table->word, &table->word_capacity, words.count,
                       sizeof *table->word))
        return false;
    memset(table->slot, 0, table->size * sizeof *table->slot);
    for (size_t i = 0; i < words.count; i++) {
        size_t at = find(table, words.word[i]);

        if (!table->slot[at]) {
            table->word[table->distinct] = words.word[i];
            table->slot[at] = (uint32_t)++table->distinct;
            if (!array_reserve((void **)&table->mask, &table->mask_capacity,
                               table->distinct * table->blocks, sizeof *table->mask))
                return false;
            memset(table->mask + (table->distinct - 1) * table->blocks, 0,
                   table->blocks * sizeof *table->mask);
        }
        table->mask[(table->slot[at] - 1) * table->blocks + i / 64] |= UINT64_C(1) << (i % 64);
    }
    return true;
}

static size_t lcs(struct mask_table *table, struct word_span reference)
{
    size_t length = 0;

    memset(table->state, 0xFF, table->blocks * sizeof *table->state);
    for (size_t i = 0; i < reference.count; i++) {
        size_t at = find(table, reference.word[i]);
        const uint64_t *mask;
        uint64_t carry = 0;

        if (!table->slot[at])
            continue;
        mask = table->mask + (table->slot[at] - 1) * table->blocks;
        for (size_t b = 0; b < table->blocks; b++) {
            uint64_t v = table->state[b], u = v & mask[b], sum = v + u, carried = sum + carry;

            carry = (sum < v) | (carried < sum);
            table->state[b] = carried | (v & ~mask[b]);
        }
    }
    for (size_t b = 0; b < table->blocks; b++)
        length += (size_t)__builtin_popcountll(~table->state[b]);
    return length;
}

static double item_score(struct mask_table *table, const struct corpus *corpus, size_t item,
                         size_t length)
{
    double precision = 0, recall = 0;

    for (size_t r = corpus->first_reference[item]; r < corpus->first_reference[item + 1]; r++) {
        struct word_span reference = sentence_words_single(&corpus->references, r);
        double common = (double)lcs(table, reference);

        if (common / (double)length > precision)
            precision = common / (double)length;
        if (common / (double)reference.count > recall)
            recall = common / (double)reference.count;
    }
    if (precision == 0 || recall == 0)
        return 0;
    return ((1 + BETA * BETA) * precision * recall) / (recall + BETA * BETA * precision);
}

enum earshot_status rouge_l_score(const struct corpus *corpus, double *item, double *mean,
                                  struct earshot_error *error)
{
    struct mask_table table = {0};
    enum earshot_status status = EARSHOT_OK;

    for (size_t i = 0; i < corpus->item_count && status == EARSHOT_OK; i++) {
        struct word_span words = sentence_words_single(&corpus->candidates, i);

        if (set_candidate(&table, words))
            item[i] = item_score(&table, corpus, i, words.count);
        else
            status = error_memory(error, words.count * 16);
    }
    *mean = corpus->item_count && status == EARSHOT_OK
                ? corpus_sum(item, corpus->item_count) / (double)corpus->item_count
                : 0;
    free(table.slot);
    free(table.word);
    free(table.mask);
    free(table.state);
    return status;
}
