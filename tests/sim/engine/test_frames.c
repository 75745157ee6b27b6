/* SPDX-License-Identifier: BSD-3-Clause */
/* Which frames a connection of one question and its answer takes: as with Linux at both ends, and
   with those that are frugal. */
#include "scripted.h"

#include <stdio.h>

enum { SERVER_BYTE = 3, QUESTION_BYTES = 100 };

/* Flags and payload of each frame, the client's as "C", the server's as "S". */
struct course {
    char text[512];
};

static unsigned record(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct course *course = user;
    uint8_t flags = frame->packet.tcp_flags;
    size_t len = strlen(course->text);

    (void)delay_ns;
    snprintf(course->text + len, sizeof(course->text) - len, "%s%c:%s%s%s%s%s", len ? " " : "",
             frame->packet.src.bytes[3] == SERVER_BYTE ? 'S' : 'C', flags & CRAFT_SYN ? "S" : "",
             flags & CRAFT_FIN ? "F" : "", flags & CRAFT_RST ? "R" : "",
             flags & CRAFT_ACK ? "." : "", frame->packet.payload_len ? "data" : "");
    return 1;
}

static bool has_answer(void *user)
{
    return ((struct end *)user)->received == QUESTION_BYTES;
}

/* The client closes when it has the answer. */
static void converse(struct course *course, bool frugal)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9",
                                   .delay_ns = 5 * NS_PER_MS,
                                   .frugal = frugal,
                                   .fate = record,
                                   .user = course};
    struct end like = {.echo = true, .close_when_done = true};
    struct simnet *net = simnet_new(&config);

    simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct end *client = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", 80);
    assert_non_null(client);
    client->to_send = QUESTION_BYTES;
    assert_true(simnet_run(net, has_answer, client, simnet_now_ns(net) + NS_PER_S));
    flow_close(&client->flow);
    assert_true(simnet_run(net, end_is_over, client, simnet_now_ns(net) + NS_PER_S));
    assert_int_equal(client->how, PEER_END_CLOSED);
    assert_false(client->wrong);
    simnet_run_for(net, 100 * NS_PER_MS);
    simnet_end(net);
}

static void a_connection_of_one_question_takes_the_frames_of_linux(void **state)
{
    struct course course = {0};

    (void)state;
    converse(&course, false);
    assert_string_equal(course.text,
                        "C:S S:S. C:. C:.data S:. S:.data C:. C:F. S:F. C:.");
}

static void the_frugal_let_acknowledgements_ride(void **state)
{
    struct course course = {0};

    (void)state;
    converse(&course, true);
    assert_string_equal(course.text, "C:S S:S. C:.data S:.data C:F. S:F. C:.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_of_one_question_takes_the_frames_of_linux),
        TEST(the_frugal_let_acknowledgements_ride),
    };
    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
