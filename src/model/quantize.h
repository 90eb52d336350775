/*
 * quantize.h: a model directory again with the weights of its products in lower precision, for
 * running it, not for training.
 *
 *   bf16   each weight rounded to bf16 (to nearest): half of the bytes
 *   int8   w[o, i] ~ scale[o] q[o, i], scale[o] = max_i |w[o, i]| / 127: a quarter
 *
 * Products are the linear layers and the table of words that the decoder reads and writes with.
 * Norms, biases, positions and the encoders' patch embeddings stay f32, as do the classification
 * heads beside the model.  param_file.h has the file's form.
 */
#ifndef EARSHOT_MODEL_QUANTIZE_H
#define EARSHOT_MODEL_QUANTIZE_H

#include "backend/backend.h"

struct quantize_result {
    int64_t parameters, lowered;   /* all, and those of lower precision */
    uint64_t from_bytes, to_bytes; /* of model.safetensors */
};

/* Writes DIRECTORY out; every file atomically, config.json last.  ARGUMENT: out is the model
 * itself, or the model is of lower precision already.  FORMAT: a weight is not finite. */
enum earshot_status quantize_model(const char *directory, enum weight_type type, const char *out,
                                   struct quantize_result *result, struct earshot_error *error);

#endif
