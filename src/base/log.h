/*
 * log.h: lines for people.  The library itself never prints: messages go to one process-wide sink,
 * which discards them until a program sets one (the CLI writes them to stderr).
 */
#ifndef EARSHOT_BASE_LOG_H
#define EARSHOT_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* line is one message without a newline.  Called from any thread, one at a time. */
typedef void (*log_sink)(void *context, enum log_level level, const char *line);

/* Set before threads start; NULL discards. */
void log_set_sink(log_sink sink, void *context);

void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
