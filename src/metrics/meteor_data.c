/*
 * meteor_data.c: WordNet, paraphrases and function words for METEOR.  See meteor.h.
 *
 * index.sense (WordNet's senseidx(5)): "lemma%type:... offset sense count" a line, sorted, so that
 * a lemma's lines are together.  METEOR tells synsets apart by offset alone, whatever the part of
 * speech; Debian's edition of WordNet 3.0 has some offsets moved (two data files were edited), and
 * they are moved back so that those coincidences are METEOR's.
 * *.exc: "form base..." a line.  The paraphrase table: three lines an entry: probability, phrase,
 * paraphrase.
 */
#include "metrics/meteor.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"

#define SYSTEM_DIRECTORY "/usr/share/wordnet"
#define LINE_BYTES_MAX 65536

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

struct phrase {
    uint32_t start, length;
    int64_t first, last; /* entries, -1: none */
};

struct entry {
    uint32_t paraphrase;
    int64_t next;
};

struct meteor_data {
    bool synonyms;
    struct file_map senses;
    struct word_table words;
    uint32_t *offsets;
    char *exception_text[4];
    struct exception *exceptions;
    size_t exception_count;
    char *function_text;
    const char **functions; /* sorted */
    size_t function_count;
    /* paraphrases */
    bool paraphrases;
    int32_t *phrase_word;
    size_t phrase_word_count, phrase_word_capacity;
    struct phrase *phrase;
    size_t phrase_count, phrase_capacity, longest;
    struct entry *entry;
    size_t entry_count, entry_capacity;
    uint32_t *phrase_slot;
    size_t phrase_slot_count;
};

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

/* ---- WordNet ---- */

static uint32_t hash_bytes(const char *text, size_t length)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static size_t table_find(const struct word_table *table, const char *word, size_t length)
{
    size_t at = hash_bytes(word, length) & (table->size - 1);

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

static enum earshot_status index_senses(struct meteor_data *data, const char *path,
                                        struct earshot_error *error)
{
    /* A sense whose offset tells the two editions apart. */
    static const char probe[] = "say%2:32:00:: 01009258 ";
    const char *text = (const char *)data->senses.data, *end = text + data->senses.size_bytes;
    size_t lines = 0, count = 0;
    bool debian = false;

    for (const char *p = text; p < end; lines++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));

        if ((size_t)(end - p) > sizeof probe && memcmp(p, probe, sizeof probe - 1) == 0)
            debian = true;
        p = newline ? newline + 1 : end;
    }
    data->words.size = 1024;
    while (data->words.size < 2 * lines)
        data->words.size *= 2;
    data->words.slot = calloc(data->words.size, sizeof *data->words.slot);
    data->offsets = malloc((lines + 1) * sizeof *data->offsets);
    if (!data->words.slot || !data->offsets)
        return error_memory(error, data->words.size * sizeof *data->words.slot);
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        size_t length, at;
        uint32_t offset;
        char type;

        if (!parse_sense(p, stop, &length, &type, &offset))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: byte %zu: not a line of WordNet's sense index", path,
                             (size_t)(p - text));
        at = table_find(&data->words, p, length);
        if (!data->words.slot[at].word) {
            data->words.slot[at].word = p;
            data->words.slot[at].length = (uint32_t)length;
            data->words.slot[at].first = (uint32_t)count;
        } else if (data->words.slot[at].first + data->words.slot[at].count != count) {
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: byte %zu: the sense index is not sorted", path,
                             (size_t)(p - text));
        }
        data->words.slot[at].count++;
        data->offsets[count++] = original_offset(type, offset, debian);
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

static enum earshot_status load_exceptions(struct meteor_data *data, const char *directory,
                                           struct earshot_error *error)
{
    static const char *const names[] = {"adj", "adv", "noun", "verb"};
    size_t capacity = 0;

    for (size_t i = 0; i < 4; i++) {
        char *path = str_format("%s/%s.exc", directory, names[i]), *save_line, *save_word;
        enum earshot_status status =
            path ? file_read_text(path, 1u << 24, &data->exception_text[i], NULL, error)
                 : error_memory(error, 64);

        free(path);
        if (status != EARSHOT_OK)
            return status;
        for (char *line = strtok_r(data->exception_text[i], "\n", &save_line); line;
             line = strtok_r(NULL, "\n", &save_line)) {
            char *form = strtok_r(line, " \r", &save_word), *base;

            while (form && (base = strtok_r(NULL, " \r", &save_word))) {
                if (data->exception_count == capacity) {
                    struct exception *grown;

                    capacity = capacity ? 2 * capacity : 8192;
                    grown = realloc(data->exceptions, capacity * sizeof *grown);
                    if (!grown)
                        return error_memory(error, capacity * sizeof *grown);
                    data->exceptions = grown;
                }
                data->exceptions[data->exception_count] =
                    (struct exception){form, base, data->exception_count};
                data->exception_count++;
            }
        }
    }
    if (data->exception_count)
        qsort(data->exceptions, data->exception_count, sizeof *data->exceptions,
              compare_exceptions);
    return EARSHOT_OK;
}

/* ---- synsets of a word ---- */

struct synset_list {
    uint32_t *synset;
    size_t count;
    bool failed;
};

static bool in_wordnet(const struct meteor_data *data, const char *word, size_t length)
{
    return length > 0 && data->words.slot[table_find(&data->words, word, length)].word;
}

static void add_synsets(const struct meteor_data *data, struct synset_list *list, const char *word,
                        size_t length)
{
    size_t at = table_find(&data->words, word, length), more = data->words.slot[at].count;
    uint32_t *grown;

    if (!data->words.slot[at].word || list->failed)
        return;
    grown = realloc(list->synset, (list->count + more) * sizeof *grown);
    if (!grown) {
        list->failed = true;
        return;
    }
    memcpy(grown + list->count, data->offsets + data->words.slot[at].first, more * sizeof *grown);
    list->synset = grown;
    list->count += more;
}

/* WordNet's regular inflections, as far as METEOR undoes them. */
static void add_morphological(const struct meteor_data *data, struct synset_list *list,
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
        add_synsets(data, list, word, length);
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
        if (base.failed || !in_wordnet(data, base.data, base.length))
            continue;
        if (ful)
            str_append_text(&base, "ful");
        if (!base.failed)
            add_synsets(data, list, base.data, base.length);
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

bool meteor_synsets(const struct meteor_data *data, const char *word, bool own, uint32_t **synsets,
                    size_t *count)
{
    struct synset_list list = {0};
    size_t low = 0, high = data->exception_count, kept = 0;

    *synsets = NULL;
    *count = 0;
    if (!data->synonyms)
        return true;
    add_synsets(data, &list, word, strlen(word));
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(data->exceptions[middle].form, word) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (own) {
        /* nothing more */
    } else if (low < data->exception_count && strcmp(data->exceptions[low].form, word) == 0) {
        for (; low < data->exception_count && strcmp(data->exceptions[low].form, word) == 0; low++)
            add_synsets(data, &list, data->exceptions[low].base,
                        strlen(data->exceptions[low].base));
    } else {
        add_morphological(data, &list, word);
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
        lines += *p == '\n';
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

/* ---- paraphrases ---- */

static uint32_t hash_phrase(const int32_t *word, size_t count)
{
    uint64_t hash = 0x9E3779B97F4A7C15u ^ count;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ (uint32_t)word[i]) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

static size_t phrase_slot(const struct meteor_data *data, const int32_t *word, size_t count)
{
    size_t at = hash_phrase(word, count) & (data->phrase_slot_count - 1);

    while (data->phrase_slot[at]) {
        const struct phrase *phrase = &data->phrase[data->phrase_slot[at] - 1];

        if (phrase->length == count &&
            memcmp(data->phrase_word + phrase->start, word, count * sizeof *word) == 0)
            break;
        at = (at + 1) & (data->phrase_slot_count - 1);
    }
    return at;
}

static bool grow_array(void **array, size_t *capacity, size_t needed, size_t element)
{
    size_t larger = *capacity ? *capacity : 1024;
    void *grown;

    if (needed <= *capacity)
        return true;
    while (larger < needed)
        larger += larger / 2;
    grown = realloc(*array, larger * element);
    if (!grown)
        return false;
    *array = grown;
    *capacity = larger;
    return true;
}

static bool grow_phrase_slots(struct meteor_data *data)
{
    size_t count = data->phrase_slot_count ? 2 * data->phrase_slot_count : 1024;
    uint32_t *slot = calloc(count, sizeof *slot);

    if (!slot)
        return false;
    free(data->phrase_slot);
    data->phrase_slot = slot;
    data->phrase_slot_count = count;
    for (size_t i = 0; i < data->phrase_count; i++)
        slot[phrase_slot(data, data->phrase_word + data->phrase[i].start, data->phrase[i].length)] =
            (uint32_t)i + 1;
    return true;
}

/* The number of a phrase (new if need be); -1 when out of memory, -2 for one without words. */
static int64_t add_phrase(struct meteor_data *data, char *text)
{
    size_t start = data->phrase_word_count, count = 0, at;
    char *save;

    for (char *word = strtok_r(text, " \t\r\n\f", &save); word;
         word = strtok_r(NULL, " \t\r\n\f", &save)) {
        if (!grow_array((void **)&data->phrase_word, &data->phrase_word_capacity, start + count + 1,
                        sizeof *data->phrase_word))
            return -1;
        data->phrase_word[start + count++] = meteor_hash(word);
    }
    if (!count)
        return -2;
    if (2 * data->phrase_count >= data->phrase_slot_count && !grow_phrase_slots(data))
        return -1;
    at = phrase_slot(data, data->phrase_word + start, count);
    if (data->phrase_slot[at])
        return data->phrase_slot[at] - 1;
    if (data->phrase_count >= UINT32_MAX - 1 || start + count >= UINT32_MAX ||
        !grow_array((void **)&data->phrase, &data->phrase_capacity, data->phrase_count + 1,
                    sizeof *data->phrase))
        return -1;
    data->phrase_word_count += count;
    if (count > data->longest)
        data->longest = count;
    data->phrase[data->phrase_count] = (struct phrase){(uint32_t)start, (uint32_t)count, -1, -1};
    data->phrase_slot[at] = (uint32_t)data->phrase_count + 1;
    return (int64_t)data->phrase_count++;
}

static enum earshot_status add_entry(struct meteor_data *data, char *phrase, char *paraphrase,
                                     struct earshot_error *error)
{
    int64_t from = add_phrase(data, phrase), to = add_phrase(data, paraphrase);

    if (from == -2 || to == -2)
        return EARSHOT_OK; /* an empty phrase matches nothing */
    if (from < 0 || to < 0 ||
        !grow_array((void **)&data->entry, &data->entry_capacity, data->entry_count + 1,
                    sizeof *data->entry))
        return error_memory(error, data->entry_capacity * sizeof *data->entry);
    data->entry[data->entry_count] = (struct entry){(uint32_t)to, -1};
    if (data->phrase[from].first < 0)
        data->phrase[from].first = (int64_t)data->entry_count;
    else
        data->entry[data->phrase[from].last].next = (int64_t)data->entry_count;
    data->phrase[from].last = (int64_t)data->entry_count++;
    return EARSHOT_OK;
}

/* One line without its end.  1: read, 0: end of file, -1: damaged or too long. */
static int read_line(gzFile file, char *line)
{
    size_t length;
    int code;

    if (!gzgets(file, line, LINE_BYTES_MAX)) {
        gzerror(file, &code);
        return code == Z_OK || code == Z_STREAM_END ? 0 : -1;
    }
    length = strlen(line);
    if (length == LINE_BYTES_MAX - 1 && line[length - 1] != '\n')
        return -1;
    line[strcspn(line, "\r\n")] = '\0';
    return 1;
}

static enum earshot_status load_paraphrases(struct meteor_data *data, const char *path,
                                            struct earshot_error *error)
{
    char *line = malloc(3 * LINE_BYTES_MAX);
    gzFile file = gzopen(path, "rb");
    enum earshot_status status = EARSHOT_OK;
    long entries = 0;

    if (!file || !line) {
        free(line);
        if (file)
            gzclose(file);
        return file ? error_memory(error, 3 * LINE_BYTES_MAX)
                    : error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot open", path);
    }
    gzbuffer(file, 1 << 17);
    for (; status == EARSHOT_OK; entries++) {
        int read = read_line(file, line);

        if (read == 0)
            break;
        for (int i = 1; i < 3 && read == 1; i++) {
            read = read_line(file, line + i * LINE_BYTES_MAX);
            if (read == 0)
                read = -1;
        }
        status = read == 1
                     ? add_entry(data, line + LINE_BYTES_MAX, line + 2 * LINE_BYTES_MAX, error)
                     : error_set(error, EARSHOT_ERROR_FORMAT,
                                 "%s: entry %ld: the table is damaged or cut short (three "
                                 "lines an entry: probability, phrase, paraphrase)",
                                 path, entries + 1);
    }
    gzclose(file);
    free(line);
    data->paraphrases = status == EARSHOT_OK;
    return status;
}

int64_t meteor_phrase_find(const struct meteor_data *data, const int32_t *word, size_t count)
{
    size_t at;

    if (!data->phrase_slot_count)
        return -1;
    at = phrase_slot(data, word, count);
    return (int64_t)data->phrase_slot[at] - 1;
}

int64_t meteor_paraphrase_first(const struct meteor_data *data, int64_t phrase)
{
    return data->phrase[phrase].first;
}

int64_t meteor_paraphrase_next(const struct meteor_data *data, int64_t entry)
{
    return data->entry[entry].next;
}

const int32_t *meteor_paraphrase_words(const struct meteor_data *data, int64_t entry, size_t *count)
{
    const struct phrase *phrase = &data->phrase[data->entry[entry].paraphrase];

    *count = phrase->length;
    return data->phrase_word + phrase->start;
}

size_t meteor_phrase_longest(const struct meteor_data *data)
{
    return data->longest;
}

/* ---- all of it ---- */

bool meteor_data_has_synonyms(const struct meteor_data *data)
{
    return data->synonyms;
}

bool meteor_data_has_paraphrases(const struct meteor_data *data)
{
    return data->paraphrases;
}

const char *meteor_data_name(const struct meteor_data *data)
{
    return !data->synonyms ? "METEOR_exact_stem" : data->paraphrases ? "METEOR" : "METEOR_nopara";
}

static enum earshot_status load_wordnet(struct meteor_data *data, const char *directory,
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
        status = file_map_open(path, &data->senses, error);
        if (status == EARSHOT_OK)
            status = index_senses(data, path, error);
        if (status == EARSHOT_OK)
            status = load_exceptions(data, directory, error);
    }
    data->synonyms = status == EARSHOT_OK;
    free(path);
    return status;
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
        status = load_wordnet(data, directory, error);
        table = sources->paraphrases ? str_format("%s", sources->paraphrases)
                                     : str_format("%s/paraphrase-en.gz", directory);
        if (status == EARSHOT_OK && !table)
            status = error_memory(error, 64);
        if (status == EARSHOT_OK && !sources->no_paraphrases &&
            (sources->paraphrases || file_exists(table)))
            status = load_paraphrases(data, table, error);
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
    file_map_close(&data->senses);
    free(data->words.slot);
    free(data->offsets);
    for (size_t i = 0; i < 4; i++)
        free(data->exception_text[i]);
    free(data->exceptions);
    free(data->function_text);
    free(data->functions);
    free(data->phrase_word);
    free(data->phrase);
    free(data->entry);
    free(data->phrase_slot);
    free(data);
}
