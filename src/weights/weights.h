/*
 * weights.h: one way to open any file of weights.
 */
#ifndef EARSHOT_WEIGHTS_WEIGHTS_H
#define EARSHOT_WEIGHTS_WEIGHTS_H

#include "weights/tensor_file.h"

/* Opens a safetensors file, the JSON index of a sharded one, or a PyTorch checkpoint in zip or
 * legacy form: told apart by their first bytes, whatever they are called.  Errors: IO, FORMAT,
 * UNSUPPORTED; the message starts with the path. */
enum earshot_status weights_open(const char *path, struct tensor_file **file,
                                 struct earshot_error *error);

#endif
