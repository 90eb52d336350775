/*
 * tensor_file.c: the table of named tensors that every reader fills, and conversion to float32.
 *
 * Lookup is by a sorted index rather than a hash: names come from files, and a sort cannot be made
 * slow by chosen names.  Values in the files are little-endian, as is every machine this runs on.
 */
#include "weights/tensor_file.h"

#include <stdlib.h>
#include <string.h>

#include "weights/tensor_table.h"

static const struct {
    const char *name;
    size_t bytes;
} dtype_table[] = {
    [TENSOR_F64] = {"F64", 8},   [TENSOR_F32] = {"F32", 4}, [TENSOR_F16] = {"F16", 2},
    [TENSOR_BF16] = {"BF16", 2}, [TENSOR_I64] = {"I64", 8}, [TENSOR_I32] = {"I32", 4},
    [TENSOR_I16] = {"I16", 2},   [TENSOR_I8] = {"I8", 1},   [TENSOR_U8] = {"U8", 1},
    [TENSOR_BOOL] = {"BOOL", 1},
};

size_t tensor_dtype_bytes(enum tensor_dtype dtype)
{
    return dtype_table[dtype].bytes;
}

const char *tensor_dtype_name(enum tensor_dtype dtype)
{
    return dtype_table[dtype].name;
}

enum earshot_status tensor_table_new(struct tensor_file **file, struct earshot_error *error)
{
    *file = calloc(1, sizeof **file);
    return *file ? EARSHOT_OK : error_memory(error, sizeof **file);
}

/* Room for one more element in an array that doubles. */
static enum earshot_status reserve(void **array, int64_t count, int64_t *capacity, size_t size,
                                   struct earshot_error *error)
{
    int64_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown;

    if (count < *capacity)
        return EARSHOT_OK;
    grown = realloc(*array, (size_t)wanted * size);
    if (!grown)
        return error_memory(error, (size_t)wanted * size);
    *array = grown;
    *capacity = wanted;
    return EARSHOT_OK;
}

static enum earshot_status add_map(struct tensor_file *file, struct file_map map,
                                   struct earshot_error *error)
{
    size_t size_bytes = (size_t)(file->map_count + 1) * sizeof *file->map;
    struct file_map *grown = realloc(file->map, size_bytes);

    if (!grown)
        return error_memory(error, size_bytes);
    file->map = grown;
    file->map[file->map_count++] = map;
    return EARSHOT_OK;
}

enum earshot_status tensor_table_map(struct tensor_file *file, const char *path,
                                     struct file_map *map, struct earshot_error *error)
{
    enum earshot_status status = file_map_open(path, map, error);

    if (status != EARSHOT_OK)
        return status;
    status = add_map(file, *map, error);
    if (status != EARSHOT_OK)
        file_map_close(map);
    return status;
}

enum earshot_status tensor_table_open(const char *path, tensor_parser parse,
                                      struct tensor_file **file, struct earshot_error *error)
{
    struct file_map map;
    enum earshot_status status = tensor_table_new(file, error);

    if (status != EARSHOT_OK)
        return status;
    status = tensor_table_map(*file, path, &map, error);
    if (status == EARSHOT_OK) {
        status = parse(*file, map.data, map.size_bytes, error);
        if (status != EARSHOT_OK)
            error_context(error, "%s", path);
    }
    if (status != EARSHOT_OK) {
        tensor_file_close(*file);
        *file = NULL;
    }
    return status;
}

enum earshot_status tensor_layout_elements(const struct tensor_layout *layout, int64_t *elements,
                                           struct earshot_error *error)
{
    int64_t limit = INT64_MAX / (int64_t)tensor_dtype_bytes(layout->dtype);
    int64_t product = 1;
    bool empty = false;

    for (int i = 0; i < layout->rank; i++) {
        if (layout->dim[i] < 0)
            return error_set(error, EARSHOT_ERROR_FORMAT, "dimension %d is negative (%lld)", i,
                             (long long)layout->dim[i]);
        empty |= layout->dim[i] == 0;
    }
    for (int i = 0; i < layout->rank && !empty; i++) {
        if (layout->dim[i] > limit / product)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "the shape has more elements than memory can address");
        product *= layout->dim[i];
    }
    *elements = empty ? 0 : product;
    return EARSHOT_OK;
}

void tensor_layout_set_contiguous(struct tensor_layout *layout)
{
    int64_t elements, stride = 1;
    bool empty = tensor_layout_elements(layout, &elements, NULL) != EARSHOT_OK || elements == 0;

    /* An empty tensor has no elements to step over, and its other dimensions may overflow. */
    for (int i = layout->rank - 1; i >= 0; i--) {
        layout->stride[i] = stride;
        if (!empty)
            stride *= layout->dim[i];
    }
}

enum earshot_status tensor_table_add(struct tensor_file *file, const char *name,
                                     const struct tensor_layout *layout, const void *data,
                                     struct earshot_error *error)
{
    struct tensor_entry *entry;
    int64_t elements;
    char *copy;

    if (tensor_layout_elements(layout, &elements, error) != EARSHOT_OK)
        return error_context(error, "tensor \"%.200s\"", name);
    if (file->count >= TENSOR_COUNT_MAX)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED, "more than %d tensors",
                         TENSOR_COUNT_MAX);
    if (reserve((void **)&file->entry, file->count, &file->capacity, sizeof *entry, error) !=
        EARSHOT_OK)
        return EARSHOT_ERROR_MEMORY;
    if (strlen(name) > TENSOR_NAME_MAX)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "a tensor name is longer than %d bytes: \"%.60s...\"", TENSOR_NAME_MAX,
                         name);
    file->names_bytes += strlen(name) + 1;
    if (file->names_bytes > TENSOR_NAMES_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "the names of its tensors are longer than %zu bytes together",
                         TENSOR_NAMES_BYTES_MAX);
    copy = strdup(name);
    if (!copy)
        return error_memory(error, strlen(name) + 1);
    entry = &file->entry[file->count++];
    *entry = (struct tensor_entry){.name = copy,
                                   .dtype = layout->dtype,
                                   .rank = layout->rank,
                                   .data = data,
                                   .elements = elements};
    memcpy(entry->dim, layout->dim, sizeof entry->dim);
    memcpy(entry->stride, layout->stride, sizeof entry->stride);
    return EARSHOT_OK;
}

enum earshot_status tensor_table_add_metadata(struct tensor_file *file, const char *key,
                                              const char *value, struct earshot_error *error)
{
    struct tensor_metadata *item;

    if (reserve((void **)&file->metadata, file->metadata_count, &file->metadata_capacity,
                sizeof *item, error) != EARSHOT_OK)
        return EARSHOT_ERROR_MEMORY;
    item = &file->metadata[file->metadata_count];
    item->key = strdup(key);
    item->value = strdup(value);
    if (!item->key || !item->value) {
        free((void *)(uintptr_t)item->key);
        free((void *)(uintptr_t)item->value);
        return error_memory(error, strlen(key) + strlen(value) + 2);
    }
    file->metadata_count++;
    return EARSHOT_OK;
}

enum earshot_status tensor_table_merge(struct tensor_file *file, struct tensor_file *from,
                                       struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;

    for (int64_t i = 0; status == EARSHOT_OK && i < from->metadata_count; i++)
        status =
            tensor_table_add_metadata(file, from->metadata[i].key, from->metadata[i].value, error);
    for (int64_t i = 0; status == EARSHOT_OK && i < from->count; i++) {
        const struct tensor_entry *entry = &from->entry[i];
        struct tensor_layout layout = {.dtype = entry->dtype, .rank = entry->rank};

        memcpy(layout.dim, entry->dim, sizeof layout.dim);
        memcpy(layout.stride, entry->stride, sizeof layout.stride);
        status = tensor_table_add(file, entry->name, &layout, entry->data, error);
    }
    while (status == EARSHOT_OK && from->map_count > 0) {
        status = add_map(file, from->map[from->map_count - 1], error);
        from->map_count -= status == EARSHOT_OK;
    }
    tensor_file_close(from);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor_entry *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

enum earshot_status tensor_table_finish(struct tensor_file *file, struct earshot_error *error)
{
    size_t size_bytes = (size_t)(file->count + 1) * sizeof *file->sorted;

    free(file->sorted);
    file->sorted = malloc(size_bytes);
    if (!file->sorted)
        return error_memory(error, size_bytes);
    for (int64_t i = 0; i < file->count; i++)
        file->sorted[i] = &file->entry[i];
    qsort(file->sorted, (size_t)file->count, sizeof *file->sorted, compare_names);
    for (int64_t i = 1; i < file->count; i++)
        if (strcmp(file->sorted[i - 1]->name, file->sorted[i]->name) == 0)
            return error_set(error, EARSHOT_ERROR_FORMAT, "two tensors are named \"%.200s\"",
                             file->sorted[i]->name);
    return EARSHOT_OK;
}

int64_t tensor_file_count(const struct tensor_file *file)
{
    return file->count;
}

const struct tensor_entry *tensor_file_at(const struct tensor_file *file, int64_t index)
{
    return &file->entry[index];
}

const struct tensor_entry *tensor_file_find(const struct tensor_file *file, const char *name)
{
    int64_t low = 0, high = file->count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->sorted[middle]->name);

        if (order == 0)
            return file->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int64_t tensor_file_metadata_count(const struct tensor_file *file)
{
    return file->metadata_count;
}

const struct tensor_metadata *tensor_file_metadata(const struct tensor_file *file, int64_t index)
{
    return &file->metadata[index];
}

uint64_t tensor_file_bytes(const struct tensor_file *file)
{
    uint64_t bytes = 0;

    for (int i = 0; i < file->map_count; i++)
        bytes += file->map[i].size_bytes;
    return bytes;
}

void tensor_file_close(struct tensor_file *file)
{
    if (!file)
        return;
    for (int64_t i = 0; i < file->count; i++)
        free((void *)(uintptr_t)file->entry[i].name);
    for (int64_t i = 0; i < file->metadata_count; i++) {
        free((void *)(uintptr_t)file->metadata[i].key);
        free((void *)(uintptr_t)file->metadata[i].value);
    }
    for (int i = 0; i < file->map_count; i++)
        file_map_close(&file->map[i]);
    free(file->entry);
    free(file->metadata);
    free(file->map);
    free(file->sorted);
    free(file);
}

/* The bytes from the first element to the last that the strides reach. */
static size_t reach_bytes(const struct tensor_entry *entry)
{
    int64_t last = 0;

    if (entry->elements == 0)
        return 0;
    for (int i = 0; i < entry->rank; i++)
        last += (entry->dim[i] - 1) * entry->stride[i];
    return (size_t)(last + 1) * tensor_dtype_bytes(entry->dtype);
}

void tensor_file_release(const struct tensor_file *file, const struct tensor_entry *entry)
{
    const unsigned char *data = entry->data;

    for (int i = 0; i < file->map_count; i++)
        if (data >= file->map[i].data && data < file->map[i].data + file->map[i].size_bytes)
            file_map_release(&file->map[i], data, reach_bytes(entry));
}

void tensor_file_prefetch(const struct tensor_file *file)
{
    for (int i = 0; i < file->map_count; i++)
        file_map_prefetch(&file->map[i]);
}

void tensor_entry_set_contiguous(struct tensor_entry *entry)
{
    struct tensor_layout layout = {.dtype = entry->dtype, .rank = entry->rank};

    memcpy(layout.dim, entry->dim, sizeof layout.dim);
    tensor_layout_set_contiguous(&layout);
    memcpy(entry->stride, layout.stride, sizeof entry->stride);
    entry->elements = 0;
    tensor_layout_elements(&layout, &entry->elements, NULL);
}

bool tensor_entry_is_contiguous(const struct tensor_entry *entry)
{
    int64_t stride = 1;

    if (entry->elements <= 1)
        return true;
    for (int i = entry->rank - 1; i >= 0; i--) {
        if (entry->dim[i] != 1 && entry->stride[i] != stride)
            return false;
        stride *= entry->dim[i];
    }
    return true;
}

/* IEEE 754 binary16; subnormals are value * 2^-24. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, bits;
    uint32_t fraction = half & 1023;
    float value;

    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One loop over a row of `count` elements, `stride` apart; memcpy because data may lie at any
 * address. */
#define CONVERT_ROW(type, expression)                                                              \
    for (int64_t i = 0; i < count; i++) {                                                          \
        type x;                                                                                    \
        memcpy(&x, from + i * stride * (int64_t)sizeof x, sizeof x);                               \
        out[i] = (float)(expression);                                                              \
    }                                                                                              \
    break

static float bfloat_to_float(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void convert_row(enum tensor_dtype dtype, const unsigned char *from, int64_t stride,
                        int64_t count, float *out)
{
    switch (dtype) {
    case TENSOR_F64:
        CONVERT_ROW(double, x);
    case TENSOR_F32:
        CONVERT_ROW(float, x);
    case TENSOR_F16:
        CONVERT_ROW(uint16_t, half_to_float(x));
    case TENSOR_BF16:
        CONVERT_ROW(uint16_t, bfloat_to_float(x));
    case TENSOR_I64:
        CONVERT_ROW(int64_t, x);
    case TENSOR_I32:
        CONVERT_ROW(int32_t, x);
    case TENSOR_I16:
        CONVERT_ROW(int16_t, x);
    case TENSOR_I8:
        CONVERT_ROW(int8_t, x);
    case TENSOR_U8:
        CONVERT_ROW(uint8_t, x);
    case TENSOR_BOOL:
        CONVERT_ROW(uint8_t, x != 0);
    }
}

void tensor_row_begin(struct tensor_row *row, const struct tensor_entry *entry)
{
    *row = (struct tensor_row){.entry = entry, .count = 1, .stride = 1};
    row->outer_rank = entry->rank;
    if (tensor_entry_is_contiguous(entry)) {
        row->count = entry->elements;
        row->outer_rank = 0;
    } else if (entry->rank > 0) {
        row->outer_rank = entry->rank - 1;
        row->count = entry->dim[row->outer_rank];
        row->stride = entry->stride[row->outer_rank];
    }
}

bool tensor_row_next(struct tensor_row *row)
{
    const struct tensor_entry *entry = row->entry;
    int64_t offset = 0;
    int axis;

    if (row->done || entry->elements == 0)
        return false;
    for (int i = 0; i < row->outer_rank; i++)
        offset += row->index[i] * entry->stride[i];
    row->data =
        (const unsigned char *)entry->data + offset * (int64_t)tensor_dtype_bytes(entry->dtype);
    for (axis = row->outer_rank - 1; axis >= 0; axis--) {
        if (++row->index[axis] < entry->dim[axis])
            break;
        row->index[axis] = 0;
    }
    row->done = axis < 0;
    return true;
}

enum earshot_status tensor_entry_to_f32(const struct tensor_entry *entry, float *out,
                                        struct earshot_error *error)
{
    struct tensor_row row;

    if (!out && entry->elements > 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "tensor \"%.200s\": no room to convert to",
                         entry->name);
    for (tensor_row_begin(&row, entry); tensor_row_next(&row); out += row.count)
        convert_row(entry->dtype, row.data, row.stride, row.count, out);
    return EARSHOT_OK;
}
