/*
 * layouts.h: between annotations.c, which keeps the table, and layouts.c, which fills it.
 */
#ifndef EARSHOT_ANNOTATIONS_LAYOUTS_H
#define EARSHOT_ANNOTATIONS_LAYOUTS_H

#include "annotations/annotations.h"

#define ANNOTATIONS_BLOCK_BYTES (1u << 20)

/* Reads everything into a's items and entries.  lines: JSON lines of records. */
enum earshot_status annotations_walk(struct annotations *a, struct json_reader *reader, bool lines,
                                     struct earshot_error *error);

/* "validation" -> "val" and the like; other words stay. */
const char *annotations_canonical_split(const char *split);

/* A copy that lives as long as the table; NULL when out of memory. */
const char *annotations_keep(struct annotations *a, const char *text);
/* The item of this id, new if need be; NULL when out of memory. */
struct annotation_item *annotations_get_item(struct annotations *a, const char *id);
/* Adds a caption to item number `item`. */
enum earshot_status annotations_add_caption(struct annotations *a, size_t item, const char *text,
                                            struct earshot_error *error);

#endif
