/*
 * wordnet.h: the synsets of a word, from WordNet 3.0's sense index and exception lists.
 */
#ifndef EARSHOT_METRICS_WORDNET_H
#define EARSHOT_METRICS_WORDNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct wordnet; /* read-only once loaded */

/* Reads index.sense, adj.exc, adv.exc, noun.exc and verb.exc. */
enum earshot_status wordnet_load(const char *directory, struct wordnet **wordnet,
                                 struct earshot_error *error);
void wordnet_free(struct wordnet *wordnet);

/* As meteor_synsets. */
bool wordnet_synsets(const struct wordnet *wordnet, const char *word, bool own, uint32_t **synsets,
                     size_t *count);

#endif
