/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that are only held: the message on some of them (`touch`), and when it is enough.
 */
#include "workload/soak.h"

#include "base/macro.h"

enum { TOUCH_LOOKS = 4096, TOUCH_AT_ONCE = 64 };

/* -n connections were made, or tried. The last ones are held long enough to learn whether they are
   taken. */
void soak_idle_check(struct soak *soak)
{
    bool touches = soak->config.touch && soak->config.total >= soak->config.flows;
    bool touched = soak->touch_begun && !soak->touch_left && !soak->touch_open;
    uint64_t end_ns = soak_now(soak) + SOAK_BACKOFF_MOST_NS;

    if (!soak_holds(soak) || soak->idle_ends || !schedule_exhausted(&soak->schedule) ||
        soak->in_state[SOAK_CONNECTING] || (touches && !touched))
        return;
    soak->idle_ends = true;
    if (end_ns < soak->schedule.end_ns)
        (void)timer_arm(soak->flows->timers, &soak->end, end_ns);
}

static void touch(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;
    size_t len = (size_t)MIN(soak->config.message_bytes, (uint64_t)SOAK_SCRATCH_BYTES);

    soak_reach(soak, soak_now(soak));
    flow->intended_ns = soak_now(soak);
    ssize_t done = soak_write(flow, soak->scratch, len, FLOW_WRITE_STABLE);
    flow->out_at = done > 0 ? (uint64_t)done : 0;
    soak->touch_open += done > 0;
}

void soak_touched(struct soak_flow *flow)
{
    if (!flow->out_at || flow_unacked(&flow->flow))
        return;
    flow->out_at = 0;
    flow->soak->touch_open--;
    soak_done(flow, soak_now(flow->soak));
    soak_idle_check(flow->soak);
}

/* Idle flows, all of them open: a look at each, a round at a time, and a message on every n-th. */
void soak_touch_some(struct soak *soak)
{
    uint64_t step = MAX(soak->config.flows / soak->config.touch, 1u);
    int messages = 0;

    for (int i = 0; i < TOUCH_LOOKS && soak->touch_left && messages < TOUCH_AT_ONCE; i++) {
        if (list_empty(&soak->busy))
            return;
        struct list *node = list_pop(&soak->busy);
        struct soak_flow *flow = list_entry(node, struct soak_flow, node);
        list_add_tail(&soak->busy, node);
        soak->touch_left--;
        if (flow->id % step == 0) {
            touch(flow);
            messages++;
        }
    }
    soak_idle_check(soak);
    if (soak->touch_left)
        (void)timer_arm(soak->flows->timers, &soak->due, soak_now(soak) + 1);
}

static void maybe_touch(struct soak *soak)
{
    if (!soak->config.touch || soak->touch_begun || soak->in_state[SOAK_BUSY] < soak->config.flows)
        return;
    soak->touch_begun = true;
    soak->touch_left = soak->config.flows;
    soak_touch_some(soak);
}

void soak_idle_connected(struct soak *soak)
{
    maybe_touch(soak);
    soak_idle_check(soak);
}
