/*
 * annotations.c: the table of items and captions, and the bytes it comes from.  See annotations.h.
 *
 * Captions are collected in file order and sorted to their items at the end, because files like
 * MSR-VTT's list them in any order.
 */
#include "annotations/layouts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct caption_entry {
    uint32_t item;
    const char *text;
};

/* ---- memory ---- */

const char *annotations_keep(struct annotations *a, const char *text)
{
    size_t size = strlen(text) + 1;
    char *out;

    if (!a->block || a->block->size - a->block->used < size) {
        size_t bytes = size > ANNOTATIONS_BLOCK_BYTES ? size : ANNOTATIONS_BLOCK_BYTES;
        struct text_block *block = malloc(sizeof *block + bytes);

        if (!block)
            return NULL;
        *block = (struct text_block){.next = a->block, .size = bytes};
        a->block = block;
    }
    out = memcpy(a->block->data + a->block->used, text, size);
    a->block->used += size;
    return out;
}

void annotations_free(struct annotations *a)
{
    while (a->block) {
        struct text_block *next = a->block->next;

        free(a->block);
        a->block = next;
    }
    free(a->item);
    free(a->caption);
    free(a->slot);
    free(a->entry);
    *a = (struct annotations){0};
}

static size_t find_slot(const struct annotations *a, const char *id)
{
    size_t at = array_hash(id, strlen(id)) & (a->slot_count - 1);

    while (a->slot[at] && strcmp(a->item[a->slot[at] - 1].id, id) != 0)
        at = (at + 1) & (a->slot_count - 1);
    return at;
}

const struct annotation_item *annotations_find(const struct annotations *a, const char *id)
{
    size_t at;

    if (!a->slot_count)
        return NULL;
    at = find_slot(a, id);
    return a->slot[at] ? &a->item[a->slot[at] - 1] : NULL;
}

/* Makes the hash table anew, with room for twice the items. */
static bool rehash(struct annotations *a)
{
    size_t slot_count = 256;
    uint32_t *slot;

    while (slot_count < 4 * a->item_count)
        slot_count *= 2;
    slot = calloc(slot_count, sizeof *slot);
    if (!slot)
        return false;
    free(a->slot);
    a->slot = slot;
    a->slot_count = slot_count;
    for (size_t i = 0; i < a->item_count; i++)
        slot[find_slot(a, a->item[i].id)] = (uint32_t)i + 1;
    return true;
}

struct annotation_item *annotations_get_item(struct annotations *a, const char *id)
{
    size_t at;

    if (2 * a->item_count >= a->slot_count && !rehash(a))
        return NULL;
    at = find_slot(a, id);
    if (a->slot[at])
        return &a->item[a->slot[at] - 1];
    if (a->item_count == a->item_capacity) {
        size_t capacity = a->item_capacity ? a->item_capacity * 2 : 256;
        struct annotation_item *item = realloc(a->item, capacity * sizeof *item);

        if (!item || capacity > UINT32_MAX)
            return NULL;
        a->item = item;
        a->item_capacity = capacity;
    }
    id = annotations_keep(a, id);
    if (!id)
        return NULL;
    a->slot[at] = (uint32_t)a->item_count + 1;
    a->item[a->item_count] = (struct annotation_item){.id = id, .start_s = NAN, .end_s = NAN};
    return &a->item[a->item_count++];
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

enum earshot_status annotations_add_caption(struct annotations *a, size_t item, const char *text,
                                            struct earshot_error *error)
{
    if (strlen(text) > CAPTION_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "item %s has a caption of %zu bytes; at most %d are allowed",
                         a->item[item].id, strlen(text), CAPTION_BYTES_MAX);
    if (a->entry_count == a->entry_capacity) {
        size_t capacity = a->entry_capacity ? a->entry_capacity + a->entry_capacity / 2 : 1024;
        struct caption_entry *entry = realloc(a->entry, capacity * sizeof *entry);

        if (!entry)
            return error_memory(error, capacity * sizeof *entry);
        a->entry = entry;
        a->entry_capacity = capacity;
    }
    text = annotations_keep(a, text);
    if (!text)
        return error_memory(error, ANNOTATIONS_BLOCK_BYTES);
    a->empty_captions += is_blank(text);
    a->item[item].count++;
    a->entry[a->entry_count++] = (struct caption_entry){(uint32_t)item, text};
    return EARSHOT_OK;
}

enum earshot_status annotations_put(struct annotations *a, const char *id, const char *caption,
                                    struct earshot_error *error)
{
    struct annotation_item *item = annotations_get_item(a, id);

    if (!item)
        return error_memory(error, sizeof *item);
    return annotations_add_caption(a, (size_t)(item - a->item), caption, error);
}

/* ---- afterwards ---- */

enum earshot_status annotations_finish(struct annotations *a, const char *split,
                                       struct earshot_error *error)
{
    size_t kept = 0, captions = 0;
    size_t *place = malloc((a->item_count + 1) * sizeof *place);

    if (!place)
        return error_memory(error, a->item_count * sizeof *place);
    split = split ? annotations_canonical_split(split) : NULL;
    for (size_t i = 0; i < a->item_count; i++) {
        struct annotation_item item = a->item[i];

        place[i] = SIZE_MAX;
        if (item.count == 0) {
            a->items_without++;
        } else if (split && (!item.split || strcmp(item.split, split) != 0)) {
            a->items_not_split++;
        } else {
            place[i] = item.first = captions;
            captions += item.count;
            a->item[kept++] = item;
        }
    }
    a->caption = malloc((captions + 1) * sizeof *a->caption);
    if (!a->caption) {
        free(place);
        return error_memory(error, captions * sizeof *a->caption);
    }
    for (size_t i = 0; i < a->entry_count; i++)
        if (place[a->entry[i].item] != SIZE_MAX)
            a->caption[place[a->entry[i].item]++] = a->entry[i].text;
    free(place);
    free(a->entry);
    a->entry = NULL;
    a->entry_count = a->entry_capacity = 0;
    a->item_count = kept;
    a->caption_count = captions;
    if (!rehash(a))
        return error_memory(error, kept * sizeof *a->slot);
    if (kept == 0)
        return a->items_not_split
                   ? error_set(error, EARSHOT_ERROR_FORMAT,
                               "none of the %zu items is of split '%s'", a->items_not_split, split)
                   : error_set(error, EARSHOT_ERROR_FORMAT, "there are no captions in it");
    return EARSHOT_OK;
}

/* ---- sources ---- */

/* The beginning of the source, read to look at it, then the rest. */
struct peeked {
    json_source source;
    void *context;
    unsigned char head[65536];
    size_t at, count;
};

static size_t peeked_source(void *context, void *buffer, size_t size)
{
    struct peeked *peeked = context;
    size_t left = peeked->count - peeked->at;

    if (!left)
        return peeked->source(peeked->context, buffer, size);
    if (left > size)
        left = size;
    memcpy(buffer, peeked->head + peeked->at, left);
    peeked->at += left;
    return left;
}

/* Is the first line a whole object that could be a record?  (Then lines of them follow.) */
static bool looks_like_lines(const struct peeked *peeked)
{
    static const char *const marks[] = {"\"caption\"", "\"captions\"", "\"id\""};
    const unsigned char *newline = memchr(peeked->head, '\n', peeked->count);
    size_t length = newline ? (size_t)(newline - peeked->head) : peeked->count;
    const char *second;
    char *line;
    bool found = false;

    while (length && (peeked->head[length - 1] == '\r' || peeked->head[length - 1] == ' '))
        length--;
    if (length < 2 || peeked->head[0] != '{' || peeked->head[length - 1] != '}')
        return false;
    line = malloc(length + 1);
    if (!line)
        return false;
    memcpy(line, peeked->head, length);
    line[length] = '\0';
    second = strchr(line + 1, '{'); /* the record's own keys stand before any inner object */
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(line, marks[i]);

        found |= at && (!second || at < second);
    }
    free(line);
    return found;
}

enum earshot_status annotations_read(struct annotations *out, json_source source, void *context,
                                     bool lines, const char *split, struct earshot_error *error)
{
    struct peeked *peeked = calloc(1, sizeof *peeked);
    struct json_reader *reader = malloc(sizeof *reader);
    enum earshot_status status;

    *out = (struct annotations){.layout = ""};
    if (!peeked || !reader) {
        free(peeked);
        free(reader);
        return error_memory(error, sizeof *reader);
    }
    peeked->source = source;
    peeked->context = context;
    while (peeked->count < sizeof peeked->head) {
        size_t got =
            source(context, peeked->head + peeked->count, sizeof peeked->head - peeked->count);

        if (!got)
            break;
        peeked->count += got;
    }
    json_reader_init(reader, peeked_source, peeked);
    status = annotations_walk(out, reader, lines || looks_like_lines(peeked), error);
    if (status == EARSHOT_OK)
        status = annotations_finish(out, split, error);
    json_reader_free(reader);
    free(reader);
    free(peeked);
    if (status != EARSHOT_OK)
        annotations_free(out);
    return status;
}

static size_t stream_source(void *context, void *buffer, size_t size)
{
    return fread(buffer, 1, size, context);
}

enum earshot_status annotations_read_file(struct annotations *out, const char *path,
                                          const char *split, struct earshot_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *stream = standard ? stdin : fopen(path, "rbe");
    enum earshot_status status;

    *out = (struct annotations){.layout = ""};
    if (!stream)
        return error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot open", path);
    status = annotations_read(out, stream_source, stream,
                              str_ends_with(path, ".jsonl") || str_ends_with(path, ".ndjson"),
                              split, error);
    if (ferror(stream) && status != EARSHOT_ERROR_MEMORY) {
        annotations_free(out);
        status = error_set_errno(error, EARSHOT_ERROR_IO, "cannot read");
    }
    if (!standard)
        fclose(stream);
    return status == EARSHOT_OK ? EARSHOT_OK : error_context(error, "%s", path);
}
