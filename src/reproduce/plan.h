/*
 * plan.h: an experiment as data: corpora, settings, rows, tables.  configs/reproduce.json is the
 * one that is built in; docs/EXPERIMENTS.md says what the keys mean.
 *
 * A plan says nothing about folders or processes: jobs.h makes command lines of it.
 */
#ifndef EARSHOT_REPRODUCE_PLAN_H
#define EARSHOT_REPRODUCE_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define PLAN_ENCODERS_MAX 3
#define PLAN_SETS_MAX 8
#define PLAN_ROWS_MAX 48
#define PLAN_TABLES_MAX 8
#define PLAN_CORPORA_MAX 32
#define PLAN_COMPARE_MAX 32
#define PLAN_TESTS_MAX 8
#define PLAN_SEEDS_MAX 64
#define PLAN_NONE ((size_t)-1)

/* Options of a command are JSON objects {key: value}: a number or string is "--key value", true
 * "--key", false "--no-key", null takes out what a more general object has.  "{seed}" in a string
 * stands for the number of the seed. */

struct plan_corpus {
    const char *name;
    json_t *options; /* of `earshot toyworld` */
};

/* A downstream task. */
struct plan_set {
    const char *name, *label;
    size_t train, validation, test; /* corpora; validation may be PLAN_NONE */
    json_t *options;                /* of its fine-tuning; or NULL */
    const char *lacks; /* streams that some clips do not have: no test is of these alone */
};

struct plan_stage {
    bool there;
    size_t corpus, validation; /* PLAN_NONE where there is none */
    json_t *options;           /* of `earshot train` */
};

/* A network with one stream, of which the rows that have the stream take the encoder. */
struct plan_encoder {
    const char *stream; /* "video", "audio", "text" */
    json_t *model;      /* options, besides the plan's */
    struct plan_stage stage;
};

struct plan_row {
    const char *name, *label, *note; /* note may be NULL */
    const char *streams;             /* "av": what its model takes, as `earshot caption` says it */
    json_t *model, *pretrain, *finetune; /* options; pretrain NULL: none; the others may be NULL */
    bool control;                        /* a row that may differ in its budget */
    double paper[PLAN_SETS_MAX];         /* CIDEr in the paper, NaN: not known */
};

struct plan_table {
    const char *name, *title, *note;
    size_t row[PLAN_ROWS_MAX], row_count;
    size_t set[PLAN_SETS_MAX], set_count;
    const char *test[PLAN_TESTS_MAX]; /* besides each row's own streams: fewer of them */
    size_t test_count;
    size_t compare[PLAN_COMPARE_MAX][2], compare_count; /* rows: the first minus the second */
};

struct plan {
    json_t *root; /* owns everything that is pointed to */
    const char *title, *introduction;
    size_t first_seed, seed_count;
    json_t *world, *model, *train, *caption; /* options of all corpora, models, trainings,
                                                captionings */
    struct plan_corpus corpus[PLAN_CORPORA_MAX];
    size_t corpus_count;
    struct plan_encoder encoder[PLAN_ENCODERS_MAX]; /* shared by all rows */
    size_t encoder_count;
    struct plan_stage pretrain, finetune;
    struct plan_set set[PLAN_SETS_MAX];
    size_t set_count;
    struct plan_row row[PLAN_ROWS_MAX];
    size_t row_count;
    struct plan_table table[PLAN_TABLES_MAX];
    size_t table_count;
    size_t watched[PLAN_ROWS_MAX], watched_count; /* rows whose pre-training is drawn */
    const char *objective;                        /* "pcc": whose losses are drawn */
};

/* From JSON text; `name` is for messages.  quick: the smaller plan that its "quick" describes.
 * FORMAT: not a plan, with what and where. */
enum earshot_status plan_read(const char *name, const char *text, bool quick, struct plan *plan,
                              struct earshot_error *error);
void plan_free(struct plan *plan);

/* The text of configs/reproduce.json. */
const char *plan_builtin(void);

/* Whether every stream of `some` is one of `all`, and there are fewer of them. */
bool plan_streams_fewer(const char *some, const char *all);

#endif
