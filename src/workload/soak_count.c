/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a flow's request did, counted: by when it was wanted, see soak.c.
 */
#include "workload/soak.h"

#include "base/macro.h"

/* What came unasked may have come before. */
static void measure_since(struct soak *soak, enum peer_soak_histogram which, uint64_t from_ns,
                          uint64_t until_ns)
{
    measure_latency(&soak->measure, which, until_ns > from_ns ? until_ns - from_ns : 0);
}

void soak_first_byte(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (flow->first_byte)
        return;
    flow->first_byte = true;
    if (soak_counts(flow))
        measure_since(soak, PEER_HISTOGRAM_FIRST_BYTE, flow->intended_ns,
                      flow->flow.conn.arrived_ns);
}

void soak_also(struct soak *soak, uint64_t count)
{
    for (; count; count--) {
        uint64_t wanted_ns = schedule_take(&soak->schedule, soak_now(soak));
        if (wanted_ns < soak->measure.start_ns)
            continue;
        measure_latency(&soak->measure, PEER_HISTOGRAM_REQUEST, soak_now(soak) - wanted_ns);
        soak->measure.counts.requests++;
        soak->measure.counts.completed++;
    }
}

void soak_done(struct soak_flow *flow, uint64_t at_ns)
{
    struct soak *soak = flow->soak;

    if (!soak_counts(flow)) {
        soak->measure.carried += !soak->measure.closed;
        return;
    }
    soak->measure.counts.completed++;
    measure_since(soak, PEER_HISTOGRAM_REQUEST, flow->intended_ns, at_ns);
}

ssize_t soak_write(struct soak_flow *flow, const void *data, size_t len, int flags)
{
    ssize_t done = flow_write(&flow->flow, data, len, flags);

    if (done > 0)
        flow->soak->measure.counts.bytes_sent += (uint64_t)done;
    return done;
}

uint64_t soak_flow_key(const struct soak_flow *flow)
{
    return flow->soak->seed ^ flow->id * UINT64_C(0xd1342543de82ef95);
}
