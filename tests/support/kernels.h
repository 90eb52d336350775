/*
 * kernels.h: running one kernel call on every built compute backend.
 *
 * A test fills host arrays, puts them on a backend (each put is surrounded by guard words), calls
 * the kernel, gets the results (which checks the guard words) and compares with plain double loops.
 * Everything made through a struct kernel_run is freed by kernel_run_end.
 */
#ifndef EARSHOT_TESTS_SUPPORT_KERNELS_H
#define EARSHOT_TESTS_SUPPORT_KERNELS_H

#include "support/test.h"

#include "backend/backend.h"

#define KERNEL_BACKENDS_MAX 8

struct kernel_block {
    struct kernel_block *next;
    unsigned char *device; /* guard words, data, guard words */
    size_t size_bytes;     /* of the data */
    void *host;            /* host-only block when device is NULL */
};

struct kernel_run {
    struct backend *b;
    struct kernel_block *blocks;
    uint64_t draws; /* random numbers used up */
};

/* cmocka group fixtures: every instruction set that this processor has, on 1 and 2 threads, and
 * guard.  kernel_backends[i] is NULL after the last. */
extern struct backend *kernel_backends[KERNEL_BACKENDS_MAX + 1];
int kernel_backends_open(void **state);
int kernel_backends_close(void **state);

void kernel_run_end(struct kernel_run *run);
/* Host memory, freed by kernel_run_end. */
void *kernel_host(struct kernel_run *run, size_t size_bytes);
/* n normal deviates times scale. */
float *kernel_random(struct kernel_run *run, int64_t n, float scale);
/* Puts bytes on the device between guard words. */
void *kernel_put(struct kernel_run *run, const void *host, size_t size_bytes);
float *kernel_put_floats(struct kernel_run *run, const float *host, int64_t n);
/* Room for n floats, filled with a value that no kernel computes. */
float *kernel_room(struct kernel_run *run, int64_t n);
/* Fetches a block (by its address from kernel_put*) and fails when a guard word has changed. */
float *kernel_get(struct kernel_run *run, const void *device);
/* Fails unless |got - want| <= tolerance * (1 + |want|) for every element; NaN never passes. */
void kernel_check(const struct kernel_run *run, const char *what, const float *got,
                  const double *want, int64_t n, double tolerance);
/* Fails unless both blocks hold the same bits. */
void kernel_check_same(struct kernel_run *run, const char *what, const void *device1,
                       const void *device2);

#endif
