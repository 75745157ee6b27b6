/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/arrivals.h"

#include "soak/pause.h"

#include <errno.h>
#include <string.h>

static void draw(struct arrivals_reader *reader)
{
    reader->at += pause_exponential_ns(reader->gap_ns, &reader->rng);
}

void arrivals_init(struct arrivals *arrivals, double rate, const struct rng *rng)
{
    *arrivals = (struct arrivals){.due = {.rng = *rng, .gap_ns = 1e9 / rate}};
    draw(&arrivals->due);
    arrivals->taken = arrivals->due;
}

uint64_t arrivals_next_ns(const struct arrivals_reader *reader)
{
    return (uint64_t)(reader->at + 0.5);
}

static void turn(struct arrivals_reader *reader, const struct arrivals_turn *turn)
{
    reader->gap_ns = turn->gap_ns;
    reader->at = turn->at;
    draw(reader);
}

void arrivals_pass(struct arrivals *arrivals, struct arrivals_reader *reader)
{
    draw(reader);
    reader->passed++;
    while (reader == &arrivals->taken && arrivals->turn_count &&
           arrivals->turns[0].first == reader->passed) {
        turn(reader, &arrivals->turns[0]);
        memmove(arrivals->turns, arrivals->turns + 1,
                --arrivals->turn_count * sizeof(*arrivals->turns));
    }
}

int arrivals_turn(struct arrivals *arrivals, double rate, uint64_t at_ns)
{
    if (arrivals->taken.passed > arrivals->due.passed)
        arrivals->due = arrivals->taken;
    const struct arrivals_turn next = {arrivals->due.passed, (double)at_ns, 1e9 / rate};
    bool level = arrivals->taken.passed == arrivals->due.passed;

    if (!level && arrivals_is_full(arrivals))
        return -EAGAIN;
    turn(&arrivals->due, &next);
    if (level)
        arrivals->taken = arrivals->due;
    else
        arrivals->turns[arrivals->turn_count++] = next;
    return 0;
}

bool arrivals_is_full(const struct arrivals *arrivals)
{
    return arrivals->turn_count == ARRIVALS_TURNS;
}
