/*
 * earshot.h: captions for video that come from looking and listening.
 *
 * The only installed header.  Open a model once, share it between threads; make one session per
 * thread; ask the session for captions of files, or of frames and samples of your own.
 *
 *     struct earshot_error error;
 *     struct earshot_model *model;
 *     struct earshot_session *session;
 *     struct earshot_result *result;
 *
 *     if (earshot_model_open("models/toy", NULL, &model, &error) != EARSHOT_OK ||
 *         earshot_session_open(model, NULL, &session, &error) != EARSHOT_OK ||
 *         earshot_caption_file(session, "clip.mp4", &result, &error) != EARSHOT_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *
 * Every function that can fail returns an enum earshot_status and, on failure, fills the caller's
 * struct earshot_error (which may be NULL).  Nothing here prints, exits or aborts.
 */
#ifndef EARSHOT_H
#define EARSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define EARSHOT_API
#else
#define EARSHOT_API __attribute__((visibility("default")))
#endif

#define EARSHOT_VERSION "0.1.0"

enum earshot_status {
    EARSHOT_OK = 0,
    EARSHOT_ERROR_ARGUMENT,    /* a value the caller passed is out of its range */
    EARSHOT_ERROR_IO,          /* a file could not be opened, read or written */
    EARSHOT_ERROR_FORMAT,      /* bytes are not what their format says: corrupt, truncated, not media */
    EARSHOT_ERROR_UNSUPPORTED, /* well-formed, but not something this program handles */
    EARSHOT_ERROR_NO_STREAM,   /* the file has none of the streams asked for */
    EARSHOT_ERROR_MEMORY,      /* an allocation failed or a reserved region is too small */
    EARSHOT_ERROR_NUMERIC,     /* a value that must be finite is not */
    EARSHOT_ERROR_CANCELLED,   /* the caller's progress callback, or a signal, asked to stop */
    EARSHOT_ERROR_INTERNAL     /* a contract inside the library was broken; please report it */
};

/* What went wrong: what, where, what was expected, what to do.  One line, UTF-8, no newline. */
struct earshot_error {
    enum earshot_status status;
    char message[1024];
};

/* "corrupt or unexpected data", ...: a few words for a status.  Never NULL. */
EARSHOT_API const char *earshot_status_name(enum earshot_status status);

/* The version of the library in use, as EARSHOT_VERSION. */
EARSHOT_API const char *earshot_version(void);

/*
 * ---- Caption metrics ----
 *
 * BLEU, ROUGE-L, CIDEr and METEOR as the reference implementation of caption evaluation
 * (pycocoevalcap, coco-caption) computes them, tokenizer included.  These functions need no model,
 * and any number of threads may call them at once.
 *
 *     const char *candidates[] = {"a man rides a horse"};
 *     const char *references[] = {"a man is riding a horse", "someone on a horse"};
 *     const size_t reference_counts[] = {2};
 *     struct earshot_score_request request = {.item_count = 1, .candidates = candidates,
 *         .references = references, .reference_counts = reference_counts,
 *         .metrics = EARSHOT_METRIC_BLEU | EARSHOT_METRIC_ROUGE_L};
 *     struct earshot_scores *scores;
 *
 *     if (earshot_score(&request, &scores, &error) == EARSHOT_OK)
 *         for (int i = 0; i < earshot_scores_count(scores); i++)
 *             printf("%s %f\n", earshot_scores_name(scores, i), earshot_scores_corpus(scores, i));
 */
enum earshot_metric {
    EARSHOT_METRIC_BLEU = 1,    /* "Bleu_1" ... "Bleu_4" */
    EARSHOT_METRIC_ROUGE_L = 2, /* "ROUGE_L" */
    EARSHOT_METRIC_CIDER = 4,   /* "CIDEr": CIDEr-D, as everyone reports it */
    /* METEOR 1.5.  Needs WordNet 3.0 (Debian: wordnet-base, wordnet-sense-index).  With METEOR's
     * paraphrase table the score is called "METEOR", without it "METEOR_nopara". */
    EARSHOT_METRIC_METEOR = 8,
    EARSHOT_METRIC_METEOR_NOPARA = 16,    /* ... without the table even if it is there */
    EARSHOT_METRIC_METEOR_EXACT_STEM = 32 /* "METEOR_exact_stem": needs no language data */
};

struct earshot_score_request {
    size_t item_count;
    const char *const *candidates;  /* [item_count], UTF-8 */
    const char *const *references;  /* those of item 0, then those of item 1, ... */
    const size_t *reference_counts; /* [item_count]; an item without references scores 0 */
    unsigned metrics;               /* of enum earshot_metric; only one of the METEORs */
    bool tokenised;                 /* the texts are tokens already, a space between them */
    const char *meteor_directory;   /* index.sense, *.exc, paraphrase-en.gz; NULL: the system's */
    const char *meteor_paraphrases; /* the table alone; NULL: the directory's, if it has one */
};

struct earshot_scores;

/* Scores all items as one corpus (CIDEr and the tokenizer depend on what is scored together).
 * *scores is the caller's: earshot_scores_free. */
EARSHOT_API enum earshot_status earshot_score(const struct earshot_score_request *request,
                                              struct earshot_scores **scores,
                                              struct earshot_error *error);
EARSHOT_API int earshot_scores_count(const struct earshot_scores *scores);
/* NULL or NaN for an index out of range.  The name lives as long as the scores. */
EARSHOT_API const char *earshot_scores_name(const struct earshot_scores *scores, int index);
EARSHOT_API double earshot_scores_corpus(const struct earshot_scores *scores, int index);
EARSHOT_API double earshot_scores_item(const struct earshot_scores *scores, int index, size_t item);
EARSHOT_API void earshot_scores_free(struct earshot_scores *scores);

#ifdef __cplusplus
}
#endif

#endif
