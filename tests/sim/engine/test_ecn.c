/* SPDX-License-Identifier: BSD-3-Clause */
/* Explicit congestion notification (RFC 3168), as Linux has it. */
#include "scripted.h"

#include <peer/flow.h>

enum {
    CAPABLE = 2, /* ECT(0) */
    MARKED = 3,  /* CE */
    ECN_BITS = CRAFT_ECE | CRAFT_CWR,
};
static const char bytes[1460];

static const char *const peers[] = {"198.18.0.3", "2001:2::3"};

static struct simnet *begin_for(const char *peer, bool ecn)
{
    struct simnet_config config = {.peers = peer, .ecn = ecn};

    return simnet_new(&config);
}

static struct craft_tcp call(const char *peer, uint8_t bits)
{
    struct craft_tcp syn = segment(peer, 80, CRAFT_SYN | bits, APP_ISN, 0);

    syn.mss = 1460;
    syn.sack_ok = true;
    return syn;
}

/* A caller that asked and was granted it. `*ret_tcp` is what it sends next. */
static struct end *accept_capable(struct simnet *net, const char *peer, struct craft_tcp *ret_tcp)
{
    struct craft_tcp syn = call(peer, ECN_BITS);

    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &syn);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK | CRAFT_ECE);
    *ret_tcp = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, answer.seq + 1);
    put_tcp(net, ret_tcp);
    assert_silent(net);
    return simnet_accepted(net);
}

static struct peer_flow_info info_of(struct simnet *net, const struct end *end)
{
    struct peer_flow_info info = {0};

    stack_conn_info(simnet_stack(net), &end->flow.conn, &info);
    return info;
}

static struct craft_tcp put_data(struct simnet *net, struct craft_tcp *tcp, uint8_t flags,
                                 uint8_t ip_ecn)
{
    tcp->flags = (uint8_t)(CRAFT_ACK | flags);
    tcp->ip_ecn = ip_ecn;
    tcp->payload = bytes;
    tcp->payload_len = 1000;
    put_tcp(net, tcp);
    tcp->seq += 1000;
    tcp->payload_len = 0;
    struct craft_tcp ack = take_tcp(net);
    assert_int_equal(ack.ack, tcp->seq);
    assert_int_equal(ack.ip_ecn, 0);
    return ack;
}

static void put_ack(struct simnet *net, struct craft_tcp *tcp, uint8_t flags, uint32_t more)
{
    tcp->flags = (uint8_t)(CRAFT_ACK | flags);
    tcp->ip_ecn = 0;
    tcp->ack += more;
    put_tcp(net, tcp);
}

/* ---- callers ---- */

static void a_caller_that_asks_is_granted_it(void **state)
{
    static const struct {
        uint8_t bits, ip_ecn;
        bool granted;
    } cases[] = {{0, 0, false},         {CRAFT_ECE, 0, false},        {CRAFT_CWR, 0, false},
                 {ECN_BITS, 0, true},   {ECN_BITS, CAPABLE, false},   {ECN_BITS, MARKED, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(peers); i++) {
        const char *peer = peers[i % ARRAY_SIZE(peers)];
        size_t of = i / ARRAY_SIZE(peers);
        struct simnet *net = begin_for(peer, false);
        struct craft_tcp syn = call(peer, cases[of].bits);
        simnet_listen(net, IPPROTO_TCP, 80, NULL);
        uint8_t bits = cases[of].granted ? CRAFT_ECE : 0;
        syn.src_port = (uint16_t)(5000 + i);
        syn.ip_ecn = cases[of].ip_ecn;
        put_tcp(net, &syn);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK | bits);
        assert_int_equal(answer.ip_ecn, 0);
        put_tcp(net, &syn); /* the answer was lost */
        assert_int_equal(take_tcp(net).flags, CRAFT_SYN | CRAFT_ACK | bits);
        struct craft_tcp ack = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, answer.seq + 1);
        ack.src_port = syn.src_port;
        put_tcp(net, &ack);
        assert_int_equal(info_of(net, simnet_accepted(net)).ecn, cases[of].granted);
        simnet_end(net);
    }
}

/* ---- who asks ---- */

static struct craft_tcp take_own_call(struct simnet *net, struct end **ret_end)
{
    *ret_end = end_connect(net, IPPROTO_TCP, "198.18.0.3", 0, app_v4, 80);
    assert_non_null(*ret_end);
    return take_tcp(net);
}

static void one_who_asks_has_it_when_the_answer_says_so(void **state)
{
    static const struct {
        uint8_t bits;
        bool granted;
    } cases[] = {{0, false}, {CRAFT_ECE, true}, {CRAFT_CWR, false}, {ECN_BITS, false}};
    struct simnet *net = begin_for("198.18.0.3", true);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct end *end;
        struct craft_tcp syn = take_own_call(net, &end);
        assert_int_equal(syn.flags, CRAFT_SYN | ECN_BITS);
        assert_int_equal(syn.ip_ecn, 0);
        struct craft_tcp answer =
            segment("198.18.0.3", syn.src_port, (uint8_t)(CRAFT_SYN | CRAFT_ACK | cases[i].bits),
                    APP_ISN, syn.seq + 1);
        answer.src_port = 80;
        answer.mss = 1460;
        answer.sack_ok = true;
        put_tcp(net, &answer);
        assert_int_equal(take_tcp(net).flags, CRAFT_ACK);
        assert_int_equal(info_of(net, end).ecn, cases[i].granted);
        end->to_send = 100;
        end_pump(end);
        assert_int_equal(take_tcp(net).ip_ecn, cases[i].granted ? CAPABLE : 0);
    }
    simnet_end(net);
}

static void what_is_asked_again_is_asked_without_it(void **state)
{
    struct simnet *net = begin_for("198.18.0.3", true);
    struct end *end;

    (void)state;
    assert_int_equal(take_own_call(net, &end).flags, CRAFT_SYN | ECN_BITS);
    for (int i = 0; i < 3; i++) {
        simnet_run_for(net, 1010 * NS_PER_MS);
        assert_int_equal(take_tcp(net).flags, CRAFT_SYN);
    }
    simnet_end(net);
}

static void nobody_asks_by_default(void **state)
{
    struct simnet *net = begin_for("198.18.0.3", false);
    struct end *end;

    (void)state;
    assert_int_equal(take_own_call(net, &end).flags, CRAFT_SYN);
    simnet_end(net);
}

/* ---- what is sent ---- */

static void new_data_alone_is_capable(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        struct simnet *net = begin_for(peers[i], false);
        struct craft_tcp tcp = {0};
        struct end *end = accept_capable(net, peers[i], &tcp);
        assert_int_equal(put_data(net, &tcp, 0, 0).flags, CRAFT_ACK);
        end->to_send = 100;
        end_pump(end);
        struct craft_tcp data = take_tcp(net);
        assert_int_equal(data.ip_ecn, CAPABLE);
        assert_int_equal(data.flags & ECN_BITS, 0);
        simnet_run_for(net, 300 * NS_PER_MS);
        struct craft_tcp again = take_tcp(net);
        assert_int_equal(again.seq, data.seq);
        assert_int_equal(again.payload_len, 100);
        assert_int_equal(again.ip_ecn, 0);
        put_ack(net, &tcp, 0, 100);
        end->shut_when_sent = true;
        end_pump(end);
        struct craft_tcp fin = take_tcp(net);
        assert_true(fin.flags & CRAFT_FIN);
        assert_int_equal(fin.ip_ecn, 0);
        simnet_end(net);
    }
}

/* ---- what is received ---- */

static void a_mark_is_echoed_until_the_sender_has_heard(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        struct simnet *net = begin_for(peers[i], false);
        struct craft_tcp tcp = {0};
        struct end *end = accept_capable(net, peers[i], &tcp);
        assert_int_equal(put_data(net, &tcp, 0, CAPABLE).flags, CRAFT_ACK);
        assert_int_equal(put_data(net, &tcp, 0, MARKED).flags, CRAFT_ACK | CRAFT_ECE);
        assert_int_equal(put_data(net, &tcp, 0, CAPABLE).flags, CRAFT_ACK | CRAFT_ECE);
        end->to_send = 100;
        end_pump(end);
        assert_int_equal(take_tcp(net).flags & ECN_BITS, CRAFT_ECE);
        put_ack(net, &tcp, 0, 100);
        assert_int_equal(put_data(net, &tcp, CRAFT_CWR, CAPABLE).flags, CRAFT_ACK);
        assert_int_equal(put_data(net, &tcp, 0, CAPABLE).flags, CRAFT_ACK);
        /* Heard of the last mark, and there is another. */
        assert_int_equal(put_data(net, &tcp, CRAFT_CWR, MARKED).flags, CRAFT_ACK | CRAFT_ECE);
        simnet_end(net);
    }
}

static void a_mark_on_what_was_not_agreed_on_is_nothing(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};

    (void)state;
    accept_one(net, "198.18.0.3", &open);
    struct craft_tcp tcp = segment("198.18.0.3", 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    assert_int_equal(put_data(net, &tcp, 0, MARKED).flags, CRAFT_ACK);
    assert_int_equal(put_data(net, &tcp, ECN_BITS, MARKED).flags, CRAFT_ACK);
    simnet_end(net);
}

/* ---- what an echo does ---- */

/* A peer that sends what it is told to, to somebody who has agreed. */
struct sender {
    struct simnet *net;
    struct end *end;
    struct craft_tcp tcp; /* what is to be said to it */
    uint32_t nxt;         /* all before it was seen */
    unsigned cwrs;        /* how often it said CWR */
};

static struct sender sender_new(void)
{
    struct sender sender = {.net = begin_for("198.18.0.3", false)};

    sender.end = accept_capable(sender.net, "198.18.0.3", &sender.tcp);
    sender.nxt = sender.tcp.ack;
    return sender;
}

/* Takes what left; how much of it was new. */
static uint32_t take_sent(struct sender *sender)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};
    uint32_t before = sender->nxt;

    while (simnet_take(sender->net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
        if (!tcp.payload_len)
            continue;
        bool is_new = tcp.seq == sender->nxt;
        assert_int_equal(tcp.ip_ecn, is_new ? CAPABLE : 0);
        if (tcp.flags & CRAFT_CWR)
            assert_true(is_new);
        sender->cwrs += !!(tcp.flags & CRAFT_CWR);
        sender->nxt = is_new ? tcp.seq + tcp.payload_len : sender->nxt;
    }
    return sender->nxt - before;
}

/* So many bytes more, or what the window lets through of them. */
static uint32_t send_more(struct sender *sender, uint64_t len)
{
    sender->end->to_send += len;
    end_pump(sender->end);
    return take_sent(sender);
}

static void say(struct sender *sender, uint8_t flags, uint32_t more)
{
    put_ack(sender->net, &sender->tcp, flags, more);
}

static struct peer_flow_info sender_info(const struct sender *sender)
{
    return info_of(sender->net, sender->end);
}

static void an_echo_shrinks_the_window_once_a_round_trip(void **state)
{
    struct sender sender = sender_new();

    (void)state;
    uint32_t flight = send_more(&sender, 1000000);
    assert_in_range(flight, 50000, 60000);
    assert_int_equal(sender.cwrs, 0);

    say(&sender, CRAFT_ECE, 1460);
    uint32_t ssthresh = sender_info(&sender).ssthresh, sent = take_sent(&sender);
    assert_in_range(ssthresh, flight * 6 / 10, flight * 8 / 10);
    for (uint32_t acked = 1460; acked + 1460 <= flight; acked += 1460) {
        say(&sender, CRAFT_ECE, 1460);
        assert_int_equal(sender_info(&sender).ssthresh, ssthresh);
        sent += take_sent(&sender);
    }
    assert_int_equal(sender.cwrs, 1);
    assert_in_range(sender.nxt - sender.tcp.ack, ssthresh - 3 * 1460, ssthresh + 3 * 1460);
    assert_in_range(sent, flight / 2, flight * 8 / 10);

    /* CWR has arrived: the next echo is of another mark. */
    say(&sender, 0, sender.nxt - sender.tcp.ack);
    (void)take_sent(&sender);
    say(&sender, CRAFT_ECE, 1460);
    assert_true(sender_info(&sender).ssthresh < ssthresh);
    struct stack_stats stats;
    stack_get_stats(simnet_stack(sender.net), &stats);
    assert_int_equal(stats.ecn_reduced, 2);
    assert_int_equal(stats.retransmits, 0);
    simnet_end(sender.net);
}

/* The last acknowledgement of an answer is the one that says it. */
static void an_echo_with_nothing_left_under_way_counts(void **state)
{
    struct sender sender = sender_new();

    (void)state;
    assert_int_equal(send_more(&sender, 20000), 20000);
    say(&sender, CRAFT_ECE, 20000);
    assert_in_range(sender_info(&sender).cwnd, 12000, 22000);
    assert_in_range(send_more(&sender, 40000), 10000, 22000);
    assert_int_equal(sender.cwrs, 1);
    simnet_end(sender.net);
}

static void what_was_lost_is_told_too(void **state)
{
    struct sender sender = sender_new();

    (void)state;
    (void)send_more(&sender, 50000);
    simnet_run_for(sender.net, 1500 * NS_PER_MS); /* all of it */
    (void)take_sent(&sender);
    assert_int_equal(sender.cwrs, 0);
    say(&sender, 0, sender.nxt - sender.tcp.ack);
    (void)send_more(&sender, 1000);
    assert_int_equal(sender.cwrs, 1);
    simnet_end(sender.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_caller_that_asks_is_granted_it),
        TEST(one_who_asks_has_it_when_the_answer_says_so),
        TEST(what_is_asked_again_is_asked_without_it),
        TEST(nobody_asks_by_default),
        TEST(new_data_alone_is_capable),
        TEST(a_mark_is_echoed_until_the_sender_has_heard),
        TEST(a_mark_on_what_was_not_agreed_on_is_nothing),
        TEST(an_echo_shrinks_the_window_once_a_round_trip),
        TEST(an_echo_with_nothing_left_under_way_counts),
        TEST(what_was_lost_is_told_too),
    };
    return cmocka_run_group_tests_name("ecn", tests, NULL, NULL);
}
