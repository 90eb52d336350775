/*
 * eval.h: the parts of `earshot eval`: what was scored, how it is written down, how two records are
 * compared, and the report of the worst items.
 */
#ifndef EARSHOT_CLI_EVAL_H
#define EARSHOT_CLI_EVAL_H

#include <stdint.h>
#include <stdio.h>

#include "annotations/annotations.h"
#include "base/error.h"
#include "base/sha256.h"
#include "metrics/evaluate.h"

#define EVAL_RECORD_FORMAT "earshot-scores-1"

struct eval_pair {
    const struct annotation_item *reference, *result;
};

/* One evaluation: both files, the items that both have, and their scores. */
struct eval_run {
    const char *results_path, *references_path, *split;
    bool tokenised;
    /* If a model made the captions: its directory, its decoding settings as a JSON object, the hash
     * of its weights; clips that could not be captioned.  Else NULL, NULL, "", 0. */
    char *model, *decoding, weights_hash[SHA256_HEX_SIZE];
    size_t failed;
    size_t not_captioned; /* clips without a reference: the model has not seen them */
    struct annotations references, results;
    struct eval_pair *pair; /* in order of the references */
    size_t pair_count;
    size_t without_result, without_reference; /* items that only one side has */
    struct evaluation evaluation;
    char ids_hash[SHA256_HEX_SIZE], results_hash[SHA256_HEX_SIZE], references_hash[SHA256_HEX_SIZE];
};

const char *eval_candidate(const struct eval_run *run, size_t item);

struct captioning_options;

/* Fills results with the model's captions of those clips of the manifest that have a reference (by
 * id); references are there already.  strict: a clip or a reference without the other is an error,
 * before the model begins.  FORMAT: no clip could be captioned.  CANCELLED: a signal came. */
enum earshot_status eval_caption(struct eval_run *run, const struct captioning_options *options,
                                 const char *manifest, bool strict, struct earshot_error *error);

/* Pairs references and results, both read, by id, else by media file.  strict: an item that only
 * one side has is an error. */
enum earshot_status eval_match(struct eval_run *run, bool strict, struct earshot_error *error);
/* Fills the evaluation of the pairs. */
enum earshot_status eval_score(struct eval_run *run, const struct evaluation_options *options,
                               struct earshot_error *error);
void eval_free(struct eval_run *run);

/* The three hashes; items count in order of their ids, so the order of the files does not matter.
 */
enum earshot_status eval_hash(struct eval_run *run, struct earshot_error *error);

/* The record: see docs/EVAL.md. */
void eval_write_json(const struct eval_run *run, FILE *stream);
void eval_write_text(const struct eval_run *run, FILE *stream);
void eval_write_csv(const struct eval_run *run, FILE *stream);
/* A line an item: CSV if the name ends in .csv, JSON lines otherwise. */
enum earshot_status eval_write_items(const struct eval_run *run, const char *path,
                                     struct earshot_error *error);

/* A JSON string, quotes included; bytes that are not UTF-8 (of a path) come out as U+FFFD. */
void eval_write_string(FILE *stream, const char *text);

/* The `count` items with the lowest CIDEr (the last column, without CIDEr), worst first; malloc'd.
 * *column says which score it was. */
size_t *eval_worst(const struct eval_run *run, size_t count, int *column);
void eval_write_worst(const struct eval_run *run, const size_t *item, size_t count, int column,
                      FILE *stream);
/* The same as a page that needs no other file; frames of the media come from media_directory, or
 * from beside the references, where they are found. */
enum earshot_status eval_write_html(const struct eval_run *run, const size_t *item, size_t count,
                                    int column, const char *media_directory, const char *path,
                                    struct earshot_error *error);

struct eval_compare_options {
    int64_t samples, seed;
    double confidence;
    bool different_ids, json;
};

/* Compares two records; writes a table. */
enum earshot_status eval_compare(const char *path_a, const char *path_b,
                                 const struct eval_compare_options *options, FILE *stream,
                                 struct earshot_error *error);

#endif
