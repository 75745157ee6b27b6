/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In what order frames leave when several connections have news at once. What an owner says first
 * follows the acknowledgement of his handshake: the application, which that wakes, finds it there
 * instead of going back to sleep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "base/macro.h"
#include "support/simnet.h"

enum { CLIENTS = 5, SERVER = 9, ANSWERS_MAX = 64, BYTES = 100 };

struct sight {
    uint8_t from; /* last byte of the address */
    bool data;
};

/* What the clients sent behind their SYNs. */
struct sights {
    struct sight all[ANSWERS_MAX];
    int count;
};

static unsigned see(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    const struct packet *packet = &frame->packet;
    const uint8_t from = packet->src.bytes[3], syn = 2;
    struct sights *sights = user;

    (void)delay_ns;
    if (from != SERVER && !(packet->tcp_flags & syn) && sights->count < ANSWERS_MAX)
        sights->all[sights->count++] = (struct sight){from, packet->payload_len > 0};
    return 1;
}

static bool all_arrived(void *user)
{
    return simnet_counts(user).bytes == (uint64_t)CLIENTS * BYTES;
}

/* All answers to the SYNs come at the same moment. */
static void connect_together(struct simnet *net)
{
    static const char *const from[CLIENTS] = {"198.18.0.2", "198.18.0.3", "198.18.0.4",
                                              "198.18.0.5", "198.18.0.6"};
    struct end like = {0};

    simnet_listen(net, IPPROTO_TCP, 80, &like);
    for (int i = 0; i < CLIENTS; i++) {
        struct end *end = end_connect(net, IPPROTO_TCP, from[i], 0, "198.18.0.9", 80);
        assert_non_null(end);
        end->to_send = BYTES;
    }
    assert_true(simnet_run(net, all_arrived, net, simnet_now_ns(net) + NS_PER_S));
}

static void the_first_bytes_follow_the_acknowledgement_of_the_handshake(void **state)
{
    struct sights sights = {.count = 0};
    struct simnet_config config = {
        .peers = "198.18.0.2-198.18.0.9", .fate = see, .user = &sights};
    struct simnet *net = simnet_new(&config);

    (void)state;
    connect_together(net);
    assert_true(sights.count >= 2 * CLIENTS);
    for (int i = 0; i < 2 * CLIENTS; i += 2) {
        assert_false(sights.all[i].data);
        assert_true(sights.all[i + 1].data);
        assert_int_equal(sights.all[i].from, sights.all[i + 1].from);
    }
    simnet_end(net);
}

/* They are one frame then. */
static void frugal_first_bytes_are_the_acknowledgement(void **state)
{
    struct sights sights = {.count = 0};
    struct simnet_config config = {
        .peers = "198.18.0.2-198.18.0.9", .fate = see, .user = &sights, .frugal = true};
    struct simnet *net = simnet_new(&config);

    (void)state;
    connect_together(net);
    assert_true(sights.count >= CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(sights.all[i].data);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_first_bytes_follow_the_acknowledgement_of_the_handshake,
                                  simnet_teardown),
        cmocka_unit_test_teardown(frugal_first_bytes_are_the_acknowledgement, simnet_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
