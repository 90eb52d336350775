/* swin.c: the Video Swin Transformer.  See swin.h. */
#include "model/swin.h"

#include <stdio.h>
#include <stdlib.h>

#define SWIN_EPSILON 1e-5f

/* ---- declaration ------------------------------------------------------------------------------
 */

static void declare_block(struct swin_block *block, struct params *params, const char *prefix,
                          int64_t c, int heads, const struct swin_config *config)
{
    const int *w = config->window.value;
    int64_t offsets = (int64_t)(2 * w[0] - 1) * (2 * w[1] - 1) * (2 * w[2] - 1);
    char name[160];

#define PART(part) (snprintf(name, sizeof name, "%s.%s", prefix, part), name)
    block->norm1 = norm_declare(params, PART("norm1"), c, SWIN_EPSILON);
    block->bias_table = params_add(params, PARAM_NORMAL, 0.1f, 2, (int64_t[]){offsets, heads},
                                   "%s.attn.relative_position_bias_table", prefix);
    if (block->bias_table)
        block->bias_table->decay = false;
    block->qkv = linear_declare(params, PART("attn.qkv"), c, 3 * c, true);
    block->proj = linear_declare(params, PART("attn.proj"), c, c, true);
    block->norm2 = norm_declare(params, PART("norm2"), c, SWIN_EPSILON);
    block->mlp = mlp_declare(params, PART("mlp"), c, config->mlp_ratio);
#undef PART
}

enum earshot_status swin_declare(struct swin *swin, struct params *params, const char *prefix,
                                 const struct swin_config *config, struct earshot_error *error)
{
    const int *patch = config->patch.value;
    int stages = config->depths.count, block = 0, blocks = 0;
    int64_t c = config->embed;
    char name[128];

    *swin = (struct swin){.config = *config};
    for (int i = 0; i < stages; i++)
        blocks += config->depths.value[i];
    swin->patch.weight = params_add(
        params, PARAM_NORMAL, weight_deviation((int64_t)3 * patch[0] * patch[1] * patch[2], c), 5,
        (int64_t[]){c, 3, patch[0], patch[1], patch[2]}, "%s.patch_embed.proj.weight", prefix);
    swin->patch.bias =
        params_add(params, PARAM_ZEROS, 0, 1, &c, "%s.patch_embed.proj.bias", prefix);
    snprintf(name, sizeof name, "%s.patch_embed.norm", prefix);
    swin->patch_norm = norm_declare(params, name, c, SWIN_EPSILON);
    for (int i = 0; i < stages; i++, c *= 2) {
        struct swin_stage *stage = &swin->stage[i];

        stage->depth = config->depths.value[i];
        stage->heads = config->heads.value[i];
        stage->block = calloc((size_t)stage->depth, sizeof *stage->block);
        if (!stage->block) {
            swin_free(swin);
            return error_memory(error, (size_t)stage->depth * sizeof *stage->block);
        }
        for (int j = 0; j < stage->depth; j++, block++) {
            snprintf(name, sizeof name, "%s.layers.%d.blocks.%d", prefix, i, j);
            declare_block(&stage->block[j], params, name, c, stage->heads, config);
            stage->block[j].drop_path =
                blocks > 1 ? (float)(config->drop_path * block / (blocks - 1)) : 0;
        }
        if (i == stages - 1)
            break;
        snprintf(name, sizeof name, "%s.layers.%d.downsample.norm", prefix, i);
        stage->merge_norm = norm_declare(params, name, 4 * c, SWIN_EPSILON);
        snprintf(name, sizeof name, "%s.layers.%d.downsample.reduction", prefix, i);
        stage->merge_reduce = linear_declare(params, name, 4 * c, 2 * c, false);
    }
    snprintf(name, sizeof name, "%s.norm", prefix);
    swin->norm = norm_declare(params, name, c, SWIN_EPSILON);
    return EARSHOT_OK;
}

void swin_free(struct swin *swin)
{
    for (int i = 0; i < SWIN_STAGES_MAX; i++) {
        free(swin->stage[i].block);
        swin->stage[i].block = NULL;
    }
}

int64_t swin_channels(const struct swin_config *config)
{
    return config->embed << (config->depths.count - 1);
}

int64_t swin_tokens(const struct swin_config *config)
{
    const int64_t size[3] = {config->frames, config->height, config->width};
    int64_t tokens = 1;

    for (int i = 0; i < 3; i++) {
        int64_t n = (size[i] + config->patch.value[i] - 1) / config->patch.value[i];

        for (int stage = 1; i > 0 && stage < config->depths.count; stage++)
            n = (n + 1) / 2; /* patch merging halves H and W */
        tokens *= n;
    }
    return tokens;
}

/* ---- windows ----------------------------------------------------------------------------------
 */

/* How one block cuts the token grid. */
struct window_plan {
    int64_t size[3];   /* of the grid */
    int64_t window[3]; /* clamped to the grid where the grid is not larger */
    int64_t shift[3];
    int64_t padded[3];       /* up to a multiple of the window */
    int64_t windows, tokens; /* windows of a sample, tokens of a window */
};

static struct window_plan window_plan(const struct swin_config *config, const int64_t grid[3],
                                      bool shifted)
{
    struct window_plan plan = {.windows = 1, .tokens = 1};

    for (int i = 0; i < 3; i++) {
        int64_t w = config->window.value[i];

        plan.size[i] = grid[i];
        plan.window[i] = grid[i] <= w ? grid[i] : w;
        plan.shift[i] = shifted && grid[i] > w ? w / 2 : 0;
        plan.padded[i] = (grid[i] + plan.window[i] - 1) / plan.window[i] * plan.window[i];
        plan.windows *= plan.padded[i] / plan.window[i];
        plan.tokens *= plan.window[i];
    }
    return plan;
}

/*
 * Where each token of each window comes from, for `batch` samples: rows into [batch, size] or -1
 * for padding (to_window), and back, rows into [batch, windows, tokens] (from_window).  region
 * gives each window token of one sample the number of the part of the shifted grid it lies in:
 * attention must not cross parts that only the cyclic shift made neighbours.
 */
static void window_indices(const struct window_plan *p, int64_t batch, int32_t *to_window,
                           int32_t *from_window, int32_t *region)
{
    int64_t grid = p->size[0] * p->size[1] * p->size[2], row = 0;
    int64_t count[3] = {p->padded[0] / p->window[0], p->padded[1] / p->window[1],
                        p->padded[2] / p->window[2]};

    for (int64_t n = 0; n < p->windows; n++) {
        int64_t corner[3] = {n / (count[1] * count[2]) * p->window[0],
                             n / count[2] % count[1] * p->window[1], n % count[2] * p->window[2]};

        for (int64_t t = 0; t < p->tokens; t++, row++) {
            int64_t inside[3] = {t / (p->window[1] * p->window[2]), t / p->window[2] % p->window[1],
                                 t % p->window[2]};
            int64_t source = 0, part = 0;

            for (int i = 0; i < 3; i++) {
                int64_t shifted = corner[i] + inside[i];
                int64_t at = (shifted + p->shift[i]) % p->padded[i];
                int64_t third = p->shift[i] == 0                        ? 0
                                : shifted < p->padded[i] - p->window[i] ? 0
                                : shifted < p->padded[i] - p->shift[i]  ? 1
                                                                        : 2;

                source = source < 0 || at >= p->size[i] ? -1 : source * p->size[i] + at;
                part = part * 3 + third;
            }
            if (region)
                region[row] = (int32_t)part;
            to_window[row] = (int32_t)source;
            if (source >= 0)
                from_window[source] = (int32_t)row;
        }
    }
    for (int64_t b = 1; b < batch; b++) {
        for (int64_t i = 0; i < row; i++)
            to_window[b * row + i] = to_window[i] < 0 ? -1 : (int32_t)(to_window[i] + b * grid);
        for (int64_t i = 0; i < grid; i++)
            from_window[b * grid + i] = (int32_t)(from_window[i] + b * row);
    }
}

/* index[i, j] into the bias table.  Positions are those of the FULL window even when the window is
 * clamped (as the official code slices its index): right in T, and what it computes in H and W. */
static void bias_index(const struct swin_config *config, int64_t tokens, int32_t *index)
{
    const int *w = config->window.value;

    int32_t middle = ((w[0] - 1) * (2 * w[1] - 1) + w[1] - 1) * (2 * w[2] - 1) + w[2] - 1;

    /* middle + place(i) - place(j), and the place of token 0 is 0 */
    for (int64_t j = 0; j < tokens; j++) {
        int64_t at[3] = {j / (w[1] * w[2]), j / w[2] % w[1], j % w[2]};

        index[j] = middle - (int32_t)((at[0] * (2 * w[1] - 1) + at[1]) * (2 * w[2] - 1) + at[2]);
    }
    for (int64_t i = 1; i < tokens; i++)
        for (int64_t j = 0; j < tokens; j++)
            index[i * tokens + j] = middle - index[i] + index[j];
}

/* Index tensors that the blocks of one stage share; [1] is for the shifted blocks. */
struct stage_indices {
    struct tensor *to_window[2], *from_window[2], *region[2], *bias;
};

static struct tensor *upload_indices(struct graph *g, int rank, const int64_t *dim,
                                     const int32_t *host)
{
    return graph_input(g, ELEMENT_I32, rank, dim, host);
}

static struct stage_indices stage_indices(struct graph *g, const struct swin *swin, int64_t batch,
                                          const int64_t grid[3], int depth)
{
    struct stage_indices s = {{NULL}, {NULL}, {NULL}, NULL};
    int64_t cells = grid[0] * grid[1] * grid[2];

    for (int shifted = 0; shifted < 2 && shifted < depth && !graph_failed(g); shifted++) {
        struct window_plan p = window_plan(&swin->config, grid, shifted);
        int64_t rows = batch * p.windows * p.tokens;
        int32_t *to, *from, *region = NULL;

        if (rows > INT32_MAX) {
            graph_fail(g, EARSHOT_ERROR_ARGUMENT,
                       "video encoder: %lld tokens at once are more than can be numbered; use a "
                       "smaller batch or clip",
                       (long long)rows);
            return s;
        }
        to = graph_host(g, (size_t)rows * sizeof *to);
        from = graph_host(g, (size_t)(batch * cells) * sizeof *from);
        if (p.shift[0] || p.shift[1] || p.shift[2])
            region = graph_host(g, (size_t)(p.windows * p.tokens) * sizeof *region);
        if (graph_failed(g))
            return s;
        window_indices(&p, batch, to, from, region);
        s.to_window[shifted] = upload_indices(g, 2, (int64_t[]){batch * p.windows, p.tokens}, to);
        s.from_window[shifted] = upload_indices(g, 2, (int64_t[]){batch, cells}, from);
        if (region)
            s.region[shifted] = upload_indices(g, 2, (int64_t[]){p.windows, p.tokens}, region);
        if (!shifted) {
            int32_t *index = graph_host(g, (size_t)(p.tokens * p.tokens) * sizeof *index);

            if (graph_failed(g))
                return s;
            bias_index(&swin->config, p.tokens, index);
            s.bias = upload_indices(g, 2, (int64_t[]){p.tokens, p.tokens}, index);
        }
    }
    return s;
}

/* ---- forward ----------------------------------------------------------------------------------
 */

struct attention_context {
    struct swin_block block;
    int heads;
    const struct tensor *to_window, *from_window, *region, *bias;
};

/* x + window attention.  Padding is zeros AFTER the norm; padded tokens are keys like any other. */
static void run_attention(struct graph *g, const void *context, struct tensor **in,
                          struct tensor **out)
{
    const struct attention_context *c = context;
    struct attention_options options = {.heads = c->heads, .region = c->region};
    struct row_order order = {c->to_window, c->from_window};
    struct tensor *y = op_norm_linear(g, in[0], &c->block.norm1, &order, &c->block.qkv);

    options.bias = op_attention_bias(g, c->block.bias_table, c->bias);
    y = op_self_attention(g, y, &options);
    out[0] = op_linear_residual(g, in[0], y, &c->block.proj, &order, 0, c->block.drop_path);
}

struct merge_context {
    struct norm_layer norm;
    struct linear_layer reduce;
    const struct tensor *index;
};

static void run_merge(struct graph *g, const void *context, struct tensor **in, struct tensor **out)
{
    const struct merge_context *c = context;
    struct tensor *y = op_gather_rows(g, in[0], c->index);

    y = op_reshape(g, y, 3, (int64_t[]){y->dim[0], y->dim[1], 4 * tensor_last(in[0])});
    out[0] = op_norm_linear(g, y, &c->norm, NULL, &c->reduce);
}

/* Four neighbours of H and W side by side in the channels; odd sizes padded with zeros before the
 * norm.  T is never merged. */
static struct tensor *merge(struct graph *g, const struct swin_stage *stage, struct tensor *x,
                            int64_t grid[3])
{
    int64_t h = (grid[1] + 1) / 2, w = (grid[2] + 1) / 2, batch = x->dim[0];
    int64_t rows = batch * grid[0] * h * w, cell = 0;
    int32_t *index = graph_host(g, (size_t)(4 * rows) * sizeof *index);
    struct merge_context context = {.norm = stage->merge_norm, .reduce = stage->merge_reduce};

    if (graph_failed(g))
        return x;
    for (int64_t plane = 0; plane < batch * grid[0]; plane++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                for (int part = 0; part < 4; part++) {
                    int64_t r = 2 * i + part % 2, c = 2 * j + part / 2;

                    index[cell++] = r < grid[1] && c < grid[2]
                                        ? (int32_t)((plane * grid[1] + r) * grid[2] + c)
                                        : -1;
                }
    context.index = graph_input(g, ELEMENT_I32, 3, (int64_t[]){batch, grid[0] * h * w, 4}, index);
    graph_block(g, run_merge, &context, sizeof context, 1, &x, 1, &x);
    grid[1] = h;
    grid[2] = w;
    return x;
}

struct patch_context {
    const struct swin *swin;
};

static void run_patches(struct graph *g, const void *context, struct tensor **in,
                        struct tensor **out)
{
    const struct swin *swin = ((const struct patch_context *)context)->swin;
    int64_t patch[3], grid[3];
    struct tensor *y;

    for (int i = 0; i < 3; i++)
        patch[i] = swin->config.patch.value[i];
    y = op_unfold(g, in[0], patch, patch, true, grid);
    out[0] = norm_apply(g, &swin->patch_norm, linear_apply(g, &swin->patch, y));
}

static void probe_block(swin_probe probe, void *context, int stage, int block, struct tensor *x,
                        const int64_t grid[3])
{
    char name[32];

    if (!probe)
        return;
    snprintf(name, sizeof name, "block.%d.%d", stage, block);
    probe(context, name, x, grid);
}

struct tensor *swin_forward(struct graph *g, const struct swin *swin, struct tensor *x,
                            int64_t grid[3], swin_probe probe, void *probe_context)
{
    struct patch_context patches = {swin};
    char name[32];

    for (int i = 0; i < 3; i++) {
        int64_t patch = swin->config.patch.value[i];

        grid[i] = (x->dim[2 + i] + patch - 1) / patch;
    }
    graph_block(g, run_patches, &patches, sizeof patches, 1, &x, 1, &x);
    if (probe)
        probe(probe_context, "patch_embed", x, grid);
    for (int i = 0; i < swin->config.depths.count; i++) {
        const struct swin_stage *stage = &swin->stage[i];
        struct stage_indices s = stage_indices(g, swin, x->dim[0], grid, stage->depth);

        for (int j = 0; j < stage->depth && !graph_failed(g); j++) {
            const struct swin_block *block = &stage->block[j];
            struct attention_context context = {
                *block,          stage->heads, s.to_window[j % 2], s.from_window[j % 2],
                s.region[j % 2], s.bias};

            x = graph_update(g, run_attention, &context, sizeof context, x);
            x = mlp_residual(g, &block->norm2, &block->mlp, 0, block->drop_path, x);
            probe_block(probe, probe_context, i, j, x, grid);
        }
        if (i < swin->config.depths.count - 1)
            x = merge(g, stage, x, grid);
        snprintf(name, sizeof name, "stage.%d", i);
        if (probe)
            probe(probe_context, name, x, grid);
    }
    return norm_apply(g, &swin->norm, x);
}
