/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of manners, and a manner at work on its flow.
 *
 * A manner watches its flow (struct flow_watch) until its WHEN is there. Most may begin on the
 * spot, within the very call that made it true, so that "@request" is right behind the request.
 * What ends or closes the flow waits for a timer that is due at once: its owner may be in the
 * middle of a write.
 */
#include "manner/manner.h"

#include "base/macro.h"
#include "base/rng.h"
#include "flow/filter.h"
#include "stack/stack.h"

#include <errno.h>
#include <netinet/in.h>
#include <peer/limits.h>
#include <stdlib.h>

enum { READER_STEPS_PER_S = 4, WRITER_STEPS_PER_S = 10, DEEDS_PER_S = 100, GARBAGE_BYTES = 64 };

/* All manners of one flow. */
struct manners_watch {
    struct flow_watch watch; /* first */
    struct manner_run *runs;
};

static struct stack *stack_of(const struct manner_run *run)
{
    return run->flow->flows->stack;
}

static struct stack_conn *conn_of(const struct manner_run *run)
{
    return &run->flow->conn;
}

static void wait_ns(struct manner_run *run, uint64_t delay_ns)
{
    struct flows *flows = run->flow->flows;

    (void)timer_arm(flows->timers, &run->timer, flows->now_ns + delay_ns);
}

/* ---- what they do ---- */

static void begin_vanish(struct manner_run *run)
{
    (void)stack_vanish(stack_of(run), conn_of(run), true);
}

static void begin_half_open(struct manner_run *run)
{
    (void)stack_mute(stack_of(run), conn_of(run));
}

static void begin_reset(struct manner_run *run)
{
    flow_reset(run->flow);
}

static void begin_half_close(struct manner_run *run)
{
    (void)flow_shutdown(run->flow);
}

static void begin_no_close(struct manner_run *run)
{
    flow_watch(run->flow)->holds = true;
}

static void begin_stall(struct manner_run *run)
{
    (void)stack_limit_window(stack_of(run), conn_of(run), 0);
}

/* The window opens by so many bytes a second, but holds no more than those of a second. */
static void tick_slow_reader(struct manner_run *run)
{
    struct peer_flow_info info;

    flow_info(run->flow, &info);
    if (info.receive_window < MAX(run->spec.value, 128u))
        (void)stack_grant_window(stack_of(run), conn_of(run),
                                 (uint32_t)MAX(run->spec.value / READER_STEPS_PER_S, 1u));
    wait_ns(run, NS_PER_S / READER_STEPS_PER_S);
}

static void begin_slow_reader(struct manner_run *run)
{
    (void)stack_limit_window(stack_of(run), conn_of(run), 0);
    wait_ns(run, NS_PER_S / READER_STEPS_PER_S);
}

static void writer_may(struct manner_run *run)
{
    uint64_t rate = run->spec.value;

    flow_watch(run->flow)->write_most = (size_t)MAX(rate / WRITER_STEPS_PER_S, 1u);
    wait_ns(run, rate < WRITER_STEPS_PER_S ? NS_PER_S / rate : NS_PER_S / WRITER_STEPS_PER_S);
}

static void tick_slow_writer(struct manner_run *run)
{
    writer_may(run);
    if (flow_is_there(run->flow))
        flows_event(&run->flow->conn, FLOW_WRITABLE);
}

static void begin_tiny_segments(struct manner_run *run)
{
    (void)stack_limit_segment(stack_of(run), conn_of(run), (uint16_t)run->spec.value);
}

static void mangle(struct manner_run *run, unsigned mode)
{
    (void)stack_mangle(stack_of(run), conn_of(run), mode);
}

static void begin_duplicate_data(struct manner_run *run)
{
    mangle(run, STACK_MANGLE_DUPLICATE);
}

static void begin_overlap(struct manner_run *run)
{
    mangle(run, STACK_MANGLE_OVERLAP);
}

static void begin_out_of_order(struct manner_run *run)
{
    mangle(run, STACK_MANGLE_REORDER);
}

static void begin_bad_checksum(struct manner_run *run)
{
    mangle(run, STACK_MANGLE_BAD_CHECKSUM);
}

static void begin_stray(struct manner_run *run)
{
    (void)stack_stray(stack_of(run), conn_of(run));
    wait_ns(run, NS_PER_S);
}

static void begin_roam(struct manner_run *run)
{
    (void)stack_roam(stack_of(run), conn_of(run), NULL);
}

static void begin_pmtu(struct manner_run *run)
{
    (void)stack_pmtu(stack_of(run), conn_of(run), (uint16_t)run->spec.value);
}

/* Frames of a protocol: who has the flow makes them, and is told when. */
static void tick_deed(struct manner_run *run)
{
    wait_ns(run, NS_PER_S / DEEDS_PER_S);
    if (flow_is_there(run->flow))
        flows_event(&run->flow->conn, FLOW_WRITABLE);
}

static void begin_deed(struct manner_run *run)
{
    wait_ns(run, 0);
}

/* What is written now stays here, and with it the handshake of TLS. */
static void begin_silence(struct manner_run *run)
{
    flow_watch(run->flow)->write_most = 0;
}

static void begin_half_hello(struct manner_run *run)
{
    flow_watch(run->flow)->write_most = (size_t)run->spec.value;
}

/* A record of a handshake, as its first five bytes say, and noise in it. */
static void begin_garbage(struct manner_run *run)
{
    uint8_t bytes[GARBAGE_BYTES + 5] = {22, 3, 1, 0, GARBAGE_BYTES};
    struct rng rng;

    rng_derive(&rng, flow_peer(run->flow), RNG_MANNERS);
    for (size_t i = 5; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    (void)flow_raw_write(run->flow, bytes, sizeof(bytes), 0);
    flow_watch(run->flow)->write_most = 0;
}

static const struct manner table[] = {
    {"vanish", "the cable is pulled: no FIN, no RST, no ARP, and nothing is heard", .udp = true,
     .silences = true, .when = MANNER_AT_REQUEST, .earliest = MANNER_AT_SYN, .begin = begin_vanish},
    {"reset", "ends with RST, in the middle of a request unless told otherwise",
     .when = MANNER_AT_REQUEST, .earliest = MANNER_AT_CONNECTED, .deferred = true,
     .begin = begin_reset},
    {"half-open", "sends a SYN and never the last ACK of the handshake", .caller = true,
     .when = MANNER_AT_SYN, .begin = begin_half_open},
    {"syn-flood", "SYNs from ever new addresses and ports, so many a second, all forgotten at once",
     .caller = true, .unit = MANNER_PER_S, .value = 1000, .min = 1, .max = 200000,
     .when = MANNER_AT_SYN},
    {"stall", "the receive window is zero at once and stays so; probes are answered",
     .patient = true, .when = MANNER_AT_REQUEST, .earliest = MANNER_AT_CONNECTED,
     .begin = begin_stall},
    {"slow-reader", "takes so many bytes a second, by a window that is never wider",
     .patient = true, .unit = MANNER_BYTES_PER_S, .value = 1024, .min = 1, .max = 1 << 30,
     .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_CONNECTED, .begin = begin_slow_reader,
     .tick = tick_slow_reader},
    {"slow-writer", "sends its request at so many bytes a second (slowloris)", .patient = true,
     .unit = MANNER_BYTES_PER_S, .value = 1, .min = 1, .max = 1 << 30, .when = MANNER_AT_CONNECTED,
     .earliest = MANNER_AT_CONNECTED, .begin = writer_may, .tick = tick_slow_writer},
    {"half-close", "sends FIN behind its request and goes on reading", .patient = true,
     .when = MANNER_AT_REQUEST, .earliest = MANNER_AT_CONNECTED, .deferred = true,
     .begin = begin_half_close},
    {"no-close", "never closes, and asks no more: idle for ever, even after the application's FIN",
     .patient = true, .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_CONNECTED,
     .begin = begin_no_close},
    {"tiny-segments", "data in segments of so many bytes", .unit = MANNER_BYTES, .value = 1,
     .min = 1, .max = 65535, .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_SYN,
     .begin = begin_tiny_segments},
    {"overlap", "each data segment leaves as two that overlap, with the same bytes",
     .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_SYN, .begin = begin_overlap},
    {"duplicate-data", "each segment with data, or datagram, leaves twice", .udp = true,
     .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_SYN, .begin = begin_duplicate_data},
    {"out-of-order", "each data segment leaves as two, the second half first",
     .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_SYN, .begin = begin_out_of_order},
    {"bad-checksum", "before each segment, or datagram, a copy of it with a wrong checksum",
     .udp = true, .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_SYN,
     .begin = begin_bad_checksum},
    {"stray", "each second three segments: of no connection, an old ACK, data beyond the window",
     .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_CONNECTED, .begin = begin_stray,
     .tick = begin_stray},
    {"roam", "goes on from another peer's address, as a phone does", .udp = true, .moves = true,
     .when = MANNER_AT_REQUEST, .earliest = MANNER_AT_CONNECTED, .begin = begin_roam},
    {"pmtu", "a router on the way says that packets of more than so many bytes do not fit",
     .udp = true, .unit = MANNER_BYTES, .value = PEER_MTU_MIN_V6, .min = PEER_MTU_MIN_V4,
     .max = PEER_MTU_MAX_TUN, .when = MANNER_AT_REQUEST, .earliest = MANNER_AT_CONNECTED,
     .begin = begin_pmtu},
    {"rapid-reset", "opens so many HTTP/2 streams a second, and resets each at once", .http2 = true,
     .unit = MANNER_PER_S, .value = 1000, .min = 1, .max = 100000, .when = MANNER_AT_CONNECTED,
     .earliest = MANNER_AT_CONNECTED, .begin = begin_deed, .tick = tick_deed},
    {"continuation-flood", "an HTTP/2 head that never ends, by so many CONTINUATION frames a second",
     .http2 = true, .patient = true, .unit = MANNER_PER_S, .value = 1000, .min = 1, .max = 100000,
     .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_CONNECTED, .begin = begin_deed,
     .tick = tick_deed},
    {"ping-flood", "so many HTTP/2 PINGs a second, which all want an answer", .http2 = true,
     .unit = MANNER_PER_S, .value = 1000, .min = 1, .max = 100000, .when = MANNER_AT_CONNECTED,
     .earliest = MANNER_AT_CONNECTED, .begin = begin_deed, .tick = tick_deed},
    {"settings-flood", "so many HTTP/2 SETTINGS a second, which all want an answer", .http2 = true,
     .unit = MANNER_PER_S, .value = 1000, .min = 1, .max = 100000, .when = MANNER_AT_CONNECTED,
     .earliest = MANNER_AT_CONNECTED, .begin = begin_deed, .tick = tick_deed},
    {"window-zero", "asks by HTTP/2 and takes nothing: the streams' windows stay shut", .http2 = true,
     .patient = true, .when = MANNER_AT_CONNECTED, .earliest = MANNER_AT_CONNECTED,
     .begin = begin_deed, .tick = tick_deed},
    {"tls-silent", "TLS: TCP opens, and no ClientHello ever comes", .tls = true, .patient = true,
     .when = MANNER_AT_CONNECTED, .begin = begin_silence},
    {"tls-half-hello", "TLS: so many bytes of its ClientHello, and no more", .tls = true,
     .patient = true, .unit = MANNER_BYTES, .value = 100, .min = 1, .max = 65535,
     .when = MANNER_AT_CONNECTED, .begin = begin_half_hello},
    {"tls-garbage", "TLS: noise instead of a ClientHello", .tls = true, .patient = true,
     .when = MANNER_AT_CONNECTED, .begin = begin_garbage},
    {"tls-no-finish", "TLS: a ClientHello, and nothing after the server's answer", .tls = true,
     .patient = true, .when = MANNER_AT_REQUEST, .begin = begin_silence},
};

const struct manner *manner_at(size_t index)
{
    return index < ARRAY_SIZE(table) ? &table[index] : NULL;
}

/* ---- when ---- */

static void begin(struct manner_run *run)
{
    run->begun = true;
    run->begun_ns = run->flow->flows->now_ns;
    if (run->begun_count)
        ++*run->begun_count;
    run->spec.manner->begin(run);
}

static void run_fire(struct timer *timer, uint64_t now_ns)
{
    struct manner_run *run = list_entry(timer, struct manner_run, timer);

    (void)now_ns;
    if (run->flow->state == FLOW_ENDED)
        return;
    if (!run->begun)
        begin(run);
    else if (run->spec.manner->tick)
        run->spec.manner->tick(run);
}

static void begin_now(struct manner_run *run)
{
    if (!run->spec.manner->deferred) {
        begin(run);
        return;
    }
    if (run->spec.when == MANNER_AT_CONNECTED)
        flow_watch(run->flow)->write_most = 0; /* nothing more comes before it */
    wait_ns(run, 0);
}

/* Is its time there? A time is left to the timer. */
static bool is_due(const struct manner_run *run, unsigned events)
{
    const struct flow *flow = run->flow;
    bool open = flow->state >= FLOW_OPEN && flow->state < FLOW_ENDED;

    switch (run->spec.when) {
    case MANNER_AT_SYN:
        return (events & FLOW_OPENED) || open;
    case MANNER_AT_CONNECTED:
        return open;
    case MANNER_AT_REQUEST:
        /* TLS: of the owner's, but for what is done to the handshake. */
        return open && (run->spec.manner->tls ? flow->written > flow->introduced
                                              : flow_written(flow) > 0);
    case MANNER_AT_BYTES:
        return open && flow->written + flow->consumed + flow_raw_unread(flow) >= run->spec.at;
    default:
        return false;
    }
}

static void look_at(struct manner_run *run, unsigned events)
{
    if (run->begun || timer_armed(&run->timer))
        return;
    if (is_due(run, events))
        begin_now(run);
    else if (run->spec.when == MANNER_AT_TIME && run->flow->state >= FLOW_OPEN)
        wait_ns(run, run->spec.at);
}

static void look(struct flow *flow, unsigned events)
{
    struct manners_watch *manners = (struct manners_watch *)(void *)flow_watch(flow);

    if (flow->state == FLOW_ENDED)
        return;
    for (struct manner_run *run = manners->runs; run; run = run->next)
        look_at(run, events);
}

static void done(struct flow *flow)
{
    struct manners_watch *manners = (struct manners_watch *)(void *)flow_watch(flow);
    struct manner_run *next;

    for (struct manner_run *run = manners->runs; run; run = next) {
        next = run->next;
        timer_cancel(flow->flows->timers, &run->timer);
        free(run);
    }
    free(manners);
}

static struct manners_watch *watch_of(struct flow *flow)
{
    if (!flow_watch(flow)) {
        struct manners_watch *manners = calloc(1, sizeof(*manners));
        if (!manners)
            return NULL;
        manners->watch = (struct flow_watch){.look = look, .done = done, .write_most = SIZE_MAX};
        if (flow_set_watch(flow, &manners->watch) < 0) {
            free(manners);
            return NULL;
        }
    }
    return (struct manners_watch *)(void *)flow_watch(flow);
}

int manner_start(struct flow *flow, const struct manner_spec *spec, uint64_t *begun_count)
{
    struct manners_watch *manners = watch_of(flow);
    struct manner_run *run = manners ? calloc(1, sizeof(*run)) : NULL;
    if (!run)
        return -ENOMEM;
    run->spec = *spec;
    run->flow = flow;
    run->begun_count = begun_count;
    timer_init(&run->timer, run_fire);
    run->next = manners->runs;
    manners->runs = run;
    if (!spec->when_given && flow->state >= FLOW_OPEN && flow->state < FLOW_ENDED)
        run->spec.when = MANNER_AT_CONNECTED; /* at once */
    /* What shows in the SYN has to be there before it. */
    bool early = flow->state == FLOW_NEW && spec->when == MANNER_AT_SYN && !spec->manner->caller &&
                 spec->manner->begin != begin_vanish;
    if (early)
        begin(run);
    else if (flow->state != FLOW_NEW)
        look_at(run, 0);
    return 0;
}

const struct manner_spec *manner_deed(const struct flow *flow)
{
    const struct manners_watch *manners = (const void *)flow_watch(flow);

    for (const struct manner_run *run = manners ? manners->runs : NULL; run; run = run->next) {
        if (run->begun && run->spec.manner->http2)
            return &run->spec;
    }
    return NULL;
}

uint64_t manner_silent_ns(const struct flow *flow)
{
    const struct manners_watch *manners = (const void *)flow_watch(flow);

    for (const struct manner_run *run = manners ? manners->runs : NULL; run; run = run->next) {
        if (run->begun && run->spec.manner->silences)
            return run->begun_ns;
    }
    return 0;
}

/* ---- shares ---- */

/* The n-th point of a sequence that fills the unit interval evenly, from a start of the seed's. */
int manner_draw(const struct manner_spec *specs, int count, uint64_t seed, uint64_t n)
{
    const double golden = 0.61803398874989484820;
    struct rng rng;
    double sum = 0;

    rng_derive(&rng, seed, RNG_MANNERS);
    double at = rng_unit(&rng) + (double)n * golden;
    at -= (double)(uint64_t)at;
    for (int i = 0; i < count; i++) {
        sum += MAX(specs[i].share, 0);
        if (at < sum)
            return i;
    }
    return -1;
}
