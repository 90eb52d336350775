/*
 * evaluate.h: several metrics of one set of captions at once: what earshot.h's earshot_score and
 * `earshot eval` share.
 */
#ifndef EARSHOT_METRICS_EVALUATE_H
#define EARSHOT_METRICS_EVALUATE_H

#include "metrics/meteor.h"
#include "metrics/scores.h"

#define EVALUATION_COLUMNS_MAX 8

struct evaluation_column {
    const char *name; /* a constant */
    double corpus, *item;
};

struct evaluation {
    size_t item_count;
    int column_count;
    struct evaluation_column column[EVALUATION_COLUMNS_MAX];
    struct bleu_counts *bleu;               /* [item_count], NULL without BLEU */
    struct meteor_statistics *meteor;       /* [item_count], NULL without METEOR */
    double tokenise_s, metrics_s, meteor_s; /* processor time taken */
};

struct evaluation_options {
    unsigned metrics; /* of enum earshot_metric */
    const char *meteor_directory, *meteor_paraphrases;
};

enum earshot_status evaluate(const struct corpus_texts *texts,
                             const struct evaluation_options *options, struct evaluation *out,
                             struct earshot_error *error);
/* Whether evaluate can start: the metrics go together, and METEOR's language data is there.  For
 * those who have long work to do before. */
enum earshot_status evaluate_check(const struct evaluation_options *options,
                                   struct earshot_error *error);
void evaluation_free(struct evaluation *evaluation);

/* "bleu,rouge,cider,meteor,meteor-nopara,meteor-exact-stem" in any choice -> bits. */
enum earshot_status evaluate_parse_metrics(const char *text, unsigned *metrics,
                                           struct earshot_error *error);

#endif
