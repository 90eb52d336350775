/*
 * duration.c: the claimed length, checked against the packets where that is cheap.  See duration.h.
 *
 * In order: an index that reaches the claimed end is compared with the size of the file; otherwise
 * the last seconds are read; a file that claims nothing is read through (packets only) if it is
 * small.  What cannot be checked is believed.
 */
#include "media/duration.h"

#include <math.h>

#include "media/libav.h"

#define SANE_MAX_S 1e6 /* eleven days */
#define TAIL_S 2.0
#define PACKET_MAX_S 1.0 /* counted for one packet */
#define SCAN_BYTES_MAX (INT64_C(64) << 20)
enum { SCAN_PACKETS_MAX = 1000000, TAIL_ATTEMPTS = 32 };

static bool is_sane(double duration_s)
{
    return duration_s > 0 && duration_s < SANE_MAX_S;
}

static bool in_use(const struct media_info *info, int index)
{
    return index >= 0 &&
           ((index == info->video_stream && !info->is_still) || index == info->audio_stream);
}

static double seconds(const AVStream *stream, int64_t stamp)
{
    return (double)stamp * av_q2d(stream->time_base);
}

/* Where the stream says it ends; NAN if it does not. */
static double stream_end_s(const AVStream *stream, double zero_s)
{
    double start_s =
        stream->start_time == AV_NOPTS_VALUE ? 0 : seconds(stream, stream->start_time) - zero_s;

    if (stream->duration == AV_NOPTS_VALUE || stream->duration <= 0)
        return NAN;
    return start_s + seconds(stream, stream->duration);
}

static double claimed_end_s(const AVFormatContext *format, const struct media_info *info,
                            double zero_s)
{
    double end_s = NAN;

    for (unsigned i = 0; i < format->nb_streams; i++)
        if (in_use(info, (int)i))
            end_s = fmax(end_s, stream_end_s(format->streams[i], zero_s)); /* fmax ignores NAN */
    if (isnan(end_s) && format->duration != AV_NOPTS_VALUE)
        end_s = (double)format->duration / AV_TIME_BASE;
    return end_s;
}

/* The end by the stream's index: NAN if the index stops before the claimed end.  *cut becomes true
 * where the index points past the end of the file. */
static double indexed_end_s(AVStream *stream, double claimed_s, double zero_s, int64_t size_bytes,
                            bool *cut)
{
    int count = avformat_index_get_entries_count(stream), i = count - 1;
    const AVIndexEntry *entry;
    double last_s;

    if (count < 2 || claimed_s < 2 * TAIL_S) /* reading it all costs nothing */
        return NAN;
    last_s = seconds(stream, avformat_index_get_entry(stream, i)->timestamp) - zero_s;
    if (last_s < claimed_s - fmax(TAIL_S, 0.05 * claimed_s))
        return NAN;
    for (; i >= 0; i--) {
        entry = avformat_index_get_entry(stream, i);
        if (entry->pos >= 0 && entry->pos + entry->size <= size_bytes)
            break;
    }
    if (i == count - 1)
        return claimed_s;
    *cut = true;
    return i < 0 ? 0 : seconds(stream, avformat_index_get_entry(stream, i + 1)->timestamp) - zero_s;
}

/* What the packets up to the end of the file add up to. */
struct tally {
    double end_s;        /* of the last one; NAN if none is stamped */
    double lengths_s[2]; /* of all of them: picture, sound */
};

static void count_packet(struct tally *tally, const AVStream *stream, const AVPacket *packet,
                         bool is_video, double zero_s)
{
    int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    double length_s = packet->duration > 0 ? seconds(stream, packet->duration) : 0;

    tally->lengths_s[is_video ? 0 : 1] += fmin(length_s, PACKET_MAX_S);
    if (stamp != AV_NOPTS_VALUE) /* fmax ignores NAN */
        tally->end_s = fmax(tally->end_s, seconds(stream, stamp) + length_s - zero_s);
}

/* Without time stamps (raw H.264), or with absurd ones, a stream lasts as long as its packets. */
static double tallied_end_s(const struct tally *tally)
{
    return is_sane(tally->end_s) ? tally->end_s : fmax(tally->lengths_s[0], tally->lengths_s[1]);
}

/* Reads on to the end.  AVERROR_EOF when it got there, 0 when that was too far. */
static int read_to_end(struct source *source, const struct media_info *info, double zero_s,
                       AVPacket *packet, struct tally *tally)
{
    int64_t bytes = 0;

    *tally = (struct tally){.end_s = NAN};
    for (int i = 0; i < SCAN_PACKETS_MAX && bytes < SCAN_BYTES_MAX; i++) {
        int code = source_read(source, packet);

        if (code < 0)
            return code;
        bytes += packet->size;
        if (in_use(info, packet->stream_index))
            count_packet(tally, source->format->streams[packet->stream_index], packet,
                         packet->stream_index == info->video_stream, zero_s);
        av_packet_unref(packet);
    }
    return 0;
}

/* Reads the last seconds; further back if there is nothing. */
static int read_tail(struct source *source, const struct media_info *info, double claimed_s,
                     double zero_s, AVPacket *packet, struct tally *tally)
{
    double back_s = TAIL_S;
    int code = 0;

    *tally = (struct tally){.end_s = NAN};
    for (int i = 0; i < TAIL_ATTEMPTS; i++) {
        double target_s = fmax(claimed_s - back_s, 0) + zero_s;

        if (av_seek_frame(source->format, -1, (int64_t)(target_s * AV_TIME_BASE),
                          AVSEEK_FLAG_BACKWARD) < 0)
            return 0;
        code = read_to_end(source, info, zero_s, packet, tally);
        if (code != AVERROR_EOF || !isnan(tally->end_s) || back_s >= claimed_s)
            break;
        back_s *= 2;
    }
    return code;
}

/* What the packets say; NAN if that is too much to read. */
static enum earshot_status measure(struct source *source, const struct media_info *info,
                                   double claimed_s, double zero_s, double *end_s,
                                   struct earshot_error *error)
{
    AVFormatContext *format = source->format;
    AVPacket *packet = av_packet_alloc();
    struct tally tally;
    int code = 0;

    *end_s = NAN;
    if (!packet)
        return error_memory(error, sizeof *packet);
    for (unsigned i = 0; i < format->nb_streams; i++)
        format->streams[i]->discard = in_use(info, (int)i) ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    if (is_sane(claimed_s) && claimed_s > 2 * TAIL_S)
        code = read_tail(source, info, claimed_s, zero_s, packet, &tally);
    else if (source->place->size_bytes <= SCAN_BYTES_MAX)
        code = read_to_end(source, info, zero_s, packet, &tally);
    av_packet_free(&packet);
    if (code == AVERROR_EXIT || code == AVERROR(ENOMEM))
        return libav_error(error, code, "%s: cannot find its end", source->place->name);
    if (code == AVERROR_EOF && (!is_sane(claimed_s) || is_sane(tally.end_s)))
        *end_s = tallied_end_s(&tally);
    return EARSHOT_OK;
}

enum earshot_status duration_find(const struct media_place *place, const struct source *source,
                                  struct media_info *info, double zero_s,
                                  struct earshot_error *error)
{
    const AVFormatContext *format = source->format;
    double claimed_s = claimed_end_s(format, info, zero_s), end_s = NAN;
    struct source again;
    enum earshot_status status;
    bool checked = false;

    if (info->is_still && !info->has_audio)
        return EARSHOT_OK;
    info->duration_s = is_sane(claimed_s) ? claimed_s : 0;
    info->duration_is_estimate =
        !is_sane(claimed_s) || format->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
    if (place->size_bytes < 0)
        return EARSHOT_OK;
    for (unsigned i = 0; i < format->nb_streams && is_sane(claimed_s); i++)
        if (in_use(info, (int)i))
            end_s =
                fmax(end_s, indexed_end_s(format->streams[i],
                                          fmin(claimed_s, stream_end_s(format->streams[i], zero_s)),
                                          zero_s, place->size_bytes, &checked));
    if (isnan(end_s)) {
        status = source_open(&again, place, error);
        if (status != EARSHOT_OK)
            return status;
        status = measure(&again, info, claimed_s, zero_s, &end_s, error);
        source_close(&again);
        if (status != EARSHOT_OK)
            return status;
        checked = true;
    }
    if (checked && !isnan(end_s) &&
        (!is_sane(claimed_s) || fabs(end_s - claimed_s) > fmax(0.25, 0.01 * claimed_s))) {
        info->duration_s = fmax(end_s, 0);
        info->duration_is_estimate = true;
    }
    return EARSHOT_OK;
}
