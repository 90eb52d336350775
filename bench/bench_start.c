/*
 * bench_start.c: what a caption costs besides its own computing when a program has to start first.
 *
 *     bench_start [-p PRESET] [-t THREADS] [-r RUNS] [-d DIRECTORY] [-c]
 *
 * Standard: base, all threads, 3 runs, build/bench/data (bench_stages).  Every run is a new process
 * that opens the model, opens a session, captions the clip (beam of 4, 20 tokens) and captions it
 * again: the second time is the computing alone.  Rows, of seconds:
 *
 *     model, session   opening them
 *     first            what the first caption takes longer than the second
 *     extra            the process until its first caption, less the second: the three above, and
 *                      loading and leaving the program
 *     compute          the second caption
 *
 * The clock is that of bench.h, so the processor's with one thread; extra.wall is extra on the
 * wall. -c: the weights are put out of memory before every run and come from the disk, which only
 * the wall shows.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "bench.h"
#include "earshot.h"
#include "fixture.h"

enum { BEAMS = 4, TOKENS = 20, RUNS_LIMIT = 32 };

/* What a child tells: readings of both clocks after each of its steps. */
enum { BEGUN, MODEL_OPEN, SESSION_OPEN, FIRST_DONE, SECOND_DONE, MOMENTS };

struct moments {
    double cpu_s[MOMENTS], wall_s[MOMENTS];
};

static void note(struct moments *m, int moment)
{
    m->cpu_s[moment] = bench_clock_s(CLOCK_PROCESS_CPUTIME_ID);
    m->wall_s[moment] = bench_clock_s(CLOCK_MONOTONIC);
}

static bool take(void *context, int64_t index, struct earshot_result *result,
                 const struct earshot_error *error)
{
    bool *failed = context;

    (void)index;
    if (error) {
        fprintf(stderr, "bench_start: %s\n", error->message);
        *failed = true;
    }
    earshot_result_free(result);
    return !*failed;
}

/* ---- the process that is measured -------------------------------------------------------------
 */

static int child(const char *model_path, const char *clip, int threads)
{
    struct earshot_session_options options;
    struct earshot_source source = {.path = clip};
    struct earshot_model *model = NULL;
    struct earshot_session *session = NULL;
    struct earshot_error error = {0};
    struct moments m;
    bool failed = false;
    enum earshot_status status;

    note(&m, BEGUN);
    status = earshot_model_open(model_path, &model, &error);
    note(&m, MODEL_OPEN);
    earshot_session_options_init(&options, sizeof options);
    options.beam_width = BEAMS;
    options.max_tokens = TOKENS;
    options.min_tokens = TOKENS - 1;
    options.batch = 1;
    options.threads = threads;
    if (status == EARSHOT_OK)
        status = earshot_session_open(model, &options, &session, &error);
    note(&m, SESSION_OPEN);
    for (int moment = FIRST_DONE; moment <= SECOND_DONE && status == EARSHOT_OK; moment++) {
        status = earshot_caption_sources(session, &source, 1, take, &failed, &error);
        note(&m, moment);
    }
    earshot_session_close(session);
    earshot_model_close(model);
    if (status != EARSHOT_OK || failed)
        return status == EARSHOT_OK ? 1 : bench_complain("bench_start", &error);
    return fwrite(&m, sizeof m, 1, stdout) == 1 && fflush(stdout) == 0 ? 0 : 1;
}

/* ---- the one that measures --------------------------------------------------------------------
 */

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

/* Starts one.  The whole process: its times until SECOND_DONE lie in *m. */
static enum earshot_status start(char *const argv[], struct moments *m, double *cpu_s,
                                 double *began_s, struct earshot_error *error)
{
    int ends[2], result;
    struct rusage before, after;
    ssize_t got;
    pid_t pid;

    if (pipe(ends) != 0)
        return error_set_errno(error, EARSHOT_ERROR_IO, "pipe");
    getrusage(RUSAGE_CHILDREN, &before);
    *began_s = bench_clock_s(CLOCK_MONOTONIC);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(ends[1]);
    got = pid < 0 ? -1 : read(ends[0], m, sizeof *m);
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &result, 0) < 0 || got != sizeof *m || result != 0)
        return error_set(error, EARSHOT_ERROR_IO, "a started %s failed", argv[0]);
    getrusage(RUSAGE_CHILDREN, &after);
    *cpu_s = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) -
             seconds(before.ru_stime);
    return EARSHOT_OK;
}

/* Clean pages of the file leave memory. */
static void forget(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return;
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
}

enum { MODEL, SESSION, FIRST, EXTRA, EXTRA_WALL, COMPUTE, ROWS };
static const char *const row_names[ROWS] = {"model", "session",    "first",
                                            "extra", "extra.wall", "compute"};

static void split(const struct moments *m, double cpu_s, double began_s, bool by_cpu,
                  double row[ROWS])
{
    const double *t = by_cpu ? m->cpu_s : m->wall_s;
    double second_s = t[SECOND_DONE] - t[FIRST_DONE];
    double second_wall_s = m->wall_s[SECOND_DONE] - m->wall_s[FIRST_DONE];

    row[MODEL] = t[MODEL_OPEN] - t[BEGUN];
    row[SESSION] = t[SESSION_OPEN] - t[MODEL_OPEN];
    row[FIRST] = t[FIRST_DONE] - t[SESSION_OPEN] - second_s;
    row[EXTRA_WALL] = m->wall_s[FIRST_DONE] - began_s - second_wall_s;
    row[EXTRA] = by_cpu ? cpu_s - 2 * second_s : row[EXTRA_WALL];
    row[COMPUTE] = second_s;
}

struct arguments {
    const char *preset, *directory;
    int threads, runs;
    bool cold;
    char *model, *weights, *clip;
};

static enum earshot_status measure(const struct arguments *a, const char *program,
                                   const struct bench *bench, struct earshot_error *error)
{
    double row[ROWS][RUNS_LIMIT], one[ROWS];
    char threads[16];
    char *argv[] = {
        (char *)(uintptr_t)program, (char[]){"--child"}, a->model, a->clip, threads, NULL};
    enum earshot_status status = EARSHOT_OK;

    snprintf(threads, sizeof threads, "%d", a->threads);
    for (int i = 0; i < a->runs && status == EARSHOT_OK; i++) {
        struct moments m;
        double cpu_s = 0, began_s = 0;

        if (a->cold)
            forget(a->weights);
        status = start(argv, &m, &cpu_s, &began_s, error);
        if (status != EARSHOT_OK)
            return status;
        split(&m, cpu_s, began_s, bench->clock == CLOCK_PROCESS_CPUTIME_ID, one);
        for (int r = 0; r < ROWS; r++)
            row[r][i] = one[r];
    }
    for (int r = 0; r < ROWS && status == EARSHOT_OK; r++) {
        char *name = str_format("%s.start%s.%s", a->preset, a->cold ? ".cold" : "", row_names[r]);
        struct bench_figure f = {.rate = bench->last_rate, .runs = a->runs};

        if (!name)
            return error_memory(error, 1);
        f.median_s = bench_median(row[r], a->runs);
        f.best_s = row[r][0];
        f.worst_s = row[r][a->runs - 1];
        bench_print(bench, name, &f, 0);
        free(name);
    }
    return status;
}

static enum earshot_status prepare(struct arguments *a, struct earshot_error *error)
{
    struct model_config config;
    enum earshot_status status = model_config_preset(a->preset, &config, error);

    if (status != EARSHOT_OK)
        return status;
    a->model = str_format("%s/%s", a->directory, a->preset);
    a->weights = str_format("%s/%s/model.safetensors", a->directory, a->preset);
    a->clip = str_format("%s/clip.mp4", a->directory);
    status = a->model && a->weights && a->clip ? file_make_directories(a->directory, error)
                                               : error_memory(error, 1);
    if (status == EARSHOT_OK)
        status = fixture_clip(a->clip, error);
    if (status == EARSHOT_OK)
        status = fixture_model(&config, a->model, error);
    model_config_free(&config);
    return status;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    int option;

    while ((option = getopt(argc, argv, "p:t:r:d:c")) != -1)
        if (option == 'p')
            a->preset = optarg;
        else if (option == 't')
            a->threads = atoi(optarg);
        else if (option == 'r')
            a->runs = atoi(optarg);
        else if (option == 'd')
            a->directory = optarg;
        else if (option == 'c')
            a->cold = true;
        else
            return false;
    return a->runs >= 1 && a->runs <= RUNS_LIMIT && optind == argc;
}

int main(int argc, char **argv)
{
    struct arguments a = {.preset = "base", .directory = "build/bench/data", .runs = 3};
    struct earshot_error error = {0};
    struct bench bench = {0};
    enum earshot_status status;

    if (argc == 5 && strcmp(argv[1], "--child") == 0)
        return child(argv[2], argv[3], atoi(argv[4]));
    if (!parse(argc, argv, &a)) {
        fprintf(stderr, "usage: %s [-p PRESET] [-t THREADS] [-r RUNS] [-d DIRECTORY] [-c]\n",
                argv[0]);
        return 2;
    }
    status = prepare(&a, &error);
    if (status == EARSHOT_OK)
        status = bench_open(&bench, a.threads, NULL, &error);
    if (status == EARSHOT_OK)
        status = measure(&a, argv[0], &bench, &error);
    bench_close(&bench);
    free(a.model);
    free(a.weights);
    free(a.clip);
    return status == EARSHOT_OK ? 0 : bench_complain("bench_start", &error);
}
