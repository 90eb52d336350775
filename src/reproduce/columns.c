/* columns.c: see columns.h. */
#include "reproduce/columns.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reproduce/report.h"

const struct column column_cider = {"CIDEr-D", false, NULL, SCORE_CIDER_D, 1, LOSS_NONE};

const double *column_values(const struct results *r, const struct column *c, size_t row, size_t set,
                            double room[PLAN_SEEDS_MAX])
{
    const char *own = r->experiment->plan->row[row].streams;
    size_t test, whole = experiment_find_test(r->experiment, own);
    const double *value, *all;

    if (c->training)
        return results_training(r, row, set, (enum training_metric)c->metric);
    test = c->streams ? experiment_find_test(r->experiment, c->streams) : whole;
    if (test == PLAN_NONE)
        return NULL;
    value = results_score(r, row, set, test, c->metric);
    if (c->loss == LOSS_NONE)
        return value;
    if (whole == PLAN_NONE || !plan_streams_fewer(c->streams, own))
        return NULL;
    all = results_score(r, row, set, whole, c->metric);
    for (size_t seed = 0; seed < r->seeds; seed++)
        room[seed] = c->loss == LOSS_POINTS ? all[seed] - value[seed]
                     : all[seed] > 0        ? 100 * (all[seed] - value[seed]) / all[seed]
                                            : NAN;
    return room;
}

struct statistics column_describe(const struct results *r, const struct column *c, size_t row,
                                  size_t set)
{
    double room[PLAN_SEEDS_MAX];
    const double *value = column_values(r, c, row, set, room);

    return statistics_of(value, value ? r->seeds : 0);
}

struct paired_difference column_compare(const struct results *r, const struct column *c,
                                        const size_t rows[2], size_t set)
{
    double room[2][PLAN_SEEDS_MAX];
    const double *a = column_values(r, c, rows[0], set, room[0]);
    const double *b = column_values(r, c, rows[1], set, room[1]);

    return statistics_compare(a, b, a && b ? r->seeds : 0, REPORT_CONFIDENCE);
}

void column_add(struct column *column, size_t *count, const char *title, bool training,
                const char *streams, size_t metric, int digits)
{
    struct column *c = &column[(*count)++];

    *c = (struct column){
        .training = training, .streams = streams, .metric = metric, .digits = digits};
    snprintf(c->title, sizeof c->title, "%s", title);
    for (const char *s = streams; s && *s; s++) {
        size_t used = strlen(c->title);

        snprintf(c->title + used, sizeof c->title - used, "%s%s%s", s == streams ? ", " : "+",
                 *s == 'v'   ? "video"
                 : *s == 'a' ? "audio"
                             : "text",
                 s[1] ? "" : " only");
    }
}

/* ---- cells ------------------------------------------------------------------------------------
 */

void cell_statistics(struct document *d, const struct results *r, struct statistics s, int digits,
                     const char *note)
{
    char more[160];

    if (s.count && s.count < r->seeds) {
        snprintf(more, sizeof more, "%s%s%zu of %zu seeds", note ? note : "", note ? "; " : "",
                 s.count, r->seeds);
        note = more;
    }
    if (s.count == 0)
        document_cell(d, false, note, CELL_NOTHING);
    else if (s.count == 1)
        document_cell(d, false, note, "%.*f", digits, s.mean);
    else
        document_cell(d, false, note, "%.*f \u00b1 %.*f", digits, s.mean, digits, s.sd);
}

void cell_difference(struct document *d, const struct paired_difference *p, int digits)
{
    char interval[96];

    if (p->difference.count == 0) {
        document_cell(d, false, NULL, CELL_NOTHING);
        return;
    }
    if (p->difference.count == 1)
        snprintf(interval, sizeof interval, "one seed");
    else
        snprintf(interval, sizeof interval, "%+.*f to %+.*f", digits, p->low, digits, p->high);
    document_cell(d, p->sign != 0, interval, "%+.*f", digits, p->difference.mean);
}

void columns_table_begin(struct document *d, const char *first, const struct column *column,
                         size_t count)
{
    const char *title[COLUMNS_MAX + 1] = {first};

    for (size_t c = 0; c < count; c++)
        title[c + 1] = column[c].title;
    document_table_begin(d, title, count + 1);
}

void cell_row_name(struct document *d, const struct plan_row *row)
{
    document_row(d);
    document_cell(d, false, row->note, "%s%s", row->label, row->control ? " (control)" : "");
}

void cell_pair_name(struct document *d, const struct plan *plan, const size_t pair[2])
{
    document_row(d);
    document_cell(d, false, NULL, "%s, less %s", plan->row[pair[0]].label,
                  plan->row[pair[1]].label);
}
