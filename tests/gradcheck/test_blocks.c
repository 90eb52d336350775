/* test_blocks.c: transformer parts, encoders, every fusion, the decoder and the whole captioner
 * with its loss against numeric derivatives; with dropout, checkpoints, absent streams, frozen
 * parts. */
#include "support/gradcheck.h"

#include <stdio.h>
#include <string.h>

#include "model/captioner.h"

static struct backend *backend;

static void allocate(struct params *params)
{
    struct earshot_error error;

    assert_ok(params_allocate(params, backend, true, &error));
    gradcheck_randomise(params);
}

/* Recorded, with dropout, and with dropout and checkpoints. */
static void run(struct gradcheck check)
{
    static const struct {
        enum graph_mode mode;
        bool checkpoint;
    } ways[] = {{GRAPH_RECORD, false}, {GRAPH_TRAIN, false}, {GRAPH_TRAIN, true}};

    check.backend = backend;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        check.mode = ways[i].mode;
        check.checkpoint = ways[i].checkpoint;
        gradcheck_run(&check);
    }
}

/* ---- parts ------------------------------------------------------------------------------------
 */

static const uint8_t key_mask[10] = {1, 1, 0, 1, 1, 0, 0, 0, 0, 0}; /* sample 1 sees nothing */

static struct tensor *build_block(struct graph *g, void *context, struct tensor **in)
{
    struct tensor *mask = graph_input(g, ELEMENT_U8, 2, (int64_t[]){2, 5}, key_mask);

    return block_apply(g, context, in[0], mask);
}

static void transformer(void **state)
{
    struct params *params = params_new();
    struct transformer_block block = block_declare(params, "block", 12, 3, 2, 0.2, 1e-5f);

    (void)state;
    allocate(params);
    run((struct gradcheck){.what = "transformer block",
                           .build = build_block,
                           .context = &block,
                           .params = params,
                           .input_count = 1,
                           .input = {{3, {2, 5, 12}}}});
    params_free(params);
}

static struct tensor *build_cross(struct graph *g, void *context, struct tensor **in)
{
    struct tensor *mask = graph_input(g, ELEMENT_U8, 2, (int64_t[]){2, 5}, key_mask);
    struct cross_layer *layer = context;

    return cross_apply(g, layer, in[0], cross_keys(g, layer, in[1]), mask);
}

static void cross(void **state)
{
    struct params *params = params_new();
    struct cross_layer layer = cross_declare(params, "cross", 12, 2, 0.2);

    (void)state;
    allocate(params);
    run((struct gradcheck){.what = "cross layer",
                           .build = build_cross,
                           .context = &layer,
                           .params = params,
                           .input_count = 2,
                           .input = {{3, {2, 3, 12}}, {3, {2, 5, 12}}}});
    params_free(params);
}

/* ---- encoders ---------------------------------------------------------------------------------
 */

static struct tensor *build_swin(struct graph *g, void *context, struct tensor **in)
{
    int64_t grid[3];

    return swin_forward(g, context, in[0], grid, NULL, NULL);
}

/* Grid 3 x 5 x 7 in windows of 2 x 3 x 3: padding on every axis, shifts, odd sizes to merge; in the
 * second stage (3 x 3 x 4) H is not larger than the window. */
static void video_encoder(void **state)
{
    const struct swin_config config = {.patch = {3, {2, 2, 3}},
                                       .window = {3, {2, 3, 3}},
                                       .embed = 6,
                                       .depths = {2, {2, 2}},
                                       .heads = {2, {1, 3}},
                                       .mlp_ratio = 1.5,
                                       .drop_path = 0.4};
    struct params *params = params_new();
    struct earshot_error error;
    struct swin swin;

    (void)state;
    assert_ok(swin_declare(&swin, params, "video", &config, &error));
    allocate(params);
    run((struct gradcheck){.what = "video encoder",
                           .build = build_swin,
                           .context = &swin,
                           .params = params,
                           .input_count = 1,
                           .input = {{5, {2, 3, 5, 9, 20}}}});
    swin_free(&swin);
    params_free(params);
}

static struct tensor *build_ast(struct graph *g, void *context, struct tensor **in)
{
    return ast_forward(g, context, in[0], NULL, NULL);
}

static void audio_encoder(void **state)
{
    const struct ast_config config = {.frames = 13,
                                      .mel_bins = 10,
                                      .patch = {2, {4, 5}},
                                      .stride = {2, {3, 2}},
                                      .hidden = 6,
                                      .layers = 2,
                                      .heads = 2,
                                      .mlp_ratio = 2,
                                      .dropout = 0.2,
                                      .epsilon = 1e-6};
    struct params *params = params_new();
    struct earshot_error error;
    struct ast ast;

    (void)state;
    assert_ok(ast_declare(&ast, params, "audio", &config, &error));
    allocate(params);
    run((struct gradcheck){.what = "audio encoder",
                           .build = build_ast,
                           .context = &ast,
                           .params = params,
                           .input_count = 1,
                           .input = {{3, {2, 13, 10}}}});
    ast_free(&ast);
    params_free(params);
}

/* ---- fusion -----------------------------------------------------------------------------------
 */

struct fusion_case {
    struct fusion fusion;
    const uint8_t *present;
    int streams; /* in the batch: 1 leaves the second out */
};

static struct tensor *build_fusion(struct graph *g, void *context, struct tensor **in)
{
    const struct fusion_case *c = context;
    struct stream_set streams = {.batch = 3, .present = c->present};

    /* Inputs are not for fusion_forward to overwrite. */
    for (int s = 0; s < c->streams; s++)
        streams.tokens[s] = op_axpby(g, 1, in[s], 0, in[s]);
    return fusion_forward(g, &c->fusion, &streams).tokens;
}

static struct model_config fusion_config(int kind, int local)
{
    return (struct model_config){.width = 8,
                                 .use_stream = {true, true},
                                 .fusion = {.kind = kind,
                                            .local = local,
                                            .layers = 2,
                                            .heads = 2,
                                            .global_tokens = 2,
                                            .mlp_ratio = 1.5,
                                            .dropout = 0.1}};
}

static void fusions(void **state)
{
    static const uint8_t both[6] = {1, 1, 1, 1, 1, 1}, mixed[6] = {1, 1, 1, 0, 0, 1},
                         first[6] = {1, 0, 1, 0, 1, 0};
    static const uint8_t *const presents[] = {both, mixed, first};

    (void)state;
    for (int kind = FUSION_NONE; kind <= FUSION_LOCAL_GLOBAL; kind++)
        for (int local = 0; local <= (kind == FUSION_LOCAL_GLOBAL); local++)
            for (int p = 0; p < 3; p++) {
                struct model_config config = fusion_config(kind, local);
                struct params *params = params_new();
                struct fusion_case c = {.present = presents[p], .streams = p == 2 ? 1 : 2};
                struct earshot_error error;
                char what[64];

                snprintf(what, sizeof what, "fusion kind %d, local %d, presence %d", kind, local,
                         p);
                assert_ok(fusion_declare(&c.fusion, params, "fusion", &config, &error));
                allocate(params);
                run((struct gradcheck){.what = what,
                                       .build = build_fusion,
                                       .context = &c,
                                       .params = params,
                                       .input_count = c.streams,
                                       .input = {{3, {3, 5, 8}}, {3, {3, 3, 8}}}});
                fusion_free(&c.fusion);
                params_free(params);
            }
}

/* ---- decoder and captioner --------------------------------------------------------------------
 */

static struct tensor *build_decoder(struct graph *g, void *context, struct tensor **in)
{
    static const int32_t ids[8] = {1, 4, 4, 10, 1, 0, 7, 2};
    struct fusion_memory memory = {in[0],
                                   graph_input(g, ELEMENT_U8, 2, (int64_t[]){2, 5}, key_mask)};

    return decoder_forward(g, context, &memory,
                           graph_input(g, ELEMENT_I32, 2, (int64_t[]){2, 4}, ids));
}

static void decoder(void **state)
{
    const struct model_config config = {.width = 8,
                                        .decoder = {.layers = 2,
                                                    .heads = 2,
                                                    .max_length = 6,
                                                    .mlp_ratio = 2,
                                                    .dropout = 0.1,
                                                    .vocabulary = 11}};
    struct params *params = params_new();
    struct earshot_error error;
    struct decoder d;

    (void)state;
    assert_ok(decoder_declare(&d, params, "decoder", &config, &error));
    allocate(params);
    run((struct gradcheck){.what = "decoder",
                           .build = build_decoder,
                           .context = &d,
                           .params = params,
                           .input_count = 1,
                           .input = {{3, {2, 5, 8}}}});
    decoder_free(&d);
    params_free(params);
}

#define CLIPS 3
#define TIMES 2 /* the clips with both streams, then with one or the other only */
#define LENGTH 4

struct captioner_case {
    struct captioner *captioner;
    float video[CLIPS * 3 * 4 * 8 * 8], audio[CLIPS * 12 * 8];
};

static struct tensor *build_captioner(struct graph *g, void *context, struct tensor **in)
{
    static const uint8_t present[CLIPS * STREAM_COUNT] = {1, 1, 1, 1, 0, 1};
    static const uint8_t repeated[TIMES * CLIPS * STREAM_COUNT] = {1, 1, 1, 1, 0, 1,
                                                                   1, 0, 0, 1, 0, 1};
    struct captioner_case *c = context;
    struct clip_batch batch = {CLIPS, c->video, c->audio, present};
    struct stream_set streams = captioner_encode(g, c->captioner, &batch);
    int64_t dim[2] = {TIMES * CLIPS, LENGTH}, rows = TIMES * CLIPS * LENGTH;
    int32_t ids[TIMES * CLIPS * LENGTH], target[TIMES * CLIPS * LENGTH];
    float weight[TIMES * CLIPS * LENGTH];
    struct fusion_memory memory;
    struct tensor *logits;

    (void)in;
    for (int i = 0; i < rows; i++) {
        ids[i] = i * 5 % 11;
        target[i] = i % 7 == 3 ? -1 : i * 3 % 11;
        weight[i] = 0.25f * (float)(i % 5);
    }
    streams = captioner_repeat(g, &streams, TIMES, repeated);
    memory = fusion_forward(g, &c->captioner->fusion, &streams);
    logits = decoder_forward(g, &c->captioner->decoder, &memory,
                             graph_input(g, ELEMENT_I32, 2, dim, ids));
    return op_cross_entropy(g, logits, graph_input(g, ELEMENT_I32, 1, &rows, target),
                            graph_input(g, ELEMENT_F32, 1, &rows, weight), 0.1f);
}

static void captioner_config(struct model_config *config)
{
    *config = fusion_config(FUSION_LOCAL_GLOBAL, 1);
    config->fusion.layers = 1;
    config->video = (struct swin_config){.frames = 4,
                                         .height = 8,
                                         .width = 8,
                                         .patch = {3, {2, 2, 2}},
                                         .window = {3, {2, 3, 3}},
                                         .embed = 4,
                                         .depths = {2, {2, 1}},
                                         .heads = {2, {1, 2}},
                                         .mlp_ratio = 2,
                                         .drop_path = 0.2};
    config->audio = (struct ast_config){.frames = 12,
                                        .mel_bins = 8,
                                        .patch = {2, {4, 4}},
                                        .stride = {2, {4, 4}},
                                        .hidden = 6,
                                        .layers = 1,
                                        .heads = 2,
                                        .mlp_ratio = 2,
                                        .dropout = 0.1,
                                        .epsilon = 1e-6};
    config->decoder = (struct decoder_config){
        .layers = 1, .heads = 2, .max_length = 5, .mlp_ratio = 2, .dropout = 0.1, .vocabulary = 11};
}

static void whole_captioner(void **state)
{
    static struct captioner_case c;
    struct earshot_error error;
    struct model_config config;

    (void)state;
    for (size_t i = 0; i < sizeof c.video / sizeof *c.video; i++)
        c.video[i] = (float)(i * 37 % 101) / 50 - 1;
    for (size_t i = 0; i < sizeof c.audio / sizeof *c.audio; i++)
        c.audio[i] = (float)(i * 53 % 97) / 48 - 1;
    captioner_config(&config);
    for (int frozen = 0; frozen < 2; frozen++) {
        assert_ok(captioner_new(&config, &c.captioner, &error));
        for (int i = 0; frozen && i < params_count(c.captioner->params); i++) {
            struct param *param = params_at(c.captioner->params, i);

            param->trainable = strncmp(param->name, "video.", 6) != 0 && i % 3 != 0;
        }
        allocate(c.captioner->params);
        run((struct gradcheck){.what = frozen ? "captioner, partly frozen" : "captioner",
                               .build = build_captioner,
                               .context = &c,
                               .params = c.captioner->params});
        captioner_free(c.captioner);
    }
}

static int open_cpu(void **state)
{
    (void)state;
    return backend_cpu_open(1, &backend, NULL);
}

static int close_backend(void **state)
{
    (void)state;
    backend->close(backend);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transformer),     cmocka_unit_test(cross),
        cmocka_unit_test(video_encoder),   cmocka_unit_test(audio_encoder),
        cmocka_unit_test(fusions),         cmocka_unit_test(decoder),
        cmocka_unit_test(whole_captioner),
    };

    return cmocka_run_group_tests(tests, open_cpu, close_backend);
}
