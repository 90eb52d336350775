/* api_metrics.c: the caption metrics of earshot.h. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "metrics/evaluate.h"

struct earshot_scores {
    struct evaluation evaluation;
};

static enum earshot_status check_texts(const char *const *text, size_t count, const char *what,
                                       struct earshot_error *error)
{
    if (count && !text)
        return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s is NULL", what);
    for (size_t i = 0; i < count; i++)
        if (!text[i])
            return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s[%zu] is NULL", what, i);
    return EARSHOT_OK;
}

enum earshot_status earshot_score(const struct earshot_score_request *request,
                                  struct earshot_scores **out, struct earshot_error *error)
{
    struct evaluation_options options = {request->metrics, request->meteor_directory,
                                         request->meteor_paraphrases};
    struct earshot_scores *scores = calloc(1, sizeof *scores);
    size_t *first = calloc(request->item_count + 1, sizeof *first);
    enum earshot_status status = EARSHOT_OK;

    *out = NULL;
    error_clear(error);
    if (!scores || !first)
        status = error_memory(error, request->item_count * sizeof *first);
    else if (request->item_count && !request->reference_counts)
        status = error_set(error, EARSHOT_ERROR_ARGUMENT, "reference_counts is NULL");
    for (size_t i = 0; i < request->item_count && status == EARSHOT_OK; i++)
        first[i + 1] = first[i] + request->reference_counts[i];
    if (status == EARSHOT_OK)
        status = check_texts(request->candidates, request->item_count, "candidates", error);
    if (status == EARSHOT_OK)
        status = check_texts(request->references, first[request->item_count], "references", error);
    if (status == EARSHOT_OK) {
        struct corpus_texts texts = {request->item_count, request->candidates, request->references,
                                     first, request->tokenised};

        status = evaluate(&texts, &options, &scores->evaluation, error);
    }
    free(first);
    if (status == EARSHOT_OK)
        *out = scores;
    else
        free(scores);
    return status;
}

int earshot_scores_count(const struct earshot_scores *scores)
{
    return scores->evaluation.column_count;
}

static const struct evaluation_column *get_column(const struct earshot_scores *scores, int index)
{
    return index >= 0 && index < scores->evaluation.column_count ? &scores->evaluation.column[index]
                                                                 : NULL;
}

const char *earshot_scores_name(const struct earshot_scores *scores, int index)
{
    const struct evaluation_column *column = get_column(scores, index);

    return column ? column->name : NULL;
}

double earshot_scores_corpus(const struct earshot_scores *scores, int index)
{
    const struct evaluation_column *column = get_column(scores, index);

    return column ? column->corpus : NAN;
}

double earshot_scores_item(const struct earshot_scores *scores, int index, size_t item)
{
    const struct evaluation_column *column = get_column(scores, index);

    return column && item < scores->evaluation.item_count ? column->item[item] : NAN;
}

void earshot_scores_free(struct earshot_scores *scores)
{
    if (scores)
        evaluation_free(&scores->evaluation);
    free(scores);
}
