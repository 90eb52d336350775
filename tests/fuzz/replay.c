/* replay.c: runs a fuzz target over every file of a kept corpus: the regression form of a fuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *stream = fopen(path, "rb");
    unsigned char *data;
    long size;

    if (!stream || fseek(stream, 0, SEEK_END) != 0 || (size = ftell(stream)) < 0)
        return 1;
    rewind(stream);
    data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, stream) != (size_t)size)
        return 1;
    fclose(stream);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent *entry;
    int count = 0;
    DIR *dir;

    if (argc != 2 || !(dir = opendir(argv[1]))) {
        fprintf(stderr, "usage: %s CORPUS_DIR\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir))) {
        char path[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (replay(path) != 0) {
            fprintf(stderr, "%s: cannot read\n", path);
            return 1;
        }
        count++;
    }
    closedir(dir);
    printf("%d corpus files replayed\n", count);
    return count == 0;
}
