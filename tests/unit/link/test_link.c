/* SPDX-License-Identifier: BSD-3-Clause */
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

static uint32_t id_of(const struct frame *frame)
{
    uint32_t id;
    memcpy(&id, frame->data + 28, sizeof(id));
    return id;
}

static void on_deliver(void *user, struct link *link, struct frame *frame,
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

static void on_note(void *user, struct link *link, const struct frame *frame,
                    const struct link_fate *fate)
{
    struct bench *bench = user;
    assert_non_null(frame);
    bench->notes++;
    bench->notes_dropped += fate->outcome != LINK_PASSED;
    link_fate_format(fate, link->spec, bench->last_note);
}

static void bench_spec(struct bench *bench, const char *text)
{
    struct peer_error error = {0};
    if (link_spec_parse(text, LINK_UPLINK, &bench->spec, &error) != 0)
        fail_msg("%s: %s", text, error.text);
}

static void bench_init(struct bench *bench, const char *text, uint64_t seed)
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
    link_init(&bench->link, &bench->host, &bench->spec, &bench->counters, seed, 0, LINK_UPLINK);
}

/* Ends the link with whatever is under way: pool and timers must be empty, and the books right. */
static void bench_done(struct bench *bench)
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
static struct frame *packet_get(struct bench *bench, uint32_t len)
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

static void send_packet(struct bench *bench, uint32_t len)
{
    link_send(&bench->link, packet_get(bench, len), bench->now_ns);
}

/* Time passes from deadline to deadline, as in the engine. */
static void run_until(struct bench *bench, uint64_t until_ns)
{
    while (timers_next(&bench->timers) <= until_ns) {
        bench->now_ns = MAX(bench->now_ns, timers_next(&bench->timers));
        timers_run(&bench->timers, bench->now_ns, 1000);
    }
    bench->now_ns = until_ns;
}

static void run_all(struct bench *bench)
{
    while (timers_next(&bench->timers) != TIMER_NEVER)
        run_until(bench, timers_next(&bench->timers));
}

static void send_many(struct bench *bench, uint32_t count, uint64_t apart_ns)
{
    for (uint32_t i = 0; i < count; i++) {
        send_packet(bench, SMALL);
        run_until(bench, bench->now_ns + apart_ns);
    }
}

static void expect_near(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance)
        fail_msg("%g is not within %g of %g", value, tolerance, expected);
}

/* A share of `n` independent trials, within five standard deviations. */
static void expect_share(uint64_t hits, uint64_t n, double share)
{
    expect_near((double)hits / (double)n, share, 5 * sqrt(share * (1 - share) / (double)n));
}

/* ---- nothing ---- */

static void a_clear_link_hands_on_at_once(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "none", 1);
    for (int i = 0; i < 100; i++) {
        send_packet(&bench, PACKET);
        assert_int_equal(bench.seen_count, i + 1);
        assert_int_equal(bench.seen[i].id, i);
        assert_int_equal(bench.seen[i].now_ns, bench.now_ns);
        assert_string_equal(bench.last_note, "");
    }
    assert_int_equal(bench.counters.delivered_bytes, 100 * PACKET);
    assert_int_equal(bench.counters.queued_max, 0);
    bench_done(&bench);
}

static void a_clear_link_takes_super_segments(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "none", 1);
    struct frame *frame = packet_get(&bench, 60000);
    frame->offload.gso_type = FRAME_GSO_TCPV4;
    link_send(&bench.link, frame, bench.now_ns);
    assert_int_equal(bench.seen_count, 1);
    bench_done(&bench);
}

/* ---- loss ---- */

static void loss_is_within_the_binomial_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double share;
    } cases[] = {{"loss 10%", 0.1},
                 {"loss 0.1%", 0.001},
                 {"loss 50%", 0.5},
                 {"loss 100%", 1},
                 {"loss 5% 25%", 0.05}};
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            struct bench bench;
            bench_init(&bench, cases[i].text, seed);
            send_many(&bench, 100000, 0);
            /* A correlation of 25 % makes the variance of the share (1 + c) / (1 - c) as large. */
            double slack = i == 4 ? 5 * sqrt(0.05 * 0.95 / 100000 * 1.25 / 0.75) : 0;
            if (slack > 0)
                expect_near((double)bench.counters.lost / 100000, cases[i].share, slack);
            else
                expect_share(bench.counters.lost, 100000, cases[i].share);
            assert_int_equal(bench.counters.delivered, 100000 - bench.counters.lost);
            bench_done(&bench);
        }
    }
}

/* Lost or not, packet by packet, from the numbers that arrived: ids may be corrupted. */
static uint8_t *loss_pattern(struct bench *bench, uint32_t count)
{
    uint8_t *lost = malloc(count);
    assert_non_null(lost);
    memset(lost, 1, count);
    for (size_t i = 0; i < bench->seen_count; i++)
        lost[bench->seen[i].number] = 0;
    return lost;
}

static double correlation_of(const uint8_t *lost, uint32_t count)
{
    double mean = 0, same = 0, all = 0;
    for (uint32_t i = 0; i < count; i++)
        mean += lost[i];
    mean /= count;
    for (uint32_t i = 0; i + 1 < count; i++)
        same += (lost[i] - mean) * (lost[i + 1] - mean);
    for (uint32_t i = 0; i < count; i++)
        all += (lost[i] - mean) * (lost[i] - mean);
    return same / all;
}

static void correlation_is_that_of_neighbours(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double correlation;
    } cases[] = {{"loss 10%", 0}, {"loss 10% 25%", 0.25}, {"loss 10% 75%", 0.75}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench bench;
        bench_init(&bench, cases[i].text, 7);
        send_many(&bench, 200000, 0);
        uint8_t *lost = loss_pattern(&bench, 200000);
        expect_near(correlation_of(lost, 200000), cases[i].correlation, 0.02);
        free(lost);
        bench_done(&bench);
    }
}

static void gemodel_loses_its_share_in_bursts(void **state)
{
    (void)state;
    enum { COUNT = 400000 };
    struct bench bench;
    bench_init(&bench, "loss gemodel 1% 20%", 3);
    send_many(&bench, COUNT, 0);
    uint8_t *lost = loss_pattern(&bench, COUNT);
    uint32_t bursts = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        bursts += lost[i] && (i == 0 || !lost[i - 1]);
    /* Stationary: p / (p + r). Bursts are geometric with mean 1/r, gaps with mean 1/p. */
    double lost_count = (double)bench.counters.lost;
    expect_near(lost_count / bursts, 5, 5 * sqrt(0.8) / 0.2 / sqrt(bursts));
    expect_near(lost_count / COUNT, 0.01 / 0.21, 0.003);
    expect_near(bursts / (COUNT - lost_count), 0.01, 5 * sqrt(0.01 / COUNT));
    free(lost);
    bench_done(&bench);
}

static void gemodel_has_all_four_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double share;
    } cases[] = {{"loss gemodel 3%", 0.03},
                 {"loss gemodel 10% 30% 50%", 0.25 * 0.5},
                 {"loss gemodel 10% 30% 50% 4%", 0.25 * 0.5 + 0.75 * 0.04},
                 {"loss gemodel 0% 100% 100% 2%", 0.02}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench bench;
        bench_init(&bench, cases[i].text, 11);
        send_many(&bench, 200000, 0);
        expect_near((double)bench.counters.lost / 200000, cases[i].share, 0.006);
        bench_done(&bench);
    }
}

/* ---- duplicate, corrupt ---- */

static void duplicates_follow_at_once_and_alike(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "duplicate 5%", 2);
    send_many(&bench, 100000, 0);
    expect_share(bench.counters.duplicated, 100000, 0.05);
    assert_int_equal(bench.seen_count, 100000 + bench.counters.duplicated);
    uint64_t copies = 0;
    for (size_t i = 0; i < bench.seen_count; i++) {
        if (!bench.seen[i].duplicate)
            continue;
        copies++;
        assert_int_equal(bench.seen[i].id, bench.seen[i - 1].id);
        assert_int_equal(bench.seen[i].number, bench.seen[i - 1].number);
        assert_false(bench.seen[i - 1].duplicate);
    }
    assert_int_equal(copies, bench.counters.duplicated);
    bench_done(&bench);
}

static void a_duplicate_has_its_own_luck(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "duplicate 100% loss 30% delay 50ms 20ms", 2);
    send_many(&bench, 20000, NS_PER_MS);
    run_all(&bench);
    assert_int_equal(bench.counters.duplicated, 20000);
    expect_share(bench.counters.lost, 40000, 0.3);
    uint8_t *arrived = calloc(1, 20000);
    assert_non_null(arrived);
    uint64_t times[3] = {0};
    for (size_t i = 0; i < bench.seen_count; i++)
        arrived[bench.seen[i].id]++;
    for (uint32_t i = 0; i < 20000; i++)
        times[arrived[i]]++;
    expect_share(times[0], 20000, 0.09);
    expect_share(times[1], 20000, 0.42);
    expect_share(times[2], 20000, 0.49);
    free(arrived);
    bench_done(&bench);
}

struct flips {
    struct frame *before;
    uint32_t changed[64 * 8]; /* how often each bit was */
    uint64_t count;
} flips;

/* The frame differs from what was sent in exactly one bit, above the IP header, or not at all. */
static void look_for_flips(struct bench *bench, struct frame *frame)
{
    const struct seen *seen = &bench->seen[bench->seen_count - 1];
    uint32_t bits = 0;
    for (uint32_t i = 0; i < frame->len; i++) {
        uint8_t difference = frame->data[i] ^ flips.before->data[i];
        for (uint32_t bit = 0; bit < 8; bit++) {
            if (!(difference & 1u << bit))
                continue;
            assert_true(i >= 20);
            bits++;
            flips.changed[i * 8 + bit]++;
        }
    }
    assert_int_equal(bits, seen->corrupted ? 1 : 0);
    flips.count += bits;
    frame_put(frame);
}

static void corruption_flips_one_bit_anywhere_above_ip(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "corrupt 20%", 9);
    bench.hook = look_for_flips;
    memset(&flips, 0, sizeof(flips));
    for (uint32_t i = 0; i < 100000; i++) {
        struct frame *frame = packet_get(&bench, SMALL);
        flips.before = frame_get(&bench.pool, SMALL);
        memcpy(flips.before->data, frame->data, SMALL);
        link_send(&bench.link, frame, bench.now_ns);
        frame_put(flips.before);
    }
    expect_share(flips.count, 100000, 0.2);
    assert_int_equal(flips.count, bench.counters.corrupted);
    for (uint32_t i = 20 * 8; i < SMALL * 8; i++)
        expect_share(flips.changed[i], flips.count, 1.0 / (40 * 8));
    bench_done(&bench);
}

static void expect_wrong_checksum(struct bench *bench, struct frame *frame)
{
    struct packet packet;
    assert_true(bench->seen[bench->seen_count - 1].corrupted);
    assert_int_equal(frame->offload.flags, 0);
    /* A data offset that does not fit gives the packet away before its checksum does. */
    if (packet_parse(frame->data, frame->len, bench->host.layer, &packet) == 0)
        assert_false(checksum_verify(frame->data, frame->len, &packet));
    flips.count++;
    frame_put(frame);
}

/* The kernel leaves the sum to the device: it must not be made over the corrupted bytes. */
static void corruption_leaves_a_wrong_checksum(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct super super = {.layer = i & 1 ? FRAME_ETHERNET : FRAME_IP,
                              .ip_version = i & 2 ? 6 : 4,
                              .protocol = IPPROTO_TCP,
                              .payload_len = 1000};
        struct built *built = build(&super);
        struct bench bench;
        assert_int_equal(built->offload.flags, FRAME_NEEDS_CSUM);
        bench_init(&bench, "corrupt 100%", 1);
        bench.host.layer = super.layer;
        bench.hook = expect_wrong_checksum;
        flips.count = 0;
        for (int j = 0; j < 500; j++) {
            struct frame *frame = frame_get(&bench.pool, (uint32_t)built->len);
            memcpy(frame->data, built->bytes, built->len);
            frame->offload = built->offload;
            link_send(&bench.link, frame, bench.now_ns);
        }
        assert_int_equal(flips.count, 500);
        bench_done(&bench);
        free(built);
    }
}

static void what_has_no_ip_payload_is_not_corrupted(void **state)
{
    (void)state;
    struct bench bench;
    static const uint8_t arp[SMALL] = {[12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4};
    bench_init(&bench, "corrupt 100%", 1);
    bench.host.layer = FRAME_ETHERNET;
    for (uint32_t len = 0; len <= sizeof(arp); len++) {
        struct frame *frame = frame_get(&bench.pool, SMALL);
        memcpy(frame->data, arp, sizeof(arp));
        frame->len = len;
        link_send(&bench.link, frame, bench.now_ns);
    }
    assert_int_equal(bench.counters.delivered, sizeof(arp) + 1);
    assert_int_equal(bench.counters.corrupted, 0);
    bench_done(&bench);
}

/* ---- delay ---- */

static void a_delay_is_exact_and_keeps_the_order(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 50ms", 1);
    send_many(&bench, 500, 100 * NS_PER_US);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 500);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(bench.seen[i].id, i);
        assert_int_equal(bench.seen[i].now_ns, NS_PER_S + 50 * NS_PER_MS + i * 100 * NS_PER_US);
        assert_int_equal(bench.seen[i].delay_ns, 50 * NS_PER_MS);
    }
    assert_string_equal(bench.last_note, "delayed 50ms");
    assert_int_equal(bench.counters.delayed, 500);
    assert_int_equal(bench.counters.delay_sum_ns, 500 * 50 * NS_PER_MS);
    assert_int_equal(bench.counters.delay_max_ns, 50 * NS_PER_MS);
    assert_int_equal(bench.counters.queued_max, 500);
    bench_done(&bench);
}

static void frames_of_one_moment_keep_their_order(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 5ms", 1);
    for (int i = 0; i < 1000; i++)
        send_packet(&bench, SMALL);
    run_until(&bench, bench.now_ns + 5 * NS_PER_MS - 1);
    assert_int_equal(bench.seen_count, 0);
    run_until(&bench, bench.now_ns + 1);
    assert_int_equal(bench.seen_count, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(bench.seen[i].id, i);
    bench_done(&bench);
}

/* The timer may run late, and packets be sent meanwhile: they do not get before the overdue. */
static void a_late_timer_does_not_reorder(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 5ms", 1);
    for (int i = 0; i < 10; i++)
        send_packet(&bench, SMALL);
    bench.now_ns += 9 * NS_PER_MS;
    bench_spec(&bench, "none");
    link_set_spec(&bench.link, &bench.spec);
    for (int i = 0; i < 10; i++)
        send_packet(&bench, SMALL);
    assert_int_equal(bench.seen_count, 0);
    timers_run(&bench.timers, bench.now_ns, 1000);
    assert_int_equal(bench.seen_count, 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(bench.seen[i].id, i);
    bench_done(&bench);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The delays of `count` packets, sorted, in jitters from the delay. */
static double *deviations(const char *text, uint32_t count, double delay_ns, double jitter_ns)
{
    struct bench bench;
    double *values = malloc(count * sizeof(*values));
    assert_non_null(values);
    bench_init(&bench, text, 5);
    send_many(&bench, count, 10 * NS_PER_US);
    run_all(&bench);
    assert_int_equal(bench.seen_count, count);
    for (size_t i = 0; i < count; i++) {
        values[i] = ((double)bench.seen[i].delay_ns - delay_ns) / jitter_ns;
        if (i > 0)
            assert_true(bench.seen[i].now_ns >= bench.seen[i - 1].now_ns);
    }
    bench_done(&bench);
    qsort(values, count, sizeof(*values), by_value);
    return values;
}

static void jitter_has_the_distribution_asked_for(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    static const struct {
        const char *name;
        double deviation, tolerance, low, median, high; /* 1st and 99th percentile */
    } cases[] = {
        {"uniform", 0.57735, 0.004, -0.98, 0, 0.98},
        {"normal", 1, 0.01, -2.326, 0, 2.326},
        /* x = u^(-1/3) at 0.99, 0.5 and 0.01, less the mean, over the deviation */
        {"pareto", 1, 0.03, -0.6540, -0.3128, 4.1864},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[96];
        double mean = 0, square = 0;
        snprintf(text, sizeof(text), "delay 200ms 20ms distribution %s limit 1000000",
                 cases[i].name);
        double *values = deviations(text, COUNT, 200e6, 20e6);
        for (uint32_t j = 0; j < COUNT; j++) {
            mean += values[j] / COUNT;
            square += values[j] * values[j] / COUNT;
        }
        expect_near(mean, 0, 5 * cases[i].deviation / sqrt(COUNT));
        expect_near(sqrt(square - mean * mean), cases[i].deviation, cases[i].tolerance);
        expect_near(values[COUNT / 100], cases[i].low, 0.03);
        expect_near(values[COUNT / 2], cases[i].median, 0.015);
        expect_near(values[COUNT - COUNT / 100], cases[i].high, 0.15);
        assert_true(i == 0 ? values[0] >= -1 && values[COUNT - 1] <= 1 : true);
        assert_true(i == 2 ? values[0] > -0.66 && values[COUNT - 1] < 11.4 : true);
        free(values);
    }
}

static void jitter_beyond_the_delay_means_at_once(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 0ms 10ms", 5);
    send_many(&bench, 20000, NS_PER_MS);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 20000);
    expect_share(bench.counters.delayed, 20000, 0.5);
    bench_done(&bench);
}

static void jitter_reorders_and_its_correlation_does_less(void **state)
{
    (void)state;
    static const char *const texts[] = {"delay 50ms 20ms", "delay 50ms 20ms 90%", "delay 50ms"};
    uint32_t overtakes[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        struct bench bench;
        bench_init(&bench, texts[i], 6);
        send_many(&bench, 20000, NS_PER_MS);
        run_all(&bench);
        for (size_t j = 1; j < bench.seen_count; j++)
            overtakes[i] += bench.seen[j].id < bench.seen[j - 1].id;
        bench_done(&bench);
    }
    assert_true(overtakes[0] > 8000);
    assert_true(overtakes[1] < overtakes[0] * 2 / 3);
    assert_int_equal(overtakes[2], 0);
}

/* ---- reorder ---- */

static void reordered_packets_do_not_wait(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 10ms reorder 25%", 8);
    send_many(&bench, 100000, 100 * NS_PER_US);
    run_all(&bench);
    expect_share(bench.counters.reordered, 100000, 0.25);
    assert_int_equal(bench.counters.delayed, 100000 - bench.counters.reordered);
    for (size_t i = 0; i < bench.seen_count; i++)
        assert_int_equal(bench.seen[i].delay_ns, bench.seen[i].reordered ? 0 : 10 * NS_PER_MS);
    bench_done(&bench);
}

static void with_a_gap_the_first_ones_wait(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 10ms reorder 100% gap 5", 8);
    send_many(&bench, 10000, 100 * NS_PER_US);
    run_all(&bench);
    assert_int_equal(bench.counters.reordered, 2000);
    for (size_t i = 0; i < bench.seen_count; i++)
        assert_int_equal(bench.seen[i].reordered, bench.seen[i].id % 5 == 4);
    bench_done(&bench);

    /* After gap - 1 that wait, a geometric number more: one in gap - 1 + 1/P. */
    bench_init(&bench, "delay 10ms reorder 25% gap 5", 8);
    send_many(&bench, 80000, 100 * NS_PER_US);
    run_all(&bench);
    expect_near((double)bench.counters.reordered / 80000, 1.0 / 8, 0.003);
    bench_done(&bench);
}

/* ---- rate ---- */

static void a_rate_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double bit;
        uint32_t len;
    } cases[] = {{"rate 10mbit", 10e6, 1500},       {"rate 50kbit", 50e3, 1500},
                 {"rate 3333333bit", 3333333, 777}, {"rate 40gbit", 40e9, 1500},
                 {"rate 97gbit", 97e9, SMALL},      {"delay 20ms rate 1gbit", 1e9, 1500}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench bench;
        bench_init(&bench, cases[i].text, 1);
        for (uint32_t sent = 0; sent < 20000; sent++) { /* always a few waiting */
            send_packet(&bench, cases[i].len);
            if (link_queued(&bench.link) >= 100)
                run_until(&bench, timers_next(&bench.timers));
        }
        run_all(&bench);
        assert_int_equal(bench.seen_count, 20000);
        size_t first = 1000, last = 19999;
        double seconds = (double)(bench.seen[last].now_ns - bench.seen[first].now_ns) / 1e9;
        if (i < 5) /* with a delay the sender above does not keep it busy */
            expect_near((double)(last - first) * cases[i].len * 8 / seconds / cases[i].bit, 1,
                        0.001);
        for (uint32_t j = 0; j < 20000; j++)
            assert_int_equal(bench.seen[j].id, j);
        bench_done(&bench);
    }
}

static void a_single_packet_takes_its_time_on_the_wire(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 20ms rate 1mbit", 1);
    send_packet(&bench, 1250); /* 10 ms */
    send_packet(&bench, 625);  /* 5 ms */
    run_until(&bench, bench.now_ns + 100 * NS_PER_MS);
    send_packet(&bench, 125); /* 1 ms, nothing before it */
    run_all(&bench);
    assert_int_equal(bench.seen[0].delay_ns, 30 * NS_PER_MS);
    assert_int_equal(bench.seen[1].delay_ns, 35 * NS_PER_MS);
    assert_int_equal(bench.seen[2].delay_ns, 21 * NS_PER_MS);
    bench_done(&bench);
}

static void a_rate_keeps_the_order_of_jittered_packets(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "starlink", 1);
    send_many(&bench, 20000, NS_PER_MS);
    run_all(&bench);
    for (size_t i = 1; i < bench.seen_count; i++)
        assert_true(bench.seen[i].id > bench.seen[i - 1].id);
    expect_share(bench.counters.lost, 20000, 0.01);
    bench_done(&bench);
}

static void a_full_queue_drops_its_tail(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "rate 1mbit limit 50", 1);
    for (int i = 0; i < 80; i++)
        send_packet(&bench, 1250);
    assert_int_equal(bench.counters.overflowed, 30);
    assert_int_equal(bench.counters.queued, 50);
    assert_int_equal(bench.counters.queued_max, 50);
    assert_string_equal(bench.last_note, "dropped: queue full (limit 50)");
    run_until(&bench, bench.now_ns + 10 * NS_PER_MS); /* one leaves: room for one */
    send_packet(&bench, 1250);
    send_packet(&bench, 1250);
    assert_int_equal(bench.counters.overflowed, 31);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 51);
    for (uint32_t i = 0; i < 51; i++) {
        assert_int_equal(bench.seen[i].id, i < 50 ? i : 80);
        assert_int_equal(bench.seen[i].now_ns, NS_PER_S + (i + 1) * 10 * NS_PER_MS);
    }
    bench_done(&bench);
}

/* Twice as much as the rate: half is dropped, once the queue is full. */
static void an_overload_loses_what_is_too_much(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "rate 10mbit limit 20", 1);
    for (int i = 0; i < 20000; i++) {
        send_packet(&bench, 1250);
        run_until(&bench, bench.now_ns + 500 * NS_PER_US);
    }
    run_all(&bench);
    expect_near((double)bench.counters.overflowed, 10000, 20);
    assert_int_equal(bench.counters.queued_max, 20);
    bench_done(&bench);
}

/* ---- decisions ---- */

static uint64_t log_of(const char *text, uint64_t seed, uint64_t apart_ns)
{
    static const uint64_t key[2] = {1, 2};
    struct bench bench;
    bench_init(&bench, text, seed);
    send_many(&bench, 5000, apart_ns);
    run_all(&bench);
    uint64_t hash = bench.seen_count;
    for (size_t i = 0; i < bench.seen_count; i++) {
        const struct seen *seen = &bench.seen[i];
        uint64_t words[] = {hash, seen->now_ns, seen->delay_ns, seen->id,
                            (uint64_t)seen->duplicate << 2 | (uint64_t)seen->reordered << 1 |
                                seen->corrupted};
        hash = siphash(key, words, sizeof(words));
    }
    bench_done(&bench);
    return hash;
}

static void the_same_seed_gives_the_same_log(void **state)
{
    (void)state;
    static const char *const text =
        "delay 50ms 20ms 25% distribution normal loss 5% 10% duplicate 5% reorder 10% corrupt 1% "
        "rate 20mbit";
    uint64_t first = log_of(text, 4, NS_PER_MS);
    assert_int_equal(log_of(text, 4, NS_PER_MS), first);
    assert_int_not_equal(log_of(text, 5, NS_PER_MS), first);
}

/* Which packets are lost: by seed and number alone, whatever else is asked for, and whenever. */
static void fate_depends_on_seed_and_number_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t apart_ns;
    } cases[] = {{"loss 10% 20%", 0},
                 {"loss 10% 20%", 12345678},
                 {"loss 10% 20% delay 50ms 20ms", NS_PER_MS},
                 {"loss 10% 20% corrupt 5% rate 1mbit limit 100000", 1000}};
    uint8_t *first = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench bench;
        bench_init(&bench, cases[i].text, 21);
        send_many(&bench, 5000, cases[i].apart_ns);
        run_all(&bench);
        uint8_t *lost = loss_pattern(&bench, 5000);
        if (first)
            assert_memory_equal(lost, first, 5000);
        if (first)
            free(lost);
        else
            first = lost;
        bench_done(&bench);
    }
    free(first);
}

static void a_full_queue_does_not_shift_the_dice(void **state)
{
    (void)state;
    uint64_t counts[2][2];
    for (int i = 0; i < 2; i++) {
        struct bench bench;
        bench_init(&bench,
                   i ? "loss 10% 20% reorder 5% gap 3 delay 1ms rate 1mbit limit 10"
                     : "loss 10% 20% reorder 5% gap 3 delay 1ms",
                   21);
        send_many(&bench, 5000, i ? 1000 : NS_PER_MS);
        run_all(&bench);
        counts[i][0] = bench.counters.lost;
        counts[i][1] = bench.link.since_reorder;
        bench_done(&bench);
    }
    assert_int_equal(counts[0][0], counts[1][0]);
    assert_int_equal(counts[0][1], counts[1][1]);
}

static void peers_and_directions_have_dice_of_their_own(void **state)
{
    (void)state;
    struct bench bench;
    uint8_t *patterns[4];
    for (int i = 0; i < 4; i++) {
        bench_init(&bench, "loss 50%", 1);
        link_init(&bench.link, &bench.host, &bench.spec, &bench.counters, 1, (uint64_t)i / 2,
                  i % 2 ? LINK_DOWNLINK : LINK_UPLINK);
        send_many(&bench, 10000, 0);
        patterns[i] = loss_pattern(&bench, 10000);
        bench_done(&bench);
        for (int j = 0; j < i; j++) {
            uint64_t same = 0;
            for (int k = 0; k < 10000; k++)
                same += patterns[i][k] == patterns[j][k];
            expect_share(same, 10000, 0.5);
        }
    }
    for (int i = 0; i < 4; i++)
        free(patterns[i]);
}

static void notes_say_what_happened(void **state)
{
    (void)state;
    struct link_spec spec;
    char buf[LINK_FATE_TEXT];
    static const struct {
        const char *spec;
        struct link_fate fate;
        const char *text;
    } cases[] = {
        {"none", {0}, ""},
        {"loss 2%", {.outcome = LINK_LOST}, "dropped: loss 2%"},
        {"loss gemodel 1% 20%", {.outcome = LINK_LOST}, "dropped: loss gemodel 1% 20%"},
        {"loss 2% 5%", {.outcome = LINK_LOST, .duplicate = true}, "duplicate, dropped: loss 2% 5%"},
        {"rate 1mbit limit 7", {.outcome = LINK_OVERFLOW}, "dropped: queue full (limit 7)"},
        {"none", {.outcome = LINK_NO_MEMORY}, "dropped: out of memory"},
        {"none", {.delay_ns = 51200000}, "delayed 51.2ms"},
        {"none", {.delay_ns = 51234567}, "delayed 51.234ms"},
        {"none", {.delay_ns = 999}, "delayed 999ns"},
        {"none", {.reordered = true}, "reordered"},
        {"none",
         {.duplicate = true,
          .corrupted = true,
          .corrupt_at = 54,
          .corrupt_bit = 3,
          .delay_ns = 1000},
         "duplicate, corrupted byte 54 bit 3, delayed 1us"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(link_spec_parse(cases[i].spec, LINK_UPLINK, &spec, NULL), 0);
        assert_string_equal(link_fate_format(&cases[i].fate, &spec, buf), cases[i].text);
    }
}

/* ---- life ---- */

static void a_link_ends_with_frames_under_way(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 50ms 20ms duplicate 10%", 3);
    send_many(&bench, 300, NS_PER_MS);
    assert_true(link_queued(&bench.link) > 20);
    uint32_t queued = link_queued(&bench.link);
    link_done(&bench.link);
    assert_int_equal(bench.counters.discarded, queued);
    bench_done(&bench);
}

static void a_flushed_link_goes_on(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "rate 1mbit", 3);
    for (int i = 0; i < 100; i++)
        send_packet(&bench, 1250);
    link_flush(&bench.link);
    assert_int_equal(bench.counters.discarded, 100);
    send_packet(&bench, 1250);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 1);
    assert_int_equal(bench.seen[0].delay_ns, 10 * NS_PER_MS); /* not behind what is gone */
    assert_int_equal(bench.seen[0].number, 100);
    bench_done(&bench);
}

static void a_new_spec_holds_from_now_on(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 100ms", 3);
    send_packet(&bench, SMALL);
    run_until(&bench, bench.now_ns + 10 * NS_PER_MS);
    bench_spec(&bench, "delay 5ms");
    link_set_spec(&bench.link, &bench.spec);
    send_packet(&bench, SMALL);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 2);
    assert_int_equal(bench.seen[0].id, 1);
    assert_int_equal(bench.seen[0].delay_ns, 5 * NS_PER_MS);
    assert_int_equal(bench.seen[1].now_ns, NS_PER_S + 100 * NS_PER_MS);
    bench_done(&bench);
}

static void send_another(struct bench *bench, struct frame *frame)
{
    frame_put(frame);
    if (bench->next_id < 1000)
        link_send(&bench->link, packet_get(bench, SMALL),
                  bench->seen[bench->seen_count - 1].now_ns);
}

static void the_callback_may_send_on_the_same_link(void **state)
{
    (void)state;
    static const char *const texts[] = {"delay 1ms", "delay 5ms 5ms", "none", "rate 1mbit",
                                        "delay 1ms 1ms duplicate 10% reorder 5%"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct bench bench;
        bench_init(&bench, texts[i], 3);
        bench.hook = send_another;
        for (int j = 0; j < 5; j++)
            send_packet(&bench, SMALL);
        run_all(&bench);
        assert_true(bench.seen_count >= 1000);
        bench_done(&bench);
    }
}

static void flush_once(struct bench *bench, struct frame *frame)
{
    frame_put(frame);
    if (bench->seen_count == 3)
        link_flush(&bench->link);
}

static void the_callback_may_pull_the_cable(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, "delay 5ms", 3);
    bench.hook = flush_once;
    for (int i = 0; i < 10; i++)
        send_packet(&bench, SMALL);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 3);
    assert_int_equal(bench.counters.discarded, 7);
    send_packet(&bench, SMALL);
    run_all(&bench);
    assert_int_equal(bench.seen_count, 4);
    bench_done(&bench);
}

/* One timer a link, and books that many links share. */
static void ten_thousand_links_hold_ten_frames_each(void **state)
{
    (void)state;
    enum { LINKS = 10000, FRAMES = 10 };
    struct bench bench;
    bench_init(&bench, "delay 300ms 50ms distribution normal", 1);
    struct link *links = calloc(LINKS, sizeof(*links));
    assert_non_null(links);
    assert_true(sizeof(*links) < 200);
    for (uint32_t i = 0; i < LINKS; i++)
        link_init(&links[i], &bench.host, &bench.spec, &bench.counters, 1, i, LINK_DOWNLINK);
    assert_int_equal(bench.timers.count, 0);
    for (uint32_t j = 0; j < FRAMES; j++) {
        for (uint32_t i = 0; i < LINKS; i++)
            link_send(&links[i], packet_get(&bench, SMALL), bench.now_ns);
    }
    assert_int_equal(bench.counters.queued, LINKS * FRAMES);
    assert_int_equal(bench.counters.queued_max, FRAMES);
    assert_int_equal(bench.timers.count, LINKS);
    run_until(&bench, bench.now_ns + 300 * NS_PER_MS);
    expect_share(bench.counters.delivered, LINKS * FRAMES, 0.5);
    for (uint32_t i = 0; i < LINKS; i += 2)
        link_done(&links[i]);
    run_all(&bench);
    for (uint32_t i = 1; i < LINKS; i += 2)
        assert_int_equal(link_queued(&links[i]), 0);
    assert_int_equal(bench.counters.delivered + bench.counters.discarded, LINKS * FRAMES);
    assert_int_equal(bench.timers.count, 0);
    bench_done(&bench);
    free(links);
}

/* ---- the queue of frames under way ---- */

static void frames_leave_by_time_and_then_by_turn(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct frame_pool pool;
    struct flight flight = {0};
    struct rng rng;
    uint64_t last_ns = 0, out = 0;
    frame_pool_init(&pool);
    rng_seed(&rng, 9);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct frame *frame = frame_get(&pool, 8);
        uint64_t due = last_ns + rng_below(&rng, i % 3 ? 50 : 5000);
        memcpy(frame->data, &i, sizeof(i));
        memcpy(flight_note(frame), &due, sizeof(due));
        flight_put(&flight, frame, due);
        while (rng_below(&rng, 100) < 48 || (i + 1 == COUNT && flight.count)) {
            uint64_t next = flight_next_ns(&flight), noted;
            frame = flight_take(&flight);
            if (!frame)
                break;
            memcpy(&noted, flight_note(frame), sizeof(noted));
            assert_int_equal(noted, next);
            assert_true(noted >= last_ns);
            last_ns = noted;
            out++;
            frame_put(frame);
        }
    }
    assert_int_equal(out, COUNT);
    assert_int_equal(flight_next_ns(&flight), UINT64_MAX);
    assert_null(flight_take(&flight));
    frame_pool_done(&pool);
}

static void equal_times_leave_in_turn_from_list_and_heap(void **state)
{
    (void)state;
    static const uint64_t times[] = {5, 9, 7, 9, 5, 9, 7, 3, 9, 5};
    static const uint32_t order[] = {7, 0, 4, 9, 2, 6, 1, 3, 5, 8};
    struct frame_pool pool;
    struct flight flight = {0};
    frame_pool_init(&pool);
    for (uint32_t i = 0; i < ARRAY_SIZE(times); i++) {
        struct frame *frame = frame_get(&pool, 8);
        memcpy(frame->data, &i, sizeof(i));
        flight_put(&flight, frame, times[i]);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(times); i++) {
        struct frame *frame = flight_take(&flight);
        assert_memory_equal(frame->data, &order[i], sizeof(order[i]));
        frame_put(frame);
    }
    frame_pool_done(&pool);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clear_link_hands_on_at_once),
        cmocka_unit_test(a_clear_link_takes_super_segments),
        cmocka_unit_test(loss_is_within_the_binomial_bounds),
        cmocka_unit_test(correlation_is_that_of_neighbours),
        cmocka_unit_test(gemodel_loses_its_share_in_bursts),
        cmocka_unit_test(gemodel_has_all_four_parameters),
        cmocka_unit_test(duplicates_follow_at_once_and_alike),
        cmocka_unit_test(a_duplicate_has_its_own_luck),
        cmocka_unit_test(corruption_flips_one_bit_anywhere_above_ip),
        cmocka_unit_test(corruption_leaves_a_wrong_checksum),
        cmocka_unit_test(what_has_no_ip_payload_is_not_corrupted),
        cmocka_unit_test(a_delay_is_exact_and_keeps_the_order),
        cmocka_unit_test(frames_of_one_moment_keep_their_order),
        cmocka_unit_test(a_late_timer_does_not_reorder),
        cmocka_unit_test(jitter_has_the_distribution_asked_for),
        cmocka_unit_test(jitter_beyond_the_delay_means_at_once),
        cmocka_unit_test(jitter_reorders_and_its_correlation_does_less),
        cmocka_unit_test(reordered_packets_do_not_wait),
        cmocka_unit_test(with_a_gap_the_first_ones_wait),
        cmocka_unit_test(a_rate_is_exact),
        cmocka_unit_test(a_single_packet_takes_its_time_on_the_wire),
        cmocka_unit_test(a_rate_keeps_the_order_of_jittered_packets),
        cmocka_unit_test(a_full_queue_drops_its_tail),
        cmocka_unit_test(an_overload_loses_what_is_too_much),
        cmocka_unit_test(the_same_seed_gives_the_same_log),
        cmocka_unit_test(fate_depends_on_seed_and_number_alone),
        cmocka_unit_test(a_full_queue_does_not_shift_the_dice),
        cmocka_unit_test(peers_and_directions_have_dice_of_their_own),
        cmocka_unit_test(notes_say_what_happened),
        cmocka_unit_test(a_link_ends_with_frames_under_way),
        cmocka_unit_test(a_flushed_link_goes_on),
        cmocka_unit_test(a_new_spec_holds_from_now_on),
        cmocka_unit_test(the_callback_may_send_on_the_same_link),
        cmocka_unit_test(the_callback_may_pull_the_cable),
        cmocka_unit_test(ten_thousand_links_hold_ten_frames_each),
        cmocka_unit_test(frames_leave_by_time_and_then_by_turn),
        cmocka_unit_test(equal_times_leave_in_turn_from_list_and_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
