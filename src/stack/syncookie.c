/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls under pressure.
 *
 * A connection that is half-open costs about a kilobyte, and whoever sends SYNs alone can have as
 * many as he likes. So only so many are kept at once, of each listener and of all together. While
 * there are more, or while callers go away without ever having been there (the answers to a flood
 * from an address of this machine are reset by its kernel), a SYN is answered and forgotten, as
 * Linux does (RFC 4987, 3.6): what must be known of it is in the answer, and comes back with the
 * acknowledgement. What one listener bears does not change how another's callers are answered.
 *
 *   sequence number   hash of the call (24 bits), class of the MSS (3), time in units of 64 s (5)
 *   timestamp         its lowest 6 bits: window scale (4), SACK permitted, one unused; a call
 *                     without timestamps gets neither scale nor SACK
 *
 * When the acknowledgement is there, the SYN is made anew and goes to lwIP, whose answer to it goes
 * nowhere, and then the acknowledgement. lwIP asks for the initial sequence number, and is told the
 * one that was sent.
 *
 * The hash is keyed, so nobody can acknowledge what he has not seen. Cookies are believed only for
 * two units of time, and only when some were sent in these.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "base/rng.h"
#include "packet/bytes.h"

#include "arch/hooks.h"

#include <string.h>

enum {
    UNIT_S = 64,
    UNITS = 32,
    TIMESTAMP_BITS = 6,
    NO_SCALE = 15,
    SYN_ROOM = IP6_HLEN + TCP_HLEN + 20,
};

/* The largest that is not above what the caller said (RFC 4987: few bits). */
static const uint16_t mss_classes[8] = {64, 536, 1220, 1300, 1440, 1460, 8940, 65475};

/* What a SYN asks for, or a cookie tells. */
struct call {
    uint16_t mss;
    uint8_t scale; /* NO_SCALE: none */
    bool sack, timestamps;
    uint32_t ts_val, ts_ecr;
};

static void read_option(struct call *call, const uint8_t *option, uint32_t len)
{
    if (option[0] == 2 && len == 4)
        call->mss = get16(option + 2);
    else if (option[0] == 3 && len == 3)
        call->scale = (uint8_t)MIN(option[2], 14);
    else if (option[0] == 4 && len == 2)
        call->sack = true;
    if (option[0] != 8 || len != 10)
        return;
    call->timestamps = true;
    call->ts_val = get32(option + 2);
    call->ts_ecr = get32(option + 6);
}

static struct call read_call(const struct frame *frame, const struct packet *packet)
{
    const uint8_t *at = frame->data + packet->transport_at + TCP_HLEN;
    const uint8_t *end = frame->data + packet->payload_at;
    struct call call = {.mss = 536, .scale = NO_SCALE};

    while (at < end && *at) {
        uint32_t left = (uint32_t)(end - at), len = *at == 1 ? 1 : left > 1 ? at[1] : 0;
        if (len > left || len < (*at == 1 ? 1 : 2))
            break;
        read_option(&call, at, len);
        at += len;
    }
    return call;
}

static uint32_t unit_now(const struct stack *stack)
{
    return (uint32_t)(stack->now_ns / NS_PER_S / UNIT_S);
}

/* `seq` is the caller's own first number. */
static uint32_t cookie_for(const struct stack *stack, const struct stack_tuple *tuple, uint32_t seq,
                           uint32_t mss_class, uint32_t unit)
{
    uint32_t low = mss_class << 5 | unit % UNITS;
    struct {
        uint8_t local[16], remote[16];
        uint32_t ports, seq, low, unit;
    } input = {.ports = (uint32_t)tuple->local_port << 16 | tuple->remote_port,
               .seq = seq,
               .low = low,
               .unit = unit};

    memcpy(input.local, tuple->local.bytes, 16);
    memcpy(input.remote, tuple->remote.bytes, 16);
    return (uint32_t)siphash(stack->cookie_key, &input, sizeof(input)) << 8 | low;
}

/* ---- pressure ---- */

static void count_seconds(const struct stack *stack, struct stack_listener *listener)
{
    uint64_t second = stack->now_ns / NS_PER_S;

    if (second == listener->deserted_second)
        return;
    listener->deserted_before = second == listener->deserted_second + 1 ? listener->deserted : 0;
    listener->deserted = 0;
    listener->deserted_second = second;
}

void syncookie_called(struct stack *stack, struct stack_listener *listener, struct stack_conn *conn)
{
    conn->listener_id = listener->id;
    listener->half_open += listener->id != 0;
    stack->half_open++;
}

void syncookie_settled(struct stack *stack, const struct stack_conn *conn)
{
    struct stack_listener *listener = listener_by_id(stack, conn->listener_id);

    stack->half_open--;
    if (listener)
        listener->half_open--;
}

void syncookie_deserted(struct stack *stack, const struct stack_conn *conn)
{
    struct stack_listener *listener = listener_by_id(stack, conn->listener_id);

    syncookie_settled(stack, conn);
    if (!listener)
        return;
    count_seconds(stack, listener);
    listener->deserted++;
}

static bool under_pressure(const struct stack *stack, struct stack_listener *listener)
{
    count_seconds(stack, listener);
    return stack->half_open >= LIMIT_HALF_OPEN ||
           listener->half_open >= LIMIT_HALF_OPEN_LISTENER ||
           listener->deserted >= LIMIT_DESERTED || listener->deserted_before >= LIMIT_DESERTED;
}

/* ---- the answer ---- */

static uint32_t put_options(struct stack *stack, const struct stack_tuple *tuple,
                            const struct call *call, uint8_t *options)
{
    uint32_t header = tuple->local.family == 6 ? IP6_HLEN : IP_HLEN;
    uint32_t mss = MIN(stack->mtu - header - TCP_HLEN, (uint32_t)TCP_MSS), mask = 63;
    uint32_t now_ms = (uint32_t)(stack->now_ns / NS_PER_MS) + clock_offset(stack, tuple);
    uint32_t told = (now_ms & ~mask) | call->scale | (call->sack ? 1u << 4 : 0);

    options[0] = 2;
    options[1] = 4;
    options[2] = (uint8_t)(mss >> 8);
    options[3] = (uint8_t)mss;
    if (!call->timestamps)
        return 4;
    if ((int32_t)(told - now_ms) > 0)
        told -= mask + 1; /* never ahead of what comes later */
    memcpy(options + 4, call->sack ? "\4\2\10\12" : "\1\1\10\12", 4);
    put32(options + 8, told);
    put32(options + 12, call->ts_val);
    if (call->scale == NO_SCALE)
        return 16;
    memcpy(options + 16, "\1\3\3", 3);
    options[19] = TCP_RCV_SCALE;
    return 20;
}

bool syncookie_answers(struct stack *stack, struct stack_listener *listener,
                       const struct frame *frame, const struct packet *packet,
                       const struct stack_tuple *tuple)
{
    if (!under_pressure(stack, listener))
        return false;
    const uint32_t seq = get32(frame->data + packet->transport_at + 4);
    const bool has_options = packet->payload_at - packet->transport_at > TCP_HLEN;
    if (!siege_hears(stack, tuple, seq, has_options)) {
        input_housekeep(stack);
        listener->unheard++;
        stack->stats.limits[STACK_LIMIT_STRANGERS]++;
        return true;
    }
    struct call call = read_call(frame, packet);
    uint32_t class = 0;
    uint8_t options[20];

    while (class + 1 < ARRAY_SIZE(mss_classes) && mss_classes[class + 1] <= call.mss)
        class ++;
    uint32_t options_len = put_options(stack, tuple, &call, options);
    uint16_t mss = get16(options + 2);
    forge_tcp(stack, &(struct forged_segment){
                         .tuple = *tuple,
                         .mac = stack->layer == FRAME_ETHERNET ? frame->data + 6 : NULL,
                         .seq = cookie_for(stack, tuple, seq, class, unit_now(stack)),
                         .ack = seq + 1,
                         .flags = TCP_SYN | TCP_ACK,
                         .window = shape_syn_window(call.timestamps ? mss - 12u : mss),
                         .options = options,
                         .options_len = options_len});
    stack->cookie_unit = unit_now(stack);
    stack->cookies_out = true;
    listener->cookies++;
    stack->stats.limits[STACK_LIMIT_HALF_OPEN]++;
    return true;
}

/* ---- the acknowledgement ---- */

/* Whether `cookie` is one; then what it tells is in `call`. */
static bool read_cookie(const struct stack *stack, const struct stack_tuple *tuple, uint32_t seq,
                        uint32_t cookie, struct call *call)
{
    uint32_t class = cookie >> 5 & 7, unit = unit_now(stack);

    for (uint32_t age = 0; age < 2; age++, unit--) {
        if (cookie != cookie_for(stack, tuple, seq, class, unit))
            continue;
        call->mss = mss_classes[class];
        call->scale = call->timestamps ? call->ts_ecr & 15 : NO_SCALE;
        call->sack = call->timestamps && call->ts_ecr & 16;
        return true;
    }
    return false;
}

/* The SYN as it was, as far as lwIP reads it, as an IP packet. */
static struct frame *make_syn(struct stack *stack, const struct frame *ack,
                              const struct packet *packet, const struct call *call)
{
    uint32_t at = packet->ip_version == 6 ? IP6_HLEN : IP_HLEN;
    const uint8_t *ip = ack->data + packet->ip_at, *tcp = ack->data + packet->transport_at;
    struct frame *frame = frame_get(stack->frames, SYN_ROOM);
    if (!frame)
        return NULL;
    uint8_t *to = frame->data + at, *option = to + TCP_HLEN;

    memset(frame->data, 1, frame->len); /* options: nothing */
    memcpy(frame->data, ip, at);
    if (at == IP_HLEN) {
        frame->data[0] = 0x45;
        frame->data[2] = 0;
        frame->data[3] = (uint8_t)(frame->len = at + TCP_HLEN + 20);
    } else {
        frame->data[4] = 0;
        frame->data[5] = TCP_HLEN + 20;
        frame->data[6] = IPPROTO_TCP;
    }
    memcpy(to, tcp, TCP_HLEN);
    put32(to + 4, get32(tcp + 4) - 1);
    memset(to + 8, 0, 4);
    to[12] = (TCP_HLEN + 20) / 4 << 4;
    to[13] = TCP_SYN;
    memcpy(option, "\2\4", 2);
    option[2] = (uint8_t)(call->mss >> 8);
    option[3] = (uint8_t)call->mss;
    if (call->sack)
        memcpy(option + 4, "\4\2", 2);
    if (call->timestamps) {
        memcpy(option + 6, "\10\12", 2);
        put32(option + 8, call->ts_val);
        memset(option + 12, 0, 4);
    }
    if (call->scale < NO_SCALE) {
        memcpy(option + 17, "\3\3", 2);
        option[19] = call->scale;
    }
    return frame;
}

struct frame *syncookie_syn(struct stack *stack, const struct frame *frame,
                            const struct packet *packet, const struct stack_tuple *tuple,
                            uint32_t *ret_cookie)
{
    const uint8_t *tcp = frame->data + packet->transport_at;
    uint32_t cookie = get32(tcp + 8) - 1, seq = get32(tcp + 4) - 1;

    if (!stack->cookies_out || unit_now(stack) - stack->cookie_unit > 1)
        return NULL;
    struct call call = read_call(frame, packet);
    if (!read_cookie(stack, tuple, seq, cookie, &call))
        return NULL;
    siege_met(stack, &tuple->remote);
    *ret_cookie = cookie;
    return make_syn(stack, frame, packet, &call);
}

/* lwIP's answers go nowhere from now on, or again to where they went. */
void syncookie_hush(struct stack *stack, const uint32_t *cookie)
{
    struct netif *netif = &stack->netif;

    stack->cookie = cookie;
    if (cookie) {
        stack->spoken4 = netif->output;
        stack->spoken6 = netif->output_ip6;
        netif->output = output_nowhere4;
        netif->output_ip6 = output_nowhere6;
    } else {
        netif->output = stack->spoken4;
        netif->output_ip6 = stack->spoken6;
    }
}
