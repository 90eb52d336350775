/*
 * picture.c: scale, convert, turn.  See picture.h.
 *
 * The scaler writes into a padded buffer of its own (its vector code may run past the end of a
 * row), and turning happens on the small picture while it is copied out.
 */
#include "media/picture.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

enum { ROW_ALIGNMENT = 64 };

struct scaler_key {
    int source_width, source_height, width, height;
    int format, target_format, colorspace, full_range;
};

struct picture_scaler {
    struct SwsContext *context;
    struct scaler_key key;
    uint8_t *buffer;
    size_t buffer_bytes;
};

struct orientation orientation_from_matrix(const int32_t matrix[9])
{
    /* x' = a x + c y, y' = b x + d y */
    int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    struct orientation orientation = {0};

    if (llabs(a) + llabs(d) >= llabs(b) + llabs(c)) {
        orientation.flip_x = a < 0;
        orientation.flip_y = d < 0;
    } else {
        orientation.transpose = true;
        orientation.flip_x = b < 0;
        orientation.flip_y = c < 0;
    }
    return orientation;
}

struct picture_scaler *picture_scaler_new(void)
{
    return calloc(1, sizeof(struct picture_scaler));
}

void picture_scaler_free(struct picture_scaler *scaler)
{
    if (!scaler)
        return;
    sws_freeContext(scaler->context);
    av_free(scaler->buffer);
    free(scaler);
}

/* The "J" formats are the plain ones with full range spelled into the name. */
static int plain_format(int format, int *full_range)
{
    static const int pairs[][2] = {
        {AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P}, {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
        {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P}, {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
        {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (format == pairs[i][0]) {
            *full_range = 1;
            return pairs[i][1];
        }
    return format;
}

static enum earshot_status prepare_context(struct picture_scaler *scaler, struct scaler_key key,
                                           struct earshot_error *error)
{
    const char *name = av_get_pix_fmt_name(key.format);

    if (scaler->context && memcmp(&key, &scaler->key, sizeof key) == 0)
        return EARSHOT_OK;
    sws_freeContext(scaler->context);
    scaler->context = NULL;
    if (!sws_isSupportedInput(key.format))
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "pixel format %s cannot be converted to RGB", name ? name : "unknown");
    scaler->context = sws_getContext(
        key.source_width, key.source_height, key.format, key.width, key.height, key.target_format,
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    if (!scaler->context)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED, "cannot scale %dx%d %s to %dx%d",
                         key.source_width, key.source_height, name, key.width, key.height);
    sws_setColorspaceDetails(scaler->context, sws_getCoefficients(key.colorspace), key.full_range,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    scaler->key = key;
    return EARSHOT_OK;
}

static enum earshot_status reserve(struct picture_scaler *scaler, size_t size_bytes,
                                   struct earshot_error *error)
{
    if (size_bytes <= scaler->buffer_bytes)
        return EARSHOT_OK;
    av_free(scaler->buffer);
    scaler->buffer = av_malloc(size_bytes);
    scaler->buffer_bytes = scaler->buffer ? size_bytes : 0;
    return scaler->buffer ? EARSHOT_OK : error_memory(error, size_bytes);
}

static void copy_pixel(uint8_t *target, const uint8_t *source, bool has_alpha)
{
    for (int c = 0; c < 3; c++)
        target[c] = has_alpha ? (uint8_t)((source[c] * source[3] + 127) / 255) : source[c];
}

/* Copies source[source_height][stride] to rgb, turned; width and height are those of rgb. */
static void turn(const uint8_t *source, int stride, bool has_alpha, struct orientation orientation,
                 int width, int height, uint8_t *rgb)
{
    int source_width = orientation.transpose ? height : width;
    int source_height = orientation.transpose ? width : height;
    int pixel_bytes = has_alpha ? 4 : 3;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3) {
            int sx = orientation.transpose ? y : x, sy = orientation.transpose ? x : y;

            if (orientation.flip_x)
                sx = source_width - 1 - sx;
            if (orientation.flip_y)
                sy = source_height - 1 - sy;
            copy_pixel(rgb, source + (ptrdiff_t)sy * stride + sx * pixel_bytes, has_alpha);
        }
}

enum earshot_status picture_convert(struct picture_scaler *scaler, const AVFrame *frame,
                                    struct orientation orientation, int width, int height,
                                    uint8_t *rgb, struct earshot_error *error)
{
    const AVPixFmtDescriptor *descriptor = av_pix_fmt_desc_get(frame->format);
    bool has_alpha =
        descriptor && (descriptor->flags & (AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL));
    int full_range = frame->color_range == AVCOL_RANGE_JPEG;
    struct scaler_key key = {
        .source_width = frame->width,
        .source_height = frame->height,
        .width = orientation.transpose ? height : width,
        .height = orientation.transpose ? width : height,
        .target_format = has_alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24,
        .colorspace = frame->colorspace,
    };
    int stride = (key.width * 4 + 2 * ROW_ALIGNMENT - 1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
    uint8_t *planes[4] = {0};
    int strides[4] = {stride};
    enum earshot_status status;

    key.format = plain_format(frame->format, &full_range);
    key.full_range = full_range;
    status = prepare_context(scaler, key, error);
    if (status == EARSHOT_OK)
        status = reserve(scaler, (size_t)stride * (size_t)(key.height + 1), error);
    if (status != EARSHOT_OK)
        return status;
    planes[0] = scaler->buffer;
    if (sws_scale(scaler->context, (const uint8_t *const *)frame->data, frame->linesize, 0,
                  frame->height, planes, strides) < 0)
        return error_set(error, EARSHOT_ERROR_FORMAT, "a frame of %dx%d cannot be scaled",
                         frame->width, frame->height);
    turn(scaler->buffer, stride, has_alpha, orientation, width, height, rgb);
    return EARSHOT_OK;
}
