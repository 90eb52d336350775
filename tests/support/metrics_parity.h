/*
 * metrics_parity.h: runs one file of reference numbers of the caption metrics (tokenizer*.jsonl,
 * tokenizer_bmp.tsv, metrics_*.json, meteor_*.jsonl, meteor_words.tsv, known_jar_outputs.json)
 * through this project's metrics.
 */
#ifndef EARSHOT_TESTS_SUPPORT_METRICS_PARITY_H
#define EARSHOT_TESTS_SUPPORT_METRICS_PARITY_H

#include <stdbool.h>
#include <stddef.h>

struct metrics_parity {
    size_t compared, wrong;
    size_t lacking;  /* parts that need language data which is not at hand */
    size_t unfit;    /* texts that no C string holds */
    double worst;    /* relative error of a score */
    char first[600]; /* the first difference, in words */
};

/* False if the file cannot be read or is none of those.  wordnet: a folder with index.sense and the
 * exception lists, or NULL for where the system keeps it. */
bool metrics_parity_check(const char *path, const char *wordnet, struct metrics_parity *result);

/* Relative error of a score; the bar for BLEU, ROUGE-L and CIDEr (1e-9) and for METEOR (1e-6). */
#define METRICS_PARITY_TOLERANCE 1e-9
#define METRICS_PARITY_TOLERANCE_METEOR 1e-6

#endif
