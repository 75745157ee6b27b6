/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "report/page.h"
#include "report/plot.h"
#include "report/view.h"

/** A report that is being written. */
struct report {
    struct page page;
    struct page plots; /* the numbers of the plots, for the script */
    struct view views[PEER_REPORT_RESULTS];
    size_t count;
    const struct peer_report_config *config;
};

/** The plot as a figure, and its numbers; nothing when there is nothing to see. */
bool report_plot(struct report *report, const struct plot *plot);

/* head.c: title, verdict, the figures that come first; what is the end of the page */
void write_head(struct report *report);
void write_figures(struct report *report);
void write_objectives(struct report *report);
void write_foot(struct report *report);
/* charts.c */
void write_time(struct report *report);
void write_distribution(struct report *report);
void write_search(struct report *report);
/* tables.c: what became of requests */
void write_latencies(struct report *report);
void write_errors(struct report *report);
void write_answers(struct report *report);
void write_changes(struct report *report);
void write_targets(struct report *report);
void write_manners(struct report *report);
void write_intervals(struct report *report);
/* application.c */
void write_application(struct report *report);
/* machine.c: what stood around them */
void write_local(struct report *report);
void write_links(struct report *report);
void write_parts(struct report *report);

/* table.c */
/** Opens a section with its heading, of which the address in the page is `id`. */
void section_open(struct page *page, const char *id, const char *title);
/** A paragraph below it. */
void section_say(struct page *page, const char *text);
void section_close(struct page *page);
/** A table that can be scrolled, with a caption for those who cannot see it; the first column names
 *  rows. */
void table_open(struct page *page, const char *caption, const char *const *heads, size_t count);
/** The same with a column a run behind `first`, and with `more` one for the difference of two. */
void table_open_runs(struct report *report, const char *caption, const char *first, bool more);
void table_close(struct page *page);
/** A row begins, with its name. */
void row_open(struct page *page, const char *name);
void row_close(struct page *page);
void cell_text(struct page *page, const char *text);
/** A number, and for programs its place in the document of --json, or NULL. */
void cell_value(struct page *page, const char *path, enum unit unit, double value);

#endif
