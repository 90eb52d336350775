/* cmd_version.c: `earshot version`. */
#include <stdio.h>

#include "cli/cli.h"

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct cli_flags flags;
    int count, exit_code;

    if (!cli_begin(command, NULL, 0, argc, argv, &flags, &count, &exit_code))
        return exit_code;
    if (count > 0)
        return cli_usage_error(command, "unexpected argument '%s'", argv[1]);
    printf("earshot %s\n", earshot_version());
    return CLI_DONE;
}

const struct cli_command cmd_version = {
    .name = "version",
    .arguments = "",
    .summary = "print the version",
    .run = run,
};
