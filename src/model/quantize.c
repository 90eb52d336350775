/* quantize.c: a model in lower precision.  See quantize.h. */
#include "model/quantize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bfloat.h"
#include "base/file.h"
#include "base/str.h"
#include "model/captioner.h"
#include "model/heads.h"
#include "model/param_file.h"

struct quantize {
    struct captioner *captioner; /* its parameters are not allocated */
    struct tensor_file *source;
    enum weight_type type;
    struct tensor_entry *entry;
    const struct param **param; /* of each entry */
    char **name;                /* of each entry of scales, else NULL */
    int64_t count;
    float *value; /* room for the largest parameter */
};

static void quantize_free(struct quantize *q)
{
    for (int64_t i = 0; q->name && i < q->count; i++)
        free(q->name[i]);
    free(q->name);
    free(q->entry);
    free(q->param);
    free(q->value);
    tensor_file_close(q->source);
    captioner_free(q->captioner);
}

/* ---- the source -------------------------------------------------------------------------------
 */

static enum earshot_status check_source(const struct quantize *q, struct earshot_error *error)
{
    struct params *params = q->captioner->params;

    for (int i = 0; i < params_count(params); i++) {
        const struct param *param = params_at(params, i);
        const struct tensor_entry *entry = tensor_file_find(q->source, param->name);
        enum earshot_status status = param_file_check(param, entry, error);

        if (status != EARSHOT_OK)
            return status;
        if (entry->dtype != TENSOR_F32)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "tensor '%s' is %s: only a model in F32 can be quantized", param->name,
                             tensor_dtype_name(entry->dtype));
    }
    return EARSHOT_OK;
}

/* ---- the tensors that are written -------------------------------------------------------------
 */

static void add_entry(struct quantize *q, const struct param *param, enum tensor_dtype dtype)
{
    struct tensor_entry *entry = &q->entry[q->count];

    *entry = (struct tensor_entry){.name = param->name, .dtype = dtype, .rank = param->rank};
    memcpy(entry->dim, param->dim, (size_t)param->rank * sizeof *param->dim);
    q->param[q->count++] = param;
}

static enum earshot_status add_scale(struct quantize *q, const struct param *param,
                                     struct earshot_error *error)
{
    char *name = str_format("%s" PARAM_FILE_SCALE, param->name);

    if (!name)
        return error_memory(error, strlen(param->name));
    q->entry[q->count] =
        (struct tensor_entry){.name = name, .dtype = TENSOR_F32, .rank = 1, .dim = {param->dim[0]}};
    q->param[q->count] = param;
    q->name[q->count++] = name;
    return EARSHOT_OK;
}

/* Weights in whole cache lines first, what could move the others off their alignment last. */
static enum earshot_status list_entries(struct quantize *q, struct earshot_error *error)
{
    struct params *params = q->captioner->params;
    int64_t room = 2 * (int64_t)params_count(params), largest = 1;
    enum tensor_dtype dtype = q->type == WEIGHT_BF16 ? TENSOR_BF16 : TENSOR_I8;
    int64_t line = 64 / (int64_t)weight_type_bytes(q->type);
    enum earshot_status status = EARSHOT_OK;

    q->entry = calloc((size_t)room, sizeof *q->entry);
    q->param = calloc((size_t)room, sizeof *q->param);
    q->name = calloc((size_t)room, sizeof *q->name);
    if (!q->entry || !q->param || !q->name)
        return error_memory(error, (size_t)room * sizeof *q->entry);
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < params_count(params) && status == EARSHOT_OK; i++) {
            const struct param *param = params_at(params, i);
            bool whole = param->elements % line == 0;

            if (pass == 0 && param->elements > largest)
                largest = param->elements;
            if (pass == 1 && !param->product)
                add_entry(q, param, TENSOR_F32);
            else if (pass == 1 && q->type == WEIGHT_I8)
                status = add_scale(q, param, error);
            else if (pass != 1 && param->product && whole == (pass == 0))
                add_entry(q, param, dtype);
        }
    q->value = malloc((size_t)largest * sizeof *q->value);
    if (status == EARSHOT_OK && !q->value)
        status = error_memory(error, (size_t)largest * sizeof *q->value);
    return status;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static enum earshot_status check_finite(const struct param *param, const float *value,
                                        struct earshot_error *error)
{
    for (int64_t i = 0; i < param->elements; i++)
        if (!isfinite(value[i]))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "tensor '%s': element %lld is not finite and cannot be quantized",
                             param->name, (long long)i);
    return EARSHOT_OK;
}

static float row_scale(int64_t n, const float *value)
{
    float largest = 0;

    for (int64_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(value[i]));
    return largest / 127;
}

/* A safetensors_supply. */
static enum earshot_status supply(void *context, int64_t index, void *buffer,
                                  struct earshot_error *error)
{
    const struct quantize *q = context;
    const struct param *param = q->param[index];
    const struct tensor_entry *from = tensor_file_find(q->source, param->name);
    enum tensor_dtype dtype = q->entry[index].dtype;
    int64_t rows = param->rank ? param->dim[0] : 1, n = rows ? param->elements / rows : 0;
    enum earshot_status status = tensor_entry_to_f32(from, q->value, error);

    if (status == EARSHOT_OK && param->product)
        status = check_finite(param, q->value, error);
    if (status != EARSHOT_OK)
        return status;
    if (!param->product) {
        memcpy(buffer, q->value, (size_t)param->elements * sizeof *q->value);
    } else if (dtype == TENSOR_BF16) {
        for (int64_t i = 0; i < param->elements; i++)
            ((uint16_t *)buffer)[i] = bfloat_from(q->value[i]);
    } else if (q->name[index]) {
        for (int64_t r = 0; r < rows; r++)
            ((float *)buffer)[r] = row_scale(n, q->value + r * n);
    } else {
        for (int64_t r = 0; r < rows; r++) {
            float scale = row_scale(n, q->value + r * n);

            for (int64_t i = 0; i < n; i++) {
                float steps = scale > 0 ? rintf(q->value[r * n + i] / scale) : 0;

                ((int8_t *)buffer)[r * n + i] = (int8_t)fmaxf(-127, fminf(127, steps));
            }
        }
    }
    tensor_file_release(q->source, from);
    return EARSHOT_OK;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static enum earshot_status copy_file(const char *directory, const char *out, const char *name,
                                     struct earshot_error *error)
{
    char *from = str_format("%s/%s", directory, name), *to = str_format("%s/%s", out, name);
    enum earshot_status status = from && to ? EARSHOT_OK : error_memory(error, strlen(directory));
    struct file_map map;

    if (status == EARSHOT_OK && (strcmp(name, HEADS_FILE) != 0 || file_exists(from))) {
        status = file_map_open(from, &map, error);
        if (status == EARSHOT_OK) {
            status = file_write_atomic(to, map.data, map.size_bytes, error);
            file_map_close(&map);
        }
    }
    free(from);
    free(to);
    return status;
}

static enum earshot_status open_source(struct quantize *q, const char *directory, const char *path,
                                       struct earshot_error *error)
{
    struct model_config config;
    enum earshot_status status = captioner_read_config(directory, &config, error);

    if (status != EARSHOT_OK)
        return status;
    status = captioner_new(&config, &q->captioner, error);
    model_config_free(&config);
    if (status == EARSHOT_OK)
        status = safetensors_open(path, &q->source, error);
    if (status == EARSHOT_OK) {
        status = check_source(q, error);
        if (status != EARSHOT_OK)
            error_context(error, "%s", path);
    }
    return status;
}

static void count(const struct quantize *q, const char *path, struct quantize_result *result)
{
    struct params *params = q->captioner->params;
    struct stat written;

    *result = (struct quantize_result){.from_bytes = tensor_file_bytes(q->source)};
    for (int i = 0; i < params_count(params); i++) {
        result->parameters += params_at(params, i)->elements;
        if (params_at(params, i)->product)
            result->lowered += params_at(params, i)->elements;
    }
    if (stat(path, &written) == 0)
        result->to_bytes = (uint64_t)written.st_size;
}

enum earshot_status quantize_model(const char *directory, enum weight_type type, const char *out,
                                   struct quantize_result *result, struct earshot_error *error)
{
    static const char *const beside[] = {HEADS_FILE, "vocab.txt", "config.json"};
    struct quantize q = {.type = type};
    char *from = str_format("%s/model.safetensors", directory);
    char *to = str_format("%s/model.safetensors", out);
    enum earshot_status status =
        from && to ? open_source(&q, directory, from, error) : error_memory(error, strlen(out));

    if (status == EARSHOT_OK && (file_same(directory, out) || file_same(from, to)))
        status = error_set(error, EARSHOT_ERROR_ARGUMENT,
                           "%s is the model itself: choose another folder", out);
    if (status == EARSHOT_OK)
        status = list_entries(&q, error);
    if (status == EARSHOT_OK)
        status = file_make_directories(out, error);
    if (status == EARSHOT_OK)
        status = safetensors_write_supplied(to, q.entry, q.count, NULL, 0, supply, &q, error);
    for (size_t i = 0; i < sizeof beside / sizeof *beside && status == EARSHOT_OK; i++)
        status = copy_file(directory, out, beside[i], error);
    if (status == EARSHOT_OK)
        count(&q, to, result);
    quantize_free(&q);
    free(from);
    free(to);
    return status;
}
