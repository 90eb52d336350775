/* metrics_parity.c: see metrics_parity.h. */
#include "support/metrics_parity.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "metrics/meteor.h"
#include "metrics/ptb.h"
#include "metrics/ptb_unicode.h"
#include "metrics/scores.h"

#define FILE_LIMIT (1u << 28)

/* ---- outcomes ---- */

static void wrong(struct metrics_parity *result, const char *what, const char *where,
                  const char *got, const char *expected)
{
    if (result->wrong++ == 0)
        snprintf(result->first, sizeof result->first, "%s: %.120s: got \"%.180s\", not \"%.180s\"",
                 what, where, got, expected);
}

static void compare_text(struct metrics_parity *result, const char *what, const char *where,
                         const char *got, const char *expected)
{
    result->compared++;
    if (strcmp(got, expected) != 0)
        wrong(result, what, where, got, expected);
}

static void compare_number(struct metrics_parity *result, const char *what, const char *where,
                           double got, double expected, double tolerance)
{
    double size = fabs(expected) > 1e-300 ? fabs(expected) : 1;
    double relative = fabs(got - expected) / size;
    char a[32], b[32];

    result->compared++;
    if (relative > result->worst || isnan(relative))
        result->worst = relative;
    if (relative <= tolerance)
        return;
    snprintf(a, sizeof a, "%.17g", got);
    snprintf(b, sizeof b, "%.17g", expected);
    wrong(result, what, where, a, b);
}

static const char *get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* A text with U+0000 in it, which no C string holds (readers make it U+FFFD). */
static bool has_nul(const json_t *row)
{
    return json_string_length(json_object_get(row, "text")) != strlen(get_text(row, "text"));
}

/* ---- tokenizer ---- */

struct lines {
    const char *const *in;
    char **out;
};

static const char *line_source(void *context, size_t index)
{
    return ((struct lines *)context)->in[index];
}

static enum earshot_status line_sink(void *context, size_t index, const char *text, size_t length,
                                     struct earshot_error *error)
{
    (void)length;
    (void)error;
    ((struct lines *)context)->out[index] = str_format("%s", text);
    return EARSHOT_OK;
}

/* The lines of one call; free each and the array. */
static char **tokenise(struct ptb *ptb, const char *const *in, size_t count, bool keep_all)
{
    struct lines lines = {in, calloc(count + 1, sizeof *lines.out)};
    struct ptb_call call = {line_source, line_sink, &lines, count, keep_all};

    if (ptb_tokenize(ptb, &call, NULL) != EARSHOT_OK)
        for (size_t i = 0; i < count; i++)
            if (!lines.out[i])
                lines.out[i] = str_format("(failed)");
    return lines.out;
}

static void free_lines(char **lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}

static void check_call(struct ptb *ptb, struct metrics_parity *result, const char *what,
                       const char *const *in, size_t count, bool keep_all, const char *expected)
{
    char **out = tokenise(ptb, in, count, keep_all);

    compare_text(result, what, in[0], out[0], expected);
    free_lines(out, count);
}

static void check_caption(struct ptb *ptb, const json_t *row, struct metrics_parity *result)
{
    const char *in[2] = {get_text(row, "text"), ""};

    if (has_nul(row)) {
        result->unfit++;
        return;
    }
    check_call(ptb, result, "tokens", in, 1, false, get_text(row, "tokens"));
    check_call(ptb, result, "tokens_nl", in, 2, false, get_text(row, "tokens_nl"));
    if (json_object_get(row, "raw") && !json_object_get(row, "extra_lines"))
        check_call(ptb, result, "raw", in, 1, true, get_text(row, "raw"));
}

static void check_sequence(struct ptb *ptb, const json_t *row, struct metrics_parity *result)
{
    const json_t *captions = json_object_get(row, "captions"),
                 *tokens = json_object_get(row, "tokens");
    size_t count = json_array_size(captions);
    const char **in = calloc(count + 1, sizeof *in);
    char **out;

    for (size_t i = 0; i < count; i++)
        in[i] = json_string_value(json_array_get(captions, i));
    out = tokenise(ptb, in, count, false);
    for (size_t i = 0; i < count; i++)
        if (i < json_array_size(tokens))
            compare_text(result, "sequence", in[i], out[i],
                         json_string_value(json_array_get(tokens, i)));
    free_lines(out, count);
    free(in);
}

/* The whole stream: captions from tokenizer.jsonl beside it, tokens by id. */
static bool check_stream(struct ptb *ptb, const char *path, const json_t *rows,
                         struct metrics_parity *result);

/* One column of the table of characters: `expected` with the character written C, L or N. */
static void check_cell(struct ptb *ptb, uint32_t unit, const char *before, const char *after,
                       const char *expected, struct metrics_parity *result)
{
    struct str in = {0}, want = {0}, got = {0};
    char bytes[4], where[32];
    const char *text[2];
    char **out;

    snprintf(where, sizeof where, "U+%04X in \"%s?%s\"", (unsigned)unit, before, after);
    str_append_text(&in, before);
    if (unit)
        str_append(&in, bytes, str_utf8_put(bytes, unit));
    str_append_text(&in, after);
    str_append(&want, "", 0);
    for (const char *p = expected; *p; p++) {
        if (*p == 'C')
            str_append(&want, bytes, str_utf8_put(bytes, unit));
        else if (*p == 'L')
            ptb_append_lower(&want, bytes, str_utf8_put(bytes, unit));
        else
            str_append(&want, *p == 'N' ? "\n" : p, 1);
    }
    text[0] = in.data;
    text[1] = "";
    out = tokenise(ptb, text, strchr(want.data, '\n') ? 2 : 1, true);
    str_append_text(&got, out[0]);
    if (strchr(want.data, '\n'))
        str_append_format(&got, "\n%s", out[1]);
    compare_text(result, "character", where, got.data, want.data);
    free_lines(out, strchr(want.data, '\n') ? 2 : 1);
    str_free(&in);
    str_free(&want);
    str_free(&got);
}

static void check_characters(struct ptb *ptb, char *text, struct metrics_parity *result)
{
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *field[5], *p = line;
        int count = 0;
        unsigned long first, last;

        if (*line == '#')
            continue;
        for (; count < 5; count++) {
            field[count] = p;
            p = strchr(p, '\t');
            if (!p)
                break;
            *p++ = '\0';
        }
        if (count < 4)
            continue;
        first = strtoul(field[0], NULL, 16);
        last = strtoul(field[1], NULL, 16);
        for (unsigned long unit = first ? first : 1; unit <= last; unit++) {
            if (unit == '\n' || (unit >= 0xD800 && unit < 0xE000))
                continue; /* a caption's own \n becomes a space before the lexer sees it */
            check_cell(ptb, (uint32_t)unit, "a", "b", field[2], result);
            check_cell(ptb, (uint32_t)unit, "1", "2", field[3], result);
            check_cell(ptb, (uint32_t)unit, "x ", " y", field[4], result);
        }
    }
}

/* ---- metrics ---- */

/* Texts of a fixture's items; raw, or as the reference tokenised them. */
static enum earshot_status build(const json_t *items, bool tokenised, struct corpus *corpus)
{
    size_t count = json_array_size(items), references = 0;
    const char **candidate = calloc(count + 1, sizeof *candidate), **reference;
    size_t *first = calloc(count + 1, sizeof *first);
    enum earshot_status status;

    for (size_t i = 0; i < count; i++)
        references += json_array_size(json_object_get(json_array_get(items, i), "refs"));
    reference = calloc(references + 1, sizeof *reference);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(items, i);
        const json_t *refs = json_object_get(item, tokenised ? "refs_tok" : "refs");

        candidate[i] = get_text(item, tokenised ? "cand_tok" : "cand");
        for (size_t r = 0; r < json_array_size(refs); r++)
            reference[first[i] + r] = json_string_value(json_array_get(refs, r));
        first[i + 1] = first[i] + json_array_size(refs);
    }
    status = corpus_build(
        corpus, &(struct corpus_texts){count, candidate, reference, first, tokenised}, NULL);
    free(candidate);
    free(reference);
    free(first);
    return status;
}

static void check_lines(const json_t *items, const struct corpus *corpus,
                        struct metrics_parity *result)
{
    struct str line = {0};

    for (size_t i = 0; i < corpus->item_count; i++) {
        const json_t *item = json_array_get(items, i), *refs = json_object_get(item, "refs_tok");

        str_clear(&line);
        str_append(&line, "", 0);
        corpus_append_line(corpus, &corpus->candidates, i, &line);
        compare_text(result, "cand_tok", get_text(item, "cand"), line.data,
                     get_text(item, "cand_tok"));
        for (size_t r = 0; r < json_array_size(refs); r++) {
            str_clear(&line);
            corpus_append_line(corpus, &corpus->references, corpus->first_reference[i] + r, &line);
            compare_text(result, "refs_tok", get_text(item, "id"), line.data,
                         json_string_value(json_array_get(refs, r)));
        }
    }
    str_free(&line);
}

static void check_score(const json_t *where, const char *name, const char *key, double got,
                        struct metrics_parity *result)
{
    const json_t *value = json_object_get(where, key);

    if (json_is_number(value))
        compare_number(result, key, name, got, json_number_value(value), METRICS_PARITY_TOLERANCE);
}

static void check_scores(const json_t *set, const struct corpus *corpus,
                         struct metrics_parity *result)
{
    static const char *const bleu_key[] = {"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"};
    const json_t *totals = json_object_get(set, "bleu_totals"),
                 *scores = json_object_get(set, "corpus"), *items = json_object_get(set, "items");
    double *value = calloc(corpus->item_count + 1, sizeof *value), mean;
    struct bleu_result bleu;

    if (bleu_score(corpus, &bleu, NULL) == EARSHOT_OK) {
        for (int k = 0; k < NGRAM_MAX; k++) {
            check_score(scores, "corpus", bleu_key[k], bleu.corpus[k], result);
            if (totals) {
                compare_number(
                    result, "guess", "corpus", (double)bleu.total.guess[k],
                    json_number_value(json_array_get(json_object_get(totals, "guess"), (size_t)k)),
                    0);
                compare_number(result, "correct", "corpus", (double)bleu.total.correct[k],
                               json_number_value(
                                   json_array_get(json_object_get(totals, "correct"), (size_t)k)),
                               0);
            }
            for (size_t i = 0; i < corpus->item_count; i++)
                check_score(json_array_get(items, i), get_text(json_array_get(items, i), "id"),
                            bleu_key[k], bleu.item[i][k], result);
        }
        if (totals) {
            check_score(totals, "corpus", "testlen", (double)bleu.total.length, result);
            check_score(totals, "corpus", "reflen", (double)bleu.total.reference_length, result);
        }
        bleu_free(&bleu);
    }
    for (int m = 0; m < 3; m++) {
        static const char *const key[] = {"ROUGE_L", "CIDEr", "CIDEr_plain"};

        if ((m == 0 ? rouge_l_score(corpus, value, &mean, NULL)
                    : cider_score(corpus, m == 2, value, &mean, NULL)) != EARSHOT_OK)
            continue;
        check_score(scores, get_text(set, "name"), key[m], mean, result);
        for (size_t i = 0; i < corpus->item_count; i++)
            check_score(json_array_get(items, i), get_text(json_array_get(items, i), "id"), key[m],
                        value[i], result);
    }
    free(value);
}

/* ---- METEOR ---- */

static void statistics_text(const struct meteor_statistics *statistics, char *text, size_t size)
{
    size_t at = 0;

    for (int i = 0; i < METEOR_STATISTICS; i++)
        at += (size_t)snprintf(text + at, size - at, i ? " %.1f" : "%.1f", statistics->value[i]);
}

static void check_statistics(struct metrics_parity *result, const char *where,
                             const struct meteor_statistics *statistics, const char *expected)
{
    char text[512];

    statistics_text(statistics, text, sizeof text);
    compare_text(result, "statistics", where, text, expected);
}

static void check_meteor_score(struct metrics_parity *result, const char *what, const char *where,
                               double got, const json_t *expected)
{
    if (json_is_number(expected))
        compare_number(result, what, where, got, json_number_value(expected),
                       METRICS_PARITY_TOLERANCE_METEOR);
}

/* A whole set's METEOR; `key` and `statistics_key` are the names in the file. */
static void check_meteor_set(const json_t *set, const struct corpus *corpus,
                             const struct meteor_data *data, const char *key,
                             const char *statistics_key, struct metrics_parity *result)
{
    const json_t *items = json_object_get(set, "items");
    double *value = calloc(corpus->item_count + 1, sizeof *value), score;
    struct meteor_statistics *statistics = calloc(corpus->item_count + 1, sizeof *statistics);

    if (!json_object_get(json_object_get(set, "corpus"), key)) {
        /* not in this file */
    } else if (!data) {
        result->lacking++;
    } else if (meteor_corpus(data, corpus, value, statistics, &score, NULL) != EARSHOT_OK) {
        wrong(result, key, get_text(set, "name"), "failure", "scores");
    } else {
        check_meteor_score(result, key, get_text(set, "name"), score,
                           json_object_get(json_object_get(set, "corpus"), key));
        for (size_t i = 0; i < corpus->item_count; i++) {
            const json_t *item = json_array_get(items, i);

            check_meteor_score(result, key, get_text(item, "id"), value[i],
                               json_object_get(item, key));
            if (json_object_get(item, statistics_key))
                check_statistics(result, get_text(item, "id"), &statistics[i],
                                 get_text(item, statistics_key));
        }
    }
    free(value);
    free(statistics);
}

static void check_matches(struct metrics_parity *result, const char *where,
                          const struct meteor_result *got, const json_t *expected)
{
    char *text = json_dumps(expected, JSON_COMPACT);
    struct str line = {0};

    str_append_text(&line, "[");
    for (size_t i = 0; i < got->match_count; i++)
        str_append_format(&line, "%s[%d,%d,%d,%d,%d]", i ? "," : "", got->match[i].start2,
                          got->match[i].length2, got->match[i].start1, got->match[i].length1,
                          (int)got->match[i].module);
    str_append_text(&line, "]");
    compare_text(result, "matches", where, line.data, text ? text : "");
    str_free(&line);
    free(text);
}

/* One segment, its references and what is expected of it under the names given. */
static void check_segment(struct meteor *meteor, const char *hypothesis,
                          const char *const *references, size_t count, const char *statistics,
                          const json_t *score, const json_t *matches, struct metrics_parity *result)
{
    struct meteor_result got;

    if (meteor_segment(meteor, hypothesis, references, count, &got, NULL) != EARSHOT_OK) {
        wrong(result, "segment", hypothesis, "failure", "a score");
        return;
    }
    check_statistics(result, hypothesis, &got.statistics, statistics);
    check_meteor_score(result, "score", hypothesis, got.score, score);
    if (matches)
        check_matches(result, hypothesis, &got, matches);
}

static void check_pair(struct meteor *meteor, const json_t *row, const char *key,
                       struct metrics_parity *result)
{
    const json_t *refs = json_object_get(row, "refs"), *expected = json_object_get(row, key);
    size_t count = json_array_size(refs);
    const char **references = calloc(count + 1, sizeof *references);
    struct str line = {0};

    for (size_t r = 0; r < count; r++)
        references[r] = json_string_value(json_array_get(refs, r));
    check_segment(meteor, get_text(row, "hyp"), references, count, get_text(expected, "stats"),
                  json_object_get(expected, "score"), json_object_get(expected, "matches"), result);
    meteor_normalise(get_text(row, "hyp"), &line);
    str_append(&line, "", 0);
    compare_text(result, "normalised", get_text(row, "hyp"), line.data,
                 get_text(expected, "hyp_norm"));
    str_free(&line);
    free(references);
}

static void check_normalised(const json_t *row, struct metrics_parity *result)
{
    struct str line = {0};

    if (has_nul(row)) {
        result->unfit++;
        return;
    }
    meteor_normalise(get_text(row, "text"), &line);
    str_append(&line, "", 0);
    compare_text(result, "normalised", get_text(row, "text"), line.data, get_text(row, "norm"));
    str_free(&line);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* The numbers of "1,2,3" appended to list. */
static size_t read_numbers(const char *text, uint32_t *list, size_t count)
{
    while (*text) {
        char *end;

        list[count++] = (uint32_t)strtoul(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

static void check_synsets(const struct meteor_data *data, const char *word, bool own,
                          uint32_t *expected, size_t expected_count, struct metrics_parity *result)
{
    uint32_t *synsets;
    size_t count, kept = 0;

    qsort(expected, expected_count, sizeof *expected, compare_numbers);
    for (size_t i = 0; i < expected_count; i++)
        if (i == 0 || expected[i] != expected[kept - 1])
            expected[kept++] = expected[i];
    result->compared++;
    if (!meteor_synsets(data, word, own, &synsets, &count) || count != kept ||
        (count && memcmp(synsets, expected, count * sizeof *synsets) != 0))
        wrong(result, own ? "synsets" : "all synsets", word, "others", "those of the file");
    free(synsets);
}

static void check_words(char *text, const struct meteor_data *data, struct metrics_parity *result)
{
    struct meteor *meteor;

    if (meteor_new(data, &meteor, NULL) != EARSHOT_OK)
        return;
    for (char *line = text, *next_line; line && *line; line = next_line) {
        char *field[4] = {line, (char *)"", (char *)"", (char *)""};
        uint32_t list[4096];
        size_t count;

        next_line = strchr(line, '\n');
        if (next_line)
            *next_line++ = '\0';
        for (int i = 1; i < 4; i++) {
            char *tab = strchr(field[i - 1], '\t');

            if (!tab)
                break;
            *tab = '\0';
            field[i] = tab + 1;
        }
        if (*line == '#' && strcmp(line, "#word") == 0)
            continue;
        compare_text(result, "stem", field[0], meteor_stem(meteor, field[0]), field[1]);
        if (!meteor_data_has_synonyms(data)) {
            result->lacking++;
            continue;
        }
        if (strlen(field[2]) + strlen(field[3]) > 8000)
            continue;
        count = read_numbers(field[2], list, 0);
        check_synsets(data, field[0], true, list, count, result);
        count = read_numbers(field[3], list, read_numbers(field[2], list, 0));
        check_synsets(data, field[0], false, list, count, result);
    }
    meteor_free(meteor);
}

static struct meteor_data *load_data(const char *wordnet, const char *path, const char *table)
{
    const char *slash = strrchr(path, '/');
    char *beside =
        table ? str_format("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, table) : NULL;
    struct meteor_sources sources = {
        .directory = wordnet, .paraphrases = beside, .no_paraphrases = !table};
    struct meteor_data *data = NULL;

    if (!beside || file_exists(beside))
        meteor_data_load(&sources, &data, NULL);
    free(beside);
    return data;
}

static void check_meteor_rows(const json_t *rows, const struct meteor_data *data, bool table,
                              struct metrics_parity *result)
{
    struct meteor *meteor;

    if (!data || meteor_new(data, &meteor, NULL) != EARSHOT_OK) {
        result->lacking += json_array_size(rows);
        return;
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *reference = get_text(row, "ref");

        if (json_object_get(row, "norm"))
            check_normalised(row, result);
        else if (json_object_get(row, "stats_nopara") && !table)
            check_segment(meteor, get_text(row, "hyp"), &reference, 1,
                          get_text(row, "stats_nopara"), json_object_get(row, "meteor_nopara"),
                          NULL, result);
        else if (json_object_get(row, table ? "testpara" : "nopara"))
            check_pair(meteor, row, table ? "testpara" : "nopara", result);
    }
    meteor_free(meteor);
}

/* ---- sets ---- */

static void check_set(const json_t *set, const struct meteor_data *plain,
                      const struct meteor_data *table, struct metrics_parity *result)
{
    const json_t *items = json_object_get(set, "items");

    for (int tokenised = 0; tokenised < 2; tokenised++) {
        struct corpus corpus;

        if (build(items, tokenised, &corpus) != EARSHOT_OK) {
            wrong(result, "corpus", get_text(set, "name"), "failure", "scores");
            continue;
        }
        check_lines(items, &corpus, result);
        check_scores(set, &corpus, result);
        check_meteor_set(set, &corpus, plain, "METEOR_nopara", "meteor_stats", result);
        check_meteor_set(set, &corpus, table, "METEOR_testpara", "meteor_stats_testpara", result);
        corpus_free(&corpus);
    }
}

/* The set where the reference's own CIDEr raises: the other scores, in another layout. */
static json_t *reshape_error_set(const json_t *set)
{
    static const char *const bleu_key[] = {"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"};
    const json_t *scores = json_object_get(set, "scores"), *bleu = json_object_get(scores, "Bleu");
    json_t *out = json_pack("{s:s, s:{}, s:[]}", "name", get_text(set, "name"), "corpus", "items");

    json_t *cands = json_object_get(set, "cands"), *cand;
    const char *id;
    size_t i = 0;

    json_object_foreach(cands, id, cand)
    {
        json_t *item = json_pack("{s:O, s:O, s:O, s:O}", "cand", cand, "refs",
                                 json_object_get(json_object_get(set, "refs"), id), "cand_tok",
                                 json_object_get(json_object_get(set, "cands_tok"), id), "refs_tok",
                                 json_object_get(json_object_get(set, "refs_tok"), id));

        for (size_t k = 0; k < 4; k++)
            json_object_set(item, bleu_key[k],
                            json_array_get(json_array_get(json_object_get(bleu, "items"), k), i));
        json_array_append_new(json_object_get(out, "items"), item);
        i++;
    }
    for (size_t k = 0; k < 4; k++)
        json_object_set(json_object_get(out, "corpus"), bleu_key[k],
                        json_array_get(json_object_get(bleu, "corpus"), k));
    for (int m = 0; m < 2; m++) {
        const char *key = m ? "METEOR_nopara" : "ROUGE_L";
        const json_t *score = json_object_get(scores, key);

        json_object_set(json_object_get(out, "corpus"), key, json_object_get(score, "corpus"));
        for (i = 0; i < json_array_size(json_object_get(out, "items")); i++) {
            json_t *item = json_array_get(json_object_get(out, "items"), i);

            json_object_set(item, key, json_array_get(json_object_get(score, "items"), i));
            if (m)
                json_object_set(item, "meteor_stats",
                                json_array_get(json_object_get(score, "stats"), i));
        }
    }
    return out;
}

/* Numbers that the genuine programs are known to have printed: texts are tokenised already. */
static json_t *reshape_known(const json_t *known)
{
    json_t *out = json_pack("{s:s, s:o, s:[]}", "name", get_text(known, "name"), "corpus",
                            json_copy(json_object_get(known, "reference_build")), "items"),
           *with = json_object_get(known, "with_was_has_been");

    if (with)
        json_object_set(json_object_get(out, "corpus"), "METEOR_testpara",
                        json_object_get(with, "METEOR"));
    for (size_t i = 0; i < json_array_size(json_object_get(known, "cands")); i++) {
        json_t *cand = json_array_get(json_object_get(known, "cands"), i),
               *refs = json_array_get(json_object_get(known, "refs"), i),
               *item = json_pack("{s:O, s:O, s:O, s:O}", "cand", cand, "refs", refs, "cand_tok",
                                 cand, "refs_tok", refs);

        json_object_set(item, "METEOR_nopara",
                        json_array_get(json_object_get(known, "reference_build_METEOR_items"), i));
        if (with) {
            json_object_set(item, "METEOR_testpara",
                            json_array_get(json_object_get(with, "items"), i));
            json_object_set(item, "meteor_stats_testpara",
                            json_array_get(json_object_get(with, "stats"), i));
        }
        json_array_append_new(json_object_get(out, "items"), item);
    }
    return out;
}

static void check_known(const json_t *known, const struct meteor_data *plain,
                        const struct meteor_data *table, struct metrics_parity *result)
{
    json_t *set = reshape_known(known);
    struct corpus corpus;

    if (build(json_object_get(set, "items"), true, &corpus) == EARSHOT_OK) {
        check_scores(set, &corpus, result);
        check_meteor_set(set, &corpus, plain, "METEOR_nopara", "meteor_stats", result);
        check_meteor_set(set, &corpus, table, "METEOR_testpara", "meteor_stats_testpara", result);
        corpus_free(&corpus);
    }
    json_decref(set);
}

static void check_metrics_file(const char *path, const char *wordnet, json_t *root, bool known,
                               struct metrics_parity *result)
{
    struct meteor_data *plain = load_data(wordnet, path, NULL);
    struct meteor_data *table =
        load_data(wordnet, path, known ? "was_has_been.gz" : "paraphrase-test.gz");
    json_t *one = json_is_array(root) ? json_incref(root) : json_pack("[O]", root);

    for (size_t i = 0; i < json_array_size(one); i++) {
        json_t *set = json_array_get(one, i);

        if (known) {
            check_known(set, plain, table, result);
        } else if (json_object_get(set, "error")) {
            json_t *reshaped = reshape_error_set(set);

            check_set(reshaped, plain, table, result);
            json_decref(reshaped);
        } else {
            check_set(set, plain, table, result);
        }
    }
    json_decref(one);
    meteor_data_free(plain);
    meteor_data_free(table);
}

/* ---- files ---- */

static json_t *load(const char *path)
{
    struct str all = {0};
    char *text;
    json_t *root;

    if (file_read_text(path, FILE_LIMIT, &text, NULL, NULL) != EARSHOT_OK)
        return NULL;
    if (str_ends_with(path, ".jsonl")) { /* make one array of the lines */
        str_append_text(&all, "[");
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            str_append_format(&all, "%s%s", all.length > 1 ? "," : "", line);
        str_append_text(&all, "]");
        root = json_loadb(all.data, all.length, JSON_ALLOW_NUL, NULL);
    } else {
        root = json_loads(text, JSON_ALLOW_NUL, NULL);
    }
    str_free(&all);
    free(text);
    return root;
}

static bool check_stream(struct ptb *ptb, const char *path, const json_t *rows,
                         struct metrics_parity *result)
{
    const char *slash = strrchr(path, '/');
    char *beside = str_format("%.*stokenizer.jsonl", slash ? (int)(slash + 1 - path) : 0, path);
    json_t *captions = load(beside);
    size_t count = json_array_size(rows), at = 0;
    const char **in = calloc(count + 1, sizeof *in);
    char **out;

    free(beside);
    for (size_t i = 0; i < count; i++) {
        json_int_t id = json_integer_value(json_object_get(json_array_get(rows, i), "id"));

        while (at < json_array_size(captions) &&
               json_integer_value(json_object_get(json_array_get(captions, at), "id")) != id)
            at++;
        in[i] = get_text(json_array_get(captions, at), "text");
    }
    out = tokenise(ptb, in, count, false);
    for (size_t i = 0; i < count && captions; i++)
        compare_text(result, "stream", in[i], out[i], get_text(json_array_get(rows, i), "tokens"));
    free_lines(out, count);
    free(in);
    json_decref(captions);
    return captions != NULL;
}

static bool check_tokenizer_file(const char *path, const char *name, const json_t *rows,
                                 struct metrics_parity *result)
{
    struct ptb *ptb;
    bool done = true;

    if (ptb_new(&ptb, NULL) != EARSHOT_OK)
        return false;
    if (str_starts_with(name, "tokenizer_stream"))
        done = check_stream(ptb, path, rows, result);
    else
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);

            if (json_object_get(row, "captions"))
                check_sequence(ptb, row, result);
            else
                check_caption(ptb, row, result);
        }
    ptb_free(ptb);
    return done;
}

static void check_meteor_file(const char *path, const char *wordnet, const json_t *rows,
                              struct metrics_parity *result)
{
    for (int table = 0; table < 2; table++) {
        struct meteor_data *data = load_data(wordnet, path, table ? "paraphrase-test.gz" : NULL);

        if (table == 0 || json_object_get(json_array_get(rows, 0), "testpara"))
            check_meteor_rows(rows, data, table, result);
        meteor_data_free(data);
    }
}

bool metrics_parity_check(const char *path, const char *wordnet, struct metrics_parity *result)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    json_t *root;
    bool done = true;

    *result = (struct metrics_parity){0};
    if (str_ends_with(name, ".tsv") && str_starts_with(name, "tokenizer")) {
        struct ptb *ptb;
        char *text;

        if (file_read_text(path, FILE_LIMIT, &text, NULL, NULL) != EARSHOT_OK)
            return false;
        if (ptb_new(&ptb, NULL) == EARSHOT_OK)
            check_characters(ptb, text, result);
        ptb_free(ptb);
        free(text);
        return true;
    }
    if (str_ends_with(name, ".tsv") && str_starts_with(name, "meteor")) {
        struct meteor_data *data = load_data(wordnet, path, NULL);
        char *text;

        if (file_read_text(path, FILE_LIMIT, &text, NULL, NULL) != EARSHOT_OK)
            return false;
        if (data)
            check_words(text, data, result);
        else
            result->lacking++;
        meteor_data_free(data);
        free(text);
        return true;
    }
    root = load(path);
    if (!root)
        return false;
    if (str_starts_with(name, "tokenizer"))
        done = check_tokenizer_file(path, name, root, result);
    else if (str_starts_with(name, "metrics") || str_starts_with(name, "known_jar"))
        check_metrics_file(path, wordnet, root, name[0] == 'k', result);
    else if (str_starts_with(name, "meteor"))
        check_meteor_file(path, wordnet, root, result);
    else
        done = false;
    json_decref(root);
    return done;
}
