/*
 * configuration.h: the flags --config and --preset, for commands that take a model's options.
 *
 * What they name has to be read before the flags are parsed, so that flags win over it.
 */
#ifndef EARSHOT_CLI_CONFIGURATION_H
#define EARSHOT_CLI_CONFIGURATION_H

#include "train/options.h"

struct configuration {
    char *config, *preset;
};

extern const struct option_table configuration_table;

/* The value of --KEY VALUE, --KEY=VALUE or -L VALUE in argv, not yet parsed; NULL if it is not
 * there.  letter may be 0. */
const char *configuration_peek(int argc, char **argv, const char *key, char letter);

/* Fills *model from the preset ("toy" without one), then both from the file, if argv names one. */
enum earshot_status configuration_read(int argc, char **argv, struct model_config *model,
                                       struct train_options *train, struct earshot_error *error);

#endif
