/* test_pool.c: first-fit spans against a plain model of them. */
#include "support/test.h"

#include <string.h>

#include "base/random.h"
#include "engine/pool.h"

#define BYTES 4096

static void allocates_and_frees(void **state)
{
    unsigned char *base = (unsigned char *)(uintptr_t)4096; /* never touched */
    struct pool pool;
    void *a, *b, *c;

    (void)state;
    pool_init(&pool, base, BYTES);
    a = pool_alloc(&pool, 1);
    b = pool_alloc(&pool, 65);
    c = pool_alloc(&pool, 64);
    assert_ptr_equal(a, base);
    assert_ptr_equal(b, base + 64);
    assert_ptr_equal(c, base + 192);
    assert_int_equal(pool.high_water_bytes, 256);
    pool_free(&pool, b);
    assert_ptr_equal(pool_alloc(&pool, 129), base + 256); /* does not fit the gap */
    assert_ptr_equal(pool_alloc(&pool, 128), b);          /* does */
    pool_free(&pool, base + 7);                           /* not a span: nothing happens */
    pool_free(&pool, a);
    assert_ptr_equal(pool_alloc(&pool, 0), a); /* an address of its own */
    assert_null(pool_alloc(&pool, BYTES));
    assert_int_equal(pool.high_water_bytes, 256 + 192 + BYTES); /* what would have done */
    assert_null(pool_alloc(&pool, (size_t)-1));
    assert_null(pool_alloc(&pool, (size_t)-64));
    pool_reset(&pool);
    assert_ptr_equal(pool_alloc(&pool, BYTES), base);
    pool_destroy(&pool);
}

/* Random requests: spans never overlap, stay inside, and a refusal means that no gap was large
 * enough. */
static void random_requests(void **state)
{
    static unsigned char region[BYTES], taken[BYTES / 64];
    struct random_sequence random = {1, 0, 0};
    struct pool pool;
    void *span[64];
    size_t size[64];
    int count = 0;

    (void)state;
    pool_init(&pool, region, BYTES);
    for (int i = 0; i < 20000; i++) {
        if (count == 64 || (count && random_next_below(&random, 100) < 45)) {
            int which = (int)random_next_below(&random, (uint64_t)count);

            memset(taken + ((unsigned char *)span[which] - region) / 64, 0, size[which] / 64);
            pool_free(&pool, span[which]);
            span[which] = span[--count];
            size[which] = size[count];
        } else {
            size_t wanted = 64 * (1 + (size_t)random_next_below(&random, 12)), run = 0, widest = 0;
            unsigned char *got = pool_alloc(&pool, wanted - random_next_below(&random, 64));

            for (size_t j = 0; j < BYTES / 64; j++) {
                run = taken[j] ? 0 : run + 64;
                widest = run > widest ? run : widest;
            }
            assert_true((got != NULL) == (widest >= wanted));
            if (!got)
                continue;
            assert_true(got + wanted <= region + BYTES);
            for (size_t j = 0; j < wanted / 64; j++) {
                assert_int_equal(taken[(size_t)(got - region) / 64 + j], 0);
                taken[(size_t)(got - region) / 64 + j] = 1;
            }
            span[count] = got;
            size[count++] = wanted;
        }
    }
    pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_and_frees),
        cmocka_unit_test(random_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
