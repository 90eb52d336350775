/* test_torch.c: torch.save files in both forms, well-formed and hostile. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "support/torch_files.h"
#include "weights/pickle.h"
#include "weights/torch.h"
#include "weights/weights.h"

static struct earshot_error error;

static const float numbers[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static const struct pickle_tensor_spec plain = {"FloatStorage", "0",    12,   0, 2,
                                                {3, 4},         {4, 1}, false};

/* Parses bytes, which are freed; on success the table's data is only compared by the caller
 * before it frees the returned copy. */
struct parsed {
    struct tensor_file *file; /* NULL on failure */
    struct str bytes;
};

static struct parsed parse(struct str bytes)
{
    struct parsed parsed = {.bytes = bytes};

    error_clear(&error);
    assert_false(bytes.failed);
    assert_ok(tensor_table_new(&parsed.file, &error));
    if (torch_parse(parsed.file, (const unsigned char *)bytes.data, bytes.length, &error) !=
        EARSHOT_OK) {
        tensor_file_close(parsed.file);
        parsed.file = NULL;
        assert_int_not_equal(error.status, EARSHOT_OK);
    }
    return parsed;
}

static void parsed_free(struct parsed *parsed)
{
    tensor_file_close(parsed->file);
    str_free(&parsed->bytes);
}

/* The bytes are refused with this status and a message that says `message`. */
static void refused(struct str bytes, enum earshot_status status, const char *message)
{
    struct parsed parsed = parse(bytes);

    if (parsed.file || error.status != status || !strstr(error.message, message))
        fail_msg("wanted \"%s\" (%d), got \"%s\" (%d)", message, status, error.message,
                 error.status);
    parsed_free(&parsed);
}

static void assert_values(const struct tensor_file *file, const char *name, int64_t count,
                          const float *wanted)
{
    const struct tensor_entry *entry = tensor_file_find(file, name);
    float out[16];

    if (!entry)
        fail_msg("no tensor %s", name);
    assert_int_equal(entry->elements, count);
    assert_ok(tensor_entry_to_f32(entry, out, &error));
    assert_memory_equal(out, wanted, (size_t)count * sizeof *out);
}

/* A pickle of {"w": tensor} in storage 0. */
static struct str one_tensor(const struct pickle_tensor_spec *spec)
{
    struct str s = {0};

    pickle_begin_dict(&s);
    pickle_put_text(&s, "w");
    pickle_put_tensor(&s, spec);
    pickle_end_dict(&s);
    return s;
}

static struct str zip_of(struct str pickle)
{
    struct str out = torch_zip(&pickle, numbers, sizeof numbers);

    str_free(&pickle);
    return out;
}

static void test_views(void **state)
{
    const float transposed[] = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11};
    const float part[] = {5, 7, 9}, repeated[] = {11, 11, 11};
    struct pickle_tensor_spec view = plain;
    struct str s = {0};
    struct parsed parsed;

    (void)state;
    pickle_begin_dict(&s);
    pickle_put_text(&s, "plain");
    pickle_put_tensor(&s, &plain);
    view = (struct pickle_tensor_spec){"FloatStorage", "0", 12, 0, 2, {4, 3}, {1, 4}, false};
    pickle_put_text(&s, "transposed");
    pickle_put_tensor(&s, &view);
    view = (struct pickle_tensor_spec){"FloatStorage", "0", 12, 5, 1, {3}, {2}, false};
    pickle_put_text(&s, "part");
    pickle_put_tensor(&s, &view);
    view = (struct pickle_tensor_spec){"FloatStorage", "0", 12, 11, 2, {3, 1}, {0, 7}, false};
    pickle_put_text(&s, "repeated");
    pickle_put_tensor(&s, &view);
    view = (struct pickle_tensor_spec){"FloatStorage", "0", 12, 3, 0, {0}, {0}, false};
    pickle_put_text(&s, "scalar");
    pickle_put_tensor(&s, &view);
    view = (struct pickle_tensor_spec){"FloatStorage", "0", 12, 12, 2, {0, 9}, {9, 1}, false};
    pickle_put_text(&s, "empty");
    pickle_put_tensor(&s, &view);
    pickle_end_dict(&s);
    parsed = parse(zip_of(s));
    if (!parsed.file)
        fail_msg("%s", error.message);
    assert_int_equal(tensor_file_count(parsed.file), 6);
    assert_string_equal(tensor_file_at(parsed.file, 1)->name, "transposed");
    assert_values(parsed.file, "plain", 12, numbers);
    assert_values(parsed.file, "transposed", 12, transposed);
    assert_values(parsed.file, "part", 3, part);
    assert_values(parsed.file, "repeated", 3, repeated);
    assert_values(parsed.file, "scalar", 1, numbers + 3);
    assert_values(parsed.file, "empty", 0, NULL);
    /* Used where it lies: an odd address inside the file's bytes. */
    assert_true((const char *)tensor_file_find(parsed.file, "plain")->data > parsed.bytes.data);
    parsed_free(&parsed);
}

static void test_dtypes(void **state)
{
    static const struct {
        const char *storage_type;
        int64_t elements;
        enum tensor_dtype dtype;
    } cases[] = {
        {"DoubleStorage", 6, TENSOR_F64}, {"FloatStorage", 12, TENSOR_F32},
        {"HalfStorage", 24, TENSOR_F16},  {"BFloat16Storage", 24, TENSOR_BF16},
        {"LongStorage", 6, TENSOR_I64},   {"IntStorage", 12, TENSOR_I32},
        {"ShortStorage", 24, TENSOR_I16}, {"CharStorage", 48, TENSOR_I8},
        {"ByteStorage", 48, TENSOR_U8},   {"BoolStorage", 48, TENSOR_BOOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pickle_tensor_spec spec = {
            cases[i].storage_type, "0", cases[i].elements, 1, 1, {2}, {1}, false};
        struct parsed parsed = parse(zip_of(one_tensor(&spec)));

        if (!parsed.file)
            fail_msg("%s: %s", cases[i].storage_type, error.message);
        assert_int_equal(tensor_file_at(parsed.file, 0)->dtype, cases[i].dtype);
        parsed_free(&parsed);
        spec.storage_elements++; /* does not match the size of the storage in the archive */
        refused(zip_of(one_tensor(&spec)), EARSHOT_ERROR_FORMAT, "has 48 bytes");
        spec.storage_elements--;
        spec.dim[0] = cases[i].elements; /* offset 1: one too many */
        refused(zip_of(one_tensor(&spec)), EARSHOT_ERROR_FORMAT, "past the end of its storage");
    }
}

/* Everything that may stand around a state dict. */
static void test_places(void **state)
{
    static const char *const place[] = {"state_dict", "model", "model_state_dict"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct pickle_tensor_spec step = {"FloatStorage", "0", 12, 3, 0, {0}, {0}, false};
        struct str s = {0};
        struct parsed parsed;

        pickle_begin_dict(&s);
        pickle_put_text(&s, "meta");
        /* {"lr": [0.5, None, True, -5, 1 << 40, ("a",)], 3: "three"} */
        str_append_text(&s, "}(");
        pickle_put_text(&s, "lr");
        str_append(&s, "](G\x3f\xe0\0\0\0\0\0\0N\x88", 13);
        pickle_put_int(&s, -5);
        pickle_put_int(&s, (int64_t)1 << 40);
        pickle_put_text(&s, "a");
        str_append_text(&s, "\x85"
                            "eK\3");
        pickle_put_text(&s, "three");
        str_append_text(&s, "u");
        pickle_put_text(&s, "step"); /* a loose tensor beside the state dict */
        pickle_put_tensor(&s, &step);
        pickle_put_text(&s, place[i]);
        pickle_put_global(&s, "collections", "OrderedDict");
        str_append_text(&s, ")R(");
        pickle_put_text(&s, "layer.weight");
        pickle_put_global(&s, "torch._utils", "_rebuild_parameter");
        str_append_text(&s, "(");
        pickle_put_tensor(&s, &plain);
        pickle_put_op(&s, 0x88);
        pickle_put_global(&s, "collections", "OrderedDict");
        str_append_text(&s, ")RtR");
        pickle_put_text(&s, "not a tensor");
        pickle_put_int(&s, 7);
        str_append_text(&s, "u}"); /* attributes, as nn.Module.state_dict sets them */
        pickle_put_text(&s, "_metadata");
        str_append_text(&s, "}sb");
        pickle_end_dict(&s);
        parsed = parse(zip_of(s));
        if (!parsed.file)
            fail_msg("%s", error.message);
        assert_int_equal(tensor_file_count(parsed.file), 1);
        assert_values(parsed.file, "layer.weight", 12, numbers);
        parsed_free(&parsed);
    }
}

/* Protocol 4 writes frames, short texts, MEMOIZE and STACK_GLOBAL. */
static void test_protocol_4(void **state)
{
    static const char start[] = "\x80\x04\x95\0\1\0\0\0\0\0\0}\x94(\x8c\1w\x94\x8c\x0ctorch._utils"
                                "\x94\x8c\x12_rebuild_tensor_v2\x94\x93\x94((\x8c\7storage\x94"
                                "\x8c\5torch\x94\x8c\x0c"
                                "FloatStorage\x94\x93\x94\x8c\1"
                                "0\x94"
                                "\x8c\3cpu\x94K\x0ct\x94QK\0K\x0c\x85\x94K\1\x85\x94\x89"
                                "\x8c\x0b"
                                "collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94"
                                "t\x94R\x94u.";
    struct str s = {0};
    struct parsed parsed;

    (void)state;
    str_append(&s, start, sizeof start - 1);
    parsed = parse(zip_of(s));
    if (!parsed.file)
        fail_msg("%s", error.message);
    assert_values(parsed.file, "w", 12, numbers);
    parsed_free(&parsed);
}

static void test_legacy(void **state)
{
    struct pickle_tensor_spec spec = plain;
    struct str pickle;
    struct parsed parsed;

    (void)state;
    spec.legacy = true;
    spec.key = "94021";
    pickle = one_tensor(&spec);
    parsed = parse(torch_legacy(&pickle, "94021", numbers, sizeof numbers, 12));
    if (!parsed.file)
        fail_msg("%s", error.message);
    assert_values(parsed.file, "w", 12, numbers);
    parsed_free(&parsed);
    /* The last byte missing, a wrong count, an unknown key, a huge count. */
    refused(torch_legacy(&pickle, "94021", numbers, sizeof numbers - 1, 12), EARSHOT_ERROR_FORMAT,
            "truncated");
    refused(torch_legacy(&pickle, "94021", numbers, sizeof numbers, 11), EARSHOT_ERROR_FORMAT,
            "has 11 elements");
    refused(torch_legacy(&pickle, "94021", numbers, sizeof numbers, INT64_MIN),
            EARSHOT_ERROR_FORMAT, "elements");
    refused(torch_legacy(&pickle, "94022", numbers, sizeof numbers, 12), EARSHOT_ERROR_FORMAT,
            "unknown");
    str_free(&pickle);
    spec.storage_elements = (int64_t)1 << 40;
    pickle = one_tensor(&spec);
    refused(torch_legacy(&pickle, "94021", numbers, sizeof numbers, spec.storage_elements),
            EARSHOT_ERROR_FORMAT, "past the end of the file");
    str_free(&pickle);
}

static void test_legacy_truncated_anywhere(void **state)
{
    struct pickle_tensor_spec spec = plain;
    struct str pickle, whole;

    (void)state;
    spec.legacy = true;
    pickle = one_tensor(&spec);
    whole = torch_legacy(&pickle, "0", numbers, sizeof numbers, 12);
    for (size_t length = 0; length < whole.length; length++) {
        struct str part = {0};

        str_append(&part, whole.data, length);
        refused(part, EARSHOT_ERROR_FORMAT, "");
    }
    str_free(&pickle);
    str_free(&whole);
}

static void test_zip_truncated_anywhere(void **state)
{
    struct str whole = zip_of(one_tensor(&plain));

    (void)state;
    for (size_t length = 0; length < whole.length; length++) {
        struct str part = {0};

        str_append(&part, whole.data, length);
        refused(part, EARSHOT_ERROR_FORMAT, "");
    }
    str_free(&whole);
}

/* A zip checkpoint whose storage member is written with these options. */
static struct str zip_with(struct zip_options options, bool wide)
{
    struct str pickle = one_tensor(&plain);
    struct zip_builder zip = {0};

    zip_builder_add(&zip, "r/data.pkl", pickle.data, pickle.length, (struct zip_options){0});
    zip_builder_add(&zip, "r/data/0", numbers, sizeof numbers, options);
    str_free(&pickle);
    return zip_builder_finish(&zip, wide);
}

static void test_zip_forms(void **state)
{
    const struct zip_options good[] = {
        {.flags = 0x808, .no_local_size = true, .extra_bytes = 37},
        {.wide = true},
        {.extra_bytes = 65535},
    };
    struct parsed parsed;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof good / sizeof good[0]; i++) {
        parsed = parse(zip_with(good[i / 2], i % 2));
        if (!parsed.file)
            fail_msg("form %zu: %s", i, error.message);
        assert_values(parsed.file, "w", 12, numbers);
        parsed_free(&parsed);
    }
    refused(zip_with((struct zip_options){.method = 8}, true), EARSHOT_ERROR_UNSUPPORTED,
            "compressed");
    refused(zip_with((struct zip_options){.flags = 1}, true), EARSHOT_ERROR_UNSUPPORTED,
            "encrypted");
    refused(zip_with((struct zip_options){.claimed_bytes = 1000}, true), EARSHOT_ERROR_FORMAT,
            "has 1000 bytes");
    refused(zip_with((struct zip_options){.wide = true, .claimed_bytes = UINT64_MAX}, true),
            EARSHOT_ERROR_FORMAT, "bytes");
    refused(zip_with((struct zip_options){.claimed_offset = 1}, true), EARSHOT_ERROR_FORMAT,
            "does not start at its offset 1");
    refused(zip_with((struct zip_options){.wide = true, .claimed_offset = UINT64_MAX - 3}, true),
            EARSHOT_ERROR_FORMAT, "does not start");
}

static void test_zip_members(void **state)
{
    struct str pickle = one_tensor(&plain);
    struct zip_builder zip = {0};
    const struct zip_options none = {0};
    struct str whole;

    (void)state;
    zip_builder_add(&zip, "r/data.pkl", pickle.data, pickle.length, none);
    refused(zip_builder_finish(&zip, true), EARSHOT_ERROR_FORMAT, "no storage \"0\"");
    zip_builder_add(&zip, "notes.txt", "hello", 5, none);
    refused(zip_builder_finish(&zip, false), EARSHOT_ERROR_FORMAT, "not of torch.save");
    refused(zip_builder_finish(&zip, false), EARSHOT_ERROR_FORMAT, "not of torch.save");
    zip_builder_add(&zip, "r/data.pkl", pickle.data, pickle.length, none);
    zip_builder_add(&zip, "s/data.pkl", pickle.data, pickle.length, none);
    refused(zip_builder_finish(&zip, true), EARSHOT_ERROR_FORMAT, "more than one");
    zip_builder_add(&zip, "r/data.pkl", pickle.data, pickle.length, none);
    zip_builder_add(&zip, "r/data.pkl", pickle.data, pickle.length, none);
    refused(zip_builder_finish(&zip, true), EARSHOT_ERROR_FORMAT, "two members");
    zip_builder_add(&zip, "r/data.pkl", pickle.data, pickle.length, none);
    zip_builder_add(&zip, "r/data/0", numbers, sizeof numbers, none);
    zip_builder_add(&zip, "r/byteorder", "big", 3, none);
    refused(zip_builder_finish(&zip, true), EARSHOT_ERROR_UNSUPPORTED, "big-endian");
    /* A directory that announces more members than it has bytes for. */
    whole = zip_of(one_tensor(&plain));
    memset(whole.data + whole.length - 22 - 20 - 56 + 32, 0xff, 8);
    refused(whole, EARSHOT_ERROR_FORMAT, "cannot hold");
    whole = zip_of(one_tensor(&plain));
    memset(whole.data + whole.length - 22 - 20 - 56 + 48, 0xff, 8);
    refused(whole, EARSHOT_ERROR_FORMAT, "outside the file");
    whole = zip_of(one_tensor(&plain));
    memset(whole.data + whole.length - 22 - 20 + 8, 0xff, 8);
    refused(whole, EARSHOT_ERROR_FORMAT, "end record");
    str_free(&pickle);
}

static void test_hostile_tensors(void **state)
{
    static const struct {
        struct pickle_tensor_spec spec;
        enum earshot_status status;
        const char *message;
    } cases[] = {
        {{"FloatStorage", "0", 12, 0, 1, {13}, {1}, false}, EARSHOT_ERROR_FORMAT, "past the end"},
        {{"FloatStorage", "0", 12, 1, 1, {12}, {1}, false}, EARSHOT_ERROR_FORMAT, "past the end"},
        {{"FloatStorage", "0", 12, 12, 1, {1}, {1}, false}, EARSHOT_ERROR_FORMAT, "starts at"},
        {{"FloatStorage", "0", 12, 13, 1, {0}, {1}, false}, EARSHOT_ERROR_FORMAT, "starts at"},
        {{"FloatStorage", "0", 12, -1, 1, {1}, {1}, false}, EARSHOT_ERROR_FORMAT, "starts at"},
        {{"FloatStorage", "0", 12, INT64_MIN, 1, {1}, {1}, false}, EARSHOT_ERROR_FORMAT, "starts"},
        {{"FloatStorage", "0", 12, 0, 1, {-1}, {1}, false}, EARSHOT_ERROR_FORMAT, "negative"},
        {{"FloatStorage", "0", 12, 6, 1, {3}, {-1}, false}, EARSHOT_ERROR_FORMAT, "negative"},
        {{"FloatStorage", "0", 12, 0, 2, {2, 2}, {11, 1}, false}, EARSHOT_ERROR_FORMAT, "past"},
        {{"FloatStorage", "0", 12, 0, 2, {2, 2}, {INT64_MAX, INT64_MAX}, false},
         EARSHOT_ERROR_FORMAT,
         "past"},
        {{"FloatStorage", "0", 12, 0, 2, {INT64_MAX, INT64_MAX}, {0, 0}, false},
         EARSHOT_ERROR_FORMAT,
         "more elements"},
        {{"FloatStorage", "0", 12, 0, 2, {65536, 65536}, {0, 0}, false},
         EARSHOT_ERROR_UNSUPPORTED,
         "repeats"},
        {{"FloatStorage", "0", -12, 0, 1, {1}, {1}, false}, EARSHOT_ERROR_FORMAT, "impossible"},
        {{"FloatStorage", "0", INT64_MAX, 0, 1, {1}, {1}, false},
         EARSHOT_ERROR_FORMAT,
         "impossible"},
        {{"FloatStorage", "0", (int64_t)1 << 40, 0, 1, {1}, {1}, false},
         EARSHOT_ERROR_FORMAT,
         "has 48 bytes"},
        {{"FloatStorage", "../../etc/passwd", 12, 0, 1, {1}, {1}, false},
         EARSHOT_ERROR_FORMAT,
         "no storage"},
        {{"QInt8Storage", "0", 48, 0, 1, {1}, {1}, false},
         EARSHOT_ERROR_UNSUPPORTED,
         "torch.QInt8Storage"},
        {{"ComplexFloatStorage", "0", 6, 0, 1, {1}, {1}, false},
         EARSHOT_ERROR_UNSUPPORTED,
         "torch.ComplexFloatStorage"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(zip_of(one_tensor(&cases[i].spec)), cases[i].status, cases[i].message);
}

static struct str raw(const char *bytes, size_t length)
{
    struct str s = {0};

    str_append(&s, bytes, length);
    return s;
}
#define RAW(text) zip_of(raw(text, sizeof text - 1))

static void test_hostile_pickles(void **state)
{
    (void)state;
    /* Code that a Python reader would run. */
    refused(RAW("\x80\2cos\nsystem\n(X\7\0\0\0rm -rf tR."), EARSHOT_ERROR_UNSUPPORTED,
            "\"os.system\"");
    refused(RAW("\x80\2cbuiltins\neval\n)R."), EARSHOT_ERROR_UNSUPPORTED, "\"builtins.eval\"");
    refused(RAW("\x80\2ctorch\nload\n)R."), EARSHOT_ERROR_UNSUPPORTED, "\"torch.load\"");
    refused(RAW("\x80\4\x8c\2os\x8c\6system\x93)R."), EARSHOT_ERROR_UNSUPPORTED, "\"os.system\"");
    refused(RAW("(ios\nsystem\n."), EARSHOT_ERROR_UNSUPPORTED, "INST");
    refused(RAW("\x80\2}\x81."), EARSHOT_ERROR_UNSUPPORTED, "NEWOBJ");
    refused(RAW("\x80\2\x82\1."), EARSHOT_ERROR_UNSUPPORTED, "EXT1");
    refused(RAW("Phello\n."), EARSHOT_ERROR_UNSUPPORTED, "PERSID");
    refused(RAW("\x80\2\xff."), EARSHOT_ERROR_FORMAT, "0xff");
    refused(RAW("\x80\x7f."), EARSHOT_ERROR_UNSUPPORTED, "protocol");
    refused(RAW("\x80\2c\x1b[31m\x07\nx\n."), EARSHOT_ERROR_UNSUPPORTED, "?[31m?");
    /* The stack, marks and the memo. */
    refused(RAW("."), EARSHOT_ERROR_FORMAT, "empty stack");
    refused(RAW("}"), EARSHOT_ERROR_FORMAT, "truncated");
    refused(RAW("0."), EARSHOT_ERROR_FORMAT, "empty stack");
    refused(RAW("1."), EARSHOT_ERROR_FORMAT, "not begun");
    refused(RAW("t."), EARSHOT_ERROR_FORMAT, "not begun");
    refused(RAW("}u."), EARSHOT_ERROR_FORMAT, "not begun");
    refused(RAW("\x87."), EARSHOT_ERROR_FORMAT, "empty stack");
    refused(RAW("NN(\x86."), EARSHOT_ERROR_FORMAT, "empty stack");
    refused(RAW("}(Nu."), EARSHOT_ERROR_FORMAT, "not a dict");
    refused(RAW("](NNu."), EARSHOT_ERROR_FORMAT, "not a dict");
    refused(RAW("}(NNe."), EARSHOT_ERROR_FORMAT, "not a list");
    refused(RAW("NNa."), EARSHOT_ERROR_FORMAT, "not a list");
    refused(RAW("NNNs."), EARSHOT_ERROR_FORMAT, "not a dict");
    refused(RAW("h\1."), EARSHOT_ERROR_FORMAT, "not stored");
    refused(RAW("j\xff\xff\xff\xff."), EARSHOT_ERROR_FORMAT, "not stored");
    refused(RAW("Nr\xff\xff\xff\xff."), EARSHOT_ERROR_UNSUPPORTED, "more than");
    refused(RAW("q\1."), EARSHOT_ERROR_FORMAT, "empty stack");
    refused(RAW("N)R."), EARSHOT_ERROR_FORMAT, "not a function");
    refused(RAW("ccollections\nOrderedDict\nNR."), EARSHOT_ERROR_FORMAT, "not a function");
    refused(RAW("ccollections\nOrderedDict\nN\x85R."), EARSHOT_ERROR_FORMAT, "OrderedDict");
    refused(RAW("ccollections\nOrderedDict\n]Na\x85R."), EARSHOT_ERROR_FORMAT, "not a pair");
    refused(RAW("ctorch\nFloatStorage\n)R."), EARSHOT_ERROR_FORMAT, "storage type");
    refused(RAW("ctorch._utils\n_rebuild_tensor_v2\n)R."), EARSHOT_ERROR_FORMAT, "wrong kind");
    refused(RAW("ctorch._utils\n_rebuild_parameter\n)R."), EARSHOT_ERROR_FORMAT, "wrong kind");
    refused(RAW("NQ."), EARSHOT_ERROR_FORMAT, "persistent id");
    refused(RAW(")Q."), EARSHOT_ERROR_FORMAT, "persistent id");
    refused(RAW("]}b."), EARSHOT_ERROR_UNSUPPORTED, "BUILD");
    /* Operands past the end. */
    refused(RAW("X\xff\xff\xff\xff"
                "a."),
            EARSHOT_ERROR_FORMAT, "truncated");
    refused(RAW("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), EARSHOT_ERROR_FORMAT, "truncated");
    refused(RAW("\x8a\xff."), EARSHOT_ERROR_FORMAT, "truncated");
    refused(RAW("cos"), EARSHOT_ERROR_FORMAT, "truncated");
    refused(RAW("G\0\0"), EARSHOT_ERROR_FORMAT, "truncated");
    /* Well-formed, but nothing of use. */
    refused(RAW("N."), EARSHOT_ERROR_FORMAT, "no state dict");
    refused(RAW("}."), EARSHOT_ERROR_FORMAT, "no state dict");
    refused(RAW("]."), EARSHOT_ERROR_FORMAT, "no state dict");
}

/* Objects that contain themselves: {"model": itself}, a list in itself, a tuple in its own list. */
static void test_cycles(void **state)
{
    (void)state;
    refused(RAW("}q\0X\5\0\0\0modelh\0s."), EARSHOT_ERROR_FORMAT, "no state dict");
    refused(RAW("]q\0h\0a."), EARSHOT_ERROR_FORMAT, "no state dict");
    refused(RAW("]q\0(h\0t0h\0."), EARSHOT_ERROR_FORMAT, "no state dict");
}

/* `unit` over and over, with `tail` after it, as a pickle in an archive. */
static struct str repeated(const char *head, const char *unit, size_t unit_bytes, size_t count,
                           const char *tail)
{
    struct str s = {0};

    str_append_text(&s, head);
    for (size_t i = 0; i < count; i++)
        str_append(&s, unit, unit_bytes);
    str_append_text(&s, tail);
    return zip_of(s);
}

static void test_bombs(void **state)
{
    (void)state;
    /* Nesting a million deep; more objects, marks and items than are allowed. */
    refused(repeated("", "]", 1, 900000, "."), EARSHOT_ERROR_UNSUPPORTED, "Python objects");
    refused(repeated("N", "\x85", 1, 5000000, "."), EARSHOT_ERROR_UNSUPPORTED, "Python objects");
    refused(repeated("", "(", 1, 2000000, "."), EARSHOT_ERROR_UNSUPPORTED, "Python objects");
    refused(repeated("Nq\1", "h\1", 2, 2000000, "."), EARSHOT_ERROR_UNSUPPORTED, "Python objects");
    refused(repeated("]q\1", "h\1a", 3, 5000000, "."), EARSHOT_ERROR_UNSUPPORTED, "Python objects");
    /* Tuples of tuples that double at each level cost nothing: they are shared. */
    refused(repeated("N", "q\1h\1\x86", 5, 1000, "."), EARSHOT_ERROR_FORMAT, "no state dict");
}

static void test_names(void **state)
{
    struct str s = {0};

    (void)state;
    pickle_begin_dict(&s);
    for (int i = 0; i < 2; i++) {
        pickle_put_text(&s, "w");
        pickle_put_tensor(&s, &plain);
    }
    pickle_end_dict(&s);
    refused(zip_of(s), EARSHOT_ERROR_FORMAT, "two tensors");
    s = (struct str){0};
    pickle_begin_dict(&s);
    str_append(&s, "X\3\0\0\0a\0b", 8);
    pickle_put_tensor(&s, &plain);
    pickle_end_dict(&s);
    refused(zip_of(s), EARSHOT_ERROR_FORMAT, "NUL");
    s = (struct str){0};
    pickle_begin_dict(&s);
    str_append(&s, "X\x01\x02\0\0", 5);
    for (int i = 0; i < 513; i++)
        str_append_text(&s, "n");
    pickle_put_tensor(&s, &plain);
    pickle_end_dict(&s);
    refused(zip_of(s), EARSHOT_ERROR_FORMAT, "longer than 512");
}

/* Files of PyTorch itself (tests/fixtures/weights/make.py). */
static void test_written_by_torch(void **state)
{
    static const char *const cases[][2] = {
        {"dtypes.pth", "dtypes.safetensors"},
        {"views.pth", "views.safetensors"},
        {"views_legacy.pth", "views.safetensors"},
        {"views_protocol4.pth", "views.safetensors"},
        {"views_legacy_protocol4.pth", "views.safetensors"},
        {"training.pth", "training.safetensors"},
        {"training_legacy.pth", "training.safetensors"},
    };
    char path[1200];
    struct tensor_file *file, *wanted;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(path, sizeof path, "weights/%s", cases[i][0]);
        assert_ok(weights_open(test_fixture(path), &file, &error));
        snprintf(path, sizeof path, "weights/%s", cases[i][1]);
        assert_ok(weights_open(test_fixture(path), &wanted, &error));
        assert_int_equal(tensor_file_count(file), tensor_file_count(wanted));
        for (int64_t t = 0; t < tensor_file_count(wanted); t++) {
            const struct tensor_entry *want = tensor_file_at(wanted, t);
            const struct tensor_entry *got = tensor_file_find(file, want->name);
            float a[64], b[64];

            assert_non_null(got);
            assert_int_equal(got->dtype, want->dtype);
            assert_int_equal(got->rank, want->rank);
            assert_memory_equal(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim);
            assert_true(want->elements <= 64);
            assert_ok(tensor_entry_to_f32(want, a, &error));
            assert_ok(tensor_entry_to_f32(got, b, &error));
            assert_memory_equal(a, b, (size_t)want->elements * sizeof *a);
        }
        tensor_file_close(file);
        tensor_file_close(wanted);
    }
    assert_int_equal(weights_open(test_fixture("weights/module.pth"), &file, &error),
                     EARSHOT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "\"torch.nn.modules.linear.Linear\""));
}

static void test_open(void **state)
{
    char *path = str_format("%s/any.name", test_directory("torch-open"));
    struct str bytes = zip_of(one_tensor(&plain)), pickle;
    struct pickle_tensor_spec legacy = plain;
    struct tensor_file *file;

    (void)state;
    assert_ok(file_write_atomic(path, bytes.data, bytes.length, &error));
    assert_ok(weights_open(path, &file, &error));
    assert_values(file, "w", 12, numbers);
    tensor_file_close(file);
    assert_ok(file_write_atomic(path, bytes.data, bytes.length - 9, &error));
    assert_int_equal(weights_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_null(file);
    assert_non_null(strstr(error.message, "any.name"));
    str_free(&bytes);
    legacy.legacy = true;
    pickle = one_tensor(&legacy);
    bytes = torch_legacy(&pickle, "0", numbers, sizeof numbers, 12);
    assert_ok(file_write_atomic(path, bytes.data, bytes.length, &error));
    assert_ok(weights_open(path, &file, &error));
    assert_values(file, "w", 12, numbers);
    tensor_file_close(file);
    str_free(&bytes);
    str_free(&pickle);
    assert_ok(file_write_atomic(path, "\2\0\0\0\0\0\0\0{}", 10, &error));
    assert_ok(weights_open(path, &file, &error));
    assert_int_equal(tensor_file_count(file), 0);
    tensor_file_close(file);
    assert_ok(file_write_atomic(path, "\x89HDF\r\n\x1a\n", 8, &error));
    assert_int_equal(weights_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "expected safetensors"));
    assert_ok(file_write_atomic(path, "", 0, &error));
    assert_int_equal(weights_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_ok(file_write_atomic(path, " {\"weight_map\": {}}", 19, &error));
    assert_int_equal(weights_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "weight_map"));
    assert_int_equal(weights_open("/nonexistent", &file, &error), EARSHOT_ERROR_IO);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_protocol_4),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_legacy_truncated_anywhere),
        cmocka_unit_test(test_zip_truncated_anywhere),
        cmocka_unit_test(test_zip_forms),
        cmocka_unit_test(test_zip_members),
        cmocka_unit_test(test_hostile_tensors),
        cmocka_unit_test(test_hostile_pickles),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_written_by_torch),
        cmocka_unit_test(test_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
