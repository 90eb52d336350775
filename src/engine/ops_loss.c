/* ops_loss.c: token cross-entropy.  See ops.h. */
#include "engine/ops.h"

struct loss_node {
    struct node node;
    struct tensor *logits, *loss, *lse;
    const struct tensor *target, *weight;
    float smoothing;
};

static void cross_entropy_backward(struct graph *g, struct node *node)
{
    struct loss_node *n = (struct loss_node *)node;
    struct backend *b = graph_backend(g);
    float *dloss = graph_gradient(g, n->loss);
    void *dlogits = graph_gradient(g, n->logits);

    if (!graph_failed(g))
        b->cross_entropy_bwd(b, tensor_rows(n->logits), tensor_last(n->logits), n->logits->data,
                             n->target->data, n->weight ? n->weight->data : NULL, n->smoothing,
                             n->lse->data, dloss, dlogits);
}

struct tensor *op_cross_entropy(struct graph *g, struct tensor *logits, const struct tensor *target,
                                const struct tensor *weight, float smoothing)
{
    struct backend *b = graph_backend(g);
    int64_t rows = tensor_rows(logits);
    size_t mark = graph_mark(g);
    struct tensor *loss, *lse;
    struct loss_node *n;

    if (!graph_failed(g) && (target->elements != rows || target->element != ELEMENT_I32))
        op_shape_error(g, "cross-entropy targets", target, "I32, one a row of logits");
    if (!graph_failed(g) && weight && weight->elements != rows)
        op_shape_error(g, "cross-entropy weights", weight, "F32, one a row of logits");
    loss = graph_tensor(g, ELEMENT_F32, 1, &rows);
    lse = graph_tensor(g, ELEMENT_F32, 1, &rows);
    if (graph_failed(g))
        return loss;
    b->cross_entropy_fwd(b, rows, tensor_last(logits), logits->data, target->data,
                         weight ? weight->data : NULL, smoothing, loss->data, lse->data);
    if (graph_wants(g, logits) &&
        (n = graph_record(g, sizeof *n, mark, cross_entropy_backward, loss))) {
        n->logits = logits;
        n->loss = loss;
        n->lse = lse;
        n->target = target;
        n->weight = weight;
        n->smoothing = smoothing;
    }
    return loss;
}
