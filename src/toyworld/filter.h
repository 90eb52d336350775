/* filter.h: the second-order filters of the sound sources.  Internal to toyworld/. */
#ifndef EARSHOT_TOYWORLD_FILTER_H
#define EARSHOT_TOYWORLD_FILTER_H

#define FILTER_PI 3.14159265358979323846

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

#endif
