/*
 * options.c: the values of an option table, from text and from JSON.  See options.h.
 *
 * Text and JSON meet in the same range checks and messages, so a flag and a configuration file
 * refuse the same values with the same words.  The command line and --help: options_cli.c.
 */
#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/options_internal.h"
#include "base/str.h"

void *option_field(const struct option *option, void *target)
{
    return (char *)target + option->offset;
}

const void *option_field_of(const struct option *option, const void *target)
{
    return (const char *)target + option->offset;
}

/* "beam-size" and "beam_size" are one key. */
static bool key_equal(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
            return false;
    return *a == *b;
}

const struct option *option_find(struct option_table table, const char *key)
{
    for (int i = 0; i < table.count; i++)
        if (key_equal(table.option[i].key, key))
            return &table.option[i];
    return NULL;
}

enum earshot_status option_unknown(const struct option_binding *binding, int binding_count,
                                   const char *dashes, const char *key, struct earshot_error *error)
{
    const char *closest = NULL;
    int best = 0;

    for (int b = 0; b < binding_count; b++)
        for (int i = 0; i < binding[b].table.count; i++) {
            int distance = str_distance(key, binding[b].table.option[i].key);

            if (!closest || distance < best) {
                closest = binding[b].table.option[i].key;
                best = distance;
            }
        }
    if (!closest)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "unknown option %s%s; none is known here",
                         dashes, key);
    return error_set(error, EARSHOT_ERROR_ARGUMENT, "unknown option %s%s; did you mean %s%s?",
                     dashes, key, dashes, closest);
}

static bool is_limited(const struct option *option)
{
    return option->min != 0 || option->max != 0;
}

static bool in_range(const struct option *option, double value)
{
    return !is_limited(option) || (value >= option->min && value <= option->max);
}

/* The shortest decimal that reads back as value. */
const char *option_double_text(char buffer[32], double value)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buffer, 32, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value)
            break;
    }
    return buffer;
}

/* "OPTION: GOT is not WHAT[ from MIN to MAX]" */
static enum earshot_status bad_value(const struct option *option, const char *got, const char *what,
                                     struct earshot_error *error)
{
    char low[32], high[32];

    if (!is_limited(option))
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "option %s: \"%s\" is not %s", option->key,
                         got, what);
    if (isinf(option->max))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "option %s: \"%s\" is not %s of at least %s", option->key, got, what,
                         option_double_text(low, option->min));
    return error_set(error, EARSHOT_ERROR_ARGUMENT, "option %s: \"%s\" is not %s from %s to %s",
                     option->key, got, what, option_double_text(low, option->min),
                     option_double_text(high, option->max));
}

static enum earshot_status bad_choice(const struct option *option, const char *got,
                                      struct earshot_error *error)
{
    struct str names = {0};

    for (int i = 0; option->choices[i]; i++)
        str_append_format(&names, "%s%s", i ? ", " : "", option->choices[i]);
    error_set(error, EARSHOT_ERROR_ARGUMENT, "option %s: \"%s\" is not one of %s", option->key, got,
              names.data ? names.data : "the known names");
    str_free(&names);
    return EARSHOT_ERROR_ARGUMENT;
}

static bool parse_int(const char *text, size_t length, int64_t *value)
{
    char digits[32], *end;
    long long parsed;

    if (length == 0 || length >= sizeof digits || !strchr("+-0123456789", text[0]))
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    errno = 0;
    parsed = strtoll(digits, &end, 10);
    *value = parsed;
    return errno == 0 && *end == '\0';
}

static bool parse_float(const char *text, double *value)
{
    char *end;

    if (!*text || !strchr("+-.0123456789", text[0]))
        return false;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const word[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (int i = 0; i < 8; i++)
        if (strcasecmp(text, word[i]) == 0) {
            *value = i % 2;
            return true;
        }
    return false;
}

static enum earshot_status set_choice(const struct option *option, int *index, const char *text,
                                      struct earshot_error *error)
{
    for (int i = 0; option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0) {
            *index = i;
            return EARSHOT_OK;
        }
    return bad_choice(option, text, error);
}

static enum earshot_status set_string(char **string, const char *text, struct earshot_error *error)
{
    char *copy = NULL;

    if (text && !(copy = str_format("%s", text)))
        return error_memory(error, strlen(text) + 1);
    free(*string);
    *string = copy;
    return EARSHOT_OK;
}

static enum earshot_status set_list(const struct option *option, struct option_list *list,
                                    const char *text, struct earshot_error *error)
{
    struct option_list parsed = {0};
    const char *p = text;

    while (*p) {
        size_t length = strcspn(p, ",");
        int64_t value;

        if (parsed.count == OPTION_LIST_MAX)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "option %s: \"%s\" has more than %d values", option->key, text,
                             OPTION_LIST_MAX);
        if (!parse_int(p, length, &value) || value < INT32_MIN || value > INT32_MAX ||
            !in_range(option, (double)value) || (p[length] == ',' && p[length + 1] == '\0'))
            return bad_value(option, text, "a list (such as 2,2,6) of integers", error);
        parsed.value[parsed.count++] = (int)value;
        p += length + (p[length] == ',');
    }
    *list = parsed;
    return EARSHOT_OK;
}

enum earshot_status option_set_text(const struct option *option, void *target, const char *text,
                                    struct earshot_error *error)
{
    int64_t whole;
    double real;

    switch (option->type) {
    case OPTION_BOOL:
        if (!parse_bool(text, option_field(option, target)))
            return bad_value(option, text, "true or false", error);
        return EARSHOT_OK;
    case OPTION_INT:
        if (!parse_int(text, strlen(text), &whole) || !in_range(option, (double)whole))
            return bad_value(option, text, "an integer", error);
        *(int64_t *)option_field(option, target) = whole;
        return EARSHOT_OK;
    case OPTION_FLOAT:
        if (!parse_float(text, &real) || !in_range(option, real))
            return bad_value(option, text, "a number", error);
        *(double *)option_field(option, target) = real;
        return EARSHOT_OK;
    case OPTION_STRING:
        return set_string(option_field(option, target), text, error);
    case OPTION_CHOICE:
        return set_choice(option, option_field(option, target), text, error);
    case OPTION_INT_LIST:
        return set_list(option, option_field(option, target), text, error);
    }
    return error_set(error, EARSHOT_ERROR_INTERNAL, "option %s: unknown type", option->key);
}

enum earshot_status options_set(struct option_table table, void *target, const char *key,
                                const char *text, struct earshot_error *error)
{
    const struct option *option = option_find(table, key);
    struct option_binding binding = {table, target};

    if (!option)
        return option_unknown(&binding, 1, "", key, error);
    return option_set_text(option, target, text, error);
}

/* ---- JSON ---- */

/* Integers, and reals without a fraction (1e6), that int64_t holds. */
static bool json_to_int(const json_t *value, int64_t *whole)
{
    double real = json_number_value(value);

    if (json_is_integer(value)) {
        *whole = json_integer_value(value);
        return true;
    }
    if (!json_is_real(value) || floor(real) != real || fabs(real) >= 0x1p63)
        return false;
    *whole = (int64_t)real;
    return true;
}

static enum earshot_status bad_json(const struct option *option, const json_t *value,
                                    const char *what, struct earshot_error *error)
{
    char *got = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    bad_value(option, got ? got : "?", what, error);
    free(got);
    return EARSHOT_ERROR_ARGUMENT;
}

static enum earshot_status set_list_json(const struct option *option, struct option_list *list,
                                         const json_t *value, struct earshot_error *error)
{
    struct option_list parsed = {0};
    const json_t *element;
    size_t i;

    if (!json_is_array(value) || json_array_size(value) > OPTION_LIST_MAX)
        return bad_json(option, value, "a list of at most 8 integers", error);
    json_array_foreach(value, i, element)
    {
        int64_t whole;

        if (!json_to_int(element, &whole) || whole < INT32_MIN || whole > INT32_MAX ||
            !in_range(option, (double)whole))
            return bad_json(option, value, "a list of integers", error);
        parsed.value[parsed.count++] = (int)whole;
    }
    *list = parsed;
    return EARSHOT_OK;
}

static enum earshot_status set_json(const struct option *option, void *target, const json_t *value,
                                    struct earshot_error *error)
{
    int64_t whole;

    switch (option->type) {
    case OPTION_BOOL:
        if (!json_is_boolean(value))
            return bad_json(option, value, "true or false", error);
        *(bool *)option_field(option, target) = json_is_true(value);
        return EARSHOT_OK;
    case OPTION_INT:
        if (!json_to_int(value, &whole) || !in_range(option, (double)whole))
            return bad_json(option, value, "an integer", error);
        *(int64_t *)option_field(option, target) = whole;
        return EARSHOT_OK;
    case OPTION_FLOAT:
        if (!json_is_number(value) || !in_range(option, json_number_value(value)))
            return bad_json(option, value, "a number", error);
        *(double *)option_field(option, target) = json_number_value(value);
        return EARSHOT_OK;
    case OPTION_STRING:
        if (!json_is_string(value) && !json_is_null(value))
            return bad_json(option, value, "a string", error);
        return set_string(option_field(option, target), json_string_value(value), error);
    case OPTION_CHOICE:
        if (!json_is_string(value))
            return bad_json(option, value, "a name in quotes", error);
        return set_choice(option, option_field(option, target), json_string_value(value), error);
    case OPTION_INT_LIST:
        return set_list_json(option, option_field(option, target), value, error);
    }
    return error_set(error, EARSHOT_ERROR_INTERNAL, "option %s: unknown type", option->key);
}

static bool is_group(struct option_table table, const char *prefix)
{
    size_t length = strlen(prefix);

    for (int i = 0; i < table.count; i++)
        if (strncmp(table.option[i].key, prefix, length) == 0 && table.option[i].key[length] == '.')
            return true;
    return false;
}

/* Recursion is as deep as the table's keys have dots, whatever the file nests. */
static enum earshot_status read_group(struct option_table table, void *target, const char *prefix,
                                      const json_t *object, struct earshot_error *error)
{
    struct option_binding binding = {table, target};
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char *key = *prefix ? str_format("%s.%s", prefix, name) : str_format("%s", name);
        const struct option *option = key ? option_find(table, key) : NULL;
        enum earshot_status status;

        if (!key)
            return error_memory(error, strlen(name));
        if (option)
            status = set_json(option, target, value, error);
        else if (json_is_object(value) && is_group(table, key))
            status = read_group(table, target, key, value, error);
        else
            status = option_unknown(&binding, 1, "", key, error);
        free(key);
        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

enum earshot_status options_read_json(struct option_table table, void *target, const json_t *object,
                                      struct earshot_error *error)
{
    if (!json_is_object(object))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "the configuration is not a JSON object of option names and values");
    return read_group(table, target, "", object, error);
}

static json_t *field_json(const struct option *option, const void *target)
{
    const void *at = option_field_of(option, target);
    const struct option_list *list = at;
    json_t *array;

    switch (option->type) {
    case OPTION_BOOL:
        return json_boolean(*(const bool *)at);
    case OPTION_INT:
        return json_integer(*(const int64_t *)at);
    case OPTION_FLOAT:
        return json_real(*(const double *)at);
    case OPTION_STRING:
        return json_string(*(char *const *)at);
    case OPTION_CHOICE:
        return json_string(option->choices[*(const int *)at]);
    case OPTION_INT_LIST:
        array = json_array();
        for (int i = 0; i < list->count; i++)
            if (json_array_append_new(array, json_integer(list->value[i])) != 0) {
                json_decref(array);
                return NULL;
            }
        return array;
    }
    return NULL;
}

/* Puts value (stolen) at the dotted key below root, making the objects on the way. */
static bool put_json(json_t *root, const char *key, json_t *value)
{
    json_t *object = root;
    const char *dot;
    char group[KEY_MAX];

    for (; (dot = strchr(key, '.')); key = dot + 1) {
        json_t *inner;

        snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
        inner = json_object_get(object, group);
        if (!inner && json_object_set_new(object, group, inner = json_object()) != 0) {
            json_decref(value);
            return false;
        }
        object = inner;
    }
    return json_object_set_new(object, key, value) == 0;
}

json_t *options_write_json(struct option_table table, const void *target)
{
    json_t *root = json_object();

    for (int i = 0; root && i < table.count; i++) {
        const struct option *option = &table.option[i];
        json_t *value;

        if (option->type == OPTION_STRING && !*(char *const *)option_field_of(option, target))
            continue;
        value = field_json(option, target);
        if (!value || !put_json(root, option->key, value)) {
            json_decref(root);
            return NULL;
        }
    }
    return root;
}

void options_free(struct option_table table, void *target)
{
    for (int i = 0; i < table.count; i++)
        if (table.option[i].type == OPTION_STRING) {
            char **string = option_field(&table.option[i], target);

            free(*string);
            *string = NULL;
        }
}
