/* file.c: maps, whole-file reads and atomic writes.  See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum earshot_status file_map_open(const char *path, struct file_map *map,
                                  struct earshot_error *error)
{
    struct stat info;
    void *data;
    int fd;

    *map = (struct file_map){0};
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot open", path);
    if (fstat(fd, &info) != 0) {
        error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot stat", path);
        close(fd);
        return EARSHOT_ERROR_IO;
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(error, EARSHOT_ERROR_IO, "%s: not a regular file", path);
    }
    if (info.st_size == 0) {
        close(fd);
        return EARSHOT_OK;
    }
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot map %lld bytes", path,
                        (long long)info.st_size);
        close(fd);
        return EARSHOT_ERROR_IO;
    }
    close(fd);
    map->data = data;
    map->size_bytes = (size_t)info.st_size;
    return EARSHOT_OK;
}

void file_map_close(struct file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size_bytes);
    *map = (struct file_map){0};
}

void file_map_prefetch(const struct file_map *map)
{
    if (map->data)
        madvise((void *)(uintptr_t)map->data, map->size_bytes, MADV_WILLNEED);
}

void file_map_release(const struct file_map *map, const void *data, size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (size_t)((const unsigned char *)data - map->data), end = begin + size_bytes;

    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) /* a hint: failure only costs memory */
        madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED);
}

enum earshot_status file_read_text(const char *path, size_t limit_bytes, char **text,
                                   size_t *size_bytes, struct earshot_error *error)
{
    FILE *stream = fopen(path, "rbe");
    struct str buffer = {0};
    char chunk[65536];
    size_t got;

    *text = NULL;
    if (!stream)
        return error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot open", path);
    while ((got = fread(chunk, 1, sizeof chunk, stream)) > 0) {
        if (got > limit_bytes - buffer.length) {
            fclose(stream);
            str_free(&buffer);
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: larger than the %zu bytes that such a file may have", path,
                             limit_bytes);
        }
        str_append(&buffer, chunk, got);
    }
    if (ferror(stream)) {
        error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot read", path);
        fclose(stream);
        str_free(&buffer);
        return EARSHOT_ERROR_IO;
    }
    fclose(stream);
    if (size_bytes)
        *size_bytes = buffer.length;
    *text = str_take(&buffer);
    return *text ? EARSHOT_OK : error_memory(error, buffer.length);
}

enum earshot_status file_writer_open(struct file_writer *writer, const char *path,
                                     struct earshot_error *error)
{
    mode_t mask;
    int fd;

    *writer = (struct file_writer){0};
    writer->path = str_format("%s", path);
    writer->temporary_path = str_format("%s.XXXXXX", path);
    if (!writer->path || !writer->temporary_path) {
        file_writer_abandon(writer);
        return error_memory(error, strlen(path));
    }
    fd = mkstemp(writer->temporary_path);
    if (fd < 0) {
        error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot create a temporary file beside it",
                        path);
        free(writer->temporary_path);
        writer->temporary_path = NULL;
        file_writer_abandon(writer);
        return EARSHOT_ERROR_IO;
    }
    mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    writer->stream = fdopen(fd, "wb");
    if (!writer->stream) {
        close(fd);
        file_writer_abandon(writer);
        return error_memory(error, BUFSIZ);
    }
    return EARSHOT_OK;
}

static void writer_free(struct file_writer *writer)
{
    free(writer->path);
    free(writer->temporary_path);
    *writer = (struct file_writer){0};
}

/* Makes the rename itself durable.  A file system that cannot sync a directory is not an error. */
static void sync_parent(const char *path)
{
    char *parent = str_format("%s", path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    int fd;

    if (slash)
        slash[slash == parent] = '\0';
    fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(parent);
}

enum earshot_status file_writer_commit(struct file_writer *writer, struct earshot_error *error)
{
    bool written = !ferror(writer->stream) && fflush(writer->stream) == 0 &&
                   fsync(fileno(writer->stream)) == 0;
    bool closed = fclose(writer->stream) == 0;

    writer->stream = NULL;
    if (!written || !closed || rename(writer->temporary_path, writer->path) != 0) {
        error_set_errno(error, EARSHOT_ERROR_IO,
                        "%s: cannot write (the previous file, if any, is untouched)", writer->path);
        file_writer_abandon(writer);
        return EARSHOT_ERROR_IO;
    }
    sync_parent(writer->path);
    writer_free(writer);
    return EARSHOT_OK;
}

void file_writer_abandon(struct file_writer *writer)
{
    if (writer->stream)
        fclose(writer->stream);
    if (writer->temporary_path)
        unlink(writer->temporary_path);
    writer_free(writer);
}

enum earshot_status file_write_atomic(const char *path, const void *data, size_t size_bytes,
                                      struct earshot_error *error)
{
    struct file_writer writer;
    enum earshot_status status = file_writer_open(&writer, path, error);

    if (status != EARSHOT_OK)
        return status;
    fwrite(data, 1, size_bytes, writer.stream); /* commit looks at ferror */
    return file_writer_commit(&writer, error);
}

enum earshot_status file_make_directories(const char *path, struct earshot_error *error)
{
    char *copy = str_format("%s", path);

    if (!copy)
        return error_memory(error, strlen(path));
    for (char *p = copy + (copy[0] == '/');; p++) {
        char end = *p;

        if (end != '/' && end != '\0')
            continue;
        *p = '\0';
        if (copy[0] && mkdir(copy, 0777) != 0 && errno != EEXIST) {
            error_set_errno(error, EARSHOT_ERROR_IO, "%s: cannot create directory", copy);
            free(copy);
            return EARSHOT_ERROR_IO;
        }
        if (end == '\0')
            break;
        *p = '/';
    }
    free(copy);
    return EARSHOT_OK;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_same(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
