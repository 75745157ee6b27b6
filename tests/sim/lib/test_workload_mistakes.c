/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What callers do wrong in workloads of their own is an error, whatever it is.
 */
#include "soak_lines.h"

#include "base/rng.h"

/* ---- before it starts ---- */

static void no_take(struct peer_workload *workload)
{
    workload->take = NULL;
}
static void no_ask(struct peer_workload *workload)
{
    workload->ask = NULL;
}
static void no_kind(struct peer_workload *workload)
{
    workload->kind = (enum peer_workload_kind)7;
}
static void no_size(struct peer_workload *workload)
{
    workload->size = 0;
}
static void too_large(struct peer_workload *workload)
{
    workload->size = SIZE_MAX;
}
static void too_many(struct peer_workload *workload)
{
    workload->at_once = 65536;
}
static void too_much(struct peer_workload *workload)
{
    workload->client_bytes = SIZE_MAX;
}
static void no_rate(struct peer_workload *workload)
{
    workload->needs_rate = true;
}

static void what_does_not_go_together_is_refused_in_words(void **state)
{
    static const struct {
        void (*spoil)(struct peer_workload *workload);
        const char *text;
    } mistakes[] = {
        {no_take, "no hook \"take\""},
        {no_ask, "no hook \"ask\""},
        {no_kind, "7 is no kind"},
        {no_size, "sizeof(struct peer_workload)"},
        {too_large, "sizeof(struct peer_workload)"},
        {too_many, "65535"},
        {too_much, "1 MiB"},
        {no_rate, "needs a rate"},
    };

    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    const struct peer_workload good = scene->workload;
    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        struct peer_error error = {0};
        scene->workload = good;
        mistakes[i].spoil(&scene->workload);
        assert_int_equal(lines_start(scene, (struct peer_soak_config){0}, &error), -EINVAL);
        assert_int_equal(error.code, EINVAL);
        assert_non_null(strstr(error.text, mistakes[i].text));
    }
    scene->workload = good;
    lines_close(scene);
}

static void it_is_custom_or_one_of_the_table(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    struct peer_error error = {0};
    struct peer_soak_config config = {.protocol = PEER_WORKLOAD_CUSTOM};
    assert_int_equal(soaking_start(&scene->soaking, &config, &error), -EINVAL);
    assert_non_null(strstr(error.text, "peer/workload.h"));
    config = (struct peer_soak_config){.protocol = "echo", .workload = &scene->workload};
    assert_int_equal(soaking_start(&scene->soaking, &config, &error), -EINVAL);
    assert_non_null(strstr(error.text, "PEER_WORKLOAD_CUSTOM"));
    lines_close(scene);
}

static void what_a_later_version_knows_is_refused(void **state)
{
    struct {
        struct peer_workload known;
        void *unknown;
    } later = {.unknown = &later};

    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    struct peer_error error = {0};
    later.known = scene->workload;
    later.known.size = sizeof(later);
    const struct peer_soak_config config = {.workload = &later.known, .total = 1};
    assert_int_equal(soaking_start(&scene->soaking, &config, &error), -E2BIG);
    later.unknown = NULL;
    assert_int_equal(soaking_start(&scene->soaking, &config, &error), 0);
    soaking_finish(&scene->soaking, S);
    soaking_assert_counts(&scene->soaking, 1, 1, 0);
    lines_close(scene);
}

/* ---- in hooks ---- */

static struct peer_client *kept_client;

static void wrong_ask(struct scene *scene, struct peer_client *client, uint32_t request)
{
    kept_client = client;
    assert_int_equal(peer_client_done(client, request), -EBUSY);
    assert_int_equal(peer_client_done_status(client, request, 200, true), -EBUSY);
    assert_int_equal(peer_client_lose(client, request, PEER_SOAK_RESET, "no"), -EBUSY);
    assert_int_equal(peer_client_ready(client, 65535), -EBUSY);
    assert_int_equal(peer_client_ready(client, 0), -EINVAL);
    assert_int_equal(peer_client_ready(client, 65536), -EINVAL);
    assert_int_equal(peer_client_send(client, NULL, 1), -EINVAL);
    assert_int_equal(peer_client_send(client, "", 0), 0);
    assert_int_equal(peer_client_send(client, "", SIZE_MAX), -ENOBUFS);
    assert_int_equal(peer_client_ready(NULL, 1), -EINVAL);
    assert_null(peer_client_own(NULL));
    assert_true(peer_client_is_over(NULL));
    assert_int_equal(peer_net_dispatch(scene->soaking.peers), -EBUSY);
    assert_int_equal(peer_net_wait(scene->soaking.peers, 0), -EBUSY);
    assert_int_equal(peer_net_leave(scene->soaking.peers), -EBUSY);
    assert_null(peer_net_free(scene->soaking.peers));
    assert_null(peer_net_abandon(scene->soaking.peers));
}

static void wrong_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene;
    assert_int_equal(peer_client_done(client, request + 1), -ENOENT);
    assert_int_equal(peer_client_done(client, 0), -ENOENT);
    assert_int_equal(peer_client_first_byte(client, 0), -ENOENT);
    assert_int_equal(peer_client_lose(client, request, (enum peer_soak_error)99, "no"), -EINVAL);
    assert_int_equal(peer_client_lose(client, request, PEER_SOAK_RESET, NULL), -EINVAL);
    assert_int_equal(peer_client_fail(client, (enum peer_soak_error)99, "no"), -EINVAL);
    assert_int_equal(peer_client_fail(client, PEER_SOAK_RESET, NULL), -EINVAL);
    assert_int_equal(peer_client_error(client, (enum peer_soak_error)99, "no"), -EINVAL);
    assert_int_equal(peer_client_under_way(client), 1);
    assert_int_equal(peer_client_done(client, request), 0);
    assert_int_equal(peer_client_under_way(client), 0);
    assert_int_equal(peer_client_request(client), 0);
    assert_int_equal(peer_client_done(client, request), -ENOENT); /* twice */
    assert_int_equal(peer_client_lose(client, request, PEER_SOAK_RESET, "no"), -ENOENT);
}

static void a_call_that_makes_no_sense_is_an_error(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.at_ask = wrong_ask, .at_line = wrong_line});
    lines_run(scene, (struct peer_soak_config){.flows = 2, .total = 10});
    soaking_assert_counts(&scene->soaking, 10, 10, 0);
    lines_close(scene);
}

static void outside_ask(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene, (void)request;
    kept_client = client;
}

static void outside_of_hooks_nothing_may_be_done(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.silent = true, .at_ask = outside_ask});
    struct peer_error error = {0};
    assert_int_equal(lines_start(scene, (struct peer_soak_config){.timeout_ns = S}, &error), 0);
    simnet_run_for(scene->soaking.net, 10 * MS);
    assert_int_equal(peer_client_send(kept_client, "1 get\n", 6), -EPERM);
    assert_int_equal(peer_client_done(kept_client, 1), -EPERM);
    assert_int_equal(peer_client_fail(kept_client, PEER_SOAK_RESET, "no"), -EPERM);
    assert_int_equal(peer_client_request(kept_client), 0);
    soaking_finish(&scene->soaking, 60 * S);
    lines_close(scene);
}

static void after_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    struct peer_flow_info info;

    assert_int_equal(peer_client_fail(client, PEER_SOAK_BAD_ANSWER, "no"), 0);
    assert_int_equal(scene->ended, scene->taken);
    assert_int_equal(peer_client_fail(client, PEER_SOAK_BAD_ANSWER, "no"), -ESHUTDOWN);
    assert_int_equal(peer_client_done(client, request), -ESHUTDOWN);
    assert_int_equal(peer_client_send(client, "1 get\n", 6), -ESHUTDOWN);
    assert_int_equal(peer_client_ready(client, 4), -ESHUTDOWN);
    assert_int_equal(peer_client_end_after(client), -ESHUTDOWN);
    assert_int_equal(peer_client_get_info(client, &info), -ESHUTDOWN);
    assert_int_equal(peer_client_request(client), 0);
    assert_int_equal(peer_client_room(client), 0);
    assert_true(peer_client_is_over(client));
    assert_ptr_equal(peer_client_user(client), scene); /* this is still known */
    assert_int_equal(((struct lines_client *)peer_client_own(client))->asked, 1);
}

static void a_client_that_has_failed_does_nothing_more(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.at_line = after_line});
    lines_run(scene, (struct peer_soak_config){.total = 5});
    soaking_assert_counts(&scene->soaking, 5, 0, 5);
    lines_close(scene);
}

static size_t take_too_much(struct peer_client *client, const char *data, size_t len)
{
    (void)data;
    (void)peer_client_done(client, peer_client_request(client));
    return len + 1;
}

static void no_more_can_be_used_than_came(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){0});
    scene->workload.take = take_too_much;
    lines_run(scene, (struct peer_soak_config){.total = 5});
    soaking_assert_counts(&scene->soaking, 5, 0, 5);
    assert_non_null(strstr(scene->soaking.report.first_error, "the workload used 6 bytes of 5"));
    lines_close(scene);
}

/* Over UDP the next client stands at once, and would fail at once, and so on. */
static void failing_ask(struct scene *scene, struct peer_client *client, uint32_t request)
{
    (void)scene, (void)request;
    assert_int_equal(peer_client_fail(client, PEER_SOAK_BAD_ANSWER, "cannot ask"), 0);
}

static void clients_that_fail_when_they_ask_come_to_an_end(void **state)
{
    (void)state;
    for (int udp = 0; udp < 2; udp++) {
        struct scene *scene = lines_open((struct scene){.at_ask = failing_ask});
        lines_run(scene, (struct peer_soak_config){.udp = udp, .flows = 5, .duration_ns = S});
        assert_int_equal(peer_soak_errors(&scene->soaking.counts), scene->asked);
        assert_in_range(scene->asked, 100, 10000);
        lines_close(scene);
    }
}

static void stopping_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    peer_soak_stop(scene->soaking.soak, 0);
    assert_int_equal(peer_client_done(client, request), 0);
}

static void freeing_line(struct scene *scene, struct peer_client *client, uint32_t request)
{
    assert_null(peer_soak_free(scene->soaking.soak));
    assert_null(peer_soak_free(scene->soaking.soak)); /* once is enough */
    assert_int_equal(peer_client_done(client, request), 0);
}

static void freeing_end(struct peer_client *client)
{
    struct scene *scene = scene_of(client);

    scene->ended++;
    peer_soak_stop(scene->soaking.soak, S);
    assert_null(peer_soak_free(scene->soaking.soak));
}

static void a_soak_may_be_stopped_and_freed_in_a_hook(void **state)
{
    (void)state;
    struct scene *scene = lines_open((struct scene){.at_line = stopping_line});
    lines_run(scene, (struct peer_soak_config){.flows = 3, .duration_ns = 10 * S});
    assert_in_range(scene->soaking.report.duration_ns, 4 * MS, 5 * MS);
    lines_close(scene);

    for (int in_end = 0; in_end < 2; in_end++) {
        struct peer_error error = {0};
        scene = lines_open((struct scene){.at_line = in_end ? NULL : freeing_line});
        if (in_end)
            scene->workload.ended = freeing_end;
        assert_int_equal(lines_start(scene,
                                     (struct peer_soak_config){.flows = 3,
                                                               .requests_per_connection = 1,
                                                               .duration_ns = 10 * S},
                                     &error), 0);
        simnet_run_for(scene->soaking.net, S);
        assert_true(scene->ended >= 3);
        scene->soaking.soak = NULL;
        scene->soaking.counts.opened = scene->ended;
        lines_close(scene);
    }
}

/* ---- whatever it does ---- */

/* A workload that does anything at any time, right or wrong, to any client that is still there. */
struct chaos {
    struct scene scene; /* first */
    struct rng rng;
    struct peer_client *clients[64];
    size_t count;
    uint64_t calls;
};

static uint64_t dice(struct chaos *chaos, uint64_t sides)
{
    return rng_below(&chaos->rng, sides);
}

static void chaos_know(struct chaos *chaos, struct peer_client *client)
{
    for (size_t i = 0; i < chaos->count; i++) {
        if (chaos->clients[i] == client)
            return;
    }
    if (chaos->count < ARRAY_SIZE(chaos->clients))
        chaos->clients[chaos->count++] = client;
}

static void chaos_do(struct chaos *chaos, struct peer_client *client)
{
    static char bytes[70000];
    uint32_t request = dice(chaos, 3) ? peer_client_request(client) : (uint32_t)dice(chaos, 6);
    enum peer_soak_error kind = (enum peer_soak_error)dice(chaos, PEER_SOAK_ERROR_KINDS + 1);

    chaos->calls++;
    switch (dice(chaos, 14)) {
    case 0:
        (void)peer_client_fail(client, kind, "chaos %d", 1);
        break;
    case 1:
        (void)peer_client_lose(client, request, kind, "chaos");
        break;
    case 2:
        (void)peer_client_error(client, kind, "chaos");
        break;
    case 3:
        (void)peer_client_end_after(client);
        break;
    case 4:
        (void)peer_client_ready(client, (unsigned)dice(chaos, 20));
        break;
    case 5:
        (void)peer_client_send(client, bytes, dice(chaos, sizeof(bytes)));
        break;
    case 6:
        (void)peer_client_first_byte(client, request);
        break;
    case 7:
        (void)peer_client_done_status(client, request, (unsigned)dice(chaos, 1200), dice(chaos, 2));
        break;
    case 8:
        (void)peer_net_dispatch(chaos->scene.soaking.peers);
        break;
    case 9:
        if (dice(chaos, 200) == 0 && chaos->scene.soaking.soak)
            peer_soak_stop(chaos->scene.soaking.soak, dice(chaos, 3) * MS);
        break;
    default:
        (void)peer_client_done(client, request);
    }
}

static void chaos_any(struct peer_client *client)
{
    struct chaos *chaos = peer_client_user(client);

    chaos_know(chaos, client);
    for (uint64_t i = dice(chaos, 4); i; i--)
        chaos_do(chaos, !chaos->count || dice(chaos, 4) ? client
                                                        : chaos->clients[dice(chaos, chaos->count)]);
}

static void chaos_opened(struct peer_client *client)
{
    chaos_any(client);
    (void)peer_client_ready(client, 3);
}

static void chaos_ask(struct peer_client *client, uint32_t request)
{
    char line[32];

    int len = snprintf(line, sizeof(line), "%u get\n", request);
    chaos_any(client);
    (void)peer_client_send(client, line, (size_t)len);
}

static size_t chaos_take(struct peer_client *client, const char *data, size_t len)
{
    struct chaos *chaos = peer_client_user(client);
    size_t sum = 0;

    chaos_any(client);
    for (size_t i = 0; i < len; i++) /* all of it is there, whatever was done */
        sum += (unsigned char)data[i];
    assert_true(sum > 0);
    return dice(chaos, 20) ? dice(chaos, len + 1) : len + dice(chaos, 9);
}

static void chaos_datagram(struct peer_client *client, const void *data, size_t len)
{
    (void)data, (void)len;
    chaos_any(client);
}

static bool chaos_eof(struct peer_client *client)
{
    chaos_any(client);
    return dice(peer_client_user(client), 2);
}

static void chaos_ended(struct peer_client *client)
{
    struct chaos *chaos = peer_client_user(client);

    chaos_any(client);
    for (size_t i = 0; i < chaos->count; i++) {
        if (chaos->clients[i] == client)
            chaos->clients[i--] = chaos->clients[--chaos->count];
    }
}

static const char *chaos_late(struct peer_client *client, uint32_t request)
{
    (void)request;
    chaos_any(client);
    return dice(peer_client_user(client), 2) ? "chaos" : NULL;
}

static struct chaos *chaos_new(uint64_t seed)
{
    struct chaos *chaos = calloc(1, sizeof(*chaos));

    assert_non_null(chaos);
    rng_seed(&chaos->rng, seed);
    chaos->scene = (struct scene){.greets = dice(chaos, 2),
                                  .closes = dice(chaos, 4) == 0,
                                  .resets = dice(chaos, 4) == 0,
                                  .gathers = (unsigned)dice(chaos, 3),
                                  .swallows = (uint32_t)dice(chaos, 6),
                                  .part = dice(chaos, 4)};
    chaos->scene.workload = (struct peer_workload){
        .size = sizeof(struct peer_workload),
        .kind = (enum peer_workload_kind)dice(chaos, 3),
        .unasked = dice(chaos, 2),
        .any_order = dice(chaos, 2),
        .at_once = (unsigned)dice(chaos, 5),
        .client_bytes = dice(chaos, 100),
        .user = chaos,
        .opened = dice(chaos, 2) ? chaos_opened : NULL,
        .ask = chaos_ask,
        .take = chaos_take,
        .datagram = chaos_datagram,
        .writable = dice(chaos, 2) ? chaos_any : NULL,
        .eof = dice(chaos, 2) ? chaos_eof : NULL,
        .ended = chaos_ended,
        .late = dice(chaos, 2) ? chaos_late : NULL,
    };
    return chaos;
}

static void chaos_run(uint64_t seed)
{
    const struct simnet_config net = {.seed = seed};
    struct chaos *chaos = chaos_new(seed);
    struct scene *scene = &chaos->scene;
    const struct end application = {.on_event = lines_serve,
                                    .on_timer = lines_wake,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct lines_server)};
    struct peer_error error = {0};
    struct soaking *soaking = &scene->soaking;
    bool asks = scene->workload.kind == PEER_WORKLOAD_ASKS;
    bool udp = scene->workload.kind != PEER_WORKLOAD_HOLDS && dice(chaos, 3) == 0;
    const struct peer_soak_config config = {.workload = &scene->workload,
                                            .udp = udp,
                                            .flows = 1 + dice(chaos, 8),
                                            .rate = asks && dice(chaos, 2) ? 2000 : 0,
                                            .think_ns = dice(chaos, 3) ? 0 : MS,
                                            .touch = udp ? 0 : dice(chaos, 2),
                                            .timeout_ns = 10 * MS,
                                            .duration_ns = 100 * MS};

    soaking_begin(soaking, &net, &application);
    if (soaking_start(soaking, &config, &error) < 0)
        fail_msg("%s", error.text);
    soaking_finish(soaking, 60 * S);
    soaking_end(soaking);
    assert_int_equal(chaos->count, 0); /* all that were known have heard of their end */
    free(chaos);
}

static void nothing_that_it_does_harms_the_library(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        chaos_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_does_not_go_together_is_refused_in_words),
        TEST(it_is_custom_or_one_of_the_table),
        TEST(what_a_later_version_knows_is_refused),
        TEST(a_call_that_makes_no_sense_is_an_error),
        TEST(outside_of_hooks_nothing_may_be_done),
        TEST(a_client_that_has_failed_does_nothing_more),
        TEST(no_more_can_be_used_than_came),
        TEST(clients_that_fail_when_they_ask_come_to_an_end),
        TEST(a_soak_may_be_stopped_and_freed_in_a_hook),
        TEST(nothing_that_it_does_harms_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
