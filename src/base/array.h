/* array.h: what growing arrays and hash tables share. */
#ifndef EARSHOT_BASE_ARRAY_H
#define EARSHOT_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes *array (malloc'd, or NULL with *capacity 0) hold at least `needed` elements of
 * element_bytes, by half as much again at least.  False when out of memory: the array is as it was.
 */
bool array_reserve(void **array, size_t *capacity, size_t needed, size_t element_bytes);

/* A 32-bit hash for tables: FNV-1a, high bits folded down. */
static inline uint32_t array_hash(const void *data, size_t size_bytes)
{
    const unsigned char *p = data;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ p[i]) * 16777619u;
    return hash ^ hash >> 15;
}

#endif
