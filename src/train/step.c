/* step.c: forward and backward of one batch.  See step.h. */
#include "train/step.h"

struct tensor *step_losses(struct graph *g, const struct captioner *captioner,
                           const struct batch *batch, float label_smoothing)
{
    int64_t dim[2] = {batch->clips.size, batch->length}, rows = dim[0] * dim[1];
    struct stream_set streams = captioner_encode(g, captioner, &batch->clips);
    struct fusion_memory memory = fusion_forward(g, &captioner->fusion, &streams);
    struct tensor *tokens = graph_input(g, ELEMENT_I32, 2, dim, batch->tokens);
    struct tensor *targets = graph_input(g, ELEMENT_I32, 1, &rows, batch->targets);
    struct tensor *logits = decoder_forward(g, &captioner->decoder, &memory, tokens);

    return op_cross_entropy(g, logits, targets, NULL, label_smoothing);
}

static bool anything_to_learn(const struct captioner *captioner, const struct batch *batch)
{
    if (batch->target_count == 0)
        return false;
    for (int64_t i = 0; i < batch->clips.size * STREAM_COUNT; i++)
        if (batch->clips.present[i] && captioner->config.use_stream[i % STREAM_COUNT])
            return true;
    return false;
}

enum earshot_status step_run(struct graph *g, const struct captioner *captioner,
                             const struct batch *batch, float label_smoothing, bool backward,
                             double *loss, struct earshot_error *error)
{
    int64_t rows = batch->clips.size * batch->length;
    struct tensor *losses;
    float *host;

    *loss = 0;
    if (!anything_to_learn(captioner, batch))
        return EARSHOT_OK;
    losses = step_losses(g, captioner, batch, label_smoothing);
    host = graph_host(g, (size_t)rows * sizeof *host);
    if (graph_failed(g))
        return graph_status(g, error);
    graph_download(g, losses, host);
    for (int64_t i = 0; i < rows; i++)
        *loss += host[i];
    *loss /= (double)batch->target_count;
    if (backward) {
        for (int64_t i = 0; i < rows; i++)
            host[i] = 1.0f / (float)batch->target_count;
        graph_seed(g, losses, host);
        graph_backward(g);
    }
    return graph_status(g, error);
}
