/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plots as SVG, with the style of the page: colours are its variables, so that light, dark and
 * paper need one picture. The page's script draws the same numbers once more, to be moved about in.
 */
#include "report/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of the picture, and of what is inside its axes. */
enum { WIDTH = 760, HEIGHT = 230, LEFT = 74, RIGHT = 748, TOP = 10, BOTTOM = 202, TICKS_MOST = 24 };

struct range {
    double low, high;
    bool log;
};

struct frame {
    struct range x, y;
};

struct line *plot_line(struct plot *plot, const char *name)
{
    if (plot->line_count == LINES_MOST)
        return NULL;
    struct line *line = &plot->lines[plot->line_count++];
    memset(line, 0, sizeof(*line));
    snprintf(line->name, sizeof(line->name), "%s", name);
    return line;
}

/* ---- ranges and ticks ---- */

static bool is_drawn(double value, bool log)
{
    return isfinite(value) && (!log || value > 0);
}

static void widen(struct range *range, double value)
{
    if (!is_drawn(value, range->log))
        return;
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

/* A step of 1, 2 or 5 times a power of ten, of which `count` or fewer fit in. */
static double step_of(double span, int count)
{
    static const double steps[] = {1, 2, 5, 10};
    const double unit = pow(10, floor(log10(span / count)));
    size_t i = 0;

    while (i < 3 && span / (steps[i] * unit) > count)
        i++;
    return steps[i] * unit;
}

/* Times on an axis have steps of a clock where they are long. */
static double step_of_time(double span, int count)
{
    static const double steps[] = {120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400};

    if (span <= 300)
        return step_of(span, count);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        if (span / steps[i] <= count)
            return steps[i];
    }
    return 86400 * step_of(span / 86400, count);
}

static double step_for(enum unit unit, double span, int count)
{
    if (unit == UNIT_S)
        return step_of_time(span, count);
    return unit == UNIT_BYTES ? exp2(ceil(log2(span / count) - 1e-9)) : step_of(span, count);
}

static void settle(struct range *range, enum unit unit, bool from_zero)
{
    if (range->low > range->high)
        *range = (struct range){range->log ? 1 : 0, 1, range->log};
    if (range->log) {
        range->low = pow(10, floor(log10(range->low) + 1e-9));
        range->high = pow(10, ceil(log10(range->high) - 1e-9));
        if (range->high <= range->low)
            range->high = 10 * range->low;
        return;
    }
    if (from_zero && range->low > 0)
        range->low = 0;
    if (range->high <= range->low)
        range->high = range->low + (range->low != 0 ? fabs(range->low) : 1);
    if (from_zero) {
        const double step = step_for(unit, range->high - range->low, 5);
        range->high = ceil(range->high / step - 1e-9) * step;
    }
}

static size_t ticks_of(const struct range *range, enum unit unit, int count,
                       double ticks[TICKS_MOST])
{
    size_t used = 0;

    if (range->log) {
        const double decades = log10(range->high / range->low);
        const double by = pow(10, ceil(decades / 8));
        for (double at = range->low; at <= range->high * 1.0001 && used < TICKS_MOST; at *= by)
            ticks[used++] = at;
        return used;
    }
    const double span = range->high - range->low;
    const double step = step_for(unit, span, count);
    for (double i = ceil(range->low / step - 1e-9); used < TICKS_MOST; i++) {
        if (i * step > range->high + 1e-9 * span)
            break;
        ticks[used++] = i * step + 0.0; /* and not -0 */
    }
    return used;
}

/* ---- places ---- */

static double part_of(const struct range *range, double value)
{
    if (range->log)
        return log10(value / range->low) / log10(range->high / range->low);
    return (value - range->low) / (range->high - range->low);
}

static double x_of(const struct frame *frame, double x)
{
    return LEFT + (RIGHT - LEFT) * part_of(&frame->x, x);
}

static double y_of(const struct frame *frame, double y)
{
    return BOTTOM - (BOTTOM - TOP) * part_of(&frame->y, y);
}

static struct frame frame_of(const struct plot *plot)
{
    struct frame frame = {.x = {INFINITY, -INFINITY, plot->axis_x == AXIS_LOG},
                          .y = {INFINITY, -INFINITY, plot->axis_y == AXIS_LOG}};

    for (size_t i = 0; i < plot->line_count; i++) {
        const struct line *line = &plot->lines[i];
        for (size_t j = 0; j < line->count; j++) {
            if (!is_drawn(line->ys[j], frame.y.log) || !is_drawn(line->xs[j], frame.x.log))
                continue;
            widen(&frame.x, line->xs[j]);
            widen(&frame.y, line->ys[j]);
        }
    }
    settle(&frame.x, plot->unit_x, false);
    settle(&frame.y, plot->unit_y, true);
    return frame;
}

/* ---- the picture ---- */

/* A percentage on an axis of nines: 0, 90, 99, 99.9. */
static const char *nines(double at, char buf[WORDS])
{
    const int digits = (int)lround(at);

    snprintf(buf, WORDS, "%.*f %%", digits > 2 ? digits - 2 : 0, 100 * (1 - pow(10, -digits)));
    return buf;
}

static void draw_x_axis(struct page *page, const struct plot *plot, const struct frame *frame)
{
    double ticks[TICKS_MOST];
    char word[WORDS];
    const size_t count = ticks_of(&frame->x, plot->unit_x, 8, ticks);

    for (size_t i = 0; i < count; i++) {
        const bool between = plot->axis_x == AXIS_NINES && ticks[i] != round(ticks[i]);
        const double x = x_of(frame, ticks[i]);
        if (between)
            continue;
        page_html(page, "<path class=\"grid\" d=\"");
        page_format(page, "M%.1f %dV%d", x, TOP, BOTTOM);
        page_html(page, "\"/><text class=\"x\" x=\"");
        page_format(page, "%.1f", x);
        page_html(page, "\" y=\"220\">");
        page_text(page, plot->axis_x == AXIS_NINES ? nines(ticks[i], word)
                                                   : words_tick(plot->unit_x, ticks[i], word));
        page_html(page, "</text>");
    }
}

static void draw_y_axis(struct page *page, const struct plot *plot, const struct frame *frame)
{
    double ticks[TICKS_MOST];
    char word[WORDS];
    const size_t count = ticks_of(&frame->y, plot->unit_y, 5, ticks);

    for (size_t i = 0; i < count; i++) {
        const double y = y_of(frame, ticks[i]);
        page_html(page, "<path class=\"grid\" d=\"");
        page_format(page, "M%d %.1fH%d", LEFT, y, RIGHT);
        page_html(page, "\"/><text class=\"y\" x=\"67\" y=\"");
        page_format(page, "%.1f", y + 4);
        page_html(page, "\">");
        page_text(page, words_tick(plot->unit_y, ticks[i], word));
        page_html(page, "</text>");
    }
}

static bool has_place(const struct line *line, const struct frame *frame, size_t i)
{
    return is_drawn(line->xs[i], frame->x.log) && is_drawn(line->ys[i], frame->y.log);
}

static void draw_dots(struct page *page, const struct line *line, const struct frame *frame)
{
    page_html(page, "<path class=\"");
    page_format(page, "%s t%u", line->crosses ? "crosses" : "dots", line->tone);
    page_html(page, "\" d=\"");
    for (size_t i = 0; i < line->count; i++) {
        if (!has_place(line, frame, i))
            continue;
        const double x = x_of(frame, line->xs[i]), y = y_of(frame, line->ys[i]);
        if (line->crosses)
            page_format(page, "M%.1f %.1fl9 9m0-9l-9 9", x - 4.5, y - 4.5);
        else
            page_format(page, "M%.1f %.1fh0", x, y);
    }
    page_html(page, "\"/>");
}

/* The stretch from `from` that has no gap, and is filled down to the axis where it is asked for. */
static size_t draw_stretch(struct page *page, const struct line *line, const struct frame *frame,
                           size_t from, bool fill)
{
    size_t i = from;

    for (; i < line->count && has_place(line, frame, i); i++)
        page_format(page, "%s%.1f %.1f", i == from ? "M" : "L", x_of(frame, line->xs[i]),
                    y_of(frame, line->ys[i]));
    if (fill)
        page_format(page, "V%dH%.1fZ", BOTTOM, x_of(frame, line->xs[from]));
    else if (i == from + 1)
        page_format(page, "h0");
    return i;
}

static void draw_path(struct page *page, const struct line *line, const struct frame *frame,
                      bool fill)
{
    page_html(page, "<path class=\"");
    page_format(page, "%s%s t%u", fill ? "area" : "line", line->dashed ? " dashed" : "",
                line->tone);
    page_html(page, "\" d=\"");
    for (size_t i = 0; i < line->count; i++) {
        if (has_place(line, frame, i))
            i = draw_stretch(page, line, frame, i, fill);
    }
    page_html(page, "\"/>");
}

static void draw_line(struct page *page, const struct line *line, const struct frame *frame)
{
    if (line->dots || line->crosses) {
        draw_dots(page, line, frame);
        return;
    }
    if (line->filled)
        draw_path(page, line, frame, true);
    draw_path(page, line, frame, false);
}

enum { MARK_ROWS = 4, MARK_CHARS = 40, CHAR_WIDTH = 6 };

/* Words that would meet stand below each other; what finds no place has its line alone. */
static void name_mark(struct page *page, const struct mark *mark, double x, double ends[MARK_ROWS])
{
    size_t row = 0;

    while (row < MARK_ROWS && ends[row] >= x)
        row++;
    if (row == MARK_ROWS)
        return;
    const size_t len = strlen(mark->words);
    ends[row] = x + CHAR_WIDTH * (double)(len < MARK_CHARS ? len : MARK_CHARS) + 12;
    page_html(page, "<text class=\"said\" x=\"");
    page_format(page, "%.1f", x + 4);
    page_html(page, "\" y=\"");
    page_format(page, "%zu", TOP + 11 + 13 * row);
    page_html(page, "\">");
    page_format(page, "%.*s%s", MARK_CHARS, mark->words, len > MARK_CHARS ? "…" : "");
    page_html(page, "</text>");
}

static void draw_marks(struct page *page, const struct plot *plot, const struct frame *frame)
{
    double ends[MARK_ROWS] = {0};

    for (size_t i = 0; i < plot->mark_count; i++) {
        const struct mark *mark = &plot->marks[i];
        if (mark->x < frame->x.low || mark->x > frame->x.high)
            continue;
        page_html(page, "<path class=\"mark\" d=\"");
        page_format(page, "M%.1f %dV%d", x_of(frame, mark->x), TOP, BOTTOM);
        page_html(page, "\"><title>");
        page_text(page, mark->words);
        page_html(page, "</title></path>");
        name_mark(page, mark, x_of(frame, mark->x), ends);
    }
}

static void write_legend(struct page *page, const struct plot *plot)
{
    page_html(page, "<ul class=\"legend\">");
    for (size_t i = 0; i < plot->line_count; i++) {
        const struct line *line = &plot->lines[i];
        page_html(page, "<li class=\"");
        page_format(page, "t%u %s", line->tone,
                    line->crosses  ? "cross"
                    : line->dots   ? "dot"
                    : line->dashed ? "dashed"
                                   : "");
        page_html(page, "\">");
        page_text(page, line->name);
        page_html(page, "</li>");
    }
    page_html(page, "</ul>");
}

static bool is_worth_it(const struct plot *plot)
{
    size_t most = 0;

    for (size_t i = 0; i < plot->line_count; i++) {
        const struct line *line = &plot->lines[i];
        size_t places = 0;
        for (size_t j = 0; j < line->count; j++)
            places += isfinite(line->ys[j]) ? 1 : 0;
        places += places && (line->dots || line->crosses);
        most = places > most ? places : most;
    }
    return most > 1;
}

bool plot_figure(struct page *page, const struct plot *plot)
{
    if (!is_worth_it(plot))
        return false;
    const struct frame frame = frame_of(plot);
    page_html(page, "<figure class=\"plot\" id=\"");
    page_text(page, plot->id);
    page_html(page, "\"><figcaption><h3>");
    page_text(page, plot->title);
    page_html(page, "</h3><p>");
    page_text(page, plot->about);
    page_html(page,
              "</p></figcaption><div class=\"still\"><svg viewBox=\"0 0 760 230\" role=\"img\" "
              "aria-label=\"");
    page_format(page, "%s: %s", plot->title, plot->about);
    page_html(page, "\">");
    draw_x_axis(page, plot, &frame);
    draw_y_axis(page, plot, &frame);
    draw_marks(page, plot, &frame);
    for (size_t i = plot->line_count; i > 0; i--)
        draw_line(page, &plot->lines[i - 1], &frame);
    page_html(page, "</svg>");
    write_legend(page, plot);
    page_html(page, "</div></figure>");
    return true;
}

/* ---- numbers for the script ---- */

static void write_numbers(struct page *page, const double *numbers, size_t count)
{
    page_html(page, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            page_html(page, ",");
        page_json_number(page, numbers[i]);
    }
    page_html(page, "]");
}

/* Lines with the same xs have one table: [xs, ys, ys ...]. */
static void write_tables(struct page *page, const struct plot *plot)
{
    const double *xs = NULL;

    page_html(page, ",\"tables\":[");
    for (size_t i = 0; i < plot->line_count; i++) {
        const struct line *line = &plot->lines[i];
        if (line->xs != xs) {
            page_bytes(page, "],[", xs ? 3 : 0);
            if (!xs)
                page_html(page, "[");
            write_numbers(page, line->xs, line->count);
        }
        xs = line->xs;
        page_html(page, ",");
        write_numbers(page, line->ys, line->count);
    }
    if (xs)
        page_html(page, "]");
    page_html(page, "]");
}

static void write_line(struct page *page, const struct line *line)
{
    page_html(page, "{\"name\":");
    page_json(page, line->name);
    page_html(page, ",\"tone\":");
    page_json_number(page, line->tone);
    if (line->dashed)
        page_html(page, ",\"dashed\":true");
    if (line->filled)
        page_html(page, ",\"filled\":true");
    if (line->dots)
        page_html(page, ",\"dots\":true");
    if (line->crosses)
        page_html(page, ",\"crosses\":true");
    page_html(page, "}");
}

static void write_marks(struct page *page, const struct plot *plot)
{
    page_html(page, ",\"marks\":[");
    for (size_t i = 0; i < plot->mark_count; i++) {
        if (i)
            page_html(page, ",");
        page_html(page, "[");
        page_json_number(page, plot->marks[i].x);
        page_html(page, ",");
        page_json(page, plot->marks[i].words);
        page_html(page, "]");
    }
    page_html(page, "]");
}

void plot_numbers(struct page *page, const struct plot *plot)
{
    static const char *const units[UNITS] = {"count", "per_s",      "us",    "s",
                                             "bytes", "bits_per_s", "share", "percent"};
    static const char *const axes[] = {"linear", "log", "nines"};

    page_html(page, "{\"id\":");
    page_json(page, plot->id);
    page_html(page, ",\"x\":");
    page_json(page, units[plot->unit_x]);
    page_html(page, ",\"y\":");
    page_json(page, units[plot->unit_y]);
    page_html(page, ",\"x_axis\":");
    page_json(page, axes[plot->axis_x]);
    page_html(page, ",\"y_axis\":");
    page_json(page, axes[plot->axis_y]);
    page_html(page, ",\"lines\":[");
    for (size_t i = 0; i < plot->line_count; i++) {
        if (i)
            page_html(page, ",");
        write_line(page, &plot->lines[i]);
    }
    page_html(page, "]");
    write_marks(page, plot);
    write_tables(page, plot);
    page_html(page, "}");
}
