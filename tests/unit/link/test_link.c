/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to single frames: loss, doubles, corruption, delay, reordering.
 */
#include "link_bench.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
