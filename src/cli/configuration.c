/* configuration.c: --config and --preset.  See configuration.h. */
#include "cli/configuration.h"

#include <string.h>

static const struct option options[] = {
    {"config", 'c', OPTION_STRING, offsetof(struct configuration, config), 0, 0, NULL, "FILE",
     "JSON with \"preset\", \"model\" and \"train\"; flags win over it"},
    {"preset", 0, OPTION_STRING, offsetof(struct configuration, preset), 0, 0, NULL, "NAME",
     "start from toy, small or base; the file wins over it"},
};

const struct option_table configuration_table = {options, sizeof options / sizeof *options};

const char *configuration_peek(int argc, char **argv, const char *key, char letter)
{
    size_t length = strlen(key);

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *a = argv[i];
        bool is_key = strncmp(a, "--", 2) == 0 && strncmp(a + 2, key, length) == 0;

        if (i + 1 < argc && ((is_key && a[2 + length] == '\0') ||
                             (letter && a[0] == '-' && a[1] == letter && a[2] == '\0')))
            return argv[i + 1];
        if (is_key && a[2 + length] == '=')
            return a + length + 3;
        if (letter && a[0] == '-' && a[1] == letter && a[2] != '\0')
            return a + 2;
    }
    return NULL;
}

enum earshot_status configuration_read(int argc, char **argv, struct model_config *model,
                                       struct train_options *train, struct earshot_error *error)
{
    const char *preset = configuration_peek(argc, argv, "preset", 0);
    const char *config = configuration_peek(argc, argv, "config", 'c');
    enum earshot_status status = model_config_preset(preset ? preset : "toy", model, error);

    if (status == EARSHOT_OK && config)
        status = train_config_read(config, model, train, error);
    return status;
}
