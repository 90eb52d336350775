/*
 * param_file.h: the parameters of a model directory's files, by their own names.
 *
 * A product's weight may be there in lower precision (model/quantize.h): BF16; or I8, whose scale
 * for each output is the F32 tensor [out] named NAME_scale.
 *
 * What is opened for inference stays where the file is mapped, when the backend can read it there.
 * So a file must not be changed in place while a model is open: to replace it, rename a new one
 * over it, as this program does.
 */
#ifndef EARSHOT_MODEL_PARAM_FILE_H
#define EARSHOT_MODEL_PARAM_FILE_H

#include "engine/params.h"
#include "weights/tensor_file.h"

#define PARAM_FILE_SCALE "_scale"

/* Whether the parameter or tensor of this name is meant. */
typedef bool (*param_file_wanted)(const void *context, const char *name);

/* Fills allocated parameters from a safetensors file: every one that is wanted (NULL: all are) must
 * be there with its shape; wanted tensors that no parameter has are an error too.  The message
 * starts with the path.  ARGUMENT: a weight is of lower precision, the parameter f32. */
enum earshot_status param_file_load(struct params *params, const char *path,
                                    param_file_wanted wanted, const void *context,
                                    struct earshot_error *error);

/* Allocates declared parameters, products in the type that the file has them in, and fills them
 * all.  ARGUMENT: training, and the file has a product in lower precision. */
enum earshot_status param_file_open(struct params *params, const char *path,
                                    struct backend *backend, bool training,
                                    struct earshot_error *error);

/* Whether an entry of such a file (NULL: there is none) is of a parameter's shape. */
enum earshot_status param_file_check(const struct param *param, const struct tensor_entry *entry,
                                     struct earshot_error *error);

/* Only says in which type the file has each product (param_lower); nothing is allocated. */
enum earshot_status param_file_types(struct params *params, const char *path,
                                     struct earshot_error *error);

#endif
