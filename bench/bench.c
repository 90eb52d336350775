/* bench.c: clock, yardstick, table.  See bench.h. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/cpu/cpu.h"

enum { YARD = 2048, YARD_RUNS = 2, RUNS_MAX = 1000 };

double bench_clock_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "model name" of the first processor, without what would upset a CSV. */
static void read_cpu(char *cpu, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[512];

    snprintf(cpu, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(cpu, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (file)
        fclose(file);
    for (char *c = cpu; *c; c++)
        if (*c == ',' || *c == '"')
            *c = ' ';
}

enum earshot_status bench_open(struct bench *bench, int threads, const char *isa,
                               struct earshot_error *error)
{
    const size_t count = (size_t)YARD * YARD;
    enum earshot_status status;

    *bench = (struct bench){.cores = sysconf(_SC_NPROCESSORS_ONLN)};
    read_cpu(bench->cpu, sizeof bench->cpu);
    status = cpu_open_isa(threads, isa, &bench->backend, error);
    if (status != EARSHOT_OK)
        return status;
    bench->threads = cpu_state_of(bench->backend)->threads;
    bench->isa = cpu_state_of(bench->backend)->isa;
    bench->clock = bench->threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    bench->yard = malloc(3 * count * sizeof(float));
    if (!bench->yard) {
        bench_close(bench);
        return error_memory(error, 3 * count * sizeof(float));
    }
    for (size_t i = 0; i < 3 * count; i++)
        bench->yard[i] = (float)(i % 17) * 0.125f - 1;
    printf("case,best_s,median_s,worst_s,runs,gflop,sgemm_gflops,fraction,threads,isa,cpu,cores,"
           "commit\n");
    return EARSHOT_OK;
}

void bench_close(struct bench *bench)
{
    if (bench->backend)
        bench->backend->close(bench->backend);
    free(bench->yard);
}

static double yardstick(const struct bench *bench)
{
    float *m = bench->yard;
    double best = 0;

    for (int i = -1; i < YARD_RUNS; i++) { /* the first makes the code and the pages */
        double start = bench_clock_s(bench->clock), rate;

        cpu_sgemm(bench->backend, false, false, YARD, YARD, YARD, m, YARD, m + YARD * YARD, YARD, 0,
                  m + 2 * YARD * YARD, YARD);
        rate = 2.0 * YARD * YARD * YARD / (bench_clock_s(bench->clock) - start);
        if (i >= 0 && rate > best)
            best = rate;
    }
    return best;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *value, int count)
{
    qsort(value, (size_t)count, sizeof *value, ascending);
    return (value[count / 2] + value[(count - 1) / 2]) / 2;
}

enum earshot_status bench_measure(struct bench *bench, int runs, bench_function function,
                                  void *context, struct bench_figure *figure,
                                  struct earshot_error *error)
{
    double seconds[RUNS_MAX], first;
    enum earshot_status status;

    runs = runs < 1 ? 1 : runs > RUNS_MAX ? RUNS_MAX : runs;
    if (bench->last_rate == 0)
        bench->last_rate = yardstick(bench);
    figure->rate = bench->last_rate;
    status = function(context, bench->clock, &first, error);
    for (int i = 0; i < runs && status == EARSHOT_OK; i++)
        status = function(context, bench->clock, &seconds[i], error);
    if (status != EARSHOT_OK)
        return status;
    bench->last_rate = yardstick(bench);
    if (bench->last_rate > figure->rate)
        figure->rate = bench->last_rate;
    figure->median_s = bench_median(seconds, runs);
    figure->best_s = seconds[0];
    figure->worst_s = seconds[runs - 1];
    figure->runs = runs;
    return EARSHOT_OK;
}

void bench_print(const struct bench *bench, const char *name, const struct bench_figure *f,
                 double operations)
{
    const char *commit = getenv("BENCH_COMMIT");

    printf("%s,%.4g,%.4g,%.4g,%d,", name, f->best_s, f->median_s, f->worst_s, f->runs);
    if (operations > 0)
        printf("%.5g,%.1f,%.3f", 1e-9 * operations, 1e-9 * f->rate,
               operations / f->best_s / f->rate);
    else
        printf(",%.1f,", 1e-9 * f->rate);
    printf(",%d,%s,%s,%ld,%s\n", bench->threads, bench->isa, bench->cpu, bench->cores,
           commit ? commit : "unknown");
    fflush(stdout);
}

int bench_complain(const char *program, const struct earshot_error *error)
{
    fprintf(stderr, "%s: %s\n", program, error->message);
    return 1;
}
