/*
 * paraphrases.h: phrases and what may stand for them, words being known by their hash.
 */
#ifndef EARSHOT_METRICS_PARAPHRASES_H
#define EARSHOT_METRICS_PARAPHRASES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct paraphrases; /* read-only once loaded */

enum earshot_status paraphrases_load(const char *path, struct paraphrases **table,
                                     struct earshot_error *error);
void paraphrases_free(struct paraphrases *table);

/* The number of the phrase word[0..count), or -1. */
int64_t paraphrases_find(const struct paraphrases *table, const int32_t *word, size_t count);
/* Its entries in the order of the file; -1 after the last. */
int64_t paraphrases_first(const struct paraphrases *table, int64_t phrase);
int64_t paraphrases_next(const struct paraphrases *table, int64_t entry);
/* The words that an entry puts in the phrase's place. */
const int32_t *paraphrases_words(const struct paraphrases *table, int64_t entry, size_t *count);
/* Words in the longest phrase. */
size_t paraphrases_longest(const struct paraphrases *table);

#endif
