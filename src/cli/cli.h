/*
 * cli.h: what every subcommand shares: the command type, exit codes, flags, interruption.
 *
 * A command is one file, cmd_NAME.c, that defines `const struct cli_command cmd_NAME`, one line
 * below and one line in main.c's table.  Results go to stdout and everything else to stderr,
 * through log_message and progress.h.
 */
#ifndef EARSHOT_CLI_CLI_H
#define EARSHOT_CLI_CLI_H

#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_PARTLY = 3, /* some of a batch failed */
    CLI_INTERRUPTED = 130
};

struct cli_command {
    const char *name;
    const char *arguments; /* what follows "earshot NAME" in its usage line */
    const char *summary;   /* one line for `earshot help` */
    const char *details;   /* printed by --help after the options, may be NULL */
    int (*run)(const struct cli_command *command, int argc, char **argv); /* argv[0] is the name */
};

extern const struct cli_command cmd_caption;
extern const struct cli_command cmd_eval;
extern const struct cli_command cmd_export;
extern const struct cli_command cmd_import;
extern const struct cli_command cmd_info;
extern const struct cli_command cmd_plot;
extern const struct cli_command cmd_quantize;
extern const struct cli_command cmd_reproduce;
extern const struct cli_command cmd_tag;
extern const struct cli_command cmd_toyworld;
extern const struct cli_command cmd_train;
extern const struct cli_command cmd_version;

/* Flags that every command has.  A command never sees help set: cli_begin has dealt with it. */
struct cli_flags {
    bool help, quiet, verbose;
};

/*
 * The first thing a command does: handles --help, parses the flags of its tables and of cli_flags,
 * opens the log.  True: go on, with the positional arguments in argv[1..*positional_count].  False:
 * leave with *exit_code; what there was to say has been said.  At most 7 tables.
 */
bool cli_begin(const struct cli_command *command, const struct option_binding *binding,
               int binding_count, int argc, char **argv, struct cli_flags *flags,
               int *positional_count, int *exit_code);

/* A wrong use that the tables cannot see: says so and where help is; returns CLI_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Logs the error; returns the exit code that goes with its status. */
int cli_fail(const struct earshot_error *error);

/* The exit code of a batch: CLI_INTERRUPTED, CLI_DONE, CLI_FAILED (nothing worked) or CLI_PARTLY.
 */
int cli_batch_exit(int64_t done, int64_t failed);

/* True once SIGINT or SIGTERM has come: finish what must be finished and return CLI_INTERRUPTED.
 * A second signal ends the program at once. */
bool cli_interrupted(void);

/* For main: signals, and standard streams that the caller left closed. */
void cli_start(void);
/* For main: flushes stdout; a result that did not get out turns CLI_DONE into CLI_FAILED. */
int cli_finish(int exit_code);

#endif
