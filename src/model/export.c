/* export.c: encoders under published names.  See export.h. */
#include "model/export.h"

#include <stdlib.h>
#include <string.h>

#include "base/directory.h"
#include "base/file.h"
#include "base/str.h"
#include "model/captioner.h"
#include "model/heads.h"
#include "model/layers.h"
#include "weights/names.h"

/* A model opened for reading: its tensors lie mapped. */
struct export_source {
    struct model_config config;
    struct tensor_file *weights, *heads;
    struct tensor_entry *entry; /* of both, with our names */
    int64_t count;
};

static enum earshot_status open_source(const char *directory, struct export_source *s,
                                       struct earshot_error *error)
{
    char *weights = str_format("%s/model.safetensors", directory);
    char *heads = str_format("%s/" HEADS_FILE, directory);
    enum earshot_status status = weights && heads
                                     ? captioner_read_config(directory, &s->config, error)
                                     : error_memory(error, strlen(directory));

    if (status == EARSHOT_OK)
        status = safetensors_open(weights, &s->weights, error);
    if (status == EARSHOT_OK && file_exists(heads))
        status = safetensors_open(heads, &s->heads, error);
    free(weights);
    free(heads);
    if (status != EARSHOT_OK)
        return status;
    for (int64_t i = 0; i < tensor_file_count(s->weights); i++)
        if (tensor_file_at(s->weights, i)->dtype != TENSOR_F32)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "%s is a quantized model, which has no published form: export the one "
                             "that it was made from",
                             directory);
    s->count = tensor_file_count(s->weights) + (s->heads ? tensor_file_count(s->heads) : 0);
    s->entry = malloc((size_t)(s->count + 1) * sizeof *s->entry);
    if (!s->entry)
        return error_memory(error, (size_t)s->count * sizeof *s->entry);
    for (int64_t i = 0; i < s->count; i++)
        s->entry[i] = i < tensor_file_count(s->weights)
                          ? *tensor_file_at(s->weights, i)
                          : *tensor_file_at(s->heads, i - tensor_file_count(s->weights));
    return EARSHOT_OK;
}

static void close_source(struct export_source *s)
{
    free(s->entry);
    tensor_file_close(s->weights);
    tensor_file_close(s->heads);
    model_config_free(&s->config);
}

/* ---- Hugging Face's description ---------------------------------------------------------------
 */

static enum earshot_status write_json(const char *directory, const char *name, json_t *root,
                                      struct earshot_error *error)
{
    char *path = str_format("%s/%s", directory, name);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    char *line = text ? str_format("%s\n", text) : NULL;
    enum earshot_status status = path && line ? file_write_atomic(path, line, strlen(line), error)
                                              : error_memory(error, 4096);

    json_decref(root);
    free(path);
    free(text);
    free(line);
    return status;
}

static enum earshot_status check_hf(const struct ast_config *a, struct earshot_error *error)
{
    if (a->patch.value[0] != a->patch.value[1])
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "patches of %d x %d cannot be said in Hugging Face's config.json, which "
                         "has one size for both",
                         a->patch.value[0], a->patch.value[1]);
    return EARSHOT_OK;
}

/* The keys of ASTConfig and ASTFeatureExtractor. */
static enum earshot_status describe_hf(const struct export_source *s, bool has_head,
                                       const char *directory, struct earshot_error *error)
{
    const struct ast_config *a = &s->config.audio;
    const struct tensor_entry *classes =
        has_head ? tensor_file_find(s->heads, "audio.mlp_head.1.bias") : NULL;
    json_t *config = json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:I, s:b, s:I, s:I, s:I, s:I}",
        "architectures", has_head ? "ASTForAudioClassification" : "ASTModel", "model_type",
        "audio-spectrogram-transformer", "hidden_size", (json_int_t)a->hidden, "num_hidden_layers",
        (json_int_t)a->layers, "num_attention_heads", (json_int_t)a->heads, "intermediate_size",
        (json_int_t)mlp_width(a->hidden, a->mlp_ratio), "hidden_act", "gelu", "hidden_dropout_prob",
        a->dropout, "attention_probs_dropout_prob", 0.0, "layer_norm_eps", a->epsilon, "patch_size",
        (json_int_t)a->patch.value[0], "qkv_bias", 1, "frequency_stride",
        (json_int_t)a->stride.value[0], "time_stride", (json_int_t)a->stride.value[1], "max_length",
        (json_int_t)a->frames, "num_mel_bins", (json_int_t)a->mel_bins);
    json_t *features =
        json_pack("{s:s, s:i, s:i, s:I, s:I, s:b, s:f, s:f, s:f, s:s, s:b}",
                  "feature_extractor_type", "ASTFeatureExtractor", "feature_size", 1,
                  "sampling_rate", 16000, "num_mel_bins", (json_int_t)a->mel_bins, "max_length",
                  (json_int_t)a->frames, "do_normalize", 1, "mean", a->mean, "std", a->std,
                  "padding_value", 0.0, "padding_side", "right", "return_attention_mask", 0);
    enum earshot_status status;

    if (config && classes &&
        json_object_set_new(config, "num_labels", json_integer((json_int_t)classes->dim[0])) != 0) {
        json_decref(config);
        config = NULL;
    }
    status = write_json(directory, "config.json", config, error);
    if (status != EARSHOT_OK) {
        json_decref(features);
        return status;
    }
    return write_json(directory, "preprocessor_config.json", features, error);
}

/* ---- the export -------------------------------------------------------------------------------
 */

static enum earshot_status find_form(const struct model_config *config, enum stream stream,
                                     const char *names, enum names_form *form,
                                     struct earshot_error *error)
{
    char prefix[32];

    snprintf(prefix, sizeof prefix, "%s.", stream_name(stream));
    if (!config->use_stream[stream])
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "the model has no %s encoder",
                         stream_name(stream));
    if (!names_form_find(names, prefix, form))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "%s encoders have no form that is named '%s': expected %s",
                         stream_name(stream), names,
                         stream == STREAM_VIDEO ? "official or torchvision" : "official or hf");
    return EARSHOT_OK;
}

static bool has_head(const struct export_source *s, enum stream stream)
{
    return s->heads &&
           tensor_file_find(s->heads, stream == STREAM_VIDEO ? "video.cls_head.fc_cls.weight"
                                                             : "audio.mlp_head.1.weight");
}

/* An export over a file of the model would be the end of the model. */
static enum earshot_status check_apart(const char *model_directory, const char *path,
                                       struct earshot_error *error)
{
    static const char *const own[] = {"model.safetensors", HEADS_FILE, "config.json", "vocab.txt"};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        char *file = str_format("%s/%s", model_directory, own[i]);
        bool same = file && file_same(file, path);

        free(file);
        if (!file)
            return error_memory(error, strlen(model_directory));
        if (same)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "%s is a file of the model itself: choose another name or folder",
                             path);
    }
    return EARSHOT_OK;
}

enum earshot_status export_encoder(const char *model_directory, enum stream stream,
                                   const char *names, const char *path,
                                   struct export_result *result, struct earshot_error *error)
{
    bool folder = str_ends_with(path, "/") || directory_exists(path);
    struct names_options options = {0};
    struct export_source source = {0};
    enum names_form form = NAMES_SWIN_OFFICIAL;
    enum earshot_status status = open_source(model_directory, &source, error);

    *result = (struct export_result){0};
    if (status == EARSHOT_OK)
        status = find_form(&source.config, stream, names, &form, error);
    if (status == EARSHOT_OK && folder && form == NAMES_AST_HF)
        status = check_hf(&source.config.audio, error);
    if (status == EARSHOT_OK && folder)
        status = file_make_directories(path, error);
    if (status == EARSHOT_OK) {
        result->path =
            folder ? str_format("%s%smodel.safetensors", path, str_ends_with(path, "/") ? "" : "/")
                   : str_format("%s", path);
        result->has_head = has_head(&source, stream);
        for (int i = 0; i < 3 && stream == STREAM_VIDEO; i++)
            options.video_window[i] = source.config.video.window.value[i];
        options.source[0] = source.weights;
        options.source[1] = source.heads;
        status = result->path ? check_apart(model_directory, result->path, error)
                              : error_memory(error, strlen(path));
    }
    if (status == EARSHOT_OK)
        status = names_export(form, source.entry, source.count, &options, result->path, error);
    if (status == EARSHOT_OK && folder && form == NAMES_AST_HF)
        status = describe_hf(&source, result->has_head, path, error);
    close_source(&source);
    if (status != EARSHOT_OK) {
        free(result->path);
        result->path = NULL;
    }
    return status;
}
