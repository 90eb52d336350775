/* cmd_eval.c: `earshot eval`: captions against references, and records against each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/captioning.h"
#include "cli/cli.h"
#include "cli/eval.h"

enum eval_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV };
static const char *const format_names[] = {"text", "json", "csv", NULL};

struct settings {
    char *results, *refs, *metrics, *per_item, *split, *html, *media, *meteor_data, *paraphrases;
    char *data;
    struct captioning_options captioning; /* its seed is the bootstrap's too */
    int format;
    int64_t worst, samples;
    double confidence;
    bool strict, tokenised, compare, different_ids;
};

#define FIELD(name) offsetof(struct settings, name)

static const struct option eval_options[] = {
    {"results", 0, OPTION_STRING, FIELD(results), 0, 0, NULL, "FILE",
     "captions to score: COCO results, manifest or JSON lines, densevid, or {id: caption}"},
    {"refs", 0, OPTION_STRING, FIELD(refs), 0, 0, NULL, "FILE",
     "references: COCO, manifest, MSR-VTT, VATEX, YouCook2, ActivityNet Captions, {id: "
     "[captions]}; with --data, the manifest itself"},
    {"data", 0, OPTION_STRING, FIELD(data), 0, 0, NULL, "MANIFEST",
     "instead of --results: caption the clips of a manifest with --model, and score that"},
    {"metrics", 0, OPTION_STRING, FIELD(metrics), 0, 0, NULL, "LIST",
     "of bleu, rouge, cider and one of meteor, meteor-nopara, meteor-exact-stem"},
    {"format", 0, OPTION_CHOICE, FIELD(format), 0, 0, format_names, "FORMAT",
     "text, json (the record that --compare reads) or csv"},
    {"per-item", 0, OPTION_STRING, FIELD(per_item), 0, 0, NULL, "FILE",
     "also write every item's scores: CSV if the name ends in .csv, else JSON lines"},
    {"split", 0, OPTION_STRING, FIELD(split), 0, 0, NULL, "NAME",
     "only references of this split, where the file has splits (train, val, test)"},
    {"strict", 0, OPTION_BOOL, FIELD(strict), 0, 0, NULL, NULL,
     "fail if an item is missing on either side"},
    {"tokenised", 0, OPTION_BOOL, FIELD(tokenised), 0, 0, NULL, NULL,
     "the captions are tokens already: do not run the PTB tokenizer"},
    {"meteor-data", 0, OPTION_STRING, FIELD(meteor_data), 0, 0, NULL, "DIR",
     "WordNet 3.0's index.sense and *.exc, and paraphrase-en.gz if you have METEOR's"},
    {"paraphrases", 0, OPTION_STRING, FIELD(paraphrases), 0, 0, NULL, "FILE",
     "METEOR's paraphrase table by itself"},
    {"worst", 0, OPTION_INT, FIELD(worst), 0, 1e9, NULL, "N",
     "list the N items with the lowest CIDEr, with candidate and references"},
    {"html", 0, OPTION_STRING, FIELD(html), 0, 0, NULL, "FILE",
     "write that list (20 items unless --worst says more) as one self-contained page"},
    {"media", 0, OPTION_STRING, FIELD(media), 0, 0, NULL, "DIR",
     "where the page's pictures come from; else beside the references"},
    {"compare", 0, OPTION_BOOL, FIELD(compare), 0, 0, NULL, NULL,
     "compare two records A.json B.json with paired bootstrap"},
    {"samples", 0, OPTION_INT, FIELD(samples), 10, 1e6, NULL, "N",
     "of the bootstrap, which draws by --seed"},
    {"confidence", 0, OPTION_FLOAT, FIELD(confidence), 0.5, 0.9999, NULL, "P", "of the intervals"},
    {"different-ids", 0, OPTION_BOOL, FIELD(different_ids), 0, 0, NULL, NULL,
     "compare records over different items, on those that both have"},
};

static const struct option_table eval_table = {eval_options,
                                               sizeof eval_options / sizeof *eval_options};

static void say_counts(const struct eval_run *run)
{
    log_message(LOG_INFO, "%zu of %zu scored", run->pair_count, run->references.item_count);
    if (run->failed)
        log_message(LOG_WARNING, "%zu clips could not be captioned: they have no result",
                    run->failed);
    if (run->without_result)
        log_message(LOG_WARNING, "%zu references have no result and are left out",
                    run->without_result);
    if (run->without_reference)
        log_message(LOG_WARNING, "%zu results have no reference and are left out",
                    run->without_reference);
    if (run->results.empty_captions)
        log_message(LOG_WARNING, "%zu results are empty captions", run->results.empty_captions);
    if (run->references.empty_captions)
        log_message(LOG_WARNING, "%zu references are empty captions",
                    run->references.empty_captions);
}

/* ---- scoring ---- */

static enum earshot_status report(const struct eval_run *run, const struct settings *settings,
                                  struct earshot_error *error)
{
    int64_t wanted = settings->worst ? settings->worst : 20;
    size_t count = (size_t)wanted < run->pair_count ? (size_t)wanted : run->pair_count;
    enum earshot_status status = EARSHOT_OK;
    size_t *item;
    int column;

    if (!settings->worst && !settings->html)
        return EARSHOT_OK;
    item = eval_worst(run, count, &column);
    if (!item)
        return error_memory(error, count * sizeof *item);
    if (settings->worst && settings->format == FORMAT_TEXT)
        eval_write_worst(run, item, count, column, stdout);
    if (settings->html)
        status = eval_write_html(run, item, count, column, settings->media, settings->html, error);
    free(item);
    return status;
}

static enum earshot_status evaluate_files(struct eval_run *run, const struct settings *settings,
                                          struct earshot_error *error)
{
    static void (*const write[])(const struct eval_run *,
                                 FILE *) = {eval_write_text, eval_write_json, eval_write_csv};
    struct evaluation_options options = {0, settings->meteor_data, settings->paraphrases};
    enum earshot_status status = evaluate_parse_metrics(
        settings->metrics ? settings->metrics : "bleu,rouge,cider", &options.metrics, error);

    if (status == EARSHOT_OK)
        status = annotations_read_file(&run->references, run->references_path, run->split, error);
    if (status == EARSHOT_OK && settings->data) {
        status = evaluate_check(&options, error);
        if (status == EARSHOT_OK)
            status =
                eval_caption(run, &settings->captioning, settings->data, settings->strict, error);
    } else if (status == EARSHOT_OK) {
        status = annotations_read_file(&run->results, run->results_path, NULL, error);
    }
    if (status == EARSHOT_OK)
        status = eval_match(run, settings->strict, error);
    if (status == EARSHOT_OK)
        status = eval_score(run, &options, error);
    if (status == EARSHOT_OK)
        status = eval_hash(run, error);
    if (status != EARSHOT_OK)
        return status;
    say_counts(run);
    if (options.metrics & EARSHOT_METRIC_METEOR)
        for (int c = 0; c < run->evaluation.column_count; c++)
            if (strcmp(run->evaluation.column[c].name, "METEOR_nopara") == 0)
                log_message(LOG_WARNING,
                            "no paraphrase table: this is METEOR_nopara, lower than METEOR; give "
                            "METEOR 1.5's paraphrase-en.gz with --paraphrases FILE");
    log_message(LOG_DEBUG,
                "processor time: tokenizer %.3f s, BLEU, ROUGE-L, CIDEr %.3f s, METEOR %.3f s",
                run->evaluation.tokenise_s, run->evaluation.metrics_s, run->evaluation.meteor_s);
    write[settings->format](run, stdout);
    status = report(run, settings, error);
    if (status == EARSHOT_OK && settings->per_item)
        status = eval_write_items(run, settings->per_item, error);
    return status;
}

/* ---- the command ---- */

static int run_compare(const struct cli_command *command, const struct settings *settings,
                       int count, char **argv)
{
    struct eval_compare_options options = {settings->samples, settings->captioning.seed,
                                           settings->confidence, settings->different_ids,
                                           settings->format == FORMAT_JSON};
    struct earshot_error error;

    if (settings->results || settings->refs || settings->data || settings->captioning.model)
        return cli_usage_error(command, "--compare takes records, and nothing to score");
    if (count != 2)
        return cli_usage_error(command, "--compare takes two records: A.json B.json");
    if (settings->format == FORMAT_CSV)
        return cli_usage_error(command, "--compare writes text or json");
    if (eval_compare(argv[1], argv[2], &options, stdout, &error) != EARSHOT_OK)
        return cli_fail(&error);
    return CLI_DONE;
}

static int run_files(const struct cli_command *command, const struct settings *settings, int count,
                     char **argv)
{
    struct eval_run run = {.results_path = settings->results,
                           .references_path = settings->refs ? settings->refs : settings->data,
                           .split = settings->split,
                           .tokenised = settings->tokenised};
    struct earshot_error error;
    int exit_code;

    if (count > 0)
        return cli_usage_error(command, "unexpected argument '%s'", argv[1]);
    if (settings->results && settings->data)
        return cli_usage_error(command, "give --results or --data, not both");
    if (settings->captioning.model && !settings->data)
        return cli_usage_error(command, "--model captions the clips of --data MANIFEST");
    if (!settings->data && (!settings->results || !settings->refs))
        return cli_usage_error(command,
                               "--results FILE and --refs FILE are needed, or --data MANIFEST");
    if (evaluate_files(&run, settings, &error) == EARSHOT_OK)
        exit_code = run.failed ? CLI_PARTLY : CLI_DONE;
    else
        exit_code = cli_fail(&error);
    eval_free(&run);
    return exit_code;
}

static int run_eval(const struct cli_command *command, int argc, char **argv)
{
    struct settings settings = {
        .samples = 1000, .confidence = 0.95, .captioning = captioning_options_default()};
    const struct option_binding binding[] = {{eval_table, &settings},
                                             {captioning_model_table, &settings.captioning},
                                             {captioning_stream_table, &settings.captioning},
                                             {captioning_decoding_table, &settings.captioning}};
    struct cli_flags flags;
    int count, exit_code;

    if (cli_begin(command, binding, 4, argc, argv, &flags, &count, &exit_code))
        exit_code = settings.compare ? run_compare(command, &settings, count, argv)
                                     : run_files(command, &settings, count, argv);
    options_free(eval_table, &settings);
    captioning_options_free(&settings.captioning);
    return exit_code;
}

const struct cli_command cmd_eval = {
    .name = "eval",
    .arguments = "--results FILE --refs FILE | -m MODEL --data MANIFEST [--refs FILE] | --compare "
                 "A.json B.json",
    .summary = "score captions: BLEU, ROUGE-L, CIDEr, METEOR as pycocoevalcap",
    .details = "The layout of the files is found from what is in them.  Segments of a video are\n"
               "matched by video and times.  Without --metrics: bleu,rouge,cider.\n",
    .run = run_eval,
};
