/*
 * bench_step.c: what the mono-modal losses and a second objective cost: the time of a training step
 * (subject.h) over that of a plain one:
 *   train       one objective, no mono-modal loss
 *   train.mono  one objective, with every mono-modal loss
 *   train.full  two objectives, each with every mono-modal loss
 *
 *     bench_step [PRESET] [BATCH] [ROUNDS] [THREADS] [WORDS] [OPTION=VALUE...]   (small 1 5 0 20)
 *
 * Texts are WORDS tokens, [SEP] included.  Options are the model's ("fusion.kind=merged").  The
 * kinds of step take turns, so that what else the machine does falls on both; a ratio is the median
 * over the rounds.  With one thread the clock is processor time, else the wall.
 */
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "bench.h"
#include "subject.h"

enum { KINDS = 3, ROUNDS_MAX = 100 };

static const char *const kinds[KINDS] = {"train", "train.mono", "train.full"};

static enum earshot_status measure(const struct subject_setup *setup, int rounds,
                                   struct earshot_error *error)
{
    clockid_t clock = setup->threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double seconds[KINDS][ROUNDS_MAX], ratio[KINDS][ROUNDS_MAX];
    struct subject *subject[KINDS] = {NULL};
    enum earshot_status status = EARSHOT_OK;

    for (int kind = 0; kind < KINDS && status == EARSHOT_OK; kind++)
        status = subject_open(kinds[kind], setup, &subject[kind], error);
    for (int round = -1; round < rounds; round++) /* the first does not count */
        for (int kind = 0; kind < KINDS && status == EARSHOT_OK; kind++) {
            int at = round < 0 ? 0 : round;

            status = subject_run(subject[kind], clock, &seconds[kind][at], error);
            ratio[kind][at] = seconds[kind][at] / seconds[0][at];
        }
    for (int kind = 0; kind < KINDS; kind++) {
        if (status == EARSHOT_OK)
            printf("%s,%.4g,%.3f\n", kinds[kind], bench_median(seconds[kind], rounds),
                   bench_median(ratio[kind], rounds));
        subject_close(subject[kind]);
    }
    return status;
}

static enum earshot_status set_options(struct model_config *config, int count, char **text,
                                       struct earshot_error *error)
{
    enum earshot_status status = EARSHOT_OK;

    for (int i = 0; i < count && status == EARSHOT_OK; i++) {
        char *equals = strchr(text[i], '=');

        if (!equals)
            return error_set(error, EARSHOT_ERROR_ARGUMENT, "%s: expected OPTION=VALUE", text[i]);
        *equals = 0;
        status = options_set(model_config_table, config, text[i], equals + 1, error);
    }
    return status;
}

static int number(int argc, char **argv, int index, int otherwise)
{
    return argc > index ? atoi(argv[index]) : otherwise;
}

int main(int argc, char **argv)
{
    struct model_config config = {0};
    struct subject_setup setup = {.config = &config,
                                  .batch = number(argc, argv, 2, 1),
                                  .beams = 1,
                                  .tokens = number(argc, argv, 5, 20),
                                  .threads = number(argc, argv, 4, 0)};
    int rounds = number(argc, argv, 3, 5);
    struct earshot_error error = {0};
    enum earshot_status status = model_config_preset(argc > 1 ? argv[1] : "small", &config, &error);

    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    if (status == EARSHOT_OK && argc > 6)
        status = set_options(&config, argc - 6, argv + 6, &error);
    printf("step,seconds,ratio\n");
    if (status == EARSHOT_OK)
        status = measure(&setup, rounds, &error);
    model_config_free(&config);
    return status == EARSHOT_OK ? 0 : bench_complain("bench_step", &error);
}
