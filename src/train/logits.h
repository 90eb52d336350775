/*
 * logits.h: how far two models' logits are from each other, over the words of a manifest's
 * captions.
 *
 * Both models read the same clips and are given the same words (each clip's first caption); at
 * every place where a word follows, the logits of all words are compared.
 */
#ifndef EARSHOT_TRAIN_LOGITS_H
#define EARSHOT_TRAIN_LOGITS_H

#include "base/error.h"

struct logits_difference {
    int64_t clips, places; /* compared */
    double largest, mean;  /* |a - b| */
    double scale;          /* largest |a| */
    double same_best;      /* the part of the places where both find the same word likeliest */
};

/* a and b: model directories of the same network and vocabulary (ARGUMENT otherwise).  threads 0:
 * all processors.  cancelled, polled between batches, may be NULL; CANCELLED then. */
enum earshot_status logits_compare(const char *a, const char *b, const char *manifest, int threads,
                                   bool (*cancelled)(void), struct logits_difference *difference,
                                   struct earshot_error *error);

#endif
