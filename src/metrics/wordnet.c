/*
 * wordnet.c: WordNet 3.0 as METEOR sees it.  See wordnet.h.
 *
 * index.sense (WordNet's senseidx(5)): "lemma%type:... offset sense count" a line, sorted, so that
 * a lemma's lines are together.  METEOR tells synsets apart by offset alone, whatever the part of
 * speech; Debian's edition of WordNet 3.0 has some offsets moved (two data files were edited), and
 * they are moved back so that those coincidences are METEOR's.  *.exc: "form base..." a line.
 */
#include "metrics/wordnet.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/str.h"

/* Words -> runs of a value array: an open-addressing table over words kept elsewhere. */
struct word_table {
    struct {
        const char *word; /* not NUL-terminated in index.sense: length beside */
        uint32_t length, first, count;
    } * slot;
    size_t size, used;
};

struct exception {
    const char *form, *base;
    size_t order;
};

struct wordnet {
    struct file_map senses;
    struct word_table words;
    uint32_t *offsets;
    char *exception_text[4];
    struct exception *exceptions;
    size_t exception_count;
};

/* ---- WordNet ---- */

static size_t table_find(const struct word_table *table, const char *word, size_t length)
{
    size_t at = array_hash(word, length) & (table->size - 1);

    while (table->slot[at].word &&
           (table->slot[at].length != length || memcmp(table->slot[at].word, word, length) != 0))
        at = (at + 1) & (table->size - 1);
    return at;
}

/* The offset that METEOR's own edition has. */
static uint32_t original_offset(char type, uint32_t offset, bool debian)
{
    if (!debian)
        return offset;
    if (type == '2' && offset >= 613036 && offset < 2422967)
        return offset - 18;
    if ((type == '3' || type == '5') && offset >= 1681478)
        return offset - 1;
    return offset;
}

/* One line's fields.  False if it is none. */
static bool parse_sense(const char *line, const char *end, size_t *lemma_length, char *type,
                        uint32_t *offset)
{
    const char *percent = memchr(line, '%', (size_t)(end - line));
    const char *space = memchr(line, ' ', (size_t)(end - line));

    if (!percent || !space || percent > space || percent + 1 >= end || space + 9 > end)
        return false;
    *lemma_length = (size_t)(percent - line);
    *type = percent[1];
    *offset = 0;
    for (int i = 1; i <= 8; i++) {
        if (space[i] < '0' || space[i] > '9')
            return false;
        *offset = *offset * 10 + (uint32_t)(space[i] - '0');
    }
    return true;
}

static enum earshot_status index_senses(struct wordnet *wordnet, const char *path,
                                        struct earshot_error *error)
{
    /* A sense whose offset tells the two editions apart. */
    static const char probe[] = "say%2:32:00:: 01009258 ";
    const char *text = (const char *)wordnet->senses.data;
    const char *end = text ? text + wordnet->senses.size_bytes : NULL;
    size_t lines = 0, count = 0;
    bool debian = false;

    if (!text)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s: the file is empty", path);
    for (const char *p = text; p < end; lines++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));

        if ((size_t)(end - p) > sizeof probe && memcmp(p, probe, sizeof probe - 1) == 0)
            debian = true;
        p = newline ? newline + 1 : end;
    }
    wordnet->words.size = 1024;
    while (wordnet->words.size < 2 * lines)
        wordnet->words.size *= 2;
    wordnet->words.slot = calloc(wordnet->words.size, sizeof *wordnet->words.slot);
    wordnet->offsets = malloc((lines + 1) * sizeof *wordnet->offsets);
    if (!wordnet->words.slot || !wordnet->offsets)
        return error_memory(error, wordnet->words.size * sizeof *wordnet->words.slot);
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        size_t length, at;
        uint32_t offset;
        char type;

        if (!parse_sense(p, stop, &length, &type, &offset))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: byte %zu: not a line of WordNet's sense index", path,
                             (size_t)(p - text));
        at = table_find(&wordnet->words, p, length);
        if (!wordnet->words.slot[at].word) {
            wordnet->words.slot[at].word = p;
            wordnet->words.slot[at].length = (uint32_t)length;
            wordnet->words.slot[at].first = (uint32_t)count;
        } else if (wordnet->words.slot[at].first + wordnet->words.slot[at].count != count) {
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: byte %zu: the sense index is not sorted", path,
                             (size_t)(p - text));
        }
        wordnet->words.slot[at].count++;
        wordnet->offsets[count++] = original_offset(type, offset, debian);
        p = newline ? newline + 1 : end;
    }
    return EARSHOT_OK;
}

static int compare_exceptions(const void *a, const void *b)
{
    const struct exception *x = a, *y = b;
    int order = strcmp(x->form, y->form);

    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static enum earshot_status load_exceptions(struct wordnet *wordnet, const char *directory,
                                           struct earshot_error *error)
{
    static const char *const names[] = {"adj", "adv", "noun", "verb"};
    size_t capacity = 0;

    for (size_t i = 0; i < 4; i++) {
        char *path = str_format("%s/%s.exc", directory, names[i]), *save_line, *save_word;
        enum earshot_status status =
            path ? file_read_text(path, 1u << 24, &wordnet->exception_text[i], NULL, error)
                 : error_memory(error, 64);

        free(path);
        if (status != EARSHOT_OK)
            return status;
        for (char *line = strtok_r(wordnet->exception_text[i], "\n", &save_line); line;
             line = strtok_r(NULL, "\n", &save_line)) {
            char *form = strtok_r(line, " \r", &save_word), *base;

            while (form && (base = strtok_r(NULL, " \r", &save_word))) {
                if (wordnet->exception_count == capacity) {
                    struct exception *grown;

                    capacity = capacity ? 2 * capacity : 8192;
                    grown = realloc(wordnet->exceptions, capacity * sizeof *grown);
                    if (!grown)
                        return error_memory(error, capacity * sizeof *grown);
                    wordnet->exceptions = grown;
                }
                wordnet->exceptions[wordnet->exception_count] =
                    (struct exception){form, base, wordnet->exception_count};
                wordnet->exception_count++;
            }
        }
    }
    if (wordnet->exception_count)
        qsort(wordnet->exceptions, wordnet->exception_count, sizeof *wordnet->exceptions,
              compare_exceptions);
    return EARSHOT_OK;
}

/* ---- synsets of a word ---- */

struct synset_list {
    uint32_t *synset;
    size_t count;
    bool failed;
};

static bool in_wordnet(const struct wordnet *wordnet, const char *word, size_t length)
{
    return length > 0 && wordnet->words.slot[table_find(&wordnet->words, word, length)].word;
}

static void add_synsets(const struct wordnet *wordnet, struct synset_list *list, const char *word,
                        size_t length)
{
    size_t at = table_find(&wordnet->words, word, length), more = wordnet->words.slot[at].count;
    uint32_t *grown;

    if (!wordnet->words.slot[at].word || list->failed)
        return;
    grown = realloc(list->synset, (list->count + more) * sizeof *grown);
    if (!grown) {
        list->failed = true;
        return;
    }
    memcpy(grown + list->count, wordnet->offsets + wordnet->words.slot[at].first,
           more * sizeof *grown);
    list->synset = grown;
    list->count += more;
}

/* WordNet's regular inflections, as far as METEOR undoes them. */
static void add_morphological(const struct wordnet *wordnet, struct synset_list *list,
                              const char *word)
{
    static const char *const rules[][2] = {
        {"s", ""},      {"ses", "s"},   {"xes", "x"}, {"zes", "z"}, {"ches", "ch"},
        {"shes", "sh"}, {"men", "man"}, {"ies", "y"}, {"s", ""},    {"ies", "y"},
        {"es", "e"},    {"es", ""},     {"ed", "e"},  {"ed", ""},   {"ing", "e"},
        {"ing", ""},    {"er", ""},     {"est", ""},  {"er", "e"},  {"est", "e"}};
    size_t length = strlen(word);
    bool ful = length > 2 && str_ends_with(word, "ful");
    struct str base = {0};

    if (length <= 2 || str_ends_with(word, "ss")) {
        add_synsets(wordnet, list, word, length);
        return;
    }
    length -= ful ? 3 : 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        size_t suffix = strlen(rules[i][0]);

        if (length < suffix || memcmp(word + length - suffix, rules[i][0], suffix) != 0)
            continue;
        str_clear(&base);
        str_append(&base, word, length - suffix);
        str_append_text(&base, rules[i][1]);
        if (base.failed || !in_wordnet(wordnet, base.data, base.length))
            continue;
        if (ful)
            str_append_text(&base, "ful");
        if (!base.failed)
            add_synsets(wordnet, list, base.data, base.length);
        break;
    }
    list->failed |= base.failed;
    str_free(&base);
}

static int compare_offsets(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

bool wordnet_synsets(const struct wordnet *wordnet, const char *word, bool own, uint32_t **synsets,
                     size_t *count)
{
    struct synset_list list = {0};
    size_t low = 0, high = wordnet->exception_count, kept = 0;

    *synsets = NULL;
    *count = 0;
    add_synsets(wordnet, &list, word, strlen(word));
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(wordnet->exceptions[middle].form, word) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (own) {
        /* nothing more */
    } else if (low < wordnet->exception_count && strcmp(wordnet->exceptions[low].form, word) == 0) {
        for (; low < wordnet->exception_count && strcmp(wordnet->exceptions[low].form, word) == 0;
             low++)
            add_synsets(wordnet, &list, wordnet->exceptions[low].base,
                        strlen(wordnet->exceptions[low].base));
    } else {
        add_morphological(wordnet, &list, word);
    }
    if (list.failed) {
        free(list.synset);
        return false;
    }
    if (list.count)
        qsort(list.synset, list.count, sizeof *list.synset, compare_offsets);
    for (size_t i = 0; i < list.count; i++)
        if (i == 0 || list.synset[i] != list.synset[kept - 1])
            list.synset[kept++] = list.synset[i];
    *synsets = list.synset;
    *count = kept;
    return true;
}

/* ---- all of it ---- */

static enum earshot_status read_files(struct wordnet *wordnet, const char *directory,
                                      struct earshot_error *error)
{
    char *path = str_format("%s/index.sense", directory);
    enum earshot_status status;

    if (!path)
        return error_memory(error, 64);
    if (!file_exists(path)) {
        status = error_set(
            error, EARSHOT_ERROR_IO,
            "%s: not found: METEOR needs WordNet 3.0's index.sense and exception lists (Debian: "
            "apt-get install wordnet-base wordnet-sense-index; or name their directory with "
            "--meteor-data DIR). Without synonyms there is --metrics meteor-exact-stem",
            path);
    } else {
        status = file_map_open(path, &wordnet->senses, error);
        if (status == EARSHOT_OK)
            status = index_senses(wordnet, path, error);
        if (status == EARSHOT_OK)
            status = load_exceptions(wordnet, directory, error);
    }
    free(path);
    return status;
}

enum earshot_status wordnet_load(const char *directory, struct wordnet **out,
                                 struct earshot_error *error)
{
    struct wordnet *wordnet = calloc(1, sizeof *wordnet);
    enum earshot_status status =
        wordnet ? read_files(wordnet, directory, error) : error_memory(error, sizeof *wordnet);

    *out = wordnet;
    if (status != EARSHOT_OK) {
        wordnet_free(wordnet);
        *out = NULL;
    }
    return status;
}

void wordnet_free(struct wordnet *wordnet)
{
    if (!wordnet)
        return;
    file_map_close(&wordnet->senses);
    free(wordnet->words.slot);
    free(wordnet->offsets);
    for (size_t i = 0; i < 4; i++)
        free(wordnet->exception_text[i]);
    free(wordnet->exceptions);
    free(wordnet);
}
