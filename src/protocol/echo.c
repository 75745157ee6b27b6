/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that must come back unchanged. Every byte is a function of the run's seed, the flow and
 * its place in the stream, so what the application loses, doubles or reorders is found at the first
 * wrong byte.
 *
 * A datagram is the part of the stream that begins at (its number * its size): an answer that is
 * older than the request under way is told apart from a wrong one. Of the last 64 requests a bit
 * each (`answered`, the latest is bit 0) says whether it had an answer: what comes for one
 * that had is there twice, for one that had not it is late.
 */
#include "protocol/table.h"
#include "workload/pattern.h"
#include "workload/soak.h"

#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PEEK_VECTORS = 16 };

struct echo {
    uint64_t base;     /* of the stream: where this message begins */
    uint64_t received; /* TCP: taken so far */
    uint64_t answered; /* UDP: of the last 64 requests, a bit each */
};

static struct echo *echo_of(const struct soak_flow *flow)
{
    return soak_flow_own(flow);
}

/* ---- TCP ---- */

static void echo_send(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;
    uint64_t size = soak->config.message_bytes;

    while (flow->state == SOAK_BUSY && flow->out_at < size) {
        size_t len = (size_t)MIN(size - flow->out_at, (uint64_t)SOAK_SCRATCH_BYTES);
        len = MIN(len, flow_write_room(&flow->flow));
        if (!len)
            return;
        pattern_fill(soak_flow_key(flow), echo_of(flow)->base + flow->out_at, soak->scratch, len);
        ssize_t done = soak_write(flow, soak->scratch, len, 0);
        if (done < 0 && done != -EAGAIN)
            soak_fail(flow, SOAK_CLOSED_EARLY, "closed before the message was sent");
        if (done <= 0)
            return;
        flow->out_at += (uint64_t)done;
    }
}

static void echo_request(struct soak_flow *flow)
{
    echo_of(flow)->base = echo_of(flow)->received;
    echo_send(flow);
}

static bool echo_take(struct soak_flow *flow, const struct iovec *iov)
{
    uint64_t end = echo_of(flow)->base + flow->out_at;

    if (echo_of(flow)->received + iov->iov_len > end) {
        soak_fail(flow, SOAK_BAD_ANSWER, "more came back than was sent");
        return false;
    }
    int64_t wrong =
        pattern_check(soak_flow_key(flow), echo_of(flow)->received, iov->iov_base, iov->iov_len);
    if (wrong >= 0) {
        soak_fail(flow, SOAK_BAD_ANSWER, "byte %lld of what came back differs from what was sent",
                  (long long)wrong);
        return false;
    }
    echo_of(flow)->received += iov->iov_len;
    flow->soak->measure.counts.bytes_received += iov->iov_len;
    return true;
}

static void echo_readable(struct soak_flow *flow)
{
    struct iovec iov[PEEK_VECTORS];
    int count;

    while ((count = flow_peek(&flow->flow, iov, PEEK_VECTORS)) > 0) {
        size_t taken = 0;
        if (flow->state != SOAK_BUSY) {
            soak_fail(flow, SOAK_BAD_ANSWER, "bytes came that nobody asked for");
            return;
        }
        if (!flow->first_byte)
            soak_said(flow, iov[0].iov_base, iov[0].iov_len);
        soak_first_byte(flow);
        for (int i = 0; i < count; i++) {
            if (!echo_take(flow, &iov[i]))
                return;
            taken += iov[i].iov_len;
        }
        flow_consume(&flow->flow, taken);
    }
    if (flow->state == SOAK_BUSY &&
        echo_of(flow)->received == echo_of(flow)->base + flow->soak->config.message_bytes)
        soak_complete(flow);
}

static const struct protocol_ops echo_tcp = {.kind = PROTOCOL_ASKS,
                                             .request = echo_request,
                                             .readable = echo_readable,
                                             .writable = echo_send};

/* ---- UDP ---- */

static void datagram_send(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;
    size_t size = (size_t)soak->config.message_bytes;

    echo_of(flow)->base = (uint64_t)(flow->requests - 1) * size;
    echo_of(flow)->answered <<= 1;
    pattern_fill(soak_flow_key(flow), echo_of(flow)->base, soak->scratch, size);
    (void)soak_write(flow, soak->scratch, size, 0); /* a datagram that is not sent is lost */
}

/* Which earlier datagram is it? How many requests ago that was; -1: none of the last 64. */
static int age_of(const struct soak_flow *flow, const void *data, size_t len)
{
    size_t size = (size_t)flow->soak->config.message_bytes;

    for (uint32_t back = 1; back < 64 && back < flow->requests; back++) {
        uint64_t base = (uint64_t)(flow->requests - 1 - back) * size;
        if (pattern_check(soak_flow_key(flow), base, data, len) < 0)
            return (int)back;
    }
    return -1;
}

static void count_older(struct soak_flow *flow, int age)
{
    struct peer_soak_counts *counts = &flow->soak->measure.counts;
    uint64_t bit = UINT64_C(1) << age;

    if (echo_of(flow)->answered & bit)
        counts->duplicates++;
    else
        counts->late++;
    echo_of(flow)->answered |= bit;
}

/* Fits no request: in what it differs from the last one. */
static void wrong_datagram(struct soak_flow *flow, const void *data, size_t len)
{
    size_t size = (size_t)flow->soak->config.message_bytes;
    char text[96];

    if (len != size)
        snprintf(text, sizeof(text), "a datagram of %zu bytes came back for one of %zu", len, size);
    else
        snprintf(text, sizeof(text), "byte %lld of what came back differs from what was sent",
                 (long long)pattern_check(soak_flow_key(flow), echo_of(flow)->base, data, len));
    if (flow->state == SOAK_BUSY)
        soak_lose(flow, SOAK_BAD_ANSWER, "%s", text);
    else
        soak_error(flow, SOAK_BAD_ANSWER, "%s", text);
}

static void datagram_take(struct soak_flow *flow, const void *data, size_t len)
{
    struct peer_soak_counts *counts = &flow->soak->measure.counts;
    bool whole = len == flow->soak->config.message_bytes;
    int age;

    counts->bytes_received += len;
    if (whole && pattern_check(soak_flow_key(flow), echo_of(flow)->base, data, len) < 0) {
        if (flow->state != SOAK_BUSY) {
            count_older(flow, 0);
            return;
        }
        echo_of(flow)->answered |= 1;
        soak_first_byte(flow);
        soak_complete(flow);
    } else if (whole && (age = age_of(flow, data, len)) > 0) {
        count_older(flow, age);
    } else {
        wrong_datagram(flow, data, len);
    }
}

static void datagram_readable(struct soak_flow *flow)
{
    struct iovec iov[PEEK_VECTORS];
    uint8_t datagram[65536];
    int count;

    while (flow->state != SOAK_CLOSED && (count = flow_peek(&flow->flow, iov, PEEK_VECTORS)) > 0) {
        size_t len = iov_gather(iov, count, datagram);
        flow_consume(&flow->flow, len);
        datagram_take(flow, datagram, len);
    }
}

static const struct protocol_ops echo_udp = {
    .kind = PROTOCOL_ASKS, .request = datagram_send, .readable = datagram_readable};

const struct protocol protocol_echo = {
    .name = "echo", .tcp = &echo_tcp, .udp = &echo_udp, .flow_bytes = sizeof(struct echo)};
