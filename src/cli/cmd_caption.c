/*
 * cmd_caption.c: `earshot caption`: captions of files, or of the clips of a manifest.
 *
 * Everything is done through earshot.h: what this command can, any program can.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/captions_output.h"
#include "cli/cli.h"
#include "cli/model_path.h"
#include "cli/progress.h"
#include "train/dataset.h"

struct settings {
    char *model, *output, *data;
    int format, streams, method;
    int64_t beam, best, max_tokens, min_tokens, no_repeat_ngram, top_k, seed;
    double length_penalty, temperature, top_p, window_s, stride_s;
    int64_t video_stream, audio_stream, batch, threads;
};

static const char *const stream_choices[] = {"av", "a", "v", NULL};
static const unsigned stream_values[] = {EARSHOT_VIDEO | EARSHOT_AUDIO, EARSHOT_AUDIO,
                                         EARSHOT_VIDEO};
static const char *const method_choices[] = {"beam", "greedy", "sample", NULL};
static const enum earshot_method method_values[] = {EARSHOT_BEAM, EARSHOT_GREEDY, EARSHOT_SAMPLE};

#define AT(field) offsetof(struct settings, field)

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, AT(model), 0, 0, NULL, "DIR",
     "model directory, training run or name of a bundled model (EARSHOT_MODEL; the bundled toy)"},
    {"format", 'f', OPTION_CHOICE, AT(format), 0, 0, captions_format_names, "FORMAT",
     "text, json, jsonl, vtt or srt"},
    {"output", 'o', OPTION_STRING, AT(output), 0, 0, NULL, "FILE",
     "write here instead of standard output, and only when all is done"},
    {"data", 0, OPTION_STRING, AT(data), 0, 0, NULL, "MANIFEST",
     "caption each clip of a manifest instead of files; JSON lines with id and references"},
    {"streams", 's', OPTION_CHOICE, AT(streams), 0, 0, stream_choices, "WHICH",
     "what to use: av (look and listen), a (listen), v (look)"},
    {"window", 'w', OPTION_FLOAT, AT(window_s), 0, 1e6, NULL, "S",
     "a caption for every window of this many seconds; 0: one for the whole file"},
    {"stride", 0, OPTION_FLOAT, AT(stride_s), 0, 1e6, NULL, "S",
     "seconds from the start of one window to that of the next; 0: the window"},
    {"method", 0, OPTION_CHOICE, AT(method), 0, 0, method_choices, "METHOD",
     "search: beam, greedy or sample"},
    {"beam", 'b', OPTION_INT, AT(beam), 1, 256, NULL, "N", "beam width"},
    {"best", 0, OPTION_INT, AT(best), 1, 256, NULL, "N",
     "captions kept of each clip, up to the beam width; the others show in JSON"},
    {"length_penalty", 0, OPTION_FLOAT, AT(length_penalty), -100, 100, NULL, "X",
     "captions are ordered by log p / tokens^X: more favours longer ones"},
    {"max_tokens", 0, OPTION_INT, AT(max_tokens), 0, 65536, NULL, "N",
     "longest caption; 0: as long as the model can write"},
    {"min_tokens", 0, OPTION_INT, AT(min_tokens), 0, 65536, NULL, "N", "shortest caption"},
    {"no_repeat_ngram", 0, OPTION_INT, AT(no_repeat_ngram), 0, 65536, NULL, "N",
     "never the same N tokens twice in a caption; 0: off"},
    {"temperature", 0, OPTION_FLOAT, AT(temperature), 1e-6, 1e6, NULL, "X",
     "sampling: below 1 is safer, above 1 more varied"},
    {"top_k", 0, OPTION_INT, AT(top_k), 0, 1e9, NULL, "N",
     "sampling: only the N likeliest tokens; 0: all"},
    {"top_p", 0, OPTION_FLOAT, AT(top_p), 1e-6, 1, NULL, "P",
     "sampling: only the likeliest tokens that reach probability P"},
    {"seed", 0, OPTION_INT, AT(seed), 0, 9e15, NULL, "N",
     "sampling: the same seed gives the same captions"},
    {"video_stream", 0, OPTION_INT, AT(video_stream), -1, 65535, NULL, "N",
     "index of the picture's stream in the file; -1: the best"},
    {"audio_stream", 0, OPTION_INT, AT(audio_stream), -1, 65535, NULL, "N",
     "index of the sound's stream in the file; -1: the best"},
    {"batch", 0, OPTION_INT, AT(batch), 0, 1024, NULL, "N",
     "clips that go through the network together; 0: by the model's size"},
    {"threads", 't', OPTION_INT, AT(threads), 0, 1024, NULL, "N",
     "threads of the network; 0: all processors"},
};

static const struct option_table table = {options, sizeof options / sizeof *options};

static struct settings settings_default(void)
{
    struct earshot_session_options o;

    earshot_session_options_init(&o, sizeof o);
    return (struct settings){.beam = o.beam_width,
                             .best = o.best,
                             .length_penalty = o.length_penalty,
                             .temperature = o.temperature,
                             .top_p = o.top_p,
                             .video_stream = o.video_stream,
                             .audio_stream = o.audio_stream};
}

/* What the callbacks of one run share. */
struct job {
    const struct settings *settings;
    struct dataset *data; /* NULL: files */
    struct earshot_source *source;
    int64_t count;
    struct earshot_model *model;
    struct earshot_session *session;
    const char *model_name;
    struct file_writer file; /* stream NULL: standard output */
    struct captions_writer writer;
    int64_t done, failed, captions;
    struct earshot_error write_error;
};

/* ---- setting up -------------------------------------------------------------------------------
 */

static bool show(void *context, const struct earshot_progress *p)
{
    const struct job *job = context;
    double part = p->total_s > 0 ? fmin(p->done_s / p->total_s, 1) : 0;
    char detail[64], done[32], total[32];

    if (job->count == 1 && p->total_s > 0) {
        snprintf(detail, sizeof detail, "%s of %s", str_duration(done, p->done_s),
                 str_duration(total, p->total_s));
        progress_update(part, detail);
    } else {
        snprintf(detail, sizeof detail, "%lld captions", (long long)p->captions);
        progress_update((double)(job->done + job->failed) + part, detail);
    }
    return !cli_interrupted();
}

static struct earshot_session_options session_options(struct job *job)
{
    const struct settings *s = job->settings;
    struct earshot_session_options o;

    earshot_session_options_init(&o, sizeof o);
    o.method = method_values[s->method];
    o.beam_width = (int)s->beam;
    o.best = (int)s->best;
    o.length_penalty = s->length_penalty;
    o.max_tokens = (int)s->max_tokens;
    o.min_tokens = (int)s->min_tokens;
    o.no_repeat_ngram = (int)s->no_repeat_ngram;
    o.temperature = s->temperature;
    o.top_k = (int)s->top_k;
    o.top_p = s->top_p;
    o.seed = (uint64_t)s->seed;
    o.streams = stream_values[s->streams];
    o.window_s = s->window_s;
    o.stride_s = s->stride_s;
    o.video_stream = (int)s->video_stream;
    o.audio_stream = (int)s->audio_stream;
    o.batch = (int)s->batch;
    o.threads = (int)s->threads;
    o.progress = show;
    o.progress_context = job;
    return o;
}

static enum earshot_status list_sources(struct job *job, int file_count, char **files,
                                        struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;

    job->count = file_count;
    if (job->settings->data) {
        status = dataset_open(job->settings->data, &job->data, error);
        if (status != EARSHOT_OK)
            return status;
        job->count = job->data->count;
    }
    job->source = calloc((size_t)job->count, sizeof *job->source);
    if (!job->source)
        return error_memory(error, (size_t)job->count * sizeof *job->source);
    for (int64_t i = 0; i < job->count; i++) {
        const struct dataset_item *item = job->data ? &job->data->item[i] : NULL;

        job->source[i] = item ? (struct earshot_source){item->path, item->start_s, item->end_s}
                              : (struct earshot_source){.path = files[i]};
    }
    return EARSHOT_OK;
}

static enum earshot_status open_model(struct job *job, struct earshot_error *error)
{
    struct earshot_model_info info;
    char *path = NULL;
    enum earshot_status status = model_path_find(job->settings->model, &path, error);

    if (status == EARSHOT_OK)
        status = earshot_model_open(path, &job->model, error);
    free(path);
    if (status == EARSHOT_OK) {
        earshot_model_get_info(job->model, &info, sizeof info);
        job->model_name = info.name;
    }
    return status;
}

static enum earshot_status open_output(struct job *job, struct earshot_error *error)
{
    enum captions_format format = (enum captions_format)job->settings->format;
    const char *path = job->settings->output;
    enum earshot_status status = EARSHOT_OK;

    if (job->data && format == CAPTIONS_TEXT)
        format = CAPTIONS_JSONL;
    if (path)
        status = file_writer_open(&job->file, path, error);
    if (status == EARSHOT_OK)
        status = captions_open(&job->writer, format, path ? job->file.stream : stdout,
                               path ? path : "standard output", (int)job->count, error);
    return status;
}

/* ---- the work ---------------------------------------------------------------------------------
 */

/* One source is done; false when its captions could not be written. */
static bool write_source(void *context, int64_t index, struct earshot_result *result,
                         const struct earshot_error *failure)
{
    struct job *job = context;
    const struct dataset_item *item = job->data ? &job->data->item[index] : NULL;
    struct captioned_file file = {.path = job->source[index].path,
                                  .id = item ? item->id : NULL,
                                  .model = job->model_name,
                                  .result = result};
    enum earshot_status status;

    if (item) {
        file.reference = (const char *const *)item->caption;
        file.reference_count = item->caption_count;
    }
    progress_clear();
    if (result) {
        job->done++;
        if (result->failed_windows)
            log_message(LOG_WARNING, "%s: %d windows have no caption; the first: %s", file.path,
                        result->failed_windows, result->problem);
        else if (result->problem[0])
            log_message(LOG_WARNING, "%s", result->problem);
        status = captions_write(&job->writer, &file, &job->write_error);
    } else {
        job->failed++;
        log_message(LOG_ERROR, "%s", failure->message);
        status = captions_write_failure(&job->writer, &file, failure, &job->write_error);
    }
    earshot_result_free(result);
    return status == EARSHOT_OK;
}

/* Ends the output: whole, or not at all. */
static enum earshot_status close_output(struct job *job, bool keep, struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;

    if (keep)
        status = captions_close(&job->writer, error);
    if (job->file.stream) {
        if (keep && status == EARSHOT_OK)
            status = file_writer_commit(&job->file, error);
        else
            file_writer_abandon(&job->file);
    }
    return status;
}

static int caption(struct job *job)
{
    struct earshot_error error = {0};
    enum earshot_status status;

    progress_start("captioning",
                   job->count == 1 ? "file"
                   : job->data     ? "clips"
                                   : "files",
                   0, (double)job->count);
    status =
        earshot_caption_sources(job->session, job->source, job->count, write_source, job, &error);
    progress_finish(false);
    if (job->write_error.status != EARSHOT_OK) {
        status = job->write_error.status;
        error = job->write_error;
    }
    if (status == EARSHOT_OK)
        status = close_output(job, job->done > 0, &error);
    else
        close_output(job, false, NULL);
    return status == EARSHOT_OK ? cli_batch_exit(job->done, job->failed) : cli_fail(&error);
}

static int set_up_and_caption(const struct cli_command *command, struct job *job, int file_count,
                              char **files)
{
    struct earshot_session_options session = session_options(job);
    struct earshot_error error = {0};
    int exit_code;

    if (list_sources(job, file_count, files, &error) != EARSHOT_OK ||
        open_model(job, &error) != EARSHOT_OK)
        return cli_fail(&error);
    if (earshot_session_open(job->model, &session, &job->session, &error) != EARSHOT_OK ||
        open_output(job, &error) != EARSHOT_OK)
        exit_code = error.status == EARSHOT_ERROR_ARGUMENT
                        ? cli_usage_error(command, "%s", error.message)
                        : cli_fail(&error);
    else
        return caption(job);
    if (job->file.stream)
        file_writer_abandon(&job->file);
    return exit_code;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct settings settings = settings_default();
    const struct option_binding binding = {table, &settings};
    struct job job = {.settings = &settings};
    struct cli_flags flags;
    int count, exit_code;

    if (cli_begin(command, &binding, 1, argc, argv, &flags, &count, &exit_code)) {
        if (settings.data && count > 0)
            exit_code = cli_usage_error(command, "give files or --data, not both ('%s')", argv[1]);
        else if (!settings.data && count == 0)
            exit_code = cli_usage_error(command, "no files to caption");
        else
            exit_code = set_up_and_caption(command, &job, count, argv + 1);
    }
    earshot_session_close(job.session);
    earshot_model_close(job.model);
    dataset_close(job.data);
    free(job.source);
    options_free(table, &settings);
    return exit_code;
}

const struct cli_command cmd_caption = {
    .name = "caption",
    .arguments = "[-m MODEL] [OPTIONS] FILE...",
    .summary = "write captions of media files",
    .details = "FILE is anything that FFmpeg reads, a URL, or - for standard input. Without "
               "--window the whole file is one\nclip. A file that cannot be captioned does not "
               "stop the others.\n",
    .run = run,
};
