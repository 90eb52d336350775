/* params.c: the parameter table.  See params.h. */
#include "engine/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/str.h"

/* Offsets are multiples of this many elements, so that every parameter starts a cache line. */
#define PARAM_ALIGN 16

struct params {
    struct backend *backend;
    struct param **item;
    int count, capacity;
    int64_t elements; /* without padding */
    int64_t block;    /* with padding: the length of each block, once allocated */
    float *value, *gradient, *moment1, *moment2;
    void *owner; /* of values that lie in host memory */
    void (*release)(void *owner);
    struct earshot_error error;
};

struct params *params_new(void)
{
    return calloc(1, sizeof(struct params));
}

static void block_free(struct params *params, float **block)
{
    if (*block)
        params->backend->mem_free(params->backend, *block, (size_t)params->block * sizeof(float));
    *block = NULL;
}

const char *weight_type_name(enum weight_type type)
{
    return type == WEIGHT_F32 ? "f32" : type == WEIGHT_BF16 ? "bf16" : "int8";
}

/* Outside the blocks. */
static size_t outside_bytes(const struct param *param)
{
    if (param->low.type == WEIGHT_F32 && !param->in_place)
        return 0;
    return (size_t)param->elements * weight_type_bytes(param->low.type);
}

/* The floats of a parameter in each block: its values, or the scales of bytes; padded. */
static int64_t block_room(const struct param *param)
{
    int64_t floats = param->in_place                 ? 0
                     : param->low.type == WEIGHT_F32 ? param->elements
                     : param->low.type == WEIGHT_I8  ? param->dim[0]
                                                     : 0;

    return (floats + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

void params_free(struct params *params)
{
    if (!params)
        return;
    block_free(params, &params->value);
    block_free(params, &params->gradient);
    block_free(params, &params->moment1);
    block_free(params, &params->moment2);
    for (int i = 0; i < params->count; i++) {
        struct param *param = params->item[i];

        if (param->low_memory)
            params->backend->mem_free(params->backend, param->low_memory, outside_bytes(param));
        free(param->name);
        free(param);
    }
    if (params->release)
        params->release(params->owner);
    free(params->item);
    free(params);
}

static bool grow(struct params *params)
{
    int capacity = params->capacity ? 2 * params->capacity : 64;
    struct param **item;

    if (params->count < params->capacity)
        return true;
    item = realloc(params->item, (size_t)capacity * sizeof *item);
    if (!item)
        return false;
    params->item = item;
    params->capacity = capacity;
    return true;
}

struct param *params_add(struct params *params, enum param_init init, float init_scale, int rank,
                         const int64_t *dim, const char *name, ...)
{
    struct param *param = NULL;
    char text[256];
    va_list args;

    if (params->error.status != EARSHOT_OK)
        return NULL;
    va_start(args, name);
    vsnprintf(text, sizeof text, name, args);
    va_end(args);
    if (params_find(params, text)) {
        error_set(&params->error, EARSHOT_ERROR_INTERNAL, "parameter %s is declared twice", text);
        return NULL;
    }
    param = calloc(1, sizeof *param);
    if (!param || !grow(params) || !(param->name = str_format("%s", text))) {
        free(param);
        error_memory(&params->error, sizeof *param);
        return NULL;
    }
    param->rank = rank;
    param->elements = 1;
    for (int i = 0; i < rank; i++) {
        param->dim[i] = dim[i];
        if (dim[i] <= 0 || param->elements > ((int64_t)1 << 40) / dim[i]) {
            error_set(&params->error, EARSHOT_ERROR_ARGUMENT,
                      "parameter %s: axis %d of size %lld is out of range", text, i,
                      (long long)dim[i]);
            free(param->name);
            free(param);
            return NULL;
        }
        param->elements *= dim[i];
    }
    param->init = init;
    param->init_scale = init_scale;
    param->trainable = true;
    param->decay = rank >= 2 && init == PARAM_NORMAL;
    param->learning_rate_scale = 1;
    params->elements += param->elements;
    params->item[params->count++] = param;
    return param;
}

int params_count(const struct params *params)
{
    return params->count;
}

struct param *params_at(const struct params *params, int index)
{
    return params->item[index];
}

struct param *params_find(const struct params *params, const char *name)
{
    for (int i = 0; i < params->count; i++)
        if (strcmp(params->item[i]->name, name) == 0)
            return params->item[i];
    return NULL;
}

int64_t params_elements(const struct params *params)
{
    return params->elements;
}

size_t params_bytes(const struct params *params, bool training)
{
    size_t blocks = training ? 4 : 1, bytes = 0;

    for (int i = 0; i < params->count; i++)
        bytes += outside_bytes(params->item[i]) +
                 (size_t)block_room(params->item[i]) * sizeof(float) * blocks;
    return bytes;
}

void param_lower(struct param *param, enum weight_type type)
{
    param->low.type = type;
}

void param_place(struct param *param, const float *value)
{
    param->value = (float *)(uintptr_t)value; /* only read: it is not trained */
    param->in_place = true;
}

struct backend *params_backend(const struct params *params)
{
    return params->backend;
}

static void lay_out(struct params *params)
{
    params->block = 0;
    for (int i = 0; i < params->count; i++) {
        params->item[i]->offset = params->block;
        params->block += block_room(params->item[i]);
    }
}

static float *block_new(struct params *params)
{
    size_t size_bytes = (size_t)params->block * sizeof(float);
    float *block = params->backend->mem_alloc(params->backend, size_bytes);

    if (block)
        params->backend->mem_zero(params->backend, block, size_bytes);
    return block;
}

enum earshot_status params_allocate(struct params *params, struct backend *backend, bool training,
                                    struct earshot_error *error)
{
    if (params->error.status != EARSHOT_OK) {
        if (error)
            *error = params->error;
        return params->error.status;
    }
    for (int i = 0; training && i < params->count; i++)
        if (params->item[i]->in_place)
            return error_set(error, EARSHOT_ERROR_INTERNAL, "parameter %s is only to be read",
                             params->item[i]->name);
        else if (params->item[i]->low.type != WEIGHT_F32)
            return error_set(error, EARSHOT_ERROR_ARGUMENT, "parameter %s is %s: only f32 trains",
                             params->item[i]->name, weight_type_name(params->item[i]->low.type));
    params->backend = backend;
    lay_out(params);
    params->value = block_new(params);
    if (training) {
        params->gradient = block_new(params);
        params->moment1 = block_new(params);
        params->moment2 = block_new(params);
    }
    if (!params->value || (training && (!params->gradient || !params->moment1 || !params->moment2)))
        return error_memory(error, params_bytes(params, training));
    for (int i = 0; i < params->count; i++) {
        struct param *param = params->item[i];

        if (param->low.type == WEIGHT_F32 && !param->in_place)
            param->value = params->value + param->offset;
        else if (param->low.type == WEIGHT_I8)
            param->low.scale = params->value + param->offset;
        if (training && param->trainable) {
            param->gradient = params->gradient + param->offset;
            param->moment1 = params->moment1 + param->offset;
            param->moment2 = params->moment2 + param->offset;
        }
    }
    return EARSHOT_OK;
}

enum earshot_status params_put_low(struct params *params, struct param *param, const void *data,
                                   const float *scale, bool stays, struct earshot_error *error)
{
    struct backend *backend = params->backend;

    if (param->low.type == WEIGHT_I8)
        backend->upload(backend, params->value + param->offset, scale,
                        (size_t)param->dim[0] * sizeof *scale);
    if (stays && backend->host_memory) {
        param->low.data = data;
        return EARSHOT_OK;
    }
    param->low_memory = backend->mem_alloc(backend, outside_bytes(param));
    if (!param->low_memory)
        return error_memory(error, outside_bytes(param));
    backend->upload(backend, param->low_memory, data, outside_bytes(param));
    param->low.data = param->low_memory;
    return EARSHOT_OK;
}

void params_keep(struct params *params, void *owner, void (*release)(void *owner))
{
    params->owner = owner;
    params->release = release;
}

static float draw(const struct param *param, uint64_t seed, uint64_t stream, uint64_t index)
{
    double normal;

    if (param->init != PARAM_NORMAL)
        return param->init == PARAM_ONES ? 1.0f : 0.0f;
    /* A draw outside two deviations is replaced, not clamped (as trunc_normal_ does). */
    for (uint64_t attempt = 0;; attempt++) {
        normal = random_normal(seed, stream, index + (attempt << 40));
        if (fabs(normal) <= 2)
            return (float)(normal * param->init_scale);
    }
}

void param_initial(const struct param *param, uint64_t seed, int64_t start, int64_t count,
                   float *out)
{
    uint64_t stream = random_stream(param->name);

    for (int64_t i = 0; i < count; i++)
        out[i] = draw(param, seed, stream, (uint64_t)(start + i));
}

void params_initialise(struct params *params, uint64_t seed)
{
    float chunk[4096];

    for (int i = 0; i < params->count; i++) {
        struct param *param = params->item[i];

        if (!param->value || param->in_place)
            continue;
        for (int64_t start = 0; start < param->elements; start += 4096) {
            int64_t n = param->elements - start < 4096 ? param->elements - start : 4096;

            param_initial(param, seed, start, n, chunk);
            params->backend->upload(params->backend, param->value + start, chunk,
                                    (size_t)n * sizeof(float));
        }
    }
}

void param_freeze(struct param *param)
{
    param->trainable = false;
    param->gradient = param->moment1 = param->moment2 = NULL;
}

void params_zero_gradients(struct params *params)
{
    if (params->gradient)
        params->backend->mem_zero(params->backend, params->gradient,
                                  (size_t)params->block * sizeof(float));
}

double params_gradient_norm(const struct params *params)
{
    return sqrt(params->backend->sum_squares(params->backend, params->block, params->gradient));
}
