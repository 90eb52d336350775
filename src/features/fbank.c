/*
 * fbank.c: Kaldi-style log-mel filterbank.  See fbank.h.
 *
 * A frame of 400 samples: minus its mean; pre-emphasis x[i] -= 0.97 x[i-1], x[0] -= 0.97 x[0];
 * times a symmetric Hann window; zero-padded to 512; |DFT|^2; triangles that are linear in mel(f) =
 * 1127 ln(1 + f / 700) and equally spaced there; ln(max(energy, 2^-23)).
 *
 * Everything between the samples and the stored logarithm is double precision, so what differs from
 * the float32 original is the original's rounding.
 */
#include "features/fbank.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "media/fft.h"

enum { FRAME = 400, SHIFT = 160, PADDED = 512, FFT_BINS = PADDED / 2, RATE_HZ = 16000 };
#define PREEMPHASIS 0.97

const struct fbank_options fbank_options_default = {
    .mel_bins = 128, .low_hz = 20, .high_hz = 8000, .mean = -4.2677393f, .std = 4.5689974f};

struct fbank {
    struct fbank_options options;
    double window[FRAME];
    float shown_window[FRAME]; /* rounded, for fbank_window: 6e-8 off is seen in quiet bins */
    float *bank;               /* [mel_bins][FFT_BINS] */
    int *range;                /* [mel_bins][2]: where a row of bank is not zero */
};

static double mel(double hz)
{
    return 1127.0 * log(1.0 + hz / 700.0);
}

static void fill_bank(struct fbank *fbank)
{
    double low = mel(fbank->options.low_hz);
    double step = (mel(fbank->options.high_hz) - low) / (fbank->options.mel_bins + 1);

    for (int m = 0; m < fbank->options.mel_bins; m++) {
        float *row = fbank->bank + (size_t)m * FFT_BINS;
        int *range = fbank->range + 2 * (size_t)m;

        for (int k = 0; k < FFT_BINS; k++) {
            double at = (mel((double)RATE_HZ / PADDED * k) - low) / step - m; /* peak at 1 */
            double weight = fmin(at, 2.0 - at);

            if (weight <= 0)
                continue;
            row[k] = (float)weight;
            if (range[1] == 0)
                range[0] = k;
            range[1] = k + 1;
        }
    }
}

enum earshot_status fbank_new(const struct fbank_options *options, struct fbank **fbank,
                              struct earshot_error *error)
{
    struct fbank *made;

    *fbank = NULL;
    if (options->mel_bins < 1 || options->mel_bins > 4096)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "filterbank: %d mel bins; expected 1 to 4096", options->mel_bins);
    if (!(options->low_hz >= 0 && options->low_hz < options->high_hz &&
          options->high_hz <= RATE_HZ / 2))
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "filterbank: from %g to %g Hz; expected 0 <= low < high <= %d",
                         options->low_hz, options->high_hz, RATE_HZ / 2);
    if (!isfinite(options->mean) || !isfinite(options->std) || options->std <= 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "filterbank: mean %g, standard deviation %g; expected finite values and a "
                         "deviation above 0",
                         (double)options->mean, (double)options->std);
    made = calloc(1, sizeof *made);
    if (!made)
        return error_memory(error, sizeof *made);
    made->options = *options;
    made->bank = calloc((size_t)options->mel_bins * FFT_BINS, sizeof *made->bank);
    made->range = calloc((size_t)options->mel_bins * 2, sizeof *made->range);
    if (!made->bank || !made->range) {
        fbank_free(made);
        return error_memory(error, (size_t)options->mel_bins * FFT_BINS * sizeof *made->bank);
    }
    for (int i = 0; i < FRAME; i++) {
        made->window[i] = 0.5 - 0.5 * cos(6.283185307179586476925 * i / (FRAME - 1));
        made->shown_window[i] = (float)made->window[i];
    }
    fill_bank(made);
    *fbank = made;
    return EARSHOT_OK;
}

void fbank_free(struct fbank *fbank)
{
    if (!fbank)
        return;
    free(fbank->bank);
    free(fbank->range);
    free(fbank);
}

int64_t fbank_frames(int64_t samples)
{
    return samples < FRAME ? 0 : 1 + (samples - FRAME) / SHIFT;
}

const float *fbank_mel_banks(const struct fbank *fbank)
{
    return fbank->bank;
}

const float *fbank_window(const struct fbank *fbank)
{
    return fbank->shown_window;
}

/* One frame of samples, ready for the transform. */
static void prepare_frame(const struct fbank *fbank, const float *samples, double offset, double *x)
{
    double sum = 0, previous;

    for (int i = 0; i < FRAME; i++)
        sum += (double)samples[i] - offset;
    offset += sum / FRAME;
    previous = samples[0] - offset;
    for (int i = 0; i < FRAME; i++) {
        double value = samples[i] - offset;

        x[i] = (value - PREEMPHASIS * previous) * fbank->window[i];
        previous = value;
    }
    for (int i = FRAME; i < PADDED; i++)
        x[i] = 0;
}

static void mel_energies(const struct fbank *fbank, const double *spectrum, float *out)
{
    double power[FFT_BINS];

    for (int k = 0; k < FFT_BINS; k++)
        power[k] = spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1];
    for (int m = 0; m < fbank->options.mel_bins; m++) {
        const float *row = fbank->bank + (size_t)m * FFT_BINS;
        const int *range = fbank->range + 2 * (size_t)m;
        double energy = 0;

        for (int k = range[0]; k < range[1]; k++)
            energy += row[k] * power[k];
        out[m] = (float)log(fmax(energy, FLT_EPSILON));
    }
}

enum earshot_status fbank_compute(const struct fbank *fbank, const float *samples, int64_t count,
                                  float *out, struct earshot_error *error)
{
    int64_t frames = fbank_frames(count);
    enum earshot_status status;
    struct fft *fft;
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += samples[i];
    if (!isfinite(sum)) /* no sum of finite floats reaches the end of double's range */
        return error_set(error, EARSHOT_ERROR_NUMERIC,
                         "filterbank: the sound has samples that are not finite numbers");
    if (frames == 0)
        return EARSHOT_OK;
    status = fft_new(PADDED, &fft, error);
    if (status != EARSHOT_OK)
        return status;
    for (int64_t f = 0; f < frames; f++) {
        prepare_frame(fbank, samples + f * SHIFT,
                      fbank->options.subtract_mean ? sum / (double)count : 0, fft_input(fft));
        mel_energies(fbank, fft_forward(fft), out + f * fbank->options.mel_bins);
    }
    fft_free(fft);
    return EARSHOT_OK;
}

void fbank_normalise(const struct fbank *fbank, const float *log_energies, int64_t frames,
                     int64_t target_frames, float *out)
{
    double mean = fbank->options.mean, scale = 1.0 / (2.0 * fbank->options.std);
    int64_t kept = frames < target_frames ? frames : target_frames;
    int64_t bins = fbank->options.mel_bins;

    for (int64_t i = 0; i < kept * bins; i++)
        out[i] = (float)((log_energies[i] - mean) * scale);
    for (int64_t i = kept * bins; i < target_frames * bins; i++)
        out[i] = (float)(-mean * scale);
}
