/* test_plan.c: the built-in experiment is what its tables claim (one budget, shared worlds), its
 * jobs hang together, and what is no plan is refused with a reason. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "reproduce/experiment.h"

static struct earshot_error error;

static size_t find_row(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->row_count; i++)
        if (strcmp(plan->row[i].name, name) == 0)
            return i;
    fail_msg("no row %s", name);
    return 0;
}

static const struct plan_table *find_table(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->table_count; i++)
        if (strcmp(plan->table[i].name, name) == 0)
            return &plan->table[i];
    fail_msg("no table %s", name);
    return NULL;
}

/* The value that follows a flag; NULL. */
static const char *flag(const struct job *job, const char *name)
{
    for (size_t i = 0; i + 1 < job->argument_count; i++)
        if (strcmp(job->argument[i], name) == 0)
            return job->argument[i + 1];
    return NULL;
}

/* What makes the rows of a table comparable: nothing but the objective, its balance and what the
 * model is may differ between them, unless a row says that it is a control. */
static void test_rows_share_their_settings(void **state)
{
    static const char *const free_keys[] = {
        "pcc_weight",   "pnc_weight",   "caption_weight", "balance",
        "gblend_steps", "gblend_every", "gblend_holdout", NULL};
    struct plan plan;
    const char *key;
    json_t *value;

    (void)state;
    assert_ok(plan_read("built-in", plan_builtin(), false, &plan, &error));
    for (size_t i = 0; i < plan.row_count; i++) {
        if (plan.row[i].control)
            continue;
        assert_null(plan.row[i].finetune);
        json_object_foreach(plan.row[i].pretrain, key, value)
        {
            size_t k = 0;

            while (free_keys[k] && strcmp(free_keys[k], key) != 0)
                k++;
            if (!free_keys[k])
                fail_msg("row %s has a %s of its own", plan.row[i].name, key);
        }
    }
    plan_free(&plan);
}

/* The rows that issue and paper ask for. */
static void test_tables(void **state)
{
    struct plan plan, quick;
    const struct plan_table *objectives;

    (void)state;
    assert_ok(plan_read("built-in", plan_builtin(), false, &plan, &error));
    assert_ok(plan_read("built-in", plan_builtin(), true, &quick, &error));
    objectives = find_table(&plan, "objectives");
    assert_int_equal(objectives->set_count, 4);
    assert_true(objectives->row_count >= 8);
    assert_true(find_table(&plan, "fusion")->row_count >= 6);
    assert_true(find_table(&plan, "streams")->row_count >= 8);
    assert_true(plan.seed_count >= 5);
    assert_int_equal(quick.seed_count, 2);
    assert_int_equal(quick.table_count, 1);
    for (size_t i = 0; i < quick.table[0].row_count; i++)
        assert_false(quick.row[quick.table[0].row[i]].control);
    /* two of the paper's figures, as the issue prints them */
    assert_true(plan.row[find_row(&plan, "pcc")].paper[0] == 166.8);
    assert_true(plan.row[find_row(&plan, "pnc_mbp")].paper[3] == 26.1);
    assert_true(isnan(plan.row[find_row(&plan, "none")].paper[0]));
    plan_free(&plan);
    plan_free(&quick);
}

static bool has_job(const struct experiment *e, const char *name)
{
    for (size_t i = 0; i < e->jobs.count; i++)
        if (strcmp(e->jobs.job[i].name, name) == 0)
            return true;
    return false;
}

static void test_jobs(void **state)
{
    struct plan plan;
    struct experiment e;
    size_t pcc, mbp, first, second;

    (void)state;
    assert_ok(plan_read("built-in", plan_builtin(), false, &plan, &error));
    assert_ok(experiment_open(&plan, &e, &error));
    for (size_t i = 0; i < e.jobs.count; i++) {
        const struct job *job = &e.jobs.job[i];

        for (size_t n = 0; n < job->need_count; n++)
            assert_true(job->need[n] < i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(e.jobs.job[k].name, job->name) == 0)
                fail_msg("two jobs are called %s", job->name);
        for (size_t a = 0; a < job->argument_count; a++)
            assert_null(strpbrk(job->argument[a], "{}\001"));
    }
    /* a seed's rows: same clips, same seed, same length */
    pcc = find_row(&plan, "pcc");
    mbp = find_row(&plan, "pcc_mbp");
    first = experiment_training(&e, 1, pcc, PLAN_NONE);
    second = experiment_training(&e, 1, mbp, PLAN_NONE);
    assert_true(first != second && first != PLAN_NONE && second != PLAN_NONE);
    assert_string_equal(flag(&e.jobs.job[first], "--data"), flag(&e.jobs.job[second], "--data"));
    assert_string_equal(flag(&e.jobs.job[first], "--seed"), flag(&e.jobs.job[second], "--seed"));
    assert_string_equal(flag(&e.jobs.job[first], "--steps"), flag(&e.jobs.job[second], "--steps"));
    assert_string_equal(flag(&e.jobs.job[first], "--balance"), "none");
    assert_string_equal(flag(&e.jobs.job[second], "--balance"), "mbp");
    /* another seed: other clips and another start */
    second = experiment_training(&e, 0, pcc, PLAN_NONE);
    assert_string_not_equal(flag(&e.jobs.job[first], "--data"),
                            flag(&e.jobs.job[second], "--data"));
    assert_string_not_equal(flag(&e.jobs.job[first], "--seed"),
                            flag(&e.jobs.job[second], "--seed"));
    /* fine-tuning starts from the row's own pre-training */
    second = experiment_training(&e, 1, pcc, 0);
    assert_non_null(strstr(flag(&e.jobs.job[second], "--init"), e.jobs.job[first].name));
    /* what two tables share is made once */
    assert_int_equal(experiment_training(&e, 0, find_row(&plan, "av_pre"), PLAN_NONE),
                     experiment_training(&e, 0, mbp, PLAN_NONE));
    /* a text alone is tested where every clip has one */
    assert_true(has_job(&e, "s1001.vt.cook.t"));
    assert_true(has_job(&e, "s1001.vt.open.v"));
    assert_false(has_job(&e, "s1001.vt.open.t"));
    experiment_close(&e);
    plan_free(&plan);
}

static void test_command_is_quoted(void **state)
{
    char *argument[] = {(char[]){"caption"}, (char[]){"a b"}, (char[]){"it's"}, (char[]){""}};
    const struct job job = {.argument = argument, .argument_count = 4};
    char *command = experiment_command(&job);

    (void)state;
    assert_string_equal(command, "earshot caption 'a b' 'it'\\''s' ''");
    free(command);
}

static void test_streams(void **state)
{
    (void)state;
    assert_true(plan_streams_fewer("v", "av"));
    assert_true(plan_streams_fewer("av", "avt"));
    assert_false(plan_streams_fewer("av", "av"));
    assert_false(plan_streams_fewer("t", "av"));
}

/* The miniature with one thing replaced. */
static void refuse(const char *from, const char *to, const char *reason)
{
    struct plan plan;
    char *text, *at, *changed;

    assert_ok(
        file_read_text(test_fixture("reproduce/miniature.json"), 1 << 20, &text, NULL, &error));
    at = strstr(text, from);
    assert_non_null(at);
    changed = str_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(plan_read("test", changed, false, &plan, &error), EARSHOT_ERROR_FORMAT);
    if (!strstr(error.message, reason))
        fail_msg("\"%s\" does not say \"%s\"", error.message, reason);
    free(text);
    free(changed);
}

static void test_wrong_plans(void **state)
{
    struct plan plan;

    (void)state;
    refuse("\"seeds\": 2,", "\"seeds\": 0,", "\"seeds\" must be a whole number");
    refuse("\"seeds\": 2,", "", "\"seeds\"");
    refuse("\"corpus\": \"speech\"", "\"corpus\": \"peech\"", "no corpus \"peech\"");
    refuse("\"name\": \"none\"", "\"name\": \"../none\"", "must be made of");
    refuse("\"name\": \"none\"", "\"name\": \"pcc_mbp\"", "twice");
    refuse("\"name\": \"none\"", "\"nome\": \"none\"", "unknown key \"nome\"");
    refuse("{\"cook\": 2}", "{\"soup\": 2}", "no set \"soup\"");
    refuse("{\"cook\": 2}", "{\"cook\": \"2\"}", "must be a number");
    refuse("[\"none\", \"pcc_mbp\"]", "[\"none\", 3]", "no row");
    refuse("[\"none\", \"pcc_mbp\"]", "[]", "needs rows");
    refuse("{\"balance\": \"mbp\"}", "{\"balance\": [1]}", "must be a number, a string");
    refuse("\"rows\": [", "\"rows\": 3, \"x\": [", "unknown key");
    refuse("{", "{,", "test:1");
    assert_int_equal(plan_read("test", "[]", false, &plan, &error), EARSHOT_ERROR_FORMAT);
    assert_int_equal(plan_read("test", "", false, &plan, &error), EARSHOT_ERROR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_share_their_settings),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_command_is_quoted),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_wrong_plans),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
