/* report_tables.c: a table of the plan, set by set and seed by seed.  See report.h. */
#include <math.h>
#include <stdio.h>

#include "reproduce/columns.h"
#include "reproduce/report.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct column pretrain_column[] = {
    {"loss", true, NULL, TRAINING_LOSS, 2, LOSS_NONE},
    {"video alone", true, NULL, TRAINING_LOSS_VIDEO, 2, LOSS_NONE},
    {"audio alone", true, NULL, TRAINING_LOSS_AUDIO, 2, LOSS_NONE},
    {"video alone: above its lowest", true, NULL, TRAINING_RISE_VIDEO, 2, LOSS_NONE},
    {"weight of video", true, NULL, TRAINING_WEIGHT_VIDEO, 2, LOSS_NONE},
    {"weight of audio", true, NULL, TRAINING_WEIGHT_AUDIO, 2, LOSS_NONE},
    {"CPU seconds", true, NULL, TRAINING_CPU_S, 0, LOSS_NONE},
};

/* What a table shows of a set: only columns for which some row has a value. */
static size_t find_columns(const struct results *r, const struct plan_table *table, size_t set,
                           struct column *column)
{
    size_t count = 0, kept = 0;

    column_add(column, &count, "CIDEr-D", false, NULL, SCORE_CIDER_D, 1);
    column_add(column, &count, "seen slots, %", false, NULL, SCORE_SEEN, 1);
    column_add(column, &count, "heard slots, %", false, NULL, SCORE_HEARD, 1);
    column_add(column, &count, "exact, %", false, NULL, SCORE_EXACT, 1);
    for (size_t t = 0; t < table->test_count; t++) {
        column_add(column, &count, "CIDEr-D", false, table->test[t], SCORE_CIDER_D, 1);
        column_add(column, &count, "seen", false, table->test[t], SCORE_SEEN, 1);
    }
    column_add(column, &count, "loss", true, NULL, TRAINING_LOSS, 2);
    column_add(column, &count, "loss, video alone", true, NULL, TRAINING_LOSS_VIDEO, 2);
    for (size_t c = 0; c < count; c++) {
        bool any = false;

        for (size_t i = 0; i < table->row_count && !any; i++)
            any = column_describe(r, &column[c], table->row[i], set).count > 0;
        if (any)
            column[kept++] = column[c];
    }
    return kept;
}

static void put_overview(struct document *d, const struct results *r,
                         const struct plan_table *table)
{
    const struct plan *plan = r->experiment->plan;
    const char *title[PLAN_SETS_MAX + 1] = {"CIDEr-D x 100"};

    for (size_t s = 0; s < table->set_count; s++)
        title[s + 1] = plan->set[table->set[s]].label;
    document_table_begin(d, title, table->set_count + 1);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct plan_row *row = &plan->row[table->row[i]];

        cell_row_name(d, row);
        for (size_t s = 0; s < table->set_count; s++) {
            double paper = row->paper[table->set[s]];
            char note[64];

            snprintf(note, sizeof note, "paper: %.1f", paper);
            cell_statistics(d, r, column_describe(r, &column_cider, table->row[i], table->set[s]),
                            1, isnan(paper) ? NULL : note);
        }
    }
    document_table_end(d);
}

static void put_set(struct document *d, const struct results *r, const struct plan_table *table,
                    size_t set)
{
    const struct plan *plan = r->experiment->plan;
    struct column column[COLUMNS_MAX];
    size_t count = find_columns(r, table, set, column);

    if (count == 0)
        return;
    document_heading(d, 3, plan->set[set].label);
    columns_table_begin(d, "mean \u00b1 sd", column, count);
    for (size_t i = 0; i < table->row_count; i++) {
        cell_row_name(d, &plan->row[table->row[i]]);
        for (size_t c = 0; c < count; c++)
            cell_statistics(d, r, column_describe(r, &column[c], table->row[i], set),
                            column[c].digits, NULL);
    }
    document_table_end(d);
    if (!table->compare_count)
        return;
    columns_table_begin(d, "paired difference", column, count);
    for (size_t i = 0; i < table->compare_count; i++) {
        cell_pair_name(d, plan, table->compare[i]);
        for (size_t c = 0; c < count; c++) {
            struct paired_difference p = column_compare(r, &column[c], table->compare[i], set);

            cell_difference(d, &p, column[c].digits);
        }
    }
    document_table_end(d);
}

static void put_slots(struct document *d, const struct results *r, const struct plan_table *table,
                      size_t set)
{
    const struct plan *plan = r->experiment->plan;
    struct column column[RESULTS_SLOTS_MAX];
    size_t count = 0;

    for (size_t s = 0; s < r->slot_count; s++) {
        struct column c = {.metric = SCORE_SLOT + s, .digits = 1};
        bool any = false;

        snprintf(c.title, sizeof c.title, "%s", r->slot[s]);
        for (size_t i = 0; i < table->row_count && !any; i++)
            any = column_describe(r, &c, table->row[i], set).count > 0;
        if (any)
            column[count++] = c;
    }
    if (count == 0)
        return;
    document_paragraph(d, "%s", plan->set[set].label);
    columns_table_begin(d, "slots right, %", column, count);
    for (size_t i = 0; i < table->row_count; i++) {
        cell_row_name(d, &plan->row[table->row[i]]);
        for (size_t c = 0; c < count; c++)
            cell_statistics(d, r, column_describe(r, &column[c], table->row[i], set), 1, NULL);
    }
    document_table_end(d);
}

static void put_mean(struct document *d, struct statistics s)
{
    if (s.count)
        document_cell(d, false, NULL, "%.1f", s.mean);
    else
        document_cell(d, false, NULL, CELL_NOTHING);
}

/* CIDEr-D of every seed. */
static void put_seeds(struct document *d, const struct results *r, const struct plan_table *table,
                      size_t set)
{
    const struct plan *plan = r->experiment->plan;
    char name[PLAN_SEEDS_MAX][24];
    const char *title[PLAN_SEEDS_MAX + 1] = {"CIDEr-D of seed"};

    for (size_t seed = 0; seed < r->seeds; seed++) {
        snprintf(name[seed], sizeof name[seed], "%zu", plan->first_seed + seed);
        title[seed + 1] = name[seed];
    }
    document_paragraph(d, "%s", plan->set[set].label);
    document_table_begin(d, title, r->seeds + 1);
    for (size_t i = 0; i < table->row_count; i++) {
        double room[PLAN_SEEDS_MAX];
        const double *value = column_values(r, &column_cider, table->row[i], set, room);

        cell_row_name(d, &plan->row[table->row[i]]);
        for (size_t seed = 0; seed < r->seeds; seed++)
            put_mean(d, statistics_of(value ? value + seed : NULL, value ? 1 : 0));
    }
    document_table_end(d);
}

static void put_pretraining(struct document *d, const struct results *r,
                            const struct plan_table *table)
{
    const struct plan *plan = r->experiment->plan;
    size_t rows = 0, pairs = 0;

    for (size_t i = 0; i < table->row_count; i++)
        rows += plan->row[table->row[i]].pretrain != NULL;
    if (rows == 0)
        return;
    document_heading(d, 3, "After pre-training");
    document_paragraph(
        d,
        "Validation losses of the current clip's transcript (%s), nats a token; "
        "weights of its mono-modal losses. CPU seconds are of the whole job: the first "
        "rows that read a corpus also decode it for those that follow.",
        plan->objective);
    columns_table_begin(d, "mean \u00b1 sd", pretrain_column, COUNT(pretrain_column));
    for (size_t i = 0; i < table->row_count; i++) {
        if (!plan->row[table->row[i]].pretrain)
            continue;
        cell_row_name(d, &plan->row[table->row[i]]);
        for (size_t c = 0; c < COUNT(pretrain_column); c++)
            cell_statistics(d, r, column_describe(r, &pretrain_column[c], table->row[i], PLAN_NONE),
                            pretrain_column[c].digits, NULL);
    }
    document_table_end(d);
    for (size_t i = 0; i < table->compare_count; i++)
        pairs +=
            plan->row[table->compare[i][0]].pretrain && plan->row[table->compare[i][1]].pretrain;
    if (pairs == 0)
        return;
    columns_table_begin(d, "paired difference", pretrain_column, COUNT(pretrain_column));
    for (size_t i = 0; i < table->compare_count; i++) {
        const size_t *pair = table->compare[i];

        if (!plan->row[pair[0]].pretrain || !plan->row[pair[1]].pretrain)
            continue;
        cell_pair_name(d, plan, pair);
        for (size_t c = 0; c < COUNT(pretrain_column); c++) {
            struct paired_difference p = column_compare(r, &pretrain_column[c], pair, PLAN_NONE);

            cell_difference(d, &p, pretrain_column[c].digits);
        }
    }
    document_table_end(d);
}

void report_put_table(struct document *d, const struct results *r, const struct plan_table *table)
{
    document_heading(d, 2, table->title);
    if (table->note)
        document_paragraph(d, "%s", table->note);
    put_overview(d, r, table);
    for (size_t s = 0; s < table->set_count; s++)
        put_set(d, r, table, table->set[s]);
    put_pretraining(d, r, table);
    document_fold_begin(d, "Every slot and every seed");
    for (size_t s = 0; s < table->set_count; s++) {
        put_slots(d, r, table, table->set[s]);
        put_seeds(d, r, table, table->set[s]);
    }
    document_fold_end(d);
}
