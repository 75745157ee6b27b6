/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/arrivals.h"

#include "soak/pause.h"

void arrivals_init(struct arrivals *arrivals, double rate, const struct rng *rng)
{
    *arrivals = (struct arrivals){.gap_ns = 1e9 / rate, .due.rng = *rng};
    arrivals_pass(arrivals, &arrivals->due);
    arrivals->due.passed = 0;
    arrivals->taken = arrivals->due;
}

uint64_t arrivals_next_ns(const struct arrivals_reader *reader)
{
    return (uint64_t)(reader->at + 0.5);
}

void arrivals_pass(const struct arrivals *arrivals, struct arrivals_reader *reader)
{
    reader->at += pause_exponential_ns(arrivals->gap_ns, &reader->rng);
    reader->passed++;
}
