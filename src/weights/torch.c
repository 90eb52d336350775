/*
 * torch.c: both forms of torch.save's files.  See torch.h.
 *
 * Zip form: ROOT/data.pkl is the object, ROOT/data/KEY the bytes of storage KEY, ROOT/byteorder
 * (newer files) "little"; ROOT is anything.  Legacy form: a magic number, a protocol version, a
 * dict about the machine, the object, the list of storage keys, each a pickle; then for each key,
 * in that order, its number of elements (i64) and its elements.
 *
 * Source: PyTorch's torch/serialization.py.  Not read: TorchScript archives, the tar form of before
 * 2017, files of big-endian machines.
 */
#include "weights/torch.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "weights/pickle.h"
#include "weights/tensor_table.h"
#include "weights/zip_directory.h"

#define LEGACY_PROTOCOL 1001

/* 0x1950a86a20f9469cfc6c, little-endian. */
static const char legacy_magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/* A storage that the pickle names, and where its bytes are. */
struct located {
    const struct pickle_storage *storage;
    const unsigned char *data; /* NULL until found */
};

/* Unique storages sorted by key. */
struct storage_table {
    struct located *item;
    int64_t count;
};

static int compare_keys(struct pickle_text a, struct pickle_text b)
{
    int order = memcmp(a.bytes, b.bytes, a.length < b.length ? a.length : b.length);

    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_located(const void *a, const void *b)
{
    const struct located *left = a, *right = b;

    return compare_keys(left->storage->key, right->storage->key);
}

static struct located *find_storage(const struct storage_table *table, struct pickle_text key)
{
    int64_t low = 0, high = table->count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = compare_keys(key, table->item[middle].storage->key);

        if (order == 0)
            return &table->item[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static size_t storage_bytes(const struct pickle_storage *storage)
{
    return (size_t)storage->elements * tensor_dtype_bytes(storage->dtype);
}

/* A storage may be named many times, always of the same size. */
static enum earshot_status collect_storages(struct storage_table *table,
                                            const struct pickle *pickle,
                                            struct earshot_error *error)
{
    int64_t named = pickle_storage_count(pickle), count = 0;

    table->item = malloc((size_t)(named + 1) * sizeof *table->item);
    if (!table->item)
        return error_memory(error, (size_t)(named + 1) * sizeof *table->item);
    for (int64_t i = 0; i < named; i++)
        table->item[i] = (struct located){.storage = pickle_storage_at(pickle, i)};
    qsort(table->item, (size_t)named, sizeof *table->item, compare_located);
    for (int64_t i = 0; i < named; i++) {
        if (count > 0 && compare_located(&table->item[count - 1], &table->item[i]) == 0) {
            if (storage_bytes(table->item[count - 1].storage) !=
                storage_bytes(table->item[i].storage))
                return error_set(error, EARSHOT_ERROR_FORMAT,
                                 "a storage is given two different sizes");
            continue;
        }
        table->item[count++] = table->item[i];
    }
    table->count = count;
    return EARSHOT_OK;
}

static bool holds_tensors(const struct pickle_value *dict)
{
    if (!dict || dict->kind != PICKLE_DICT)
        return false;
    for (int64_t i = 1; i < dict->as.list.count; i += 2)
        if (dict->as.list.item[i]->kind == PICKLE_TENSOR)
            return true;
    return false;
}

/* The nested places first: a training checkpoint may hold a loose tensor (a step count) on top. */
static const struct pickle_value *find_state_dict(const struct pickle_value *root)
{
    static const char *const place[] = {"state_dict", "model", "model_state_dict"};

    for (size_t i = 0; i < sizeof place / sizeof place[0]; i++) {
        const struct pickle_value *inner = pickle_dict_find(root, place[i]);

        if (holds_tensors(inner))
            return inner;
    }
    return holds_tensors(root) ? root : NULL;
}

static enum earshot_status add_tensor(struct tensor_file *file, const struct storage_table *table,
                                      struct pickle_text key, const struct pickle_tensor *tensor,
                                      struct earshot_error *error)
{
    const struct located *located = find_storage(table, tensor->storage->key);
    char name[TENSOR_NAME_MAX + 1];

    if (key.length > TENSOR_NAME_MAX || memchr(key.bytes, 0, key.length))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "a tensor name is longer than %d bytes or has a NUL in it",
                         TENSOR_NAME_MAX);
    memcpy(name, key.bytes, key.length);
    name[key.length] = '\0';
    if (!located || !located->data)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "the data of tensor \"%s\" is not in the file", name);
    return tensor_table_add(
        file, name, &tensor->layout,
        located->data + (size_t)tensor->offset * tensor_dtype_bytes(tensor->layout.dtype), error);
}

static enum earshot_status add_state_dict(struct tensor_file *file,
                                          const struct storage_table *table,
                                          const struct pickle_value *root,
                                          struct earshot_error *error)
{
    const struct pickle_value *dict = find_state_dict(root);
    enum earshot_status status = EARSHOT_OK;

    if (!dict)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "it holds no state dict: no tensors by name at the top level nor under "
                         "\"state_dict\", \"model\" or \"model_state_dict\"");
    for (int64_t i = 0; status == EARSHOT_OK && i < dict->as.list.count; i += 2) {
        const struct pickle_value *key = dict->as.list.item[i], *value = dict->as.list.item[i + 1];

        if (key->kind == PICKLE_TEXT && value->kind == PICKLE_TENSOR)
            status = add_tensor(file, table, key->as.text, value->as.tensor, error);
    }
    return status == EARSHOT_OK ? tensor_table_finish(file, error) : status;
}

/* ---- zip form ---- */

/* The one member ROOT/data.pkl; *root_length counts ROOT/. */
static enum earshot_status find_object(const struct zip_directory *zip,
                                       const struct zip_member **object, size_t *root_length,
                                       struct earshot_error *error)
{
    static const char suffix[] = "/data.pkl";
    const size_t length = sizeof suffix - 1;

    *object = NULL;
    for (size_t i = 0; i < zip->count; i++) {
        const struct zip_member *member = &zip->member[i];

        if (member->name_length <= length ||
            memcmp(member->name + member->name_length - length, suffix, length) != 0 ||
            memchr(member->name, '/', member->name_length - length))
            continue;
        if (*object)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "the archive has more than one FOLDER/data.pkl");
        *object = member;
        *root_length = member->name_length - length + 1;
    }
    return *object ? EARSHOT_OK
                   : error_set(error, EARSHOT_ERROR_FORMAT,
                               "a zip archive, but not of torch.save: it has no FOLDER/data.pkl");
}

/* ROOT/SUFFIX; NULL when there is none. */
static const struct zip_member *find_beside(const struct zip_directory *zip,
                                            const struct zip_member *object, size_t root_length,
                                            const char *folder, struct pickle_text name)
{
    const struct zip_member *found;
    struct str path = {0};

    str_append(&path, object->name, root_length);
    str_append_text(&path, folder);
    str_append(&path, name.bytes, name.length);
    found = path.failed ? NULL : zip_directory_find(zip, path.data, path.length);
    str_free(&path);
    return found;
}

static enum earshot_status check_byte_order(const struct zip_directory *zip,
                                            const struct zip_member *object, size_t root_length,
                                            struct earshot_error *error)
{
    const struct pickle_text name = {"byteorder", 9};
    const struct zip_member *member = find_beside(zip, object, root_length, "", name);
    const unsigned char *data;
    enum earshot_status status;

    if (!member)
        return EARSHOT_OK;
    status = zip_member_data(zip, member, &data, error);
    if (status == EARSHOT_OK && (member->size_bytes < 6 || memcmp(data, "little", 6) != 0))
        status =
            error_set(error, EARSHOT_ERROR_UNSUPPORTED, "it was written on a big-endian machine");
    return status;
}

static enum earshot_status locate_members(struct storage_table *table,
                                          const struct zip_directory *zip,
                                          const struct zip_member *object, size_t root_length,
                                          struct earshot_error *error)
{
    for (int64_t i = 0; i < table->count; i++) {
        const struct pickle_storage *storage = table->item[i].storage;
        const struct zip_member *member =
            find_beside(zip, object, root_length, "data/", storage->key);
        int length = storage->key.length < 60 ? (int)storage->key.length : 60;
        enum earshot_status status;

        if (!member)
            return error_set(error, EARSHOT_ERROR_FORMAT, "the archive has no storage \"%.*s\"",
                             length, storage->key.bytes);
        if (member->size_bytes != storage_bytes(storage))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "storage \"%.*s\" has %llu bytes, but its tensors expect %zu", length,
                             storage->key.bytes, (unsigned long long)member->size_bytes,
                             storage_bytes(storage));
        status = zip_member_data(zip, member, &table->item[i].data, error);
        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

static enum earshot_status parse_zip(struct tensor_file *file, const unsigned char *bytes,
                                     size_t size_bytes, struct earshot_error *error)
{
    struct storage_table table = {0};
    const struct zip_member *object = NULL;
    const unsigned char *data = NULL;
    struct pickle *pickle = NULL;
    struct zip_directory zip;
    size_t root_length = 0, used;
    enum earshot_status status = zip_directory_read(&zip, bytes, size_bytes, error);

    if (status != EARSHOT_OK)
        return status;
    status = find_object(&zip, &object, &root_length, error);
    if (status == EARSHOT_OK)
        status = check_byte_order(&zip, object, root_length, error);
    if (status == EARSHOT_OK)
        status = zip_member_data(&zip, object, &data, error);
    if (status == EARSHOT_OK)
        status = pickle_open(data, (size_t)object->size_bytes, &pickle, &used, error);
    if (status == EARSHOT_OK)
        status = collect_storages(&table, pickle, error);
    if (status == EARSHOT_OK)
        status = locate_members(&table, &zip, object, root_length, error);
    if (status == EARSHOT_OK)
        status = add_state_dict(file, &table, pickle_root(pickle), error);
    free(table.item);
    pickle_close(pickle);
    zip_directory_free(&zip);
    return status;
}

/* ---- legacy form ---- */

static bool is_integer(const struct pickle_value *value, int64_t wanted)
{
    return value->kind == PICKLE_INT && value->as.integer == wanted;
}

/* The three pickles before the object.  Returns with *at after them. */
static enum earshot_status check_preamble(const unsigned char *bytes, size_t size_bytes, size_t *at,
                                          struct earshot_error *error)
{
    for (int i = 0; i < 3; i++) {
        const struct pickle_value *root, *little;
        struct pickle *pickle;
        size_t used;
        enum earshot_status status =
            pickle_open(bytes + *at, size_bytes - *at, &pickle, &used, error);

        if (status != EARSHOT_OK)
            return status;
        root = pickle_root(pickle);
        little = pickle_dict_find(root, "little_endian");
        if (i == 0 && !(root->kind == PICKLE_LONG && root->as.text.length == 10 &&
                        memcmp(root->as.text.bytes, legacy_magic, 10) == 0))
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "a pickle, but not one that torch.save wrote");
        else if (i == 1 && !is_integer(root, LEGACY_PROTOCOL))
            status = error_set(error, EARSHOT_ERROR_UNSUPPORTED, "its protocol version is not %d",
                               LEGACY_PROTOCOL);
        else if (i == 2 && (!little || little->kind != PICKLE_BOOL || !little->as.integer))
            status = error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                               "it was not written on a little-endian machine");
        pickle_close(pickle);
        if (status != EARSHOT_OK)
            return status;
        *at += used;
    }
    return EARSHOT_OK;
}

/* Walks the raw storages from `at` in the order of the keys. */
static enum earshot_status locate_raw(struct storage_table *table, const struct pickle_value *keys,
                                      const unsigned char *bytes, size_t size_bytes, size_t at,
                                      struct earshot_error *error)
{
    if (keys->kind != PICKLE_LIST)
        return error_set(error, EARSHOT_ERROR_FORMAT, "its list of storages is not a list");
    for (int64_t i = 0; i < keys->as.list.count; i++) {
        const struct pickle_value *key = keys->as.list.item[i];
        struct located *located =
            key->kind == PICKLE_TEXT ? find_storage(table, key->as.text) : NULL;
        uint64_t elements = 0;

        if (!located || located->data)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "its list of storages names one that is unknown, or one twice");
        for (int b = 0; b < 8 && size_bytes - at >= 8; b++)
            elements |= (uint64_t)bytes[at + (size_t)b] << 8 * b;
        if (size_bytes - at < 8 || size_bytes - at - 8 < storage_bytes(located->storage))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "truncated: storage %lld of %lld reaches past the end of the file",
                             (long long)i + 1, (long long)keys->as.list.count);
        if (elements != (uint64_t)located->storage->elements)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "storage %lld has %llu elements, but its tensors expect %lld",
                             (long long)i + 1, (unsigned long long)elements,
                             (long long)located->storage->elements);
        located->data = bytes + at + 8;
        at += 8 + storage_bytes(located->storage);
    }
    return EARSHOT_OK;
}

static enum earshot_status parse_legacy(struct tensor_file *file, const unsigned char *bytes,
                                        size_t size_bytes, struct earshot_error *error)
{
    struct pickle *object = NULL, *keys = NULL;
    struct storage_table table = {0};
    size_t at = 0, used = 0;
    enum earshot_status status = check_preamble(bytes, size_bytes, &at, error);

    if (status == EARSHOT_OK)
        status = pickle_open(bytes + at, size_bytes - at, &object, &used, error);
    at += used;
    if (status == EARSHOT_OK)
        status = pickle_open(bytes + at, size_bytes - at, &keys, &used, error);
    at += used;
    if (status == EARSHOT_OK)
        status = collect_storages(&table, object, error);
    if (status == EARSHOT_OK)
        status = locate_raw(&table, pickle_root(keys), bytes, size_bytes, at, error);
    if (status == EARSHOT_OK)
        status = add_state_dict(file, &table, pickle_root(object), error);
    free(table.item);
    pickle_close(keys);
    pickle_close(object);
    return status;
}

/* The first pickle is a long integer: 0x80 protocol LONG1 length, or with a FRAME before it. */
bool torch_is_checkpoint(const unsigned char *bytes, size_t size_bytes)
{
    return zip_is_archive(bytes, size_bytes) ||
           (size_bytes >= 4 && bytes[0] == 0x80 && (bytes[2] == 0x8a || bytes[2] == 0x95) &&
            bytes[3] > 1);
}

enum earshot_status torch_parse(struct tensor_file *file, const unsigned char *bytes,
                                size_t size_bytes, struct earshot_error *error)
{
    if (!torch_is_checkpoint(bytes, size_bytes))
        return error_set(error, EARSHOT_ERROR_FORMAT, "not a file that torch.save wrote");
    return zip_is_archive(bytes, size_bytes) ? parse_zip(file, bytes, size_bytes, error)
                                             : parse_legacy(file, bytes, size_bytes, error);
}

enum earshot_status torch_open(const char *path, struct tensor_file **file,
                               struct earshot_error *error)
{
    return tensor_table_open(path, torch_parse, file, error);
}
