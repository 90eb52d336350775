/* array.c: see array.h. */
#include "base/array.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

bool array_reserve(void **array, size_t *capacity, size_t needed, size_t element_bytes)
{
    size_t larger = *capacity < FIRST_CAPACITY ? FIRST_CAPACITY : *capacity;
    void *grown;

    if (needed <= *capacity)
        return true;
    if (needed > SIZE_MAX / 2 / element_bytes)
        return false;
    while (larger < needed)
        larger += larger / 2;
    grown = realloc(*array, larger * element_bytes);
    if (!grown)
        return false;
    *array = grown;
    *capacity = larger;
    return true;
}
