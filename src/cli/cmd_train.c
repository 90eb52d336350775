/* cmd_train.c: `earshot train`: a model from a manifest.  The work is train/trainer.h's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "train/trainer.h"

struct settings {
    char *config, *preset;
};

static const struct option settings_options[] = {
    {"config", 'c', OPTION_STRING, offsetof(struct settings, config), 0, 0, NULL, "FILE",
     "JSON with \"preset\", \"model\" and \"train\"; flags win over it"},
    {"preset", 0, OPTION_STRING, offsetof(struct settings, preset), 0, 0, NULL, "NAME",
     "start from toy, small or base; the file wins over it"},
};

static const struct option_table settings_table = {
    settings_options, sizeof settings_options / sizeof settings_options[0]};

static void show(void *context, const struct train_progress *p)
{
    char detail[160];
    int used;

    (void)context;
    if (p->note) {
        log_message(LOG_INFO, "%s", p->note);
        return;
    }
    used = snprintf(detail, sizeof detail, "loss %.4f, %.1f clips/s", p->smoothed_loss,
                    p->clips_per_s);
    if (p->skipped && used < (int)sizeof detail)
        used += snprintf(detail + used, sizeof detail - (size_t)used, ", %lld skipped",
                         (long long)p->skipped);
    if (p->unreadable && used < (int)sizeof detail)
        snprintf(detail + used, sizeof detail - (size_t)used, ", %lld clips unreadable",
                 (long long)p->unreadable);
    progress_update((double)p->step, detail);
}

static bool stop(void *context)
{
    (void)context;
    return cli_interrupted();
}

/* The value of --KEY VALUE or --KEY=VALUE, before the real parsing: the file has to be read first so
 * that flags can win over it. */
static const char *peek(int argc, char **argv, const char *key)
{
    size_t length = strlen(key);

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], key) == 0 && i + 1 < argc)
            return argv[i + 1];
        if (strncmp(argv[i], key, length) == 0 && argv[i][length] == '=')
            return argv[i] + length + 1;
    }
    return NULL;
}

static enum earshot_status read_settings(int argc, char **argv, struct model_config *model,
                                         struct train_options *train, struct earshot_error *error)
{
    const char *preset = peek(argc, argv, "--preset"), *config = peek(argc, argv, "--config");
    enum earshot_status status = model_config_preset(preset ? preset : "toy", model, error);

    if (!config)
        config = peek(argc, argv, "-c");
    if (status == EARSHOT_OK && config)
        status = train_config_read(config, model, train, error);
    return status;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct train_options train = train_options_default;
    struct model_config model = {0};
    struct settings settings = {0};
    const struct option_binding binding[] = {{settings_table, &settings},
                                             {train_option_table, &train},
                                             {model_config_table, &model}};
    const struct train_callbacks callbacks = {.progress = show, .cancelled = stop};
    struct earshot_error error = {0};
    struct cli_flags flags;
    int positional, exit_code;

    if (read_settings(argc, argv, &model, &train, &error) != EARSHOT_OK)
        exit_code = cli_usage_error(command, "%s", error.message);
    else if (cli_begin(command, binding, 3, argc, argv, &flags, &positional, &exit_code)) {
        exit_code = CLI_DONE;
        if (positional)
            exit_code = cli_usage_error(command, "unexpected argument '%s'", argv[1]);
        else if (!train.data || !train.out)
            exit_code = cli_usage_error(command, "--data and --out are needed");
        if (exit_code == CLI_DONE) {
            progress_start("training", "steps", 0, (double)train.steps);
            if (train_run(&train, &model, &callbacks, &error) != EARSHOT_OK) {
                progress_finish(true);
                exit_code = cli_fail(&error);
            } else {
                progress_finish(true);
                log_message(LOG_INFO, "the model is in %s/model", train.out);
            }
        }
    }
    options_free(settings_table, &settings);
    train_options_free(&train);
    model_config_free(&model);
    return exit_code;
}

const struct cli_command cmd_train = {
    .name = "train",
    .arguments = "[--config FILE] --data MANIFEST --out DIR [--resume]",
    .summary = "learn to caption from a manifest of clips",
    .details = "Ctrl-C saves a checkpoint and leaves with 130; --resume continues to the same "
               "weights\nthat an uninterrupted run would have reached.\n",
    .run = run,
};
