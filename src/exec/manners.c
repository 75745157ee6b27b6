/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manners of frames. The stack that sends is the program's kernel's, so only what can be done to
 * packets on their way is to be had: they are kept, doubled, spoiled, answered by a router on the
 * way, or come from another address.
 *
 * A flow that is to misbehave has an exec_flow with a run for each of its manners; all others have
 * none and pass by with one look at a pointer. When a manner begins is asked at each packet, after it
 * was sent, so that "@request" is right behind the request; what shows in the first packet begins
 * before it. Times are left to a timer.
 */
#include "exec/internal.h"

#include "base/error.h"
#include "base/macro.h"
#include "packet/checksum.h"
#include "packet/fields.h"
#include "packet/parse.h"
#include "packet/segment.h"

#include <errno.h>
#include <netinet/in.h>
#include <peer/limits.h>
#include <stdlib.h>
#include <string.h>

enum act { ACT_VANISH, ACT_DUPLICATE, ACT_SPOIL, ACT_TOO_BIG, ACT_ROAM };

/* By the names of the table in manner/manner.c. */
static const struct deed {
    const char *name;
    enum act act;
} deeds[] = {
    {"vanish", ACT_VANISH},      {"duplicate-data", ACT_DUPLICATE},
    {"bad-checksum", ACT_SPOIL}, {"pmtu", ACT_TOO_BIG},
    {"roam", ACT_ROAM},
};

struct run {
    struct run *next;
    struct exec_flow *of;
    const struct manner_spec *spec; /* NULL: it roams, again and again */
    enum act act;
    bool begun;
    struct timer timer;
};

/* What hangs on a flow that may misbehave. */
struct exec_flow {
    struct exec *exec;
    struct rewrite_flow *flow;
    struct run *runs;
    uint64_t sent, received; /* payload */
    unsigned acts;           /* 1 << enum act: those that have begun, and last */
    uint16_t mtu;            /* ACT_TOO_BIG */
};

struct exec_manners {
    struct manner_spec specs[MANNERS_MAX];
    int count;
    uint64_t roam_ns, seed;
    uint64_t flows; /* so far: the draw's number */
    uint64_t begun;
};

static const struct deed *deed_of(const struct manner *manner)
{
    for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
        if (strcmp(deeds[i].name, manner->name) == 0)
            return &deeds[i];
    }
    return NULL;
}

int exec_manners_check(const struct manner_spec *specs, int count, struct peer_error *error)
{
    for (int i = 0; i < count; i++) {
        if (!deed_of(specs[i].manner))
            return error_set(
                error, PEER_ERROR_USAGE, EINVAL,
                "\"%s\" takes a TCP of one's own, and here that is the program's; what "
                "can be had: vanish, duplicate-data, bad-checksum, pmtu, roam",
                specs[i].manner->name);
    }
    return 0;
}

/* ---- what they do ---- */

static void begin(struct run *run)
{
    struct exec_flow *of = run->of;
    struct exec *exec = of->exec;

    if (!run->begun)
        exec->manners->begun++;
    run->begun = true;
    if (run->act == ACT_ROAM) {
        (void)rewrite_roam_next(exec->rewrite, of->flow);
        return;
    }
    of->acts |= 1u << run->act;
    if (run->act == ACT_VANISH)
        (void)bits_add(&exec->silent, of->flow->peer_index);
    if (run->act == ACT_TOO_BIG)
        of->mtu = (uint16_t)run->spec->value;
}

static void run_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, timer);
    struct exec *exec = run->of->exec;

    begin(run);
    if (!run->spec)
        (void)timer_arm(engine_timers(exec->engine), timer, now_ns + exec->manners->roam_ns);
}

/* ---- when ---- */

static bool is_open(const struct rewrite_flow *flow)
{
    return flow->protocol != IPPROTO_TCP || flow->state != REWRITE_OPENING;
}

static bool is_due(const struct run *run)
{
    const struct exec_flow *of = run->of;

    switch (run->spec->when) {
    case MANNER_AT_SYN:
        return true;
    case MANNER_AT_CONNECTED:
        return is_open(of->flow);
    case MANNER_AT_REQUEST:
        return of->sent > 0;
    case MANNER_AT_BYTES:
        return of->sent + of->received >= run->spec->at;
    default:
        return false;
    }
}

static void look_at(struct run *run)
{
    struct exec *exec = run->of->exec;
    struct timers *timers = engine_timers(exec->engine);
    const uint64_t now_ns = engine_now_ns(exec->engine);

    if (run->begun || timer_armed(&run->timer))
        return;
    if (!run->spec)
        (void)timer_arm(timers, &run->timer, now_ns + exec->manners->roam_ns);
    else if (run->spec->when == MANNER_AT_TIME && is_open(run->of->flow))
        (void)timer_arm(timers, &run->timer, now_ns + run->spec->at);
    else if (is_due(run))
        begin(run);
}

static void look(struct exec_flow *of)
{
    for (struct run *run = of->runs; run; run = run->next)
        look_at(run);
}

/* ---- packets ---- */

static uint32_t payload_of(const struct exec_packet *packet)
{
    struct packet parsed;

    (void)packet_parse(packet->data, packet->len, FRAME_IP, &parsed);
    if (parsed.kind == PACKET_TCP || parsed.kind == PACKET_UDP)
        return parsed.payload_len;
    return parsed.kind == PACKET_OTHER ? 0 : packet->len; /* echoes, fragments */
}

struct spoiling {
    struct exec *exec;
    uint64_t peer;
};

static void send_spoilt(void *user, struct frame *frame)
{
    const struct spoiling *spoiling = user;
    struct packet parsed;

    if (packet_parse(frame->data, frame->len, FRAME_IP, &parsed) == 0 && parsed.transport_at &&
        (parsed.kind == PACKET_TCP || parsed.kind == PACKET_UDP)) {
        uint8_t *checksum = frame->data + parsed.transport_at +
                            (parsed.kind == PACKET_TCP ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT);
        checksum[0] ^= 0x55;
        if (get16(checksum) == 0) /* of a datagram: none, which is right */
            checksum[1] ^= 0x55;
        exec_send(spoiling->exec, spoiling->peer,
                  &(struct exec_packet){frame->data, frame->len, &frame->offload, 0});
    }
    frame_put(frame);
}

/* Copies of it with wrong checksums, of real size. */
static void send_spoilt_copy(struct exec *exec, uint64_t peer, const struct exec_packet *packet)
{
    const struct iovec part = {packet->data, packet->len};
    const struct frame_parts parts = {&part, 1, packet->offload};
    struct spoiling spoiling = {exec, peer};

    (void)segment_split(&parts, FRAME_IP, engine_frames(exec->engine), send_spoilt, &spoiling);
}

void manners_send(struct exec *exec, struct rewrite_flow *flow, const struct exec_packet *packet)
{
    struct exec_flow *of = flow->user;
    const uint32_t payload = payload_of(packet);

    if (!(of->acts & 1u << ACT_VANISH)) {
        if (of->acts & 1u << ACT_SPOIL)
            send_spoilt_copy(exec, flow->peer_index, packet);
        exec_send(exec, flow->peer_index, packet);
        if (of->acts & 1u << ACT_DUPLICATE && payload > 0)
            exec_send(exec, flow->peer_index, packet);
    }
    of->sent += payload;
    look(of);
}

/* The router before the narrow part says so, about the packet as the application sent it, and drops
   it. */
static bool fits(struct exec *exec, const struct exec_flow *of, const struct exec_packet *packet,
                 const uint8_t quote[QUOTE_BYTES])
{
    static struct frame_offload none;
    uint8_t error[PEER_MTU_MIN_V6];
    uint32_t len = packet->len;
    struct packet parsed;

    if (packet->offload->gso_type &&
        packet_parse(packet->data, packet->len, FRAME_IP, &parsed) == 0)
        len = parsed.payload_at + packet->offload->gso_size;
    if (len <= of->mtu)
        return true;
    memcpy(packet->data, quote, MIN(packet->len, QUOTE_BYTES));
    len = (uint32_t)rewrite_too_big(packet->data, packet->len, of->mtu, error, sizeof(error));
    if (len)
        exec_send(exec, of->flow->peer_index, &(struct exec_packet){error, len, &none, 0});
    return false;
}

bool manners_receive(struct exec *exec, struct rewrite_flow *flow, const struct exec_packet *packet,
                     const uint8_t quote[QUOTE_BYTES])
{
    struct exec_flow *of = flow->user;

    if (of->acts & 1u << ACT_VANISH)
        return false;
    if (of->acts & 1u << ACT_TOO_BIG && !fits(exec, of, packet, quote))
        return false;
    of->received += payload_of(packet);
    look(of);
    return true;
}

/* ---- flows ---- */

static void add_run(struct exec_flow *of, const struct manner_spec *spec, enum act act)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run)
        return;
    *run = (struct run){.next = of->runs, .of = of, .spec = spec, .act = act};
    timer_init(&run->timer, run_fire);
    of->runs = run;
}

/* All that have no share, and at most one of those that have. */
static void add_runs(struct exec_flow *of, struct exec_manners *manners)
{
    const int drawn = manner_draw(manners->specs, manners->count, manners->seed, manners->flows++);

    for (int i = 0; i < manners->count; i++) {
        const struct manner_spec *spec = &manners->specs[i];
        if (spec->share >= 0 && i != drawn)
            continue;
        if (of->flow->protocol == IPPROTO_TCP || spec->manner->udp)
            add_run(of, spec, deed_of(spec->manner)->act);
    }
    if (manners->roam_ns)
        add_run(of, NULL, ACT_ROAM);
}

void manners_begun(struct exec *exec, struct rewrite_flow *flow)
{
    struct exec_flow *of = calloc(1, sizeof(*of));

    if (!of)
        return;
    *of = (struct exec_flow){.exec = exec, .flow = flow};
    add_runs(of, exec->manners);
    if (!of->runs) {
        free(of);
        return;
    }
    flow->user = of;
    for (struct run *run = of->runs; run; run = run->next) {
        if (run->spec && run->spec->when == MANNER_AT_SYN && run->act != ACT_VANISH &&
            run->act != ACT_ROAM)
            begin(run);
    }
}

void manners_ended(struct exec *exec, struct rewrite_flow *flow)
{
    struct exec_flow *of = flow->user;
    struct run *next;

    for (struct run *run = of->runs; run; run = next) {
        next = run->next;
        timer_cancel(engine_timers(exec->engine), &run->timer);
        free(run);
    }
    free(of);
    flow->user = NULL;
}

/* ---- birth and death ---- */

int manners_new(struct exec *exec, const struct exec_config *config)
{
    exec->manners = calloc(1, sizeof(*exec->manners));
    if (!exec->manners)
        return -ENOMEM;
    for (int i = 0; i < config->manner_count; i++)
        exec->manners->specs[i] = config->manners[i];
    exec->manners->count = config->manner_count;
    exec->manners->roam_ns = config->roam_ns;
    exec->manners->seed = config->seed;
    return 0;
}

void manners_free(struct exec *exec)
{
    free(exec->manners);
    exec->manners = NULL;
}

uint64_t manners_begun_count(const struct exec *exec)
{
    return exec->manners ? exec->manners->begun : 0;
}
