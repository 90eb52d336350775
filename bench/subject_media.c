/* subject_media.c: the stages around the network, and whole runs from a file.  See subject.h. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "subject_internal.h"

static enum earshot_status check_clip(const struct subject *s, struct earshot_error *error)
{
    if (!s->setup.clip)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "'%s' needs a media file", s->kind->name);
    return EARSHOT_OK;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static enum earshot_status read_open(struct subject *s, struct earshot_error *error)
{
    return check_clip(s, error);
}

static enum earshot_status read_run(struct subject *s, struct earshot_error *error)
{
    const struct media_options options = {
        .video_stream = -1, .audio_stream = -1, .threads = s->setup.threads};
    int64_t video = clip_reader_video_size(s->reader), audio = clip_reader_audio_size(s->reader);
    struct media *media = NULL;
    bool has_video, has_audio;
    enum earshot_status status;

    subject_start(s);
    status = media_open(s->setup.clip, &options, &media, error);
    if (status == EARSHOT_OK)
        status = clip_reader_read(s->reader, media, 0, media_get_info(media)->duration_s, s->video,
                                  &has_video, s->audio, &has_audio, error);
    media_close(media);
    subject_stop(s);
    if (status != EARSHOT_OK || !s->want_output)
        return status;
    if (!subject_output(s, video + audio))
        return error_memory(error, (size_t)(video + audio) * sizeof(float));
    memcpy(s->output, s->video, (size_t)video * sizeof(float));
    memcpy(s->output + video, s->audio, (size_t)audio * sizeof(float));
    return EARSHOT_OK;
}

static int64_t clip_samples(const struct subject *s)
{
    return subject_config(s)->audio.frames * (MEDIA_SAMPLE_RATE_HZ / 100);
}

/* The pictures are scaled to the clip's short side, so the file's size decides what they take. */
static enum earshot_status frames_open(struct subject *s, struct earshot_error *error)
{
    const struct clip_reader_options o = captioner_reader_options(subject_config(s));
    struct media *media = NULL;
    int width, height;
    enum earshot_status status = check_clip(s, error);

    if (status == EARSHOT_OK)
        status = media_open(s->setup.clip, NULL, &media, error);
    if (status != EARSHOT_OK)
        return status;
    clip_scaled_size(&o.clip, media_get_info(media)->width, media_get_info(media)->height, &width,
                     &height);
    s->times_s = malloc((size_t)o.clip.frames * sizeof *s->times_s);
    s->rgb = malloc((size_t)o.clip.frames * (size_t)width * (size_t)height * 3);
    s->stream[STREAM_AUDIO] =
        realloc(s->stream[STREAM_AUDIO], (size_t)clip_samples(s) * sizeof(float));
    if (!s->times_s || !s->rgb || !s->stream[STREAM_AUDIO])
        status = error_memory(error, (size_t)o.clip.frames * (size_t)width * (size_t)height * 3);
    else
        clip_times(0, media_get_info(media)->duration_s, o.clip.frames, s->times_s);
    media_close(media);
    return status;
}

static enum earshot_status frames_run(struct subject *s, struct earshot_error *error)
{
    const struct clip_reader_options o = captioner_reader_options(subject_config(s));
    const struct media_options options = {
        .video_stream = -1, .audio_stream = -1, .threads = s->setup.threads};
    struct media *media = NULL;
    int width, height;
    int64_t count;
    enum earshot_status status;

    subject_start(s);
    status = media_open(s->setup.clip, &options, &media, error);
    if (status == EARSHOT_OK) {
        clip_scaled_size(&o.clip, media_get_info(media)->width, media_get_info(media)->height,
                         &width, &height);
        status = media_read_frames(media, s->times_s, o.clip.frames, width, height, s->rgb, error);
    }
    if (status == EARSHOT_OK)
        status =
            media_read_audio(media, 0, s->stream[STREAM_AUDIO], clip_samples(s), &count, error);
    media_close(media);
    subject_stop(s);
    return status;
}

static enum earshot_status filterbank_open(struct subject *s, struct earshot_error *error)
{
    (void)error;
    free(s->stream[STREAM_AUDIO]);
    s->stream[STREAM_AUDIO] = fixture_noise(clip_samples(s));
    return s->stream[STREAM_AUDIO] ? EARSHOT_OK : error_memory(error, 1);
}

static enum earshot_status filterbank_run(struct subject *s, struct earshot_error *error)
{
    enum earshot_status status;

    subject_start(s);
    status =
        clip_reader_audio(s->reader, s->stream[STREAM_AUDIO], clip_samples(s), s->audio, error);
    subject_stop(s);
    return status;
}

/* ---- searching --------------------------------------------------------------------------------
 */

/* The describer asks before it encodes and before every step of the decoder: what is counted begins
 * with the second time. */
static bool count_from_first_step(void *context)
{
    struct subject *s = context;

    if (s->polls++ == 1)
        subject_start(s);
    return false;
}

/* Exactly `tokens` tokens: the end is banned before. */
static enum earshot_status search_open(struct subject *s, struct earshot_error *error)
{
    struct describer_options options = {
        .batch = s->setup.batch, .cancelled = count_from_first_step, .cancel_context = s};

    if (!s->tokenizer)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "'search' needs a model directory");
    decode_options_init(&options.decode);
    options.decode.beam_width = (int)s->setup.beams;
    options.decode.max_tokens = (int)s->setup.tokens;
    options.decode.min_tokens = (int)s->setup.tokens - 1;
    s->operations = 0;
    return describer_open(s->network.captioner, s->tokenizer, s->network.backend, &options,
                          &s->describer, error);
}

/* Ids and log-probabilities of each clip's caption, `tokens` of each. */
static enum earshot_status keep_found(struct subject *s, const struct decode_result *results,
                                      struct earshot_error *error)
{
    int64_t tokens = s->setup.tokens, count = s->setup.batch * 2 * tokens;
    float *out = subject_output(s, count);

    if (!out)
        return error_memory(error, (size_t)count * sizeof *out);
    for (int64_t b = 0; b < s->setup.batch; b++, out += 2 * tokens)
        for (int64_t i = 0; i < tokens; i++) {
            const struct decode_hypothesis *h = &results[b].hypothesis[0];

            out[i] = i < h->count ? (float)h->tokens[i] : -1;
            out[tokens + i] = i < h->count ? (float)h->log_probabilities[i] : 0;
        }
    return EARSHOT_OK;
}

static enum earshot_status search_run(struct subject *s, struct earshot_error *error)
{
    const struct clip_batch batch = subject_clips(s);
    struct decode_result *results = calloc((size_t)batch.size, sizeof *results);
    uint64_t *keys = calloc((size_t)batch.size, sizeof *keys);
    enum earshot_status status = EARSHOT_OK;

    if (!results || !keys)
        status = error_memory(error, (size_t)batch.size * sizeof *results);
    s->polls = 0;
    if (status == EARSHOT_OK)
        status = describer_run(s->describer, &batch, keys, results, NULL, error);
    subject_stop(s);
    if (status == EARSHOT_OK && s->want_output)
        status = keep_found(s, results, error);
    if (status == EARSHOT_OK)
        decode_results_free(results, batch.size);
    free(results);
    free(keys);
    return status;
}

/* ---- captions ---------------------------------------------------------------------------------
 */

static enum earshot_status caption_open(struct subject *s, struct earshot_error *error)
{
    const struct subject_setup *u = &s->setup;
    struct earshot_session_options options;
    double forward = 0, token = 0;
    enum earshot_status status = check_clip(s, error);

    if (status == EARSHOT_OK && !u->model)
        status = error_set(error, EARSHOT_ERROR_ARGUMENT, "'caption' needs a model directory");
    if (status == EARSHOT_OK)
        status = subject_count(s, "forward", &forward, error);
    if (status == EARSHOT_OK)
        status = subject_count(s, "token", &token, error);
    s->operations = forward + (double)u->tokens * token;
    free(s->video); /* the plan's; they would count as memory that captioning takes */
    free(s->audio);
    free(s->memory);
    s->video = s->audio = s->memory = NULL;
    earshot_session_options_init(&options, sizeof options);
    options.beam_width = (int)u->beams;
    options.max_tokens = (int)u->tokens;
    options.min_tokens = (int)u->tokens - 1;
    options.batch = (int)u->batch;
    options.threads = u->threads;
    if (status == EARSHOT_OK)
        status = earshot_model_open(u->model, &s->model, error);
    if (status == EARSHOT_OK)
        status = earshot_session_open(s->model, &options, &s->session, error);
    return status;
}

struct captions {
    struct earshot_error *error;
    enum earshot_status status;
};

static bool take_caption(void *context, int64_t index, struct earshot_result *result,
                         const struct earshot_error *error)
{
    struct captions *c = context;

    (void)index;
    if (error) {
        c->status = error->status;
        *c->error = *error;
        return false;
    }
    earshot_result_free(result);
    return true;
}

static enum earshot_status caption_run(struct subject *s, struct earshot_error *error)
{
    int64_t batch = s->setup.batch;
    struct captions captions = {error, EARSHOT_OK};
    struct earshot_source *source = calloc((size_t)batch, sizeof *source);
    enum earshot_status status;

    if (!source)
        return error_memory(error, (size_t)batch * sizeof *source);
    for (int64_t i = 0; i < batch; i++)
        source[i].path = s->setup.clip;
    subject_start(s);
    status = earshot_caption_sources(s->session, source, batch, take_caption, &captions, error);
    subject_stop(s);
    free(source);
    return captions.status != EARSHOT_OK ? captions.status : status;
}

const struct subject_kind subject_kinds_media[] = {
    {"read", NEEDS_MEDIA, NULL, read_open, read_run, true},
    {"decode", 0, NULL, frames_open, frames_run, false},
    {"filterbank", NEEDS_MEDIA, NULL, filterbank_open, filterbank_run, false},
    {"search", NEEDS_NETWORK, NULL, search_open, search_run, true},
    {"caption", NEEDS_CACHE, NULL, caption_open, caption_run, false},
    {NULL, 0, NULL, NULL, NULL, false},
};
