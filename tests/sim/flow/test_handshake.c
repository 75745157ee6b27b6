/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a handshake took, to the nanosecond: from the first SYN to the frame that answers, also where
 * one was lost and nobody can tell which SYN was answered.
 */
#include "support/simtest.h"

enum { PORT = 80 };

/* The frame of that number is lost; 0: none is. */
static uint64_t lost;
/* So much longer is each on its way. */
static uint64_t longer_ns;

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user;
    *delay_ns += longer_ns;
    return frame->number != lost;
}

static bool is_open(void *user)
{
    const struct end *end = user;

    return end->flow.state == FLOW_OPEN;
}

static uint64_t handshake_ns(uint64_t lost_number, uint64_t *ret_took_ns)
{
    const struct simnet_config config = {.peers = "198.18.0.0/24", .fate = fate};
    struct simnet *net = simnet_new(&config);

    lost = lost_number;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    const uint64_t start_ns = simnet_now_ns(net);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_true(simnet_run(net, is_open, end, start_ns + 10 * NS_PER_S));
    *ret_took_ns = end->open_ns - start_ns;
    const uint64_t took_ns = (uint64_t)end->flow.handshake_ns;
    end_free(end);
    simnet_run_for(net, NS_PER_S);
    simnet_end(net);
    return took_ns;
}

static void test_one_round_trip(void **state)
{
    uint64_t took_ns;

    (void)state;
    assert_int_equal(handshake_ns(0, &took_ns), 2 * NS_PER_MS);
    assert_int_equal(took_ns, 2 * NS_PER_MS);
}

static void test_what_was_lost_counts(void **state)
{
    uint64_t took_ns;

    (void)state;
    for (uint64_t number = 1; number <= 2; number++) { /* the SYN; its answer */
        const uint64_t told_ns = handshake_ns(number, &took_ns);
        assert_true(took_ns >= NS_PER_S);
        assert_int_equal(told_ns, took_ns);
    }
}

/* On this machine one takes few microseconds: none may be cut off. */
static void test_nothing_is_rounded(void **state)
{
    uint64_t took_ns;

    (void)state;
    longer_ns = 345;
    assert_int_equal(handshake_ns(0, &took_ns), 2 * NS_PER_MS + 690);
    longer_ns = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_one_round_trip, simnet_teardown),
        cmocka_unit_test_teardown(test_what_was_lost_counts, simnet_teardown),
        cmocka_unit_test_teardown(test_nothing_is_rounded, simnet_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
