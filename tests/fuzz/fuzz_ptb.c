/* fuzz_ptb.c: any lines as captions of one call: every caption gets exactly one line of tokens. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/ptb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 64

struct call {
    char *line[LINES_MAX];
    size_t count, told;
};

static const char *source(void *context, size_t index)
{
    return ((struct call *)context)->line[index];
}

static enum earshot_status sink(void *context, size_t index, const char *text, size_t length,
                                struct earshot_error *error)
{
    struct call *call = context;

    (void)error;
    if (index != call->told++ || strlen(text) != length || strchr(text, '\n'))
        abort();
    return EARSHOT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ptb *ptb; /* kept, so that its cache lives through many texts */
    char *text = malloc(size + 1), *save;
    struct call call = {.count = 0};

    if (!text || (!ptb && ptb_new(&ptb, NULL) != EARSHOT_OK))
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *line = strtok_r(text, "\n", &save); line && call.count < LINES_MAX;
         line = strtok_r(NULL, "\n", &save))
        call.line[call.count++] = line;
    for (int keep_all = 0; keep_all < 2; keep_all++) {
        struct ptb_call request = {source, sink, &call, call.count, keep_all};

        call.told = 0;
        if (ptb_tokenize(ptb, &request, NULL) == EARSHOT_OK && call.told != call.count)
            abort();
    }
    free(text);
    return 0;
}
