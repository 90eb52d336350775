/*
 * decode.h: from next-token logits to token sequences: greedy, beam search, sampling.
 *
 * Knows nothing of the model: a scorer gives logits for rows, and a row is one unfinished sequence
 * of one sample (a clip, a window).  Many samples decode at once; a row exists only as long as its
 * sequence is alive, so the model never works for finished ones, and what a sample gets never
 * depends on the other samples of its batch.
 *
 * Scores.  log p(y) sums the model's own log-probabilities, before temperature and filters; a
 * banned token is never taken but its probability is not handed to the others.  The order of
 * hypotheses is score(y) = log p(y) / |y|^length_penalty where |y| counts the generated tokens, the
 * closing one included (the form that Hugging Face's generate uses; the longer one of Wu et al.
 * 2016, eq. 14, differs only by its offset of 5).  A penalty of 0 compares plain log-probabilities,
 * 1 their mean; more favours longer captions.
 *
 * Beam search keeps beam_width live sequences.  An end token closes a hypothesis when it is among
 * the beam_width best continuations of its step.  The search stops for a sample as soon as no live
 * sequence can still beat the worst hypothesis that will be returned: log p only falls, so
 * log p(live) / max_tokens^length_penalty is the most it can reach.  The result is the one that a
 * search up to max_tokens would give.  A beam of one is greedy.
 */
#ifndef EARSHOT_DECODE_DECODE_H
#define EARSHOT_DECODE_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct decode_scorer {
    void *context;
    int64_t vocabulary;
    /*
     * Scores the next token of `rows` sequences: row r feeds tokens[r] to the sequence of row
     * parents[r] of the previous call (several rows may share a parent; one that is nobody's parent
     * is over), and logits[r, vocabulary] are for the token after it.  On the first call rows is
     * the number of samples and parents[r] = r names the sample.  The rows of one sample stay
     * adjacent and samples stay in order.  An error (EARSHOT_ERROR_CANCELLED too) ends the
     * decoding.
     */
    enum earshot_status (*step)(void *context, const int32_t *tokens, const int32_t *parents,
                                int64_t rows, float *logits, struct earshot_error *error);
};

enum decode_method { DECODE_GREEDY, DECODE_BEAM, DECODE_SAMPLE };

struct decode_options {
    enum decode_method method;
    int beam_width;        /* DECODE_BEAM: 1 to DECODE_BEAM_MAX */
    int best;              /* hypotheses returned, 1 to beam_width; the other methods return 1 */
    double length_penalty; /* any finite value */
    int max_tokens;        /* generated tokens, the closing one included: 1 to DECODE_TOKENS_MAX */
    int min_tokens;        /* no end token before this many others */
    int no_repeat_ngram;   /* never the same n tokens twice in a caption; 0: off */
    double temperature;    /* DECODE_SAMPLE: > 0 */
    int top_k;             /* DECODE_SAMPLE: only the k likeliest; 0: all */
    double top_p;          /* DECODE_SAMPLE: then the fewest likeliest that reach p, in (0, 1] */
    uint64_t seed;         /* DECODE_SAMPLE */
    int32_t start_token;   /* the first token fed: the task */
    int32_t end_token;
    const int32_t *banned; /* never generated; the end token may not be among them */
    int banned_count;
    bool run_to_the_end; /* search to max_tokens even when nothing better can come: for tests */
};

#define DECODE_BEAM_MAX 256
#define DECODE_TOKENS_MAX 65536
#define DECODE_SAMPLES_MAX 65536

/* Beam of 4, one hypothesis, length penalty 1, at most 32 tokens, temperature and top_p 1; start,
 * end and banned tokens are left for the caller. */
void decode_options_init(struct decode_options *options);

/* What decode_run asks of its options: ARGUMENT says which one is out of range. */
enum earshot_status decode_options_check(const struct decode_options *options, int64_t vocabulary,
                                         struct earshot_error *error);

struct decode_hypothesis {
    int32_t *tokens;           /* [count], without the start token, with the end token if ended */
    double *log_probabilities; /* [count], natural logarithms */
    int count;
    bool ended; /* by the end token; otherwise cut at max_tokens, or nothing was left to take */
    double sum, score;
};

/* The hypotheses of one sample, best score first; equal scores: the one that was found first. */
struct decode_result {
    struct decode_hypothesis *hypothesis;
    int count; /* 1 to options->best */
};

/*
 * Decodes `samples` samples.  keys[samples] names each one for sampling: the same seed, key and
 * logits give the same caption in any batch; NULL uses the sample's index.  On success every
 * results[i] is filled: decode_results_free frees them; on failure there is nothing to free.
 * Errors: ARGUMENT (options out of range), MEMORY, NUMERIC (a logit that is not finite), and what
 * the scorer returns.
 */
enum earshot_status decode_run(const struct decode_scorer *scorer,
                               const struct decode_options *options, int64_t samples,
                               const uint64_t *keys, struct decode_result *results,
                               struct earshot_error *error);
void decode_results_free(struct decode_result *results, int64_t samples);

#endif
