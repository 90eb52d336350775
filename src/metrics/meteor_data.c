/* meteor_data.c: the language data that METEOR needs, put together.  See meteor.h. */
#include "metrics/meteor.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "metrics/paraphrases.h"
#include "metrics/wordnet.h"

#define SYSTEM_DIRECTORY "/usr/share/wordnet"

/* The words that METEOR 1.5 counts as function words: those with a relative frequency above 1e-3 in
 * its authors' English text.  A file function.words in the data directory replaces them. */
static const char *const function_words[] = {"the",
                                             ",",
                                             ".",
                                             "to",
                                             "of",
                                             "and",
                                             "a",
                                             "in",
                                             "that",
                                             "for",
                                             "\"",
                                             "is",
                                             "on",
                                             "'s",
                                             "it",
                                             "with",
                                             "was",
                                             "as",
                                             "said",
                                             "at",
                                             "he",
                                             "by",
                                             "be",
                                             "from",
                                             "have",
                                             "has",
                                             "are",
                                             "his",
                                             "but",
                                             "an",
                                             "this",
                                             "not",
                                             "i",
                                             "will",
                                             "\xE2\x80\x99",
                                             "they",
                                             ")",
                                             "-rrb-",
                                             "(",
                                             "-lrb-",
                                             "who",
                                             "their",
                                             "had",
                                             "we",
                                             "which",
                                             "were",
                                             "been",
                                             "more",
                                             "or",
                                             "s",
                                             "its",
                                             "would",
                                             "about",
                                             "new",
                                             "one",
                                             "after",
                                             "you",
                                             ":",
                                             "also",
                                             "up",
                                             "when",
                                             "there",
                                             "than",
                                             "$",
                                             "all",
                                             "out",
                                             "her",
                                             "people",
                                             "she",
                                             "year",
                                             "two",
                                             "-",
                                             "can",
                                             "if",
                                             "last",
                                             "first",
                                             "\xE2\x80\x9C",
                                             "over",
                                             "other",
                                             "\xE2\x80\x9D",
                                             "into",
                                             "some",
                                             "what",
                                             "so",
                                             "--",
                                             "no",
                                             "time",
                                             "years",
                                             "could",
                                             "?",
                                             "'t",
                                             "\xE2\x80\x94",
                                             "'"};

struct meteor_data {
    struct wordnet *wordnet;         /* NULL without synonyms */
    struct paraphrases *paraphrases; /* NULL without */
    char *function_text;
    const char **functions; /* sorted */
    size_t function_count;
};

/* ---- function words ---- */

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum earshot_status load_function_words(struct meteor_data *data, const char *directory,
                                               struct earshot_error *error)
{
    char *path = directory ? str_format("%s/function.words", directory) : NULL, *save;
    size_t count = sizeof function_words / sizeof *function_words, lines = 1;
    enum earshot_status status = EARSHOT_OK;

    if (path && file_exists(path))
        status = file_read_text(path, 1u << 20, &data->function_text, NULL, error);
    free(path);
    if (status != EARSHOT_OK)
        return status;
    for (const char *p = data->function_text; p && *p; p++)
        lines += *p == '\n' || *p == '\r';
    data->functions = malloc((data->function_text ? lines : count) * sizeof *data->functions);
    if (!data->functions)
        return error_memory(error, lines * sizeof *data->functions);
    if (data->function_text) {
        for (char *word = strtok_r(data->function_text, "\r\n", &save); word;
             word = strtok_r(NULL, "\r\n", &save))
            data->functions[data->function_count++] = word;
    } else {
        memcpy(data->functions, function_words, sizeof function_words);
        data->function_count = count;
    }
    if (data->function_count)
        qsort(data->functions, data->function_count, sizeof *data->functions, compare_words);
    return EARSHOT_OK;
}

bool meteor_is_function_word(const struct meteor_data *data, const char *word)
{
    return data->function_count && bsearch(&word, data->functions, data->function_count,
                                           sizeof *data->functions, compare_words);
}

/* ---- all of it ---- */

const struct paraphrases *meteor_data_paraphrases(const struct meteor_data *data)
{
    return data->paraphrases;
}

bool meteor_synsets(const struct meteor_data *data, const char *word, bool own, uint32_t **synsets,
                    size_t *count)
{
    *synsets = NULL;
    *count = 0;
    return !data->wordnet || wordnet_synsets(data->wordnet, word, own, synsets, count);
}

bool meteor_data_has_synonyms(const struct meteor_data *data)
{
    return data->wordnet;
}

const char *meteor_data_name(const struct meteor_data *data)
{
    return !data->wordnet ? "METEOR_exact_stem" : data->paraphrases ? "METEOR" : "METEOR_nopara";
}

enum earshot_status meteor_data_load(const struct meteor_sources *sources, struct meteor_data **out,
                                     struct earshot_error *error)
{
    struct meteor_data *data = calloc(1, sizeof *data);
    const char *directory = sources->directory ? sources->directory : SYSTEM_DIRECTORY;
    char *table = NULL;
    enum earshot_status status;

    *out = NULL;
    if (!data)
        return error_memory(error, sizeof *data);
    status = load_function_words(data, sources->directory, error);
    if (status == EARSHOT_OK && !sources->exact_stem_only) {
        status = wordnet_load(directory, &data->wordnet, error);
        table = sources->paraphrases ? str_format("%s", sources->paraphrases)
                                     : str_format("%s/paraphrase-en.gz", directory);
        if (status == EARSHOT_OK && !table)
            status = error_memory(error, 64);
        if (status == EARSHOT_OK && !sources->no_paraphrases &&
            (sources->paraphrases || file_exists(table)))
            status = paraphrases_load(table, &data->paraphrases, error);
        free(table);
    }
    if (status != EARSHOT_OK) {
        meteor_data_free(data);
        return status;
    }
    *out = data;
    return EARSHOT_OK;
}

void meteor_data_free(struct meteor_data *data)
{
    if (!data)
        return;
    wordnet_free(data->wordnet);
    paraphrases_free(data->paraphrases);
    free(data->function_text);
    free(data->functions);
    free(data);
}
