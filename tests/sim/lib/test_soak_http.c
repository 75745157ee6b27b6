/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers: when they come, where they end, and who closes. */
#include "soak_http.h"

enum { BODY = 12000000 /* more than a send and a receive buffer */ };
static char body[BODY];

/* ---- answers before the end of the request ---- */

static void the_rest_of_a_body_follows_an_early_answer(void **state)
{
    static const struct script early[] = {{.early = ok}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY);
    assert_fine(scene, 4, 1);
    assert_int_equal(counts_of(scene)->statuses[2], 4);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->requests, 4);
    scene_free(scene);
}

/* The end of the body waits for a window when the run is freed, and with it the body's memory. */
static void a_run_may_end_while_it_sends(void **state)
{
    static const struct script early[] = {{.early = ok, .early_act = ACT_STOP}};

    (void)state;
    /* As much as can be written before the first byte is acknowledged. */
    struct scene *scene = RUN(early, .body = body, .body_len = 4 << 20, .total = 1);
    assert_fine(scene, 1, 1);
    assert_int_equal(scene->ended_connections, 0);
    scene->soaking.soak = peer_soak_free(scene->soaking.soak);
    scene_run(scene, 10 * MS);
    assert_int_equal(scene->ended_connections, 1);
    scene_free(scene);
}

static void an_early_answer_that_closes_ends_the_upload(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", ok_last};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        /* It reads no more, and waits for the client to close. */
        const struct script early[] = {{.early = answers[i], .early_act = ACT_STOP}};
        for (size_t len = 200000; len <= BODY; len += BODY - 200000) {
            struct scene *scene = RUN(early, .body = body, .body_len = len);
            assert_fine(scene, 4, 4);
            assert_int_equal(counts_of(scene)->statuses[i == 2 ? 2 : 4], 4);
            assert_true(since_start(scene) < 100 * MS);
            scene_run(scene, NS_PER_S);
            assert_int_equal(scene->ended_connections, 4); /* it did not wait in vain */
            scene_free(scene);
        }
    }
}

static void an_upload_that_breaks_after_its_answer_is_an_error(void **state)
{
    static const struct script early[] = {{.early = ok, .early_act = ACT_RESET}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY);
    assert_int_equal(counts_of(scene)->completed, 0);
    assert_int_equal(counts_of(scene)->reset, 4);
    assert_int_equal(counts_of(scene)->statuses[2], 0);
    scene_free(scene);
}

static void an_upload_that_is_not_taken_is_told_from_no_answer(void **state)
{
    static const struct script early[] = {{.early = ok, .early_act = ACT_STOP}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY, .total = 1);
    assert_int_equal(counts_of(scene)->timeout, 1);
    assert_non_null(strstr(scene->soaking.report.first_error, "answered in time, but the rest"));
    scene_free(scene);
}

/* ---- bodies ---- */

static void some_answers_have_no_body_whatever_they_say(void **state)
{
    static const struct {
        const char *answer, *method;
    } rows[] = {
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "GET"},
        {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "GET"},
        {"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\n", "GET"},
        {"HTTP/1.1 205 Reset Content\r\n\r\n", "POST"},
        {"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n", "GET"},
        {"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "HEAD"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"},
        {"HTTP/1.1 200 OK\r\n\r\n", "HEAD"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
         "GET"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok", "GET"},
        {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
         "GET"},
        {"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", "GET"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct script script[] = {{.answer = rows[i].answer}};
        struct scene *scene = RUN(script, .method = rows[i].method);
        assert_fine(scene, 4, 1);
        scene_free(scene);
    }
}

static void an_answer_may_come_byte_by_byte(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nto the end"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        bool ends = i == 4;
        /* The second one is known as a whole by then. */
        const struct script script[] = {
            {.answer = answers[i], .act = ends ? ACT_CLOSE : 0},
            {.answer = answers[i], .act = ACT_DRIP | (ends ? ACT_CLOSE : 0)}};
        struct scene *scene = RUN(script, .total = 3);
        assert_fine(scene, 3, ends ? 3 : 1);
        scene_free(scene);
    }
}

static void what_ends_with_the_connection_is_whole(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\n\r\nall of it",
                                          "HTTP/1.0 200 OK\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct script script[] = {{.answer = answers[i], .act = ACT_CLOSE}};
        struct scene *scene = RUN(script, .total = 4);
        assert_fine(scene, 4, 4);
        scene_free(scene);
    }
}

static void wrong_lengths_are_named(void **state)
{
    static const struct {
        const char *answer, *word;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
         "unequal Content-Lengths, 2 and 3"},
        {"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", "Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "both Transfer-Encoding and Content-Length"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok\r\n", "a chunk without a size"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", "bytes follow"},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "bytes follow"},
        {"SSH-2.0-OpenSSH_9\r\n", "no status line: \"SSH-2.0-OpenSSH_9\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct script script[] = {{.answer = rows[i].answer}};
        struct scene *scene = RUN(script, .total = 3);
        assert_int_equal(counts_of(scene)->bad_answer, 3);
        assert_int_equal(counts_of(scene)->completed, 0);
        if (!strstr(scene->soaking.report.first_error, rows[i].word))
            fail_msg("\"%s\": %s", rows[i].word, scene->soaking.report.first_error);
        scene_free(scene);
    }
}

static void another_protocol_is_not_awaited(void **state)
{
    static const char *const headers[] = {"Connection: upgrade", "Upgrade: x", NULL};
    static const struct script script[] = {
        {.answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x03hey"}};

    (void)state;
    struct scene *scene = RUN(script, .headers = headers);
    assert_fine(scene, 4, 4);
    assert_int_equal(counts_of(scene)->statuses[1], 4);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);
}

/* ---- closing ---- */

static void who_reads_the_last_byte_closes(void **state)
{
    static const struct script patient[] = {{.answer = ok_last}}; /* waits for the client's FIN */

    (void)state;
    struct scene *scene = RUN(patient, .total = 4);
    assert_fine(scene, 4, 4);
    assert_int_equal(scene->client_fins, 4);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);
}

/* TIME-WAIT falls to who sends the first FIN. */
static void the_server_may_close_first_for_a_moment(void **state)
{
    static const struct script prompt[] = {{.answer = ok_last, .act = ACT_CLOSE}};

    (void)state;
    struct scene *scene = RUN(prompt, .total = 4);
    assert_fine(scene, 4, 4);
    assert_int_equal(scene->server_fins, 4);
    assert_int_equal(scene->client_fins, 0);
    scene_free(scene);
}

static void a_connection_that_is_asked_to_close_carries_one_request(void **state)
{
    static const char *const headers[][2] = {{"Connection: close", NULL},
                                             {"connection: TE, Close", NULL},
                                             {"Content-Length: 5", NULL},
                                             {"Content-Length: x", NULL},
                                             {"Transfer-Encoding: gzip", NULL}};
    static const struct script script[] = {{.answer = ok}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene = RUN(script, .headers = headers[i]);
        assert_fine(scene, 4, 4);
        scene_free(scene);
    }
    for (size_t i = 2; i < ARRAY_SIZE(headers); i++) { /* nobody knows where the request ends */
        static const struct script early[] = {{.early = ok, .answer = ok}};
        struct scene *scene = RUN(early, .headers = headers[i]);
        assert_int_equal(scene->accepted, 4);
        assert_int_equal(scene->requests, 0);
        scene_free(scene);
    }
}

/* Who speaks another protocol from here on may say as much as it likes. */
static void what_comes_through_a_tunnel_is_nobodys(void **state)
{
    static char answer[60000] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    static const struct script script[] = {{.answer = answer}};
    size_t len = strlen(answer);

    (void)state;
    memset(answer + len, 'x', sizeof(answer) - 1 - len);
    struct scene *scene = RUN(script, .total = 4);
    assert_fine(scene, 4, 4);
    scene_free(scene);
}

static void what_is_no_answer_was_received_all_the_same(void **state)
{
    static const struct script script[] = {{.answer = "220 mail.example ESMTP\r\n"}};

    (void)state;
    struct scene *scene = RUN(script, .total = 3);
    soaking_assert_counts(&scene->soaking, 3, 0, 3);
    assert_int_equal(counts_of(scene)->bad_answer, 3);
    assert_int_equal(counts_of(scene)->bytes_received, 3 * strlen(script[0].answer));
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rest_of_a_body_follows_an_early_answer),
        TEST(a_run_may_end_while_it_sends),
        TEST(an_early_answer_that_closes_ends_the_upload),
        TEST(an_upload_that_breaks_after_its_answer_is_an_error),
        TEST(an_upload_that_is_not_taken_is_told_from_no_answer),
        TEST(some_answers_have_no_body_whatever_they_say),
        TEST(an_answer_may_come_byte_by_byte),
        TEST(what_ends_with_the_connection_is_whole),
        TEST(wrong_lengths_are_named),
        TEST(another_protocol_is_not_awaited),
        TEST(who_reads_the_last_byte_closes),
        TEST(the_server_may_close_first_for_a_moment),
        TEST(a_connection_that_is_asked_to_close_carries_one_request),
        TEST(what_comes_through_a_tunnel_is_nobodys),
        TEST(what_is_no_answer_was_received_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
