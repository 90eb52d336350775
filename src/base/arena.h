/*
 * arena.h: bump allocation inside one region with mark and release.
 *
 * The arena does not own or touch the region: it hands out addresses.  So the region may be host
 * memory, device memory, or nothing at all (a measuring run), and high_water says what was needed.
 */
#ifndef EARSHOT_BASE_ARENA_H
#define EARSHOT_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#define ARENA_ALIGN 64

struct arena {
    unsigned char *base;
    size_t size_bytes;
    size_t used_bytes;
    size_t high_water_bytes; /* the most ever used, requests that did not fit included */
};

void arena_init(struct arena *arena, void *base, size_t size_bytes);

/* ARENA_ALIGN-aligned (relative to base); NULL when it does not fit, with high_water_bytes telling
 * the size that would have done.  Not cleared.  size_bytes 0 gives a valid, unusable address. */
void *arena_alloc(struct arena *arena, size_t size_bytes);

/* Everything allocated after a mark goes at its release. */
size_t arena_mark(const struct arena *arena);
void arena_release(struct arena *arena, size_t mark);

#endif
