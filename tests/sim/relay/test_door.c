/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A door in virtual time: clients are TCP sockets of this process on loopback, applications are ends
 * of the simulated network. Deadlines are of the network's clock, so none is waited for.
 */
#include "relaying.h"

#include "relay/door.h"
#include "support/simnet_inside.h" /* for what ends send */

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7, SHUT_PORT = 9, CLIENTS = 8 };
#define S    NS_PER_S
#define STEP (10 * NS_PER_MS)

struct scene {
    struct simnet *sim;
    struct peer_net *net; /* of the public API, around the simulated engine */
    struct loop *loop;
    struct door *door;
    struct place at; /* where clients come */
    int clients[CLIENTS];
    int client_count;
    struct end *ends[CLIENTS]; /* of the application, in the order of the calls */
    int end_count;
    uint64_t read; /* by the first client */
    bool differs;
    /* What the owner of the door saw and did. */
    bool talks, speaks_first, answers_failure, tries_again;
    char heard[64];
    int ended, failed;
    enum door_end how; /* of the last */
    struct door_entry *last;
};

static struct scene *scene_of(const struct door_entry *entry)
{
    return entry->user;
}

/* ---- the owner ---- */

static void call_application(struct door_entry *entry, uint16_t port)
{
    const struct peer_connect_config config = {.to = simnet_addr("198.18.0.3"), .to_port = port};

    assert_int_equal(door_connect(entry, &config), 0);
}

static void on_accepted(struct door_entry *entry)
{
    struct scene *scene = scene_of(entry);

    scene->last = entry;
    if (!scene->talks)
        call_application(entry, scene->answers_failure || scene->tries_again ? SHUT_PORT : PORT);
}

/* A line names nothing: whoever says one is connected. */
static size_t on_bytes(struct door_entry *entry, const char *data, size_t len)
{
    struct scene *scene = scene_of(entry);
    const char *end = memchr(data, '\n', len);

    if (!scene->talks || !end)
        return 0;
    size_t line = (size_t)(end + 1 - data);
    memcpy(scene->heard, data, MIN(line, sizeof(scene->heard) - 1));
    call_application(entry, PORT);
    return line;
}

static void on_connected(struct door_entry *entry)
{
    if (scene_of(entry)->speaks_first)
        assert_int_equal(door_answer(entry, "granted\n", 8), 0);
}

static void on_failed(struct door_entry *entry, const struct peer_event *event)
{
    struct scene *scene = scene_of(entry);

    scene->failed++;
    assert_int_equal(event->end, PEER_END_REFUSED);
    if (scene->tries_again) {
        scene->tries_again = false;
        call_application(entry, PORT);
    } else if (scene->answers_failure) {
        assert_int_equal(door_answer(entry, "no\n", 3), 0);
        door_finish(entry, DOOR_REFUSED);
    }
}

static void on_ended(struct door_entry *entry)
{
    struct scene *scene = scene_of(entry);

    scene->ended++;
    scene->how = entry->end;
}

static const struct door_ops plain_ops = {
    .accepted = on_accepted, .connected = on_connected, .failed = on_failed, .ended = on_ended};
static const struct door_ops talking_ops = {.accepted = on_accepted,
                                            .bytes = on_bytes,
                                            .connected = on_connected,
                                            .failed = on_failed,
                                            .ended = on_ended};

/* ---- the scene ---- */

static struct scene *scene_new(const struct end *application, const struct door_ops *ops,
                               uint64_t most)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .offload = true};
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->sim = simnet_new(&config);
    scene->net = net_around(scene->sim);
    assert_non_null(simnet_listen(scene->sim, IPPROTO_TCP, PORT, application));
    assert_int_equal(loop_new(scene->net, &scene->loop), 0);
    const struct door_config door = {.loop = scene->loop, .most = most};
    assert_int_equal(door_new(&door, &scene->door), 0);
    scene->at.addr = simnet_addr("127.0.0.1");
    int fd = place_listen(&scene->at, false);
    assert_true(fd >= 0);
    assert_int_equal(door_listen(scene->door, fd, ops, scene), 0);
    scene->talks = ops == &talking_ops;
    return scene;
}

static void scene_end(struct scene *scene)
{
    door_free(scene->door);
    loop_free(scene->loop);
    for (int i = 0; i < scene->client_count; i++) {
        if (scene->clients[i] >= 0)
            close(scene->clients[i]);
    }
    for (int i = 0; i < scene->end_count; i++)
        end_free(scene->ends[i]);
    simnet_run_for(scene->sim, S);
    simnet_end(scene->sim);
    net_around_free(scene->net);
    free(scene);
}

/* Those who were accepted meanwhile. */
static void note_ends(struct scene *scene)
{
    struct end *end = simnet_accepted(scene->sim);

    if (end && (!scene->end_count || scene->ends[scene->end_count - 1] != end)) {
        assert_true(scene->end_count < CLIENTS);
        scene->ends[scene->end_count++] = end;
    }
}

/* Some turns and a step of time; that is more than loopback needs to carry anything. */
static void step(struct scene *scene)
{
    for (int i = 0; i < 8; i++) {
        loop_turn(scene->loop);
        simnet_run_for(scene->sim, 0);
        note_ends(scene);
    }
    simnet_run_for(scene->sim, STEP);
    note_ends(scene);
}

static void run_until(struct scene *scene, bool (*enough)(struct scene *scene))
{
    for (int i = 0; i < 20000; i++) {
        if (enough(scene))
            return;
        step(scene);
    }
    fail_msg("it did not come to that: %d ends, %d over, the last %s", scene->end_count,
             scene->ended, door_end_text(scene->how));
}

static void run_for(struct scene *scene, uint64_t ns)
{
    for (uint64_t until_ns = simnet_now_ns(scene->sim) + ns; simnet_now_ns(scene->sim) < until_ns;)
        step(scene);
}

/* A client that is there; `more`: his first words. */
static int come(struct scene *scene, const char *words)
{
    bool called;
    int fd = place_connect(&scene->at, false, &called);

    assert_true(fd >= 0 && scene->client_count < CLIENTS);
    scene->clients[scene->client_count++] = fd;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    if (words)
        assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), (ssize_t)strlen(words));
    return fd;
}

static void reset_client(struct scene *scene, int i)
{
    const struct linger at_once = {.l_onoff = 1};

    assert_int_equal(
        setsockopt(scene->clients[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(scene->clients[i]);
    scene->clients[i] = -1;
}

static bool has_end(struct scene *scene)
{
    return scene->end_count == scene->client_count &&
           end_is_open(scene->ends[scene->end_count - 1]);
}

static bool has_news(struct scene *scene)
{
    struct pollfd ready = {.fd = scene->clients[0], .events = POLLIN};

    return poll(&ready, 1, 0) == 1;
}

static bool one_ended(struct scene *scene)
{
    return scene->ended == 1;
}

/* What the first client reads, and the errno at its end: 0 for an orderly one. */
static int read_to_end(struct scene *scene, char *buf, size_t room, size_t *ret_len)
{
    size_t len = 0;

    for (;;) {
        run_until(scene, has_news);
        ssize_t got = recv(scene->clients[0], buf + len, room - len, 0);
        if (got <= 0) {
            *ret_len = len;
            return got < 0 ? errno : 0;
        }
        len += (size_t)got;
    }
}

static void expect_to_end(struct scene *scene, const char *text, int code)
{
    char buf[256] = "";
    size_t len = 0;

    assert_int_equal(read_to_end(scene, buf, sizeof(buf) - 1, &len), code);
    assert_int_equal(len, strlen(text));
    assert_string_equal(buf, text);
}

/* After `text` as many bytes of an echo, which are its own pattern. */
static void expect_echo_to_end(struct scene *scene, const char *text, size_t count)
{
    const uint8_t *echo = simnet_pattern(scene->sim) + PHASE_OF_SERVERS % PATTERN_PRIME;
    char buf[256];
    size_t len = 0, said = strlen(text);

    assert_int_equal(read_to_end(scene, buf, sizeof(buf), &len), 0);
    assert_int_equal(len, said + count);
    assert_memory_equal(buf, text, said);
    assert_memory_equal(buf + said, echo, count);
}

/* ---- joins ---- */

static void bytes_and_ends_go_both_ways(void **state)
{
    (void)state;
    struct end echo = {.echo = true, .close_when_done = true};
    struct scene *scene = scene_new(&echo, &plain_ops, 0);
    struct door_stats stats;

    come(scene, "hello");
    run_until(scene, has_end);
    assert_int_equal(shutdown(scene->clients[0], SHUT_WR), 0);
    expect_echo_to_end(scene, "", 5);
    run_until(scene, one_ended);
    assert_int_equal(scene->how, DOOR_CLOSED);
    door_get_stats(scene->door, &stats);
    assert_int_equal(stats.accepted, 1);
    assert_int_equal(stats.opened, 1);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.ends[DOOR_CLOSED], 1);
    assert_int_equal(stats.bytes_sent, 5);
    assert_int_equal(stats.bytes_received, 5);
    scene_end(scene);
}

static bool application_heard_the_end(struct scene *scene)
{
    return scene->end_count && scene->ends[0]->eof_ns;
}

static void each_side_may_end_first(void **state)
{
    (void)state;
    struct end application = {.to_send = 5000, .shut_when_sent = true};
    struct scene *scene = scene_new(&application, &plain_ops, 0);
    char buf[8192];
    size_t len = 0;

    come(scene, NULL);
    assert_int_equal(read_to_end(scene, buf, sizeof(buf), &len), 0);
    assert_int_equal(len, 5000);
    run_for(scene, 60 * S);
    assert_int_equal(scene->ended, 0);
    scene->ends[0]->echo = true; /* what comes is no pattern */
    assert_int_equal(send(scene->clients[0], buf, 3000, 0), 3000);
    run_for(scene, S);
    assert_int_equal(scene->ends[0]->received, 3000);
    assert_false(application_heard_the_end(scene));
    close(scene->clients[0]);
    scene->clients[0] = -1;
    run_until(scene, application_heard_the_end);
    run_until(scene, one_ended);
    assert_int_equal(scene->how, DOOR_CLOSED);
    scene_end(scene);
}

static void a_reset_of_the_application_follows_its_bytes(void **state)
{
    (void)state;
    struct end application = {.to_send = 100};
    struct scene *scene = scene_new(&application, &plain_ops, 0);
    char buf[256];
    size_t len = 0;

    come(scene, NULL);
    run_until(scene, has_end);
    run_until(scene, has_news);
    flow_reset(&scene->ends[0]->flow);
    assert_int_equal(read_to_end(scene, buf, sizeof(buf), &len), ECONNRESET);
    assert_int_equal(len, 100);
    assert_int_equal(scene->how, DOOR_RESET);
    scene_end(scene);
}

static bool application_is_over(struct scene *scene)
{
    return scene->end_count && end_is_over(scene->ends[0]);
}

static void a_reset_of_the_client_is_passed_on(void **state)
{
    (void)state;
    struct end application = {0};

    /* While it is read, while the application takes nothing, and after its own end. */
    for (int i = 0; i < 3; i++) {
        struct scene *scene = scene_new(&application, &plain_ops, 0);
        come(scene, NULL);
        run_until(scene, has_end);
        if (i == 1)
            scene->ends[0]->read_most = SIZE_MAX;
        if (i == 2)
            assert_int_equal(shutdown(scene->clients[0], SHUT_WR), 0);
        run_for(scene, S);
        reset_client(scene, 0);
        run_until(scene, application_is_over);
        assert_int_equal(scene->ends[0]->how, PEER_END_RESET);
        assert_int_equal(scene->how, DOOR_CLIENT_RESET);
        scene_end(scene);
    }
}

static void who_goes_while_it_is_called_is_not_waited_for(void **state)
{
    (void)state;
    struct end application = {0};
    struct scene *scene = scene_new(&application, &plain_ops, 0);

    come(scene, NULL);
    reset_client(scene, 0);
    run_until(scene, one_ended);
    assert_int_equal(scene->how, DOOR_CLIENT_RESET);
    run_for(scene, S);
    assert_true(!scene->end_count || end_is_over(scene->ends[0]));
    scene_end(scene);
}

static void take_some(struct scene *scene)
{
    uint8_t buf[65536];
    ssize_t len;

    while ((len = recv(scene->clients[0], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < len; i++) {
            const uint64_t at = PHASE_OF_SERVERS + scene->read++;
            scene->differs |= buf[i] != simnet_pattern(scene->sim)[at % PATTERN_PRIME];
        }
    }
}

static bool all_is_read(struct scene *scene)
{
    take_some(scene);
    return scene->read == scene->ends[0]->to_send;
}

static void a_client_that_does_not_read_shuts_the_window(void **state)
{
    (void)state;
    struct end application = {.to_send = 48 << 20};
    struct scene *scene = scene_new(&application, &plain_ops, 0);

    come(scene, NULL);
    run_until(scene, has_end);
    run_for(scene, 30 * S);
    uint64_t sent = scene->ends[0]->sent;
    assert_true(sent > 0 && sent < scene->ends[0]->to_send);
    run_for(scene, 30 * S);
    assert_int_equal(scene->ends[0]->sent, sent);
    run_until(scene, all_is_read);
    assert_false(scene->differs);
    scene_end(scene);
}

static size_t send_pattern(struct scene *scene, uint64_t *sent, uint64_t total)
{
    ssize_t len = 0;

    while (*sent < total) {
        size_t want = MIN((size_t)PATTERN_PRIME, (size_t)(total - *sent));
        len = send(scene->clients[0], simnet_pattern(scene->sim) + *sent % PATTERN_PRIME, want,
                   MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len <= 0)
            break;
        *sent += (uint64_t)len;
    }
    return (size_t)*sent;
}

static void an_application_that_does_not_read_stops_the_client(void **state)
{
    (void)state;
    const uint64_t total = 48 << 20;
    struct end application = {.read_most = SIZE_MAX};
    struct scene *scene = scene_new(&application, &plain_ops, 0);
    uint64_t sent = 0, before;

    come(scene, NULL);
    run_until(scene, has_end);
    do {
        before = sent;
        send_pattern(scene, &sent, total);
        run_for(scene, S);
    } while (sent != before);
    assert_true(sent > 0 && sent < total);
    scene->ends[0]->read_most = 0;
    end_pump(scene->ends[0]);
    while (sent < total) {
        send_pattern(scene, &sent, total);
        step(scene);
    }
    run_for(scene, 10 * S);
    assert_int_equal(scene->ends[0]->received, total);
    assert_false(scene->ends[0]->wrong);
    scene_end(scene);
}

/* ---- refusals ---- */

static void who_is_refused_is_reset(void **state)
{
    (void)state;
    struct end application = {0};
    struct scene *scene = scene_new(&application, &plain_ops, 0);

    simnet_listen(scene->sim, IPPROTO_TCP, PORT + 1, NULL);
    scene->answers_failure = true; /* calls where nobody is, */
    come(scene, "some words that nobody reads");
    expect_to_end(scene, "no\n", 0); /* and says so: no reset overtakes that */
    assert_int_equal(scene->ended, 0);
    close(scene->clients[0]);
    scene->clients[0] = -1;
    run_until(scene, one_ended);
    assert_int_equal(scene->how, DOOR_REFUSED);
    scene_end(scene);

    scene = scene_new(&application, &plain_ops, 0);
    scene->tries_again = true;
    come(scene, NULL);
    run_until(scene, has_end);
    assert_int_equal(scene->failed, 1);
    scene_end(scene);
}

static void who_does_not_close_after_a_last_word_is_not_waited_for(void **state)
{
    (void)state;
    struct end application = {0};
    struct scene *scene = scene_new(&application, &plain_ops, 0);

    scene->answers_failure = true;
    come(scene, NULL);
    expect_to_end(scene, "no\n", 0);
    run_for(scene, DOOR_LEAVE_NS + S);
    assert_int_equal(scene->ended, 1);
    scene_end(scene);
}

/* ---- talk ---- */

static void talk_comes_before_a_flow_and_the_rest_goes_into_it(void **state)
{
    (void)state;
    struct end echo = {.echo = true, .close_when_done = true};
    struct scene *scene = scene_new(&echo, &talking_ops, 0);

    scene->speaks_first = true;
    come(scene, "to the");
    run_for(scene, S);
    assert_int_equal(scene->end_count, 0);
    assert_int_equal(send(scene->clients[0], " door\nand on", 12, 0), 12);
    run_until(scene, has_end);
    assert_string_equal(scene->heard, "to the door\n");
    assert_int_equal(send(scene->clients[0], "wards", 5, 0), 5);
    assert_int_equal(shutdown(scene->clients[0], SHUT_WR), 0);
    expect_echo_to_end(scene, "granted\n", 11);
    assert_int_equal(scene->ends[0]->received, 11);
    scene_end(scene);
}

static void who_says_too_much_is_reset(void **state)
{
    (void)state;
    struct end application = {0};
    struct scene *scene = scene_new(&application, &talking_ops, 0);
    static char much[DOOR_TALK + 1000];

    memset(much, 'x', sizeof(much));
    come(scene, NULL);
    assert_int_equal(send(scene->clients[0], much, sizeof(much), 0), sizeof(much));
    run_until(scene, one_ended);
    assert_int_equal(scene->how, DOOR_FAILED);
    expect_to_end(scene, "", ECONNRESET);
    scene_end(scene);
}

static void who_ends_before_it_has_spoken_is_let_go(void **state)
{
    (void)state;
    struct end application = {0};
    struct scene *scene = scene_new(&application, &talking_ops, 0);

    come(scene, "half a line");
    assert_int_equal(shutdown(scene->clients[0], SHUT_WR), 0);
    run_until(scene, one_ended);
    assert_int_equal(scene->how, DOOR_CLOSED);
    expect_to_end(scene, "", 0);
    scene_end(scene);
}

static void silence_has_a_deadline(void **state)
{
    (void)state;
    struct end application = {0};
    struct scene *scene = scene_new(&application, &talking_ops, 0);

    come(scene, "never a whole line");
    run_for(scene, S);
    door_set_deadline(scene->last, simnet_now_ns(scene->sim) + 10 * S);
    run_for(scene, 9 * S);
    assert_int_equal(scene->ended, 0);
    run_for(scene, 2 * S);
    assert_int_equal(scene->how, DOOR_EXPIRED);
    expect_to_end(scene, "", ECONNRESET);
    scene_end(scene);
}

/* ---- many ---- */

static void further_clients_wait_until_others_are_gone(void **state)
{
    (void)state;
    struct end echo = {.echo = true, .close_when_done = true};
    struct scene *scene = scene_new(&echo, &plain_ops, 2);
    struct door_stats stats;

    for (int i = 0; i < 4; i++)
        come(scene, "x");
    run_for(scene, S);
    door_get_stats(scene->door, &stats);
    assert_int_equal(stats.open, 2);
    assert_int_equal(stats.pauses, 1);
    for (int i = 0; i < 4; i++) {
        close(scene->clients[i]);
        scene->clients[i] = -1;
        run_for(scene, S);
    }
    door_get_stats(scene->door, &stats);
    assert_int_equal(stats.opened, 4);
    assert_int_equal(stats.open_most, 2);
    assert_int_equal(stats.open, 0);
    scene_end(scene);
}

static void an_end_of_all_closes_in_order(void **state)
{
    (void)state;
    struct end application = {.close_when_done = true};
    struct scene *scene = scene_new(&application, &plain_ops, 0);

    come(scene, NULL);
    run_until(scene, has_end);
    scene->door = door_free(scene->door);
    assert_int_equal(scene->ended, 1);
    run_until(scene, application_is_over);
    assert_int_equal(scene->ends[0]->how, PEER_END_CLOSED);
    expect_to_end(scene, "", 0);
    scene_end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_and_ends_go_both_ways),
        TEST(each_side_may_end_first),
        TEST(a_reset_of_the_application_follows_its_bytes),
        TEST(a_reset_of_the_client_is_passed_on),
        TEST(who_goes_while_it_is_called_is_not_waited_for),
        TEST(a_client_that_does_not_read_shuts_the_window),
        TEST(an_application_that_does_not_read_stops_the_client),
        TEST(who_is_refused_is_reset),
        TEST(who_does_not_close_after_a_last_word_is_not_waited_for),
        TEST(talk_comes_before_a_flow_and_the_rest_goes_into_it),
        TEST(who_says_too_much_is_reset),
        TEST(who_ends_before_it_has_spoken_is_let_go),
        TEST(silence_has_a_deadline),
        TEST(further_clients_wait_until_others_are_gone),
        TEST(an_end_of_all_closes_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
