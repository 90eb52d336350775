/*
 * frames.c: picks the frame shown at a time.  See frames.h.
 *
 * The decoder runs forward with one frame of look-ahead.  A time before the current frame, or far
 * enough after it, makes it seek: to a key frame at or before the time, then further back in
 * doubling steps as long as what comes out is still too late, at last to the start of the file by
 * opening it again.
 */
#include "media/frames.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Times that differ by less than this are the same: k/25 computed in two ways. */
#define SAME_S 1e-6
/* Without an index and before two key frames were seen: how far apart they may be. */
#define KEY_DISTANCE_GUESS_S 2.0
#define BACK_MIN_S 0.5

enum { SEEK_MIN_FRAMES = 4, SEEK_ATTEMPTS = 40 };

enum earshot_status frames_start(struct frames *frames, struct earshot_error *error)
{
    frames->scaler = picture_scaler_new();
    frames->current = av_frame_alloc();
    frames->next = av_frame_alloc();
    frames->last_s = -INFINITY;
    frames->at_start = true;
    if (!frames->scaler || !frames->current || !frames->next)
        return error_memory(error, sizeof *frames->current);
    return EARSHOT_OK;
}

void frames_close(struct frames *frames)
{
    picture_scaler_free(frames->scaler);
    av_frame_free(&frames->current);
    av_frame_free(&frames->next);
    reader_close(&frames->reader);
}

static void forget(struct frames *frames)
{
    av_frame_unref(frames->current);
    av_frame_unref(frames->next);
    frames->has_current = frames->has_next = frames->current_is_first = false;
    frames->at_start = frames->after_seek = false;
    frames->last_s = -INFINITY;
}

/* Fills `next`. */
static int decode_next(struct frames *frames)
{
    double time_s;
    int code = reader_next(&frames->reader, frames->next);

    if (code < 0)
        return code;
    time_s =
        frames->next->best_effort_timestamp == AV_NOPTS_VALUE
            ? NAN
            : reader_seconds(&frames->reader, frames->next->best_effort_timestamp) - frames->zero_s;
    if (!(time_s > frames->last_s)) { /* missing, or running backwards */
        if (isfinite(frames->last_s))
            time_s = frames->last_s + frames->step_s;
        else /* after a seek it could be any frame: not one to stop at */
            time_s = frames->after_seek ? INFINITY : 0;
    }
    frames->last_s = frames->next_s = time_s;
    frames->has_next = true;
    return 0;
}

static void advance(struct frames *frames)
{
    AVFrame *free_frame = frames->current;

    frames->current_is_first = false;
    frames->current = frames->next;
    frames->current_s = frames->next_s;
    frames->has_current = true;
    frames->serial++;
    frames->next = free_frame;
    av_frame_unref(free_frame);
    frames->has_next = false;
}

/* Opens the file again, at its start. */
static enum earshot_status restart(struct frames *frames, struct earshot_error *error)
{
    const struct media_place *place = frames->reader.source.place;
    int index = frames->reader.index;
    enum earshot_status status;

    forget(frames);
    reader_close(&frames->reader);
    status = reader_open(&frames->reader, place, index, error);
    frames->at_start = status == EARSHOT_OK;
    return status;
}

/* From a fresh start: the first frame becomes current, whatever its time. */
static enum earshot_status take_first(struct frames *frames, struct earshot_error *error)
{
    int code = decode_next(frames);

    frames->at_start = false;
    if (code == AVERROR_EOF)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s: stream %d (video): no frame decodes",
                         frames->reader.source.place->name, frames->reader.index);
    if (code < 0)
        return reader_error(&frames->reader, code, error);
    advance(frames);
    frames->current_is_first = true;
    return EARSHOT_OK;
}

static enum earshot_status seek_back(struct frames *frames, double time_s,
                                     struct earshot_error *error)
{
    struct reader *reader = &frames->reader;
    double back_s = frames->lands_late ? fmax(reader->key_distance_s, BACK_MIN_S) : 0;
    enum earshot_status status;

    for (int i = 0; frames->can_seek && reader->decoder && i < SEEK_ATTEMPTS && time_s - back_s > 0;
         i++) {
        int code;

        forget(frames);
        if (reader_seek(reader, reader->index, frames->zero_s + time_s - back_s) < 0)
            break;
        frames->after_seek = true;
        code = decode_next(frames);
        if (code == 0 && frames->next_s <= time_s + SAME_S) {
            /* There is no key frame in between, so this is a lower bound of their distance. */
            if (back_s == 0)
                reader->key_distance_s = fmax(reader->key_distance_s, time_s - frames->next_s);
            advance(frames);
            return EARSHOT_OK;
        }
        if (code < 0 && code != AVERROR_EOF && code != AVERROR(ERANGE))
            return reader_error(reader, code, error);
        frames->lands_late |= code == 0;
        back_s = back_s > 0 ? 2 * back_s : fmax(reader->key_distance_s, BACK_MIN_S);
    }
    status = restart(frames, error);
    return status == EARSHOT_OK ? take_first(frames, error) : status;
}

/* True if the stream's index lists its key frames.  Other demuxers fill it with whatever they
 * passed while looking for something. */
static bool has_key_index(const AVFormatContext *format)
{
    static const char *const names[] = {"mov,", "matroska", "avi"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(format->iformat->name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Whether to seek towards time_s, which is not before the current position, or to decode on. */
static bool seek_is_cheaper(struct frames *frames, double time_s)
{
    AVStream *stream = frames->reader.stream;
    int64_t stamp = reader_time_stamp(stream, frames->zero_s + time_s);
    double position_s = 0, least_s = SEEK_MIN_FRAMES * frames->step_s;

    if (frames->has_next)
        position_s = frames->next_s;
    else if (frames->has_current)
        position_s = frames->current_s;
    if (!frames->can_seek || frames->reader.ended || time_s - position_s < least_s)
        return false;
    if (has_key_index(frames->reader.source.format)) {
        int count = avformat_index_get_entries_count(stream);
        const AVIndexEntry *key =
            avformat_index_get_entry_from_timestamp(stream, stamp, AVSEEK_FLAG_BACKWARD);

        if (key &&
            reader_seconds(&frames->reader, key->timestamp) - frames->zero_s > position_s + least_s)
            return true;
        if (key && avformat_index_get_entry(stream, count - 1)->timestamp >= stamp)
            return false; /* the index covers the time and has no key frame in between */
    }
    return time_s - position_s > fmax(frames->reader.key_distance_s, KEY_DISTANCE_GUESS_S);
}

enum earshot_status frames_select(struct frames *frames, double time_s, struct earshot_error *error)
{
    /* After a failed call the reader stands nowhere in particular. */
    bool lost = !frames->has_current && !frames->at_start;
    bool before = lost || (frames->has_current && time_s + SAME_S < frames->current_s);
    enum earshot_status status = EARSHOT_OK;

    if (before && frames->current_is_first)
        return EARSHOT_OK;
    if (before || seek_is_cheaper(frames, time_s))
        status = seek_back(frames, time_s, error);
    else if (!frames->has_current)
        status = take_first(frames, error);
    while (status == EARSHOT_OK) {
        int code = frames->has_next ? 0 : decode_next(frames);

        if (code == AVERROR_EOF || code == AVERROR(ERANGE))
            break;
        if (code < 0)
            return reader_error(&frames->reader, code, error);
        if (frames->next_s > time_s + SAME_S)
            break;
        advance(frames);
    }
    return status;
}
