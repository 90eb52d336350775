/* kernels.c: see kernels.h. */
#include "support/kernels.h"

#include "backend/cpu/cpu.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 64
#define GUARD_BYTE 0xA5

struct backend *kernel_backends[KERNEL_BACKENDS_MAX + 1];

int kernel_backends_open(void **state)
{
    static const char *const isas[] = {"avx512", "avx2", "portable"};
    struct earshot_error error;
    int count = 0;

    (void)state;
    for (int threads = 2; threads >= 1; threads--)
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
            if (cpu_open_isa(threads, isas[i], &kernel_backends[count], NULL) == EARSHOT_OK)
                count++;
    assert_true(count > 0);
    assert_ok(backend_guard_open(&kernel_backends[count], &error));
    return 0;
}

int kernel_backends_close(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        kernel_backends[i]->close(kernel_backends[i]);
        kernel_backends[i] = NULL;
    }
    return 0;
}

static const char *backend_label(const struct backend *b)
{
    return strcmp(b->name, "cpu") ? b->name : ((const struct cpu_state *)b->state)->isa;
}

void kernel_run_end(struct kernel_run *run)
{
    while (run->blocks) {
        struct kernel_block *block = run->blocks;

        run->blocks = block->next;
        if (block->device)
            run->b->mem_free(run->b, block->device, block->size_bytes + 2 * GUARD_BYTES);
        free(block->host);
        free(block);
    }
}

static struct kernel_block *add_block(struct kernel_run *run, size_t size_bytes)
{
    struct kernel_block *block = calloc(1, sizeof *block);

    assert_non_null(block);
    block->size_bytes = size_bytes;
    block->host = calloc(1, size_bytes + 1);
    assert_non_null(block->host);
    block->next = run->blocks;
    run->blocks = block;
    return block;
}

void *kernel_host(struct kernel_run *run, size_t size_bytes)
{
    return add_block(run, size_bytes)->host;
}

float *kernel_random(struct kernel_run *run, int64_t n, float scale)
{
    float *values = kernel_host(run, (size_t)n * sizeof(float));

    for (int64_t i = 0; i < n; i++)
        values[i] = scale * (float)random_normal(1, 2, run->draws++);
    return values;
}

void *kernel_put(struct kernel_run *run, const void *host, size_t size_bytes)
{
    struct kernel_block *block = add_block(run, size_bytes);
    unsigned char guard[GUARD_BYTES];

    block->device = run->b->mem_alloc(run->b, size_bytes + 2 * GUARD_BYTES);
    assert_non_null(block->device);
    assert_int_equal((uintptr_t)block->device % 64, 0);
    memset(guard, GUARD_BYTE, sizeof guard);
    run->b->upload(run->b, block->device, guard, GUARD_BYTES);
    run->b->upload(run->b, block->device + GUARD_BYTES, host, size_bytes);
    run->b->upload(run->b, block->device + GUARD_BYTES + size_bytes, guard, GUARD_BYTES);
    return block->device + GUARD_BYTES;
}

float *kernel_put_floats(struct kernel_run *run, const float *host, int64_t n)
{
    return kernel_put(run, host, (size_t)n * sizeof(float));
}

float *kernel_room(struct kernel_run *run, int64_t n)
{
    float *fill = kernel_host(run, (size_t)n * sizeof(float));

    for (int64_t i = 0; i < n; i++)
        fill[i] = -12345.678f;
    return kernel_put_floats(run, fill, n);
}

static void check_guard(const struct kernel_run *run, const unsigned char *guard, const char *where)
{
    for (int i = 0; i < GUARD_BYTES; i++)
        if (guard[i] != GUARD_BYTE)
            fail_msg("%s: a kernel wrote %s its output", backend_label(run->b), where);
}

float *kernel_get(struct kernel_run *run, const void *device)
{
    struct kernel_block *block = run->blocks;
    unsigned char guard[GUARD_BYTES];

    while (block && (!block->device || block->device + GUARD_BYTES != device))
        block = block->next;
    if (!block)
        fail_msg("no such block");
    run->b->download(run->b, guard, block->device, GUARD_BYTES);
    check_guard(run, guard, "before");
    run->b->download(run->b, guard, block->device + GUARD_BYTES + block->size_bytes, GUARD_BYTES);
    check_guard(run, guard, "behind");
    run->b->download(run->b, block->host, device, block->size_bytes);
    return block->host;
}

void kernel_check(const struct kernel_run *run, const char *what, const float *got,
                  const double *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        if (isinf(want[i]) && got[i] == (float)want[i])
            continue;
        if (!(fabs(got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            fail_msg(
                "%s (%d threads): %s[%lld of %lld] is %.9g, expected %.9g", backend_label(run->b),
                strcmp(run->b->name, "cpu") ? 0
                                            : ((const struct cpu_state *)run->b->state)->threads,
                what, (long long)i, (long long)n, (double)got[i], want[i]);
    }
}

void kernel_check_same(struct kernel_run *run, const char *what, const void *device1,
                       const void *device2)
{
    const float *first = kernel_get(run, device1), *second = kernel_get(run, device2);
    const struct kernel_block *block = run->blocks;

    while (block->host != first)
        block = block->next;
    if (memcmp(first, second, block->size_bytes))
        fail_msg("%s: %s differs between two equal calls", backend_label(run->b), what);
}
