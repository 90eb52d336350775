/*
 * params.h: the learned numbers of a model: a table of names over flat f32 blocks; for inference
 * the weights of products may be of lower precision, and lie where a file is mapped.
 *
 * Life: params_new, then modules declare with params_add, then one params_allocate (values; and,
 * for training, gradients and moments), then params_initialise or weights from a file.  Declaring
 * returns pointers that stay valid until params_free.  The first failed declaration sticks and is
 * reported by params_allocate.
 */
#ifndef EARSHOT_ENGINE_PARAMS_H
#define EARSHOT_ENGINE_PARAMS_H

#include "backend/backend.h"
#include "base/error.h"

#define RANK_MAX 8

enum param_init {
    PARAM_ZEROS,
    PARAM_ONES,
    PARAM_NORMAL /* normal, standard deviation init_scale, cut at two deviations */
};

struct param {
    char *name; /* dotted, as in a PyTorch state dict: "video.layers.0.blocks.1.norm1.weight" */
    int rank;
    int64_t dim[RANK_MAX];
    int64_t elements;
    enum param_init init;
    float init_scale;
    bool decay;     /* weight decay applies: weights of products, but not biases, norms, tables */
    bool trainable; /* false: no gradient is computed (frozen) */
    bool product;   /* [out, in], used by op_linear and op_embed only: param_lower may be called */
    float learning_rate_scale;
    int64_t offset;           /* in elements, into every block */
    float *value;             /* NULL where low holds the values */
    bool in_place;            /* value is not in the block, and is only read: param_place */
    struct low_weight low;    /* WEIGHT_F32: value holds them */
    void *low_memory;         /* private: what low.data owns on the backend */
    float *gradient;          /* NULL unless allocated for training and trainable */
    float *moment1, *moment2; /* likewise */
};

struct params;

struct params *params_new(void); /* NULL when out of memory */
void params_free(struct params *params);

/* Declares a parameter; name is a printf format.  Returns NULL (and sticks) on failure, for example
 * a name declared twice. */
struct param *params_add(struct params *params, enum param_init init, float init_scale, int rank,
                         const int64_t *dim, const char *name, ...)
    __attribute__((format(printf, 6, 7)));

int params_count(const struct params *params);
struct param *params_at(const struct params *params, int index);
struct param *params_find(const struct params *params, const char *name); /* NULL if none */
int64_t params_elements(const struct params *params); /* of all parameters, without padding */

/* Reserves the f32 blocks on a backend, cleared.  training adds gradients and two moments.
 * ARGUMENT: training with a product of lower precision. */
enum earshot_status params_allocate(struct params *params, struct backend *backend, bool training,
                                    struct earshot_error *error);
/* Bytes that the values take; with gradients and moments when training. */
size_t params_bytes(const struct params *params, bool training);
struct backend *params_backend(const struct params *params);

/* Before params_allocate: this product's values will be of a type.  Then they cannot be trained. */
void param_lower(struct param *param, enum weight_type type);
/* "f32", "bf16", "int8" */
const char *weight_type_name(enum weight_type type);

/* After params_allocate, the values of such a product: host memory, aligned to the elements, which
 * stays as long as the parameters do if `stays`; then it is not copied where the backend can read
 * it.  scale[out] with WEIGHT_I8; it is copied. */
enum earshot_status params_put_low(struct params *params, struct param *param, const void *data,
                                   const float *scale, bool stays, struct earshot_error *error);
/* Before params_allocate: these are the parameter's f32 values, in host memory that stays as long
 * as the parameters do; for a backend with host_memory, and not for training. */
void param_place(struct param *param, const float *value);
/* Hands over, once, what such memory lies in: params_free ends it with release(owner). */
void params_keep(struct params *params, void *owner, void (*release)(void *owner));

/* Fills every f32 value from its declared distribution.  Depends on seed and names only. */
void params_initialise(struct params *params, uint64_t seed);

/* The same for one parameter, allocated or not, into host memory: elements [start, start + count).
 */
void param_initial(const struct param *param, uint64_t seed, int64_t start, int64_t count,
                   float *out);

/* Takes a parameter out of training, before or after params_allocate: it has no gradient and no
 * moments from then on. */
void param_freeze(struct param *param);

/* Clears all gradients. */
void params_zero_gradients(struct params *params);
/* The global 2-norm of all gradients (double accumulation); not finite if any element is not. */
double params_gradient_norm(const struct params *params);

#endif
