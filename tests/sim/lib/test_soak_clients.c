/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients of a soak that do not ask and wait like the others: held, touched, with bad manners, with
 * datagrams that nobody answers. Nothing but the wire's 1 ms and the application's pause takes time.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#define MS NS_PER_MS

enum { ACK = 16 };

/* What the application does. */
struct service {
    uint64_t pause_ns; /* before it answers what comes; 0: it never does */
    uint64_t late_ns;  /* the machine that all this runs on is busy */
    bool stays;        /* does not close when the caller does */
    bool resets;       /* who says something, before it is acknowledged */
    bool deaf;         /* nothing comes through */
};

struct scene {
    struct soaking soaking;
    struct service service;
};

static void answer(struct end *end)
{
    (void)flow_write(&end->flow, "hello\n", 6, 0);
}

static void serve(struct end *end, unsigned events)
{
    const struct service *service = &((const struct scene *)end->user)->service;

    if (events & FLOW_READABLE && service->resets) {
        flow_reset(&end->flow);
        return;
    }
    if (events & FLOW_READABLE)
        flow_consume(&end->flow, flow_unread(&end->flow));
    if (events & FLOW_READABLE && service->pause_ns)
        end_wait(end, service->pause_ns);
    if (events & FLOW_EOF && !service->stays)
        flow_close(&end->flow);
}

static unsigned fate_of(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    const struct service *service = &((const struct scene *)user)->service;
    const struct packet *packet = &frame->packet;
    bool acknowledges = packet->kind == PACKET_TCP && packet->src_port == SOAKING_PORT &&
                        packet->tcp_flags == ACK && !packet->payload_len;

    (void)delay_ns;
    return !service->deaf && !(service->resets && acknowledges);
}

static struct scene *run(struct service service, struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct simnet_config net = {.late_ns = service.late_ns, .fate = fate_of, .user = scene};
    const struct end application = {
        .on_event = serve, .on_timer = answer, .drop_when_ended = true, .user = scene};

    assert_non_null(scene);
    scene->service = service;
    soaking_run(&scene->soaking, &net, &application, &config);
    return scene;
}

static const struct peer_soak_report *report_of(const struct scene *scene)
{
    return &scene->soaking.report;
}

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &scene->soaking.counts;
}

static void done(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

/* ---- held ---- */

/* Those that are held are no reason to open fewer, however slowly they come. */
static void a_number_of_idle_connections_is_reached(void **state)
{
    static const struct peer_soak_config configs[] = {
        {.flows = 600, .total = 600}, {.flows = 50, .total = 50, .connect_rate = 100}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
        struct peer_soak_config config = configs[i];
        config.protocol = "idle";
        config.duration_ns = 100 * NS_PER_S;
        struct scene *scene = run((struct service){0}, config);
        assert_int_equal(counts_of(scene)->established, config.total);
        assert_int_equal(counts_of(scene)->requests, config.total);
        assert_true(report_of(scene)->duration_ns < 2 * NS_PER_S);
        done(scene);
    }
}

/* Connections stand for 500 ms until the last one does; what each is told then takes 32 ms to be
 * answered, longer than to be acknowledged. */
static void an_answer_to_a_touch_is_as_late_as_it_is(void **state)
{
    struct peer_soak_config config = {.protocol = "idle",
                                      .flows = 5,
                                      .touch = 5,
                                      .ramp_ns = 500 * MS,
                                      .duration_ns = 2 * NS_PER_S};

    (void)state;
    struct scene *scene = run((struct service){.pause_ns = 30 * MS}, config);
    assert_int_equal(counts_of(scene)->completed, 5);
    assert_int_equal(report_of(scene)->first_byte.count, 5);
    assert_in_range((uint64_t)report_of(scene)->first_byte.min, 31900, 32100);
    assert_in_range((uint64_t)report_of(scene)->first_byte.max, 31900, 32100);
    done(scene);
}

/* A message to a connection that is no more is not waited for. */
static void a_touch_that_ends_a_connection_is_over(void **state)
{
    struct peer_soak_config config = {.protocol = "idle",
                                      .flows = 300,
                                      .total = 300,
                                      .touch = 100,
                                      .duration_ns = 100 * NS_PER_S};

    (void)state;
    struct scene *scene = run((struct service){.resets = true}, config);
    assert_int_equal(counts_of(scene)->requests, 300);
    assert_int_equal(counts_of(scene)->completed, 0);
    assert_int_equal(counts_of(scene)->reset, 100);
    assert_true(report_of(scene)->duration_ns < 2 * NS_PER_S);
    done(scene);
}

/* ---- bad manners ---- */

/* The body was to follow a second later, and each time another connection takes the place of the
 * one that cannot send it. */
static void bodies_that_cannot_follow_are_errors(void **state)
{
    static const char *const headers[] = {"Expect: 100-continue", NULL};
    struct peer_soak_config config = {.flows = 8,
                                      .manners = "half-close:75%",
                                      .headers = headers,
                                      .body = "body",
                                      .body_len = 4,
                                      .duration_ns = 3500 * MS};
    struct peer_soak_manner manner;

    (void)state;
    struct scene *scene = run((struct service){.stays = true}, config);
    assert_int_equal(peer_result_get_manner(scene->soaking.result, 0, &manner), 1);
    assert_int_equal(manner.counts.closed_early, 3 * 6);
    done(scene);
}

/* ---- datagrams ---- */

/* Nothing ran for 20 s: ten million datagrams are due in one turn, and the time is over. */
static void any_number_of_datagrams_may_be_due(void **state)
{
    struct peer_soak_config config = {
        .protocol = "send", .udp = true, .rate = 500e3, .duration_ns = 20 * NS_PER_S};

    (void)state;
    struct scene *scene = run((struct service){.deaf = true, .late_ns = 20 * NS_PER_S}, config);
    const struct peer_soak_report *report = &scene->soaking.report;
    const uint64_t sent = report->counts.requests;
    soaking_assert_counts(&scene->soaking, sent, sent, 0);
    assert_int_equal(sent + report->behind, 10000000);
    done(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_number_of_idle_connections_is_reached),
        TEST(an_answer_to_a_touch_is_as_late_as_it_is),
        TEST(a_touch_that_ends_a_connection_is_over),
        TEST(bodies_that_cannot_follow_are_errors),
        TEST(any_number_of_datagrams_may_be_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
