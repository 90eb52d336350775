/* fuzz_pickle.c: any bytes as a pickle, without the archive around it that a fuzzer finds hard to
 * keep whole. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1); /* ends where the allocation ends */
    struct earshot_error error = {0};
    struct pickle *pickle;
    size_t used;

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    if (pickle_open(copy, size, &pickle, &used, &error) == EARSHOT_OK) {
        if (!pickle_root(pickle) || used > size)
            abort();
        pickle_dict_find(pickle_root(pickle), "state_dict");
        pickle_close(pickle);
    } else if (error.status == EARSHOT_OK || !error.message[0]) {
        abort();
    }
    free(copy);
    return 0;
}
