/* test_media_writer.c: what media/writer.h writes, media/media.h reads back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "media/media.h"
#include "media/writer.h"
#include "support/test.h"

static struct earshot_error error;

enum { WIDTH = 64, HEIGHT = 48, RATE_HZ = 25, FRAMES = 50 };

/* A plain grey that says which frame it is. */
static int level_of(int frame)
{
    return 30 + 4 * frame % 200;
}

static void write_clip(const char *path, const struct media_writer_options *options, int frames)
{
    size_t size = (size_t)options->width * (size_t)options->height * 3;
    uint8_t *rgb = malloc(size);
    float *samples = NULL;
    struct media_writer *writer;
    int64_t count = 0;

    assert_ok(media_writer_open(path, options, &writer, &error));
    for (int i = 0; i < frames && options->video_codec; i++) {
        memset(rgb, level_of(i), size);
        assert_ok(media_writer_frame(writer, rgb, &error));
    }
    if (options->audio_codec) {
        count = (int64_t)options->sample_rate_hz * frames / RATE_HZ;
        samples = malloc(sizeof *samples * (size_t)(count * options->channels));
        for (int64_t i = 0; i < count; i++)
            for (int c = 0; c < options->channels; c++)
                samples[i * options->channels + c] =
                    (c == 0 ? 0.6F : 0.2F) *
                    (float)sin(2 * M_PI * 440 * (double)i / options->sample_rate_hz);
        for (int64_t i = 0; i < count; i += 777) {
            int64_t part = count - i < 777 ? count - i : 777;

            assert_ok(media_writer_audio(writer, samples + i * options->channels, part, &error));
        }
    }
    assert_ok(media_writer_finish(writer, &error));
    free(samples);
    free(rgb);
}

static void check_clip(const char *path, bool video, bool audio, double sound_tolerance)
{
    static float samples[3 * MEDIA_SAMPLE_RATE_HZ];
    uint8_t rgb[3 * 8 * 6];
    const struct media_info *info;
    struct media *media;
    int64_t count;

    assert_ok(media_open(path, NULL, &media, &error));
    info = media_get_info(media);
    assert_int_equal(info->has_video, video);
    assert_int_equal(info->has_audio, audio);
    assert_true(fabs(info->duration_s - 2) < 0.1);
    for (int i = 0; i < FRAMES && video; i++) {
        double time_s = (i + 0.75) / RATE_HZ;

        assert_ok(media_read_frames(media, &time_s, 1, 8, 6, rgb, &error));
        for (size_t k = 0; k < sizeof rgb; k++)
            if (abs(rgb[k] - level_of(i)) > 2)
                fail_msg("%s: frame %d: %d, not %d", path, i, rgb[k], level_of(i));
    }
    if (audio) {
        double squares = 0, rms;

        assert_ok(media_read_audio(media, 0, samples, 48000, &count, &error));
        if (llabs(count - 32000) > 1600)
            fail_msg("%s: %lld samples", path, (long long)count);
        for (int i = 2000; i < 30000; i++)
            squares += pow(samples[i] - 0.4 * sin(2 * M_PI * 440 * i / 16000.0), 2);
        rms = sqrt(squares / 28000);
        if (rms > sound_tolerance)
            fail_msg("%s: sound is off by %g", path, rms);
    }
    media_close(media);
}

static void writes_what_is_read_back(void **state)
{
    static const struct {
        const char *file, *video, *audio;
        int rate_hz;
        double tolerance;
    } cases[] = {
        {"h264_aac.mp4", "libx264", "aac", 44100, 0.03},
        {"h264_aac.mov", "libx264", "aac", 16000, 0.03},
        {"ffv1_flac.mkv", "ffv1", "flac", 48000, 1e-3},
        {"vp9_opus.webm", "libvpx-vp9", "libopus", 48000, 0.03},
        {"mpeg4_pcm.avi", "mpeg4", "pcm_s16le", 22050, 1e-3},
        {"h264_only.mp4", "libx264", NULL, 0, 0},
        {"sound.wav", NULL, "pcm_s16le", 16000, 1e-4},
        {"sound.flac", NULL, "flac", 44100, 1e-3},
        {"sound.m4a", NULL, "aac", 48000, 0.03},
        {"sound.mp3", NULL, "libmp3lame", 44100, 0.03},
        {"sound.ogg", NULL, "libopus", 24000, 0.03},
    };
    char directory[1024];

    (void)state;
    snprintf(directory, sizeof directory, "%s", test_directory("media_writer"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct media_writer_options options = {
            .video_codec = cases[i].video,
            .width = WIDTH,
            .height = HEIGHT,
            .frame_rate_hz = RATE_HZ,
            .quality = cases[i].video && strcmp(cases[i].video, "ffv1") != 0 ? 12 : -1,
            .audio_codec = cases[i].audio,
            .sample_rate_hz = cases[i].rate_hz,
            .channels = 2,
        };
        char file[1200];

        snprintf(file, sizeof file, "%s/%s", directory, cases[i].file);
        print_message("%s\n", cases[i].file);
        write_clip(file, &options, FRAMES);
        check_clip(file, cases[i].video, cases[i].audio, cases[i].tolerance);
    }
}

static void same_input_gives_the_same_bytes(void **state)
{
    static const char *const names[] = {"one.mp4", "two.mp4", "one.mkv", "two.mkv"};
    char directory[1024], *text[4];
    size_t sizes[4];

    (void)state;
    snprintf(directory, sizeof directory, "%s", test_directory("media_writer_same"));
    for (int i = 0; i < 4; i++) {
        struct media_writer_options options = {
            .video_codec = i < 2 ? "libx264" : "libvpx-vp9",
            .width = WIDTH,
            .height = HEIGHT,
            .frame_rate_hz = RATE_HZ,
            .quality = -1,
            .audio_codec = i < 2 ? "aac" : "flac",
            .sample_rate_hz = 16000,
            .channels = 1,
        };
        char path[1200];

        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        write_clip(path, &options, FRAMES);
        assert_ok(file_read_text(path, 1 << 20, &text[i], &sizes[i], &error));
    }
    for (int i = 0; i < 4; i += 2) {
        assert_int_equal(sizes[i], sizes[i + 1]);
        assert_memory_equal(text[i], text[i + 1], sizes[i]);
    }
    for (int i = 0; i < 4; i++)
        free(text[i]);
}

static void refuses_what_cannot_be_written(void **state)
{
    const struct media_writer_options good = {
        .video_codec = "libx264",
        .width = WIDTH,
        .height = HEIGHT,
        .frame_rate_hz = RATE_HZ,
        .quality = -1,
        .audio_codec = "aac",
        .sample_rate_hz = 16000,
        .channels = 1,
    };
    struct media_writer_options options = good;
    struct media_writer *writer;
    char directory[1024], path[1200];

    (void)state;
    snprintf(directory, sizeof directory, "%s", test_directory("media_writer_bad"));
    snprintf(path, sizeof path, "%s/bad.mp4", directory);
    options.video_codec = "no_such_encoder";
    assert_int_equal(media_writer_open(path, &options, &writer, &error), EARSHOT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "no_such_encoder"));
    options = good;
    options.audio_codec = "libx264";
    assert_int_equal(media_writer_open(path, &options, &writer, &error), EARSHOT_ERROR_UNSUPPORTED);
    options.audio_codec = "libopus";
    options.sample_rate_hz = 22050;
    assert_int_equal(media_writer_open(path, &options, &writer, &error), EARSHOT_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "22050"));
    options = good;
    options.width = 0;
    assert_int_equal(media_writer_open(path, &options, &writer, &error), EARSHOT_ERROR_ARGUMENT);
    assert_int_equal(media_writer_open("x.unknown", &good, &writer, &error),
                     EARSHOT_ERROR_UNSUPPORTED);
    assert_false(file_exists("x.unknown"));
    assert_int_equal(media_writer_open("/no/such/place/x.mp4", &good, &writer, &error),
                     EARSHOT_ERROR_IO);
    assert_null(writer);
    /* A file appears only when it is finished. */
    assert_ok(media_writer_open(path, &good, &writer, &error));
    assert_false(file_exists(path));
    media_writer_abandon(writer);
    assert_false(file_exists(path));
    assert_true(rmdir(directory) == 0); /* and nothing else was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_is_read_back),
        cmocka_unit_test(same_input_gives_the_same_bytes),
        cmocka_unit_test(refuses_what_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
