/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_RESULT_INTERNAL_H
#define SOAK_RESULT_INTERNAL_H

#include "soak/result.h"

/* All members of counts are counters of 64 bits. */
enum { COUNTS = sizeof(struct peer_soak_counts) / sizeof(uint64_t) };
void counts_add(struct peer_soak_counts *into, const struct peer_soak_counts *from);
/** What was counted since `before`. */
struct peer_soak_counts counts_since(const struct peer_soak_counts *now,
                                     const struct peer_soak_counts *before);

/* Adds to those of the same name. */
void answers_add(struct figures *into, const struct answers *from);

/* Of two packed histograms; -EBADMSG for what is none, or too many samples. */
int packed_sum(const struct packed *a, const struct packed *b, struct packed *ret_sum);

/* Each to that of its time, those of `from` being so much later. */
int result_add_intervals(struct result *into, const struct result *from, uint64_t later_ns);
/* Was the same process watched? */
bool result_has_processes_of(const struct result *result, const struct result *other);
int result_add_processes(struct result *into, const struct result *from, uint64_t later_ns);

/* The records of result_write, behind its first line: all of them, or some of them. */
enum result_records { RECORDS_STATE = 1, RECORDS_INTERVALS = 2, RECORDS_ALL = 3 };
struct out;
void result_put_records(struct out *out, const struct result *result, enum result_records which);
/* Adds what they hold to `result`, which has nothing of it yet; intervals go behind its own. As
   result_parse. */
struct in;
int result_get_records(struct in *in, struct result *result, struct peer_error *error);

/** As result_add, the intervals of `from` being so much later. */
int result_add_later(struct result *into, const struct result *from, uint64_t later_ns);

/* What becomes of a number when two results are added. */
enum result_rule {
    RESULT_SUM,
    RESULT_MOST,
    RESULT_MEAN, /* not added by itself */
    RESULT_REAL, /* a double, summed */
};
struct result_field {
    size_t at;
    enum result_rule rule;
};
extern const struct result_field result_fields[];
extern const size_t result_field_count;

#endif
