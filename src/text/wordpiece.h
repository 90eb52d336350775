/*
 * wordpiece.h: BERT WordPiece tokenizer, uncased.
 *
 * Vocabulary: a text file, one token a line, line number = id; [PAD] [UNK] [CLS] [SEP] [MASK] are
 * looked up by name ([UNK] and [PAD] must exist).  A struct wordpiece is read-only after loading
 * and may be shared by threads.
 */
#ifndef EARSHOT_TEXT_WORDPIECE_H
#define EARSHOT_TEXT_WORDPIECE_H

#include "base/error.h"
#include "base/str.h"

struct wordpiece;

enum earshot_status wordpiece_open(const char *path, struct wordpiece **tokenizer,
                                   struct earshot_error *error);
/* The same from memory; text need not outlive the call.  name appears in messages. */
enum earshot_status wordpiece_parse(const char *name, const char *text, size_t size_bytes,
                                    struct wordpiece **tokenizer, struct earshot_error *error);
void wordpiece_free(struct wordpiece *tokenizer);

int32_t wordpiece_size(const struct wordpiece *tokenizer);
/* The id of a token spelled exactly so, -1 if there is none. */
int32_t wordpiece_find(const struct wordpiece *tokenizer, const char *token);
/* The spelling of an id; NULL when out of range. */
const char *wordpiece_token(const struct wordpiece *tokenizer, int32_t id);
/* Writes the vocabulary back, one token a line (atomically). */
enum earshot_status wordpiece_save(const struct wordpiece *tokenizer, const char *path,
                                   struct earshot_error *error);

/* Text to ids.  Any bytes are accepted; invalid UTF-8 counts as U+FFFD and is dropped, as in BERT.
 * No [CLS]/[SEP] is added, nothing is truncated.  *ids is the caller's to free. */
enum earshot_status wordpiece_encode(const struct wordpiece *tokenizer, const char *text,
                                     size_t size_bytes, int32_t **ids, int *count,
                                     struct earshot_error *error);

enum wordpiece_cleanup {
    WORDPIECE_PLAIN,         /* join, " ##" removed, trimmed */
    WORDPIECE_CLEAN,         /* then Hugging Face's clean_up_tokenization */
    WORDPIECE_CLEAN_SWINBERT /* then the older list with " do not" -> " don't" */
};

/* Ids to text, appended to out.  skip_special drops [PAD] [UNK] [CLS] [SEP] [MASK].  Ids out of
 * range are written as [UNK]. */
void wordpiece_decode(const struct wordpiece *tokenizer, const int32_t *ids, int count,
                      bool skip_special, enum wordpiece_cleanup cleanup, struct str *out);

#endif
