/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REPORT_PLOT_H
#define REPORT_PLOT_H

#include "report/page.h"
#include "report/words.h"

/** A plot: as a picture that needs no script (SVG), and as numbers for the script. */
enum { LINES_MOST = 40, MARKS_MOST = 200, LINE_NAME = 160, TONES = 8 };

enum axis { AXIS_LINEAR, AXIS_LOG, AXIS_NINES /* x is -log10(1 - share) */ };

/** The numbers are the caller's, and stay while the plot does. NaN: there is none. */
struct line {
    char name[LINE_NAME];
    const double *xs, *ys; /* xs ascend */
    size_t count;
    uint8_t tone; /* below TONES */
    bool dashed, filled;
    bool dots, crosses; /* points alone */
};

/** A moment, in words that are the caller's. */
struct mark {
    double x;
    const char *words;
};

struct plot {
    const char *id, *title, *about;
    enum unit unit_x, unit_y;
    enum axis axis_x, axis_y;
    struct line lines[LINES_MOST];
    size_t line_count;
    struct mark marks[MARKS_MOST];
    size_t mark_count;
};

/** A new line, zeroed but for its name; NULL when there are too many. */
struct line *plot_line(struct plot *plot, const char *name);
/** The figure with its picture. False and nothing when no line has two points, or one dot. */
bool plot_figure(struct page *page, const struct plot *plot);
/** Its numbers, an object of JSON. */
void plot_numbers(struct page *page, const struct plot *plot);

#endif
