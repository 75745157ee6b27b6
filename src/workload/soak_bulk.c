/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workloads without answers: as many bytes as go, one way or the other, or none at all.
 */
#include "workload/soak.h"

#include "base/macro.h"

#include <errno.h>

enum { PEEK_VECTORS = 64 };

/* The same pattern again and again, never copied: it stays where it is as long as the run. */
static void send_on(struct soak_flow *flow)
{
    uint64_t *acknowledged = &flow->out_at;
    ssize_t done;

    do {
        done = flow_write(&flow->flow, flow->soak->scratch, SOAK_SCRATCH_BYTES, FLOW_WRITE_STABLE);
    } while (done > 0);
    uint64_t now = flow->flow.written - flow_unacked(&flow->flow);
    flow->soak->measure.counts.bytes_sent += now - *acknowledged;
    *acknowledged = now;
}

/* What comes while we send is not asked for, but no harm. */
static void take_all(struct soak_flow *flow)
{
    struct iovec iov[PEEK_VECTORS];
    int count;

    while ((count = flow_peek(&flow->flow, iov, PEEK_VECTORS)) > 0) {
        size_t len = iov_total(iov, count);
        if (flow->state == SOAK_BUSY && !flow->first_byte) {
            soak_first_byte(flow);
            soak_said(flow, iov[0].iov_base, iov[0].iov_len);
        }
        flow->soak->measure.counts.bytes_received += len;
        flow_consume(&flow->flow, len);
    }
}

void soak_touch(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;
    size_t len = (size_t)MIN(soak->config.message_bytes, (uint64_t)SOAK_SCRATCH_BYTES);

    soak_reach(soak, soak_now(soak));
    flow->intended_ns = soak_now(soak);
    ssize_t done = soak_write(flow, soak->scratch, len, FLOW_WRITE_STABLE);
    flow->out_at = done > 0 ? (uint64_t)done : 0;
    soak->touch_open += done > 0;
}

/* All of the message is acknowledged. */
static void touched(struct soak_flow *flow)
{
    if (!flow->out_at || flow_unacked(&flow->flow))
        return;
    flow->out_at = 0;
    flow->soak->touch_open--;
    soak_done(flow, soak_now(flow->soak));
    soak_idle_check(flow->soak);
}

static void nothing(struct soak_flow *flow)
{
    (void)flow;
}

/* The application has sent all it has: that is what was waited for. */
static void received_all(struct soak_flow *flow)
{
    flow->last = true;
    soak_complete(flow);
}

/* What the schedule wants beyond this one goes along in the same frame. */
static void send_datagrams(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;
    size_t size = (size_t)soak->config.message_bytes;
    uint64_t count = MIN(1 + soak_behind(soak), (uint64_t)FLOW_BURST);

    count = MAX(MIN(count, 65000 / size), 1u);
    ssize_t done = count > 1 ? flow_write_burst(&flow->flow, soak->scratch, count * size, size)
                             : flow_write(&flow->flow, soak->scratch, size, 0);
    if (done > 0)
        soak->measure.counts.bytes_sent += (uint64_t)done;
    soak_also(soak, count - 1);
    soak_complete(flow);
}

const struct soak_ops soak_send = {.request = send_on, .readable = take_all, .writable = send_on};
const struct soak_ops soak_send_udp = {
    .answers = true, .request = send_datagrams, .readable = take_all};
const struct soak_ops soak_receive = {
    .request = nothing, .readable = take_all, .eof = received_all};
const struct soak_ops soak_idle = {.request = nothing, .readable = take_all, .writable = touched};
