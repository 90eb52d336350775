/* test.c: paths for tests.  See test.h. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

const char *test_fixture(const char *name)
{
    static char path[1024];

    snprintf(path, sizeof path, "%s/tests/fixtures/%s", EARSHOT_SOURCE_DIR, name);
    return path;
}

const char *test_directory(const char *name)
{
    static char path[1024];
    char command[1200];

    snprintf(path, sizeof path, "%s/test-output/%s", EARSHOT_BUILD_DIR, name);
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0 || file_make_directories(path, NULL) != EARSHOT_OK)
        fail_msg("cannot make %s", path);
    return path;
}
