/* SPDX-License-Identifier: BSD-3-Clause */
/* What crosses the border of the library: structs of other versions, words, what stays known, and
   what callers do wrong. */
#include "netlib.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <peer/confine.h>
#include <peer/doctor.h>
#include <peer/manner.h>
#include <peer/soak.h>
#include <peer/trace.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static struct peer_net *net;
static int listener;

static int set_up(void **state)
{
    (void)state;
    net = netlib_isolated();
    listener = netlib_server(net, NETLIB_PORT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(listener);
    net = peer_net_free(net);
    return 0;
}

/* ---- growth ---- */

/* A program that knows less of a struct than the library has of it, and one that knows more. */
static void no_more_is_written_than_a_caller_knows(void **state)
{
    union {
        struct peer_net_stats stats;
        unsigned char bytes[sizeof(struct peer_net_stats) + 64];
    } old, newer;

    (void)state;
    memset(&old, 0xab, sizeof(old));
    memset(&newer, 0xab, sizeof(newer));
    assert_int_equal(peer_net_get_stats_sized(net, &old.stats, 16), 0);
    for (size_t i = 16; i < sizeof(old); i++)
        assert_int_equal(old.bytes[i], 0xab);
    assert_int_equal(peer_net_get_stats_sized(net, &newer.stats, sizeof(newer)), 0);
    for (size_t i = sizeof(struct peer_net_stats); i < sizeof(newer); i++)
        assert_int_equal(newer.bytes[i], 0);
}

static void what_an_older_library_does_not_know_is_refused_unless_it_is_zero(void **state)
{
    union {
        struct peer_connect_config config;
        unsigned char bytes[sizeof(struct peer_connect_config) + 16];
    } newer = {.config = {.to = netlib_addr(NETLIB_HOST), .to_port = NETLIB_PORT}};
    struct peer_error error = {0};
    struct peer_flow *flow = NULL;

    (void)state;
    memset(newer.bytes + sizeof(newer.config), 0, 16);
    assert_int_equal(peer_connect_sized(net, &newer.config, sizeof(newer), &flow, &error), 0);
    peer_flow_free(flow);
    newer.bytes[sizeof(newer) - 1] = 1;
    assert_int_equal(peer_connect_sized(net, &newer.config, sizeof(newer), &flow, &error), -E2BIG);
    assert_non_null(strstr(error.text, peer_version()));
}

static void what_an_older_caller_does_not_know_is_the_default(void **state)
{
    struct peer_connect_config config = {
        .to = netlib_addr(NETLIB_HOST), .to_port = NETLIB_PORT, .manners = "no such manner"};
    struct peer_flow *flow = NULL;

    (void)state;
    assert_int_equal(peer_connect_sized(net, &config, offsetof(struct peer_connect_config, manners),
                                        &flow, NULL),
                     0);
    peer_flow_free(flow);
}

static void a_copy_of_a_struct_is_as_good_as_the_struct(void **state)
{
    struct peer_manner manner, copies[3];
    size_t count = 0;

    (void)state;
    for (size_t i = 0; peer_manner(i, &manner) && count < 3; i++) {
        if (manner.value[0])
            copies[count++] = manner;
    }
    memset(&manner, 0xab, sizeof(manner));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        assert_true(strlen(copies[i].value) < sizeof(copies[i].value));
}

/* ---- words ---- */

static void each_number_has_a_word(void **state)
{
    (void)state;
    for (int type = PEER_EVENT_NONE; type <= PEER_EVENT_UNREACHABLE; type++)
        assert_string_not_equal(peer_event_name((enum peer_event_type)type), "unknown");
    for (int end = PEER_END_NONE; end <= PEER_END_DEVICE; end++)
        assert_string_not_equal(peer_end_name((enum peer_end)end), "unknown");
    for (int at = PEER_FLOW_CLOSED; at <= PEER_FLOW_UNCONNECTED; at++)
        assert_string_not_equal(peer_flow_state_name((enum peer_flow_state)at), "unknown");
    assert_string_equal(peer_event_name((enum peer_event_type)4711), "unknown");
    assert_string_equal(peer_end_name((enum peer_end) - 1), "unknown");
    assert_string_equal(peer_strerror(-EBADFD), "the device is gone");
    assert_non_null(peer_strerror(-4711));
    assert_non_null(peer_strerror(4711));
}

static void what_is_refused_is_told_in_words(void **state)
{
    const struct peer_addr host = netlib_addr(NETLIB_HOST), stranger = netlib_addr("203.0.113.1"),
                           six = netlib_addr("2001:db8::1");
    const struct {
        struct peer_connect_config config;
        int status;
        const char *words;
    } cases[] = {
        {{.to = host, .to_port = 80, .from = stranger}, -EADDRNOTAVAIL, "203.0.113.1"},
        {{.to = six, .to_port = 80}, -EAFNOSUPPORT, "2001:db8::1"},
        {{.to_port = 80}, -EAFNOSUPPORT, "IPv4"},
        {{.to = host, .to_port = 80, .manners = "sulk"}, -EINVAL, "sulk"},
        {{.to = host, .to_port = 80, .proxy_protocol = 3}, -EINVAL, "PROXY"},
        {{.to = host, .to_port = 80, .proxy_protocol = 1, .udp = true}, -EINVAL, "TCP"},
        {{.to = host, .to_port = 80, .mss = 1000, .udp = true}, -EINVAL, "TCP"},
        {{.to = host, .to_port = 80, .no_sack = true, .udp = true}, -EINVAL, "TCP"},
        {{.to = host, .to_port = 80, .mss = 10}, -EINVAL, "mss 10"},
        {{.to = host, .to_port = 80, .mss = 1461}, -EINVAL, "mss 1461"},
        {{.to = host, .to_port = 80, .dscp = 64}, -EINVAL, "dscp 64"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer_error error = {0};
        struct peer_flow *flow = NULL;
        assert_int_equal(peer_connect(net, &cases[i].config, &flow, &error), cases[i].status);
        assert_null(flow);
        assert_int_equal(error.code, -cases[i].status);
        assert_non_null(strstr(error.text, cases[i].words));
        assert_int_equal(peer_connect(net, &cases[i].config, &flow, NULL), cases[i].status);
    }
}

static void mistakes_of_listeners_and_pings_are_told_in_words(void **state)
{
    struct peer_listener *first, *second = NULL;
    struct peer_error error = {0};

    (void)state;
    assert_int_equal(
        peer_listen(net, &(struct peer_listen_config){.serve = "tea"}, &second, &error), -EINVAL);
    assert_non_null(strstr(error.text, "tea"));
    assert_int_equal(peer_listen(net, &(struct peer_listen_config){.port = 7}, &first, &error), 0);
    assert_int_equal(peer_listen(net, &(struct peer_listen_config){.port = 7}, &second, &error),
                     -EADDRINUSE);
    assert_non_null(strstr(error.text, "port 7"));
    peer_listener_free(first);
    const struct peer_ping_config ping = {.to = netlib_addr("2001:db8::1")};
    assert_true(peer_ping(net, &ping, &error) < 0);
    assert_non_null(strstr(error.text, "2001:db8::1"));
}

/* ---- what stays known ---- */

static void a_listener_that_was_given_no_port_has_one(void **state)
{
    struct peer_listener *first = NULL, *second = NULL;
    struct sockaddr_in to = {.sin_family = AF_INET};

    (void)state;
    assert_int_equal(peer_listen(net, &(struct peer_listen_config){0}, &first, NULL), 0);
    assert_int_equal(peer_listen(net, &(struct peer_listen_config){0}, &second, NULL), 0);
    assert_true(peer_listener_get_port(first) >= 1024);
    assert_int_not_equal(peer_listener_get_port(first), peer_listener_get_port(second));
    int caller = peer_net_socket(net, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, NULL);
    to.sin_port = htons(peer_listener_get_port(second));
    assert_int_equal(inet_pton(AF_INET, "198.18.0.5", &to.sin_addr), 1);
    assert_int_equal(connect(caller, (struct sockaddr *)&to, sizeof(to)), -1);
    struct peer_event event = netlib_await(net, PEER_EVENT_ACCEPTED);
    assert_ptr_equal(event.listener, second);
    peer_flow_free(event.flow);
    close(caller);
}

static void addresses_and_times_outlive_the_flow(void **state)
{
    struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);
    struct peer_flow_info before, after;
    struct peer_event event;

    (void)state;
    event = netlib_await(net, PEER_EVENT_CONNECTED);
    uint64_t connected_ns = event.at_ns;
    assert_true(connected_ns > 0 && connected_ns <= peer_net_now_ns(net));
    peer_flow_get_info(flow, &before);
    assert_int_equal(before.state, PEER_FLOW_ESTABLISHED);
    close(accept(listener, NULL, NULL));
    netlib_await(net, PEER_EVENT_EOF);
    peer_flow_close(flow);
    event = netlib_await(net, PEER_EVENT_CLOSED);
    assert_int_equal(event.end, PEER_END_CLOSED);
    assert_true(event.at_ns >= connected_ns && event.at_ns <= peer_net_now_ns(net));
    peer_flow_get_info(flow, &after);
    assert_int_equal(after.state, PEER_FLOW_CLOSED);
    assert_true(peer_addr_equal(&after.from, &before.from));
    assert_true(peer_addr_equal(&after.to, &before.to));
    assert_int_equal(after.from_port, before.from_port);
    assert_int_equal(after.to_port, NETLIB_PORT);
    peer_flow_free(flow);
}

static void a_flow_closed_during_its_handshake_ended_here(void **state)
{
    struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);

    (void)state;
    peer_flow_close(flow);
    assert_int_equal(netlib_await(net, PEER_EVENT_CLOSED).end, PEER_END_LOCAL);
    peer_flow_free(flow);
}

/* ---- captures ---- */

static size_t count_frames(const char *path)
{
    FILE *file = fopen(path, "re");
    uint32_t head[2];
    size_t count = 0;

    assert_non_null(file);
    while (fread(head, sizeof(head), 1, file) == 1) {
        count += head[0] == 6; /* an enhanced packet block */
        assert_int_equal(fseek(file, (long)head[1] - (long)sizeof(head), SEEK_CUR), 0);
    }
    fclose(file);
    return count;
}

static void captures_are_taken_one_after_the_other(void **state)
{
    char folder[] = "/tmp/peer-capture-XXXXXX", path[sizeof(folder) + 16];
    struct peer_net_stats stats;
    struct peer_error error = {0};

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(peer_net_end_capture(net), 0); /* of none */
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/%d", folder, i);
        if (peer_net_start_capture(net, path, &error) < 0)
            fail_msg("%s", error.text);
        for (int j = 0; j < i; j++) {
            struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);
            netlib_await(net, PEER_EVENT_CONNECTED);
            peer_flow_free(flow);
        }
        assert_int_equal(peer_net_end_capture(net), 0);
        peer_net_get_stats(net, &stats);
        assert_int_equal(stats.pcap_frames, 4 * i); /* SYN, SYN-ACK, ACK, RST */
        assert_int_equal(count_frames(path), 4 * i);
        peer_flow_free(netlib_connect(net, NETLIB_PORT)); /* in neither */
        assert_int_equal(peer_net_dispatch(net), 0);      /* nor what answers it */
        assert_int_equal(count_frames(path), 4 * i);
        unlink(path);
    }
    assert_int_equal(peer_net_start_capture(net, "/no/such/folder/file", &error), -ENOENT);
    assert_non_null(strstr(error.text, "/no/such/folder"));
    assert_int_equal(rmdir(folder), 0);
}

/* ---- mistakes ---- */

static void questions_about_nothing_have_answers(void **state)
{
    const struct peer_addr host = netlib_addr(NETLIB_HOST), six = netlib_addr("2001:db8::1");
    struct peer_soak *soak = NULL;
    struct peer_error error = {0};

    (void)state;
    assert_int_equal(peer_net_has_listener(net, IPPROTO_TCP, &host, NETLIB_PORT), 1);
    assert_int_equal(peer_net_has_listener(net, 0, &host, NETLIB_PORT), -EPROTONOSUPPORT);
    assert_int_equal(peer_net_has_listener(net, 256 + IPPROTO_TCP, &host, 80), -EPROTONOSUPPORT);
    assert_int_equal(peer_net_has_listener(net, IPPROTO_TCP, &six, NETLIB_PORT), -EAFNOSUPPORT);
    assert_int_equal(
        peer_soak_start(net, &(struct peer_soak_config){.protocol = "gopher"}, &soak, &error),
        -EINVAL);
    assert_non_null(strstr(error.text, "gopher"));
    assert_int_equal(peer_net_new(NULL, &(struct peer_net *){NULL}, &error), -EINVAL);
    assert_int_equal(peer_net_start_program(net, &error), -EINVAL);
}

static void nobody_needs_to_be_told_of_checks_and_stations(void **state)
{
    const struct peer_trace_config config = {.to = netlib_addr(NETLIB_HOST),
                                             .to_port = NETLIB_PORT};
    struct peer_trace_result result;

    (void)state;
    assert_int_equal(peer_trace(net, &config, &result, NULL), 0);
    assert_int_equal(result.outcome, PEER_TRACE_ANSWERED);
    assert_true(peer_doctor(&(struct peer_doctor_config){0}, NULL, NULL) >= 0);
}

/* ---- the device ---- */

static void remove_device(void)
{
    struct peer_net_info info;
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {.header = {.nlmsg_len = sizeof(request),
                            .nlmsg_type = RTM_DELLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
    struct ifreq named = {0};
    char answer[1000];

    peer_net_get_info(net, &info);
    int fd = peer_net_socket(net, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, NULL);
    int ip = peer_net_socket(net, AF_INET, SOCK_DGRAM, 0, NULL);
    snprintf(named.ifr_name, sizeof(named.ifr_name), "%s", info.device);
    assert_int_equal(ioctl(ip, SIOCGIFINDEX, &named), 0);
    request.link.ifi_index = named.ifr_ifindex;
    assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
    assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
    close(fd);
    close(ip);
}

static void when_the_device_is_gone_all_flows_end_and_all_calls_say_so(void **state)
{
    struct peer_flow *flows[3];
    struct peer_event event;
    int ended = 0, status;

    (void)state;
    for (int i = 0; i < 3; i++) {
        flows[i] = netlib_connect(net, NETLIB_PORT);
        netlib_await(net, PEER_EVENT_CONNECTED);
    }
    remove_device();
    do
        status = peer_net_wait(net, UINT64_MAX);
    while (status == 0);
    assert_int_equal(status, -EBADFD);
    while (peer_net_pop_event(net, &event)) {
        assert_int_equal(event.type, PEER_EVENT_CLOSED);
        assert_int_equal(event.end, PEER_END_DEVICE);
        ended++;
    }
    assert_int_equal(ended, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peer_net_wait(net, UINT64_MAX), -EBADFD);
        assert_int_equal(peer_net_dispatch(net), -EBADFD);
        assert_int_equal(peer_flow_write(flows[i], "x", 1), -EPIPE);
    }
    const struct peer_connect_config config = {.to = netlib_addr(NETLIB_HOST), .to_port = 80};
    assert_int_equal(peer_connect(net, &config, &flows[0], NULL), -EBADFD);
    assert_int_equal(peer_net_leave(net), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_more_is_written_than_a_caller_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_an_older_library_does_not_know_is_refused_unless_it_is_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_an_older_caller_does_not_know_is_the_default, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_copy_of_a_struct_is_as_good_as_the_struct, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_number_has_a_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_refused_is_told_in_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_of_listeners_and_pings_are_told_in_words, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_listener_that_was_given_no_port_has_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(addresses_and_times_outlive_the_flow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flow_closed_during_its_handshake_ended_here, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(captures_are_taken_one_after_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(questions_about_nothing_have_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_needs_to_be_told_of_checks_and_stations, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(when_the_device_is_gone_all_flows_end_and_all_calls_say_so,
                                        set_up, tear_down),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
