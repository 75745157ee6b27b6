/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Relays in virtual time: flows of the public API joined to sockets of this process. The application
 * is an end of the simulated network; the test is who writes into `in` and reads from `out`.
 */
#include "support/simtest.h"

#include "lib/internal.h"
#include "relay/relay.h"
#include "support/simnet_inside.h" /* for what ends send */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7, ROOM = 64 * 1024, RELAYS_MAX = 3 };
#define S NS_PER_S

struct scene {
    struct simnet *sim;
    struct peer_net *net; /* of the public API, around the simulated engine */
    struct source *in;
    struct sink out;
    int in_far, out_far; /* the test's ends */
    struct relay *relays[RELAYS_MAX];
    struct end *ends[RELAYS_MAX]; /* of the application */
    int count;
    uint64_t to_write, written, read; /* by the test */
    bool reads;                       /* the test takes what comes out */
    uint64_t phase;                   /* where in the pattern that begins */
    bool differs;                     /* it was something else */
    int status;                       /* of the last relay_move that failed */
};

/* ---- the scene ---- */

static struct scene *scene_new(const struct end *application, bool shuts)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .offload = true};
    struct scene *scene = calloc(1, sizeof(*scene));
    int in[2], out[2];

    assert_non_null(scene);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, in), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, out), 0);
    scene->sim = simnet_new(&config);
    scene->net = calloc(1, sizeof(*scene->net));
    assert_non_null(scene->net);
    scene->net->engine = simnet_engine(scene->sim);
    list_init(&scene->net->pending);
    list_init(&scene->net->pings);
    list_init(&scene->net->sent_pings);
    list_init(&scene->net->listeners);
    list_init(&scene->net->handles);
    assert_int_equal(addr_set_parse("198.18.0.2", &scene->net->attachment.peers, NULL), 0);
    scene->in = source_new(in[0], ROOM, ROOM);
    assert_non_null(scene->in);
    scene->out = (struct sink){.fd = out[0], .shuts = shuts};
    scene->in_far = in[1];
    scene->out_far = out[1];
    scene->reads = true;
    scene->phase = PHASE_OF_SERVERS;
    assert_non_null(simnet_listen(scene->sim, IPPROTO_TCP, PORT, application));
    assert_non_null(simnet_listen(scene->sim, IPPROTO_UDP, PORT, application));
    return scene;
}

static void scene_end(struct scene *scene)
{
    for (int i = 0; i < scene->count; i++) {
        relay_free(scene->relays[i]);
        if (scene->ends[i])
            end_free(scene->ends[i]);
    }
    simnet_run_for(scene->sim, S);
    simnet_end(scene->sim);
    close(scene->in->fd);
    close(scene->out.fd);
    if (scene->in_far >= 0)
        close(scene->in_far);
    if (scene->out_far >= 0)
        close(scene->out_far);
    source_free(scene->in);
    addr_set_done(&scene->net->attachment.peers);
    free(scene->net);
    free(scene);
}

/* What the loop of a command does. */

static void take_events(struct scene *scene)
{
    struct peer_event event;

    while (peer_net_pop_event(scene->net, &event))
        relay_take(peer_flow_user(event.flow), &event);
}

static bool in_wanted(const struct scene *scene)
{
    bool taken = false;

    for (int i = 0; i < scene->count; i++) {
        const struct relay_state *state = relay_state(scene->relays[i]);
        taken |= state->connected && !state->ended;
    }
    return taken && scene->in->behind == 0 && !scene->in->eof;
}

static void read_in(struct scene *scene)
{
    struct pollfd fd = {.fd = scene->in->fd, .events = POLLIN};

    if (!in_wanted(scene) || poll(&fd, 1, 0) != 1 || source_read(scene->in) != 0)
        return;
    for (int i = 0; i < scene->count; i++)
        relay_end_in(scene->relays[i]);
}

static const uint8_t *pattern_at(const struct scene *scene, uint64_t at)
{
    return simnet_pattern(scene->sim) + at % PATTERN_PRIME;
}

static void write_far(struct scene *scene)
{
    while (scene->written < scene->to_write) {
        size_t len = MIN((size_t)PATTERN_PRIME, (size_t)(scene->to_write - scene->written));
        ssize_t done = write(scene->in_far, pattern_at(scene, scene->written), len);
        if (done <= 0)
            return;
        scene->written += (uint64_t)done;
    }
}

static void read_far(struct scene *scene)
{
    uint8_t bytes[65536];
    ssize_t len;

    while (scene->reads && (len = read(scene->out_far, bytes, sizeof(bytes))) > 0) {
        scene->differs |=
            memcmp(bytes, pattern_at(scene, scene->read + scene->phase), (size_t)len) != 0;
        scene->read += (uint64_t)len;
    }
}

/* One turn of the loop, and of the test's. */
static void turn(struct scene *scene)
{
    write_far(scene);
    take_events(scene);
    read_in(scene);
    for (int i = 0; i < scene->count; i++) {
        int status = relay_move(scene->relays[i]);
        if (status < 0)
            scene->status = status;
    }
    take_events(scene);
    read_far(scene);
}

/* Turns as long as they move something, as poll(2) would bring them about. */
static void turns(struct scene *scene)
{
    uint64_t before, after = 0;

    do {
        before = after;
        turn(scene);
        after = scene->written + scene->read;
        for (int i = 0; i < scene->count; i++)
            after += relay_state(scene->relays[i])->sent + relay_state(scene->relays[i])->received;
    } while (after != before);
    simnet_run_for(scene->sim, 0); /* what was sent leaves */
}

static bool run(struct scene *scene, bool (*enough)(const struct scene *scene), uint64_t ns)
{
    uint64_t deadline_ns = simnet_now_ns(scene->sim) + ns;

    for (;;) {
        turns(scene);
        if (enough && enough(scene))
            return true;
        uint64_t now_ns = simnet_now_ns(scene->sim), next_ns = simnet_next_ns(scene->sim);
        if (now_ns >= deadline_ns)
            return false;
        simnet_run_for(scene->sim, MIN(MAX(next_ns, now_ns), deadline_ns) - now_ns);
    }
}

static void run_until(struct scene *scene, bool (*enough)(const struct scene *scene))
{
    if (!run(scene, enough, 600 * S))
        fail_msg("it did not come to that: %llu written, %llu read, %llu sent, %llu received",
                 (unsigned long long)scene->written, (unsigned long long)scene->read,
                 (unsigned long long)relay_state(scene->relays[0])->sent,
                 (unsigned long long)relay_state(scene->relays[0])->received);
}

static void run_for(struct scene *scene, uint64_t ns)
{
    (void)run(scene, NULL, ns);
}

static bool last_is_open(const struct scene *scene)
{
    const struct end *end = scene->ends[scene->count - 1];

    return end && relay_state(scene->relays[scene->count - 1])->connected;
}

static bool last_is_called(const struct scene *scene)
{
    struct scene *mine = (struct scene *)(uintptr_t)scene;
    struct end *accepted = simnet_accepted(scene->sim);

    for (int i = 0; i < scene->count - 1; i++) {
        if (scene->ends[i] == accepted)
            return false;
    }
    mine->ends[scene->count - 1] = accepted;
    return accepted && last_is_open(scene);
}

static struct relay *call(struct scene *scene, bool udp)
{
    struct peer_connect_config config = {
        .udp = udp, .to = simnet_addr("198.18.0.3"), .to_port = PORT};
    struct relay_config relay = {
        .net = scene->net, .in = scene->in, .out = &scene->out, .connected = udp};

    assert_int_equal(peer_connect(scene->net, &config, &relay.flow, NULL), 0);
    struct relay *made = relay_new(&relay);
    assert_non_null(made);
    peer_flow_set_user(relay.flow, made);
    scene->relays[scene->count++] = made;
    if (!udp)
        run_until(scene, last_is_called);
    return made;
}

static bool is_over(const struct scene *scene)
{
    return relay_state(scene->relays[0])->over;
}

static bool all_read(const struct scene *scene)
{
    return scene->read == scene->to_write;
}

static size_t unread_in(const struct scene *scene)
{
    int len = 0;

    assert_int_equal(ioctl(scene->in->fd, FIONREAD, &len), 0);
    return (size_t)len;
}

static void close_in(struct scene *scene)
{
    close(scene->in_far);
    scene->in_far = -1;
}

/* Has the end of `out` come through? */
static bool out_has_ended(struct scene *scene)
{
    char byte;

    return read(scene->out_far, &byte, 1) == 0;
}

/* ---- tests ---- */

static void bytes_go_both_ways_and_so_do_the_ends(void **state)
{
    (void)state;
    struct end echo = {.echo = true, .close_when_done = true};
    struct scene *scene = scene_new(&echo, true);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->to_write = 8 << 20;
    run_until(scene, all_read);
    assert_false(scene->differs || scene->ends[0]->wrong);
    assert_false(relay->eof || relay->ended || relay->over);
    assert_int_equal(relay->sent, scene->to_write);
    assert_int_equal(relay->received, scene->to_write);
    close_in(scene);
    run_until(scene, is_over);
    assert_int_equal(relay->end, PEER_END_CLOSED);
    assert_true(out_has_ended(scene));
    scene_end(scene);
}

static void our_end_comes_first_and_the_rest_is_still_written(void **state)
{
    (void)state;
    struct end application = {.read_most = SIZE_MAX, .echo = true, .close_when_done = true};
    struct scene *scene = scene_new(&application, false);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->to_write = 100000;
    write_far(scene);
    close_in(scene);
    run_for(scene, S);
    assert_true(relay->ended && !relay->behind && !relay->over);
    assert_int_equal(scene->read, 0);
    scene->ends[0]->read_most = 0;
    end_pump(scene->ends[0]);
    run_until(scene, is_over);
    assert_int_equal(scene->read, scene->to_write);
    assert_int_equal(relay->end, PEER_END_CLOSED);
    scene_end(scene);
}

static bool has_heard_the_end(const struct scene *scene)
{
    return relay_state(scene->relays[0])->eof && relay_state(scene->relays[0])->drained;
}

static bool application_has_all(const struct scene *scene)
{
    return scene->ends[0]->received == scene->to_write;
}

static void the_application_ends_first_and_is_still_sent_to(void **state)
{
    (void)state;
    struct end application = {.to_send = 5000, .shut_when_sent = true, .close_when_done = true};
    struct scene *scene = scene_new(&application, true);
    const struct relay_state *relay = relay_state(call(scene, false));

    run_until(scene, has_heard_the_end);
    assert_int_equal(scene->read, 5000);
    assert_true(out_has_ended(scene));
    assert_false(relay->ended || relay->over);
    scene->to_write = 300000;
    run_until(scene, application_has_all);
    assert_int_equal(relay->end, PEER_END_NONE);
    close_in(scene);
    run_until(scene, is_over);
    assert_int_equal(relay->end, PEER_END_CLOSED);
    scene_end(scene);
}

static void what_out_does_not_take_stays_with_the_application(void **state)
{
    (void)state;
    const uint64_t total = 64 << 20;
    struct end application = {.to_send = total};
    struct scene *scene = scene_new(&application, false);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->reads = false;
    run_for(scene, 60 * S);
    assert_true(relay->blocked && !relay->drained);
    uint64_t sent = scene->ends[0]->sent, received = relay->received;
    assert_true(sent < total);
    run_for(scene, 60 * S);
    assert_int_equal(scene->ends[0]->sent, sent);
    assert_int_equal(relay->received, received);
    scene->reads = true;
    scene->to_write = total; /* only to tell all_read how much comes */
    scene->written = total;
    run_until(scene, all_read);
    assert_true(relay->drained && !relay->blocked);
    assert_false(scene->differs);
    scene_end(scene);
}

static void who_does_not_take_keeps_in_from_being_read(void **state)
{
    (void)state;
    struct end application = {.read_most = SIZE_MAX};
    struct scene *scene = scene_new(&application, false);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->to_write = 64 << 20;
    run_for(scene, 60 * S);
    assert_true(relay->behind);
    assert_int_equal(scene->in->behind, 1);
    assert_true(unread_in(scene) > 0);
    assert_true(scene->written < scene->to_write);
    uint64_t since_ns = relay->behind_ns, sent = relay->sent;
    assert_true(simnet_now_ns(scene->sim) - since_ns > 30 * S);
    run_for(scene, 60 * S);
    assert_int_equal(relay->behind_ns, since_ns);
    assert_int_equal(relay->sent, sent);
    scene->ends[0]->read_most = 0;
    end_pump(scene->ends[0]);
    run_until(scene, application_has_all);
    assert_false(relay->behind || scene->ends[0]->wrong);
    assert_int_equal(relay->sent, scene->to_write);
    scene_end(scene);
}

static bool both_have_all(const struct scene *scene)
{
    return scene->ends[0]->received == scene->to_write &&
           scene->ends[1]->received == scene->to_write;
}

static void several_send_the_same_and_what_comes_goes_to_one_place(void **state)
{
    (void)state;
    struct end application = {.to_send = 1000, .close_when_done = true};
    struct scene *scene = scene_new(&application, false);

    call(scene, false);
    call(scene, false);
    scene->to_write = 3 << 20;
    run_until(scene, both_have_all);
    assert_int_equal(scene->read, 2000);
    /* Who comes later gets what comes later. */
    call(scene, false);
    scene->to_write += 5000;
    run_until(scene, both_have_all);
    run_for(scene, S);
    assert_int_equal(scene->ends[2]->received, 5000);
    assert_int_equal(scene->read, 3000);
    close_in(scene);
    run_until(scene, is_over);
    run_for(scene, S);
    for (int i = 0; i < 3; i++)
        assert_int_equal(relay_state(scene->relays[i])->end, PEER_END_CLOSED);
    scene_end(scene);
}

static bool first_has_all(const struct scene *scene)
{
    return scene->ends[0]->received == scene->to_write;
}

static void the_others_go_on_when_one_who_does_not_take_is_reset(void **state)
{
    (void)state;
    struct end application = {.close_when_done = true};
    struct scene *scene = scene_new(&application, false);

    call(scene, false);
    const struct relay_state *stalled = relay_state(call(scene, false));
    scene->ends[1]->read_most = SIZE_MAX;
    scene->to_write = 64 << 20;
    run_for(scene, 60 * S);
    assert_true(stalled->behind && !relay_state(scene->relays[0])->behind);
    assert_int_equal(scene->in->behind, 1);
    assert_true(unread_in(scene) > 0);
    relay_reset(scene->relays[1]);
    run_until(scene, first_has_all);
    assert_int_equal(stalled->end, PEER_END_LOCAL);
    assert_int_equal(scene->ends[1]->how, PEER_END_RESET);
    assert_int_equal(scene->in->behind, 0);
    scene_end(scene);
}

static void one_who_is_freed_is_not_waited_for(void **state)
{
    (void)state;
    struct end application = {.read_most = SIZE_MAX};
    struct scene *scene = scene_new(&application, false);

    call(scene, false);
    scene->to_write = 64 << 20;
    run_for(scene, 60 * S);
    assert_int_equal(scene->in->behind, 1);
    scene->count = 0;
    relay_free(scene->relays[0]);
    end_free(scene->ends[0]);
    assert_int_equal(scene->in->behind, 0);
    scene_end(scene);
}

static bool has_some(const struct scene *scene)
{
    return scene->read >= 100;
}

static void bytes_before_a_reset_are_written(void **state)
{
    (void)state;
    struct end application = {.to_send = 100};
    struct scene *scene = scene_new(&application, false);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->reads = false;
    run_for(scene, S);
    flow_reset(&scene->ends[0]->flow);
    scene->reads = true;
    run_until(scene, is_over);
    run_until(scene, has_some);
    assert_int_equal(relay->end, PEER_END_RESET);
    assert_int_equal(relay->received, 100);
    scene_end(scene);
}

static void closing_drops_what_waits_and_takes_what_comes(void **state)
{
    (void)state;
    struct end application = {.read_most = SIZE_MAX, .close_when_done = true};
    struct scene *scene = scene_new(&application, false);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->to_write = 64 << 20;
    run_for(scene, 60 * S);
    assert_true(relay->behind);
    relay_close(scene->relays[0]);
    assert_true(relay->ended && !relay->behind);
    uint64_t sent = relay->sent;
    scene->ends[0]->to_send = 70000;
    scene->ends[0]->read_most = 0;
    end_pump(scene->ends[0]);
    run_until(scene, is_over);
    assert_int_equal(relay->sent, sent);
    assert_int_equal(scene->ends[0]->received, sent);
    assert_int_equal(scene->read, 70000);
    assert_int_equal(relay->end, PEER_END_CLOSED);
    scene_end(scene);
}

static void discarding_opens_the_window(void **state)
{
    (void)state;
    struct end application = {.to_send = 64 << 20, .shut_when_sent = true, .close_when_done = true};
    struct scene *scene = scene_new(&application, false);
    const struct relay_state *relay = relay_state(call(scene, false));

    scene->reads = false;
    run_for(scene, 10 * S);
    uint64_t received = relay->received;
    relay_discard(scene->relays[0]);
    relay_close(scene->relays[0]);
    run_until(scene, is_over);
    assert_int_equal(relay->end, PEER_END_CLOSED);
    assert_int_equal(relay->received, received);
    assert_int_equal(scene->ends[0]->sent, 64 << 20);
    scene_end(scene);
}

static void a_pause_shuts_the_window_until_it_is_over(void **state)
{
    (void)state;
    const uint64_t total = 32 << 20;
    struct end application = {.to_send = total};
    struct scene *scene = scene_new(&application, false);
    struct relay *relay = call(scene, false);

    relay_pause(relay, true);
    uint64_t before = relay_state(relay)->received;
    run_for(scene, 60 * S);
    assert_int_equal(relay_state(relay)->received, before);
    assert_false(relay_state(relay)->drained);
    assert_true(scene->ends[0]->sent < total);
    relay_pause(relay, false);
    scene->to_write = scene->written = total;
    run_until(scene, all_read);
    scene_end(scene);
}

static bool has_failed(const struct scene *scene)
{
    return scene->status < 0;
}

static void an_out_that_fails_is_said_once(void **state)
{
    (void)state;
    struct end application = {.to_send = 1 << 20};
    struct scene *scene = scene_new(&application, false);
    struct relay *relay = call(scene, false);

    signal(SIGPIPE, SIG_IGN);
    scene->reads = false;
    close(scene->out_far);
    scene->out_far = -1;
    run_until(scene, has_failed);
    assert_int_equal(scene->status, -EPIPE);
    scene->status = 0;
    run_for(scene, S);
    assert_int_equal(scene->status, 0);
    relay_reset(relay);
    run_until(scene, is_over);
    assert_int_equal(relay_state(relay)->end, PEER_END_LOCAL);
    scene_end(scene);
}

static bool echoes_are_back(const struct scene *scene)
{
    return scene->read == 3 + 5;
}

static void over_udp_a_read_is_a_datagram(void **state)
{
    (void)state;
    struct end echo = {.echo = true};
    struct scene *scene = scene_new(&echo, false);
    const struct relay_state *relay = relay_state(call(scene, true));

    scene->phase = 0; /* the echo of what was written */
    scene->to_write = 3;
    run_for(scene, S);
    struct end *application = simnet_accepted(scene->sim);
    assert_non_null(application);
    assert_int_equal(application->received, 3);
    scene->to_write += 5;
    run_until(scene, echoes_are_back);
    assert_false(scene->differs);
    assert_true(relay->heard);
    assert_int_equal(relay->received, 8);
    relay_close(scene->relays[0]);
    run_until(scene, is_over);
    assert_int_equal(relay->end, PEER_END_CLOSED);
    end_free(application);
    scene_end(scene);
}

static void what_is_appended_is_kept_in_order_and_bounded(void **state)
{
    (void)state;
    struct end application = {.read_most = SIZE_MAX};
    struct scene *scene = scene_new(&application, false);
    static char line[1000];
    uint64_t taken = 0;

    call(scene, false);
    for (size_t i = 0; i < sizeof(line); i++)
        line[i] = (char)i;
    while (source_append(scene->in, line, sizeof(line)) == 0) {
        taken += sizeof(line);
        assert_int_equal(relay_move(scene->relays[0]), 0);
        run_for(scene, 10 * NS_PER_MS);
        assert_true(taken < 64 << 20);
    }
    assert_true(taken >= ROOM - sizeof(line));
    assert_int_equal(source_end(scene->in), taken);
    scene->ends[0]->read_most = 0;
    end_pump(scene->ends[0]);
    scene->to_write = scene->written = taken;
    run_until(scene, application_has_all);
    assert_int_equal(source_append(scene->in, line, sizeof(line)), 0);
    scene_end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways_and_so_do_the_ends),
        TEST(our_end_comes_first_and_the_rest_is_still_written),
        TEST(the_application_ends_first_and_is_still_sent_to),
        TEST(what_out_does_not_take_stays_with_the_application),
        TEST(who_does_not_take_keeps_in_from_being_read),
        TEST(several_send_the_same_and_what_comes_goes_to_one_place),
        TEST(the_others_go_on_when_one_who_does_not_take_is_reset),
        TEST(one_who_is_freed_is_not_waited_for),
        TEST(bytes_before_a_reset_are_written),
        TEST(closing_drops_what_waits_and_takes_what_comes),
        TEST(discarding_opens_the_window),
        TEST(a_pause_shuts_the_window_until_it_is_over),
        TEST(an_out_that_fails_is_said_once),
        TEST(over_udp_a_read_is_a_datagram),
        TEST(what_is_appended_is_kept_in_order_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
