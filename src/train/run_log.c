/* run_log.c: the log of a run.  See run_log.h. */
#include "train/run_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define LOG_LIMIT_BYTES ((size_t)4 << 30)

struct run_log {
    FILE *stream;
    char *path;
};

/* The lines of text up to and including `step`, written back. */
static enum earshot_status trim(const char *path, int64_t step, struct earshot_error *error)
{
    struct str kept = {0};
    char *text;
    enum earshot_status status = file_read_text(path, LOG_LIMIT_BYTES, &text, NULL, error);

    if (status != EARSHOT_OK)
        return status;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        long long at;

        /* A last line without a newline was being written when the run was cut off. */
        if (line[length] == '\n' && sscanf(line, "{\"step\": %lld", &at) == 1 && at <= step)
            str_append(&kept, line, length + 1);
        line += length + (line[length] == '\n');
    }
    free(text);
    status = kept.failed ? error_memory(error, kept.length)
                         : file_write_atomic(path, kept.data ? kept.data : "", kept.length, error);
    str_free(&kept);
    return status;
}

enum earshot_status run_log_open(const char *run, int64_t step, struct run_log **out,
                                 struct earshot_error *error)
{
    struct run_log *log = calloc(1, sizeof *log);
    enum earshot_status status = EARSHOT_OK;

    *out = NULL;
    if (!log || !(log->path = str_format("%s/log.jsonl", run))) {
        free(log);
        return error_memory(error, sizeof *log);
    }
    if (file_exists(log->path))
        status = trim(log->path, step, error);
    if (status == EARSHOT_OK && !(log->stream = fopen(log->path, "ae")))
        status = error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot write", log->path);
    if (status != EARSHOT_OK) {
        run_log_close(log);
        return status;
    }
    *out = log;
    return EARSHOT_OK;
}

enum earshot_status run_log_write(struct run_log *log, int64_t step, struct earshot_error *error,
                                  const char *fields, ...)
{
    va_list args;

    fprintf(log->stream, "{\"step\": %lld, ", (long long)step);
    va_start(args, fields);
    vfprintf(log->stream, fields, args);
    va_end(args);
    fputs("}\n", log->stream);
    if (fflush(log->stream) != 0)
        return error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot write", log->path);
    return EARSHOT_OK;
}

void run_log_close(struct run_log *log)
{
    if (!log)
        return;
    if (log->stream)
        fclose(log->stream);
    free(log->path);
    free(log);
}
