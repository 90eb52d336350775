/*
 * sound.c: the mix: a sound event and a voice, each at a level drawn for the clip, over a faint
 * noise floor.
 *
 * A source's level is the root mean square of its loudest 50 ms, so that a few knocks and a steady
 * engine are about equally easy to hear.  A soft limit keeps every sample within (-1, 1).
 */
#include "toyworld/sound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static double loudest(const double *buffer, int64_t count)
{
    const int64_t window = TOYWORLD_RATE_HZ / 20;
    double most = 0;
    for (int64_t start = 0; start + window <= count; start += window / 2) {
        double power = 0;
        for (int64_t i = start; i < start + window; i++)
            power += buffer[i] * buffer[i];
        most = fmax(most, power / (double)window);
    }
    return sqrt(most);
}

static void mix_in(const double *source, double level, double *mix, int64_t count)
{
    double own = loudest(source, count);
    for (int64_t i = 0; own > 0 && i < count; i++)
        mix[i] += source[i] * level / own;
}

enum earshot_status toyworld_synthesise(const struct toyworld_scene *scene, float *samples,
                                        int64_t count, struct earshot_error *error)
{
    size_t bytes = (size_t)count * 2 * sizeof(double);
    double *mix = malloc(bytes > 0 ? bytes : 1);
    if (mix == NULL)
        return error_memory(error, bytes);
    double *source = mix + count;
    struct random_sequence random = {scene->seed, scene->sound_stream, 0};
    double event_level = random_next_range(&random, 0.08, 0.16);
    double speech_level = random_next_range(&random, 0.07, 0.13);
    double floor_level = random_next_range(&random, 0.001, 0.003);

    uint64_t floor_stream = random_bits(scene->seed, scene->sound_stream, UINT64_MAX);
    for (int64_t i = 0; i < count; i++)
        mix[i] = floor_level * random_normal(scene->seed, floor_stream, (uint64_t)i);
    event_synthesise(scene, source, count);
    mix_in(source, event_level, mix, count);
    speech_synthesise(scene, source, count);
    mix_in(source, speech_level, mix, count);
    for (int64_t i = 0; i < count; i++)
        samples[i] = (float)(0.98 * tanh(mix[i] / 0.98));
    free(mix);
    return EARSHOT_OK;
}
