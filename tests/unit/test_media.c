/* test_media.c: frames and sound come from the right times, in whatever order they are asked for,
 * out of the kinds of files in fixtures/media (see tools/make-media-fixtures.sh). */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/random.h"
#include "media/media.h"
#include "media/writer.h"
#include "support/test.h"

static struct earshot_error error;

static struct media *open_fixture(const char *name, const struct media_options *options)
{
    struct media *media;
    char path[256];

    snprintf(path, sizeof path, "media/%s", name);
    assert_ok(media_open(test_fixture(path), options, &media, &error));
    return media;
}

/* The mean level of the frame shown at a time. */
static int level_at(struct media *media, double time_s)
{
    uint8_t rgb[8 * 6 * 3];
    int sum = 0;

    assert_ok(media_read_frames(media, &time_s, 1, 8, 6, rgb, &error));
    for (size_t i = 0; i < sizeof rgb; i++)
        sum += rgb[i];
    return (int)lround((double)sum / sizeof rgb);
}

static void check_level(struct media *media, const char *name, double time_s, int wanted,
                        int tolerance)
{
    int level = level_at(media, time_s);

    if (abs(level - wanted) > tolerance)
        fail_msg("%s at %.3f s: level %d, not %d", name, time_s, level, wanted);
}

/* Frame n of a "steps" file is the grey 40 + 8 n and shown from offset_s + n / 25 on. */
static void check_steps(const char *name, double offset_s, int frames, int tolerance)
{
    struct random_sequence random = {.seed = 3};
    struct media *media = open_fixture(name, NULL);

    for (int n = 0; n < frames; n++)
        check_level(media, name, offset_s + (n + 0.5) / 25, 40 + 8 * n, tolerance);
    for (int n = frames - 1; n >= 0; n--)
        check_level(media, name, offset_s + (n + 0.1) / 25, 40 + 8 * n, tolerance);
    for (int i = 0; i < 40; i++) {
        int n = (int)random_next_below(&random, (uint64_t)frames);

        check_level(media, name, offset_s + (n + 0.9) / 25, 40 + 8 * n, tolerance);
    }
    /* Before the first and after the last. */
    check_level(media, name, -3, 40, tolerance);
    check_level(media, name, 1e6, 40 + 8 * (frames - 1), tolerance);
    check_level(media, name, offset_s + 2.5 / 25, 40 + 8 * 2, tolerance);
    media_close(media);
}

static void finds_frames_in_every_container(void **state)
{
    static const struct {
        const char *name;
        double offset_s;
        int frames, tolerance;
    } cases[] = {
        {"steps.mp4", 0, 24, 2},           {"fragments.mp4", 0.08, 24, 2},
        {"steps.ts", 0.023, 24, 2},        {"steps.flv", 0.023, 24, 2},
        {"steps.avi", 0, 24, 2},           {"steps.mpg", 0.01, 24, 2},
        {"steps.ogv", 0, 24, 2},           {"steps.wmv", 0, 24, 2},
        {"steps.h264", 0, 24, 2},          {"steps.mjpeg", 0, 24, 2},
        {"steps.gif", 0, 24, 8},           {"steps.apng", 0, 24, 2},
        {"ten_bit.mp4", 0, 24, 2},         {"prores.mov", 0, 4, 2},
        {"starts_at_100.mkv", 0, 24, 2},   {"late_sound.mkv", 0, 24, 2},
        {"late_picture.mkv", 0.32, 24, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_steps(cases[i].name, cases[i].offset_s, cases[i].frames, cases[i].tolerance);
}

/* Every frame by a seek of its own, in an order that never helps. */
static void seeks_to_the_same_frames_as_a_walk(void **state)
{
    static const struct {
        const char *name;
        int frames;
    } cases[] = {{"open_gop.mkv", 200}, {"open_gop.ts", 100}, {"one_key.mp4", 200}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct media *walk = open_fixture(cases[i].name, NULL);
        struct media *jump = open_fixture(cases[i].name, NULL);
        int levels[200];

        for (int n = 0; n < cases[i].frames; n++) {
            levels[n] = level_at(walk, (n + 0.5) / 25);
            if (abs(levels[n] - (40 + n)) > 1)
                fail_msg("%s: frame %d has level %d", cases[i].name, n, levels[n]);
        }
        for (int k = 0; k < cases[i].frames; k++) {
            int n = (k * 83 + 41) % cases[i].frames;

            check_level(jump, cases[i].name, (n + 0.5) / 25, levels[n], 0);
        }
        media_close(walk);
        media_close(jump);
    }
}

static void follows_variable_frame_rate(void **state)
{
    struct media *media = open_fixture("variable_rate.mkv", NULL);

    (void)state;
    /* frame n is at n * n / 100 s, to the millisecond */
    for (int n = 23; n >= 0; n--) {
        check_level(media, "variable_rate.mkv", n * n / 100.0 + 0.002, 40 + 8 * n, 2);
        check_level(media, "variable_rate.mkv", (n + 1) * (n + 1) / 100.0 - 0.002, 40 + 8 * n, 2);
    }
    media_close(media);
}

static void serves_many_times_in_one_call(void **state)
{
    static uint8_t rgb[60][4][6][3];
    struct media *media = open_fixture("steps.mp4", NULL);
    double times_s[60];

    (void)state;
    for (int i = 0; i < 60; i++)
        times_s[i] = i * 0.96 / 60; /* each frame two or three times */
    assert_ok(media_read_frames(media, times_s, 60, 6, 4, &rgb[0][0][0][0], &error));
    for (int i = 0; i < 60; i++)
        assert_in_range(rgb[i][1][1][0], 40 + 8 * (i * 24 / 60) - 2, 40 + 8 * (i * 24 / 60) + 2);
    times_s[1] = -1;
    assert_int_equal(media_read_frames(media, times_s, 2, 6, 4, &rgb[0][0][0][0], &error),
                     EARSHOT_ERROR_ARGUMENT);
    times_s[0] = NAN;
    assert_int_equal(media_read_frames(media, times_s, 1, 6, 4, &rgb[0][0][0][0], &error),
                     EARSHOT_ERROR_ARGUMENT);
    media_close(media);
}

/* ---- geometry and colour ---- */

static void check_pixel(const char *name, const uint8_t *pixel, const int wanted[3])
{
    for (int c = 0; c < 3; c++)
        if (abs(pixel[c] - wanted[c]) > 6)
            fail_msg("%s: pixel %d %d %d, not %d %d %d", name, pixel[0], pixel[1], pixel[2],
                     wanted[0], wanted[1], wanted[2]);
}

static const int red[3] = {255, 0, 0}, green[3] = {0, 255, 0}, blue[3] = {0, 0, 255},
                 white[3] = {255, 255, 255};

static void check_corners(const char *name, const struct media_options *options, const char *path,
                          const int *const corners[4], int width, int height)
{
    const struct media_info *info;
    struct media *media;
    double time_s = 0;
    uint8_t *rgb;

    assert_ok(media_open(path, options, &media, &error));
    info = media_get_info(media);
    assert_int_equal(info->width, width);
    assert_int_equal(info->height, height);
    rgb = malloc((size_t)width * (size_t)height * 3);
    assert_ok(media_read_frames(media, &time_s, 1, width, height, rgb, &error));
    check_pixel(name, rgb + ((size_t)2 * (size_t)width + 2) * 3, corners[0]);
    check_pixel(name, rgb + ((size_t)3 * (size_t)width - 3) * 3, corners[1]);
    check_pixel(name, rgb + ((size_t)(height - 3) * (size_t)width + 2) * 3, corners[2]);
    check_pixel(name, rgb + ((size_t)(height - 2) * (size_t)width - 3) * 3, corners[3]);
    free(rgb);
    media_close(media);
}

static void shows_pictures_upright_with_square_pixels(void **state)
{
    static const int *const plain[4] = {red, green, blue, white};
    static const char *const stills[] = {"quarters.png", "quarters.bmp", "quarters.webp",
                                         "quarters.jpg"};

    (void)state;
    check_corners("quarters.mp4", NULL, test_fixture("media/quarters.mp4"), plain, 32, 24);
    check_corners("anamorphic.mp4", NULL, test_fixture("media/anamorphic.mp4"), plain, 64, 24);
    for (size_t i = 0; i < sizeof stills / sizeof stills[0]; i++) {
        char path[256];
        struct media *media;

        snprintf(path, sizeof path, "media/%s", stills[i]);
        check_corners(stills[i], NULL, test_fixture(path), plain, 32, 24);
        media = open_fixture(stills[i], NULL);
        assert_true(media_get_info(media)->is_still);
        assert_true(media_get_info(media)->duration_s == 0);
        media_close(media);
    }
}

/* Writes quarters.mp4 with another display matrix in its track header. */
static void copy_with_matrix(const char *target, const int matrix[4])
{
    static const unsigned char unit[16] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    FILE *stream = fopen(test_fixture("media/quarters.mp4"), "rb");
    unsigned char bytes[8192];
    size_t size = fread(bytes, 1, sizeof bytes, stream), at = 0;

    fclose(stream);
    while (memcmp(bytes + at, "tkhd", 4) != 0)
        at++;
    while (memcmp(bytes + at, unit, sizeof unit) != 0)
        at++;
    for (int i = 0; i < 4; i++) { /* a b u c d v: the first two of each row of three */
        unsigned char *p = bytes + at + (i < 2 ? 4 * i : 4 * (i + 1));

        p[0] = p[1] = matrix[i] < 0 ? 255 : 0;
        p[1] = (unsigned char)(matrix[i] < 0 ? 255 : matrix[i]);
        p[2] = p[3] = 0;
    }
    stream = fopen(target, "wb");
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    fclose(stream);
}

/* The matrix maps (x, y) to (a x + c y, b x + d y): ISO 14496-12, 8.3.2.3 */
static void applies_display_matrices(void **state)
{
    static const struct {
        const char *name;
        int matrix[4]; /* a b c d */
        const int *corners[4];
        bool turned;
    } cases[] = {
        {"rotated by 90", {0, 1, -1, 0}, {blue, red, white, green}, true},
        {"rotated by 180", {-1, 0, 0, -1}, {white, blue, green, red}, false},
        {"rotated by 270", {0, -1, 1, 0}, {green, white, red, blue}, true},
        {"mirrored", {-1, 0, 0, 1}, {green, red, white, blue}, false},
        {"upside down", {1, 0, 0, -1}, {blue, white, red, green}, false},
        {"transposed", {0, 1, 1, 0}, {red, blue, green, white}, true},
        {"transversed", {0, -1, -1, 0}, {white, green, blue, red}, true},
        {"singular", {0, 0, 0, 0}, {red, green, blue, white}, false},
    };
    char path[1200];

    (void)state;
    snprintf(path, sizeof path, "%s/turned.mp4", test_directory("media"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        copy_with_matrix(path, cases[i].matrix);
        check_corners(cases[i].name, NULL, path, cases[i].corners, cases[i].turned ? 24 : 32,
                      cases[i].turned ? 32 : 24);
    }
}

static void converts_colours_as_tagged(void **state)
{
    static const char *const names[] = {"bt709.mkv", "full_range.mkv"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct media *media = open_fixture(names[i], NULL);
        uint8_t rgb[5 * 5 * 3];
        double time_s = 0;

        assert_ok(media_read_frames(media, &time_s, 1, 5, 5, rgb, &error));
        for (int k = 0; k < 25; k++)
            check_pixel(names[i], rgb + 3 * (size_t)k, red);
        media_close(media);
    }
}

static void lays_transparency_over_black(void **state)
{
    struct media *media = open_fixture("half_transparent.png", NULL);

    (void)state;
    check_level(media, "half_transparent.png", 0, 128, 2);
    media_close(media);
    media = open_fixture("transparent.gif", NULL);
    check_level(media, "transparent.gif", 0, 0, 0);
    media_close(media);
}

/* ---- sound ---- */

enum { SOUND_MAX = 16 * MEDIA_SAMPLE_RATE_HZ };

static int64_t read_sound(struct media *media, double start_s, float *samples, int64_t capacity)
{
    int64_t count;

    assert_ok(media_read_audio(media, start_s, samples, capacity, &count, &error));
    assert_in_range(count, 0, capacity);
    return count;
}

/* The middle of the pulse's energy, in samples. */
static double click_position(const float *samples, int64_t count)
{
    double energy = 0, moment = 0;

    for (int64_t i = 0; i < count; i++) {
        energy += (double)samples[i] * samples[i];
        moment += (double)samples[i] * samples[i] * (double)i;
    }
    return moment / energy;
}

static void puts_sound_at_the_right_time(void **state)
{
    /* A pulse over [0.5, 0.51] s.  Lossy codecs smear; containers that do not say how much silence
     * the encoder put in front keep it (ADTS, FLV, TS: the offsets here). */
    static const struct {
        const char *name;
        double offset_s, tolerance;
    } cases[] = {
        {"click_alaw.wav", 0, 1},
        {"click_u8.wav", 0, 2},
        {"click_s24.wav", 0, 1},
        {"cover.flac", 0, 1},
        {"cover.mp3", 0, 16},
        {"steps.mp4", 0, 16},
        {"steps.ogv", 0, 64},
        {"steps.avi", 0, 16},
        {"starts_at_100.mkv", 0, 1},
        {"late_sound.mkv", 0.3, 1},
        {"late_picture.mkv", 0, 1},
        {"click.aac", 1024 / 44100.0, 16},
        {"steps.flv", 1024 / 44100.0, 24},
    };
    static float samples[SOUND_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct media *media = open_fixture(cases[i].name, NULL);
        int64_t count = read_sound(media, 0, samples, SOUND_MAX);
        double wanted = (0.505 + cases[i].offset_s) * 16000 - 0.5;
        double found = click_position(samples, count);

        if (fabs(found - wanted) > cases[i].tolerance)
            fail_msg("%s: pulse at sample %.1f, not %.1f", cases[i].name, found, wanted);
        /* A window that starts anywhere sees it at the same place. */
        count = read_sound(media, 0.43, samples, 3200);
        found = click_position(samples, count) + 0.43 * 16000;
        if (fabs(found - wanted) > cases[i].tolerance)
            fail_msg("%s: pulse at sample %.1f of a window", cases[i].name, found);
        media_close(media);
    }
}

static void averages_all_channels(void **state)
{
    static float samples[SOUND_MAX];
    struct media *media = open_fixture("surround.flac", NULL);
    int64_t count = read_sound(media, 0, samples, SOUND_MAX);

    (void)state;
    assert_int_equal(media_get_info(media)->audio_channels, 6);
    assert_int_equal(count, 8000);
    for (int i = 200; i < 7800; i++)
        assert_true(fabs(samples[i] - 0.1) < 1e-3);
    media_close(media);
}

static void chooses_streams(void **state)
{
    static const double levels[] = {0.1, 0.4, 0.8};
    struct media_options options = media_options_default;
    struct media *media = open_fixture("three_tracks.mka", NULL);
    float samples[4000];

    (void)state;
    assert_int_equal(media_get_info(media)->audio_streams, 3);
    assert_int_equal(media_get_info(media)->audio_stream, 1); /* the one flagged as default */
    media_close(media);
    for (int i = 0; i < 3; i++) {
        options.audio_stream = i;
        media = open_fixture("three_tracks.mka", &options);
        assert_int_equal(read_sound(media, 0.1, samples, 4000), 4000);
        assert_true(fabs(samples[2000] - levels[i]) < 1e-3);
        media_close(media);
    }
    options.audio_stream = 3;
    assert_int_equal(media_open(test_fixture("media/three_tracks.mka"), &options, &media, &error),
                     EARSHOT_ERROR_NO_STREAM);
    assert_non_null(strstr(error.message, "three_tracks.mka"));
}

static void a_cover_is_no_picture(void **state)
{
    static const char *const names[] = {"cover.mp3", "cover.flac"};
    uint8_t rgb[3];
    double time_s = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct media *media = open_fixture(names[i], NULL);

        assert_false(media_get_info(media)->has_video);
        assert_int_equal(media_get_info(media)->video_streams, 0);
        assert_int_equal(media_read_frames(media, &time_s, 1, 1, 1, rgb, &error),
                         EARSHOT_ERROR_NO_STREAM);
        media_close(media);
    }
}

static void gaps_become_silence(void **state)
{
    static float samples[SOUND_MAX];
    struct media *media = open_fixture("gap.mkv", NULL);
    int64_t count = read_sound(media, 0, samples, SOUND_MAX), silent = 0;

    (void)state;
    assert_int_equal(count, 32000);
    for (int i = 0; i < 32000; i++)
        silent += samples[i] == 0;
    assert_in_range(silent, 12000, 14000);
    for (int i = 22000; i < 31900; i++)
        assert_true(fabs(samples[i] - 0.5 * sin(2 * M_PI * 400 * i / 16000.0)) < 1e-3);
    media_close(media);
}

static void knows_the_end(void **state)
{
    struct media *media = open_fixture("late_sound.mkv", NULL);
    float samples[100];

    (void)state;
    assert_true(fabs(media_get_info(media)->duration_s - 1.26) < 1e-3);
    assert_int_equal(read_sound(media, 1.259, samples, 100), 16);
    assert_int_equal(read_sound(media, 1.26, samples, 100), 0);
    assert_int_equal(read_sound(media, 1e8, samples, 100), 0);
    assert_int_equal(read_sound(media, 0.1, samples, 100), 100);
    assert_int_equal(read_sound(media, -1, samples, 100), 100);
    for (int i = 0; i < 100; i++)
        assert_true(samples[i] == 0);
    assert_int_equal(read_sound(media, 0.1, samples, 0), 0);
    media_close(media);
}

/* An mp4 with its index in front, cut off: the header still promises 8 s. */
static void sees_through_a_wrong_duration(void **state)
{
    unsigned char bytes[16384];
    FILE *stream = fopen(test_fixture("media/faststart.mp4"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    struct media *media;
    double end_s;
    char path[1200];

    (void)state;
    fclose(stream);
    snprintf(path, sizeof path, "%s/cut.mp4", test_directory("media_cut"));
    stream = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size * 3 / 4, stream), size * 3 / 4);
    fclose(stream);
    assert_ok(media_open(path, NULL, &media, &error));
    assert_true(media_get_info(media)->duration_is_estimate);
    end_s = media_get_info(media)->duration_s;
    assert_true(end_s > 2 && end_s < 7.5);
    /* The last frame that is there stands for all later times, also when sought. */
    check_level(media, path, 7.9, level_at(media, end_s + 0.2), 0);
    check_level(media, path, 1.02, 40 + 25, 1);
    check_level(media, path, end_s - 0.22, 40 + (int)((end_s - 0.22) * 25), 2);
    media_close(media);
    media = open_fixture("faststart.mp4", NULL);
    assert_false(media_get_info(media)->duration_is_estimate);
    assert_true(fabs(media_get_info(media)->duration_s - 8) < 1e-3);
    media_close(media);
}

/* ---- windows ---- */

enum { CLIP_S = 12 };

/* Noise with a moving tone: no two places alike. */
static void write_sound(const char *path, const char *video, const char *audio, int rate_hz)
{
    struct media_writer_options options = {
        .video_codec = video,
        .width = 32,
        .height = 24,
        .frame_rate_hz = 25,
        .quality = -1,
        .audio_codec = audio,
        .sample_rate_hz = rate_hz,
        .channels = 1,
    };
    int64_t count = (int64_t)CLIP_S * rate_hz;
    float *samples = malloc(sizeof *samples * (size_t)count);
    struct media_writer *writer;
    uint8_t rgb[32 * 24 * 3];
    double phase = 0;

    assert_ok(media_writer_open(path, &options, &writer, &error));
    for (int i = 0; i < CLIP_S * 25 && video; i++) {
        memset(rgb, i % 200, sizeof rgb);
        assert_ok(media_writer_frame(writer, rgb, &error));
    }
    for (int64_t i = 0; i < count; i++) {
        phase += 2 * M_PI * (300 + 100.0 * (double)i / rate_hz) / rate_hz;
        samples[i] = (float)(0.4 * sin(phase) + 0.1 * (random_uniform(5, 0, (uint64_t)i) - 0.5));
    }
    assert_ok(media_writer_audio(writer, samples, count, &error));
    assert_ok(media_writer_finish(writer, &error));
    free(samples);
}

static void compare_windows(const char *name, struct media *media, const float *whole,
                            int64_t whole_count, double tolerance)
{
    static const double starts_s[] = {7.3, 0, 11.2, 3.14159, 3.2, 10.9999, 0.01, 5, 9.5, 9.6};
    static float window[SOUND_MAX];

    for (size_t k = 0; k < sizeof starts_s / sizeof starts_s[0]; k++) {
        int64_t from = llround(starts_s[k] * 16000), count, wanted;

        count = read_sound(media, starts_s[k], window, 16000);
        wanted = whole_count - from < 16000 ? whole_count - from : 16000;
        if (llabs(count - wanted) > 1)
            fail_msg("%s at %g s: %lld samples, not %lld", name, starts_s[k], (long long)count,
                     (long long)wanted);
        for (int64_t i = 0; i < count && i < wanted; i++)
            if (fabs(window[i] - whole[from + i]) > tolerance)
                fail_msg("%s at %g s: sample %lld is %g, %g when read from the start", name,
                         starts_s[k], (long long)i, window[i], whole[from + i]);
    }
}

static void a_window_is_a_part_of_the_whole(void **state)
{
    static const struct {
        const char *file, *video, *audio;
        int rate_hz;
        double tolerance;
    } cases[] = {
        {"a.mp4", "libx264", "aac", 44100, 1e-6},   {"b.mkv", "libx264", "aac", 44100, 1e-6},
        {"c.mkv", "libx264", "flac", 48000, 1e-6},  {"d.webm", NULL, "libopus", 48000, 1e-2},
        {"e.mp3", NULL, "libmp3lame", 44100, 1e-4}, {"f.flac", NULL, "flac", 22050, 1e-6},
        {"g.wav", NULL, "pcm_s16le", 16000, 1e-6},  {"h.avi", "mpeg4", "pcm_s16le", 11025, 1e-6},
        {"i.ts", "libx264", "aac", 48000, 1e-6},    {"j.mka", NULL, "libmp3lame", 32000, 1e-4},
        {"k.ogg", NULL, "libopus", 48000, 1e-2},    {"l.flv", "libx264", "aac", 44100, 1e-6},
    };
    static float whole[SOUND_MAX];
    char directory[1024];

    (void)state;
    snprintf(directory, sizeof directory, "%s", test_directory("media_windows"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct media *media;
        char path[1200];
        int64_t count;

        snprintf(path, sizeof path, "%s/%s", directory, cases[i].file);
        write_sound(path, cases[i].video, cases[i].audio, cases[i].rate_hz);
        assert_ok(media_open(path, NULL, &media, &error));
        count = read_sound(media, 0, whole, SOUND_MAX);
        assert_in_range(count, CLIP_S * 16000 - 100, CLIP_S * 16000 + 2000);
        compare_windows(cases[i].file, media, whole, count, cases[i].tolerance);
        media_close(media);
        assert_ok(media_open(path, NULL, &media, &error)); /* nothing decoded yet */
        compare_windows(cases[i].file, media, whole, count, cases[i].tolerance);
        media_close(media);
    }
}

/* ---- long files, pipes, cancelling ---- */

enum { LONG_S = 1200, LONG_RATE_HZ = 5 };

static void write_long(const char *path)
{
    struct media_writer_options options = {
        .video_codec = "libx264",
        .width = 32,
        .height = 24,
        .frame_rate_hz = LONG_RATE_HZ,
        .quality = 20,
        .audio_codec = "flac",
        .sample_rate_hz = 16000,
        .channels = 1,
    };
    struct media_writer *writer;
    uint8_t rgb[32 * 24 * 3];
    static float second[16000];

    assert_ok(media_writer_open(path, &options, &writer, &error));
    for (int s = 0; s < LONG_S; s++) {
        for (int i = 0; i < 16000; i++)
            second[i] = (float)(s % 100) / 200;
        for (int i = 0; i < LONG_RATE_HZ; i++) {
            memset(rgb, 20 + (s * LONG_RATE_HZ + i) % 200, sizeof rgb);
            assert_ok(media_writer_frame(writer, rgb, &error));
        }
        assert_ok(media_writer_audio(writer, second, 16000, &error));
    }
    assert_ok(media_writer_finish(writer, &error));
}

/* Sanitizers keep freed memory, so there the peak says nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PEAK_GROWTH_MAX_KB (1 << 20)
#else
#define PEAK_GROWTH_MAX_KB (24 << 10)
#endif

static long peak_kilobytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void scans_a_long_file_in_little_memory(void **state)
{
    enum { WINDOW_S = 10, STRIDE_S = 5, FRAMES = 8 };
    static float samples[WINDOW_S * 16000];
    static uint8_t rgb[FRAMES][24 * 32 * 3];
    struct media *media;
    char path[1200];
    long before;

    (void)state;
    snprintf(path, sizeof path, "%s/long.mkv", test_directory("media_long"));
    write_long(path);
    assert_ok(media_open(path, NULL, &media, &error));
    assert_true(fabs(media_get_info(media)->duration_s - LONG_S) < 0.3);
    before = peak_kilobytes();
    for (int start_s = 0; start_s + WINDOW_S <= LONG_S; start_s += STRIDE_S) {
        double times_s[FRAMES];

        for (int i = 0; i < FRAMES; i++)
            times_s[i] = start_s + (i + 0.5) * WINDOW_S / FRAMES;
        assert_ok(media_read_frames(media, times_s, FRAMES, 32, 24, rgb[0], &error));
        for (int i = 0; i < FRAMES; i++) {
            int wanted = 20 + (int)floor(times_s[i] * LONG_RATE_HZ + 1e-6) % 200;

            if (abs(rgb[i][100] - wanted) > 3)
                fail_msg("at %g s: %d, not %d", times_s[i], rgb[i][100], wanted);
        }
        assert_int_equal(read_sound(media, start_s, samples, WINDOW_S * 16000), WINDOW_S * 16000);
        for (int s = 0; s < WINDOW_S; s++)
            assert_true(fabs(samples[s * 16000 + 8000] - (start_s + s) % 100 / 200.0) < 1e-3);
    }
    /* All frames would be 14 MB even at this size, all sound 77 MB. */
    assert_in_range(peak_kilobytes() - before, 0, PEAK_GROWTH_MAX_KB);
    media_close(media);
}

static void reads_standard_input(void **state)
{
    int keep = dup(STDIN_FILENO), fd = open(test_fixture("media/steps.mp4"), O_RDONLY);
    static float samples[SOUND_MAX];
    struct media *media;

    (void)state;
    dup2(fd, STDIN_FILENO);
    close(fd);
    assert_ok(media_open("-", NULL, &media, &error));
    dup2(keep, STDIN_FILENO);
    close(keep);
    check_level(media, "-", 0.9, 40 + 8 * 22, 2);
    check_level(media, "-", 0.1, 40 + 8 * 2, 2);
    assert_in_range(read_sound(media, 0, samples, SOUND_MAX), 15000, 16000);
    assert_true(fabs(click_position(samples, 15000) - 0.505 * 16000) < 16);
    media_close(media);
}

static bool cancel_at_zero(void *context)
{
    int *left = context;

    return (*left)-- <= 0;
}

static void stops_when_asked(void **state)
{
    static float samples[SOUND_MAX];
    int cancelled_opens = 0, cancelled_reads = 0;

    (void)state;
    for (int calls = 0; calls < 400; calls += 7) {
        int left = calls;
        struct media_options options = media_options_default;
        enum earshot_status status;
        struct media *media;
        uint8_t rgb[48];
        double time_s = 0.9;
        int64_t count;

        options.cancelled = cancel_at_zero;
        options.cancel_context = &left;
        status = media_open(test_fixture("media/steps.mp4"), &options, &media, &error);
        if (status == EARSHOT_ERROR_CANCELLED) {
            cancelled_opens++;
            continue;
        }
        assert_int_equal(status, EARSHOT_OK);
        status = media_read_frames(media, &time_s, 1, 4, 4, rgb, &error);
        if (status == EARSHOT_OK)
            status = media_read_audio(media, 0, samples, SOUND_MAX, &count, &error);
        assert_true(status == EARSHOT_OK || status == EARSHOT_ERROR_CANCELLED);
        cancelled_reads += status == EARSHOT_ERROR_CANCELLED;
        left = 1 << 20; /* and goes on when asked again */
        assert_ok(media_read_frames(media, &time_s, 1, 4, 4, rgb, &error));
        assert_in_range(rgb[0], 214, 218);
        assert_ok(media_read_audio(media, 0, samples, SOUND_MAX, &count, &error));
        assert_in_range(count, 15000, 16000);
        media_close(media);
    }
    assert_true(cancelled_opens > 0 && cancelled_reads > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_frames_in_every_container),
        cmocka_unit_test(seeks_to_the_same_frames_as_a_walk),
        cmocka_unit_test(follows_variable_frame_rate),
        cmocka_unit_test(serves_many_times_in_one_call),
        cmocka_unit_test(shows_pictures_upright_with_square_pixels),
        cmocka_unit_test(applies_display_matrices),
        cmocka_unit_test(converts_colours_as_tagged),
        cmocka_unit_test(lays_transparency_over_black),
        cmocka_unit_test(puts_sound_at_the_right_time),
        cmocka_unit_test(averages_all_channels),
        cmocka_unit_test(chooses_streams),
        cmocka_unit_test(a_cover_is_no_picture),
        cmocka_unit_test(gaps_become_silence),
        cmocka_unit_test(knows_the_end),
        cmocka_unit_test(sees_through_a_wrong_duration),
        cmocka_unit_test(a_window_is_a_part_of_the_whole),
        cmocka_unit_test(scans_a_long_file_in_little_memory),
        cmocka_unit_test(reads_standard_input),
        cmocka_unit_test(stops_when_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
