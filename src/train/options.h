/*
 * options.h: how a training run goes; one table for flags and the "train" part of a configuration.
 */
#ifndef EARSHOT_TRAIN_OPTIONS_H
#define EARSHOT_TRAIN_OPTIONS_H

#include "base/options.h"
#include "model/cost.h"
#include "train/balance.h"

struct train_options {
    char *data, *out; /* manifest to learn from; folder of the run */
    char *validation; /* manifest to measure the loss on, or NULL */
    char *vocabulary; /* WordPiece vocabulary; NULL: vocab.txt beside the manifest */
    char *init; /* DIR: a model directory to start from; PART=DIR,...: some parts of several; NULL:
                   random weights */
    double rate[CAPTIONER_PARTS]; /* of each part, times the learning rate; 0: frozen */
    double objective_weight[OBJECTIVE_COUNT];
    int balance; /* enum balance_kind */
    double mbp_alpha, mbp_beta, balance_start, index_smoothing;
    bool balance_shared;
    double gblend_holdout;
    int64_t gblend_steps, gblend_every;
    int64_t steps, batch_size, warmup;
    double learning_rate, final_rate; /* peak; what is left of it at the end, as a fraction */
    int schedule;                     /* enum schedule_kind */
    double weight_decay, beta1, beta2, epsilon, clip_norm, label_smoothing;
    int text_input;        /* which objectives may see the transcript: train_text_input */
    double stream_dropout; /* of a clip with several streams: that it loses one for a step */
    int64_t seed;
    int64_t threads, loader_threads; /* 0: as many as there are processors; loader: 2 */
    int64_t cache_mb;                /* decoded clips kept, in memory or in cache_dir */
    char *cache_dir;                 /* folder that runs share for them, or NULL: in memory */
    int64_t checkpoint_every, keep;  /* steps; how many checkpoints stay */
    int64_t validate_every;
    bool recompute;    /* activation checkpointing: less memory, one more forward */
    int64_t memory_mb; /* of a step with weights and optimiser: blocks recompute until it fits; 0:
                          no limit */
    bool resume;
};

extern const struct option_table train_option_table;
extern const struct train_options train_options_default;

/* A model directory, and what is taken from it. */
struct train_source {
    char *directory; /* malloc'd */
    unsigned parts;  /* CAPTIONER_PART_BITs; all of them: the model as it is */
};

/* options->init taken apart: how many sources, 0 without one.  The same directory may be there more
 * than once, a part may not.  End each with free(directory), also on failure. */
enum earshot_status train_options_sources(const struct train_options *train,
                                          struct train_source source[CAPTIONER_PARTS], int *count,
                                          struct earshot_error *error);

/* What a training step of these options needs to know of model/cost.h. */
struct cost_question train_options_question(const struct train_options *train, int64_t batch);

/* The OBJECTIVE_BITs that may have the clip's transcript as input (loader.h). */
unsigned train_text_input(const struct train_options *train);

void train_options_free(struct train_options *options);

/*
 * Reads a configuration file {"preset": NAME, "model": {...}, "train": {...}}, all parts optional,
 * over what the two structs hold; a preset replaces *model first.
 */
enum earshot_status train_config_read(const char *path, struct model_config *model,
                                      struct train_options *train, struct earshot_error *error);

#endif
