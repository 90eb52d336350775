/*
 * scores.h: BLEU, ROUGE-L and CIDEr of a corpus, as pycocoevalcap (coco-caption) computes them.
 *
 * Everything here reproduces the reference's order of operations, so the numbers agree to the last
 * bit wherever libm does.  Items without references score 0.
 */
#ifndef EARSHOT_METRICS_SCORES_H
#define EARSHOT_METRICS_SCORES_H

#include "metrics/corpus.h"

#define NGRAM_MAX 4

/*
 * BLEU (Papineni et al., ACL 2002), the reference length being the closest one.  The corpus score
 * comes from summed counts; it is no mean.
 */
struct bleu_counts {
    uint64_t length, reference_length, guess[NGRAM_MAX], correct[NGRAM_MAX];
};

struct bleu_result {
    double corpus[NGRAM_MAX];
    double (*item)[NGRAM_MAX];         /* [item_count] */
    struct bleu_counts total, *counts; /* counts: [item_count] */
};

/* The scores of (summed) counts. */
void bleu_combine(const struct bleu_counts *counts, double score[NGRAM_MAX]);
void bleu_add(struct bleu_counts *sum, const struct bleu_counts *counts);

enum earshot_status bleu_score(const struct corpus *corpus, struct bleu_result *result,
                               struct earshot_error *error);
void bleu_free(struct bleu_result *result);

/*
 * ROUGE-L (Lin, 2004) with beta 1.2: the F-score of the best precision and the best recall, each
 * taken over the references on its own.  Corpus: the mean.  item: [item_count], the caller's.
 */
enum earshot_status rouge_l_score(const struct corpus *corpus, double *item, double *mean,
                                  struct earshot_error *error);

/*
 * CIDEr-D (Vedantam et al., CVPR 2015), which is what everyone calls CIDEr: document frequencies
 * from this corpus' references, counts clipped, Gaussian length penalty with sigma 6, times 10.
 * `plain`: the paper's CIDEr instead (no clipping, no penalty; no stemming either).
 */
enum earshot_status cider_score(const struct corpus *corpus, bool plain, double *item, double *mean,
                                struct earshot_error *error);

#endif
