/*
 * annotations.h: the caption files that people publish, as one table of items and captions.
 *
 * The layout is found from the file itself:
 *   coco         {"images": [{id, file_name}], "annotations": [{image_id, caption}]}
 *   coco results [{image_id, caption}]
 *   manifest     JSON lines {id, video, start, end, caption | captions, transcript, next};
 *                also {file, caption, start, end}, as `earshot caption --format jsonl` writes
 *   msr-vtt      {"videos": [{video_id, split}], "sentences": [{video_id, caption}]}
 *   vatex        [{videoID, enCap: [...], chCap: [...]}]: English captions only
 *   youcook2     {"database": {video: {subset, annotations: [{segment, sentence}]}}}
 *   activitynet  {video: {duration, timestamps: [[s, e]], sentences: [...]}}
 *   densevid     {"results": {video: [{sentence, timestamp}]}}
 *   map          {id: "caption"} or {id: ["caption", ...]}
 *
 * Items are known by id.  A segment of a video has the id "VIDEO@START-END" (seconds, two
 * decimals), so that results meet their reference whatever order either file has.
 */
#ifndef EARSHOT_ANNOTATIONS_ANNOTATIONS_H
#define EARSHOT_ANNOTATIONS_ANNOTATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "annotations/json_reader.h"
#include "base/error.h"

#define CAPTION_BYTES_MAX 65536

struct annotation_item {
    const char *id, *video; /* video: path or name of the media, or NULL */
    double start_s, end_s;  /* NaN: unknown */
    const char *split;      /* "train", "val", "test" or as the file has it; NULL: none given */
    size_t first, count;    /* its captions: caption[first .. first + count) */
};

struct text_block {
    struct text_block *next;
    size_t used, size;
    char data[];
};

struct annotations {
    struct annotation_item *item;
    size_t item_count;
    const char **caption; /* in order of items, of one item in order of the file */
    size_t caption_count;
    const char *layout;     /* one of the names above, a constant */
    size_t repeated_ids;    /* records whose id had a caption before (several references: normal) */
    size_t empty_captions;  /* of white space only; kept: they score as empty text */
    size_t items_without;   /* items named without any caption: left out */
    size_t items_not_split; /* left out because of `split` */
    /* private */
    struct text_block *block;
    size_t item_capacity;
    uint32_t *slot;
    size_t slot_count;
    struct caption_entry *entry;
    size_t entry_count, entry_capacity;
};

/* Reads a file, "-" being standard input.  split: NULL for all, else items of that split only
 * ("val", "validate" and "validation" are the same word, as are "train" and "training"). */
enum earshot_status annotations_read_file(struct annotations *out, const char *path,
                                          const char *split, struct earshot_error *error);

/* As above, from bytes that `source` hands over (json_reader.h); the layout of JSON lines is taken
 * when `lines` is set or the first line is a whole record. */
enum earshot_status annotations_read(struct annotations *out, json_source source, void *context,
                                     bool lines, const char *split, struct earshot_error *error);

/* A table made by hand: start with {0}, put captions, finish.  Both texts are copied. */
enum earshot_status annotations_put(struct annotations *annotations, const char *id,
                                    const char *caption, struct earshot_error *error);
/* Sorts captions to their items; only then may the table be looked at.  FORMAT: no captions (of
 * this split). */
enum earshot_status annotations_finish(struct annotations *annotations, const char *split,
                                       struct earshot_error *error);

void annotations_free(struct annotations *annotations);

/* The item with this id, or NULL. */
const struct annotation_item *annotations_find(const struct annotations *annotations,
                                               const char *id);

#endif
