/*
 * search.h: what decode.c, beam.c and sample.c share: the state of a running search.
 */
#ifndef EARSHOT_DECODE_SEARCH_H
#define EARSHOT_DECODE_SEARCH_H

#include "decode/decode.h"

/* One live sequence. */
struct beam {
    int32_t *tokens;           /* [max_tokens] */
    double *log_probabilities; /* [max_tokens] */
    double sum;
    int64_t row; /* of the last scorer call; before the first one, the sample */
};

/* All live sequences of a sample have the same number of tokens. */
struct sample {
    struct beam *live, *next; /* [width] */
    int live_count, count;
    uint64_t key;
    struct decode_result *result; /* sorted, at most options.best */
};

struct candidate {
    double sum, log_probability;
    int beam;
    int32_t token;
};

struct search {
    const struct decode_options *options;
    int64_t vocabulary;
    int width, best;
    int64_t samples;
    struct sample *sample;
    float *logits;                /* [samples * width, vocabulary] */
    double *normaliser;           /* [samples * width]: log of the sum of exponentials of a row */
    int32_t *tokens, *parents;    /* [samples * width] */
    uint8_t *blocked;             /* [vocabulary]: tokens that may not be taken now */
    struct candidate *candidates; /* [max(vocabulary, width)] */
    void *memory;                 /* of the live sequences */
};

/* Marks what the sequence may not take next, besides what is always banned, and takes it back. */
void search_block(struct search *search, const struct sample *sample, const struct beam *beam);
void search_unblock(struct search *search, const struct sample *sample, const struct beam *beam);

/* Keeps a finished sequence (its first `count` tokens) if it is among the best. */
void search_keep(struct search *search, struct sample *sample, const struct beam *beam, int count,
                 double sum, bool ended);

/* Makes next[index] the continuation of live[candidate->beam] by the candidate's token. */
void search_continue(struct sample *sample, int index, const struct candidate *candidate);
/* The continuations become the live sequences. */
void search_turn(struct sample *sample, int live_count);

double search_score(const struct decode_options *options, double sum, int count);

/* One step of one sample; logits and normaliser are those of its first live row. */
void search_advance_greedy(struct search *search, struct sample *sample, const float *logits,
                           const double *normaliser);
void search_advance_beam(struct search *search, struct sample *sample, const float *logits,
                         const double *normaliser);
void search_advance_sample(struct search *search, struct sample *sample, const float *logits,
                           const double *normaliser);

#endif
