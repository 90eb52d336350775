/* param_file.c: parameters from a file of tensors.  See param_file.h. */
#include "model/param_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "weights/safetensors.h"

/* ---- lower precision --------------------------------------------------------------------------
 */

static enum weight_type type_of(const struct param *param, const struct tensor_entry *entry)
{
    if (param->product && entry && entry->dtype == TENSOR_BF16)
        return WEIGHT_BF16;
    if (param->product && entry && entry->dtype == TENSOR_I8)
        return WEIGHT_I8;
    return WEIGHT_F32;
}

static enum earshot_status refuse_low(const struct param *param, enum weight_type type,
                                      struct earshot_error *error)
{
    return error_set(error, EARSHOT_ERROR_ARGUMENT,
                     "tensor '%s' is %s: a quantized model can be run, but not trained or taken "
                     "apart; use the one that it was made from",
                     param->name, weight_type_name(type));
}

static void set_types(struct params *params, const struct tensor_file *file)
{
    for (int i = 0; i < params_count(params); i++) {
        struct param *param = params_at(params, i);
        enum weight_type type = type_of(param, tensor_file_find(file, param->name));

        if (type != WEIGHT_F32)
            param_lower(param, type);
    }
}

/* The scales of a weight of bytes: malloc'd. */
static enum earshot_status read_scale(const struct param *param, const struct tensor_file *file,
                                      float **scale, struct earshot_error *error)
{
    char *name = str_format("%s" PARAM_FILE_SCALE, param->name);
    const struct tensor_entry *entry = name ? tensor_file_find(file, name) : NULL;
    enum earshot_status status = name ? EARSHOT_OK : error_memory(error, strlen(param->name));

    *scale = NULL;
    if (status == EARSHOT_OK && !entry)
        status = error_set(error, EARSHOT_ERROR_FORMAT,
                           "tensor '%s' is int8, and there is no tensor '%s' with the scale of "
                           "each output",
                           param->name, name);
    else if (status == EARSHOT_OK &&
             (entry->dtype != TENSOR_F32 || entry->rank != 1 || entry->dim[0] != param->dim[0]))
        status = error_set(error, EARSHOT_ERROR_FORMAT,
                           "tensor '%s' is no list of %lld F32 numbers, one for each output", name,
                           (long long)param->dim[0]);
    free(name);
    if (status != EARSHOT_OK)
        return status;
    *scale = malloc((size_t)param->dim[0] * sizeof **scale);
    if (!*scale)
        return error_memory(error, (size_t)param->dim[0] * sizeof **scale);
    status = tensor_entry_to_f32(entry, *scale, error);
    for (int64_t i = 0; i < param->dim[0] && status == EARSHOT_OK; i++)
        if (!isfinite((*scale)[i]))
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "tensor '%s" PARAM_FILE_SCALE "': number %lld is not finite",
                               param->name, (long long)i);
    return status;
}

/* Elements that are not aligned are copied to where they are. */
static enum earshot_status load_low(struct params *params, struct param *param,
                                    const struct tensor_file *file,
                                    const struct tensor_entry *entry, struct earshot_error *error)
{
    size_t element = weight_type_bytes(param->low.type);
    bool aligned = (uintptr_t)entry->data % element == 0;
    size_t size_bytes = (size_t)param->elements * element;
    enum earshot_status status = EARSHOT_OK;
    void *copy = NULL;
    float *scale = NULL;

    if (param->low.type == WEIGHT_I8)
        status = read_scale(param, file, &scale, error);
    if (status == EARSHOT_OK && !aligned) {
        copy = malloc(size_bytes);
        if (copy)
            memcpy(copy, entry->data, size_bytes);
        else
            status = error_memory(error, size_bytes);
    }
    if (status == EARSHOT_OK)
        status = params_put_low(params, param, copy ? copy : entry->data, scale, aligned, error);
    free(copy);
    free(scale);
    return status;
}

/* ---- loading ----------------------------------------------------------------------------------
 */

enum earshot_status param_file_check(const struct param *param, const struct tensor_entry *entry,
                                     struct earshot_error *error)
{
    bool same;

    if (!entry)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "no tensor '%s', which the configuration asks for", param->name);
    same = entry->rank == param->rank;
    for (int i = 0; same && i < param->rank; i++)
        same = entry->dim[i] == param->dim[i];
    if (!same)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "tensor '%s' has another shape than the configuration asks for "
                         "(%lld elements instead of %lld)",
                         param->name, (long long)entry->elements, (long long)param->elements);
    return EARSHOT_OK;
}

/* One parameter from its tensor; rows of an odd type are converted on the way. */
static enum earshot_status load_param(struct params *params, struct param *param,
                                      const struct tensor_file *file, struct earshot_error *error)
{
    const struct tensor_entry *entry = tensor_file_find(file, param->name);
    struct backend *backend = params_backend(params);
    size_t size_bytes = (size_t)param->elements * sizeof(float);
    enum earshot_status status = param_file_check(param, entry, error);
    float *host;

    if (status != EARSHOT_OK)
        return status;
    if (param->low.type != WEIGHT_F32)
        return load_low(params, param, file, entry, error);
    if (param->in_place)
        return EARSHOT_OK;
    if (type_of(param, entry) != WEIGHT_F32)
        return refuse_low(param, type_of(param, entry), error);
    host = malloc(size_bytes);
    if (!host)
        return error_memory(error, size_bytes);
    status = tensor_entry_to_f32(entry, host, error);
    if (status == EARSHOT_OK)
        backend->upload(backend, param->value, host, size_bytes);
    tensor_file_release(file, entry);
    free(host);
    return status;
}

/* What the file has as it is wanted stays there: its pages come in as they are used, are shared
 * with other programs that run the model, and cost nothing to start with. */
static void place(struct params *params, const struct tensor_file *file)
{
    for (int i = 0; i < params_count(params); i++) {
        struct param *param = params_at(params, i);
        const struct tensor_entry *entry = tensor_file_find(file, param->name);

        if (param_file_check(param, entry, NULL) == EARSHOT_OK && entry->dtype == TENSOR_F32 &&
            (uintptr_t)entry->data % sizeof(float) == 0)
            param_place(param, entry->data);
    }
}

/* Whether the tensor holds the scales of a parameter. */
static bool is_scale(const struct params *params, const char *name)
{
    size_t length = strlen(name), suffix = strlen(PARAM_FILE_SCALE);

    for (int i = 0; i < params_count(params) && str_ends_with(name, PARAM_FILE_SCALE); i++) {
        const struct param *param = params_at(params, i);

        if (param->low.type == WEIGHT_I8 && strlen(param->name) == length - suffix &&
            strncmp(param->name, name, length - suffix) == 0)
            return true;
    }
    return false;
}

static enum earshot_status load_all(struct params *params, const struct tensor_file *file,
                                    param_file_wanted wanted, const void *context,
                                    struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;

    for (int i = 0; i < params_count(params) && status == EARSHOT_OK; i++)
        if (!wanted || wanted(context, params_at(params, i)->name))
            status = load_param(params, params_at(params, i), file, error);
    for (int64_t i = 0; i < tensor_file_count(file) && status == EARSHOT_OK; i++) {
        const char *name = tensor_file_at(file, i)->name;

        if ((!wanted || wanted(context, name)) && !params_find(params, name) &&
            !is_scale(params, name))
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "tensor '%s' belongs to no part of the configured model", name);
    }
    return status;
}

enum earshot_status param_file_load(struct params *params, const char *path,
                                    param_file_wanted wanted, const void *context,
                                    struct earshot_error *error)
{
    struct tensor_file *file;
    enum earshot_status status = safetensors_open(path, &file, error);

    if (status != EARSHOT_OK)
        return status;
    status = load_all(params, file, wanted, context, error);
    if (status != EARSHOT_OK)
        status = error_context(error, "%s", path);
    tensor_file_close(file);
    return status;
}

static void release(void *owner)
{
    tensor_file_close(owner);
}

enum earshot_status param_file_open(struct params *params, const char *path,
                                    struct backend *backend, bool training,
                                    struct earshot_error *error)
{
    struct tensor_file *file;
    enum earshot_status status = safetensors_open(path, &file, error);

    if (status != EARSHOT_OK)
        return status;
    if (!training)
        set_types(params, file);
    if (!training && backend->host_memory) {
        place(params, file);
        tensor_file_prefetch(file);
    }
    status = params_allocate(params, backend, training, error);
    if (status == EARSHOT_OK)
        status = load_all(params, file, NULL, NULL, error);
    if (status != EARSHOT_OK)
        status = error_context(error, "%s", path);
    params_keep(params, file, release);
    return status;
}

enum earshot_status param_file_types(struct params *params, const char *path,
                                     struct earshot_error *error)
{
    struct tensor_file *file;
    enum earshot_status status = safetensors_open(path, &file, error);

    if (status != EARSHOT_OK)
        return status;
    set_types(params, file);
    tensor_file_close(file);
    return EARSHOT_OK;
}
