/*
 * paraphrases.c: METEOR's paraphrase table.  See paraphrases.h.
 *
 * The file: three lines an entry: probability, phrase, paraphrase; plain or gzip.
 */
#include "metrics/paraphrases.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/array.h"
#include "metrics/meteor.h"

#define LINE_BYTES_MAX 65536

struct phrase {
    uint32_t start, length;
    int64_t first, last; /* entries, -1: none */
};

struct entry {
    uint32_t paraphrase;
    int64_t next;
};

struct paraphrases {
    int32_t *phrase_word;
    size_t phrase_word_count, phrase_word_capacity;
    struct phrase *phrase;
    size_t phrase_count, phrase_capacity, longest;
    struct entry *entry;
    size_t entry_count, entry_capacity;
    uint32_t *phrase_slot;
    size_t phrase_slot_count;
};

static uint32_t hash_phrase(const int32_t *word, size_t count)
{
    uint64_t hash = 0x9E3779B97F4A7C15u ^ count;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ (uint32_t)word[i]) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

static size_t phrase_slot(const struct paraphrases *table, const int32_t *word, size_t count)
{
    size_t at = hash_phrase(word, count) & (table->phrase_slot_count - 1);

    while (table->phrase_slot[at]) {
        const struct phrase *phrase = &table->phrase[table->phrase_slot[at] - 1];

        if (phrase->length == count &&
            memcmp(table->phrase_word + phrase->start, word, count * sizeof *word) == 0)
            break;
        at = (at + 1) & (table->phrase_slot_count - 1);
    }
    return at;
}

static bool grow_phrase_slots(struct paraphrases *table)
{
    size_t count = table->phrase_slot_count ? 2 * table->phrase_slot_count : 1024;
    uint32_t *slot = calloc(count, sizeof *slot);

    if (!slot)
        return false;
    free(table->phrase_slot);
    table->phrase_slot = slot;
    table->phrase_slot_count = count;
    for (size_t i = 0; i < table->phrase_count; i++)
        slot[phrase_slot(table, table->phrase_word + table->phrase[i].start,
                         table->phrase[i].length)] = (uint32_t)i + 1;
    return true;
}

/* The number of a phrase (new if need be); -1 when out of memory, -2 for one without words. */
static int64_t add_phrase(struct paraphrases *table, char *text)
{
    size_t start = table->phrase_word_count, count = 0, at;
    char *save;

    for (char *word = strtok_r(text, " \t\r\n\f", &save); word;
         word = strtok_r(NULL, " \t\r\n\f", &save)) {
        if (!array_reserve((void **)&table->phrase_word, &table->phrase_word_capacity,
                           start + count + 1, sizeof *table->phrase_word))
            return -1;
        table->phrase_word[start + count++] = meteor_hash(word);
    }
    if (!count)
        return -2;
    if (2 * table->phrase_count >= table->phrase_slot_count && !grow_phrase_slots(table))
        return -1;
    at = phrase_slot(table, table->phrase_word + start, count);
    if (table->phrase_slot[at])
        return table->phrase_slot[at] - 1;
    if (table->phrase_count >= UINT32_MAX - 1 || start + count >= UINT32_MAX ||
        !array_reserve((void **)&table->phrase, &table->phrase_capacity, table->phrase_count + 1,
                       sizeof *table->phrase))
        return -1;
    table->phrase_word_count += count;
    if (count > table->longest)
        table->longest = count;
    table->phrase[table->phrase_count] = (struct phrase){(uint32_t)start, (uint32_t)count, -1, -1};
    table->phrase_slot[at] = (uint32_t)table->phrase_count + 1;
    return (int64_t)table->phrase_count++;
}

static enum earshot_status add_entry(struct paraphrases *table, char *phrase, char *paraphrase,
                                     struct earshot_error *error)
{
    int64_t from = add_phrase(table, phrase), to = add_phrase(table, paraphrase);

    if (from == -2 || to == -2)
        return EARSHOT_OK; /* an empty phrase matches nothing */
    if (from < 0 || to < 0 ||
        !array_reserve((void **)&table->entry, &table->entry_capacity, table->entry_count + 1,
                       sizeof *table->entry))
        return error_memory(error, table->entry_capacity * sizeof *table->entry);
    table->entry[table->entry_count] = (struct entry){(uint32_t)to, -1};
    if (table->phrase[from].first < 0)
        table->phrase[from].first = (int64_t)table->entry_count;
    else
        table->entry[table->phrase[from].last].next = (int64_t)table->entry_count;
    table->phrase[from].last = (int64_t)table->entry_count++;
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

static enum earshot_status read_table(struct paraphrases *table, const char *path,
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
                     ? add_entry(table, line + LINE_BYTES_MAX, line + 2 * LINE_BYTES_MAX, error)
                     : error_set(error, EARSHOT_ERROR_FORMAT,
                                 "%s: entry %ld: the table is damaged or cut short (three "
                                 "lines an entry: probability, phrase, paraphrase)",
                                 path, entries + 1);
    }
    gzclose(file);
    free(line);
    return status;
}

enum earshot_status paraphrases_load(const char *path, struct paraphrases **out,
                                     struct earshot_error *error)
{
    struct paraphrases *table = calloc(1, sizeof *table);
    enum earshot_status status =
        table ? read_table(table, path, error) : error_memory(error, sizeof *table);

    *out = table;
    if (status != EARSHOT_OK) {
        paraphrases_free(table);
        *out = NULL;
    }
    return status;
}

void paraphrases_free(struct paraphrases *table)
{
    if (!table)
        return;
    free(table->phrase_word);
    free(table->phrase);
    free(table->entry);
    free(table->phrase_slot);
    free(table);
}

int64_t paraphrases_find(const struct paraphrases *table, const int32_t *word, size_t count)
{
    size_t at;

    if (!table->phrase_slot_count)
        return -1;
    at = phrase_slot(table, word, count);
    return (int64_t)table->phrase_slot[at] - 1;
}

int64_t paraphrases_first(const struct paraphrases *table, int64_t phrase)
{
    return table->phrase[phrase].first;
}

int64_t paraphrases_next(const struct paraphrases *table, int64_t entry)
{
    return table->entry[entry].next;
}

const int32_t *paraphrases_words(const struct paraphrases *table, int64_t entry, size_t *count)
{
    const struct phrase *phrase = &table->phrase[table->entry[entry].paraphrase];

    *count = phrase->length;
    return table->phrase_word + phrase->start;
}

size_t paraphrases_longest(const struct paraphrases *table)
{
    return table->longest;
}
