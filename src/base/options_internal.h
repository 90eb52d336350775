/*
 * options_internal.h: what options.c (values) and options_cli.c (flags, --help) share.
 */
#ifndef EARSHOT_BASE_OPTIONS_INTERNAL_H
#define EARSHOT_BASE_OPTIONS_INTERNAL_H

#include "base/options.h"

#define KEY_MAX 128 /* longer keys exist in no table */

/* The field of the caller's struct that an option stands for. */
void *option_field(const struct option *option, void *target);
const void *option_field_of(const struct option *option, const void *target);

/* NULL if the table has no such key; '-' and '_' count as equal. */
const struct option *option_find(struct option_table table, const char *key);

/* Checks and stores; on failure the field keeps its value. */
enum earshot_status option_set_text(const struct option *option, void *target, const char *text,
                                    struct earshot_error *error);

/* "unknown option KEY; did you mean ...?", dashes before both keys. */
enum earshot_status option_unknown(const struct option_binding *binding, int binding_count,
                                   const char *dashes, const char *key,
                                   struct earshot_error *error);

/* The shortest decimal that reads back as value. */
const char *option_double_text(char buffer[32], double value);

#endif
