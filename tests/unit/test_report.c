/* test_report.c: from what jobs leave behind to the numbers of the report.  A script plays the
 * program, so that every number is known. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "reproduce/report.h"

static struct earshot_error error;

/* CIDEr 1 and 2 without pre-training, 4 and 7 with it; the captions of the video alone get 0.5. The
 * video's loss falls to 2 and ends at 3. */
static const char program[] =
    "#!/bin/sh\n"
    "for last; do [ \"$flag\" = --out ] && out=$last; [ \"$flag\" = --output ] && output=$last; "
    "flag=$last; done\n"
    "case \"$1 $2 $3\" in\n"
    "train*) mkdir -p $out/model; : >$out/model/model.safetensors\n"
    "  for p in pcc caption; do\n"
    "    for v in '1 5 4' '2 3 2' '3 2 3'; do set -- $v\n"
    "      echo \"{\\\"step\\\": $1, \\\"loss\\\": 1, \\\"$p\\\": {\\\"w_video\\\": 0.$1}}\"\n"
    "      echo \"{\\\"step\\\": $1, \\\"validation_loss\\\": $2, \\\"$p\\\": {\\\"L\\\": $2, "
    "\\\"L_video\\\": $3}}\"\n"
    "    done\n"
    "  done | sort -t: -k2,2n -s >$out/log.jsonl ;;\n"
    "toyworld\\ --score*) echo '{\"exact\": 0.5, \"seen\": 0.75, \"heard\": 0.25, \"slots\": "
    "{\"colour\": {\"right\": 0.5}, "
    "\"shape\": "
    "{\"right\": 1}, \"event\": {\"right\": 0.25}}}' ;;\n"
    "toyworld*) mkdir -p $out; : >$out/manifest.jsonl ;;\n"
    "caption*) : >$output ;;\n"
    "eval*.v/*) echo '{\"scores\": {\"CIDEr\": 0.5}}' ;;\n"
    "eval*s7.none*) echo '{\"scores\": {\"CIDEr\": 1}}' ;;\n"
    "eval*s8.none*) echo '{\"scores\": {\"CIDEr\": 2}}' ;;\n"
    "eval*s7.pcc_mbp*) echo '{\"scores\": {\"CIDEr\": 4}}' ;;\n"
    "eval*s8.pcc_mbp*) echo '{\"scores\": {\"CIDEr\": 7}}' ;;\n"
    "esac\n";

static bool never(void *context)
{
    (void)context;
    return false;
}

static void run(struct experiment *e)
{
    const struct runner_options options = {
        .program = "./program", .build = "build 1", .parallel = 1, .cancelled = never};

    assert_ok(file_write_atomic("program", program, sizeof program - 1, &error));
    assert_int_equal(chmod("program", 0755), 0);
    assert_ok(runner_run(&e->jobs, &options, &error));
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) < 1e-6 * (1 + fabs(expected))))
        fail_msg("%g, expected %g", value, expected);
}

static double real_at(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void check_values(const struct results *r)
{
    size_t av = experiment_find_test(r->experiment, "av"),
           v = experiment_find_test(r->experiment, "v");

    assert_near(results_score(r, 0, 0, av, SCORE_CIDER_D)[0], 100);
    assert_near(results_score(r, 0, 0, av, SCORE_CIDER_D)[1], 200);
    assert_near(results_score(r, 1, 0, av, SCORE_CIDER_D)[1], 700);
    assert_near(results_score(r, 1, 0, v, SCORE_CIDER_D)[1], 50);
    assert_near(results_score(r, 1, 0, v, SCORE_SEEN)[0], 75);
    assert_near(results_score(r, 1, 0, v, SCORE_HEARD)[0], 25);
    assert_near(results_score(r, 1, 0, v, SCORE_EXACT)[0], 50);
    assert_near(results_training(r, 1, PLAN_NONE, TRAINING_LOSS)[0], 2);
    assert_near(results_training(r, 1, PLAN_NONE, TRAINING_LOSS_VIDEO)[0], 3);
    assert_near(results_training(r, 1, PLAN_NONE, TRAINING_RISE_VIDEO)[0], 1);
    assert_near(results_training(r, 1, PLAN_NONE, TRAINING_WEIGHT_VIDEO)[0], 0.3);
    assert_near(results_training(r, 1, 0, TRAINING_LOSS_VIDEO)[1], 3);
    assert_true(isnan(results_training(r, 0, PLAN_NONE, TRAINING_LOSS)[0]));
    assert_true(isnan(results_training(r, 1, PLAN_NONE, TRAINING_LOSS_AUDIO)[0]));
    assert_int_equal(r->build_count, 1);
    assert_string_equal(r->build, "build 1");
}

static void read_file(const char *path, char **text)
{
    assert_ok(file_read_text(path, 1 << 24, text, NULL, &error));
}

/* Differences 300 and 500: mean 400, sd 141.42, half of the interval 12.7062 * 100. */
static void check_json(void)
{
    char *json;
    json_t *root, *difference;

    read_file("report.json", &json);
    root = json_loads(json, 0, NULL);
    difference = json_array_get(json_object_get(root, "differences"), 0);
    assert_string_equal(json_string_value(json_object_get(difference, "metric")), "cider_d");
    assert_near(real_at(difference, "mean"), 400);
    assert_near(real_at(difference, "sd"), 100 * sqrt(2));
    assert_near(real_at(difference, "low"), 400 - 1270.6204736);
    assert_near(real_at(difference, "high"), 400 + 1270.6204736);
    json_decref(root);
    free(json);
}

static void check_markdown(const char *text)
{
    assert_non_null(strstr(text, "| no pre-training | 150.0 \u00b1 70.7 |"));
    assert_non_null(strstr(text, "| PCC + MBP | 550.0 \u00b1 212.1 (paper: 2.0) |"));
    assert_non_null(strstr(text, "| PCC + MBP, less no pre-training | +400.0 (-870.6 to +1670.6)"));
    assert_non_null(strstr(text, "above on 0 of 1 sets with an interval that excludes zero; not "
                                 "decided on cook +400.0."));
    /* With the video only all rows get 50: losses of 50, 150 and of 350, 650, which are shares of
     * 50, 75 and of 87.5, 92.9 %. */
    assert_non_null(strstr(text, "| on how many sets | CIDEr-D | seen slots, % | heard slots, % "
                                 "| CIDEr-D lost, video only | lost in %, video only |"));
    assert_non_null(strstr(text, "| PCC + MBP, against no pre-training | not decided (+400.0) "
                                 "| not decided (+0.0) | not decided (+0.0) | not decided (+400.0) "
                                 "| not decided (+27.7) |"));
    assert_non_null(strstr(text, "the validation loss ends at 2.00; with the video alone at 3.00, "
                                 "which is 1.00 above the lowest"));
}

/* A miniature experiment in a folder of its own, which becomes the working directory. */
struct fixture {
    struct plan plan;
    struct experiment experiment;
    struct results results;
    char *plan_text, *markdown;
};

static void open_fixture(struct fixture *f, const char *name)
{
    read_file(test_fixture("reproduce/miniature.json"), &f->plan_text);
    assert_ok(plan_read("miniature", f->plan_text, false, &f->plan, &error));
    assert_int_equal(chdir(test_directory(name)), 0);
    assert_ok(experiment_open(&f->plan, &f->experiment, &error));
}

static void report(struct fixture *f)
{
    const struct report_facts facts = {"build 2", "a machine", "earshot reproduce", f->plan_text};

    assert_ok(results_collect(&f->experiment, &f->results, &error));
    assert_ok(report_write(&f->results, &facts, &error));
    read_file("REPRODUCE.md", &f->markdown);
}

static void close_fixture(struct fixture *f)
{
    free(f->markdown);
    results_free(&f->results);
    experiment_close(&f->experiment);
    plan_free(&f->plan);
    free(f->plan_text);
}

static void test_numbers(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f, "report");
    run(&f.experiment);
    report(&f);
    check_values(&f.results);
    check_markdown(f.markdown);
    check_json();
    close_fixture(&f);
}

/* A paper that has it the other way round must be contradicted in words. */
static void test_contradiction_is_said(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f, "report-contradiction");
    f.plan.row[0].paper[0] = 10; /* pcc_mbp: 2 */
    run(&f.experiment);
    report(&f);
    assert_non_null(strstr(f.markdown, "OTHERWISE than in the paper on cook"));
    assert_non_null(strstr(f.markdown, "Of 1 pairs, 0 are as in the paper"));
    close_fixture(&f);
}

/* A seed is missing on one side: the pair is one seed, and the cells say so. */
static void test_one_pair(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f, "report-pair");
    run(&f.experiment);
    assert_int_equal(unlink("jobs/s8.pcc_mbp.cook.av.cider/done.json"), 0);
    assert_ok(runner_look(&f.experiment.jobs, &error));
    report(&f);
    assert_non_null(strstr(f.markdown, "| PCC + MBP | 400.0 (paper: 2.0; 1 of 2 seeds) |"));
    assert_non_null(
        strstr(f.markdown, "| PCC + MBP, against no pre-training | one seed (+300.0) |"));
    assert_non_null(strstr(f.markdown, "; one seed, hence no interval, on cook +300.0."));
    close_fixture(&f);
}

/* Nothing done yet: a report that says so. */
static void test_empty(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f, "report-empty");
    assert_ok(runner_look(&f.experiment.jobs, &error));
    report(&f);
    assert_non_null(strstr(f.markdown, "NOT COMPLETE"));
    assert_null(strstr(f.markdown, "nan"));
    assert_null(strstr(f.markdown, "on how many sets"));
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_contradiction_is_said),
        cmocka_unit_test(test_one_pair),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
