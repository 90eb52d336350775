/*
 * frames.h: the picture stream of a file: the frame shown at a time.  Internal to src/media.
 */
#ifndef EARSHOT_MEDIA_FRAMES_H
#define EARSHOT_MEDIA_FRAMES_H

#include "media/picture.h"
#include "media/reader.h"

struct frames {
    struct reader reader; /* open and at the start */
    double zero_s;        /* on the clock of the decoded frames */
    double step_s;        /* between frames, on average; > 0 */
    struct orientation orientation;
    bool can_seek;

    struct picture_scaler *scaler;
    AVFrame *current, *next; /* `next` is the first one later than the time last asked for */
    double current_s, next_s;
    bool has_current, has_next;
    bool current_is_first; /* of the file */
    bool at_start;         /* nothing read yet */
    bool after_seek;
    int64_t serial;  /* changes with *current */
    double last_s;   /* of the frame decoded last, for frames without a time stamp */
    bool lands_late; /* seeks end between key frames, as in MPEG-TS: ask for earlier */
};

/* The reader, zero_s, step_s, orientation and can_seek must be set, everything else zero. */
enum earshot_status frames_start(struct frames *frames, struct earshot_error *error);
void frames_close(struct frames *frames);

/* Makes *current the frame shown at time_s. */
enum earshot_status frames_select(struct frames *frames, double time_s,
                                  struct earshot_error *error);

#endif
