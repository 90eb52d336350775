/*
 * low_matmul.h: oneDNN's products of bf16 and of bytes, for processors that have instructions for
 * them (AVX512-BF16, AVX512-VNNI, AMX).
 *
 *   y[rows, out] = x[rows, in] w[out, in]^T     bf16: y is f32;  bytes: y is int32
 *
 * A product of one shape is made once for each backend and kept; running it allocates nothing and
 * uses the calling thread only.
 */
#ifndef EARSHOT_BACKEND_CPU_LOW_MATMUL_H
#define EARSHOT_BACKEND_CPU_LOW_MATMUL_H

#include <signal.h>

#include "backend/backend.h"

struct low_matmuls; /* a backend's */
struct low_matmul;

/* The product of this shape, or NULL when the backend's processor or instruction set has none or
 * oneDNN makes none that is fast.  Stays valid while at most 8 other shapes are asked for. */
const struct low_matmul *low_matmul_get(struct backend *b, enum weight_type type, int64_t rows,
                                        int64_t in, int64_t out);

/* What low_matmul_run needs, 64-byte aligned. */
size_t low_matmul_scratch_bytes(const struct low_matmul *matmul);

/* Between these, on each thread that runs products: no signal is handled, as for cpu_sgemm. */
struct low_matmul_hold {
    sigset_t signals;
    int threads;
};
struct low_matmul_hold low_matmul_begin(int thread);
void low_matmul_end(const struct low_matmul_hold *hold, int thread);

/* thread: its number in the backend's team. */
void low_matmul_run(const struct low_matmul *matmul, int thread, const void *x, const void *w,
                    void *y, void *scratch);

/* NULL when out of memory, which leaves the backend without such products. */
struct low_matmuls *low_matmuls_new(int threads);
void low_matmuls_free(struct low_matmuls *matmuls);

#endif
