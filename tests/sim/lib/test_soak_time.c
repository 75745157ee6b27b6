/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a soak does what: ramp, rates of connections, thinking, time-outs, back-off, stop and end, to the
 * nanosecond. What tells is the wire: when clients sent their SYNs, requests, FINs and resets. One
 * way takes 1 ms.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#define MS NS_PER_MS
#define S  NS_PER_S

enum { TIMES = 4096, FIN = 1, SYN = 2, RST = 4 };

/* Since the start of the soak. */
struct times {
    uint64_t at_ns[TIMES];
    size_t count;
};

struct scene {
    struct soaking soaking;
    struct times syns, asks, fins, resets; /* of the clients */
    uint64_t pause_ns;                     /* before an answer */
    bool silent;                           /* no answers */
    uint64_t deaf_ns[2][2];                /* no handshake comes through from .. to */
};

static void note(struct times *times, uint64_t at_ns)
{
    if (times->count < TIMES)
        times->at_ns[times->count] = at_ns;
    times->count++;
}

static bool is_deaf(const struct scene *scene, uint64_t at_ns)
{
    for (size_t i = 0; i < ARRAY_SIZE(scene->deaf_ns); i++) {
        if (at_ns >= scene->deaf_ns[i][0] && at_ns < scene->deaf_ns[i][1])
            return true;
    }
    return false;
}

static unsigned watch(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct scene *scene = user;
    const struct packet *packet = &frame->packet;
    uint64_t at_ns = frame->at_ns - scene->soaking.start_ns;

    (void)delay_ns;
    if (packet->kind != PACKET_TCP || packet->src_port < 1024)
        return 1;
    if (packet->tcp_flags & SYN)
        note(&scene->syns, at_ns);
    if (packet->payload_len)
        note(&scene->asks, at_ns);
    if (packet->tcp_flags & FIN)
        note(&scene->fins, at_ns);
    if (packet->tcp_flags & RST)
        note(&scene->resets, at_ns);
    return !(packet->tcp_flags & SYN && is_deaf(scene, at_ns));
}

static void answer(struct end *end)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    (void)flow_write(&end->flow, ok, strlen(ok), 0);
}

static void serve(struct end *end, unsigned events)
{
    const struct scene *scene = end->user;
    struct iovec iov[4];
    size_t len = 0;

    if (events & FLOW_READABLE)
        len = iov_total(iov, flow_peek(&end->flow, iov, 4));
    if (len)
        flow_consume(&end->flow, len);
    if (len && scene->pause_ns)
        end_wait(end, scene->pause_ns);
    else if (len && !scene->silent)
        answer(end);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static struct end application_of(struct scene *scene)
{
    return (struct end){
        .on_event = serve, .on_timer = answer, .drop_when_ended = true, .user = scene};
}

/* `like` says what the application does. */
static struct scene *begin(struct scene like, struct peer_soak_config config)
{
    struct scene *scene = malloc(sizeof(*scene));
    const struct simnet_config net = {.fate = watch, .user = scene};
    struct peer_error error = {0};

    assert_non_null(scene);
    *scene = like;
    struct end application = application_of(scene);
    soaking_begin(&scene->soaking, &net, &application);
    if (soaking_start(&scene->soaking, &config, &error) < 0)
        fail_msg("%s", error.text);
    return scene;
}

static void finish(struct scene *scene)
{
    soaking_finish(&scene->soaking, 600 * S);
}

static void end_of(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

static uint64_t now_ns(const struct scene *scene)
{
    return simnet_now_ns(scene->soaking.net) - scene->soaking.start_ns;
}

/* To this time since the start. */
static void run_to(struct scene *scene, uint64_t at_ns)
{
    simnet_run_for(scene->soaking.net, at_ns - now_ns(scene));
}

static void assert_steady(const struct times *times, uint64_t first_ns, uint64_t step_ns)
{
    assert_in_range(times->count, 1, TIMES);
    for (size_t i = 0; i < times->count; i++)
        assert_int_equal(times->at_ns[i], first_ns + i * step_ns);
}

/* ---- connections ---- */

static void a_ramp_opens_one_after_the_other(void **state)
{
    static const uint64_t flows[] = {1, 4, 10, 64, 250};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        struct scene *scene =
            begin((struct scene){0},
                  (struct peer_soak_config){
                      .flows = flows[i], .ramp_ns = S, .think_ns = S, .duration_ns = 3 * S});
        run_to(scene, S);
        assert_int_equal(scene->syns.count, flows[i]);
        assert_steady(&scene->syns, 0, S / flows[i]);
        finish(scene);
        assert_int_equal(scene->syns.count, flows[i]); /* they last */
        assert_int_equal(scene->soaking.report.open_most, flows[i]);
        end_of(scene);
    }
}

static void connections_come_at_their_rate(void **state)
{
    (void)state;
    struct scene *scene = begin(
        (struct scene){0},
        (struct peer_soak_config){
            .flows = 100, .connect_rate = 20, .requests_per_connection = 1, .duration_ns = 2 * S});
    finish(scene);
    assert_int_equal(scene->syns.count, 40);
    assert_steady(&scene->syns, 0, 50 * MS);
    soaking_assert_counts(&scene->soaking, 40, 40, 0);
    end_of(scene);
}

/* A second for each request: five are open from 200 ms on, and others come as they go. */
static void no_more_connections_than_flows_whatever_the_rate(void **state)
{
    (void)state;
    struct scene *scene = begin(
        (struct scene){.pause_ns = S},
        (struct peer_soak_config){
            .flows = 5, .connect_rate = 20, .requests_per_connection = 1, .duration_ns = 3 * S});
    run_to(scene, S);
    assert_int_equal(scene->syns.count, 5);
    assert_steady(&scene->syns, 0, 50 * MS);
    finish(scene);
    assert_int_equal(scene->soaking.report.open_most, 5);
    assert_in_range(scene->syns.count, 10, 15);
    end_of(scene);
}

static void a_connection_carries_so_many_requests(void **state)
{
    (void)state;
    for (uint64_t each = 1; each <= 4; each++) {
        struct scene *scene =
            begin((struct scene){0},
                  (struct peer_soak_config){.total = 12, .requests_per_connection = each});
        finish(scene);
        assert_int_equal(scene->syns.count, 12 / each);
        soaking_assert_counts(&scene->soaking, 12, 12, 0);
        end_of(scene);
    }
}

static void thinking_takes_its_time(void **state)
{
    (void)state;
    struct scene *scene =
        begin((struct scene){0}, (struct peer_soak_config){.think_ns = 100 * MS, .duration_ns = S});
    finish(scene);
    assert_int_equal(scene->asks.count, 10); /* 2 .. 920 ms */
    assert_steady(&scene->asks, 2 * MS, 102 * MS);
    end_of(scene);
}

/* ---- time-outs ---- */

/* Each is of its own flow: three that began 100 ms apart end so. */
static void a_handshake_has_so_much_time(void **state)
{
    (void)state;
    struct scene *scene =
        begin((struct scene){.deaf_ns = {{0, 60 * S}}},
              (struct peer_soak_config){
                  .flows = 3, .total = 3, .ramp_ns = 300 * MS, .timeout_ns = 500 * MS});
    for (uint64_t i = 0; i < 3; i++) {
        struct peer_soak_counts counts;
        uint64_t open;
        run_to(scene, (500 + i * 100) * MS - 1);
        peer_soak_get_counts(scene->soaking.soak, &counts, &open);
        assert_int_equal(counts.timeout, i);
        run_to(scene, (500 + i * 100) * MS);
        peer_soak_get_counts(scene->soaking.soak, &counts, &open);
        assert_int_equal(counts.timeout, i + 1);
    }
    assert_true(peer_soak_is_over(scene->soaking.soak));
    finish(scene);
    soaking_assert_counts(&scene->soaking, 0, 0, 3);
    end_of(scene);
}

/* What waited in vain is reset, and another takes its place at once. */
static void an_answer_has_so_much_time(void **state)
{
    (void)state;
    struct scene *scene =
        begin((struct scene){.silent = true},
              (struct peer_soak_config){.timeout_ns = 100 * MS, .duration_ns = S});
    finish(scene);
    assert_int_equal(now_ns(scene), 1020 * MS); /* that of 920 ms had its time too */
    assert_int_equal(scene->asks.count, 10);
    assert_steady(&scene->syns, 0, 102 * MS);
    assert_steady(&scene->asks, 2 * MS, 102 * MS);
    assert_int_equal(scene->resets.count, 10);
    soaking_assert_counts(&scene->soaking, 10, 0, 10);
    assert_int_equal(scene->soaking.counts.timeout, 10);
    end_of(scene);
}

/* ---- back-off ---- */

static uint64_t backoff_ns(size_t failures)
{
    return MIN((UINT64_C(5) << MIN(failures, (size_t)20)) * MS, S);
}

/* All flows fail in the same round and are tried again in the next: 5, 10, .. 640 ms and a second
   later. */
static void what_is_refused_is_asked_again_later_and_later(void **state)
{
    static const uint64_t flows[] = {1, 20};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        struct scene *scene = begin(
            (struct scene){0},
            (struct peer_soak_config){.to_port = 81, .flows = flows[i], .duration_ns = 5 * S});
        uint64_t at_ns = 0;
        finish(scene);
        assert_int_equal(scene->syns.count % flows[i], 0);
        size_t rounds = scene->syns.count / flows[i];
        assert_in_range(rounds, 11, 13);
        for (size_t round = 0; round < rounds; round++) {
            for (size_t j = 0; j < flows[i]; j++)
                assert_int_equal(scene->syns.at_ns[round * flows[i] + j], at_ns);
            at_ns += 2 * MS + backoff_ns(round);
        }
        assert_true(at_ns >= 5 * S); /* the next would have been behind the end */
        assert_int_equal(scene->soaking.counts.refused, scene->syns.count);
        end_of(scene);
    }
}

/* Nobody hears for 400 ms, and again from 700 ms on; in between all goes well. */
static void a_success_ends_the_waiting(void **state)
{
    (void)state;
    struct scene *scene =
        begin((struct scene){.deaf_ns = {{0, 400 * MS}, {700 * MS, 1100 * MS}}},
              (struct peer_soak_config){
                  .requests_per_connection = 1, .timeout_ns = 50 * MS, .duration_ns = 1100 * MS});
    size_t at = 0;

    finish(scene);
    for (size_t window = 0; window < 2; window++) {
        while (scene->syns.at_ns[at] < scene->deaf_ns[window][0])
            at++;
        for (size_t failures = 0;
             scene->syns.at_ns[at + 1] < scene->deaf_ns[window][1] && at + 1 < scene->syns.count;
             failures++, at++)
            assert_int_equal(scene->syns.at_ns[at + 1] - scene->syns.at_ns[at],
                             50 * MS + backoff_ns(failures));
    }
    assert_in_range(scene->soaking.counts.timeout, 9, 11);
    assert_true(scene->soaking.counts.completed > 20);
    end_of(scene);
}

/* ---- the end ---- */

static void nothing_is_asked_at_the_end_or_later(void **state)
{
    static const double rates[] = {0, 100};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        struct scene *scene =
            begin((struct scene){.pause_ns = 3 * MS},
                  (struct peer_soak_config){.flows = 4, .rate = rates[i], .duration_ns = 500 * MS});
        finish(scene);
        assert_in_range(scene->asks.at_ns[scene->asks.count - 1], 480 * MS, 500 * MS - 1);
        assert_in_range(now_ns(scene), 500 * MS, 505 * MS);
        assert_int_equal(scene->fins.count, 4);
        assert_int_equal(scene->resets.count, 0);
        soaking_assert_counts(&scene->soaking, scene->asks.count, scene->asks.count, 0);
        end_of(scene);
    }
}

static void idle_connections_are_held_to_the_end(void **state)
{
    (void)state;
    for (int resets = 0; resets < 2; resets++) {
        struct scene *scene = begin(
            (struct scene){0},
            (struct peer_soak_config){
                .protocol = "idle", .flows = 30, .close_with_reset = resets, .duration_ns = 2 * S});
        finish(scene);
        const struct times *ends = resets ? &scene->resets : &scene->fins;
        assert_int_equal(ends->count, 30);
        assert_steady(ends, 2 * S, 0);
        assert_int_equal((resets ? &scene->fins : &scene->resets)->count, 0);
        assert_int_equal(scene->syns.count, 30);
        end_of(scene);
    }
}

static void intervals_are_as_long_as_was_asked_for(void **state)
{
    (void)state;
    struct scene *scene =
        begin((struct scene){0},
              (struct peer_soak_config){
                  .flows = 10, .rate = 100, .interval_ns = 250 * MS, .duration_ns = S});
    struct peer_soak_interval interval;

    finish(scene);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(peer_soak_pop_interval(scene->soaking.soak, &interval), 1);
        assert_int_equal(interval.start_ns, i * 250 * MS);
        assert_int_equal(interval.length_ns, 250 * MS);
        assert_int_equal(interval.counts.requests, 25);
        assert_int_equal(interval.open, 10);
    }
    end_of(scene);
}

/* ---- stop ---- */

/* What is under way is answered 50 ms after it was asked. */
static struct scene *begin_and_stop(struct scene like, struct peer_soak_config config,
                                    uint64_t at_ns, uint64_t grace_ns)
{
    struct scene *scene = begin(like, config);

    run_to(scene, at_ns);
    peer_soak_stop(scene->soaking.soak, grace_ns);
    return scene;
}

static const struct scene slow = {.pause_ns = 50 * MS};

static void what_is_under_way_at_a_stop_may_end(void **state)
{
    const struct peer_soak_config config = {.flows = 4, .duration_ns = 10 * S};

    (void)state;
    struct scene *scene = begin_and_stop(slow, config, 120 * MS, S);
    assert_false(peer_soak_is_over(scene->soaking.soak));
    finish(scene); /* asked at 2, 54 and 106 ms */
    assert_int_equal(now_ns(scene), 158 * MS);
    soaking_assert_counts(&scene->soaking, 12, 12, 0);
    assert_int_equal(scene->soaking.report.duration_ns, 120 * MS);
    assert_int_equal(scene->soaking.report.in_time.completed, 8);
    assert_int_equal(scene->fins.count, 4);
    assert_int_equal(scene->resets.count, 0);
    end_of(scene);
}

static void a_stop_waits_no_longer_than_it_may(void **state)
{
    const struct peer_soak_config config = {.flows = 4, .duration_ns = 10 * S};

    (void)state;
    struct scene *scene = begin_and_stop(slow, config, 120 * MS, 10 * MS);
    finish(scene);
    assert_int_equal(now_ns(scene), 130 * MS);
    assert_int_equal(scene->asks.count, 12);
    assert_int_equal(scene->soaking.counts.completed, 8);
    end_of(scene);

    scene = begin_and_stop(slow, config, 120 * MS, 0);
    assert_true(peer_soak_is_over(scene->soaking.soak)); /* at once */
    finish(scene);
    assert_int_equal(scene->soaking.counts.completed, 8);
    end_of(scene);
}

static void a_second_stop_may_be_more_impatient(void **state)
{
    const struct peer_soak_config config = {.flows = 4, .duration_ns = 10 * S};

    (void)state;
    struct scene *scene = begin_and_stop(slow, config, 120 * MS, 10 * S);
    run_to(scene, 125 * MS);
    peer_soak_stop(scene->soaking.soak, 0);
    assert_true(peer_soak_is_over(scene->soaking.soak));
    finish(scene);
    assert_int_equal(scene->soaking.report.duration_ns, 120 * MS); /* of the first */
    end_of(scene);
}

static void a_stop_ends_a_ramp(void **state)
{
    const struct peer_soak_config config = {.flows = 10, .ramp_ns = S, .think_ns = 10 * MS};

    (void)state;
    struct scene *scene = begin_and_stop((struct scene){0}, config, 550 * MS, S);
    finish(scene);
    assert_int_equal(scene->syns.count, 6);
    simnet_run_for(scene->soaking.net, 2 * S);
    assert_int_equal(scene->syns.count, 6);
    end_of(scene);
}

static void a_stop_waits_for_no_handshake(void **state)
{
    const struct scene deaf = {.deaf_ns = {{0, 60 * S}}};
    const struct peer_soak_config config = {.flows = 10, .duration_ns = 10 * S};

    (void)state;
    struct scene *scene = begin_and_stop(deaf, config, 100 * MS, S);
    assert_true(peer_soak_is_over(scene->soaking.soak));
    finish(scene);
    soaking_assert_counts(&scene->soaking, 0, 0, 0); /* none of them failed */
    end_of(scene);
}

/* 100 a second were wanted and 20 come about: those of the time to the stop are missing, no others. */
static void what_is_behind_at_a_stop_stays_so(void **state)
{
    const struct peer_soak_config config = {.rate = 100, .duration_ns = 10 * S};

    (void)state;
    struct scene *scene = begin_and_stop(slow, config, 495 * MS, S);
    finish(scene);
    assert_int_equal(scene->asks.count, 10); /* 2, 54, .. 470 ms */
    assert_int_equal(scene->soaking.report.behind, 40);
    simnet_run_for(scene->soaking.net, 2 * S);
    soaking_look(&scene->soaking);
    assert_int_equal(scene->soaking.report.behind, 40);
    end_of(scene);
}

static void a_stop_in_the_warm_up_has_measured_nothing(void **state)
{
    const struct peer_soak_config config = {.flows = 4, .warmup_ns = S, .duration_ns = S};

    (void)state;
    struct scene *scene = begin_and_stop(slow, config, 500 * MS, S);
    finish(scene);
    assert_true(scene->asks.count >= 36);
    assert_int_equal(scene->soaking.counts.completed, 0);
    assert_int_equal(scene->soaking.counts.requests, 0);
    end_of(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stop_in_the_warm_up_has_measured_nothing),
        TEST(a_ramp_opens_one_after_the_other),
        TEST(connections_come_at_their_rate),
        TEST(no_more_connections_than_flows_whatever_the_rate),
        TEST(a_connection_carries_so_many_requests),
        TEST(thinking_takes_its_time),
        TEST(a_handshake_has_so_much_time),
        TEST(an_answer_has_so_much_time),
        TEST(what_is_refused_is_asked_again_later_and_later),
        TEST(a_success_ends_the_waiting),
        TEST(nothing_is_asked_at_the_end_or_later),
        TEST(idle_connections_are_held_to_the_end),
        TEST(intervals_are_as_long_as_was_asked_for),
        TEST(what_is_under_way_at_a_stop_may_end),
        TEST(a_stop_waits_no_longer_than_it_may),
        TEST(a_second_stop_may_be_more_impatient),
        TEST(a_stop_ends_a_ramp),
        TEST(a_stop_waits_for_no_handshake),
        TEST(what_is_behind_at_a_stop_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
