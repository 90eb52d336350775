/* corpus.c: texts to word numbers.  See corpus.h. */
#include "metrics/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "metrics/ptb.h"

/* ---- vocabulary ---- */

const char *vocabulary_word(const struct vocabulary *vocabulary, uint32_t number)
{
    return vocabulary->text + vocabulary->start[number];
}

static bool vocabulary_grow(struct vocabulary *v)
{
    uint32_t slot_count = v->slot_count ? v->slot_count * 2 : 4096;
    uint32_t *slot = calloc(slot_count, sizeof *slot);
    uint32_t *start = realloc(v->start, slot_count / 2 * sizeof *start);

    if (start)
        v->start = start;
    if (!slot || !start) {
        free(slot);
        return false;
    }
    for (uint32_t i = 0; i < v->count; i++) {
        const char *word = vocabulary_word(v, i);
        uint32_t at = array_hash(word, strlen(word)) & (slot_count - 1);

        while (slot[at])
            at = (at + 1) & (slot_count - 1);
        slot[at] = i + 1;
    }
    free(v->slot);
    v->slot = slot;
    v->slot_count = slot_count;
    v->capacity = slot_count / 2;
    return true;
}

static bool vocabulary_number(struct vocabulary *v, const char *word, size_t length,
                              uint32_t *number)
{
    uint32_t at;

    if (v->count == v->capacity && !vocabulary_grow(v))
        return false;
    for (at = array_hash(word, length) & (v->slot_count - 1); v->slot[at];
         at = (at + 1) & (v->slot_count - 1)) {
        const char *known = vocabulary_word(v, v->slot[at] - 1);

        if (strncmp(known, word, length) == 0 && known[length] == '\0') {
            *number = v->slot[at] - 1;
            return true;
        }
    }
    if (v->text_length + length + 1 > UINT32_MAX ||
        !array_reserve((void **)&v->text, &v->text_capacity, v->text_length + length + 1, 1))
        return false;
    memcpy(v->text + v->text_length, word, length);
    v->text[v->text_length + length] = '\0';
    v->start[v->count] = (uint32_t)v->text_length;
    v->text_length += length + 1;
    v->slot[at] = v->count + 1;
    *number = v->count++;
    return true;
}

/* ---- sentences ---- */

struct word_span sentence_words(const struct sentence_list *list, size_t index)
{
    return (struct word_span){list->word + list->start[index],
                              list->start[index + 1] - list->start[index]};
}

struct word_span sentence_words_single(const struct sentence_list *list, size_t index)
{
    static const uint32_t empty_word = 0;
    size_t low = 0, high = list->odd_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (list->odd[middle].sentence < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < list->odd_count && list->odd[low].sentence == index)
        return (struct word_span){list->odd_word + list->odd[low].start, list->odd[low].count};
    if (list->start[index + 1] == list->start[index])
        return (struct word_span){&empty_word, 1};
    return sentence_words(list, index);
}

/* The length of the white space (Python's str.isspace) at text, or 0. */
static size_t white_space(const char *text, const char *end)
{
    const char *p = text;
    uint32_t code = (unsigned char)*text;

    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13) || (code >= 28 && code <= 31);
    code = str_utf8_next(&p, end);
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
                   code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
                   code == 0x3000
               ? (size_t)(p - text)
               : 0;
}

static bool push(uint32_t **array, size_t *count, size_t *capacity, uint32_t value)
{
    if (*count == UINT32_MAX ||
        !array_reserve((void **)array, capacity, *count + 1, sizeof **array))
        return false;
    (*array)[(*count)++] = value;
    return true;
}

static bool add_odd(struct vocabulary *v, struct sentence_list *list, const char *text,
                    size_t length)
{
    uint32_t number;
    size_t first = list->odd_word_count;

    if (!array_reserve((void **)&list->odd, &list->odd_capacity, list->odd_count + 1,
                       sizeof *list->odd))
        return false;
    for (size_t from = 0, to; from <= length; from = to + 1) {
        const char *space = memchr(text + from, ' ', length - from);

        to = space ? (size_t)(space - text) : length;
        if (!vocabulary_number(v, text + from, to - from, &number) ||
            !push(&list->odd_word, &list->odd_word_count, &list->odd_word_capacity, number))
            return false;
    }
    list->odd[list->odd_count].sentence = (uint32_t)list->count;
    list->odd[list->odd_count].start = (uint32_t)first;
    list->odd[list->odd_count++].count = (uint32_t)(list->odd_word_count - first);
    return true;
}

/* Adds one tokenised line. */
static enum earshot_status add_line(struct vocabulary *v, struct sentence_list *list,
                                    const char *text, size_t length, struct earshot_error *error)
{
    const char *p = text, *end = text + length, *word = text;
    bool odd = length > 0 && (*text == ' ' || end[-1] == ' ');
    uint32_t number;

    if (list->count == 0 && !push(&list->start, &(size_t){0}, &list->capacity, 0))
        goto memory;
    while (p <= end) {
        size_t space = p < end ? white_space(p, end) : 1;

        if (!space) {
            p++;
            while (p < end && ((unsigned char)*p & 0xC0) == 0x80)
                p++;
            continue;
        }
        if (p > word) {
            if (!vocabulary_number(v, word, (size_t)(p - word), &number) ||
                !push(&list->word, &list->word_count, &list->word_capacity, number))
                goto memory;
        } else if (length > 0) {
            odd = true; /* two spaces in a row: an empty word in between */
        }
        if (p < end && *p != ' ')
            odd = true;
        p += space;
        word = p;
    }
    if (odd && !add_odd(v, list, text, length))
        goto memory;
    if (!array_reserve((void **)&list->start, &list->capacity, list->count + 2,
                       sizeof *list->start))
        goto memory;
    list->start[++list->count] = (uint32_t)list->word_count;
    return EARSHOT_OK;
memory:
    return error_memory(error, list->word_capacity * sizeof *list->word);
}

/* ---- building ---- */

struct builder {
    struct vocabulary *vocabulary;
    struct sentence_list *list;
    const char *const *text;
};

static const char *builder_source(void *context, size_t index)
{
    return ((struct builder *)context)->text[index];
}

static enum earshot_status builder_sink(void *context, size_t index, const char *text,
                                        size_t length, struct earshot_error *error)
{
    struct builder *builder = context;

    (void)index;
    return add_line(builder->vocabulary, builder->list, text, length, error);
}

static enum earshot_status add_lines(struct builder *builder, struct ptb *ptb, size_t count,
                                     struct earshot_error *error)
{
    struct ptb_call call = {builder_source, builder_sink, builder, count, false};

    if (ptb)
        return ptb_tokenize(ptb, &call, error);
    for (size_t i = 0; i < count; i++) {
        enum earshot_status status =
            builder_sink(builder, i, builder->text[i], strlen(builder->text[i]), error);

        if (status != EARSHOT_OK)
            return status;
    }
    return EARSHOT_OK;
}

enum earshot_status corpus_build(struct corpus *corpus, const struct corpus_texts *texts,
                                 struct earshot_error *error)
{
    struct builder references = {&corpus->vocabulary, &corpus->references, texts->reference};
    struct builder candidates = {&corpus->vocabulary, &corpus->candidates, texts->candidate};
    size_t bytes = (texts->item_count + 1) * sizeof *corpus->first_reference;
    enum earshot_status status = EARSHOT_OK;
    struct ptb *ptb = NULL;
    uint32_t number;

    *corpus = (struct corpus){.item_count = texts->item_count};
    corpus->first_reference = malloc(bytes);
    if (!corpus->first_reference || !vocabulary_number(&corpus->vocabulary, "", 0, &number))
        status = error_memory(error, bytes);
    else
        memcpy(corpus->first_reference, texts->first_reference, bytes);
    if (status == EARSHOT_OK && !texts->tokenised)
        status = ptb_new(&ptb, error);
    if (status == EARSHOT_OK) {
        status = add_lines(&references, ptb, texts->first_reference[texts->item_count], error);
        if (status != EARSHOT_OK)
            error_context(error, "references");
    }
    if (status == EARSHOT_OK) {
        status = add_lines(&candidates, ptb, texts->item_count, error);
        if (status != EARSHOT_OK)
            error_context(error, "candidates");
    }
    ptb_free(ptb);
    if (status != EARSHOT_OK)
        corpus_free(corpus);
    return status;
}

static void list_free(struct sentence_list *list)
{
    free(list->word);
    free(list->start);
    free(list->odd);
    free(list->odd_word);
}

void corpus_free(struct corpus *corpus)
{
    list_free(&corpus->candidates);
    list_free(&corpus->references);
    free(corpus->first_reference);
    free(corpus->vocabulary.text);
    free(corpus->vocabulary.start);
    free(corpus->vocabulary.slot);
    *corpus = (struct corpus){0};
}

void corpus_append_line(const struct corpus *corpus, const struct sentence_list *list, size_t index,
                        struct str *out)
{
    struct word_span words = sentence_words_single(list, index);

    for (size_t i = 0; i < words.count; i++) {
        if (i > 0)
            str_append(out, " ", 1);
        str_append_text(out, vocabulary_word(&corpus->vocabulary, words.word[i]));
    }
}

double corpus_sum(const double *value, size_t count)
{
    double r[8], sum = 0;
    size_t i, half;

    if (count < 8) {
        for (i = 0; i < count; i++)
            sum += value[i];
        return sum;
    }
    if (count > 128) {
        half = count / 2;
        half -= half % 8;
        return corpus_sum(value, half) + corpus_sum(value + half, count - half);
    }
    memcpy(r, value, sizeof r);
    for (i = 8; i + 8 <= count; i += 8)
        for (size_t k = 0; k < 8; k++)
            r[k] += value[i + k];
    sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < count; i++)
        sum += value[i];
    return sum;
}
