/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets written to a TUN device of our own, followed through rules that nft(8) made. In a user
 * and network namespace, so no privileges are needed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/addr_set.h"
#include "kernel/observe/nftrace.h"
#include "support/kernel_device.h"
#include "support/netns.h"

enum { VNET_BYTES = 10, EVENTS = 512, PEER_PORT = 4000 };

static struct tun tun;
static struct nftrace *nftrace;
static struct nftrace_event events[EVENTS];
static int count;

/** nft(8) with `rules` as its input. It wants a line break behind a block that ends in one. */
static int nft(const char *rules)
{
    FILE *pipe = popen("nft -f -", "w");
    if (!pipe)
        return -1;
    for (; *rules; rules++) {
        (void)fputc(*rules, pipe);
        if (!strncmp(rules, "} }", 3) || !strncmp(rules, "} chain", 7))
            (void)fputc('\n', pipe);
    }
    return pclose(pipe);
}

static bool has_nft(void)
{
    int status = system("nft list ruleset >/dev/null 2>&1");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/** What `command` prints. */
static const char *output(const char *command)
{
    static char text[8192];
    FILE *pipe = popen(command, "r");

    assert_non_null(pipe);
    text[fread(text, 1, sizeof(text) - 1, pipe)] = '\0';
    (void)pclose(pipe);
    return text;
}

static uint16_t sum(const void *data, size_t len, uint32_t start)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        start += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return htons((uint16_t)~start);
}

/** A SYN from 198.18.0.2, as one write; then what was seen is in `events`. */
static void send_syn(uint16_t from_port, uint16_t port)
{
    uint8_t packet[VNET_BYTES + 40] = {0};
    struct iphdr ip = {.version = 4,
                       .ihl = 5,
                       .tot_len = htons(40),
                       .ttl = 64,
                       .protocol = IPPROTO_TCP,
                       .saddr = inet_addr("198.18.0.2"),
                       .daddr = inet_addr("198.18.0.1")};
    struct tcphdr tcp = {.source = htons(from_port),
                         .dest = htons(port),
                         .doff = 5,
                         .syn = 1,
                         .window = htons(1000)};
    uint32_t pseudo = IPPROTO_TCP + sizeof(tcp);

    for (int i = 0; i < 4; i++)
        pseudo += ntohs(((const uint16_t *)&ip.saddr)[i]);
    ip.check = sum(&ip, sizeof(ip), 0);
    tcp.check = sum(&tcp, sizeof(tcp), pseudo);
    memcpy(packet + VNET_BYTES, &ip, sizeof(ip));
    memcpy(packet + VNET_BYTES + 20, &tcp, sizeof(tcp));
    assert_int_equal(write(tun.fd, packet, sizeof(packet)), sizeof(packet));
    count = nftrace_collect(nftrace, events, EVENTS, NULL);
    assert_true(count >= 0);
}

/** Follows SYNs from PEER_PORT to `port` from now on. */
static void follow(uint16_t port)
{
    struct nftrace_config config = {.peer = {4, {198, 18, 0, 2}},
                                    .target = {4, {198, 18, 0, 1}},
                                    .protocol = IPPROTO_TCP,
                                    .peer_port = PEER_PORT,
                                    .port = port};
    struct peer_error error = {0};
    int fds[NFTRACE_FDS];

    memcpy(config.device, tun.name, sizeof(config.device));
    assert_int_equal(nftrace_open(fds), 0);
    if (nftrace_new(fds, &config, &nftrace, &error) < 0)
        fail_msg("%s", error.text);
}

/** The n-th event that decides, of chains that are not ours. */
static const struct nftrace_event *decision(int n)
{
    for (int i = 0; i < count; i++)
        if (!events[i].ours && events[i].type != NFTRACE_HEADER && n-- == 0)
            return &events[i];
    return NULL;
}

static void assert_decision(int n, enum nftrace_type type, const char *chain,
                            enum nftrace_verdict verdict)
{
    const struct nftrace_event *event = decision(n);

    assert_non_null(event);
    assert_string_equal(event->chain.name, chain);
    assert_int_equal(event->type, type);
    assert_int_equal(event->verdict, verdict);
}

static void assert_rule(int n, const char *text)
{
    const struct nftrace_event *event = decision(n);
    char buf[NFTRACE_TEXT];

    assert_non_null(event);
    assert_int_equal(
        nftrace_rule_text(nftrace, &event->chain, event->handle, buf, sizeof(buf), NULL), 0);
    assert_string_equal(buf, text);
}

static bool seen(enum nftrace_hook hook, bool back)
{
    for (int i = 0; i < count; i++)
        if (events[i].ours && events[i].chain.hook == hook && events[i].back == back)
            return true;
    return false;
}

static void without_rules_the_hooks_are_seen_in_order(void **state)
{
    (void)state;
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_true(seen(NFTRACE_INGRESS, false));
    assert_true(seen(NFTRACE_PREROUTING, false));
    assert_true(seen(NFTRACE_INPUT, false));
    assert_false(seen(NFTRACE_FORWARD, false));
    assert_true(seen(NFTRACE_OUTPUT, true)); /* the RST */
    assert_true(seen(NFTRACE_POSTROUTING, true));
    enum nftrace_hook hook = NFTRACE_INGRESS;
    for (int i = 0; i < count; i++) {
        assert_true(events[i].chain.hook >= hook);
        hook = events[i].chain.hook;
    }
    assert_null(decision(0));
}

static void the_packet_of_an_event_is_quoted(void **state)
{
    (void)state;
    follow(9);
    send_syn(PEER_PORT, 9);
    bool there = false, back = false;
    for (int i = 0; i < count; i++) {
        if (!events[i].has_packet)
            continue;
        there = there || (!events[i].back && events[i].sport == PEER_PORT && events[i].dport == 9 &&
                          events[i].iif == tun.ifindex);
        back = back || (events[i].back && events[i].sport == 9 && events[i].dport == PEER_PORT);
    }
    assert_true(there && back);
}

static void other_packets_are_not_followed(void **state)
{
    (void)state;
    follow(9);
    send_syn(PEER_PORT + 1, 9);
    for (int i = 0; i < count; i++)
        assert_true(events[i].back);
}

static void a_rule_that_drops_is_the_last_event(void **state)
{
    (void)state;
    assert_int_equal(nft("table inet f { chain in { type filter hook input priority 0; "
                         "ct state established accept; tcp dport 9 counter drop comment "
                         "\"closed\"; } }"),
                     0);
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_decision(0, NFTRACE_RULE, "in", NFTRACE_DROP);
    assert_null(decision(1));
    assert_rule(0, "tcp dport 9 counter drop comment \"closed\"");
    assert_int_equal(decision(0)->chain.hook, NFTRACE_INPUT);
    assert_int_equal(decision(0)->chain.priority, 0);
    assert_false(seen(NFTRACE_OUTPUT, true));
}

static void jumps_are_followed_and_return(void **state)
{
    (void)state;
    assert_int_equal(nft("table ip f { chain web { ip saddr 198.18.0.0/24 counter; } "
                         "chain in { type filter hook input priority 5; policy drop; "
                         "tcp dport { 7, 9, 100-200 } jump web; iifname \"peer*\" accept; } }"),
                     0);
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_decision(0, NFTRACE_RULE, "in", NFTRACE_JUMP);
    assert_string_equal(decision(0)->target, "web");
    assert_rule(0, "tcp dport { 7, 9, 100-200 } jump web");
    assert_decision(1, NFTRACE_RULE, "web", NFTRACE_CONTINUE);
    assert_rule(1, "ip saddr 198.18.0.0/24 counter");
    assert_decision(2, NFTRACE_RETURNED, "web", NFTRACE_CONTINUE);
    assert_decision(3, NFTRACE_RULE, "in", NFTRACE_ACCEPT);
    assert_rule(3, "iifname \"peer*\" accept");
    assert_null(decision(4));
}

static void a_policy_that_drops_is_told(void **state)
{
    (void)state;
    assert_int_equal(nft("table inet f { set ok { type ipv4_addr; elements = { 192.0.2.1 } } "
                         "chain in { type filter hook input priority 0; policy drop; "
                         "ip saddr @ok accept; } }"),
                     0);
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_decision(0, NFTRACE_POLICY, "in", NFTRACE_DROP);
    assert_true(decision(0)->chain.drops);
}

static void redirected_packets_show_their_new_port(void **state)
{
    (void)state;
    assert_int_equal(nft("table ip n { chain pre { type nat hook prerouting priority -100; "
                         "tcp dport 9 redirect to :10; } }"),
                     0);
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_decision(0, NFTRACE_RULE, "pre", NFTRACE_ACCEPT);
    assert_rule(0, "tcp dport 9 redirect to :10");
    bool renumbered = false;
    for (int i = 0; i < count; i++)
        renumbered = renumbered || (!events[i].back && events[i].has_packet &&
                                    events[i].chain.hook == NFTRACE_INPUT && events[i].dport == 10);
    assert_true(renumbered);
}

/* Behind the next handle that `nft -a list` has written. */
static const char *after_handle(const char *listing)
{
    listing = strstr(listing, "# handle ");
    assert_non_null(listing);
    return listing + strlen("# handle ");
}

static void rules_are_put_into_nfts_words(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *words; /* NULL: the same */
    } rows[] = {
        {"iifname { \"lo\", \"peer0\" } counter", NULL},
        {"ct state established,related accept", NULL},
        {"ip saddr 198.18.0.0/15 tcp dport != 80 limit rate 10/second accept", NULL},
        {"meta mark 0x7 accept", "meta mark 7 accept"},
        {"ip ttl < 10 drop", NULL},
        {"tcp dport 100-200 log prefix \"x\" drop",
         "tcp dport >= 100 tcp dport <= 200 log prefix \"x\" drop"},
        {"tcp dport vmap { 80 : accept, 443 : drop }", NULL},
        {"fib saddr . iif oif 0 drop", NULL},
        {"ip6 saddr 2001:db8::/32 accept", NULL},
        {"meta l4proto tcp reject with tcp reset", NULL},
    };
    struct nftrace_chain chain = {.family = 1 /* inet */, .table = "w", .name = "c"};
    char text[8192] = "table inet w { chain c {\n", buf[NFTRACE_TEXT];
    const size_t row_count = sizeof(rows) / sizeof(rows[0]);

    for (size_t i = 0; i < row_count; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", rows[i].rule);
    (void)strcat(text, "} }\n");
    assert_int_equal(nft(text), 0);
    follow(9);
    const char *listing = after_handle(output("nft -a list chain inet w c")); /* the chain's */
    for (size_t i = 0; i < row_count; i++) {
        listing = after_handle(listing);
        assert_int_equal(
            nftrace_rule_text(nftrace, &chain, strtoull(listing, NULL, 10), buf, sizeof(buf), NULL),
            0);
        /* nft 1.1 has the kernel compare a range at once; before it was two comparisons. */
        if (strcmp(buf, "tcp dport 100-200 log prefix \"x\" drop") != 0)
            assert_string_equal(buf, rows[i].words ? rows[i].words : rows[i].rule);
    }
}

static void iptables_rules_are_followed(void **state)
{
    (void)state;
    if (system("iptables-nft -A INPUT -p tcp --dport 9 -m comment --comment why -j DROP "
               ">/dev/null 2>&1") != 0) {
        print_message("skipped: needs iptables-nft and nft_compat\n");
        skip();
    }
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_decision(0, NFTRACE_RULE, "INPUT", NFTRACE_DROP);
    assert_rule(0, "tcp dport 9 comment \"why\" counter drop");
}

static int count_chain(void *user, const struct nftrace_chain *chain)
{
    assert_string_not_equal(chain->table, "");
    ++*(int *)user;
    return 0;
}

static void base_chains_are_listed_without_ours(void **state)
{
    (void)state;
    int chains = 0;

    assert_int_equal(nft("table ip f { chain a { type filter hook forward priority 1; } "
                         "chain b { type filter hook input priority 0; } chain c { } }"),
                     0);
    follow(9);
    assert_int_equal(nftrace_each_chain(nftrace, count_chain, &chains), 0);
    assert_int_equal(chains, 2);
}

static void two_traces_do_not_disturb_each_other(void **state)
{
    (void)state;
    follow(9);
    struct nftrace *first = nftrace;
    follow(10);
    struct nftrace *second = nftrace;

    send_syn(PEER_PORT, 10);
    int there = 0;
    for (int i = 0; i < count; i++)
        there += !events[i].back && events[i].ours;
    assert_true(there > 0);
    nftrace = first;
    send_syn(PEER_PORT, 9);
    for (int i = 0; i < count; i++)
        if (!events[i].back && events[i].has_packet)
            assert_int_equal(events[i].dport, 9);
    nftrace_free(second);
}

static void nothing_is_left_behind(void **state)
{
    (void)state;
    follow(9);
    assert_string_not_equal(output("nft list tables"), "");
    nftrace = nftrace_free(nftrace);
    assert_string_equal(output("nft list tables"), "");
}

static void conntrack_stays_off(void **state)
{
    (void)state;
    follow(9);
    send_syn(PEER_PORT, 9);
    assert_string_equal(output("cat /proc/net/nf_conntrack 2>/dev/null"), "");
}

static int clean(void **state)
{
    (void)state;
    nftrace = nftrace_free(nftrace);
    return nft("flush ruleset\n");
}

static int set_up(void **state)
{
    (void)state;
    return kernel_device_make(&tun);
}

static int tear_down(void **state)
{
    (void)state;
    return close(tun.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_rules_the_hooks_are_seen_in_order, clean),
        cmocka_unit_test_teardown(the_packet_of_an_event_is_quoted, clean),
        cmocka_unit_test_teardown(other_packets_are_not_followed, clean),
        cmocka_unit_test_teardown(a_rule_that_drops_is_the_last_event, clean),
        cmocka_unit_test_teardown(jumps_are_followed_and_return, clean),
        cmocka_unit_test_teardown(a_policy_that_drops_is_told, clean),
        cmocka_unit_test_teardown(redirected_packets_show_their_new_port, clean),
        cmocka_unit_test_teardown(rules_are_put_into_nfts_words, clean),
        cmocka_unit_test_teardown(iptables_rules_are_followed, clean),
        cmocka_unit_test_teardown(base_chains_are_listed_without_ours, clean),
        cmocka_unit_test_teardown(two_traces_do_not_disturb_each_other, clean),
        cmocka_unit_test_teardown(nothing_is_left_behind, clean),
        cmocka_unit_test_teardown(conntrack_stays_off, clean),
    };

    int r = netns_enter_private(true);
    if (r < 0)
        return netns_skip("a network namespace", -r);
    if (!has_nft())
        return netns_skip("nft(8) and nf_tables", ENOENT);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
