/* source_reader.c: reading ahead.  See source_reader.h. */
#include "api/source_reader.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "text/transcript.h"

#define PACKS 2
#define PIECES_A_ROW 4        /* a pack full of failures is handed over all the same */
#define DECODER_THREADS_MAX 4 /* each holds frames of its own */
#define IDLE_NS 100000000
#define REST 0.1 /* of a window: a shorter rest has no caption of its own */

struct buffer {
    struct pack pack;
    struct piece *piece;
    float *video, *audio;
    uint8_t *present;
    int32_t *text;
};

struct source_reader {
    const struct earshot_session *session;
    const struct earshot_source *source;
    int64_t count;
    int64_t rows, video_size, audio_size; /* of a full pack; floats of a clip */
    bool doubling;                        /* packs begin with one clip */
    int64_t text_length;                  /* tokens of a clip's transcript, at most */
    unsigned streams;                     /* that are read */

    /* Only the thread's own. */
    struct media *media; /* open on path; kept while sources name the same file */
    const char *path;

    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_bool stopping;
    bool finished;
    int64_t filled, given; /* packs so far; pack n is in buffer n % PACKS */
    struct buffer buffer[PACKS];
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- packs ------------------------------------------------------------------------------------
 */

static bool stopped(void *context)
{
    struct source_reader *r = context;

    return atomic_load(&r->stopping);
}

static struct buffer *filling(struct source_reader *r)
{
    return &r->buffer[r->filled % PACKS];
}

/* Waits until the buffer to fill is the reader's.  False: stop. */
static bool wait_for_room(struct source_reader *r)
{
    bool room;

    pthread_mutex_lock(&r->lock);
    while (!stopped(r) && r->filled - r->given >= PACKS)
        pthread_cond_wait(&r->changed, &r->lock);
    room = !stopped(r);
    pthread_mutex_unlock(&r->lock);
    return room;
}

static void hand_over(struct source_reader *r, bool finished)
{
    struct buffer *b = filling(r);

    b->pack.piece = b->piece;
    b->pack.clips.video = b->video;
    b->pack.clips.audio = b->audio;
    b->pack.clips.present = b->present;
    b->pack.clips.text = b->text;
    b->pack.clips.text_length = text_encoder_pack(b->text, b->pack.clips.size, r->text_length);
    pthread_mutex_lock(&r->lock);
    if (b->pack.piece_count > 0)
        r->filled++;
    r->finished = finished;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* Clips of the pack that is being filled. */
static int64_t rows_wanted(const struct source_reader *r)
{
    int64_t rows = 1;

    for (int64_t n = 0; n < r->filled && rows < r->rows; n++)
        rows *= 2;
    return r->doubling && rows < r->rows ? rows : r->rows;
}

/* Ends a piece: its row counts if it has one.  False: stop. */
static bool add_piece(struct source_reader *r, const struct piece *piece)
{
    struct buffer *b = filling(r);

    b->piece[b->pack.piece_count++] = *piece;
    b->pack.clips.size += piece->row >= 0;
    if (b->pack.clips.size < rows_wanted(r) && b->pack.piece_count < r->rows * PIECES_A_ROW)
        return !stopped(r);
    hand_over(r, false);
    if (!wait_for_room(r))
        return false;
    b = filling(r);
    b->pack.clips.size = b->pack.piece_count = 0;
    return true;
}

/* ---- one window, one source -------------------------------------------------------------------
 */

/* What is said in a window, into a row of text. */
static enum earshot_status read_transcript(struct source_reader *r, struct piece *piece,
                                           int32_t *text, bool *has_text)
{
    const struct earshot_transcript *transcript = r->source[piece->source].transcript;
    enum earshot_status status;
    struct str words = {0};
    int64_t count;

    *has_text = false;
    if (transcript && (r->streams & EARSHOT_TEXT))
        transcript_between(transcript, piece->start_s, piece->end_s, &words);
    status = words.failed ? error_memory(&piece->error, words.length)
                          : text_encoder_tokens(r->session->model->tokenizer, words.data,
                                                r->text_length, text, &count, &piece->error);
    if (status == EARSHOT_OK)
        *has_text = count > 0;
    str_free(&words);
    return status;
}

/* Reads a window into the next row. */
static void read_window(struct source_reader *r, struct piece *piece)
{
    struct buffer *b = filling(r);
    int64_t row = b->pack.clips.size;
    float *video = r->streams & EARSHOT_VIDEO ? b->video + row * r->video_size : NULL;
    float *audio = r->streams & EARSHOT_AUDIO ? b->audio + row * r->audio_size : NULL;
    bool has_video = false, has_audio = false, has_text = false;
    double began_s = now_s();
    enum earshot_status status =
        clip_reader_read(r->session->model->reader, r->media, piece->start_s, piece->end_s, video,
                         &has_video, audio, &has_audio, &piece->error);

    if (status == EARSHOT_OK)
        status = read_transcript(r, piece, b->text + row * r->text_length, &has_text);
    piece->streams = (has_video ? EARSHOT_VIDEO : 0) | (has_audio ? EARSHOT_AUDIO : 0) |
                     (has_text ? EARSHOT_TEXT : 0);
    if (status == EARSHOT_OK && !piece->streams)
        status = error_set(&piece->error, EARSHOT_ERROR_NO_STREAM,
                           "%s: nothing to caption from %g s to %g s: there is none of what is to "
                           "be used (%s)",
                           r->source[piece->source].path, piece->start_s, piece->end_s,
                           session_stream_words(r->streams));
    piece->row = status == EARSHOT_OK ? row : -1;
    for (int s = 0; s < STREAM_COUNT; s++)
        b->present[row * STREAM_COUNT + s] = (piece->streams & API_STREAM(s)) != 0;
    piece->read_s += now_s() - began_s;
}

/* What keeps streams that are wanted and declared from being used. */
static void note_problems(const struct source_reader *r, const char *path,
                          const struct media_info *info, char *note, size_t size)
{
    const char *video = r->streams & EARSHOT_VIDEO ? info->video_problem : "";
    const char *audio = r->streams & EARSHOT_AUDIO ? info->audio_problem : "";

    if (*video || *audio)
        snprintf(note, size, "%s: %s%s%s", path, video, *video && *audio ? "; " : "", audio);
}

/* Opens the file of a source, unless it is open already, and finds what of it is to be captioned.
 */
static enum earshot_status open_source(struct source_reader *r, const struct earshot_source *source,
                                       struct piece *piece)
{
    const struct earshot_session_options *o = &r->session->options;
    int64_t threads = o->threads ? o->threads : sysconf(_SC_NPROCESSORS_ONLN);
    struct media_options options = {.video_stream = o->video_stream,
                                    .audio_stream = o->audio_stream,
                                    .cancelled = stopped,
                                    .cancel_context = r,
                                    .threads = threads < DECODER_THREADS_MAX ? (int)threads
                                                                             : DECODER_THREADS_MAX};
    enum earshot_status status = EARSHOT_OK;
    const struct media_info *info;

    if (!r->media || strcmp(r->path, source->path) != 0) {
        media_close(r->media);
        r->media = NULL;
        r->path = source->path;
        status = media_open(source->path, &options, &r->media, &piece->error);
    }
    if (status != EARSHOT_OK)
        return status;
    info = media_get_info(r->media);
    piece->duration_s = info->duration_s;
    piece->streams_present =
        (info->has_video ? EARSHOT_VIDEO : 0) | (info->has_audio ? EARSHOT_AUDIO : 0) |
        (source->transcript && source->transcript->cue_count > 0 ? EARSHOT_TEXT : 0);
    note_problems(r, source->path, info, piece->note, sizeof piece->note);
    if (!(piece->streams_present & r->streams)) {
        status = session_no_stream(r->session, source->path, piece->streams_present, &piece->error);
        return piece->note[0] ? error_set(&piece->error, status, "%s", piece->note) : status;
    }
    if (source->start_s > 0 && info->duration_s > 0 && source->start_s >= info->duration_s)
        return error_set(&piece->error, EARSHOT_ERROR_ARGUMENT,
                         "%s: a clip from %g s on was asked for; the file is %g s long",
                         source->path, source->start_s, info->duration_s);
    return EARSHOT_OK;
}

/* All windows of one source.  False: stop. */
static bool read_source(struct source_reader *r, int64_t index)
{
    const struct earshot_source *source = &r->source[index];
    const struct earshot_session_options *o = &r->session->options;
    double began_s = now_s(), start_s = source->start_s > 0 ? source->start_s : 0, end_s;
    struct piece piece = {.source = index, .last = true, .row = -1};
    bool go_on = true;

    if (open_source(r, source, &piece) != EARSHOT_OK) {
        piece.read_s = now_s() - began_s;
        return add_piece(r, &piece);
    }
    end_s = source->end_s > 0 ? source->end_s : piece.duration_s;
    if (end_s <= start_s) /* a still picture has no length */
        end_s = start_s + r->session->model->captioner->config.window_s;
    piece.total_s = end_s - start_s;
    piece.read_s = now_s() - began_s;
    piece.last = false;
    for (int64_t k = 0; go_on && !piece.last; k++) {
        double next_s = start_s + (double)(k + 1) * o->stride_s;

        piece.start_s = start_s + (double)k * o->stride_s;
        piece.end_s = o->window_s > 0 ? fmin(piece.start_s + o->window_s, end_s) : end_s;
        piece.last =
            o->window_s == 0 || piece.end_s >= end_s || end_s - next_s < REST * o->window_s;
        read_window(r, &piece);
        go_on = add_piece(r, &piece);
        piece.read_s = 0;
        piece.note[0] = '\0';
        error_clear(&piece.error);
    }
    return go_on;
}

static void *work(void *context)
{
    struct source_reader *r = context;
    bool go_on = true;

    for (int64_t i = 0; i < r->count && go_on; i++)
        go_on = read_source(r, i);
    media_close(r->media);
    if (go_on)
        hand_over(r, true);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static enum earshot_status allocate(struct source_reader *r, struct earshot_error *error)
{
    size_t rows = (size_t)r->rows, clip = (size_t)(r->video_size + r->audio_size) * sizeof(float);

    for (int i = 0; i < PACKS; i++) {
        struct buffer *b = &r->buffer[i];

        b->piece = malloc(rows * PIECES_A_ROW * sizeof *b->piece);
        b->video = malloc((rows * (size_t)r->video_size + 1) * sizeof *b->video);
        b->audio = malloc((rows * (size_t)r->audio_size + 1) * sizeof *b->audio);
        b->present = malloc(rows * STREAM_COUNT);
        b->text = malloc(rows * (size_t)r->text_length * sizeof *b->text);
        if (!b->piece || !b->video || !b->audio || !b->present || !b->text)
            return error_memory(error, rows * (clip + PIECES_A_ROW * sizeof *b->piece));
    }
    return EARSHOT_OK;
}

static void open_locks(struct source_reader *r)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&r->lock, NULL);
}

enum earshot_status source_reader_open(const struct earshot_session *session,
                                       const struct earshot_source *source, int64_t count,
                                       struct source_reader **out, struct earshot_error *error)
{
    struct source_reader *r = calloc(1, sizeof *r);
    enum earshot_status status;

    *out = NULL;
    if (!r)
        return error_memory(error, sizeof *r);
    r->session = session;
    r->source = source;
    r->count = count;
    r->rows = describer_batch(session->describer);
    r->doubling = session->options.batch == 0;
    r->video_size = clip_reader_video_size(session->model->reader);
    r->audio_size = clip_reader_audio_size(session->model->reader);
    r->text_length = session->model->captioner->config.text.max_length;
    r->streams = session_streams(session);
    open_locks(r);
    status = allocate(r, error);
    if (status == EARSHOT_OK) {
        r->started = pthread_create(&r->thread, NULL, work, r) == 0;
        if (!r->started)
            status = error_set(error, EARSHOT_ERROR_MEMORY, "cannot start the reading thread");
    }
    if (status != EARSHOT_OK) {
        source_reader_close(r);
        return status;
    }
    *out = r;
    return EARSHOT_OK;
}

void source_reader_close(struct source_reader *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->stopping, true);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->started)
        pthread_join(r->thread, NULL);
    for (int i = 0; i < PACKS; i++) {
        free(r->buffer[i].piece);
        free(r->buffer[i].video);
        free(r->buffer[i].audio);
        free(r->buffer[i].present);
        free(r->buffer[i].text);
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

bool source_reader_next(struct source_reader *r, bool (*idle)(void *context), void *context,
                        const struct pack **pack)
{
    bool stop = false;

    *pack = NULL;
    pthread_mutex_lock(&r->lock);
    while (!stop && r->given == r->filled && !r->finished) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += IDLE_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&r->changed, &r->lock, &until) == ETIMEDOUT) {
            pthread_mutex_unlock(&r->lock);
            stop = idle(context);
            pthread_mutex_lock(&r->lock);
        }
    }
    if (!stop && r->given < r->filled)
        *pack = &r->buffer[r->given % PACKS].pack;
    pthread_mutex_unlock(&r->lock);
    return !stop;
}

void source_reader_release(struct source_reader *r)
{
    pthread_mutex_lock(&r->lock);
    r->given++;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}
