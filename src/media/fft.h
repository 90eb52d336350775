/*
 * fft.h: the discrete Fourier transform of real samples, from libavutil (whose headers only this
 * folder includes).
 */
#ifndef EARSHOT_MEDIA_FFT_H
#define EARSHOT_MEDIA_FFT_H

#include "base/error.h"

struct fft;

/* A plan for one length (a power of two).  It holds work space: one thread at a time; making one
 * costs about as much as ten transforms of 512. */
enum earshot_status fft_new(int length, struct fft **fft, struct earshot_error *error);
void fft_free(struct fft *fft); /* NULL is fine */

/* The work space that a transform reads: double[length], the caller fills it before each. */
double *fft_input(struct fft *fft);

/* X[k] = sum_n x[n] exp(-2 pi i k n / length) for k = 0 .. length/2, as (re, im) pairs: the result
 * is valid until the next transform.  The input's content is lost. */
const double *fft_forward(struct fft *fft);

#endif
