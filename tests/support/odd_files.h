/*
 * odd_files.h: a corpus of broken and odd media files, for whoever must survive them: the media
 * layer and the command line.
 */
#ifndef EARSHOT_TESTS_SUPPORT_ODD_FILES_H
#define EARSHOT_TESTS_SUPPORT_ODD_FILES_H

#include "base/error.h"

enum odd_outcome {
    ODD_OPENS, /* must open, with exactly the streams named below */
    ODD_FAILS, /* must fail with the status named below */
    ODD_EITHER /* may do either; it depends on FFmpeg how much of the damage is seen */
};

struct odd_file {
    char path[512];
    enum odd_outcome outcome;
    bool has_video, has_audio;  /* ODD_OPENS */
    enum earshot_status status; /* ODD_FAILS */
};

struct odd_files {
    struct odd_file *file;
    int count;
};

/* Makes the files in an existing directory.  Fails the running cmocka test if it cannot. */
struct odd_files odd_files_make(const char *directory);
void odd_files_free(struct odd_files *files);

#endif
