/* ngram.h: n-grams as spans of word numbers: hashing and equality, shared by BLEU and CIDEr. */
#ifndef EARSHOT_METRICS_NGRAM_H
#define EARSHOT_METRICS_NGRAM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint32_t ngram_hash(const uint32_t *word, int n)
{
    uint64_t hash = 0x9E3779B97F4A7C15u;

    for (int i = 0; i < n; i++) {
        hash = (hash ^ word[i]) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

static inline bool ngram_equal(const uint32_t *a, const uint32_t *b, int n)
{
    for (int i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* The least power of two >= 2 * count: the size of an open-addressing table for count n-grams. */
static inline size_t ngram_table_size(size_t count)
{
    size_t size = 16;

    while (size < 2 * count)
        size *= 2;
    return size;
}

#endif
