/* torch_files.c: see torch_files.h. */
#include "support/torch_files.h"

#include <string.h>

static void put_le(struct str *s, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        str_append(s, &(char){i < 8 ? (char)(value >> 8 * i) : 0}, 1);
}

void pickle_put_op(struct str *s, unsigned char code)
{
    put_le(s, code, 1);
}

void pickle_put_text(struct str *s, const char *text)
{
    pickle_put_op(s, 'X');
    put_le(s, strlen(text), 4);
    str_append_text(s, text);
}

void pickle_put_int(struct str *s, int64_t value)
{
    if (value >= INT32_MIN && value <= INT32_MAX) {
        pickle_put_op(s, 'J');
        put_le(s, (uint64_t)value, 4);
    } else {
        pickle_put_op(s, 0x8a);
        put_le(s, 8, 1);
        put_le(s, (uint64_t)value, 8);
    }
}

void pickle_put_global(struct str *s, const char *module, const char *name)
{
    str_append_format(s, "c%s\n%s\n", module, name);
}

static void put_sizes(struct str *s, const int64_t *size, int rank)
{
    pickle_put_op(s, '(');
    for (int i = 0; i < rank; i++)
        pickle_put_int(s, size[i]);
    pickle_put_op(s, 't');
}

void pickle_put_tensor(struct str *s, const struct pickle_tensor_spec *spec)
{
    pickle_put_global(s, "torch._utils", "_rebuild_tensor_v2");
    str_append_text(s, "((");
    pickle_put_text(s, "storage");
    pickle_put_global(s, "torch", spec->storage_type);
    pickle_put_text(s, spec->key);
    pickle_put_text(s, "cpu");
    pickle_put_int(s, spec->storage_elements);
    str_append_text(s, spec->legacy ? "NtQ" : "tQ");
    pickle_put_int(s, spec->offset);
    put_sizes(s, spec->dim, spec->rank);
    put_sizes(s, spec->stride, spec->rank);
    pickle_put_op(s, 0x89);
    pickle_put_global(s, "collections", "OrderedDict");
    str_append_text(s, ")RtR");
}

void pickle_begin_dict(struct str *s)
{
    str_append(s, "\x80\x02}(", 4);
}

void pickle_end_dict(struct str *s)
{
    str_append_text(s, "u.");
}

void zip_builder_add(struct zip_builder *zip, const char *name, const void *data, size_t size_bytes,
                     struct zip_options options)
{
    uint64_t size = options.claimed_bytes ? options.claimed_bytes : size_bytes;
    uint64_t offset = options.claimed_offset ? options.claimed_offset : zip->bytes.length;
    uint64_t local = options.no_local_size ? 0 : size_bytes;
    size_t name_bytes = strlen(name);

    str_append(&zip->bytes, "PK\3\4", 4);
    put_le(&zip->bytes, 0, 2);
    put_le(&zip->bytes, options.flags, 2);
    put_le(&zip->bytes, options.method, 2);
    put_le(&zip->bytes, 0, 8); /* time, date, checksum */
    put_le(&zip->bytes, local, 4);
    put_le(&zip->bytes, local, 4);
    put_le(&zip->bytes, name_bytes, 2);
    put_le(&zip->bytes, options.extra_bytes, 2);
    str_append(&zip->bytes, name, name_bytes);
    for (size_t i = 0; i < options.extra_bytes; i++)
        put_le(&zip->bytes, 'Z', 1);
    str_append(&zip->bytes, data, size_bytes);

    str_append(&zip->directory, "PK\1\2", 4);
    put_le(&zip->directory, 0, 4);
    put_le(&zip->directory, options.flags, 2);
    put_le(&zip->directory, options.method, 2);
    put_le(&zip->directory, 0, 8);
    put_le(&zip->directory, options.wide ? UINT32_MAX : size, 4);
    put_le(&zip->directory, options.wide ? UINT32_MAX : size, 4);
    put_le(&zip->directory, name_bytes, 2);
    put_le(&zip->directory, options.wide ? 28 : 0, 2);
    put_le(&zip->directory, 0, 10);
    put_le(&zip->directory, options.wide ? UINT32_MAX : offset, 4);
    str_append(&zip->directory, name, name_bytes);
    if (options.wide) {
        put_le(&zip->directory, 1, 2);
        put_le(&zip->directory, 24, 2);
        put_le(&zip->directory, size, 8);
        put_le(&zip->directory, size, 8);
        put_le(&zip->directory, offset, 8);
    }
    zip->count++;
}

struct str zip_builder_finish(struct zip_builder *zip, bool wide)
{
    struct str out = zip->bytes;
    size_t start = out.length, end64;

    str_append(&out, zip->directory.data, zip->directory.length);
    end64 = out.length;
    if (wide) {
        str_append(&out, "PK\6\6", 4);
        put_le(&out, 44, 8);
        put_le(&out, 0, 12); /* versions, disks */
        put_le(&out, zip->count, 8);
        put_le(&out, zip->count, 8);
        put_le(&out, zip->directory.length, 8);
        put_le(&out, start, 8);
        str_append(&out, "PK\6\7", 4);
        put_le(&out, 0, 4);
        put_le(&out, end64, 8);
        put_le(&out, 1, 4);
    }
    str_append(&out, "PK\5\6", 4);
    put_le(&out, 0, 4);
    put_le(&out, zip->count, 2);
    put_le(&out, zip->count, 2);
    put_le(&out, zip->directory.length, 4);
    put_le(&out, start, 4);
    put_le(&out, 0, 2);
    str_free(&zip->directory);
    *zip = (struct zip_builder){0};
    return out;
}

struct str torch_zip(const struct str *pickle, const void *storage, size_t storage_bytes)
{
    struct zip_builder zip = {0};

    zip_builder_add(&zip, "x/data.pkl", pickle->data, pickle->length,
                    (struct zip_options){.flags = 0x808, .no_local_size = true});
    zip_builder_add(&zip, "x/data/0", storage, storage_bytes,
                    (struct zip_options){.flags = 0x808, .no_local_size = true, .extra_bytes = 13});
    zip_builder_add(&zip, "x/version", "3\n", 2, (struct zip_options){0});
    return zip_builder_finish(&zip, true);
}

struct str torch_legacy(const struct str *pickle, const char *key, const void *storage,
                        size_t storage_bytes, int64_t elements)
{
    static const char magic[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    static const char version[] = "\x80\x02M\xe9\x03.";
    struct str out = {0};

    str_append(&out, magic, sizeof magic - 1);
    str_append(&out, version, sizeof version - 1);
    pickle_begin_dict(&out);
    pickle_put_text(&out, "little_endian");
    pickle_put_op(&out, 0x88);
    pickle_end_dict(&out);
    str_append(&out, pickle->data, pickle->length);
    str_append(&out, "\x80\x02](", 4);
    pickle_put_text(&out, key);
    str_append_text(&out, "e.");
    put_le(&out, (uint64_t)elements, 8);
    str_append(&out, storage, storage_bytes);
    return out;
}
