/*
 * fbank.h: Kaldi-style log-mel filterbank as the Audio Spectrogram Transformer uses it.
 *
 * Equal to torchaudio.compliance.kaldi.fbank(htk_compat, hanning window, no dither, no energy) at
 * 16 kHz, 25 ms frames every 10 ms, 512-point FFT, followed by AST's pad/cut and (v - mean) / (2
 * std).
 */
#ifndef EARSHOT_FEATURES_FBANK_H
#define EARSHOT_FEATURES_FBANK_H

#include "base/error.h"

struct fbank_options {
    int mel_bins;           /* 128 */
    double low_hz, high_hz; /* 20, 8000 */
    bool subtract_mean; /* AST's training code subtracts the clip's mean; its inference does not */
    float mean, std;    /* of the data set: -4.2677393, 4.5689974 */
};

extern const struct fbank_options fbank_options_default;

struct fbank;

enum earshot_status fbank_new(const struct fbank_options *options, struct fbank **fbank,
                              struct earshot_error *error);
void fbank_free(struct fbank *fbank);

/* 1 + (samples - 400) / 160, or 0 when there are fewer than 400. */
int64_t fbank_frames(int64_t samples);

/* The mel filter matrix [mel_bins][256] and the 400-sample window, for tests and pictures. */
const float *fbank_mel_banks(const struct fbank *fbank);
const float *fbank_window(const struct fbank *fbank);

/* Log energies, out[fbank_frames(count)][mel_bins].  A struct fbank may be shared by threads. */
enum earshot_status fbank_compute(const struct fbank *fbank, const float *samples, int64_t count,
                                  float *out, struct earshot_error *error);

/* Cuts or zero-pads log energies [frames][mel_bins] to target_frames and normalises:
 * out[target_frames][mel_bins] = (v - mean) / (2 std), padding included (as AST does). */
void fbank_normalise(const struct fbank *fbank, const float *log_energies, int64_t frames,
                     int64_t target_frames, float *out);

#endif
