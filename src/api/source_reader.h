/*
 * source_reader.h: a thread that reads sources, window by window, into packs of clips, ahead of the
 * network.
 *
 * A pack is a batch of clips and a list of pieces in the order of the sources: a piece is one
 * window with its row in the batch, or without one and with the reason.  Every source has at least
 * one piece, the last one marked.  Two packs exist: one is filled while the other is captioned, so
 * memory depends neither on the number of sources nor on their length.  What is in pack n never
 * depends on timing.
 *
 * Where the session chose the batch itself, the packs begin with one clip and double up to it: the
 * network has work as soon as there is any, and the first caption does not wait for sixteen clips.
 */
#ifndef EARSHOT_API_SOURCE_READER_H
#define EARSHOT_API_SOURCE_READER_H

#include "api/api.h"

struct piece {
    int64_t source;
    bool last;   /* of its source */
    int64_t row; /* in the pack's batch; -1: not captioned, see error */
    double start_s, end_s;
    unsigned streams;           /* that the row has */
    unsigned streams_present;   /* in the file; 0 if it could not be opened */
    double duration_s, total_s; /* of the file; of what is captioned of it */
    double read_s;              /* time that it took */
    struct earshot_error error;
    char note[1024]; /* with the source's first piece: a stream that the file has but nobody can use
                      */
};

struct pack {
    struct clip_batch clips;
    const struct piece *piece;
    int64_t piece_count;
};

struct source_reader;

/* Starts the thread.  Session and sources must outlive the reader. */
enum earshot_status source_reader_open(const struct earshot_session *session,
                                       const struct earshot_source *source, int64_t count,
                                       struct source_reader **reader, struct earshot_error *error);
/* Stops the thread, wherever it is. */
void source_reader_close(struct source_reader *reader);

/* Waits for the next pack, calling idle(context) every tenth of a second; it stays the caller's
 * until source_reader_release.  *pack is NULL after the last.  False: idle returned true. */
bool source_reader_next(struct source_reader *reader, bool (*idle)(void *context), void *context,
                        const struct pack **pack);
void source_reader_release(struct source_reader *reader);

#endif
