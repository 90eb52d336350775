/* report_text.c: the order of a report, and what frames its tables.  See report.h. */
#include <stdio.h>
#include <stdlib.h>

#include "reproduce/report.h"

/* What a reader must know before the first figure. */
static void put_introduction(struct document *d, const struct results *r)
{
    const struct plan *plan = r->experiment->plan;
    const struct job_list *jobs = &r->experiment->jobs;
    size_t failed = 0;

    for (size_t i = 0; i < jobs->count; i++)
        failed += jobs->job[i].state == JOB_FAILED;
    if (*plan->introduction)
        document_paragraph(d, "%s", plan->introduction);
    if (r->done_count < jobs->count)
        document_item(d,
                      "NOT COMPLETE: %zu of %zu jobs are not done%s; what follows is of the "
                      "others.",
                      jobs->count - r->done_count, jobs->count,
                      failed ? ", some of them because a job failed" : "");
    if (r->build_count > 1)
        document_item(d, "WARNING: the jobs were run by different builds of the program.");
}

static void put_facts(struct document *d, const struct results *r, const struct report_facts *facts)
{
    const struct plan *plan = r->experiment->plan;

    document_item(d, "Made by: %s", facts->command);
    document_item(d, "Program: %s", r->build ? r->build : facts->build);
    document_item(d, "Machine: %s", facts->machine);
    document_item(d, "Seeds: %zu to %zu, each of them a world and the networks' initial weights",
                  plan->first_seed, plan->first_seed + plan->seed_count - 1);
    document_item(d,
                  "Work: %zu of %zu jobs, %.1f hours of one processor (of a job that was stopped, "
                  "only its last start)",
                  r->done_count, r->experiment->jobs.count, r->cpu_s / 3600);
}

static void put_failures(struct document *d, const struct results *r)
{
    const struct job_list *jobs = &r->experiment->jobs;

    for (size_t i = 0; i < jobs->count; i++) {
        char *tail;

        if (jobs->job[i].state != JOB_FAILED)
            continue;
        tail = runner_log_tail(&jobs->job[i], 10);
        document_heading(d, 3, jobs->job[i].name);
        document_code(d, tail ? tail : "");
        free(tail);
    }
}

/* typed: the command that made the report. */
static void put_commands(struct document *d, const struct results *r, const char *typed)
{
    const struct job_list *jobs = &r->experiment->jobs;
    struct str text = {0};
    char prefix[32];

    if (d->kind == DOCUMENT_MARKDOWN) {
        document_paragraph(d,
                           "The exact commands are in report.html and report.json; %s --out DIR "
                           "--list prints them.",
                           typed);
        return;
    }
    snprintf(prefix, sizeof prefix, "s%zu.", r->experiment->plan->first_seed);
    for (size_t i = 0; i < jobs->count; i++) {
        char *command =
            str_starts_with(jobs->job[i].name, prefix) ? experiment_command(&jobs->job[i]) : NULL;

        if (command)
            str_append_format(&text, "%s%s", text.length ? "\n" : "", command);
        free(command);
    }
    document_fold_begin(d, "Commands of the first seed");
    document_paragraph(d, "They run in the folder of the report. Those of the other seeds differ "
                          "in the seed's number only; report.json has them all.");
    document_code(d, text.data ? text.data : "");
    document_fold_end(d);
    str_free(&text);
}

void report_compose(const struct results *r, const struct report_facts *facts,
                    enum document_kind kind, const struct str picture[PICTURES], struct document *d)
{
    static const char *const description[PICTURES] = {
        "Scores of the rows of the first table.",
        "Pre-training, validation: over-specialisation is the loss of the video alone rising while "
        "that of all streams falls. Mean over seeds, band: one standard deviation.",
        "Pre-training: the weights of the mono-modal losses. Mean over seeds, band: one standard "
        "deviation."};
    const struct plan *plan = r->experiment->plan;

    document_begin(d, kind, plan->title);
    put_introduction(d, r);
    report_put_findings(d, r);
    for (int i = 0; i < PICTURES; i++)
        if (picture[i].length)
            document_picture(d, &picture[i], report_picture_file((enum report_picture)i),
                             description[i]);
    for (size_t t = 0; t < plan->table_count; t++)
        report_put_table(d, r, &plan->table[t]);
    document_heading(d, 2, "How it was made");
    document_paragraph(d,
                       "The rows of a seed share their corpora and, where the networks are alike, "
                       "the initial weights. To make all of it again: "
                       "%s --out DIR; stopped, the same command goes on. Settings are below; "
                       "docs/EXPERIMENTS.md explains them.",
                       facts->command);
    put_facts(d, r, facts);
    put_failures(d, r);
    document_fold_begin(d, "The plan: every setting");
    document_code(d, facts->plan);
    document_fold_end(d);
    put_commands(d, r, facts->command);
    document_end(d);
}
