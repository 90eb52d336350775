/*
 * zip_directory.h: where the members of a zip archive lie in its bytes.  Private to src/weights.
 *
 * A checkpoint's tensors are members stored without compression, so they are used where they lie;
 * libzip reads members but does not say where they start.  Nothing is ever unpacked: a compressed
 * member is refused when it is asked for, so there is no archive bomb to fall for.
 *
 * Source: PKWARE APPNOTE 6.3.x, sections 4.3-4.5 (with Zip64).  Not read: encryption, archives in
 * several parts, checksums.
 */
#ifndef EARSHOT_WEIGHTS_ZIP_DIRECTORY_H
#define EARSHOT_WEIGHTS_ZIP_DIRECTORY_H

#include "base/error.h"

struct zip_member {
    const char *name; /* inside the archive's bytes, not NUL-terminated */
    size_t name_length;
    uint64_t header_offset, stored_bytes, size_bytes;
    unsigned method, flags;
};

struct zip_directory {
    const unsigned char *bytes;
    size_t size_bytes;
    struct zip_member *member; /* sorted by name */
    size_t count;
};

bool zip_is_archive(const unsigned char *bytes, size_t size_bytes);

/* Reads the central directory; bytes must outlive it. */
enum earshot_status zip_directory_read(struct zip_directory *zip, const unsigned char *bytes,
                                       size_t size_bytes, struct earshot_error *error);
void zip_directory_free(struct zip_directory *zip);

/* NULL when there is no such member. */
const struct zip_member *zip_directory_find(const struct zip_directory *zip, const char *name,
                                            size_t name_length);

/* The member's bytes, member->size_bytes of them. */
enum earshot_status zip_member_data(const struct zip_directory *zip,
                                    const struct zip_member *member, const unsigned char **data,
                                    struct earshot_error *error);

#endif
