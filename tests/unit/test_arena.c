/* test_arena.c: bump allocation: alignment, marks, and what a measuring run reports. */
#include "support/test.h"

#include "base/arena.h"

static _Alignas(ARENA_ALIGN) unsigned char region[1024];

static void test_alignment_and_release(void **state)
{
    struct arena arena;
    unsigned char *a, *b, *c;
    size_t mark;

    (void)state;
    arena_init(&arena, region, sizeof region);
    a = arena_alloc(&arena, 1);
    b = arena_alloc(&arena, 65);
    mark = arena_mark(&arena);
    c = arena_alloc(&arena, 64);
    assert_ptr_equal(a, region);
    assert_ptr_equal(b, region + 64);
    assert_ptr_equal(c, region + 192);
    arena_release(&arena, mark);
    assert_ptr_equal(arena_alloc(&arena, 10), c);
    assert_int_equal(arena.high_water_bytes, 256);
    assert_non_null(arena_alloc(&arena, 0));
    assert_int_equal(arena.used_bytes, 256);
}

static void test_full_arena(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, region, sizeof region);
    assert_non_null(arena_alloc(&arena, 1000)); /* rounds to 1024: exactly full */
    assert_null(arena_alloc(&arena, 1));
    assert_int_equal(arena.used_bytes, 1024);
    assert_int_equal(arena.high_water_bytes, 1088); /* what would have done */
    arena_release(&arena, 0);
    assert_null(arena_alloc(&arena, 1025));
    assert_non_null(arena_alloc(&arena, 1024));
    assert_int_equal(arena.high_water_bytes, 1088);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 1024));
    assert_int_equal(arena.used_bytes, 1024);
    assert_true(arena.high_water_bytes > SIZE_MAX / 2);
}

static void test_measuring_run(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, NULL, 0);
    assert_null(arena_alloc(&arena, 500));
    assert_int_equal(arena.high_water_bytes, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_release),
        cmocka_unit_test(test_full_arena),
        cmocka_unit_test(test_measuring_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
