/*
 * main.c: the command table of the program `earshot`, and `earshot help`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "earshot.h"

/* In the order in which `earshot help` lists them. */
static const struct cli_command *const commands[] = {
    &cmd_caption, &cmd_tag,      &cmd_info,   &cmd_train,    &cmd_eval,      &cmd_plot,
    &cmd_import,  &cmd_quantize, &cmd_export, &cmd_toyworld, &cmd_reproduce, &cmd_version,
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static void print_overview(FILE *stream)
{
    fprintf(stream,
            "earshot %s: captions for video that come from looking and listening\n\n"
            "usage: earshot COMMAND [OPTIONS] [ARGUMENTS]\n\ncommands:\n",
            earshot_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(stream, "  %-10s %s\n", "help", "list the commands, or describe one: help COMMAND");
    fprintf(stream, "\nearshot COMMAND --help lists the options of a command.\n"
                    "Exit status: 0 done, 1 failed, 2 wrong use, 3 some of a batch failed, "
                    "130 interrupted.\n");
}

static const struct cli_command *find(const char *name)
{
    const char *closest = "help";

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
        if (str_distance(name, commands[i]->name) < str_distance(name, closest))
            closest = commands[i]->name;
    }
    /* A suggestion that shares almost nothing with the word would only puzzle. */
    if (str_distance(name, closest) <= 1 + (int)strlen(name) / 3)
        log_message(LOG_ERROR, "unknown command '%s'; did you mean '%s'?", name, closest);
    else
        log_message(LOG_ERROR, "unknown command '%s'; see earshot help", name);
    return NULL;
}

static int help(int argc, char **argv)
{
    const struct cli_command *command;

    if (argc < 2) {
        print_overview(stdout);
        return CLI_DONE;
    }
    if (!(command = find(argv[1])))
        return CLI_USAGE;
    return command->run(command, 2, (char *[]){argv[1], (char[]){"--help"}, NULL});
}

static int dispatch(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    const struct cli_command *command;

    if (!word) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        word = "version";
    if (!(command = find(word)))
        return CLI_USAGE;
    return command->run(command, argc - 1, argv + 1);
}

/*
 * OpenMP's threads spin while they wait for one another unless told not to, and the runtime reads
 * that wish before main.  On a machine with other work to do, spinning made training ten times
 * slower (docs/SPEED.md); on an idle one, sleeping costs nothing that can be measured.  So the
 * program starts itself once more with the wish set, unless the user has one.
 */
static void wait_politely(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || setenv("OMP_WAIT_POLICY", "passive", 1) != 0)
        return;
    execv("/proc/self/exe", argv); /* where that cannot be, go on as before */
}

int main(int argc, char **argv)
{
    wait_politely(argv);
    cli_start();
    progress_open_log(false, false);
    return cli_finish(dispatch(argc, argv));
}
