/* chart.c: charts with cairo.  See chart.h. */
#include "plot/chart.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 12.0
#define TITLE_SIZE 14.0
#define SIDE_MAX 16384
#define TICKS_MAX 50

struct chart_picture {
    cairo_surface_t *surface;
    cairo_t *c;
    enum chart_format format;
    struct str bytes; /* of the SVG, as cairo writes it */
};

struct colour {
    double r, g, b;
};

/* Okabe and Ito, and a grey; the yellow, which is pale for a line on white, comes last. */
static const struct colour palette[CHART_COLOURS] = {
    {0.000, 0.447, 0.698}, {0.835, 0.369, 0.000}, {0.000, 0.620, 0.451},
    {0.800, 0.475, 0.655}, {0.902, 0.624, 0.000}, {0.337, 0.706, 0.914},
    {0.150, 0.150, 0.150}, {0.550, 0.550, 0.550}, {0.941, 0.894, 0.259},
};

static void set_colour(cairo_t *c, int colour, double alpha)
{
    const struct colour *p = &palette[(unsigned)colour % CHART_COLOURS];

    cairo_set_source_rgba(c, p->r, p->g, p->b, alpha);
}

static void set_grey(cairo_t *c, double level)
{
    cairo_set_source_rgb(c, level, level, level);
}

/* ---- pictures ---------------------------------------------------------------------------------
 */

static cairo_status_t append(void *context, const unsigned char *data, unsigned int length)
{
    struct str *bytes = context;

    str_append(bytes, data, length);
    return bytes->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

enum earshot_status chart_open(enum chart_format format, int width, int height,
                               struct chart_picture **out, struct earshot_error *error)
{
    struct chart_picture *picture;

    *out = NULL;
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return error_set(error, EARSHOT_ERROR_ARGUMENT,
                         "a picture of %d x %d: each side must be 1 to %d", width, height,
                         SIDE_MAX);
    if (!(picture = calloc(1, sizeof *picture)))
        return error_memory(error, sizeof *picture);
    picture->format = format;
    picture->surface =
        format == CHART_SVG
            ? cairo_svg_surface_create_for_stream(append, &picture->bytes, width, height)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    picture->c = cairo_create(picture->surface);
    if (cairo_status(picture->c) != CAIRO_STATUS_SUCCESS) {
        chart_finish(picture, NULL, NULL);
        return error_memory(error, (size_t)width * (size_t)height * 4);
    }
    cairo_set_source_rgb(picture->c, 1, 1, 1);
    cairo_paint(picture->c);
    cairo_set_line_join(picture->c, CAIRO_LINE_JOIN_ROUND);
    *out = picture;
    return EARSHOT_OK;
}

enum earshot_status chart_finish(struct chart_picture *picture, struct str *bytes,
                                 struct earshot_error *error)
{
    cairo_status_t problem = cairo_status(picture->c);
    enum earshot_status status = EARSHOT_OK;

    cairo_destroy(picture->c);
    if (picture->format == CHART_SVG) {
        cairo_surface_finish(picture->surface);
        if (bytes)
            str_append(bytes, picture->bytes.data, picture->bytes.length);
    } else if (bytes) {
        cairo_surface_write_to_png_stream(picture->surface, append, bytes);
    }
    if (problem == CAIRO_STATUS_SUCCESS)
        problem = cairo_surface_status(picture->surface);
    if (problem != CAIRO_STATUS_SUCCESS || picture->bytes.failed || (bytes && bytes->failed))
        status = error_set(error, EARSHOT_ERROR_MEMORY, "cannot draw the picture: %s",
                           cairo_status_to_string(problem));
    cairo_surface_destroy(picture->surface);
    str_free(&picture->bytes);
    free(picture);
    return status;
}

/* ---- text -------------------------------------------------------------------------------------
 */

static double text_width(cairo_t *c, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(c, text, &extents);
    return extents.x_advance;
}

static void set_font(cairo_t *c, double size, bool bold)
{
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, size);
}

/* Names come from files and the command line: cairo refuses text that is not UTF-8, for good. */
static void clean(char *to, size_t size, const char *text)
{
    const char *end = text + strlen(text);
    size_t used = 0;

    while (text < end && used + 5 < size) {
        uint32_t code = str_utf8_next(&text, end);

        used += str_utf8_put(to + used, code < 0x20 || code == 0x7f ? '?' : code);
    }
    to[used] = '\0';
}

/* Cuts text, which has room for three bytes more, to a width. */
static void cut(cairo_t *c, char *text, double room)
{
    size_t length = strlen(text);

    if (text_width(c, text) <= room)
        return;
    do {
        while (length > 0 && ((unsigned char)text[--length] & 0xC0) == 0x80)
            ;
        memcpy(text + length, "...", 4);
    } while (length > 0 && text_width(c, text) > room);
}

void chart_draw_text(struct chart_picture *picture, double x, double baseline, double room,
                     double align, double size, bool bold, const char *text)
{
    cairo_t *c = picture->c;
    char line[512];

    clean(line, sizeof line - 4, text);
    set_font(c, size, bold);
    cut(c, line, room);
    cairo_move_to(c, x - align * text_width(c, line), baseline);
    cairo_show_text(c, line);
}

/* ---- axes -------------------------------------------------------------------------------------
 */

double chart_tick_step(double low, double high, int wanted, int *digits)
{
    double raw = (high - low) / (wanted > 0 ? wanted : 1), power, step;
    int exponent;

    if (!(raw > 0) || !isfinite(raw))
        raw = 1;
    exponent = (int)floor(log10(raw));
    power = pow(10, exponent);
    step = raw / power;
    step = step < 1.5 ? 1 : step < 3.5 ? 2 : step < 7.5 ? 5 : 10;
    if (step == 10)
        exponent++;
    *digits = exponent < 0 ? -exponent : 0;
    return step * power;
}

/* A rectangle of data shown in a rectangle of the picture. */
struct axes {
    struct chart_box box;
    double x_low, x_high, y_low, y_high;
};

static double at_x(const struct axes *axes, double x)
{
    return axes->box.x + (x - axes->x_low) / (axes->x_high - axes->x_low) * axes->box.width;
}

static double at_y(const struct axes *axes, double y)
{
    return axes->box.y + (axes->y_high - y) / (axes->y_high - axes->y_low) * axes->box.height;
}

static void include(double value, double *low, double *high)
{
    if (!isfinite(value))
        return;
    if (!(*low <= value))
        *low = value;
    if (!(*high >= value))
        *high = value;
}

/* An empty or single-valued range becomes one that can be drawn; y gets some air above. */
static void open_range(double *low, double *high, double air)
{
    if (!isfinite(*low) || !isfinite(*high)) {
        *low = 0;
        *high = 1;
    }
    if (!(*high > *low)) {
        double half = *low == 0 ? 1 : fabs(*low) * 0.1;

        *low -= half;
        *high += half;
    }
    *high += air * (*high - *low);
}

static void tick_label(char *buffer, size_t size, double value, int digits)
{
    if (digits > 6 || fabs(value) >= 1e7)
        snprintf(buffer, size, "%.3g", value);
    else
        snprintf(buffer, size, "%.*f", digits, value == 0 ? 0.0 : value);
}

static double first_tick(double low, double step)
{
    return ceil(low / step - 1e-9) * step;
}

/* The widest label of the y axis, which decides where the axis can be. */
static double y_label_width(cairo_t *c, double low, double high, double step, int digits)
{
    /* At least this, so that charts above one another usually line up. */
    double widest = 28, value = first_tick(low, step);
    char label[64];

    set_font(c, TEXT_SIZE, false);
    for (int i = 0; i < TICKS_MAX && value <= high + 1e-9 * step; i++, value += step) {
        tick_label(label, sizeof label, value, digits);
        widest = fmax(widest, text_width(c, label));
    }
    return widest;
}

static void draw_y_axis(struct chart_picture *picture, const struct axes *axes, double step,
                        int digits)
{
    cairo_t *c = picture->c;
    double value = first_tick(axes->y_low, step);
    char label[64];

    for (int i = 0; i < TICKS_MAX && value <= axes->y_high + 1e-9 * step; i++, value += step) {
        double y = floor(at_y(axes, value)) + 0.5;

        set_grey(c, 0.88);
        cairo_set_line_width(c, 1);
        cairo_move_to(c, axes->box.x, y);
        cairo_line_to(c, axes->box.x + axes->box.width, y);
        cairo_stroke(c);
        tick_label(label, sizeof label, value, digits);
        set_grey(c, 0.3);
        chart_draw_text(picture, axes->box.x - 6, y + 4, 200, 1, TEXT_SIZE, false, label);
    }
}

static void draw_x_axis(struct chart_picture *picture, const struct axes *axes)
{
    cairo_t *c = picture->c;
    int digits, wanted = (int)(axes->box.width / 90);
    double step = chart_tick_step(axes->x_low, axes->x_high, wanted < 1 ? 1 : wanted, &digits);
    double value = first_tick(axes->x_low, step), bottom = axes->box.y + axes->box.height;
    char label[64];

    for (int i = 0; i < TICKS_MAX && value <= axes->x_high + 1e-9 * step; i++, value += step) {
        double x = floor(at_x(axes, value)) + 0.5;

        set_grey(c, 0.5);
        cairo_set_line_width(c, 1);
        cairo_move_to(c, x, bottom);
        cairo_line_to(c, x, bottom + 4);
        cairo_stroke(c);
        tick_label(label, sizeof label, value, digits);
        set_grey(c, 0.3);
        chart_draw_text(picture, x, bottom + 17, 200, 0.5, TEXT_SIZE, false, label);
    }
}

static void draw_frame(cairo_t *c, const struct axes *axes)
{
    set_grey(c, 0.5);
    cairo_set_line_width(c, 1);
    cairo_move_to(c, floor(axes->box.x) + 0.5, axes->box.y);
    cairo_line_to(c, floor(axes->box.x) + 0.5, floor(axes->box.y + axes->box.height) + 0.5);
    cairo_line_to(c, axes->box.x + axes->box.width, floor(axes->box.y + axes->box.height) + 0.5);
    cairo_stroke(c);
}

/*
 * Title, labels and y axis; what is left of the box becomes axes->box.  The rotated name of the y
 * axis stands left of its numbers.
 */
static void lay_out(struct chart_picture *picture, struct chart_box box, const char *title,
                    const char *x_label, const char *y_label, struct axes *axes)
{
    cairo_t *c = picture->c;
    double top = title ? 26 : 8, bottom = 22 + (x_label ? 18 : 0), left = 10, step;
    int digits, wanted = (int)(box.height / 45);

    step = chart_tick_step(axes->y_low, axes->y_high, wanted < 2 ? 2 : wanted, &digits);
    left += y_label_width(c, axes->y_low, axes->y_high, step, digits) + (y_label ? 20 : 0);
    axes->box = (struct chart_box){box.x + left, box.y + top, fmax(1, box.width - left - 14),
                                   fmax(1, box.height - top - bottom)};
    set_grey(c, 0.1);
    if (title)
        chart_draw_text(picture, axes->box.x, box.y + 17, axes->box.width, 0, TITLE_SIZE, true,
                        title);
    set_grey(c, 0.3);
    if (x_label)
        chart_draw_text(picture, axes->box.x + axes->box.width / 2, box.y + box.height - 5,
                        axes->box.width, 0.5, TEXT_SIZE, false, x_label);
    if (y_label) {
        cairo_save(c);
        cairo_translate(c, box.x + 14, axes->box.y + axes->box.height / 2);
        cairo_rotate(c, -M_PI / 2);
        chart_draw_text(picture, 0, 0, axes->box.height, 0.5, TEXT_SIZE, false, y_label);
        cairo_restore(c);
    }
    draw_y_axis(picture, axes, step, digits);
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static void draw_band(cairo_t *c, const struct axes *axes, const struct chart_series *series)
{
    bool open = false;

    if (!series->low || !series->high)
        return;
    for (size_t i = 0; i < series->count; i++)
        if (isfinite(series->x[i]) && isfinite(series->high[i]) && isfinite(series->low[i])) {
            cairo_line_to(c, at_x(axes, series->x[i]), at_y(axes, series->high[i]));
            open = true;
        }
    for (size_t i = series->count; i-- > 0;)
        if (isfinite(series->x[i]) && isfinite(series->high[i]) && isfinite(series->low[i]))
            cairo_line_to(c, at_x(axes, series->x[i]), at_y(axes, series->low[i]));
    if (open) {
        cairo_close_path(c);
        set_colour(c, series->colour, 0.18);
        cairo_fill(c);
    }
    cairo_new_path(c);
}

static void set_style(cairo_t *c, int colour, enum chart_style style)
{
    static const double dash[] = {6, 4};

    cairo_set_line_width(c, style == CHART_FAINT ? 1 : style == CHART_MARKED ? 1.2 : 2);
    set_colour(c, colour, style == CHART_FAINT ? 0.25 : 1);
    cairo_set_dash(c, dash, style == CHART_DASHED ? 2 : 0, 0);
}

static void draw_series(cairo_t *c, const struct axes *axes, const struct chart_series *series)
{
    bool broken = true;

    set_style(c, series->colour, series->style);
    for (size_t i = 0; i < series->count; i++) {
        double x = at_x(axes, series->x[i]), y = at_y(axes, series->y[i]);

        if (!isfinite(x) || !isfinite(y)) {
            broken = true;
            continue;
        }
        if (broken)
            cairo_move_to(c, x, y);
        else
            cairo_line_to(c, x, y);
        broken = false;
    }
    cairo_stroke(c);
    cairo_set_dash(c, NULL, 0, 0);
    for (size_t i = 0; series->style == CHART_MARKED && i < series->count; i++) {
        double x = at_x(axes, series->x[i]), y = at_y(axes, series->y[i]);

        if (isfinite(x) && isfinite(y)) {
            cairo_arc(c, x, y, 3, 0, 2 * M_PI);
            cairo_fill(c);
        }
    }
}

/* False: there is no point to show. */
static bool find_range(const struct chart_lines *lines, struct axes *axes)
{
    double x[2] = {NAN, NAN}, y[2] = {NAN, NAN};
    bool any;

    for (size_t s = 0; s < lines->series_count; s++) {
        const struct chart_series *series = &lines->series[s];

        for (size_t i = 0; i < series->count; i++) {
            if (!isfinite(series->y[i]))
                continue;
            include(series->x[i], &x[0], &x[1]);
            include(series->y[i], &y[0], &y[1]);
            if (series->low && series->high) {
                include(series->low[i], &y[0], &y[1]);
                include(series->high[i], &y[0], &y[1]);
            }
        }
    }
    any = isfinite(x[0]) && isfinite(y[0]);
    open_range(&x[0], &x[1], 0);
    open_range(&y[0], &y[1], 0.04);
    axes->x_low = lines->x_low < lines->x_high ? lines->x_low : x[0];
    axes->x_high = lines->x_low < lines->x_high ? lines->x_high : x[1];
    axes->y_low = lines->y_low < lines->y_high ? lines->y_low : y[0];
    axes->y_high = lines->y_low < lines->y_high ? lines->y_high : y[1];
    return any;
}

void chart_draw_lines(struct chart_picture *picture, struct chart_box box,
                      const struct chart_lines *lines)
{
    cairo_t *c = picture->c;
    struct axes axes;

    if (!find_range(lines, &axes)) {
        set_grey(c, 0.6);
        chart_draw_text(picture, box.x + box.width / 2, box.y + box.height / 2, box.width, 0.5,
                        TEXT_SIZE, false, "nothing to show");
        return;
    }
    lay_out(picture, box, lines->title, lines->x_label, lines->y_label, &axes);
    draw_x_axis(picture, &axes);
    cairo_save(c);
    cairo_rectangle(c, axes.box.x, axes.box.y - 4, axes.box.width + 4, axes.box.height + 8);
    cairo_clip(c);
    for (size_t s = 0; s < lines->series_count; s++)
        draw_band(c, &axes, &lines->series[s]);
    for (size_t s = 0; s < lines->series_count; s++)
        draw_series(c, &axes, &lines->series[s]);
    cairo_restore(c);
    draw_frame(c, &axes);
}

/* ---- bars -------------------------------------------------------------------------------------
 */

static void draw_whisker(cairo_t *c, const struct axes *axes, double x, double value, double half)
{
    double top = at_y(axes, value + half), bottom = at_y(axes, value - half);

    set_grey(c, 0.15);
    cairo_set_line_width(c, 1.2);
    cairo_move_to(c, x, top);
    cairo_line_to(c, x, bottom);
    cairo_move_to(c, x - 3, top);
    cairo_line_to(c, x + 3, top);
    cairo_move_to(c, x - 3, bottom);
    cairo_line_to(c, x + 3, bottom);
    cairo_stroke(c);
}

void chart_draw_bars(struct chart_picture *picture, struct chart_box box,
                     const struct chart_bars *bars)
{
    cairo_t *c = picture->c;
    struct axes axes = {.x_low = 0, .x_high = (double)bars->group_count, .y_low = 0, .y_high = 0};
    double group_width, width, zero;

    for (size_t i = 0; i < bars->group_count * bars->bar_count; i++) {
        double half = bars->error && isfinite(bars->error[i]) ? bars->error[i] : 0;

        include(bars->value[i] + half, &axes.y_low, &axes.y_high);
        include(bars->value[i] - half, &axes.y_low, &axes.y_high);
    }
    open_range(&axes.y_low, &axes.y_high, 0.04);
    axes.x_high = fmax(axes.x_high, 1);
    lay_out(picture, box, bars->title, NULL, bars->y_label, &axes);
    group_width = axes.box.width / axes.x_high;
    width = 0.84 * group_width / (double)(bars->bar_count ? bars->bar_count : 1);
    zero = at_y(&axes, 0);
    for (size_t g = 0; g < bars->group_count; g++) {
        double left = axes.box.x + ((double)g + 0.08) * group_width;

        for (size_t b = 0; b < bars->bar_count; b++) {
            size_t i = g * bars->bar_count + b;
            double x = left + (double)b * width;

            if (!isfinite(bars->value[i]))
                continue;
            set_colour(c, (int)b, 0.9);
            cairo_rectangle(c, x + 0.5, at_y(&axes, bars->value[i]), fmax(1, width - 1),
                            zero - at_y(&axes, bars->value[i]));
            cairo_fill(c);
            if (bars->error && isfinite(bars->error[i]))
                draw_whisker(c, &axes, x + width / 2, bars->value[i], bars->error[i]);
        }
        set_grey(c, 0.3);
        chart_draw_text(picture, left + 0.42 * group_width, axes.box.y + axes.box.height + 17,
                        group_width - 4, 0.5, TEXT_SIZE, false, bars->group[g]);
    }
    draw_frame(c, &axes);
}

/* ---- legend -----------------------------------------------------------------------------------
 */

double chart_draw_legend(struct chart_picture *picture, struct chart_box box,
                         const struct chart_legend_entry *entry, size_t count)
{
    cairo_t *c = picture->c;
    double x = box.x, y = box.y;
    const double row = 20;
    char name[256];

    for (size_t i = 0; i < count; i++) {
        double width;

        if (!entry[i].name)
            continue;
        clean(name, sizeof name, entry[i].name);
        set_font(c, TEXT_SIZE, false);
        width = text_width(c, name) + 26 + 20;
        if (x > box.x && x + width - 20 > box.x + box.width) {
            x = box.x;
            y += row;
        }
        if (entry[i].bar) {
            set_colour(c, entry[i].colour, 0.9);
            cairo_rectangle(c, x + 4, y + 4, 14, 12);
            cairo_fill(c);
        } else {
            set_style(c, entry[i].colour, entry[i].style);
            cairo_move_to(c, x, y + 10);
            cairo_line_to(c, x + 22, y + 10);
            cairo_stroke(c);
            cairo_set_dash(c, NULL, 0, 0);
            if (entry[i].style == CHART_MARKED) {
                cairo_arc(c, x + 11, y + 10, 3, 0, 2 * M_PI);
                cairo_fill(c);
            }
        }
        set_grey(c, 0.15);
        chart_draw_text(picture, x + 28, y + 14, box.width - 28, 0, TEXT_SIZE, false, name);
        x += width;
    }
    return y + row - box.y;
}
