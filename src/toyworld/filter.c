/* filter.c: second-order filters.  See filter.h. */
#include "toyworld/filter.h"

#include <math.h>

#include "toyworld/toyworld.h"

void filter_set_formant(struct filter *filter, double frequency_hz, double bandwidth_hz)
{
    double radius = exp(-FILTER_PI * bandwidth_hz / TOYWORLD_RATE_HZ);
    filter->a1 = -2 * radius * cos(2 * FILTER_PI * frequency_hz / TOYWORLD_RATE_HZ);
    filter->a2 = radius * radius;
    filter->b0 = 1 + filter->a1 + filter->a2;
    filter->b1 = filter->b2 = 0;
}

void filter_set_band(struct filter *filter, double centre_hz, double bandwidth_hz)
{
    double omega = 2 * FILTER_PI * centre_hz / TOYWORLD_RATE_HZ;
    double alpha = sin(omega) * bandwidth_hz / (2 * centre_hz);
    filter->b0 = alpha / (1 + alpha);
    filter->b1 = 0;
    filter->b2 = -filter->b0;
    filter->a1 = -2 * cos(omega) / (1 + alpha);
    filter->a2 = (1 - alpha) / (1 + alpha);
}

double filter_run(struct filter *filter, double input)
{
    double output = filter->b0 * input + filter->z1;
    filter->z1 = filter->b1 * input - filter->a1 * output + filter->z2;
    filter->z2 = filter->b2 * input - filter->a2 * output;
    return output;
}
