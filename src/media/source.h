/*
 * source.h: an opened container that hands out packets: a file, an FFmpeg URL, or a pipe spooled to
 * disk.  Internal to src/media.
 *
 * A place says where the bytes are and may be opened several times (picture and sound each read
 * with a demuxer of their own, so that neither's seeks disturb the other).  A source is one such
 * opening.
 */
#ifndef EARSHOT_MEDIA_SOURCE_H
#define EARSHOT_MEDIA_SOURCE_H

#include <libavformat/avformat.h>

#include "media/media.h"

/* Larger pictures are refused: what a file claims must not decide how much memory is used. */
#define MEDIA_SIDE_MAX 16384
#define MEDIA_PIXELS_MAX 100000000

struct media_place {
    char *name;         /* for messages: the caller's path, or "standard input" */
    char *url;          /* for FFmpeg; NULL when spooled */
    int spool_fd;       /* -1 unless the bytes came from a pipe */
    int64_t size_bytes; /* -1 if unknown */
    struct media_options options;
};

/* Looks at the path, spools what cannot be sought in. */
enum earshot_status media_place_open(struct media_place *place, const char *path,
                                     const struct media_options *options,
                                     struct earshot_error *error);
void media_place_close(struct media_place *place);
bool media_place_cancelled(const struct media_place *place);

struct source {
    const struct media_place *place;
    AVFormatContext *format;
    AVIOContext *io; /* only for spooled bytes */
    int64_t spool_position;
    /* Packets read while probing, to be handed out once more when `replaying` is set. */
    AVPacket **replay;
    bool replaying;
    int replay_count, replay_next, replay_capacity;
};

/* A source that holds nothing: all bits zero. */
enum earshot_status source_open(struct source *source, const struct media_place *place,
                                struct earshot_error *error);
void source_close(struct source *source);

/* The next packet of any stream that is not discarded.  0, AVERROR_EOF (also where a damaged file
 * can be read no further), AVERROR_EXIT when cancelled, or AVERROR(ENOMEM). */
int source_read(struct source *source, AVPacket *packet);

/* Keeps a copy for source_read to hand out before anything else, once source->replaying is set. */
int source_keep(struct source *source, const AVPacket *packet);
void source_forget(struct source *source);

#endif
