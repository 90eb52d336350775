/* test_cost.c: what the planner promises is what the real run takes. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "model/cost.h"

/* ---- the real steps, in exactly the planned memory --------------------------------------------
 */

struct real {
    struct backend *backend;
    struct captioner *captioner;
    struct graph *graph;
    float *video, *audio;
    int32_t *text;
    uint8_t present[16 * STREAM_COUNT];
    struct clip_batch batch;
};

static void real_open(struct real *real, const struct model_config *config, int64_t batch,
                      bool training, const struct graph_options *memory)
{
    struct earshot_error error;
    int64_t video = batch * 3 * config->video.frames * config->video.height * config->video.width;
    int64_t audio = batch * config->audio.frames * config->audio.mel_bins;

    *real = (struct real){0};
    assert_ok(backend_cpu_open(1, &real->backend, &error));
    assert_ok(captioner_new(config, &real->captioner, &error));
    assert_ok(params_allocate(real->captioner->params, real->backend, training, &error));
    params_initialise(real->captioner->params, 1);
    assert_ok(graph_open(real->backend, memory, &real->graph, &error));
    real->video = calloc((size_t)video, sizeof(float));
    real->audio = calloc((size_t)audio, sizeof(float));
    real->text = calloc((size_t)(batch * config->text.max_length), sizeof *real->text);
    memset(real->present, 1, sizeof real->present);
    real->batch = (struct clip_batch){batch,         real->video, real->audio,
                                      real->present, real->text,  config->text.max_length};
}

static void real_close(struct real *real)
{
    graph_close(real->graph);
    captioner_free(real->captioner);
    real->backend->close(real->backend);
    free(real->video);
    free(real->audio);
    free(real->text);
}

static void real_training_step(struct real *real, const struct cost_question *question)
{
    struct captioner *c = real->captioner;
    struct graph *g = real->graph;
    int64_t dim[2] = {0, question->length}, rows;
    struct fusion_memory memory[1 + STREAM_COUNT];
    struct stream_set streams;
    struct tensor *tokens, *target, *weight, *loss;
    int memories;
    float *ones;

    graph_begin(g, question->scoring ? GRAPH_INFER : GRAPH_TRAIN, 1, 1);
    streams = captioner_encode(g, c, &real->batch);
    memories = captioner_fuse(g, c, &streams, question->mono ? ~0u : 0, memory);
    dim[0] = memories * real->batch.size * (question->texts ? question->texts : 1);
    rows = dim[0] * dim[1];
    ones = malloc((size_t)rows * sizeof *ones);
    for (int64_t i = 0; i < rows; i++)
        ones[i] = 1;
    tokens = graph_input(g, ELEMENT_I32, 2, dim, NULL);
    target = graph_input(g, ELEMENT_I32, 1, &rows, NULL);
    weight = graph_input(g, ELEMENT_F32, 1, &rows, ones);
    loss = op_cross_entropy(g, decoder_forward_each(g, &c->decoder, memories, memory, tokens),
                            target, weight, 0.1f);
    if (!question->scoring) {
        graph_seed(g, loss, ones);
        graph_backward(g);
    }
    free(ones);
}

static void real_captioning(struct real *real, struct decoder_cache *cache, int64_t beams,
                            int64_t length)
{
    struct captioner *c = real->captioner;
    struct graph *g = real->graph;
    int64_t rows = real->batch.size * beams;
    int32_t tokens[16] = {0}, parents[16] = {0}, sample[16];
    struct stream_set streams;
    struct fusion_memory memory;

    for (int64_t r = 0; r < rows; r++)
        sample[r] = (int32_t)(r / beams);
    graph_begin(g, GRAPH_INFER, 0, 0);
    streams = captioner_encode(g, c, &real->batch);
    memory = fusion_forward(g, &c->fusion, &streams);
    decoder_cache_begin(g, &c->decoder, cache, &memory);
    for (int64_t i = 0; i < length && !graph_failed(g); i++) {
        graph_begin(g, GRAPH_INFER, 0, 0);
        decoder_step(g, &c->decoder, cache, rows, tokens, parents, sample);
    }
}

/* Not more than 1 % over what was used. */
static void assert_tight(size_t planned, size_t used)
{
    assert_true(used <= planned);
    assert_true((double)planned <= 1.01 * (double)used);
}

static void check_training(struct cost_question question, bool audio_only)
{
    struct earshot_error error;
    struct model_config config;
    struct model_cost cost;
    struct real real;

    assert_ok(model_config_preset("toy", &config, &error));
    config.video.drop_path = 0.2;
    config.use_stream[STREAM_VIDEO] = !audio_only;
    assert_ok(model_cost(&config, &question, &cost, &error));
    assert_int_equal(cost.cache_bytes, 0);
    assert_int_equal(cost.memory.checkpoint, question.checkpoint);
    real_open(&real, &config, question.batch, true, &cost.memory);
    assert_int_equal(cost.parameters, params_elements(real.captioner->params));
    assert_int_equal(cost.parameter_bytes, params_bytes(real.captioner->params, true));
    real_training_step(&real, &question);
    assert_ok(graph_status(real.graph, &error));
    assert_tight(cost.memory.activation_bytes, graph_needs(real.graph).activation_bytes);
    assert_tight(cost.memory.gradient_bytes, graph_needs(real.graph).gradient_bytes);
    if (!audio_only) { /* a clip without picture takes no more */
        real.present[STREAM_COUNT + STREAM_VIDEO] = 0;
        real_training_step(&real, &question);
        assert_ok(graph_status(real.graph, &error));
    }
    real_close(&real);
    model_config_free(&config);
}

static void training_fits_exactly(void **state)
{
    struct cost_question question = {.batch = 2, .length = 9, .training = true};

    (void)state;
    check_training(question, false);
    check_training(question, true);
    question.checkpoint = GRAPH_CHECKPOINT_ALL;
    check_training(question, false);
    question.mono = true;
    question.texts = 2;
    check_training(question, false);
    question.scoring = true;
    check_training(question, false);
}

/* As few blocks as fit a limit are run again: one less does not fit. */
static void a_limit_is_kept(void **state)
{
    const int64_t ways[] = {0, GRAPH_CHECKPOINT_ALL};
    struct cost_question question = {.batch = 2, .length = 9, .training = true, .mono = true};
    struct earshot_error error;
    struct model_config config;
    struct model_cost cost;
    size_t bytes[2];

    (void)state;
    assert_ok(model_config_preset("toy", &config, &error));
    for (int i = 0; i < 2; i++) {
        question.checkpoint = ways[i];
        assert_ok(model_cost(&config, &question, &cost, &error));
        bytes[i] = model_cost_bytes(&cost);
    }
    assert_true(bytes[1] < bytes[0]);
    question.checkpoint = 0;
    for (size_t part = 1; part < 8; part++) {
        struct real real;

        question.limit_bytes = bytes[1] + (bytes[0] - bytes[1]) * part / 8;
        assert_ok(model_cost(&config, &question, &cost, &error));
        assert_true(model_cost_bytes(&cost) <= question.limit_bytes);
        assert_true(cost.memory.checkpoint > 0);
        real_open(&real, &config, question.batch, true, &cost.memory);
        real_training_step(&real, &question);
        assert_ok(graph_status(real.graph, &error));
        real_close(&real);
        if (cost.memory.checkpoint < GRAPH_CHECKPOINT_ALL) {
            struct cost_question fewer = question;

            fewer.limit_bytes = 0;
            fewer.checkpoint = cost.memory.checkpoint - 1;
            assert_ok(model_cost(&config, &fewer, &cost, &error));
            assert_true(model_cost_bytes(&cost) > question.limit_bytes);
        }
    }
    question.limit_bytes = bytes[0];
    assert_ok(model_cost(&config, &question, &cost, &error));
    assert_int_equal(cost.memory.checkpoint, 0);
    question.limit_bytes = 1;
    assert_ok(model_cost(&config, &question, &cost, &error));
    assert_int_equal(model_cost_bytes(&cost), bytes[1]);
    model_config_free(&config);
}

static void captioning_fits_exactly(void **state)
{
    struct cost_question question = {.batch = 2, .rows = 6};
    struct earshot_error error;
    struct model_config config;
    struct model_cost cost;
    struct decoder_cache *cache;
    struct real real;

    (void)state;
    assert_ok(model_config_preset("toy", &config, &error));
    assert_ok(model_cost(&config, &question, &cost, &error));
    real_open(&real, &config, question.batch, false, &cost.memory);
    assert_int_equal(cost.parameter_bytes, params_bytes(real.captioner->params, false));
    assert_ok(decoder_cache_new(&real.captioner->decoder, real.backend, 2, 6,
                                cost.tokens[STREAM_VIDEO] + cost.tokens[STREAM_AUDIO] +
                                    cost.tokens[STREAM_TEXT],
                                &cache, &error));
    assert_int_equal(cost.cache_bytes, decoder_cache_bytes(cache));
    real_captioning(&real, cache, 3, config.decoder.max_length);
    assert_ok(graph_status(real.graph, &error));
    assert_tight(cost.memory.activation_bytes, graph_needs(real.graph).activation_bytes);
    assert_int_equal(cost.memory.gradient_bytes, 0);
    decoder_cache_free(cache);
    real_close(&real);
    model_config_free(&config);
}

static void one_byte_less_does_not_do(void **state)
{
    struct cost_question question = {.batch = 1, .length = 4, .training = true};
    struct earshot_error error;
    struct model_config config;
    struct model_cost cost;
    struct real real;

    (void)state;
    assert_ok(model_config_preset("toy", &config, &error));
    assert_ok(model_cost(&config, &question, &cost, &error));
    for (int i = 0; i < 2; i++) {
        struct graph_options memory = cost.memory;

        if (i == 0)
            memory.activation_bytes--;
        else
            memory.gradient_bytes--;
        real_open(&real, &config, 1, true, &memory);
        real_training_step(&real, &question);
        assert_int_equal(graph_status(real.graph, &error), EARSHOT_ERROR_MEMORY);
        real_close(&real);
    }
    model_config_free(&config);
}

/* ---- counts against hand computation ----------------------------------------------------------
 */

/* One Swin stage of one block on a grid that is one window, one AST block, merged fusion. */
static void counts_by_hand(void **state)
{
    struct cost_question question = {.batch = 1, .rows = 1, .length = 5};
    struct earshot_error error;
    struct model_config config;
    struct model_cost cost;
    double v, a, m, d = 12, ff = 24, vocabulary = 50;

    (void)state;
    assert_ok(model_config_preset("toy", &config, &error));
    config.width = 12;
    config.video.frames = 4;
    config.video.height = config.video.width = 16; /* 2 x 2 x 2 tokens of 2 * 8 * 8 * 3 numbers */
    config.video.embed = 8;
    config.video.depths = (struct option_list){1, {1}};
    config.video.heads = (struct option_list){1, {2}};
    config.video.mlp_ratio = 3;
    config.audio.frames = 36; /* 4 x 3 patches of 16 x 16, and two tokens more */
    config.audio.hidden = 6;
    config.audio.layers = 1;
    config.audio.heads = 2;
    config.audio.mlp_ratio = 2;
    config.fusion.kind = FUSION_MERGED;
    config.fusion.layers = 1;
    config.fusion.mlp_ratio = 2;
    config.decoder.layers = 1;
    config.decoder.mlp_ratio = 2;
    config.decoder.vocabulary = (int64_t)vocabulary;
    assert_ok(model_cost(&config, &question, &cost, &error));
    assert_int_equal(cost.tokens[STREAM_VIDEO], 8);
    assert_int_equal(cost.tokens[STREAM_AUDIO], 14);
    /* patches; qkv and projection; scores and sums over 8 keys; MLP; to width 12 */
    v = 8 * (384 * 8 + 4 * 8 * 8 + 2 * 8 * 8 + 2 * 8 * 24 + 8 * 12);
    a = 12 * 256 * 6 + 14 * (4 * 6 * 6 + 2 * 14 * 6 + 2 * 6 * 12 + 6 * 12);
    /* one block over 22 tokens, and the decoder's keys and values of them */
    m = 22 * (4 * d * d + 2 * 22 * d + 2 * d * ff + 2 * d * d);
    assert_true(cost.encoder_multiply_adds[STREAM_VIDEO] == v);
    assert_true(cost.encoder_multiply_adds[STREAM_AUDIO] == a);
    assert_true(cost.fusion_multiply_adds == m);
    /* self-attention over 5 positions, cross-attention (q, proj) over 22 keys, MLP, vocabulary */
    assert_true(cost.decoder_step_multiply_adds ==
                4 * d * d + 2 * 5 * d + 2 * d * d + 2 * 22 * d + 2 * d * ff + d * vocabulary);
    model_config_free(&config);
}

/* Swin-T and Swin-B at 32 x 224 x 224: 88 G and 282 G multiply-adds (Liu et al., CVPR 2022, table
 * 1). Parameters of Swin-T and of AST-B as published: 28.2 M and 86 to 88 M. */
static void presets_agree_with_the_papers(void **state)
{
    static const struct {
        const char *preset;
        double video_low, video_high;
    } expected[] = {{"small", 86e9, 91e9}, {"base", 277e9, 290e9}};
    struct earshot_error error;
    struct rusage before, after;

    (void)state;
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 2; i++) {
        struct cost_question question = {
            .batch = 16, .rows = 64, .training = i, .checkpoint = GRAPH_CHECKPOINT_ALL};
        struct model_config config;
        struct model_cost cost;

        assert_ok(model_config_preset(expected[i].preset, &config, &error));
        assert_ok(model_cost(&config, &question, &cost, &error));
        assert_in_range((uintmax_t)cost.encoder_multiply_adds[STREAM_VIDEO],
                        (uintmax_t)expected[i].video_low, (uintmax_t)expected[i].video_high);
        assert_int_equal(cost.tokens[STREAM_VIDEO], 16 * 7 * 7);
        assert_int_equal(cost.tokens[STREAM_AUDIO], 1214); /* 12 x 101 patches */
        model_config_free(&config);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 256 * 1024); /* kilobytes */
}

static void bad_questions(void **state)
{
    static const struct cost_question questions[] = {
        {.batch = 0, .rows = 1},
        {.batch = 2, .rows = 1},
        {.batch = 1, .rows = 1, .length = 33},
        {.batch = 1, .rows = 1, .length = -1},
        {.batch = 1, .texts = -1, .training = true},
    };
    struct earshot_error error;
    struct model_config config;
    struct model_cost cost;

    (void)state;
    assert_ok(model_config_preset("toy", &config, &error));
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        assert_int_equal(model_cost(&config, &questions[i], &cost, &error), EARSHOT_ERROR_ARGUMENT);
    config.fusion.heads = 5;
    assert_int_equal(
        model_cost(&config, &(struct cost_question){.batch = 1, .rows = 1}, &cost, &error),
        EARSHOT_ERROR_ARGUMENT);
    model_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_fits_exactly),   cmocka_unit_test(a_limit_is_kept),
        cmocka_unit_test(captioning_fits_exactly), cmocka_unit_test(one_byte_less_does_not_do),
        cmocka_unit_test(counts_by_hand),          cmocka_unit_test(presets_agree_with_the_papers),
        cmocka_unit_test(bad_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
