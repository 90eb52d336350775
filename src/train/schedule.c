/* schedule.c: see schedule.h. */
#include "train/schedule.h"

#include <math.h>

double schedule_rate(const struct schedule *schedule, int64_t step)
{
    double progress, fall;

    if (step <= schedule->warmup)
        return schedule->peak * (double)step / (double)schedule->warmup;
    if (schedule->kind == SCHEDULE_CONSTANT || schedule->steps <= schedule->warmup)
        return schedule->peak;
    progress = (double)(step - schedule->warmup) / (double)(schedule->steps - schedule->warmup);
    if (progress > 1)
        progress = 1;
    fall = schedule->kind == SCHEDULE_LINEAR ? 1 - progress
                                             : 0.5 * (1 + cos(3.14159265358979323846 * progress));
    return schedule->peak * (schedule->final + (1 - schedule->final) * fall);
}
