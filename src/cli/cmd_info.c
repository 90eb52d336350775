/*
 * cmd_info.c: `earshot info`: what a model is made of, and what a run of it will need, before it
 * runs.
 *
 * Nothing is computed and no weight is read: the network runs on the plan backend (model/cost.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/configuration.h"
#include "cli/model_path.h"
#include "model/cost.h"
#include "model/param_file.h"

struct settings {
    char *model;
    int format;
    bool train, recompute;
    int64_t batch, beam, memory_mb;
};

enum { FORMAT_TEXT, FORMAT_JSON };
static const char *const formats[] = {"text", "json", NULL};

#define AT(field) offsetof(struct settings, field)

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, AT(model), 0, 0, NULL, "DIR",
     "model directory, training run or name of a bundled model (the bundled toy)"},
    {"format", 'f', OPTION_CHOICE, AT(format), 0, 0, formats, "FORMAT", "text or json"},
    {"batch", 0, OPTION_INT, AT(batch), 0, 65536, NULL, "N",
     "clips at once; 0: 1, or the configuration's batch_size with --train"},
    {"beam", 'b', OPTION_INT, AT(beam), 1, 256, NULL, "N", "beam width of captioning"},
    {"train", 0, OPTION_BOOL, AT(train), 0, 0, NULL, NULL,
     "memory of a training step instead of captioning"},
    {"recompute", 0, OPTION_BOOL, AT(recompute), 0, 0, NULL, NULL,
     "training with activations computed again in the backward pass"},
    {"memory_mb", 0, OPTION_INT, AT(memory_mb), 0, 1e9, NULL, "N",
     "training with as many blocks computed again as a step needs to fit so many megabytes"},
};

static const struct option_table table = {options, sizeof options / sizeof *options};

/* ---- what there is to say ---------------------------------------------------------------------
 */

enum part {
    PART_VIDEO,
    PART_AUDIO,
    PART_TEXT,
    PART_STREAMS,
    PART_FUSION,
    PART_DECODER,
    PART_COUNT
};

static const struct {
    const char *prefix; /* of the names of its parameters */
    const char *title;
} parts[PART_COUNT] = {
    {"video", "video encoder"}, {"audio", "audio encoder"}, {"text", "text encoder"},
    {"streams", "projections"}, {"fusion", "fusion"},       {"decoder", "decoder"},
};

struct facts {
    struct model_config config;
    struct cost_question question;
    struct model_cost cost;
    int64_t beam;
    int64_t parameters[PART_COUNT];
    const char *type; /* of the weights of products: "f32", "bf16", "int8", or "mixed" */
    size_t value_bytes;
};

/* In which types the model's file has its weights; only its list of tensors is read. */
static enum earshot_status find_types(struct facts *facts, struct params *params,
                                      const char *directory, struct earshot_error *error)
{
    char *path = directory ? str_format("%s/model.safetensors", directory) : NULL;
    enum earshot_status status = EARSHOT_OK;

    if (directory && !path)
        return error_memory(error, strlen(directory));
    if (path && file_exists(path))
        status = param_file_types(params, path, error);
    free(path);
    for (int i = 0; i < params_count(params); i++) {
        const struct param *param = params_at(params, i);
        const char *type = weight_type_name(param->low.type);

        if (param->product)
            facts->type = !facts->type || facts->type == type ? type : "mixed";
    }
    facts->value_bytes = params_bytes(params, false);
    return status;
}

/* directory: the model's, NULL where there is only a configuration. */
static enum earshot_status count_parameters(struct facts *facts, const char *directory,
                                            struct earshot_error *error)
{
    struct captioner *captioner;
    enum earshot_status status = captioner_new(&facts->config, &captioner, error);

    if (status != EARSHOT_OK)
        return status;
    status = find_types(facts, captioner->params, directory, error);
    for (int i = 0; i < params_count(captioner->params); i++) {
        const struct param *param = params_at(captioner->params, i);
        size_t length = strcspn(param->name, ".");

        for (int p = 0; p < PART_COUNT; p++)
            if (strlen(parts[p].prefix) == length &&
                strncmp(param->name, parts[p].prefix, length) == 0)
                facts->parameters[p] += param->elements;
    }
    captioner_free(captioner);
    return status;
}

static double caption_multiply_adds(const struct facts *facts)
{
    const struct model_cost *c = &facts->cost;
    double steps = (double)facts->config.decoder.max_length * (double)facts->beam;
    double sum = c->fusion_multiply_adds + steps * c->decoder_step_multiply_adds;

    for (int s = 0; s < STREAM_COUNT; s++)
        sum += c->encoder_multiply_adds[s];
    return sum;
}

/* ---- text -------------------------------------------------------------------------------------
 */

static void print_bytes(const char *title, size_t size_bytes)
{
    char text[32];

    if (size_bytes)
        printf("  %-22s %12s\n", title, str_bytes(text, (double)size_bytes));
}

static void print_work(const char *title, double multiply_adds)
{
    if (multiply_adds > 0)
        printf("  %-22s %10.4g G\n", title, multiply_adds * 1e-9);
}

static void print_text(const struct facts *facts)
{
    const struct model_config *c = &facts->config;
    const struct model_cost *cost = &facts->cost;
    bool lower = strcmp(facts->type, weight_type_name(WEIGHT_F32)) != 0;
    char text[32];

    printf("%s: clips of %g s", c->name, c->window_s);
    if (c->use_stream[STREAM_VIDEO])
        printf(", %" PRId64 " frames of %" PRId64 " x %" PRId64, c->video.frames, c->video.width,
               c->video.height);
    if (c->use_stream[STREAM_AUDIO])
        printf(", %g s of sound", (double)c->audio.frames / 100);
    if (c->use_stream[STREAM_TEXT])
        printf(", %" PRId64 " tokens of transcript", c->text.max_length);
    printf("\n\nparameters               %12" PRId64 "%s%s%s\n", cost->parameters,
           lower ? "  (weights of products in " : "", lower ? facts->type : "", lower ? ")" : "");
    for (int p = 0; p < PART_COUNT; p++)
        if (facts->parameters[p])
            printf("  %-22s %12" PRId64 "\n", parts[p].title, facts->parameters[p]);
    printf("\ntokens of a clip\n");
    for (int s = 0; s < STREAM_COUNT; s++)
        if (cost->tokens[s])
            printf("  %-22s %12" PRId64 "%s\n", stream_name((enum stream)s), cost->tokens[s],
                   s == STREAM_TEXT ? "  (the longest transcript)" : "");
    printf("\nmultiply-adds of a clip\n");
    for (int s = 0; s < STREAM_COUNT; s++)
        print_work(parts[PART_VIDEO + s].title, cost->encoder_multiply_adds[s]);
    print_work("fusion", cost->fusion_multiply_adds);
    print_work("decoder, one token", cost->decoder_step_multiply_adds);
    printf("  %-22s %10.4g G  (%" PRId64 " tokens, beam of %" PRId64 ")\n", "at most",
           caption_multiply_adds(facts) * 1e-9, c->decoder.max_length, facts->beam);
    if (facts->question.training) {
        printf("\nmemory of a training step of %" PRId64 " clips", facts->question.batch);
        if (cost->memory.checkpoint == GRAPH_CHECKPOINT_ALL)
            printf(", recomputing");
        else if (cost->memory.checkpoint)
            printf(", recomputing %" PRId64 " blocks", cost->memory.checkpoint);
        printf("\n");
    } else {
        printf("\nmemory of captioning, %" PRId64 " clips at once, beam of %" PRId64 "\n",
               facts->question.batch, facts->beam);
    }
    print_bytes(facts->question.training ? "weights and optimiser" : "weights",
                cost->parameter_bytes);
    print_bytes("activations", cost->memory.activation_bytes);
    print_bytes("their gradients", cost->memory.gradient_bytes);
    print_bytes("decoder cache", cost->cache_bytes);
    printf("  %-22s %12s  (and what media files need to be read)\n", "together",
           str_bytes(text, (double)model_cost_bytes(cost)));
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *json_tokens(const struct model_cost *c)
{
    return json_pack("{s:I, s:I, s:I}", "video", (json_int_t)c->tokens[STREAM_VIDEO], "audio",
                     (json_int_t)c->tokens[STREAM_AUDIO], "text",
                     (json_int_t)c->tokens[STREAM_TEXT]);
}

static json_t *json_work(const struct facts *facts)
{
    const struct model_cost *c = &facts->cost;
    const double *encoder = c->encoder_multiply_adds;

    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "video", encoder[STREAM_VIDEO], "audio",
                     encoder[STREAM_AUDIO], "text", encoder[STREAM_TEXT], "fusion",
                     c->fusion_multiply_adds, "decoder_token", c->decoder_step_multiply_adds,
                     "caption_at_most", caption_multiply_adds(facts));
}

static json_t *json_facts(const struct facts *facts)
{
    const struct model_cost *c = &facts->cost;
    json_t *parameters =
        json_pack("{s:I, s:s}", "total", (json_int_t)c->parameters, "type", facts->type);
    int failed = 0;

    for (int p = 0; p < PART_COUNT; p++)
        failed |= json_object_set_new(parameters, parts[p].prefix,
                                      json_integer((json_int_t)facts->parameters[p]));
    if (failed) {
        json_decref(parameters);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:{s:b, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:f}, s:o}",
                     "name", facts->config.name, "parameters", parameters, "tokens", json_tokens(c),
                     "multiply_adds", json_work(facts), "memory", "training",
                     facts->question.training, "batch", (json_int_t)facts->question.batch, "beam",
                     (json_int_t)facts->beam, "recompute", c->memory.checkpoint > 0,
                     "parameter_bytes", (json_int_t)c->parameter_bytes, "activation_bytes",
                     (json_int_t)c->memory.activation_bytes, "gradient_bytes",
                     (json_int_t)c->memory.gradient_bytes, "cache_bytes",
                     (json_int_t)c->cache_bytes, "total_bytes", (double)model_cost_bytes(c),
                     "configuration", options_write_json(model_config_table, &facts->config));
}

static enum earshot_status print_json(const struct facts *facts, struct earshot_error *error)
{
    json_t *root = json_facts(facts);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    enum earshot_status status = text ? EARSHOT_OK : error_memory(error, 4096);

    if (text)
        puts(text);
    free(text);
    json_decref(root);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------
 */

/* The configuration that argv names; flags that change it come later.  *path: of the model, if it
 * is one; malloc'd. */
static enum earshot_status read_model(int argc, char **argv, struct model_config *config,
                                      struct train_options *train, char **path,
                                      struct earshot_error *error)
{
    const char *model = configuration_peek(argc, argv, "model", 'm');
    enum earshot_status status;

    if (!model && (configuration_peek(argc, argv, "preset", 0) ||
                   configuration_peek(argc, argv, "config", 'c')))
        return configuration_read(argc, argv, config, train, error);
    status = model_path_find(model, path, error);
    return status == EARSHOT_OK ? captioner_read_config(*path, config, error) : status;
}

static int show(const struct settings *settings, const struct train_options *train,
                struct model_config *config, const char *directory)
{
    int64_t batch = settings->batch ? settings->batch : settings->train ? train->batch_size : 1;
    struct facts facts = {.config = *config,
                          .beam = settings->beam,
                          .question = train_options_question(train, batch)};
    struct earshot_error error = {0};
    enum earshot_status status = count_parameters(&facts, directory, &error);

    facts.question.rows = batch * settings->beam;
    facts.question.training = settings->train;
    if (settings->recompute)
        facts.question.checkpoint = GRAPH_CHECKPOINT_ALL;
    if (settings->memory_mb)
        facts.question.limit_bytes = (size_t)settings->memory_mb * 1000000;

    if (status == EARSHOT_OK)
        status = model_cost(&facts.config, &facts.question, &facts.cost, &error);
    if (!settings->train)
        facts.cost.parameter_bytes = facts.value_bytes;
    if (status == EARSHOT_OK && settings->format == FORMAT_JSON)
        status = print_json(&facts, &error);
    else if (status == EARSHOT_OK)
        print_text(&facts);
    return status == EARSHOT_OK ? CLI_DONE : cli_fail(&error);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct train_options train = train_options_default;
    struct settings settings = {.beam = 4};
    struct configuration configuration = {0};
    struct model_config model = {0};
    const struct option_binding binding[] = {
        {table, &settings}, {configuration_table, &configuration}, {model_config_table, &model}};
    struct earshot_error error = {0};
    char *directory = NULL;
    enum earshot_status status = read_model(argc, argv, &model, &train, &directory, &error);
    struct cli_flags flags;
    int count, exit_code;

    if (cli_begin(command, binding, 3, argc, argv, &flags, &count, &exit_code)) {
        if (count > 0)
            exit_code = cli_usage_error(command,
                                        "unexpected argument '%s'; a model is named with "
                                        "-m, a preset with --preset",
                                        argv[1]);
        else if (settings.model && (configuration.preset || configuration.config))
            exit_code = cli_usage_error(command, "give -m, or --preset and --config, not both");
        else if (status != EARSHOT_OK)
            exit_code = cli_fail(&error);
        else
            exit_code = show(&settings, &train, &model, directory);
    }
    options_free(table, &settings);
    options_free(configuration_table, &configuration);
    train_options_free(&train);
    model_config_free(&model);
    free(directory);
    return exit_code;
}

const struct cli_command cmd_info = {
    .name = "info",
    .arguments = "[-m MODEL | --preset NAME | --config FILE] [OPTIONS]",
    .summary = "say what a model is made of and what it needs",
    .details = "No weight is read and nothing is computed. Any part of the model can be changed "
               "with a flag, to see what\nit would cost.\n",
    .run = run,
};
