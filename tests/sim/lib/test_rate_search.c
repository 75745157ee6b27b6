/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The highest rate of a service whose capacity is known: one that serves callers one after the other.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include <peer/slo.h>

struct service {
    uint64_t each_ns; /* to serve one */
    uint64_t free_ns; /* when it has time for the next */
};

static void answer(struct end *end)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    (void)flow_write(&end->flow, ok, strlen(ok), 0);
}

static void serve(struct end *end, unsigned events)
{
    struct service *service = end->user;
    struct iovec iov[4];
    size_t len = 0;

    if (events & FLOW_READABLE)
        len = iov_total(iov, flow_peek(&end->flow, iov, 4));
    if (len) {
        uint64_t now_ns = end->flow.flows->now_ns;
        flow_consume(&end->flow, len);
        service->free_ns = MAX(service->free_ns, now_ns) + service->each_ns;
        end_wait(end, service->free_ns - now_ns);
    }
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

/* One soak: whether the objective was kept at this rate. */
static bool is_kept(double rate, uint64_t each_ns, const struct peer_slo *slo)
{
    struct service service = {.each_ns = each_ns};
    const struct end application = {
        .on_event = serve, .on_timer = answer, .drop_when_ended = true, .user = &service};
    const struct simnet_config net = {0};
    const struct peer_soak_config config = {
        .flows = 50, .rate = rate, .warmup_ns = NS_PER_S / 2, .duration_ns = 2 * NS_PER_S};
    struct peer_slo_verdict verdict;
    struct soaking soaking;

    soaking_run(&soaking, &net, &application, &config);
    peer_slo_judge(slo, soaking.result, &verdict);
    bool kept = verdict.kept && peer_result_keeps_up(soaking.result);
    soaking_end(&soaking);
    return kept;
}

static void test_finds_what_a_service_can_do(void **state)
{
    static const double capacities[] = {130, 1000, 2718};
    struct peer_slo *slo;
    double rate;

    (void)state;
    assert_int_equal(peer_slo_new("p99<100ms", &slo, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
        struct peer_rate_search *search = peer_rate_search_new(100, 20000);
        assert_non_null(search);
        while (peer_rate_search_next(search, &rate))
            peer_rate_search_tell(search, is_kept(rate, (uint64_t)(1e9 / capacities[i]), slo));
        double found = peer_rate_search_found(search);
        if (found < capacities[i] * 0.95 || found > capacities[i] * 1.05)
            fail_msg("%g of %g", found, capacities[i]);
        peer_rate_search_free(search);
    }
    peer_slo_free(slo);
}

static void test_ranges_that_are_none(void **state)
{
    (void)state;
    assert_null(peer_rate_search_new(0, 10));
    assert_null(peer_rate_search_new(20, 10));
    assert_null(peer_rate_search_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_a_service_can_do),
        cmocka_unit_test(test_ranges_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
