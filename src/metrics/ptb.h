/*
 * ptb.h: the tokenizer of the caption metrics: Penn Treebank tokens, lower-cased, punctuation gone.
 *
 * Equal to what pycocoevalcap gets from Stanford's PTBTokenizer (CoreNLP 3.4.1, -preserveLines
 * -lowerCase): all captions of a call are one text with a newline between them; rules may look
 * ahead over that newline; the tokens are printed, split into lines again and stripped of
 *     ''  '  ``  `  -LRB-  -RRB-  -LCB-  -RCB-  .  ?  !  ,  :  -  --  ...  ;
 * Line k is the result of caption k, also where a caption holds a line break of its own (VT, CR,
 * U+2028 ...), which moves all later lines down: so does the reference.
 */
#ifndef EARSHOT_METRICS_PTB_H
#define EARSHOT_METRICS_PTB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Longer captions are refused: a rule may look at a whole line from each of its positions. */
#define PTB_CAPTION_BYTES_MAX 65536

struct ptb; /* compiled rules and a cache: one thread at a time */

enum earshot_status ptb_new(struct ptb **ptb, struct earshot_error *error);
void ptb_free(struct ptb *ptb);

/* Caption `index` of the call (UTF-8; malformed bytes count as U+FFFD, which is no token). */
typedef const char *(*ptb_source)(void *context, size_t index);
/* Tokens of caption `index`, joined by single spaces, `length` bytes, a NUL after them; called
 * once for every index, ascending.  The text is gone after the call. */
typedef enum earshot_status (*ptb_sink)(void *context, size_t index, const char *text,
                                        size_t length, struct earshot_error *error);

struct ptb_call {
    ptb_source source;
    ptb_sink sink;
    void *context; /* of both */
    size_t count;  /* of captions */
    bool keep_all; /* keep the punctuation too */
};

/* Tokenises the captions as one call.  Memory does not grow with their number. */
enum earshot_status ptb_tokenize(struct ptb *ptb, const struct ptb_call *call,
                                 struct earshot_error *error);

#endif
