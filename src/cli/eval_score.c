/*
 * eval_score.c: which caption goes with which references, and the scores of them all.  See eval.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/eval.h"

/* ---- matching ---- */

/* Every candidate id must be there once. */
static enum earshot_status check_results(const struct eval_run *run, struct earshot_error *error)
{
    for (size_t i = 0; i < run->results.item_count; i++)
        if (run->results.item[i].count > 1)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: id %s has %zu captions; a result must be one caption an item",
                             run->results_path, run->results.item[i].id,
                             run->results.item[i].count);
    return EARSHOT_OK;
}

/* The result of a reference: by id, else by its media file, as `earshot caption` names its lines.
 */
static const struct annotation_item *find_result(const struct eval_run *run,
                                                 const struct annotation_item *reference)
{
    const struct annotation_item *result = annotations_find(&run->results, reference->id);
    const char *slash = strrchr(run->references_path, '/');
    char *path;

    if (result || !reference->video)
        return result;
    result = annotations_find(&run->results, reference->video);
    if (result || !slash)
        return result;
    path = str_format("%.*s/%s", (int)(slash - run->references_path), run->references_path,
                      reference->video);
    result = path ? annotations_find(&run->results, path) : NULL;
    free(path);
    return result;
}

/* One result for several references (segments of one file) would be scored several times. */
static enum earshot_status check_pairs(const struct eval_run *run, struct earshot_error *error)
{
    bool *used = calloc(run->results.item_count + 1, sizeof *used);
    enum earshot_status status = EARSHOT_OK;

    if (!used)
        return error_memory(error, run->results.item_count);
    for (size_t i = 0; i < run->pair_count && status == EARSHOT_OK; i++) {
        size_t result = (size_t)(run->pair[i].result - run->results.item);

        if (used[result])
            status = error_set(error, EARSHOT_ERROR_ARGUMENT,
                               "%s: the result '%s' names a media file of several references; name "
                               "results by the references' ids",
                               run->results_path, run->results.item[result].id);
        used[result] = true;
    }
    free(used);
    return status;
}

enum earshot_status eval_match(struct eval_run *run, bool strict, struct earshot_error *error)
{
    const struct annotations *references = &run->references, *results = &run->results;
    const char *lonely = NULL;
    enum earshot_status status = check_results(run, error);

    if (status != EARSHOT_OK)
        return status;
    run->pair = malloc((references->item_count + 1) * sizeof *run->pair);
    if (!run->pair)
        return error_memory(error, references->item_count * sizeof *run->pair);
    for (size_t i = 0; i < references->item_count; i++) {
        const struct annotation_item *reference = &references->item[i];
        const struct annotation_item *result = find_result(run, reference);

        if (result)
            run->pair[run->pair_count++] = (struct eval_pair){reference, result};
        else if (!lonely)
            lonely = reference->id;
    }
    status = check_pairs(run, error);
    if (status != EARSHOT_OK)
        return status;
    run->without_result = references->item_count - run->pair_count;
    run->without_reference = results->item_count - run->pair_count + run->not_captioned;
    if (run->pair_count == 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "no id is in both files: the first is '%s' in %s and '%s' in %s",
                         results->item[0].id, run->results_path, references->item[0].id,
                         run->references_path);
    if (strict && (run->without_result || run->without_reference))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "--strict: %zu references have no result%s%s, %zu results have no "
                         "reference",
                         run->without_result, lonely ? ", the first is " : "", lonely ? lonely : "",
                         run->without_reference);
    return EARSHOT_OK;
}

/* ---- scoring ---- */

enum earshot_status eval_score(struct eval_run *run, const struct evaluation_options *options,
                               struct earshot_error *error)
{
    size_t count = 0;
    const char **candidate, **reference;
    size_t *first;
    enum earshot_status status;

    for (size_t i = 0; i < run->pair_count; i++)
        count += run->pair[i].reference->count;
    candidate = malloc((run->pair_count + 1) * sizeof *candidate);
    reference = malloc((count + 1) * sizeof *reference);
    first = calloc(run->pair_count + 1, sizeof *first);
    if (candidate && reference && first) {
        struct corpus_texts texts = {run->pair_count, candidate, reference, first, run->tokenised};

        for (size_t i = 0; i < run->pair_count; i++) {
            const struct annotation_item *item = run->pair[i].reference;

            candidate[i] = eval_candidate(run, i);
            memcpy(reference + first[i], run->references.caption + item->first,
                   item->count * sizeof *reference);
            first[i + 1] = first[i] + item->count;
        }
        status = evaluate(&texts, options, &run->evaluation, error);
    } else {
        status = error_memory(error, count * sizeof *reference);
    }
    free(candidate);
    free(reference);
    free(first);
    return status;
}

void eval_free(struct eval_run *run)
{
    annotations_free(&run->references);
    annotations_free(&run->results);
    evaluation_free(&run->evaluation);
    free(run->pair);
    free(run->model);
    free(run->decoding);
}
