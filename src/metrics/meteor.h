/*
 * meteor.h: METEOR 1.5 (Denkowski and Lavie, WMT 2014) for English, as coco-caption calls it:
 * task "rank", normalised and lower-cased text, modules exact, stem, synonym and paraphrase.
 *
 * Its language data are other people's.  Synonyms come from WordNet 3.0 (Debian: wordnet-base and
 * wordnet-sense-index) and paraphrases from METEOR's own table, which a user has to bring; without
 * the table the first three modules still give a number, but another one, and its name says so.
 */
#ifndef EARSHOT_METRICS_METEOR_H
#define EARSHOT_METRICS_METEOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "metrics/corpus.h"

enum meteor_module { METEOR_EXACT, METEOR_STEM, METEOR_SYNONYM, METEOR_PARAPHRASE, METEOR_MODULES };

/* ---- language data: read-only once loaded, shared between threads ---- */

struct meteor_data;
struct paraphrases;

struct meteor_sources {
    const char *directory;   /* with index.sense, *.exc, and perhaps paraphrase-en.gz and
                                function.words; NULL: where Debian keeps WordNet */
    const char *paraphrases; /* the table alone, plain or gzip; NULL: the directory's, if any */
    bool no_paraphrases;     /* leave the table alone even if it is there */
    bool exact_stem_only;    /* no WordNet, no paraphrases: nothing is read */
};

enum earshot_status meteor_data_load(const struct meteor_sources *sources,
                                     struct meteor_data **data, struct earshot_error *error);
void meteor_data_free(struct meteor_data *data);

bool meteor_data_has_synonyms(const struct meteor_data *data);
/* NULL without a table. */
const struct paraphrases *meteor_data_paraphrases(const struct meteor_data *data);
/* "METEOR", "METEOR_nopara" or "METEOR_exact_stem": what scores made with it must be called. */
const char *meteor_data_name(const struct meteor_data *data);

bool meteor_is_function_word(const struct meteor_data *data, const char *word);

/* The sorted, distinct synsets of a word (its own and its bases'), malloc'd; NULL with *count 0 if
 * it has none.  With `own`, of that very form only.  False when out of memory. */
bool meteor_synsets(const struct meteor_data *data, const char *word, bool own, uint32_t **synsets,
                    size_t *count);

/* Java's String.hashCode over UTF-16 units: how METEOR tells words apart. */
int32_t meteor_hash(const char *word);

/* Appends text as METEOR's "-norm" makes it: spaces around punctuation, lower case. */
void meteor_normalise(const char *text, struct str *out);

/* ---- scoring: one thread at a time ---- */

#define METEOR_STATISTICS 23

/* In METEOR's order: words of hypothesis and reference, function words of each; per module content
 * words matched on each side, function words likewise; chunks; words matched on each side. */
struct meteor_statistics {
    double value[METEOR_STATISTICS];
};

/* A match in the alignment of one pair. */
struct meteor_match {
    int start2, length2, start1, length1; /* 1: hypothesis, 2: reference */
    enum meteor_module module;
};

struct meteor;

enum earshot_status meteor_new(const struct meteor_data *data, struct meteor **meteor,
                               struct earshot_error *error);
void meteor_free(struct meteor *meteor);

/* Keeps the references to score against, until the next call; raw (tokenised) lines. */
struct meteor_result {
    struct meteor_statistics statistics; /* of the reference with the best score */
    double score;
    size_t best;                      /* that reference */
    const struct meteor_match *match; /* its alignment; valid until the next call */
    size_t match_count;
};

enum earshot_status meteor_segment(struct meteor *meteor, const char *hypothesis,
                                   const char *const *references, size_t count,
                                   struct meteor_result *result, struct earshot_error *error);

/* The score of (summed) statistics. */
double meteor_score(const struct meteor_statistics *statistics);

/* Adds one segment's statistics to a corpus' sum. */
void meteor_add(struct meteor_statistics *sum, const struct meteor_statistics *statistics);

/* The Snowball stem; valid until the next call. */
const char *meteor_stem(struct meteor *meteor, const char *word);

/* Every item of a corpus; item and statistics: [item_count], the caller's. */
enum earshot_status meteor_corpus(const struct meteor_data *data, const struct corpus *corpus,
                                  double *item, struct meteor_statistics *statistics,
                                  double *corpus_score, struct earshot_error *error);

#endif
