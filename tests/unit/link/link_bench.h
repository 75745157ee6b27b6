/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LINK_BENCH_H
#define LINK_BENCH_H

/*
 * Links in virtual time. What is random is judged by five standard deviations of what the binomial
 * or the distribution allows; the seeds are fixed, so a test that passes passes always.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../packet/build.h"
#include "base/macro.h"
#include "base/rng.h"
#include "link/link.h"

enum { PACKET = 1000, SMALL = 60 };

struct seen {
    uint64_t now_ns, delay_ns, number;
    uint32_t id;
    bool duplicate, reordered, corrupted;
};

/* One link and all that comes out of it. */
struct bench {
    struct timers timers;
    struct frame_pool pool;
    struct link_host host;
    struct link_spec spec;
    struct link_counters counters;
    struct link link;
    uint64_t now_ns;
    uint32_t next_id;
    struct seen *seen;
    size_t seen_count, seen_room;
    uint64_t notes, notes_dropped;
    char last_note[LINK_FATE_TEXT];
    void (*hook)(struct bench *bench, struct frame *frame); /* instead of frame_put */
};

static inline uint32_t id_of(const struct frame *frame)
{
    uint32_t id;
    memcpy(&id, frame->data + 28, sizeof(id));
    return id;
}

static inline void on_deliver(void *user, struct link *link, struct frame *frame,
                              const struct link_fate *fate, uint64_t now_ns)
{
    struct bench *bench = user;
    (void)link;
    if (bench->seen_count == bench->seen_room) {
        bench->seen_room = bench->seen_room ? 2 * bench->seen_room : 1024;
        bench->seen = reallocarray(bench->seen, bench->seen_room, sizeof(*bench->seen));
        assert_non_null(bench->seen);
    }
    assert_int_equal(fate->outcome, LINK_PASSED);
    bench->seen[bench->seen_count++] = (struct seen){
        .now_ns = now_ns,
        .delay_ns = fate->delay_ns,
        .number = fate->number,
        .id = id_of(frame),
        .duplicate = fate->duplicate,
        .reordered = fate->reordered,
        .corrupted = fate->corrupted,
    };
    if (bench->hook)
        bench->hook(bench, frame);
    else
        frame_put(frame);
}

static inline void on_note(void *user, struct link *link, const struct frame *frame,
                           const struct link_fate *fate)
{
    struct bench *bench = user;
    assert_non_null(frame);
    bench->notes++;
    bench->notes_dropped += fate->outcome != LINK_PASSED;
    link_fate_format(fate, link->spec, bench->last_note);
}

static inline void bench_spec(struct bench *bench, const char *text)
{
    struct peer_error error = {0};
    if (link_spec_parse(text, LINK_UPLINK, &bench->spec, &error) != 0)
        fail_msg("%s: %s", text, error.text);
}

static inline void bench_link(struct bench *bench, struct link *link, uint64_t seed,
                              uint64_t peer_index, enum link_direction direction)
{
    link_init(link, &(struct link_config){.host = &bench->host,
                                          .spec = &bench->spec,
                                          .counters = &bench->counters,
                                          .seed = seed,
                                          .peer_index = peer_index,
                                          .direction = direction});
}

static inline void bench_init(struct bench *bench, const char *text, uint64_t seed)
{
    *bench = (struct bench){.now_ns = NS_PER_S};
    timers_init(&bench->timers);
    frame_pool_init(&bench->pool);
    bench->host = (struct link_host){.timers = &bench->timers,
                                     .layer = FRAME_IP,
                                     .user = bench,
                                     .deliver = on_deliver,
                                     .note = on_note};
    bench_spec(bench, text);
    bench_link(bench, &bench->link, seed, 0, LINK_UPLINK);
}

/* Ends the link with whatever is under way: pool and timers must be empty, and the books right. */
static inline void bench_done(struct bench *bench)
{
    const struct link_counters *counters = &bench->counters;
    link_done(&bench->link);
    link_done(&bench->link);
    assert_int_equal(timers_next(&bench->timers), TIMER_NEVER);
    assert_int_equal(counters->queued, 0);
    assert_int_equal(counters->sent + counters->duplicated,
                     counters->delivered + counters->lost + counters->overflowed +
                         counters->no_memory + counters->discarded);
    assert_int_equal(bench->notes, counters->sent + counters->duplicated);
    assert_int_equal(bench->notes_dropped, counters->lost + counters->overflowed);
    timers_done(&bench->timers);
    frame_pool_done(&bench->pool); /* asserts that no frame is out */
    free(bench->seen);
}

/* An IPv4/UDP packet of `len` bytes with a number of its own in it. */
static inline struct frame *packet_get(struct bench *bench, uint32_t len)
{
    struct frame *frame = frame_get(&bench->pool, len);
    assert_non_null(frame);
    assert_true(len >= 32);
    memset(frame->data, 0, len);
    frame->data[0] = 0x45;
    build16(frame->data + 2, len);
    frame->data[8] = 64;
    frame->data[9] = IPPROTO_UDP;
    memcpy(frame->data + 12, (uint8_t[]){198, 18, 0, 2, 192, 0, 2, 1}, 8);
    build16(frame->data + 24, len - 20);
    memcpy(frame->data + 28, &bench->next_id, sizeof(bench->next_id));
    bench->next_id++;
    return frame;
}

static inline void send_packet(struct bench *bench, uint32_t len)
{
    link_send(&bench->link, packet_get(bench, len), bench->now_ns);
}

/* Time passes from deadline to deadline, as in the engine. */
static inline void run_until(struct bench *bench, uint64_t until_ns)
{
    while (timers_next(&bench->timers) <= until_ns) {
        bench->now_ns = MAX(bench->now_ns, timers_next(&bench->timers));
        timers_run(&bench->timers, bench->now_ns, 1000);
    }
    bench->now_ns = until_ns;
}

static inline void run_all(struct bench *bench)
{
    while (timers_next(&bench->timers) != TIMER_NEVER)
        run_until(bench, timers_next(&bench->timers));
}

static inline void send_many(struct bench *bench, uint32_t count, uint64_t apart_ns)
{
    for (uint32_t i = 0; i < count; i++) {
        send_packet(bench, SMALL);
        run_until(bench, bench->now_ns + apart_ns);
    }
}

static inline void expect_near(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance)
        fail_msg("%g is not within %g of %g", value, tolerance, expected);
}

/* A share of `n` independent trials, within five standard deviations. */
static inline void expect_share(uint64_t hits, uint64_t n, double share)
{
    expect_near((double)hits / (double)n, share, 5 * sqrt(share * (1 - share) / (double)n));
}

/* Lost or not, packet by packet, from the numbers that arrived: ids may be corrupted. */
static inline uint8_t *loss_pattern(struct bench *bench, uint32_t count)
{
    uint8_t *lost = malloc(count);
    assert_non_null(lost);
    memset(lost, 1, count);
    for (size_t i = 0; i < bench->seen_count; i++)
        lost[bench->seen[i].number] = 0;
    return lost;
}

#endif
