/*
 * file.h: whole-file reads, read-only maps, and writes that never leave half a file behind.
 */
#ifndef EARSHOT_BASE_FILE_H
#define EARSHOT_BASE_FILE_H

#include <stdio.h>

#include "base/error.h"

/* A read-only view of a file.  data is NULL when size_bytes is 0. */
struct file_map {
    const unsigned char *data;
    size_t size_bytes;
};

/* Maps a regular file.  The map stays valid until file_unmap, also when the path is replaced. */
enum earshot_status file_map_open(const char *path, struct file_map *map,
                                  struct earshot_error *error);
void file_map_close(struct file_map *map);

/* Asks the system to read the file ahead, in the background: a hint. */
void file_map_prefetch(const struct file_map *map);

/* Gives back the memory behind the whole pages of [data, data + size_bytes), a part of the map;
 * they are read from the file again when touched. */
void file_map_release(const struct file_map *map, const void *data, size_t size_bytes);

/* Reads a whole file (or a pipe) of at most limit_bytes into malloc'd memory with a NUL after it.
 * *text is the caller's to free.  size_bytes may be NULL. */
enum earshot_status file_read_text(const char *path, size_t limit_bytes, char **text,
                                   size_t *size_bytes, struct earshot_error *error);

/*
 * Atomic write: a temporary file beside the target, flushed to disk, then renamed over it.
 *
 *     struct file_writer writer;
 *     file_writer_open(&writer, path, &error) ... fwrite(..., writer.stream) ...
 *     file_writer_commit(&writer, &error)   or   file_writer_abandon(&writer)
 *
 * Until commit returns EARSHOT_OK the old file is untouched.  Both end the writer.
 */
struct file_writer {
    FILE *stream;
    char *path;
    char *temporary_path;
};

enum earshot_status file_writer_open(struct file_writer *writer, const char *path,
                                     struct earshot_error *error);
enum earshot_status file_writer_commit(struct file_writer *writer, struct earshot_error *error);
void file_writer_abandon(struct file_writer *writer);

/* The three steps for a buffer that is already whole. */
enum earshot_status file_write_atomic(const char *path, const void *data, size_t size_bytes,
                                      struct earshot_error *error);

/* mkdir -p.  An existing directory is no error. */
enum earshot_status file_make_directories(const char *path, struct earshot_error *error);

bool file_exists(const char *path);
/* Both are there, and are one file or one folder. */
bool file_same(const char *a, const char *b);

#endif
