/*
 * clip.h: from frames to what the video encoder eats: sampling times, resize, crop, normalise.
 *
 * As the official Video Swin test pipeline: T frames evenly spaced, the short side resized to
 * `size`, a centre crop of size x size, (v / 255 - mean) / std per channel.
 */
#ifndef EARSHOT_FEATURES_CLIP_H
#define EARSHOT_FEATURES_CLIP_H

#include "base/error.h"

#define CLIP_STRETCH_MAX 8

struct clip_options {
    int frames, height, width; /* of the clip */
    float mean[3], std[3];     /* on 0..1; ImageNet: .485 .456 .406, .229 .224 .225 */
};

/* The middle of each of `frames` equal parts of [start_s, end_s). */
void clip_times(double start_s, double end_s, int frames, double *times_s);

/* The size to scale a source of source_width x source_height to, so that a centre crop of
 * width x height remains (aspect ratio kept; at least width x height).  No side is scaled to more
 * than CLIP_STRETCH_MAX times the clip's: stranger shapes are squeezed to that, so that a 10000 x
 * 16 picture does not become one of 140000 x 224. */
void clip_scaled_size(const struct clip_options *options, int source_width, int source_height,
                      int *width, int *height);

/* rgb[frames][source_height][source_width][3] (already scaled) -> out[3][frames][height][width].
 * crop_x, crop_y: top-left corner; -1: centre.  mirror flips left and right.  ARGUMENT if the crop
 * does not lie inside the source. */
enum earshot_status clip_normalise(const struct clip_options *options, const uint8_t *rgb,
                                   int source_width, int source_height, int crop_x, int crop_y,
                                   bool mirror, float *out, struct earshot_error *error);

#endif
