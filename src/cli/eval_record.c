/* eval_record.c: scores as text, CSV and the JSON record.  See eval.h and docs/EVAL.md. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/eval.h"

const char *eval_candidate(const struct eval_run *run, size_t item)
{
    return run->results.caption[run->pair[item].result->first];
}

/* ---- hashes ---- */

static int compare_pairs(const void *a, const void *b)
{
    const struct eval_pair *x = *(const struct eval_pair *const *)a;
    const struct eval_pair *y = *(const struct eval_pair *const *)b;

    return strcmp(x->reference->id, y->reference->id);
}

static void add_line(struct sha256 *hash, const char *text)
{
    sha256_add(hash, text, strlen(text));
    sha256_add(hash, "\n", 1);
}

enum earshot_status eval_hash(struct eval_run *run, struct earshot_error *error)
{
    const struct eval_pair **sorted = malloc((run->pair_count + 1) * sizeof *sorted);
    struct sha256 ids, results, references;

    if (!sorted)
        return error_memory(error, run->pair_count * sizeof *sorted);
    for (size_t i = 0; i < run->pair_count; i++)
        sorted[i] = &run->pair[i];
    if (run->pair_count)
        qsort(sorted, run->pair_count, sizeof *sorted, compare_pairs);
    sha256_init(&ids);
    sha256_init(&results);
    sha256_init(&references);
    for (size_t i = 0; i < run->pair_count; i++) {
        const struct annotation_item *reference = sorted[i]->reference;

        add_line(&ids, reference->id);
        add_line(&results, reference->id);
        add_line(&results, run->results.caption[sorted[i]->result->first]);
        add_line(&references, reference->id);
        for (size_t r = 0; r < reference->count; r++)
            add_line(&references, run->references.caption[reference->first + r]);
    }
    sha256_finish(&ids, run->ids_hash);
    sha256_finish(&results, run->results_hash);
    sha256_finish(&references, run->references_hash);
    free(sorted);
    return EARSHOT_OK;
}

/* ---- JSON ---- */

void eval_write_string(FILE *stream, const char *text)
{
    const char *p = text, *end = text + strlen(text);

    fputc('"', stream);
    while (p < end) {
        uint32_t code = str_utf8_next(&p, end);
        char bytes[4];

        if (code == '"' || code == '\\')
            fprintf(stream, "\\%c", (char)code);
        else if (code < ' ')
            fprintf(stream, "\\u%04x", (unsigned)code);
        else
            fwrite(bytes, 1, str_utf8_put(bytes, code), stream);
    }
    fputc('"', stream);
}

static void write_field(FILE *stream, const char *indent, const char *key, const char *text)
{
    fprintf(stream, "%s\"%s\": ", indent, key);
    if (text)
        eval_write_string(stream, text);
    else
        fputs("null", stream);
}

/* How each score was made: numbers compare only if these are equal. */
static const char *metric_version(const char *column)
{
    if (strncmp(column, "Bleu", 4) == 0)
        return "pycocoevalcap BLEU, closest reference length";
    if (strcmp(column, "ROUGE_L") == 0)
        return "pycocoevalcap ROUGE-L, beta 1.2";
    if (strcmp(column, "CIDEr") == 0)
        return "pycocoevalcap CIDEr (CIDEr-D), n 4, sigma 6";
    if (strcmp(column, "METEOR") == 0)
        return "METEOR 1.5 en -norm: exact, stem, synonym, paraphrase";
    if (strcmp(column, "METEOR_nopara") == 0)
        return "METEOR 1.5 en -norm: exact, stem, synonym (no paraphrase table)";
    return "METEOR 1.5 en -norm: exact, stem only";
}

static void write_item(const struct eval_run *run, size_t item, FILE *stream)
{
    const struct evaluation *e = &run->evaluation;

    fputs("{\"id\": ", stream);
    eval_write_string(stream, run->pair[item].reference->id);
    for (int c = 0; c < e->column_count; c++)
        fprintf(stream, ", \"%s\": %.17g", e->column[c].name, e->column[c].item[item]);
    if (e->bleu) {
        const struct bleu_counts *b = &e->bleu[item];

        fprintf(stream, ", \"bleu_counts\": [%ju, %ju", (uintmax_t)b->length,
                (uintmax_t)b->reference_length);
        for (int k = 0; k < NGRAM_MAX; k++)
            fprintf(stream, ", %ju, %ju", (uintmax_t)b->guess[k], (uintmax_t)b->correct[k]);
        fputs("]", stream);
    }
    if (e->meteor) {
        fputs(", \"meteor_statistics\": [", stream);
        for (int k = 0; k < METEOR_STATISTICS; k++)
            fprintf(stream, k ? ", %.17g" : "%.17g", e->meteor[item].value[k]);
        fputs("]", stream);
    }
    fputs("}", stream);
}

static void write_side(FILE *stream, const char *key, const char *path,
                       const struct annotations *side, const char *hash)
{
    fprintf(stream, "  \"%s\": {", key);
    write_field(stream, "", "file", path);
    write_field(stream, ", ", "layout", side->layout);
    fprintf(stream, ", \"items\": %zu, \"captions\": %zu, \"empty_captions\": %zu",
            side->item_count, side->caption_count, side->empty_captions);
    write_field(stream, ", ", "sha256", hash);
    fputs("},\n", stream);
}

void eval_write_json(const struct eval_run *run, FILE *stream)
{
    const struct evaluation *e = &run->evaluation;

    fputs("{\n", stream);
    write_field(stream, "  ", "format", EVAL_RECORD_FORMAT);
    write_field(stream, ",\n  ", "program", "earshot " EARSHOT_VERSION);
    write_field(stream, ",\n  ", "split", run->split);
    fprintf(stream,
            ",\n  \"scored\": %zu,\n  \"without_result\": %zu,\n  \"without_reference\": %zu,\n",
            run->pair_count, run->without_result, run->without_reference);
    fprintf(stream, "  \"ids\": {\"count\": %zu", run->pair_count);
    write_field(stream, ", ", "sha256", run->ids_hash);
    fputs("},\n", stream);
    write_side(stream, "results", run->results_path, &run->results, run->results_hash);
    write_side(stream, "references", run->references_path, &run->references, run->references_hash);
    write_field(stream, "  ", "tokenizer", run->tokenised ? "none" : "PTB (CoreNLP 3.4.1)");
    fprintf(stream, ",\n  \"decoding\": %s", run->decoding ? run->decoding : "null");
    write_field(stream, ",\n  ", "weights_sha256", *run->weights_hash ? run->weights_hash : NULL);
    fputs(",\n  \"metrics\": {", stream);
    for (int c = 0; c < e->column_count; c++)
        write_field(stream, c ? ",\n    " : "\n    ", e->column[c].name,
                    metric_version(e->column[c].name));
    fputs("\n  },\n  \"scores\": {", stream);
    for (int c = 0; c < e->column_count; c++)
        fprintf(stream, "%s\"%s\": %.17g", c ? ", " : "", e->column[c].name, e->column[c].corpus);
    fputs("},\n  \"items\": [", stream);
    for (size_t i = 0; i < run->pair_count; i++) {
        fputs(i ? ",\n    " : "\n    ", stream);
        write_item(run, i, stream);
    }
    fputs("\n  ]\n}\n", stream);
}

/* ---- text and CSV ---- */

void eval_write_text(const struct eval_run *run, FILE *stream)
{
    for (int c = 0; c < run->evaluation.column_count; c++)
        fprintf(stream, "%-18s %.6f\n", run->evaluation.column[c].name,
                run->evaluation.column[c].corpus);
}

void eval_write_csv(const struct eval_run *run, FILE *stream)
{
    fputs("metric,score,scored,ids_sha256\n", stream);
    for (int c = 0; c < run->evaluation.column_count; c++)
        fprintf(stream, "%s,%.17g,%zu,%s\n", run->evaluation.column[c].name,
                run->evaluation.column[c].corpus, run->pair_count, run->ids_hash);
}

static void write_csv_text(FILE *stream, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text; text++)
        fprintf(stream, *text == '"' ? "\"%c" : "%c", *text);
    fputc('"', stream);
}

static void write_items_csv(const struct eval_run *run, FILE *stream)
{
    const struct evaluation *e = &run->evaluation;

    fputs("id", stream);
    for (int c = 0; c < e->column_count; c++)
        fprintf(stream, ",%s", e->column[c].name);
    fputs(",candidate\n", stream);
    for (size_t i = 0; i < run->pair_count; i++) {
        write_csv_text(stream, run->pair[i].reference->id);
        for (int c = 0; c < e->column_count; c++)
            fprintf(stream, ",%.17g", e->column[c].item[i]);
        fputc(',', stream);
        write_csv_text(stream, eval_candidate(run, i));
        fputc('\n', stream);
    }
}

static void write_items_json(const struct eval_run *run, FILE *stream)
{
    const struct evaluation *e = &run->evaluation;

    for (size_t i = 0; i < run->pair_count; i++) {
        fputs("{\"id\": ", stream);
        eval_write_string(stream, run->pair[i].reference->id);
        for (int c = 0; c < e->column_count; c++)
            fprintf(stream, ", \"%s\": %.17g", e->column[c].name, e->column[c].item[i]);
        fputs(", \"candidate\": ", stream);
        eval_write_string(stream, eval_candidate(run, i));
        fputs("}\n", stream);
    }
}

enum earshot_status eval_write_items(const struct eval_run *run, const char *path,
                                     struct earshot_error *error)
{
    struct file_writer writer;
    enum earshot_status status = file_writer_open(&writer, path, error);

    if (status != EARSHOT_OK)
        return status;
    if (str_ends_with(path, ".csv"))
        write_items_csv(run, writer.stream);
    else
        write_items_json(run, writer.stream);
    return file_writer_commit(&writer, error);
}
