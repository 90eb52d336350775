/*
 * clip.c: sampling times, resize and crop geometry, normalisation.  See clip.h.
 *
 * The scaling itself is media's (libswscale); here are its sizes.
 */
#include "features/clip.h"

#include <math.h>

void clip_times(double start_s, double end_s, int frames, double *times_s)
{
    for (int i = 0; i < frames; i++)
        times_s[i] = start_s + (end_s - start_s) * (i + 0.5) / frames;
}

/* value * numerator / denominator to the nearest, between low and high. */
static int scaled(int value, int numerator, int denominator, int low, int high)
{
    int64_t product = (int64_t)value * numerator;
    int64_t nearest = product / denominator + (product % denominator * 2 >= denominator);

    return nearest < low ? low : nearest > high ? high : (int)nearest;
}

void clip_scaled_size(const struct clip_options *options, int source_width, int source_height,
                      int *width, int *height)
{
    bool is_wide =
        (int64_t)source_width * options->height >= (int64_t)source_height * options->width;

    *width = options->width;
    *height = options->height;
    if (is_wide)
        *width = scaled(source_width, options->height, source_height, options->width,
                        CLIP_STRETCH_MAX * options->width);
    else
        *height = scaled(source_height, options->width, source_width, options->height,
                         CLIP_STRETCH_MAX * options->height);
}

enum earshot_status clip_normalise(const struct clip_options *options, const uint8_t *rgb,
                                   int source_width, int source_height, int crop_x, int crop_y,
                                   bool mirror, float *out, struct earshot_error *error)
{
    int width = options->width, height = options->height;
    int64_t plane = (int64_t)width * height, channel = plane * options->frames;
    float value[3][256];

    if (crop_x == -1)
        crop_x = (source_width - width) / 2;
    if (crop_y == -1)
        crop_y = (source_height - height) / 2;
    if (source_width < width || source_height < height || crop_x < 0 || crop_y < 0 ||
        crop_x > source_width - width || crop_y > source_height - height)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "clip: a crop of %dx%d at (%d, %d) is not inside frames of %dx%d", width,
                         height, crop_x, crop_y, source_width, source_height);
    for (int c = 0; c < 3; c++) {
        if (!isfinite(options->mean[c]) || !(options->std[c] > 0))
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "clip: mean %g, standard deviation %g of colour %d; expected finite "
                             "values and a deviation above 0",
                             (double)options->mean[c], (double)options->std[c], c);
        for (int v = 0; v < 256; v++)
            value[c][v] = (float)((v / 255.0 - options->mean[c]) / options->std[c]);
    }
    for (int64_t row = 0; row < (int64_t)options->frames * height; row++) {
        int64_t frame = row / height, y = row % height + crop_y;
        const uint8_t *from = rgb + ((frame * source_height + y) * source_width + crop_x) * 3;

        for (int x = 0; x < width; x++) {
            const uint8_t *pixel = from + (int64_t)3 * (mirror ? width - 1 - x : x);

            for (int c = 0; c < 3; c++)
                out[c * channel + row * width + x] = value[c][pixel[c]];
        }
    }
    return EARSHOT_OK;
}
