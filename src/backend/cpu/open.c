/*
 * open.c: opening and closing the CPU backend, its memory, and the choice of instruction set.
 *
 * Memory is anonymous mmap for large blocks (not resident before it is touched) and
 * posix_memalign for small ones.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/low_matmul.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_THRESHOLD_BYTES ((size_t)1 << 20)

static void *map_bytes(size_t size_bytes)
{
    void *memory =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* Products walk far apart rows: with small pages a tenth of their time goes into address
     * translation.  Where the system has no large pages, nothing changes. */
    (void)madvise(memory, size_bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

static void *mem_alloc(struct backend *b, size_t size_bytes)
{
    void *memory;

    (void)b;
    if (size_bytes >= MAP_THRESHOLD_BYTES)
        return map_bytes(size_bytes);
    return posix_memalign(&memory, 64, size_bytes ? size_bytes : 64) ? NULL : memory;
}

static void mem_free(struct backend *b, void *memory, size_t size_bytes)
{
    (void)b;
    if (memory && size_bytes >= MAP_THRESHOLD_BYTES)
        munmap(memory, size_bytes);
    else
        free(memory);
}

static void mem_zero(struct backend *b, void *to, size_t size_bytes)
{
    (void)b;
    if (size_bytes)
        memset(to, 0, size_bytes);
}

static void mem_move(struct backend *b, void *to, const void *from, size_t size_bytes)
{
    (void)b;
    if (size_bytes)
        memmove(to, from, size_bytes);
}

static void upload_act(struct backend *b, void *to, const float *host, int64_t n)
{
    mem_move(b, to, host, (size_t)n * sizeof(float));
}

static void download_act(struct backend *b, float *host, const void *from, int64_t n)
{
    mem_move(b, host, from, (size_t)n * sizeof(float));
}

static void cpu_close(struct backend *b)
{
    struct cpu_state *state = b->state;

    low_matmuls_free(state->low);
    munmap(state->scratch, (size_t)state->threads * CPU_SCRATCH_BYTES + CPU_SHARED_BYTES);
    free(state);
    free(b);
}

/* ---- instruction sets ---- */

#define INSTALL_SET(isa)                                                                           \
    static void install_##isa(struct backend *b)                                                   \
    {                                                                                              \
        install_product_##isa(b);                                                                  \
        install_product_low_##isa(b);                                                              \
        install_attention_##isa(b);                                                                \
        install_attention_bwd_##isa(b);                                                            \
        install_norm_##isa(b);                                                                     \
        install_pointwise_##isa(b);                                                                \
        install_move_##isa(b);                                                                     \
        install_loss_##isa(b);                                                                     \
        install_optimizer_##isa(b);                                                                \
    }

static bool always(void)
{
    return true;
}

INSTALL_SET(portable)

#if defined(__x86_64__)
INSTALL_SET(avx2)
INSTALL_SET(avx512)

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const struct isa {
    const char *name;
    bool (*supported)(void);
    void (*install)(struct backend *b);
    bool low; /* as new as the processors with products of lower precision */
} isas[] = {
#if defined(__x86_64__)
    {"avx512", has_avx512, install_avx512, true},
    {"avx2", has_avx2, install_avx2, false},
#endif
    {"portable", always, install_portable, false},
};

static const struct isa *find_isa(const char *name)
{
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if ((!name || !strcmp(name, isas[i].name)) && isas[i].supported())
            return &isas[i];
    return NULL;
}

enum earshot_status cpu_open_isa(int threads, const char *isa_name, struct backend **backend,
                                 struct earshot_error *error)
{
    const struct isa *isa = find_isa(isa_name);
    struct cpu_state *state;
    struct backend *b;
    size_t scratch_bytes;

    *backend = NULL;
    if (!isa)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "this processor or build has no instruction set \"%s\"", isa_name);
    if (threads <= 0)
        threads = omp_get_num_procs();
    if (threads > CPU_THREADS_MAX)
        threads = CPU_THREADS_MAX;
    scratch_bytes = (size_t)threads * CPU_SCRATCH_BYTES + CPU_SHARED_BYTES;
    b = calloc(1, sizeof *b);
    state = calloc(1, sizeof *state);
    if (state)
        state->scratch = map_bytes(scratch_bytes);
    if (!b || !state || !state->scratch) {
        free(state);
        free(b);
        return error_memory(error, scratch_bytes);
    }
    state->threads = threads;
    state->isa = isa->name;
    state->low = isa->low ? low_matmuls_new(threads) : NULL;
    *b = (struct backend){.name = "cpu",
                          .act_bytes = sizeof(float),
                          .host_memory = true,
                          .state = state,
                          .mem_alloc = mem_alloc,
                          .mem_free = mem_free,
                          .mem_zero = mem_zero,
                          .mem_move = mem_move,
                          .upload = mem_move,
                          .download = mem_move,
                          .upload_act = upload_act,
                          .download_act = download_act,
                          .close = cpu_close};
    isa->install(b);
    *backend = b;
    return EARSHOT_OK;
}

enum earshot_status backend_cpu_open(int threads, struct backend **backend,
                                     struct earshot_error *error)
{
    return cpu_open_isa(threads, NULL, backend, error);
}
