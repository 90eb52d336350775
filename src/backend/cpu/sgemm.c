/*
 * sgemm.c: oneDNN's f32 product: for gradients of weights, where it is faster than the tile of
 * kernels/gemm.h, and as the yardstick of the benchmarks.
 */
#include "backend/cpu/cpu.h"

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>

/*
 * Up to version 3.11 oneDNN's generated sgemm borrows the stack pointer and lets it point into the
 * heap (uxlfoundation/oneDNN, issue 4845).  A signal handled meanwhile writes its frame there, over
 * whatever lies below: the heap is found broken at some later free.  So no thread that computes
 * such a product may be interrupted.
 */
void cpu_hold_signals(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

void cpu_sgemm(struct backend *b, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
               int64_t k, const float *a, int64_t lda, const float *bm, int64_t ldb, float beta,
               float *c, int64_t ldc)
{
    /* oneDNN takes its team size from the calling thread's setting. */
    int before = omp_get_max_threads();
    int team = cpu_team(b, (double)m * (double)n * (double)k / 8);
    sigset_t mask;

    cpu_hold_signals(&mask);
    if (team != before)
        omp_set_num_threads(team);
    /* Workers that start from here on inherit the mask; those that are there already are told. They
     * keep it: signals are for the threads that called, not for these. */
    if (team > 1) {
#pragma omp parallel num_threads(team)
        if (omp_get_thread_num() > 0)
            cpu_hold_signals(NULL);
    }
    dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a, lda, bm, ldb,
               beta, c, ldc);
    if (team != before)
        omp_set_num_threads(before);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}
