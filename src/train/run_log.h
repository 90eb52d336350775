/*
 * run_log.h: RUN/log.jsonl, one JSON object a line: a step or a validation.
 *
 * On resume, lines past the checkpoint are dropped, so the file reads as if the run had never
 * stopped.
 */
#ifndef EARSHOT_TRAIN_RUN_LOG_H
#define EARSHOT_TRAIN_RUN_LOG_H

#include "base/error.h"

struct run_log;

/* Opens RUN/log.jsonl, keeping lines whose "step" is at most `step`. */
enum earshot_status run_log_open(const char *run, int64_t step, struct run_log **log,
                                 struct earshot_error *error);
/* Appends {"step": step, ...fields} where fields is the printf-made inside of a JSON object. */
enum earshot_status run_log_write(struct run_log *log, int64_t step, struct earshot_error *error,
                                  const char *fields, ...) __attribute__((format(printf, 4, 5)));
void run_log_close(struct run_log *log);

#endif
