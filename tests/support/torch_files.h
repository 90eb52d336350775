/*
 * torch_files.h: builds pickles, zip archives and torch.save files byte by byte, right ones and
 * wrong ones, for the tests of their readers.
 */
#ifndef EARSHOT_TESTS_SUPPORT_TORCH_FILES_H
#define EARSHOT_TESTS_SUPPORT_TORCH_FILES_H

#include "base/str.h"

/* ---- pickle opcodes, appended ---- */
void pickle_put_op(struct str *s, unsigned char code);
void pickle_put_text(struct str *s, const char *text);
void pickle_put_int(struct str *s, int64_t value);
void pickle_put_global(struct str *s, const char *module, const char *name);

/* One tensor by _rebuild_tensor_v2; storage_type "FloatStorage", ...; legacy adds the None that
 * stands for "no view" to the persistent id. */
struct pickle_tensor_spec {
    const char *storage_type, *key;
    int64_t storage_elements, offset;
    int rank;
    int64_t dim[8], stride[8];
    bool legacy;
};
void pickle_put_tensor(struct str *s, const struct pickle_tensor_spec *spec);

/* PROTO 2 EMPTY_DICT MARK ... and SETITEMS STOP around name, value, name, value. */
void pickle_begin_dict(struct str *s);
void pickle_end_dict(struct str *s);

/* ---- zip ---- */
struct zip_builder {
    struct str bytes, directory;
    unsigned count;
};
struct zip_options {
    unsigned flags, method;  /* 0x808, 0 as torch.save writes */
    size_t extra_bytes;      /* padding in the local header only */
    bool no_local_size;      /* sizes in the local header are 0 */
    bool wide;               /* sizes and offset of the directory in a Zip64 field */
    uint64_t claimed_bytes;  /* size in the directory, when not 0 */
    uint64_t claimed_offset; /* offset in the directory, when not 0 */
};
void zip_builder_add(struct zip_builder *zip, const char *name, const void *data, size_t size_bytes,
                     struct zip_options options);
/* The whole archive, with Zip64 end records when wide.  Free bytes with str_free. */
struct str zip_builder_finish(struct zip_builder *zip, bool wide);

/* A zip checkpoint ROOT/data.pkl + ROOT/data/0 from one pickle and one storage. */
struct str torch_zip(const struct str *pickle, const void *storage, size_t storage_bytes);
/* The legacy form of the same; key is the storage's name, elements what the file says. */
struct str torch_legacy(const struct str *pickle, const char *key, const void *storage,
                        size_t storage_bytes, int64_t elements);

#endif
