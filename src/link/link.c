/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame's way: duplicated? then for it and for its copy, each by itself: lost? corrupted?
 * reordered, or how long delayed? is there room? what does the rate add? It is delivered at once
 * when its time is now and none is before it, and else waits in `flight` for the one timer.
 *
 * Each packet has random numbers of its own, derived from the link's key and the packet's number,
 * and each question has its place among them. So the answers do not shift when a question is not
 * asked, and the same packets are lost whether or not there is a delay as well.
 *
 * Times as in netem: the time of arrival is now + delay + jitter; frames arrive in the order of
 * those times, so jitter reorders. With a rate a frame arrives one transmission time after the
 * later of that and the arrival of the frame before, so a rate does not reorder, and for a constant
 * delay it is the same as a queue before the wire. `limit` counts all that is under way.
 */
#include "link/internal.h"
#include "link/link.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/macro.h"
#include "base/rng.h"
#include "packet/checksum.h"
#include "packet/parse.h"

enum draw {
    DRAW_DUPLICATE,
    DRAW_DUPLICATE_AGAIN, /* whether the number of the packet before is used again */
    DRAW_LOSS,
    DRAW_LOSS_AGAIN,
    DRAW_CORRUPT,
    DRAW_CORRUPT_AGAIN,
    DRAW_CORRUPT_AT,
    DRAW_REORDER,
    DRAW_REORDER_AGAIN,
    DRAW_DELAY,
    DRAW_DELAY_AGAIN,
    DRAWS,
    DRAW_STATE = DRAW_LOSS_AGAIN, /* gemodel has no correlation */
};

static_assert(sizeof(struct link_fate) <= FLIGHT_NOTE_BYTES, "it travels in the frame");
static_assert(sizeof(struct link) <= 200, "ten thousand peers have two each");

/* ---- chance ---- */

static void draw_all(const struct link *link, bool duplicate, uint64_t draws[DRAWS])
{
    struct rng rng;

    rng_derive(&rng, link->key, link->number * 2 + duplicate);
    for (int i = 0; i < DRAWS; i++)
        draws[i] = rng_next(&rng);
}

/* True for `share` of all numbers. Exact: both sides are whole numbers below 2^62. */
static bool is_within(uint32_t number, uint32_t share)
{
    return (uint64_t)number * LINK_WHOLE < (uint64_t)share << 32;
}

static uint32_t high(uint64_t draw)
{
    return (uint32_t)(draw >> 32);
}

/* `draws` are the number itself and the one that tells whether `last` is used again instead. */
static bool happens(const struct link_chance *chance, const uint64_t draws[2], uint32_t *last)
{
    if (chance->share == 0)
        return false;
    if (!is_within(high(draws[1]), chance->correlation))
        *last = high(draws[0]);
    return is_within(*last, chance->share);
}

/* Gilbert and Elliott: a packet meets the state it finds, then the state may change. */
static bool is_lost_in_state(struct link *link, const uint64_t draws[DRAWS])
{
    const struct link_spec *spec = link->spec;
    bool bad = link->bad;

    if (is_within(high(draws[DRAW_STATE]), bad ? spec->gilbert.to_good : spec->gilbert.to_bad))
        link->bad = !bad;
    return is_within(high(draws[DRAW_LOSS]),
                     bad ? spec->gilbert.bad_loss : spec->gilbert.good_loss);
}

static bool is_lost(struct link *link, const uint64_t draws[DRAWS])
{
    if (link->spec->gemodel)
        return is_lost_in_state(link, draws);
    return happens(&link->spec->loss, &draws[DRAW_LOSS], &link->last_loss);
}

/* netem's rule: the first gap - 1 packets wait, then each of the following may overtake. */
static bool is_reordered(struct link *link, const uint64_t draws[DRAWS])
{
    const struct link_spec *spec = link->spec;

    if (spec->reorder.share == 0)
        return false;
    if (link->since_reorder >= spec->gap - 1 &&
        happens(&spec->reorder, &draws[DRAW_REORDER], &link->last_reorder)) {
        link->since_reorder = 0;
        return true;
    }
    link->since_reorder++;
    return false;
}

/* ---- delay ---- */

/* Half a number, moved off zero, so that it has a logarithm: in (0, 1). */
static double open_unit(uint32_t number)
{
    return ((double)number + 0.5) * 0x1.0p-32;
}

/* Box and Muller (1958), one of the two. */
static double normal(uint64_t draw)
{
    static const double two_pi = 6.283185307179586;

    return sqrt(-2 * log(open_unit(high(draw)))) * cos(two_pi * open_unit((uint32_t)draw));
}

/*
 * Pareto of shape 3 and scale 1, cut at 10, its 99.9th percentile. Then the mean is
 * 3/2 - 1/2 * 10^-2 = 1.495 and the mean square 3 - 2/10 = 2.8.
 */
static double pareto(uint64_t draw)
{
    static const double cut = 10, mean = 1.495, deviation = 0.7516481889820945;
    double value = 1 / cbrt(open_unit(high(draw)));

    return (fmin(value, cut) - mean) / deviation;
}

/* In jitters, mean 0. */
static double deviate(uint8_t distribution, uint64_t draw)
{
    switch (distribution) {
    case LINK_NORMAL:
        return normal(draw);
    case LINK_PARETO:
        return pareto(draw);
    default:
        return 2 * open_unit(high(draw)) - 1;
    }
}

static uint64_t delay_of(struct link *link, const uint64_t draws[DRAWS])
{
    const struct link_spec *spec = link->spec;

    if (spec->jitter_ns == 0)
        return spec->delay_ns;
    if (!is_within(high(draws[DRAW_DELAY_AGAIN]), spec->delay_correlation))
        link->last_delay = draws[DRAW_DELAY];
    double delay = (double)spec->delay_ns +
                   deviate(spec->distribution, link->last_delay) * (double)spec->jitter_ns;
    return delay > 0 ? (uint64_t)delay : 0;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a < TIMER_NEVER - b ? a + b : TIMER_NEVER - 1;
}

/* Time on the wire. What the division leaves is kept: over many frames the rate is exact. */
static uint64_t transmission_ns(struct link *link, uint32_t len)
{
    uint64_t rate = link->spec->rate_bit;
    uint64_t rest = link->rate_rest < rate ? link->rate_rest : 0; /* the shared spec may change */
    uint64_t bits = len * 8 * NS_PER_S + rest;

    link->rate_rest = bits % rate;
    return bits / rate;
}

static uint64_t arrival(struct link *link, uint32_t len, uint64_t delay_ns, uint64_t now_ns)
{
    uint64_t due = add_saturated(now_ns, delay_ns);

    if (link->spec->rate_bit)
        due = add_saturated(MAX(due, link->last_ns), transmission_ns(link, len));
    link->last_ns = MAX(due, link->last_ns);
    return due;
}

/* ---- corruption ---- */

/* Where the payload of the IP packet begins; 0 when it has none, or it is not IP. */
static uint32_t payload_of_ip(const struct frame *frame, const struct packet *packet)
{
    const uint8_t *ip = frame->data + packet->ip_at;

    if (packet->ip_version == 4)
        return packet->ip_at + (ip[0] & 15u) * 4;
    return packet->ip_version == 6 ? packet->ip_at + 40u : 0;
}

static void corrupt(struct link *link, struct frame *frame, uint64_t draw, struct link_fate *fate)
{
    struct packet packet;

    (void)packet_parse(frame->data, frame->len, link->host->layer, &packet);
    uint32_t start = payload_of_ip(frame, &packet);
    uint64_t end = (uint64_t)packet.ip_at + packet.ip_len;
    if (start == 0 || start >= end || end > frame->len)
        return;
    /* The checksum must be that of the bytes before, and nobody must vouch for those after. */
    (void)checksum_complete(frame->data, frame->len, &frame->offload);
    frame->offload.flags = 0;
    uint64_t bit = (end - start) * 8 * high(draw) >> 32;
    fate->corrupt_at = start + (uint32_t)(bit / 8);
    fate->corrupt_bit = (uint8_t)(bit % 8);
    fate->corrupted = true;
    frame->data[fate->corrupt_at] ^= (uint8_t)(1u << fate->corrupt_bit);
    link->counters->corrupted++;
}

/* ---- the way of a frame ---- */

static void note(struct link *link, const struct frame *frame, const struct link_fate *fate)
{
    if (link->host->note)
        link->host->note(link->host->user, link, frame, fate);
}

static void drop(struct link *link, struct frame *frame, struct link_fate *fate,
                 enum link_outcome outcome)
{
    struct link_counters *counters = link->counters;

    fate->outcome = (uint8_t)outcome;
    if (outcome == LINK_LOST)
        counters->lost++;
    else if (outcome == LINK_OVERFLOW)
        counters->overflowed++;
    else
        counters->no_memory++;
    note(link, frame, fate);
    frame_put(frame);
}

static void deliver(struct link *link, struct frame *frame, const struct link_fate *fate,
                    uint64_t now_ns)
{
    link->counters->delivered++;
    link->counters->delivered_bytes += frame->len;
    link->host->deliver(link->host->user, link, frame, fate, now_ns);
}

static void count_delay(struct link_counters *counters, const struct link_fate *fate)
{
    counters->reordered += fate->reordered;
    if (fate->delay_ns == 0)
        return;
    counters->delayed++;
    counters->delay_sum_ns += fate->delay_ns;
    counters->delay_max_ns = MAX(counters->delay_max_ns, fate->delay_ns);
}

/* The timer is armed exactly while frames are under way, so moving it needs no memory. */
static void hold(struct link *link, struct frame *frame, struct link_fate *fate, uint64_t due_ns)
{
    uint64_t next = MIN(due_ns, flight_next_ns(&link->flight));

    if (!timer_armed(&link->timer) || link->timer.deadline_ns != next) {
        if (timer_arm(link->host->timers, &link->timer, next) < 0) {
            drop(link, frame, fate, LINK_NO_MEMORY);
            return;
        }
    }
    count_delay(link->counters, fate);
    note(link, frame, fate);
    memcpy(flight_note(frame), fate, sizeof(*fate));
    flight_put(&link->flight, frame, due_ns);
    link->counters->queued++;
    link->counters->queued_max = MAX(link->counters->queued_max, link->flight.count);
}

static void pass(struct link *link, struct frame *frame, struct link_fate *fate, uint64_t due_ns,
                 uint64_t now_ns)
{
    fate->delay_ns = due_ns - now_ns;
    if (due_ns > now_ns || (!fate->reordered && flight_next_ns(&link->flight) <= now_ns)) {
        hold(link, frame, fate, due_ns);
        return;
    }
    count_delay(link->counters, fate);
    note(link, frame, fate);
    deliver(link, frame, fate, now_ns);
}

/* All that depends on chance is decided before the queue is looked at, which depends on time. */
static void send_one(struct link *link, struct frame *frame, uint64_t number, bool duplicate,
                     const uint64_t draws[DRAWS], uint64_t now_ns)
{
    const struct link_spec *spec = link->spec;
    struct link_fate fate = {.number = number, .duplicate = duplicate};

    if (is_lost(link, draws)) {
        drop(link, frame, &fate, LINK_LOST);
        return;
    }
    bool corrupted = happens(&spec->corrupt, &draws[DRAW_CORRUPT], &link->last_corrupt);
    fate.reordered = is_reordered(link, draws);
    uint64_t delay = fate.reordered ? 0 : delay_of(link, draws);
    if (link->flight.count >= spec->limit) {
        fate.reordered = false;
        drop(link, frame, &fate, LINK_OVERFLOW);
        return;
    }
    if (corrupted)
        corrupt(link, frame, draws[DRAW_CORRUPT_AT], &fate);
    uint64_t due = fate.reordered ? now_ns : arrival(link, frame->len, delay, now_ns);
    pass(link, frame, &fate, due, now_ns);
}

static struct frame *copy_frame(const struct frame *frame)
{
    struct frame *copy = frame_get(frame->pool, frame->len);

    if (!copy)
        return NULL;
    memcpy(copy->data, frame->data, frame->len);
    copy->offload = frame->offload;
    return copy;
}

void link_send(struct link *link, struct frame *frame, uint64_t now_ns)
{
    uint64_t draws[DRAWS], copy_draws[DRAWS];
    uint64_t number = link->number;
    struct frame *copy = NULL;

    link->counters->sent++;
    link->counters->sent_bytes += frame->len;
    if (link_spec_is_clear(link->spec)) {
        struct link_fate fate = {.number = number};
        link->number++;
        pass(link, frame, &fate, now_ns, now_ns);
        return;
    }
    assert(frame->offload.gso_type == FRAME_GSO_NONE);
    draw_all(link, false, draws);
    if (happens(&link->spec->duplicate, &draws[DRAW_DUPLICATE], &link->last_duplicate)) {
        draw_all(link, true, copy_draws);
        copy = copy_frame(frame);
        link->counters->duplicated++;
        link->counters->no_memory += !copy;
    }
    link->number++; /* the callback may send the next */
    send_one(link, frame, number, false, draws, now_ns);
    if (copy)
        send_one(link, copy, number, true, copy_draws, now_ns);
}

static struct frame *take(struct link *link)
{
    struct frame *frame = flight_take(&link->flight);

    if (frame)
        link->counters->queued--;
    return frame;
}

/* Armed again first, while there is room for it for certain. */
static void fire(struct timer *timer, uint64_t now_ns)
{
    struct link *link = (struct link *)(void *)((char *)timer - offsetof(struct link, timer));
    struct timers *timers = link->host->timers;
    struct link_fate fate;

    int status = timer_arm(timers, timer, now_ns);
    assert(status == 0);
    (void)status;
    while (flight_next_ns(&link->flight) <= now_ns) {
        struct frame *frame = take(link);
        assert(frame); /* what is due is there */
        memcpy(&fate, flight_note(frame), sizeof(fate));
        deliver(link, frame, &fate, now_ns);
    }
    if (link->flight.count)
        (void)timer_arm(timers, timer, flight_next_ns(&link->flight)); /* moving never fails */
    else
        timer_cancel(timers, timer);
}

/* ---- life ---- */

void link_init(struct link *link, const struct link_config *config)
{
    const uint64_t number = config->peer_index * 2 + (config->direction == LINK_DOWNLINK);
    struct rng rng;

    *link = (struct link){.host = config->host, .spec = config->spec, .counters = config->counters};
    timer_init(&link->timer, fire);
    rng_derive(&rng, config->seed, RNG_LINKS);
    rng_derive(&rng, rng_next(&rng), number);
    link->key = rng_next(&rng);
    link->last_delay = rng_next(&rng);
    link->last_loss = high(rng_next(&rng));
    link->last_duplicate = high(rng_next(&rng));
    link->last_corrupt = high(rng_next(&rng));
    link->last_reorder = high(rng_next(&rng));
}

void link_flush(struct link *link)
{
    struct frame *frame;

    while ((frame = take(link))) {
        link->counters->discarded++;
        frame_put(frame);
    }
    timer_cancel(link->host->timers, &link->timer);
    link->last_ns = 0;
    link->rate_rest = 0;
}

void link_done(struct link *link)
{
    link_flush(link);
}

void link_set_spec(struct link *link, const struct link_spec *spec)
{
    link->spec = spec;
    link->rate_rest = 0;
    link->since_reorder = 0;
    link->bad = false;
}
