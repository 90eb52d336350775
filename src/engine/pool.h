/*
 * pool.h: first-fit allocation and freeing inside one region that is never touched: the
 * book-keeping lives outside, so the region may be device memory or nothing at all.
 */
#ifndef EARSHOT_ENGINE_POOL_H
#define EARSHOT_ENGINE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool_span {
    size_t start, size_bytes;
};

struct pool {
    unsigned char *base;
    size_t size_bytes;
    size_t high_water_bytes; /* the end of the highest span ever wanted */
    struct pool_span *used;  /* ascending by start */
    int count, capacity;
};

void pool_init(struct pool *pool, void *base, size_t size_bytes);
void pool_destroy(struct pool *pool);
void pool_reset(struct pool *pool); /* frees every span */

/* 64-byte aligned relative to base; NULL when it does not fit (see high_water_bytes) or the host is
 * out of memory. */
void *pool_alloc(struct pool *pool, size_t size_bytes);
void pool_free(struct pool *pool, const void *memory);

#endif
