/*
 * options.h: one table drives command-line flags, configuration keys and --help.
 *
 * A table describes the fields of one caller's struct.  Its keys are dotted words ("fusion.kind");
 * the same key is a flag ("--fusion.kind cross", "--fusion.kind=cross"; a bool is also "--key" and
 * "--no-key"; '-' and '_' in a key are the same) and a path in a JSON object ({"fusion": {"kind":
 * "cross"}}).  The defaults are whatever the struct holds before parsing.
 */
#ifndef EARSHOT_BASE_OPTIONS_H
#define EARSHOT_BASE_OPTIONS_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"

#define OPTION_LIST_MAX 8

/* A short list of integers: a field for OPTION_INT_LIST ("2,2,6,2"; [2,2,6,2] in JSON). */
struct option_list {
    int count;
    int value[OPTION_LIST_MAX];
};

enum option_type {
    OPTION_BOOL,    /* bool */
    OPTION_INT,     /* int64_t, within [min, max] */
    OPTION_FLOAT,   /* double, within [min, max]; never NaN */
    OPTION_STRING,  /* char *, malloc'd or NULL; options_free frees it */
    OPTION_CHOICE,  /* int: an index into choices */
    OPTION_INT_LIST /* struct option_list, each value within [min, max] */
};

struct option {
    const char *key;
    char letter; /* short flag, or 0 */
    enum option_type type;
    size_t offset;              /* offsetof(the caller's struct, field) */
    double min, max;            /* both 0: any finite value */
    const char *const *choices; /* NULL-terminated, OPTION_CHOICE only */
    const char *argument;       /* what --help calls the value: "N", "FILE", "S" */
    const char *help;           /* one sentence */
};

struct option_table {
    const struct option *option;
    int count;
};

/* Sets one option from text.  An unknown key names the closest known one. */
enum earshot_status options_set(struct option_table table, void *target, const char *key,
                                const char *text, struct earshot_error *error);

/*
 * Parses argv[1..argc), moving what is not an option (and everything after "--") to the front of
 * argv[1..]; *positional_count says how many.  "-" alone is positional.  Several tables may apply
 * at once: the first that knows a key takes it.
 */
struct option_binding {
    struct option_table table;
    void *target;
};
enum earshot_status options_parse(const struct option_binding *binding, int binding_count, int argc,
                                  char **argv, int *positional_count, struct earshot_error *error);

/* Reads a JSON object; a key that the table does not know is an error. */
enum earshot_status options_read_json(struct option_table table, void *target, const json_t *object,
                                      struct earshot_error *error);
/* The struct as nested JSON objects, in table order.  NULL when out of memory.  NULL strings are
 * left out. */
json_t *options_write_json(struct option_table table, const void *target);

/* One aligned line an option, with its default taken from *target. */
void options_print_help(struct option_table table, const void *target, FILE *stream);

/* Frees the OPTION_STRING fields and sets them to NULL. */
void options_free(struct option_table table, void *target);

#endif
