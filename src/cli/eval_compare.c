/*
 * eval_compare.c: two records side by side, with paired-bootstrap intervals.
 *
 * Paired bootstrap (Koehn, "Statistical significance tests for machine translation evaluation",
 * EMNLP 2004): items are drawn with replacement, the same ones for both records, and every corpus
 * score is made anew from what it is made of: BLEU from counts, METEOR from statistics, ROUGE-L and
 * CIDEr as means (document frequencies stay those of the whole set).  Draws depend on the seed
 * alone.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "cli/eval.h"

enum score_kind { KIND_MEAN, KIND_BLEU, KIND_METEOR };

struct record {
    const char *path;
    json_t *root;
    const json_t *scores;
    json_t *by_id; /* id -> item */
};

struct column {
    const char *name;
    enum score_kind kind;
    int order;               /* of BLEU, from 0 */
    const double *value[2];  /* per item, for means */
    double whole[2], *delta; /* delta: [samples] */
};

struct comparison {
    struct record record[2];
    size_t count; /* items in both */
    struct bleu_counts *bleu[2];
    struct meteor_statistics *meteor[2];
    struct column column[EVALUATION_COLUMNS_MAX];
    int column_count;
};

/* ---- records ---- */

static enum earshot_status load_record(struct record *record, const char *path,
                                       struct earshot_error *error)
{
    json_error_t where;
    const char *format;
    json_t *item;
    size_t i;

    record->path = path;
    record->root = json_load_file(path, 0, &where);
    if (!record->root)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s: line %d: %s", path, where.line,
                         where.text);
    format = json_string_value(json_object_get(record->root, "format"));
    record->scores = json_object_get(record->root, "scores");
    if (!format || strcmp(format, EVAL_RECORD_FORMAT) != 0 || !json_is_object(record->scores))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "%s: not a record of scores (write one with earshot eval --format json)",
                         path);
    record->by_id = json_object();
    json_array_foreach(json_object_get(record->root, "items"), i, item)
    {
        const char *id = json_string_value(json_object_get(item, "id"));

        if (!id || json_object_set(record->by_id, id, item) != 0)
            return error_set(error, EARSHOT_ERROR_FORMAT, "%s: item %zu has no id", path, i + 1);
    }
    return EARSHOT_OK;
}

static const char *record_hash(const struct record *record, const char *part)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(record->root, part), "sha256"));

    return text ? text : "";
}

/* BLEU's counts or METEOR's statistics of one item; false if they are not there. */
static bool read_numbers(const json_t *item, const char *key, double *value, size_t count)
{
    const json_t *list = json_object_get(item, key);

    if (json_array_size(list) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        value[i] = json_number_value(json_array_get(list, i));
        if (!(value[i] >= 0 && value[i] < 9e15))
            return false;
    }
    return true;
}

static bool read_bleu(const json_t *item, struct bleu_counts *counts)
{
    double value[2 + 2 * NGRAM_MAX];

    if (!read_numbers(item, "bleu_counts", value, 2 + 2 * NGRAM_MAX))
        return false;
    counts->length = (uint64_t)value[0];
    counts->reference_length = (uint64_t)value[1];
    for (int k = 0; k < NGRAM_MAX; k++) {
        counts->guess[k] = (uint64_t)value[2 + 2 * k];
        counts->correct[k] = (uint64_t)value[3 + 2 * k];
    }
    return true;
}

static enum earshot_status missing(const struct record *record, const char *id, const char *what,
                                   struct earshot_error *error)
{
    return error_set(error, EARSHOT_ERROR_FORMAT, "%s: item %s has no %s", record->path, id, what);
}

/* Fills row `row` of side `side` from an item. */
static enum earshot_status read_row(struct comparison *c, int side, size_t row, const char *id,
                                    const json_t *item, struct earshot_error *error)
{
    for (int k = 0; k < c->column_count; k++) {
        const json_t *value = json_object_get(item, c->column[k].name);

        if (!json_is_number(value))
            return missing(&c->record[side], id, c->column[k].name, error);
        ((double *)(uintptr_t)c->column[k].value[side])[row] = json_number_value(value);
        if (c->column[k].kind == KIND_BLEU && !read_bleu(item, &c->bleu[side][row]))
            return missing(&c->record[side], id, "bleu_counts", error);
        if (c->column[k].kind == KIND_METEOR &&
            !read_numbers(item, "meteor_statistics", c->meteor[side][row].value, METEOR_STATISTICS))
            return missing(&c->record[side], id, "meteor_statistics", error);
    }
    return EARSHOT_OK;
}

static enum earshot_status read_rows(struct comparison *c, struct earshot_error *error)
{
    const char *id;
    json_t *item;
    size_t row = 0;

    json_object_foreach(c->record[0].by_id, id, item)
    {
        const json_t *other = json_object_get(c->record[1].by_id, id);
        enum earshot_status status;

        if (!other)
            continue;
        status = read_row(c, 0, row, id, item, error);
        if (status == EARSHOT_OK)
            status = read_row(c, 1, row, id, other, error);
        if (status != EARSHOT_OK)
            return status;
        row++;
    }
    return EARSHOT_OK;
}

static enum earshot_status check_ids(struct comparison *c,
                                     const struct eval_compare_options *options,
                                     struct earshot_error *error)
{
    const char *id;
    json_t *item;
    size_t a = json_object_size(c->record[0].by_id), b = json_object_size(c->record[1].by_id);

    json_object_foreach(c->record[0].by_id, id, item) c->count +=
        json_object_get(c->record[1].by_id, id) != NULL;
    if ((c->count != a || c->count != b) && !options->different_ids)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "the records are over different items: %zu in %s, %zu in %s, %zu in both "
                         "(--different-ids compares those that both have)",
                         a, c->record[0].path, b, c->record[1].path, c->count);
    if (c->count == 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "the records have no item in common");
    return EARSHOT_OK;
}

/* The scores that both records have. */
static enum earshot_status find_columns(struct comparison *c, int64_t samples,
                                        struct earshot_error *error)
{
    const char *name;
    json_t *value;

    for (int side = 0; side < 2; side++) {
        c->bleu[side] = calloc(c->count, sizeof *c->bleu[side]);
        c->meteor[side] = calloc(c->count, sizeof *c->meteor[side]);
        if (!c->bleu[side] || !c->meteor[side])
            return error_memory(error, c->count * sizeof *c->meteor[side]);
    }
    json_object_foreach((json_t *)(uintptr_t)c->record[0].scores, name, value)
    {
        struct column *column = &c->column[c->column_count];

        if (c->column_count == EVALUATION_COLUMNS_MAX ||
            !json_object_get(c->record[1].scores, name))
            continue;
        column->name = name;
        column->kind = strncmp(name, "Bleu_", 5) == 0    ? KIND_BLEU
                       : strncmp(name, "METEOR", 6) == 0 ? KIND_METEOR
                                                         : KIND_MEAN;
        column->order = column->kind == KIND_BLEU ? name[5] - '1' : 0;
        if (column->order < 0 || column->order >= NGRAM_MAX)
            continue;
        c->column_count++;
        column->value[0] = calloc(c->count, sizeof(double));
        column->value[1] = calloc(c->count, sizeof(double));
        column->delta = calloc((size_t)samples, sizeof *column->delta);
        if (!column->value[0] || !column->value[1] || !column->delta)
            return error_memory(error, c->count * sizeof(double));
    }
    if (!c->column_count)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "the records have no score in common");
    return EARSHOT_OK;
}

/* ---- the bootstrap ---- */

/* Every column's score of side `side` over the rows drawn. */
static void score_rows(const struct comparison *c, int side, const uint32_t *row, double *score)
{
    struct bleu_counts bleu = {0};
    struct meteor_statistics meteor = {0};
    double bleu_scores[NGRAM_MAX];

    for (size_t i = 0; i < c->count; i++) {
        bleu_add(&bleu, &c->bleu[side][row[i]]);
        meteor_add(&meteor, &c->meteor[side][row[i]]);
    }
    bleu_combine(&bleu, bleu_scores);
    for (int k = 0; k < c->column_count; k++) {
        const struct column *column = &c->column[k];

        score[k] = 0;
        if (column->kind == KIND_BLEU) {
            score[k] = bleu_scores[column->order];
        } else if (column->kind == KIND_METEOR) {
            score[k] = meteor_score(&meteor);
        } else {
            for (size_t i = 0; i < c->count; i++)
                score[k] += column->value[side][row[i]];
            score[k] /= (double)c->count;
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static enum earshot_status bootstrap(struct comparison *c,
                                     const struct eval_compare_options *options,
                                     struct earshot_error *error)
{
    uint32_t *row = malloc(c->count * sizeof *row);
    uint64_t stream = random_stream("bootstrap");
    double score[2][EVALUATION_COLUMNS_MAX];

    if (!row)
        return error_memory(error, c->count * sizeof *row);
    for (int64_t s = -1; s < options->samples; s++) {
        for (size_t i = 0; i < c->count; i++)
            row[i] = s < 0 ? (uint32_t)i
                           : (uint32_t)random_below((uint64_t)options->seed, stream,
                                                    (uint64_t)s * c->count + i, c->count);
        score_rows(c, 0, row, score[0]);
        score_rows(c, 1, row, score[1]);
        for (int k = 0; k < c->column_count; k++) {
            if (s < 0) {
                c->column[k].whole[0] = score[0][k];
                c->column[k].whole[1] = score[1][k];
            } else {
                c->column[k].delta[s] = score[1][k] - score[0][k];
            }
        }
    }
    for (int k = 0; k < c->column_count; k++)
        qsort(c->column[k].delta, (size_t)options->samples, sizeof(double), compare_doubles);
    free(row);
    return EARSHOT_OK;
}

/* ---- output ---- */

struct interval {
    double low, high, p;
};

static struct interval find_interval(const struct column *column,
                                     const struct eval_compare_options *options)
{
    double tail = (1 - options->confidence) / 2, last = (double)(options->samples - 1);
    size_t low = (size_t)floor(tail * last), high = (size_t)ceil((1 - tail) * last);
    size_t below = 0, above = 0;
    double p;

    for (int64_t s = 0; s < options->samples; s++) {
        below += column->delta[s] <= 0;
        above += column->delta[s] >= 0;
    }
    p = 2.0 * (double)((below < above ? below : above) + 1) / (double)(options->samples + 1);
    return (struct interval){column->delta[low], column->delta[high], p < 1 ? p : 1};
}

static void write_text(const struct comparison *c, const struct eval_compare_options *options,
                       FILE *stream)
{
    fprintf(stream, "A: %s\nB: %s\n%zu items, %lld bootstrap samples, seed %lld\n\n",
            c->record[0].path, c->record[1].path, c->count, (long long)options->samples,
            (long long)options->seed);
    fprintf(stream, "%-18s %9s %9s %10s   %.0f%% interval           p\n", "", "A", "B", "B - A",
            100 * options->confidence);
    for (int k = 0; k < c->column_count; k++) {
        const struct column *column = &c->column[k];
        struct interval interval = find_interval(column, options);

        fprintf(stream, "%-18s %9.5f %9.5f %+10.5f   [%+.5f, %+.5f]  %.4f%s\n", column->name,
                column->whole[0], column->whole[1], column->whole[1] - column->whole[0],
                interval.low, interval.high, interval.p,
                interval.low > 0 || interval.high < 0 ? " *" : "");
    }
    fprintf(stream, "\n* the interval excludes zero\n");
}

static void write_json(const struct comparison *c, const struct eval_compare_options *options,
                       FILE *stream)
{
    fputs("{\"a\": ", stream);
    eval_write_string(stream, c->record[0].path);
    fputs(", \"b\": ", stream);
    eval_write_string(stream, c->record[1].path);
    fprintf(stream,
            ", \"items\": %zu, \"samples\": %lld, \"seed\": %lld, \"confidence\": %.17g,\n"
            " \"scores\": {",
            c->count, (long long)options->samples, (long long)options->seed, options->confidence);
    for (int k = 0; k < c->column_count; k++) {
        const struct column *column = &c->column[k];
        struct interval interval = find_interval(column, options);

        fputs(k ? ",\n  " : "\n  ", stream);
        eval_write_string(stream, column->name);
        fprintf(stream,
                ": {\"a\": %.17g, \"b\": %.17g, \"difference\": %.17g, \"low\": %.17g, "
                "\"high\": %.17g, \"p\": %.17g}",
                column->whole[0], column->whole[1], column->whole[1] - column->whole[0],
                interval.low, interval.high, interval.p);
    }
    fputs("\n}}\n", stream);
}

static void free_comparison(struct comparison *c)
{
    for (int side = 0; side < 2; side++) {
        free(c->bleu[side]);
        free(c->meteor[side]);
        for (int k = 0; k < c->column_count; k++)
            free((void *)(uintptr_t)c->column[k].value[side]);
        json_decref(c->record[side].by_id);
        json_decref(c->record[side].root);
    }
    for (int k = 0; k < c->column_count; k++)
        free(c->column[k].delta);
}

enum earshot_status eval_compare(const char *path_a, const char *path_b,
                                 const struct eval_compare_options *options, FILE *stream,
                                 struct earshot_error *error)
{
    struct comparison c = {0};
    enum earshot_status status = load_record(&c.record[0], path_a, error);

    if (status == EARSHOT_OK)
        status = load_record(&c.record[1], path_b, error);
    if (status == EARSHOT_OK)
        status = check_ids(&c, options, error);
    if (status == EARSHOT_OK && !options->different_ids &&
        strcmp(record_hash(&c.record[0], "references"), record_hash(&c.record[1], "references")))
        status = error_set(error, EARSHOT_ERROR_ARGUMENT,
                           "the records were scored against different references "
                           "(--different-ids compares them all the same)");
    if (status == EARSHOT_OK)
        status = find_columns(&c, options->samples, error);
    if (status == EARSHOT_OK)
        status = read_rows(&c, error);
    if (status == EARSHOT_OK)
        status = bootstrap(&c, options, error);
    if (status == EARSHOT_OK)
        (options->json ? write_json : write_text)(&c, options, stream);
    free_comparison(&c);
    return status;
}
