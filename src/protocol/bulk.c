/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protocols without answers: as many bytes as go, one way or the other, or none at all.
 */
#include "protocol/table.h"
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

static const struct protocol_ops send_tcp = {
    .kind = PROTOCOL_STREAMS, .request = send_on, .readable = take_all, .writable = send_on};
static const struct protocol_ops send_udp = {
    .kind = PROTOCOL_ASKS, .needs_rate = true, .request = send_datagrams, .readable = take_all};
static const struct protocol_ops receive_tcp = {
    .kind = PROTOCOL_STREAMS, .request = nothing, .readable = take_all, .eof = received_all};
static const struct protocol_ops idle_tcp = {
    .kind = PROTOCOL_HOLDS, .request = nothing, .readable = take_all, .writable = soak_touched};

const struct protocol protocol_send = {.name = "send", .tcp = &send_tcp, .udp = &send_udp};
const struct protocol protocol_receive = {.name = "receive", .tcp = &receive_tcp};
const struct protocol protocol_idle = {.name = "idle", .tcp = &idle_tcp};
