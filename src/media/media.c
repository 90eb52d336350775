/*
 * media.c: the calls of media.h: checks what is asked for and hands it to the picture and sound
 * readers.
 */
#include "media/media.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/libav.h"
#include "media/probe.h"

const struct media_options media_options_default = {.video_stream = -1, .audio_stream = -1};

enum earshot_status media_open(const char *path, const struct media_options *options,
                               struct media **media, struct earshot_error *error)
{
    struct media *m = calloc(1, sizeof *m);
    enum earshot_status status;

    *media = NULL;
    if (!m)
        return error_memory(error, sizeof *m);
    libav_setup();
    status = media_place_open(&m->place, path, options, error);
    if (status == EARSHOT_OK)
        status = probe_open(m, error);
    if (status != EARSHOT_OK) {
        media_close(m);
        return status;
    }
    *media = m;
    return EARSHOT_OK;
}

void media_close(struct media *media)
{
    if (!media)
        return;
    frames_close(&media->frames);
    sound_close(&media->sound);
    media_place_close(&media->place);
    free(media);
}

const struct media_info *media_get_info(const struct media *media)
{
    return &media->info;
}

/* ---- reading ---- */

static enum earshot_status check_times(const double *times_s, int count, int width, int height,
                                       struct earshot_error *error)
{
    if (count < 0 || width < 1 || height < 1 || width > MEDIA_SIDE_MAX || height > MEDIA_SIDE_MAX)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%d frames of %dx%d cannot be read", count,
                         width, height);
    for (int i = 0; i < count; i++)
        if (!isfinite(times_s[i]) || (i > 0 && times_s[i] < times_s[i - 1]))
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "frame times must be finite and ascending (number %d is %g)", i,
                             times_s[i]);
    return EARSHOT_OK;
}

enum earshot_status media_read_frames(struct media *media, const double *times_s, int count,
                                      int width, int height, uint8_t *rgb,
                                      struct earshot_error *error)
{
    enum earshot_status status = check_times(times_s, count, width, height, error);
    size_t size = (size_t)width * (size_t)height * 3;
    struct frames *frames = &media->frames;
    int64_t last = -1;

    if (status != EARSHOT_OK)
        return status;
    if (!media->info.has_video)
        return error_set(error, EARSHOT_ERROR_NO_STREAM, "%s: no picture%s%s", media->place.name,
                         media->info.video_problem[0] ? ": " : "", media->info.video_problem);
    for (int i = 0; i < count; i++, rgb += size) {
        status = frames_select(frames, times_s[i], error);
        if (status != EARSHOT_OK)
            return status;
        if (frames->serial == last) {
            memcpy(rgb, rgb - size, size);
            continue;
        }
        last = frames->serial;
        status = picture_convert(frames->scaler, frames->current, frames->orientation, width,
                                 height, rgb, error);
        if (status != EARSHOT_OK) {
            error_context(error, "%s: stream %d (video)", media->place.name,
                          media->info.video_stream);
            return status;
        }
    }
    return EARSHOT_OK;
}

enum earshot_status media_read_audio(struct media *media, double start_s, float *samples,
                                     int64_t capacity, int64_t *count, struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;
    int64_t from, lead = 0;

    *count = 0;
    if (!isfinite(start_s) || capacity < 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%lld samples from %g s cannot be read",
                         (long long)capacity, start_s);
    if (!media->info.has_audio)
        return error_set(error, EARSHOT_ERROR_NO_STREAM, "%s: no sound%s%s", media->place.name,
                         media->info.audio_problem[0] ? ": " : "", media->info.audio_problem);
    from = llround(fmin(fmax(start_s, -1e9), 1e9) * MEDIA_SAMPLE_RATE_HZ);
    if (from < 0) { /* silence before the file */
        lead = -from < capacity ? -from : capacity;
        memset(samples, 0, sizeof *samples * (size_t)lead);
    }
    if (lead < capacity)
        status =
            sound_read(&media->sound, from + lead, samples + lead, capacity - lead, count, error);
    *count += lead;
    return status;
}
