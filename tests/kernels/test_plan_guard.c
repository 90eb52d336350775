/* test_plan_guard.c: what the plan backend counts, and that guarded memory is unreadable. */
#include "support/kernels.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void plan_counts(void **state)
{
    struct earshot_error error;
    struct attention a = {.batch = 2, .heads = 3, .nq = 4, .nk = 5, .head_dim = 7};
    const struct low_weight low = {.type = WEIGHT_BF16};
    struct backend *b;
    float loss = 5, *x, *y;

    (void)state;
    assert_ok(backend_plan_open(&b, &error));
    x = b->mem_alloc(b, 0);
    y = b->mem_alloc(b, (size_t)1 << 40);
    assert_non_null(x);
    assert_ptr_not_equal(x, y);
    assert_int_equal((uintptr_t)y % 64, 0);
    b->linear_fwd(b, 10, 20, 30, x, x, NULL, y);
    assert_true(backend_plan_multiply_adds(b) == 6000);
    b->linear_gelu_fwd(b, 10, 20, 30, x, x, NULL, y, NULL);
    assert_true(backend_plan_multiply_adds(b) == 12000);
    b->linear_bwd(b, 10, 20, 30, x, x, y, NULL, true, y, NULL);
    assert_true(backend_plan_multiply_adds(b) == 18000);
    b->linear_low_fwd(b, 10, 20, 30, x, &low, NULL, true, y);
    b->embed_low_fwd(b, 10, 20, (int32_t *)x, 30, &low, y);
    assert_true(backend_plan_multiply_adds(b) == 24000);
    backend_plan_reset(b);
    b->attention_fwd(b, &a, x, x, x, y, NULL, NULL);
    assert_true(backend_plan_multiply_adds(b) == 2 * 2 * 3 * 4 * 5 * 7);
    backend_plan_reset(b);
    a.causal = true; /* 2 + 3 + 4 + 5 pairs a head */
    b->attention_fwd(b, &a, x, x, x, y, NULL, NULL);
    assert_true(backend_plan_multiply_adds(b) == 2 * 2 * 3 * 14 * 7);
    backend_plan_reset(b);
    b->attention_bwd(b, &a, x, x, x, y, NULL, y, y, true, y, y, true, NULL);
    assert_true(backend_plan_multiply_adds(b) == 5 * 2 * 3 * 14 * 7);
    b->download_act(b, &loss, x, 1);
    assert_true(loss == 0);
    assert_true(b->sum_squares(b, 100, x) == 0);
    b->gelu_fwd(b, 100, x, y);
    b->mem_free(b, y, (size_t)1 << 40);
    b->close(b);
}

static void every_slot_is_there(void **state)
{
    struct earshot_error error;
    struct backend *opened[3];

    (void)state;
    assert_ok(backend_cpu_open(0, &opened[0], &error));
    assert_ok(backend_guard_open(&opened[1], &error));
    assert_ok(backend_plan_open(&opened[2], &error));
    for (int i = 0; i < 3; i++) {
        void (**slot)(void) = (void (**)(void))(void *)&opened[i]->mem_alloc;
        void (**end)(void) = (void (**)(void))(void *)(&opened[i]->close + 1);

        for (; slot < end; slot++)
            assert_true(*slot != NULL);
        opened[i]->close(opened[i]);
    }
}

/* A child that touches a guarded block must die of it. */
static void guarded_memory_is_unreadable(void **state)
{
    struct earshot_error error;
    struct backend *b;
    volatile float *x;
    pid_t child;
    int status;

    (void)state;
    assert_ok(backend_guard_open(&b, &error));
    x = b->mem_alloc(b, 400);
    b->mem_zero(b, (void *)x, 400);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        _exit(x[0] == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    b->close(b); /* frees what was not given back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_counts),
        cmocka_unit_test(every_slot_is_there),
        cmocka_unit_test(guarded_memory_is_unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
