/*
 * cmd_quantize.c: `earshot quantize`: a model in lower precision, and what that costs in captions.
 * The work is model/quantize.h's and train/logits.h's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/captioning.h"
#include "cli/cli.h"
#include "cli/eval.h"
#include "cli/model_path.h"
#include "model/quantize.h"
#include "train/logits.h"

struct settings {
    char *model, *out, *check;
    int to, format;
    int64_t beam, threads;
};

enum { TO_BF16, TO_INT8 };
static const char *const types[] = {"bf16", "int8", NULL};
enum { FORMAT_TEXT, FORMAT_JSON };
static const char *const formats[] = {"text", "json", NULL};

#define AT(field) offsetof(struct settings, field)

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, AT(model), 0, 0, NULL, "DIR",
     "model directory, training run or name of a bundled model (the bundled toy)"},
    {"to", 0, OPTION_CHOICE, AT(to), 0, 0, types, "TYPE",
     "of the weights of products: bf16 (half the bytes) or int8 (a quarter)"},
    {"out", 'o', OPTION_STRING, AT(out), 0, 0, NULL, "DIR", "folder to write the model to"},
    {"check", 0, OPTION_STRING, AT(check), 0, 0, NULL, "MANIFEST",
     "caption its clips with both models: CIDEr-D of each, and how far their logits are apart"},
    {"beam", 'b', OPTION_INT, AT(beam), 1, 256, NULL, "N", "beam width of these captions"},
    {"threads", 't', OPTION_INT, AT(threads), 0, 1024, NULL, "N",
     "threads of the network; 0: all processors"},
    {"format", 'f', OPTION_CHOICE, AT(format), 0, 0, formats, "FORMAT", "text or json"},
};

static const struct option_table table = {options, sizeof options / sizeof *options};

/* ---- the check --------------------------------------------------------------------------------
 */

struct check {
    double cider[2]; /* of the model as it was, and in lower precision */
    size_t clips;
    struct logits_difference logits;
};

static enum earshot_status score(const struct settings *settings, char *model, double *cider,
                                 size_t *clips, struct earshot_error *error)
{
    const struct evaluation_options metric = {.metrics = EARSHOT_METRIC_CIDER};
    struct captioning_options captioning = captioning_options_default();
    struct eval_run run = {.references_path = settings->check};
    enum earshot_status status =
        annotations_read_file(&run.references, run.references_path, NULL, error);

    captioning.model = model;
    captioning.beam = settings->beam;
    captioning.threads = settings->threads;
    if (status == EARSHOT_OK)
        status = eval_caption(&run, &captioning, settings->check, false, error);
    if (status == EARSHOT_OK)
        status = eval_match(&run, false, error);
    if (status == EARSHOT_OK)
        status = eval_score(&run, &metric, error);
    if (status == EARSHOT_OK) {
        *cider = run.evaluation.column[0].corpus;
        *clips = run.pair_count;
    }
    eval_free(&run);
    return status;
}

static enum earshot_status run_check(const struct settings *settings, char *model,
                                     struct check *check, struct earshot_error *error)
{
    char *const side[2] = {model, settings->out};
    enum earshot_status status =
        logits_compare(model, settings->out, settings->check, (int)settings->threads,
                       cli_interrupted, &check->logits, error);

    for (int i = 0; i < 2 && status == EARSHOT_OK; i++)
        status = score(settings, side[i], &check->cider[i], &check->clips, error);
    return status;
}

/* ---- results ----------------------------------------------------------------------------------
 */

static void print_text(const struct settings *settings, const struct quantize_result *result,
                       const struct check *check)
{
    char from[32], to[32];

    printf("%s: %" PRId64 " of %" PRId64 " parameters are %s; %s instead of %s\n", settings->out,
           result->lowered, result->parameters, types[settings->to],
           str_bytes(to, (double)result->to_bytes), str_bytes(from, (double)result->from_bytes));
    if (!settings->check)
        return;
    printf("\nCIDEr-D of %zu clips\n  %-22s %12.4f\n  %-22s %12.4f  (%+.4f)\n", check->clips,
           "as it was", check->cider[0], types[settings->to], check->cider[1],
           check->cider[1] - check->cider[0]);
    printf("\nlogits at %" PRId64 " places of %" PRId64 " captions\n", check->logits.places,
           check->logits.clips);
    printf("  %-22s %12.4g\n", "largest difference", check->logits.largest);
    printf("  %-22s %12.4g\n", "mean difference", check->logits.mean);
    printf("  %-22s %12.4g\n", "largest logit", check->logits.scale);
    printf("  %-22s %12.4f\n", "same likeliest word", check->logits.same_best);
}

static enum earshot_status print_json(const struct settings *settings,
                                      const struct quantize_result *result,
                                      const struct check *check, struct earshot_error *error)
{
    json_t *root =
        json_pack("{s:o, s:s, s:I, s:I, s:I, s:I}", "model", json_text(settings->out), "to",
                  types[settings->to], "parameters", (json_int_t)result->parameters, "lowered",
                  (json_int_t)result->lowered, "from_bytes", (json_int_t)result->from_bytes,
                  "to_bytes", (json_int_t)result->to_bytes);
    json_t *checked =
        settings->check
            ? json_pack("{s:I, s:{s:f, s:f}, s:{s:I, s:f, s:f, s:f, s:f}}", "clips",
                        (json_int_t)check->clips, "cider_d", "f32", check->cider[0],
                        types[settings->to], check->cider[1], "logits", "places",
                        (json_int_t)check->logits.places, "max_difference", check->logits.largest,
                        "mean_difference", check->logits.mean, "max", check->logits.scale,
                        "same_likeliest", check->logits.same_best)
            : json_null();
    char *text = NULL;

    if (root && checked && json_object_set_new(root, "check", checked) == 0)
        text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    if (!text)
        return error_memory(error, 4096);
    puts(text);
    free(text);
    return EARSHOT_OK;
}

/* ---- the command ------------------------------------------------------------------------------
 */

static int quantize(const struct settings *settings)
{
    struct quantize_result result;
    struct earshot_error error = {0};
    struct check check = {0};
    char *model = NULL;
    enum earshot_status status = model_path_find(settings->model, &model, &error);

    if (status == EARSHOT_OK)
        status = quantize_model(model, settings->to == TO_BF16 ? WEIGHT_BF16 : WEIGHT_I8,
                                settings->out, &result, &error);
    if (status == EARSHOT_OK && settings->check)
        status = run_check(settings, model, &check, &error);
    free(model);
    if (status == EARSHOT_OK && settings->format == FORMAT_JSON)
        status = print_json(settings, &result, &check, &error);
    else if (status == EARSHOT_OK)
        print_text(settings, &result, &check);
    return status == EARSHOT_OK ? CLI_DONE : cli_fail(&error);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct settings settings = {.beam = 4};
    const struct option_binding binding[] = {{table, &settings}};
    struct cli_flags flags;
    int positional, exit_code;

    if (cli_begin(command, binding, 1, argc, argv, &flags, &positional, &exit_code)) {
        if (positional)
            exit_code = cli_usage_error(
                command, "unexpected argument '%s'; a model is named with -m", argv[1]);
        else if (!settings.out)
            exit_code = cli_usage_error(command, "--out is needed");
        else
            exit_code = quantize(&settings);
    }
    options_free(table, &settings);
    return exit_code;
}

const struct cli_command cmd_quantize = {
    .name = "quantize",
    .arguments = "[-m MODEL] [--to bf16|int8] --out DIR [--check MANIFEST]",
    .summary = "write a model with weights in lower precision, for running it",
    .details =
        "The result is smaller and faster and is used like any model, but cannot be trained or\n"
        "exported.  --check says what it costs.\n",
    .run = run,
};
