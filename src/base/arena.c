/* arena.c: bump allocation.  See arena.h. */
#include "base/arena.h"

void arena_init(struct arena *arena, void *base, size_t size_bytes)
{
    *arena = (struct arena){.base = base, .size_bytes = size_bytes};
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    size_t rounded = (size_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    size_t end = arena->used_bytes + rounded;
    void *start;

    if (rounded < size_bytes || end < rounded) {
        arena->high_water_bytes = (size_t)-1;
        return NULL;
    }
    if (end > arena->high_water_bytes)
        arena->high_water_bytes = end;
    if (end > arena->size_bytes)
        return NULL;
    start = arena->base + arena->used_bytes;
    arena->used_bytes = end;
    return start;
}

size_t arena_mark(const struct arena *arena)
{
    return arena->used_bytes;
}

void arena_release(struct arena *arena, size_t mark)
{
    arena->used_bytes = mark;
}
