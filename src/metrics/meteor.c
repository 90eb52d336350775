/*
 * meteor.c: lines to words, alignments to statistics, statistics to scores.  See meteor.h.
 *
 *     P, R    weighted matches over weighted length (content words delta, function words 1 - delta)
 *     fmean = 1 / ((1 - alpha) / P + alpha / R)
 *     score = fmean * (1 - gamma * frag^beta),  frag = chunks / average number of matched words
 */
#include "metrics/meteor.h"

#include <libstemmer.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "metrics/meteor_align.h"

/* The English parameters of task "rank". */
#define ALPHA 0.85
#define BETA 0.2
#define GAMMA 0.6
#define DELTA 0.75
static const double module_weight[METEOR_MODULES] = {1.0, 0.6, 0.8, 0.6};

/* Longer lines are refused: the work grows with the square of the length. */
#define LINE_BYTES_MAX 16384
#define LINE_WORDS_MAX 1000

enum { LENGTH1, LENGTH2, FUNCTION1, FUNCTION2, MODULES, CHUNKS = 20, WORDS1, WORDS2 };

/* Words seen so far, with all that is known of them. */
struct word_cache {
    struct cached {
        char *text;
        struct meteor_word word;
    } * *slot;
    size_t size, used;
};

struct meteor {
    const struct meteor_data *data;
    struct sb_stemmer *stemmer;
    struct word_cache cache;
    struct meteor_aligner aligner;
    struct meteor_line line1, line2;
    size_t capacity1, capacity2;
    struct str normalised;
    struct meteor_match *best;
    size_t best_capacity;
};

enum earshot_status meteor_new(const struct meteor_data *data, struct meteor **out,
                               struct earshot_error *error)
{
    struct meteor *meteor = calloc(1, sizeof *meteor);

    *out = NULL;
    if (!meteor)
        return error_memory(error, sizeof *meteor);
    meteor->data = data;
    meteor->aligner.data = data;
    meteor->stemmer = sb_stemmer_new("english", "UTF_8");
    meteor->cache.size = 1024;
    meteor->cache.slot = calloc(meteor->cache.size, sizeof *meteor->cache.slot);
    if (!meteor->stemmer || !meteor->cache.slot) {
        meteor_free(meteor);
        return error_memory(error, sizeof *meteor);
    }
    *out = meteor;
    return EARSHOT_OK;
}

static void cached_free(struct cached *cached)
{
    if (!cached)
        return;
    free(cached->text);
    free((void *)(uintptr_t)cached->word.synset);
    free(cached);
}

void meteor_free(struct meteor *meteor)
{
    if (!meteor)
        return;
    if (meteor->stemmer)
        sb_stemmer_delete(meteor->stemmer);
    for (size_t i = 0; meteor->cache.slot && i < meteor->cache.size; i++)
        cached_free(meteor->cache.slot[i]);
    free(meteor->cache.slot);
    meteor_aligner_free(&meteor->aligner);
    free(meteor->line1.word);
    free(meteor->line1.hash);
    free(meteor->line2.word);
    free(meteor->line2.hash);
    str_free(&meteor->normalised);
    free(meteor->best);
    free(meteor);
}

const char *meteor_stem(struct meteor *meteor, const char *word)
{
    const sb_symbol *stem =
        sb_stemmer_stem(meteor->stemmer, (const sb_symbol *)word, (int)strlen(word));

    return stem ? (const char *)stem : word;
}

/* ---- words ---- */

static size_t cache_find(const struct word_cache *cache, const char *text)
{
    size_t at = array_hash(text, strlen(text)) & (cache->size - 1);

    while (cache->slot[at] && strcmp(cache->slot[at]->text, text) != 0)
        at = (at + 1) & (cache->size - 1);
    return at;
}

static bool cache_grow(struct word_cache *cache)
{
    struct word_cache larger = {.size = 2 * cache->size, .used = cache->used};

    larger.slot = calloc(larger.size, sizeof *larger.slot);
    if (!larger.slot)
        return false;
    for (size_t i = 0; i < cache->size; i++)
        if (cache->slot[i])
            larger.slot[cache_find(&larger, cache->slot[i]->text)] = cache->slot[i];
    free(cache->slot);
    *cache = larger;
    return true;
}

/* NULL when out of memory. */
static const struct meteor_word *get_word(struct meteor *meteor, const char *text)
{
    size_t at = cache_find(&meteor->cache, text);
    struct cached *cached = meteor->cache.slot[at];
    uint32_t *synset;

    if (cached)
        return &cached->word;
    if (2 * meteor->cache.used >= meteor->cache.size) {
        if (!cache_grow(&meteor->cache))
            return NULL;
        at = cache_find(&meteor->cache, text);
    }
    cached = calloc(1, sizeof *cached);
    if (!cached)
        return NULL;
    cached->text = str_format("%s", text);
    if (!cached->text ||
        !meteor_synsets(meteor->data, text, false, &synset, &cached->word.synset_count)) {
        cached_free(cached);
        return NULL;
    }
    cached->word.synset = synset;
    cached->word.hash = meteor_hash(text);
    cached->word.stem = meteor_hash(meteor_stem(meteor, text));
    cached->word.function = meteor_is_function_word(meteor->data, text);
    meteor->cache.slot[at] = cached;
    meteor->cache.used++;
    return &cached->word;
}

/* Normalises a line and looks up its words. */
static enum earshot_status read_line(struct meteor *meteor, const char *text,
                                     struct meteor_line *line, size_t *capacity,
                                     struct earshot_error *error)
{
    char *save;

    line->count = 0;
    if (strlen(text) > LINE_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "METEOR: a text of %zu bytes; at most %d are allowed", strlen(text),
                         LINE_BYTES_MAX);
    str_clear(&meteor->normalised);
    meteor_normalise(text, &meteor->normalised);
    str_append(&meteor->normalised, "", 0);
    if (meteor->normalised.failed)
        return error_memory(error, strlen(text));
    for (char *word = strtok_r(meteor->normalised.data, " \t\r\n\f", &save); word;
         word = strtok_r(NULL, " \t\r\n\f", &save)) {
        const struct meteor_word *known = get_word(meteor, word);

        if (line->count == LINE_WORDS_MAX)
            return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                             "METEOR: a text of more than %d words", LINE_WORDS_MAX);
        if (line->count == *capacity) {
            size_t larger = *capacity ? 2 * *capacity : 64;
            const struct meteor_word **words = realloc(line->word, larger * sizeof *words);
            int32_t *hash;

            if (words)
                line->word = words;
            hash = realloc(line->hash, larger * sizeof *hash);
            if (hash)
                line->hash = hash;
            if (!words || !hash)
                return error_memory(error, larger * sizeof *words);
            *capacity = larger;
        }
        if (!known)
            return error_memory(error, sizeof(struct cached));
        line->word[line->count] = known;
        line->hash[line->count++] = known->hash;
    }
    return EARSHOT_OK;
}

/* ---- statistics ---- */

static double function_words(const struct meteor_line *line, int start, int count)
{
    double functions = 0;

    for (int i = start; i < start + count; i++)
        functions += line->word[i]->function;
    return functions;
}

static int count_chunks(const struct meteor_match *match, size_t count)
{
    int chunks = 0;

    for (size_t i = 0; i < count; i++)
        chunks += i == 0 || match[i - 1].start2 + match[i - 1].length2 != match[i].start2 ||
                  match[i - 1].start1 + match[i - 1].length1 != match[i].start1;
    return chunks;
}

static void count_statistics(const struct meteor *meteor, struct meteor_statistics *statistics)
{
    const struct meteor_line *line1 = &meteor->line1, *line2 = &meteor->line2;
    const struct meteor_aligner *aligner = &meteor->aligner;
    double *v = statistics->value;

    *statistics = (struct meteor_statistics){0};
    v[LENGTH1] = (double)line1->count;
    v[LENGTH2] = (double)line2->count;
    v[FUNCTION1] = function_words(line1, 0, (int)line1->count);
    v[FUNCTION2] = function_words(line2, 0, (int)line2->count);
    for (size_t i = 0; i < aligner->match_count; i++) {
        const struct meteor_match *m = &aligner->match[i];
        double *module = v + MODULES + 4 * m->module;
        double functions1 = function_words(line1, m->start1, m->length1);
        double functions2 = function_words(line2, m->start2, m->length2);

        module[0] += m->length1 - functions1;
        module[1] += m->length2 - functions2;
        module[2] += functions1;
        module[3] += functions2;
        v[WORDS1] += m->length1;
        v[WORDS2] += m->length2;
    }
    v[CHUNKS] = count_chunks(aligner->match, aligner->match_count);
}

static bool is_perfect(const double *v)
{
    return v[WORDS1] == v[LENGTH1] && v[WORDS2] == v[LENGTH2] && v[CHUNKS] == 1;
}

double meteor_score(const struct meteor_statistics *statistics)
{
    const double *v = statistics->value;
    double length1 = DELTA * (v[LENGTH1] - v[FUNCTION1]) + (1.0 - DELTA) * v[FUNCTION1];
    double length2 = DELTA * (v[LENGTH2] - v[FUNCTION2]) + (1.0 - DELTA) * v[FUNCTION2];
    double matches1 = 0, matches2 = 0, precision, recall, fmean, frag, score;

    for (int m = 0; m < METEOR_MODULES; m++) {
        const double *count = v + MODULES + 4 * m;

        matches1 += count[0] * module_weight[m] * DELTA;
        matches1 += count[2] * module_weight[m] * (1.0 - DELTA);
        matches2 += count[1] * module_weight[m] * DELTA;
        matches2 += count[3] * module_weight[m] * (1.0 - DELTA);
    }
    precision = matches1 / length1;
    recall = matches2 / length2;
    fmean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
    frag = is_perfect(v) ? 0 : v[CHUNKS] / ((v[WORDS1] + v[WORDS2]) / 2);
    score = fmean * (1.0 - GAMMA * pow(frag, BETA));
    return isnan(score) || score < 0 ? 0 : score;
}

void meteor_add(struct meteor_statistics *sum, const struct meteor_statistics *statistics)
{
    for (int i = 0; i < METEOR_STATISTICS; i++)
        if (i != CHUNKS || !is_perfect(statistics->value))
            sum->value[i] += statistics->value[i];
}

/* ---- segments and corpora ---- */

static enum earshot_status keep_best(struct meteor *meteor, struct meteor_result *result,
                                     struct earshot_error *error)
{
    const struct meteor_aligner *aligner = &meteor->aligner;

    if (aligner->match_count > meteor->best_capacity) {
        size_t capacity = 2 * aligner->match_count;
        struct meteor_match *best = realloc(meteor->best, capacity * sizeof *best);

        if (!best)
            return error_memory(error, capacity * sizeof *best);
        meteor->best = best;
        meteor->best_capacity = capacity;
    }
    if (aligner->match_count)
        memcpy(meteor->best, aligner->match, aligner->match_count * sizeof *meteor->best);
    result->match = meteor->best;
    result->match_count = aligner->match_count;
    return EARSHOT_OK;
}

enum earshot_status meteor_segment(struct meteor *meteor, const char *hypothesis,
                                   const char *const *references, size_t count,
                                   struct meteor_result *result, struct earshot_error *error)
{
    enum earshot_status status =
        read_line(meteor, hypothesis, &meteor->line1, &meteor->capacity1, error);

    *result = (struct meteor_result){.score = -1};
    for (size_t r = 0; r < count && status == EARSHOT_OK; r++) {
        struct meteor_statistics statistics;
        double score;

        status = read_line(meteor, references[r], &meteor->line2, &meteor->capacity2, error);
        if (status == EARSHOT_OK)
            status = meteor_align(&meteor->aligner, &meteor->line1, &meteor->line2, error);
        if (status != EARSHOT_OK)
            return status;
        count_statistics(meteor, &statistics);
        score = meteor_score(&statistics);
        if (score > result->score) {
            result->score = score;
            result->statistics = statistics;
            result->best = r;
            status = keep_best(meteor, result, error);
        }
    }
    if (result->score < 0)
        result->score = 0;
    return status;
}

/* coco-caption takes METEOR's own separator out of a hypothesis. */
static void clean_hypothesis(struct str *line)
{
    static const char *const cuts[][2] = {{"|||", ""}, {"  ", " "}};

    for (size_t c = 0; c < 2; c++) {
        size_t from = strlen(cuts[c][0]), to = strlen(cuts[c][1]), out = 0;

        for (size_t i = 0; i < line->length;) {
            if (i + from <= line->length && memcmp(line->data + i, cuts[c][0], from) == 0) {
                memcpy(line->data + out, cuts[c][1], to);
                out += to;
                i += from;
            } else {
                line->data[out++] = line->data[i++];
            }
        }
        line->length = out;
        line->data[out] = '\0';
    }
}

static enum earshot_status score_item(struct meteor *meteor, const struct corpus *corpus,
                                      size_t item, struct str *line, struct meteor_result *result,
                                      struct earshot_error *error)
{
    size_t first = corpus->first_reference[item];
    size_t count = corpus->first_reference[item + 1] - first;
    const char **references = malloc((count + 1) * sizeof *references);
    size_t *start = malloc((count + 1) * sizeof *start);
    struct str text = {0};
    enum earshot_status status = EARSHOT_OK;

    str_clear(line);
    str_append(line, "", 0);
    corpus_append_line(corpus, &corpus->candidates, item, line);
    for (size_t r = 0; r < count && start; r++) {
        start[r] = text.length;
        corpus_append_line(corpus, &corpus->references, first + r, &text);
        str_append(&text, "", 1);
    }
    if (!references || !start || line->failed || text.failed) {
        status = error_memory(error, count * sizeof *references);
    } else {
        clean_hypothesis(line);
        for (size_t r = 0; r < count; r++)
            references[r] = text.data + start[r];
        status = meteor_segment(meteor, line->data, references, count, result, error);
    }
    str_free(&text);
    free(references);
    free(start);
    return status;
}

enum earshot_status meteor_corpus(const struct meteor_data *data, const struct corpus *corpus,
                                  double *item, struct meteor_statistics *statistics,
                                  double *corpus_score, struct earshot_error *error)
{
    struct meteor_statistics sum = {0};
    struct str line = {0};
    struct meteor *meteor;
    enum earshot_status status = meteor_new(data, &meteor, error);

    for (size_t i = 0; i < corpus->item_count && status == EARSHOT_OK; i++) {
        struct meteor_result result;

        status = score_item(meteor, corpus, i, &line, &result, error);
        if (status != EARSHOT_OK) {
            error_context(error, "item %zu", i + 1);
            break;
        }
        item[i] = result.score;
        statistics[i] = result.statistics;
        meteor_add(&sum, &result.statistics);
    }
    *corpus_score = meteor_score(&sum);
    str_free(&line);
    meteor_free(meteor);
    return status;
}
