/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Repair of losses by SACK: what is sent again, how often and when, on connections of real size.
 * One way takes 10 ms. The peers' wires are clear in the first tests, so that what is lost is what
 * the test says; in the last ones they are as bad as links can be.
 */
#include "support/simtest.h"

#include "base/rng.h"
#include "link/spec.h"

enum { SEGMENT = 1448, PORT = 80 };

static const uint64_t one_way_ns = 10 * NS_PER_MS;

/* Which data segments of the client are lost (by offset in segments), and how often. */
struct script {
    uint32_t lost_first, lost_step; /* every step-th segment from `first` on, */
    int lost_count;                 /* so many; */
    int times;                      /* each so often */
    bool known;
    uint32_t base; /* sequence number of the first byte */
    int sent[4096];
    uint64_t again_ns[4096]; /* when it was sent for the second time */
};

static uint32_t seq_of(const struct simnet_frame *frame)
{
    const uint8_t *at = frame->data + frame->packet.transport_at + 4;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool is_lost(const struct script *script, uint32_t number)
{
    for (int i = 0; i < script->lost_count; i++) {
        if (number == script->lost_first + (uint32_t)i * script->lost_step)
            return script->sent[number] <= script->times;
    }
    return false;
}

static unsigned follow_script(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct script *script = user;

    (void)delay_ns;
    if (frame->packet.payload_len == 0)
        return 1;
    if (!script->known)
        script->base = seq_of(frame);
    script->known = true;
    uint32_t number = (seq_of(frame) - script->base) / SEGMENT;
    assert_true(number < ARRAY_SIZE(script->sent));
    if (++script->sent[number] == 2)
        script->again_ns[number] = frame->at_ns;
    return is_lost(script, number) ? 0 : 1;
}

struct pair {
    struct simnet *net;
    struct end *client, *server;
    uint64_t start_ns;
};

static bool is_received(void *user)
{
    const struct pair *pair = user;
    return pair->server && pair->server->received == pair->client->to_send;
}

/* `spec`: of the uplinks, NULL for clear ones. Each frame passes one uplink. (Two `corrupt` ones
   could change two bits so that no checksum notices.) */
static struct pair begin(unsigned (*fate)(void *, const struct simnet_frame *, uint64_t *),
                         void *user, const char *spec, uint64_t bytes)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.3",
                                   .delay_ns = spec ? 1 : one_way_ns,
                                   .fate = fate,
                                   .user = user};
    struct pair pair = {.net = simnet_new(&config)};
    struct wires *wires = engine_wires(simnet_engine(pair.net));
    struct link_spec link;

    assert_non_null(wires);
    if (spec) {
        assert_int_equal(link_spec_parse(spec, LINK_UPLINK, &link, NULL), 0);
        wires_set_spec(wires, LINK_UPLINK, &link);
    }
    simnet_listen(pair.net, IPPROTO_TCP, PORT, NULL);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_non_null(pair.client);
    pair.start_ns = simnet_now_ns(pair.net);
    pair.client->to_send = bytes;
    return pair;
}

/* Until all has arrived and was right; returns how long it took. */
static uint64_t transfer(struct pair *pair, uint64_t most_ns)
{
    uint64_t deadline_ns = pair->start_ns + most_ns;

    assert_true(simnet_run(pair->net, end_is_open, pair->client, deadline_ns));
    end_pump(pair->client);
    while (!simnet_accepted(pair->net))
        simnet_run_for(pair->net, NS_PER_MS);
    pair->server = simnet_accepted(pair->net);
    assert_true(simnet_run(pair->net, is_received, pair, deadline_ns));
    assert_false(pair->server->wrong);
    return simnet_now_ns(pair->net) - pair->start_ns;
}

static int sent_again(const struct script *script)
{
    int count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(script->sent); i++)
        count += script->sent[i] > 1 ? script->sent[i] - 1 : 0;
    return count;
}

static void many_holes_in_a_window_are_each_sent_once_and_within_a_round_trip(void **state)
{
    static struct script script;
    uint64_t first_ns = UINT64_MAX, last_ns = 0;

    (void)state;
    script = (struct script){.lost_first = 40, .lost_step = 3, .lost_count = 8, .times = 1};
    struct pair pair = begin(follow_script, &script, NULL, 300 * SEGMENT);
    (void)transfer(&pair, 2 * NS_PER_S);
    for (uint32_t i = 40; i < 64; i += 3) {
        assert_int_equal(script.sent[i], 2);
        first_ns = MIN(first_ns, script.again_ns[i]);
        last_ns = MAX(last_ns, script.again_ns[i]);
    }
    assert_int_equal(sent_again(&script), 8);
    assert_int_equal(pair.client->flow.conn.retransmits, 8);
    assert_true(last_ns - first_ns <= 2 * one_way_ns);
    simnet_end(pair.net);
}

static void what_was_sent_again_and_lost_again_costs_no_timeout(void **state)
{
    static struct script script;

    (void)state;
    script = (struct script){.lost_first = 40, .lost_step = 5, .lost_count = 3, .times = 3};
    struct pair pair = begin(follow_script, &script, NULL, 400 * SEGMENT);
    uint64_t took_ns = transfer(&pair, 2 * NS_PER_S);
    for (uint32_t i = 40; i < 55; i += 5)
        assert_int_equal(script.sent[i], 4);
    assert_int_equal(sent_again(&script), 9);
    assert_true(took_ns < 18 * 2 * one_way_ns); /* about 10 of them without the losses */
    simnet_end(pair.net);
}

static void a_hole_with_one_segment_behind_it_costs_a_quarter_of_a_round_trip_more(void **state)
{
    static struct script script;

    (void)state;
    script = (struct script){.lost_first = 3, .lost_count = 1, .times = 1};
    struct pair pair = begin(follow_script, &script, NULL, 5 * SEGMENT);
    assert_int_equal(transfer(&pair, NS_PER_S), 5 * one_way_ns + one_way_ns / 2);
    assert_int_equal(sent_again(&script), 1);
    simnet_end(pair.net);
}

/* The last segment is sent again two round trips later, and tells of the others. Alone it waits 200
   ms more, for an acknowledgement that may be delayed: here until the RTO, in whose place the probe
   goes. */
static void a_lost_tail_costs_a_probe_and_no_timeout(void **state)
{
    static struct script script;

    (void)state;
    for (int lost = 1; lost <= 4; lost++) {
        script = (struct script){
            .lost_first = 8 - (uint32_t)lost, .lost_step = 1, .lost_count = lost, .times = 1};
        struct pair pair = begin(follow_script, &script, NULL, 8 * SEGMENT);
        uint64_t took_ns = transfer(&pair, NS_PER_S);
        if (lost == 1)
            assert_in_range(took_ns, 7 * one_way_ns + 200 * NS_PER_MS,
                            8 * one_way_ns + 200 * NS_PER_MS);
        else
            assert_true(took_ns < 2 * one_way_ns + 200 * NS_PER_MS);
        assert_int_equal(sent_again(&script), lost);
        simnet_end(pair.net);
    }
}

static void nothing_is_sent_twice_when_nothing_is_lost(void **state)
{
    static struct script script;

    (void)state;
    script = (struct script){0};
    struct pair pair = begin(follow_script, &script, NULL, 2000 * SEGMENT);
    (void)transfer(&pair, 5 * NS_PER_S);
    assert_int_equal(sent_again(&script), 0);
    simnet_end(pair.net);
}

/* One segment overtakes the ninth, and later many the fortieth, by less than a quarter of a round
   trip. */
static unsigned overtake(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct script *script = user;
    unsigned copies = follow_script(user, frame, delay_ns);
    uint32_t number = frame->packet.payload_len ? (seq_of(frame) - script->base) / SEGMENT : 0;

    *delay_ns += number == 8 ? NS_PER_US : number == 40 ? 4 * NS_PER_MS : 0;
    return copies;
}

static void who_was_seen_to_be_late_is_waited_for(void **state)
{
    static struct script script;

    (void)state;
    script = (struct script){0};
    struct pair pair = begin(overtake, &script, NULL, 200 * SEGMENT);
    (void)transfer(&pair, 2 * NS_PER_S);
    assert_int_equal(sent_again(&script), 0);
    simnet_end(pair.net);
}

/* All of a window and all its probes for a while: lwIP's RTO, then only what is missing again. */
static void after_a_timeout_all_that_is_missing_is_sent_again(void **state)
{
    static struct script script;

    (void)state;
    script = (struct script){.lost_first = 30, .lost_step = 1, .lost_count = 40, .times = 2};
    struct pair pair = begin(follow_script, &script, NULL, 200 * SEGMENT);
    uint64_t took_ns = transfer(&pair, 10 * NS_PER_S);
    assert_true(took_ns < 3 * NS_PER_S);
    assert_true(sent_again(&script) <= 3 * 40);
    simnet_end(pair.net);
}

/* Slow start ends before the queue of 1000 packets is full, so all the rate is used from the
   start. */
static void a_slow_link_is_used_whole_and_its_queue_not_filled(void **state)
{
    uint64_t bytes = 8 * 1000 * 1000;
    struct pair pair = begin(NULL, NULL, "rate 10mbit", bytes);
    uint64_t took_ns = transfer(&pair, 60 * NS_PER_S);
    uint64_t least_ns = bytes / SEGMENT * 1500 * 8 * 100;
    struct engine_stats stats;

    (void)state;
    engine_get_stats(simnet_engine(pair.net), &stats);
    assert_int_equal(stats.links[LINK_UPLINK].overflowed, 0);
    assert_in_range(took_ns, least_ns, least_ns + least_ns / 33);
    simnet_end(pair.net);
}

static void a_queue_that_overflows_costs_little(void **state)
{
    uint64_t bytes = 8 * 1000 * 1000;
    struct pair pair = begin(NULL, NULL, "rate 10mbit delay 20ms limit 80", bytes);
    uint64_t took_ns = transfer(&pair, 60 * NS_PER_S);
    uint64_t least_ns = bytes / SEGMENT * 1500 * 8 * 100;

    (void)state;
    assert_in_range(took_ns, least_ns, least_ns + least_ns / 10);
    simnet_end(pair.net);
}

/* The link turns bad under a connection that sends super-segments: a few of the packets of each are
   missing, which a SACK block covers in part. */
static void super_segments_come_through_a_link_that_turns_bad(void **state)
{
    struct simnet_config config = {
        .peers = "198.18.0.2-198.18.0.3", .delay_ns = NS_PER_MS, .offload = true};
    struct pair pair = {.net = simnet_new(&config)};
    struct link_spec link;

    (void)state;
    simnet_listen(pair.net, IPPROTO_TCP, PORT, NULL);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    pair.start_ns = simnet_now_ns(pair.net);
    pair.client->to_send = 20 * 1000 * 1000;
    assert_true(simnet_run(pair.net, end_is_open, pair.client, pair.start_ns + NS_PER_S));
    simnet_run_for(pair.net, 2 * NS_PER_MS);
    struct wires *wires = engine_wires(simnet_engine(pair.net));
    assert_int_equal(link_spec_parse("loss 0.5%", LINK_UPLINK, &link, NULL), 0);
    wires_set_spec(wires, LINK_UPLINK, &link);
    (void)transfer(&pair, 600 * NS_PER_S);
    assert_true(pair.client->flow.conn.retransmits > 0);
    simnet_end(pair.net);
}

/* ---- bad links ---- */

static void bad_spec(unsigned which, char text[256])
{
    static const char *const parts[] = {" loss 5%", " reorder 10%", " duplicate 5%", " corrupt 1%",
                                        " delay 50ms 20ms"};

    *text = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        if (which & 1u << i)
            strcat(text, parts[i]);
    }
    if (which & 2 && !(which & 16)) /* `reorder` needs a delay to pass by */
        strcat(text, " delay 5ms");
}

/* Over times and contents of all frames from TCP on: lwIP's IPv4 id counts on from run to run. */
static unsigned hash_frame(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    static const uint64_t key[2] = {3, 4};
    uint64_t *hash = user, head[2] = {*hash, frame->at_ns};
    uint32_t at = frame->packet.transport_at;

    (void)delay_ns;
    *hash = siphash(key, head, sizeof(head)) ^ siphash(key, frame->data + at, frame->len - at);
    return 1;
}

static uint64_t run_bad(const char *text, uint64_t bytes, bool both_ways)
{
    uint64_t hash = 0;
    struct pair pair = begin(hash_frame, &hash, text, bytes);

    (void)transfer(&pair, 3600 * NS_PER_S);
    if (both_ways) {
        pair.server->to_send = bytes;
        end_pump(pair.server);
        while (pair.client->received < bytes)
            simnet_run_for(pair.net, NS_PER_S);
        assert_false(pair.client->wrong);
    }
    simnet_end(pair.net);
    return hash;
}

/* loss 5 %, reorder 10 %, duplicate 5 %, corrupt 1 %, delay 50 ms +- 20 ms: every combination. */
static void ten_megabytes_come_through_every_combination_of_faults(void **state)
{
    char text[256];

    (void)state;
    for (unsigned which = 0; which < 32; which++) {
        bad_spec(which, text);
        (void)run_bad(*text ? text + 1 : "none", 10 * 1000 * 1000, false);
    }
}

static void same_seed_same_frames_on_the_worst_link(void **state)
{
    char text[256];

    (void)state;
    bad_spec(31, text);
    uint64_t first = run_bad(text + 1, 1000 * 1000, true);
    assert_true(run_bad(text + 1, 1000 * 1000, true) == first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_holes_in_a_window_are_each_sent_once_and_within_a_round_trip),
        TEST(what_was_sent_again_and_lost_again_costs_no_timeout),
        TEST(a_hole_with_one_segment_behind_it_costs_a_quarter_of_a_round_trip_more),
        TEST(a_lost_tail_costs_a_probe_and_no_timeout),
        TEST(nothing_is_sent_twice_when_nothing_is_lost),
        TEST(who_was_seen_to_be_late_is_waited_for),
        TEST(after_a_timeout_all_that_is_missing_is_sent_again),
        TEST(a_slow_link_is_used_whole_and_its_queue_not_filled),
        TEST(a_queue_that_overflows_costs_little),
        TEST(super_segments_come_through_a_link_that_turns_bad),
        TEST(ten_megabytes_come_through_every_combination_of_faults),
        TEST(same_seed_same_frames_on_the_worst_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
