/*
 * zip_directory.c: reads a zip archive's central directory.  See zip_directory.h.
 *
 * Sizes come from the central directory, because writers that stream leave them 0 in the local
 * headers; the start of a member's data comes from its local header, whose name and extra fields
 * have lengths of their own.
 */
#include "weights/zip_directory.h"

#include <stdlib.h>
#include <string.h>

#define LOCAL_BYTES 30
#define CENTRAL_BYTES 46
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define COMMENT_BYTES_MAX 65535
#define MEMBER_COUNT_MAX 262144

static uint64_t read_le(const unsigned char *at, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static bool has_mark(const unsigned char *at, unsigned char third, unsigned char fourth)
{
    return at[0] == 'P' && at[1] == 'K' && at[2] == third && at[3] == fourth;
}

bool zip_is_archive(const unsigned char *bytes, size_t size_bytes)
{
    return size_bytes >= 4 && (has_mark(bytes, 3, 4) || has_mark(bytes, 5, 6));
}

/* Where the central directory is, by the end records. */
struct directory_place {
    uint64_t offset, size_bytes, count;
};

/* The Zip64 end record replaces the fields of the plain one. */
static enum earshot_status read_end64(const unsigned char *bytes, size_t end,
                                      struct directory_place *place, struct earshot_error *error)
{
    const unsigned char *locator, *record;
    uint64_t offset;

    if (end < LOCATOR_BYTES || !has_mark(bytes + end - LOCATOR_BYTES, 6, 7))
        return EARSHOT_OK;
    locator = bytes + end - LOCATOR_BYTES;
    offset = read_le(locator + 8, 8);
    if (end < LOCATOR_BYTES + END64_BYTES || offset > end - LOCATOR_BYTES - END64_BYTES ||
        !has_mark(bytes + offset, 6, 6))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "the archive's Zip64 end record is not where "
                         "it should be");
    record = bytes + offset;
    if (read_le(record + 16, 4) != 0 || read_le(record + 20, 4) != 0)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED, "the archive is one of several parts");
    *place = (struct directory_place){.count = read_le(record + 32, 8),
                                      .size_bytes = read_le(record + 40, 8),
                                      .offset = read_le(record + 48, 8)};
    return EARSHOT_OK;
}

static enum earshot_status find_directory(const unsigned char *bytes, size_t size_bytes,
                                          struct directory_place *place,
                                          struct earshot_error *error)
{
    enum earshot_status status;
    size_t end, lowest;

    if (size_bytes < END_BYTES)
        return error_set(error, EARSHOT_ERROR_FORMAT, "%zu bytes are too few for a zip archive",
                         size_bytes);
    end = size_bytes - END_BYTES;
    lowest = end > COMMENT_BYTES_MAX ? end - COMMENT_BYTES_MAX : 0;
    while (!(has_mark(bytes + end, 5, 6) &&
             read_le(bytes + end + 20, 2) == size_bytes - end - END_BYTES)) {
        if (end == lowest)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "the archive has no directory at its end: the file is truncated; "
                             "download it again");
        end--;
    }
    *place = (struct directory_place){.count = read_le(bytes + end + 10, 2),
                                      .size_bytes = read_le(bytes + end + 12, 4),
                                      .offset = read_le(bytes + end + 16, 4)};
    status = read_end64(bytes, end, place, error);
    if (status != EARSHOT_OK)
        return status;
    if (place->offset > end || place->size_bytes > end - place->offset)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "the archive's directory (%llu bytes at %llu) is outside the file",
                         (unsigned long long)place->size_bytes, (unsigned long long)place->offset);
    if (place->count > MEMBER_COUNT_MAX || place->count > place->size_bytes / CENTRAL_BYTES)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "the archive's directory cannot hold the %llu members it announces",
                         (unsigned long long)place->count);
    return EARSHOT_OK;
}

/* The Zip64 extra field holds, in this order, just the fields that are all ones in the record. */
static enum earshot_status read_extra(const unsigned char *extra, size_t length,
                                      struct zip_member *member, struct earshot_error *error)
{
    uint64_t *const field[] = {&member->size_bytes, &member->stored_bytes, &member->header_offset};

    while (length >= 4) {
        size_t size = read_le(extra + 2, 2), used = 4;

        if (size > length - 4)
            break;
        for (int i = 0; read_le(extra, 2) == 1 && i < 3; i++) {
            if (*field[i] != UINT32_MAX)
                continue;
            if (used + 8 > 4 + size)
                return error_set(error, EARSHOT_ERROR_FORMAT, "a Zip64 field is too short");
            *field[i] = read_le(extra + used, 8);
            used += 8;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
    return EARSHOT_OK;
}

static int compare_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_members(const void *a, const void *b)
{
    const struct zip_member *left = a, *right = b;

    return compare_text(left->name, left->name_length, right->name, right->name_length);
}

static int printed_length(const struct zip_member *member)
{
    return member->name_length < 200 ? (int)member->name_length : 200;
}

static enum earshot_status read_members(struct zip_directory *zip,
                                        const struct directory_place *place,
                                        struct earshot_error *error)
{
    const unsigned char *at = zip->bytes + place->offset;
    size_t left = (size_t)place->size_bytes;

    for (uint64_t i = 0; i < place->count; i++) {
        struct zip_member *member = &zip->member[zip->count++];
        size_t extra, length;

        if (left < CENTRAL_BYTES || !has_mark(at, 1, 2))
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "member %llu of the archive's directory is damaged",
                             (unsigned long long)i);
        member->flags = (unsigned)read_le(at + 8, 2);
        member->method = (unsigned)read_le(at + 10, 2);
        member->stored_bytes = read_le(at + 20, 4);
        member->size_bytes = read_le(at + 24, 4);
        member->name_length = read_le(at + 28, 2);
        extra = read_le(at + 30, 2);
        member->header_offset = read_le(at + 42, 4);
        length = CENTRAL_BYTES + member->name_length + extra + read_le(at + 32, 2);
        if (length > left)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "member %llu of the archive's directory is truncated",
                             (unsigned long long)i);
        member->name = (const char *)at + CENTRAL_BYTES;
        if (read_extra(at + CENTRAL_BYTES + member->name_length, extra, member, error) !=
            EARSHOT_OK)
            return EARSHOT_ERROR_FORMAT;
        at += length;
        left -= length;
    }
    return EARSHOT_OK;
}

enum earshot_status zip_directory_read(struct zip_directory *zip, const unsigned char *bytes,
                                       size_t size_bytes, struct earshot_error *error)
{
    struct directory_place place = {0};
    enum earshot_status status = find_directory(bytes, size_bytes, &place, error);

    *zip = (struct zip_directory){.bytes = bytes, .size_bytes = size_bytes};
    if (status != EARSHOT_OK)
        return status;
    zip->member = calloc((size_t)place.count + 1, sizeof *zip->member);
    if (!zip->member)
        return error_memory(error, ((size_t)place.count + 1) * sizeof *zip->member);
    status = read_members(zip, &place, error);
    if (status == EARSHOT_OK)
        qsort(zip->member, zip->count, sizeof *zip->member, compare_members);
    for (size_t i = 1; status == EARSHOT_OK && i < zip->count; i++)
        if (compare_members(&zip->member[i - 1], &zip->member[i]) == 0)
            status = error_set(error, EARSHOT_ERROR_FORMAT,
                               "two members of the archive are named \"%.*s\"",
                               printed_length(&zip->member[i]), zip->member[i].name);
    if (status != EARSHOT_OK)
        zip_directory_free(zip);
    return status;
}

void zip_directory_free(struct zip_directory *zip)
{
    free(zip->member);
    *zip = (struct zip_directory){0};
}

const struct zip_member *zip_directory_find(const struct zip_directory *zip, const char *name,
                                            size_t name_length)
{
    size_t low = 0, high = zip->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct zip_member *member = &zip->member[middle];
        int order = compare_text(name, name_length, member->name, member->name_length);

        if (order == 0)
            return member;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

enum earshot_status zip_member_data(const struct zip_directory *zip,
                                    const struct zip_member *member, const unsigned char **data,
                                    struct earshot_error *error)
{
    int length = printed_length(member);
    uint64_t offset = member->header_offset;
    const unsigned char *header;

    if (member->flags & 1)
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED, "archive member \"%.*s\" is encrypted",
                         length, member->name);
    if (member->method != 0)
        return error_set(
            error, EARSHOT_ERROR_UNSUPPORTED,
            "archive member \"%.*s\" is compressed (method %u), which torch.save never "
            "does; unpack the archive and pack it again without compression",
            length, member->name, member->method);
    if (member->stored_bytes != member->size_bytes)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "archive member \"%.*s\" is stored as %llu bytes but is said to have %llu",
                         length, member->name, (unsigned long long)member->stored_bytes,
                         (unsigned long long)member->size_bytes);
    if (offset > zip->size_bytes || zip->size_bytes - offset < LOCAL_BYTES ||
        !has_mark(zip->bytes + offset, 3, 4))
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "archive member \"%.*s\" does not start at its offset %llu", length,
                         member->name, (unsigned long long)offset);
    header = zip->bytes + offset;
    offset += LOCAL_BYTES + read_le(header + 26, 2) + read_le(header + 28, 2);
    if (offset > zip->size_bytes || member->size_bytes > zip->size_bytes - offset)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "archive member \"%.*s\" (%llu bytes) reaches past the end of the file",
                         length, member->name, (unsigned long long)member->size_bytes);
    *data = zip->bytes + offset;
    return EARSHOT_OK;
}
