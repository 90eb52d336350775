/* reader.c: packets in, frames out, with bounded effort.  See reader.h. */
#include "media/reader.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "media/libav.h"

enum {
    EFFORT_PACKETS = 20000,
    DROP_MAX = 1000, /* packets to wait for a key packet after a seek: 40 s at 25 Hz */
};
#define EFFORT_BYTES (INT64_C(512) << 20)

enum earshot_status reader_open_decoder(const struct media_place *place, AVStream *stream,
                                        AVCodecContext **decoder, struct earshot_error *error)
{
    const AVCodecParameters *parameters = stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);
    const char *kind = av_get_media_type_string(parameters->codec_type);
    AVCodecContext *context;
    int code;

    *decoder = NULL;
    if (!codec)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "stream %d (%s): the installed FFmpeg has no decoder for %s",
                         stream->index, kind, avcodec_get_name(parameters->codec_id));
    context = avcodec_alloc_context3(codec);
    if (!context)
        return error_memory(error, sizeof *context);
    code = avcodec_parameters_to_context(context, parameters);
    context->pkt_timebase = stream->time_base;
    context->max_pixels = MEDIA_PIXELS_MAX;
    context->thread_count = place->options.threads > 1 ? place->options.threads : 1;
    if (code >= 0)
        code = avcodec_open2(context, codec, NULL);
    if (code < 0) {
        avcodec_free_context(&context);
        return libav_error(error, code, "stream %d (%s): cannot start the decoder %s",
                           stream->index, kind, codec->name);
    }
    *decoder = context;
    return EARSHOT_OK;
}

enum earshot_status reader_start(struct reader *reader, int index, struct earshot_error *error)
{
    AVFormatContext *format = reader->source.format;
    enum earshot_status status;

    reader->source.replaying = true;
    reader->index = index;
    reader->draining = reader->ended = false;
    reader->drop_left = 0;
    reader->floor_s = reader->last_key_s = -INFINITY;
    if (index >= (int)format->nb_streams) /* a second opening found less than the first */
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s: stream %d is gone",
                         reader->source.place->name, index);
    for (unsigned i = 0; i < format->nb_streams; i++)
        format->streams[i]->discard = (int)i == index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    reader->stream = format->streams[index];
    reader->packet = av_packet_alloc();
    if (!reader->packet)
        return error_memory(error, sizeof *reader->packet);
    status = reader_open_decoder(reader->source.place, reader->stream, &reader->decoder, error);
    if (status != EARSHOT_OK)
        error_context(error, "%s", reader->source.place->name);
    return status;
}

enum earshot_status reader_open(struct reader *reader, const struct media_place *place, int index,
                                struct earshot_error *error)
{
    enum earshot_status status = source_open(&reader->source, place, error);

    return status == EARSHOT_OK ? reader_start(reader, index, error) : status;
}

void reader_close(struct reader *reader)
{
    avcodec_free_context(&reader->decoder);
    av_packet_free(&reader->packet);
    source_close(&reader->source);
    reader->stream = NULL;
}

double reader_seconds(const struct reader *reader, int64_t time_stamp)
{
    double time_s = (double)time_stamp * av_q2d(reader->stream->time_base);

    return fmin(fmax(time_s, -TIME_MAX_S), TIME_MAX_S);
}

int64_t reader_time_stamp(const AVStream *stream, double time_s)
{
    double ticks = time_s / av_q2d(stream->time_base);

    return (int64_t)fmin(fmax(floor(ticks + 1e-3), -0x1p62), 0x1p62);
}

static void note_key(struct reader *reader)
{
    int64_t stamp =
        reader->packet->pts != AV_NOPTS_VALUE ? reader->packet->pts : reader->packet->dts;
    double time_s;

    if (!(reader->packet->flags & AV_PKT_FLAG_KEY) || stamp == AV_NOPTS_VALUE)
        return;
    time_s = reader_seconds(reader, stamp);
    if (time_s - reader->last_key_s > reader->key_distance_s && isfinite(reader->last_key_s))
        reader->key_distance_s = time_s - reader->last_key_s;
    reader->last_key_s = time_s;
}

/* True if the packet is to be decoded.  The first key packet after a seek ends the dropping: frames
 * shown before it may refer to pictures that were never decoded. */
static bool wanted(struct reader *reader)
{
    const AVPacket *packet = reader->packet;

    if (packet->stream_index != reader->index)
        return false;
    note_key(reader);
    if (reader->drop_left == 0)
        return true;
    if (!(packet->flags & AV_PKT_FLAG_KEY) && --reader->drop_left > 0)
        return false;
    reader->drop_left = 0;
    if (packet->pts != AV_NOPTS_VALUE && (packet->flags & AV_PKT_FLAG_KEY))
        reader->floor_s = reader_seconds(reader, packet->pts);
    return true;
}

/* Gives the decoder one packet, or tells it that there are no more. */
static int feed(struct reader *reader, int *packets, int64_t *bytes)
{
    int code;

    do {
        av_packet_unref(reader->packet);
        if (++*packets > EFFORT_PACKETS || *bytes > EFFORT_BYTES)
            return AVERROR(ERANGE);
        code = source_read(&reader->source, reader->packet);
        if (code == AVERROR_EOF) {
            reader->draining = true;
            avcodec_send_packet(reader->decoder, NULL);
            return 0;
        }
        if (code < 0)
            return code;
        *bytes += reader->packet->size;
    } while (!wanted(reader));
    code = avcodec_send_packet(reader->decoder, reader->packet);
    av_packet_unref(reader->packet);
    /* A damaged packet costs its frames, not the file. */
    return code == AVERROR(ENOMEM) ? code : 0;
}

int reader_next(struct reader *reader, AVFrame *frame)
{
    int packets = 0, errors = 0, code;
    int64_t bytes = 0;

    while (!reader->ended) {
        av_frame_unref(frame);
        code = avcodec_receive_frame(reader->decoder, frame);
        if (code >= 0) {
            if (frame->best_effort_timestamp != AV_NOPTS_VALUE &&
                reader_seconds(reader, frame->best_effort_timestamp) < reader->floor_s)
                continue;
            return 0;
        }
        if (code == AVERROR(ENOMEM))
            return code;
        /* A decoder that fails for ever while draining must not keep us here. */
        if (code == AVERROR_EOF || (reader->draining && ++errors > 1000)) {
            reader->ended = true;
            break;
        }
        if (reader->draining && code == AVERROR(EAGAIN)) {
            reader->ended = true;
            break;
        }
        if (!reader->draining) {
            code = feed(reader, &packets, &bytes);
            if (code < 0)
                return code;
        }
    }
    return AVERROR_EOF;
}

int reader_seek(struct reader *reader, int by_index, double time_s)
{
    AVFormatContext *format = reader->source.format;
    const AVCodecDescriptor *descriptor =
        avcodec_descriptor_get(reader->stream->codecpar->codec_id);
    int code = av_seek_frame(format, by_index, reader_time_stamp(format->streams[by_index], time_s),
                             AVSEEK_FLAG_BACKWARD);

    if (code < 0)
        return code;
    source_forget(&reader->source);
    avcodec_flush_buffers(reader->decoder);
    reader->draining = reader->ended = false;
    reader->floor_s = reader->last_key_s = -INFINITY;
    reader->drop_left = descriptor && (descriptor->props & AV_CODEC_PROP_INTRA_ONLY) ? 0 : DROP_MAX;
    return 0;
}

enum earshot_status reader_error(const struct reader *reader, int code, struct earshot_error *error)
{
    const char *name = reader->source.place->name;

    if (code == AVERROR_EXIT)
        return error_set(error, EARSHOT_ERROR_CANCELLED, "%s: cancelled", name);
    if (code == AVERROR(ERANGE))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "%s: stream %d: no frame in %d packets; the file is damaged", name,
                         reader->index, EFFORT_PACKETS);
    return libav_error(error, code, "%s: stream %d: cannot decode", name, reader->index);
}
