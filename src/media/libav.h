/*
 * libav.h: what every file of this folder needs from FFmpeg's libraries: one-time set-up and
 * errors.  Internal to src/media.
 */
#ifndef EARSHOT_MEDIA_LIBAV_H
#define EARSHOT_MEDIA_LIBAV_H

#include "base/error.h"

/* Sends FFmpeg's own messages to base/log at debug level.  Any number of calls, any thread. */
void libav_setup(void);

/* Fills *error with the message and FFmpeg's text for the AVERROR code; returns the status that the
 * code stands for: MEMORY, IO, FORMAT, UNSUPPORTED or CANCELLED. */
enum earshot_status libav_error(struct earshot_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
