/*
 * bench_kernels.c: the CPU kernels on the shapes of the models.
 *
 *     bench_kernels [-t THREADS] [-i avx512|avx2|portable] [-r RUNS] [PREFIX]
 *
 * Cases are timed with warm buffers.  `count` below is how often one forward of the `small` preset
 * runs a case; the last row, small.kernels, adds those up: all multiply-adds of the forward over
 * all the time, data movement included.  It is no run of the model: see bench_stages. PREFIX limits
 * the cases to those whose name starts with it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum kind {
    LINEAR,
    GELU_LINEAR,
    LINEAR_BWD,
    ATTENTION,
    ATTENTION_BWD,
    NORM,
    NORM_BWD,
    GATHER,
    ADD,
    GELU,
    GELU_BWD,
    CROSS_ENTROPY,
    ADAMW,
    UNFOLD,
    TRANSPOSE
};

struct bench_case {
    const char *name;
    enum kind kind;
    int count;       /* in one forward of `small` */
    int64_t size[5]; /* rows, in, out; batch, heads, nq, nk, head_dim; rows, c */
    int flags;       /* ATTENTION: BIAS, REGION, CAUSAL */
};

enum { BIAS = 1, REGION = 2, CAUSAL = 4 };

static const struct bench_case cases[] = {
    {"swin1.embed", LINEAR, 1, {50176, 96, 96}, 0},
    {"swin1.norm", NORM, 5, {50176, 96}, 0},
    {"swin1.partition", GATHER, 4, {50176, 96}, 0},
    {"swin1.qkv", LINEAR, 2, {50176, 96, 288}, 0},
    {"swin1.attention", ATTENTION, 1, {128, 3, 392, 392, 32}, BIAS},
    {"swin1.attention.shifted", ATTENTION, 1, {128, 3, 392, 392, 32}, BIAS | REGION},
    {"swin1.project", LINEAR, 2, {50176, 96, 96}, 0},
    {"swin1.residual", ADD, 4, {50176, 96}, 0},
    {"swin1.mlp1", GELU_LINEAR, 2, {50176, 96, 384}, 0},
    {"swin1.mlp2", LINEAR, 2, {50176, 384, 96}, 0},
    {"swin2.merge", LINEAR, 1, {12544, 384, 192}, 0},
    {"swin2.norm", NORM, 5, {12544, 192}, 0},
    {"swin2.partition", GATHER, 4, {12544, 192}, 0},
    {"swin2.qkv", LINEAR, 2, {12544, 192, 576}, 0},
    {"swin2.attention", ATTENTION, 1, {32, 6, 392, 392, 32}, BIAS},
    {"swin2.attention.shifted", ATTENTION, 1, {32, 6, 392, 392, 32}, BIAS | REGION},
    {"swin2.project", LINEAR, 2, {12544, 192, 192}, 0},
    {"swin2.residual", ADD, 4, {12544, 192}, 0},
    {"swin2.mlp1", GELU_LINEAR, 2, {12544, 192, 768}, 0},
    {"swin2.mlp2", LINEAR, 2, {12544, 768, 192}, 0},
    {"swin3.merge", LINEAR, 1, {3136, 768, 384}, 0},
    {"swin3.norm", NORM, 13, {3136, 384}, 0},
    {"swin3.partition", GATHER, 12, {3136, 384}, 0},
    {"swin3.qkv", LINEAR, 6, {3136, 384, 1152}, 0},
    {"swin3.attention", ATTENTION, 6, {8, 12, 392, 392, 32}, BIAS},
    {"swin3.project", LINEAR, 6, {3136, 384, 384}, 0},
    {"swin3.residual", ADD, 12, {3136, 384}, 0},
    {"swin3.mlp1", GELU_LINEAR, 6, {3136, 384, 1536}, 0},
    {"swin3.mlp2", LINEAR, 6, {3136, 1536, 384}, 0},
    {"swin4.merge", LINEAR, 1, {784, 1536, 768}, 0},
    {"swin4.norm", NORM, 5, {784, 768}, 0},
    {"swin4.qkv", LINEAR, 2, {784, 768, 2304}, 0},
    {"swin4.attention", ATTENTION, 2, {2, 24, 392, 392, 32}, BIAS},
    {"swin4.project", LINEAR, 2, {784, 768, 768}, 0},
    {"swin4.residual", ADD, 4, {784, 768}, 0},
    {"swin4.mlp1", GELU_LINEAR, 2, {784, 768, 3072}, 0},
    {"swin4.mlp2", LINEAR, 2, {784, 3072, 768}, 0},
    {"ast.embed", LINEAR, 1, {1212, 256, 768}, 0},
    {"ast.norm", NORM, 13, {1214, 768}, 0},
    {"ast.qkv", LINEAR, 6, {1214, 768, 2304}, 0},
    {"ast.attention", ATTENTION, 6, {1, 12, 1214, 1214, 64}, 0},
    {"ast.project", LINEAR, 6, {1214, 768, 768}, 0},
    {"ast.residual", ADD, 12, {1214, 768}, 0},
    {"ast.mlp1", GELU_LINEAR, 6, {1214, 768, 3072}, 0},
    {"ast.mlp2", LINEAR, 6, {1214, 3072, 768}, 0},

    {"toy.qkv", LINEAR, 0, {8192, 64, 192}, 0},
    {"toy.mlp1", GELU_LINEAR, 0, {2048, 128, 512}, 0},
    {"toy.mlp2", LINEAR, 0, {2048, 512, 128}, 0},
    {"toy.small", LINEAR, 0, {256, 64, 64}, 0},
    {"toy.step", LINEAR, 0, {5, 128, 384}, 0},
    {"toy.logits", LINEAR, 0, {512, 128, 400}, 0},
    {"toy.linear.bwd", LINEAR_BWD, 0, {8192, 64, 192}, 0},
    {"toy.mlp1.bwd", LINEAR_BWD, 0, {2048, 128, 512}, 0},
    {"toy.mlp2.bwd", LINEAR_BWD, 0, {2048, 512, 128}, 0},
    {"toy.small.bwd", LINEAR_BWD, 0, {256, 64, 64}, 0},
    {"toy.window", ATTENTION, 0, {64, 2, 64, 64, 32}, BIAS},
    {"toy.window.bwd", ATTENTION_BWD, 0, {64, 2, 64, 64, 32}, BIAS},
    {"toy.audio", ATTENTION, 0, {32, 2, 130, 130, 32}, 0},
    {"toy.audio.bwd", ATTENTION_BWD, 0, {32, 2, 130, 130, 32}, 0},
    {"toy.decoder", ATTENTION, 0, {32, 4, 20, 20, 32}, CAUSAL},
    {"toy.decoder.bwd", ATTENTION_BWD, 0, {32, 4, 20, 20, 32}, CAUSAL},
    {"toy.step.attention", ATTENTION, 0, {40, 4, 1, 24, 32}, 0},
    {"toy.norm.bwd", NORM_BWD, 0, {8192, 64}, 0},
    {"toy.gelu.bwd", GELU_BWD, 0, {2048, 512}, 0},
    {"toy.loss", CROSS_ENTROPY, 0, {512, 400}, 0},
    {"toy.adamw", ADAMW, 0, {1000000, 1}, 0},
    {"swin1.linear.bwd", LINEAR_BWD, 0, {50176, 96, 288}, 0},
    {"swin3.mlp2.bwd", LINEAR_BWD, 0, {3136, 1536, 384}, 0},
    {"swin3.attention.bwd", ATTENTION_BWD, 0, {8, 12, 392, 392, 32}, BIAS},
    {"ast.attention.bwd", ATTENTION_BWD, 0, {1, 12, 1214, 1214, 64}, 0},
    {"swin1.norm.bwd", NORM_BWD, 0, {50176, 96}, 0},
    {"swin1.gelu", GELU, 0, {50176, 384}, 0},
    {"transpose", TRANSPOSE, 0, {8, 3136, 384}, 0},
    {"unfold", UNFOLD, 0, {1, 0}, 0},
};

/* Buffers every case draws on: f floats of small values each. */
#define BUFFERS 8
#define BUFFER_FLOATS ((int64_t)32 << 20)

static void run_attention(struct backend *b, const struct bench_case *c, float *const m[BUFFERS],
                          int32_t *index, bool backward)
{
    int64_t d = c->size[1] * c->size[4];
    struct attention a = {.batch = c->size[0],
                          .heads = c->size[1],
                          .nq = c->size[2],
                          .nk = c->size[3],
                          .head_dim = c->size[4],
                          .q_stride = 3 * d,
                          .k_stride = 3 * d,
                          .v_stride = 3 * d,
                          .o_stride = d,
                          .q_batch = 3 * d * c->size[2],
                          .k_batch = 3 * d * c->size[3],
                          .v_batch = 3 * d * c->size[3],
                          .o_batch = d * c->size[2],
                          .scale = 0.17f,
                          .causal = c->flags & CAUSAL};

    if (c->flags & BIAS)
        a.bias = m[2];
    if (c->flags & REGION) {
        a.region = index;
        a.regions = c->size[0];
    }
    if (backward)
        b->attention_bwd(b, &a, m[0], m[0] + d, m[0] + 2 * d, m[1], m[3], m[4], m[5], m[5] + d,
                         m[5] + 2 * d, c->flags & BIAS ? m[6] : NULL);
    else
        b->attention_fwd(b, &a, m[0], m[0] + d, m[0] + 2 * d, m[1], m[3], NULL);
}

static void run_case(struct backend *b, const struct bench_case *c, float *const m[BUFFERS],
                     int32_t *index)
{
    const int64_t *s = c->size;
    const struct adamw adamw = {1e-3f, 0.9f, 0.98f, 1e-6f, 0.01f, 0.5f, 0.5f, 1};
    const struct unfold swin = {1, 3, 32, 224, 224, 2, 4, 4, 2, 4, 4, 16, 56, 56};

    switch (c->kind) {
    case LINEAR:
        b->linear_fwd(b, s[0], s[1], s[2], m[0], m[1], m[2], m[3]);
        break;
    case GELU_LINEAR:
        b->linear_gelu_fwd(b, s[0], s[1], s[2], m[0], m[1], m[2], m[3], NULL);
        break;
    case LINEAR_BWD:
        b->linear_bwd(b, s[0], s[1], s[2], m[0], m[1], m[3], m[4], true, m[5], m[6]);
        break;
    case ATTENTION:
    case ATTENTION_BWD:
        run_attention(b, c, m, index, c->kind == ATTENTION_BWD);
        break;
    case NORM:
        b->layer_norm_fwd(b, s[0], s[1], m[0], m[1], m[2], 1e-5f, m[3], m[4]);
        break;
    case NORM_BWD:
        b->layer_norm_bwd(b, s[0], s[1], m[0], m[1], m[2], m[3], m[4], m[5], m[6]);
        break;
    case GATHER:
        b->gather_rows_fwd(b, s[0], s[1], index, s[0], m[0], m[3]);
        break;
    case ADD:
        b->axpby(b, s[0] * s[1], 1, m[0], 1, m[1], m[3]);
        break;
    case GELU:
        b->gelu_fwd(b, s[0] * s[1], m[0], m[3]);
        break;
    case GELU_BWD:
        b->gelu_bwd(b, s[0] * s[1], m[0], m[1], m[3], true, NULL);
        break;
    case CROSS_ENTROPY:
        b->cross_entropy_fwd(b, s[0], s[1], m[0], index, NULL, 0.1f, m[1], m[2]);
        b->cross_entropy_bwd(b, s[0], s[1], m[0], index, NULL, 0.1f, m[2], m[4], m[3]);
        break;
    case ADAMW:
        b->adamw_step(b, &adamw, s[0], m[0], m[1], m[2], m[3]);
        break;
    case UNFOLD:
        b->unfold_fwd(b, &swin, m[0], m[3]);
        break;
    case TRANSPOSE:
        b->transpose(b, s[0], s[1], s[2], m[0], m[3], false);
        break;
    }
}

/* Floating-point operations of products: 0 for what only moves data. */
static double operations(const struct bench_case *c)
{
    const int64_t *s = c->size;
    double product = 2.0 * (double)s[0] * (double)s[1] * (double)s[2];
    double pairs = 2.0 * (double)s[0] * (double)s[1] * (double)s[2] * (double)s[3] * (double)s[4];

    switch (c->kind) {
    case LINEAR:
    case GELU_LINEAR:
        return product;
    case LINEAR_BWD:
        return 2 * product;
    case ATTENTION:
        return 2 * pairs;
    case ATTENTION_BWD:
        return 5 * pairs;
    default:
        return 0;
    }
}

/* Values that keep every kernel in its usual range: small activations, weights, a plausible lse. */
static bool fill(struct backend *b, float *m[BUFFERS], int32_t **index)
{
    size_t bytes = (size_t)BUFFER_FLOATS * sizeof(float);

    *index = b->mem_alloc(b, bytes);
    for (int i = 0; i < BUFFERS; i++) {
        m[i] = b->mem_alloc(b, bytes);
        if (!m[i] || !*index)
            return false;
        for (int64_t j = 0; j < BUFFER_FLOATS; j++)
            m[i][j] = i == 3 ? 7 : (float)((j * 7 + i) % 23) * 0.01f - 0.1f;
    }
    for (int64_t j = 0; j < BUFFER_FLOATS; j++)
        (*index)[j] = (int32_t)(j % 392 / 200);
    return true;
}

struct kernel_run {
    struct backend *backend;
    const struct bench_case *kernel;
    float *buffer[BUFFERS];
    int32_t *index;
    int inner; /* calls a run: enough to be timed */
};

static enum earshot_status run_kernel(void *context, clockid_t clock, double *seconds,
                                      struct earshot_error *error)
{
    const struct kernel_run *run = context;
    double start = bench_clock_s(clock);

    (void)error;
    for (int i = 0; i < run->inner; i++)
        run_case(run->backend, run->kernel, run->buffer, run->index);
    *seconds = (bench_clock_s(clock) - start) / run->inner;
    return EARSHOT_OK;
}

static enum earshot_status measure(struct bench *bench, struct kernel_run *run, int runs,
                                   struct bench_figure *figure, struct earshot_error *error)
{
    double once;

    run->inner = 1;
    run_kernel(run, bench->clock, &once, error); /* makes the code and the pages */
    run_kernel(run, bench->clock, &once, error);
    run->inner = once > 2e-3 ? 1 : (int)(2e-3 / (once + 1e-9)) + 1;
    return bench_measure(bench, runs, run_kernel, run, figure, error);
}

int main(int argc, char **argv)
{
    int threads = 0, runs = 5, option;
    const char *isa = NULL, *prefix = "";
    struct earshot_error error = {0};
    struct kernel_run run = {0};
    struct bench bench;
    struct bench_figure figure, total = {.runs = 1};
    double operations_sum = 0;
    enum earshot_status status;

    while ((option = getopt(argc, argv, "t:i:r:")) != -1) {
        if (option == 't')
            threads = atoi(optarg);
        else if (option == 'i')
            isa = optarg;
        else if (option == 'r')
            runs = atoi(optarg);
        else
            return 2;
    }
    if (optind < argc)
        prefix = argv[optind];
    status = bench_open(&bench, threads, isa, &error);
    run.backend = bench.backend;
    if (status == EARSHOT_OK && !fill(run.backend, run.buffer, &run.index))
        status = error_memory(&error, (BUFFERS + 1) * (size_t)BUFFER_FLOATS * sizeof(float));
    for (size_t i = 0; i < sizeof cases / sizeof *cases && status == EARSHOT_OK; i++) {
        const struct bench_case *c = run.kernel = &cases[i];

        if (strncmp(c->name, prefix, strlen(prefix)))
            continue;
        status = measure(&bench, &run, runs, &figure, &error);
        bench_print(&bench, c->name, &figure, operations(c));
        total.best_s += c->count * figure.best_s;
        total.median_s += c->count * figure.median_s;
        total.worst_s += c->count * figure.worst_s;
        total.rate += c->count * figure.best_s * figure.rate;
        operations_sum += c->count * operations(c);
    }
    total.rate /= total.best_s; /* the mean over the time */
    if (status == EARSHOT_OK && total.best_s > 0)
        bench_print(&bench, "small.kernels", &total, operations_sum);
    for (int i = 0; i < BUFFERS && run.buffer[i]; i++)
        run.backend->mem_free(run.backend, run.buffer[i], (size_t)BUFFER_FLOATS * sizeof(float));
    if (run.index)
        run.backend->mem_free(run.backend, run.index, (size_t)BUFFER_FLOATS * sizeof(float));
    bench_close(&bench);
    return status == EARSHOT_OK ? 0 : bench_complain("bench_kernels", &error);
}
