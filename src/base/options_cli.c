/*
 * options_cli.c: an option table as command-line flags and as --help.  See options.h.
 */
#include "base/options.h"

#include <string.h>

#include "base/options_internal.h"
#include "base/str.h"

struct parser {
    const struct option_binding *binding;
    int binding_count;
    int argc;
    char **argv;
    int next; /* the argument after the one being parsed */
};

static const struct option *parser_find_key(const struct parser *parser, const char *key,
                                            void **target)
{
    for (int b = 0; b < parser->binding_count; b++) {
        const struct option *option = option_find(parser->binding[b].table, key);

        if (option) {
            *target = parser->binding[b].target;
            return option;
        }
    }
    return NULL;
}

static const struct option *parser_find_letter(const struct parser *parser, char letter,
                                               void **target)
{
    for (int b = 0; b < parser->binding_count; b++)
        for (int i = 0; i < parser->binding[b].table.count; i++)
            if (parser->binding[b].table.option[i].letter == letter) {
                *target = parser->binding[b].target;
                return &parser->binding[b].table.option[i];
            }
    return NULL;
}

/* Sets an option from what is glued to it (not NULL) or from the next argument. */
static enum earshot_status parser_set(struct parser *parser, const struct option *option,
                                      void *target, const char *glued, struct earshot_error *error)
{
    if (!glued && parser->next >= parser->argc)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "option --%s needs a value (%s)",
                         option->key, option->argument ? option->argument : "see --help");
    return option_set_text(option, target, glued ? glued : parser->argv[parser->next++], error);
}

/* text is what follows the "--". */
static enum earshot_status parse_long(struct parser *parser, const char *text,
                                      struct earshot_error *error)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const struct option *option;
    char key[KEY_MAX];
    void *target;

    if (length >= sizeof key)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "unknown option --%.40s...", text);
    memcpy(key, text, length);
    key[length] = '\0';
    option = parser_find_key(parser, key, &target);
    if (!option && str_starts_with(key, "no-")) {
        option = parser_find_key(parser, key + 3, &target);
        if (option && option->type == OPTION_BOOL) {
            if (equals)
                return error_set(error, EARSHOT_ERROR_ARGUMENT, "option --%s takes no value", key);
            *(bool *)option_field(option, target) = false;
            return EARSHOT_OK;
        }
        option = NULL;
    }
    if (!option)
        return option_unknown(parser->binding, parser->binding_count, "--", key, error);
    if (option->type == OPTION_BOOL && !equals) {
        *(bool *)option_field(option, target) = true;
        return EARSHOT_OK;
    }
    return parser_set(parser, option, target, equals ? equals + 1 : NULL, error);
}

/* letters is what follows the "-": "v", "vq" (two bools), "b4" or "b" and then "4". */
static enum earshot_status parse_letters(struct parser *parser, const char *letters,
                                         struct earshot_error *error)
{
    for (const char *p = letters; *p; p++) {
        void *target;
        const struct option *option = parser_find_letter(parser, *p, &target);

        if (!option)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "unknown option -%c in \"-%s\"; see --help", *p, letters);
        if (option->type == OPTION_BOOL) {
            *(bool *)option_field(option, target) = true;
            continue;
        }
        return parser_set(parser, option, target, p[1] ? p + 1 : NULL, error);
    }
    return EARSHOT_OK;
}

enum earshot_status options_parse(const struct option_binding *binding, int binding_count, int argc,
                                  char **argv, int *positional_count, struct earshot_error *error)
{
    struct parser parser = {binding, binding_count, argc, argv, 1};
    bool only_positional = false;

    *positional_count = 0;
    while (parser.next < argc) {
        char *argument = argv[parser.next++];
        enum earshot_status status = EARSHOT_OK;

        if (only_positional || argument[0] != '-' || argument[1] == '\0')
            argv[1 + (*positional_count)++] = argument;
        else if (strcmp(argument, "--") == 0)
            only_positional = true;
        else if (argument[1] == '-')
            status = parse_long(&parser, argument + 2, error);
        else
            status = parse_letters(&parser, argument + 1, error);
        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

/* ---- help ---- */

/* "-b, --beam N"; choices stand for themselves when the table names no argument. */
static void append_usage(struct str *out, const struct option *option, const void *target)
{
    if (option->letter)
        str_append_format(out, "-%c, ", option->letter);
    else
        str_append_text(out, "    ");
    str_append_format(
        out, "--%s%s",
        option->type == OPTION_BOOL && *(const bool *)option_field_of(option, target) ? "no-" : "",
        option->key);
    if (option->argument) {
        str_append_format(out, " %s", option->argument);
    } else if (option->type == OPTION_CHOICE) {
        for (int i = 0; option->choices[i]; i++)
            str_append_format(out, "%c%s", i ? '|' : ' ', option->choices[i]);
    }
}

static void append_default(struct str *out, const struct option *option, const void *target)
{
    const void *at = option_field_of(option, target);
    const struct option_list *list = at;
    char number[32];

    switch (option->type) {
    case OPTION_BOOL:
        if (*(const bool *)at)
            str_append_text(out, " (default: on)");
        break;
    case OPTION_INT:
        str_append_format(out, " (default: %lld)", (long long)*(const int64_t *)at);
        break;
    case OPTION_FLOAT:
        str_append_format(out, " (default: %s)", option_double_text(number, *(const double *)at));
        break;
    case OPTION_STRING:
        if (*(char *const *)at)
            str_append_format(out, " (default: %s)", *(char *const *)at);
        break;
    case OPTION_CHOICE:
        str_append_format(out, " (default: %s)", option->choices[*(const int *)at]);
        break;
    case OPTION_INT_LIST:
        if (list->count)
            str_append_text(out, " (default: ");
        for (int i = 0; i < list->count; i++)
            str_append_format(out, "%s%d", i ? "," : "", list->value[i]);
        if (list->count)
            str_append_text(out, ")");
        break;
    }
}

void options_print_help(struct option_table table, const void *target, FILE *stream)
{
    struct str line = {0};
    size_t width = 0;

    for (int i = 0; i < table.count; i++) {
        str_clear(&line);
        append_usage(&line, &table.option[i], target);
        if (line.length > width)
            width = line.length;
    }
    for (int i = 0; i < table.count; i++) {
        str_clear(&line);
        append_usage(&line, &table.option[i], target);
        str_append_format(&line, "%*s  %s", (int)(width - line.length), "",
                          table.option[i].help ? table.option[i].help : "");
        append_default(&line, &table.option[i], target);
        if (line.data && !line.failed)
            fprintf(stream, "  %s\n", line.data);
    }
    str_free(&line);
}
