/*
 * reader.h: decoded frames of one stream, in order, with seeks.  Internal to src/media.
 *
 * The effort that one call may spend is bounded in packets and bytes, so that a hostile file that
 * decodes to nothing ends with an error and not with the caller's patience.
 */
#ifndef EARSHOT_MEDIA_READER_H
#define EARSHOT_MEDIA_READER_H

#include <libavcodec/avcodec.h>

#include "media/source.h"

/* Time stamps further from 0 are taken for this. */
#define TIME_MAX_S 1e9

struct reader {
    struct source source;
    int index; /* file stream index */
    AVStream *stream;
    AVCodecContext *decoder;
    AVPacket *packet;
    bool draining, ended;
    /* After a seek: packets before the first key packet are dropped, then frames before its time.
     */
    int drop_left;
    double floor_s;
    /* Longest distance seen between two key packets, and where the last one was. */
    double key_distance_s, last_key_s;
};

/* Opens the decoder of a stream on its own.  *decoder must be freed with avcodec_free_context.  The
 * message names the stream and not the file. */
enum earshot_status reader_open_decoder(const struct media_place *place, AVStream *stream,
                                        AVCodecContext **decoder, struct earshot_error *error);

/* Makes a reader of stream `index`; every other stream is discarded.  The source must be open in
 * *reader already.  On failure reader_close is still due. */
enum earshot_status reader_start(struct reader *reader, int index, struct earshot_error *error);
/* Opens place and starts. */
enum earshot_status reader_open(struct reader *reader, const struct media_place *place, int index,
                                struct earshot_error *error);
void reader_close(struct reader *reader);

/*
 * The next frame in presentation order.  0; AVERROR_EOF: no more; AVERROR_EXIT: cancelled;
 * AVERROR(ENOMEM); AVERROR(ERANGE): the effort allowed is spent without a frame.
 */
int reader_next(struct reader *reader, AVFrame *frame);

/* Moves to a key frame at or before time_s, on the container's own clock, using the index of
 * stream by_index.  AVERROR code if the container cannot: the state is then undefined: reopen. */
int reader_seek(struct reader *reader, int by_index, double time_s);

/* A time stamp of the stream in seconds on the container's clock. */
double reader_seconds(const struct reader *reader, int64_t time_stamp);
int64_t reader_time_stamp(const AVStream *stream, double time_s);

/* Says why reader_next failed with code; returns the status. */
enum earshot_status reader_error(const struct reader *reader, int code,
                                 struct earshot_error *error);

#endif
