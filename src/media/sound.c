/*
 * sound.c: decode, average the channels, resample, line up with the clock.  See sound.h.
 *
 * With R the file's rate and L/M = 16000/R in lowest terms, every run is fed to the resampler from
 * an input sample that is a multiple of M (zeros make up the difference), so that output sample n
 * is always computed with the same filter phase and a window read alone equals the same window of a
 * whole read.  Time stamps are looked at once a codec frame and only believed when they are more
 * than GAP_S away from the running count; codec frames are the better clock.
 */
#include "media/sound.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>

#include "media/libav.h"

#define GAP_S 0.05
#define OVERLAP_S 0.5   /* a longer step back is a clock that was set anew */
#define PRE_ROLL_S 0.5  /* decoded before what is wanted: codec overlap, bit reservoir, filter */
#define SETTLED_S 0.1   /* at least this much of it must be there */
#define SAMPLE_MAX 1e3F /* beyond it a float file is not sound, and sums must stay finite */

enum {
    RATE = MEDIA_SAMPLE_RATE_HZ,
    CHUNK = 16384,
    HISTORY = 64 * RATE,  /* kept behind the reading position, for overlapping windows */
    SKIP_MAX = 20 * RATE, /* decoded rather than sought over */
    SHORT_GAP = RATE,     /* filled with zeros; longer ones are only noted */
    SEEK_ATTEMPTS = 40
};

enum earshot_status sound_start(struct sound *sound, struct earshot_error *error)
{
    sound->frame = av_frame_alloc();
    sound->mono = malloc(sizeof *sound->mono * CHUNK);
    sound->resampled = malloc(sizeof *sound->resampled * CHUNK);
    sound->at_start = true;
    if (!sound->frame || !sound->mono || !sound->resampled)
        return error_memory(error, sizeof *sound->mono * CHUNK);
    return EARSHOT_OK;
}

void sound_close(struct sound *sound)
{
    reader_close(&sound->reader);
    av_frame_free(&sound->frame);
    swr_free(&sound->resampler);
    free(sound->mono);
    free(sound->resampled);
    free(sound->history);
}

/* ---- channels ---- */

static float sample_at(const uint8_t *plane, int64_t i, enum AVSampleFormat packed)
{
    switch (packed) {
    case AV_SAMPLE_FMT_U8:
        return (float)(plane[i] - 128) / 0x1p7F;
    case AV_SAMPLE_FMT_S16:
        return (float)((const int16_t *)(const void *)plane)[i] / 0x1p15F;
    case AV_SAMPLE_FMT_S32:
        return (float)((const int32_t *)(const void *)plane)[i] / 0x1p31F;
    case AV_SAMPLE_FMT_S64:
        return (float)((const int64_t *)(const void *)plane)[i] / 0x1p63F;
    case AV_SAMPLE_FMT_FLT:
        return ((const float *)(const void *)plane)[i];
    case AV_SAMPLE_FMT_DBL:
        return (float)((const double *)(const void *)plane)[i];
    default:
        return 0;
    }
}

void sound_average(const AVFrame *frame, int first, int count, float *mono)
{
    enum AVSampleFormat packed = av_get_packed_sample_fmt(frame->format);
    int channels = frame->ch_layout.nb_channels;
    bool planar = av_sample_fmt_is_planar(frame->format);

    memset(mono, 0, sizeof *mono * (size_t)count);
    for (int c = 0; c < channels; c++) {
        const uint8_t *plane = frame->extended_data[planar ? c : 0];
        int stride = planar ? 1 : channels, offset = planar ? 0 : c;

        for (int i = 0; i < count; i++) {
            float value = sample_at(plane, (int64_t)(first + i) * stride + offset, packed);

            if (isfinite(value))
                mono[i] += fminf(fmaxf(value, -SAMPLE_MAX), SAMPLE_MAX);
        }
    }
    for (int i = 0; i < count; i++)
        mono[i] /= (float)channels;
}

/* ---- the output and its recent past ---- */

/* Room for count more samples, after throwing away what is old enough. */
static int make_room(struct sound *sound, int64_t count)
{
    int64_t kept = sound->end - sound->begin, excess = kept - HISTORY;
    size_t wanted;
    float *history;

    if (excess > sound->needed - sound->begin)
        excess = sound->needed - sound->begin;
    /* Moving is paid for by the many samples that follow. */
    if (excess > HISTORY / 4) {
        memmove(sound->history, sound->history + excess,
                sizeof *sound->history * (size_t)(kept - excess));
        sound->begin += excess;
        kept -= excess;
    }
    wanted = (size_t)(kept + count);
    if (wanted <= sound->history_capacity)
        return 0;
    wanted += wanted / 2;
    history = realloc(sound->history, sizeof *history * wanted);
    if (!history)
        return AVERROR(ENOMEM);
    sound->history = history;
    sound->history_capacity = wanted;
    return 0;
}

/* Appends output samples that start at sample `at`; samples NULL: zeros. */
static int append(struct sound *sound, const float *samples, int64_t count)
{
    float *target;
    int code = make_room(sound, count);

    if (code < 0)
        return code;
    target = sound->history + (sound->end - sound->begin);
    if (samples)
        memcpy(target, samples, sizeof *target * (size_t)count);
    else
        memset(target, 0, sizeof *target * (size_t)count);
    sound->end += count;
    return 0;
}

/* The run's next `count` output samples. */
static int emit(struct sound *sound, const float *samples, int64_t count)
{
    int64_t at = sound->output_end, late = sound->end - at;

    sound->output_end += count;
    if (late >= count)
        return 0;
    if (late > 0)
        return append(sound, samples ? samples + late : NULL, count - late);
    if (late < -SHORT_GAP) {
        sound->gap_begin = sound->end;
        sound->gap_end = sound->begin = sound->end = at;
    } else if (late < 0) {
        int code = append(sound, NULL, -late);

        if (code < 0)
            return code;
    }
    return append(sound, samples, count);
}

/* ---- runs ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;

    return q - (a % b != 0 && (a < 0) != (b < 0));
}

/* Resamples count input samples (NULL, 0: flush) and emits what comes out. */
static int resample(struct sound *sound, const float *input, int count)
{
    const uint8_t *bytes = (const uint8_t *)input;
    uint8_t *output = (uint8_t *)sound->resampled;
    int made, code;

    if (!sound->resampler)
        return count > 0 ? emit(sound, input, count) : 0;
    made = swr_convert(sound->resampler, &output, CHUNK, input ? &bytes : NULL, count);
    while (made > 0) {
        code = emit(sound, sound->resampled, made);
        if (code < 0)
            return code;
        made = swr_convert(sound->resampler, &output, CHUNK, input ? &bytes : NULL, 0);
    }
    return made;
}

static int feed_zeros(struct sound *sound, int64_t count)
{
    memset(sound->mono, 0, sizeof *sound->mono * CHUNK);
    while (count > 0) {
        int part = count < CHUNK ? (int)count : CHUNK;
        int code = resample(sound, sound->mono, part);

        if (code < 0)
            return code;
        count -= part;
    }
    return 0;
}

/* What is left in the filter; the run then lasts to the sample nearest to its input's end. */
static int end_run(struct sound *sound)
{
    int64_t stop;
    int code;

    if (!sound->in_run)
        return 0;
    sound->in_run = false;
    stop = av_rescale_rnd(sound->input_end, RATE, sound->rate_hz, AV_ROUND_NEAR_INF);
    code = resample(sound, NULL, 0);
    if (code < 0)
        return code;
    if (sound->output_end < stop)
        return emit(sound, NULL, stop - sound->output_end);
    if (sound->end > stop && sound->end == sound->output_end)
        sound->end = stop > sound->begin ? stop : sound->begin;
    return 0;
}

static int open_resampler(struct sound *sound)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    int code;

    swr_free(&sound->resampler);
    if (sound->rate_hz == RATE)
        return 0;
    code = swr_alloc_set_opts2(&sound->resampler, &mono, AV_SAMPLE_FMT_FLT, RATE, &mono,
                               AV_SAMPLE_FMT_FLT, sound->rate_hz, 0, NULL);
    if (code < 0)
        return code;
    av_opt_set_int(sound->resampler, "filter_size", 64, 0);
    av_opt_set_int(sound->resampler, "exact_rational", 1, 0);
    return swr_init(sound->resampler);
}

static int begin_run(struct sound *sound, int64_t input_start, int rate_hz)
{
    int64_t divisor = av_gcd(rate_hz, RATE), step = rate_hz / divisor;
    int64_t block = floor_div(input_start, step);
    int code;

    sound->rate_hz = rate_hz;
    code = open_resampler(sound);
    if (code < 0)
        return code;
    sound->in_run = true;
    sound->input_end = input_start;
    sound->output_end = block * (RATE / divisor);
    return feed_zeros(sound, input_start - block * step);
}

/* ---- from codec frames to runs ---- */

/* In containers with coarse time stamps (1 ms in Matroska) a seek would land a few samples off:
 * codec frames of constant length say where exactly. */
static int64_t snap(const struct sound *sound, int64_t input, int rate_hz)
{
    double tick = av_q2d(sound->reader.stream->time_base) * rate_hz;
    int64_t nearest;

    if (sound->grid_step <= 0 || tick < 1.5)
        return input;
    nearest = sound->grid_start +
              llround((double)(input - sound->grid_start) / sound->grid_step) * sound->grid_step;
    return fabs((double)(nearest - input)) <= 1.5 * tick + 1 ? nearest : input;
}

/* Lines the run up with the frame's time stamp.  *skip: samples of the frame to leave out. */
static int line_up(struct sound *sound, int rate_hz, int *skip)
{
    const AVFrame *frame = sound->frame;
    bool stamped = frame->best_effort_timestamp != AV_NOPTS_VALUE;
    double time_s = 0, late_s;
    int code;

    *skip = 0;
    if (stamped)
        time_s = reader_seconds(&sound->reader, frame->best_effort_timestamp) - sound->zero_s +
                 sound->offset_s;
    if (!sound->in_run && !stamped && sound->after_seek) { /* it could be from anywhere */
        *skip = frame->nb_samples;
        return 0;
    }
    if (!sound->in_run)
        return begin_run(sound, snap(sound, llround(time_s * rate_hz), rate_hz), rate_hz);
    late_s = stamped ? time_s - (double)sound->input_end / sound->rate_hz : 0;
    if (late_s < -OVERLAP_S)
        sound->offset_s -= late_s;
    else if (late_s < -GAP_S)
        *skip = (int)fmin(-late_s * rate_hz, frame->nb_samples);
    if (rate_hz == sound->rate_hz && late_s <= GAP_S)
        return 0;
    if (late_s <= GAP_S) /* only the rate changes */
        time_s = (double)sound->input_end / sound->rate_hz;
    code = end_run(sound);
    return code < 0 ? code : begin_run(sound, llround(time_s * rate_hz), rate_hz);
}

/* Decodes one codec frame.  AVERROR_EOF at the end of the sound. */
static int step(struct sound *sound)
{
    AVFrame *frame = sound->frame;
    int code = reader_next(&sound->reader, frame), skip, rate_hz;

    sound->at_start = false;
    if (code == AVERROR_EOF) {
        sound->ended = true;
        code = end_run(sound);
        return code < 0 ? code : AVERROR_EOF;
    }
    if (code < 0)
        return code;
    rate_hz = frame->sample_rate > 0 ? frame->sample_rate : sound->reader.decoder->sample_rate;
    if (rate_hz < SOUND_RATE_MIN_HZ || rate_hz > SOUND_RATE_MAX_HZ ||
        frame->ch_layout.nb_channels < 1 || frame->nb_samples < 1)
        return 0;
    code = line_up(sound, rate_hz, &skip);
    while (code >= 0 && skip < frame->nb_samples) {
        int part = frame->nb_samples - skip < CHUNK ? frame->nb_samples - skip : CHUNK;

        sound_average(frame, skip, part, sound->mono);
        code = resample(sound, sound->mono, part);
        sound->input_end += part;
        skip += part;
    }
    return code;
}

/* ---- position ---- */

/* Nothing decoded is kept; what comes before output sample `from` will not be either. */
static void forget(struct sound *sound, int64_t from)
{
    swr_free(&sound->resampler);
    sound->in_run = sound->ended = sound->at_start = sound->after_seek = false;
    sound->begin = sound->end = sound->needed = from;
    sound->gap_begin = sound->gap_end = 0;
    sound->offset_s = 0;
}

static bool index_covers(const AVStream *stream, double time_s)
{
    AVStream *s = (AVStream *)(uintptr_t)stream; /* FFmpeg 5.1's getters are not const */
    int count = avformat_index_get_entries_count(s);

    return count > 0 &&
           avformat_index_get_entry(s, count - 1)->timestamp >= reader_time_stamp(stream, time_s);
}

/* Matroska and Flash index their pictures only; without an entry for the sound they would read the
 * whole file up to the target. */
static int seek_stream(const struct sound *sound, double time_s)
{
    const AVFormatContext *format = sound->reader.source.format;
    int video = sound->index_of_video;

    if (video < 0 || video >= (int)format->nb_streams || index_covers(sound->reader.stream, time_s))
        return sound->index;
    if (strncmp(format->iformat->name, "matroska", 8) == 0 ||
        index_covers(format->streams[video], time_s))
        return video;
    return sound->index;
}

static enum earshot_status restart(struct sound *sound, int64_t from, struct earshot_error *error)
{
    enum earshot_status status;

    reader_close(&sound->reader);
    forget(sound, from);
    status = reader_open(&sound->reader, sound->place, sound->index, error);
    sound->at_start = status == EARSHOT_OK;
    return status;
}

static enum earshot_status seek_to(struct sound *sound, int64_t from, struct earshot_error *error)
{
    double time_s = (double)from / RATE, back_s = PRE_ROLL_S;

    for (int i = 0; sound->can_seek && i < SEEK_ATTEMPTS && time_s - back_s > 0; i++) {
        double target_s = sound->zero_s + time_s - back_s;
        int code;

        forget(sound, from);
        if (reader_seek(&sound->reader, seek_stream(sound, target_s), target_s) < 0)
            break;
        sound->after_seek = true;
        while ((code = step(sound)) >= 0 && !sound->in_run)
            ;
        if (code >= 0 && (double)(sound->input_end - sound->frame->nb_samples) / sound->rate_hz <=
                             time_s - SETTLED_S)
            return EARSHOT_OK;
        if (code < 0 && code != AVERROR_EOF && code != AVERROR(ERANGE))
            return reader_error(&sound->reader, code, error);
        back_s *= 2;
    }
    return restart(sound, from, error);
}

static enum earshot_status position(struct sound *sound, int64_t from, struct earshot_error *error)
{
    bool behind, far_ahead;

    if (!sound->reader.decoder) {
        enum earshot_status status = restart(sound, 0, error);

        if (status != EARSHOT_OK)
            return status;
    }
    behind = from < sound->begin && !(from >= sound->gap_begin && from < sound->gap_end);
    far_ahead = from > sound->end + SKIP_MAX && !sound->ended;
    if (behind || far_ahead || (!sound->at_start && !sound->in_run && !sound->ended))
        return seek_to(sound, from, error);
    sound->needed = from;
    return EARSHOT_OK;
}

/* Copies what is at hand of [from, from + capacity); returns how much that was. */
static int64_t take(const struct sound *sound, int64_t from, float *samples, int64_t capacity)
{
    int64_t count;

    if (from >= sound->begin && from < sound->end) {
        count = sound->end - from < capacity ? sound->end - from : capacity;
        memcpy(samples, sound->history + (from - sound->begin), sizeof *samples * (size_t)count);
        return count;
    }
    if (from >= sound->gap_begin && from < sound->gap_end) {
        count = sound->gap_end - from < capacity ? sound->gap_end - from : capacity;
        memset(samples, 0, sizeof *samples * (size_t)count);
        return count;
    }
    return 0;
}

enum earshot_status sound_read(struct sound *sound, int64_t from, float *samples, int64_t capacity,
                               int64_t *count, struct earshot_error *error)
{
    enum earshot_status status = position(sound, from, error);

    *count = 0;
    while (status == EARSHOT_OK && *count < capacity) {
        int64_t got = take(sound, from + *count, samples + *count, capacity - *count);
        int code;

        if (got > 0) {
            *count += got;
            sound->needed = from + *count;
            continue;
        }
        if (sound->ended)
            break;
        code = step(sound);
        /* What is damaged to the end counts as its end. */
        if (code == AVERROR(ERANGE))
            sound->ended = true;
        else if (code < 0 && code != AVERROR_EOF)
            status = reader_error(&sound->reader, code, error);
    }
    return status;
}
