/* fuzz_annotations.c: any bytes as a caption file; what is accepted must hang together. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "annotations/annotations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *data;
    size_t left, step;
};

/* Hands over a few bytes at a time, so that every token meets the end of a buffer somewhere. */
static size_t source(void *context, void *buffer, size_t size)
{
    struct bytes *bytes = context;
    size_t count = bytes->left < size ? bytes->left : size;

    if (count > bytes->step)
        count = bytes->step;
    memcpy(buffer, bytes->data, count);
    bytes->data += count;
    bytes->left -= count;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int mode = 0; mode < 4; mode++) {
        struct bytes bytes = {data, size, mode & 1 ? 3 : size + 1};
        struct annotations a;
        size_t count = 0;

        if (annotations_read(&a, source, &bytes, mode & 2, mode == 3 ? "val" : NULL, NULL) !=
            EARSHOT_OK)
            continue;
        for (size_t i = 0; i < a.item_count; i++) {
            if (a.item[i].first != count || a.item[i].count == 0 ||
                annotations_find(&a, a.item[i].id) != &a.item[i])
                abort();
            count += a.item[i].count;
        }
        for (size_t i = 0; i < a.caption_count; i++)
            if (strlen(a.caption[i]) > CAPTION_BYTES_MAX)
                abort();
        if (count != a.caption_count || a.item_count == 0)
            abort();
        annotations_free(&a);
    }
    return 0;
}
