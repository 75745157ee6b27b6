/* SPDX-License-Identifier: BSD-3-Clause */
/* Wills of clients of MQTT in virtual time: how long a subscriber waits for them, which are to come, and
   brokers that publish others. */
#include "soak_talk.h"

enum { CONNECT = 1, PUBLISH = 3, SUBSCRIBE = 8, PINGREQ = 12, DISCONNECT = 14 };
enum { CLIENTS = 64, ID_LEN = 20, DEAD_AFTER_MS = 1500, WILL_FLAG = 4, WATCH_ID = 2 };

#define BYTES(text) text, sizeof(text) - 1

/* A client as the broker has it, that is dead when it was not heard of for so long. */
struct known {
    const struct talk_server *server; /* NULL: its connection is gone */
    char id[ID_LEN];
    uint64_t heard_ns;
    bool will, published, parted;
};

enum fault { NO_FAULT, NEVER, TWICE, OF_THE_LIVING, OF_THE_PARTED, SHORT, STRANGE };

struct broker {
    struct known clients[CLIENTS];
    size_t count;
    struct talk_server *watcher;
    enum fault fault;
    uint64_t published, parted, watchers;
};

static size_t packet_unit(const struct talk_server *server, const char *data, size_t len)
{
    (void)server;
    if (len < 2)
        return 0;
    assert_true((data[1] & 128) == 0);
    return 2 + (size_t)data[1] <= len ? 2 + (size_t)data[1] : 0;
}

/* ---- wills ---- */

static void publish_will(struct broker *broker, const struct known *known)
{
    const size_t len = broker->fault == SHORT ? 7 : ID_LEN;
    char packet[64] = "\x30\0\0\6t/will";

    packet[1] = (char)(8 + len);
    memcpy(packet + 10, broker->fault == STRANGE ? "peerXY0000000000000" : known->id, len);
    for (int i = 0; i < (broker->fault == TWICE ? 2 : 1); i++)
        talk_say(broker->watcher, packet, 10 + len);
    broker->published++;
}

static bool is_due(const struct broker *broker, const struct known *known, uint64_t now_ns)
{
    if (!known->will || known->published)
        return false;
    if (broker->fault == OF_THE_LIVING)
        return !known->parted && known->server != broker->watcher;
    if (known->parted)
        return broker->fault == OF_THE_PARTED;
    return now_ns - known->heard_ns > DEAD_AFTER_MS * MS;
}

/* Whenever the watcher says something, which it often does. */
static void look_for_the_dead(struct broker *broker, uint64_t now_ns)
{
    for (size_t i = 0; i < broker->count; i++) {
        struct known *known = &broker->clients[i];
        if (!is_due(broker, known, now_ns))
            continue;
        known->published = true;
        if (broker->fault != NEVER)
            publish_will(broker, known);
    }
}

/* ---- what is heard ---- */

static struct known *known_of(struct broker *broker, const struct talk_server *server)
{
    for (size_t i = 0; i < broker->count; i++) {
        if (broker->clients[i].server == server)
            return &broker->clients[i];
    }
    return NULL;
}

static void hear_connect(struct talk_server *server, struct broker *broker, const char *packet,
                         size_t len)
{
    struct known *known = known_of(broker, server);
    const char *id = packet + 14;

    if (known)
        known->server = NULL; /* memory that is used again */
    assert_true(broker->count < CLIENTS);
    known = &broker->clients[broker->count++];
    *known = (struct known){.server = server, .will = packet[9] & WILL_FLAG};
    memcpy(known->id, id, ID_LEN);
    if (known->will) {
        assert_int_equal(len, 34 + 8 + 2 + ID_LEN);
        assert_memory_equal(id + ID_LEN, "\0\6t/will\0\x14", 10);
        assert_memory_equal(id + ID_LEN + 10, id, ID_LEN);
    }
    talk_say(server, BYTES("\x20\2\0\0"));
}

static void hear_subscribe(struct talk_server *server, struct broker *broker, const char *packet,
                           size_t len)
{
    if (packet[3] == WATCH_ID) {
        assert_memory_equal(packet + 4, "\0\6t/will", 8);
        broker->watcher = server;
        broker->watchers++;
    }
    talk_say(server, BYTES("\x90\3"));
    talk_say(server, packet + 2, 2);
    talk_say(server, packet + len - 1, 1);
}

static void hear(struct talk_server *server, const char *packet, size_t len)
{
    struct broker *broker = server->talk->user;
    const unsigned type = (uint8_t)packet[0] >> 4;
    const uint64_t now_ns = server->end->flow.flows->now_ns;

    if (type == CONNECT)
        hear_connect(server, broker, packet, len);
    else if (type == SUBSCRIBE)
        hear_subscribe(server, broker, packet, len);
    else if (type == PUBLISH)
        talk_say(server, packet, len);
    else if (type == PINGREQ)
        talk_say(server, BYTES("\xd0\0"));
    struct known *known = known_of(broker, server);
    known->heard_ns = now_ns;
    if (type == DISCONNECT) {
        known->parted = true;
        broker->parted++;
    } else if (server == broker->watcher && type == PUBLISH) {
        look_for_the_dead(broker, now_ns);
    }
}

/* ---- tests ---- */

/* Ten clients, that say something every 100 ms. */
static void run_wills(struct talk *talk, struct broker *broker, const char *path,
                      const char *manners)
{
    *talk = (struct talk){.unit = packet_unit, .hear = hear, .user = broker};
    talk_run(talk, &(struct peer_soak_config){.protocol = "mqtt",
                                              .path = path,
                                              .flows = 10,
                                              .think_ns = 100 * MS,
                                              .duration_ns = 5 * NS_PER_S,
                                              .manners = manners});
}

static void a_subscriber_waits_for_a_will(void **state)
{
    /* A client that vanishes was last heard of 0 to 100 ms before, and the broker looks every 100 ms. */
    const double least_us = (DEAD_AFTER_MS - 110) * 1e3, most_us = (DEAD_AFTER_MS + 210) * 1e3;
    struct broker broker = {0};
    struct talk talk;

    (void)state;
    run_wills(&talk, &broker, "/t", "vanish:30%@500ms");
    assert_int_equal(talk.soaking.counts.wills_due, 3);
    assert_int_equal(talk.soaking.counts.wills, 3);
    assert_int_equal(talk.soaking.report.will.count, 3);
    assert_true(talk.soaking.report.will.min >= least_us);
    assert_true(talk.soaking.report.will.max <= most_us);
    assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
    assert_int_equal(broker.watchers, 1);
    assert_int_equal(broker.published, 3);
    talk_end(&talk);
    assert_int_equal(broker.parted, 7);
}

/* They are let go at once, and others come in their places, which part from it likewise. */
static void who_ends_without_a_word_leaves_one(void **state)
{
    struct broker broker = {0};
    struct talk talk;

    (void)state;
    run_wills(&talk, &broker, "/t", "reset:10%@2s");
    assert_int_equal(talk.soaking.counts.wills_due, 2);
    assert_int_equal(talk.soaking.counts.wills, 1); /* the second is to come when all is over */
    assert_int_equal(talk.soaking.report.will.count, 1);
    assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
    talk_end(&talk);
}

static void wills_are_for_those_who_ask(void **state)
{
    static const struct {
        const char *path, *manners;
        bool wills;
    } rows[] = {
        {"/t", NULL, false},
        {"/t", "vanish:30%@500ms", true},
        {"/t?wills=yes", NULL, true},
        {"/t?wills=no", "vanish:30%@500ms", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = {0};
        struct talk talk;
        run_wills(&talk, &broker, rows[i].path, rows[i].manners);
        assert_int_equal(broker.count, 10);
        for (size_t k = 0; k < broker.count; k++)
            assert_true(broker.clients[k].will == rows[i].wills);
        assert_int_equal(broker.watchers, rows[i].wills);
        assert_int_equal(talk.soaking.counts.wills_due, rows[i].wills && rows[i].manners ? 3 : 0);
        assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
        talk_end(&talk);
    }
}

static void brokers_that_publish_others(void **state)
{
    static const struct {
        enum fault fault;
        const char *manners;
        uint64_t due, came, wrong;
        const char *words;
    } rows[] = {
        {NEVER, "vanish:30%@500ms", 3, 0, 0, NULL},
        {TWICE, "vanish:30%@500ms", 3, 3, 3, "a will came twice"},
        {SHORT, "vanish:30%@500ms", 3, 0, 3, "a will came that is not as it was left"},
        {STRANGE, "vanish:30%@500ms", 3, 0, 3, "a will came that is not as it was left"},
        {OF_THE_LIVING, NULL, 9, 9, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = {.fault = rows[i].fault};
        struct talk talk;
        run_wills(&talk, &broker, "/t?wills=yes", rows[i].manners);
        assert_int_equal(talk.soaking.counts.wills_due, rows[i].due);
        assert_int_equal(talk.soaking.counts.wills, rows[i].came);
        assert_int_equal(talk.soaking.counts.bad_answer, rows[i].wrong);
        if (rows[i].words)
            talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, rows[i].words);
        talk_end(&talk);
    }
}

/* A client a request: each but the last has said DISCONNECT. */
static void who_said_farewell_leaves_none(void **state)
{
    struct broker broker = {.fault = OF_THE_PARTED};
    struct talk talk = {.unit = packet_unit, .hear = hear, .user = &broker};

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                               .path = "/t?wills=yes",
                                               .flows = 2,
                                               .requests_per_connection = 3,
                                               .think_ns = 100 * MS,
                                               .total = 12});
    assert_true(broker.published > 0);
    assert_int_equal(talk.soaking.counts.bad_answer, broker.published);
    assert_int_equal(talk.soaking.counts.wills + talk.soaking.counts.wills_due, 0);
    talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, "of a client that had said DISCONNECT");
    talk_end(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_waits_for_a_will),
        cmocka_unit_test(who_ends_without_a_word_leaves_one),
        cmocka_unit_test(wills_are_for_those_who_ask),
        cmocka_unit_test(brokers_that_publish_others),
        cmocka_unit_test(who_said_farewell_leaves_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
