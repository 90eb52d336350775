/*
 * fuzz_meteor_data.c: any bytes as METEOR's language data.  The first byte says which file they
 * are: the paraphrase table, WordNet's sense index, an exception list, the function words.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metrics/meteor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIRECTORY_BYTES 64

enum { TABLE, SENSES, EXCEPTIONS, FUNCTION_WORDS, KINDS };

static char directory[DIRECTORY_BYTES];

static void write_file(const char *name, const void *data, size_t size)
{
    char path[DIRECTORY_BYTES + 32];
    FILE *stream;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    stream = fopen(path, "wb");
    if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream) != 0)
        abort();
}

/* A small set of sound files; one of them is then replaced. */
static void write_files(int kind, const uint8_t *data, size_t size)
{
    static const char senses[] = "cat%1:05:00:: 02121620 1 18\ncat%1:18:01:: 09900153 4 0\n"
                                 "run%2:38:00:: 01926311 1 106\n";
    static const char table[] = "0.1\na man\nsomeone\n0.1\nman\nguy\n";
    static const char *const lists[] = {"adj.exc", "adv.exc", "noun.exc", "verb.exc"};

    write_file("index.sense", kind == SENSES ? (const void *)data : senses,
               kind == SENSES ? size : sizeof senses - 1);
    write_file("paraphrase-en.gz", kind == TABLE ? (const void *)data : table,
               kind == TABLE ? size : sizeof table - 1);
    write_file("function.words", kind == FUNCTION_WORDS ? (const void *)data : "the\na\n",
               kind == FUNCTION_WORDS ? size : 6);
    for (int i = 0; i < 4; i++)
        write_file(lists[i], kind == EXCEPTIONS ? (const void *)data : "ran run\n",
                   kind == EXCEPTIONS ? size : 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *reference = "a guy ran after cats";
    struct meteor_sources sources = {.directory = directory};
    struct meteor_data *words;
    struct meteor_result result;
    struct meteor *meteor;

    if (!directory[0]) {
        strcpy(directory, "/tmp/fuzz-meteor-data-XXXXXX");
        if (!mkdtemp(directory))
            abort();
    }
    if (size == 0)
        return 0;
    write_files(data[0] % KINDS, data + 1, size - 1);
    if (meteor_data_load(&sources, &words, NULL) != EARSHOT_OK)
        return 0;
    if (meteor_new(words, &meteor, NULL) == EARSHOT_OK) {
        if (meteor_segment(meteor, "a man runs after the cat", &reference, 1, &result, NULL) ==
                EARSHOT_OK &&
            !(result.score >= 0 && result.score <= 1.0000001))
            abort();
        meteor_free(meteor);
    }
    meteor_data_free(words);
    return 0;
}
