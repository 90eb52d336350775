/*
 * language.c: the grammar of the toy world, in one table of values.
 *
 * A caption says what is seen (V) and what is heard (H), in one of a few orders:
 *
 *     V = a COLOUR SHAPE ACTION PLACE          H = EVENT | SPEAKER | EVENT and SPEAKER
 *     V while H | while H V | V as H | H while V | H as V
 *
 * with "in silence" and "without a sound" where nothing is heard.  In the cook world captions are V
 * alone.  The words that can be spoken aloud are a separate list of at most 64, because each has a
 * code word in speech.c.  No caption word for something heard is ever spoken.
 */
#include "toyworld/language.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct value {
    const char *name;   /* in the manifest's slots */
    const char *phrase; /* in a caption; NULL: not mentioned */
    const char *mark;   /* the word or words of the phrase that give the value away */
};

static const struct value colour_values[] = {
    {"red", "red", "red"},          {"green", "green", "green"}, {"blue", "blue", "blue"},
    {"yellow", "yellow", "yellow"}, {"white", "white", "white"}, {"pink", "pink", "pink"}};
static const struct value shape_values[] = {
    {"ball", "ball", "ball"}, {"square", "square", "square"}, {"triangle", "triangle", "triangle"},
    {"star", "star", "star"}, {"ring", "ring", "ring"},       {"doll", "doll", "doll"}};
static const struct value action_values[] = {
    {"left", "moves left", "left"},    {"right", "moves right", "right"},
    {"rises", "rises", "rises"},       {"falls", "falls", "falls"},
    {"jumps", "jumps", "jumps"},       {"grows", "grows", "grows"},
    {"shrinks", "shrinks", "shrinks"}, {"blinks", "blinks", "blinks"}};
static const struct value place_values[] = {{"grass", "on the grass", "grass"},
                                            {"sand", "on the sand", "sand"},
                                            {"lake", "on the lake", "lake"},
                                            {"wall", "by the wall", "wall"}};
static const struct value event_values[] = {
    {"bell", "a bell rings", "bell"},    {"knock", "someone knocks", "knocks"},
    {"siren", "a siren wails", "siren"}, {"engine", "an engine runs", "engine"},
    {"water", "water pours", "water"},   {"dog", "a dog barks", "dog"},
    {"music", "music plays", "music"},   {"quiet", NULL, NULL}};
static const struct value speaker_values[] = {
    {"man", "a man speaks", "man"}, {"woman", "a woman speaks", "woman"}, {"none", NULL, NULL}};

#define SIZE(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct slot {
    const char *name;
    const struct value *value;
    int size;
} slots[TOYWORLD_SLOTS] = {{"colour", colour_values, SIZE(colour_values)},
                           {"shape", shape_values, SIZE(shape_values)},
                           {"action", action_values, SIZE(action_values)},
                           {"place", place_values, SIZE(place_values)},
                           {"event", event_values, SIZE(event_values)},
                           {"speaker", speaker_values, SIZE(speaker_values)}};

/* Order matters: a word's place is its pronunciation. */
static const char *const spoken[] = {
    "red",      "green",   "blue",   "yellow", "white",  "pink",  "ball",    "square", "triangle",
    "star",     "ring",    "doll",   "moves",  "left",   "right", "rises",   "falls",  "jumps",
    "grows",    "shrinks", "blinks", "grass",  "sand",   "lake",  "wall",    "a",      "the",
    "on",       "by",      "it",     "we",     "you",    "now",   "so",      "then",   "well",
    "okay",     "slowly",  "again",  "gently", "here",   "hello", "friends", "thanks", "for",
    "watching", "today",   "is",     "nice",   "please", "like",  "this",    "my",     "video",
    "good",     "to",      "see",    "day"};
_Static_assert(SIZE(spoken) <= LANGUAGE_SPOKEN_MAX, "speech.c has no code word left");

static const char *const chatter[] = {
    "hello friends",    "thanks for watching", "please like my video", "today is a nice day",
    "this is my video", "we like this",        "good day to you",      "nice to see you here",
    "so you like it",   "well this is good",   "hello to you",         "see you then",
    "okay thanks",      "now please see this"};

const char *toyworld_slot_name(enum toyworld_slot slot)
{
    return slots[slot].name;
}

int toyworld_slot_size(enum toyworld_slot slot)
{
    return slots[slot].size;
}

const char *toyworld_value_name(enum toyworld_slot slot, int value)
{
    return slots[slot].value[value].name;
}

int language_spoken_count(void)
{
    return SIZE(spoken);
}

const char *language_spoken_word(int word)
{
    return spoken[word];
}

/*
 * Captions as templates: a capital stands for a slot's phrase (Colour, Shape, Action, Place), H for
 * what is heard.
 */
static const char *const cook_templates[] = {"a C S A P", "the C S A P", "P a C S A", "P the C S A",
                                             NULL};
static const char *const sound_templates[] = {"a C S A P while H", "while H a C S A P",
                                              "a C S A P as H",    "H while a C S A P",
                                              "H as a C S A P",    NULL};
static const char *const silence_templates[] = {"a C S A P in silence", "in silence a C S A P",
                                                "a C S A P without a sound",
                                                "without a sound a C S A P", NULL};

static const char *phrase(const struct toyworld_scene *scene, enum toyworld_slot slot)
{
    return slots[slot].value[scene->slot[slot]].phrase;
}

static void append(char *text, size_t *length, const char *more)
{
    int count = snprintf(text + *length, TOYWORLD_TEXT_MAX - *length, "%s", more);
    *length += (size_t)count;
}

static void expand(const struct toyworld_scene *scene, const char *template,
                   char text[TOYWORLD_TEXT_MAX])
{
    const char *event = phrase(scene, TOYWORLD_EVENT);
    const char *speaker = phrase(scene, TOYWORLD_SPEAKER);
    size_t length = 0;
    for (; *template != '\0'; template ++) {
        switch (*template) {
        case 'C':
            append(text, &length, phrase(scene, TOYWORLD_COLOUR));
            break;
        case 'S':
            append(text, &length, phrase(scene, TOYWORLD_SHAPE));
            break;
        case 'A':
            append(text, &length, phrase(scene, TOYWORLD_ACTION));
            break;
        case 'P':
            append(text, &length, phrase(scene, TOYWORLD_PLACE));
            break;
        case 'H':
            append(text, &length, event ? event : "");
            append(text, &length, event && speaker ? " and " : "");
            append(text, &length, speaker ? speaker : "");
            break;
        default:
            append(text, &length, (const char[]){*template, '\0'});
        }
    }
}

int toyworld_captions(const struct toyworld_scene *scene,
                      char captions[TOYWORLD_CAPTIONS_MAX][TOYWORLD_TEXT_MAX])
{
    bool sound = phrase(scene, TOYWORLD_EVENT) || phrase(scene, TOYWORLD_SPEAKER);
    const char *const *template = scene->world == TOYWORLD_COOK ? cook_templates
                                  : sound                       ? sound_templates
                                                                : silence_templates;
    int count = 0;
    for (; template[count] != NULL; count++)
        expand(scene, template[count], captions[count]);
    return count;
}

void toyworld_transcript(const struct toyworld_scene *scene, char text[TOYWORLD_TEXT_MAX])
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < scene->word_count; i++) {
        append(text, &length, i > 0 ? " " : "");
        append(text, &length, spoken[scene->transcribed[i]]);
    }
}

/* Whether word, with no letter before or after it, is somewhere in text. */
static bool names(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *p = text; (p = strstr(p, word)) != NULL; p++) {
        bool starts = p == text || p[-1] == ' ';
        if (starts && (p[length] == '\0' || p[length] == ' '))
            return true;
    }
    return false;
}

void toyworld_parse_caption(const char *text, int slot[TOYWORLD_SLOTS])
{
    for (int s = 0; s < TOYWORLD_SLOTS; s++) {
        int found = 0, unmarked = -1;
        slot[s] = -1;
        for (int v = 0; v < slots[s].size; v++) {
            if (slots[s].value[v].mark == NULL) {
                unmarked = v;
            } else if (names(text, slots[s].value[v].mark)) {
                slot[s] = v;
                found++;
            }
        }
        if (found == 0)
            slot[s] = unmarked;
        else if (found > 1)
            slot[s] = -1;
    }
}

/* The number of a word that the tables above spell, which is why it is always found. */
static int spoken_number(const char *word, size_t length)
{
    for (int i = 0; i < SIZE(spoken); i++)
        if (strlen(spoken[i]) == length && memcmp(spoken[i], word, length) == 0)
            return i;
    return 0;
}

/* Adds the words of a phrase to a sentence; what would not fit in a clip is left unsaid. */
static void say(int *said, int *count, const char *text)
{
    while (*text != '\0' && *count < TOYWORLD_WORDS_MAX) {
        size_t length = strcspn(text, " ");
        said[(*count)++] = spoken_number(text, length);
        text += length;
        text += strspn(text, " ");
    }
}

int language_narrate(const struct language_step *step, struct random_sequence *random, int *said)
{
    static const char *const fillers[] = {"", "", "now", "so", "then", "well", "okay"};
    static const char *const adverbs[] = {"", "", "", "slowly", "again", "gently", "here"};
    const char *place = step->place < 0 ? "" : place_values[step->place].phrase;
    const char *adverb = adverbs[random_next_below(random, SIZE(adverbs))];
    bool adverb_first = random_next_uniform(random) < 0.5;
    int count = 0;
    say(said, &count, fillers[random_next_below(random, SIZE(fillers))]);
    say(said, &count, random_next_uniform(random) < 0.5 ? "the" : "a");
    say(said, &count, step->colour < 0 ? "" : colour_values[step->colour].phrase);
    say(said, &count, shape_values[step->shape].phrase);
    say(said, &count, adverb_first ? adverb : "");
    say(said, &count, action_values[step->action].phrase);
    say(said, &count, adverb_first ? "" : adverb);
    say(said, &count, place);
    return count;
}

int language_chatter(struct random_sequence *random, int *said)
{
    static const char *const fillers[] = {"", "now", "so", "well", "okay"};
    int count = 0;
    say(said, &count, fillers[random_next_below(random, SIZE(fillers))]);
    say(said, &count, chatter[random_next_below(random, SIZE(chatter))]);
    if (random_next_uniform(random) < 0.4)
        say(said, &count, chatter[random_next_below(random, SIZE(chatter))]);
    return count;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds the lower-case words of a phrase or template, each followed by a space. */
static void collect(struct str *pool, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (*text >= 'a' && *text <= 'z') {
            str_append(pool, text, length);
            str_append(pool, " ", 1);
        }
        text += length;
        text += strspn(text, " ");
    }
}

void toyworld_vocabulary(struct str *text)
{
    static const char *const special[] = {"[PAD]",  "[UNK]",     "[CLS]", "[SEP]",
                                          "[MASK]", "[CAPTION]", "[PCC]", "[PNC]"};
    static const char *const *const templates[] = {cook_templates, sound_templates,
                                                   silence_templates};
    struct str pool = {0};
    for (int s = 0; s < TOYWORLD_SLOTS; s++)
        for (int v = 0; v < slots[s].size; v++)
            collect(&pool, slots[s].value[v].phrase ? slots[s].value[v].phrase : "");
    for (int i = 0; i < SIZE(templates); i++)
        for (int j = 0; templates[i][j] != NULL; j++)
            collect(&pool, templates[i][j]);
    for (int i = 0; i < SIZE(spoken); i++)
        collect(&pool, spoken[i]);
    collect(&pool, "and");

    const char *words[256];
    int count = 0;
    for (char *p = pool.data; p != NULL && *p != '\0' && count < SIZE(words);) {
        char *end = strchr(p, ' ');
        *end = '\0';
        words[count++] = p;
        p = end + 1;
    }
    qsort(words, (size_t)count, sizeof(words[0]), compare_words);
    for (int i = 0; i < SIZE(special); i++)
        str_append_format(text, "%s\n", special[i]);
    for (int i = 0; i < count; i++)
        if (i == 0 || strcmp(words[i], words[i - 1]) != 0)
            str_append_format(text, "%s\n", words[i]);
    text->failed |= pool.failed;
    str_free(&pool);
}
