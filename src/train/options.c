/* options.c: the table of a training run.  See options.h. */
#include "train/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define CONFIG_LIMIT_BYTES ((size_t)1 << 20)

static const char *const schedules[] = {"constant", "linear", "cosine", NULL};
static const char *const balances[] = {"none",           "fixed",         "mbp",
                                       "gblend-offline", "gblend-online", NULL};

static const char *const text_inputs[] = {"caption", "pnc", "all", NULL};

#define AT(field) offsetof(struct train_options, field)

static const struct option options[] = {
    {"data", 0, OPTION_STRING, AT(data), 0, 0, NULL, "FILE", "manifest to learn from"},
    {"out", 'o', OPTION_STRING, AT(out), 0, 0, NULL, "DIR", "folder of the run"},
    {"validation", 0, OPTION_STRING, AT(validation), 0, 0, NULL, "FILE",
     "manifest to measure the loss on"},
    {"vocabulary", 0, OPTION_STRING, AT(vocabulary), 0, 0, NULL, "FILE",
     "WordPiece vocabulary; vocab.txt beside the manifest if not given"},
    {"init", 0, OPTION_STRING, AT(init), 0, 0, NULL, "DIR",
     "model directory to start from; or PART=DIR,...: only video, audio, text, fusion, decoder"},
    {"rate_video", 0, OPTION_FLOAT, AT(rate[STREAM_VIDEO]), 0, 1e6, NULL, "X",
     "factor of the learning rate for the video encoder; 0: frozen"},
    {"rate_audio", 0, OPTION_FLOAT, AT(rate[STREAM_AUDIO]), 0, 1e6, NULL, "X",
     "for the audio encoder"},
    {"rate_text", 0, OPTION_FLOAT, AT(rate[STREAM_TEXT]), 0, 1e6, NULL, "X",
     "for the text encoder"},
    {"rate_fusion", 0, OPTION_FLOAT, AT(rate[CAPTIONER_FUSION]), 0, 1e6, NULL, "X",
     "for the cross-modal encoder"},
    {"rate_decoder", 0, OPTION_FLOAT, AT(rate[CAPTIONER_DECODER]), 0, 1e6, NULL, "X",
     "for the decoder"},
    {"caption_weight", 0, OPTION_FLOAT, AT(objective_weight[OBJECTIVE_CAPTION]), 0, 1e6, NULL, "X",
     "weight of the captions' loss; 0: they are not learned"},
    {"pcc_weight", 0, OPTION_FLOAT, AT(objective_weight[OBJECTIVE_PCC]), 0, 1e6, NULL, "X",
     "weight of predicting the current clip's words (its transcript)"},
    {"pnc_weight", 0, OPTION_FLOAT, AT(objective_weight[OBJECTIVE_PNC]), 0, 1e6, NULL, "X",
     "weight of predicting the next clip's words"},
    {"balance", 0, OPTION_CHOICE, AT(balance), 0, 0, balances, "KIND",
     "weights of the mono-modal losses: none, fixed, mbp, gblend-offline, gblend-online"},
    {"balance_start", 0, OPTION_FLOAT, AT(balance_start), 0, 1e6, NULL, "X",
     "fixed, mbp: the weights at first"},
    {"balance_shared", 0, OPTION_BOOL, AT(balance_shared), 0, 0, NULL, NULL,
     "mbp: one set of weights for all objectives, from the sums of their losses"},
    {"mbp_alpha", 0, OPTION_FLOAT, AT(mbp_alpha), 0, 1e12, NULL, "X",
     "mbp: how sharply the weights follow the index"},
    {"mbp_beta", 0, OPTION_FLOAT, AT(mbp_beta), 0, 1, NULL, "X",
     "mbp: what stays of the weights from step to step"},
    {"index_smoothing", 0, OPTION_FLOAT, AT(index_smoothing), 0, 0.999999, NULL, "X",
     "mbp: what stays of the losses that enter the index; 0: the step's own"},
    {"gblend_holdout", 0, OPTION_FLOAT, AT(gblend_holdout), 0, 0.9, NULL, "X",
     "gblend: fraction of the videos kept out of training to measure overfitting on"},
    {"gblend_steps", 0, OPTION_INT, AT(gblend_steps), 1, 1e12, NULL, "N",
     "gblend-offline: steps after which the weights are estimated"},
    {"gblend_every", 0, OPTION_INT, AT(gblend_every), 1, 1e12, NULL, "N",
     "gblend-online: steps between estimates"},
    {"steps", 0, OPTION_INT, AT(steps), 1, 1e12, NULL, "N", "optimiser steps"},
    {"batch_size", 0, OPTION_INT, AT(batch_size), 1, 65536, NULL, "N", "clips a step"},
    {"learning_rate", 0, OPTION_FLOAT, AT(learning_rate), 0, 100, NULL, "X", "peak learning rate"},
    {"final_rate", 0, OPTION_FLOAT, AT(final_rate), 0, 1, NULL, "X",
     "fraction of the peak left at the end"},
    {"warmup", 0, OPTION_INT, AT(warmup), 0, 1e12, NULL, "N", "steps of linear warm-up"},
    {"schedule", 0, OPTION_CHOICE, AT(schedule), 0, 0, schedules, "KIND",
     "decay after warm-up: constant, linear, cosine"},
    {"weight_decay", 0, OPTION_FLOAT, AT(weight_decay), 0, 100, NULL, "X",
     "AdamW's decoupled weight decay"},
    {"beta1", 0, OPTION_FLOAT, AT(beta1), 0, 0.999999, NULL, "X", "AdamW's first-moment decay"},
    {"beta2", 0, OPTION_FLOAT, AT(beta2), 0, 0.999999, NULL, "X", "AdamW's second-moment decay"},
    {"epsilon", 0, OPTION_FLOAT, AT(epsilon), 0, 1, NULL, "X", "AdamW's epsilon"},
    {"clip_norm", 0, OPTION_FLOAT, AT(clip_norm), 0, 1e9, NULL, "X",
     "largest global gradient norm; 0: no clipping"},
    {"label_smoothing", 0, OPTION_FLOAT, AT(label_smoothing), 0, 0.99, NULL, "X",
     "label smoothing of the token cross-entropy"},
    {"text_input", 0, OPTION_CHOICE, AT(text_input), 0, 0, text_inputs, "WHICH",
     "what may be learned with the transcript as input: captions, pnc too, or all (pcc: the answer "
     "is in the input)"},
    {"stream_dropout", 0, OPTION_FLOAT, AT(stream_dropout), 0, 1, NULL, "P",
     "probability that a clip with several streams loses one of them for a step"},
    {"seed", 0, OPTION_INT, AT(seed), 0, 9e15, NULL, "N", "of weights, order and dropout"},
    {"threads", 0, OPTION_INT, AT(threads), 0, 1024, NULL, "N",
     "threads of the network; 0: all processors"},
    {"loader_threads", 0, OPTION_INT, AT(loader_threads), 1, 64, NULL, "N",
     "threads that decode media"},
    {"cache_mb", 0, OPTION_INT, AT(cache_mb), 0, 1e9, NULL, "N",
     "megabytes of decoded clips kept, in memory or in cache_dir"},
    {"cache_dir", 0, OPTION_STRING, AT(cache_dir), 0, 0, NULL, "DIR",
     "folder that runs share for decoded clips, instead of memory"},
    {"checkpoint_every", 0, OPTION_INT, AT(checkpoint_every), 1, 1e12, NULL, "N",
     "steps between checkpoints"},
    {"keep", 0, OPTION_INT, AT(keep), 1, 1e6, NULL, "N", "newest checkpoints kept"},
    {"validate_every", 0, OPTION_INT, AT(validate_every), 1, 1e12, NULL, "N",
     "steps between validations"},
    {"recompute", 0, OPTION_BOOL, AT(recompute), 0, 0, NULL, NULL,
     "run blocks again in the backward pass instead of keeping their activations"},
    {"memory_mb", 0, OPTION_INT, AT(memory_mb), 0, 1e9, NULL, "N",
     "megabytes for weights, optimiser and a step: as many blocks recompute as need be; 0: no "
     "limit"},
    {"resume", 0, OPTION_BOOL, AT(resume), 0, 0, NULL, NULL,
     "continue from the newest checkpoint of the run"},
};

const struct option_table train_option_table = {options, sizeof options / sizeof options[0]};

/* A part without a default rate would be frozen. */
_Static_assert(CAPTIONER_PARTS == 5, "every part has a rate_... option and a default");

const struct train_options train_options_default = {
    .rate = {[STREAM_VIDEO] = 1,
             [STREAM_AUDIO] = 1,
             [STREAM_TEXT] = 1,
             [CAPTIONER_FUSION] = 1,
             [CAPTIONER_DECODER] = 1},
    .objective_weight = {[OBJECTIVE_CAPTION] = 1},
    .balance_start = 0.5,
    .mbp_alpha = 1,
    .mbp_beta = 0.99,
    .gblend_holdout = 0.1,
    .gblend_steps = 100,
    .gblend_every = 100,
    .steps = 1000,
    .batch_size = 32,
    .warmup = 100,
    .learning_rate = 1e-3,
    .final_rate = 0.01,
    .schedule = 2,
    .weight_decay = 0.05,
    .beta1 = 0.9,
    .beta2 = 0.98,
    .epsilon = 1e-8,
    .clip_norm = 1,
    .label_smoothing = 0.1,
    .seed = 1,
    .loader_threads = 2,
    .cache_mb = 4096,
    .checkpoint_every = 500,
    .keep = 2,
    .validate_every = 500,
};

/* The part that "PART=..." names; -1: it is not of that form. */
static int named_part(const char *text)
{
    for (int part = 0; part < CAPTIONER_PARTS; part++) {
        size_t length = strlen(captioner_part_name(part));

        if (strncmp(text, captioner_part_name(part), length) == 0 && text[length] == '=')
            return part;
    }
    return -1;
}

static enum earshot_status add_source(const char *text, int part, unsigned *taken,
                                      struct train_source *source, struct earshot_error *error)
{
    const char *directory = text + strlen(captioner_part_name(part)) + 1;
    int length = (int)strcspn(directory, ",");

    if (*taken & CAPTIONER_PART_BIT(part))
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "init: '%s' is there twice",
                         captioner_part_name(part));
    if (length == 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "init: no directory after '%s='",
                         captioner_part_name(part));
    *taken |= source->parts = CAPTIONER_PART_BIT(part);
    source->directory = str_format("%.*s", length, directory);
    return source->directory ? EARSHOT_OK : error_memory(error, (size_t)length);
}

enum earshot_status train_options_sources(const struct train_options *train,
                                          struct train_source source[CAPTIONER_PARTS], int *count,
                                          struct earshot_error *error)
{
    const char *text = train->init;
    enum earshot_status status = EARSHOT_OK;
    unsigned taken = 0;

    for (int i = 0; i < CAPTIONER_PARTS; i++)
        source[i] = (struct train_source){0};
    *count = 0;
    if (!text)
        return EARSHOT_OK;
    if (named_part(text) < 0) {
        source[(*count)++] = (struct train_source){str_format("%s", text), CAPTIONER_ALL_PARTS};
        return source[0].directory ? EARSHOT_OK : error_memory(error, strlen(text));
    }
    while (*text && status == EARSHOT_OK) {
        int part = named_part(text);

        if (part < 0)
            return error_set(
                error, EARSHOT_ERROR_ARGUMENT,
                "init: '%s' does not start with a part: expected video=DIR, audio=DIR, "
                "text=DIR, fusion=DIR or decoder=DIR, with commas between them",
                text);
        status = add_source(text, part, &taken, &source[(*count)++], error);
        text += strcspn(text, ",");
        text += *text == ',';
    }
    return status;
}

struct cost_question train_options_question(const struct train_options *train, int64_t batch)
{
    struct cost_question question = {.batch = batch,
                                     .training = true,
                                     .mono = balance_trains_mono((enum balance_kind)train->balance),
                                     .checkpoint = train->recompute ? GRAPH_CHECKPOINT_ALL : 0,
                                     .limit_bytes = (size_t)train->memory_mb * 1000000};

    for (int o = 0; o < OBJECTIVE_COUNT; o++)
        question.texts += train->objective_weight[o] != 0;
    for (int part = 0; part < CAPTIONER_PARTS; part++)
        question.frozen |= train->rate[part] == 0 ? CAPTIONER_PART_BIT(part) : 0;
    return question;
}

unsigned train_text_input(const struct train_options *train)
{
    static const unsigned masks[] = {OBJECTIVE_BIT(OBJECTIVE_CAPTION),
                                     OBJECTIVE_BIT(OBJECTIVE_CAPTION) |
                                         OBJECTIVE_BIT(OBJECTIVE_PNC),
                                     OBJECTIVE_BIT(OBJECTIVE_COUNT) - 1};

    return masks[train->text_input];
}

void train_options_free(struct train_options *train)
{
    options_free(train_option_table, train);
}

static enum earshot_status read_parts(json_t *root, struct model_config *model,
                                      struct train_options *train, struct earshot_error *error)
{
    const char *preset = json_string_value(json_object_get(root, "preset"));
    enum earshot_status status = EARSHOT_OK;
    const char *key;
    json_t *value;

    json_object_foreach(root, key, value)
    {
        if (strcmp(key, "preset") != 0 && strcmp(key, "model") != 0 && strcmp(key, "train") != 0)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "unknown key \"%s\": expected \"preset\", \"model\", \"train\"", key);
    }
    if (preset) {
        model_config_free(model);
        status = model_config_preset(preset, model, error);
    }
    if (status == EARSHOT_OK && json_object_get(root, "model"))
        status =
            options_read_json(model_config_table, model, json_object_get(root, "model"), error);
    if (status == EARSHOT_OK && json_object_get(root, "train"))
        status =
            options_read_json(train_option_table, train, json_object_get(root, "train"), error);
    return status;
}

enum earshot_status train_config_read(const char *path, struct model_config *model,
                                      struct train_options *train, struct earshot_error *error)
{
    json_error_t problem;
    char *text;
    json_t *root;
    enum earshot_status status = file_read_text(path, CONFIG_LIMIT_BYTES, &text, NULL, error);

    if (status != EARSHOT_OK)
        return status;
    root = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    free(text);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s:%d: expected a JSON object: %s", path,
                         problem.line, problem.text);
    }
    status = read_parts(root, model, train, error);
    json_decref(root);
    return status == EARSHOT_OK ? status : error_context(error, "%s", path);
}
