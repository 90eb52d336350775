/*
 * writer.h: writes small media files: RGB frames and mono or stereo float sound in, one file out.
 *
 * Bit-exact mode: single-threaded encoders and no time or version stamps, so the same input and the
 * same FFmpeg give the same bytes.  The file appears under its name only when finished.
 */
#ifndef EARSHOT_MEDIA_WRITER_H
#define EARSHOT_MEDIA_WRITER_H

#include "base/error.h"

struct media_writer;

struct media_writer_options {
    const char
        *video_codec; /* FFmpeg encoder name ("libx264", "ffv1", "libvpx-vp9"); NULL: no picture */
    int width, height;
    int frame_rate_hz;
    int quality;             /* constant rate factor where the encoder has one; -1: its default */
    const char *audio_codec; /* "aac", "flac", "pcm_s16le", "libopus"; NULL: no sound */
    int sample_rate_hz, channels;
};

/* The container follows from path's extension.  UNSUPPORTED names a missing encoder. */
enum earshot_status media_writer_open(const char *path, const struct media_writer_options *options,
                                      struct media_writer **writer, struct earshot_error *error);
/* rgb[height][width][3] */
enum earshot_status media_writer_frame(struct media_writer *writer, const uint8_t *rgb,
                                       struct earshot_error *error);
/* samples[count][channels], interleaved, [-1, 1]; any count at a time. */
enum earshot_status media_writer_audio(struct media_writer *writer, const float *samples,
                                       int64_t count, struct earshot_error *error);
/* Both end the writer. */
enum earshot_status media_writer_finish(struct media_writer *writer, struct earshot_error *error);
void media_writer_abandon(struct media_writer *writer);

#endif
