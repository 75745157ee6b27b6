/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An end of a connection or flow in the simulated network: it sends a pattern, or what came in, and
 * compares what comes with the pattern.
 */
#include "simnet_inside.h"

#include "base/macro.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void end_release(struct flow *flow)
{
    struct end *end = (struct end *)(void *)flow;

    if (end->net->accepted == end)
        end->net->accepted = NULL;
    if (end->on_release)
        end->on_release(end);
    timer_cancel(engine_timers(end->net->engine), &end->timer);
    list_remove(&end->node);
    free(end);
}

static void end_fire(struct timer *timer, uint64_t now_ns)
{
    struct end *end = list_entry(timer, struct end, timer);

    (void)now_ns;
    if (end->on_timer)
        end->on_timer(end);
}

struct end *simnet_end_new(struct simnet *net, const struct end *like)
{
    struct end *end = simnet_need(calloc(1, sizeof(*end) + (like ? like->own_bytes : 0)));

    if (like)
        *end = *like;
    memset(&end->flow, 0, sizeof(end->flow));
    end->net = net;
    timer_init(&end->timer, end_fire);
    list_add_tail(&net->ends, &end->node);
    return end;
}

void *end_own(struct end *end)
{
    return end + 1;
}

void end_wait(struct end *end, uint64_t delay_ns)
{
    (void)timer_arm(engine_timers(end->net->engine), &end->timer, end->net->now_ns + delay_ns);
}

/* What the pattern wants next, or the echo of what came in. */
static void end_write(struct end *end)
{
    while (end->sent < end->to_send) {
        const uint8_t *pattern = simnet_pattern(end->net);
        uint64_t at = (end->sent + end->send_phase) % PATTERN_PRIME;
        size_t len = (size_t)MIN(end->to_send - end->sent, (uint64_t)PATTERN_PRIME);
        if (end->write_most)
            len = MIN(len, end->write_most);
        ssize_t done = flow_write(&end->flow, pattern + at, len, 0);
        if (done <= 0)
            return;
        end->sent += (uint64_t)done;
    }
    if (end->shut_when_sent &&
        (end->flow.state == FLOW_OPEN || end->flow.state == FLOW_REMOTE_DONE))
        (void)flow_shutdown(&end->flow);
}

static void end_check(struct end *end, const struct iovec *iov)
{
    uint64_t at = (end->received + end->receive_phase) % PATTERN_PRIME;

    if (iov->iov_len > PATTERN_PRIME ||
        memcmp(iov->iov_base, simnet_pattern(end->net) + at, iov->iov_len) != 0)
        end->wrong = true;
    else
        end->net->counts.bytes += iov->iov_len;
    end->received += iov->iov_len;
}

static void end_read(struct end *end)
{
    bool udp = end->flow.conn.protocol == IPPROTO_UDP;
    size_t most = end->read_most ? end->read_most : SIZE_MAX;
    struct iovec iov[16];
    int count;

    if (end->read_most == SIZE_MAX)
        return;
    while (most && (count = flow_peek(&end->flow, iov, udp ? (int)ARRAY_SIZE(iov) : 1)) > 0) {
        size_t len = 0;
        for (int i = 0; i < count; i++) {
            iov[i].iov_len = MIN(iov[i].iov_len, most - len);
            end_check(end, &iov[i]);
            len += iov[i].iov_len;
        }
        if (end->echo && udp)
            (void)flow_write(&end->flow, iov[0].iov_base, iov[0].iov_len, 0);
        else if (end->echo)
            end->to_send += len;
        flow_consume(&end->flow, len);
        most -= len;
    }
}

static void end_close_when_done(struct end *end)
{
    bool state_fits = end->flow.state == FLOW_REMOTE_DONE || end->flow.state == FLOW_LOCAL_DONE ||
                      end->flow.state == FLOW_OPEN;

    if (end->close_when_done && state_fits && end->eof_ns && end->sent == end->to_send)
        flow_close(&end->flow);
}

void end_pump(struct end *end)
{
    if (end->flow.state == FLOW_NEW || end->flow.state == FLOW_CONNECTING)
        return;
    end_read(end);
    if (end->flow.state != FLOW_ENDED)
        end_write(end);
    end_close_when_done(end);
}

static void end_over(struct end *end)
{
    end->end_ns = end->net->now_ns;
    end->how = flow_end(&end->flow);
    end->net->counts.ended++;
    end->net->counts.closed += end->how == PEER_END_CLOSED;
    end->net->counts.wrong += end->wrong;
}

static void end_event(struct flow *flow, unsigned events)
{
    struct end *end = (struct end *)(void *)flow;
    uint64_t now_ns = end->net->now_ns;

    end->events |= events;
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED)) {
        end->open_ns = now_ns;
        end->net->counts.open++;
    }
    if (events & FLOW_READABLE)
        end->readable_ns = now_ns;
    if (events & FLOW_EOF)
        end->eof_ns = now_ns;
    if (events & FLOW_UNREACHABLE || events & FLOW_END) {
        end->icmp_type = flow->conn.icmp_type;
        end->icmp_code = flow->conn.icmp_code;
    }
    if (!end->on_event)
        end_pump(end);
    if (events & FLOW_END)
        end_over(end);
    if (end->on_event)
        end->on_event(end, events);
    if (events & FLOW_END && end->drop_when_ended)
        end_free(end);
}

const struct flow_ops simnet_end_ops = {.event = end_event, .release = end_release};
