/* test_media_odd.c: every broken or odd file has a defined outcome: it opens and reads, or fails
 * with a message that names it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/media.h"
#include "support/odd_files.h"
#include "support/test.h"

enum { FRAMES = 8, SIDE = 20, WINDOW = 3 * MEDIA_SAMPLE_RATE_HZ };

static struct earshot_error error;

/* An error must say which file and something about it. */
static void check_message(const struct odd_file *file)
{
    if (!strstr(error.message, file->path) || strlen(error.message) < strlen(file->path) + 10 ||
        strchr(error.message, '\n'))
        fail_msg("%s: poor message \"%s\"", file->path, error.message);
}

static void read_picture(const struct odd_file *file, struct media *media, double duration_s)
{
    static uint8_t rgb[FRAMES][SIDE][SIDE][3];
    double times_s[FRAMES];
    enum earshot_status status;

    for (int i = 0; i < FRAMES; i++)
        times_s[i] = duration_s * (i + 0.5) / FRAMES;
    status = media_read_frames(media, times_s, FRAMES, SIDE, SIDE, &rgb[0][0][0][0], &error);
    if (status != EARSHOT_OK) {
        assert_int_not_equal(file->outcome, ODD_OPENS);
        check_message(file);
    }
    /* and back */
    status = media_read_frames(media, times_s, 1, SIDE, 3, &rgb[0][0][0][0], &error);
    if (status != EARSHOT_OK)
        check_message(file);
}

static void read_sound(const struct odd_file *file, struct media *media, double duration_s)
{
    static float samples[WINDOW];
    const double starts_s[] = {0, duration_s / 2, duration_s - 1, duration_s + 1, 0.25};

    for (size_t k = 0; k < sizeof starts_s / sizeof starts_s[0]; k++) {
        int64_t count;
        enum earshot_status status =
            media_read_audio(media, starts_s[k], samples, WINDOW, &count, &error);

        assert_in_range(count, 0, WINDOW);
        if (status != EARSHOT_OK) {
            assert_int_not_equal(file->outcome, ODD_OPENS);
            check_message(file);
        }
        for (int64_t i = 0; i < count; i++)
            assert_true(isfinite(samples[i]));
    }
}

static void check_open(const struct odd_file *file, struct media *media)
{
    const struct media_info *info = media_get_info(media);

    if (file->outcome == ODD_FAILS)
        fail_msg("%s opens", file->path);
    if (file->outcome == ODD_OPENS &&
        (info->has_video != file->has_video || info->has_audio != file->has_audio))
        fail_msg("%s: video %d (%s), audio %d (%s)", file->path, info->has_video,
                 info->video_problem, info->has_audio, info->audio_problem);
    assert_true(info->has_video || info->has_audio);
    assert_true(info->duration_s >= 0 && info->duration_s < 1e8);
    if (info->has_video) {
        assert_in_range(info->width, 1, 16384);
        assert_in_range(info->height, 1, 16384);
    }
}

static void every_odd_file_has_an_outcome(void **state)
{
    char directory[1024];
    struct odd_files files;
    int opened = 0;

    (void)state;
    snprintf(directory, sizeof directory, "%s", test_directory("odd"));
    files = odd_files_make(directory);
    assert_true(files.count >= 40);
    for (int i = 0; i < files.count; i++) {
        const struct odd_file *file = &files.file[i];
        struct media *media;
        enum earshot_status status = media_open(file->path, NULL, &media, &error);

        if (status != EARSHOT_OK) {
            assert_null(media);
            if (file->outcome == ODD_OPENS ||
                (file->outcome == ODD_FAILS && status != file->status))
                fail_msg("%s: status %d: %s", file->path, status, error.message);
            check_message(file);
            continue;
        }
        opened++;
        check_open(file, media);
        if (media_get_info(media)->has_video)
            read_picture(file, media, media_get_info(media)->duration_s);
        if (media_get_info(media)->has_audio)
            read_sound(file, media, media_get_info(media)->duration_s);
        media_close(media);
    }
    print_message("%d files, %d opened\n", files.count, opened);
    odd_files_free(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_odd_file_has_an_outcome),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
