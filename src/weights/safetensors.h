/*
 * safetensors.h: tensors by name in a file: read (mapped, single file or sharded with an index) and
 * write (atomically).  Format: 8-byte little-endian header length, JSON header, raw data.
 *
 * Every number in the file is hostile until checked: header size, shapes, offsets, overlaps.
 */
#ifndef EARSHOT_WEIGHTS_SAFETENSORS_H
#define EARSHOT_WEIGHTS_SAFETENSORS_H

#include "weights/tensor_file.h"

/* path: a .safetensors file, or a ...index.json of a sharded checkpoint (shards beside it; a shard
 * name with a '/' or ".." is refused). */
enum earshot_status safetensors_open(const char *path, struct tensor_file **file,
                                     struct earshot_error *error);

/* The same for bytes already in memory, which must outlive the table (file is from tensor_table_new
 * and stays the caller's to close).  For tests, fuzzers and weights_open. */
enum earshot_status safetensors_parse(struct tensor_file *file, const unsigned char *bytes,
                                      size_t size_bytes, struct earshot_error *error);
/* True when the bytes look like the index of a sharded checkpoint. */
bool safetensors_is_index(const unsigned char *bytes, size_t size_bytes);

/* Writes tensors in the order given (offsets ascending), metadata as "__metadata__".  Strides
 * count: an entry made by hand needs tensor_entry_set_contiguous. */
enum earshot_status safetensors_write(const char *path, const struct tensor_entry *entry,
                                      int64_t count, const struct tensor_metadata *metadata,
                                      int64_t metadata_count, struct earshot_error *error);

/* Puts the elements of entry `index`, row-major, into buffer. */
typedef enum earshot_status (*safetensors_supply)(void *context, int64_t index, void *buffer,
                                                  struct earshot_error *error);

/* The same for tensors that are made, or fetched from a device, one at a time: of each entry only
 * name, dtype, rank and dim are read.  Needs memory for the largest tensor. */
enum earshot_status safetensors_write_supplied(const char *path, const struct tensor_entry *entry,
                                               int64_t count,
                                               const struct tensor_metadata *metadata,
                                               int64_t metadata_count, safetensors_supply supply,
                                               void *context, struct earshot_error *error);

#endif
