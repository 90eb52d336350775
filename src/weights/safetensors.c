/*
 * safetensors.c: reads and writes the safetensors format.
 *
 *     u64 little-endian N | N bytes of JSON, padded with spaces | data
 *     {"__metadata__": {key: text}, NAME: {"dtype": "F32", "shape": [..], "data_offsets": [a, b]}}
 *
 * Offsets count from the start of the data.  As the format's own description asks, the tensors
 * must cover the data exactly: no overlap, no hole, nothing after the last.  A sharded checkpoint
 * is a JSON file {"metadata": {..}, "weight_map": {NAME: SHARD}} with the shards beside it.
 *
 * Source: the format description in the safetensors repository's README.  Types that a model here
 * has no use for (8-bit floats, unsigned 16-64 bit, complex) are refused by name.
 */
#include "weights/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "weights/tensor_table.h"

#define HEADER_BYTES_MAX ((uint64_t)16 << 20)
/* jansson needs up to some 150 bytes a JSON value; this bounds it at about 60 MB. */
#define HEADER_VALUES_MAX 400000
#define HEADER_DEPTH_MAX 8
#define SHARD_COUNT_MAX 1024

/* Looks at JSON text before it is parsed: the parser's memory and stack are bounded by the number
 * of values and their depth, which cannot be told from the number of bytes. */
static enum earshot_status check_json_size(const char *text, size_t length,
                                           struct earshot_error *error)
{
    size_t values = 0;
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
            continue;
        }
        quoted = c == '"';
        values += c == ',' || c == '{' || c == '[';
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth > HEADER_DEPTH_MAX)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "the JSON is nested more than %d deep at byte %zu", HEADER_DEPTH_MAX,
                             i);
        if (values > HEADER_VALUES_MAX)
            return error_set(error, EARSHOT_ERROR_FORMAT, "the JSON has more than %d values",
                             HEADER_VALUES_MAX);
    }
    return EARSHOT_OK;
}

static enum earshot_status parse_json(const char *text, size_t length, json_t **root,
                                      struct earshot_error *error)
{
    json_error_t where;

    if (check_json_size(text, length, error) != EARSHOT_OK)
        return EARSHOT_ERROR_FORMAT;
    *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!*root)
        return error_set(error, EARSHOT_ERROR_FORMAT, "not valid JSON at line %d, column %d: %s",
                         where.line, where.column, where.text);
    if (!json_is_object(*root)) {
        json_decref(*root);
        return error_set(error, EARSHOT_ERROR_FORMAT, "the JSON is not an object");
    }
    return EARSHOT_OK;
}

static enum earshot_status read_metadata(struct tensor_file *file, json_t *metadata,
                                         struct earshot_error *error)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return error_set(error, EARSHOT_ERROR_FORMAT, "\"__metadata__\" is not an object");
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "\"__metadata__\": the value of \"%.200s\" is not text", key);
        if (tensor_table_add_metadata(file, key, json_string_value(value), error) != EARSHOT_OK)
            return EARSHOT_ERROR_MEMORY;
    }
    return EARSHOT_OK;
}

static enum earshot_status read_dtype(json_t *json, enum tensor_dtype *dtype,
                                      struct earshot_error *error)
{
    if (!json_is_string(json))
        return error_set(error, EARSHOT_ERROR_FORMAT, "\"dtype\" is missing or not text");
    for (int i = TENSOR_F64; i <= TENSOR_BOOL; i++)
        if (strcmp(json_string_value(json), tensor_dtype_name((enum tensor_dtype)i)) == 0) {
            *dtype = (enum tensor_dtype)i;
            return EARSHOT_OK;
        }
    return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                     "dtype \"%.50s\" is not one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL",
                     json_string_value(json));
}

static enum earshot_status read_shape(json_t *json, struct tensor_layout *layout,
                                      struct earshot_error *error)
{
    if (!json_is_array(json))
        return error_set(error, EARSHOT_ERROR_FORMAT, "\"shape\" is missing or not a list");
    if (json_array_size(json) > TENSOR_RANK_MAX)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "%zu dimensions, more than the %d supported", json_array_size(json),
                         TENSOR_RANK_MAX);
    layout->rank = (int)json_array_size(json);
    for (int i = 0; i < layout->rank; i++) {
        json_t *dim = json_array_get(json, (size_t)i);

        if (!json_is_integer(dim))
            return error_set(error, EARSHOT_ERROR_FORMAT, "dimension %d is not an integer", i);
        layout->dim[i] = json_integer_value(dim);
    }
    return EARSHOT_OK;
}

/* [begin, end) within the data, of just the size that the layout says. */
static enum earshot_status read_offsets(json_t *json, const struct tensor_layout *layout,
                                        size_t data_bytes, size_t *begin,
                                        struct earshot_error *error)
{
    json_int_t from, to;
    int64_t elements, wanted;

    if (!json_is_array(json) || json_array_size(json) != 2 ||
        !json_is_integer(json_array_get(json, 0)) || !json_is_integer(json_array_get(json, 1)))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "\"data_offsets\" is missing or not a list of two integers");
    if (tensor_layout_elements(layout, &elements, error) != EARSHOT_OK)
        return EARSHOT_ERROR_FORMAT;
    wanted = elements * (int64_t)tensor_dtype_bytes(layout->dtype);
    from = json_integer_value(json_array_get(json, 0));
    to = json_integer_value(json_array_get(json, 1));
    if (from < 0 || to < from || (uint64_t)to > data_bytes)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "data offsets %lld to %lld are outside the file's %zu bytes of data",
                         (long long)from, (long long)to, data_bytes);
    if (to - from != wanted)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "data offsets span %lld bytes, but its dtype and shape need %lld",
                         (long long)(to - from), (long long)wanted);
    *begin = (size_t)from;
    return EARSHOT_OK;
}

static enum earshot_status read_tensor(struct tensor_file *file, const char *name, json_t *json,
                                       const unsigned char *data, size_t data_bytes,
                                       struct earshot_error *error)
{
    struct tensor_layout layout = {0};
    size_t begin = 0;
    enum earshot_status status;

    if (!json_is_object(json))
        return error_set(error, EARSHOT_ERROR_FORMAT, "its description is not an object");
    status = read_dtype(json_object_get(json, "dtype"), &layout.dtype, error);
    if (status == EARSHOT_OK)
        status = read_shape(json_object_get(json, "shape"), &layout, error);
    if (status == EARSHOT_OK)
        status =
            read_offsets(json_object_get(json, "data_offsets"), &layout, data_bytes, &begin, error);
    if (status != EARSHOT_OK)
        return status;
    tensor_layout_set_contiguous(&layout);
    return tensor_table_add(file, name, &layout, data + begin, error);
}

/* Of a shape that has been checked. */
static size_t shape_bytes(const struct tensor_entry *entry)
{
    size_t bytes = tensor_dtype_bytes(entry->dtype);
    bool empty = false;

    for (int i = 0; i < entry->rank; i++)
        empty |= entry->dim[i] == 0;
    for (int i = 0; i < entry->rank && !empty; i++)
        bytes *= (size_t)entry->dim[i];
    return empty ? 0 : bytes;
}

static int compare_data(const void *a, const void *b)
{
    const struct tensor_entry *left = *(const struct tensor_entry *const *)a;
    const struct tensor_entry *right = *(const struct tensor_entry *const *)b;

    if (left->data != right->data)
        return (const char *)left->data < (const char *)right->data ? -1 : 1;
    return (left->elements > 0) - (right->elements > 0); /* empty ones first */
}

/* The tensors must lie one after the other from the first byte of the data to the last. */
static enum earshot_status check_cover(struct tensor_file *file, const unsigned char *data,
                                       size_t data_bytes, struct earshot_error *error)
{
    const struct tensor_entry **sorted = malloc((size_t)(file->count + 1) * sizeof *sorted);
    enum earshot_status status = EARSHOT_OK;
    const unsigned char *end = data;

    if (!sorted)
        return error_memory(error, (size_t)(file->count + 1) * sizeof *sorted);
    for (int64_t i = 0; i < file->count; i++)
        sorted[i] = &file->entry[i];
    qsort(sorted, (size_t)file->count, sizeof *sorted, compare_data);
    for (int64_t i = 0; i < file->count && status == EARSHOT_OK; i++) {
        const unsigned char *begin = sorted[i]->data;

        if (begin < end)
            status =
                error_set(error, EARSHOT_ERROR_FORMAT, "tensors \"%.200s\" and \"%.200s\" overlap",
                          sorted[i > 0 ? i - 1 : 0]->name, sorted[i]->name);
        else if (begin > end)
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "%zu bytes of data before tensor \"%.200s\" belong to no tensor",
                               (size_t)(begin - end), sorted[i]->name);
        end = begin + shape_bytes(sorted[i]);
    }
    free(sorted);
    if (status == EARSHOT_OK && end != data + data_bytes)
        status = error_set(error, EARSHOT_ERROR_FORMAT,
                           "%zu bytes after the last tensor belong to no tensor",
                           (size_t)(data + data_bytes - end));
    return status;
}

enum earshot_status safetensors_parse(struct tensor_file *file, const unsigned char *bytes,
                                      size_t size_bytes, struct earshot_error *error)
{
    enum earshot_status status;
    uint64_t header_bytes = 0;
    const unsigned char *data;
    const char *name;
    json_t *root, *value;

    if (size_bytes < 8)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "%zu bytes are too few for a safetensors file", size_bytes);
    for (int i = 0; i < 8; i++)
        header_bytes |= (uint64_t)bytes[i] << 8 * i;
    if (header_bytes > size_bytes - 8)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "not safetensors, or truncated: a header of %llu bytes is announced, but "
                         "only %zu bytes follow",
                         (unsigned long long)header_bytes, size_bytes - 8);
    if (header_bytes > HEADER_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "a header of %llu bytes is larger than the %llu supported",
                         (unsigned long long)header_bytes, (unsigned long long)HEADER_BYTES_MAX);
    data = bytes + 8 + header_bytes;
    size_bytes -= 8 + (size_t)header_bytes;
    status = parse_json((const char *)bytes + 8, (size_t)header_bytes, &root, error);
    if (status != EARSHOT_OK)
        return error_context(error, "header");
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            status = read_metadata(file, value, error);
        else if ((status = read_tensor(file, name, value, data, size_bytes, error)) != EARSHOT_OK)
            error_context(error, "tensor \"%.200s\"", name);
        if (status != EARSHOT_OK)
            break;
    }
    json_decref(root);
    if (status == EARSHOT_OK)
        status = check_cover(file, data, size_bytes, error);
    return status == EARSHOT_OK ? tensor_table_finish(file, error) : status;
}

/* A shard lies beside its index: a bare file name, and not a hidden way out of the folder. */
static bool shard_name_is_safe(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\') &&
           !strstr(name, "..");
}

/* Adds the shard of this name to file unless `seen`, an object of shard names, has it. */
static enum earshot_status open_shard(struct tensor_file *file, const char *index_path,
                                      const char *shard, json_t *seen, struct earshot_error *error)
{
    const char *slash = strrchr(index_path, '/');
    int folder_length = slash ? (int)(slash + 1 - index_path) : 0;
    struct tensor_file *part;
    enum earshot_status status;
    char *path;

    if (json_object_get(seen, shard))
        return EARSHOT_OK;
    if (!shard_name_is_safe(shard))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "shard name \"%.200s\" is not a plain file name", shard);
    if (json_object_size(seen) >= SHARD_COUNT_MAX)
        return error_set(error, EARSHOT_ERROR_FORMAT, "more than %d shards", SHARD_COUNT_MAX);
    if (json_object_set_new(seen, shard, json_true()) != 0)
        return error_memory(error, strlen(shard));
    path = str_format("%.*s%s", folder_length, index_path, shard);
    if (!path)
        return error_memory(error, strlen(index_path) + strlen(shard));
    status = tensor_table_open(path, safetensors_parse, &part, error);
    free(path);
    return status == EARSHOT_OK ? tensor_table_merge(file, part, error) : status;
}

static enum earshot_status read_index(struct tensor_file *file, const char *path,
                                      const unsigned char *text, size_t length,
                                      struct earshot_error *error)
{
    json_t *root, *weight_map, *value, *seen = NULL;
    const char *name;
    enum earshot_status status;

    if (length > HEADER_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%zu bytes are too many for an index",
                         length);
    status = parse_json((const char *)text, length, &root, error);
    if (status != EARSHOT_OK)
        return status;
    weight_map = json_object_get(root, "weight_map");
    seen = json_object();
    if (!seen)
        status = error_memory(error, sizeof(void *));
    else if (!json_is_object(weight_map) || json_object_size(weight_map) == 0)
        status = error_set(error, EARSHOT_ERROR_FORMAT,
                           "not an index of safetensors: \"weight_map\" is missing or empty");
    if (status == EARSHOT_OK)
        json_object_foreach(weight_map, name, value)
        {
            status = json_is_string(value)
                         ? open_shard(file, path, json_string_value(value), seen, error)
                         : error_set(error, EARSHOT_ERROR_FORMAT,
                                     "\"weight_map\": the shard of \"%.200s\" is not text", name);
            if (status != EARSHOT_OK)
                break;
        }
    if (status == EARSHOT_OK)
        status = tensor_table_finish(file, error);
    if (status == EARSHOT_OK) {
        json_object_foreach(weight_map, name, value) if (!tensor_file_find(file, name))
        {
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "tensor \"%.200s\" is in the index but in no shard", name);
            break;
        }
    }
    for (int64_t i = 0; status == EARSHOT_OK && i < file->count; i++)
        if (!json_object_get(weight_map, file->entry[i].name))
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "tensor \"%.200s\" is in a shard but not in the index",
                               file->entry[i].name);
    json_decref(seen);
    json_decref(root);
    return status;
}

/* A safetensors file starts with a length whose high bytes are 0, which JSON text never holds. */
bool safetensors_is_index(const unsigned char *bytes, size_t size_bytes)
{
    size_t i = 0;

    while (i < size_bytes && strchr(" \t\r\n", bytes[i]) && bytes[i])
        i++;
    return i < size_bytes && bytes[i] == '{' && !memchr(bytes, 0, size_bytes < 8 ? size_bytes : 8);
}

enum earshot_status safetensors_open(const char *path, struct tensor_file **file,
                                     struct earshot_error *error)
{
    struct file_map map;
    enum earshot_status status = file_map_open(path, &map, error);
    bool is_index;

    *file = NULL;
    if (status != EARSHOT_OK)
        return status;
    is_index = safetensors_is_index(map.data, map.size_bytes);
    if (is_index && (status = tensor_table_new(file, error)) == EARSHOT_OK) {
        status = read_index(*file, path, map.data, map.size_bytes, error);
        if (status != EARSHOT_OK) {
            error_context(error, "%s", path);
            tensor_file_close(*file);
            *file = NULL;
        }
    }
    file_map_close(&map);
    return is_index ? status : tensor_table_open(path, safetensors_parse, file, error);
}

/* text as a JSON string with its quotes; an error for anything but UTF-8. */
static enum earshot_status append_json_text(struct str *header, const char *text,
                                            struct earshot_error *error)
{
    json_t *json = json_string(text);
    char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

    json_decref(json);
    if (!quoted)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "name or text is not valid UTF-8");
    str_append_text(header, quoted);
    free(quoted);
    return EARSHOT_OK;
}

static enum earshot_status build_header(struct str *header, const struct tensor_entry *entry,
                                        int64_t count, const struct tensor_metadata *metadata,
                                        int64_t metadata_count, struct earshot_error *error)
{
    size_t offset = 0;

    str_append_text(header, "{");
    for (int64_t i = 0; i < metadata_count; i++) {
        str_append_text(header, i == 0 ? "\"__metadata__\":{" : ",");
        if (append_json_text(header, metadata[i].key, error) != EARSHOT_OK)
            return EARSHOT_ERROR_ARGUMENT;
        str_append_text(header, ":");
        if (append_json_text(header, metadata[i].value, error) != EARSHOT_OK)
            return EARSHOT_ERROR_ARGUMENT;
        if (i == metadata_count - 1)
            str_append_text(header, count > 0 ? "}," : "}");
    }
    for (int64_t i = 0; i < count; i++) {
        if (append_json_text(header, entry[i].name, error) != EARSHOT_OK)
            return EARSHOT_ERROR_ARGUMENT;
        str_append_format(header, ":{\"dtype\":\"%s\",\"shape\":[",
                          tensor_dtype_name(entry[i].dtype));
        for (int d = 0; d < entry[i].rank; d++)
            str_append_format(header, "%s%lld", d ? "," : "", (long long)entry[i].dim[d]);
        str_append_format(header, "],\"data_offsets\":[%zu,%zu]}%s", offset,
                          offset + shape_bytes(&entry[i]), i < count - 1 ? "," : "");
        offset += shape_bytes(&entry[i]);
    }
    str_append_text(header, "}");
    while (header->length % 8 != 0 && !header->failed)
        str_append_text(header, " ");
    return header->failed ? error_memory(error, header->length) : EARSHOT_OK;
}

static void write_entry(FILE *stream, const struct tensor_entry *entry)
{
    size_t size = tensor_dtype_bytes(entry->dtype);
    struct tensor_row row;

    for (tensor_row_begin(&row, entry); tensor_row_next(&row);) {
        if (row.stride == 1) {
            fwrite(row.data, size, (size_t)row.count, stream);
            continue;
        }
        for (int64_t i = 0; i < row.count; i++)
            fwrite(row.data + (size_t)(i * row.stride) * size, size, 1, stream);
    }
}

/* Strides that were never set: every element would be the first. */
static bool strides_are_unset(const struct tensor_entry *entry)
{
    for (int i = 0; i < entry->rank; i++)
        if (entry->stride[i] != 0)
            return false;
    return entry->elements > 1;
}

static enum earshot_status check_entry(struct tensor_file *table, const struct tensor_entry *entry,
                                       bool with_data, struct earshot_error *error)
{
    struct tensor_layout layout = {.dtype = entry->dtype, .rank = entry->rank};
    int64_t elements;

    if (layout.rank < 0 || layout.rank > TENSOR_RANK_MAX ||
        strcmp(entry->name, "__metadata__") == 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "tensor \"%.200s\" cannot be written: rank %d, or a reserved name",
                         entry->name, layout.rank);
    memcpy(layout.dim, entry->dim, sizeof layout.dim);
    if (tensor_layout_elements(&layout, &elements, error) != EARSHOT_OK)
        return EARSHOT_ERROR_ARGUMENT;
    if (with_data && (elements != entry->elements || strides_are_unset(entry)))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "tensor \"%.200s\": its elements or strides do not match its shape",
                         entry->name);
    return tensor_table_add(table, entry->name, &layout, NULL, error);
}

/* What the reader would refuse must not be written. */
static enum earshot_status check_entries(const struct tensor_entry *entry, int64_t count,
                                         bool with_data, struct earshot_error *error)
{
    struct tensor_file *table;
    enum earshot_status status = tensor_table_new(&table, error);

    for (int64_t i = 0; status == EARSHOT_OK && i < count; i++)
        status = check_entry(table, &entry[i], with_data, error);
    if (status == EARSHOT_OK)
        status = tensor_table_finish(table, error);
    tensor_file_close(table);
    return status;
}

/* The tensors, from their data or from supply. */
static enum earshot_status write_data(FILE *stream, const struct tensor_entry *entry, int64_t count,
                                      safetensors_supply supply, void *context,
                                      struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;
    size_t largest = 1;
    void *buffer;

    if (!supply) {
        for (int64_t i = 0; i < count; i++)
            write_entry(stream, &entry[i]);
        return EARSHOT_OK;
    }
    for (int64_t i = 0; i < count; i++)
        largest = shape_bytes(&entry[i]) > largest ? shape_bytes(&entry[i]) : largest;
    buffer = malloc(largest);
    if (!buffer)
        return error_memory(error, largest);
    for (int64_t i = 0; status == EARSHOT_OK && i < count; i++) {
        status = supply(context, i, buffer, error);
        if (status == EARSHOT_OK)
            fwrite(buffer, 1, shape_bytes(&entry[i]), stream);
    }
    free(buffer);
    return status;
}

enum earshot_status safetensors_write_supplied(const char *path, const struct tensor_entry *entry,
                                               int64_t count,
                                               const struct tensor_metadata *metadata,
                                               int64_t metadata_count, safetensors_supply supply,
                                               void *context, struct earshot_error *error)
{
    struct file_writer writer;
    struct str header = {0};
    unsigned char length[8];
    enum earshot_status status = check_entries(entry, count, !supply, error);

    if (status == EARSHOT_OK)
        status = build_header(&header, entry, count, metadata, metadata_count, error);
    if (status == EARSHOT_OK && header.length > HEADER_BYTES_MAX)
        status = error_set(error, EARSHOT_ERROR_ARGUMENT,
                           "names and metadata need a header of %zu bytes, more than the %llu that "
                           "can be read back",
                           header.length, (unsigned long long)HEADER_BYTES_MAX);
    if (status != EARSHOT_OK) {
        str_free(&header);
        error_context(error, "%s", path);
        return status;
    }
    status = file_writer_open(&writer, path, error);
    if (status == EARSHOT_OK) {
        for (int i = 0; i < 8; i++)
            length[i] = (unsigned char)((uint64_t)header.length >> 8 * i);
        fwrite(length, 1, sizeof length, writer.stream); /* commit looks at ferror */
        fwrite(header.data, 1, header.length, writer.stream);
        status = write_data(writer.stream, entry, count, supply, context, error);
        if (status == EARSHOT_OK)
            status = file_writer_commit(&writer, error);
        else
            file_writer_abandon(&writer);
    }
    str_free(&header);
    return status;
}

enum earshot_status safetensors_write(const char *path, const struct tensor_entry *entry,
                                      int64_t count, const struct tensor_metadata *metadata,
                                      int64_t metadata_count, struct earshot_error *error)
{
    return safetensors_write_supplied(path, entry, count, metadata, metadata_count, NULL, NULL,
                                      error);
}
