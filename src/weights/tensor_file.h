/*
 * tensor_file.h: what every reader of weights gives: a read-only table of named tensors whose data
 * lies in mapped files.
 */
#ifndef EARSHOT_WEIGHTS_TENSOR_FILE_H
#define EARSHOT_WEIGHTS_TENSOR_FILE_H

#include "base/error.h"

#define TENSOR_RANK_MAX 8

enum tensor_dtype {
    TENSOR_F64,
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_I64,
    TENSOR_I32,
    TENSOR_I16,
    TENSOR_I8,
    TENSOR_U8,
    TENSOR_BOOL
};

size_t tensor_dtype_bytes(enum tensor_dtype dtype);
const char *tensor_dtype_name(enum tensor_dtype dtype); /* "F32", ... as safetensors spells them */

struct tensor_entry {
    const char *name;
    enum tensor_dtype dtype;
    int rank;
    int64_t dim[TENSOR_RANK_MAX];
    int64_t stride[TENSOR_RANK_MAX]; /* in elements; contiguous unless a .pth says otherwise */
    const void *data;                /* may be unaligned */
    int64_t elements;
};

struct tensor_metadata {
    const char *key, *value;
};

struct tensor_file; /* owns the maps, names and entries */

int64_t tensor_file_count(const struct tensor_file *file);
const struct tensor_entry *tensor_file_at(const struct tensor_file *file, int64_t index);
/* NULL if there is none of that name. */
const struct tensor_entry *tensor_file_find(const struct tensor_file *file, const char *name);
int64_t tensor_file_metadata_count(const struct tensor_file *file);
const struct tensor_metadata *tensor_file_metadata(const struct tensor_file *file, int64_t index);
/* Of the files behind the table, together. */
uint64_t tensor_file_bytes(const struct tensor_file *file);
void tensor_file_close(struct tensor_file *file);

/* Lets go of the memory that reading the entry's mapped data has filled; it is read again from disk
 * when it is next touched.  For walking through files larger than memory should hold. */
void tensor_file_release(const struct tensor_file *file, const struct tensor_entry *entry);

/* Says that all of the file will be read soon: the system may begin, in the background. */
void tensor_file_prefetch(const struct tensor_file *file);

/* Sets stride and elements from rank and dim, as for data that lies in row-major order. */
void tensor_entry_set_contiguous(struct tensor_entry *entry);

/* Element-wise conversion of a whole tensor to contiguous float32, out[entry->elements]. */
enum earshot_status tensor_entry_to_f32(const struct tensor_entry *entry, float *out,
                                        struct earshot_error *error);

#endif
