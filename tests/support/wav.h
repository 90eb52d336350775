/*
 * wav.h: plain PCM16 WAV files for tests, so that what a test knows of a sound does not come
 * through the reader under test.  Canonical RIFF files only (what the fixtures are).
 */
#ifndef EARSHOT_TESTS_SUPPORT_WAV_H
#define EARSHOT_TESTS_SUPPORT_WAV_H

#include <stdint.h>

#include "base/error.h"

struct wav {
    int rate_hz, channels;
    int64_t count;   /* samples of one channel */
    int16_t *sample; /* [count][channels], malloc'd */
};

/* FORMAT if it is not a RIFF file of 16-bit integer samples. */
enum earshot_status wav_read(const char *path, struct wav *wav, struct earshot_error *error);
enum earshot_status wav_write(const char *path, const struct wav *wav, struct earshot_error *error);
void wav_free(struct wav *wav);

#endif
