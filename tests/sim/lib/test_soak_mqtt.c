/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to a broker of MQTT in virtual time: round trips, logins, keep-alive, and brokers that lose,
   double and break what they should not. */
#include "soak_talk.h"

enum { CONNECT = 1, PUBLISH = 3, PUBACK = 4, SUBSCRIBE = 8, PINGREQ = 12, DISCONNECT = 14 };
enum { CONNACK_AND_SUBACK_RTT = 2 };

#define BYTES(text) text, sizeof(text) - 1

/* What a broker is like. Zero is a good one. */
struct broker {
    const char *connack, *suback, *instead; /* of what is right; to the first message */
    size_t connack_len, suback_len, instead_len;
    void (*publish)(struct talk_server *server, const char *packet, size_t len);
    bool mute; /* to PINGREQ */
    uint64_t connects, published, acknowledged, pings, farewells;
    char kept[4096];
    size_t kept_len;
};

static struct broker *broker_of(const struct talk_server *server)
{
    return server->talk->user;
}

/* Where the rest of a packet begins, behind its length. */
static size_t read_head(const char *data, size_t len, size_t *ret_rest)
{
    size_t rest = 0;

    for (size_t i = 1; i < len && i < 5; i++) {
        rest |= (size_t)(data[i] & 127) << 7 * (i - 1);
        if (data[i] & 128)
            continue;
        *ret_rest = rest;
        return i + 1;
    }
    return 0;
}

static size_t packet_unit(const struct talk_server *server, const char *data, size_t len)
{
    size_t rest, head = read_head(data, len, &rest);

    (void)server;
    return head && head + rest <= len ? head + rest : 0;
}

static unsigned type_of(const char *packet)
{
    return (uint8_t)packet[0] >> 4;
}

static unsigned qos_of(const char *packet)
{
    return (uint8_t)packet[0] >> 1 & 3;
}

/* Where the identifier of a PUBLISH of QoS 1 stands. */
static const char *id_at(const char *packet, size_t len)
{
    size_t rest, at = read_head(packet, len, &rest);

    return packet + at + 2 + ((size_t)(uint8_t)packet[at] << 8 | (uint8_t)packet[at + 1]);
}

static void say_puback(struct talk_server *server, const char *packet, size_t len)
{
    if (!qos_of(packet))
        return;
    talk_say(server, BYTES("\x40\x02"));
    talk_say(server, id_at(packet, len), 2);
}

static void echo(struct talk_server *server, const char *packet, size_t len)
{
    talk_say(server, packet, len);
    say_puback(server, packet, len);
}

static void hear_publish(struct talk_server *server, const char *packet, size_t len)
{
    struct broker *broker = broker_of(server);

    broker->published++;
    if (broker->instead && broker->published == 1)
        talk_say(server, broker->instead, broker->instead_len);
    else if (broker->publish)
        broker->publish(server, packet, len);
    else
        echo(server, packet, len);
}

static void hear_subscribe(struct talk_server *server, const char *packet, size_t len)
{
    const struct broker *broker = broker_of(server);

    assert_int_equal((uint8_t)packet[0], 0x82);
    if (broker->suback_len) {
        talk_say(server, broker->suback, broker->suback_len);
        return;
    }
    talk_say(server, BYTES("\x90\x03"));
    talk_say(server, packet + 2, 2);
    talk_say(server, packet + len - 1, 1);
}

static void hear(struct talk_server *server, const char *packet, size_t len)
{
    struct broker *broker = broker_of(server);

    switch (type_of(packet)) {
    case CONNECT:
        broker->connects++;
        talk_say(server, broker->connack_len ? broker->connack : "\x20\x02\0\0",
                 broker->connack_len ? broker->connack_len : 4);
        break;
    case SUBSCRIBE:
        hear_subscribe(server, packet, len);
        break;
    case PUBLISH:
        hear_publish(server, packet, len);
        break;
    case PUBACK:
        assert_int_equal(len, 4);
        broker->acknowledged++;
        break;
    case PINGREQ:
        assert_int_equal(len, 2);
        broker->pings++;
        if (!broker->mute)
            talk_say(server, BYTES("\xd0\0"));
        break;
    default:
        assert_int_equal(type_of(packet), DISCONNECT);
        assert_int_equal(len, 2);
        broker->farewells++;
    }
}

static struct talk talk_of(struct broker *broker)
{
    return (struct talk){.unit = packet_unit, .hear = hear, .user = broker};
}

static void messages_come_back(void **state)
{
    static const struct {
        const char *path;
        uint64_t flows, pipeline, size;
        bool drips, qos;
    } rows[] = {
        {"/t?qos=0", 1, 1, 64, false, false}, {"/t?qos=1", 1, 1, 64, false, true},
        {"/t?qos=1", 3, 16, 64, false, true}, {"/t", 3, 16, 64, true, false},
        {NULL, 2, 1, 3500, false, false},     {"/t?qos=1", 2, 1, 3500, false, true},
        {"/t?qos=1", 1, 9, 1, true, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = {0};
        struct talk talk = talk_of(&broker);
        const uint64_t total = 12 * rows[i].flows * rows[i].pipeline;
        talk.drips = rows[i].drips;
        talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                                   .path = rows[i].path,
                                                   .flows = rows[i].flows,
                                                   .pipeline = rows[i].pipeline,
                                                   .message_bytes = rows[i].size,
                                                   .total = total});
        soaking_assert_counts(&talk.soaking, total, total, 0);
        assert_int_equal(talk.accepted, rows[i].flows);
        assert_int_equal(broker.connects, rows[i].flows);
        assert_int_equal(broker.published, total);
        assert_int_equal(talk.soaking.report.login.count, rows[i].flows);
        assert_true(talk.soaking.report.login.max < CONNACK_AND_SUBACK_RTT * TALK_RTT_MS * 1010.0);
        assert_int_equal(talk.soaking.report.request.count, total);
        if (!rows[i].drips && rows[i].size < 100)
            assert_true(talk.soaking.report.request.max < TALK_RTT_MS * 1010.0);
        talk_end(&talk);
        assert_int_equal(broker.farewells, rows[i].flows);
        assert_int_equal(broker.acknowledged, rows[i].qos ? total : 0);
    }
}

/* What a client says first, to the byte; its id is 20 letters and digits. */
static void a_login_is_written_as_the_standard_has_it(void **state)
{
    struct broker broker = {0};
    struct talk talk = talk_of(&broker);
    static const char connect[] = "\x10\x28\0\4MQTT\4\xc2\0\x1e\0\x14peer";
    static const char login[] = "\0\2me\0\2pw";
    const char *heard = talk.heard;

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                               .path = "/a%2fb?keepalive=30s",
                                               .user = "me",
                                               .password = "pw",
                                               .total = 1});
    heard = talk.heard;
    assert_memory_equal(heard, connect, sizeof(connect) - 1);
    const char *id = heard + 14;
    assert_memory_equal(heard + 34, login, sizeof(login) - 1);
    const char *subscribe = heard + 34 + sizeof(login) - 1;
    assert_memory_equal(subscribe,
                        "\x82\x1d\0\1\0\x18"
                        "a/b/",
                        10);
    assert_memory_equal(subscribe + 10, id, 20);
    assert_int_equal(subscribe[30], 0);
    assert_memory_equal(subscribe + 31,
                        "\x30\x5a\0\x18"
                        "a/b/",
                        8);
    assert_memory_equal(subscribe + 39, id, 20);
    talk_end(&talk);
}

static void what_a_broker_says_of_a_login_has_its_kind(void **state)
{
    static const struct {
        struct broker broker;
        enum peer_soak_error kind;
        const char *words;
    } rows[] = {
#define CONNACK(text) {.connack = text, .connack_len = sizeof(text) - 1}
#define SUBACK(text)                                                                               \
    {                                                                                              \
        .suback = text, .suback_len = sizeof(text) - 1                                             \
    }
        {CONNACK("\x20\2\0\1"), PEER_SOAK_LOGIN, "the broker says 1: it does not speak MQTT 3.1.1"},
        {CONNACK("\x20\2\0\2"), PEER_SOAK_LOGIN, "says 2"},
        {CONNACK("\x20\2\0\3"), PEER_SOAK_FULL, "says 3: the service is unavailable"},
        {CONNACK("\x20\2\0\4"), PEER_SOAK_LOGIN, "says 4: wrong user name or password"},
        {CONNACK("\x20\2\0\5"), PEER_SOAK_LOGIN, "says 5: not authorized"},
        {CONNACK("\x20\2\0\6"), PEER_SOAK_BAD_ANSWER, "a CONNACK of the bytes 00 06"},
        {CONNACK("\x20\2\2\0"), PEER_SOAK_BAD_ANSWER, "a CONNACK of the bytes 02 00"},
        {CONNACK("\x20\2\1\0"), PEER_SOAK_BAD_ANSWER, "an old session"},
        {CONNACK("\x20\3\0\0"), PEER_SOAK_BAD_ANSWER, "a CONNACK with 3 bytes instead of 2"},
        {CONNACK("\x21\2\0\0"), PEER_SOAK_BAD_ANSWER, "a CONNACK with the flags 1"},
        {CONNACK("\x20\x80\x80\x80\x80"), PEER_SOAK_BAD_ANSWER, "length has more than four bytes"},
        {CONNACK("\xd0\0"), PEER_SOAK_BAD_ANSWER, "a PINGRESP that nobody asked for"},
        {CONNACK("\x90\3\0\1\0"), PEER_SOAK_BAD_ANSWER, "a SUBACK instead of a CONNACK"},
        {CONNACK("\x20\2\0\0\x20\2\0\0"), PEER_SOAK_BAD_ANSWER, "a CONNACK out of turn"},
        {CONNACK("\xe0\0"), PEER_SOAK_BAD_ANSWER, "a packet of DISCONNECT, which a server"},
        {CONNACK("\x20\2\0"), PEER_SOAK_TIMEOUT, "no answer in time"},
        {SUBACK("\x90\3\0\1\x80"), PEER_SOAK_LOGIN, "the broker refuses the subscription"},
        {SUBACK("\x90\3\0\1\0"), PEER_SOAK_LOGIN, "grants QoS 0 to the subscription, not 1"},
        {SUBACK("\x90\3\0\1\2"), PEER_SOAK_BAD_ANSWER, "grants 2 where 1 was asked for"},
        {SUBACK("\x90\3\0\2\1"), PEER_SOAK_BAD_ANSWER, "a SUBACK for packet 2"},
        {SUBACK("\x90\2\0\1"), PEER_SOAK_BAD_ANSWER, "a SUBACK with 2 bytes instead of 3"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = rows[i].broker;
        struct talk talk = talk_of(&broker);
        talk_run(&talk,
                 &(struct peer_soak_config){
                     .protocol = "mqtt", .path = "/t?qos=1", .timeout_ns = NS_PER_S, .total = 2});
        soaking_assert_counts(&talk.soaking, 0, 0, 2);
        talk_assert_words(&talk, rows[i].kind, rows[i].words);
        assert_int_equal(broker.published, 0);
        talk_end(&talk);
    }
}

/* Each ends the connection, and nothing else. */
static void what_breaks_the_rules_has_its_line(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *words;
    } rows[] = {
        {BYTES("\x30\x80\x80\x80\x80\1"), "a PUBLISH whose length has more than four bytes"},
        {BYTES("\x30\xff\xff\xff\xff\x7f"), "a PUBLISH whose length has more than four bytes"},
        {BYTES("\x30\0"), "a PUBLISH with 0 bytes"},
        {BYTES("\x30\1\0"), "a PUBLISH with 1 bytes"},
        {BYTES("\x32\3\0\1t"), "a PUBLISH with 3 bytes"},
        {BYTES("\x30\3\0\2t"), "whose topic of 2 bytes is longer than the packet"},
        {BYTES("\x32\4\0\1tx"), "whose topic of 1 bytes is longer than the packet"},
        {BYTES("\x30\3\xff\xfft"), "whose topic of 65535 bytes is longer than the packet"},
        {BYTES("\x30\2\0\0"), "a PUBLISH without a topic"},
        {BYTES("\x32\5\0\1t\0\0"), "a PUBLISH of QoS 1 with packet identifier 0"},
        {BYTES("\x34\5\0\1t\0\1"), "a PUBLISH of QoS 2"},
        {BYTES("\x36\5\0\1t\0\1"), "a PUBLISH of QoS 3"},
        {BYTES("\x38\3\0\1t"), "a PUBLISH of QoS 0 that says it is sent again"},
        {BYTES("\x40\2\0\0"), "a PUBACK for packet 0, which was not sent"},
        {BYTES("\x40\2\0\x63"), "a PUBACK for packet 99, which was not sent"},
        {BYTES("\x40\3\0\1\0"), "a PUBACK with 3 bytes instead of 2"},
        {BYTES("\x50\2\0\1"), "a packet of PUBREC, which a server does not send"},
        {BYTES("\xd0\0"), "a PINGRESP that nobody asked for"},
        {BYTES("\xd0\1x"), "a PINGRESP with 1 bytes instead of 0"},
        {BYTES("\x20\2\0\0"), "a CONNACK out of turn"},
        {BYTES("\x10\0"), "a packet of CONNECT, which a server does not send"},
        {BYTES("\0\0"), "a packet of type 0, which a server does not send"},
        {BYTES("\xf0\0"), "a packet of type 15, which a server does not send"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = {.instead = rows[i].text, .instead_len = rows[i].len};
        struct talk talk = talk_of(&broker);
        talk_run(&talk,
                 &(struct peer_soak_config){
                     .protocol = "mqtt", .path = "/t?qos=1", .timeout_ns = NS_PER_S, .total = 3});
        soaking_assert_counts(&talk.soaking, 3, 2, 1);
        talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, rows[i].words);
        assert_int_equal(talk.accepted, 2);
        talk_end(&talk);
    }
}

/* What a client did not send is an error besides; its own message comes all the same. */
static void add_strange(struct talk_server *server, const char *packet, size_t len)
{
    static const char others[] = "\x30\7\0\3a/bhi", long_one[] = "\x31\x06\0\1xabc";
    char retained[256];

    memcpy(retained, packet, len);
    retained[0] |= 1;
    talk_say(server, others, sizeof(others) - 1);
    talk_say(server, long_one, sizeof(long_one) - 1);
    talk_say(server, retained, len);
    echo(server, packet, len);
}

static void what_others_published_is_told(void **state)
{
    struct broker broker = {.publish = add_strange};
    struct talk talk = talk_of(&broker);

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt", .path = "/t?qos=0", .total = 5});
    assert_int_equal(talk.soaking.counts.completed, 5);
    assert_int_equal(talk.soaking.counts.bad_answer, 15);
    talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, "for a topic that is not this client's");
    assert_int_equal(talk.accepted, 1);
    talk_end(&talk);
}

static void say_twice(struct talk_server *server, const char *packet, size_t len)
{
    char again[256];

    memcpy(again, packet, len);
    if (qos_of(packet))
        again[0] |= 8;
    echo(server, packet, len);
    talk_say(server, again, len);
}

/* The last one's second copy finds the connection closed, where nothing is under way any more. */
static void what_comes_twice_is_counted(void **state)
{
    (void)state;
    for (unsigned qos = 0; qos < 2; qos++) {
        struct broker broker = {.publish = say_twice};
        struct talk talk = talk_of(&broker);
        talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                                   .path = qos ? "/t?qos=1" : "/t",
                                                   .pipeline = 4,
                                                   .total = 40});
        soaking_assert_counts(&talk.soaking, 40, 40, 0);
        assert_in_range(talk.soaking.counts.duplicates, 39, 40);
        assert_int_equal(talk.accepted, 1);
        talk_end(&talk);
        assert_in_range(broker.acknowledged, qos * 79, qos * 80);
    }
}

static void drop_some(struct talk_server *server, const char *packet, size_t len)
{
    if (broker_of(server)->published % 5 != 2)
        echo(server, packet, len);
}

/* Others of the same pipeline have nothing to do with it. */
static void what_is_lost_is_lost_alone(void **state)
{
    struct broker broker = {.publish = drop_some};
    struct talk talk = talk_of(&broker);

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){
                        .protocol = "mqtt", .pipeline = 8, .timeout_ns = NS_PER_S, .total = 50});
    soaking_assert_counts(&talk.soaking, 50, 40, 10);
    assert_int_equal(talk.soaking.counts.timeout, 10);
    assert_int_equal(talk.soaking.counts.duplicates, 0);
    assert_int_equal(talk.accepted, 1);
    talk_end(&talk);
}

static void delay_first(struct talk_server *server, const char *packet, size_t len)
{
    struct broker *broker = broker_of(server);

    if (broker->published == 1) {
        memcpy(broker->kept, packet, len);
        broker->kept_len = len;
        return;
    }
    if (broker->published == 3)
        echo(server, broker->kept, broker->kept_len);
    echo(server, packet, len);
}

static void what_comes_too_late_is_told_from_a_copy(void **state)
{
    (void)state;
    for (unsigned qos = 0; qos < 2; qos++) {
        struct broker broker = {.publish = delay_first};
        struct talk talk = talk_of(&broker);
        talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                                   .path = qos ? "/t?qos=1" : "/t",
                                                   .timeout_ns = 50 * MS,
                                                   .total = 5});
        soaking_assert_counts(&talk.soaking, 5, 4, 1);
        assert_int_equal(talk.soaking.counts.late, 1);
        assert_int_equal(talk.soaking.counts.duplicates, 0);
        talk_assert_words(&talk, PEER_SOAK_TIMEOUT, "no answer in time");
        talk_end(&talk);
    }
}

static void forget_puback(struct talk_server *server, const char *packet, size_t len)
{
    talk_say(server, packet, len);
}

static void forget_message(struct talk_server *server, const char *packet, size_t len)
{
    say_puback(server, packet, len);
}

static void acknowledge_twice(struct talk_server *server, const char *packet, size_t len)
{
    echo(server, packet, len);
    say_puback(server, packet, len);
}

static void an_acknowledgement_is_awaited(void **state)
{
    static const struct {
        void (*publish)(struct talk_server *server, const char *packet, size_t len);
        enum peer_soak_error kind;
        const char *words;
        uint64_t completed;
    } rows[] = {
        {forget_puback, PEER_SOAK_TIMEOUT, "no PUBACK in time", 0},
        {forget_message, PEER_SOAK_TIMEOUT, "was acknowledged, and did not come back", 0},
        {acknowledge_twice, PEER_SOAK_BAD_ANSWER, "a second PUBACK for packet 1", 4},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = {.publish = rows[i].publish};
        struct talk talk = talk_of(&broker);
        talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                                   .path = "/t?qos=1",
                                                   .think_ns = 100 * MS,
                                                   .timeout_ns = 50 * MS,
                                                   .total = 4});
        assert_int_equal(talk.soaking.counts.completed, rows[i].completed);
        assert_int_equal(talk.soaking.counts.requests, 4);
        talk_assert_words(&talk, rows[i].kind, rows[i].words);
        assert_int_equal(talk.accepted, 1);
        talk_end(&talk);
    }
}

static void spoil(struct talk_server *server, const char *packet, size_t len)
{
    char wrong[256];

    memcpy(wrong, packet, len);
    if (broker_of(server)->published % 4 == 3)
        wrong[len - 7] ^= 1;
    talk_say(server, wrong, len);
}

static void shorten(struct talk_server *server, const char *packet, size_t len)
{
    char wrong[256];

    memcpy(wrong, packet, len);
    if (broker_of(server)->published % 4 == 3) {
        wrong[1]--;
        len--;
    }
    talk_say(server, wrong, len);
}

static void every_byte_is_compared(void **state)
{
    static const struct {
        void (*publish)(struct talk_server *server, const char *packet, size_t len);
        const char *words;
    } rows[] = {{spoil, "byte 57 of what came back differs from what was sent"},
                {shorten, "a message of 63 bytes came back for one of 64"}};

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        struct broker broker = {.publish = rows[i / 2].publish};
        struct talk talk = talk_of(&broker);
        talk.drips = i % 2;
        talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt", .pipeline = 4, .total = 40});
        soaking_assert_counts(&talk.soaking, 40, 30, 10);
        talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, rows[i / 2].words);
        assert_int_equal(talk.accepted, 1);
        assert_int_equal(talk.soaking.counts.duplicates, 0);
        talk_end(&talk);
    }
}

static void a_quiet_connection_is_kept_alive(void **state)
{
    struct broker broker = {0};
    struct talk talk = talk_of(&broker);

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                               .path = "/t?keepalive=2",
                                               .think_ns = 5 * NS_PER_S,
                                               .total = 3});
    soaking_assert_counts(&talk.soaking, 3, 3, 0);
    assert_int_equal(broker.pings, 4); /* two in each pause */
    talk_end(&talk);
}

static void connections_are_held(void **state)
{
    (void)state;
    for (unsigned mute = 0; mute < 2; mute++) {
        struct broker broker = {.mute = mute};
        struct talk talk = talk_of(&broker);
        talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                                   .hold = true,
                                                   .path = "/t?qos=1&keepalive=3s",
                                                   .flows = 5,
                                                   .total = mute ? 0 : 5,
                                                   .touch = mute ? 0 : 5,
                                                   .timeout_ns = NS_PER_S,
                                                   .duration_ns = 10 * NS_PER_S});
        if (mute) {
            talk_assert_words(&talk, PEER_SOAK_TIMEOUT, "no PINGRESP in time");
            assert_int_equal(broker.pings, 10); /* others take their places */
            assert_int_equal(talk.soaking.counts.timeout, 10);
        } else {
            assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
            assert_int_equal(broker.published, 5);
            assert_int_equal(broker.acknowledged, 5);
        }
        assert_int_equal(broker.connects, mute ? 15 : 5);
        talk_end(&talk);
    }
}

static void held_connections_ask_for_nothing_but_life(void **state)
{
    struct broker broker = {0};
    struct talk talk = talk_of(&broker);

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){.protocol = "mqtt",
                                               .hold = true,
                                               .path = "/t?keepalive=3s",
                                               .flows = 5,
                                               .duration_ns = 10 * NS_PER_S});
    assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
    assert_int_equal(broker.pings, 3 * 5);
    assert_int_equal(broker.published, 0);
    talk_end(&talk);
    assert_int_equal(broker.farewells, 5);
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        struct peer_soak_config config;
        const char *words;
    } rows[] = {
        {{.path = "/t?qos=2"}, "\"qos=2\": that is 0 or 1"},
        {{.path = "/t?qos="}, "that is 0 or 1"},
        {{.path = "/t?keepalive=1ms"}, "whole seconds"},
        {{.path = "/t?keepalive=19h"}, "whole seconds"},
        {{.path = "/t?wills=maybe"}, "\"wills=maybe\": that is yes or no"},
        {{.path = "/t?clean=1"}, "\"clean=1\" is no parameter of MQTT"},
        {{.path = "/t?"}, "is no parameter of MQTT"},
        {{.path = "/a/+/b"}, "is a filter"},
        {{.path = "/a/%23"}, "is a filter"},
        {{.path = "/a%2"}, "two hexadecimal digits"},
        {{.password = "secret"}, "a password of MQTT has a user"},
        {{.message_bytes = 268435455}, "has at most 268435426 bytes"},
        {{.udp = true}, "needs TCP"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct broker broker = {0};
        struct talk talk = talk_of(&broker);
        struct peer_soak_config config = rows[i].config;
        config.protocol = "mqtt";
        assert_refused(&talk, &config, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(a_login_is_written_as_the_standard_has_it),
        cmocka_unit_test(what_a_broker_says_of_a_login_has_its_kind),
        cmocka_unit_test(what_breaks_the_rules_has_its_line),
        cmocka_unit_test(what_others_published_is_told),
        cmocka_unit_test(what_comes_twice_is_counted),
        cmocka_unit_test(what_is_lost_is_lost_alone),
        cmocka_unit_test(what_comes_too_late_is_told_from_a_copy),
        cmocka_unit_test(an_acknowledgement_is_awaited),
        cmocka_unit_test(every_byte_is_compared),
        cmocka_unit_test(a_quiet_connection_is_kept_alive),
        cmocka_unit_test(connections_are_held),
        cmocka_unit_test(held_connections_ask_for_nothing_but_life),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
