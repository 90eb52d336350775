/* test_quantize.c: models in lower precision: written, mapped, run, and refused when broken. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/bfloat.h"
#include "base/file.h"
#include "model/export.h"
#include "model/param_file.h"
#include "model/quantize.h"
#include "support/tiny.h"

#define LENGTH 4
#define LOGITS (LENGTH * TINY_VOCABULARY)

static struct backend *backend; /* portable: weights are widened, nothing is rounded on the way */
static char work[1024];         /* a fresh directory */

static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[CAPTION]\na\nred\nblue\n"
                                 "ball\n##s\nrings\nbell\n";

/* work/NAME; lives until the next call but one. */
static const char *at(const char *name)
{
    static char path[2][1200];
    static int next;

    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s", work, name);
    return path[next];
}

/* Saves a small model as work/f32 and its forms as work/bf16 and work/int8. */
static void make_models(void)
{
    struct model_config config = tiny_config(FUSION_LOCAL_GLOBAL, 0);
    struct captioner *c = tiny_captioner(&config, backend, false);
    struct quantize_result result[2];
    struct wordpiece *tokenizer;
    struct earshot_error error;

    snprintf(work, sizeof work, "%s", test_directory("quantize"));
    assert_ok(wordpiece_parse("vocabulary", vocabulary, strlen(vocabulary), &tokenizer, &error));
    assert_ok(captioner_save(c, tokenizer, at("f32"), &error));
    assert_ok(quantize_model(at("f32"), WEIGHT_BF16, at("bf16"), &result[0], &error));
    assert_ok(quantize_model(at("f32"), WEIGHT_I8, at("int8"), &result[1], &error));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(result[i].parameters, params_elements(c->params));
        assert_true(result[i].lowered > 0 && result[i].lowered < result[i].parameters);
    }
    wordpiece_free(tokenizer);
    captioner_free(c);
}

static struct captioner *open_as(const char *name, struct backend *b, bool training)
{
    struct captioner *c;
    struct wordpiece *tokenizer;
    struct earshot_error error;

    assert_ok(captioner_open(at(name), b, training, &c, &tokenizer, &error));
    wordpiece_free(tokenizer);
    return c;
}

static struct captioner *open_model(const char *name, struct backend *b)
{
    return open_as(name, b, false);
}

static void run(const struct captioner *c, struct backend *b, float logits[LOGITS])
{
    const struct graph_options options = {(size_t)64 << 20, (size_t)1 << 16, false};
    float *video = tiny_normals(TINY_VIDEO, 1), *audio = tiny_normals(TINY_AUDIO, 2);
    struct clip_batch batch = {
        .size = 1, .video = video, .audio = audio, .present = (uint8_t[]){1, 1, 0}};
    int32_t ids[LENGTH] = {5, 6, 7, 9};
    struct earshot_error error;
    struct fusion_memory memory;
    struct stream_set streams;
    struct tensor *tokens;
    struct graph *g;

    assert_ok(graph_open(b, &options, &g, &error));
    graph_begin(g, GRAPH_INFER, 0, 0);
    streams = captioner_encode(g, c, &batch);
    memory = fusion_forward(g, &c->fusion, &streams);
    tokens = graph_input(g, ELEMENT_I32, 2, (int64_t[]){1, LENGTH}, ids);
    graph_download(g, decoder_forward(g, &c->decoder, &memory, tokens), logits);
    assert_ok(graph_status(g, &error));
    graph_close(g);
    free(video);
    free(audio);
}

/* Element i of a product as it is used. */
static float value_of(const struct param *param, int64_t i)
{
    uint32_t bits;
    float value;

    if (param->low.type == WEIGHT_I8)
        return param->low.scale[i / (param->elements / param->dim[0])] *
               (float)((const int8_t *)param->low.data)[i];
    bits = (uint32_t)((const uint16_t *)param->low.data)[i] << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What is read is what was rounded, and gives what those numbers would give in f32. */
static void written_and_run(void **state)
{
    static const char *const names[] = {"bf16", "int8"};

    (void)state;
    make_models();
    for (int k = 0; k < 2; k++) {
        /* Only what is opened for training may be written to. */
        struct captioner *f32 = open_as("f32", backend, true);
        struct captioner *low = open_model(names[k], backend);
        float logits[LOGITS], low_logits[LOGITS];
        int products = 0;

        for (int i = 0; i < params_count(f32->params); i++) {
            struct param *a = params_at(f32->params, i), *b = params_at(low->params, i);

            assert_string_equal(a->name, b->name);
            if (!a->product) {
                assert_memory_equal(a->value, b->value, (size_t)a->elements * sizeof(float));
                continue;
            }
            products++;
            assert_null(b->value);
            assert_null(b->low_memory); /* it lies where the file is mapped */
            assert_int_equal(b->low.type, k ? WEIGHT_I8 : WEIGHT_BF16);
            for (int64_t j = 0; j < a->elements; j++) {
                float step =
                    k ? b->low.scale[j / (a->elements / a->dim[0])] / 2 : fabsf(a->value[j]) / 256;

                assert_true(fabsf(a->value[j] - value_of(b, j)) <= step * 1.0001f);
                a->value[j] = value_of(b, j);
            }
        }
        assert_true(products > 20);
        assert_true(low->decoder.embedding->product);
        assert_false(low->decoder.positions->product || low->swin.patch.weight->product);
        assert_true(params_bytes(low->params, false) < params_bytes(f32->params, false));
        run(f32, backend, logits);
        run(low, backend, low_logits);
        for (int i = 0; i < LOGITS; i++)
            assert_true(fabsf(logits[i] - low_logits[i]) <= 1e-5f * (1 + fabsf(logits[i])));
        captioner_free(f32);
        captioner_free(low);
    }
}

/* A backend that cannot read host memory gets a copy, and the same answers. */
static void copied_where_it_must_be(void **state)
{
    struct earshot_error error;
    struct backend *guard, *best;

    (void)state;
    make_models();
    assert_ok(backend_guard_open(&guard, &error));
    assert_ok(backend_cpu_open(0, &best, &error));
    for (int k = 0; k < 2; k++) {
        struct captioner *copy = open_model(k ? "int8" : "bf16", guard);
        struct captioner *low = open_model(k ? "int8" : "bf16", best);
        float logits[LOGITS], copied[LOGITS];

        assert_non_null(copy->decoder.embedding->low_memory);
        run(low, best, logits);
        run(copy, guard, copied);
        assert_memory_equal(logits, copied, sizeof logits);
        captioner_free(copy);
        captioner_free(low);
    }
    best->close(best);
    guard->close(guard);
}

static void assert_says(const struct earshot_error *error, const char *word1, const char *word2)
{
    if (!strstr(error->message, word1) || !strstr(error->message, word2))
        fail_msg("'%s' does not say '%s' and '%s'", error->message, word1, word2);
}

static void only_run(void **state)
{
    struct model_config config = tiny_config(FUSION_LOCAL_GLOBAL, 0);
    struct captioner *c;
    struct wordpiece *tokenizer;
    struct export_result exported;
    struct quantize_result result;
    struct earshot_error error;
    char path[1300];

    (void)state;
    make_models();
    for (int k = 0; k < 2; k++) {
        const char *name = k ? "int8" : "bf16";

        assert_int_equal(captioner_open(at(name), backend, true, &c, &tokenizer, &error),
                         EARSHOT_ERROR_ARGUMENT);
        assert_says(&error, "quantized", "model.safetensors");
        assert_int_equal(quantize_model(at(name), WEIGHT_I8, at("again"), &result, &error),
                         EARSHOT_ERROR_ARGUMENT);
        assert_says(&error, "only a model in F32", name);
        assert_false(file_exists(at("again")));
        assert_int_equal(
            export_encoder(at(name), STREAM_AUDIO, "official", at("exported"), &exported, &error),
            EARSHOT_ERROR_ARGUMENT);
        assert_says(&error, "quantized", name);
        /* a part of it into a network that trains */
        c = tiny_captioner(&config, backend, true);
        snprintf(path, sizeof path, "%s/model.safetensors", at(name));
        assert_int_equal(
            captioner_load_parts(c, path, CAPTIONER_PART_BIT(CAPTIONER_DECODER), &error),
            EARSHOT_ERROR_ARGUMENT);
        assert_says(&error, "quantized", "decoder.");
        captioner_free(c);
        c = open_model(name, backend);
        assert_ok(
            wordpiece_parse("vocabulary", vocabulary, strlen(vocabulary), &tokenizer, &error));
        assert_int_equal(captioner_save(c, tokenizer, at("saved"), &error), EARSHOT_ERROR_ARGUMENT);
        wordpiece_free(tokenizer);
        captioner_free(c);
    }
    assert_int_equal(quantize_model(at("f32"), WEIGHT_I8, at("f32/."), &result, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_says(&error, "the model itself", "f32");
    assert_int_equal(quantize_model(at("none"), WEIGHT_I8, at("out"), &result, &error),
                     EARSHOT_ERROR_IO);
}

/* ---- files that are broken --------------------------------------------------------------------
 */

/* The entries of NAME's weights, to be changed. */
struct opened {
    struct tensor_file *file;
    struct tensor_entry *entry;
    int64_t count;
};

static struct opened open_weights(const char *name)
{
    struct opened o;
    struct earshot_error error;
    char path[1300];

    snprintf(path, sizeof path, "%s/model.safetensors", at(name));
    assert_ok(safetensors_open(path, &o.file, &error));
    o.count = tensor_file_count(o.file);
    o.entry = calloc((size_t)o.count + 1, sizeof *o.entry);
    assert_non_null(o.entry);
    for (int64_t i = 0; i < o.count; i++)
        o.entry[i] = *tensor_file_at(o.file, i);
    return o;
}

static int64_t find(const struct opened *o, const char *name)
{
    for (int64_t i = 0; i < o->count; i++)
        if (strcmp(o->entry[i].name, name) == 0)
            return i;
    fail_msg("no tensor %s", name);
    return 0;
}

/* Writes them as work/broken, with the rest of NAME. */
static void write_broken(const struct opened *o, const char *name)
{
    static const char *const beside[] = {"config.json", "vocab.txt"};
    struct earshot_error error;
    char from[1300], to[1300];

    assert_ok(file_make_directories(at("broken"), &error));
    for (int i = 0; i < 2; i++) {
        struct file_map map;

        snprintf(from, sizeof from, "%s/%s", at(name), beside[i]);
        snprintf(to, sizeof to, "%s/%s", at("broken"), beside[i]);
        assert_ok(file_map_open(from, &map, &error));
        assert_ok(file_write_atomic(to, map.data, map.size_bytes, &error));
        file_map_close(&map);
    }
    snprintf(to, sizeof to, "%s/model.safetensors", at("broken"));
    assert_ok(safetensors_write(to, o->entry, o->count, NULL, 0, &error));
}

static void close_weights(struct opened *o)
{
    tensor_file_close(o->file);
    free(o->entry);
}

static void assert_broken(const struct opened *o, const char *word1, const char *word2)
{
    struct captioner *c = (void *)1;
    struct wordpiece *tokenizer;
    struct earshot_error error;

    write_broken(o, "int8");
    assert_int_equal(captioner_open(at("broken"), backend, false, &c, &tokenizer, &error),
                     EARSHOT_ERROR_FORMAT);
    assert_null(c);
    assert_says(&error, word1, word2);
}

#define WEIGHT "decoder.layers.0.attn.proj.weight"

static void hostile_files(void **state)
{
    static float scale[1024];
    struct opened o;
    int64_t at_weight, at_scale;

    (void)state;
    make_models();
    o = open_weights("int8");
    at_weight = find(&o, WEIGHT);
    at_scale = find(&o, WEIGHT PARAM_FILE_SCALE);
    {
        struct tensor_entry kept = o.entry[at_scale], last = o.entry[o.count - 1];

        /* gone; of another type; too few; not finite; under another name */
        assert_true(at_scale != o.count - 1);
        o.entry[at_scale] = last;
        o.count--;
        assert_broken(&o, "there is no tensor", WEIGHT PARAM_FILE_SCALE);
        o.count++;
        o.entry[at_scale] = kept;
        o.entry[at_scale].dtype = TENSOR_I32;
        assert_broken(&o, "F32 numbers", WEIGHT PARAM_FILE_SCALE);
        o.entry[at_scale] = kept;
        o.entry[at_scale].dim[0]--;
        o.entry[at_scale].elements--;
        assert_broken(&o, "F32 numbers", WEIGHT PARAM_FILE_SCALE);
        o.entry[at_scale] = kept;
        assert_true(kept.elements <= 1024);
        memcpy(scale, kept.data, (size_t)kept.elements * sizeof *scale);
        scale[1] = INFINITY;
        o.entry[at_scale].data = scale;
        assert_broken(&o, "not finite", WEIGHT PARAM_FILE_SCALE);
        o.entry[at_scale] = kept;
        o.entry[at_scale].name = "decoder.norm.weight" PARAM_FILE_SCALE; /* an f32 parameter's */
        assert_broken(&o, "there is no tensor", WEIGHT PARAM_FILE_SCALE);
        o.entry[at_scale] = kept;
    }
    {
        struct tensor_entry kept = o.entry[at_weight];

        /* of another shape; twice the width and half the elements; scales that nobody needs */
        o.entry[at_weight].dim[0] /= 2;
        o.entry[at_weight].dim[1] *= 2;
        tensor_entry_set_contiguous(&o.entry[at_weight]);
        assert_broken(&o, "another shape", WEIGHT);
        o.entry[at_weight] = kept;
        o.entry[at_weight].dtype = TENSOR_BF16;
        o.entry[at_weight].dim[0] /= 2;
        tensor_entry_set_contiguous(&o.entry[at_weight]);
        assert_broken(&o, "another shape", WEIGHT);
        o.entry[at_weight] = kept;
        o.entry[at_weight].dtype = TENSOR_U8; /* read as numbers, as everywhere: now of no int8 */
        assert_broken(&o, "belongs to no part", WEIGHT PARAM_FILE_SCALE);
        o.entry[at_weight] = kept;
    }
    close_weights(&o);
}

/* Weights at odd addresses are copied to even ones: thirteen zeros, as floats where they are or as
 * bytes before all others. */
static void unaligned_weights(void **state)
{
    static const float zeros[TINY_VOCABULARY];
    struct tensor_entry bias;
    float logits[2][LOGITS];
    struct opened o;
    int64_t at_bias;

    (void)state;
    make_models();
    o = open_weights("bf16");
    at_bias = find(&o, "decoder.output.bias");
    o.entry[at_bias].data = zeros;
    bias = o.entry[at_bias];
    bias.dtype = TENSOR_I8;
    for (int odd = 0; odd < 2; odd++) {
        struct captioner *c;

        write_broken(&o, "bf16");
        c = open_model("broken", backend);
        assert_int_equal(c->decoder.layer[0].block.proj.weight->low_memory != NULL, odd);
        run(c, backend, logits[odd]);
        captioner_free(c);
        o.entry[at_bias] = o.entry[0];
        o.entry[0] = bias;
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    close_weights(&o);
}

static void not_finite_is_not_rounded_away(void **state)
{
    static float bad[4096];
    struct quantize_result result;
    struct earshot_error error;
    struct opened o;
    int64_t weight;

    (void)state;
    make_models();
    o = open_weights("f32");
    weight = find(&o, WEIGHT);
    assert_true(o.entry[weight].elements <= 4096);
    memcpy(bad, o.entry[weight].data, (size_t)o.entry[weight].elements * sizeof *bad);
    bad[5] = NAN;
    o.entry[weight].data = bad;
    write_broken(&o, "f32");
    assert_int_equal(quantize_model(at("broken"), WEIGHT_BF16, at("out"), &result, &error),
                     EARSHOT_ERROR_FORMAT);
    assert_says(&error, "element 5 is not finite", WEIGHT);
    assert_false(file_exists(at("out/model.safetensors")));
    assert_false(file_exists(at("out/config.json")));
    close_weights(&o);
}

static void nearest_bf16(void **state)
{
    (void)state;
    assert_int_equal(bfloat_from(1.0f), 0x3f80);
    assert_int_equal(bfloat_from(-2.5f), 0xc020);
    assert_int_equal(bfloat_from(1.00390625f), 0x3f80); /* half-way: the even one */
    assert_int_equal(bfloat_from(1.01171875f), 0x3f82);
    assert_int_equal(bfloat_from(1.00390637f), 0x3f81);
    assert_int_equal(bfloat_from(3.4e38f), 0x7f80);
    assert_int_equal(bfloat_from(INFINITY), 0x7f80);
    assert_int_equal(bfloat_from(-INFINITY), 0xff80);
    assert_int_equal(bfloat_from(NAN) & 0x7fc0, 0x7fc0);
    assert_int_equal(bfloat_from(-0.0f), 0x8000);
}

static int open_backend(void **state)
{
    struct earshot_error error;

    (void)state;
    assert_ok(cpu_open_isa(1, "portable", &backend, &error));
    return 0;
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
        cmocka_unit_test(nearest_bf16),
        cmocka_unit_test(written_and_run),
        cmocka_unit_test(copied_where_it_must_be),
        cmocka_unit_test(only_run),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(unaligned_weights),
        cmocka_unit_test(not_finite_is_not_rounded_away),
    };

    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
