/* test_random.c: Philox 4x32-10 against its published vectors; moments of what is drawn from it. */
#include "support/test.h"

#include <math.h>

#include "base/random.h"

/* "philox4x32 10" in Random123's kat_vectors: counter, key, result. */
static void test_known_answers(void **state)
{
    static const struct {
        uint64_t index, stream, seed;
        uint32_t out[4];
    } vector[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88,
         0x0370734413198a2e,
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];

        random_block(vector[i].seed, vector[i].stream, vector[i].index, out);
        assert_memory_equal(out, vector[i].out, sizeof out);
        assert_true(random_bits(vector[i].seed, vector[i].stream, vector[i].index) ==
                    ((uint64_t)out[1] << 32 | out[0]));
    }
}

static void test_stream_names(void **state)
{
    (void)state;
    assert_true(random_stream("") == 0xcbf29ce484222325u); /* FNV-1a's published values */
    assert_true(random_stream("a") == 0xaf63dc4c8601ec8cu);
    assert_true(random_stream("foobar") == 0x85944171f73967e8u);
}

/* Each bound is at least 5 standard errors wide; the draws are fixed, so nothing here is flaky. */
static void test_moments(void **state)
{
    enum { N = 200000 };
    struct random_sequence s = {1, random_stream("moments"), 0};
    double sum = 0, square = 0, fourth = 0, low = 1, high = 0;
    int histogram[7] = {0};

    (void)state;
    for (int i = 0; i < N; i++) {
        double u = random_next_uniform(&s);

        assert_true(u >= 0 && u < 1);
        sum += u;
        square += u * u;
        low = fmin(low, u);
        high = fmax(high, u);
    }
    assert_true(fabs(sum / N - 0.5) < 0.0033);
    assert_true(fabs(square / N - 1.0 / 3) < 0.0034);
    assert_true(low < 1e-4 && high > 1 - 1e-4);
    sum = square = 0;
    for (int i = 0; i < N; i++) {
        double x = random_next_normal(&s);

        assert_true(isfinite(x));
        sum += x;
        square += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / N) < 0.012);
    assert_true(fabs(square / N - 1) < 0.016);
    assert_true(fabs(fourth / N - 3) < 0.11);
    for (int i = 0; i < N; i++)
        histogram[random_next_below(&s, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_true(fabs(histogram[i] - N / 7.0) < 5 * sqrt(N / 7.0));
    assert_int_equal(s.index, 3 * N);
}

static void test_draws_are_addressed(void **state)
{
    struct random_sequence s = {42, 7, 100};

    (void)state;
    assert_true(random_next_uniform(&s) == random_uniform(42, 7, 100));
    assert_true(random_next_normal(&s) == random_normal(42, 7, 101));
    assert_true(random_next_below(&s, 1) == 0);
    assert_true(random_next_range(&s, -2, 3) == -2 + 5 * random_uniform(42, 7, 103));
    assert_true(random_bits(42, 7, 100) != random_bits(42, 8, 100));
    assert_true(random_bits(42, 7, 100) != random_bits(43, 7, 100));
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(random_below(3, 4, i, UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_stream_names),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_draws_are_addressed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
