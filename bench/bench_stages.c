/*
 * bench_stages.c: the stages of captioning and of training, and both whole.
 *
 *     bench_stages [-p PRESET] [-b BATCH] [-l TOKENS] [-t THREADS] [-r RUNS] [-d DIRECTORY]
 *                  [-q bf16|int8] [SUBJECT ...]
 *
 * Standard: small, one clip, captions of 20 tokens, all threads, 3 runs, build/bench/data (where a
 * model of the preset and a clip are made when they are missing), every subject that is a stage
 * (subject.h).  Beam of 4.  For PRESET a configuration file of `earshot train` will do (its name
 * then ends in .json); there is no model directory of it, so name the subjects, other than search
 * and caption.  With -q the model is one of lower precision, and cannot train.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "bench.h"
#include "fixture.h"
#include "model/quantize.h"
#include "subject.h"
#include "train/options.h"

enum { BEAMS = 4, TOKENS = 20 };

struct arguments {
    const char *preset, *directory;
    enum weight_type type;
    int runs;
    struct subject_setup setup;
    struct model_config config;
    char *model, *clip;
};

static enum earshot_status measure(struct bench *bench, const struct arguments *arguments,
                                   const char *name, struct earshot_error *error)
{
    bool low = arguments->type != WEIGHT_F32;
    char *label = str_format("%s%s%s.b%lld.%s", arguments->config.name, low ? "-" : "",
                             low ? weight_type_name(arguments->type) : "",
                             (long long)arguments->setup.batch, name);
    struct subject *subject = NULL;
    struct bench_figure figure;
    enum earshot_status status = label ? subject_open(name, &arguments->setup, &subject, error)
                                       : error_memory(error, strlen(name));

    if (status == EARSHOT_OK)
        status = bench_measure(bench, arguments->runs, subject_run, subject, &figure, error);
    if (status == EARSHOT_OK)
        bench_print(bench, label, &figure, subject_operations(subject));
    subject_close(subject);
    free(label);
    return status;
}

static enum earshot_status read_config(struct arguments *a, struct earshot_error *error)
{
    bool is_file = str_ends_with(a->preset, ".json");
    struct train_options unused = train_options_default;
    enum earshot_status status =
        model_config_preset(is_file ? "toy" : a->preset, &a->config, error);

    if (status != EARSHOT_OK || !is_file)
        return status;
    status = train_config_read(a->preset, &a->config, &unused, error);
    train_options_free(&unused);
    return status;
}

/* The model of the preset once more, in lower precision. */
static enum earshot_status lower(struct arguments *a, struct earshot_error *error)
{
    char *low = str_format("%s/%s-%s", a->directory, a->preset, weight_type_name(a->type));
    char *last = low ? str_format("%s/config.json", low) : NULL;
    struct quantize_result result;
    enum earshot_status status = last ? EARSHOT_OK : error_memory(error, 1);

    if (status == EARSHOT_OK && !file_exists(last))
        status = quantize_model(a->model, a->type, low, &result, error);
    free(last);
    free(a->model);
    a->setup.model = a->model = low;
    return status;
}

static enum earshot_status prepare(struct arguments *a, struct earshot_error *error)
{
    enum earshot_status status = read_config(a, error);

    if (status != EARSHOT_OK)
        return status;
    a->setup.config = &a->config;
    a->clip = str_format("%s/clip.mp4", a->directory);
    status = a->clip ? file_make_directories(a->directory, error) : error_memory(error, 1);
    if (status == EARSHOT_OK)
        status = fixture_clip(a->clip, error);
    a->setup.clip = a->clip;
    if (status != EARSHOT_OK || str_ends_with(a->preset, ".json"))
        return status;
    a->setup.model = a->model = str_format("%s/%s", a->directory, a->preset);
    status = a->model ? fixture_model(&a->config, a->model, error) : error_memory(error, 1);
    return status == EARSHOT_OK && a->type != WEIGHT_F32 ? lower(a, error) : status;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    int option;

    while ((option = getopt(argc, argv, "p:b:l:t:r:d:q:")) != -1)
        if (option == 'p')
            a->preset = optarg;
        else if (option == 'b')
            a->setup.batch = atoi(optarg);
        else if (option == 'l')
            a->setup.tokens = atoi(optarg);
        else if (option == 't')
            a->setup.threads = atoi(optarg);
        else if (option == 'r')
            a->runs = atoi(optarg);
        else if (option == 'd')
            a->directory = optarg;
        else if (option == 'q' && strcmp(optarg, "bf16") == 0)
            a->type = WEIGHT_BF16;
        else if (option == 'q' && strcmp(optarg, "int8") == 0)
            a->type = WEIGHT_I8;
        else
            return false;
    return a->setup.batch > 0 && a->setup.tokens > 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.preset = "small",
                                  .directory = "build/bench/data",
                                  .runs = 3,
                                  .setup = {.batch = 1, .beams = BEAMS, .tokens = TOKENS}};
    struct earshot_error error = {0};
    struct bench bench = {0};
    enum earshot_status status;

    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr,
                "usage: %s [-p PRESET] [-b BATCH] [-l TOKENS] [-t THREADS] [-r RUNS] "
                "[-d DIRECTORY] [-q bf16|int8] [SUBJECT ...]\n",
                argv[0]);
        return 2;
    }
    status = prepare(&arguments, &error);
    if (status == EARSHOT_OK)
        status = bench_open(&bench, arguments.setup.threads, NULL, &error);
    for (int i = optind; i < argc && status == EARSHOT_OK; i++)
        status = measure(&bench, &arguments, argv[i], &error);
    for (int i = 0; optind == argc && subject_stages[i] && status == EARSHOT_OK; i++)
        status = measure(&bench, &arguments, subject_stages[i], &error);
    bench_close(&bench);
    model_config_free(&arguments.config);
    free(arguments.model);
    free(arguments.clip);
    return status == EARSHOT_OK ? 0 : bench_complain("bench_stages", &error);
}
