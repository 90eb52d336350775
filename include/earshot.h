/*
 * earshot.h: captions for video that come from looking and listening.
 *
 * The only installed header.  Open a model once, share it between threads; make one session per
 * thread; ask the session for captions of files, or of frames and samples of your own.
 *
 *     struct earshot_error error;
 *     struct earshot_model *model;
 *     struct earshot_session *session;
 *     struct earshot_result *result;
 *
 *     if (earshot_model_open("models/toy", NULL, &model, &error) != EARSHOT_OK ||
 *         earshot_session_open(model, NULL, &session, &error) != EARSHOT_OK ||
 *         earshot_caption_file(session, "clip.mp4", &result, &error) != EARSHOT_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *
 * Every function that can fail returns an enum earshot_status and, on failure, fills the caller's
 * struct earshot_error (which may be NULL).  Nothing here prints, exits or aborts.
 */
#ifndef EARSHOT_H
#define EARSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define EARSHOT_API
#else
#define EARSHOT_API __attribute__((visibility("default")))
#endif

#define EARSHOT_VERSION "0.1.0"

enum earshot_status {
    EARSHOT_OK = 0,
    EARSHOT_ERROR_ARGUMENT,    /* a value the caller passed is out of its range */
    EARSHOT_ERROR_IO,          /* a file could not be opened, read or written */
    EARSHOT_ERROR_FORMAT,      /* bytes are not what their format says: corrupt, truncated, not media */
    EARSHOT_ERROR_UNSUPPORTED, /* well-formed, but not something this program handles */
    EARSHOT_ERROR_NO_STREAM,   /* the file has none of the streams asked for */
    EARSHOT_ERROR_MEMORY,      /* an allocation failed or a reserved region is too small */
    EARSHOT_ERROR_NUMERIC,     /* a value that must be finite is not */
    EARSHOT_ERROR_CANCELLED,   /* the caller's progress callback, or a signal, asked to stop */
    EARSHOT_ERROR_INTERNAL     /* a contract inside the library was broken; please report it */
};

/* What went wrong: what, where, what was expected, what to do.  One line, UTF-8, no newline. */
struct earshot_error {
    enum earshot_status status;
    char message[1024];
};

/* "corrupt or unexpected data", ...: a few words for a status.  Never NULL. */
EARSHOT_API const char *earshot_status_name(enum earshot_status status);

/* The version of the library in use, as EARSHOT_VERSION. */
EARSHOT_API const char *earshot_version(void);

#ifdef __cplusplus
}
#endif

#endif
