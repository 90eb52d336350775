/* fft.c: real transforms through libavutil's av_tx, in double precision.  See fft.h. */
#include "media/fft.h"

#include <stdlib.h>

#include <libavutil/mem.h>
#include <libavutil/tx.h>

struct fft {
    AVTXContext *context;
    av_tx_fn transform;
    double *input, *output; /* av_malloc: aligned as the CPU's code wants it */
};

enum earshot_status fft_new(int length, struct fft **fft, struct earshot_error *error)
{
    const double scale = 1.0;
    struct fft *made;

    *fft = NULL;
    if (length < 4 || length > 1 << 20 || (length & (length - 1)) != 0)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "Fourier transform of length %d: expected a power of two from 4 to 2^20",
                         length);
    made = calloc(1, sizeof *made);
    if (!made)
        return error_memory(error, sizeof *made);
    made->input = av_malloc((size_t)length * sizeof(double));
    made->output = av_malloc(((size_t)length + 2) * sizeof(double));
    if (!made->input || !made->output) {
        fft_free(made);
        return error_memory(error, (size_t)length * sizeof(double));
    }
    if (av_tx_init(&made->context, &made->transform, AV_TX_DOUBLE_RDFT, 0, length, &scale, 0) < 0) {
        fft_free(made);
        return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                         "this libavutil has no real Fourier transform of length %d; FFmpeg 5.1 or "
                         "later has",
                         length);
    }
    *fft = made;
    return EARSHOT_OK;
}

void fft_free(struct fft *fft)
{
    if (!fft)
        return;
    av_tx_uninit(&fft->context);
    av_free(fft->input);
    av_free(fft->output);
    free(fft);
}

double *fft_input(struct fft *fft)
{
    return fft->input;
}

const double *fft_forward(struct fft *fft)
{
    fft->transform(fft->context, fft->output, fft->input, sizeof(double));
    return fft->output;
}
