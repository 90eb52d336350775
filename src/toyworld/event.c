/*
 * event.c: the sound events: bell, knock, siren, engine, water, dog, music.
 *
 * Each is a small physical caricature: struck modes that die away (bell, knock), a swept tone
 * (siren), firing pulses through resonances (engine), noise with bubbles (water), a short rough
 * voice (dog), plucked notes of a pentatonic scale (music).  Pitch, timing and number vary from
 * clip to clip.
 */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "toyworld/filter.h"
#include "toyworld/sound.h"

enum { BELL, KNOCK, SIREN, ENGINE, WATER, DOG, MUSIC };

static const double RATE = TOYWORLD_RATE_HZ;

/* Adds a sine of decaying level from time start_s on; its phase starts at zero, so no click. */
static void add_ringing(double *buffer, int64_t count, double start_s, double frequency_hz,
                        double decay_s, double level)
{
    int64_t first = (int64_t)(start_s * RATE);
    int64_t last = first + (int64_t)(6 * decay_s * RATE);
    /* sin(w n) by its recurrence: one multiplication a sample instead of a sine. */
    double omega = 2 * FILTER_PI * frequency_hz / RATE, fall = exp(-1 / (decay_s * RATE));
    double turn = 2 * fall * cos(omega), square = fall * fall;
    double now = 0, before = -level * sin(omega) / fall;
    for (int64_t i = first; i < last && i < count; i++) {
        buffer[i] += now;
        double next = turn * now - square * before;
        before = now;
        now = next;
    }
}

static void make_bell(struct random_sequence *random, double *buffer, int64_t count)
{
    static const double ratio[] = {1, 2, 2.74, 3.76, 5.1}, level[] = {1, 0.7, 0.6, 0.4, 0.3},
                        decay[] = {0.7, 0.45, 0.35, 0.25, 0.15};
    double pitch = random_next_range(random, 520, 860);
    double apart = random_next_range(random, 0.55, 0.95);
    double end = (double)count / RATE;
    for (double t = random_next_range(random, 0.03, 0.4); t < end; t += apart)
        for (int mode = 0; mode < 5; mode++)
            add_ringing(buffer, count, t, pitch * ratio[mode], decay[mode], level[mode]);
}

static void make_knock(struct random_sequence *random, double *buffer, int64_t count)
{
    double pitch = random_next_range(random, 160, 300);
    double apart = random_next_range(random, 0.14, 0.2);
    double pause = random_next_range(random, 0.45, 0.75);
    int group = 2 + (int)random_next_below(random, 3);
    double end = (double)count / RATE, t = random_next_range(random, 0.03, 0.3);
    for (int number = 1; t < end; number++) {
        add_ringing(buffer, count, t, pitch, 0.025, 1);
        add_ringing(buffer, count, t, 2.7 * pitch, 0.012, 0.7);
        add_ringing(buffer, count, t, 6.1 * pitch, 0.004, 0.6);
        t += number % group == 0 ? pause : apart;
    }
}

static void make_siren(struct random_sequence *random, double *buffer, int64_t count)
{
    double centre = random_next_range(random, 650, 900), rate = random_next_range(random, 0.5, 1.1);
    double start = random_next_uniform(random), phase = 0;
    for (int64_t i = 0; i < count; i++) {
        double sweep = sin(2 * FILTER_PI * (rate * (double)i / RATE + start));
        phase += 2 * FILTER_PI * centre * exp2(0.55 * sweep) / RATE;
        buffer[i] = sin(phase) + 0.4 * sin(2 * phase) + 0.2 * sin(3 * phase);
    }
}

static void make_engine(struct random_sequence *random, double *buffer, int64_t count)
{
    struct filter body = {0}, pipe = {0}, hiss = {0};
    double speed = random_next_range(random, 30, 52), drift = random_next_range(random, -0.1, 0.1);
    double phase = random_next_uniform(random), strength = 1;
    filter_set_formant(&body, random_next_range(random, 90, 130), 60);
    filter_set_formant(&pipe, random_next_range(random, 240, 340), 120);
    filter_set_band(&hiss, 500, 700);
    for (int64_t i = 0; i < count; i++) {
        phase += speed * (1 + drift * (double)i / (double)count) / RATE;
        double pulse = 0;
        if (phase >= 1) {
            phase -= 1;
            strength = random_next_range(random, 0.7, 1.3);
            pulse = strength * 40;
        }
        double noise = filter_run(&hiss, random_next_normal(random)) * (1.2 - phase);
        buffer[i] = filter_run(&body, pulse) + 0.7 * filter_run(&pipe, pulse) + 0.12 * noise;
    }
}

static void make_water(struct random_sequence *random, double *buffer, int64_t count)
{
    struct filter low = {0}, high = {0};
    filter_set_band(&low, random_next_range(random, 900, 1300), 1500);
    filter_set_band(&high, random_next_range(random, 3500, 4500), 3500);
    double wobble = random_next_range(random, 2, 5), end = (double)count / RATE;
    for (int64_t i = 0; i < count; i++) {
        double noise = random_next_normal(random);
        double flow = 1 + 0.3 * sin(2 * FILTER_PI * wobble * (double)i / RATE);
        buffer[i] = flow * (0.5 * filter_run(&low, noise) + 0.6 * filter_run(&high, noise));
    }
    for (double t = 0; t < end; t += random_next_range(random, 0.01, 0.07)) {
        double pitch = random_next_range(random, 700, 2400);
        double level = random_next_range(random, 0.3, 1.1);
        add_ringing(buffer, count, t, pitch, 0.012, level);
    }
}

static void make_dog(struct random_sequence *random, double *buffer, int64_t count)
{
    struct filter throat = {0}, mouth = {0}, nose = {0};
    double pitch = random_next_range(random, 380, 560),
           apart = random_next_range(random, 0.34, 0.6);
    double length = random_next_range(random, 0.15, 0.21);
    double start = random_next_range(random, 0.02, 0.3), phase = 0;
    double end = (double)count / RATE;
    filter_set_band(&throat, random_next_range(random, 850, 1050), 350);
    filter_set_band(&mouth, random_next_range(random, 1700, 2000), 500);
    filter_set_band(&nose, 3200, 900);
    for (int64_t i = 0; i < count; i++) {
        double t = (double)i / RATE, since = t - start;
        if (since >= apart && start + apart < end) {
            start += apart * random_next_range(random, 0.9, 1.25);
            since = t - start;
        }
        double voice = 0;
        if (since >= 0 && since < length) {
            double part = since / length;
            double level = fmin(1, part * 8) * pow(1 - part, 0.7);
            phase += pitch * (0.8 + 0.7 * sin(FILTER_PI * part)) / RATE;
            phase -= floor(phase);
            voice = level * (1 - 2 * phase + 0.5 * random_next_normal(random));
        }
        buffer[i] = filter_run(&throat, voice) + 0.7 * filter_run(&mouth, voice) +
                    0.3 * filter_run(&nose, voice);
    }
}

static void make_music(struct random_sequence *random, double *buffer, int64_t count)
{
    static const int scale[] = {0, 2, 4, 7, 9, 12};
    double base = 262 * exp2(random_next_range(random, -0.3, 0.3));
    double beat = random_next_range(random, 0.17, 0.27), end = (double)count / RATE;
    int number = 0;
    for (double t = random_next_range(random, 0, 0.1); t < end; t += beat, number++) {
        double pitch = base * exp2(scale[random_next_below(random, 6)] / 12.0);
        for (int harmonic = 1; harmonic <= 4; harmonic++)
            add_ringing(buffer, count, t, pitch * harmonic, 0.16 / harmonic, 1.0 / harmonic);
        if (number % 4 == 0)
            for (int harmonic = 1; harmonic <= 3; harmonic++)
                add_ringing(buffer, count, t, base * harmonic / 2, 0.5, 0.7 / harmonic);
    }
}

void event_synthesise(const struct toyworld_scene *scene, double *buffer, int64_t count)
{
    static void (*const make[])(struct random_sequence *, double *, int64_t) = {
        [BELL] = make_bell,   [KNOCK] = make_knock, [SIREN] = make_siren, [ENGINE] = make_engine,
        [WATER] = make_water, [DOG] = make_dog,     [MUSIC] = make_music};
    uint64_t stream = random_bits(scene->seed, scene->sound_stream, UINT64_MAX - 1);
    struct random_sequence random = {scene->seed, stream, 0};
    memset(buffer, 0, (size_t)count * sizeof(*buffer));
    if (scene->slot[TOYWORLD_EVENT] <= MUSIC)
        make[scene->slot[TOYWORLD_EVENT]](&random, buffer, count);
}
