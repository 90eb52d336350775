/* experiment.c: jobs of a plan.  See experiment.h. */
#include "reproduce/experiment.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/str.h"

/* Stands for the job's own folder until it is clear that no other job does the same. */
#define OWN "\001"

/* Of one clip made or captioned, against a step of training: rough, for the time that is left. */
#define COST_CLIP 0.1
#define COST_SCORE 3
#define COST_BALANCE 1.5

/* A command being made.  Out of memory: failed, and all else does nothing. */
struct draft {
    char **argument;
    size_t count, capacity;
    size_t need[6];
    size_t need_count;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct draft *d, const char *format, ...)
{
    char text[4096];
    va_list args;
    void *array = d->argument;
    char *copy;

    va_start(args, format);
    d->failed |= vsnprintf(text, sizeof text, format, args) >= (int)sizeof text;
    va_end(args);
    d->failed |= !array_reserve(&array, &d->capacity, d->count + 1, sizeof *d->argument);
    d->argument = array;
    if (d->failed || !(copy = str_format("%s", text)))
        d->failed = true;
    else
        d->argument[d->count++] = copy;
}

static void need(struct draft *d, size_t job)
{
    if (job == PLAN_NONE)
        d->failed = true;
    else
        d->need[d->need_count++] = job;
}

/* "{seed}" replaced in an option's text; malloc'd. */
static char *substitute(const char *text, size_t seed)
{
    struct str out = {0};
    const char *at;

    while ((at = strstr(text, "{seed}"))) {
        str_append(&out, text, (size_t)(at - text));
        str_append_format(&out, "%zu", seed);
        text = at + strlen("{seed}");
    }
    str_append_text(&out, text);
    return str_take(&out);
}

/* Options from the general to the particular: later ones win. */
static void add_options(struct draft *d, size_t seed, json_t *const *level, size_t count)
{
    json_t *merged = json_object(), *value;
    const char *key;

    d->failed |= !merged;
    for (size_t i = 0; i < count; i++)
        if (level[i])
            d->failed |= json_object_update(merged, level[i]) != 0;
    json_object_foreach(merged, key, value)
    {
        char *text = json_is_string(value)
                         ? substitute(json_string_value(value), seed)
                         : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));

        if (!text)
            d->failed = true;
        else if (json_is_boolean(value))
            add(d, json_is_true(value) ? "--%s" : "--no-%s", key);
        else if (!json_is_null(value)) {
            add(d, "--%s", key);
            add(d, "%s", text);
        }
        free(text);
    }
    json_decref(merged);
}

static void free_draft(struct draft *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->argument[i]);
    free(d->argument);
}

/* Text with OWN replaced by "jobs/NAME"; malloc'd. */
static char *own(const char *text, const char *name)
{
    const char *at = strstr(text, OWN);

    return at ? str_format("%.*sjobs/%s%s", (int)(at - text), text, name, at + strlen(OWN))
              : str_format("%s", text);
}

static char *join(const struct draft *d)
{
    struct str text = {0};

    for (size_t i = 0; i < d->count; i++)
        str_append(&text, d->argument[i], strlen(d->argument[i]) + 1);
    str_append_text(&text, "."); /* for str_take: not empty; the last NUL is inside */
    for (size_t i = 0; i + 1 < text.length; i++)
        if (text.data && text.data[i] == '\0')
            text.data[i] = '\n';
    return str_take(&text);
}

/* The job of this command: an earlier one with the same, or a new one called `name`.  output and
 * scratch are below its folder, and may be NULL.  Ends the draft. */
static size_t finish(struct experiment *e, struct draft *d, const char *name, const char *output,
                     const char *scratch, bool result, double cost)
{
    char *canonical = d->failed ? NULL : join(d);
    void *array = e->canonical;
    struct job *job = NULL;
    size_t found = PLAN_NONE;

    for (size_t i = 0; canonical && i < e->jobs.count && found == PLAN_NONE; i++)
        if (strcmp(e->canonical[i], canonical) == 0)
            found = i;
    if (canonical && found == PLAN_NONE &&
        array_reserve(&array, &e->canonical_capacity, e->jobs.count + 1, sizeof *e->canonical)) {
        e->canonical = array;
        job = job_list_add(&e->jobs);
    }
    if (job) {
        found = e->jobs.count - 1;
        e->canonical[found] = canonical;
        canonical = NULL;
        job->name = str_format("%s", name);
        job->argument = calloc(d->count, sizeof *job->argument);
        job->need = calloc(d->need_count + 1, sizeof *job->need);
        job->output = output ? job_path(name, output) : NULL;
        job->scratch = scratch ? job_path(name, scratch) : NULL;
        job->result = result;
        job->cost = cost;
        for (size_t i = 0; job->argument && i < d->count; i++)
            if ((job->argument[i] = own(d->argument[i], name)))
                job->argument_count = i + 1;
        for (size_t i = 0; job->need && i < d->need_count; i++)
            job->need[job->need_count++] = d->need[i];
        if (!job->name || job->argument_count != d->count || !job->need ||
            (output && !job->output) || (scratch && !job->scratch))
            found = PLAN_NONE;
    }
    free(canonical);
    free_draft(d);
    return found;
}

/* ---- the kinds of jobs ------------------------------------------------------------------------
 */

static size_t seed_number(const struct experiment *e, size_t seed)
{
    return e->plan->first_seed + seed;
}

static const char *job_name(const struct experiment *e, size_t job)
{
    return job == PLAN_NONE ? "" : e->jobs.job[job].name;
}

static size_t make_corpus(struct experiment *e, size_t seed, size_t corpus)
{
    const struct plan_corpus *c = &e->plan->corpus[corpus];
    double clips = json_number_value(json_object_get(c->options, "clips"));
    struct draft d = {0};
    char name[256];

    snprintf(name, sizeof name, "s%zu.%s", seed_number(e, seed), c->name);
    add(&d, "toyworld");
    add_options(&d, seed_number(e, seed), (json_t *[]){e->plan->world, c->options}, 2);
    add(&d, "--out");
    add(&d, OWN "/corpus");
    return finish(e, &d, name, "corpus/manifest.jsonl", NULL, false, 1 + COST_CLIP * clips);
}

static void add_manifest(struct experiment *e, struct draft *d, const char *flag, size_t seed,
                         size_t corpus)
{
    size_t job;

    if (corpus == PLAN_NONE)
        return;
    job = make_corpus(e, seed, corpus);
    need(d, job);
    add(d, "%s", flag);
    add(d, "jobs/%s/corpus/manifest.jsonl", job_name(e, job));
}

/* What the options of a training say about its length. */
static double training_cost(json_t *const *level, size_t count)
{
    double steps = 0;
    const char *balance = "none";

    for (size_t i = 0; i < count; i++) {
        json_t *s = json_object_get(level[i], "steps"), *b = json_object_get(level[i], "balance");

        steps = json_is_number(s) ? json_number_value(s) : steps;
        balance = json_is_string(b) ? json_string_value(b) : balance;
    }
    return steps * (strcmp(balance, "none") == 0 ? 1 : COST_BALANCE);
}

struct training {
    const char *name;
    size_t data, validation; /* corpora */
    size_t init;             /* the training whose model it goes on with; PLAN_NONE: none */
    const char *encoders;    /* without init: the streams whose encoders are taken; NULL: none */
    json_t *model[2], *options[4];
};

static void add_encoders(struct experiment *e, struct draft *d, size_t seed, const char *streams);

static size_t make_training(struct experiment *e, size_t seed, const struct training *t)
{
    struct draft d = {0};

    add(&d, "train");
    if (t->init == PLAN_NONE)
        add_options(&d, seed_number(e, seed), t->model, 2);
    add_options(&d, seed_number(e, seed), t->options, 4);
    if (t->init != PLAN_NONE) {
        need(&d, t->init);
        add(&d, "--init");
        add(&d, "jobs/%s/run/model", job_name(e, t->init));
    }
    if (t->encoders)
        add_encoders(e, &d, seed, t->encoders);
    add_manifest(e, &d, "--data", seed, t->data);
    add_manifest(e, &d, "--validation", seed, t->validation);
    add(&d, "--out");
    add(&d, OWN "/run");
    add(&d, "--resume");
    return finish(e, &d, t->name, "run/model/model.safetensors", "run/checkpoints", false,
                  training_cost(t->options, 4));
}

static size_t make_encoder(struct experiment *e, size_t seed, const struct plan_encoder *encoder)
{
    const struct plan_stage *stage = &encoder->stage;
    struct training t = {.data = stage->corpus,
                         .validation = stage->validation,
                         .init = PLAN_NONE,
                         .model = {e->plan->model, encoder->model},
                         .options = {e->plan->train, stage->options}};
    char name[64];

    snprintf(name, sizeof name, "s%zu.encoder.%s", seed_number(e, seed), encoder->stream);
    t.name = name;
    return make_training(e, seed, &t);
}

/* --init STREAM=DIR,... for the encoders of these streams. */
static void add_encoders(struct experiment *e, struct draft *d, size_t seed, const char *streams)
{
    struct str init = {0};

    for (size_t i = 0; i < e->plan->encoder_count; i++) {
        const struct plan_encoder *encoder = &e->plan->encoder[i];
        size_t job;

        if (!strchr(streams, encoder->stream[0]))
            continue;
        job = make_encoder(e, seed, encoder);
        need(d, job);
        str_append_format(&init, "%s%s=jobs/%s/run/model", init.length ? "," : "", encoder->stream,
                          job_name(e, job));
    }
    if (init.length) {
        add(d, "--init");
        add(d, "%s", init.data);
    }
    str_free(&init);
}

static size_t make_pretraining(struct experiment *e, size_t seed, const struct plan_row *row)
{
    const struct plan_stage *stage = &e->plan->pretrain;
    struct training t = {.data = stage->corpus,
                         .validation = stage->validation,
                         .init = PLAN_NONE,
                         .encoders = row->streams,
                         .model = {e->plan->model, row->model},
                         .options = {e->plan->train, stage->options, row->pretrain}};
    char name[256];

    snprintf(name, sizeof name, "s%zu.%s.pretrain", seed_number(e, seed), row->name);
    t.name = name;
    return make_training(e, seed, &t);
}

static size_t make_finetuning(struct experiment *e, size_t seed, const struct plan_row *row,
                              const struct plan_set *set)
{
    struct training t = {
        .data = set->train,
        .validation = set->validation,
        .init = row->pretrain ? make_pretraining(e, seed, row) : PLAN_NONE,
        .encoders = row->pretrain ? NULL : row->streams,
        .model = {e->plan->model, row->model},
        .options = {e->plan->train, e->plan->finetune.options, set->options, row->finetune}};
    char name[256];

    snprintf(name, sizeof name, "s%zu.%s.%s", seed_number(e, seed), row->name, set->name);
    t.name = name;
    return make_training(e, seed, &t);
}

static void make_scores(struct experiment *e, size_t seed, size_t corpus, size_t training,
                        const char *streams, size_t jobs[SCORE_JOBS])
{
    double clips = json_number_value(json_object_get(e->plan->corpus[corpus].options, "clips"));
    struct draft captions = {0}, cider = {0}, slots = {0};
    char name[256];

    snprintf(name, sizeof name, "%s.%s", job_name(e, training), streams);
    add(&captions, "caption");
    add(&captions, "--model");
    add(&captions, "jobs/%s/run/model", job_name(e, training));
    need(&captions, training);
    add_options(&captions, seed_number(e, seed), &e->plan->caption, 1);
    add(&captions, "--streams");
    add(&captions, "%s", streams);
    add_manifest(e, &captions, "--data", seed, corpus);
    add(&captions, "--output");
    add(&captions, OWN "/captions.jsonl");
    jobs[SCORE_CAPTIONS] =
        finish(e, &captions, name, "captions.jsonl", NULL, false, COST_SCORE + COST_CLIP * clips);

    add(&cider, "eval");
    add(&cider, "--results");
    add(&cider, "jobs/%s/captions.jsonl", job_name(e, jobs[SCORE_CAPTIONS]));
    need(&cider, jobs[SCORE_CAPTIONS]);
    add_manifest(e, &cider, "--refs", seed, corpus);
    add(&cider, "--metrics");
    add(&cider, "cider");
    add(&cider, "--format");
    add(&cider, "json");
    snprintf(name, sizeof name, "%s.%s.cider", job_name(e, training), streams);
    jobs[SCORE_CIDER] = finish(e, &cider, name, NULL, NULL, true, COST_SCORE);

    add(&slots, "toyworld");
    add(&slots, "--score");
    add(&slots, "jobs/%s/captions.jsonl", job_name(e, jobs[SCORE_CAPTIONS]));
    need(&slots, jobs[SCORE_CAPTIONS]);
    add_manifest(e, &slots, "--data", seed, corpus);
    add(&slots, "--format");
    add(&slots, "json");
    snprintf(name, sizeof name, "%s.%s.slots", job_name(e, training), streams);
    jobs[SCORE_SLOTS] = finish(e, &slots, name, NULL, NULL, true, COST_SCORE);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static size_t *training_slot(const struct experiment *e, size_t seed, size_t row, size_t set)
{
    size_t place = set == PLAN_NONE ? e->plan->set_count : set;

    return &e->training[(seed * e->plan->row_count + row) * (e->plan->set_count + 1) + place];
}

static size_t *scoring_slot(const struct experiment *e, size_t seed, size_t row, size_t set,
                            size_t test)
{
    return &e->scoring[(((seed * e->plan->row_count + row) * e->plan->set_count + set) *
                            PLAN_TESTS_MAX +
                        test) *
                       SCORE_JOBS];
}

size_t experiment_training(const struct experiment *e, size_t seed, size_t row, size_t set)
{
    return *training_slot(e, seed, row, set);
}

size_t experiment_scoring(const struct experiment *e, size_t seed, size_t row, size_t set,
                          size_t test, enum score_job which)
{
    return scoring_slot(e, seed, row, set, test)[which];
}

size_t experiment_find_test(const struct experiment *e, const char *streams)
{
    for (size_t i = 0; i < e->test_count; i++)
        if (strcmp(e->test[i], streams) == 0)
            return i;
    return PLAN_NONE;
}

static size_t add_test(struct experiment *e, const char *streams)
{
    size_t found = experiment_find_test(e, streams);

    if (found == PLAN_NONE && e->test_count < PLAN_TESTS_MAX) {
        found = e->test_count;
        e->test[e->test_count++] = streams;
    }
    return found;
}

/* A row on a set, with its own streams and with those of the table's tests that are fewer. */
static bool make_cell(struct experiment *e, const struct plan_table *table, size_t seed, size_t row,
                      size_t set)
{
    const struct plan_row *r = &e->plan->row[row];
    const struct plan_set *s = &e->plan->set[set];
    size_t *training = training_slot(e, seed, row, set);
    bool ok;

    if (r->pretrain)
        *training_slot(e, seed, row, PLAN_NONE) = make_pretraining(e, seed, r);
    *training = make_finetuning(e, seed, r, s);
    ok = *training != PLAN_NONE;
    for (size_t t = 0; t <= table->test_count && ok; t++) {
        const char *streams = t == 0 ? r->streams : table->test[t - 1];
        size_t test, *jobs;

        if (t > 0 && (!plan_streams_fewer(streams, r->streams) ||
                      strspn(streams, s->lacks) == strlen(streams)))
            continue;
        test = add_test(e, streams);
        if (test == PLAN_NONE)
            return false;
        jobs = scoring_slot(e, seed, row, set, test);
        make_scores(e, seed, s->test, *training, streams, jobs);
        for (int k = 0; k < SCORE_JOBS; k++)
            ok &= jobs[k] != PLAN_NONE;
    }
    return ok;
}

static bool make_all(struct experiment *e)
{
    bool ok = true;

    for (size_t seed = 0; seed < e->plan->seed_count; seed++)
        for (size_t t = 0; t < e->plan->table_count; t++) {
            const struct plan_table *table = &e->plan->table[t];

            for (size_t r = 0; r < table->row_count; r++)
                for (size_t s = 0; s < table->set_count; s++)
                    ok = ok && make_cell(e, table, seed, table->row[r], table->set[s]);
        }
    return ok;
}

enum earshot_status experiment_open(const struct plan *plan, struct experiment *e,
                                    struct earshot_error *error)
{
    size_t rows = plan->seed_count * plan->row_count;
    size_t trainings = rows * (plan->set_count + 1);
    size_t scorings = rows * plan->set_count * PLAN_TESTS_MAX * SCORE_JOBS;

    *e = (struct experiment){.plan = plan};
    e->training = malloc(trainings * sizeof *e->training);
    e->scoring = malloc(scorings * sizeof *e->scoring);
    for (size_t i = 0; e->training && i < trainings; i++)
        e->training[i] = PLAN_NONE;
    for (size_t i = 0; e->scoring && i < scorings; i++)
        e->scoring[i] = PLAN_NONE;
    if (e->training && e->scoring && make_all(e))
        return EARSHOT_OK;
    experiment_close(e);
    return error_set(error, EARSHOT_ERROR_MEMORY,
                     "cannot make the jobs: out of memory, a value of more than 4095 bytes, or "
                     "more than %d different sets of streams",
                     PLAN_TESTS_MAX);
}

void experiment_close(struct experiment *e)
{
    for (size_t i = 0; e->canonical && i < e->jobs.count; i++)
        free(e->canonical[i]);
    free(e->canonical);
    job_list_free(&e->jobs);
    free(e->training);
    free(e->scoring);
    *e = (struct experiment){0};
}

char *experiment_command(const struct job *job)
{
    struct str text = {0};

    str_append_text(&text, "earshot");
    for (size_t i = 0; i < job->argument_count; i++) {
        const char *a = job->argument[i];

        str_append_text(&text, " ");
        if (*a && strspn(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "_-./,:=+@%") == strlen(a)) {
            str_append_text(&text, a);
            continue;
        }
        str_append_text(&text, "'");
        for (; *a; a++)
            if (*a == '\'')
                str_append_text(&text, "'\\''");
            else
                str_append(&text, a, 1);
        str_append_text(&text, "'");
    }
    return str_take(&text);
}
