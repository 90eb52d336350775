/*
 * writer.c: RGB frames and float samples -> encoder -> muxer -> one file.  See writer.h.
 *
 * Both tracks count their own time: frame n of the picture is at n / frame_rate_hz, sample n of the
 * sound at n / sample_rate_hz.  Packets of both are interleaved by the muxer however the caller
 * orders the calls, so everything encoded may wait in memory: the files are meant to be small.
 * No two-pass encoding, no metadata, no subtitles.
 */
#include "media/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>

#include "base/file.h"
#include "media/libav.h"

enum { IO_BUFFER_BYTES = 65536, SIDE_MAX = 16384, CHANNELS_MAX = 8, PCM_BLOCK = 1024 };

struct track {
    AVStream *stream;
    AVCodecContext *encoder;
    AVFrame *frame;
    int64_t next_pts;
};

struct media_writer {
    struct file_writer file;
    char *path;
    AVFormatContext *muxer;
    AVIOContext *io;
    AVPacket *packet;
    struct track video, audio;
    struct SwsContext *scaler;
    struct SwrContext *converter; /* sample format only */
    float *pending;               /* [block][channels] of sound not yet encoded */
    int pending_count, block;
};

/* FFmpeg 7 made the callback's buffer const. */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_bytes(void *opaque, const uint8_t *bytes, int count)
#else
static int write_bytes(void *opaque, uint8_t *bytes, int count)
#endif
{
    struct media_writer *writer = opaque;

    if (fwrite(bytes, 1, (size_t)count, writer->file.stream) != (size_t)count)
        return AVERROR(errno ? errno : EIO);
    return count;
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence)
{
    struct media_writer *writer = opaque;

    if (whence == AVSEEK_SIZE)
        return AVERROR(ENOSYS);
    if (fseeko(writer->file.stream, offset, whence & ~AVSEEK_FORCE) != 0)
        return AVERROR(errno);
    return ftello(writer->file.stream);
}

static enum earshot_status open_muxer(struct media_writer *writer, struct earshot_error *error)
{
    const AVOutputFormat *format = av_guess_format(NULL, writer->path, NULL);
    unsigned char *buffer;
    int code;

    /* The image muxer opens files by itself; its pipe form writes the same bytes where told. */
    if (format && strcmp(format->name, "image2") == 0)
        format = av_guess_format("image2pipe", NULL, NULL);
    if (!format || (format->flags & AVFMT_NOFILE))
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "%s: no container for this extension (try .mp4, .mkv, .wav)",
                         writer->path);
    code = avformat_alloc_output_context2(&writer->muxer, format, NULL, writer->path);
    if (code < 0)
        return libav_error(error, code, "%s: cannot set up the container %s", writer->path,
                           format->name);
    buffer = av_malloc(IO_BUFFER_BYTES);
    if (!buffer)
        return error_memory(error, IO_BUFFER_BYTES);
    writer->io =
        avio_alloc_context(buffer, IO_BUFFER_BYTES, 1, writer, NULL, write_bytes, seek_bytes);
    if (!writer->io) {
        av_free(buffer);
        return error_memory(error, sizeof *writer->io);
    }
    writer->muxer->pb = writer->io;
    writer->muxer->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    writer->muxer->max_interleave_delta = 0; /* wait for the other track however long it takes */
    return EARSHOT_OK;
}

/* Makes the stream and an encoder context with what both kinds share. */
static enum earshot_status new_track(struct media_writer *writer, struct track *track,
                                     const char *codec_name, enum AVMediaType type,
                                     struct earshot_error *error)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(codec_name);

    if (!codec || codec->type != type)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "%s: the installed FFmpeg has no %s encoder \"%s\"", writer->path,
                         av_get_media_type_string(type), codec_name);
    if (avformat_query_codec(writer->muxer->oformat, codec->id, FF_COMPLIANCE_EXPERIMENTAL) == 0)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "%s: the container %s cannot hold %s (use .mkv, it holds nearly all)",
                         writer->path, writer->muxer->oformat->name, codec_name);
    track->stream = avformat_new_stream(writer->muxer, NULL);
    track->encoder = avcodec_alloc_context3(codec);
    track->frame = av_frame_alloc();
    if (!track->stream || !track->encoder || !track->frame)
        return error_memory(error, sizeof *track->encoder);
    track->encoder->thread_count = 1;
    track->encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    if (writer->muxer->oformat->flags & AVFMT_GLOBALHEADER)
        track->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return EARSHOT_OK;
}

static enum earshot_status open_track(struct media_writer *writer, struct track *track,
                                      AVDictionary **settings, struct earshot_error *error)
{
    AVCodecContext *encoder = track->encoder;
    int code = avcodec_open2(encoder, encoder->codec, settings);

    av_dict_free(settings);
    if (code < 0)
        return libav_error(error, code, "%s: encoder %s does not take these settings", writer->path,
                           encoder->codec->name);
    track->stream->time_base = encoder->time_base;
    code = avcodec_parameters_from_context(track->stream->codecpar, encoder);
    if (code < 0)
        return libav_error(error, code, "%s: encoder %s", writer->path, encoder->codec->name);
    return EARSHOT_OK;
}

static bool list_has(const enum AVPixelFormat *list, enum AVPixelFormat format)
{
    for (; list && *list != AV_PIX_FMT_NONE; list++)
        if (*list == format)
            return true;
    return false;
}

/*
 * Lossless-only codecs get the format nearest to RGB.  For the others every player knows 4:2:0,
 * which some encoders refuse for odd sizes.
 */
static enum AVPixelFormat choose_pixel_format(const AVCodec *codec, int width, int height)
{
    const AVCodecDescriptor *descriptor = avcodec_descriptor_get(codec->id);
    bool lossless_only = descriptor && (descriptor->props & AV_CODEC_PROP_LOSSLESS) &&
                         !(descriptor->props & AV_CODEC_PROP_LOSSY);
    bool odd = width % 2 || height % 2;

    if (!codec->pix_fmts)
        return AV_PIX_FMT_YUV420P;
    if (!lossless_only) {
        if (odd && list_has(codec->pix_fmts, AV_PIX_FMT_YUV444P))
            return AV_PIX_FMT_YUV444P;
        if (list_has(codec->pix_fmts, AV_PIX_FMT_YUV420P))
            return AV_PIX_FMT_YUV420P;
    }
    return avcodec_find_best_pix_fmt_of_list(codec->pix_fmts, AV_PIX_FMT_RGB24, 0, NULL);
}

static bool is_yuv(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *descriptor = av_pix_fmt_desc_get(format);

    return descriptor && descriptor->nb_components >= 3 &&
           !(descriptor->flags & AV_PIX_FMT_FLAG_RGB);
}

static enum earshot_status open_scaler(struct media_writer *writer, struct earshot_error *error)
{
    const AVCodecContext *encoder = writer->video.encoder;
    const int *table = sws_getCoefficients(SWS_CS_ITU601);

    writer->scaler = sws_getContext(encoder->width, encoder->height, AV_PIX_FMT_RGB24,
                                    encoder->width, encoder->height, encoder->pix_fmt,
                                    SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT |
                                        SWS_FULL_CHR_H_INP | SWS_FULL_CHR_H_INT,
                                    NULL, NULL, NULL);
    if (!writer->scaler)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED, "%s: no conversion from RGB to %s",
                         writer->path, av_get_pix_fmt_name(encoder->pix_fmt));
    sws_setColorspaceDetails(writer->scaler, table, 1, table,
                             encoder->color_range == AVCOL_RANGE_JPEG, 0, 1 << 16, 1 << 16);
    return EARSHOT_OK;
}

static void set_video_settings(AVCodecContext *encoder, int quality, AVDictionary **settings)
{
    if (quality >= 0 && av_opt_find(encoder->priv_data, "crf", NULL, 0, 0)) {
        av_dict_set_int(settings, "crf", quality, 0);
        if (encoder->codec_id == AV_CODEC_ID_VP8 || encoder->codec_id == AV_CODEC_ID_VP9)
            encoder->bit_rate = 0; /* libvpx: constant quality only when no rate is asked for */
    }
    if (strcmp(encoder->codec->name, "libx264") == 0) {
        av_dict_set(settings, "preset", "fast", 0);
        /* x264 164's macroblock tree reads memory that nobody wrote when frames are this small, so
         * the same pictures would give other bytes from run to run. */
        av_dict_set(settings, "mbtree", "0", 0);
    }
    if (strncmp(encoder->codec->name, "libvpx", 6) == 0)
        av_dict_set(settings, "cpu-used", "4", 0);
}

static enum earshot_status open_video(struct media_writer *writer,
                                      const struct media_writer_options *options,
                                      struct earshot_error *error)
{
    struct track *track = &writer->video;
    AVDictionary *settings = NULL;
    AVCodecContext *encoder;
    enum earshot_status status;

    status = new_track(writer, track, options->video_codec, AVMEDIA_TYPE_VIDEO, error);
    if (status != EARSHOT_OK)
        return status;
    encoder = track->encoder;
    encoder->width = options->width;
    encoder->height = options->height;
    encoder->pix_fmt = choose_pixel_format(encoder->codec, options->width, options->height);
    encoder->time_base = (AVRational){1, options->frame_rate_hz};
    encoder->framerate = (AVRational){options->frame_rate_hz, 1};
    encoder->sample_aspect_ratio = (AVRational){1, 1};
    encoder->gop_size = 2 * options->frame_rate_hz;
    if (is_yuv(encoder->pix_fmt)) {
        encoder->colorspace = AVCOL_SPC_SMPTE170M;
        encoder->color_range =
            encoder->codec_id == AV_CODEC_ID_MJPEG ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    }
    set_video_settings(encoder, options->quality, &settings);
    track->stream->avg_frame_rate = encoder->framerate;
    status = open_track(writer, track, &settings, error);
    if (status == EARSHOT_OK)
        status = open_scaler(writer, error);
    return status;
}

static enum AVSampleFormat choose_sample_format(const AVCodec *codec)
{
    const enum AVSampleFormat *list = codec->sample_fmts;

    if (!list)
        return AV_SAMPLE_FMT_FLTP;
    for (const enum AVSampleFormat *f = list; *f != AV_SAMPLE_FMT_NONE; f++)
        if (av_get_packed_sample_fmt(*f) == AV_SAMPLE_FMT_FLT)
            return *f;
    return list[0];
}

static bool takes_rate(const AVCodec *codec, int rate_hz)
{
    const int *rate = codec->supported_samplerates;

    while (rate && *rate && *rate != rate_hz)
        rate++;
    return !rate || *rate == rate_hz;
}

static enum earshot_status open_converter(struct media_writer *writer, struct earshot_error *error)
{
    AVCodecContext *encoder = writer->audio.encoder;
    int code = swr_alloc_set_opts2(&writer->converter, &encoder->ch_layout, encoder->sample_fmt,
                                   encoder->sample_rate, &encoder->ch_layout, AV_SAMPLE_FMT_FLT,
                                   encoder->sample_rate, 0, NULL);

    if (code >= 0)
        code = swr_init(writer->converter);
    if (code < 0)
        return libav_error(error, code, "%s: no conversion from float samples to %s", writer->path,
                           av_get_sample_fmt_name(encoder->sample_fmt));
    return EARSHOT_OK;
}

static enum earshot_status open_audio(struct media_writer *writer,
                                      const struct media_writer_options *options,
                                      struct earshot_error *error)
{
    struct track *track = &writer->audio;
    AVDictionary *settings = NULL;
    AVCodecContext *encoder;
    enum earshot_status status;
    size_t size;

    status = new_track(writer, track, options->audio_codec, AVMEDIA_TYPE_AUDIO, error);
    if (status != EARSHOT_OK)
        return status;
    encoder = track->encoder;
    if (!takes_rate(encoder->codec, options->sample_rate_hz))
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "%s: encoder %s does not take %d Hz (48000 Hz is taken by all)",
                         writer->path, options->audio_codec, options->sample_rate_hz);
    encoder->sample_rate = options->sample_rate_hz;
    encoder->sample_fmt = choose_sample_format(encoder->codec);
    encoder->time_base = (AVRational){1, options->sample_rate_hz};
    av_channel_layout_default(&encoder->ch_layout, options->channels);
    status = open_track(writer, track, &settings, error);
    if (status == EARSHOT_OK)
        status = open_converter(writer, error);
    if (status != EARSHOT_OK)
        return status;
    writer->block = encoder->frame_size > 0 ? encoder->frame_size : PCM_BLOCK;
    size = sizeof *writer->pending * (size_t)writer->block * (size_t)options->channels;
    writer->pending = calloc(1, size);
    return writer->pending ? EARSHOT_OK : error_memory(error, size);
}

static enum earshot_status check_options(const char *path,
                                         const struct media_writer_options *options,
                                         struct earshot_error *error)
{
    if (!options->video_codec && !options->audio_codec)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s: neither picture nor sound asked for",
                         path);
    if (options->video_codec &&
        (options->width < 1 || options->height < 1 || options->width > SIDE_MAX ||
         options->height > SIDE_MAX || options->frame_rate_hz < 1))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "%s: %dx%d at %d Hz is not a video that can be written", path,
                         options->width, options->height, options->frame_rate_hz);
    if (options->audio_codec &&
        (options->sample_rate_hz < 1 || options->channels < 1 || options->channels > CHANNELS_MAX))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "%s: %d channels at %d Hz is not sound that can be written", path,
                         options->channels, options->sample_rate_hz);
    return EARSHOT_OK;
}

static enum earshot_status open_all(struct media_writer *writer,
                                    const struct media_writer_options *options,
                                    struct earshot_error *error)
{
    enum earshot_status status = open_muxer(writer, error);
    int code;

    if (status == EARSHOT_OK && options->video_codec)
        status = open_video(writer, options, error);
    if (status == EARSHOT_OK && options->audio_codec)
        status = open_audio(writer, options, error);
    if (status != EARSHOT_OK)
        return status;
    code = avformat_write_header(writer->muxer, NULL);
    if (code < 0)
        return libav_error(error, code, "%s: cannot write the header", writer->path);
    return EARSHOT_OK;
}

enum earshot_status media_writer_open(const char *path, const struct media_writer_options *options,
                                      struct media_writer **writer, struct earshot_error *error)
{
    enum earshot_status status = check_options(path, options, error);
    struct media_writer *w;

    *writer = NULL;
    if (status != EARSHOT_OK)
        return status;
    libav_setup();
    w = calloc(1, sizeof *w);
    if (!w)
        return error_memory(error, sizeof *w);
    w->path = strdup(path);
    w->packet = av_packet_alloc();
    if (!w->path || !w->packet)
        status = error_memory(error, sizeof *w->packet);
    if (status == EARSHOT_OK)
        status = file_writer_open(&w->file, path, error);
    if (status == EARSHOT_OK)
        status = open_all(w, options, error);
    if (status != EARSHOT_OK) {
        media_writer_abandon(w);
        return status;
    }
    *writer = w;
    return EARSHOT_OK;
}

/* frame NULL: no more input. */
static enum earshot_status encode(struct media_writer *writer, struct track *track,
                                  const AVFrame *frame, struct earshot_error *error)
{
    int code = avcodec_send_frame(track->encoder, frame);

    while (code >= 0) {
        code = avcodec_receive_packet(track->encoder, writer->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF)
            return EARSHOT_OK;
        if (code < 0)
            break;
        if (track == &writer->video && writer->packet->duration == 0)
            writer->packet->duration = 1; /* or the last frame has none in most containers */
        av_packet_rescale_ts(writer->packet, track->encoder->time_base, track->stream->time_base);
        writer->packet->stream_index = track->stream->index;
        code = av_interleaved_write_frame(writer->muxer, writer->packet);
    }
    return libav_error(error, code, "%s: cannot encode with %s", writer->path,
                       track->encoder->codec->name);
}

enum earshot_status media_writer_frame(struct media_writer *writer, const uint8_t *rgb,
                                       struct earshot_error *error)
{
    AVCodecContext *encoder = writer->video.encoder;
    AVFrame *frame = writer->video.frame;
    enum earshot_status status;
    int stride, code;

    if (!encoder)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s: was opened without a picture",
                         writer->path);
    stride = 3 * encoder->width;
    frame->format = encoder->pix_fmt;
    frame->width = encoder->width;
    frame->height = encoder->height;
    frame->colorspace = encoder->colorspace;
    frame->color_range = encoder->color_range;
    code = av_frame_get_buffer(frame, 0);
    if (code >= 0)
        code = sws_scale(writer->scaler, &rgb, &stride, 0, encoder->height, frame->data,
                         frame->linesize);
    if (code < 0)
        return libav_error(error, code, "%s: cannot convert a frame", writer->path);
    frame->pts = writer->video.next_pts++;
    status = encode(writer, &writer->video, frame, error);
    av_frame_unref(frame);
    return status;
}

/* Encodes what is pending; a short block only at the end of the sound. */
static enum earshot_status encode_block(struct media_writer *writer, struct earshot_error *error)
{
    AVCodecContext *encoder = writer->audio.encoder;
    const uint8_t *input = (const uint8_t *)writer->pending;
    AVFrame *frame = writer->audio.frame;
    int count = writer->pending_count;
    enum earshot_status status;
    int code;

    if (count < writer->block && encoder->frame_size > 0 &&
        !(encoder->codec->capabilities & AV_CODEC_CAP_SMALL_LAST_FRAME)) {
        int channels = encoder->ch_layout.nb_channels;

        memset(writer->pending + (size_t)count * (size_t)channels, 0,
               sizeof *writer->pending * (size_t)(writer->block - count) * (size_t)channels);
        count = writer->block;
    }
    frame->format = encoder->sample_fmt;
    frame->sample_rate = encoder->sample_rate;
    frame->nb_samples = count;
    code = av_channel_layout_copy(&frame->ch_layout, &encoder->ch_layout);
    if (code >= 0)
        code = av_frame_get_buffer(frame, 0);
    if (code >= 0)
        code = swr_convert(writer->converter, frame->extended_data, count, &input, count);
    if (code < 0)
        return libav_error(error, code, "%s: cannot convert samples", writer->path);
    frame->pts = writer->audio.next_pts;
    writer->audio.next_pts += count;
    writer->pending_count = 0;
    status = encode(writer, &writer->audio, frame, error);
    av_frame_unref(frame);
    return status;
}

enum earshot_status media_writer_audio(struct media_writer *writer, const float *samples,
                                       int64_t count, struct earshot_error *error)
{
    size_t channels;

    if (!writer->audio.encoder)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s: was opened without sound",
                         writer->path);
    channels = (size_t)writer->audio.encoder->ch_layout.nb_channels;
    while (count > 0) {
        int room = writer->block - writer->pending_count;
        int take = count < room ? (int)count : room;
        enum earshot_status status;

        memcpy(writer->pending + (size_t)writer->pending_count * channels, samples,
               sizeof *samples * channels * (size_t)take);
        writer->pending_count += take;
        samples += channels * (size_t)take;
        count -= take;
        if (writer->pending_count < writer->block)
            break;
        status = encode_block(writer, error);
        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

/* Everything but the file itself. */
static void close_all(struct media_writer *writer)
{
    struct track *tracks[] = {&writer->video, &writer->audio};

    for (int i = 0; i < 2; i++) {
        avcodec_free_context(&tracks[i]->encoder);
        av_frame_free(&tracks[i]->frame);
    }
    if (writer->io)
        av_freep(&writer->io->buffer);
    avio_context_free(&writer->io);
    avformat_free_context(writer->muxer);
    av_packet_free(&writer->packet);
    sws_freeContext(writer->scaler);
    swr_free(&writer->converter);
    free(writer->pending);
    free(writer->path);
}

static enum earshot_status finish_streams(struct media_writer *writer, struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;
    int code;

    if (writer->pending_count > 0)
        status = encode_block(writer, error);
    if (status == EARSHOT_OK && writer->video.encoder)
        status = encode(writer, &writer->video, NULL, error);
    if (status == EARSHOT_OK && writer->audio.encoder)
        status = encode(writer, &writer->audio, NULL, error);
    if (status != EARSHOT_OK)
        return status;
    code = av_write_trailer(writer->muxer);
    avio_flush(writer->io);
    if (code >= 0)
        code = writer->io->error;
    if (code < 0)
        return libav_error(error, code, "%s: cannot finish the file", writer->path);
    return EARSHOT_OK;
}

enum earshot_status media_writer_finish(struct media_writer *writer, struct earshot_error *error)
{
    enum earshot_status status = finish_streams(writer, error);

    if (status != EARSHOT_OK) {
        media_writer_abandon(writer);
        return status;
    }
    close_all(writer);
    status = file_writer_commit(&writer->file, error);
    free(writer);
    return status;
}

void media_writer_abandon(struct media_writer *writer)
{
    if (!writer)
        return;
    close_all(writer);
    file_writer_abandon(&writer->file);
    free(writer);
}
