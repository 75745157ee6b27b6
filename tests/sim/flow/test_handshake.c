/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a handshake took: by the stack's clock where it has seen one round trip, and from the first
 * SYN on where that, or its answer, was lost and nobody can tell which of them was answered.
 */
#include "support/simtest.h"

enum { PORT = 80 };

/* The frame of that number is lost; 0: none is. */
static uint64_t lost;

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user;
    (void)delay_ns;
    return frame->number != lost;
}

static bool is_open(void *user)
{
    const struct end *end = user;

    return end->flow.state == FLOW_OPEN;
}

static uint32_t handshake_us(uint64_t lost_number, uint64_t *ret_took_ns)
{
    const struct simnet_config config = {.peers = "198.18.0.0/24", .fate = fate};
    struct simnet *net = simnet_new(&config);

    lost = lost_number;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    const uint64_t start_ns = simnet_now_ns(net);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_true(simnet_run(net, is_open, end, start_ns + 10 * NS_PER_S));
    *ret_took_ns = end->open_ns - start_ns;
    const uint32_t took_us = end->flow.handshake_us;
    end_free(end);
    simnet_run_for(net, NS_PER_S);
    simnet_end(net);
    return took_us;
}

static void test_one_round_trip(void **state)
{
    uint64_t took_ns;

    (void)state;
    assert_int_equal(handshake_us(0, &took_ns), 2000);
    assert_int_equal(took_ns, 2 * NS_PER_MS);
}

static void test_what_was_lost_counts(void **state)
{
    uint64_t took_ns;

    (void)state;
    for (uint64_t number = 1; number <= 2; number++) { /* the SYN; its answer */
        const uint32_t took_us = handshake_us(number, &took_ns);
        assert_true(took_ns >= NS_PER_S);
        assert_int_equal(took_us, took_ns / 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_one_round_trip, simnet_teardown),
        cmocka_unit_test_teardown(test_what_was_lost_counts, simnet_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
