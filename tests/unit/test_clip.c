/* test_clip.c: which frames, what size, what values. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "features/clip.h"

static struct earshot_error error;

static void test_times_are_middles(void **state)
{
    double times[4];

    (void)state;
    clip_times(2, 10, 4, times);
    assert_true(times[0] == 3 && times[1] == 5 && times[2] == 7 && times[3] == 9);
    clip_times(1, 1, 2, times); /* a still picture */
    assert_true(times[0] == 1 && times[1] == 1);
}

static void test_scaled_sizes(void **state)
{
    static const int expected[][4] = {
        /* source, then scaled for a 224 x 224 clip */
        {320, 240, 299, 224},                                                   /* 298.67 */
        {240, 320, 224, 299},   {224, 224, 224, 224},   {1920, 1080, 398, 224}, /* 398.2 */
        {1, 1, 224, 224},       {1000, 1001, 224, 224}, {10000, 16, 1792, 224},
        {16, 10000, 224, 1792}, {65535, 1, 1792, 224},  {2147483647, 2147483647, 224, 224},
        {223, 225, 224, 226}, /* 226.009 */
    };
    struct clip_options options = {.frames = 1, .width = 224, .height = 224};
    int width, height;

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        clip_scaled_size(&options, expected[i][0], expected[i][1], &width, &height);
        assert_int_equal(width, expected[i][2]);
        assert_int_equal(height, expected[i][3]);
    }
    options.width = 448; /* a wide clip out of a square: the width decides */
    clip_scaled_size(&options, 100, 100, &width, &height);
    assert_int_equal(width, 448);
    assert_int_equal(height, 448);
}

enum { FRAMES = 3, SOURCE_W = 7, SOURCE_H = 6, W = 4, H = 3 };

static uint8_t source_value(int frame, int y, int x, int c)
{
    return (uint8_t)(37 * frame + 41 * y + 11 * x + 101 * c);
}

static void check_crop(int crop_x, int crop_y, bool mirror, int left, int top)
{
    struct clip_options options = {FRAMES, H, W, {.485f, .456f, .406f}, {.229f, .224f, .225f}};
    uint8_t rgb[FRAMES][SOURCE_H][SOURCE_W][3];
    float out[3][FRAMES][H][W];

    for (int i = 0; i < FRAMES * SOURCE_H * SOURCE_W * 3; i++)
        (&rgb[0][0][0][0])[i] = source_value(
            i / (SOURCE_H * SOURCE_W * 3), i / (SOURCE_W * 3) % SOURCE_H, i / 3 % SOURCE_W, i % 3);
    assert_ok(clip_normalise(&options, &rgb[0][0][0][0], SOURCE_W, SOURCE_H, crop_x, crop_y, mirror,
                             &out[0][0][0][0], &error));
    for (int c = 0; c < 3; c++)
        for (int f = 0; f < FRAMES; f++)
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++) {
                    int from_x = left + (mirror ? W - 1 - x : x);
                    double expected =
                        (source_value(f, top + y, from_x, c) / 255.0 - (double)options.mean[c]) /
                        (double)options.std[c];

                    assert_true(fabs(out[c][f][y][x] - expected) < 2e-7);
                }
}

static void test_crop_and_normalise(void **state)
{
    (void)state;
    check_crop(-1, -1, false, 1, 1); /* (7 - 4) / 2, (6 - 3) / 2 */
    check_crop(-1, -1, true, 1, 1);
    check_crop(0, 3, false, 0, 3);
    check_crop(3, 0, true, 3, 0);
}

static void test_refused(void **state)
{
    struct clip_options options = {1, H, W, {0, 0, 0}, {1, 1, 1}};
    uint8_t rgb[8 * 8 * 3] = {0};
    float out[3 * H * W];

    (void)state;
    assert_int_equal(clip_normalise(&options, rgb, W, H, 1, 0, false, out, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_int_equal(clip_normalise(&options, rgb, W, H, 0, 1, false, out, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_int_equal(clip_normalise(&options, rgb, W - 1, H, -1, -1, false, out, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_int_equal(clip_normalise(&options, rgb, W, H, -2, 0, false, out, &error),
                     EARSHOT_ERROR_ARGUMENT);
    assert_ok(clip_normalise(&options, rgb, W, H, 0, 0, false, out, &error));
    options.std[2] = 0;
    assert_int_equal(clip_normalise(&options, rgb, W, H, 0, 0, false, out, &error),
                     EARSHOT_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_middles),
        cmocka_unit_test(test_scaled_sizes),
        cmocka_unit_test(test_crop_and_normalise),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
