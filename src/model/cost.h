/*
 * cost.h: what a run will need, found by running the network on the plan backend: no memory, no
 * arithmetic, the same code.
 *
 * The steps that are planned, each its own graph_begin:
 *  - captioning: captioner_encode, captioner_select when sets > 1, fusion_forward,
 *    decoder_cache_begin in one step; then one decoder_step a token;
 *  - training: captioner_encode, captioner_fuse (each stream alone too with `mono`),
 *    decoder_forward_each of `texts` texts a memory, op_cross_entropy with row weights, graph_seed,
 *    graph_backward; scoring is its forward alone, in GRAPH_INFER.
 *
 * Host memory (parameters' names, index staging, the caller's own batches) is not counted.
 */
#ifndef EARSHOT_MODEL_COST_H
#define EARSHOT_MODEL_COST_H

#include "model/captioner.h"

struct model_cost {
    int64_t parameters;
    int64_t tokens[STREAM_COUNT]; /* of one clip, after the encoders (text: the longest); 0 without
                                     the stream */
    /* Multiply-adds of products and attention. */
    double encoder_multiply_adds[STREAM_COUNT]; /* forward, one clip, with its projection */
    double fusion_multiply_adds;       /* one clip, with the decoder's keys and values of it */
    double decoder_step_multiply_adds; /* one row, the last position */
    struct graph_options memory;       /* what graph_open must reserve */
    size_t parameter_bytes;            /* values; with gradients and moments when training */
    size_t cache_bytes;                /* keys and values while captioning; 0 when training */
};

struct cost_question {
    int64_t batch;  /* clips at once */
    int64_t rows;   /* hypotheses at once (batch * sets * beams); ignored when training */
    int64_t length; /* tokens of a caption, start token included; 0: the decoder's max_length */
    int64_t texts;  /* of each clip in training: objectives; 0: 1 */
    bool mono;      /* in training: each stream alone too */
    int64_t sets;   /* of streams that each clip is captioned with; 0: 1; ignored when training */
    bool training;
    int64_t checkpoint; /* blocks run again in the backward pass: see graph_options */
    /* In training: what everything together may take; 0: any.  As few more blocks are run again as
     * make it fit: memory.checkpoint says how many.  All of them where even that does not fit. */
    size_t limit_bytes;
    unsigned frozen; /* CAPTIONER_PART_BITs that are not trained */
    bool scoring;    /* with training: its forward without recording, as a validation has it */
};

/* Parameters, a step's memory and the decoder's cache. */
size_t model_cost_bytes(const struct model_cost *cost);

enum earshot_status model_cost(const struct model_config *config,
                               const struct cost_question *question, struct model_cost *cost,
                               struct earshot_error *error);

#endif
