/*
 * wordpiece_internal.h: the vocabulary as wordpiece.c (file, decoding) and wordpiece_encode.c share
 * it.
 *
 * The tokens form a trie over bytes.  Its edges lie in one open-addressed hash table, keyed by
 * (node, byte); longest match is one walk that stops where no token goes on, so hostile text costs
 * no more than the longest token a position.
 */
#ifndef EARSHOT_TEXT_WORDPIECE_INTERNAL_H
#define EARSHOT_TEXT_WORDPIECE_INTERNAL_H

#include "text/wordpiece.h"

#define TRIE_ROOT 0
#define TRIE_NONE UINT32_MAX

struct trie_edge {
    uint32_t key;   /* node << 8 | byte */
    uint32_t child; /* 0: empty slot (the root is no one's child) */
};

enum { SPECIAL_PAD, SPECIAL_UNK, SPECIAL_CLS, SPECIAL_SEP, SPECIAL_MASK, SPECIAL_COUNT };

struct wordpiece {
    char *text;         /* the vocabulary, NUL-terminated tokens one after the other */
    const char **token; /* [count] */
    int32_t count;
    int32_t special[SPECIAL_COUNT]; /* -1: not in the vocabulary */

    struct trie_edge *edge; /* [edge_mask + 1], at most half full */
    uint32_t edge_mask;
    int32_t *node_id; /* [node_count]: the token that ends at a node, or -1 */
    uint32_t node_count, node_capacity;
    uint32_t continuation; /* where "##" leads, or TRIE_NONE */
};

/* "[PAD]" and so on. */
extern const char *const wordpiece_special_names[SPECIAL_COUNT];

/* The node that byte leads to, or TRIE_NONE. */
static inline uint32_t trie_step(const struct wordpiece *tokenizer, uint32_t node,
                                 unsigned char byte)
{
    uint32_t key = node << 8 | byte;
    uint32_t slot = key * 0x9E3779B1u;

    for (slot ^= slot >> 15;; slot++) {
        const struct trie_edge *edge = &tokenizer->edge[slot & tokenizer->edge_mask];

        if (edge->child == 0)
            return TRIE_NONE;
        if (edge->key == key)
            return edge->child;
    }
}

#endif
