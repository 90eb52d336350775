/*
 * json_reader.h: JSON (RFC 8259) read as a stream of events, for files of any size.
 *
 * Annotation files run to hundreds of megabytes; a tree of one costs ten times that.  Several
 * values may follow one another (JSON lines).  NaN and Infinity, which Python writes, are numbers
 * here; \u0000 and lone surrogates become U+FFFD; malformed UTF-8 is an error, a byte order mark is
 * not.
 */
#ifndef EARSHOT_ANNOTATIONS_JSON_READER_H
#define EARSHOT_ANNOTATIONS_JSON_READER_H

#include <stdio.h>

#include "base/error.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 64
#define JSON_STRING_BYTES_MAX (1u << 20)

enum json_event {
    EVENT_END, /* of the file */
    EVENT_OBJECT_BEGIN,
    EVENT_OBJECT_END,
    EVENT_ARRAY_BEGIN,
    EVENT_ARRAY_END,
    EVENT_KEY,    /* in text */
    EVENT_STRING, /* in text */
    EVENT_NUMBER, /* in text as written, and in number */
    EVENT_WORD    /* true, false, null: in text */
};

/* A source of bytes: at most `size` of them into buffer; 0 at the end. */
typedef size_t (*json_source)(void *context, void *buffer, size_t size);

struct json_reader {
    json_source source;
    void *context;
    unsigned char buffer[65536];
    size_t at, count;
    long line;
    int depth;
    char open[JSON_DEPTH_MAX]; /* '{' or '[' */
    enum { JSON_BEFORE_VALUE, JSON_BEFORE_FIRST, JSON_AFTER_VALUE, JSON_AFTER_KEY } state;
    struct str text;
    double number;
};

void json_reader_init(struct json_reader *reader, json_source source, void *context);
void json_reader_free(struct json_reader *reader);

/* Errors name the line. */
enum earshot_status json_next(struct json_reader *reader, enum json_event *event,
                              struct earshot_error *error);

/* After EVENT_OBJECT_BEGIN or EVENT_ARRAY_BEGIN: reads to its end.  After anything else: nothing.
 */
enum earshot_status json_skip(struct json_reader *reader, enum json_event begun,
                              struct earshot_error *error);

#endif
