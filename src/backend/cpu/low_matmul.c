/*
 * low_matmul.c: oneDNN matmul primitives, made once for each shape.  See low_matmul.h.
 *
 * Weights are given as they lie, [out, in]: oneDNN packs them on each call, which costs less than a
 * tenth of a product of 512 rows and saves a second copy of the model.  A primitive that oneDNN can
 * only make out of its reference code is not used.  oneDNN 2 and 3 differ in how memory is
 * described; both are written here.
 */
#include "backend/cpu/low_matmul.h"

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"

/* More shapes than a model has. */
#define MATMULS 96

enum argument { ARGUMENT_X, ARGUMENT_W, ARGUMENT_Y, ARGUMENT_SCRATCH, ARGUMENTS };

static const int argument_ids[ARGUMENTS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST,
                                            DNNL_ARG_SCRATCHPAD};

struct low_matmul {
    enum weight_type type;
    int64_t rows, in, out;
    uint64_t used;                      /* when it was last asked for */
    bool refused;                       /* oneDNN has nothing fast for it */
    dnnl_primitive_t primitive;         /* the threads' objects are NULL where this is */
    dnnl_memory_t (*memory)[ARGUMENTS]; /* [threads] */
    const dnnl_stream_t *stream;        /* [threads], of all products */
    size_t scratch_bytes;
};

struct low_matmuls {
    int threads;
    bool has[WEIGHT_I8 + 1]; /* the processor's products */
    dnnl_engine_t engine;
    dnnl_stream_t *stream; /* [threads] */
    uint64_t clock;
    struct low_matmul matmul[MATMULS];
};

/* ---- what oneDNN 2 and 3 call differently -----------------------------------------------------
 */

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t description;

static bool describe(description *to, int64_t rows, int64_t columns, dnnl_data_type_t type,
                     int64_t row_stride, int64_t column_stride)
{
    const dnnl_dims_t dims = {rows, columns}, strides = {row_stride, column_stride};

    return dnnl_memory_desc_create_with_strides(to, 2, dims, type, strides) == dnnl_success;
}

static void description_free(description *d)
{
    if (*d)
        dnnl_memory_desc_destroy(*d);
}

static bool make_desc(dnnl_engine_t engine, const description d[3],
                      const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *desc)
{
    return dnnl_matmul_primitive_desc_create(desc, engine, d[ARGUMENT_X], d[ARGUMENT_W], NULL,
                                             d[ARGUMENT_Y], attributes) == dnnl_success;
}

static size_t description_bytes(const_dnnl_memory_desc_t d)
{
    return d ? dnnl_memory_desc_get_size(d) : 0;
}

#else

typedef dnnl_memory_desc_t description;

static bool describe(description *to, int64_t rows, int64_t columns, dnnl_data_type_t type,
                     int64_t row_stride, int64_t column_stride)
{
    const dnnl_dims_t dims = {rows, columns}, strides = {row_stride, column_stride};

    return dnnl_memory_desc_init_by_strides(to, 2, dims, type, strides) == dnnl_success;
}

static void description_free(description *d)
{
    (void)d;
}

static bool make_desc(dnnl_engine_t engine, const description d[3],
                      const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *desc)
{
    dnnl_matmul_desc_t matmul;

    return dnnl_matmul_desc_init(&matmul, &d[ARGUMENT_X], &d[ARGUMENT_W], NULL, &d[ARGUMENT_Y]) ==
               dnnl_success &&
           dnnl_primitive_desc_create(desc, &matmul, attributes, engine, NULL) == dnnl_success;
}

static size_t description_bytes(const dnnl_memory_desc_t *d)
{
    return d ? dnnl_memory_desc_get_size(d) : 0;
}

#endif

/* ---- making -----------------------------------------------------------------------------------
 */

static void matmul_free(struct low_matmul *m, int threads)
{
    for (int t = 0; m->memory && t < threads; t++)
        for (int i = 0; i < ARGUMENTS; i++)
            if (m->memory[t][i])
                dnnl_memory_destroy(m->memory[t][i]);
    free(m->memory);
    if (m->primitive)
        dnnl_primitive_destroy(m->primitive);
    *m = (struct low_matmul){0};
}

static bool is_fast(const_dnnl_primitive_desc_t desc)
{
    const char *name = NULL;

    return dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           name && !strstr(name, "ref");
}

/* The threads' memory objects: data is set when they are used. */
static bool make_memory(struct low_matmuls *all, struct low_matmul *m,
                        const_dnnl_primitive_desc_t desc)
{
    static const dnnl_query_t query[ARGUMENTS] = {dnnl_query_src_md, dnnl_query_weights_md,
                                                  dnnl_query_dst_md, dnnl_query_scratchpad_md};

    m->memory = calloc((size_t)all->threads, sizeof *m->memory);
    for (int t = 0; m->memory && t < all->threads; t++)
        for (int i = 0; i < ARGUMENTS; i++)
            if (dnnl_memory_create(&m->memory[t][i],
                                   dnnl_primitive_desc_query_md(desc, query[i], 0), all->engine,
                                   DNNL_MEMORY_NONE) != dnnl_success)
                return false;
    m->scratch_bytes =
        description_bytes(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0));
    m->stream = all->stream;
    return m->memory != NULL;
}

static bool make_primitive(struct low_matmuls *all, struct low_matmul *m, const description d[3])
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t desc = NULL;
    bool made = dnnl_primitive_attr_create(&attributes) == dnnl_success &&
                dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) ==
                    dnnl_success &&
                make_desc(all->engine, d, attributes, &desc) && is_fast(desc) &&
                dnnl_primitive_create(&m->primitive, desc) == dnnl_success &&
                make_memory(all, m, desc);

    if (desc)
        dnnl_primitive_desc_destroy(desc);
    if (attributes)
        dnnl_primitive_attr_destroy(attributes);
    return made;
}

static void make_matmul(struct low_matmuls *all, struct low_matmul *m, enum weight_type type,
                        int64_t rows, int64_t in, int64_t out)
{
    dnnl_data_type_t from = type == WEIGHT_BF16 ? dnnl_bf16 : dnnl_s8;
    dnnl_data_type_t to = type == WEIGHT_BF16 ? dnnl_f32 : dnnl_s32;
    int before = omp_get_max_threads();
    description d[3] = {0};
    bool made;

    omp_set_num_threads(1); /* oneDNN takes its team from here when it makes a primitive */
    made = describe(&d[ARGUMENT_X], rows, in, from, in, 1) &&
           describe(&d[ARGUMENT_W], in, out, from, 1, in) &&
           describe(&d[ARGUMENT_Y], rows, out, to, out, 1) && make_primitive(all, m, d);
    omp_set_num_threads(before);
    for (int i = 0; i < 3; i++)
        description_free(&d[i]);
    if (!made)
        matmul_free(m, all->threads);
    m->type = type;
    m->rows = rows;
    m->in = in;
    m->out = out;
    m->refused = !made;
}

/* ---- the backend's collection -----------------------------------------------------------------
 */

void low_matmuls_free(struct low_matmuls *all)
{
    if (!all)
        return;
    for (int i = 0; i < MATMULS; i++)
        matmul_free(&all->matmul[i], all->threads);
    for (int t = 0; all->stream && t < all->threads; t++)
        if (all->stream[t])
            dnnl_stream_destroy(all->stream[t]);
    free(all->stream);
    if (all->engine)
        dnnl_engine_destroy(all->engine);
    free(all);
}

static bool has_isa(dnnl_cpu_isa_t wanted)
{
    return (dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

struct low_matmuls *low_matmuls_new(int threads)
{
    struct low_matmuls *all = calloc(1, sizeof *all);

    if (!all)
        return NULL;
    all->threads = threads;
    all->has[WEIGHT_BF16] = has_isa(dnnl_cpu_isa_avx512_core_bf16);
    all->has[WEIGHT_I8] = has_isa(dnnl_cpu_isa_avx512_core_vnni);
    return all;
}

/* The engine and the streams, when they are first needed. */
static bool start(struct low_matmuls *all)
{
    bool made;

    if (all->stream)
        return true;
    made = dnnl_engine_create(&all->engine, dnnl_cpu, 0) == dnnl_success &&
           (all->stream = calloc((size_t)all->threads, sizeof *all->stream));
    for (int t = 0; made && t < all->threads; t++)
        made = dnnl_stream_create(&all->stream[t], all->engine, dnnl_stream_default_flags) ==
               dnnl_success;
    if (!made)
        all->has[WEIGHT_BF16] = all->has[WEIGHT_I8] = false;
    return made;
}

const struct low_matmul *low_matmul_get(struct backend *b, enum weight_type type, int64_t rows,
                                        int64_t in, int64_t out)
{
    struct low_matmuls *all = cpu_state_of(b)->low;
    struct low_matmul *oldest;

    if (!all || !all->has[type] || !start(all))
        return NULL;
    oldest = &all->matmul[0];
    all->clock++;
    for (int i = 0; i < MATMULS; i++) {
        struct low_matmul *m = &all->matmul[i];

        if (m->used && m->type == type && m->rows == rows && m->in == in && m->out == out) {
            m->used = all->clock;
            return m->refused ? NULL : m;
        }
        if (m->used < oldest->used)
            oldest = m;
    }
    matmul_free(oldest, all->threads);
    make_matmul(all, oldest, type, rows, in, out);
    oldest->used = all->clock;
    return oldest->refused ? NULL : oldest;
}

size_t low_matmul_scratch_bytes(const struct low_matmul *m)
{
    return m->scratch_bytes;
}

/* ---- running ----------------------------------------------------------------------------------
 */

struct low_matmul_hold low_matmul_begin(int thread)
{
    struct low_matmul_hold hold = {.threads = omp_get_max_threads()};

    /* As in cpu_sgemm, workers keep the mask: signals are for the threads that called. */
    cpu_hold_signals(thread ? NULL : &hold.signals);
    omp_set_num_threads(1);
    return hold;
}

void low_matmul_end(const struct low_matmul_hold *hold, int thread)
{
    omp_set_num_threads(hold->threads);
    if (!thread)
        pthread_sigmask(SIG_SETMASK, &hold->signals, NULL);
}

void low_matmul_run(const struct low_matmul *m, int thread, const void *x, const void *w, void *y,
                    void *scratch)
{
    void *data[ARGUMENTS] = {(void *)(uintptr_t)x, (void *)(uintptr_t)w, y, scratch};
    dnnl_exec_arg_t argument[ARGUMENTS];

    for (int i = 0; i < ARGUMENTS; i++) {
        argument[i] = (dnnl_exec_arg_t){argument_ids[i], m->memory[thread][i]};
        dnnl_memory_set_data_handle(m->memory[thread][i], data[i]);
    }
    dnnl_primitive_execute(m->primitive, m->stream[thread], ARGUMENTS, argument);
    dnnl_stream_wait(m->stream[thread]);
}
