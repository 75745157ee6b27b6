/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients of protocols with streams, as HTTP/2 has them: fewer and more of them while they run, some
 * that the application refuses, what is written together, and last words.
 */
#include "lines.h"

static unsigned writes; /* of several lines or of one */

/* ---- more than an answer: what HTTP/2 has ---- */

struct own {
    uint32_t number; /* of the request */
};

static void ask_later(struct client *client, struct request *request)
{
    struct own *own = request_own(request);

    assert_int_equal(own->number, 0);
    own->number = request_number(request);
    lines_of(client)->kept[lines_of(client)->kept_count++] = own->number;
}

static void write_kept(struct client *client)
{
    struct lines *lines = lines_of(client);
    char text[16 * ARRAY_SIZE(lines->kept)];
    size_t len = 0;

    for (size_t i = 0; i < lines->kept_count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%u\n", lines->kept[i]);
    if (len)
        writes++;
    (void)client_write(client, text, len, 0);
    lines->kept_count = 0;
}

static void take_word(struct client *client, const char *word)
{
    if (*word == '=') {
        client_ready(client, (uint32_t)strtoul(word + 1, NULL, 10));
    } else if (*word == '!') {
        uint32_t number = (uint32_t)strtoul(word + 1, NULL, 10);
        struct request *request = client_request_numbered(client, number);
        assert_int_equal(((struct own *)request_own(request))->number, number);
        if (!request_put_back(request))
            request_lose(request, PEER_SOAK_RESET, "refused again and again");
    } else {
        client_end_after(client, true);
        client_ready(client, SLOTS);
    }
}

static void taken_with_words(struct client *client, struct request *request, enum taken taken)
{
    const char *line = lines_of(client)->line;

    if (taken == TAKEN_ANSWER && *line > '9')
        take_word(client, line);
    else if (taken == TAKEN_ANSWER && (*line == '=' || *line == '!'))
        take_word(client, line);
    else
        taken_in_any_order(client, request, taken);
}

static void say_farewell(struct client *client)
{
    (void)client_write(client, "farewell\n", 9, 0);
}

static const struct protocol streams = {.name = "streams",
                                        .client_bytes = sizeof(struct lines),
                                        .request_bytes = sizeof(struct own),
                                        .tcp = &(const struct protocol_ops){
                                            .kind = PROTOCOL_ASKS,
                                            .opened = several_at_once,
                                            .ask = ask_later,
                                            .asked = write_kept,
                                            .take = take,
                                            .taken = taken_with_words,
                                            .closing = say_farewell,
                                            .unasked = true,
                                            .any_order = true,
                                        }};

/* ---- fewer and more slots, and what is put back ---- */

static void what_is_asked_together_is_written_together(void **state)
{
    (void)state;
    writes = 0;
    struct scene *scene = run(&streams, (struct service){.batch = SLOTS},
                              (struct peer_soak_config){.total = 10 * SLOTS});
    assert_counts(scene, 10 * SLOTS, 10 * SLOTS, 0);
    assert_int_equal(writes, 10);
    done(scene);
    writes = 0;
    scene = run(&streams, (struct service){.batch = SLOTS},
                (struct peer_soak_config){.total = 10 * SLOTS, .think_ns = 5 * MS});
    assert_int_equal(writes, 10);
    done(scene);
}

static void the_last_words_come_before_the_end(void **state)
{
    (void)state;
    struct scene *scene = run(&streams, (struct service){.batch = 0},
                              (struct peer_soak_config){.flows = 3, .total = 9});
    simnet_run_for(scene->net, 10 * MS);
    assert_int_equal(scene->farewells, 3);
    done(scene);
    scene = run(&streams, (struct service){.batch = 0},
                (struct peer_soak_config){.flows = 3, .total = 9, .close_with_reset = true});
    simnet_run_for(scene->net, 10 * MS);
    assert_int_equal(scene->farewells, 0);
    done(scene);
}

/* Those beyond wait until there are fewer. */
static void slots_may_become_fewer_and_more(void **state)
{
    static const struct {
        const char *first, *later;
        double rate;
        uint64_t completed;
    } rows[] = {
        {"=1\n", NULL, 0, 500},    {"=2\n", NULL, 0, 1000},     {"=1\n", "=3\n", 0, 1000},
        {"=4\n", "=1\n", 0, 1250}, {"=1\n", NULL, 1500, 500},   {"=1\n", "=3\n", 1500, 1000},
        {"=0\n", "=2\n", 0, 500},  {"=0\n", "=2\n", 1500, 500},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct service service = {
            .first = rows[i].first, .later = rows[i].later, .greeting_ns = NS_PER_S / 2};
        struct scene *scene =
            run(&streams, service,
                (struct peer_soak_config){.rate = rows[i].rate, .duration_ns = NS_PER_S});
        const struct figures *found = &measure_of(scene)->found;
        double wanted = (double)rows[i].completed, most = wanted * 1.02 + 8;
        assert_true((double)found->in_time.completed >= wanted * 0.98 - 8);
        assert_true((double)found->in_time.completed <= most);
        assert_int_equal(peer_soak_errors(&found->counts), 0);
        assert_int_equal(found->counts.opened, 1);
        done(scene);
    }
}

static void without_any_slot_a_client_is_late(void **state)
{
    (void)state;
    struct scene *scene =
        run(&streams, (struct service){.first = "=0\n"},
            (struct peer_soak_config){.total = SLOTS + 3, .timeout_ns = NS_PER_S});
    const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;
    /* What had left before it heard of that is answered; for one it waits in vain. */
    assert_int_equal(counts->completed, SLOTS + 2);
    assert_int_equal(counts->timeout, 1);
    assert_int_equal(peer_soak_errors(counts), 1);
    assert_int_equal(counts->opened, 2);
    done(scene);
}

/* Each is asked once more, by whoever has a slot, and counts as one. */
static void what_was_refused_is_asked_again(void **state)
{
    static const struct {
        uint64_t flows, think_ns;
        double rate;
    } rows[] = {{1, 0, 0}, {3, 0, 0}, {1, 3 * MS, 0}, {2, 0, 700}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = run(&streams, (struct service){.leaves_after = 7},
                                  (struct peer_soak_config){.total = 100,
                                                            .flows = rows[i].flows,
                                                            .think_ns = rows[i].think_ns,
                                                            .rate = rows[i].rate});
        const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;
        assert_counts(scene, 100, 100, 0);
        assert_int_equal(counts->asked_again, scene->refused);
        assert_true(scene->refused > 0);
        assert_true(counts->opened >= 100 / (7 + SLOTS));
        done(scene);
    }
}

static void who_refuses_for_ever_is_not_asked_for_ever(void **state)
{
    (void)state;
    struct scene *scene = run(&streams, (struct service){.refuses = UINT32_MAX},
                              (struct peer_soak_config){.total = 10, .flows = 2});
    const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;
    assert_int_equal(counts->requests, 10);
    assert_int_equal(counts->completed, 0);
    assert_int_equal(counts->reset, 10);
    assert_int_equal(scene->refused, 40);
    assert_string_equal(measure_of(scene)->found.first_errors[PEER_SOAK_RESET],
                        "refused again and again");
    done(scene);
}

/* At the end of a run too: what is put back then may still be answered. */
static void what_is_put_back_at_the_end_has_one_fate(void **state)
{
    (void)state;
    for (uint64_t ms = 20; ms < 40; ms++) {
        struct scene *scene = run(&streams, (struct service){.leaves_after = 7},
                                  (struct peer_soak_config){.duration_ns = ms * MS, .flows = 2});
        const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;
        assert_int_equal(counts->requests, counts->completed + peer_soak_errors(counts));
        assert_int_equal(peer_soak_errors(counts), 0);
        done(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_asked_together_is_written_together),
        TEST(the_last_words_come_before_the_end),
        TEST(slots_may_become_fewer_and_more),
        TEST(without_any_slot_a_client_is_late),
        TEST(what_was_refused_is_asked_again),
        TEST(who_refuses_for_ever_is_not_asked_for_ever),
        TEST(what_is_put_back_at_the_end_has_one_fate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
