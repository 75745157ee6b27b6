/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include <peer/soak.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct soak_run;

/**
 * How a soak stands, on standard error while it goes on: a few lines at a terminal that are drawn
 * over themselves and whose last state stays, one line at a terminal that cannot do that, nothing
 * elsewhere. A terminal that a person has stopped is not waited for.
 */
enum live_form { LIVE_NONE, LIVE_LINE, LIVE_BLOCK };
enum { LIVE_SECONDS = 60, LIVE_LINES = 5 };

struct live_second {
    double length_s;
    uint64_t completed, established, bytes;
};

struct live {
    enum live_form form;
    bool colours, unicode;
    uint64_t drawn_ns; /* when it was drawn last */
    size_t line_count, columns[LIVE_LINES]; /* that stand there, and how long they are */
    struct live_second seconds[LIVE_SECONDS], part; /* the latest last; what is no second yet */
    size_t second_count;
};

/** `wanted` false: LIVE_NONE. */
void live_init(struct live *live, bool wanted);
/** An interval is complete. */
void live_add(struct live *live, const struct peer_soak_interval *interval);
/** Draws it when that is long ago. */
void live_show(struct live *live, const struct soak_run *run);
/** Draws it a last time, and leaves it where it is. */
void live_leave(struct live *live, const struct soak_run *run);
/** Takes it off the screen, since something else is to be written there. */
void live_hide(void *live);

#endif
