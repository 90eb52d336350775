/*
 * fuzz_wordpiece.c: any bytes as text.  The vocabulary is fixed and small; what comes out are ids
 * of it, and they decode to text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char vocabulary[] =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##a\nab\n##ab\n.\n'\ns\n##s\nnot\ndo\n##\xcf\x82\n##"
        "\xcc\x81\n"
        "\xe4\xb8\x80\n##\xe1\x85\xa1\n\xe1\x84\x80\n##\xe3\x80\xae\n1\n##1\n[\n]\n";
    struct wordpiece *tokenizer;
    struct str text = {0};
    int32_t *ids;
    int count;

    if (wordpiece_parse("fuzz", vocabulary, strlen(vocabulary), &tokenizer, NULL) != EARSHOT_OK)
        abort();
    if (wordpiece_encode(tokenizer, (const char *)data, size, &ids, &count, NULL) == EARSHOT_OK) {
        for (int i = 0; i < count; i++)
            if (!wordpiece_token(tokenizer, ids[i]))
                abort();
        wordpiece_decode(tokenizer, ids, count, size % 2, (enum wordpiece_cleanup)(size % 3),
                         &text);
        free(ids);
    }
    str_free(&text);
    wordpiece_free(tokenizer);
    return 0;
}
