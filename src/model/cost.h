/*
 * cost.h: what a run will need, found by running the network on the plan backend: no memory, no
 * arithmetic, the same code.
 */
#ifndef EARSHOT_MODEL_COST_H
#define EARSHOT_MODEL_COST_H

#include "model/captioner.h"

struct model_cost {
    int64_t parameters;
    int64_t video_tokens, audio_tokens; /* of one clip, after the encoders */
    double encoder_multiply_adds[STREAM_COUNT]; /* forward, one clip */
    double fusion_multiply_adds, decoder_step_multiply_adds; /* one clip; one row, the last position */
    struct graph_options memory; /* what graph_open must reserve */
    size_t parameter_bytes;      /* values; with gradients and moments when training */
    size_t cache_bytes;          /* keys and values while captioning */
};

struct cost_question {
    int64_t batch;   /* clips at once */
    int64_t rows;    /* hypotheses at once (batch * beams); ignored when training */
    int64_t length;  /* tokens of a caption, start token included; 0: the decoder's max_length */
    int64_t passes;  /* decoder passes over each clip in training (1: fine-tuning) */
    bool training, checkpoint;
};

enum earshot_status model_cost(const struct model_config *config,
                               const struct cost_question *question, struct model_cost *cost,
                               struct earshot_error *error);

#endif
