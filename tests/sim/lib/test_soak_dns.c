/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Soaks of a name server in virtual time. It does what a script says, over UDP and TCP; the wire takes
 * 1 ms, and all else no time.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#define MS NS_PER_MS

enum { HEADER = 12, QUERY_MOST = 300, QUERIES_MOST = 64 };

/* What the server does with each query. */
struct service {
    unsigned rcode;
    bool truncates;     /* over UDP: no answer but that it is cut */
    bool truncates_tcp; /* that over TCP too */
    bool refuses_tcp;   /* FIN instead of an answer there */
    bool other_id, other_question, loops, echoes;
    bool other_port;       /* the answers leave from another one */
    unsigned copies;       /* of each answer; 0: one */
    unsigned silent_every; /* each so-many-th query has no answer; 0: all have */
    unsigned batch;        /* answers when so many have come, the last one first; 0: at once */
    uint64_t delay_ns;     /* of the wire; 0: 1 ms */
    size_t len;            /* bytes of each answer; 0: as many as it has */
    bool empty;            /* datagrams of no bytes */
    size_t piece;          /* TCP: bytes at a time; 0: all */
};

struct query {
    uint8_t bytes[QUERY_MOST];
    size_t len;
};

struct scene {
    struct soaking soaking;
    struct service service;
    unsigned asked, asked_tcp, connections;
    struct query waiting[QUERIES_MOST];
    unsigned waiting_count;
    uint16_t ids[QUERIES_MOST]; /* of the first ones */
    char names[QUERIES_MOST][16];
};

/* What the server knows of a caller. */
struct caller {
    uint8_t part[2 + QUERY_MOST];
    size_t part_len;
    uint8_t out[1 << 19];
    size_t out_len, out_done;
};

static bool is_udp(const struct end *end)
{
    return end->flow.conn.protocol == IPPROTO_UDP;
}

static size_t make_answer(const struct scene *scene, const struct query *query, bool udp,
                          uint8_t out[512])
{
    static const uint8_t address[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1};
    const struct service *service = &scene->service;
    bool cut = udp ? service->truncates : service->truncates_tcp;
    size_t len = query->len;

    memcpy(out, query->bytes, len);
    out[0] ^= service->other_id ? 0x55 : 0;
    out[2] |= (uint8_t)(service->echoes ? 0 : cut ? 0x82 : 0x80);
    out[3] = (uint8_t)service->rcode;
    out[HEADER + 1] ^= service->other_question ? 1 : 0;
    if (!cut && !service->echoes) {
        out[7] = 1;
        memcpy(out + len, address, sizeof(address));
        out[len + 1] = service->loops ? (uint8_t)len : 12;
        len += sizeof(address);
    }
    return service->len ? service->len : len;
}

static void send_some(struct end *end)
{
    const struct scene *scene = end->user;
    struct caller *caller = end_own(end);
    size_t most = scene->service.piece ? scene->service.piece : SIZE_MAX;

    size_t part = MIN(caller->out_len - caller->out_done, most);
    if (!part)
        return;
    ssize_t done = flow_write(&end->flow, caller->out + caller->out_done, part, 0);
    caller->out_done += (size_t)MAX(done, 0);
    if (caller->out_done == caller->out_len)
        caller->out_done = caller->out_len = 0;
    end_wait(end, MS);
}

static void send_datagram(struct end *end, const uint8_t *answer, size_t len)
{
    struct scene *scene = end->user;
    struct stack_tuple tuple;
    char to[PEER_ADDR_TEXT];

    if (!scene->service.other_port) {
        (void)flow_write(&end->flow, answer, scene->service.empty ? 0 : len, 0);
        return;
    }
    assert_true(flow_tuple(&end->flow, &tuple));
    struct end *other = end_connect(scene->soaking.net, IPPROTO_UDP, SOAKING_TO, 0,
                                    peer_addr_format(&tuple.remote, to), tuple.remote_port);
    (void)flow_write(&other->flow, answer, len, 0);
}

static void answer(struct end *end, const struct query *query)
{
    struct scene *scene = end->user;
    struct caller *caller = end_own(end);
    uint8_t bytes[512];

    size_t len = make_answer(scene, query, is_udp(end), bytes);
    for (unsigned i = 0; i < MAX(scene->service.copies, 1u); i++) {
        if (is_udp(end)) {
            send_datagram(end, bytes, len);
            continue;
        }
        assert_true(caller->out_len + len + 2 <= sizeof(caller->out));
        caller->out[caller->out_len++] = (uint8_t)(len >> 8);
        caller->out[caller->out_len++] = (uint8_t)len;
        memcpy(caller->out + caller->out_len, bytes, len);
        caller->out_len += len;
    }
    if (!is_udp(end) && (!scene->service.piece || caller->out_done == 0))
        send_some(end);
}

static void answer_all(struct end *end)
{
    struct scene *scene = end->user;

    while (scene->waiting_count)
        answer(end, &scene->waiting[--scene->waiting_count]);
}

static void on_query(struct end *end, const uint8_t *bytes, size_t len)
{
    struct scene *scene = end->user;
    const struct service *service = &scene->service;

    assert_in_range(len, HEADER + 5, QUERY_MOST);
    if (scene->asked < QUERIES_MOST) {
        scene->ids[scene->asked] = (uint16_t)(bytes[0] << 8 | bytes[1]);
        snprintf(scene->names[scene->asked], sizeof(scene->names[0]), "%.*s", bytes[HEADER],
                 (const char *)bytes + HEADER + 1);
    }
    scene->asked++;
    scene->asked_tcp += !is_udp(end);
    if (!is_udp(end) && service->refuses_tcp) {
        flow_close(&end->flow);
        return;
    }
    if (service->silent_every && scene->asked % service->silent_every == 0)
        return;
    struct query *query = &scene->waiting[scene->waiting_count++];
    assert_true(scene->waiting_count <= QUERIES_MOST);
    memcpy(query->bytes, bytes, len);
    query->len = len;
    if (scene->waiting_count >= MAX(service->batch, 1u))
        answer_all(end);
}

static void on_stream(struct end *end, const uint8_t *bytes, size_t len)
{
    struct caller *caller = end_own(end);

    for (size_t i = 0; i < len; i++) {
        assert_true(caller->part_len < sizeof(caller->part));
        caller->part[caller->part_len++] = bytes[i];
        size_t whole = 2 + (size_t)(caller->part[0] << 8 | caller->part[1]);
        if (caller->part_len >= 2 && caller->part_len == whole) {
            caller->part_len = 0;
            on_query(end, caller->part + 2, whole - 2);
        }
    }
}

static void serve(struct end *end, unsigned events)
{
    struct scene *scene = end->user;
    static uint8_t bytes[1 << 20];
    struct iovec iov[8];
    int count;

    scene->connections += events & FLOW_ACCEPTED && !is_udp(end);
    while (events & FLOW_READABLE && (count = flow_peek(&end->flow, iov, 8)) > 0) {
        size_t len = iov_total(iov, count);
        assert_true(len <= sizeof(bytes));
        iov_gather(iov, count, bytes);
        flow_consume(&end->flow, len);
        if (is_udp(end))
            on_query(end, bytes, len);
        else
            on_stream(end, bytes, len);
    }
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static struct scene *dns_run(struct service service, struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct simnet_config net = {.delay_ns = service.delay_ns ? service.delay_ns : MS};
    const struct end application = {.on_event = serve,
                                    .on_timer = send_some,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct caller)};

    assert_non_null(scene);
    scene->service = service;
    config.protocol = "dns";
    if (!config.path && !config.queries)
        config.path = "/www.example.org";
    soaking_run(&scene->soaking, &net, &application, &config);
    return scene;
}
#define RUN_UDP(service, ...) dns_run(service, (struct peer_soak_config){.udp = true, __VA_ARGS__})
#define RUN_TCP(service, ...) dns_run(service, (struct peer_soak_config){__VA_ARGS__})
#define SERVICE(...)          ((struct service){__VA_ARGS__})

static void dns_over(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &scene->soaking.counts;
}

static void assert_accounted(const struct scene *scene, uint64_t sent, uint64_t completed,
                             uint64_t errors)
{
    soaking_assert_counts(&scene->soaking, sent, completed, errors);
}

static void assert_first(const struct scene *scene, const char *text)
{
    const char *first = scene->soaking.report.first_error;

    if (!first || strcmp(first, text) != 0)
        fail_msg("\"%s\" instead of \"%s\"", first ? first : "", text);
}

static void assert_rcode(const struct scene *scene, const char *name, uint64_t count)
{
    struct peer_soak_answers answers;

    for (size_t i = 0; peer_result_get_answers(scene->soaking.result, i, &answers); i++) {
        if (strcmp(answers.name, name) != 0)
            continue;
        assert_string_equal(answers.kind, "rcodes");
        assert_int_equal(answers.count, count);
        return;
    }
    assert_int_equal(count, 0);
}

/* ---- right ---- */

static void queries_are_asked_in_turn_and_rcodes_counted(void **state)
{
    (void)state;
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        struct peer_soak_config config = {
            .udp = !tcp, .total = 7, .queries = "a A\nb MX\nc AAAA\n"};
        struct scene *scene = dns_run(SERVICE(.rcode = 3), config);
        assert_accounted(scene, 7, 7, 0);
        assert_rcode(scene, "NXDOMAIN", 7);
        assert_rcode(scene, "NOERROR", 0);
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(scene->names[i][0], "abc"[i % 3]);
        assert_true(scene->soaking.report.request.min >= 1990);
        assert_true(scene->soaking.report.request.max <= 2010);
        dns_over(scene);
    }
}

static void an_rcode_that_was_not_expected_is_an_error(void **state)
{
    (void)state;
    struct scene *scene = RUN_UDP(SERVICE(.rcode = 2), .total = 5, .expect = "NOERROR,3");

    assert_accounted(scene, 5, 0, 5);
    assert_int_equal(counts_of(scene)->unexpected_status, 5);
    assert_rcode(scene, "SERVFAIL", 5);
    assert_first(scene, "SERVFAIL");
    dns_over(scene);
    scene = RUN_UDP(SERVICE(.rcode = 3), .total = 5, .expect = "noerror,3");
    assert_accounted(scene, 5, 5, 0);
    dns_over(scene);
}

/* Eight at once take as long as one. */
static void several_are_under_way_and_answers_overtake(void **state)
{
    (void)state;
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        struct peer_soak_config config = {.udp = !tcp, .total = 64, .pipeline = 8};
        struct scene *scene = dns_run(SERVICE(.batch = 8), config);
        assert_accounted(scene, 64, 64, 0);
        assert_int_equal(counts_of(scene)->established, 1);
        assert_true(scene->soaking.report.request.max <= 2010);
        for (unsigned i = 0; i < 64; i++) {
            for (unsigned j = i < 8 ? 0 : i - 7; j < i; j++)
                assert_int_not_equal(scene->ids[i], scene->ids[j]);
        }
        dns_over(scene);
    }
}

/* More bytes than a window takes: what cannot leave with the others follows, and nothing twice. */
static void more_than_fits_is_written_bit_by_bit(void **state)
{
    (void)state;
    struct scene *scene = RUN_TCP(SERVICE(.rcode = 0), .total = 9000, .pipeline = 4000);

    assert_accounted(scene, 9000, 9000, 0);
    assert_int_equal(scene->asked, 9000);
    assert_int_equal(counts_of(scene)->bytes_sent, 9000 * (2 + HEADER + 17 + 4));
    dns_over(scene);
}

static void ids_differ_by_no_rule(void **state)
{
    (void)state;
    struct scene *scene = RUN_UDP(SERVICE(.rcode = 0), .total = 64);
    unsigned small = 0;

    for (unsigned i = 1; i < 64; i++) {
        uint16_t step = (uint16_t)(scene->ids[i] - scene->ids[i - 1]);
        small += step < 64 || step > UINT16_MAX - 64;
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(scene->ids[i], scene->ids[j]);
    }
    assert_true(small < 4);
    dns_over(scene);
}

static void an_answer_over_tcp_may_come_in_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 60; piece += 7) {
        struct scene *scene =
            RUN_TCP(SERVICE(.batch = 4, .piece = piece), .total = 4, .pipeline = 4);
        assert_accounted(scene, 4, 4, 0);
        dns_over(scene);
    }
}

/* ---- cut ---- */

/* A round trip, a handshake, and another round trip. */
static void what_was_cut_is_asked_again_over_tcp(void **state)
{
    (void)state;
    struct scene *scene =
        RUN_UDP(SERVICE(.truncates = true), .total = 12, .pipeline = 3, .flows = 2);

    assert_accounted(scene, 12, 12, 0);
    assert_int_equal(counts_of(scene)->truncated, 12);
    assert_int_equal(scene->asked_tcp, 12);
    assert_int_equal(scene->connections, 12);
    assert_rcode(scene, "NOERROR", 12);
    assert_true(scene->soaking.report.request.min >= 5990);
    assert_true(scene->soaking.report.request.max <= 6020);
    dns_over(scene);
}

static void what_goes_wrong_then_has_its_words(void **state)
{
    (void)state;
    struct scene *scene =
        RUN_UDP(SERVICE(.truncates = true, .refuses_tcp = true), .total = 3, .pipeline = 3);

    assert_accounted(scene, 3, 0, 3);
    assert_int_equal(counts_of(scene)->closed_early, 3);
    assert_first(scene, "asked again over TCP: closed before the answer was complete");
    dns_over(scene);
    scene = RUN_UDP(SERVICE(.truncates = true, .truncates_tcp = true), .total = 3);
    assert_accounted(scene, 3, 0, 3);
    assert_int_equal(counts_of(scene)->bad_answer, 3);
    assert_first(scene, "a wrong answer: it is cut though it came over TCP");
    dns_over(scene);
    /* Only what comes over TCP has no answer: the time-out is the query's. */
    scene =
        RUN_UDP(SERVICE(.truncates = true, .silent_every = 2), .total = 3, .timeout_ns = 100 * MS);
    assert_accounted(scene, 3, 0, 3);
    assert_int_equal(counts_of(scene)->timeout, 3);
    dns_over(scene);
}

/* ---- wrong ---- */

static void a_wrong_answer_is_its_querys_end(void **state)
{
    static const struct {
        struct service service;
        const char *text;
    } rows[] = {
        {{.other_question = true},
         "a wrong answer: it answers another question: \"vww.example.org\""},
        {{.loops = true}, "a wrong answer: a name in it leads to itself, or nowhere"},
        {{.echoes = true}, "a wrong answer: it is a query itself"},
        {{.len = HEADER}, "a wrong answer: a name in it ends beyond its end"},
        {{.len = 40}, "a wrong answer: a record in it ends beyond its end"},
        {{.len = 60}, "a wrong answer: bytes follow its last record"},
    };

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        struct peer_soak_config config = {.udp = i % 2, .total = 5, .pipeline = 1 + i % 3};
        struct scene *scene = dns_run(rows[i / 2].service, config);
        assert_accounted(scene, 5, 0, 5);
        assert_int_equal(counts_of(scene)->bad_answer, 5);
        assert_int_equal(counts_of(scene)->established, 1);
        assert_first(scene, rows[i / 2].text);
        dns_over(scene);
    }
}

/* As a resolver, the query waits on. */
static void an_answer_that_is_nobodys_takes_no_query_with_it(void **state)
{
    static const struct {
        struct service service;
        const char *text;
    } rows[] = {
        {{.other_id = true}, "a wrong answer: its id is of no request"},
        {{.len = 3}, "a wrong answer: it is shorter than the header of a DNS message"},
        {{.empty = true}, "a wrong answer: it is shorter than the header of a DNS message"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = RUN_UDP(rows[i].service, .total = 3, .timeout_ns = 50 * MS);
        assert_accounted(scene, 3, 0, 6);
        assert_int_equal(counts_of(scene)->bad_answer, 3);
        assert_int_equal(counts_of(scene)->timeout, 3);
        assert_first(scene, rows[i].text);
        dns_over(scene);
    }
}

static void an_answer_from_another_port_reaches_nobody(void **state)
{
    (void)state;
    struct scene *scene = RUN_UDP(SERVICE(.other_port = true), .total = 3, .timeout_ns = 50 * MS);

    assert_accounted(scene, 3, 0, 3);
    assert_int_equal(counts_of(scene)->timeout, 3);
    dns_over(scene);
}

/* ---- twice, late, never ---- */

static void an_answer_that_comes_twice_is_counted(void **state)
{
    (void)state;
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        struct peer_soak_config config = {.udp = !tcp, .total = 40, .pipeline = 1 + 3 * tcp};
        struct scene *scene = dns_run(SERVICE(.copies = 3), config);
        assert_accounted(scene, 40, 40, 0);
        assert_true(counts_of(scene)->duplicates >= 76);
        assert_int_equal(counts_of(scene)->late, 0);
        dns_over(scene);
    }
}

/* Answers take 120 ms, and 100 are waited for: each comes while later queries are under way. */
static void an_answer_after_its_time_is_late(void **state)
{
    (void)state;
    for (unsigned at_once = 1; at_once <= 4; at_once++) {
        struct scene *scene = RUN_UDP(SERVICE(.delay_ns = 60 * MS), .total = 20,
                                      .timeout_ns = 100 * MS, .pipeline = at_once);
        assert_accounted(scene, 20, 0, 20);
        assert_int_equal(counts_of(scene)->timeout, 20);
        assert_int_equal(counts_of(scene)->late, 20 - (20 % at_once ? 20 % at_once : at_once));
        assert_int_equal(counts_of(scene)->duplicates, 0);
        dns_over(scene);
    }
}

/* Every fourth has no answer; the others go on meanwhile. */
static void a_query_that_is_lost_is_lost_alone(void **state)
{
    (void)state;
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        struct peer_soak_config config = {
            .udp = !tcp, .total = 40, .pipeline = 4, .timeout_ns = 50 * MS};
        struct scene *scene = dns_run(SERVICE(.silent_every = 4), config);
        assert_accounted(scene, 40, 30, 10);
        assert_int_equal(counts_of(scene)->timeout, 10);
        assert_int_equal(counts_of(scene)->established, 1);
        dns_over(scene);
    }
}

/* ---- what does not go ---- */

static void what_makes_no_sense_is_refused_in_words(void **state)
{
    static const struct {
        struct peer_soak_config config;
        const char *text;
    } rows[] = {
        {{.protocol = "dns", .udp = true}, "dns://HOST/NAME"},
        {{.protocol = "dns", .udp = true, .path = "/a", .expect = "200"}, "\"200\" is no RCODE"},
        {{.protocol = "dns", .udp = true, .path = "/a", .pipeline = 16385}, "at most 16384"},
        {{.protocol = "http", .queries = "a A"}, "\"http\" has no queries of DNS"},
        {{.protocol = "echo", .pipeline = 2}, "\"echo\" has no pipelining"},
        {{.protocol = "echo", .expect = "NOERROR"}, "\"echo\" has no statuses"},
    };
    const struct simnet_config net = {.delay_ns = MS};
    const struct end application = {.drop_when_ended = true};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct soaking soaking;
        struct peer_error error = {0};
        soaking_begin(&soaking, &net, &application);
        assert_int_equal(soaking_start(&soaking, &rows[i].config, &error), -EINVAL);
        if (!strstr(error.text, rows[i].text))
            fail_msg("\"%s\" instead of \"%s\"", error.text, rows[i].text);
        soaking_end(&soaking);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(queries_are_asked_in_turn_and_rcodes_counted),
        TEST(an_rcode_that_was_not_expected_is_an_error),
        TEST(several_are_under_way_and_answers_overtake),
        TEST(more_than_fits_is_written_bit_by_bit),
        TEST(ids_differ_by_no_rule),
        TEST(an_answer_over_tcp_may_come_in_pieces),
        TEST(what_was_cut_is_asked_again_over_tcp),
        TEST(what_goes_wrong_then_has_its_words),
        TEST(a_wrong_answer_is_its_querys_end),
        TEST(an_answer_that_is_nobodys_takes_no_query_with_it),
        TEST(an_answer_from_another_port_reaches_nobody),
        TEST(an_answer_that_comes_twice_is_counted),
        TEST(an_answer_after_its_time_is_late),
        TEST(a_query_that_is_lost_is_lost_alone),
        TEST(what_makes_no_sense_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
