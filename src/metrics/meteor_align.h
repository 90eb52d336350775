/* meteor_align.h: the alignment of one hypothesis with one reference, for meteor.c alone. */
#ifndef EARSHOT_METRICS_METEOR_ALIGN_H
#define EARSHOT_METRICS_METEOR_ALIGN_H

#include "metrics/meteor.h"

/* What METEOR knows of a word. */
struct meteor_word {
    int32_t hash, stem;
    bool function;
    const uint32_t *synset; /* ascending */
    size_t synset_count;
};

struct meteor_line {
    const struct meteor_word **word;
    int32_t *hash; /* of each word, for phrases */
    size_t count;
};

/* Buffers that grow and stay. */
struct meteor_aligner {
    const struct meteor_data *data;
    struct meteor_match *candidate; /* in order of discovery, then sorted to their start */
    size_t candidate_count, candidate_capacity;
    struct meteor_match *sorted;
    size_t sorted_capacity;
    size_t *first; /* [n2 + 1]: candidates that start at word j of the reference */
    int *coverage; /* [n1 + n2] */
    size_t word_capacity;
    struct meteor_path *path; /* two generations */
    size_t path_capacity;
    uint64_t *bits; /* of both generations' paths */
    size_t bits_capacity;
    struct meteor_taken *taken;
    size_t taken_count, taken_capacity;
    const struct meteor_path **order;
    size_t order_capacity;
    struct meteor_match *match; /* the alignment, by start in the reference */
    size_t match_count, match_capacity;
};

/* Aligns hypothesis (line 1) with reference (line 2); the result is in aligner->match. */
enum earshot_status meteor_align(struct meteor_aligner *aligner, const struct meteor_line *line1,
                                 const struct meteor_line *line2, struct earshot_error *error);
void meteor_aligner_free(struct meteor_aligner *aligner);

#endif
