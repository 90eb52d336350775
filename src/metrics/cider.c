/*
 * cider.c: CIDEr-D.  See scores.h.
 *
 * weight(g) = count(g) (log N - log max(1, df(g))), N the number of items, df the number of items
 * any of whose references holds g; per order n
 *     sim_n = sum_g min(h_g, r_g) r_g / (|h| |r|) * e^(-d^2 / 2 sigma^2),  d = difference in
 * bigrams and the score is 10 * mean over n of (sum over references of sim_n) / references.
 *
 * Orders are worked on one after the other, and where a corpus has very many n-grams these in
 * parts by their hash, so that the table of document frequencies never holds more than TABLE_GRAMS
 * of them: memory then stays below that of the texts.  (Only with several parts are sums taken in
 * another order than the reference's; the difference is in the last bits.)
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/ngram.h"
#include "metrics/scores.h"

#define SIGMA 6.0
#define TABLE_GRAMS (4u << 20)

struct frequency {
    uint32_t at;        /* a place of the n-gram in the references' words */
    uint32_t items;     /* document frequency; 0: the slot is empty */
    uint32_t last_item; /* counted last */
};

/* The distinct n-grams of one sentence, in order of appearance. */
struct gram {
    const uint32_t *word;
    uint32_t hash, count;
    double weight;
};

struct bag {
    struct gram *gram;
    uint32_t *slot; /* gram + 1, 0 empty */
    size_t count, size, gram_capacity, slot_capacity;
};

/* Running sums of one reference at one order. */
struct sums {
    double norm, dot;
};

struct cider {
    const struct corpus *corpus;
    bool plain;
    int n; /* order */
    uint32_t part, parts;
    struct frequency *table;
    size_t table_size;
    double log_items;
    struct bag candidate, reference;
    struct sums *sums;      /* [references] */
    double *candidate_norm; /* [items] */
};

static bool in_part(const struct cider *cider, uint32_t hash)
{
    return cider->parts == 1 || hash % cider->parts == cider->part;
}

static size_t table_find(const struct cider *cider, const uint32_t *word, uint32_t hash)
{
    const uint32_t *words = cider->corpus->references.word;
    /* The low bits choose the part, so the place comes from the product. */
    size_t at = (size_t)((uint64_t)hash * 0x9E3779B1u >> 7) & (cider->table_size - 1);

    while (cider->table[at].items && !ngram_equal(words + cider->table[at].at, word, cider->n))
        at = (at + 1) & (cider->table_size - 1);
    return at;
}

/* Counts this part's document frequencies, growing the table as n-grams turn up. */
static enum earshot_status count_frequencies(struct cider *cider, struct earshot_error *error)
{
    const struct corpus *corpus = cider->corpus;
    const uint32_t *words = corpus->references.word;
    size_t used = 0;

    memset(cider->table, 0, cider->table_size * sizeof *cider->table);
    for (size_t item = 0; item < corpus->item_count; item++) {
        /* An item's words are in one piece, but an n-gram may not run over a sentence's end. */
        for (size_t r = corpus->first_reference[item]; r < corpus->first_reference[item + 1]; r++) {
            struct word_span span = sentence_words(&corpus->references, r);

            for (size_t i = 0; i + (size_t)cider->n <= span.count; i++) {
                uint32_t hash = ngram_hash(span.word + i, cider->n);
                struct frequency *entry;

                if (!in_part(cider, hash))
                    continue;
                entry = &cider->table[table_find(cider, span.word + i, hash)];
                if (!entry->items) {
                    *entry =
                        (struct frequency){(uint32_t)(span.word + i - words), 1, (uint32_t)item};
                    if (++used > cider->table_size / 4 * 3) /* parts uneven beyond belief */
                        return error_set(error, EARSHOT_ERROR_INTERNAL,
                                         "CIDEr: the table of n-grams is full");
                } else if (entry->last_item != item) {
                    entry->items++;
                    entry->last_item = (uint32_t)item;
                }
            }
        }
    }
    return EARSHOT_OK;
}

static size_t bag_find(const struct bag *bag, const uint32_t *word, uint32_t hash, int n)
{
    size_t at = hash & (bag->size - 1);

    while (bag->slot[at] && !(bag->gram[bag->slot[at] - 1].hash == hash &&
                              ngram_equal(bag->gram[bag->slot[at] - 1].word, word, n)))
        at = (at + 1) & (bag->size - 1);
    return at;
}

static bool bag_reserve(struct bag *bag, size_t grams)
{
    bag->size = ngram_table_size(grams);
    if (grams > bag->gram_capacity) {
        struct gram *gram = realloc(bag->gram, grams * sizeof *gram);

        if (!gram)
            return false;
        bag->gram = gram;
        bag->gram_capacity = grams;
    }
    if (bag->size > bag->slot_capacity) {
        uint32_t *slot = realloc(bag->slot, bag->size * sizeof *slot);

        if (!slot)
            return false;
        bag->slot = slot;
        bag->slot_capacity = bag->size;
    }
    memset(bag->slot, 0, bag->size * sizeof *bag->slot);
    bag->count = 0;
    return true;
}

/* Fills bag with the n-grams of one sentence and their weights; returns the sum of squares. */
static double bag_fill(const struct cider *cider, struct bag *bag, struct word_span span,
                       double norm)
{
    for (size_t i = 0; i + (size_t)cider->n <= span.count; i++) {
        uint32_t hash = ngram_hash(span.word + i, cider->n);
        size_t at;

        if (!in_part(cider, hash))
            continue;
        at = bag_find(bag, span.word + i, hash, cider->n);
        if (!bag->slot[at]) {
            bag->gram[bag->count] = (struct gram){span.word + i, hash, 0, 0};
            bag->slot[at] = (uint32_t)++bag->count;
        }
        bag->gram[bag->slot[at] - 1].count++;
    }
    for (size_t i = 0; i < bag->count; i++) {
        struct gram *gram = &bag->gram[i];
        uint32_t items = cider->table[table_find(cider, gram->word, gram->hash)].items;

        gram->weight = gram->count * (cider->log_items - log(items > 1 ? items : 1));
        norm += pow(gram->weight, 2);
    }
    return norm;
}

/* Adds this part's share of every reference's norm and product. */
static enum earshot_status add_sums(struct cider *cider, struct earshot_error *error)
{
    const struct corpus *corpus = cider->corpus;

    for (size_t item = 0; item < corpus->item_count; item++) {
        struct word_span span = sentence_words(&corpus->candidates, item);

        if (!bag_reserve(&cider->candidate, span.count))
            return error_memory(error, span.count * sizeof(struct gram));
        cider->candidate_norm[item] =
            bag_fill(cider, &cider->candidate, span, cider->candidate_norm[item]);
        for (size_t r = corpus->first_reference[item]; r < corpus->first_reference[item + 1]; r++) {
            struct sums *sums = &cider->sums[r];
            struct bag *bag = &cider->reference;

            span = sentence_words(&corpus->references, r);
            if (!bag_reserve(bag, span.count))
                return error_memory(error, span.count * sizeof(struct gram));
            sums->norm = bag_fill(cider, bag, span, sums->norm);
            for (size_t i = 0; i < cider->candidate.count; i++) {
                const struct gram *h = &cider->candidate.gram[i];
                size_t at = bag_find(bag, h->word, h->hash, cider->n);
                double w;

                if (!bag->slot[at])
                    continue;
                w = bag->gram[bag->slot[at] - 1].weight;
                sums->dot +=
                    (cider->plain || h->weight > w ? (cider->plain ? h->weight : w) : h->weight) *
                    w;
            }
        }
    }
    return EARSHOT_OK;
}

static size_t bigrams(struct word_span span)
{
    return span.count > 1 ? span.count - 1 : 0;
}

/* The similarity of this order, summed over the item's references. */
static double item_similarity(const struct cider *cider, size_t item)
{
    const struct corpus *corpus = cider->corpus;
    double length = (double)bigrams(sentence_words(&corpus->candidates, item));
    double candidate_norm = sqrt(cider->candidate_norm[item]), total = 0;

    for (size_t r = corpus->first_reference[item]; r < corpus->first_reference[item + 1]; r++) {
        double norm = sqrt(cider->sums[r].norm), value = cider->sums[r].dot;
        double delta = length - (double)bigrams(sentence_words(&corpus->references, r));

        if (candidate_norm != 0 && norm != 0)
            value /= candidate_norm * norm;
        if (!cider->plain)
            value *= pow(M_E, -(delta * delta) / (2 * SIGMA * SIGMA));
        total += value;
    }
    return total;
}

static enum earshot_status score_order(struct cider *cider, double *item,
                                       struct earshot_error *error)
{
    const struct corpus *corpus = cider->corpus;

    memset(cider->sums, 0, corpus->references.count * sizeof *cider->sums);
    memset(cider->candidate_norm, 0, corpus->item_count * sizeof *cider->candidate_norm);
    for (cider->part = 0; cider->part < cider->parts; cider->part++) {
        enum earshot_status status = count_frequencies(cider, error);

        if (status == EARSHOT_OK)
            status = add_sums(cider, error);
        if (status != EARSHOT_OK)
            return status;
    }
    for (size_t i = 0; i < corpus->item_count; i++)
        item[i] += item_similarity(cider, i);
    return EARSHOT_OK;
}

enum earshot_status cider_score(const struct corpus *corpus, bool plain, double *item, double *mean,
                                struct earshot_error *error)
{
    struct cider cider = {.corpus = corpus, .plain = plain};
    size_t words = corpus->references.word_count;
    enum earshot_status status = EARSHOT_OK;

    cider.parts = (uint32_t)(words / TABLE_GRAMS + 1);
    cider.table_size = ngram_table_size(words / cider.parts + 1);
    cider.log_items = log((double)corpus->item_count);
    cider.table = malloc(cider.table_size * sizeof *cider.table);
    cider.sums = malloc((corpus->references.count + 1) * sizeof *cider.sums);
    cider.candidate_norm = malloc((corpus->item_count + 1) * sizeof *cider.candidate_norm);
    if (!cider.table || !cider.sums || !cider.candidate_norm)
        status = error_memory(error, cider.table_size * sizeof *cider.table);
    for (size_t i = 0; i < corpus->item_count; i++)
        item[i] = 0;
    for (cider.n = 1; cider.n <= NGRAM_MAX && status == EARSHOT_OK; cider.n++)
        status = score_order(&cider, item, error);
    for (size_t i = 0; i < corpus->item_count; i++) {
        size_t references = corpus->first_reference[i + 1] - corpus->first_reference[i];

        item[i] = references ? item[i] / NGRAM_MAX / (double)references * 10.0 : 0;
    }
    *mean = corpus->item_count && status == EARSHOT_OK
                ? corpus_sum(item, corpus->item_count) / (double)corpus->item_count
                : 0;
    free(cider.table);
    free(cider.sums);
    free(cider.candidate_norm);
    free(cider.candidate.gram);
    free(cider.candidate.slot);
    free(cider.reference.gram);
    free(cider.reference.slot);
    return status;
}
