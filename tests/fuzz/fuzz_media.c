/* fuzz_media.c: any bytes as a media file: opened, described, frames and sound read in an awkward
 * order.  The demuxers and decoders are FFmpeg's; what is tried here is what surrounds them. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "media/media.h"

enum { SIDE = 9, FRAMES = 4, SAMPLES = 8000, POLLS_MAX = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An unlinked file with the bytes; its name is that of the descriptor. */
static int store(const uint8_t *data, size_t size, char name[64])
{
    char path[] = "/tmp/fuzz_media.XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        abort();
    unlink(path);
    if (write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(name, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* Small inputs can ask for much work; the fuzzer has better things to do. */
static bool spent(void *context)
{
    int *polls = context;

    return ++*polls > POLLS_MAX;
}

static void read_frames(struct media *media, double duration_s)
{
    static uint8_t rgb[FRAMES * SIDE * SIDE * 3];
    const double ascending[FRAMES] = {-1, duration_s * 0.4, duration_s * 0.5, duration_s + 1};
    const double single[] = {duration_s * 0.9, 0, duration_s * 0.3};
    struct earshot_error error;

    if (media_read_frames(media, ascending, FRAMES, SIDE, SIDE, rgb, &error) != EARSHOT_OK &&
        !error.message[0])
        abort();
    for (int i = 0; i < 3; i++)
        media_read_frames(media, &single[i], 1, SIDE, 1, rgb, &error);
}

static void read_sound(struct media *media, double duration_s)
{
    static float samples[SAMPLES];
    const double starts_s[] = {duration_s * 0.7, 0, duration_s * 0.3, duration_s};

    for (int i = 0; i < 4; i++) {
        struct earshot_error error;
        int64_t count;
        enum earshot_status status =
            media_read_audio(media, starts_s[i], samples, SAMPLES, &count, &error);

        if (count < 0 || count > SAMPLES || (status != EARSHOT_OK && !error.message[0]))
            abort();
        for (int64_t k = 0; k < count; k++)
            if (!isfinite(samples[k]))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int polls = 0;
    struct media_options options = media_options_default;
    struct earshot_error error;
    struct media *media;
    char name[64];
    int fd = store(data, size, name);

    options.cancelled = spent;
    options.cancel_context = &polls;
    if (media_open(name, &options, &media, &error) == EARSHOT_OK) {
        const struct media_info *info = media_get_info(media);

        if (!(info->duration_s >= 0 && info->duration_s < 1e7) ||
            (!info->has_video && !info->has_audio))
            abort();
        if (info->has_video)
            read_frames(media, info->duration_s);
        if (info->has_audio)
            read_sound(media, info->duration_s);
        media_close(media);
    } else if (media || error.status == EARSHOT_OK || !error.message[0]) {
        abort();
    }
    close(fd);
    return 0;
}
