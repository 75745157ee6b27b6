/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include "cli/callers.h"

#include <stdio.h>

struct soak_run;

enum metrics_form { METRICS_OPEN, METRICS_PROMETHEUS };

/** Figures of a soak for those who collect them over HTTP, while it goes on. */
struct metrics {
    int fd; /* -1: none */
    struct reception reception;
    struct soak_run *run;
    struct metrics_page {
        char *text; /* NULL: none yet */
        size_t len;
        uint64_t made_ns;
    } pages[2]; /* by form */
};

/** Listens at "[ADDR:]PORT", on the loopback by default (NULL: nowhere). 0, or an exit status after a
 *  message. */
int metrics_open(struct metrics *metrics, const char *at);
/** As steering_begin. */
int metrics_begin(struct metrics *metrics, struct callers *callers, struct soak_run *run);
void metrics_close(struct metrics *metrics);

/* metrics_page.c */
void metrics_write(FILE *out, const struct soak_run *run, enum metrics_form form);

#endif
