/*
 * fuzz_wordpiece_vocabulary.c: any bytes as a vocabulary.  In one that is accepted every token is
 * found again, and text made of its own bytes can be encoded with it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wordpiece *tokenizer;
    struct str text = {0};
    int32_t *ids;
    int count;

    if (wordpiece_parse("fuzz", (const char *)data, size, &tokenizer, NULL) != EARSHOT_OK)
        return 0;
    for (int32_t id = 0; id < wordpiece_size(tokenizer); id++) {
        const char *token = wordpiece_token(tokenizer, id);
        int32_t found = wordpiece_find(tokenizer, token);

        if (found < id || strcmp(wordpiece_token(tokenizer, found), token) != 0)
            abort();
        wordpiece_decode(tokenizer, &id, 1, false, WORDPIECE_CLEAN, &text);
    }
    if (wordpiece_encode(tokenizer, (const char *)data, size, &ids, &count, NULL) == EARSHOT_OK) {
        for (int i = 0; i < count; i++)
            if (!wordpiece_token(tokenizer, ids[i]))
                abort();
        free(ids);
    }
    str_free(&text);
    wordpiece_free(tokenizer);
    return 0;
}
