/* error.c: filling struct earshot_error.  See error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *earshot_status_name(enum earshot_status status)
{
    switch (status) {
    case EARSHOT_OK:
        return "ok";
    case EARSHOT_ERROR_ARGUMENT:
        return "invalid argument";
    case EARSHOT_ERROR_IO:
        return "input/output error";
    case EARSHOT_ERROR_FORMAT:
        return "corrupt or unexpected data";
    case EARSHOT_ERROR_UNSUPPORTED:
        return "unsupported";
    case EARSHOT_ERROR_NO_STREAM:
        return "no such stream";
    case EARSHOT_ERROR_MEMORY:
        return "out of memory";
    case EARSHOT_ERROR_NUMERIC:
        return "non-finite value";
    case EARSHOT_ERROR_CANCELLED:
        return "cancelled";
    case EARSHOT_ERROR_INTERNAL:
        return "internal error";
    }
    return "unknown status";
}

const char *earshot_version(void)
{
    return EARSHOT_VERSION;
}

/* Messages quote names from files; no byte of theirs may end the line or drive a terminal. */
static void hide_controls(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

enum earshot_status error_set(struct earshot_error *error, enum earshot_status status,
                              const char *format, ...)
{
    if (error) {
        va_list args;

        error->status = status;
        va_start(args, format);
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
        hide_controls(error->message);
    }
    return status;
}

enum earshot_status error_set_errno(struct earshot_error *error, enum earshot_status status,
                                    const char *format, ...)
{
    int saved = errno;

    if (error) {
        va_list args;
        size_t used;

        error->status = status;
        va_start(args, format);
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
        used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(saved));
        hide_controls(error->message);
    }
    return status;
}

enum earshot_status error_context(struct earshot_error *error, const char *format, ...)
{
    struct earshot_error inner;
    va_list args;
    size_t used;

    if (!error)
        return EARSHOT_ERROR_INTERNAL;
    inner = *error;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, ": %s", inner.message);
    hide_controls(error->message);
    return inner.status;
}

enum earshot_status error_memory(struct earshot_error *error, size_t size_bytes)
{
    return error_set(error, EARSHOT_ERROR_MEMORY,
                     "out of memory: could not allocate %zu bytes; close other programs or use a "
                     "smaller model or batch",
                     size_bytes);
}

void error_clear(struct earshot_error *error)
{
    if (error) {
        error->status = EARSHOT_OK;
        error->message[0] = '\0';
    }
}
