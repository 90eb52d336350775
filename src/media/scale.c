/* scale.c: one packed RGB picture to another size.  See media_scale_rgb in media.h. */
#include "media/media.h"
#include "media/picture.h"

enum earshot_status media_scale_rgb(const uint8_t *from, int from_width, int from_height,
                                    uint8_t *to, int to_width, int to_height,
                                    struct earshot_error *error)
{
    struct picture_scaler *scaler = picture_scaler_new();
    AVFrame *frame = av_frame_alloc();
    enum earshot_status status;

    if (scaler && frame) {
        /* Only read from, so the caller's const holds. */
        frame->data[0] = (uint8_t *)(uintptr_t)from;
        frame->linesize[0] = 3 * from_width;
        frame->width = from_width;
        frame->height = from_height;
        frame->format = AV_PIX_FMT_RGB24;
        status =
            picture_convert(scaler, frame, (struct orientation){0}, to_width, to_height, to, error);
    } else {
        status = error_memory(error, sizeof *frame);
    }
    av_frame_free(&frame);
    picture_scaler_free(scaler);
    return status;
}
