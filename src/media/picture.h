/*
 * picture.h: a decoded frame of any pixel format becomes upright packed RGB of a given size.
 * Internal to src/media.
 */
#ifndef EARSHOT_MEDIA_PICTURE_H
#define EARSHOT_MEDIA_PICTURE_H

#include <libavutil/frame.h>

#include "base/error.h"

/* out(x, y) = in(x or mirrored, y or mirrored), with x and y swapped first if transpose. */
struct orientation {
    bool transpose, flip_x, flip_y; /* flips of the source's x and y */
};

/* From FFmpeg's 3x3 display matrix (libavutil/display.h); to the nearest quarter turn. */
struct orientation orientation_from_matrix(const int32_t matrix[9]);

struct picture_scaler;

struct picture_scaler *picture_scaler_new(void); /* NULL when out of memory */
void picture_scaler_free(struct picture_scaler *scaler);

/*
 * rgb[height][width][3], full range.  Bicubic; matrix and range as the frame says, BT.601 limited
 * where it says nothing (FFmpeg's convention).  Transparent pixels are laid over black.
 */
enum earshot_status picture_convert(struct picture_scaler *scaler, const AVFrame *frame,
                                    struct orientation orientation, int width, int height,
                                    uint8_t *rgb, struct earshot_error *error);

#endif
