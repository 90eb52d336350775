/*
 * pickle.h: reads the Python pickles that torch.save writes, as data.  Private to src/weights.
 *
 * A pickle is a program for a small stack machine that can name any Python function and have it
 * called.  Nothing is called here: the machine knows the opcodes below and the handful of names
 * that torch.save uses (pickle.c: global_table), builds plain values from them, and refuses every
 * other opcode and every other name by its name.
 *
 * Values may be shared and may contain themselves: do not walk them without a bound on depth.
 *
 * Sources: the opcode list in CPython's Lib/pickletools.py; PyTorch's torch/serialization.py
 * (persistent ids) and torch/_utils.py (the arguments of _rebuild_tensor_v2).
 */
#ifndef EARSHOT_WEIGHTS_PICKLE_H
#define EARSHOT_WEIGHTS_PICKLE_H

#include "weights/tensor_table.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,    /* integer: 0 or 1 */
    PICKLE_INT,     /* integer */
    PICKLE_LONG,    /* text: the little-endian two's complement bytes of a longer integer */
    PICKLE_FLOAT,   /* real */
    PICKLE_TEXT,    /* text: UTF-8, as far as the file is right; not NUL-terminated */
    PICKLE_TUPLE,   /* list */
    PICKLE_LIST,    /* list */
    PICKLE_DICT,    /* list: key, value, key, value, ...; a key may occur twice, the last counts */
    PICKLE_GLOBAL,  /* integer: an index into the table of allowed names */
    PICKLE_STORAGE, /* storage */
    PICKLE_TENSOR   /* tensor */
};

struct pickle_value;

struct pickle_text {
    const char *bytes; /* inside the pickle itself */
    size_t length;
};

struct pickle_list {
    const struct pickle_value **item;
    int64_t count, capacity;
};

/* What a persistent id says: where the numbers are is known to the file around the pickle. */
struct pickle_storage {
    struct pickle_text key;
    enum tensor_dtype dtype;
    int64_t elements;
};

/* A view of a storage, checked to stay inside it. */
struct pickle_tensor {
    const struct pickle_storage *storage;
    int64_t offset; /* elements */
    struct tensor_layout layout;
};

struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t integer;
        double real;
        struct pickle_text text;
        struct pickle_list list;
        const struct pickle_storage *storage;
        const struct pickle_tensor *tensor;
    } as;
};

struct pickle; /* owns the values; refers to the bytes */

/* Interprets one pickle at the start of bytes, which must outlive it.  *used_bytes says where it
 * ended.  Memory is bounded (about 50 MB), whatever the bytes say. */
enum earshot_status pickle_open(const unsigned char *bytes, size_t size_bytes,
                                struct pickle **pickle, size_t *used_bytes,
                                struct earshot_error *error);
void pickle_close(struct pickle *pickle);

const struct pickle_value *pickle_root(const struct pickle *pickle);

/* Every persistent id of the pickle in the order of appearance; shared storages appear repeatedly.
 */
int64_t pickle_storage_count(const struct pickle *pickle);
const struct pickle_storage *pickle_storage_at(const struct pickle *pickle, int64_t index);

/* The value of a text key; NULL when there is none, or when dict is not a dict. */
const struct pickle_value *pickle_dict_find(const struct pickle_value *dict, const char *key);
bool pickle_text_equals(const struct pickle_value *value, const char *text);

#endif
