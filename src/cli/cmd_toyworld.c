/* cmd_toyworld.c: `earshot toyworld`: makes a synthetic corpus.  The work is toyworld/toyworld.h's.
 */
#include "cli/cli.h"
#include "cli/progress.h"

#include "base/log.h"
#include "toyworld/toyworld.h"

static bool show(void *context, int64_t done, int64_t total)
{
    (void)context;
    (void)total;
    progress_update((double)done, NULL);
    return !cli_interrupted();
}

static int make(const struct cli_command *command, struct toyworld_options *options)
{
    struct earshot_error error = {0};

    if (options->out == NULL)
        return cli_usage_error(command, "no folder to write to: give --out DIR");
    if (toyworld_options_check(options, &error) != EARSHOT_OK)
        return cli_usage_error(command, "%s", error.message);
    progress_start("toyworld", "clips", 0, (double)options->clips);
    enum earshot_status status = toyworld_generate(options, show, NULL, &error);
    progress_finish(true);
    if (status == EARSHOT_ERROR_CANCELLED)
        log_message(LOG_WARNING, "%s", error.message);
    if (status != EARSHOT_OK)
        return cli_fail(&error);
    log_message(LOG_INFO, "%s/manifest.jsonl lists %lld clips", options->out,
                (long long)options->clips);
    return CLI_DONE;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct toyworld_options options = toyworld_options_default;
    struct option_binding binding = {toyworld_option_table, &options};
    struct cli_flags flags;
    int count, exit_code;

    if (cli_begin(command, &binding, 1, argc, argv, &flags, &count, &exit_code)) {
        if (count > 0)
            exit_code = cli_usage_error(command, "unexpected argument '%s'", argv[1]);
        else
            exit_code = make(command, &options);
    }
    options_free(toyworld_option_table, &options);
    return exit_code;
}

const struct cli_command cmd_toyworld = {
    .name = "toyworld",
    .arguments = "--out DIR [--clips N] [--seed S]",
    .summary = "make a synthetic audio-visual corpus of real media files",
    .details = "The folder holds manifest.jsonl, vocab.txt, world.json and media/. A run that was "
               "stopped goes on\nwhere it was when the same command is given again.\n",
    .run = run,
};
