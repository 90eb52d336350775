/* test_model.c: configuration, the decoder's two ways in, absent streams, and a model's home on
 * disk. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "base/str.h"
#include "model/captioner.h"
#include "support/tiny.h"

static struct backend *backend;
static struct graph *graph;

static void assert_near(const char *what, const float *got, const float *want, int64_t n,
                        double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance))
            fail_msg("%s: element %lld is %.9g, expected %.9g", what, (long long)i, (double)got[i],
                     (double)want[i]);
}

/* ---- configuration ----------------------------------------------------------------------------
 */

static void presets(void **state)
{
    struct earshot_error error;
    struct model_config config;

    (void)state;
    for (int i = 0; model_presets[i]; i++) {
        assert_ok(model_config_preset(model_presets[i], &config, &error));
        assert_string_equal(config.name, model_presets[i]);
        assert_ok(model_config_check(&config, &error));
        model_config_free(&config);
    }
    assert_int_equal(model_config_preset("huge", &config, &error), EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "huge"));
    assert_non_null(strstr(error.message, "toy"));
}

static void impossible_configurations(void **state)
{
    static const struct {
        const char *key, *value, *said;
    } cases[] = {
        {"video.patch", "2,4", "video.patch"},   {"video.window", "2", "video.window"},
        {"video.heads", "2,4,8", "video.heads"}, {"video.heads", "2,3", "stage 1"},
        {"audio.patch", "16", "audio.patch"},    {"audio.mel_bins", "15", "15 mel bins"},
        {"audio.frames", "15", "15 frames"},     {"audio.heads", "7", "7 heads"},
        {"fusion.heads", "5", "5 fusion"},       {"decoder.heads", "5", "5 decoder"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct earshot_error error;
        struct model_config config;
        struct captioner *captioner;

        assert_ok(model_config_preset("toy", &config, &error));
        assert_ok(options_set(model_config_table, &config, cases[i].key, cases[i].value, &error));
        assert_int_equal(model_config_check(&config, &error), EARSHOT_ERROR_ARGUMENT);
        if (!strstr(error.message, cases[i].said))
            fail_msg("%s: '%s' does not say '%s'", cases[i].key, error.message, cases[i].said);
        assert_int_equal(captioner_new(&config, &captioner, &error), EARSHOT_ERROR_ARGUMENT);
        assert_null(captioner);
        model_config_free(&config);
    }
}

static void a_model_needs_a_stream(void **state)
{
    struct earshot_error error;
    struct model_config config;

    (void)state;
    assert_ok(model_config_preset("toy", &config, &error));
    config.use_stream[STREAM_VIDEO] = false;
    assert_ok(model_config_check(&config, &error));
    config.audio.heads = 7;
    assert_int_equal(model_config_check(&config, &error), EARSHOT_ERROR_ARGUMENT);
    config.use_stream[STREAM_VIDEO] = true; /* an unused encoder is not looked at */
    config.use_stream[STREAM_AUDIO] = false;
    assert_ok(model_config_check(&config, &error));
    config.use_stream[STREAM_VIDEO] = false;
    assert_int_equal(model_config_check(&config, &error), EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "streams.audio"));
    config.use_stream[STREAM_TEXT] = true;
    assert_ok(model_config_check(&config, &error));
    config.text.heads = 7;
    assert_int_equal(model_config_check(&config, &error), EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "7 heads"));
    model_config_free(&config);
}

/* ---- a small captioner ------------------------------------------------------------------------
 */

#define TOKENS 6

/* logits[size, TOKENS, TINY_VOCABULARY] of the same words after every clip. */
static void run_captioner(const struct captioner *c, const struct clip_batch *batch, float *logits)
{
    struct earshot_error error;
    struct stream_set streams;
    struct fusion_memory memory;
    struct tensor *out;
    int32_t ids[8 * TOKENS];

    for (int i = 0; i < 8 * TOKENS; i++)
        ids[i] = i % TOKENS * 5 % TINY_VOCABULARY;
    graph_begin(graph, GRAPH_INFER, 0, 0);
    streams = captioner_encode(graph, c, batch);
    memory = fusion_forward(graph, &c->fusion, &streams);
    out =
        decoder_forward(graph, &c->decoder, &memory,
                        graph_input(graph, ELEMENT_I32, 2, (int64_t[]){batch->size, TOKENS}, ids));
    graph_download(graph, out, logits);
    assert_ok(graph_status(graph, &error));
}

/* ---- the decoder's two ways in ----------------------------------------------------------------
 */

#define SAMPLES 3
#define MEMORY 5
#define ROWS 7

struct hypothesis {
    int32_t token[16];
    int sample;
};

/* The last row of decoder_forward for one hypothesis, alone with its sample's memory. */
static void expected_logits(const struct captioner *c, const float *memory, const uint8_t *mask,
                            const struct hypothesis *h, int64_t length, float *logits)
{
    int64_t width = c->config.width;
    struct fusion_memory m;
    struct tensor *out;
    float all[16 * TINY_VOCABULARY];

    graph_begin(graph, GRAPH_INFER, 0, 0);
    m.tokens = graph_input(graph, ELEMENT_ACT, 3, (int64_t[]){1, MEMORY, width},
                           memory + h->sample * MEMORY * width);
    m.key_mask =
        graph_input(graph, ELEMENT_U8, 2, (int64_t[]){1, MEMORY}, mask + h->sample * MEMORY);
    out = decoder_forward(graph, &c->decoder, &m,
                          graph_input(graph, ELEMENT_I32, 2, (int64_t[]){1, length}, h->token));
    graph_download(graph, out, all);
    assert_int_equal(graph_status(graph, NULL), EARSHOT_OK);
    memcpy(logits, all + (length - 1) * TINY_VOCABULARY, TINY_VOCABULARY * sizeof *logits);
}

static void begin_cache(const struct captioner *c, struct decoder_cache *cache, const float *tokens,
                        const uint8_t *mask)
{
    struct fusion_memory memory;

    graph_begin(graph, GRAPH_INFER, 0, 0);
    memory.tokens =
        graph_input(graph, ELEMENT_ACT, 3, (int64_t[]){SAMPLES, MEMORY, c->config.width}, tokens);
    memory.key_mask = graph_input(graph, ELEMENT_U8, 2, (int64_t[]){SAMPLES, MEMORY}, mask);
    decoder_cache_begin(graph, &c->decoder, cache, &memory);
    assert_int_equal(graph_status(graph, NULL), EARSHOT_OK);
}

/* Rows of each sample at each step: beams that open, swap, shrink, end, and a sample that is done.
 */
static const int beams[9][SAMPLES] = {{1, 1, 1}, {3, 1, 3}, {3, 2, 2}, {2, 2, 3}, {3, 0, 3},
                                      {3, 0, 3}, {0, 0, 3}, {0, 0, 1}, {0, 0, 2}};

static void decode_like_forward(const struct captioner *c, struct decoder_cache *cache,
                                const float *memory, const uint8_t *mask, uint64_t seed)
{
    struct random_sequence random = {seed, 0, 0};
    struct hypothesis now[ROWS] = {{{0}, 0}}, before[ROWS];
    int first[SAMPLES + 1] = {0};
    float got[ROWS * TINY_VOCABULARY], want[TINY_VOCABULARY];

    for (int step = 0; step < 9; step++) {
        int32_t tokens[ROWS], parents[ROWS], sample[ROWS];
        int rows = 0, start[SAMPLES + 1] = {0};

        memcpy(before, now, sizeof now);
        for (int s = 0; s < SAMPLES; s++) {
            int alive = first[s + 1] - first[s];

            for (int i = 0; i < beams[step][s] && (alive || step == 0); i++, rows++) {
                parents[rows] =
                    step ? first[s] + (int32_t)random_next_below(&random, (uint64_t)alive) : 0;
                tokens[rows] = (int32_t)random_next_below(&random, TINY_VOCABULARY);
                sample[rows] = s;
                now[rows] = before[parents[rows]];
                now[rows].sample = s;
                now[rows].token[step] = tokens[rows];
            }
            start[s + 1] = rows;
        }
        memcpy(first, start, sizeof start);
        graph_begin(graph, GRAPH_INFER, 0, 0);
        graph_download(
            graph,
            decoder_step(graph, &c->decoder, cache, rows, tokens, step ? parents : NULL, sample),
            got);
        assert_int_equal(graph_status(graph, NULL), EARSHOT_OK);
        for (int r = 0; r < rows; r++) {
            expected_logits(c, memory, mask, &now[r], step + 1, want);
            assert_near("a step's logits", got + r * TINY_VOCABULARY, want, TINY_VOCABULARY, 1e-5);
        }
    }
}

static void steps_equal_forward(void **state)
{
    static const uint8_t mask[SAMPLES * MEMORY] = {1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    struct model_config config = tiny_config(FUSION_NONE, 0);
    struct captioner *c = tiny_captioner(&config, backend, false);
    struct decoder_cache *cache;
    struct earshot_error error;

    (void)state;
    assert_ok(decoder_cache_new(&c->decoder, backend, SAMPLES, ROWS, MEMORY, &cache, &error));
    for (uint64_t seed = 1; seed <= 3; seed++) { /* the cache is used again */
        float *memory = tiny_normals(SAMPLES * MEMORY * config.width, seed);

        begin_cache(c, cache, memory, mask);
        decode_like_forward(c, cache, memory, mask, seed);
        free(memory);
    }
    decoder_cache_free(cache);
    captioner_free(c);
}

static void steps_that_do_not_fit(void **state)
{
    static const uint8_t mask[SAMPLES * MEMORY] = {1};
    static const int32_t zeros[ROWS + 1] = {0};
    struct model_config config = tiny_config(FUSION_NONE, 0);
    struct captioner *c = tiny_captioner(&config, backend, false);
    struct decoder_cache *cache;
    struct earshot_error error;
    struct tensor *ids;
    float *memory = tiny_normals(SAMPLES * MEMORY * config.width, 1);

    (void)state;
    assert_ok(decoder_cache_new(&c->decoder, backend, SAMPLES, ROWS, MEMORY, &cache, &error));
    begin_cache(c, cache, memory, mask);
    graph_begin(graph, GRAPH_INFER, 0, 0);
    decoder_step(graph, &c->decoder, cache, ROWS + 1, zeros, NULL, zeros);
    assert_int_equal(graph_status(graph, &error), EARSHOT_ERROR_INTERNAL);
    assert_non_null(strstr(error.message, "8 rows"));
    begin_cache(c, cache, memory, mask);
    for (int step = 0; step < 10; step++) {
        graph_begin(graph, GRAPH_INFER, 0, 0);
        decoder_step(graph, &c->decoder, cache, 1, zeros, zeros, zeros);
        assert_int_equal(graph_status(graph, &error),
                         step < 9 ? EARSHOT_OK : EARSHOT_ERROR_INTERNAL);
    }
    assert_non_null(strstr(error.message, "position 9"));
    graph_begin(graph, GRAPH_INFER, 0, 0);
    ids = graph_input(graph, ELEMENT_I32, 2, (int64_t[]){1, 10}, NULL);
    decoder_forward(graph, &c->decoder, &(struct fusion_memory){ids, ids}, ids);
    assert_int_equal(graph_status(graph, &error), EARSHOT_ERROR_INTERNAL);
    assert_non_null(strstr(error.message, "[1, 10]"));
    free(memory);
    decoder_cache_free(cache);
    captioner_free(c);
}

/* ---- absent streams ---------------------------------------------------------------------------
 */

#define CLIPS 4
#define LOGITS (TOKENS * TINY_VOCABULARY)

/* Calls the function with every kind of fusion, of all three streams. */
static void for_each_fusion(void (*check)(const struct captioner *c))
{
    for (int kind = FUSION_NONE; kind <= FUSION_LOCAL_GLOBAL; kind++)
        for (int local = 0; local <= (kind == FUSION_LOCAL_GLOBAL); local++) {
            struct model_config config = tiny_config(kind, local);
            struct captioner *c;

            config.use_stream[STREAM_TEXT] = true;
            c = tiny_captioner(&config, backend, false);
            check(c);
            captioner_free(c);
        }
}

/* What CLIPS clips hold. */
struct clips {
    float *video, *audio;
    int32_t text[CLIPS * TINY_TEXT];
};

static struct clips make_clips(void)
{
    struct clips clips = {
        tiny_normals(CLIPS * TINY_VIDEO, 1), tiny_normals(CLIPS * TINY_AUDIO, 2), {0}};

    tiny_transcripts(CLIPS, clips.text);
    return clips;
}

static void free_clips(struct clips *clips)
{
    free(clips->video);
    free(clips->audio);
}

/* Clips from number first on. */
static struct clip_batch batch_of(const struct clips *clips, int first, int64_t size,
                                  const uint8_t *present)
{
    return (struct clip_batch){
        size,    clips->video + first * TINY_VIDEO, clips->audio + first * TINY_AUDIO,
        present, clips->text + first * TINY_TEXT,   TINY_TEXT};
}

static void check_batch_is_singles(const struct captioner *c)
{
    static const uint8_t present[CLIPS * STREAM_COUNT] = {1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1};
    struct clips clips = make_clips();
    struct clip_batch batch = batch_of(&clips, 0, CLIPS, present);
    float together[CLIPS * LOGITS], alone[LOGITS], other[LOGITS];

    run_captioner(c, &batch, together);
    for (int i = 0; i < CLIPS; i++) {
        const uint8_t *p = present + i * STREAM_COUNT;
        struct clip_batch single = batch_of(&clips, i, 1, p);

        run_captioner(c, &single, alone);
        assert_near("clip in a batch", together + i * LOGITS, alone, LOGITS, 2e-5);
        single.video = p[STREAM_VIDEO] ? single.video : NULL; /* what is absent need not be there */
        single.audio = p[STREAM_AUDIO] ? single.audio : NULL;
        single.text = p[STREAM_TEXT] ? single.text : NULL;
        run_captioner(c, &single, other);
        assert_memory_equal(alone, other, sizeof alone);
    }
    /* The streams do matter: clip 0 with all, with each. */
    batch = batch_of(&clips, 0, 1, (uint8_t[]){1, 1, 1});
    run_captioner(c, &batch, alone);
    for (int s = 0; s < STREAM_COUNT; s++) {
        double difference = 0;

        batch.present = (uint8_t[]){s == 0, s == 1, s == 2};
        run_captioner(c, &batch, other);
        for (int i = 0; i < LOGITS; i++)
            difference = fmax(difference, fabs((double)alone[i] - (double)other[i]));
        assert_true(difference > 1e-2);
    }
    free_clips(&clips);
}

static void a_batch_is_its_clips(void **state)
{
    (void)state;
    for_each_fusion(check_batch_is_singles);
}

/* Whatever an absent stream's arrays hold, even what is no number or no token. */
static void check_content_is_ignored(const struct captioner *c)
{
    static const uint8_t present[CLIPS * STREAM_COUNT] = {1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0};
    struct clips clips = make_clips();
    float before[CLIPS * LOGITS], after[CLIPS * LOGITS];
    struct clip_batch batch = batch_of(&clips, 0, CLIPS, present);

    run_captioner(c, &batch, before);
    for (int i = 0; i < CLIPS; i++) {
        const uint8_t *p = present + i * STREAM_COUNT;

        for (int j = 0; j < TINY_VIDEO && !p[STREAM_VIDEO]; j++)
            clips.video[i * TINY_VIDEO + j] = j % 2 ? NAN : 1e30f;
        for (int j = 0; j < TINY_AUDIO && !p[STREAM_AUDIO]; j++)
            clips.audio[i * TINY_AUDIO + j] = j % 2 ? INFINITY : -1e30f;
        for (int j = 0; j < TINY_TEXT && !p[STREAM_TEXT]; j++)
            clips.text[i * TINY_TEXT + j] = j % 2 ? INT32_MAX : 3;
    }
    run_captioner(c, &batch, after);
    assert_memory_equal(before, after, sizeof before);
    free_clips(&clips);
}

static void content_of_absent_streams_is_ignored(void **state)
{
    (void)state;
    for_each_fusion(check_content_is_ignored);
}

/* How much padding stands behind a transcript changes nothing: the same clips in rows that are
 * just long enough; and the tokens that are there all count. */
static void check_padding(const struct captioner *c)
{
    static const uint8_t present[2 * STREAM_COUNT] = {1, 0, 1, 0, 0, 1};
    struct clips clips = make_clips();
    float tight[2 * LOGITS], loose[2 * LOGITS], other[2 * LOGITS];
    int32_t text[2 * 3] = {4, 9, 2, 1, 5, -1};
    struct clip_batch batch = batch_of(&clips, 0, 2, present);

    for (int i = 0; i < 2 * TINY_TEXT; i++)
        clips.text[i] = i % TINY_TEXT < 3 ? text[i / TINY_TEXT * 3 + i % TINY_TEXT] : -1;
    run_captioner(c, &batch, loose);
    batch.text = text;
    batch.text_length = 3;
    run_captioner(c, &batch, tight);
    assert_near("a clip with padding", loose, tight, 2 * LOGITS, 1e-5);
    for (int i = 0; i < 3; i++) {
        double difference = 0;

        text[i] += 1;
        run_captioner(c, &batch, other);
        text[i] -= 1;
        for (int j = 0; j < LOGITS; j++)
            difference = fmax(difference, fabs((double)tight[j] - (double)other[j]));
        assert_true(difference > 1e-3);
    }
    free_clips(&clips);
}

static void padding_is_ignored(void **state)
{
    (void)state;
    for_each_fusion(check_padding);
}

/* The fusion itself never looks at an absent stream's tokens: the present stream's memory has the
 * same bits whatever they are, and nearly the same numbers when they are not there at all. */
static void check_fusion_masks(const struct captioner *c)
{
    enum { WIDTH = 12, TOKENS_V = 5, TOKENS_A = 3, TOKENS_T = 4, BATCH = 2 };
    enum { ALL = TOKENS_V + TOKENS_A + TOKENS_T };
    static const int64_t count[STREAM_COUNT] = {TOKENS_V, TOKENS_A, TOKENS_T};
    static const uint8_t mask[BATCH * TOKENS_T] = {1, 1, 1, 1, 1, 1, 0, 0};
    float *tokens[STREAM_COUNT] = {tiny_normals(BATCH * TOKENS_V * WIDTH, 1),
                                   tiny_normals(BATCH * TOKENS_A * WIDTH, 2),
                                   tiny_normals(BATCH * TOKENS_T * WIDTH, 3)};

    for (int kept = 0; kept < STREAM_COUNT; kept++) {
        uint8_t present[BATCH * STREAM_COUNT] = {0};
        float out[3][BATCH * ALL * WIDTH];
        int64_t length = count[kept] * WIDTH, before = 0;

        for (int s = 0; s < kept; s++)
            before += count[s] * WIDTH;
        for (int b = 0; b < BATCH; b++)
            present[b * STREAM_COUNT + kept] = 1;
        for (int way = 0; way < 3; way++) { /* as it is, changed, not there */
            struct stream_set streams = {.batch = BATCH, .present = present};
            struct earshot_error error;

            graph_begin(graph, GRAPH_INFER, 0, 0);
            for (int s = 0; s < STREAM_COUNT; s++) {
                for (int64_t i = 0; way == 1 && s != kept && i < BATCH * count[s] * WIDTH; i++)
                    tokens[s][i] = 100 - 3 * tokens[s][i];
                if (way < 2 || s == kept)
                    streams.tokens[s] = graph_input(graph, ELEMENT_ACT, 3,
                                                    (int64_t[]){BATCH, count[s], WIDTH}, tokens[s]);
            }
            streams.mask[STREAM_TEXT] = mask;
            graph_download(graph, fusion_forward(graph, &c->fusion, &streams).tokens, out[way]);
            assert_ok(graph_status(graph, &error));
        }
        for (int b = 0; b < BATCH; b++) {
            int64_t at = b * ALL * WIDTH + before;

            assert_memory_equal(out[0] + at, out[1] + at, (size_t)length * sizeof(float));
            assert_near("a stream alone", out[2] + b * length, out[0] + at, length, 1e-5);
        }
    }
    for (int s = 0; s < STREAM_COUNT; s++)
        free(tokens[s]);
}

static void fusion_never_sees_absent_tokens(void **state)
{
    (void)state;
    for_each_fusion(check_fusion_masks);
}

static void nothing_to_look_at(void **state)
{
    struct model_config config = tiny_config(FUSION_LOCAL_GLOBAL, 0);
    struct captioner *c = tiny_captioner(&config, backend, false);
    struct clip_batch batch = {.size = 1, .present = (uint8_t[STREAM_COUNT]){0}};
    struct stream_set streams;
    struct earshot_error error;

    (void)state;
    graph_begin(graph, GRAPH_INFER, 0, 0);
    streams = captioner_encode(graph, c, &batch);
    fusion_forward(graph, &c->fusion, &streams);
    assert_int_equal(graph_status(graph, &error), EARSHOT_ERROR_NO_STREAM);
    captioner_free(c);
}

/* A model of one stream is the same network as one of three whose other streams are absent. */
static void a_model_of_one_stream(void **state)
{
    struct clips clips = make_clips();
    float one[2 * LOGITS], three[2 * LOGITS];

    (void)state;
    for (int kind = FUSION_NONE; kind <= FUSION_LOCAL_GLOBAL; kind++)
        for (int s = 0; s < STREAM_COUNT; s++) {
            uint8_t present[2 * STREAM_COUNT] = {s == 0, s == 1, s == 2, s == 0, s == 1, s == 2};
            struct clip_batch batch = batch_of(&clips, 0, 2, present);
            struct model_config config = tiny_config(kind, 1);
            struct captioner *all, *alone;

            config.use_stream[STREAM_TEXT] = true;
            all = tiny_captioner(&config, backend, false);
            for (int o = 0; o < STREAM_COUNT; o++)
                config.use_stream[o] = o == s;
            alone = tiny_captioner(&config, backend, false); /* values depend on names only */
            assert_true(params_elements(alone->params) < params_elements(all->params));
            run_captioner(all, &batch, three);
            run_captioner(alone, &batch, one);
            assert_near("a model of one stream", one, three, 2 * LOGITS, 1e-5);
            captioner_free(all);
            captioner_free(alone);
        }
    free_clips(&clips);
}

/* A model that reads transcripts is, bit for bit, the model that does not when there is none. */
static void without_transcripts(void **state)
{
    static const uint8_t present[CLIPS * STREAM_COUNT] = {1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0};
    struct clips clips = make_clips();
    float with[CLIPS * LOGITS], without[CLIPS * LOGITS];

    (void)state;
    for (int kind = FUSION_NONE; kind <= FUSION_LOCAL_GLOBAL; kind++)
        for (int local = 0; local <= (kind == FUSION_LOCAL_GLOBAL); local++) {
            struct clip_batch batch = batch_of(&clips, 0, CLIPS, present);
            struct model_config config = tiny_config(kind, local);
            struct captioner *two = tiny_captioner(&config, backend, false), *three;

            config.use_stream[STREAM_TEXT] = true;
            three = tiny_captioner(&config, backend, false);
            run_captioner(three, &batch, with);
            batch.text = NULL;
            run_captioner(two, &batch, without);
            assert_memory_equal(with, without, sizeof with);
            captioner_free(two);
            captioner_free(three);
        }
    free_clips(&clips);
}

/* What the text encoder reads of a transcript. */
static void transcripts_to_tokens(void **state)
{
    static const struct {
        const char *text;
        int count;
        int32_t ids[6];
    } cases[] = {
        {"red ball", 4, {2, 7, 9, 3}},
        {"A red, BLUE ball", 6, {2, 6, 7, 1, 8, 3}}, /* cut: room for four words */
        {"", 0, {0}},
        {" \n\t ", 0, {0}},
        {NULL, 0, {0}},
        {"[SEP]", 3, {2, 3, 3}}, /* as in BERT, a special token spelled out is that token */
    };
    const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[CAPTION]\na\nred\nblue\nball\n";
    const char bare[] = "[PAD]\n[UNK]\n[SEP]\nred\n", endless[] = "[PAD]\n[UNK]\nred\n";
    struct wordpiece *tokenizer;
    struct earshot_error error;
    int32_t ids[6];
    int64_t count;

    (void)state;
    assert_ok(wordpiece_parse("words", words, strlen(words), &tokenizer, &error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(text_encoder_tokens(tokenizer, cases[i].text, 6, ids, &count, &error));
        assert_int_equal(count, cases[i].count);
        assert_memory_equal(ids, cases[i].ids, (size_t)count * sizeof *ids);
    }
    wordpiece_free(tokenizer);
    assert_ok(wordpiece_parse("bare", bare, strlen(bare), &tokenizer, &error));
    assert_ok(text_encoder_tokens(tokenizer, "red", 6, ids, &count, &error));
    assert_int_equal(count, 2);
    assert_memory_equal(ids, ((int32_t[]){3, 2}), 2 * sizeof *ids);
    wordpiece_free(tokenizer);
    assert_ok(wordpiece_parse("endless", endless, strlen(endless), &tokenizer, &error));
    assert_int_equal(text_encoder_tokens(tokenizer, "red", 6, ids, &count, &error),
                     EARSHOT_ERROR_FORMAT);
    wordpiece_free(tokenizer);
}

/* ---- on disk ----------------------------------------------------------------------------------
 */

static const char vocabulary[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[CAPTION]\na\nred\nblue\nball\n"
    "##s\nrings\nbell\n";

/* Saves a small model; the directory lives until the next call. */
static const char *saved_model(const char *name, struct captioner **out)
{
    const char *directory = test_directory(name);
    struct model_config config = tiny_config(FUSION_LOCAL_GLOBAL, 0);
    struct captioner *c = tiny_captioner(&config, backend, false);
    struct wordpiece *tokenizer;
    struct earshot_error error;

    assert_ok(wordpiece_parse("vocabulary", vocabulary, strlen(vocabulary), &tokenizer, &error));
    assert_ok(captioner_save(c, tokenizer, directory, &error));
    wordpiece_free(tokenizer);
    if (out)
        *out = c;
    else
        captioner_free(c);
    return directory;
}

static char *read_file(const char *directory, const char *name, size_t *size)
{
    char path[1200];
    struct earshot_error error;
    struct file_map map;
    char *bytes;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_ok(file_map_open(path, &map, &error));
    bytes = malloc(map.size_bytes + 1);
    assert_non_null(bytes);
    memcpy(bytes, map.data, map.size_bytes);
    bytes[map.size_bytes] = 0;
    *size = map.size_bytes;
    file_map_close(&map);
    return bytes;
}

static void write_file(const char *directory, const char *name, const void *bytes, size_t size)
{
    char path[1200];
    struct earshot_error error;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_ok(file_write_atomic(path, bytes, size, &error));
}

static void saved_and_opened(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt"};
    float *video = tiny_normals(2 * TINY_VIDEO, 1), *audio = tiny_normals(2 * TINY_AUDIO, 2);
    struct clip_batch batch = {
        .size = 2, .video = video, .audio = audio, .present = (uint8_t[]){1, 1, 0, 1, 1, 0}};
    float before[2 * LOGITS], after[2 * LOGITS];
    struct captioner *c, *again;
    struct wordpiece *tokenizer;
    struct earshot_error error;
    char first[1024], second[1100];

    (void)state;
    snprintf(first, sizeof first, "%s", saved_model("model", &c));
    assert_ok(captioner_open(first, backend, false, &again, &tokenizer, &error));
    assert_int_equal(wordpiece_size(tokenizer), TINY_VOCABULARY);
    run_captioner(c, &batch, before);
    run_captioner(again, &batch, after);
    assert_memory_equal(before, after, sizeof before);
    snprintf(second, sizeof second, "%s/nested/again", first);
    assert_ok(captioner_save(again, tokenizer, second, &error));
    for (int i = 0; i < 3; i++) {
        size_t size, other_size;
        char *bytes = read_file(first, files[i], &size);
        char *other = read_file(second, files[i], &other_size);

        assert_int_equal(size, other_size);
        assert_memory_equal(bytes, other, size);
        free(bytes);
        free(other);
    }
    wordpiece_free(tokenizer);
    captioner_free(c);
    captioner_free(again);
    free(video);
    free(audio);
}

/* For inference f32 weights stay where the file is mapped, if the backend reads host memory and
 * they are aligned; what comes out is the same in every case. */
static void weights_stay_in_the_file(void **state)
{
    float *video = tiny_normals(TINY_VIDEO, 1), *audio = tiny_normals(TINY_AUDIO, 2);
    struct clip_batch batch = {
        .size = 1, .video = video, .audio = audio, .present = (uint8_t[]){1, 1, 0}};
    float logits[3][LOGITS];
    struct wordpiece *tokenizer;
    struct earshot_error error;
    char directory[1024], *bytes, *shifted;
    size_t size;

    (void)state;
    snprintf(directory, sizeof directory, "%s", saved_model("mapped", NULL));
    bytes = read_file(directory, "model.safetensors", &size);
    for (int i = 0; i < 3; i++) { /* as it is; for training; a byte further on */
        struct captioner *c;

        if (i == 2) {
            uint64_t length;

            memcpy(&length, bytes, sizeof length);
            shifted = malloc(size + 1);
            assert_non_null(shifted);
            memcpy(shifted, bytes, 8 + length);
            shifted[8 + length] = ' ';
            memcpy(shifted + 8 + length + 1, bytes + 8 + length, size - 8 - length);
            length++;
            memcpy(shifted, &length, sizeof length);
            write_file(directory, "model.safetensors", shifted, size + 1);
            free(shifted);
        }
        assert_ok(captioner_open(directory, backend, i == 1, &c, &tokenizer, &error));
        for (int k = 0; k < params_count(c->params); k++)
            assert_int_equal(params_at(c->params, k)->in_place, i == 0 && backend->host_memory);
        assert_int_equal(params_bytes(c->params, false) / sizeof(float) >=
                             (size_t)params_elements(c->params),
                         true);
        run_captioner(c, &batch, logits[i]);
        wordpiece_free(tokenizer);
        captioner_free(c);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(logits[0], logits[2], sizeof logits[0]);
    free(bytes);
    free(video);
    free(audio);
}

/* Opens a directory that must be refused with a message that has every word given. */
static void assert_refused(const char *directory, enum earshot_status status, const char *word1,
                           const char *word2)
{
    struct captioner *c = (void *)1;
    struct wordpiece *tokenizer = (void *)1;
    struct earshot_error error;

    assert_int_equal(captioner_open(directory, backend, true, &c, &tokenizer, &error), status);
    assert_null(c);
    assert_null(tokenizer);
    if (!strstr(error.message, word1) || !strstr(error.message, word2))
        fail_msg("'%s' does not say '%s' and '%s'", error.message, word1, word2);
}

/* What a changed configuration makes of the same weights. */
static void configurations_that_do_not_fit(void **state)
{
    static const struct {
        const char *from, *to;
        enum earshot_status status;
        const char *word1, *word2;
    } cases[] = {
        {"\"max_length\": 9", "\"max_length\": 8", EARSHOT_ERROR_FORMAT, "model.safetensors",
         "'decoder.positions.weight' has another shape"},
        {"\"max_length\": 9", "\"max_length\": 1", EARSHOT_ERROR_ARGUMENT, "config.json",
         "max_length"},
        {"\"vocabulary\": 13", "\"vocabulary\": 14", EARSHOT_ERROR_FORMAT, "vocab.txt",
         "holds 13 tokens"},
        {"\"global_tokens\": 2", "\"global_token\": 2", EARSHOT_ERROR_ARGUMENT, "config.json",
         "fusion.global_token"},
        {"\"global_tokens\": 2", "\"global_tokens\": \"2\"", EARSHOT_ERROR_ARGUMENT, "config.json",
         "fusion.global_tokens"},
        {"\"kind\": \"local-global\"", "\"kind\": \"merged\"", EARSHOT_ERROR_FORMAT,
         "model.safetensors", "belongs to no part"},
        {"\"kind\": \"local-global\"", "\"kind\": \"cross\"", EARSHOT_ERROR_FORMAT,
         "model.safetensors", "no tensor 'fusion.layers.0.cross.video"},
        {"\"kind\": \"local-global\"", "\"kind\": \"lokal\"", EARSHOT_ERROR_ARGUMENT, "config.json",
         "lokal"},
        {"\"earshot-model\"", "\"other-model\"", EARSHOT_ERROR_FORMAT, "config.json",
         "earshot-model"},
        {"\"version\": 1", "\"version\": 2", EARSHOT_ERROR_FORMAT, "config.json", "version"},
        {"\"model\": {", "\"model\": [", EARSHOT_ERROR_FORMAT, "config.json", "not JSON"},
        {"\"model\": {", "\"modell\": {", EARSHOT_ERROR_FORMAT, "config.json", "not a JSON object"},
    };
    const char *directory = saved_model("broken", NULL);
    size_t size;
    char *config = read_file(directory, "config.json", &size);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *at = strstr(config, cases[i].from);
        struct str text = {0};

        if (!at)
            fail_msg("%s is not in config.json", cases[i].from);
        str_append(&text, config, (size_t)(at - config));
        str_append(&text, cases[i].to, strlen(cases[i].to));
        at += strlen(cases[i].from);
        str_append(&text, at, strlen(at));
        write_file(directory, "config.json", text.data, text.length);
        assert_refused(directory, cases[i].status, cases[i].word1, cases[i].word2);
        str_free(&text);
    }
    free(config);
}

static void files_that_are_broken(void **state)
{
    const char *directory = saved_model("files", NULL);
    size_t size, vocabulary_size;
    char *weights = read_file(directory, "model.safetensors", &size), path[1200];
    char *words = read_file(directory, "vocab.txt", &vocabulary_size);

    (void)state;
    write_file(directory, "model.safetensors", weights, size / 2);
    assert_refused(directory, EARSHOT_ERROR_FORMAT, "model.safetensors", "");
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    assert_int_equal(remove(path), 0);
    assert_refused(directory, EARSHOT_ERROR_IO, "model.safetensors", "");
    write_file(directory, "model.safetensors", weights, size);
    write_file(directory, "vocab.txt", words, vocabulary_size - 5);
    assert_refused(directory, EARSHOT_ERROR_FORMAT, "vocab.txt", "12 tokens");
    snprintf(path, sizeof path, "%s/vocab.txt", directory);
    assert_int_equal(remove(path), 0);
    assert_refused(directory, EARSHOT_ERROR_IO, "vocab.txt", "");
    snprintf(path, sizeof path, "%s/nowhere", directory);
    assert_refused(path, EARSHOT_ERROR_IO, "nowhere", "not a model directory");
    free(weights);
    free(words);
}

static int open_graph(void)
{
    struct graph_options options = {(size_t)16 << 20, 0, false};

    return graph_open(backend, &options, &graph, NULL);
}

static int open_cpu(void **state)
{
    (void)state;
    return backend_cpu_open(1, &backend, NULL) || open_graph();
}

static int open_guard(void **state)
{
    (void)state;
    return backend_guard_open(&backend, NULL) || open_graph();
}

static int close_all(void **state)
{
    (void)state;
    graph_close(graph);
    backend->close(backend);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),
        cmocka_unit_test(impossible_configurations),
        cmocka_unit_test(a_model_needs_a_stream),
        cmocka_unit_test(steps_equal_forward),
        cmocka_unit_test(steps_that_do_not_fit),
        cmocka_unit_test(a_batch_is_its_clips),
        cmocka_unit_test(content_of_absent_streams_is_ignored),
        cmocka_unit_test(fusion_never_sees_absent_tokens),
        cmocka_unit_test(nothing_to_look_at),
        cmocka_unit_test(padding_is_ignored),
        cmocka_unit_test(a_model_of_one_stream),
        cmocka_unit_test(without_transcripts),
        cmocka_unit_test(transcripts_to_tokens),
        cmocka_unit_test(saved_and_opened),
        cmocka_unit_test(weights_stay_in_the_file),
        cmocka_unit_test(configurations_that_do_not_fit),
        cmocka_unit_test(files_that_are_broken),
    };
    int failed = cmocka_run_group_tests_name("cpu", tests, open_cpu, close_all);

    return failed + cmocka_run_group_tests_name("guard", tests, open_guard, close_all);
}
