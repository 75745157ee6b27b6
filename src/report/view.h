/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REPORT_VIEW_H
#define REPORT_VIEW_H

#include "report/words.h"

#include <peer/report.h>
#include <stdbool.h>

/** What is drawn of several intervals that stand together. */
struct point {
    double start_s, length_s;
    struct peer_soak_counts counts;
    uint64_t open;                         /* at its end */
    double p50_us, p90_us, p99_us, max_us; /* of all samples; NaN: there is none */
    bool after_end;
    bool watched;                   /* the application was looked at: */
    struct peer_watch_sample watch; /* at the end, and what it used in all of it */
};

/** Points of a plot, at the most. */
enum { POINTS_MOST = 600, HISTOGRAMS = PEER_HISTOGRAM_WILL + 1 };

/** A result, read. */
struct view {
    const struct peer_result *result;
    const char *name;
    char number[12]; /* its name, if it has none */
    struct peer_soak_report report;
    struct peer_result_part part;       /* the first; empty: there is none */
    size_t parts, intervals, per_point; /* how many intervals make a point */
    uint64_t flows, peers;
    struct point *points;
    size_t point_count, drawn; /* all, and those in the measured time */
    struct peer_histogram *histograms[HISTOGRAMS];
};
/** -ENOMEM; view_done is to be called all the same. */
int view_init(struct view *view, const struct peer_result *result, size_t points_most);
/** Its name, or its number. */
void view_name(struct view *view, const char *name, size_t number);
void view_done(struct view *view);

/** Of a count, a second of the time that was measured and not paused. */
double view_rate(const struct view *view, uint64_t count);

/** A figure of a whole run: its name, its place in the document of --json, and what it is. */
struct metric {
    const char *name, *path;
    enum unit unit;
    int better;                            /* 1: more is better, -1: less is, 0: neither */
    bool card;                             /* one of the few that come first */
    double (*of)(const struct view *view); /* NaN: there is none */
};
extern const struct metric metrics[];
extern const size_t metric_count;

/** Kinds of errors: in words, in the document of --json, and their place in counts. */
struct error_kind {
    const char *text, *path;
    size_t at;
};
extern const struct error_kind error_kinds[PEER_SOAK_ERROR_KINDS];
uint64_t error_count(const struct peer_soak_counts *counts, size_t kind);

#endif
