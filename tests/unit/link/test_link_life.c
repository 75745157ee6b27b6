/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rates and queues, what decisions depend on, and the life of links.
 */
#include "link_bench.h"

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
        bench_link(&bench, &bench.link, 1, (uint64_t)i / 2, i % 2 ? LINK_DOWNLINK : LINK_UPLINK);
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
        bench_link(&bench, &links[i], 1, i, LINK_DOWNLINK);
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
