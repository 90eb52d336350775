/*
 * error.h: one way to fail.
 *
 * A function that can fail returns enum earshot_status and takes `struct earshot_error *error` as
 * its last parameter.  The first failure fills it; callers add where it happened as it travels up:
 *
 *     if (wav_parse(...) != EARSHOT_OK)
 *         return error_context(error, "%s", path);      -> "PATH: unexpected end of data ..."
 *
 * error may be NULL everywhere: the status is still returned.
 */
#ifndef EARSHOT_BASE_ERROR_H
#define EARSHOT_BASE_ERROR_H

#include "earshot.h"

/* Fills *error with a status and a formatted message; returns status.  Control characters (a
 * message may quote a name from a file) become '?'. */
enum earshot_status error_set(struct earshot_error *error, enum earshot_status status,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set, with ": strerror(errno)" added.  For failed system calls. */
enum earshot_status error_set_errno(struct earshot_error *error, enum earshot_status status,
                                    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the message already in *error; returns its status (INTERNAL if NULL). */
enum earshot_status error_context(struct earshot_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The one message for a failed malloc of size_bytes.  Returns EARSHOT_ERROR_MEMORY. */
enum earshot_status error_memory(struct earshot_error *error, size_t size_bytes);

/* Clears *error to EARSHOT_OK and "". */
void error_clear(struct earshot_error *error);

#endif
