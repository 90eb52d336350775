/* wav.c: PCM16 WAV files for tests.  See wav.h. */
#include "support/wav.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static uint32_t get(const unsigned char *p, int bytes)
{
    uint32_t value = 0;

    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * i;
    return value;
}

static enum earshot_status parse(const unsigned char *p, size_t size, struct wav *wav,
                                 struct earshot_error *error)
{
    if (size < 12 || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WAVE", 4) != 0)
        return error_set(error, EARSHOT_ERROR_FORMAT, "not a RIFF WAVE file");
    for (size_t at = 12; at + 8 <= size;) {
        size_t length = get(p + at + 4, 4), left = size - at - 8;
        const unsigned char *body = p + at + 8;

        if (length > left)
            length = left;
        if (memcmp(p + at, "fmt ", 4) == 0 && length >= 16) {
            if (get(body, 2) != 1 || get(body + 14, 2) != 16)
                return error_set(error, EARSHOT_ERROR_FORMAT, "not 16-bit integer samples");
            wav->channels = (int)get(body + 2, 2);
            wav->rate_hz = (int)get(body + 4, 4);
        } else if (memcmp(p + at, "data", 4) == 0 && wav->channels > 0) {
            wav->count = (int64_t)(length / 2 / (size_t)wav->channels);
            wav->sample = malloc(length + 2);
            if (!wav->sample)
                return error_memory(error, length);
            for (int64_t i = 0; i < wav->count * wav->channels; i++)
                wav->sample[i] = (int16_t)get(body + 2 * i, 2);
            return EARSHOT_OK;
        }
        at += 8 + length + (length & 1);
    }
    return error_set(error, EARSHOT_ERROR_FORMAT, "no \"fmt \" and \"data\" chunk");
}

enum earshot_status wav_read(const char *path, struct wav *wav, struct earshot_error *error)
{
    struct file_map map;
    enum earshot_status status;

    *wav = (struct wav){0};
    status = file_map_open(path, &map, error);
    if (status != EARSHOT_OK)
        return status;
    status = parse(map.data, map.size_bytes, wav, error);
    file_map_close(&map);
    return status == EARSHOT_OK ? status : error_context(error, "%s", path);
}

static void put(unsigned char *p, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

enum earshot_status wav_write(const char *path, const struct wav *wav, struct earshot_error *error)
{
    size_t body = (size_t)wav->count * (size_t)wav->channels * 2;
    unsigned char *bytes = malloc(44 + body);
    enum earshot_status status;

    if (!bytes)
        return error_memory(error, 44 + body);
    memcpy(bytes, "RIFF....WAVEfmt ", 16);
    put(bytes + 4, (uint32_t)(36 + body), 4);
    put(bytes + 16, 16, 4);
    put(bytes + 20, 1, 2);
    put(bytes + 22, (uint32_t)wav->channels, 2);
    put(bytes + 24, (uint32_t)wav->rate_hz, 4);
    put(bytes + 28, (uint32_t)(wav->rate_hz * wav->channels * 2), 4);
    put(bytes + 32, (uint32_t)wav->channels * 2, 2);
    put(bytes + 34, 16, 2);
    memcpy(bytes + 36, "data", 4);
    put(bytes + 40, (uint32_t)body, 4);
    for (size_t i = 0; i < body / 2; i++)
        put(bytes + 44 + 2 * i, (uint16_t)wav->sample[i], 2);
    status = file_write_atomic(path, bytes, 44 + body, error);
    free(bytes);
    return status;
}

void wav_free(struct wav *wav)
{
    free(wav->sample);
    *wav = (struct wav){0};
}
