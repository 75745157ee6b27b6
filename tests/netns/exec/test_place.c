/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places: what a program finds in one, and what leaves it. As root (of a namespace), and where this
 * is root of the machine as an ordinary user too.
 */
#include "place_bench.h"

#include <sys/prctl.h>
#include <sys/sysmacros.h>

static uint8_t frame[FRAME_BYTES];

/* ---- the way out ---- */

static void connections_leave_by_the_device_from_the_inside_address(void **state)
{
    struct bench bench;
    char text[INET_ADDRSTRLEN];

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "tcp", "192.0.2.80", "80");
    assert_true(next_frame(&bench, frame, 4) >= 40);
    const uint8_t *ip = frame + VNET_BYTES, *tcp = ip + 20;
    assert_int_equal(ip[9], IPPROTO_TCP);
    assert_string_equal(inet_ntop(AF_INET, ip + 12, text, sizeof(text)), "198.18.0.2");
    assert_string_equal(inet_ntop(AF_INET, ip + 16, text, sizeof(text)), "192.0.2.80");
    assert_true((tcp[0] << 8 | tcp[1]) >= 1024);
    assert_int_equal(tcp[2] << 8 | tcp[3], 80);
    bench_done(&bench);
}

static void ipv6_leaves_the_same_way_and_says_nothing_else(void **state)
{
    struct bench bench;
    char text[INET6_ADDRSTRLEN];

    (void)state;
    bench_init(&bench);
    bench.config.inside = addr_of("2001:2::2");
    bench_start(&bench, "tcp", "2001:db8::80", "80");
    assert_true(is_readable(bench.place.tun_fd, PATIENCE_MS));
    assert_true(read(bench.place.tun_fd, frame, FRAME_BYTES) > VNET_BYTES + 60);
    const uint8_t *ip = frame + VNET_BYTES;
    assert_int_equal(ip[0] >> 4, 6);
    assert_int_equal(ip[6], IPPROTO_TCP);
    assert_string_equal(inet_ntop(AF_INET6, ip + 8, text, sizeof(text)), "2001:2::2");
    assert_string_equal(inet_ntop(AF_INET6, ip + 24, text, sizeof(text)), "2001:db8::80");
    bench_done(&bench);
}

static void the_other_family_has_no_route(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "tcp", "2001:db8::80", "80");
    assert_line(&bench, "ENETUNREACH");
    bench_done(&bench);

    bench_init(&bench);
    bench.config.inside = addr_of("2001:2::2");
    bench_start(&bench, "tcp", "192.0.2.80", "80");
    assert_line(&bench, "ENETUNREACH");
    bench_done(&bench);
}

static void answers_come_in(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "udp", "192.0.2.7", "7");
    send_back(&bench, frame, next_frame(&bench, frame, 4));
    assert_line(&bench, "hello");
    assert_int_equal(bench_status(&bench), 0);
    bench_done(&bench);
}

static void long_writes_come_in_one_piece_where_that_is_granted(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_make(&bench);
    assert_true(bench.place.offload_tcp);
    bench_done(&bench);

    bench_init(&bench);
    bench.config.offload = false;
    bench_make(&bench);
    assert_false(bench.place.offload_tcp);
    assert_false(bench.place.offload_udp);
    bench_done(&bench);
}

/* ---- what a program finds ---- */

static void settings_are_the_host_s(void **state)
{
    struct bench bench;

    (void)state;
    assert_true(netns_write_file("/proc/sys/net/ipv4/tcp_keepalive_time", "4321\n"));
    assert_true(netns_write_file("/proc/sys/net/ipv4/tcp_rmem", "4096 65536 1048576\n"));
    bench_init(&bench);
    bench_start(&bench, "settings", NULL, NULL);
    assert_line(&bench, "4321");
    assert_line(&bench, "4096\t65536\t1048576");
    assert_line(&bench, "1024\t65535");
    assert_line(&bench, "1");
    assert_line(&bench, "0");
    bench_done(&bench);
}

static void ping_needs_no_capability(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "ping", NULL, NULL);
    assert_line(&bench, "may ping");
    bench_done(&bench);
}

/* ---- localhost ---- */

static void localhost_is_the_place_s_own(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "tcp", "127.0.0.1", "80");
    assert_line(&bench, "ECONNREFUSED");
    bench_done(&bench);
}

static void localhost_leads_out_when_asked(void **state)
{
    struct bench bench;
    char text[INET_ADDRSTRLEN];

    (void)state;
    bench_init(&bench);
    bench.config.localhost = true;
    bench_start(&bench, "udp", "127.0.0.1", "7");
    const size_t len = next_frame(&bench, frame, 4);
    const uint8_t *ip = frame + VNET_BYTES;
    assert_string_equal(inet_ntop(AF_INET, ip + 12, text, sizeof(text)), "198.18.0.2");
    assert_string_equal(inet_ntop(AF_INET, ip + 16, text, sizeof(text)), "127.0.0.1");
    send_back(&bench, frame, len);
    assert_line(&bench, "hello");
    bench_done(&bench);
}

static void localhost_of_ipv6_leads_nowhere_then(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench.config.localhost = true;
    bench_start(&bench, "tcp", "::1", "80");
    assert_line(&bench, "EADDRNOTAVAIL"); /* at once: the next address is tried */
    bench_done(&bench);
}

static void other_addresses_of_lo_stay(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench.config.localhost = true;
    bench_start(&bench, "tcp", "127.0.0.2", "80");
    assert_line(&bench, "ECONNREFUSED");
    bench_done(&bench);
}

static void localhost_cannot_lead_to_ipv6(void **state)
{
    struct bench bench;
    struct peer_error error = {0};

    (void)state;
    bench_init(&bench);
    bench.config.localhost = true;
    bench.config.inside = addr_of("2001:2::2");
    bench.config.program.origin = &bench.origin;
    assert_int_equal(place_make(&bench.config, &bench.place, &error), -EINVAL);
    assert_int_equal(error.kind, PEER_ERROR_USAGE);
    netns_origin_done(&bench.origin);
}

/* ---- several ---- */

static void places_are_apart(void **state)
{
    struct bench first, second;

    (void)state;
    bench_init(&first);
    bench_init(&second);
    bench_start(&first, "udp", "192.0.2.7", "1");
    bench_start(&second, "udp", "192.0.2.7", "2");
    assert_true(next_frame(&first, frame, 4) > 28);
    assert_int_equal(frame[VNET_BYTES + 23], 1);
    assert_true(next_frame(&second, frame, 4) > 28);
    assert_int_equal(frame[VNET_BYTES + 23], 2);
    bench_done(&first);
    bench_done(&second);
}

/* ---- the program ---- */

static void show(const char *path)
{
    char text[128] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        exit(8);
    printf("%s", text);
}

static int inside(const char *word, char **argv)
{
    char answer[64] = "";

    if (strcmp(word, "tcp") == 0) {
        (void)call(argv[0], argv[1], SOCK_STREAM);
        puts("connected");
    } else if (strcmp(word, "udp") == 0) {
        const int fd = call(argv[0], argv[1], SOCK_DGRAM);
        if (send(fd, "hello", 5, 0) != 5 || recv(fd, answer, sizeof(answer) - 1, 0) < 0)
            return 1;
        puts(answer);
    } else if (strcmp(word, "ping") == 0) {
        puts(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) < 0 ? strerrorname_np(errno) : "may ping");
    } else if (strcmp(word, "settings") == 0) {
        show("/proc/sys/net/ipv4/tcp_keepalive_time");
        show("/proc/sys/net/ipv4/tcp_rmem");
        show("/proc/sys/net/ipv4/ip_local_port_range");
        show("/proc/sys/net/ipv4/tcp_tw_reuse");
        show("/proc/sys/net/ipv4/ip_forward");
    }
    return 0;
}

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_leave_by_the_device_from_the_inside_address),
        cmocka_unit_test(ipv6_leaves_the_same_way_and_says_nothing_else),
        cmocka_unit_test(the_other_family_has_no_route),
        cmocka_unit_test(answers_come_in),
        cmocka_unit_test(long_writes_come_in_one_piece_where_that_is_granted),
        cmocka_unit_test(ping_needs_no_capability),
        cmocka_unit_test(localhost_is_the_place_s_own),
        cmocka_unit_test(localhost_leads_out_when_asked),
        cmocka_unit_test(localhost_of_ipv6_leads_nowhere_then),
        cmocka_unit_test(other_addresses_of_lo_stay),
        cmocka_unit_test(localhost_cannot_lead_to_ipv6),
        cmocka_unit_test(places_are_apart),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

/* ---- as an ordinary user, with a node of our own ---- */

static _Noreturn void run_as_ordinary_user(const char *node)
{
    struct bench bench;

    setenv("PLACE_NODE", node, 1);
    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        _exit(EXIT_FAILURE);
    prctl(PR_SET_DUMPABLE, 1);
    bench_init(&bench);
    bench.config.program.origin = &bench.origin;
    struct peer_error error = {0};
    if (place_make(&bench.config, &bench.place, &error) < 0) {
        fprintf(stderr, "skipped: %s\n", error.text);
        _exit(TEST_SKIPPED);
    }
    place_end(&bench.place, 0);
    const int failed = run_all("as an ordinary user");
    fflush(NULL);
    _exit(failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int run_as_user(void)
{
    char node[] = "/tmp/peer-tun-XXXXXX";
    int status = 0;

    if (!mkdtemp(node))
        return EXIT_FAILURE;
    char path[sizeof(node) + 8];
    snprintf(path, sizeof(path), "%s/tun", node);
    if (chmod(node, 0755) < 0 || mknod(path, S_IFCHR | 0666, makedev(10, 200)) < 0 ||
        chmod(path, 0666) < 0) {
        fprintf(stderr, "skipped as an ordinary user: no node of its own: %s\n", strerror(errno));
    } else {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0)
            run_as_ordinary_user(path);
        waitpid(child, &status, 0);
    }
    unlink(path);
    rmdir(node);
    return WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED ? 0 : status;
}

static int run_as_root(void)
{
    int status = 0;

    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        status = netns_enter_with_tun();
        if (status != 0)
            _exit(status);
        const struct CMUnitTest own[] = {cmocka_unit_test(settings_are_the_host_s)};
        const int failed = run_all("as root of a namespace") +
                           cmocka_run_group_tests_name("settings", own, NULL, NULL);
        fflush(NULL);
        _exit(failed ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "inside") == 0) {
        const int status = inside(argv[2], argv + 3);
        fflush(NULL);
        _exit(status);
    }
    const int status = run_as_root();
    if (status != 0 || geteuid() != 0)
        return status;
    return run_as_user() == 0 ? 0 : EXIT_FAILURE;
}
