/*
 * chart.h: line charts and grouped bars, drawn with cairo into a PNG or an SVG.
 *
 * A picture is opened, charts and legends are drawn into rectangles of it, and the finished bytes
 * are taken.  Units are pixels (PNG) or points (SVG); y goes down.  Lengths are drawn as given; a
 * chart that is given too little room draws what fits.  Colours are those of Okabe and Ito (Color
 * universal design, 2008), which people with any colour vision can tell apart, on white.
 * Values that are not finite are left out, and break a line.
 */
#ifndef EARSHOT_PLOT_CHART_H
#define EARSHOT_PLOT_CHART_H

#include "base/error.h"
#include "base/str.h"

#define CHART_COLOURS 9

enum chart_format { CHART_PNG, CHART_SVG };

/* How a series is drawn. */
enum chart_style {
    CHART_LINE,
    CHART_FAINT,  /* a thin pale line: raw values under a smoothed one */
    CHART_MARKED, /* a line with a dot at every point */
    CHART_DASHED
};

struct chart_series {
    const char *name;         /* in the legend; NULL: not there */
    const double *x, *y;      /* [count] */
    const double *low, *high; /* [count]: a pale band around the line; or both NULL */
    size_t count;
    int colour; /* any number: modulo CHART_COLOURS */
    enum chart_style style;
};

struct chart_lines {
    const char *title, *x_label, *y_label; /* each may be NULL */
    const struct chart_series *series;
    size_t series_count;
    /* What the axes must show; where low >= high, what the data span. */
    double x_low, x_high, y_low, y_high;
};

struct chart_bars {
    const char *title, *y_label;
    const char *const *group; /* [group_count] names under the axis */
    const char *const *bar;   /* [bar_count] names for the legend */
    size_t group_count, bar_count;
    const double *value, *error; /* [group_count, bar_count]; error: half a whisker, or NULL */
};

struct chart_box {
    double x, y, width, height;
};

struct chart_picture;

/* width and height: 1 to 16384.  MEMORY, ARGUMENT. */
enum earshot_status chart_open(enum chart_format format, int width, int height,
                               struct chart_picture **picture, struct earshot_error *error);
/* Appends the bytes of the picture and ends it, whatever happens. */
enum earshot_status chart_finish(struct chart_picture *picture, struct str *bytes,
                                 struct earshot_error *error);

void chart_draw_lines(struct chart_picture *picture, struct chart_box box,
                      const struct chart_lines *lines);
void chart_draw_bars(struct chart_picture *picture, struct chart_box box,
                     const struct chart_bars *bars);

/* Names with their colours in as many rows as they need, from the top of the box; returns the
 * height used.  A NULL name is left out. */
struct chart_legend_entry {
    const char *name;
    int colour;
    enum chart_style style;
    bool bar;
};
double chart_draw_legend(struct chart_picture *picture, struct chart_box box,
                         const struct chart_legend_entry *entry, size_t count);

/* A line of text, its left end (align 0), middle (0.5) or right end (1) at x; cut with "..." when
 * wider than room. */
void chart_draw_text(struct chart_picture *picture, double x, double baseline, double room,
                     double align, double size, bool bold, const char *text);

/*
 * A step of 1, 2 or 5 times a power of ten, such that [low, high] has about `wanted` ticks, and the
 * digits after the point that they need.
 */
double chart_tick_step(double low, double high, int wanted, int *digits);

#endif
