/*
 * fuzz_meteor.c: any two lines through METEOR's normaliser, stemmer and alignment: the score is in
 * [0, 1], no word is matched twice, and statistics fit the lengths.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/meteor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct meteor_result *result)
{
    const double *v = result->statistics.value;
    int end = 0;

    if (!(result->score >= 0 && result->score <= 1.0000001) || v[21] > v[0] || v[22] > v[1])
        abort();
    for (size_t i = 0; i < result->match_count; i++) {
        if (result->match[i].start2 < end)
            abort();
        end = result->match[i].start2 + result->match[i].length2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct meteor_data *words;
    struct meteor_sources sources = {.exact_stem_only = true};
    struct meteor_result result;
    struct meteor *meteor;
    char *text = malloc(size + 1), *second;
    const char *reference;

    if (!text || (!words && meteor_data_load(&sources, &words, NULL) != EARSHOT_OK) ||
        meteor_new(words, &meteor, NULL) != EARSHOT_OK)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    reference = second ? second : "";
    if (size < 4096 && meteor_segment(meteor, text, &reference, 1, &result, NULL) == EARSHOT_OK)
        check(&result);
    meteor_free(meteor);
    free(text);
    return 0;
}
