/*
 * optimizer.h: AdamW over a parameter table, with clipping by the global gradient norm.
 *
 * Groups are carried by the parameters themselves: learning_rate_scale, decay, trainable.
 */
#ifndef EARSHOT_ENGINE_OPTIMIZER_H
#define EARSHOT_ENGINE_OPTIMIZER_H

#include "engine/params.h"

struct optimizer_options {
    double beta1, beta2, epsilon;
    double weight_decay;
    double clip_norm; /* 0: no clipping */
};

/*
 * One step with gradients as they stand in the table.  step counts from 1 (bias correction).
 * *norm gets the gradient norm before clipping.  A norm that is not finite leaves every value and
 * moment as it was and returns false.
 */
bool optimizer_step(struct params *params, const struct optimizer_options *options,
                    double learning_rate, int64_t step, double *norm);

#endif
