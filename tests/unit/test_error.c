/* test_error.c: messages grow from the inside out, fit their buffer, and may be unwanted. */
#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static void test_context(void **state)
{
    struct earshot_error error;

    (void)state;
    assert_int_equal(error_set(&error, EARSHOT_ERROR_FORMAT, "line %d: bad", 3),
                     EARSHOT_ERROR_FORMAT);
    assert_int_equal(error_context(&error, "%s", "a.txt"), EARSHOT_ERROR_FORMAT);
    assert_string_equal(error.message, "a.txt: line 3: bad");
    assert_int_equal(error.status, EARSHOT_ERROR_FORMAT);
    errno = ENOENT;
    error_set_errno(&error, EARSHOT_ERROR_IO, "x");
    assert_string_equal(error.message, "x: No such file or directory");
    assert_int_equal(error_memory(&error, 12), EARSHOT_ERROR_MEMORY);
    assert_non_null(strstr(error.message, "12 bytes"));
    error_clear(&error);
    assert_int_equal(error.status, EARSHOT_OK);
    assert_string_equal(error.message, "");
}

static void test_unwanted(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, EARSHOT_ERROR_IO, "x"), EARSHOT_ERROR_IO);
    assert_int_equal(error_set_errno(NULL, EARSHOT_ERROR_IO, "x"), EARSHOT_ERROR_IO);
    assert_int_equal(error_context(NULL, "x"), EARSHOT_ERROR_INTERNAL);
    assert_int_equal(error_memory(NULL, 1), EARSHOT_ERROR_MEMORY);
    error_clear(NULL);
}

static void test_long_messages_are_cut(void **state)
{
    struct earshot_error error;
    char longer[3000];

    (void)state;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    error_set(&error, EARSHOT_ERROR_IO, "%s", longer);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    error_context(&error, "%s", longer);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void test_status_names(void **state)
{
    (void)state;
    for (int i = EARSHOT_OK; i <= EARSHOT_ERROR_INTERNAL; i++)
        assert_string_not_equal(earshot_status_name((enum earshot_status)i), "unknown status");
    assert_string_equal(earshot_status_name((enum earshot_status)99), "unknown status");
    assert_string_equal(earshot_version(), EARSHOT_VERSION);
}

static void keep_line(void *context, enum log_level level, const char *line)
{
    snprintf(context, 64, "%d %s", (int)level, line);
}

static void test_log_goes_to_its_sink(void **state)
{
    char line[64] = "";

    (void)state;
    log_message(LOG_ERROR, "to nobody");
    log_set_sink(keep_line, line);
    log_message(LOG_WARNING, "%d frames", 3);
    assert_string_equal(line, "1 3 frames");
    log_set_sink(NULL, NULL);
    log_message(LOG_WARNING, "to nobody");
    assert_string_equal(line, "1 3 frames");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_unwanted),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_log_goes_to_its_sink),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
