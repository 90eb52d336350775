/* scale.c: one packed RGB picture to another size.  See media_scale_rgb in media.h. */
#include "media/media.h"

#include <libswscale/swscale.h>

enum earshot_status media_scale_rgb(const uint8_t *from, int from_width, int from_height,
                                    uint8_t *to, int to_width, int to_height,
                                    struct earshot_error *error)
{
    const uint8_t *source[4] = {from};
    uint8_t *target[4] = {to};
    int source_stride[4] = {3 * from_width}, target_stride[4] = {3 * to_width};
    struct SwsContext *scaler =
        sws_getContext(from_width, from_height, AV_PIX_FMT_RGB24, to_width, to_height,
                       AV_PIX_FMT_RGB24, SWS_BICUBIC, NULL, NULL, NULL);
    int rows;

    if (!scaler)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED, "cannot scale %d x %d pixels to %d x %d",
                         from_width, from_height, to_width, to_height);
    rows = sws_scale(scaler, source, source_stride, 0, from_height, target, target_stride);
    sws_freeContext(scaler);
    if (rows != to_height)
        return error_set(error, EARSHOT_ERROR_INTERNAL, "scaling gave %d of %d rows", rows,
                         to_height);
    return EARSHOT_OK;
}
