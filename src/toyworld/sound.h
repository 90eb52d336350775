/*
 * sound.h: what the sound sources of toyworld/ share: second-order filters, and the two sources.
 * Internal to toyworld/.
 */
#ifndef EARSHOT_TOYWORLD_SOUND_H
#define EARSHOT_TOYWORLD_SOUND_H

#include "base/random.h"
#include "toyworld/toyworld.h"

#define SOUND_PI 3.14159265358979323846

/* A biquad section in transposed direct form II; all zero is silence. */
struct filter {
    double b0, b1, b2, a1, a2, z1, z2;
};

/* Both change the coefficients and keep the state, so a filter can be moved while it sounds. */
/* Two poles, unit gain at 0 Hz: a formant (Klatt, JASA 67, 1980). */
void filter_set_formant(struct filter *filter, double frequency_hz, double bandwidth_hz);
/* Band-pass with unit gain at its centre (R. Bristow-Johnson's audio EQ cookbook). */
void filter_set_band(struct filter *filter, double centre_hz, double bandwidth_hz);
double filter_run(struct filter *filter, double input);

/* Both write buffer[0..count), at whatever level comes out; silence where the scene has none. */
void event_synthesise(const struct toyworld_scene *scene, double *buffer, int64_t count);
void speech_synthesise(const struct toyworld_scene *scene, double *buffer, int64_t count);

/* The code word of a spoken word: six digits 0 to 3 that differ from any other's in at least four.
 */
void speech_code(int word, int digits[6]);

#endif
