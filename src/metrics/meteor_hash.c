/* meteor_hash.c: how METEOR tells words apart. */
#include <string.h>

#include "metrics/meteor.h"

int32_t meteor_hash(const char *word)
{
    const char *end = word + strlen(word);
    uint32_t hash = 0;

    while (word < end) {
        uint32_t code = str_utf8_next(&word, end);

        if (code >= 0x10000) {
            hash = hash * 31 + 0xD800 + ((code - 0x10000) >> 10);
            code = 0xDC00 + ((code - 0x10000) & 0x3FF);
        }
        hash = hash * 31 + code;
    }
    return (int32_t)hash;
}
