/*
 * cpu.h: what the files of the CPU backend share.
 *
 * Every file in kernels/ is compiled once per instruction set (CMakeLists.txt: portable, and on
 * x86-64 also avx2 and avx512) with SIMD_NAME set; SIMD(x) names what such a file exports.  open.c
 * asks the processor and installs one of the sets.  Activations are f32.
 *
 * Scratch is reserved when the backend is opened (pages become resident when first used), so no
 * kernel allocates: one region per thread and one that the team shares.  A backend therefore serves
 * one calling thread at a time.
 */
#ifndef EARSHOT_BACKEND_CPU_CPU_H
#define EARSHOT_BACKEND_CPU_CPU_H

#include <signal.h>

#include "backend/backend.h"

#define CPU_THREADS_MAX 256
/* Per thread; also bounds what one thread may keep of a row or a column sum. */
#define CPU_SCRATCH_BYTES ((size_t)16 << 20)
#define CPU_SHARED_BYTES ((size_t)16 << 20)
/* Below this many element operations a second thread costs more than it brings. */
#define CPU_GRAIN 32768

struct cpu_state {
    int threads;
    const char *isa;
    unsigned char *scratch;  /* threads * CPU_SCRATCH_BYTES, then CPU_SHARED_BYTES */
    struct low_matmuls *low; /* products of lower precision; NULL: the instruction set has none */
};

static inline const struct cpu_state *cpu_state_of(const struct backend *b)
{
    return b->state;
}

/* Threads worth starting for `work` element operations. */
static inline int cpu_team(const struct backend *b, double work)
{
    return work < CPU_GRAIN ? 1 : cpu_state_of(b)->threads;
}

static inline void *cpu_thread_scratch(const struct backend *b, int thread)
{
    return cpu_state_of(b)->scratch + (size_t)thread * CPU_SCRATCH_BYTES;
}

static inline void *cpu_shared_scratch(const struct backend *b)
{
    return cpu_thread_scratch(b, cpu_state_of(b)->threads);
}

/* As backend_cpu_open with one instruction set: "avx512", "avx2", "portable", or NULL for the best
 * that this processor has.  EARSHOT_ERROR_UNSUPPORTED when it was not built or is not there. */
enum earshot_status cpu_open_isa(int threads, const char *isa, struct backend **backend,
                                 struct earshot_error *error);

/* Row-major C[m, n] = op(A) op(B) + beta C by oneDNN with the backend's threads. */
void cpu_sgemm(struct backend *b, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
               int64_t k, const float *a, int64_t lda, const float *bm, int64_t ldb, float beta,
               float *c, int64_t ldc);

/* Generated code of oneDNN must not be interrupted (sgemm.c says why): holds all signals of the
 * calling thread; *before, unless NULL, gets the mask to go back to. */
void cpu_hold_signals(sigset_t *before);

#define SIMD_JOIN2(a, b) a##_##b
#define SIMD_JOIN(a, b) SIMD_JOIN2(a, b)
#define SIMD(name) SIMD_JOIN(name, SIMD_NAME)

#define CPU_DECLARE_SET(isa)                                                                       \
    void install_product_##isa(struct backend *b);                                                 \
    void install_product_low_##isa(struct backend *b);                                             \
    void install_attention_##isa(struct backend *b);                                               \
    void install_attention_bwd_##isa(struct backend *b);                                           \
    void install_norm_##isa(struct backend *b);                                                    \
    void install_pointwise_##isa(struct backend *b);                                               \
    void install_move_##isa(struct backend *b);                                                    \
    void install_loss_##isa(struct backend *b);                                                    \
    void install_optimizer_##isa(struct backend *b)

CPU_DECLARE_SET(portable);
CPU_DECLARE_SET(avx2);
CPU_DECLARE_SET(avx512);

#endif
