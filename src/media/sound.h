/*
 * sound.h: the sound stream of a file as one long mono 16 kHz signal.  Internal to src/media.
 *
 * Sample n belongs to time n / 16000 after the file's zero, wherever reading began.
 */
#ifndef EARSHOT_MEDIA_SOUND_H
#define EARSHOT_MEDIA_SOUND_H

#include "media/reader.h"

/* Outside of it a header is damaged, and one codec frame could last for hours. */
#define SOUND_RATE_MIN_HZ 1000
#define SOUND_RATE_MAX_HZ 1000000

struct SwrContext;

struct sound {
    /* Set by the caller; the reader is opened by the first read unless it is already. */
    struct reader reader;
    const struct media_place *place;
    int index;
    int index_of_video; /* file stream index, -1: none */
    double zero_s;
    bool can_seek;
    /* Codec frames end at input sample grid_start + i * grid_step; grid_step 0: unknown. */
    int64_t grid_start;
    int grid_step;

    AVFrame *frame;
    float *mono, *resampled; /* scratch: CHUNK samples each */
    /* A run is a stretch of input without gaps, resampled on its own. */
    struct SwrContext *resampler;
    bool in_run;
    int rate_hz;
    int64_t input_end;  /* input samples of the run so far end here, on the file's clock */
    int64_t output_end; /* output samples of the run so far end here */
    double offset_s;    /* added to time stamps after they jumped back */
    /* Output samples [begin, end) are kept; [gap_begin, gap_end) was silence. */
    float *history;
    size_t history_capacity;
    int64_t begin, end, gap_begin, gap_end;
    int64_t needed; /* nothing from here on may be thrown away, nothing before it need be kept */
    bool at_start, after_seek, ended;
};

/* Allocates; everything below "set by the caller" must be zero. */
enum earshot_status sound_start(struct sound *sound, struct earshot_error *error);
void sound_close(struct sound *sound);

/* As media_read_audio, from output sample `from` on. */
enum earshot_status sound_read(struct sound *sound, int64_t from, float *samples, int64_t capacity,
                               int64_t *count, struct earshot_error *error);

/* The mean of all channels of samples [first, first + count) of a decoded frame. */
void sound_average(const AVFrame *frame, int first, int count, float *mono);

#endif
