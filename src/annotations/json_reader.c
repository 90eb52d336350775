/* json_reader.c: a pull parser for JSON.  See json_reader.h. */
#include "annotations/json_reader.h"

#include <stdlib.h>
#include <string.h>

#define END_OF_FILE (-1)

void json_reader_init(struct json_reader *reader, json_source source, void *context)
{
    reader->source = source;
    reader->context = context;
    reader->at = reader->count = 0;
    reader->line = 1;
    reader->depth = 0;
    reader->state = JSON_BEFORE_VALUE;
    reader->text = (struct str){0};
    reader->number = 0;
}

void json_reader_free(struct json_reader *reader)
{
    str_free(&reader->text);
}

/* ---- bytes ---- */

static int peek(struct json_reader *reader)
{
    if (reader->at == reader->count) {
        reader->count = reader->source(reader->context, reader->buffer, sizeof reader->buffer);
        reader->at = 0;
        if (reader->count == 0)
            return END_OF_FILE;
    }
    return reader->buffer[reader->at];
}

static int take(struct json_reader *reader)
{
    int c = peek(reader);

    if (c != END_OF_FILE)
        reader->at++;
    return c;
}

static void skip_space(struct json_reader *reader)
{
    for (int c = peek(reader); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(reader)) {
        reader->line += c == '\n';
        reader->at++;
    }
}

static enum earshot_status fail(struct json_reader *reader, struct earshot_error *error,
                                const char *what)
{
    return error_set(error, EARSHOT_ERROR_FORMAT, "line %ld: %s", reader->line, what);
}

static enum earshot_status fail_at(struct json_reader *reader, struct earshot_error *error, int c,
                                   const char *expected)
{
    if (c == END_OF_FILE)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "line %ld: the file ends where %s was expected: it is cut short",
                         reader->line, expected);
    if (c >= ' ' && c < 0x7F)
        return error_set(error, EARSHOT_ERROR_FORMAT, "line %ld: '%c' where %s was expected",
                         reader->line, c, expected);
    return error_set(error, EARSHOT_ERROR_FORMAT, "line %ld: byte 0x%02X where %s was expected",
                     reader->line, (unsigned)c, expected);
}

/* ---- strings ---- */

static enum earshot_status read_hex(struct json_reader *reader, uint32_t *code,
                                    struct earshot_error *error)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int c = take(reader);

        if (c >= '0' && c <= '9')
            *code = *code * 16 + (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            *code = *code * 16 + (uint32_t)((c | 32) - 'a' + 10);
        else
            return fail_at(reader, error, c, "a hexadecimal digit");
    }
    return EARSHOT_OK;
}

static void put_code(struct json_reader *reader, uint32_t code)
{
    char bytes[4];

    if (code == 0 || (code >= 0xD800 && code < 0xE000))
        code = 0xFFFD;
    str_append(&reader->text, bytes, str_utf8_put(bytes, code));
}

/* After "\u".  A high surrogate takes the low one that follows with it. */
static enum earshot_status read_unicode(struct json_reader *reader, struct earshot_error *error)
{
    uint32_t code, low;
    enum earshot_status status = read_hex(reader, &code, error);

    while (status == EARSHOT_OK && code >= 0xD800 && code < 0xDC00 && peek(reader) == '\\') {
        take(reader);
        if (peek(reader) != 'u') {
            put_code(reader, code);
            return EARSHOT_ERROR_INTERNAL; /* the caller goes on with the escape begun */
        }
        take(reader);
        status = read_hex(reader, &low, error);
        if (status != EARSHOT_OK)
            return status;
        if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else {
            put_code(reader, code);
            code = low;
        }
    }
    if (status == EARSHOT_OK)
        put_code(reader, code);
    return status;
}

/* After the backslash. */
static enum earshot_status read_escape(struct json_reader *reader, struct earshot_error *error)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";

    for (;;) {
        int c = take(reader);
        const char *found = c > 0 ? strchr(names, c) : NULL;
        enum earshot_status status;

        if (found) {
            str_append(&reader->text, values + (found - names), 1);
            return EARSHOT_OK;
        }
        if (c != 'u')
            return fail_at(reader, error, c, "an escape (\\n, \\u0041, ...)");
        status = read_unicode(reader, error);
        if (status != EARSHOT_ERROR_INTERNAL)
            return status;
    }
}

static bool is_utf8(const char *text, size_t length)
{
    const char *p = text, *end = text + length;

    while (p < end) {
        const char *from = p;

        if ((unsigned char)*p < 0x80) {
            p++;
            continue;
        }
        if (str_utf8_next(&p, end) == 0xFFFD &&
            !(p - from == 3 && memcmp(from, "\xEF\xBF\xBD", 3) == 0))
            return false;
    }
    return true;
}

/* After the opening quote. */
static enum earshot_status read_string(struct json_reader *reader, struct earshot_error *error)
{
    str_clear(&reader->text);
    for (;;) {
        size_t from;
        int c = peek(reader);

        if (c == END_OF_FILE || (c < ' ' && c != '\t'))
            return fail_at(reader, error, c, "the rest of a string");
        for (from = reader->at; reader->at < reader->count; reader->at++) {
            c = reader->buffer[reader->at];
            if (c == '"' || c == '\\' || (c < ' ' && c != '\t'))
                break;
        }
        str_append(&reader->text, reader->buffer + from, reader->at - from);
        if (reader->text.length > JSON_STRING_BYTES_MAX)
            return fail(reader, error, "a string of more than a megabyte");
        if (reader->at == reader->count)
            continue;
        if (c == '"') {
            reader->at++;
            break;
        }
        if (c == '\\') {
            enum earshot_status status;

            reader->at++;
            status = read_escape(reader, error);
            if (status != EARSHOT_OK)
                return status;
        }
    }
    str_append(&reader->text, "", 0);
    if (reader->text.failed)
        return error_memory(error, reader->text.length);
    if (!is_utf8(reader->text.data, reader->text.length))
        return fail(reader, error,
                    "text that is not UTF-8 (convert the file: iconv -f LATIN1 -t UTF-8)");
    if (strlen(reader->text.data) != reader->text.length)
        return fail(reader, error, "a NUL byte in a string");
    return EARSHOT_OK;
}

/* ---- other values ---- */

static enum earshot_status read_word(struct json_reader *reader, enum json_event *event,
                                     struct earshot_error *error)
{
    static const char *const words[] = {"true", "false", "null"};
    const char *text;
    char *end;
    int c;

    str_clear(&reader->text);
    for (c = peek(reader); c == '+' || c == '-' || c == '.' || (c >= '0' && c <= '9') ||
                           ((c | 32) >= 'a' && (c | 32) <= 'z');
         c = peek(reader)) {
        char byte = (char)c;

        str_append(&reader->text, &byte, 1);
        reader->at++;
        if (reader->text.length > 64)
            return fail(reader, error, "a number of more than 64 characters");
    }
    if (reader->text.failed)
        return error_memory(error, 64);
    if (!reader->text.length)
        return fail_at(reader, error, c, "a value");
    text = reader->text.data;
    *event = EVENT_WORD;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return EARSHOT_OK;
    *event = EVENT_NUMBER;
    reader->number = strtod(text, &end);
    if (*end || *text == '+' || strchr(text, 'x') || strchr(text, 'X'))
        return fail(reader, error, "neither a number, a string, true, false nor null");
    return EARSHOT_OK;
}

static enum earshot_status open_container(struct json_reader *reader, char kind,
                                          enum json_event *event, struct earshot_error *error)
{
    if (reader->depth == JSON_DEPTH_MAX)
        return fail(reader, error, "more than 64 levels of nesting");
    reader->open[reader->depth++] = kind;
    reader->state = JSON_BEFORE_FIRST;
    *event = kind == '{' ? EVENT_OBJECT_BEGIN : EVENT_ARRAY_BEGIN;
    return EARSHOT_OK;
}

static enum earshot_status close_container(struct json_reader *reader, enum json_event *event)
{
    *event = reader->open[--reader->depth] == '{' ? EVENT_OBJECT_END : EVENT_ARRAY_END;
    reader->state = JSON_AFTER_VALUE;
    return EARSHOT_OK;
}

/* A value begins at the next byte. */
static enum earshot_status read_value(struct json_reader *reader, enum json_event *event,
                                      struct earshot_error *error)
{
    int c = peek(reader);

    if (c == '{' || c == '[') {
        reader->at++;
        return open_container(reader, (char)c, event, error);
    }
    reader->state = JSON_AFTER_VALUE;
    if (c == '"') {
        reader->at++;
        *event = EVENT_STRING;
        return read_string(reader, error);
    }
    return read_word(reader, event, error);
}

static enum earshot_status read_key(struct json_reader *reader, enum json_event *event,
                                    struct earshot_error *error)
{
    enum earshot_status status;
    int c = take(reader);

    if (c != '"')
        return fail_at(reader, error, c, "a key in double quotes");
    status = read_string(reader, error);
    if (status != EARSHOT_OK)
        return status;
    skip_space(reader);
    c = take(reader);
    if (c != ':')
        return fail_at(reader, error, c, "a colon");
    reader->state = JSON_AFTER_KEY;
    *event = EVENT_KEY;
    return EARSHOT_OK;
}

/* Between top-level values; also looks at what kind of file this is at its beginning. */
static enum earshot_status read_top(struct json_reader *reader, enum json_event *event,
                                    struct earshot_error *error)
{
    int c = peek(reader);

    if (reader->line == 1 && reader->at == 0 && reader->count >= 3) {
        const unsigned char *b = reader->buffer;

        if (b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF)
            reader->at = 3;
        else if ((b[0] == 0xFF && b[1] == 0xFE) || (b[0] == 0xFE && b[1] == 0xFF))
            return fail(reader, error, "UTF-16 text (convert the file: iconv -f UTF-16 -t UTF-8)");
        else if (b[0] == 0x1F && b[1] == 0x8B)
            return fail(reader, error, "gzip data (unpack the file first: gunzip)");
        else if (b[0] == 'P' && b[1] == 'K' && b[2] == 3)
            return fail(reader, error, "a zip archive (unpack the file first: unzip)");
    }
    skip_space(reader);
    c = peek(reader);
    if (c == END_OF_FILE) {
        *event = EVENT_END;
        return EARSHOT_OK;
    }
    return read_value(reader, event, error);
}

enum earshot_status json_next(struct json_reader *reader, enum json_event *event,
                              struct earshot_error *error)
{
    bool object;
    int c;

    if (reader->depth == 0)
        return read_top(reader, event, error);
    object = reader->open[reader->depth - 1] == '{';
    skip_space(reader);
    c = peek(reader);
    if (reader->state == JSON_AFTER_KEY)
        return read_value(reader, event, error);
    if (c == (object ? '}' : ']')) {
        reader->at++;
        return close_container(reader, event);
    }
    if (reader->state == JSON_AFTER_VALUE) {
        if (c != ',')
            return fail_at(reader, error, c, object ? "a comma or }" : "a comma or ]");
        reader->at++;
        skip_space(reader);
    }
    return object ? read_key(reader, event, error) : read_value(reader, event, error);
}

enum earshot_status json_skip(struct json_reader *reader, enum json_event begun,
                              struct earshot_error *error)
{
    int depth = reader->depth;

    if (begun != EVENT_OBJECT_BEGIN && begun != EVENT_ARRAY_BEGIN)
        return EARSHOT_OK;
    while (reader->depth >= depth) {
        enum json_event event;
        enum earshot_status status = json_next(reader, &event, error);

        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}
