/*
 * subject.h: the stages and whole runs that are timed, by name: once prepared, run as often as
 * wanted.  bench_stages, bench_scaling and peer_side time the same subjects.
 *
 *   read        a file to what the encoders eat (decode, scale, filterbank, normalise)
 *   decode      a file to scaled frames and 16 kHz samples
 *   filterbank  samples of one clip to normalised log-mel
 *   swin, ast   an encoder's forward
 *   fuse        the cross-modal encoder and the decoder's keys and values of its memory
 *   forward     encoders, projections, fusion, the decoder's keys and values
 *   token       one step of the decoder for batch x beams rows; the mean over `tokens` steps
 *   logits      forward, then the decoder over given tokens: for comparing, not a stage
 *   search      the beam search of `tokens` tokens with its decoder steps
 *   caption     a file (or `batch` files) to captions of `tokens` tokens, through earshot.h
 *   train       forward, backward, clipped AdamW, of a captioning batch; train.forward,
 *               train.backward and train.update are its parts (with no operations);
 *               train.mono has every mono-modal loss too, train.full of two objectives
 */
#ifndef EARSHOT_BENCH_SUBJECT_H
#define EARSHOT_BENCH_SUBJECT_H

#include <time.h>

#include "model/config.h"

struct subject_setup {
    const char *model; /* directory: fixture_model; NULL: random weights of config */
    const struct model_config *config; /* only read when model is NULL */
    const char *clip;                  /* a media file: read, decode, caption */
    /* Directory with raw little-endian video.f32 [batch, 3, T, H, W], audio.f32 [batch, F, mel],
     * tokens.i32 and targets.i32 [batch, tokens]; NULL: noise. */
    const char *input;
    int64_t batch, beams, tokens;
    int threads; /* 0: all */
};

struct subject;

/* Those that together are captioning and training, NULL-terminated: not logits, nor parts of train.
 */
extern const char *const subject_stages[];

/* What setup points at must outlive the subject. */
enum earshot_status subject_open(const char *name, const struct subject_setup *setup,
                                 struct subject **subject, struct earshot_error *error);
void subject_close(struct subject *subject); /* NULL is fine */

/* Runs once; *seconds on that clock, of what the name says only (a bench_function). */
enum earshot_status subject_run(void *subject, clockid_t clock, double *seconds,
                                struct earshot_error *error);

/* Floating-point operations of the products of one run; 0 for what has none. */
double subject_operations(const struct subject *subject);

/*
 * Runs once and gives what came out, for comparing with a peer; *out is the subject's, until its
 * next call.  swin, ast, logits: the tensor; train, with dropout off and before any step: loss,
 * gradient norm, then every target's loss; search: token ids, then their log-probabilities, clip
 * by clip; read: video, then audio.  UNSUPPORTED for the others.
 */
enum earshot_status subject_check(struct subject *subject, const float **out, int64_t *count,
                                  struct earshot_error *error);

#endif
