/* plan.c: reads an experiment.  See plan.h. */
#include "reproduce/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A plan being read: the first thing that is wrong wins, with the path of keys that led there. */
struct reader {
    struct plan *plan;
    struct earshot_error *error;
    bool failed;
    bool quick;
};

__attribute__((format(printf, 2, 3))) static void fail(struct reader *r, const char *format, ...)
{
    char message[512];
    va_list args;

    if (r->failed)
        return;
    r->failed = true;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error_set(r->error, EARSHOT_ERROR_FORMAT, "%s", message);
}

/* Fails on a key that is not in the NULL-terminated list. */
static void check_keys(struct reader *r, const char *where, json_t *object,
                       const char *const *known)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        fail(r, "%s: expected an object", where);
        return;
    }
    json_object_foreach(object, key, value)
    {
        size_t i = 0;

        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            fail(r, "%s: unknown key \"%s\"", where, key);
    }
}

static const char *read_string(struct reader *r, const char *where, json_t *object, const char *key,
                               const char *otherwise)
{
    json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    if (!text && (value || !otherwise))
        fail(r, "%s: \"%s\" %s", where, key, value ? "must be a string" : "is missing");
    return text ? text : otherwise ? otherwise : "";
}

/* NULL where there is none. */
static const char *read_optional(struct reader *r, const char *where, json_t *object,
                                 const char *key)
{
    return json_object_get(object, key) ? read_string(r, where, object, key, NULL) : NULL;
}

/* Names become folders. */
static const char *read_name(struct reader *r, const char *where, json_t *object)
{
    const char *name = read_string(r, where, object, "name", NULL);

    if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(name))
        fail(r, "%s: \"name\": \"%s\" must be made of a-z, 0-9, '_' and '-'", where, name);
    return name;
}

static json_t *read_options(struct reader *r, const char *where, json_t *object, const char *key)
{
    json_t *options = json_object_get(object, key), *value;
    const char *name;

    if (!options)
        return NULL;
    if (!json_is_object(options)) {
        fail(r, "%s: \"%s\" must be an object of options", where, key);
        return NULL;
    }
    json_object_foreach(options, name, value)
    {
        if (json_is_object(value) || json_is_array(value))
            fail(r, "%s: \"%s\": \"%s\" must be a number, a string, true, false or null", where,
                 key, name);
    }
    return options;
}

static size_t read_count(struct reader *r, const char *where, json_t *object, const char *key,
                         size_t low, size_t high)
{
    json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < (json_int_t)low || number > (json_int_t)high) {
        fail(r, "%s: \"%s\" must be a whole number from %zu to %zu", where, key, low, high);
        return low;
    }
    return (size_t)number;
}

/* An array of at most `limit` elements. */
static size_t read_array(struct reader *r, const char *where, json_t *object, const char *key,
                         size_t limit, json_t **array)
{
    *array = json_object_get(object, key);
    if (*array && !json_is_array(*array)) {
        fail(r, "%s: \"%s\" must be an array", where, key);
        return 0;
    }
    if (json_array_size(*array) > limit) {
        fail(r, "%s: \"%s\" has more than %zu elements", where, key, limit);
        return 0;
    }
    return json_array_size(*array);
}

/* ---- what names mean --------------------------------------------------------------------------
 */

static size_t find_corpus(struct reader *r, const char *where, const char *name)
{
    for (size_t i = 0; name && i < r->plan->corpus_count; i++)
        if (strcmp(r->plan->corpus[i].name, name) == 0)
            return i;
    if (name)
        fail(r, "%s: there is no corpus \"%s\"", where, name);
    return PLAN_NONE;
}

static size_t find_row(struct reader *r, const char *where, const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < r->plan->row_count; i++)
        if (strcmp(r->plan->row[i].name, json_string_value(name)) == 0)
            return i;
    fail(r, "%s: there is no row \"%s\"", where,
         json_is_string(name) ? json_string_value(name) : "?");
    return 0;
}

static size_t find_set(struct reader *r, const char *where, const char *name)
{
    for (size_t i = 0; i < r->plan->set_count; i++)
        if (strcmp(r->plan->set[i].name, name) == 0)
            return i;
    fail(r, "%s: there is no set \"%s\"", where, name);
    return 0;
}

/* Whether the quick plan leaves the thing of this name out. */
static bool left_out(const struct reader *r, const char *name)
{
    json_t *without =
        r->quick ? json_object_get(json_object_get(r->plan->root, "quick"), "without") : NULL;
    json_t *value;
    size_t i;

    json_array_foreach(without, i, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), name) == 0)
            return true;
    }
    return false;
}

/* ---- parts ------------------------------------------------------------------------------------
 */

static void read_corpora(struct reader *r)
{
    json_t *corpora = json_object_get(r->plan->root, "corpora"), *options;
    const char *name;

    if (!json_is_object(corpora) || json_object_size(corpora) > PLAN_CORPORA_MAX) {
        fail(r, "\"corpora\" must be an object of at most %d corpora", PLAN_CORPORA_MAX);
        return;
    }
    json_object_foreach(corpora, name, options)
    {
        json_t *named = json_pack("{s:s}", "name", name);

        read_name(r, "corpora", named);
        json_decref(named);
        r->plan->corpus[r->plan->corpus_count++] =
            (struct plan_corpus){name, read_options(r, "corpora", corpora, name)};
    }
}

static void read_stage_of(struct reader *r, const char *name, json_t *object, bool needs_corpus,
                          struct plan_stage *stage)
{
    stage->there = true;
    stage->options = read_options(r, name, object, "options");
    if (needs_corpus)
        stage->corpus = find_corpus(r, name, read_string(r, name, object, "corpus", NULL));
    stage->validation = find_corpus(r, name, read_optional(r, name, object, "validation"));
}

static void read_stage(struct reader *r, const char *name, bool needs_corpus,
                       struct plan_stage *stage)
{
    static const char *const keys[] = {"corpus", "validation", "options", NULL};
    json_t *object = json_object_get(r->plan->root, name);

    *stage = (struct plan_stage){.corpus = PLAN_NONE, .validation = PLAN_NONE};
    if (!object)
        return;
    check_keys(r, name, object, keys);
    read_stage_of(r, name, object, needs_corpus, stage);
}

static void read_encoder(struct reader *r, json_t *object)
{
    static const char *const keys[] = {"stream", "corpus", "validation", "options", "model", NULL};
    struct plan_encoder *encoder = &r->plan->encoder[r->plan->encoder_count];

    check_keys(r, "encoders", object, keys);
    encoder->stream = read_string(r, "encoders", object, "stream", NULL);
    if (r->failed)
        return;
    if (strcmp(encoder->stream, "video") != 0 && strcmp(encoder->stream, "audio") != 0 &&
        strcmp(encoder->stream, "text") != 0)
        fail(r, "encoders: no stream \"%s\": expected video, audio or text", encoder->stream);
    encoder->model = read_options(r, "encoders", object, "model");
    encoder->stage = (struct plan_stage){.corpus = PLAN_NONE, .validation = PLAN_NONE};
    read_stage_of(r, "encoders", object, true, &encoder->stage);
    r->plan->encoder_count++;
}

static void read_set(struct reader *r, json_t *object)
{
    static const char *const keys[] = {"name",       "label",   "train", "test",
                                       "validation", "options", "lacks", NULL};
    struct plan_set *set = &r->plan->set[r->plan->set_count];

    check_keys(r, "sets", object, keys);
    set->name = read_name(r, "sets", object);
    set->label = read_string(r, set->name, object, "label", set->name);
    set->train = find_corpus(r, set->name, read_string(r, set->name, object, "train", NULL));
    set->test = find_corpus(r, set->name, read_string(r, set->name, object, "test", NULL));
    set->validation = find_corpus(r, set->name, read_optional(r, set->name, object, "validation"));
    set->options = read_options(r, set->name, object, "options");
    set->lacks = read_string(r, set->name, object, "lacks", "");
    r->plan->set_count++;
}

static void read_paper(struct reader *r, struct plan_row *row, json_t *figures)
{
    const char *name;
    json_t *value;

    for (size_t i = 0; i < PLAN_SETS_MAX; i++)
        row->paper[i] = NAN;
    json_object_foreach(figures, name, value)
    {
        size_t set = find_set(r, row->name, name);

        if (json_is_number(value) && !r->failed)
            row->paper[set] = json_number_value(value);
        else
            fail(r, "%s: \"paper\": \"%s\" must be a number", row->name, name);
    }
}

static void read_row(struct reader *r, json_t *object)
{
    static const char *const keys[] = {"name",     "label",    "note",    "streams", "model",
                                       "pretrain", "finetune", "control", "paper",   NULL};
    struct plan_row *row = &r->plan->row[r->plan->row_count];

    check_keys(r, "rows", object, keys);
    row->name = read_name(r, "rows", object);
    for (size_t i = 0; i < r->plan->row_count; i++)
        if (strcmp(r->plan->row[i].name, row->name) == 0)
            fail(r, "rows: \"%s\" is there twice", row->name);
    row->label = read_string(r, row->name, object, "label", row->name);
    row->note = read_optional(r, row->name, object, "note");
    row->streams = read_string(r, row->name, object, "streams", "av");
    row->model = read_options(r, row->name, object, "model");
    row->pretrain = read_options(r, row->name, object, "pretrain");
    row->finetune = read_options(r, row->name, object, "finetune");
    row->control = json_is_true(json_object_get(object, "control"));
    read_paper(r, row, json_object_get(object, "paper"));
    if (row->pretrain && !r->plan->pretrain.there)
        fail(r, "%s: the plan has no \"pretrain\"", row->name);
    r->plan->row_count++;
}

static void read_comparison(struct reader *r, struct plan_table *table, json_t *pair)
{
    json_t *first = json_array_get(pair, 0), *second = json_array_get(pair, 1);

    if (json_array_size(pair) != 2 || !json_is_string(first) || !json_is_string(second)) {
        fail(r, "%s: \"compare\" must be an array of pairs of rows", table->name);
        return;
    }
    if (left_out(r, json_string_value(first)) || left_out(r, json_string_value(second)))
        return;
    table->compare[table->compare_count][0] = find_row(r, table->name, first);
    table->compare[table->compare_count++][1] = find_row(r, table->name, second);
}

static void read_table(struct reader *r, json_t *object)
{
    static const char *const keys[] = {"name", "title", "note",    "rows",
                                       "sets", "tests", "compare", NULL};
    struct plan_table *table = &r->plan->table[r->plan->table_count];
    json_t *array;
    size_t count;

    check_keys(r, "tables", object, keys);
    table->name = read_name(r, "tables", object);
    if (r->failed || left_out(r, table->name))
        return;
    table->title = read_string(r, table->name, object, "title", table->name);
    table->note = read_optional(r, table->name, object, "note");
    count = read_array(r, table->name, object, "rows", PLAN_ROWS_MAX, &array);
    for (size_t i = 0; i < count && !r->failed; i++) {
        json_t *name = json_array_get(array, i);

        if (!json_is_string(name) || !left_out(r, json_string_value(name)))
            table->row[table->row_count++] = find_row(r, table->name, name);
    }
    count = read_array(r, table->name, object, "sets", PLAN_SETS_MAX, &array);
    for (size_t i = 0; i < count && !r->failed; i++) {
        const char *name = json_string_value(json_array_get(array, i));

        table->set[table->set_count++] = find_set(r, table->name, name ? name : "?");
    }
    count = read_array(r, table->name, object, "tests", PLAN_TESTS_MAX, &array);
    for (size_t i = 0; i < count && !r->failed; i++) {
        table->test[table->test_count] = json_string_value(json_array_get(array, i));
        if (!table->test[table->test_count++])
            fail(r, "%s: \"tests\" must be an array of strings", table->name);
    }
    count = read_array(r, table->name, object, "compare", PLAN_COMPARE_MAX, &array);
    for (size_t i = 0; i < count && !r->failed; i++)
        read_comparison(r, table, json_array_get(array, i));
    if (!table->row_count || !table->set_count)
        fail(r, "%s: a table needs rows and sets", table->name);
    r->plan->table_count++;
}

static void read_list(struct reader *r, const char *key, size_t limit,
                      void (*read)(struct reader *r, json_t *object))
{
    json_t *array;
    size_t count = read_array(r, "plan", r->plan->root, key, limit, &array);

    if (count == 0)
        fail(r, "\"%s\" must be an array with something in it", key);
    for (size_t i = 0; i < count && !r->failed; i++)
        read(r, json_array_get(array, i));
}

static void read_pictures(struct reader *r)
{
    static const char *const keys[] = {"objective", "rows", NULL};
    json_t *object = json_object_get(r->plan->root, "pictures"), *array;
    size_t count;

    r->plan->objective = "pcc";
    if (!object)
        return;
    check_keys(r, "pictures", object, keys);
    r->plan->objective = read_string(r, "pictures", object, "objective", "pcc");
    count = read_array(r, "pictures", object, "rows", PLAN_ROWS_MAX, &array);
    for (size_t i = 0; i < count && !r->failed; i++)
        r->plan->watched[r->plan->watched_count++] =
            find_row(r, "pictures", json_array_get(array, i));
}

static void read_root(struct reader *r)
{
    static const char *const keys[] = {
        "title",    "introduction", "seeds", "first_seed", "quick",    "corpora",
        "world",    "model",        "train", "caption",    "encoders", "pretrain",
        "finetune", "sets",         "rows",  "tables",     "pictures", NULL};
    static const char *const quick_keys[] = {"seeds", "without", NULL};
    struct plan *plan = r->plan;
    json_t *quick = json_object_get(plan->root, "quick");

    check_keys(r, "plan", plan->root, keys);
    plan->title = read_string(r, "plan", plan->root, "title", NULL);
    plan->introduction = read_string(r, "plan", plan->root, "introduction", "");
    plan->first_seed = read_count(r, "plan", plan->root, "first_seed", 1, 1000000);
    plan->seed_count = read_count(r, "plan", plan->root, "seeds", 1, PLAN_SEEDS_MAX);
    if (r->quick && !quick)
        fail(r, "the plan has no \"quick\"");
    if (quick)
        check_keys(r, "quick", quick, quick_keys);
    if (r->quick && !r->failed)
        plan->seed_count = read_count(r, "quick", quick, "seeds", 1, PLAN_SEEDS_MAX);
    plan->world = read_options(r, "plan", plan->root, "world");
    plan->model = read_options(r, "plan", plan->root, "model");
    plan->train = read_options(r, "plan", plan->root, "train");
    plan->caption = read_options(r, "plan", plan->root, "caption");
    read_corpora(r);
    if (json_object_get(plan->root, "encoders"))
        read_list(r, "encoders", PLAN_ENCODERS_MAX, read_encoder);
    read_stage(r, "pretrain", true, &plan->pretrain);
    read_stage(r, "finetune", false, &plan->finetune);
    read_list(r, "sets", PLAN_SETS_MAX, read_set);
    read_list(r, "rows", PLAN_ROWS_MAX, read_row);
    read_list(r, "tables", PLAN_TABLES_MAX, read_table);
    read_pictures(r);
    if (plan->table_count == 0)
        fail(r, "no table is left");
}

enum earshot_status plan_read(const char *name, const char *text, bool quick, struct plan *plan,
                              struct earshot_error *error)
{
    struct reader r = {.plan = plan, .error = error, .quick = quick};
    json_error_t problem;

    *plan = (struct plan){.root = json_loads(text, JSON_REJECT_DUPLICATES, &problem)};
    if (!plan->root)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%s:%d: %s", name, problem.line,
                         problem.text);
    read_root(&r);
    if (!r.failed)
        return EARSHOT_OK;
    plan_free(plan);
    error_context(error, "%s", name);
    return EARSHOT_ERROR_FORMAT;
}

void plan_free(struct plan *plan)
{
    json_decref(plan->root);
    *plan = (struct plan){0};
}

bool plan_streams_fewer(const char *some, const char *all)
{
    return strspn(some, all) == strlen(some) && strlen(some) < strlen(all);
}
