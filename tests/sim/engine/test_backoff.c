/* SPDX-License-Identifier: BSD-3-Clause */
/* How long the RTO is when much is sent again: doubled by each time that it struck, by nothing else. */
#include "scripted.h"

#include <peer/flow.h>

enum { SEGMENT = 1000, SEGMENTS = 30 }; /* two of them are no packet */

static uint64_t rto_of(struct simnet *net, struct end *end)
{
    struct peer_flow_info info = {0};

    stack_conn_info(simnet_stack(net), &end->flow.conn, &info);
    return info.rto_ns;
}

/* Without SACK and timestamps: nothing is timed while things are sent again. */
static void duplicate_acknowledgements_do_not_back_off(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp answer = {0};
    struct end *end = accept_one(net, "198.18.0.2", &answer);
    struct craft_tcp tcp = segment("198.18.0.2", 80, CRAFT_ACK, APP_ISN + 1, answer.seq + 1);
    const uint64_t before_ns = rto_of(net, end);

    (void)state;
    end->write_most = SEGMENT;
    end->to_send = SEGMENTS * SEGMENT;
    end_pump(end);
    simnet_run_for(net, before_ns * 3 / 2); /* an RTO */
    simnet_forget(net);
    for (int i = 1; i < SEGMENTS / 2; i++) {
        tcp.ack = answer.seq + 1 + (uint32_t)i * SEGMENT;
        for (int again = 0; again < 3; again++)
            put_tcp(net, &tcp);
        simnet_forget(net);
        put_tcp(net, &tcp);
        assert_int_equal(take_tcp(net).seq, tcp.ack);
        simnet_forget(net);
        assert_in_range(rto_of(net, end), before_ns, 2 * before_ns);
    }
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(duplicate_acknowledgements_do_not_back_off),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
