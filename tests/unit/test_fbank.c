/*
 * test_fbank.c: the filterbank against its definition evaluated plainly (a direct DFT), its edges,
 * and from several threads.  The reference implementation's numbers are tests/parity's matter.
 */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "features/fbank.h"
#include "media/fft.h"

static struct earshot_error error;
static const double pi = 3.14159265358979323846;

static struct fbank *make(const struct fbank_options *options)
{
    struct fbank *fbank;

    assert_ok(fbank_new(options, &fbank, &error));
    return fbank;
}

static void noise(float *samples, int count, uint64_t stream)
{
    for (int i = 0; i < count; i++)
        samples[i] = (float)(0.3 * random_normal(5, stream, (uint64_t)i) + 0.1);
}

static void test_fft_against_the_sum(void **state)
{
    enum { N = 512 };
    double input[N], worst = 0;
    const double *out;
    struct fft *fft;

    (void)state;
    assert_ok(fft_new(N, &fft, &error));
    for (int turn = 0; turn < 2; turn++) { /* the plan serves again */
        for (int i = 0; i < N; i++)
            fft_input(fft)[i] = input[i] = random_normal(9, (uint64_t)turn, (uint64_t)i);
        out = fft_forward(fft);
        for (int k = 0; k <= N / 2; k++) {
            double re = 0, im = 0;

            for (int n = 0; n < N; n++) {
                re += input[n] * cos(2 * pi * k * n / N);
                im -= input[n] * sin(2 * pi * k * n / N);
            }
            worst = fmax(worst, fmax(fabs(out[2 * k] - re), fabs(out[2 * k + 1] - im)));
        }
    }
    assert_true(worst < 1e-10);
    fft_free(fft);
    fft_free(NULL);
    assert_int_equal(fft_new(500, &fft, &error), EARSHOT_ERROR_ARGUMENT);
    assert_int_equal(fft_new(0, &fft, &error), EARSHOT_ERROR_ARGUMENT);
}

/* The definition, with no table shared with the product. */
static double plain_energy(const float *samples, double offset, int mel_bins, int bin)
{
    double x[400], mean = 0, energy = 0, low = 1127 * log(1 + 20 / 700.0);
    double step = (1127 * log(1 + 8000 / 700.0) - low) / (mel_bins + 1);

    for (int i = 0; i < 400; i++)
        mean += (samples[i] - offset) / 400;
    for (int i = 399; i >= 0; i--)
        x[i] = samples[i] - offset - mean - 0.97 * (samples[i ? i - 1 : 0] - offset - mean);
    for (int k = 0; k < 256; k++) {
        double m = 1127 * log(1 + k * 31.25 / 700), re = 0, im = 0;
        double up = (m - low - bin * step) / step, down = (low + (bin + 2) * step - m) / step;

        if (up <= 0 || down <= 0)
            continue;
        for (int i = 0; i < 400; i++) {
            double w = (0.5 - 0.5 * cos(2 * pi * i / 399)) * x[i];

            re += w * cos(2 * pi * k * i / 512);
            im += w * sin(2 * pi * k * i / 512);
        }
        energy += fmin(up, down) * (re * re + im * im);
    }
    return energy;
}

static void check_definition(int mel_bins, bool subtract_mean)
{
    enum { COUNT = 400 + 2 * 160 + 159 };
    struct fbank_options options = fbank_options_default;
    float samples[COUNT], *out = malloc(sizeof *out * 3 * (size_t)mel_bins);
    struct fbank *fbank;
    double offset = 0;

    options.mel_bins = mel_bins;
    options.subtract_mean = subtract_mean;
    fbank = make(&options);
    noise(samples, COUNT, 1);
    for (int i = 0; subtract_mean && i < COUNT; i++)
        offset += samples[i] / (double)COUNT;
    assert_int_equal(fbank_frames(COUNT), 3);
    assert_ok(fbank_compute(fbank, samples, COUNT, out, &error));
    for (int f = 0; f < 3; f++)
        for (int m = 0; m < mel_bins; m++) {
            double expected =
                log(fmax(plain_energy(samples + 160 * f, offset, mel_bins, m), 0x1p-23));

            if (fabs(out[f * mel_bins + m] - expected) > 2e-6)
                fail_msg("frame %d bin %d: %.9g, expected %.9g", f, m,
                         (double)out[f * mel_bins + m], expected);
        }
    free(out);
    fbank_free(fbank);
}

static void test_definition(void **state)
{
    (void)state;
    check_definition(128, false);
    check_definition(128, true);
    check_definition(23, false);
}

static void test_shapes_and_edges(void **state)
{
    struct fbank *fbank = make(&fbank_options_default);
    float samples[560] = {0}, out[2 * 128], normalised[3 * 128];

    (void)state;
    assert_int_equal(fbank_frames(0), 0);
    assert_int_equal(fbank_frames(399), 0);
    assert_int_equal(fbank_frames(400), 1);
    assert_int_equal(fbank_frames(559), 1);
    assert_int_equal(fbank_frames(560), 2);
    assert_int_equal(fbank_frames(36800), 228);
    assert_ok(fbank_compute(fbank, samples, 399, NULL, &error));
    assert_ok(fbank_compute(fbank, samples, 560, out, &error));
    for (int i = 0; i < 2 * 128; i++) /* silence: the floor, to the last bit */
        assert_true(out[i] == -15.942384719848633f);
    fbank_normalise(fbank, out, 2, 3, normalised);
    for (int i = 0; i < 3 * 128; i++) /* padding is 0 before it is normalised */
        assert_true(fabs(normalised[i] - (i < 2 * 128 ? -1.27759 : 0.46703)) < 6e-6);
    fbank_normalise(fbank, out, 2, 1, normalised);
    fbank_normalise(fbank, out, 0, 1, normalised + 128);
    assert_true(normalised[127] < 0 && normalised[128] > 0);
    fbank_free(fbank);
    fbank_free(NULL);
}

static void test_constant_sound_is_silence(void **state)
{
    struct fbank *fbank = make(&fbank_options_default);
    float samples[400], out[128];

    (void)state;
    for (int i = 0; i < 400; i++)
        samples[i] = -0.7f;
    assert_ok(fbank_compute(fbank, samples, 400, out, &error));
    for (int i = 0; i < 128; i++)
        assert_true(out[i] == -15.942384719848633f);
    fbank_free(fbank);
}

static void test_filters(void **state)
{
    struct fbank *fbank = make(&fbank_options_default);
    const float *bank = fbank_mel_banks(fbank), *window = fbank_window(fbank);

    (void)state;
    for (int k = 0; k < 256; k++)
        assert_true(bank[3 * 256 + k] == 0); /* the filter between two DFT bins */
    for (int i = 0; i < 400; i++)
        assert_true(fabsf(window[i] - window[399 - i]) < 1e-7f);
    assert_true(window[0] == 0);
    /* neighbouring triangles add up to one between the first and the last peak */
    for (int k = 2; k < 250; k++) {
        double sum = 0;

        for (int m = 0; m < 128; m++)
            sum += bank[m * 256 + k];
        assert_true(fabs(sum - 1) < 1e-6);
    }
    fbank_free(fbank);
}

static void test_refused(void **state)
{
    struct fbank_options bad[7];
    float samples[400] = {0}, out[128];
    struct fbank *fbank;

    (void)state;
    for (int i = 0; i < 7; i++)
        bad[i] = fbank_options_default;
    bad[0].mel_bins = 0;
    bad[1].mel_bins = 1 << 30;
    bad[2].low_hz = -1;
    bad[3].low_hz = 8000;
    bad[4].high_hz = 8000.5;
    bad[5].high_hz = NAN;
    bad[6].std = 0;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(fbank_new(&bad[i], &fbank, &error), EARSHOT_ERROR_ARGUMENT);
        assert_null(fbank);
    }
    fbank = make(&fbank_options_default);
    samples[399] = NAN;
    assert_int_equal(fbank_compute(fbank, samples, 400, out, &error), EARSHOT_ERROR_NUMERIC);
    samples[399] = -INFINITY;
    assert_int_equal(fbank_compute(fbank, samples, 400, out, &error), EARSHOT_ERROR_NUMERIC);
    for (int i = 0; i < 400; i++)
        samples[i] = i % 2 ? 3e38f : -3e38f;
    assert_ok(fbank_compute(fbank, samples, 400, out, &error));
    for (int i = 0; i < 128; i++)
        assert_true(isfinite(out[i]));
    fbank_free(fbank);
}

enum { THREADS = 4, LONG = 16000, LONG_FRAMES = 98 };

struct job {
    const struct fbank *fbank;
    const float *samples;
    float out[LONG_FRAMES * 128];
    enum earshot_status status;
};

static void *compute(void *context)
{
    struct job *job = context;

    for (int i = 0; i < 3; i++)
        job->status = fbank_compute(job->fbank, job->samples, LONG, job->out, NULL);
    return NULL;
}

static void test_shared_by_threads(void **state)
{
    static struct job job[THREADS + 1];
    static float samples[THREADS][LONG];
    struct fbank *fbank = make(&fbank_options_default);
    pthread_t thread[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        noise(samples[i], LONG, (uint64_t)i);
        job[i] = (struct job){.fbank = fbank, .samples = samples[i]};
        assert_int_equal(pthread_create(&thread[i], NULL, compute, &job[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(job[i].status, EARSHOT_OK);
        job[THREADS] = (struct job){.fbank = fbank, .samples = samples[i]};
        compute(&job[THREADS]);
        assert_memory_equal(job[i].out, job[THREADS].out, sizeof job[i].out);
    }
    fbank_free(fbank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fft_against_the_sum),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_shapes_and_edges),
        cmocka_unit_test(test_constant_sound_is_silence),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_shared_by_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
