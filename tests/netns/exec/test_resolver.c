/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nameservers in a place. The test is the host and plays them, in a namespace of its own; the program
 * in the place is this one again.
 */
#include "place_bench.h"

#include <net/if.h>

enum { MESSAGE = 65535, SILENT = 400, CALLERS = 50 /* more than are served at once */ };

static uint8_t frame[FRAME_BYTES], message[MESSAGE];
static char folder[] = "/tmp/peer-resolver-XXXXXX";
static char conf[64];

static void write_conf(const char *text)
{
    FILE *file = fopen(conf, "we");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A nameserver's socket in the host's namespace. */
static int play(const char *addr, int type)
{
    struct sockaddr_storage where;
    const socklen_t len = endpoint(addr, "53", &where);
    const int one = 1;
    const int fd = socket(where.ss_family, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(fd, (struct sockaddr *)&where, len), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 2 * CALLERS), 0);
    return fd;
}

struct asked {
    struct sockaddr_storage from;
    socklen_t from_len;
    size_t len;
};

static struct asked next_query(int fd)
{
    struct asked asked = {.from_len = sizeof(asked.from)};

    assert_true(is_readable(fd, PATIENCE_MS));
    const ssize_t len =
        recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&asked.from, &asked.from_len);
    assert_true(len > 0);
    asked.len = (size_t)len;
    return asked;
}

static void reply(int fd, const struct asked *asked, const char *text)
{
    assert_int_equal(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&asked->from,
                            asked->from_len),
                     strlen(text));
}

static void init(struct bench *bench, const char *text)
{
    write_conf(text);
    bench_init(bench);
    bench->config.resolv_conf = conf;
}

/* ---- resolv.conf ---- */

static void read_is(const char *text, const char *first, const char *second, const char *third)
{
    const char *const expected[] = {first, second, third};
    struct peer_addr found[RESOLVER_MAX];
    char addr[PEER_ADDR_TEXT];

    write_conf(text);
    const int count = resolver_read(conf, found);
    for (int i = 0; i < RESOLVER_MAX; i++) {
        if (i < count)
            assert_string_equal(peer_addr_format(&found[i], addr), expected[i] ? expected[i] : "none");
        else
            assert_null(expected[i]);
    }
}

static void nameservers_are_read_as_the_c_library_does(void **state)
{
    (void)state;
    read_is("nameserver 192.0.2.53\n", "192.0.2.53", NULL, NULL);
    read_is("# nameserver 192.0.2.1\nsearch example\n;x\nnameserver\t2001:db8::53  # here\n"
            "nameserver   127.0.0.53\r\nnameserver 192.0.2.3",
            "2001:db8::53", "127.0.0.53", "192.0.2.3");
    read_is("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
            "192.0.2.1", "192.0.2.2", "192.0.2.3");
    read_is("", "127.0.0.1", NULL, NULL);
    read_is("nameservers 192.0.2.1\nnameserver192.0.2.2\n nameserver 192.0.2.3\n", "127.0.0.1", NULL,
            NULL);
    read_is("nameserver nonsense\nnameserver 192.0.2.1\n", "192.0.2.1", NULL, NULL);
    read_is("nameserver fe80::1%eth0\nnameserver fe80::2\n", NULL, NULL, NULL);
    unlink(conf);
    struct peer_addr found[RESOLVER_MAX];
    assert_int_equal(resolver_read(conf, found), 1);
    assert_int_equal(found[0].bytes[0], 127);
}

/* ---- UDP ---- */

static void asked_and_answered(const char *nameserver)
{
    struct bench bench;
    char text[128];
    const int server = play(nameserver, SOCK_DGRAM);

    snprintf(text, sizeof(text), "nameserver %s\n", nameserver);
    init(&bench, text);
    bench.config.elsewhere = true; /* or these would be targets */
    bench_start(&bench, "ask", nameserver, "what is it?");
    const struct asked asked = next_query(server);
    assert_int_equal(asked.len, strlen("what is it?"));
    assert_memory_equal(message, "what is it?", asked.len);
    reply(server, &asked, "it is this");
    assert_line(&bench, "it is this");
    bench_done(&bench);
    close(server);
}

static void queries_and_answers_pass(void **state)
{
    (void)state;
    asked_and_answered("127.0.0.53");
    asked_and_answered("127.0.0.1");
    asked_and_answered("192.0.2.53");
    asked_and_answered("2001:db8::53");
    asked_and_answered("::1");
}

static void all_nameservers_are_there(void **state)
{
    static const char *const servers[] = {"127.0.0.53", "192.0.2.53", "2001:db8::53"};
    struct bench bench;
    int fds[3];

    (void)state;
    init(&bench, "nameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n");
    bench.config.elsewhere = true;
    for (int i = 0; i < 3; i++)
        fds[i] = play(servers[i], SOCK_DGRAM);
    bench_start(&bench, "ask-all", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        const struct asked asked = next_query(fds[i]);
        reply(fds[i], &asked, servers[i]);
        assert_line(&bench, servers[i]);
        close(fds[i]);
    }
    bench_done(&bench);
}

/* With localhost led elsewhere too. */
static void a_nameserver_of_lo_stays_when_localhost_leads_out(void **state)
{
    struct bench bench;
    const int server = play("127.0.0.53", SOCK_DGRAM);

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench.config.localhost = true;
    bench_start(&bench, "ask", "127.0.0.53", "what?");
    const struct asked asked = next_query(server);
    reply(server, &asked, "that");
    assert_line(&bench, "that");
    bench_done(&bench);
    close(server);
}

static void this_machine_s_own_nameserver_is_a_target(void **state)
{
    struct bench bench;
    const int server = play("192.0.2.53", SOCK_DGRAM);

    (void)state;
    init(&bench, "nameserver 192.0.2.53\n");
    bench_start(&bench, "ask", "192.0.2.53", "what is it?");
    assert_true(next_frame(&bench, frame, 4) > 28);
    assert_memory_equal(frame + VNET_BYTES + 28, "what is it?", 11);
    assert_false(is_readable(server, 0));
    bench_done(&bench);
    close(server);
}

/* Where the program speaks the other family it could not be reached. */
static void an_own_one_of_the_other_family_is_shadowed(void **state)
{
    struct bench bench;
    const int server = play("2001:db8::53", SOCK_DGRAM);

    (void)state;
    init(&bench, "nameserver 2001:db8::53\n");
    bench_start(&bench, "ask", "2001:db8::53", "what?");
    const struct asked asked = next_query(server);
    reply(server, &asked, "that");
    assert_line(&bench, "that");
    bench_done(&bench);
    close(server);
}

static uint16_t port_of(const struct asked *asked)
{
    struct sockaddr_in from;

    memcpy(&from, &asked->from, sizeof(from));
    return from.sin_port;
}

static void answers_of_others_do_not_pass(void **state)
{
    struct bench bench;
    struct sockaddr_in liar = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000035)};
    const int server = play("127.0.0.53", SOCK_DGRAM);
    const int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(bind(other, (struct sockaddr *)&liar, sizeof(liar)), 0); /* another port */
    init(&bench, "nameserver 127.0.0.53\n");
    bench_start(&bench, "ask-twice", "127.0.0.53", "what?");
    const struct asked first = next_query(server), second = next_query(server);
    assert_int_not_equal(port_of(&first), port_of(&second)); /* drawn for each */
    reply(other, &first, "a lie");
    reply(server, &first, "the truth");
    assert_line(&bench, "the truth");
    bench_done(&bench);
    close(server);
    close(other);
}

static void a_refusing_nameserver_is_told_so_that_the_next_is_asked(void **state)
{
    struct bench bench;

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n"); /* nobody there */
    bench_start(&bench, "ask-for-x", "127.0.0.53", NULL);
    assert_line(&bench, "1234 8102 0001 0000 0000 0000");
    bench_done(&bench);
}

static void silence_costs_others_nothing(void **state)
{
    struct bench bench;
    const int server = play("127.0.0.53", SOCK_DGRAM);
    struct asked asked = {0};

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_start(&bench, "ask-often", "127.0.0.53", NULL);
    for (message[0] = 0; message[0] != 'l';) {
        asked = next_query(server);
        if (message[0] == 'm')
            reply(server, &asked, "more");
    }
    reply(server, &asked, "the last one's");
    assert_line(&bench, "the last one's");
    bench_done(&bench);
    close(server);
}

/* ---- TCP ---- */

static void long_answers_pass_by_tcp(void **state)
{
    struct bench bench;
    const int server = play("127.0.0.53", SOCK_STREAM);
    char text[8] = "";

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_start(&bench, "call", "127.0.0.53", "all");
    assert_true(is_readable(server, PATIENCE_MS));
    const int caller = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    for (size_t len = 0; len < 4; len++) /* and its end */
        assert_int_equal(read(caller, text + len, 1), len < 3 ? 1 : 0);
    assert_string_equal(text, "all");
    for (size_t sent = 0; sent < 200000;) {
        const ssize_t len = write(caller, message, 200000 - sent < MESSAGE ? 200000 - sent : MESSAGE);
        assert_true(len > 0);
        sent += (size_t)len;
    }
    close(caller);
    assert_line(&bench, "200000 bytes, then the end");
    bench_done(&bench);
    close(server);
}

static void a_refusal_by_tcp_is_passed_on(void **state)
{
    struct bench bench;

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_start(&bench, "call", "127.0.0.53", "all");
    assert_line(&bench, "0 bytes, then ECONNRESET");
    bench_done(&bench);
}

static void a_reset_by_tcp_is_passed_on(void **state)
{
    struct bench bench;
    const struct linger reset = {1, 0};
    const int server = play("127.0.0.53", SOCK_STREAM);

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_start(&bench, "call", "127.0.0.53", "all");
    assert_true(is_readable(server, PATIENCE_MS));
    const int caller = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(setsockopt(caller, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(caller);
    assert_line(&bench, "0 bytes, then ECONNRESET");
    bench_done(&bench);
    close(server);
}

static void more_callers_than_there_is_room_for_find_the_newest_served(void **state)
{
    struct bench bench;
    const int server = play("127.0.0.53", SOCK_STREAM);
    int callers[CALLERS + 1], count = 0, caller = -1;

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_start(&bench, "call-often", "127.0.0.53", NULL);
    for (char word = 0; word != 'l' && count <= CALLERS; count++) { /* none of them is ended here */
        assert_true(is_readable(server, PATIENCE_MS));
        caller = callers[count] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
        assert_true(is_readable(caller, PATIENCE_MS));
        if (read(caller, &word, 1) != 1)
            word = 0; /* it had to go */
    }
    assert_int_equal(write(caller, "yes", 3), 3);
    for (int i = 0; i < count; i++)
        close(callers[i]);
    assert_line(&bench, "3 bytes, then the end");
    bench_done(&bench);
    close(server);
}

/* ---- the process ---- */

static void it_ends_with_its_place(void **state)
{
    struct bench bench;

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_make(&bench);
    const int pidfd = (int)syscall(SYS_pidfd_open, bench.place.resolver.pid, 0);
    assert_true(pidfd >= 0);
    assert_false(is_readable(pidfd, 0));
    bench_done(&bench);
    assert_true(is_readable(pidfd, PATIENCE_MS));
    close(pidfd);
}

static void its_death_is_seen(void **state)
{
    struct bench bench;

    (void)state;
    init(&bench, "nameserver 127.0.0.53\n");
    bench_make(&bench);
    assert_false(is_readable(bench.place.resolver.end, 0));
    assert_int_equal(kill(bench.place.resolver.pid, SIGKILL), 0);
    assert_true(is_readable(bench.place.resolver.end, PATIENCE_MS));
    bench_done(&bench);
}

static void none_is_started_without_nameservers(void **state)
{
    struct bench bench;

    (void)state;
    init(&bench, "nameserver fe80::1%lo\n");
    bench_make(&bench);
    assert_int_equal(bench.place.resolver.end, 0);
    bench_done(&bench);
}

/* ---- the program ---- */

static int ask(const char *server, const char *text)
{
    const int fd = call(server, "53", SOCK_DGRAM);

    if (send(fd, text, strlen(text), 0) < 0)
        exit(1);
    return fd;
}

static void show_answer(int fd)
{
    char answer[64] = "";

    if (recv(fd, answer, sizeof(answer) - 1, 0) < 0)
        exit(1);
    puts(answer);
    fflush(stdout);
}

static void ask_for_x(const char *server)
{
    static const uint8_t query[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1};
    uint8_t answer[64];
    const int fd = call(server, "53", SOCK_DGRAM);

    if (send(fd, query, sizeof(query), 0) < 0 ||
        recv(fd, answer, sizeof(answer), 0) != (ssize_t)sizeof(query) ||
        memcmp(answer + 12, query + 12, sizeof(query) - 12) != 0)
        exit(1);
    for (int i = 0; i < 12; i += 2)
        printf("%02x%02x%s", answer[i], answer[i + 1], i < 10 ? " " : "\n");
}

static void hear_all(int fd)
{
    ssize_t len;
    size_t all = 0;

    while ((len = read(fd, message, sizeof(message))) > 0)
        all += (size_t)len;
    printf("%zu bytes, then %s\n", all, len == 0 ? "the end" : strerrorname_np(errno));
}

static int inside(const char *word, char **argv)
{
    if (strcmp(word, "ask") == 0) {
        show_answer(ask(argv[0], argv[1]));
    } else if (strcmp(word, "ask-all") == 0) {
        show_answer(ask("127.0.0.53", "one"));
        show_answer(ask("192.0.2.53", "two"));
        show_answer(ask("2001:db8::53", "three"));
    } else if (strcmp(word, "ask-twice") == 0) {
        const int first = ask(argv[0], "first");
        (void)ask(argv[0], "second");
        show_answer(first);
    } else if (strcmp(word, "ask-for-x") == 0) {
        ask_for_x(argv[0]);
    } else if (strcmp(word, "ask-often") == 0) {
        for (int i = 0; i < SILENT; i++) {
            close(ask(argv[0], "again"));
            if (i % 50 == 0) /* or sockets would run over */
                (void)recv(ask(argv[0], "more"), message, sizeof(message), 0);
        }
        show_answer(ask(argv[0], "last"));
    } else if (strcmp(word, "call") == 0) {
        const int fd = call(argv[0], "53", SOCK_STREAM);
        if (send(fd, argv[1], strlen(argv[1]), MSG_NOSIGNAL) < 0) {
            printf("0 bytes, then %s\n", strerrorname_np(errno)); /* it is told once */
            return 0;
        }
        shutdown(fd, SHUT_WR);
        hear_all(fd);
    } else if (strcmp(word, "call-often") == 0) {
        for (int i = 0; i < CALLERS; i++)
            (void)send(call(argv[0], "53", SOCK_STREAM), "s", 1, MSG_NOSIGNAL);
        const int fd = call(argv[0], "53", SOCK_STREAM);
        (void)send(fd, "l", 1, MSG_NOSIGNAL);
        hear_all(fd);
    }
    return 0;
}

/* ---- the machine ---- */

static bool add_to_lo(const char *command)
{
    return system(command) == 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "inside") == 0) {
        const int status = inside(argv[2], argv + 3);
        fflush(NULL);
        _exit(status);
    }
    const int status = netns_enter_with_tun();
    if (status != 0)
        return status;
    if (!add_to_lo("ip addr add 192.0.2.53/32 dev lo && ip addr add 2001:db8::53/128 dev lo nodad"))
        return netns_skip("ip(8)", ENOENT);
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    snprintf(conf, sizeof(conf), "%s/resolv.conf", folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nameservers_are_read_as_the_c_library_does),
        cmocka_unit_test(queries_and_answers_pass),
        cmocka_unit_test(all_nameservers_are_there),
        cmocka_unit_test(a_nameserver_of_lo_stays_when_localhost_leads_out),
        cmocka_unit_test(this_machine_s_own_nameserver_is_a_target),
        cmocka_unit_test(an_own_one_of_the_other_family_is_shadowed),
        cmocka_unit_test(answers_of_others_do_not_pass),
        cmocka_unit_test(a_refusing_nameserver_is_told_so_that_the_next_is_asked),
        cmocka_unit_test(silence_costs_others_nothing),
        cmocka_unit_test(long_answers_pass_by_tcp),
        cmocka_unit_test(a_refusal_by_tcp_is_passed_on),
        cmocka_unit_test(a_reset_by_tcp_is_passed_on),
        cmocka_unit_test(more_callers_than_there_is_room_for_find_the_newest_served),
        cmocka_unit_test(it_ends_with_its_place),
        cmocka_unit_test(its_death_is_seen),
        cmocka_unit_test(none_is_started_without_nameservers),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(conf);
    rmdir(folder);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
