/* report_findings.c: what came out, in sentences that are computed.  See report.h. */
#include <math.h>

#include "reproduce/columns.h"
#include "reproduce/report.h"

static const struct column loss_of_all = {.training = true, .metric = TRAINING_LOSS};
static const struct column loss_of_video = {.training = true, .metric = TRAINING_LOSS_VIDEO};
static const struct column rise_of_video = {.training = true, .metric = TRAINING_RISE_VIDEO};

static void add_name(struct str *names, const char *name)
{
    str_append_format(names, "%s%s", names->length ? ", " : "", name);
}

static void add_amount(struct str *names, const char *name, double amount)
{
    str_append_format(names, "%s%s %+.1f", names->length ? ", " : "", name, amount);
}

static const char *text_of(const struct str *s)
{
    return s->data ? s->data : "";
}

/* One comparison over a table's sets: on how many the first row is clearly above and below, and
 * between which amounts. */
static void put_glance(struct document *d, const struct results *r, const struct plan_table *table,
                       const struct column *column, const size_t pair[2])
{
    size_t sets = 0, above = 0, below = 0;
    bool interval = false;
    double low = INFINITY, high = -INFINITY;
    char range[96], verdict[96];

    for (size_t s = 0; s < table->set_count; s++) {
        struct paired_difference p = column_compare(r, column, pair, table->set[s]);

        if (p.difference.count == 0)
            continue;
        sets++;
        above += p.sign > 0;
        below += p.sign < 0;
        interval |= p.difference.count > 1;
        low = fmin(low, p.difference.mean);
        high = fmax(high, p.difference.mean);
    }
    if (sets == 0) {
        document_cell(d, false, NULL, CELL_NOTHING);
        return;
    }
    if (above && below)
        snprintf(verdict, sizeof verdict, "above on %zu, below on %zu of %zu", above, below, sets);
    else if (above || below)
        snprintf(verdict, sizeof verdict, "%s on %zu of %zu", above ? "above" : "below",
                 above + below, sets);
    else
        snprintf(verdict, sizeof verdict, interval ? "not decided" : "one seed");
    if (sets == 1)
        snprintf(range, sizeof range, "%+.1f", low);
    else
        snprintf(range, sizeof range, "%+.1f to %+.1f", low, high);
    document_cell(d, above == sets || below == sets, range, "%s", verdict);
}

/* The first table's comparisons: scores, and what is lost when a stream is taken away. */
static void put_glances(struct document *d, const struct results *r, const struct plan_table *table)
{
    struct column column[COLUMNS_MAX];
    size_t count = 0, kept = 0;

    column_add(column, &count, "CIDEr-D", false, NULL, SCORE_CIDER_D, 1);
    column_add(column, &count, "seen slots, %", false, NULL, SCORE_SEEN, 1);
    column_add(column, &count, "heard slots, %", false, NULL, SCORE_HEARD, 1);
    for (size_t t = 0; t < table->test_count; t++) {
        column_add(column, &count, "CIDEr-D lost", false, table->test[t], SCORE_CIDER_D, 1);
        column[count - 1].loss = LOSS_POINTS;
        column_add(column, &count, "lost in %", false, table->test[t], SCORE_CIDER_D, 1);
        column[count - 1].loss = LOSS_SHARE;
    }
    for (size_t c = 0; c < count; c++) {
        bool any = false;

        for (size_t i = 0; i < table->compare_count && !any; i++)
            for (size_t s = 0; s < table->set_count && !any; s++)
                any = column_compare(r, &column[c], table->compare[i], table->set[s])
                          .difference.count > 0;
        if (any)
            column[kept++] = column[c];
    }
    if (kept == 0)
        return;
    document_paragraph(d,
                       "%s. In small print: from the lowest to the highest mean difference of "
                       "the sets. Lost: what the same captioner scores with all its streams, "
                       "less what it scores when some are taken away at test; and that in per "
                       "cent of what it scores with all.",
                       table->title);
    columns_table_begin(d, "on how many sets", column, kept);
    for (size_t i = 0; i < table->compare_count; i++) {
        document_row(d);
        document_cell(d, false, NULL, "%s, against %s",
                      r->experiment->plan->row[table->compare[i][0]].label,
                      r->experiment->plan->row[table->compare[i][1]].label);
        for (size_t c = 0; c < kept; c++)
            put_glance(d, r, table, &column[c], table->compare[i]);
    }
    document_table_end(d);
}

/* One comparison over a table's sets, and what the paper has. */
static void say_comparison(struct document *d, const struct results *r,
                           const struct plan_table *table, const size_t pair[2])
{
    const struct plan *plan = r->experiment->plan;
    const struct plan_row *a = &plan->row[pair[0]], *b = &plan->row[pair[1]];
    struct str above = {0}, below = {0}, open = {0}, single = {0}, other = {0}, verdict = {0};
    size_t sets = 0, same = 0, in_paper = 0, clear = 0;

    for (size_t s = 0; s < table->set_count; s++) {
        size_t set = table->set[s];
        struct paired_difference p = column_compare(r, &column_cider, pair, set);
        double paper = a->paper[set] - b->paper[set];

        if (p.difference.count == 0)
            continue;
        sets++;
        clear += p.sign > 0;
        add_amount(p.difference.count == 1 ? &single
                   : p.sign > 0            ? &above
                   : p.sign < 0            ? &below
                                           : &open,
                   plan->set[set].name, p.difference.mean);
        if (isnan(paper))
            continue;
        in_paper++;
        if (paper * p.difference.mean > 0)
            same++;
        else
            add_name(&other, plan->set[set].name);
    }
    if (sets == 0)
        return;
    str_append_format(&verdict,
                      "%s against %s, CIDEr-D: above on %zu of %zu sets with an interval "
                      "that excludes zero%s%s%s",
                      a->label, b->label, clear, sets, above.length ? " (" : "", text_of(&above),
                      above.length ? ")" : "");
    if (single.length)
        str_append_format(&verdict, "; one seed, hence no interval, on %s", text_of(&single));
    if (below.length)
        str_append_format(&verdict, "; below on %s", text_of(&below));
    if (open.length)
        str_append_format(&verdict, "; not decided on %s", text_of(&open));
    str_append_text(&verdict, ".");
    if (in_paper && other.length == 0)
        str_append_format(&verdict, " The means are in the paper's order on all %zu.", in_paper);
    else if (in_paper)
        str_append_format(&verdict,
                          " The means are in the paper's order on %zu of %zu: OTHERWISE "
                          "than in the paper on %s.",
                          same, in_paper, text_of(&other));
    document_item(d, "%s", text_of(&verdict));
    str_free(&above);
    str_free(&below);
    str_free(&open);
    str_free(&single);
    str_free(&other);
    str_free(&verdict);
}

/* Whether the video alone unlearned while the whole learned. */
static void say_overspecialisation(struct document *d, const struct results *r)
{
    const struct plan *plan = r->experiment->plan;

    for (size_t w = 0; w < plan->watched_count; w++) {
        size_t row = plan->watched[w];
        struct statistics rise = column_describe(r, &rise_of_video, row, PLAN_NONE);
        struct statistics loss = column_describe(r, &loss_of_all, row, PLAN_NONE);
        struct statistics video = column_describe(r, &loss_of_video, row, PLAN_NONE);

        if (rise.count)
            document_item(d,
                          "Pre-training with %s: the validation loss ends at %.2f; with the video "
                          "alone at %.2f, which is %.2f above the lowest that it had been.",
                          plan->row[row].label, loss.mean, video.mean, rise.mean);
    }
}

/* The rows of a set that the paper has, from the lowest to the highest mean. */
static void say_order(struct document *d, const struct results *r, const struct plan_table *table,
                      size_t set)
{
    const struct plan *plan = r->experiment->plan;
    size_t row[PLAN_ROWS_MAX], count = 0, pairs = 0, same = 0;
    double mean[PLAN_ROWS_MAX];
    struct str ours = {0};

    for (size_t i = 0; i < table->row_count; i++) {
        double value = column_describe(r, &column_cider, table->row[i], set).mean;
        size_t at = count;

        if (isnan(value) || isnan(plan->row[table->row[i]].paper[set]))
            continue;
        for (; at > 0 && mean[at - 1] > value; at--) {
            mean[at] = mean[at - 1];
            row[at] = row[at - 1];
        }
        mean[at] = value;
        row[at] = table->row[i];
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        str_append_format(&ours, "%s%s %.1f", i ? " < " : "", plan->row[row[i]].label, mean[i]);
        for (size_t k = i + 1; k < count; k++) {
            pairs++;
            same += plan->row[row[i]].paper[set] < plan->row[row[k]].paper[set];
        }
    }
    if (pairs)
        document_item(d, "Order of the means on %s: %s. Of %zu pairs, %zu are as in the paper.",
                      plan->set[set].name, text_of(&ours), pairs, same);
    str_free(&ours);
}

void report_put_findings(struct document *d, const struct results *r)
{
    const struct plan *plan = r->experiment->plan;

    document_heading(d, 2, "What came out");
    document_paragraph(
        d,
        "Computed from the tables below. Differences are paired by seed; \"above\" and \"below\" "
        "mean that the interval of %.0f%% excludes zero, by Student's t distribution over seeds, "
        "each by itself (no correction for their number). The paper's figures are of other corpora "
        "at another scale: only the order of rows can be compared with them.",
        100 * REPORT_CONFIDENCE);
    put_glances(d, r, &plan->table[0]);
    for (size_t t = 0; t < plan->table_count; t++)
        for (size_t i = 0; i < plan->table[t].compare_count; i++)
            say_comparison(d, r, &plan->table[t], plan->table[t].compare[i]);
    say_overspecialisation(d, r);
    for (size_t t = 0; t < plan->table_count; t++)
        for (size_t s = 0; s < plan->table[t].set_count; s++)
            say_order(d, r, &plan->table[t], plan->table[t].set[s]);
}
