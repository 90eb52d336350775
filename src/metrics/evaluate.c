/* evaluate.c: see evaluate.h. */
#include "metrics/evaluate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANY_METEOR                                                                                 \
    (EARSHOT_METRIC_METEOR | EARSHOT_METRIC_METEOR_NOPARA | EARSHOT_METRIC_METEOR_EXACT_STEM)

static double processor_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum earshot_status evaluate_parse_metrics(const char *text, unsigned *metrics,
                                           struct earshot_error *error)
{
    static const struct {
        const char *name;
        unsigned metric;
    } known[] = {{"bleu", EARSHOT_METRIC_BLEU},
                 {"rouge", EARSHOT_METRIC_ROUGE_L},
                 {"cider", EARSHOT_METRIC_CIDER},
                 {"meteor", EARSHOT_METRIC_METEOR},
                 {"meteor-nopara", EARSHOT_METRIC_METEOR_NOPARA},
                 {"meteor-exact-stem", EARSHOT_METRIC_METEOR_EXACT_STEM}};

    *metrics = 0;
    while (*text) {
        size_t length = strcspn(text, ","), i;

        for (i = 0; i < sizeof known / sizeof *known; i++)
            if (strlen(known[i].name) == length && memcmp(known[i].name, text, length) == 0)
                break;
        if (i == sizeof known / sizeof *known)
            return error_set(error, EARSHOT_ERROR_ARGUMENT,
                             "unknown metric '%.*s'; known are bleu, rouge, cider, meteor, "
                             "meteor-nopara and meteor-exact-stem",
                             (int)length, text);
        *metrics |= known[i].metric;
        text += length;
        text += *text == ',';
    }
    return EARSHOT_OK;
}

static struct evaluation_column *add_column(struct evaluation *out, const char *name)
{
    struct evaluation_column *column = &out->column[out->column_count];

    column->name = name;
    column->item = calloc(out->item_count + 1, sizeof *column->item);
    out->column_count += column->item != NULL;
    return column->item ? column : NULL;
}

static enum earshot_status add_bleu(const struct corpus *corpus, struct evaluation *out,
                                    struct earshot_error *error)
{
    static const char *const names[NGRAM_MAX] = {"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"};
    struct bleu_result bleu;
    enum earshot_status status = bleu_score(corpus, &bleu, error);

    for (int k = 0; k < NGRAM_MAX && status == EARSHOT_OK; k++) {
        struct evaluation_column *column = add_column(out, names[k]);

        if (!column) {
            status = error_memory(error, out->item_count * sizeof(double));
            break;
        }
        column->corpus = bleu.corpus[k];
        for (size_t i = 0; i < out->item_count; i++)
            column->item[i] = bleu.item[i][k];
    }
    if (status == EARSHOT_OK) {
        out->bleu = bleu.counts;
        bleu.counts = NULL;
    }
    bleu_free(&bleu);
    return status;
}

static enum earshot_status add_mean(const struct corpus *corpus, struct evaluation *out,
                                    unsigned metric, struct earshot_error *error)
{
    bool rouge = metric == EARSHOT_METRIC_ROUGE_L;
    struct evaluation_column *column = add_column(out, rouge ? "ROUGE_L" : "CIDEr");

    if (!column)
        return error_memory(error, out->item_count * sizeof(double));
    return rouge ? rouge_l_score(corpus, column->item, &column->corpus, error)
                 : cider_score(corpus, false, column->item, &column->corpus, error);
}

static enum earshot_status add_meteor(const struct corpus *corpus, struct evaluation *out,
                                      const struct meteor_data *data, struct earshot_error *error)
{
    struct evaluation_column *column = add_column(out, meteor_data_name(data));

    out->meteor = calloc(out->item_count + 1, sizeof *out->meteor);
    if (!column || !out->meteor)
        return error_memory(error, out->item_count * sizeof *out->meteor);
    return meteor_corpus(data, corpus, column->item, out->meteor, &column->corpus, error);
}

static enum earshot_status check(const struct evaluation_options *options,
                                 struct earshot_error *error)
{
    unsigned meteor = options->metrics & ANY_METEOR;
    unsigned all = ANY_METEOR | EARSHOT_METRIC_BLEU | EARSHOT_METRIC_ROUGE_L | EARSHOT_METRIC_CIDER;

    if (!options->metrics || options->metrics & ~all)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "no metric, or an unknown one, asked for");
    if (meteor & (meteor - 1))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "meteor, meteor-nopara and meteor-exact-stem are three answers to one "
                         "question: ask for one of them");
    return EARSHOT_OK;
}

static enum earshot_status load(const struct evaluation_options *options, struct meteor_data **data,
                                struct earshot_error *error)
{
    struct meteor_sources sources = {
        .directory = options->meteor_directory,
        .paraphrases = options->meteor_paraphrases,
        .no_paraphrases = options->metrics & EARSHOT_METRIC_METEOR_NOPARA,
        .exact_stem_only = options->metrics & EARSHOT_METRIC_METEOR_EXACT_STEM};

    return meteor_data_load(&sources, data, error);
}

enum earshot_status evaluate_check(const struct evaluation_options *options,
                                   struct earshot_error *error)
{
    struct meteor_data *data = NULL;
    enum earshot_status status = check(options, error);

    if (status == EARSHOT_OK && options->metrics & ANY_METEOR)
        status = load(options, &data, error);
    meteor_data_free(data);
    return status;
}

enum earshot_status evaluate(const struct corpus_texts *texts,
                             const struct evaluation_options *options, struct evaluation *out,
                             struct earshot_error *error)
{
    enum earshot_status status = check(options, error);
    struct meteor_data *data = NULL;
    struct corpus corpus = {0};
    double start = processor_s();

    *out = (struct evaluation){.item_count = texts->item_count};
    if (status == EARSHOT_OK && options->metrics & ANY_METEOR) {
        status = load(options, &data, error); /* first: what may be missing costs no work */
        out->meteor_s = processor_s() - start;
    }
    start = processor_s();
    if (status == EARSHOT_OK)
        status = corpus_build(&corpus, texts, error);
    out->tokenise_s = processor_s() - start;
    if (status == EARSHOT_OK && options->metrics & EARSHOT_METRIC_BLEU)
        status = add_bleu(&corpus, out, error);
    start += out->tokenise_s;
    if (status == EARSHOT_OK && data) {
        double meteor_start = processor_s();

        status = add_meteor(&corpus, out, data, error);
        meteor_start = processor_s() - meteor_start;
        out->meteor_s += meteor_start;
        start += meteor_start;
    }
    if (status == EARSHOT_OK && options->metrics & EARSHOT_METRIC_ROUGE_L)
        status = add_mean(&corpus, out, EARSHOT_METRIC_ROUGE_L, error);
    if (status == EARSHOT_OK && options->metrics & EARSHOT_METRIC_CIDER)
        status = add_mean(&corpus, out, EARSHOT_METRIC_CIDER, error);
    out->metrics_s = processor_s() - start;
    corpus_free(&corpus);
    meteor_data_free(data);
    if (status != EARSHOT_OK)
        evaluation_free(out);
    return status;
}

void evaluation_free(struct evaluation *evaluation)
{
    for (int i = 0; i < evaluation->column_count; i++)
        free(evaluation->column[i].item);
    free(evaluation->bleu);
    free(evaluation->meteor);
    *evaluation = (struct evaluation){0};
}
