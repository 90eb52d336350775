/*
 * test_toyworld.c: the world without its files: draws, language, pictures, sounds.
 */
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toyworld/filter.h"
#include "toyworld/sound.h"
#include "toyworld/toyworld.h"

enum { SIZE = 64 };

static struct toyworld_options open_world(int64_t seed)
{
    struct toyworld_options options = toyworld_options_default;
    options.seed = seed;
    return options;
}

static struct toyworld_options cook_world(int64_t seed)
{
    struct toyworld_options options = open_world(seed);
    options.world = TOYWORLD_COOK;
    options.word_errors = 0;
    return options;
}

/* A clip whose slots the caller sets; nothing is said in it. */
static struct toyworld_scene plain_scene(int64_t index)
{
    struct toyworld_options options = open_world(77);
    struct toyworld_scene scene;
    toyworld_scene_draw(&options, index, &scene);
    scene.noise = 0;
    scene.word_count = 0;
    scene.slot[TOYWORLD_EVENT] = 7;
    scene.slot[TOYWORLD_SPEAKER] = 2;
    return scene;
}

static void test_first_scenes(void **state)
{
    (void)state;
    /* Known draws: a change of these is a change of every corpus, to be made knowingly. */
    static const char *const expected[] = {
        "a blue doll jumps on the grass while a dog barks and a woman speaks",
        "a white triangle blinks on the lake while a siren wails and a man speaks",
        "a white ring rises on the lake while an engine runs"};
    struct toyworld_options options = open_world(1);
    for (int i = 0; i < 3; i++) {
        struct toyworld_scene scene;
        char captions[TOYWORLD_CAPTIONS_MAX][TOYWORLD_TEXT_MAX];
        toyworld_scene_draw(&options, i, &scene);
        assert_int_equal(toyworld_captions(&scene, captions), 5);
        assert_string_equal(captions[0], expected[i]);
    }
}

static void test_scene_depends_on_seed_and_index_only(void **state)
{
    (void)state;
    struct toyworld_options few = cook_world(5), many = few;
    int differ = 0;
    few.clips = 3;
    many.clips = 100000;
    many.threads = 7;
    for (int i = 0; i < 40; i++) {
        struct toyworld_options other = cook_world(6);
        struct toyworld_scene a, b, c;
        toyworld_scene_draw(&few, i, &a);
        toyworld_scene_draw(&many, i, &b);
        toyworld_scene_draw(&other, i, &c);
        assert_memory_equal(a.slot, b.slot, sizeof(a.slot));
        assert_int_equal(a.word_count, b.word_count);
        assert_memory_equal(a.said, b.said, sizeof(a.said));
        assert_true(a.picture_stream == b.picture_stream && a.sound_stream == b.sound_stream);
        differ += memcmp(a.slot, c.slot, sizeof(a.slot)) != 0;
    }
    assert_true(differ > 35);
}

struct rendering {
    struct toyworld_scene scene;
    uint8_t rgb[SIZE * SIZE * 3];
    float samples[24000];
    enum earshot_status status;
};

static void *render(void *argument)
{
    struct rendering *rendering = argument;
    toyworld_render_frame(&rendering->scene, 0.625, SIZE, SIZE, rendering->rgb);
    rendering->status = toyworld_synthesise(&rendering->scene, rendering->samples, 24000, NULL);
    return NULL;
}

static void test_rendering_is_a_pure_function(void **state)
{
    (void)state;
    struct toyworld_options options = open_world(3);
    struct rendering *each = calloc(3, sizeof(*each));
    pthread_t thread[3];
    assert_non_null(each);
    for (int i = 0; i < 3; i++)
        toyworld_scene_draw(&options, i < 2 ? 11 : 12, &each[i].scene);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, render, &each[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(each[0].status, EARSHOT_OK);
    assert_memory_equal(each[0].rgb, each[1].rgb, sizeof(each[0].rgb));
    assert_memory_equal(each[0].samples, each[1].samples, sizeof(each[0].samples));
    assert_memory_not_equal(each[0].rgb, each[2].rgb, sizeof(each[0].rgb));
    assert_memory_not_equal(each[0].samples, each[2].samples, sizeof(each[0].samples));
    free(each);
}

/* Pearson's statistic of the table of two slots, minus its degrees of freedom, in its deviations.
 */
static double dependence(struct toyworld_scene *scenes, int count, int a, int b)
{
    int rows = toyworld_slot_size(a), columns = toyworld_slot_size(b), table[8][8] = {{0}};
    double row[8] = {0}, column[8] = {0}, sum = 0, freedom = (rows - 1) * (columns - 1);
    for (int i = 0; i < count; i++) {
        int r = scenes[i].slot[a], c = scenes[i].slot[b];
        table[r][c]++;
        row[r]++;
        column[c]++;
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            double expected = row[r] * column[c] / count;
            sum += (table[r][c] - expected) * (table[r][c] - expected) / expected;
        }
    return (sum - freedom) / sqrt(2 * freedom);
}

static void test_open_slots_are_uniform_and_independent(void **state)
{
    (void)state;
    enum { COUNT = 6000 };
    struct toyworld_options options = open_world(1);
    struct toyworld_scene *scenes = calloc(COUNT, sizeof(*scenes));
    assert_non_null(scenes);
    for (int i = 0; i < COUNT; i++)
        toyworld_scene_draw(&options, i, &scenes[i]);
    for (int a = 0; a < TOYWORLD_THEN; a++) {
        double expected = (double)COUNT / toyworld_slot_size(a);
        for (int v = 0; v < toyworld_slot_size(a); v++) {
            int seen = 0;
            for (int i = 0; i < COUNT; i++)
                seen += scenes[i].slot[a] == v;
            assert_true(fabs(seen - expected) < 4.5 * sqrt(expected));
        }
        for (int b = 0; b < a; b++)
            assert_true(dependence(scenes, COUNT, a, b) < 4);
    }
    free(scenes);
}

/* Whether every word of text is a line of the vocabulary. */
static bool in_vocabulary(const char *vocabulary, const char *text)
{
    char line[64];
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        snprintf(line, sizeof(line), "\n%.*s\n", length, text);
        if (strstr(vocabulary, line) == NULL)
            return false;
        text += length + (text[length] == ' ');
    }
    return true;
}

/* A mixed clip's last captions leave something out, and then only what they say must be right. */
static void check_part_of_slots(const int *said, const struct toyworld_scene *scene)
{
    int left_out = 0;
    for (int s = 0; s < TOYWORLD_SLOTS; s++) {
        bool silent = !toyworld_slot_is_seen(s) && said[s] == toyworld_slot_size(s) - 1;
        left_out += said[s] != scene->slot[s];
        assert_true(said[s] == scene->slot[s] || said[s] < 0 || silent);
    }
    assert_in_range(left_out, 0, 2); /* none, when what is left out is that nothing is heard */
}

static void check_captions(const struct toyworld_scene *scene, const char *vocabulary)
{
    char captions[TOYWORLD_CAPTIONS_MAX][TOYWORLD_TEXT_MAX];
    int count = toyworld_captions(scene, captions);
    bool mixed = scene->world == TOYWORLD_MIXED;
    assert_in_range(count, mixed ? 10 : 4, mixed ? 10 : 5);
    for (int c = 0; c < count; c++) {
        int slot[TOYWORLD_SLOTS];
        toyworld_parse_caption(captions[c], slot);
        assert_true(in_vocabulary(vocabulary, captions[c]));
        for (int d = 0; d < c; d++)
            assert_string_not_equal(captions[c], captions[d]);
        if (mixed && c >= 7) {
            check_part_of_slots(slot, scene);
            continue;
        }
        if (scene->world == TOYWORLD_COOK)
            slot[TOYWORLD_EVENT] = scene->slot[TOYWORLD_EVENT],
            slot[TOYWORLD_SPEAKER] = scene->slot[TOYWORLD_SPEAKER];
        assert_memory_equal(slot, scene->slot, sizeof(slot));
    }
}

static void test_captions_say_the_slots(void **state)
{
    (void)state;
    struct str vocabulary = {0};
    toyworld_vocabulary(&vocabulary);
    for (int world = TOYWORLD_OPEN; world <= TOYWORLD_LONG; world++) {
        struct toyworld_options options = open_world(2);
        options.world = world;
        options.word_errors = 0;
        for (int i = 0; i < 500; i++) {
            struct toyworld_scene scene;
            char text[TOYWORLD_TEXT_MAX];
            toyworld_scene_draw(&options, i, &scene);
            check_captions(&scene, vocabulary.data);
            toyworld_transcript(&scene, text);
            assert_true(in_vocabulary(vocabulary.data, text));
            assert_int_equal(text[0] == '\0', scene.slot[TOYWORLD_SPEAKER] == 2);
        }
    }
    str_free(&vocabulary);
}

static void test_longest_texts_fit(void **state)
{
    (void)state;
    for (int world = TOYWORLD_OPEN; world <= TOYWORLD_LONG; world++) {
        struct toyworld_scene scene = plain_scene(0);
        char captions[TOYWORLD_CAPTIONS_MAX][TOYWORLD_TEXT_MAX];
        int longest = 0;
        scene.world = world;
        for (int i = 0; i < 6 * 6 * 8 * 4 * 8 * 3; i++) {
            int rest = i;
            for (int s = 0; s < TOYWORLD_THEN; s++) {
                scene.slot[s] = rest % toyworld_slot_size(s);
                rest /= toyworld_slot_size(s);
            }
            scene.slot[TOYWORLD_THEN] = world == TOYWORLD_LONG ? i % 2 : 8;
            scene.caption_stream = (uint64_t)i;
            for (int c = 0, count = toyworld_captions(&scene, captions); c < count; c++)
                longest = (int)strlen(captions[c]) > longest ? (int)strlen(captions[c]) : longest;
        }
        /* A text that was cut off would be exactly as long as the buffer allows. */
        assert_in_range(longest, world == TOYWORLD_COOK ? 30 : 60, TOYWORLD_TEXT_MAX - 2);
    }
}

static void test_foreign_captions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int slot[TOYWORLD_SLOTS];
    } cases[] = {{"", {-1, -1, -1, -1, 7, 2, 8}},
                 {"a bell rings", {-1, -1, -1, -1, 0, 2, 8}},
                 {"a red blue ring jumps", {-1, 4, 4, -1, 7, 2, 8}},
                 {"red red ball ball", {0, 0, -1, -1, 7, 2, 8}},
                 {"a crimson red globe bounces and hops", {0, 0, 4, -1, 7, 2, 8}},
                 {"the woman and the man", {-1, -1, -1, -1, 7, -1, 8}},
                 {"a ball jumps then falls", {-1, 0, 4, -1, 7, 2, 3}},
                 {"jumps then jumps by the wall", {-1, -1, 4, 3, 7, 2, 4}},
                 {"then the ball jumps", {-1, 0, 4, -1, 7, 2, 8}},
                 {"the ball jumps then", {-1, 0, 4, -1, 7, 2, 8}},
                 {"jumps falls then rises", {-1, -1, -1, -1, 7, 2, 8}},
                 {"jumps then falls then rises", {-1, -1, 4, -1, 7, 2, -1}},
                 {"then then then", {-1, -1, -1, -1, 7, 2, 8}},
                 {"infrared footballs on the grasses", {-1, -1, -1, -1, 7, 2, 8}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int slot[TOYWORLD_SLOTS];
        toyworld_parse_caption(cases[i].text, slot);
        assert_memory_equal(slot, cases[i].slot, sizeof(slot));
    }
}

static void test_vocabulary(void **state)
{
    (void)state;
    static const char head[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[CAPTION]\n[PCC]\n[PNC]\na\n";
    struct str text = {0};
    toyworld_vocabulary(&text);
    assert_true(str_starts_with(text.data, head));
    char *rest = text.data + sizeof(head) - 3, previous[32] = "";
    int words = 0;
    for (char *word; (word = strtok_r(rest, "\n", &rest)) != NULL; words++) {
        assert_true(strcmp(previous, word) < 0);
        snprintf(previous, sizeof(previous), "%s", word);
    }
    assert_in_range(words, 100, 200);
    str_free(&text);
}

/* Numbers of clips that several worlds share. */
static void test_worlds_have_clips_of_their_own(void **state)
{
    (void)state;
    int same[TOYWORLD_LONG + 1] = {0};
    for (int i = 0; i < 200; i++) {
        struct toyworld_options options = open_world(4);
        struct toyworld_scene scene[TOYWORLD_LONG + 1];
        for (int world = TOYWORLD_OPEN; world <= TOYWORLD_LONG; world++) {
            options.world = world;
            toyworld_scene_draw(&options, i, &scene[world]);
            same[world] += scene[world].slot[TOYWORLD_COLOUR] == scene[0].slot[TOYWORLD_COLOUR] &&
                           scene[world].slot[TOYWORLD_SHAPE] == scene[0].slot[TOYWORLD_SHAPE];
        }
    }
    for (int world = TOYWORLD_COOK; world <= TOYWORLD_LONG; world++)
        assert_in_range(same[world], 0, 20); /* one in 36 by chance */
}

static void test_long_clips_have_two_actions(void **state)
{
    (void)state;
    struct toyworld_options options = open_world(1);
    options.world = TOYWORLD_LONG;
    enum { COUNT = 4000 };
    int pairs[8][8] = {{0}};
    assert_int_equal(toyworld_frame_count(&options), 40);
    assert_int_equal(toyworld_sample_count(&options), 80000);
    assert_int_equal(toyworld_clips_per_video(&options), 1);
    for (int i = 0; i < COUNT; i++) {
        struct toyworld_scene scene;
        toyworld_scene_draw(&options, i, &scene);
        assert_int_equal(scene.parts, 2);
        assert_true(scene.duration_s == 5);
        assert_in_range(scene.turn, 0, TOYWORLD_WORDS_MAX);
        assert_in_range(scene.word_count - scene.turn, 0, TOYWORLD_WORDS_MAX);
        assert_int_equal(scene.turn > 0, scene.word_count > scene.turn);
        pairs[scene.slot[TOYWORLD_ACTION]][scene.slot[TOYWORLD_THEN]]++;
    }
    for (int a = 0; a < 8; a++)
        for (int b = 0; b < 8; b++)
            assert_in_range(pairs[a][b], a == b ? 0 : 35, a == b ? 0 : 115);
}

static void test_mixed_clips_are_of_both_kinds(void **state)
{
    (void)state;
    struct toyworld_options options = open_world(1), recipes = cook_world(1);
    bool step[8][6] = {{false}};
    int narrated = 0, outside = 0, silent = 0;
    options.world = TOYWORLD_MIXED;
    options.word_errors = 0;
    assert_int_equal(toyworld_clips_per_video(&options), 1);
    for (int i = 0; i < 4000; i++) {
        struct toyworld_scene scene;
        toyworld_scene_draw(&recipes, i, &scene);
        step[scene.slot[TOYWORLD_ACTION]][scene.slot[TOYWORLD_SHAPE]] = true;
    }
    for (int i = 0; i < 4000; i++) {
        struct toyworld_scene scene;
        char text[TOYWORLD_TEXT_MAX];
        int said[TOYWORLD_SLOTS];
        toyworld_scene_draw(&options, i, &scene);
        toyworld_transcript(&scene, text);
        toyworld_parse_caption(text, said);
        silent += scene.slot[TOYWORLD_SPEAKER] == 2;
        outside += !step[scene.slot[TOYWORLD_ACTION]][scene.slot[TOYWORLD_SHAPE]];
        if (said[TOYWORLD_SHAPE] < 0)
            continue;
        /* Who tells of a shape tells of a recipe, and 65 in 80 of the step that is seen. */
        narrated++;
        assert_true(step[scene.slot[TOYWORLD_ACTION]][scene.slot[TOYWORLD_SHAPE]]);
    }
    assert_in_range(narrated, 1400, 1750);
    assert_in_range(silent, 550, 780); /* a third of the open half */
    assert_true(outside > 200);
}

static void test_cook_videos_follow_recipes(void **state)
{
    (void)state;
    struct toyworld_options one = cook_world(1), two = cook_world(2);
    const int64_t clips = 4;
    bool seen[2][8][6] = {{{false}}};
    int steps = 0;
    for (int64_t i = 0; i < 4000; i += clips) {
        struct toyworld_scene scene[4], other;
        for (int64_t j = 0; j < clips; j++) {
            toyworld_scene_draw(&one, i + j, &scene[j]);
            toyworld_scene_draw(&two, i + j, &other);
            seen[0][scene[j].slot[TOYWORLD_ACTION]][scene[j].slot[TOYWORLD_SHAPE]] = true;
            seen[1][other.slot[TOYWORLD_ACTION]][other.slot[TOYWORLD_SHAPE]] = true;
            assert_int_equal(scene[j].slot[TOYWORLD_COLOUR], scene[0].slot[TOYWORLD_COLOUR]);
            assert_int_equal(scene[j].slot[TOYWORLD_PLACE], scene[0].slot[TOYWORLD_PLACE]);
            assert_int_equal(scene[j].slot[TOYWORLD_EVENT], scene[0].slot[TOYWORLD_EVENT]);
            assert_int_equal(scene[j].slot[TOYWORLD_SPEAKER], scene[0].slot[TOYWORLD_SPEAKER]);
            assert_true(scene[j].setting_stream == scene[0].setting_stream);
            for (int64_t k = 0; k < j; k++)
                assert_true(scene[j].slot[TOYWORLD_ACTION] != scene[k].slot[TOYWORLD_ACTION]);
        }
    }
    /* Both seeds know the same steps, and not all of the 48 that there could be. */
    assert_memory_equal(seen[0], seen[1], sizeof(seen[0]));
    for (int a = 0; a < 8; a++)
        for (int s = 0; s < 6; s++)
            steps += seen[0][a][s];
    assert_in_range(steps, 20, 46);
}

static void test_cook_narration(void **state)
{
    (void)state;
    struct toyworld_options options = cook_world(1);
    int current = 0, colour = 0, place = 0, chatter = 0;
    const int count = 4000;
    for (int i = 0; i < count; i++) {
        struct toyworld_scene scene;
        char text[TOYWORLD_TEXT_MAX];
        int said[TOYWORLD_SLOTS];
        toyworld_scene_draw(&options, i, &scene);
        toyworld_transcript(&scene, text);
        toyworld_parse_caption(text, said);
        assert_int_equal(said[TOYWORLD_EVENT], 7); /* never spoken */
        assert_in_range(scene.word_count, 1, TOYWORLD_WORDS_MAX);
        if (said[TOYWORLD_SHAPE] < 0) {
            chatter++;
            continue;
        }
        colour += said[TOYWORLD_COLOUR] == scene.slot[TOYWORLD_COLOUR];
        place += said[TOYWORLD_PLACE] == scene.slot[TOYWORLD_PLACE];
        current += said[TOYWORLD_SHAPE] == scene.slot[TOYWORLD_SHAPE] &&
                   said[TOYWORLD_ACTION] == scene.slot[TOYWORLD_ACTION];
    }
    double told = count - chatter;
    assert_true(fabs(current / (double)count - 0.65) < 0.03);
    assert_true(fabs(colour / told - 0.7) < 0.03);
    assert_true(fabs(place / told - 0.4) < 0.03);
    /* 20%, and the previous and next steps that a recipe's ends do not have. */
    assert_true(fabs(chatter / (double)count - 0.22) < 0.04);
}

/* One shape a video, whose recipe it decides; the voice says "it" in half of the sentences. */
static void test_cook_object_of_the_video(void **state)
{
    (void)state;
    struct toyworld_options options = cook_world(1);
    int next[6][8], named = 0, it = 0, steps = 0, chatter = 0;
    options.recipes = 6;
    options.object = TOYWORLD_OBJECT_VIDEO;
    options.name_shape = 0.5;
    options.fillers = 0;
    memset(next, -1, sizeof(next));
    for (int64_t i = 0; i < 4000; i++) {
        struct toyworld_scene scene, after;
        char text[TOYWORLD_TEXT_MAX];
        int said[TOYWORLD_SLOTS];
        toyworld_scene_draw(&options, i, &scene);
        toyworld_scene_draw(&options, i + 1, &after);
        toyworld_transcript(&scene, text);
        toyworld_parse_caption(text, said);
        if (said[TOYWORLD_ACTION] < 0) {
            chatter++;
        } else if (said[TOYWORLD_SHAPE] >= 0) {
            assert_int_equal(said[TOYWORLD_SHAPE], scene.slot[TOYWORLD_SHAPE]);
            assert_true(strncmp(text, "a ", 2) == 0 || strncmp(text, "the ", 4) == 0);
            named++;
        } else {
            assert_int_equal(strncmp(text, "it ", 3), 0);
            assert_int_equal(said[TOYWORLD_COLOUR], -1);
            it++;
        }
        if (i % 4 == 3)
            continue;
        int *known = &next[scene.slot[TOYWORLD_SHAPE]][scene.slot[TOYWORLD_ACTION]];
        assert_true(*known < 0 || *known == after.slot[TOYWORLD_ACTION]);
        steps += *known < 0;
        *known = after.slot[TOYWORLD_ACTION];
    }
    assert_int_equal(steps, 6 * 5);
    assert_true(fabs(named / (double)(named + it) - 0.5) < 0.03);
    assert_true(fabs(chatter / 4000.0 - 0.22) < 0.04);
}

/* Whether (recipe known by its step, place) settles the next step, and the step alone does not. */
static void test_cook_order_by_place(void **state)
{
    (void)state;
    struct toyworld_options options = cook_world(1);
    options.recipes = 1;
    options.order = TOYWORLD_ORDER_PLACE;
    int next[4][8], forks = 0;
    memset(next, -1, sizeof(next));
    for (int64_t i = 0; i < 4000; i++) {
        struct toyworld_scene scene, after;
        if (i % 4 == 3)
            continue;
        toyworld_scene_draw(&options, i, &scene);
        toyworld_scene_draw(&options, i + 1, &after);
        int *known = &next[scene.slot[TOYWORLD_PLACE]][scene.slot[TOYWORLD_ACTION]];
        assert_true(*known < 0 || *known == after.slot[TOYWORLD_ACTION]);
        *known = after.slot[TOYWORLD_ACTION];
    }
    for (int action = 0; action < 8; action++)
        for (int place = 1; place < 4; place++)
            forks += next[place][action] != next[0][action];
    assert_true(forks >= 6);
}

static void test_word_errors(void **state)
{
    (void)state;
    struct toyworld_options options = cook_world(1);
    options.word_errors = 0.25;
    int words = 0, wrong = 0;
    for (int i = 0; i < 1000; i++) {
        struct toyworld_scene scene;
        toyworld_scene_draw(&options, i, &scene);
        words += scene.word_count;
        for (int w = 0; w < scene.word_count; w++)
            wrong += scene.said[w] != scene.transcribed[w];
    }
    assert_true(fabs(wrong / (double)words - 0.25) < 0.02);
}

static void test_options_check(void **state)
{
    (void)state;
    struct earshot_error error;
    struct toyworld_options options = toyworld_options_default;
    assert_int_equal(toyworld_options_check(&options, &error), EARSHOT_OK);
    options.size = 63;
    assert_int_equal(toyworld_options_check(&options, &error), EARSHOT_ERROR_ARGUMENT);
    options = cook_world(1);
    options.clips_per_video = 7;
    assert_int_equal(toyworld_options_check(&options, &error), EARSHOT_ERROR_ARGUMENT);
    options = cook_world(1);
    options.align = 0.9;
    assert_int_equal(toyworld_options_check(&options, &error), EARSHOT_ERROR_ARGUMENT);
    options = cook_world(1);
    options.object = TOYWORLD_OBJECT_VIDEO;
    options.recipes = 5;
    assert_int_equal(toyworld_options_check(&options, &error), EARSHOT_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "cook.recipes 5"));
}

/* Pixels that are nearer to the pure colour than to anything else, and their centre. */
struct blob {
    int count;
    double x, y;
};

static struct blob find_blob(const struct toyworld_scene *scene, double part, int width, int height)
{
    static const int pure[6][3] = {{228, 26, 28},  {40, 205, 50},   {36, 60, 240},
                                   {250, 226, 30}, {245, 245, 245}, {248, 95, 200}};
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    struct blob blob = {0, 0, 0};
    assert_non_null(rgb);
    toyworld_render_frame(scene, part * scene->duration_s, width, height, rgb);
    for (int i = 0; i < width * height; i++) {
        int distance = 0;
        for (int c = 0; c < 3; c++)
            distance += abs(rgb[3 * i + c] - pure[scene->slot[TOYWORLD_COLOUR]][c]);
        if (distance > 44)
            continue;
        blob.count++;
        blob.x += (i % width + 0.5) / width;
        blob.y += (i / width + 0.5) / height;
    }
    free(rgb);
    blob.x /= blob.count ? blob.count : 1;
    blob.y /= blob.count ? blob.count : 1;
    return blob;
}

static void test_every_value_is_visible(void **state)
{
    (void)state;
    for (int i = 0; i < 6 * 6 * 4; i++) {
        struct toyworld_scene scene = plain_scene(i);
        scene.slot[TOYWORLD_COLOUR] = i % 6;
        scene.slot[TOYWORLD_SHAPE] = i / 6 % 6;
        scene.slot[TOYWORLD_PLACE] = i / 36;
        scene.slot[TOYWORLD_ACTION] = 0;
        struct blob blob = find_blob(&scene, 0.5, SIZE, SIZE);
        assert_in_range(blob.count, 130, 900);
        /* Nothing in the background has the colour: the blob is where the shape is. */
        assert_true(fabs(blob.x - 0.5) < 0.06);
    }
}

static void check_action(int action, const struct blob *blob, int count)
{
    int hidden = 0, turns = 0;
    double last_dy = 0;
    for (int i = 0; i < count; i++) {
        double dy = i ? blob[i].y - blob[i - 1].y : 0;
        hidden += blob[i].count == 0;
        turns += dy * last_dy < 0;
        last_dy = dy != 0 ? dy : last_dy;
    }
    double dx = blob[count - 1].x - blob[0].x, dy = blob[count - 1].y - blob[0].y;
    double growth = (blob[count - 1].count + 1.0) / (blob[0].count + 1.0);
    bool still_x = fabs(dx) < 0.03, still_y = fabs(dy) < 0.03, whole = hidden == 0;
    bool same_size = growth > 0.7 && growth < 1.4;
    bool expected[] = {dx < -0.3 && still_y && same_size && whole,
                       dx > 0.3 && still_y && same_size && whole,
                       dy < -0.3 && still_x && same_size && whole && turns == 0,
                       dy > 0.3 && still_x && same_size && whole && turns == 0,
                       still_x && whole && turns >= 3,
                       still_x && still_y && whole && growth > 3,
                       still_x && still_y && whole && growth < 1 / 3.0,
                       hidden >= 3 && hidden <= 13};
    if (!expected[action])
        fail_msg("action %d: dx %.2f dy %.2f growth %.2f hidden %d turns %d", action, dx, dy,
                 growth, hidden, turns);
}

static void test_actions(void **state)
{
    (void)state;
    enum { FRAMES = 20 };
    for (int i = 0; i < 8 * 6; i++) {
        struct toyworld_scene scene = plain_scene(i);
        struct blob blob[FRAMES];
        scene.slot[TOYWORLD_ACTION] = i % 8;
        scene.slot[TOYWORLD_SHAPE] = i / 8;
        for (int t = 0; t < FRAMES; t++)
            blob[t] = find_blob(&scene, t / (double)FRAMES, SIZE, SIZE);
        check_action(i % 8, blob, FRAMES);
    }
}

static void test_long_actions(void **state)
{
    (void)state;
    enum { FRAMES = 40 };
    for (int i = 0; i < 8 * 8; i++) {
        struct toyworld_scene scene = plain_scene(i);
        struct blob blob[FRAMES];
        scene.parts = 2;
        scene.duration_s = 5;
        scene.slot[TOYWORLD_ACTION] = i % 8;
        scene.slot[TOYWORLD_THEN] = i / 8;
        for (int t = 0; t < FRAMES; t++)
            blob[t] = find_blob(&scene, t / (double)FRAMES, SIZE, SIZE);
        check_action(i % 8, blob, FRAMES / 2);
        check_action(i / 8, blob + FRAMES / 2, FRAMES / 2);
    }
}

static void test_places_differ(void **state)
{
    (void)state;
    /* The four places by their mean colour, with a small shape in front, whatever the light. */
    uint8_t rgb[SIZE * SIZE * 3];
    for (int i = 0; i < 40; i++) {
        struct toyworld_scene scene = plain_scene(i);
        double mean[3] = {0};
        scene.slot[TOYWORLD_ACTION] = 5; /* grows: small at first */
        toyworld_render_frame(&scene, 0, SIZE, SIZE, rgb);
        for (int p = 0; p < SIZE * SIZE * 3; p++)
            mean[p % 3] += rgb[p] / (double)(SIZE * SIZE);
        int place = mean[1] > mean[0] && mean[1] > mean[2]   ? 0
                    : mean[2] > mean[1] && mean[1] > mean[0] ? 2
                    : mean[1] > 0.78 * mean[0]               ? 1
                                                             : 3;
        assert_int_equal(place, scene.slot[TOYWORLD_PLACE]);
    }
}

static void test_any_frame_size(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {2, 1}, {17, 31}, {101, 64}, {64, 101}, {129, 16}};
    struct toyworld_scene scene = plain_scene(4);
    scene.slot[TOYWORLD_ACTION] = 1;
    scene.slot[TOYWORLD_SHAPE] = 0;
    struct blob square = find_blob(&scene, 0.9, SIZE, SIZE);
    scene.noise = 0.03;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct blob blob = find_blob(&scene, 0.9, sizes[i][0], sizes[i][1]);
        if (sizes[i][0] < 60 || sizes[i][1] < 60)
            continue;
        assert_true(fabs(blob.x - square.x) < 0.02 && fabs(blob.y - square.y) < 0.02);
        assert_in_range(blob.count, square.count * 3 / 4, square.count * 5 / 4);
    }
}

static void test_noise_level(void **state)
{
    (void)state;
    uint8_t clean[SIZE * SIZE * 3], noisy[SIZE * SIZE * 3], later[SIZE * SIZE * 3];
    struct toyworld_scene scene = plain_scene(4);
    scene.slot[TOYWORLD_PLACE] = 1; /* sand: no pixel near 0 or 255 that noise would be cut at */
    scene.slot[TOYWORLD_ACTION] = 7;
    toyworld_render_frame(&scene, 0.25, SIZE, SIZE, clean);
    scene.noise = 0.03;
    toyworld_render_frame(&scene, 0.25, SIZE, SIZE, noisy);
    toyworld_render_frame(&scene, 0.375, SIZE, SIZE, later);
    double sum = 0, power = 0;
    for (int i = 0; i < SIZE * SIZE * 3; i++) {
        double difference = noisy[i] - clean[i];
        sum += difference;
        power += difference * difference;
    }
    assert_true(fabs(sum / (SIZE * SIZE * 3)) < 0.3);
    assert_true(fabs(sqrt(power / (SIZE * SIZE * 3)) - 0.03 * 255) < 0.5);
    assert_memory_not_equal(noisy, later, sizeof(noisy));
}

static void test_speech_code(void **state)
{
    (void)state;
    for (int a = 0; a < 64; a++)
        for (int b = 0; b < a; b++) {
            int first[6], second[6], differ = 0;
            speech_code(a, first);
            speech_code(b, second);
            for (int i = 0; i < 6; i++)
                differ += first[i] != second[i];
            assert_in_range(differ, 4, 6);
        }
}

static double rms(const float *samples, int64_t count)
{
    double power = 0;
    for (int64_t i = 0; i < count; i++)
        power += (double)samples[i] * samples[i];
    return sqrt(power / (double)count);
}

static void test_levels(void **state)
{
    (void)state;
    struct toyworld_options options = open_world(9);
    int64_t count = toyworld_sample_count(&options);
    float *samples = malloc((size_t)count * sizeof(float));
    struct earshot_error error;
    assert_non_null(samples);
    assert_int_equal(count, 40000);
    for (int i = 0; i < 60; i++) {
        struct toyworld_scene scene;
        toyworld_scene_draw(&options, i, &scene);
        bool silent = scene.slot[TOYWORLD_EVENT] == 7 && scene.slot[TOYWORLD_SPEAKER] == 2;
        assert_ok(toyworld_synthesise(&scene, samples, count, &error));
        for (int64_t j = 0; j < count; j++)
            assert_true(fabsf(samples[j]) < 1); /* also false for NaN */
        double level = rms(samples, count);
        assert_true(silent ? level < 0.004 : level > 0.01 && level < 0.3);
        assert_true(level > 0); /* digital silence would count as a missing stream */
    }
    /* Lengths that no filter or envelope was made for. */
    for (int64_t short_count = 0; short_count < 4; short_count++) {
        struct toyworld_scene scene;
        toyworld_scene_draw(&options, 1, &scene);
        assert_ok(toyworld_synthesise(&scene, samples, short_count, &error));
    }
    free(samples);
}

enum { BANDS = 12, FEATURES = 2 * BANDS };

/* Log energy and log peakiness of the sound in each of twelve bands. */
static void describe_sound(const float *samples, int64_t count, double *feature)
{
    const int64_t window = 800;
    for (int b = 0; b < BANDS; b++) {
        struct filter filter = {0};
        double centre = 80 * pow(1.5, b), sum = 0, peak = 0, power = 0;
        filter_set_band(&filter, centre, 0.3 * centre);
        for (int64_t i = 0; i < count; i++) {
            double y = filter_run(&filter, samples[i]);
            power += y * y;
            if ((i + 1) % window == 0) {
                sum += power;
                peak = fmax(peak, power);
                power = 0;
            }
        }
        feature[b] = log(sum + 1e-4);
        feature[BANDS + b] = 2 * log((peak + 1e-6) * (double)(count / window) / (sum + 1e-6));
    }
}

/* Half of the clips give each event's mean features; the nearest mean names the others. */
static void test_events_are_told_apart(void **state)
{
    (void)state;
    enum { EACH = 8, EVENTS = 8 };
    static float samples[40000];
    static double feature[EVENTS][2 * EACH][FEATURES], mean[EVENTS][FEATURES];
    int right = 0;
    for (int e = 0; e < EVENTS; e++)
        for (int i = 0; i < 2 * EACH; i++) {
            struct toyworld_scene scene = plain_scene(100 + e * 2 * EACH + i);
            scene.slot[TOYWORLD_EVENT] = e;
            assert_int_equal(toyworld_synthesise(&scene, samples, 40000, NULL), EARSHOT_OK);
            describe_sound(samples, 40000, feature[e][i]);
            for (int f = 0; f < FEATURES && i < EACH; f++)
                mean[e][f] += feature[e][i][f] / EACH;
        }
    for (int e = 0; e < EVENTS; e++)
        for (int i = EACH; i < 2 * EACH; i++) {
            double best = INFINITY;
            int nearest = -1;
            for (int m = 0; m < EVENTS; m++) {
                double distance = 0;
                for (int f = 0; f < FEATURES; f++)
                    distance += pow(feature[e][i][f] - mean[m][f], 2);
                if (distance < best) {
                    best = distance;
                    nearest = m;
                }
            }
            right += nearest == e;
        }
    assert_in_range(right, EVENTS * EACH * 95 / 100, EVENTS * EACH);
}

static void test_bell_rings_and_dies_away(void **state)
{
    (void)state;
    static double buffer[40000];
    for (int i = 0; i < 5; i++) {
        struct toyworld_scene scene = plain_scene(i);
        scene.slot[TOYWORLD_EVENT] = 0;
        event_synthesise(&scene, buffer, 40000);
        int start = 0;
        while (buffer[start] == 0 && start < 39999)
            start++;
        double early = 0, late = 0;
        for (int j = 0; j < 1600; j++) {
            early += pow(buffer[start + j], 2);
            late += pow(buffer[start + 6400 + j], 2);
        }
        assert_in_range(start, 0, 6500);
        assert_true(late > 0.05 * early && late < 0.6 * early);
    }
}

/* The lag at which the whole utterance is most like itself, as a frequency.  Twice the period fits
 * less well because the pitch moves. */
static double find_pitch(const double *buffer, int count)
{
    double best = 0, pitch = 0;
    for (int lag = 50; lag < 230; lag++) {
        double product = 0;
        for (int i = 0; i + lag < count; i++)
            product += buffer[i] * buffer[i + lag];
        if (product > best) {
            best = product;
            pitch = (double)TOYWORLD_RATE_HZ / lag;
        }
    }
    return pitch;
}

static void test_speakers_differ_in_pitch(void **state)
{
    (void)state;
    static double buffer[40000];
    for (int i = 0; i < 20; i++) {
        struct toyworld_scene scene = plain_scene(i);
        scene.slot[TOYWORLD_SPEAKER] = i % 2;
        scene.word_count = 5;
        for (int w = 0; w < 5; w++)
            scene.said[w] = (i * 5 + w * 11) % 58;
        speech_synthesise(&scene, buffer, 40000);
        double pitch = find_pitch(buffer, 40000);
        if (i % 2 == 0)
            assert_true(pitch > 75 && pitch < 155);
        else
            assert_true(pitch > 155 && pitch < 300);
    }
}

/* Samples first and last that are not silent; first > last when all are. */
static void find_sound(const double *buffer, int count, int *first, int *last)
{
    for (*first = 0; *first < count && buffer[*first] == 0;)
        ++*first;
    for (*last = count - 1; *last >= 0 && buffer[*last] == 0;)
        --*last;
}

/* A word in its tenth of the clip, or of the part of the clip that its sentence belongs to. */
static void test_steady_speech(void **state)
{
    (void)state;
    static double buffer[40000];
    const int tenth = 4000;
    for (int i = 0; i < 60; i++) {
        struct toyworld_scene scene = plain_scene(i);
        int first, last;
        scene.slot[TOYWORLD_SPEAKER] = i % 2;
        scene.pace = TOYWORLD_PACE_STEADY;
        scene.word_count = 1;
        scene.said[0] = i % 58;
        speech_synthesise(&scene, buffer, 10 * tenth);
        find_sound(buffer, 10 * tenth, &first, &last);
        assert_in_range(first, 0, tenth * 6 / 10);
        assert_in_range(last, tenth * 4 / 10, tenth);

        scene.parts = 2;
        scene.turn = 1;
        scene.word_count = 2;
        scene.said[1] = i % 58;
        speech_synthesise(&scene, buffer, 10 * tenth);
        find_sound(buffer, 5 * tenth, &first, &last);
        assert_in_range(last, 0, tenth / 2);
        find_sound(buffer + 5 * tenth, 5 * tenth, &first, &last);
        assert_in_range(first, 0, tenth * 3 / 10);
        assert_in_range(last, tenth * 2 / 10, tenth / 2);

        scene.turn = 0; /* nothing in the first part */
        speech_synthesise(&scene, buffer, 10 * tenth);
        find_sound(buffer, 5 * tenth, &first, &last);
        assert_true(first > last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_scenes),
        cmocka_unit_test(test_scene_depends_on_seed_and_index_only),
        cmocka_unit_test(test_rendering_is_a_pure_function),
        cmocka_unit_test(test_open_slots_are_uniform_and_independent),
        cmocka_unit_test(test_captions_say_the_slots),
        cmocka_unit_test(test_longest_texts_fit),
        cmocka_unit_test(test_foreign_captions),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_worlds_have_clips_of_their_own),
        cmocka_unit_test(test_long_clips_have_two_actions),
        cmocka_unit_test(test_mixed_clips_are_of_both_kinds),
        cmocka_unit_test(test_cook_videos_follow_recipes),
        cmocka_unit_test(test_cook_narration),
        cmocka_unit_test(test_cook_object_of_the_video),
        cmocka_unit_test(test_cook_order_by_place),
        cmocka_unit_test(test_word_errors),
        cmocka_unit_test(test_options_check),
        cmocka_unit_test(test_every_value_is_visible),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_long_actions),
        cmocka_unit_test(test_places_differ),
        cmocka_unit_test(test_any_frame_size),
        cmocka_unit_test(test_noise_level),
        cmocka_unit_test(test_speech_code),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_events_are_told_apart),
        cmocka_unit_test(test_bell_rings_and_dies_away),
        cmocka_unit_test(test_speakers_differ_in_pitch),
        cmocka_unit_test(test_steady_speech),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
