/*
 * report.h: what an experiment came to: a page, a Markdown text, JSON, and pictures.
 *
 * Written into the working directory:
 *     report.html     self-contained
 *     report.json     every value of every seed, means, differences, curves, commands
 *     REPRODUCE.md    the page's text; names the three pictures below
 *     reproduce-scores.png, reproduce-losses.png, reproduce-weights.png
 *
 * Sentences about what came out are computed.  The paper's figures stand beside ours as what they
 * are: those of another corpus at another scale, of which only the order can be compared.
 */
#ifndef EARSHOT_REPRODUCE_REPORT_H
#define EARSHOT_REPRODUCE_REPORT_H

#include "reproduce/document.h"
#include "reproduce/results.h"

#define REPORT_CONFIDENCE 0.95

struct report_facts {
    const char *build;   /* the program that writes the report */
    const char *machine; /* processor, system */
    const char *command; /* what made all this, as typed */
    const char *plan;    /* its JSON text */
};

enum earshot_status report_write(const struct results *results, const struct report_facts *facts,
                                 struct earshot_error *error);

/* ---- its parts --------------------------------------------------------------------------------
 */

enum report_picture { PICTURE_SCORES, PICTURE_LOSSES, PICTURE_WEIGHTS, PICTURES };

/* Appends a picture as SVG or PNG; nothing at all if there is nothing to show yet. */
enum earshot_status report_draw(const struct results *results, enum report_picture which, bool svg,
                                struct str *bytes, struct earshot_error *error);
const char *report_picture_file(enum report_picture which);

/* The text, with pictures (of SVG) in it.  Out of memory: text->failed. */
void report_compose(const struct results *results, const struct report_facts *facts,
                    enum document_kind kind, const struct str picture[PICTURES],
                    struct document *document);

void report_put_findings(struct document *document, const struct results *results);
void report_put_table(struct document *document, const struct results *results,
                      const struct plan_table *table);

/* NULL without memory. */
json_t *report_make_json(const struct results *results, const struct report_facts *facts);

#endif
