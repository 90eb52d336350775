/*
 * graph.h: tensors, the tape, and the memory of one step.
 *
 * A model writes only its forward, as calls of ops.h on tensors.  While recording, each op leaves a
 * node; graph_backward walks the nodes in reverse and each adds to its inputs' gradients.  Not
 * recording costs nothing: inference is the same code.
 *
 * Memory of a step, all reserved once in graph_open:
 *  - activations: an arena on the device, reset by graph_begin; graph_block gives back what a block
 *    used inside, so inference needs little more than one block, and so does training when blocks
 *    are checkpointed (run again in the backward pass; Chen et al. 2016);
 *  - gradients of activations: a pool on the device; each lives from its first consumer's backward
 *    to its producer's.
 * Nodes, shapes and index staging live in host memory that is kept from step to step.
 *
 * Errors stick: after the first, ops return a valid empty tensor and do nothing, so a forward needs
 * no tests between ops; graph_status tells at the end.
 *
 * A graph belongs to one thread.
 */
#ifndef EARSHOT_ENGINE_GRAPH_H
#define EARSHOT_ENGINE_GRAPH_H

#include "backend/backend.h"
#include "engine/params.h"

enum element {
    ELEMENT_ACT, /* activations: the backend's element type; the only kind ops differentiate, with
                    F32 */
    ELEMENT_F32, /* losses, attention biases */
    ELEMENT_I32, /* indices, token ids, regions */
    ELEMENT_U8   /* masks */
};

/* Row-major, contiguous.  A reshaped tensor shares data and gradient with its root. */
struct tensor {
    enum element element;
    int rank;
    int64_t dim[RANK_MAX];
    int64_t elements;
    void *data; /* device address */
    bool needs_gradient;
    struct tensor *root; /* itself unless reshaped */
    void *gradient;      /* of a root, during the walk */
};

struct graph;

struct graph_options {
    size_t activation_bytes, gradient_bytes; /* graph_needs of a plan tells both */
    /* This many of a step's graph_blocks, from its first one on, are run again in the backward pass
     * instead of keeping their inside.  Early blocks have most tokens and least arithmetic. */
    int64_t checkpoint;
};

#define GRAPH_CHECKPOINT_ALL INT64_MAX

enum earshot_status graph_open(struct backend *backend, const struct graph_options *options,
                               struct graph **graph, struct earshot_error *error);
void graph_close(struct graph *graph);

enum graph_mode {
    GRAPH_INFER,  /* nothing recorded, dropout off */
    GRAPH_RECORD, /* recorded, dropout off: gradient checks */
    GRAPH_TRAIN   /* recorded, dropout on */
};

/* Starts a step: forgets all tensors, clears the sticky error.  (seed, step) name the step's random
 * draws.  Parameter gradients are not touched. */
void graph_begin(struct graph *graph, enum graph_mode mode, uint64_t seed, uint64_t step);
enum graph_mode graph_get_mode(const struct graph *graph);

/* The sticky error. */
enum earshot_status graph_status(const struct graph *graph, struct earshot_error *error);
enum earshot_status graph_fail(struct graph *graph, enum earshot_status status, const char *format,
                               ...) __attribute__((format(printf, 3, 4)));

/* The most that any step so far needed, whether it fitted or not. */
struct graph_options graph_needs(const struct graph *graph);
/* How many blocks this step has recorded: what options.checkpoint may choose from. */
int64_t graph_block_count(const struct graph *graph);

/* A tensor with a copy of host data: float for ACT and F32, int32_t, uint8_t.  NULL data: zeros. */
struct tensor *graph_input(struct graph *graph, enum element element, int rank, const int64_t *dim,
                           const void *host);
/* Asks for a gradient of an input; it is kept until the next graph_begin. */
void graph_require_gradient(struct tensor *tensor);
/* A tensor over device memory that outlives the step (a key/value cache). */
struct tensor *graph_external(struct graph *graph, enum element element, int rank,
                              const int64_t *dim, void *data);
/* Host memory until the next graph_begin.  When there is none the graph fails and the result is
 * NULL or memory that may be written but means nothing. */
void *graph_host(struct graph *graph, size_t size_bytes);

/* Copies a tensor (ACT or F32) or its gradient to the host, as f32.  A gradient that nothing
 * reached is zeros. */
void graph_download(struct graph *graph, const struct tensor *tensor, float *host);
void graph_download_gradient(struct graph *graph, const struct tensor *tensor, float *host);

/* Sets the gradient of a tensor to host[elements]: where the walk starts.  Any number of tensors.
 */
void graph_seed(struct graph *graph, struct tensor *tensor, const float *host);
/* Walks back through everything recorded.  Activations are released on the way. */
void graph_backward(struct graph *graph);

/*
 * A block: a function from tensors to tensors whose inside is given back when it returns (not
 * recording, or checkpointing).  The function must depend only on its context (copied,
 * context_bytes), inputs and parameters, so that running it again gives the same; inputs and
 * outputs are at most GRAPH_BLOCK_TENSORS each; outputs are distinct and none is an input.  A block
 * in which nothing wants a gradient (frozen parameters) is not run again when checkpointed, and
 * gives its inside back when recorded.
 */
#define GRAPH_BLOCK_TENSORS 8
typedef void (*graph_block_function)(struct graph *graph, const void *context, struct tensor **in,
                                     struct tensor **out);
void graph_block(struct graph *graph, graph_block_function function, const void *context,
                 size_t context_bytes, int in_count, struct tensor **in, int out_count,
                 struct tensor **out);

/* A wider block around others: gives its inside back when nothing is recorded, and leaves recording
 * and checkpointing to the blocks within. */
void graph_scope(struct graph *graph, graph_block_function function, const void *context,
                 size_t context_bytes, int in_count, struct tensor **in, int out_count,
                 struct tensor **out);

/* A block of one tensor that the caller does not use again: x = f(x).  When nothing is recorded and
 * the shape stays, the result takes x's own memory, so that a deep stack needs no more than one
 * block. */
struct tensor *graph_update(struct graph *graph, graph_block_function function, const void *context,
                            size_t context_bytes, struct tensor *x);
/* Whether an op that is the last to read x may put its result there and give x out: x is what the
 * running graph_update will overwrite. */
bool graph_may_overwrite(const struct graph *graph, const struct tensor *x);

/* ---- for ops ----------------------------------------------------------------------------------
 */

struct node {
    void (*backward)(struct graph *graph, struct node *node);
    struct tensor *out; /* skipped when its gradient was never touched (NULL: always run) */
    struct node *previous;
    size_t activation_mark;
};

struct backend *graph_backend(const struct graph *graph);
bool graph_failed(const struct graph *graph);
/* A new uninitialised tensor in the arena; on failure an empty one. */
struct tensor *graph_tensor(struct graph *graph, enum element element, int rank,
                            const int64_t *dim);
/* A second shape over the same data; elements must agree. */
struct tensor *graph_view(struct graph *graph, struct tensor *tensor, int rank, const int64_t *dim);
/* True when a node should be recorded for an op whose inputs include this tensor / parameter. */
bool graph_wants(struct graph *graph, const struct tensor *tensor);
bool graph_wants_param(struct graph *graph, const struct param *param);
/* Records a node of size_bytes (a struct that begins with struct node); out then needs a gradient.
 * activation_mark must be what graph_mark returned before the op allocated. */
void *graph_record(struct graph *graph, size_t size_bytes, size_t activation_mark,
                   void (*backward)(struct graph *, struct node *), struct tensor *out);
size_t graph_mark(const struct graph *graph);
/* Memory for the inside of an op, in the arena: `elements` activations, uninitialised, given back
 * by graph_scratch_end with what graph_mark returned before.  On failure NULL, and the graph has
 * failed. */
void *graph_scratch(struct graph *graph, int64_t elements);
void graph_scratch_end(struct graph *graph, size_t mark);
/* The gradient to add to: zeros at first; NULL when the tensor needs none. */
void *graph_gradient(struct graph *graph, struct tensor *tensor);
/* The same, but when it is new it is not zeroed: then *add is false and all of it must be written.
 */
void *graph_gradient_unset(struct graph *graph, struct tensor *tensor, bool *add);
/* Makes y's gradient x's own, for an op through which it passes as it is.  Only in the backward of
 * y's producer, which then no longer has it.  False: x needs none, or has one already. */
bool graph_pass_gradient(struct graph *graph, struct tensor *y, struct tensor *x);
/* A number that names the next random op of this step; replayed when a block is run again. */
uint64_t graph_next_stream(struct graph *graph);
uint64_t graph_seed_value(const struct graph *graph);

#endif
