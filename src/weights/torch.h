/*
 * torch.h: checkpoints that torch.save wrote, read without Python: the zip form (PyTorch 1.6 and
 * later) and the legacy form (five pickles, then raw storages).
 *
 * Only the state dict counts: the top level itself, or what is under "state_dict", "model" or
 * "model_state_dict" there.  Its tensors are listed under their own keys; values that are no
 * tensors are passed over.  Tensor data stays where it is in the file: views may be strided, share
 * storage, and start at any address.
 */
#ifndef EARSHOT_WEIGHTS_TORCH_H
#define EARSHOT_WEIGHTS_TORCH_H

#include "weights/tensor_file.h"

enum earshot_status torch_open(const char *path, struct tensor_file **file,
                               struct earshot_error *error);

/* The same for bytes already in memory, which must outlive the table (file is from tensor_table_new
 * and stays the caller's to close). */
enum earshot_status torch_parse(struct tensor_file *file, const unsigned char *bytes,
                                size_t size_bytes, struct earshot_error *error);

/* True when the bytes start like a file of torch.save, in either form. */
bool torch_is_checkpoint(const unsigned char *bytes, size_t size_bytes);

#endif
