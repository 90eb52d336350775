/*
 * schedule.h: the learning rate over steps: linear warm-up, then constant, linear or cosine decay
 * to a fraction of the peak (Loshchilov & Hutter, SGDR, ICLR 2017, without restarts).
 */
#ifndef EARSHOT_TRAIN_SCHEDULE_H
#define EARSHOT_TRAIN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE };

struct schedule {
    enum schedule_kind kind;
    double peak;
    int64_t warmup, steps; /* the rate reaches peak at step `warmup` and final * peak at `steps` */
    double final;
};

/* The rate of step 1 .. steps. */
double schedule_rate(const struct schedule *schedule, int64_t step);

#endif
