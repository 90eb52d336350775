/*
 * probe.c: finds out what a file holds and sets its picture and sound readers up.  See probe.h.
 *
 * What a container declares is not believed before something was decoded: opening reads on until
 * each stream in use has given a frame (kept and replayed, so nothing is read twice), and takes
 * size, orientation and the true start from those frames.
 */
#include "media/probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "media/duration.h"
#include "media/libav.h"

#define PROBE_BYTES (INT64_C(32) << 20)
enum {
    PROBE_PACKETS = 5000,
    PROBE_SOUND_FRAMES = 3,
    PROBLEM_BYTES = sizeof((struct media_info *)NULL)->video_problem
};

/* What the first frames of one stream told. */
struct probe {
    struct media *media;
    struct source *source;
    AVCodecContext *video, *audio;
    AVFrame *frame;
    AVPacket *packet;
    int video_packets, video_frames, audio_frames;
    bool reached_end;
    enum earshot_status refusal;         /* why a decoder did not open */
    double video_start_s, audio_start_s; /* on the container's clock; NAN: unknown */
    double delay_s; /* how much later frames are stamped where there are only decoding times */
    bool video_stamped, audio_stamped;
    AVRational aspect;
    int width, height; /* coded, before turning */
    struct orientation orientation;
    int grid_step;
    int64_t grid_end; /* samples from the start of the sound to the end of its first frame */
};

/* ---- which streams ---- */

static bool is_cover(const AVStream *stream)
{
    return stream->disposition & AV_DISPOSITION_ATTACHED_PIC;
}

static const char *kind_name(enum AVMediaType type)
{
    return type == AVMEDIA_TYPE_VIDEO ? "picture" : "sound";
}

/* The stream to use, or -1. */
static int choose_stream(AVFormatContext *format, enum AVMediaType type)
{
    const AVCodec *decoder;
    int best = av_find_best_stream(format, type, -1, -1, &decoder, 0);
    int64_t best_size = -1;

    if (best < 0) /* perhaps only for want of a decoder, which is worth saying */
        best = av_find_best_stream(format, type, -1, -1, NULL, 0);
    if (best < 0 || !is_cover(format->streams[best]))
        return best < 0 ? -1 : best;
    best = -1;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *stream = format->streams[i];
        int64_t size = (int64_t)stream->codecpar->width * stream->codecpar->height;

        if (stream->codecpar->codec_type == type && !is_cover(stream) && size > best_size) {
            best = (int)i;
            best_size = size;
        }
    }
    return best;
}

static enum earshot_status pick_stream(const struct media *media, AVFormatContext *format,
                                       enum AVMediaType type, int wanted, int *index, int *count,
                                       struct earshot_error *error)
{
    *count = 0;
    for (unsigned i = 0; i < format->nb_streams; i++)
        *count += format->streams[i]->codecpar->codec_type == type && !is_cover(format->streams[i]);
    *index = wanted < 0 ? choose_stream(format, type) : wanted;
    if (wanted >= 0 && (wanted >= (int)format->nb_streams ||
                        format->streams[wanted]->codecpar->codec_type != type))
        return error_set(error, EARSHOT_ERROR_NO_STREAM,
                         "%s: stream %d is not %s (the file has %u streams)", media->place.name,
                         wanted, kind_name(type), format->nb_streams);
    return EARSHOT_OK;
}

/* Opens the decoder of a chosen stream; on failure says why in `problem` and gives the stream up.
 */
static void open_stream(struct probe *probe, int index, AVCodecContext **decoder,
                        char problem[PROBLEM_BYTES])
{
    struct earshot_error why;

    *decoder = NULL;
    if (index < 0)
        return;
    if (reader_open_decoder(probe->source->place, probe->source->format->streams[index], decoder,
                            &why) == EARSHOT_OK)
        return;
    probe->refusal = why.status;
    snprintf(problem, PROBLEM_BYTES, "%.*s", PROBLEM_BYTES - 1, why.message);
}

/* ---- the first frames ---- */

static double stream_start_s(const AVStream *stream)
{
    double time_s = (double)stream->start_time * av_q2d(stream->time_base);

    return stream->start_time == AV_NOPTS_VALUE || fabs(time_s) > TIME_MAX_S ? NAN : time_s;
}

static struct orientation frame_orientation(const AVStream *stream, const AVFrame *frame)
{
    const AVFrameSideData *of_frame = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    const uint8_t *of_stream = NULL;
    int32_t matrix[9];

    if (of_frame && of_frame->size >= sizeof matrix) {
        memcpy(matrix, of_frame->data, sizeof matrix);
        return orientation_from_matrix(matrix);
    }
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *side =
        av_packet_side_data_get(stream->codecpar->coded_side_data,
                                stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    if (side && side->size >= sizeof matrix)
        of_stream = side->data;
#else
    size_t size = 0;

    of_stream = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (size < sizeof matrix)
        of_stream = NULL;
#endif
    if (!of_stream)
        return (struct orientation){0};
    memcpy(matrix, of_stream, sizeof matrix);
    return orientation_from_matrix(matrix);
}

static void note_video_frame(struct probe *probe, AVStream *stream)
{
    const AVFrame *frame = probe->frame;

    if (probe->video_frames++ > 0)
        return;
    probe->width = frame->width;
    probe->height = frame->height;
    probe->video_stamped = frame->best_effort_timestamp != AV_NOPTS_VALUE;
    if (probe->video_stamped) {
        int64_t first = frame->best_effort_timestamp;

        /* In AVI a frame gets the time of the packet whose decoding released it. */
        if (frame->pts == AV_NOPTS_VALUE && stream->start_time != AV_NOPTS_VALUE &&
            stream->start_time < first)
            first = stream->start_time;
        probe->video_start_s = (double)first * av_q2d(stream->time_base);
        probe->delay_s =
            (double)frame->best_effort_timestamp * av_q2d(stream->time_base) - probe->video_start_s;
    }
    probe->aspect = av_guess_sample_aspect_ratio(probe->source->format, stream, probe->frame);
    probe->orientation = frame_orientation(stream, frame);
}

static void note_audio_frame(struct probe *probe, AVStream *stream)
{
    struct media_info *info = &probe->media->info;
    const AVFrame *frame = probe->frame;

    if (probe->audio_frames++ == 0) {
        probe->audio_stamped = frame->best_effort_timestamp != AV_NOPTS_VALUE;
        if (probe->audio_stamped)
            probe->audio_start_s = (double)frame->best_effort_timestamp * av_q2d(stream->time_base);
        info->audio_rate_hz = frame->sample_rate;
        info->audio_channels = frame->ch_layout.nb_channels;
        probe->grid_end = frame->nb_samples;
    } else if (probe->audio_frames == 2) {
        probe->grid_step = frame->nb_samples;
    } else if (probe->grid_step != frame->nb_samples) {
        probe->grid_step = 0;
    }
}

/* packet NULL: no more. */
static int probe_decode(struct probe *probe, AVCodecContext *decoder, int index,
                        const AVPacket *packet)
{
    AVStream *stream = probe->source->format->streams[index];
    int code = avcodec_send_packet(decoder, packet);

    if (code == AVERROR(ENOMEM))
        return code;
    for (int i = 0; i < PROBE_PACKETS; i++) {
        code = avcodec_receive_frame(decoder, probe->frame);
        if (code < 0)
            return code == AVERROR(ENOMEM) ? code : 0;
        if (decoder == probe->video)
            note_video_frame(probe, stream);
        else
            note_audio_frame(probe, stream);
        av_frame_unref(probe->frame);
    }
    return 0;
}

static int probe_packet(struct probe *probe)
{
    const struct media_info *info = &probe->media->info;
    int index = probe->packet->stream_index, code = 0;

    if (probe->video && index == info->video_stream) {
        probe->video_packets++;
        code = source_keep(probe->source, probe->packet);
        if (code >= 0 && probe->video_frames == 0)
            code = probe_decode(probe, probe->video, index, probe->packet);
    } else if (probe->audio && index == info->audio_stream) {
        if (probe->audio_frames < PROBE_SOUND_FRAMES)
            code = probe_decode(probe, probe->audio, index, probe->packet);
    }
    return code;
}

static int probe_read(struct probe *probe)
{
    const struct media_info *info = &probe->media->info;
    int64_t bytes = 0;
    int code = 0;

    for (int i = 0; code >= 0 && i < PROBE_PACKETS && bytes < PROBE_BYTES; i++) {
        bool video_done = !probe->video || (probe->video_frames > 0 && probe->video_packets > 1);
        bool audio_done = !probe->audio || probe->audio_frames >= PROBE_SOUND_FRAMES;

        if (video_done && audio_done)
            break;
        code = source_read(probe->source, probe->packet);
        if (code == AVERROR_EOF) {
            probe->reached_end = true;
            break;
        }
        if (code < 0)
            return code;
        bytes += probe->packet->size;
        code = probe_packet(probe);
        av_packet_unref(probe->packet);
    }
    if (code >= 0 || code == AVERROR_EOF) {
        code = 0;
        if (probe->video && probe->video_frames == 0)
            code = probe_decode(probe, probe->video, info->video_stream, NULL);
        if (code >= 0 && probe->audio && probe->audio_frames == 0)
            code = probe_decode(probe, probe->audio, info->audio_stream, NULL);
    }
    return code;
}

static bool is_too_large(int width, int height)
{
    return width > MEDIA_SIDE_MAX || height > MEDIA_SIDE_MAX ||
           (int64_t)width * height > MEDIA_PIXELS_MAX;
}

static void judge_video(struct probe *probe)
{
    struct media_info *info = &probe->media->info;
    const AVCodecParameters *claim;
    int width, height;

    if (!probe->video)
        return;
    claim = probe->source->format->streams[info->video_stream]->codecpar;
    width = probe->video_frames > 0 ? probe->width : claim->width;
    height = probe->video_frames > 0 ? probe->height : claim->height;
    if (is_too_large(width, height))
        snprintf(info->video_problem, sizeof info->video_problem,
                 "stream %d (video): %dx%d is more than the %d a side and %d pixels allowed",
                 info->video_stream, width, height, MEDIA_SIDE_MAX, MEDIA_PIXELS_MAX);
    else if (probe->video_frames == 0 || width < 1 || height < 1)
        snprintf(info->video_problem, sizeof info->video_problem,
                 "stream %d (video, %s): no frame in its first %d packets can be decoded",
                 info->video_stream, avcodec_get_name(claim->codec_id), probe->video_packets);
    else
        info->has_video = true;
    info->is_still = info->has_video && probe->reached_end && probe->video_packets == 1;
}

static void judge_audio(struct probe *probe)
{
    struct media_info *info = &probe->media->info;
    const AVStream *stream;

    if (!probe->audio)
        return;
    stream = probe->source->format->streams[info->audio_stream];
    if (probe->audio_frames == 0) {
        if (!probe->reached_end) { /* it may begin later */
            info->has_audio = true;
            info->audio_rate_hz = probe->audio->sample_rate;
            info->audio_channels = probe->audio->ch_layout.nb_channels;
            return;
        }
        snprintf(info->audio_problem, sizeof info->audio_problem,
                 "stream %d (audio, %s): nothing in it can be decoded", info->audio_stream,
                 avcodec_get_name(stream->codecpar->codec_id));
        return;
    }
    if (info->audio_rate_hz < SOUND_RATE_MIN_HZ || info->audio_rate_hz > SOUND_RATE_MAX_HZ) {
        snprintf(info->audio_problem, sizeof info->audio_problem,
                 "stream %d (audio): %d Hz is outside of the %d to %d Hz allowed",
                 info->audio_stream, info->audio_rate_hz, SOUND_RATE_MIN_HZ, SOUND_RATE_MAX_HZ);
        return;
    }
    info->has_audio = true;
}

/* ---- what the caller is told ---- */

static void describe_picture(const struct probe *probe)
{
    struct media_info *info = &probe->media->info;
    AVStream *stream = probe->source->format->streams[info->video_stream];
    AVRational rate = stream->avg_frame_rate.num > 0
                          ? stream->avg_frame_rate
                          : av_guess_frame_rate(probe->source->format, stream, NULL);
    double width = probe->width, height = probe->height;
    double aspect = probe->aspect.num > 0 && probe->aspect.den > 0 ? av_q2d(probe->aspect) : 1;

    /* Square pixels by widening, as players do; a nonsense ratio is left alone. */
    if (round(width * aspect) >= 1 && round(width * aspect) <= MEDIA_SIDE_MAX)
        width = round(width * aspect);
    info->width = (int)(probe->orientation.transpose ? height : width);
    info->height = (int)(probe->orientation.transpose ? width : height);
    if (rate.num > 0 && rate.den > 0 && av_q2d(rate) < 1e6 && !info->is_still)
        info->frame_rate_hz = av_q2d(rate);
    snprintf(info->video_codec, sizeof info->video_codec, "%s",
             avcodec_get_name(stream->codecpar->codec_id));
}

/* Both streams' clocks, and the earlier of their starts as the file's zero. */
static void set_zero(const struct probe *probe)
{
    struct media *media = probe->media;
    struct media_info *info = &media->info;
    AVStream **streams = probe->source->format->streams;
    double zero_s = INFINITY;

    if (info->has_video) {
        double start_s = probe->video_start_s;

        zero_s =
            fmin(zero_s, isnan(start_s) ? stream_start_s(streams[info->video_stream]) : start_s);
    }
    if (info->has_audio) {
        double start_s = probe->audio_start_s;

        zero_s =
            fmin(zero_s, isnan(start_s) ? stream_start_s(streams[info->audio_stream]) : start_s);
    }
    zero_s = isfinite(zero_s) ? fmin(fmax(zero_s, -TIME_MAX_S), TIME_MAX_S) : 0;
    media->sound.zero_s = zero_s;
    media->frames.zero_s = zero_s + probe->delay_s;
    if (info->has_audio && !isnan(probe->audio_start_s)) {
        int64_t first = llround((probe->audio_start_s - zero_s) * info->audio_rate_hz);

        media->sound.grid_start = first + probe->grid_end;
        media->sound.grid_step = probe->grid_step;
    }
}

static bool can_seek(const AVFormatContext *format)
{
    /* Their frames are built on the ones before, whatever their packets are flagged. */
    static const char *const forward_only[] = {"gif", "apng"};

    for (size_t i = 0; i < sizeof forward_only / sizeof forward_only[0]; i++)
        if (strcmp(format->iformat->name, forward_only[i]) == 0)
            return false;
    return !(format->ctx_flags & AVFMTCTX_UNSEEKABLE);
}

static enum earshot_status start_readers(struct probe *probe, struct earshot_error *error)
{
    struct media *media = probe->media;
    struct media_info *info = &media->info;
    bool seekable = can_seek(probe->source->format);
    enum earshot_status status = EARSHOT_OK;

    if (info->has_video) {
        media->frames.orientation = probe->orientation;
        media->frames.step_s = info->frame_rate_hz > 0 ? 1 / info->frame_rate_hz : 0.04;
        media->frames.can_seek = seekable && probe->video_stamped;
        status = reader_start(&media->frames.reader, info->video_stream, error);
        if (status == EARSHOT_OK)
            status = frames_start(&media->frames, error);
    }
    if (status == EARSHOT_OK && info->has_audio) {
        media->sound.place = &media->place;
        media->sound.index = info->audio_stream;
        media->sound.index_of_video = info->video_stream;
        media->sound.can_seek = seekable && (probe->audio_stamped || probe->audio_frames == 0);
        status = sound_start(&media->sound, error);
    }
    return status;
}

/* Neither stream can be used: says why. */
static enum earshot_status no_stream(const struct probe *probe, struct earshot_error *error)
{
    const char *name = probe->media->place.name;
    const struct media_info *info = &probe->media->info;
    const char *video = info->video_problem, *audio = info->audio_problem;

    if (!video[0] && !audio[0])
        return error_set(error, EARSHOT_ERROR_NO_STREAM,
                         "%s: its %s container holds neither picture nor sound", name,
                         info->container);
    return error_set(error, probe->refusal ? probe->refusal : EARSHOT_ERROR_FORMAT, "%s: %s%s%s",
                     name, video, video[0] && audio[0] ? "; " : "", audio);
}

static enum earshot_status describe(struct probe *probe, struct earshot_error *error)
{
    struct media *media = probe->media;
    struct media_info *info = &media->info;
    AVFormatContext *format = probe->source->format;
    enum earshot_status status;

    judge_video(probe);
    judge_audio(probe);
    if (!info->has_video && !info->has_audio)
        return no_stream(probe, error);
    if (info->has_video)
        describe_picture(probe);
    if (info->has_audio)
        snprintf(info->audio_codec, sizeof info->audio_codec, "%s",
                 avcodec_get_name(format->streams[info->audio_stream]->codecpar->codec_id));
    if (!info->has_video)
        info->video_stream = -1;
    if (!info->has_audio)
        info->audio_stream = -1;
    set_zero(probe);
    status = duration_find(&media->place, probe->source, info,
                           media->frames.zero_s - probe->delay_s, error);
    return status == EARSHOT_OK ? start_readers(probe, error) : status;
}

static enum earshot_status examine(struct probe *probe, struct earshot_error *error)
{
    struct media *media = probe->media;
    struct media_info *info = &media->info;
    AVFormatContext *format = probe->source->format;
    enum earshot_status status;
    int code;

    snprintf(info->container, sizeof info->container, "%s", format->iformat->name);
    status = pick_stream(media, format, AVMEDIA_TYPE_VIDEO, media->place.options.video_stream,
                         &info->video_stream, &info->video_streams, error);
    if (status == EARSHOT_OK)
        status = pick_stream(media, format, AVMEDIA_TYPE_AUDIO, media->place.options.audio_stream,
                             &info->audio_stream, &info->audio_streams, error);
    if (status != EARSHOT_OK)
        return status;
    open_stream(probe, info->video_stream, &probe->video, info->video_problem);
    open_stream(probe, info->audio_stream, &probe->audio, info->audio_problem);
    for (unsigned i = 0; i < format->nb_streams; i++)
        if ((int)i != info->video_stream && (int)i != info->audio_stream)
            format->streams[i]->discard = AVDISCARD_ALL;
    probe->packet = av_packet_alloc();
    probe->frame = av_frame_alloc();
    if (!probe->packet || !probe->frame)
        return error_memory(error, sizeof *probe->frame);
    code = probe_read(probe);
    if (code < 0)
        return libav_error(error, code, "%s: cannot read its first frames", media->place.name);
    return describe(probe, error);
}

enum earshot_status probe_open(struct media *media, struct earshot_error *error)
{
    struct probe probe = {.media = media, .video_start_s = NAN, .audio_start_s = NAN};
    enum earshot_status status;

    media->info.video_stream = media->info.audio_stream = -1;
    /* The source stays that of the picture; the sound opens its own when it is first read. */
    probe.source = &media->frames.reader.source;
    status = source_open(probe.source, &media->place, error);
    if (status == EARSHOT_OK)
        status = examine(&probe, error);
    if (!media->info.has_video)
        source_close(probe.source);
    avcodec_free_context(&probe.video);
    avcodec_free_context(&probe.audio);
    av_packet_free(&probe.packet);
    av_frame_free(&probe.frame);
    return status;
}
