/*
 * cli.c: what every subcommand shares.  See cli.h.
 *
 * The flag that signals set is the program's only global state besides the log and progress line:
 * a signal handler has no other way to speak.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/progress.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static volatile sig_atomic_t interrupted;

static const struct option flag_options[] = {
    {.key = "help",
     .letter = 'h',
     .type = OPTION_BOOL,
     .offset = offsetof(struct cli_flags, help),
     .help = "print this help"},
    {.key = "quiet",
     .letter = 'q',
     .type = OPTION_BOOL,
     .offset = offsetof(struct cli_flags, quiet),
     .help = "no progress and no remarks; warnings and errors still show"},
    {.key = "verbose",
     .letter = 'v',
     .type = OPTION_BOOL,
     .offset = offsetof(struct cli_flags, verbose),
     .help = "say more about what is being done"},
};

static void on_signal(int number)
{
    static const char message[] = "\nearshot: stopping; once more to stop at once\n";
    int saved = errno;

    interrupted = 1;
    (void)number;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0) {
        /* nothing that a handler could do about it */
    }
    errno = saved;
}

void cli_start(void)
{
    /* Restarting keeps a signal from looking like a failed read to libraries below. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    /* A closed standard stream would hand its number to the next file opened, which would then
     * receive the results.  Read-only for stdout, so that writing fails and is noticed. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
            _exit(CLI_FAILED);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* A reader that went away, or a file larger than the user may write, is a write error like any
     * other: reported, and the work in progress (a checkpoint, say) is not torn. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
    /* Inherited as ignored, it would let jobs end unseen by whoever waits for them. */
    signal(SIGCHLD, SIG_DFL);
}

bool cli_interrupted(void)
{
    return interrupted != 0;
}

int cli_finish(int exit_code)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fclose(stdout) == 0 && !failed)
        return exit_code;
    /* A command that saw the failure itself has already said so. */
    if (exit_code != CLI_DONE)
        return exit_code;
    log_message(LOG_ERROR, "standard output: %s", errno ? strerror(errno) : "write error");
    return CLI_FAILED;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static void print_help(const struct cli_command *command, const struct option_binding *binding,
                       int binding_count)
{
    printf("usage: earshot %s%s%s\n\n%s\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary);
    printf("\noptions:\n");
    for (int i = 0; i < binding_count; i++)
        options_print_help(binding[i].table, binding[i].target, stdout);
    if (command->details)
        printf("\n%s", command->details);
}

bool cli_begin(const struct cli_command *command, const struct option_binding *binding,
               int binding_count, int argc, char **argv, struct cli_flags *flags,
               int *positional_count, int *exit_code)
{
    struct option_binding all[8];
    struct earshot_error error;
    int count = 0;

    *flags = (struct cli_flags){0};
    for (; count < binding_count && count < COUNT(all) - 1; count++)
        all[count] = binding[count];
    all[count].table = (struct option_table){flag_options, COUNT(flag_options)};
    all[count++].target = flags;
    if (wants_help(argc, argv)) {
        print_help(command, all, count);
        *exit_code = CLI_DONE;
        return false;
    }
    if (options_parse(all, count, argc, argv, positional_count, &error) != EARSHOT_OK) {
        *exit_code = cli_usage_error(command, "%s", error.message);
        return false;
    }
    progress_open_log(flags->quiet, flags->verbose);
    return true;
}

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_message(LOG_ERROR, "%s: %s (see earshot %s --help)", command->name, message, command->name);
    return CLI_USAGE;
}

int cli_fail(const struct earshot_error *error)
{
    if (error->status == EARSHOT_ERROR_CANCELLED)
        return CLI_INTERRUPTED;
    log_message(LOG_ERROR, "%s", error->message);
    return CLI_FAILED;
}

int cli_batch_exit(int64_t done, int64_t failed)
{
    if (cli_interrupted())
        return CLI_INTERRUPTED;
    if (failed == 0)
        return CLI_DONE;
    return done == 0 ? CLI_FAILED : CLI_PARTLY;
}
