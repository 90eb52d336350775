/*
 * names_math.c: the transformations between published layouts and ours.  See names.h.
 *
 * Grids are [h, w, C], channels last.  Interpolation follows PyTorch's interpolate(align_corners
 * false, no antialias), to its rounding, so that tables come out as its users know them:
 * x = (i + 1/2) * in / out - 1/2.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weights/names.h"

/* One output coordinate: up to four taps with their weights. */
struct taps {
    int64_t index[4];
    float weight[4];
    int count;
};

/* Where output i lies on the input's axis.  PyTorch rounds the scale to float32 and nothing else;
 * rounding more, or less, moves the weights of long tables by 1e-5. */
static double source_position(int64_t i, int64_t in, int64_t out)
{
    return (double)((float)in / (float)out) * ((double)i + 0.5) - 0.5;
}

static struct taps linear_taps(int64_t i, int64_t in, int64_t out)
{
    double x = fmax(source_position(i, in, out), 0);
    int64_t low = (int64_t)x < in - 1 ? (int64_t)x : in - 1;
    float t = (float)(x - (double)low);

    return (struct taps){{low, low + (low < in - 1)}, {1 - t, t}, 2};
}

/* Keys' kernel with A = -0.75; the border is repeated. */
static struct taps cubic_taps(int64_t i, int64_t in, int64_t out)
{
    const double a = -0.75;
    double x = source_position(i, in, out);
    double t = x - floor(x);
    struct taps taps = {.count = 4};

    for (int k = 0; k < 4; k++) {
        int64_t at = (int64_t)floor(x) + k - 1;
        double d = fabs(t - (double)(k - 1));

        taps.index[k] = at < 0 ? 0 : at < in ? at : in - 1;
        taps.weight[k] = (float)(d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
                                        : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a);
    }
    return taps;
}

static void resize_grid(const float *in, const int64_t from[2], int64_t channels, bool cubic,
                        float *out, const int64_t to[2])
{
    struct taps (*taps)(int64_t, int64_t, int64_t) = cubic ? cubic_taps : linear_taps;

    for (int64_t y = 0; y < to[0]; y++) {
        struct taps ty = taps(y, from[0], to[0]);

        for (int64_t x = 0; x < to[1]; x++, out += channels) {
            struct taps tx = taps(x, from[1], to[1]);

            for (int64_t c = 0; c < channels; c++) {
                float sum = 0;

                for (int i = 0; i < ty.count; i++) {
                    float row = 0;

                    for (int j = 0; j < tx.count; j++)
                        row +=
                            tx.weight[j] * in[(ty.index[i] * from[1] + tx.index[j]) * channels + c];
                    sum += ty.weight[i] * row;
                }
                out[c] = sum;
            }
        }
    }
}

/* The centre of the grid: rows and columns from the old middle less half of the new size. */
static void cut_grid(const float *in, const int64_t from[2], int64_t channels, float *out,
                     const int64_t to[2])
{
    int64_t top = from[0] / 2 - to[0] / 2, left = from[1] / 2 - to[1] / 2;

    for (int64_t y = 0; y < to[0]; y++)
        memcpy(out + y * to[1] * channels, in + ((top + y) * from[1] + left) * channels,
               (size_t)(to[1] * channels) * sizeof *out);
}

static void adapt_axis(const float *in, const int64_t from[2], int64_t channels, float *out,
                       const int64_t to[2])
{
    if (to[0] > from[0] || to[1] > from[1])
        resize_grid(in, from, channels, false, out, to);
    else
        cut_grid(in, from, channels, out, to);
}

enum earshot_status names_adapt_positions(const float *table, int64_t channels,
                                          const int64_t from[2], const int64_t to[2], float *out,
                                          struct earshot_error *error)
{
    const int64_t middle[2] = {from[0], to[1]};
    size_t size_bytes = (size_t)(middle[0] * middle[1] * channels) * sizeof(float);
    float *columns = malloc(size_bytes ? size_bytes : 1);

    if (!columns)
        return error_memory(error, size_bytes);
    memcpy(out, table, (size_t)(2 * channels) * sizeof *out); /* class and distillation tokens */
    adapt_axis(table + 2 * channels, from, channels, columns, middle);
    adapt_axis(columns, middle, channels, out + 2 * channels, to);
    free(columns);
    return EARSHOT_OK;
}

void names_spread_table(const float *table, int64_t side, int64_t heads, const int64_t window[3],
                        float *out)
{
    const int64_t from[2] = {side, side}, to[2] = {2 * window[1] - 1, 2 * window[2] - 1};
    int64_t plane = to[0] * to[1] * heads;

    if (to[0] == side && to[1] == side)
        memcpy(out, table, (size_t)plane * sizeof *out);
    else
        resize_grid(table, from, heads, true, out, to);
    for (int64_t t = 1; t < 2 * window[0] - 1; t++)
        memcpy(out + t * plane, out, (size_t)plane * sizeof *out);
}

void names_position_index(const int64_t window[3], int64_t *index)
{
    int64_t count = window[0] * window[1] * window[2];

    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < count; j++) {
            int64_t row = 0, stride = window[1] * window[2];

            for (int axis = 0; axis < 3; axis++) {
                int64_t offset = i / stride % window[axis] - j / stride % window[axis];

                row = row * (2 * window[axis] - 1) + offset + window[axis] - 1;
                stride /= axis < 2 ? window[axis + 1] : 1;
            }
            index[i * count + j] = row;
        }
}
