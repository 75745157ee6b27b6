/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A peer_net is made here of what soaks use of one: the peers, an engine, and the sockets by which
 * they ask the kernel. No device stands on this machine.
 */
#include "soaking.h"

#include "simtest.h"

#include "lib/internal.h"

static struct peer_net *make_net(struct simnet *net, const char *peers)
{
    struct peer_net *made = calloc(1, sizeof(*made));

    assert_non_null(made);
    made->engine = simnet_engine(net);
    list_init(&made->contexts);
    attachment_init(&made->attachment);
    made->attachment.seed = simnet_seed(net);
    made->attachment.ifindex = 1; /* lo: there is one, whose drops are read */
    assert_int_equal(addr_set_parse(peers, &made->attachment.peers, NULL), 0);
    assert_int_equal(rtnl_open(&made->attachment.rtnl, NULL), 0);
    assert_int_equal(diag_open(&made->attachment.diag, NULL), 0);
    return made;
}

static void free_net(struct peer_net *net)
{
    attachment_done(&net->attachment);
    free(net);
}

void soaking_begin(struct soaking *soaking, const struct simnet_config *net,
                   const struct end *application)
{
    struct simnet_config config = *net;

    config.peers = "198.18.0.1-198.18.0.9";
    config.offload = true;
    config.seed = config.seed ? config.seed : 1;
    memset(soaking, 0, sizeof(*soaking));
    soaking->net = simnet_new(&config);
    soaking->peers = make_net(soaking->net, config.peers);
    soaking->start_ns = simnet_now_ns(soaking->net);
    simnet_listen(soaking->net, IPPROTO_TCP, SOAKING_PORT, application);
    simnet_listen(soaking->net, IPPROTO_UDP, SOAKING_PORT, application);
}

int soaking_start(struct soaking *soaking, const struct peer_soak_config *config,
                  struct peer_error *error)
{
    struct peer_soak_config with_target = *config;

    if (!with_target.to.family)
        with_target.to = simnet_addr(SOAKING_TO);
    if (!with_target.to_port)
        with_target.to_port = SOAKING_PORT;
    return peer_soak_start(soaking->peers, &with_target, &soaking->soak, error);
}

static bool is_over(void *user)
{
    return peer_soak_is_over(user);
}

void soaking_look(struct soaking *soaking)
{
    peer_result_free(soaking->result);
    assert_int_equal(peer_soak_get_result(soaking->soak, &soaking->result), 0);
    peer_result_get_report(soaking->result, &soaking->report);
    soaking->counts = soaking->report.counts;
}

void soaking_finish(struct soaking *soaking, uint64_t limit_ns)
{
    assert_true(
        simnet_run(soaking->net, is_over, soaking->soak, simnet_now_ns(soaking->net) + limit_ns));
    soaking_look(soaking);
}

void soaking_run(struct soaking *soaking, const struct simnet_config *net,
                 const struct end *application, const struct peer_soak_config *config)
{
    struct peer_error error = {0};

    soaking_begin(soaking, net, application);
    if (soaking_start(soaking, config, &error) < 0)
        fail_msg("%s", error.text);
    soaking_finish(soaking, 600 * NS_PER_S);
}

void soaking_end(struct soaking *soaking)
{
    soaking->result = peer_result_free(soaking->result);
    soaking->soak = peer_soak_free(soaking->soak);
    simnet_run_for(soaking->net, 60 * NS_PER_S);
    simnet_end(soaking->net);
    free_net(soaking->peers);
}

void soaking_assert_counts(const struct soaking *soaking, uint64_t requests, uint64_t completed,
                           uint64_t errors)
{
    assert_int_equal(soaking->counts.requests, requests);
    assert_int_equal(soaking->counts.completed, completed);
    assert_int_equal(peer_soak_errors(&soaking->counts), errors);
    assert_int_equal(soaking->report.request.count, completed);
}
