/*
 * bench.h: what every benchmark program shares: the clock, the yardstick, the table on standard
 * output.
 *
 * Every figure is one CSV row:
 *     case, best_s, median_s, worst_s, runs, gflop, sgemm_gflops, fraction, threads, isa, cpu,
 *     cores, commit
 * gflop counts the multiply-adds of products and attention twice, in 10^9; it and fraction are
 * empty for what does no such work.  sgemm_gflops is the yardstick: the rate of a 2048^3 f32
 * product by oneDNN on the same threads, timed just before and just after the case (the better of
 * the two); fraction is the case's best rate over it, so that figures of different machines and
 * moments compare.
 *
 * With one thread the clock is the processor time of the process, which other programs disturb less
 * than the clock on the wall; with more it is the wall.
 */
#ifndef EARSHOT_BENCH_BENCH_H
#define EARSHOT_BENCH_BENCH_H

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "backend/backend.h"
#include "base/error.h"

double bench_clock_s(clockid_t clock);

struct bench {
    struct backend *backend;
    int threads;
    const char *isa;
    clockid_t clock;
    float *yard;      /* three matrices of the yardstick */
    double last_rate; /* of the yardstick after the latest case; 0 before the first */
    char cpu[128];
    long cores;
};

/* threads 0: all; isa NULL: the best.  Prints the header. */
enum earshot_status bench_open(struct bench *bench, int threads, const char *isa,
                               struct earshot_error *error);
void bench_close(struct bench *bench);

/* Something that is run again and again.  *seconds (on bench->clock) is its own measurement, so
 * that what only prepares a run need not count. */
typedef enum earshot_status (*bench_function)(void *context, clockid_t clock, double *seconds,
                                              struct earshot_error *error);

/* Sorts the values, ascending. */
double bench_median(double *value, int count);

struct bench_figure {
    double best_s, median_s, worst_s;
    double rate; /* of the yardstick */
    int runs;
};

/* One run that does not count, then `runs` that do, between two measurements of the yardstick. */
enum earshot_status bench_measure(struct bench *bench, int runs, bench_function function,
                                  void *context, struct bench_figure *figure,
                                  struct earshot_error *error);

/* One row.  operations: floating-point operations of one run, 0 if that says nothing. */
void bench_print(const struct bench *bench, const char *name, const struct bench_figure *figure,
                 double operations);

/* Says what went wrong on standard error; the exit status of a program that could not go on. */
int bench_complain(const char *program, const struct earshot_error *error);

#endif
