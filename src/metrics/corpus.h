/*
 * corpus.h: candidates and references as lists of word numbers, what BLEU, ROUGE-L and CIDEr read.
 *
 * Two ways of splitting a tokenised line are in use among the reference metrics: at any white space
 * (Python's split(): U+00A0, which stands inside "5 1/2", splits too), and at single spaces only
 * (ROUGE-L; there "" is one empty word).  The first is the list stored; the few lines where the
 * second differs are kept aside.
 */
#ifndef EARSHOT_METRICS_CORPUS_H
#define EARSHOT_METRICS_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Words <-> numbers.  Number 0 is the empty word. */
struct vocabulary {
    char *text; /* all words, NUL after each */
    size_t text_length, text_capacity;
    uint32_t *start; /* of word i in text */
    uint32_t *slot;  /* hash table of numbers + 1, 0 empty */
    uint32_t count, capacity, slot_count;
};

struct word_span {
    const uint32_t *word;
    size_t count;
};

/* Sentence i is word[start[i] .. start[i + 1]). */
struct sentence_list {
    uint32_t *word, *start;
    size_t count, word_count;
    size_t capacity, word_capacity;
    /* sentences whose split at single spaces differs, ascending, and those words */
    struct {
        uint32_t sentence, start, count;
    } * odd;
    uint32_t *odd_word;
    size_t odd_count, odd_capacity, odd_word_count, odd_word_capacity;
};

/* Item i: candidate i against references first_reference[i] .. first_reference[i + 1]. */
struct corpus {
    struct vocabulary vocabulary;
    struct sentence_list candidates, references;
    size_t *first_reference; /* item_count + 1 */
    size_t item_count;
};

/* What to score.  All texts are UTF-8; nothing is kept after corpus_build. */
struct corpus_texts {
    size_t item_count;
    const char *const *candidate;  /* [item_count] */
    const char *const *reference;  /* [first_reference[item_count]] */
    const size_t *first_reference; /* [item_count + 1], ascending from 0 */
    bool tokenised;                /* take the texts as they are: no PTB tokenizer */
};

/* Tokenises (references in one call, candidates in another, as the reference does) and numbers. */
enum earshot_status corpus_build(struct corpus *corpus, const struct corpus_texts *texts,
                                 struct earshot_error *error);
void corpus_free(struct corpus *corpus);

struct word_span sentence_words(const struct sentence_list *list, size_t index);
/* As split at single spaces. */
struct word_span sentence_words_single(const struct sentence_list *list, size_t index);

const char *vocabulary_word(const struct vocabulary *vocabulary, uint32_t number);

/* Appends the tokenised line: its words, single spaces between. */
void corpus_append_line(const struct corpus *corpus, const struct sentence_list *list, size_t index,
                        struct str *out);

/* numpy's pairwise sum over count values, for means equal to the reference's last bit. */
double corpus_sum(const double *value, size_t count);

#endif
