/* test_safetensors.c: reading, writing and refusing safetensors files. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "weights/safetensors.h"

static struct earshot_error error;

/* Writes length + header + data_bytes of 0, 1, 2, ... and returns the path. */
static const char *write_raw(const char *folder, uint64_t length, const char *header,
                             size_t data_bytes)
{
    static char path[1024];
    struct str bytes = {0};

    snprintf(path, sizeof path, "%s/x.safetensors", folder);
    for (int i = 0; i < 8; i++)
        str_append(&bytes, &(char){(char)(length >> 8 * i)}, 1);
    str_append_text(&bytes, header);
    for (size_t i = 0; i < data_bytes; i++)
        str_append(&bytes, &(char){(char)i}, 1);
    assert_false(bytes.failed);
    assert_ok(file_write_atomic(path, bytes.data, bytes.length, &error));
    str_free(&bytes);
    return path;
}

static const char *write_file(const char *folder, const char *header, size_t data_bytes)
{
    return write_raw(folder, strlen(header), header, data_bytes);
}

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_hostile(void **state)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *message; /* a part of it */
    } cases[] = {
        {"", 0, "not valid JSON"},
        {"[]", 0, "not an object"},
        {"{", 0, "not valid JSON"},
        {"{\"a\":1}", 0, "not an object"},
        {"{" T("a", "F32", "[2]", "[0,8]") "}", 7, "outside the file"},
        {"{" T("a", "F32", "[2]", "[0,8]") "}", 9, "after the last tensor"},
        {"{" T("a", "F32", "[2]", "[1,9]") "}", 9, "belong to no tensor"},
        {"{" T("a", "F32", "[2]", "[0,4]") "}", 8, "need 8"},
        {"{" T("a", "F32", "[2]", "[8,0]") "}", 8, "outside"},
        {"{" T("a", "F32", "[2]", "[-8,0]") "}", 8, "outside"},
        {"{" T("a", "F32", "[2]", "[0,9223372036854775807]") "}", 8, "outside"},
        {"{" T("a", "F32", "[2]", "[0,9223372036854775808]") "}", 8, "not valid JSON"},
        {"{" T("a", "F32", "[-2]", "[0,8]") "}", 8, "negative"},
        {"{" T("a", "F32", "[-1,-2]", "[0,8]") "}", 8, "negative"},
        {"{" T("a", "F32", "[2.0]", "[0,8]") "}", 8, "not an integer"},
        {"{" T("a", "F32", "2", "[0,8]") "}", 8, "not a list"},
        {"{" T("a", "F32", "[3000000000,3000000000]", "[0,8]") "}", 8, "more elements"},
        {"{" T("a", "F32", "[4611686018427387904,4]", "[0,0]") "}", 0, "more elements"},
        {"{" T("a", "F32", "[4000000000]", "[0,8]") "}", 8, "need 16000000000"},
        {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, "dimensions"},
        {"{" T("a", "F8_E4M3", "[2]", "[0,2]") "}", 2, "F8_E4M3"},
        {"{" T("a", "f32", "[2]", "[0,8]") "}", 8, "dtype"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
        {"{" T("a", "F32", "[2]", "[0,8]") "," T("a", "F32", "[2]", "[8,16]") "}", 16, "duplicate"},
        {"{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[2]", "[4,12]") "}", 12, "overlap"},
        {"{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[2]", "[0,8]") "}", 8, "overlap"},
        {"{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[1]", "[12,16]") "}", 16,
         "no tensor"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not text"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
        {"{\"a\\u0000b\":"
         "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         4, "JSON"},
        {"{\"a\":[[[[[[[[[]]]]]]]]]}", 0, "nested"},
    };
    const char *folder = test_directory("safetensors-hostile");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = write_file(folder, cases[i].header, cases[i].data_bytes);
        struct tensor_file *file = (struct tensor_file *)&error;

        error_clear(&error);
        assert_int_not_equal(safetensors_open(path, &file, &error), EARSHOT_OK);
        assert_null(file);
        if (!strstr(error.message, cases[i].message) || !strstr(error.message, "x.safetensors"))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, error.message, cases[i].message);
    }
}

static void test_hostile_lengths(void **state)
{
    const char *folder = test_directory("safetensors-lengths");
    struct tensor_file *file;
    const char *path;
    char *header;
    size_t n = 2000000;

    (void)state;
    path = write_raw(folder, 100, "{}", 0); /* header past the end */
    assert_int_equal(safetensors_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "truncated"));
    path = write_raw(folder, UINT64_MAX, "{}", 0);
    assert_int_equal(safetensors_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_ok(file_write_atomic(path, "\2\0\0", 3, &error));
    assert_int_equal(safetensors_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_ok(file_write_atomic(path, "", 0, &error));
    assert_int_equal(safetensors_open(path, &file, &error), EARSHOT_ERROR_FORMAT);

    /* Nesting and numbers of values that would exhaust a parser. */
    header = malloc(n + 1);
    assert_non_null(header);
    memset(header, '[', n);
    header[n] = '\0';
    path = write_file(folder, header, 0);
    assert_int_equal(safetensors_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "nested"));
    memset(header, ',', n);
    memcpy(header, "{\"a\":[0", 7);
    path = write_file(folder, header, 0);
    assert_int_equal(safetensors_open(path, &file, &error), EARSHOT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "values"));
    free(header);
}

static void test_read(void **state)
{
    const char *folder = test_directory("safetensors-read");
    const char *path = write_file(
        folder,
        "{" T("b", "U8", "[3]", "[0,3]") ",\"__metadata__\":{\"format\":\"pt\",\"k\":\"\\u00e9\"}"
                                         "," T("scalar", "F32", "[]", "[3,7]") "," T(
                                             "none", "F32", "[0,9223372036854775807]",
                                             "[7,7]") "," T("i", "I16", "[2,1]", "[7,11]") "}   ",
        11);
    struct tensor_file *file;
    const struct tensor_entry *entry;
    float out[3];

    (void)state;
    assert_ok(safetensors_open(path, &file, &error));
    assert_int_equal(tensor_file_count(file), 4);
    assert_string_equal(tensor_file_at(file, 0)->name, "b");
    assert_string_equal(tensor_file_at(file, 3)->name, "i");
    assert_null(tensor_file_find(file, "absent"));
    entry = tensor_file_find(file, "b");
    assert_non_null(entry);
    assert_ok(tensor_entry_to_f32(entry, out, &error));
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == 2);
    entry = tensor_file_find(file, "scalar"); /* starts at an odd address */
    assert_int_equal(entry->rank, 0);
    assert_int_equal(entry->elements, 1);
    assert_ok(tensor_entry_to_f32(entry, out, &error));
    assert_memory_equal(out, "\3\4\5\6", 4);
    entry = tensor_file_find(file, "none");
    assert_int_equal(entry->elements, 0);
    assert_ok(tensor_entry_to_f32(entry, out, &error));
    entry = tensor_file_find(file, "i");
    assert_int_equal(entry->rank, 2);
    assert_ok(tensor_entry_to_f32(entry, out, &error));
    assert_true(out[0] == 7 + 256 * 8 && out[1] == 9 + 256 * 10);
    assert_int_equal(tensor_file_metadata_count(file), 2);
    assert_string_equal(tensor_file_metadata(file, 1)->key, "k");
    assert_string_equal(tensor_file_metadata(file, 1)->value, "\xc3\xa9");
    tensor_file_close(file);
}

static void test_round_trip(void **state)
{
    char *path = str_format("%s/out.safetensors", test_directory("safetensors-write"));
    float values[6] = {1, -2, 3.5f, -0.0f, 1e-40f, 6};
    unsigned char bytes[3] = {7, 8, 9};
    struct tensor_entry entry[] = {
        {"z", TENSOR_U8, 1, {3}, {1}, bytes, 3},
        {"a \"quoted\" \xc3\xa9", TENSOR_F32, 2, {3, 2}, {1, 3}, values, 6}, /* transposed */
        {"empty", TENSOR_F16, 2, {0, 4}, {4, 1}, NULL, 0},
        {"scalar", TENSOR_F32, 0, {0}, {0}, values + 2, 1},
    };
    struct tensor_metadata metadata[] = {{"format", "pt"}, {"line", "a\nb"}};
    const float transposed[6] = {1, -0.0f, -2, 1e-40f, 3.5f, 6};
    const struct tensor_entry *found;
    struct tensor_file *file;
    char *first, *second;
    size_t first_bytes, second_bytes;
    float out[6];

    (void)state;
    assert_ok(safetensors_write(path, entry, 4, metadata, 2, &error));
    assert_ok(file_read_text(path, 1 << 20, &first, &first_bytes, &error));
    assert_int_equal(first_bytes % 8, (3 + 24 + 0 + 4) % 8); /* the header is padded to 8 */
    assert_ok(safetensors_open(path, &file, &error));
    assert_int_equal(tensor_file_count(file), 4);
    found = tensor_file_find(file, entry[1].name);
    assert_non_null(found);
    assert_int_equal(found->stride[0], 2);
    assert_ok(tensor_entry_to_f32(found, out, &error));
    assert_memory_equal(out, transposed, sizeof out);
    assert_ok(tensor_entry_to_f32(&entry[1], out, &error)); /* the same by its strides */
    assert_memory_equal(out, transposed, sizeof out);
    assert_int_equal(tensor_file_find(file, "empty")->elements, 0);
    assert_string_equal(tensor_file_metadata(file, 1)->value, "a\nb");
    /* What was read writes the same bytes again, also over the file it is mapped from. */
    assert_ok(safetensors_write(path, tensor_file_at(file, 0), 4, tensor_file_metadata(file, 0), 2,
                                &error));
    assert_ok(file_read_text(path, 1 << 20, &second, &second_bytes, &error));
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first, second, first_bytes);
    tensor_file_close(file);
    free(first);
    free(second);

    /* No tensors, no metadata. */
    assert_ok(safetensors_write(path, NULL, 0, NULL, 0, &error));
    assert_ok(safetensors_open(path, &file, &error));
    assert_int_equal(tensor_file_count(file), 0);
    tensor_file_close(file);
    assert_ok(safetensors_write(path, NULL, 0, metadata, 1, &error));
    assert_ok(safetensors_open(path, &file, &error));
    assert_int_equal(tensor_file_metadata_count(file), 1);
    tensor_file_close(file);
    free(path);
}

static enum earshot_status supply(void *context, int64_t index, void *buffer,
                                  struct earshot_error *problem)
{
    const float *value = context;

    if (index == 2 && value[0] < 0)
        return error_set(problem, EARSHOT_ERROR_NUMERIC, "no third tensor");
    for (int i = 0; i < 6 && index == 0; i++)
        ((float *)buffer)[i] = value[i];
    if (index == 2)
        memset(buffer, 9, 5);
    return EARSHOT_OK;
}

static void test_write_supplied(void **state)
{
    char *path = str_format("%s/out.safetensors", test_directory("safetensors-supply"));
    const struct tensor_entry entry[] = {
        {.name = "a", .dtype = TENSOR_F32, .rank = 2, .dim = {2, 3}},
        {.name = "none", .dtype = TENSOR_F64, .rank = 2, .dim = {3, 0}},
        {.name = "b", .dtype = TENSOR_U8, .rank = 1, .dim = {5}},
    };
    float values[6] = {1, 2, 3, 4, 5, 6}, out[6];
    struct tensor_file *file;

    (void)state;
    assert_ok(safetensors_write_supplied(path, entry, 3, NULL, 0, supply, values, &error));
    assert_ok(safetensors_open(path, &file, &error));
    assert_ok(tensor_entry_to_f32(tensor_file_find(file, "a"), out, &error));
    assert_memory_equal(out, values, sizeof out);
    tensor_file_release(file, tensor_file_find(file, "a")); /* still readable */
    assert_ok(tensor_entry_to_f32(tensor_file_find(file, "a"), out, &error));
    assert_memory_equal(out, values, sizeof out);
    assert_ok(tensor_entry_to_f32(tensor_file_find(file, "b"), out, &error));
    assert_true(out[4] == 9);
    tensor_file_close(file);
    /* A failure half-way leaves the old file. */
    values[0] = -1;
    assert_int_equal(safetensors_write_supplied(path, entry, 3, NULL, 0, supply, values, &error),
                     EARSHOT_ERROR_NUMERIC);
    assert_ok(safetensors_open(path, &file, &error));
    assert_ok(tensor_entry_to_f32(tensor_file_find(file, "a"), out, &error));
    assert_true(out[0] == 1);
    tensor_file_close(file);
    free(path);
}

static void test_write_refuses(void **state)
{
    char *path = str_format("%s/out.safetensors", test_directory("safetensors-refuse"));
    float value = 1;
    struct tensor_entry twice[] = {{"a", TENSOR_F32, 0, {0}, {0}, &value, 1},
                                   {"a", TENSOR_F32, 0, {0}, {0}, &value, 1}};
    struct tensor_entry reserved = {"__metadata__", TENSOR_F32, 0, {0}, {0}, &value, 1};
    struct tensor_entry wrong = {"a", TENSOR_F32, 1, {2}, {1}, &value, 1};
    struct tensor_entry unset = {"a", TENSOR_F32, 1, {1}, {0}, &value, 1};
    struct tensor_entry not_utf8 = {"\xff", TENSOR_F32, 0, {0}, {0}, &value, 1};

    (void)state;
    assert_int_not_equal(safetensors_write(path, twice, 2, NULL, 0, &error), EARSHOT_OK);
    assert_int_not_equal(safetensors_write(path, &reserved, 1, NULL, 0, &error), EARSHOT_OK);
    assert_int_not_equal(safetensors_write(path, &wrong, 1, NULL, 0, &error), EARSHOT_OK);
    unset.dim[0] = unset.elements = 2; /* strides that nobody set */
    assert_int_not_equal(safetensors_write(path, &unset, 1, NULL, 0, &error), EARSHOT_OK);
    tensor_entry_set_contiguous(&unset);
    assert_int_equal(unset.stride[0], 1);
    assert_int_not_equal(safetensors_write(path, &not_utf8, 1, NULL, 0, &error), EARSHOT_OK);
    assert_false(file_exists(path));
    assert_int_equal(safetensors_write("/nonexistent/x", twice, 1, NULL, 0, &error),
                     EARSHOT_ERROR_IO);
    free(path);
}

static void test_dtypes(void **state)
{
    const unsigned char half[] = {0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x03,
                                  0x00, 0x04, 0xff, 0x7b, 0x00, 0x7c, 0x00, 0x80};
    const float half_values[] = {1, -2, 0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, 65504, 0, 0};
    const unsigned char bfloat[] = {0x80, 0x3f, 0x00, 0xc0, 0x49, 0x40};
    const double wide[] = {0.1, -1e300};
    const int64_t large[] = {-3, 1LL << 40};
    const struct tensor_entry entry[] = {
        {"h", TENSOR_F16, 1, {8}, {1}, half, 8},  {"b", TENSOR_BF16, 1, {3}, {1}, bfloat, 3},
        {"d", TENSOR_F64, 1, {2}, {1}, wide, 2},  {"l", TENSOR_I64, 1, {2}, {1}, large, 2},
        {"i", TENSOR_I32, 1, {1}, {1}, large, 1}, {"c", TENSOR_I8, 1, {1}, {1}, large, 1},
        {"u", TENSOR_U8, 1, {1}, {1}, large, 1},  {"t", TENSOR_BOOL, 1, {1}, {1}, large, 1},
    };
    float out[8];

    (void)state;
    assert_ok(tensor_entry_to_f32(&entry[0], out, &error));
    assert_memory_equal(out, half_values, 6 * sizeof *out);
    assert_true(out[6] > 3e38f && out[6] - out[6] != 0); /* infinity */
    assert_memory_equal(&out[7], &(float){-0.0f}, sizeof *out);
    assert_ok(tensor_entry_to_f32(&entry[1], out, &error));
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 3.140625f);
    assert_ok(tensor_entry_to_f32(&entry[2], out, &error));
    assert_true(out[0] == 0.1f);
    assert_ok(tensor_entry_to_f32(&entry[3], out, &error));
    assert_true(out[0] == -3 && out[1] == 0x1p40f);
    for (int i = 4; i < 6; i++) {
        assert_ok(tensor_entry_to_f32(&entry[i], out, &error));
        assert_true(out[0] == -3);
    }
    assert_ok(tensor_entry_to_f32(&entry[6], out, &error));
    assert_true(out[0] == 253);
    assert_ok(tensor_entry_to_f32(&entry[7], out, &error));
    assert_true(out[0] == 1);
}

static void write_index(const char *folder, const char *text, char path[1200])
{
    snprintf(path, 1200, "%s/model.safetensors.index.json", folder);
    assert_ok(file_write_atomic(path, text, strlen(text), &error));
}

static void test_sharded(void **state)
{
    static const struct {
        const char *index, *message;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"x\\\\s1.safetensors\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":1}}", "not text"},
        {"{\"weight_map\":{}}", "empty"},
        {"{\"weight_map\":[]}", "empty"},
        {"{\"other\":1}", "not an index"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"a\":\"s2.safetensors\"}}", "duplicate"},
        {"{\"weight_map\":{\"a\":\"absent.safetensors\"}}", "absent.safetensors"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}", "index.json"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\","
         "\"c\":\"s2.safetensors\",\"d\":\"s1.safetensors\"}}",
         "in no shard"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\"}}",
         "not in the index"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s3.safetensors\"}}", "two tensors"},
    };
    char folder[1024], path[1200], shard[1200];
    float a[2] = {1, 2}, b = 3, c[2] = {4, 5}, out[2];
    struct tensor_entry first = {"a", TENSOR_F32, 1, {2}, {1}, a, 2};
    struct tensor_entry second[] = {{"b", TENSOR_F32, 0, {0}, {0}, &b, 1},
                                    {"c", TENSOR_F32, 1, {2}, {1}, c, 2}};
    struct tensor_metadata metadata = {"format", "pt"};
    struct tensor_file *file;

    (void)state;
    snprintf(folder, sizeof folder, "%s", test_directory("safetensors-sharded"));
    snprintf(shard, sizeof shard, "%s/s1.safetensors", folder);
    assert_ok(safetensors_write(shard, &first, 1, &metadata, 1, &error));
    snprintf(shard, sizeof shard, "%s/s3.safetensors", folder);
    assert_ok(safetensors_write(shard, &first, 1, NULL, 0, &error));
    snprintf(shard, sizeof shard, "%s/s2.safetensors", folder);
    assert_ok(safetensors_write(shard, second, 2, NULL, 0, &error));
    write_index(folder,
                "{\"metadata\":{\"total_size\":20},\"weight_map\":{\"a\":\"s1.safetensors\","
                "\"b\":\"s2.safetensors\",\"c\":\"s2.safetensors\"}}",
                path);
    assert_ok(safetensors_open(path, &file, &error));
    assert_int_equal(tensor_file_count(file), 3);
    assert_ok(tensor_entry_to_f32(tensor_file_find(file, "c"), out, &error));
    assert_true(out[0] == 4 && out[1] == 5);
    assert_ok(tensor_entry_to_f32(tensor_file_find(file, "a"), out, &error));
    assert_true(out[0] == 1 && out[1] == 2);
    tensor_file_close(file);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_index(folder, bad[i].index, path);
        assert_int_not_equal(safetensors_open(path, &file, &error), EARSHOT_OK);
        assert_null(file);
        if (!strstr(error.message, bad[i].message))
            fail_msg("index %zu: \"%s\" does not say \"%s\"", i, error.message, bad[i].message);
    }
}

static void test_no_file(void **state)
{
    struct tensor_file *file;

    (void)state;
    assert_int_equal(safetensors_open("/nonexistent.safetensors", &file, &error), EARSHOT_ERROR_IO);
    assert_int_equal(safetensors_open("/", &file, &error), EARSHOT_ERROR_IO);
    assert_int_equal(safetensors_open("/nonexistent.safetensors", &file, NULL), EARSHOT_ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),       cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_read),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_dtypes),        cmocka_unit_test(test_write_supplied),
        cmocka_unit_test(test_write_refuses), cmocka_unit_test(test_sharded),
        cmocka_unit_test(test_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
