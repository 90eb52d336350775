/*
 * step.h: the losses of one batch, forwards and backwards.
 */
#ifndef EARSHOT_TRAIN_STEP_H
#define EARSHOT_TRAIN_STEP_H

#include "model/captioner.h"
#include "train/loader.h"

/* Declares the forward of a batch on a graph that graph_begin has started: F32 loss of every
 * target, [size * length], unweighted. */
struct tensor *step_losses(struct graph *g, const struct captioner *captioner,
                           const struct batch *batch, float label_smoothing);

/*
 * The mean loss a target.  backward adds its gradient to the parameters' (in a mode that records).
 * A batch with no target, or in which no clip has a stream, gives a loss of 0 and no gradient.
 */
enum earshot_status step_run(struct graph *g, const struct captioner *captioner,
                             const struct batch *batch, float label_smoothing, bool backward,
                             double *loss, struct earshot_error *error);

#endif
