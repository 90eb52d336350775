/*
 * columns.h: what tables of a report are made of: columns, their values over the seeds, their
 * cells.
 */
#ifndef EARSHOT_REPRODUCE_COLUMNS_H
#define EARSHOT_REPRODUCE_COLUMNS_H

#include "reproduce/document.h"
#include "reproduce/results.h"
#include "reproduce/statistics.h"

#define COLUMNS_MAX (8 + 2 * PLAN_TESTS_MAX)
#define CELL_NOTHING "\u2013"

/* Whether a column is a score, or what the score with the row's own streams is above it: as it is,
 * or in per cent of the score with the row's own. */
enum column_loss { LOSS_NONE, LOSS_POINTS, LOSS_SHARE };

/* Something that every row has on every set: a score of captions, or a figure of a training. */
struct column {
    char title[64];
    bool training;
    const char *streams; /* of a score; NULL: the row's own */
    size_t metric;
    int digits;
    enum column_loss loss;
};

extern const struct column column_cider;

/* Appends a column; its title also names the streams when they are given. */
void column_add(struct column *column, size_t *count, const char *title, bool training,
                const char *streams, size_t metric, int digits);

/* One value a seed, some of them possibly in room; NULL: the row is not tested with these streams.
 */
const double *column_values(const struct results *results, const struct column *column, size_t row,
                            size_t set, double room[PLAN_SEEDS_MAX]);

struct statistics column_describe(const struct results *results, const struct column *column,
                                  size_t row, size_t set);

/* The first row less the second, paired by seed. */
struct paired_difference column_compare(const struct results *results, const struct column *column,
                                        const size_t rows[2], size_t set);

void columns_table_begin(struct document *document, const char *first, const struct column *column,
                         size_t count);

/* "217.0 ± 3.2"; the small print has the note, and how many seeds when not all are there. */
void cell_statistics(struct document *document, const struct results *results,
                     struct statistics statistics, int digits, const char *note);

/* "+12.3" and below it the interval; strong when that does not hold zero. */
void cell_difference(struct document *document, const struct paired_difference *difference,
                     int digits);

/* These two begin a row of the table. */
void cell_row_name(struct document *document, const struct plan_row *row);
void cell_pair_name(struct document *document, const struct plan *plan, const size_t pair[2]);

#endif
