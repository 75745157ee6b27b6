/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workloads of the caller's own: each hook, over TCP and UDP, to the nanosecond.
 */
#include "soak_lines.h"

static void each_connection_asks_and_is_answered(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    lines_run(scene, (struct peer_soak_config){.flows = 10, .duration_ns = 100 * MS});
    /* From 2 ms on, every 2 ms; answers in order, which take as long. */
    soaking_assert_counts(&scene->soaking, 490, 490, 0);
    assert_int_equal(scene->soaking.counts.opened, 10);
    assert_true(scene->soaking.report.request.p50 > 1998 &&
                scene->soaking.report.request.max < 2002);
    assert_true(scene->soaking.report.first_byte.count == 490);
    lines_close(scene);
}

static void it_has_its_rate(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    lines_run(scene, (struct peer_soak_config){.flows = 4, .rate = 100, .duration_ns = S});
    soaking_assert_counts(&scene->soaking, 100, 100, 0);
    assert_int_equal(scene->heard, 100);
    lines_close(scene);
}

static void a_greeting_comes_before_any_request(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.greets = true, .part = 1});
    lines_run(scene, (struct peer_soak_config){.total = 8, .requests_per_connection = 4});
    soaking_assert_counts(&scene->soaking, 8, 8, 0);
    assert_int_equal(scene->opened, 2);
    assert_in_range(scene->first_ask_ns, 5 * MS, 8 * MS); /* byte by byte */
    lines_close(scene);
}

static void many_are_under_way_and_come_back_in_any_order(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.gathers = 4});
    scene->workload.at_once = 4;
    scene->workload.any_order = true;
    lines_run(scene, (struct peer_soak_config){.flows = 3, .total = 120});
    soaking_assert_counts(&scene->soaking, 120, 120, 0);
    assert_int_equal(scene->soaking.report.first_byte.count, 120);
    lines_close(scene);
}

static void a_request_that_is_late_is_lost_alone(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.swallows = 3});
    scene->workload.at_once = 2;
    scene->workload.any_order = true;
    lines_run(scene, (struct peer_soak_config){.total = 20, .timeout_ns = 100 * MS});
    soaking_assert_counts(&scene->soaking, 20, 19, 1);
    assert_int_equal(scene->soaking.counts.opened, 1);
    assert_string_equal(scene->soaking.report.first_errors[PEER_SOAK_TIMEOUT], "no answer in time");
    lines_close(scene);
}

static const char *late_words(struct peer_client *client, uint32_t request)
{
    assert_int_equal(peer_client_request(client), request);
    assert_int_equal(peer_client_done(client, request), -EPERM); /* it may only look */
    assert_int_equal(peer_client_fail(client, PEER_SOAK_RESET, "late"), -EPERM);
    return "the third was forgotten";
}

static void in_order_it_takes_its_connection_with_it(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.swallows = 3});
    scene->workload.late = late_words;
    lines_run(scene, (struct peer_soak_config){.total = 4, .timeout_ns = 100 * MS});
    soaking_assert_counts(&scene->soaking, 4, 3, 1);
    assert_int_equal(scene->soaking.counts.opened, 2);
    assert_string_equal(scene->soaking.report.first_error, "the third was forgotten");
    lines_close(scene);
}

/* A byte each millisecond: the hook has the line when all of it came. */
static void what_is_not_used_comes_again_in_one_piece(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.part = 1});
    lines_run(scene, (struct peer_soak_config){.total = 10});
    soaking_assert_counts(&scene->soaking, 10, 10, 0);
    assert_int_equal(scene->taken, 10);
    assert_int_equal(scene->soaking.counts.bytes_received, 9 * 5 + 6);
    lines_close(scene);
}

static void bytes_behind_the_answer_make_it_wrong(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.answer = " ok\nmore\n"});
    lines_run(scene, (struct peer_soak_config){.total = 3});
    soaking_assert_counts(&scene->soaking, 3, 0, 3);
    assert_string_equal(scene->soaking.report.first_errors[PEER_SOAK_BAD_ANSWER],
                        "bytes follow the end of the answer");
    assert_int_equal(scene->soaking.counts.opened, 3);
    lines_close(scene);
}

/* ---- ends ---- */

static bool eof_is_right(struct peer_client *client)
{
    (void)peer_client_end_after(client);
    assert_int_equal(peer_client_done(client, peer_client_request(client)), 0);
    return true;
}

static void answers_may_end_with_the_connection(void **state)
{
    (void)state;
    for (int right = 0; right < 2; right++) {
        struct scene *scene = lines_open((struct scene){.closes = true, .answer = " ok"});
        if (right)
            scene->workload.eof = eof_is_right;
        lines_run(scene, (struct peer_soak_config){.total = 5});
        soaking_assert_counts(&scene->soaking, 5, right ? 5 : 0, right ? 0 : 5);
        assert_int_equal(scene->soaking.counts.closed_early, right ? 0 : 5);
        lines_close(scene);
    }
}

static void status_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene;
    assert_int_equal(peer_client_done_status(client, request, request % 2 ? 200 : 503,
                                             request % 2 != 0), 0);
}

static void statuses_are_counted(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.at_line = status_line});
    lines_run(scene, (struct peer_soak_config){.total = 10});
    assert_int_equal(scene->soaking.counts.statuses[2], 5);
    assert_int_equal(scene->soaking.counts.statuses[5], 5);
    assert_int_equal(scene->soaking.counts.unexpected_status, 5);
    assert_int_equal(peer_result_get_status(scene->soaking.result, 503), 5);
    lines_close(scene);
}

static void losing_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene;
    assert_int_equal(
        peer_client_lose(client, request, PEER_SOAK_BAD_ANSWER, "number %u is bad", request), 0);
}

static void failing_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene, (void)request;
    assert_int_equal(peer_client_fail(client, PEER_SOAK_RESET, "enough of %s", "this"), 0);
    assert_true(peer_client_is_over(client));
}

static void errors_have_its_words(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.at_line = losing_line});
    lines_run(scene, (struct peer_soak_config){.total = 4});
    soaking_assert_counts(&scene->soaking, 4, 0, 4);
    assert_int_equal(scene->soaking.counts.opened, 1); /* it goes on */
    assert_string_equal(scene->soaking.report.first_error, "number 1 is bad");
    lines_close(scene);

    scene = lines_open((struct scene){.at_line = failing_line});
    lines_run(scene, (struct peer_soak_config){.total = 4});
    soaking_assert_counts(&scene->soaking, 4, 0, 4);
    assert_int_equal(scene->soaking.counts.opened, 4);
    assert_int_equal(scene->soaking.counts.reset, 4);
    assert_memory_equal(scene->soaking.report.first_error, "enough of this", 14);
    lines_close(scene);
}

/* ---- UDP ---- */

static void datagrams_are_answered_or_lost(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.swallows = 5});
    lines_run(scene, (struct peer_soak_config){
                         .udp = true, .flows = 2, .total = 40, .timeout_ns = 50 * MS});
    soaking_assert_counts(&scene->soaking, 40, 38, 2);
    assert_int_equal(scene->soaking.counts.timeout, 2);
    assert_int_equal(scene->taken, 38);
    lines_close(scene);
}

static void done_at_once(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene;
    assert_int_equal(peer_client_done(client, request), 0);
}

static void with_a_rate_nothing_need_be_awaited(void **state)
{
    (void)state;
    for (int udp = 0; udp < 2; udp++) {
        struct scene *scene = lines_open((struct scene){.silent = true, .at_ask = done_at_once});
        scene->workload.needs_rate = true;
        lines_run(scene, (struct peer_soak_config){
                             .udp = udp, .flows = 2, .rate = 10000, .duration_ns = 100 * MS});
        soaking_assert_counts(&scene->soaking, 1000, 1000, 0);
        simnet_run_for(scene->soaking.net, 10 * MS);
        assert_int_equal(scene->heard, 1000);
        lines_close(scene);
    }
}

/* ---- streams, and connections that are held ---- */

static void send_on(struct peer_client *client)
{
    static const char bytes[4096];

    for (size_t room; (room = peer_client_room(client)) > 0;)
        assert_int_equal(peer_client_send(client, bytes, MIN(room, sizeof(bytes))), 0);
    scene_of(client)->waked++;
}

static void stream_ask(struct peer_client *client, uint32_t request)
{
    assert_int_equal(request, 1);
    send_on(client);
}

static void a_stream_goes_on_to_the_end(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.silent = true});
    scene->workload.kind = PEER_WORKLOAD_STREAMS;
    scene->workload.ask = stream_ask;
    scene->workload.writable = send_on;
    scene->workload.take = NULL;
    scene->workload.client_bytes = 0;
    struct peer_error error = {0};
    /* The server of this one takes all. */
    assert_int_equal(lines_start(scene, (struct peer_soak_config){.flows = 2, .to_port = 9,
                                                                  .duration_ns = 100 * MS}, &error), 0);
    simnet_listen(scene->soaking.net, IPPROTO_TCP, 9, NULL);
    soaking_finish(&scene->soaking, 10 * S);
    assert_true(scene->soaking.counts.bytes_sent > 1000 * 1000);
    assert_int_equal(peer_soak_errors(&scene->soaking.counts), 0);
    assert_true(scene->waked > 10);
    lines_close(scene);
}

static void hold_ask(struct peer_client *client, uint32_t request)
{
    assert_int_equal(request, 0);
    assert_int_equal(peer_client_done(client, request), -ENOENT);
    assert_int_equal(peer_client_send(client, "hey", 3), 0);
}

static void connections_are_held_and_touched(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.silent = true});
    scene->workload.kind = PEER_WORKLOAD_HOLDS;
    scene->workload.ask = hold_ask;
    scene->workload.client_bytes = 0;
    lines_run(scene, (struct peer_soak_config){.flows = 20, .touch = 20, .duration_ns = S});
    assert_int_equal(scene->soaking.counts.opened, 20);
    assert_int_equal(scene->soaking.counts.bytes_sent, 60);
    assert_int_equal(scene->soaking.report.request.count, 20); /* acknowledged */
    assert_int_equal(peer_soak_errors(&scene->soaking.counts), 0);
    lines_close(scene);
}

/* ---- sending ---- */

enum { LONG = 8 << 20 };

static void long_ask(struct peer_client *client, uint32_t request)
{
    static char bytes[LONG];

    memset(bytes, 'x', sizeof(bytes));
    assert_true(peer_client_room(client) < sizeof(bytes));
    assert_int_equal(peer_client_send(client, bytes, sizeof(bytes) - 1), 0);
    bytes[0] = '\n'; /* they were copied */
    assert_int_equal(peer_client_send(client, bytes, 1), 0);
    assert_int_equal(peer_client_room(client), 0);
    (void)request;
}

/* Its server: all of it, in order, then a line. */
static void long_serve(struct end *end, unsigned events)
{
    struct iovec iov;

    while (events & FLOW_READABLE && flow_peek(&end->flow, &iov, 1) > 0) {
        const char *bytes = iov.iov_base;
        end->received += iov.iov_len;
        assert_int_equal(bytes[iov.iov_len - 1], end->received == LONG ? '\n' : 'x');
        flow_consume(&end->flow, iov.iov_len);
    }
    if (end->received == LONG && !end->sent++)
        assert_int_equal(flow_write(&end->flow, "1 ok\n", 5, 0), 5);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static void what_there_is_no_room_for_follows(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    const struct end server = {.on_event = long_serve, .drop_when_ended = true};
    scene->workload.ask = long_ask;
    simnet_listen(scene->soaking.net, IPPROTO_TCP, 7, &server);
    lines_run(scene, (struct peer_soak_config){
                         .to_port = 7, .total = 1, .timeout_ns = 60 * S});
    soaking_assert_counts(&scene->soaking, 1, 1, 0);
    assert_int_equal(scene->soaking.counts.bytes_sent, LONG);
    lines_close(scene);
}

static void info_ask(struct peer_client *client, uint32_t request)
{
    struct peer_flow_info info;

    assert_int_equal(peer_client_get_info(client, &info), 0);
    assert_int_equal(info.to_port, SOAKING_PORT);
    assert_int_equal(info.from.family, 4);
    assert_int_equal(peer_client_under_way(client), 1);
    assert_int_equal((uintptr_t)peer_client_own(client) % 16, 0);
    lines_ask(client, request);
}

static void a_client_knows_who_it_is(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    scene->workload.ask = info_ask;
    lines_run(scene, (struct peer_soak_config){.flows = 3, .total = 9});
    soaking_assert_counts(&scene->soaking, 9, 9, 0);
    lines_close(scene);
}

/* ---- with all that a soak has ---- */

static void it_misbehaves_like_others(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    struct peer_soak_manner manner;
    lines_run(scene, (struct peer_soak_config){
                         .flows = 10, .duration_ns = S, .manners = "vanish:20%@100ms"});
    assert_int_equal(peer_result_get_manner(scene->soaking.result, 0, &manner), 1);
    assert_int_equal(manner.flows, 2);
    assert_int_equal(manner.begun, 2);
    assert_int_equal(peer_soak_errors(&scene->soaking.counts), 0);
    scene->soaking.counts.opened += manner.counts.opened;
    lines_close(scene);
}

static void an_older_program_knows_less_of_it(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    scene->workload.size = offsetof(struct peer_workload, datagram);
    lines_run(scene, (struct peer_soak_config){.total = 5});
    soaking_assert_counts(&scene->soaking, 5, 5, 0);
    assert_int_equal(scene->ended, 0); /* the library did not look there */
    scene->ended = 1;
    lines_close(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_connection_asks_and_is_answered),
        TEST(it_has_its_rate),
        TEST(a_greeting_comes_before_any_request),
        TEST(many_are_under_way_and_come_back_in_any_order),
        TEST(a_request_that_is_late_is_lost_alone),
        TEST(in_order_it_takes_its_connection_with_it),
        TEST(what_is_not_used_comes_again_in_one_piece),
        TEST(bytes_behind_the_answer_make_it_wrong),
        TEST(answers_may_end_with_the_connection),
        TEST(statuses_are_counted),
        TEST(errors_have_its_words),
        TEST(datagrams_are_answered_or_lost),
        TEST(with_a_rate_nothing_need_be_awaited),
        TEST(a_stream_goes_on_to_the_end),
        TEST(connections_are_held_and_touched),
        TEST(what_there_is_no_room_for_follows),
        TEST(a_client_knows_who_it_is),
        TEST(it_misbehaves_like_others),
        TEST(an_older_program_knows_less_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
