/*
 * meteor_align.c: candidate matches of every module, then a beam search for the alignment.
 *
 * The search walks over the reference's words, keeps the 40 best partial alignments, and prefers
 * more matched words, then fewer chunks, then shorter distances (Denkowski and Lavie, "Meteor 1.3",
 * WMT 2011).  Two details decide ties and are kept as the reference program has them: weighted
 * match counts are cut to whole numbers at every step, so that a one-word stem match adds nothing;
 * and the distance of a match is charged to the path it was taken from, after the copy that took it
 * was made.
 */
#include "metrics/meteor_align.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "metrics/paraphrases.h"

#define BEAM 40
#define CANDIDATES_MAX (4u << 20)

/* One match on a path; the rest of the path behind it. */
struct meteor_taken {
    struct meteor_match match;
    ptrdiff_t previous; /* -1: none */
};

struct meteor_path {
    int next;               /* word of the reference to look at */
    int matches1, matches2; /* weighted, cut to whole numbers */
    int chunks, distance;
    int last_end;    /* where the open chunk ends in the hypothesis; -1: none open */
    ptrdiff_t taken; /* the last match taken, -1: none */
    uint64_t *used;  /* bits of the hypothesis' words, then of the reference's */
    size_t order;    /* for a stable sort */
};

void meteor_aligner_free(struct meteor_aligner *a)
{
    free(a->candidate);
    free(a->sorted);
    free(a->first);
    free(a->coverage);
    free(a->path);
    free(a->bits);
    free(a->taken);
    free(a->order);
    free(a->match);
    *a = (struct meteor_aligner){0};
}

/* ---- candidates ---- */

static bool add(struct meteor_aligner *a, size_t start1, size_t length1, size_t start2,
                size_t length2, enum meteor_module module)
{
    if (a->candidate_count >= CANDIDATES_MAX ||
        !array_reserve((void **)&a->candidate, &a->candidate_capacity, a->candidate_count + 1,
                       sizeof *a->candidate))
        return false;
    a->candidate[a->candidate_count++] =
        (struct meteor_match){(int)start2, (int)length2, (int)start1, (int)length1, module};
    return true;
}

static bool share_synset(const struct meteor_word *x, const struct meteor_word *y)
{
    size_t i = 0, j = 0;

    while (i < x->synset_count && j < y->synset_count) {
        if (x->synset[i] == y->synset[j])
            return true;
        if (x->synset[i] < y->synset[j])
            i++;
        else
            j++;
    }
    return false;
}

static bool words_match(const struct meteor_word *x, const struct meteor_word *y,
                        enum meteor_module module)
{
    if (module == METEOR_EXACT)
        return x->hash == y->hash;
    if (x->hash == y->hash)
        return false;
    return module == METEOR_STEM ? x->stem == y->stem : share_synset(x, y);
}

static bool add_word_matches(struct meteor_aligner *a, const struct meteor_line *line1,
                             const struct meteor_line *line2, enum meteor_module module)
{
    for (size_t j = 0; j < line2->count; j++)
        for (size_t i = 0; i < line1->count; i++)
            if (words_match(line1->word[i], line2->word[j], module) && !add(a, i, 1, j, 1, module))
                return false;
    return true;
}

/* Paraphrases of the phrases of `from` that stand in `to`; `from2`: from is the reference. */
static bool add_paraphrases(struct meteor_aligner *a, const struct meteor_line *from,
                            const struct meteor_line *to, bool from2)
{
    const struct paraphrases *table = meteor_data_paraphrases(a->data);
    size_t longest = paraphrases_longest(table);

    for (size_t i = 0; i < from->count; i++)
        for (size_t n = 1; n <= longest && i + n <= from->count; n++) {
            int64_t phrase = paraphrases_find(table, from->hash + i, n);

            if (phrase < 0)
                continue;
            for (int64_t e = paraphrases_first(table, phrase); e >= 0;
                 e = paraphrases_next(table, e)) {
                size_t m;
                const int32_t *words = paraphrases_words(table, e, &m);

                for (size_t j = 0; j + m <= to->count; j++)
                    if (memcmp(to->hash + j, words, m * sizeof *words) == 0 &&
                        !(from2 ? add(a, j, m, i, n, METEOR_PARAPHRASE)
                                : add(a, i, n, j, m, METEOR_PARAPHRASE)))
                        return false;
            }
        }
    return true;
}

static bool same_words(const struct meteor_line *line1, const struct meteor_line *line2)
{
    return line1->count == line2->count &&
           (line1->count == 0 ||
            memcmp(line1->hash, line2->hash, line1->count * sizeof *line1->hash) == 0);
}

static bool find_candidates(struct meteor_aligner *a, const struct meteor_line *line1,
                            const struct meteor_line *line2)
{
    a->candidate_count = 0;
    if (!add_word_matches(a, line1, line2, METEOR_EXACT))
        return false;
    if (same_words(line1, line2))
        return true;
    if (!add_word_matches(a, line1, line2, METEOR_STEM))
        return false;
    if (meteor_data_has_synonyms(a->data) && !add_word_matches(a, line1, line2, METEOR_SYNONYM))
        return false;
    return !meteor_data_paraphrases(a->data) ||
           (add_paraphrases(a, line2, line1, true) && add_paraphrases(a, line1, line2, false));
}

/* Sorts the candidates to their start in the reference, stably, and counts what covers each word.
 */
static bool sort_candidates(struct meteor_aligner *a, size_t n1, size_t n2)
{
    size_t total = 0;

    if (n1 + n2 + 2 > a->word_capacity) {
        size_t capacity = 2 * (n1 + n2 + 2);
        size_t *first = realloc(a->first, capacity * sizeof *first);
        int *coverage;

        if (first)
            a->first = first;
        coverage = realloc(a->coverage, capacity * sizeof *coverage);
        if (coverage)
            a->coverage = coverage;
        if (!first || !coverage)
            return false;
        a->word_capacity = capacity;
    }
    if (!array_reserve((void **)&a->sorted, &a->sorted_capacity, a->candidate_count + 1,
                       sizeof *a->sorted))
        return false;
    memset(a->first, 0, (n2 + 2) * sizeof *a->first);
    memset(a->coverage, 0, (n1 + n2 + 1) * sizeof *a->coverage);
    for (size_t c = 0; c < a->candidate_count; c++) {
        const struct meteor_match *m = &a->candidate[c];

        a->first[m->start2]++;
        for (int k = 0; k < m->length1; k++)
            a->coverage[m->start1 + k]++;
        for (int k = 0; k < m->length2; k++)
            a->coverage[(int)n1 + m->start2 + k]++;
    }
    for (size_t j = 0; j <= n2; j++) {
        size_t count = a->first[j];

        a->first[j] = total;
        total += count;
    }
    for (size_t c = 0; c < a->candidate_count; c++)
        a->sorted[a->first[a->candidate[c].start2]++] = a->candidate[c];
    for (size_t j = n2; j > 0; j--)
        a->first[j] = a->first[j - 1];
    a->first[0] = 0;
    return true;
}

/* ---- the search ---- */

struct search {
    struct meteor_aligner *a;
    size_t n1, n2, blocks;             /* blocks: 64-bit words of one path's bits */
    const struct meteor_match **fixed; /* [n2]: taken beforehand, or NULL */
    size_t count, next_count;          /* paths in either generation */
    size_t generation_capacity;
};

static bool get_bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void set_bit(uint64_t *bits, size_t i)
{
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool is_free(const struct search *s, const struct meteor_path *path,
                    const struct meteor_match *m)
{
    for (int k = 0; k < m->length1; k++)
        if (get_bit(path->used, (size_t)(m->start1 + k)))
            return false;
    for (int k = 0; k < m->length2; k++)
        if (get_bit(path->used, s->n1 + (size_t)(m->start2 + k)))
            return false;
    return true;
}

static void mark_used(const struct search *s, uint64_t *used, const struct meteor_match *m)
{
    for (int k = 0; k < m->length1; k++)
        set_bit(used, (size_t)(m->start1 + k));
    for (int k = 0; k < m->length2; k++)
        set_bit(used, s->n1 + (size_t)(m->start2 + k));
}

/* Everything that taking m does to a path but its distance.  False when out of memory. */
static bool take(struct search *s, struct meteor_path *path, const struct meteor_match *m)
{
    double weight = m->module == METEOR_EXACT ? 1.0 : 0.5;

    if (!array_reserve((void **)&s->a->taken, &s->a->taken_capacity, s->a->taken_count + 1,
                       sizeof *s->a->taken))
        return false;
    s->a->taken[s->a->taken_count] = (struct meteor_taken){*m, path->taken};
    path->taken = (ptrdiff_t)s->a->taken_count++;
    path->matches1 = (int)(path->matches1 + m->length1 * weight);
    path->matches2 = (int)(path->matches2 + m->length2 * weight);
    if (path->last_end != -1 && m->start1 != path->last_end)
        path->chunks++;
    path->next = m->start2 + m->length2;
    path->last_end = m->start1 + m->length1;
    return true;
}

static int compare_paths(const void *left, const void *right)
{
    const struct meteor_path *x = *(const struct meteor_path *const *)left;
    const struct meteor_path *y = *(const struct meteor_path *const *)right;
    int mx = x->matches1 + x->matches2, my = y->matches1 + y->matches2;

    if (mx != my)
        return mx > my ? -1 : 1;
    if (x->chunks != y->chunks)
        return x->chunks < y->chunks ? -1 : 1;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Sorts generation g's paths into a->order. */
static bool sort_paths(struct search *s, struct meteor_path *paths)
{
    if (!array_reserve((void **)&s->a->order, &s->a->order_capacity, s->count, sizeof *s->a->order))
        return false;
    for (size_t i = 0; i < s->count; i++) {
        paths[i].order = i;
        s->a->order[i] = &paths[i];
    }
    if (s->count > 1)
        qsort(s->a->order, s->count, sizeof *s->a->order, compare_paths);
    return true;
}

/* Appends a copy of path to the generation `to`. */
static struct meteor_path *push(struct search *s, struct meteor_path *to,
                                const struct meteor_path *path)
{
    struct meteor_path *copy = &to[s->next_count++];
    uint64_t *used = copy->used;

    *copy = *path;
    copy->used = memcpy(used, path->used, s->blocks * sizeof *used);
    return copy;
}

/* What becomes of one path at word `current` of the reference. */
static bool advance(struct search *s, struct meteor_path *path, size_t current,
                    struct meteor_path *to)
{
    struct meteor_aligner *a = s->a;

    if (current == s->n2) {
        path->chunks += path->last_end != -1;
        push(s, to, path);
        return true;
    }
    if (get_bit(path->used, s->n1 + current)) {
        const struct meteor_match *m;

        if (current < (size_t)path->next) {
            push(s, to, path);
            return true;
        }
        m = s->fixed[path->next];
        if (!m)
            return true; /* a dead end */
        path = push(s, to, path);
        path->distance += abs(m->start2 - m->start1);
        return take(s, path, m);
    }
    for (size_t c = a->first[current]; c < a->first[current + 1]; c++) {
        const struct meteor_match *m = &a->sorted[c];
        struct meteor_path *copy;

        if (!is_free(s, path, m))
            continue;
        copy = push(s, to, path);
        if (!take(s, copy, m))
            return false;
        mark_used(s, copy->used, m);
        path->distance += abs(m->start2 - m->start1);
    }
    if (path->last_end != -1) {
        path->chunks++;
        path->last_end = -1;
    }
    path->next++;
    push(s, to, path);
    return true;
}

/* Matches with no rival are taken beforehand: alone at their start and on all of their words. */
static void fix_matches(struct search *s, struct meteor_path *path)
{
    struct meteor_aligner *a = s->a;

    for (size_t j = 0; j < s->n2; j++) {
        const struct meteor_match *m = &a->sorted[a->first[j]];
        bool alone = a->first[j + 1] - a->first[j] == 1;

        for (int k = 0; alone && k < m->length1; k++)
            alone = a->coverage[m->start1 + k] == 1;
        for (int k = 0; alone && k < m->length2; k++)
            alone = a->coverage[(int)s->n1 + m->start2 + k] == 1;
        s->fixed[j] = alone ? m : NULL;
        if (alone)
            mark_used(s, path->used, m);
    }
}

/* Room for two generations of paths and their bits. */
static bool reserve_paths(struct search *s)
{
    struct meteor_aligner *a = s->a;
    size_t most = 0;

    for (size_t j = 0; j < s->n2; j++)
        if (a->first[j + 1] - a->first[j] > most)
            most = a->first[j + 1] - a->first[j];
    s->generation_capacity = BEAM * (most + 1);
    s->blocks = (s->n1 + s->n2 + 63) / 64 + 1;
    if (!array_reserve((void **)&a->path, &a->path_capacity, 2 * s->generation_capacity,
                       sizeof *a->path) ||
        !array_reserve((void **)&a->bits, &a->bits_capacity, 2 * s->generation_capacity * s->blocks,
                       sizeof *a->bits))
        return false;
    for (size_t i = 0; i < 2 * s->generation_capacity; i++)
        a->path[i].used = a->bits + i * s->blocks;
    return true;
}

static bool keep_alignment(struct meteor_aligner *a, const struct meteor_path *path)
{
    a->match_count = 0;
    for (ptrdiff_t t = path->taken; t >= 0; t = a->taken[t].previous)
        a->match_count++;
    if (!array_reserve((void **)&a->match, &a->match_capacity, a->match_count + 1,
                       sizeof *a->match))
        return false;
    for (ptrdiff_t t = path->taken, at = (ptrdiff_t)a->match_count; t >= 0;
         t = a->taken[t].previous)
        a->match[--at] = a->taken[t].match;
    return true;
}

static bool search(struct search *s)
{
    struct meteor_aligner *a = s->a;
    struct meteor_path *paths, *to, *swapped;

    if (!reserve_paths(s))
        return false;
    paths = a->path;
    to = a->path + s->generation_capacity;
    a->taken_count = 0;
    paths[0] = (struct meteor_path){.last_end = -1, .taken = -1, .used = paths[0].used};
    memset(paths[0].used, 0, s->blocks * sizeof *paths[0].used);
    fix_matches(s, &paths[0]);
    s->count = 1;
    for (size_t current = 0; current <= s->n2; current++) {
        if (!sort_paths(s, paths))
            return false;
        s->next_count = 0;
        for (size_t i = 0; i < s->count && i < BEAM; i++)
            if (!advance(s, (struct meteor_path *)a->order[i], current, to))
                return false;
        if (s->next_count == 0)
            push(s, to, a->order[0]);
        s->count = s->next_count;
        swapped = paths;
        paths = to;
        to = swapped;
    }
    return sort_paths(s, paths) && keep_alignment(a, a->order[0]);
}

enum earshot_status meteor_align(struct meteor_aligner *a, const struct meteor_line *line1,
                                 const struct meteor_line *line2, struct earshot_error *error)
{
    struct search s = {.a = a, .n1 = line1->count, .n2 = line2->count};
    bool done;

    if (!find_candidates(a, line1, line2)) {
        if (a->candidate_count >= CANDIDATES_MAX)
            return error_set(error, EARSHOT_ERROR_UNSUPPORTED,
                             "METEOR: more than %u possible matches between two texts of %zu and "
                             "%zu words",
                             CANDIDATES_MAX, line1->count, line2->count);
        return error_memory(error, a->candidate_capacity * sizeof *a->candidate);
    }
    if (!sort_candidates(a, s.n1, s.n2))
        return error_memory(error, a->candidate_count * sizeof *a->candidate);
    s.fixed = calloc(s.n2 + 1, sizeof *s.fixed);
    done = s.fixed && search(&s);
    free(s.fixed);
    return done ? EARSHOT_OK : error_memory(error, a->path_capacity * sizeof *a->path);
}
