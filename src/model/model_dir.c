/* model_dir.c: a captioner's home on disk.  See captioner.h. */
#include "model/captioner.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "model/param_file.h"

#define CONFIG_LIMIT_BYTES ((size_t)1 << 20)
#define FORMAT_NAME "earshot-model"
#define FORMAT_VERSION 1

/* ---- reading ----------------------------------------------------------------------------------
 */

enum earshot_status captioner_parse_config(const char *path, const char *text,
                                           struct model_config *config, struct earshot_error *error)
{
    json_error_t problem;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    const char *format;
    enum earshot_status status;

    if (!root)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s:%d: not JSON: %s", path, problem.line,
                         problem.text);
    format = json_string_value(json_object_get(root, "format"));
    if (!format || strcmp(format, FORMAT_NAME) != 0 ||
        json_integer_value(json_object_get(root, "version")) != FORMAT_VERSION)
        status = error_set(error, EARSHOT_ERROR_FORMAT,
                           "%s: not an Earshot model configuration: expected \"format\": \"%s\", "
                           "\"version\": %d",
                           path, FORMAT_NAME, FORMAT_VERSION);
    else
        status = model_config_preset("toy", config, error);
    if (status == EARSHOT_OK) {
        status =
            options_read_json(model_config_table, config, json_object_get(root, "model"), error);
        if (status != EARSHOT_OK) {
            model_config_free(config);
            status = error_context(error, "%s", path);
        }
    }
    json_decref(root);
    return status;
}

enum earshot_status captioner_read_config(const char *directory, struct model_config *config,
                                          struct earshot_error *error)
{
    char *path = str_format("%s/config.json", directory), *text = NULL;
    enum earshot_status status;

    if (!path)
        return error_memory(error, strlen(directory));
    status = file_read_text(path, CONFIG_LIMIT_BYTES, &text, NULL, error);
    if (status == EARSHOT_ERROR_IO)
        error_set(error, status,
                  "%s is not a model directory: there is no readable config.json in it", directory);
    if (status == EARSHOT_OK)
        status = captioner_parse_config(path, text, config, error);
    free(text);
    free(path);
    return status;
}

const char *captioner_part_name(int part)
{
    return part == CAPTIONER_FUSION    ? "fusion"
           : part == CAPTIONER_DECODER ? "decoder"
                                       : stream_name((enum stream)part);
}

int captioner_part_of(const char *name)
{
    if (str_starts_with(name, "streams."))
        name += strlen("streams.");
    for (int part = 0; part < CAPTIONER_PARTS; part++) {
        size_t length = strlen(captioner_part_name(part));

        if (strncmp(name, captioner_part_name(part), length) == 0 && name[length] == '.')
            return part;
    }
    return -1;
}

static bool in_parts(const void *context, const char *name)
{
    const unsigned *parts = context;
    int part = captioner_part_of(name);

    return part < 0 || (*parts & CAPTIONER_PART_BIT(part));
}

enum earshot_status captioner_load_parts(struct captioner *c, const char *path, unsigned parts,
                                         struct earshot_error *error)
{
    return param_file_load(c->params, path, in_parts, &parts, error);
}

enum earshot_status captioner_open(const char *directory, struct backend *backend, bool training,
                                   struct captioner **out, struct wordpiece **tokenizer,
                                   struct earshot_error *error)
{
    char *weights = str_format("%s/model.safetensors", directory);
    char *vocabulary = str_format("%s/vocab.txt", directory);
    struct captioner *c = NULL;
    struct model_config config;
    enum earshot_status status;

    *out = NULL;
    *tokenizer = NULL;
    status = weights && vocabulary ? captioner_read_config(directory, &config, error)
                                   : error_memory(error, strlen(directory));
    if (status == EARSHOT_OK) {
        status = captioner_new(&config, &c, error);
        model_config_free(&config);
    }
    if (status == EARSHOT_OK)
        status = wordpiece_open(vocabulary, tokenizer, error);
    if (status == EARSHOT_OK && wordpiece_size(*tokenizer) != c->config.decoder.vocabulary)
        status = error_set(error, EARSHOT_ERROR_FORMAT,
                           "%s holds %d tokens, config.json beside it says %lld", vocabulary,
                           wordpiece_size(*tokenizer), (long long)c->config.decoder.vocabulary);
    if (status == EARSHOT_OK)
        status = param_file_open(c->params, weights, backend, training, error);
    if (status != EARSHOT_OK) {
        captioner_free(c);
        wordpiece_free(*tokenizer);
        *tokenizer = NULL;
        c = NULL;
    }
    *out = c;
    free(weights);
    free(vocabulary);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static enum earshot_status write_config(const struct model_config *config, const char *path,
                                        struct earshot_error *error)
{
    json_t *model = options_write_json(model_config_table, config);
    json_t *root = model ? json_pack("{s:s, s:i, s:o}", "format", FORMAT_NAME, "version",
                                     FORMAT_VERSION, "model", model)
                         : NULL;
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    char *line = text ? str_format("%s\n", text) : NULL;
    enum earshot_status status =
        line ? file_write_atomic(path, line, strlen(line), error) : error_memory(error, 4096);

    free(line);
    free(text);
    json_decref(root);
    return status;
}

static enum earshot_status supply_value(void *context, int64_t index, void *buffer,
                                        struct earshot_error *error)
{
    const struct params *params = context;
    const struct param *param = params_at(params, (int)index);
    struct backend *backend = params_backend(params);

    (void)error;
    backend->download(backend, buffer, param->value, (size_t)param->elements * sizeof(float));
    return EARSHOT_OK;
}

static enum earshot_status write_weights(const struct captioner *c, const char *path,
                                         safetensors_supply supply, void *context,
                                         struct earshot_error *error)
{
    int count = params_count(c->params);
    struct tensor_entry *entry = calloc((size_t)count, sizeof *entry);
    enum earshot_status status;

    if (!entry)
        return error_memory(error, (size_t)count * sizeof *entry);
    for (int i = 0; i < count; i++) {
        const struct param *param = params_at(c->params, i);

        entry[i] =
            (struct tensor_entry){.name = param->name, .dtype = TENSOR_F32, .rank = param->rank};
        memcpy(entry[i].dim, param->dim, sizeof entry[i].dim);
    }
    status = safetensors_write_supplied(path, entry, count, NULL, 0, supply, context, error);
    free(entry);
    return status;
}

enum earshot_status captioner_save_supplied(const struct captioner *c,
                                            const struct wordpiece *tokenizer,
                                            const char *directory, safetensors_supply supply,
                                            void *context, struct earshot_error *error)
{
    char *config = str_format("%s/config.json", directory);
    char *weights = str_format("%s/model.safetensors", directory);
    char *vocabulary = str_format("%s/vocab.txt", directory);
    enum earshot_status status = config && weights && vocabulary
                                     ? file_make_directories(directory, error)
                                     : error_memory(error, strlen(directory));

    if (status == EARSHOT_OK)
        status = write_weights(c, weights, supply, context, error);
    if (status == EARSHOT_OK)
        status = wordpiece_save(tokenizer, vocabulary, error);
    if (status == EARSHOT_OK)
        status = write_config(&c->config, config, error);
    free(config);
    free(weights);
    free(vocabulary);
    return status;
}

enum earshot_status captioner_save(const struct captioner *c, const struct wordpiece *tokenizer,
                                   const char *directory, struct earshot_error *error)
{
    for (int i = 0; i < params_count(c->params); i++)
        if (params_at(c->params, i)->low.type != WEIGHT_F32)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "%s: a quantized model is not written again; copy its directory",
                             directory);
    return captioner_save_supplied(c, tokenizer, directory, supply_value, c->params, error);
}
