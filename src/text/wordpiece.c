/*
 * wordpiece.c: the vocabulary of a BERT tokenizer, and ids back to text.  See wordpiece.h;
 * wordpiece_encode.c has the way from text to ids.
 *
 * A vocabulary file is foreign bytes: its size, its encoding and its tokens are checked.  Of two
 * equal tokens the later one's id counts, as in the original, where a dictionary is filled.
 */
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/wordpiece_internal.h"

/* Nodes are numbered in 24 bits, and there are at most as many as bytes. */
#define VOCABULARY_BYTES_MAX (((size_t)1 << 24) - 1)

const char *const wordpiece_special_names[SPECIAL_COUNT] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]",
                                                            "[MASK]"};

/* ---- the trie ---- */

static void put_edge(struct wordpiece *made, uint32_t key, uint32_t child)
{
    uint32_t slot = key * 0x9E3779B1u;

    for (slot ^= slot >> 15; made->edge[slot & made->edge_mask].child != 0; slot++)
        ;
    made->edge[slot & made->edge_mask] = (struct trie_edge){key, child};
}

/* Makes room for twice the nodes. */
static bool grow_trie(struct wordpiece *made)
{
    uint32_t capacity = made->node_capacity ? 2 * made->node_capacity : 256;
    int32_t *node_id = realloc(made->node_id, capacity * sizeof *node_id);
    struct trie_edge *old = made->edge, *edge;
    uint32_t old_slots = old ? made->edge_mask + 1 : 0;

    if (!node_id)
        return false;
    made->node_id = node_id;
    edge = calloc(2 * (size_t)capacity, sizeof *edge);
    if (!edge)
        return false;
    made->edge = edge;
    made->edge_mask = 2 * capacity - 1;
    made->node_capacity = capacity;
    for (uint32_t i = 0; i < old_slots; i++)
        if (old[i].child != 0)
            put_edge(made, old[i].key, old[i].child);
    free(old);
    return true;
}

static bool insert(struct wordpiece *made, const char *token, int32_t id)
{
    uint32_t node = TRIE_ROOT;

    for (; *token; token++) {
        uint32_t child = trie_step(made, node, (unsigned char)*token);

        if (child == TRIE_NONE) {
            if (made->node_count == made->node_capacity && !grow_trie(made))
                return false;
            child = made->node_count++;
            made->node_id[child] = -1;
            put_edge(made, node << 8 | (unsigned char)*token, child);
        }
        node = child;
    }
    made->node_id[node] = id;
    return true;
}

static uint32_t walk(const struct wordpiece *tokenizer, const char *token)
{
    uint32_t node = TRIE_ROOT;

    for (; *token && node != TRIE_NONE; token++)
        node = trie_step(tokenizer, node, (unsigned char)*token);
    return node;
}

/* ---- the file ---- */

/* Ends each line with a NUL in place ("\n" or "\r\n"), and checks that it is text. */
static enum earshot_status split_lines(const char *name, struct wordpiece *made, size_t size_bytes,
                                       struct earshot_error *error)
{
    char *end = made->text + size_bytes, *line = made->text;

    while (line < end) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline ? newline : end;

        for (const char *p = line; p < stop;) {
            const char *at = p;
            uint32_t code = str_utf8_next(&p, stop);

            if (code == 0 || (code == 0xFFFD && memcmp(at, "\xEF\xBF\xBD", (size_t)(p - at)) != 0))
                return error_set(
                    error, EARSHOT_ERROR_FORMAT,
                    "%s: line %ld is not UTF-8 text; a vocabulary has one token a line", name,
                    (long)made->count + 1);
        }
        if (newline && stop > line && stop[-1] == '\r')
            stop--;
        *stop = '\0';
        made->token[made->count++] = line;
        line = newline ? newline + 1 : end;
    }
    return EARSHOT_OK;
}

static enum earshot_status fill(const char *name, const char *text, size_t size_bytes,
                                struct wordpiece *made, struct earshot_error *error)
{
    size_t lines = 1;
    enum earshot_status status;

    for (size_t i = 0; i < size_bytes; i++)
        lines += text[i] == '\n';
    made->text = malloc(size_bytes + 1);
    made->token = malloc(lines * sizeof *made->token);
    if (!made->text || !made->token || !grow_trie(made))
        return error_memory(error, size_bytes + lines * sizeof *made->token);
    if (size_bytes)
        memcpy(made->text, text, size_bytes);
    made->node_id[made->node_count++] = -1; /* the root */
    status = split_lines(name, made, size_bytes, error);
    if (status != EARSHOT_OK)
        return status;
    for (int32_t id = 0; id < made->count; id++)
        if (!insert(made, made->token[id], id))
            return error_memory(error, 16 * (size_t)made->node_capacity);
    made->continuation = walk(made, "##");
    for (int i = 0; i < SPECIAL_COUNT; i++)
        made->special[i] = wordpiece_find(made, wordpiece_special_names[i]);
    for (int i = SPECIAL_PAD; i <= SPECIAL_UNK; i++)
        if (made->special[i] < 0)
            return error_set(error, EARSHOT_ERROR_FORMAT,
                             "%s: no token %s among %ld; expected a BERT vocabulary, one token a "
                             "line",
                             name, wordpiece_special_names[i], (long)made->count);
    return EARSHOT_OK;
}

enum earshot_status wordpiece_parse(const char *name, const char *text, size_t size_bytes,
                                    struct wordpiece **tokenizer, struct earshot_error *error)
{
    struct wordpiece *made;
    enum earshot_status status;

    *tokenizer = NULL;
    if (size_bytes > VOCABULARY_BYTES_MAX)
        return error_set(error, EARSHOT_ERROR_FORMAT,
                         "%s: larger than the %zu bytes that a vocabulary may have", name,
                         VOCABULARY_BYTES_MAX);
    made = calloc(1, sizeof *made);
    if (!made)
        return error_memory(error, sizeof *made);
    status = fill(name, text, size_bytes, made, error);
    if (status == EARSHOT_OK)
        *tokenizer = made;
    else
        wordpiece_free(made);
    return status;
}

enum earshot_status wordpiece_open(const char *path, struct wordpiece **tokenizer,
                                   struct earshot_error *error)
{
    char *text;
    size_t size_bytes;
    enum earshot_status status;

    *tokenizer = NULL;
    status = file_read_text(path, VOCABULARY_BYTES_MAX, &text, &size_bytes, error);
    if (status != EARSHOT_OK)
        return status;
    status = wordpiece_parse(path, text, size_bytes, tokenizer, error);
    free(text);
    return status;
}

void wordpiece_free(struct wordpiece *tokenizer)
{
    if (!tokenizer)
        return;
    free(tokenizer->text);
    free(tokenizer->token);
    free(tokenizer->edge);
    free(tokenizer->node_id);
    free(tokenizer);
}

int32_t wordpiece_size(const struct wordpiece *tokenizer)
{
    return tokenizer->count;
}

int32_t wordpiece_find(const struct wordpiece *tokenizer, const char *token)
{
    uint32_t node = walk(tokenizer, token);

    return node == TRIE_NONE ? -1 : tokenizer->node_id[node];
}

const char *wordpiece_token(const struct wordpiece *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->count ? tokenizer->token[id] : NULL;
}

enum earshot_status wordpiece_save(const struct wordpiece *tokenizer, const char *path,
                                   struct earshot_error *error)
{
    struct file_writer writer;
    enum earshot_status status = file_writer_open(&writer, path, error);

    if (status != EARSHOT_OK)
        return status;
    for (int32_t id = 0; id < tokenizer->count; id++)
        fprintf(writer.stream, "%s\n", tokenizer->token[id]);
    return file_writer_commit(&writer, error);
}

/* ---- ids to text ---- */

/* Replaces every occurrence of from (never shorter than to), left to right, in place. */
static void replace(struct str *s, const char *from, const char *to)
{
    size_t from_length = strlen(from), to_length = strlen(to);
    char *read = s->data, *write = s->data, *end = s->data + s->length, *found;

    while ((found = strstr(read, from))) {
        memmove(write, read, (size_t)(found - read));
        write += found - read;
        memcpy(write, to, to_length);
        write += to_length;
        read = found + from_length;
    }
    memmove(write, read, (size_t)(end - read) + 1);
    s->length = (size_t)(write - s->data) + (size_t)(end - read);
}

/* What Python's str.strip takes for white space. */
static bool is_white(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
           code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static void trim(struct str *s)
{
    const char *end = s->data + s->length, *first = NULL, *last = s->data;

    for (const char *p = s->data; p < end;) {
        const char *at = p;

        if (is_white(str_utf8_next(&p, end)))
            continue;
        if (!first)
            first = at;
        last = p;
    }
    s->length = first ? (size_t)(last - first) : 0;
    if (first)
        memmove(s->data, first, s->length);
    s->data[s->length] = '\0';
}

static void clean_up(struct str *s, enum wordpiece_cleanup cleanup)
{
    static const struct {
        const char *from, *to;
        bool is_swinbert_only;
    } rule[] = {
        {" .", ".", false},     {" ?", "?", false},          {" !", "!", false},
        {" ,", ",", false},     {" ' ", "'", false},         {" n't", "n't", false},
        {" 'm", "'m", false},   {" do not", " don't", true}, {" 's", "'s", false},
        {" 've", "'ve", false}, {" 're", "'re", false},
    };

    if (cleanup == WORDPIECE_PLAIN)
        return;
    for (size_t i = 0; i < sizeof rule / sizeof rule[0]; i++)
        if (!rule[i].is_swinbert_only || cleanup == WORDPIECE_CLEAN_SWINBERT)
            replace(s, rule[i].from, rule[i].to);
}

void wordpiece_decode(const struct wordpiece *tokenizer, const int32_t *ids, int count,
                      bool skip_special, enum wordpiece_cleanup cleanup, struct str *out)
{
    struct str text = {0};
    bool is_first = true;

    str_append_text(&text, "");
    for (int i = 0; i < count; i++) {
        const char *token = wordpiece_token(tokenizer, ids[i]);
        bool skip = false;

        for (int k = 0; k < SPECIAL_COUNT; k++)
            skip = skip || (skip_special && token && ids[i] == tokenizer->special[k]);
        if (skip)
            continue;
        if (!is_first)
            str_append_text(&text, " ");
        is_first = false;
        str_append_text(&text, token ? token : wordpiece_special_names[SPECIAL_UNK]);
    }
    if (!text.failed) {
        replace(&text, " ##", "");
        trim(&text);
        clean_up(&text, cleanup);
        str_append(out, text.data, text.length);
    }
    out->failed = out->failed || text.failed;
    str_free(&text);
}
