/*
 * layouts.c: the walk over a caption file: one for all layouts.  See layouts.h.
 *
 * Whatever object carries an id and captions under any of their known names is a record; where it
 * stands (in a list, under a video, behind a key of a map) says what else its id is made of.
 */
#include "annotations/layouts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *annotations_canonical_split(const char *split)
{
    static const char *const names[][2] = {
        {"validate", "val"}, {"validation", "val"}, {"training", "train"}, {"testing", "test"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(split, names[i][0]) == 0)
            return names[i][1];
    return split;
}

/* ---- records ---- */

/* What an object says, before it is known whose it is. */
struct record {
    struct str id, video, split;
    bool has_id;
    int id_rank; /* which of the id keys gave it; lower is better */
    double start_s, end_s;
    struct str captions; /* NUL after each */
    size_t caption_count;
    double *time; /* [2 * time_count]: ActivityNet's timestamps */
    size_t time_count, time_capacity;
};

struct walk {
    struct annotations *a;
    struct json_reader *reader;
    const char *video; /* whose segments are being read, or NULL */
    struct earshot_error *error;
};

static enum earshot_status walk_record(struct walk *walk, const char *fallback_id);

static void record_clear(struct record *record)
{
    str_clear(&record->id);
    str_clear(&record->video);
    str_clear(&record->split);
    str_clear(&record->captions);
    record->has_id = false;
    record->id_rank = 100;
    record->start_s = record->end_s = NAN;
    record->caption_count = record->time_count = 0;
}

static void record_free(struct record *record)
{
    str_free(&record->id);
    str_free(&record->video);
    str_free(&record->split);
    str_free(&record->captions);
    free(record->time);
}

static enum earshot_status shape_error(struct walk *walk, const char *what)
{
    return error_set(walk->error, EARSHOT_ERROR_FORMAT, "line %ld: %s", walk->reader->line, what);
}

static enum earshot_status next(struct walk *walk, enum json_event *event)
{
    return json_next(walk->reader, event, walk->error);
}

static void push_caption(struct walk *walk, struct record *record)
{
    str_append(&record->captions, walk->reader->text.data, walk->reader->text.length + 1);
    record->caption_count++;
}

/* A string, or an array of strings.  null counts as no caption. */
static enum earshot_status read_captions(struct walk *walk, struct record *record)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status != EARSHOT_OK)
        return status;
    if (event == EVENT_STRING) {
        push_caption(walk, record);
        return EARSHOT_OK;
    }
    if (event == EVENT_WORD && strcmp(walk->reader->text.data, "null") == 0)
        return EARSHOT_OK;
    if (event != EVENT_ARRAY_BEGIN)
        return shape_error(walk, "a caption must be a string or a list of strings");
    for (;;) {
        status = next(walk, &event);
        if (status != EARSHOT_OK || event == EVENT_ARRAY_END)
            return status;
        if (event != EVENT_STRING)
            return shape_error(walk, "a caption must be a string");
        push_caption(walk, record);
    }
}

/* [s, e], already begun. */
static enum earshot_status read_pair(struct walk *walk, double *start_s, double *end_s)
{
    double value[2] = {0};
    enum json_event event;
    enum earshot_status status;

    for (int i = 0;; i++) {
        status = next(walk, &event);
        if (status != EARSHOT_OK)
            return status;
        if (event == EVENT_ARRAY_END && i == 2)
            break;
        if (event != EVENT_NUMBER || i >= 2)
            return shape_error(walk, "a segment must be [start, end] in seconds");
        value[i] = walk->reader->number;
    }
    *start_s = value[0];
    *end_s = value[1];
    return EARSHOT_OK;
}

/* [[s, e], ...] */
static enum earshot_status read_times(struct walk *walk, struct record *record)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status == EARSHOT_OK && event != EVENT_ARRAY_BEGIN)
        return shape_error(walk, "timestamps must be a list of [start, end]");
    while (status == EARSHOT_OK) {
        status = next(walk, &event);
        if (status != EARSHOT_OK || event == EVENT_ARRAY_END)
            return status;
        if (event != EVENT_ARRAY_BEGIN)
            return shape_error(walk, "timestamps must be a list of [start, end]");
        if (record->time_count == record->time_capacity) {
            size_t capacity = record->time_capacity ? 2 * record->time_capacity : 16;
            double *time = realloc(record->time, 2 * capacity * sizeof *time);

            if (!time)
                return error_memory(walk->error, 2 * capacity * sizeof *time);
            record->time = time;
            record->time_capacity = capacity;
        }
        status = read_pair(walk, &record->time[2 * record->time_count],
                           &record->time[2 * record->time_count + 1]);
        record->time_count++;
    }
    return status;
}

static enum earshot_status read_segment(struct walk *walk, struct record *record)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status == EARSHOT_OK && event != EVENT_ARRAY_BEGIN)
        return shape_error(walk, "a segment must be [start, end] in seconds");
    return status == EARSHOT_OK ? read_pair(walk, &record->start_s, &record->end_s) : status;
}

/* A value that is text or a number, into out; anything else is skipped. */
static enum earshot_status read_scalar(struct walk *walk, struct str *out, bool *given)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    *given = false;
    if (status != EARSHOT_OK)
        return status;
    *given = event == EVENT_STRING || event == EVENT_NUMBER;
    if (!*given)
        return json_skip(walk->reader, event, walk->error);
    str_clear(out);
    str_append_text(out, walk->reader->text.data);
    return out->failed ? error_memory(walk->error, out->length) : EARSHOT_OK;
}

static enum earshot_status read_seconds(struct walk *walk, double *out)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status != EARSHOT_OK)
        return status;
    if (event == EVENT_NUMBER)
        *out = walk->reader->number;
    return json_skip(walk->reader, event, walk->error);
}

static int choice(const char *key, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(key, names[i]) == 0)
            return i;
    return -1;
}

/* One key of a record, its value next. */
static enum earshot_status read_field(struct walk *walk, struct record *record, const char *key,
                                      bool segments)
{
    /* A record of segments has no id of its own: YouCook2's "id" there is a number within the
     * video. */
    static const char *const ids[] = {"image_id", "video_id", "videoID", "id", "file", NULL};
    static const char *const captions[] = {"caption",  "captions",  "enCap",
                                           "sentence", "sentences", NULL};
    static const char *const videos[] = {"video", "file_name", "path", NULL};
    static const char *const splits[] = {"split", "subset", NULL};
    int rank = choice(key, ids);
    enum json_event event;
    enum earshot_status status;
    bool given = false;

    if (rank >= 0 && rank < record->id_rank && !segments) {
        status = read_scalar(walk, &record->id, &given);
        if (given) {
            record->has_id = true;
            record->id_rank = rank;
            if (strcmp(key, "videoID") == 0)
                walk->a->layout = "vatex";
            else if (strcmp(key, "image_id") == 0 && strcmp(walk->a->layout, "list") == 0)
                walk->a->layout = "coco results";
        }
        return status;
    }
    if (choice(key, captions) >= 0)
        return read_captions(walk, record);
    if (strcmp(key, "timestamps") == 0)
        return read_times(walk, record);
    if (strcmp(key, "timestamp") == 0 || strcmp(key, "segment") == 0)
        return read_segment(walk, record);
    if (choice(key, videos) >= 0)
        return read_scalar(walk, &record->video, &given);
    if (choice(key, splits) >= 0)
        return read_scalar(walk, &record->split, &given);
    if (strcmp(key, "start") == 0)
        return read_seconds(walk, &record->start_s);
    if (strcmp(key, "end") == 0)
        return read_seconds(walk, &record->end_s);
    status = next(walk, &event);
    return status == EARSHOT_OK ? json_skip(walk->reader, event, walk->error) : status;
}

/* ---- records into the table ---- */

static enum earshot_status set_text(struct walk *walk, const char **field, const char *text)
{
    if (*field || !text || !*text)
        return EARSHOT_OK;
    *field = annotations_keep(walk->a, text);
    return *field ? EARSHOT_OK : error_memory(walk->error, ANNOTATIONS_BLOCK_BYTES);
}

/* Adds an item with `count` captions from `captions`. */
static enum earshot_status add_item(struct walk *walk, const char *id, const char *video,
                                    const char *split, double start_s, double end_s,
                                    const char *captions, size_t count)
{
    struct annotation_item *item = annotations_get_item(walk->a, id);
    enum earshot_status status;
    size_t number;

    if (!item)
        return error_memory(walk->error, strlen(id));
    number = (size_t)(item - walk->a->item);
    walk->a->repeated_ids += count > 0 && item->count > 0;
    if (isnan(item->start_s)) {
        item->start_s = start_s;
        item->end_s = end_s;
    }
    status = set_text(walk, &item->video, video);
    if (status == EARSHOT_OK && split)
        status = set_text(walk, &item->split, annotations_canonical_split(split));
    for (size_t i = 0; i < count && status == EARSHOT_OK; i++) {
        status = annotations_add_caption(walk->a, number, captions, walk->error);
        captions += strlen(captions) + 1;
    }
    return status;
}

static enum earshot_status add_segment(struct walk *walk, const char *split, double start_s,
                                       double end_s, const char *caption)
{
    char *id = str_format("%s@%.2f-%.2f", walk->video, start_s, end_s);
    enum earshot_status status;

    if (!id)
        return error_memory(walk->error, 64);
    status = add_item(walk, id, walk->video, split, start_s, end_s, caption, caption ? 1 : 0);
    free(id);
    return status;
}

/* ActivityNet Captions: as many sentences as timestamps. */
static enum earshot_status add_timed(struct walk *walk, const struct record *record,
                                     const char *split)
{
    const char *caption = record->captions.data;

    if (record->time_count != record->caption_count)
        return error_set(walk->error, EARSHOT_ERROR_FORMAT,
                         "line %ld: video %s has %zu timestamps but %zu sentences",
                         walk->reader->line, walk->video, record->time_count,
                         record->caption_count);
    for (size_t i = 0; i < record->time_count; i++) {
        enum earshot_status status =
            add_segment(walk, split, record->time[2 * i], record->time[2 * i + 1], caption);

        if (status != EARSHOT_OK)
            return status;
        caption += strlen(caption) + 1;
    }
    return EARSHOT_OK;
}

static enum earshot_status add_record(struct walk *walk, const struct record *record,
                                      const char *fallback_id)
{
    const char *split = record->split.length ? record->split.data : NULL;
    const char *video = record->video.length ? record->video.data : NULL;
    struct walk timed = *walk;

    if (record->captions.failed)
        return error_memory(walk->error, record->captions.length);
    if (record->time_count > 0) {
        walk->a->layout = "activitynet";
        timed.video = fallback_id ? fallback_id : record->has_id ? record->id.data : NULL;
        if (!timed.video)
            return shape_error(walk, "timestamps without a video");
        return add_timed(&timed, record, split);
    }
    if (walk->video) {
        if (isnan(record->start_s))
            return shape_error(walk, "a segment without its times");
        if (record->caption_count > 1)
            return shape_error(walk, "a segment with several sentences");
        return add_segment(walk, split, record->start_s, record->end_s,
                           record->caption_count ? record->captions.data : NULL);
    }
    if (fallback_id && !record->has_id)
        return add_item(walk, fallback_id, video, split, record->start_s, record->end_s,
                        record->captions.data, record->caption_count);
    if (!record->has_id)
        return record->caption_count
                   ? shape_error(walk, "a caption without an id (image_id, video_id, videoID, "
                                       "id or file)")
                   : EARSHOT_OK;
    return add_item(walk, record->id.data, video, split, record->start_s, record->end_s,
                    record->captions.data, record->caption_count);
}

/* ---- the walk ---- */

/* [{...}, ...] or {...} of records, the value being next.  Inside a video they are segments. */
static enum earshot_status walk_records(struct walk *walk)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status == EARSHOT_OK && event != EVENT_ARRAY_BEGIN)
        return json_skip(walk->reader, event, walk->error);
    while (status == EARSHOT_OK) {
        status = next(walk, &event);
        if (status != EARSHOT_OK || event == EVENT_ARRAY_END)
            return status;
        if (event != EVENT_OBJECT_BEGIN)
            return shape_error(walk, "a list of records holds something else");
        status = walk_record(walk, NULL);
    }
    return status;
}

/* A record whose '{' was read.  Nested "annotations" (YouCook2) are segments of fallback_id. */
static enum earshot_status walk_record(struct walk *walk, const char *fallback_id)
{
    struct record record = {0};
    struct walk inner = *walk;
    enum json_event event;
    enum earshot_status status = EARSHOT_OK;
    size_t first = walk->a->item_count;

    record_clear(&record);
    while (status == EARSHOT_OK) {
        status = next(walk, &event);
        if (status != EARSHOT_OK || event == EVENT_OBJECT_END)
            break;
        if (strcmp(walk->reader->text.data, "annotations") == 0 && fallback_id) {
            inner.video = fallback_id;
            status = walk_records(&inner);
        } else {
            char *key = str_format("%s", walk->reader->text.data);

            status = key ? read_field(walk, &record, key, walk->video != NULL)
                         : error_memory(walk->error, 64);
            free(key);
        }
    }
    if (status == EARSHOT_OK && inner.video != walk->video) {
        /* "subset" may stand after the segments */
        for (size_t i = first; i < walk->a->item_count && status == EARSHOT_OK; i++)
            if (record.split.length)
                status = set_text(walk, &walk->a->item[i].split,
                                  annotations_canonical_split(record.split.data));
    } else if (status == EARSHOT_OK) {
        status = add_record(walk, &record, fallback_id);
    }
    record_free(&record);
    return status;
}

/* The value of key `id` in a map from ids: text, texts, segments, or a record. */
static enum earshot_status walk_entry(struct walk *walk, const char *id)
{
    struct walk inner = *walk;
    struct record record = {0};
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status != EARSHOT_OK)
        return status;
    if (event == EVENT_OBJECT_BEGIN)
        return walk_record(walk, id);
    record_clear(&record);
    if (event == EVENT_STRING)
        push_caption(walk, &record);
    else if (event != EVENT_ARRAY_BEGIN)
        return json_skip(walk->reader, event, walk->error);
    inner.video = id;
    while (event != EVENT_STRING && status == EARSHOT_OK) {
        enum json_event element;

        status = next(walk, &element);
        if (status != EARSHOT_OK || element == EVENT_ARRAY_END)
            break;
        if (element == EVENT_STRING)
            push_caption(walk, &record);
        else if (element == EVENT_OBJECT_BEGIN)
            status = walk_record(&inner, NULL);
        else
            status = shape_error(walk, "a list of captions holds something else");
    }
    if (status == EARSHOT_OK && (record.caption_count > 0))
        status =
            add_item(walk, id, NULL, NULL, NAN, NAN, record.captions.data, record.caption_count);
    record_free(&record);
    return status;
}

/* {id: ...}, the value being next. */
static enum earshot_status walk_map(struct walk *walk)
{
    enum json_event event;
    enum earshot_status status = next(walk, &event);

    if (status == EARSHOT_OK && event == EVENT_ARRAY_BEGIN) { /* "results": [records] */
        while (status == EARSHOT_OK) {
            status = next(walk, &event);
            if (status != EARSHOT_OK || event == EVENT_ARRAY_END)
                return status;
            if (event != EVENT_OBJECT_BEGIN)
                return shape_error(walk, "a list of records holds something else");
            status = walk_record(walk, NULL);
        }
        return status;
    }
    if (status == EARSHOT_OK && event != EVENT_OBJECT_BEGIN)
        return json_skip(walk->reader, event, walk->error);
    while (status == EARSHOT_OK) {
        char *id;

        status = next(walk, &event);
        if (status != EARSHOT_OK || event == EVENT_OBJECT_END)
            return status;
        id = str_format("%s", walk->reader->text.data);
        status = id ? walk_entry(walk, id) : error_memory(walk->error, 64);
        free(id);
    }
    return status;
}

/* A top-level object whose '{' was read. */
static enum earshot_status walk_top(struct walk *walk)
{
    static const char *const lists[] = {"annotations", "sentences", "images", "videos", NULL};
    static const char *const maps[] = {"database", "results", NULL};
    static const char *const other[] = {"info", "licenses", "version", "external_data",
                                        "type", "category", "params",  NULL};
    enum earshot_status status = EARSHOT_OK;

    while (status == EARSHOT_OK) {
        enum json_event event;
        char *key;
        int list, map;

        status = next(walk, &event);
        if (status != EARSHOT_OK || event == EVENT_OBJECT_END)
            return status;
        list = choice(walk->reader->text.data, lists);
        map = choice(walk->reader->text.data, maps);
        if (list >= 0) {
            if (list <= 1)
                walk->a->layout = list == 0 ? "coco" : "msr-vtt";
            status = walk_records(walk);
        } else if (map >= 0) {
            walk->a->layout = map == 0 ? "youcook2" : "densevid";
            status = walk_map(walk);
        } else if (choice(walk->reader->text.data, other) >= 0) {
            status = next(walk, &event);
            if (status == EARSHOT_OK)
                status = json_skip(walk->reader, event, walk->error);
        } else {
            key = str_format("%s", walk->reader->text.data);
            status = key ? walk_entry(walk, key) : error_memory(walk->error, 64);
            free(key);
        }
    }
    return status;
}

static enum earshot_status walk_file(struct walk *walk, bool lines)
{
    enum json_event event;
    enum earshot_status status = EARSHOT_OK;
    int values = 0;

    for (; status == EARSHOT_OK; values++) {
        status = next(walk, &event);
        if (status != EARSHOT_OK)
            return status;
        if (event == EVENT_END)
            break;
        if (event == EVENT_ARRAY_BEGIN && !lines) {
            walk->a->layout = "list";
            while (status == EARSHOT_OK) {
                status = next(walk, &event);
                if (status != EARSHOT_OK || event == EVENT_ARRAY_END)
                    break;
                status = event == EVENT_OBJECT_BEGIN
                             ? walk_record(walk, NULL)
                             : shape_error(walk, "a list of captions must hold objects");
            }
        } else if (event == EVENT_OBJECT_BEGIN && lines) {
            walk->a->layout = "manifest";
            status = walk_record(walk, NULL);
        } else if (event == EVENT_OBJECT_BEGIN && values == 0) {
            walk->a->layout = "map";
            status = walk_top(walk);
        } else {
            return shape_error(walk, lines ? "a line that is not an object"
                                           : "something after the end, or no object or list");
        }
    }
    if (status == EARSHOT_OK && values == 0)
        return error_set(walk->error, EARSHOT_ERROR_FORMAT, "the file is empty");
    return status;
}

enum earshot_status annotations_walk(struct annotations *a, struct json_reader *reader, bool lines,
                                     struct earshot_error *error)
{
    struct walk walk = {a, reader, NULL, error};

    return walk_file(&walk, lines);
}
