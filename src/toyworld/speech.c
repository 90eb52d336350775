/*
 * speech.c: a formant voice (after Klatt, "Software for a cascade/parallel formant synthesizer",
 * JASA 67, 1980, much reduced): a glottal pulse train through three resonances that glide, and
 * noise bursts for consonants.
 *
 * A word is onset, vowel glide, coda.  It is given by six digits 0 to 3: first and second formant
 * where the glide starts, the same where it ends, the onset, the coda.  The digits are a word of
 * the hexacode over GF(4) (Conway and Sloane, "Sphere Packings, Lattices and Groups", ch. 3), so
 * any two words differ in at least four of the six: as hard to confuse as 64 words can be made.
 *
 * A man's voice is lower in pitch than a woman's and his formants are lower too; within each, both
 * vary from video to video, and timing varies from word to word.
 */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "toyworld/filter.h"
#include "toyworld/language.h"
#include "toyworld/sound.h"

static const double RATE = TOYWORLD_RATE_HZ;

enum { ONSET_NONE, ONSET_HISS, ONSET_BURST, ONSET_NASAL };
enum { CODA_NONE, CODA_HISS, CODA_STOP, CODA_NASAL };

/* Digits of the code in their order. */
enum { FIRST_FROM, SECOND_FROM, FIRST_TO, SECOND_TO, ONSET, CODA };

static const double first_hz[] = {290, 420, 580, 760}, second_hz[] = {880, 1220, 1680, 2300};

/* GF(4) = {0, 1, w, w^2} as 0 to 3: sums are exclusive-or. */
static int gf4_times(int a, int b)
{
    return a == 0 || b == 0 ? 0 : (a - 1 + b - 1) % 3 + 1;
}

/* (a, b, c, f(1), f(w), f(w^2)) with f(x) = a x^2 + b x + c. */
void speech_code(int word, int digits[6])
{
    int a = word & 3, b = word >> 2 & 3, c = word >> 4 & 3;
    digits[0] = a;
    digits[1] = b;
    digits[2] = c;
    for (int x = 1; x < 4; x++)
        digits[2 + x] = gf4_times(a, gf4_times(x, x)) ^ gf4_times(b, x) ^ c;
}

/* Sample numbers at which a word starts, its vowel starts and ends, and it ends. */
struct word {
    int digits[6];
    int64_t start, vowel, coda, end;
};

struct voice {
    double pitch_hz, scale; /* scale multiplies every formant */
    double phase, flow;
    struct filter formant[3], noise;
};

/* A sentence: the words said[0..count) somewhere in [start_s, start_s + whole_s). */
struct sentence {
    const int *said;
    int count;
    double start_s, whole_s;
};

static void place_word(int said, double t, double long_s, struct word *word)
{
    speech_code(said, word->digits);
    double onset = word->digits[ONSET] == ONSET_NONE ? 0.03 : 0.27;
    double coda = word->digits[CODA] == CODA_NONE ? 0.03 : 0.25;
    word->start = (int64_t)(t * RATE);
    word->vowel = (int64_t)((t + onset * long_s) * RATE);
    word->coda = (int64_t)((t + (1 - coda) * long_s) * RATE);
    word->end = (int64_t)((t + long_s) * RATE);
}

/* Words follow each other closely, and what time is left is before and after them. */
static void lay_out_freely(const struct sentence *sentence, struct random_sequence *random,
                           struct word *words)
{
    double length[TOYWORLD_WORDS_MAX], gap[TOYWORLD_WORDS_MAX], total = 0;
    double pace = random_next_range(random, 0.9, 1.1);
    for (int i = 0; i < sentence->count; i++) {
        length[i] = pace * random_next_range(random, 0.2, 0.25);
        gap[i] = random_next_range(random, 0, 0.03);
        total += length[i] + gap[i];
    }
    double squeeze = fmin(1, 0.96 * sentence->whole_s / total);
    double slack = sentence->whole_s - total * squeeze;
    double t = sentence->start_s + slack * random_next_range(random, 0.1, 0.9);
    for (int i = 0; i < sentence->count; i++) {
        place_word(sentence->said[i], t, length[i] * squeeze, &words[i]);
        t += length[i] * squeeze + gap[i] * squeeze;
    }
}

/* Word number i somewhere in the i-th of WORDS_MAX equal stretches. */
static void lay_out_steadily(const struct sentence *sentence, struct random_sequence *random,
                             struct word *words)
{
    double stretch = sentence->whole_s / TOYWORLD_WORDS_MAX;
    for (int i = 0; i < sentence->count; i++) {
        double length = stretch * random_next_range(random, 0.8, 0.95);
        double late = (stretch - length) * random_next_uniform(random);
        place_word(sentence->said[i], sentence->start_s + i * stretch + late, length, &words[i]);
    }
}

/* One sample of the glottal source: the change of Rosenberg's flow pulse. */
static double glottis(struct voice *voice, double pitch_hz)
{
    voice->phase += pitch_hz / RATE;
    voice->phase -= floor(voice->phase);
    double p = voice->phase, flow = 0;
    if (p < 0.4)
        flow = 0.5 - 0.5 * cos(FILTER_PI * p / 0.4);
    else if (p < 0.6)
        flow = cos(FILTER_PI / 2 * (p - 0.4) / 0.2);
    double change = flow - voice->flow;
    voice->flow = flow;
    /* The steeper pulses of a high voice would otherwise be louder. */
    return change * 120 / pitch_hz;
}

static void set_formants(struct voice *voice, double first, double second)
{
    filter_set_formant(&voice->formant[0], first * voice->scale, 70);
    filter_set_formant(&voice->formant[1], second * voice->scale, 100);
    filter_set_formant(&voice->formant[2], fmax(2700, second + 500) * voice->scale, 180);
}

/* How loud voice and noise are at sample i of a word, and which noise. */
static void articulate(const struct word *word, int64_t i, struct voice *voice, double *voiced,
                       double *noisy)
{
    const double ramp = 0.012 * RATE;
    bool onset = i < word->vowel, coda = i >= word->coda;
    double rest = (double)(word->end - i) / RATE, age = (double)(i - word->start) / RATE;
    *voiced = *noisy = 0;
    if (!onset && !coda) {
        double rise = (double)(i - word->vowel + 1) / ramp;
        double fall = (double)(word->coda - i) / ramp;
        *voiced = fmin(1, fmin(rise, fall));
    } else if ((onset && word->digits[ONSET] == ONSET_NASAL) ||
               (coda && word->digits[CODA] == CODA_NASAL)) {
        set_formants(voice, 250, 1000);
        *voiced = 0.35 * fmin(1, fmin(age, rest) * 100);
    } else if (onset && word->digits[ONSET] == ONSET_HISS) {
        filter_set_band(&voice->noise, 5600, 1800);
        *noisy = 0.5 * fmin(1, age * 60);
    } else if (onset && word->digits[ONSET] == ONSET_BURST) {
        filter_set_band(&voice->noise, 2300, 900);
        *noisy = (double)(word->vowel - i) / RATE < 0.025 ? 1.1 : 0;
    } else if (coda && word->digits[CODA] == CODA_HISS) {
        filter_set_band(&voice->noise, 3500, 1200);
        *noisy = 0.45 * fmin(1, rest * 60);
    }
}

static void speak(const struct word *word, struct voice *voice, double fall,
                  struct random_sequence *random, double *buffer, int64_t count)
{
    double from_first = first_hz[word->digits[FIRST_FROM]];
    double from_second = second_hz[word->digits[SECOND_FROM]];
    double to_first = first_hz[word->digits[FIRST_TO]];
    double to_second = second_hz[word->digits[SECOND_TO]];
    int64_t length = word->coda - word->vowel;
    double stress = random_next_range(random, 0.95, 1.08), voiced = 0, noisy = 0;
    for (int64_t i = word->start; i < word->end && i < count; i++) {
        bool edge = i == word->vowel || i == word->coda;
        if ((i - word->start) % 32 == 0 || edge) { /* every 2 ms */
            double part = (double)(i - word->vowel) / (double)(length > 0 ? length : 1);
            part = part < 0.2 ? 0 : part > 0.8 ? 1 : (part - 0.2) / 0.6;
            set_formants(voice, from_first + (to_first - from_first) * part,
                         from_second + (to_second - from_second) * part);
            articulate(word, i, voice, &voiced, &noisy);
        }
        double sound = voiced * glottis(voice, voice->pitch_hz * stress * fall);
        for (int f = 0; f < 3; f++)
            sound = filter_run(&voice->formant[f], sound);
        double breath = random_next_normal(random);
        buffer[i] += sound + 0.3 * noisy * filter_run(&voice->noise, breath);
    }
}

void speech_synthesise(const struct toyworld_scene *scene, double *buffer, int64_t count)
{
    memset(buffer, 0, (size_t)count * sizeof(*buffer));
    if (scene->word_count == 0 || scene->slot[TOYWORLD_SPEAKER] >= TOYWORLD_PEOPLE)
        return;
    bool man = scene->slot[TOYWORLD_SPEAKER] == 0;
    struct random_sequence setting = {scene->seed, scene->setting_stream, 100};
    struct voice voice = {.pitch_hz = man ? random_next_range(&setting, 90, 130)
                                          : random_next_range(&setting, 185, 245),
                          .scale = (man ? 1 : 1.16) * random_next_range(&setting, 0.97, 1.03)};
    uint64_t stream = random_bits(scene->seed, scene->sound_stream, UINT64_MAX - 2);
    struct random_sequence random = {scene->seed, stream, 0};
    struct word words[TOYWORLD_PARTS_MAX * TOYWORLD_WORDS_MAX];
    double part_s = (double)count / RATE / scene->parts;
    for (int part = 0; part < scene->parts; part++) {
        int first = part == 0 ? 0 : scene->turn;
        int end = part + 1 < scene->parts ? scene->turn : scene->word_count;
        struct sentence sentence = {scene->said + first, end - first, part * part_s, part_s};
        if (scene->pace == TOYWORLD_PACE_STEADY)
            lay_out_steadily(&sentence, &random, words + first);
        else
            lay_out_freely(&sentence, &random, words + first);
    }
    for (int i = 0; i < scene->word_count; i++) {
        double fall = 1.08 - 0.16 * (double)words[i].start / (double)count;
        speak(&words[i], &voice, fall, &random, buffer, count);
    }
}
