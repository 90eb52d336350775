/*
 * gradcheck.h: gradients of a graph against directional numeric derivatives.
 *
 * The loss is sum(R * output) with random R, accumulated in double.  For each input and each
 * trainable parameter alone, and for all together, the derivative along random directions u is
 * taken by the central difference of fourth order, (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12 h,
 * and compared with sum(gradient * u).  The error allowed is TOLERANCE times the size that the
 * derivative along a random direction has (|gradient|), plus what rounding the outputs to f32 can
 * do.
 */
#ifndef EARSHOT_TESTS_SUPPORT_GRADCHECK_H
#define EARSHOT_TESTS_SUPPORT_GRADCHECK_H

#include "support/test.h"

#include "engine/ops.h"

#define GRADCHECK_INPUTS_MAX 6

struct gradcheck {
    const char *what;
    struct backend *backend;
    /* Builds the graph from ACT inputs that ask for a gradient; returns its output (ACT or F32). */
    struct tensor *(*build)(struct graph *g, void *context, struct tensor **in);
    void *context;
    int input_count;
    struct {
        int rank;
        int64_t dim[RANK_MAX];
    } input[GRADCHECK_INPUTS_MAX]; /* filled with normal deviates */
    struct params *params;         /* allocated for training on the backend; NULL: none */
    enum graph_mode mode;          /* GRAPH_INFER means GRAPH_RECORD */
    bool checkpoint;
    int directions; /* tried for each variable; 0: 2 */
};

/* Fails the test unless every derivative agrees. */
void gradcheck_run(const struct gradcheck *check);
/* The largest error over the error allowed; where (when not NULL) gets its place. */
double gradcheck_worst(const struct gradcheck *check, char where[160]);

/* Values that make every parameter matter: normal, weights of deviation 1 / sqrt(fan in), vectors
 * of deviation 0.3 around their initial value.  Depends on names only. */
void gradcheck_randomise(struct params *params);

#endif
