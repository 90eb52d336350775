/* pool.c: a sorted list of used spans; the gaps between them are free.  See pool.h. */
#include "engine/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOL_ALIGN 64

void pool_init(struct pool *pool, void *base, size_t size_bytes)
{
    *pool = (struct pool){.base = base, .size_bytes = size_bytes};
}

void pool_destroy(struct pool *pool)
{
    free(pool->used);
    *pool = (struct pool){0};
}

void pool_reset(struct pool *pool)
{
    pool->count = 0;
}

static bool grow(struct pool *pool)
{
    int capacity = pool->capacity ? 2 * pool->capacity : 64;
    struct pool_span *used;

    if (pool->count < pool->capacity)
        return true;
    used = realloc(pool->used, (size_t)capacity * sizeof *used);
    if (!used)
        return false;
    pool->used = used;
    pool->capacity = capacity;
    return true;
}

void *pool_alloc(struct pool *pool, size_t size_bytes)
{
    size_t wanted = (size_bytes + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
    size_t start = 0;
    int i;

    if (wanted == 0)
        wanted = POOL_ALIGN; /* so that every span has its own address */
    if (wanted < size_bytes || !grow(pool))
        return NULL;
    for (i = 0; i < pool->count; i++) {
        if (pool->used[i].start - start >= wanted)
            break;
        start = pool->used[i].start + pool->used[i].size_bytes;
    }
    if (wanted > SIZE_MAX - start)
        return NULL;
    if (start + wanted > pool->high_water_bytes)
        pool->high_water_bytes = start + wanted;
    if (start + wanted > pool->size_bytes)
        return NULL;
    memmove(pool->used + i + 1, pool->used + i, (size_t)(pool->count - i) * sizeof *pool->used);
    pool->used[i] = (struct pool_span){start, wanted};
    pool->count++;
    return pool->base + start;
}

void pool_free(struct pool *pool, const void *memory)
{
    size_t start = (size_t)((const unsigned char *)memory - pool->base);
    int low = 0, high = pool->count;

    while (low < high) {
        int middle = (low + high) / 2;

        if (pool->used[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == pool->count || pool->used[low].start != start)
        return;
    pool->count--;
    memmove(pool->used + low, pool->used + low + 1,
            (size_t)(pool->count - low) * sizeof *pool->used);
}
