/* SPDX-License-Identifier: BSD-3-Clause */
/* Children that are forked from the process that has a net, and nets one after the other. */
#include "netlib.h"

#include "support/fds.h"

#include <peer/confine.h>

#include <fcntl.h>
#include <malloc.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "in the child, line %d: %s\n", __LINE__, #condition);            \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void await_child(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* What a flow carries now, both ways. */
static void talk(struct peer_net *net, struct peer_flow *flow, int server)
{
    struct iovec iov;
    char byte = 0;

    assert_int_equal(write(server, "a", 1), 1);
    netlib_await(net, PEER_EVENT_READABLE);
    assert_int_equal(peer_flow_peek(flow, &iov, 1), 1);
    peer_flow_consume(flow, 1);
    assert_int_equal(peer_flow_write(flow, "b", 1), 1);
    assert_int_equal(recv(server, &byte, 1, MSG_WAITALL), 1);
    assert_int_equal(byte, 'b');
}

static void use_all(struct peer_net *net, struct peer_flow *flow, struct peer_listener *heard,
                    struct peer_process *process)
{
    const struct peer_connect_config call = {.to = netlib_addr(NETLIB_HOST),
                                             .to_port = NETLIB_PORT};
    const struct peer_ping_config ping = {.to = call.to};
    struct peer_net_stats stats;
    struct peer_net_info info;
    struct peer_flow_info flow_info;
    struct peer_event event;
    struct peer_flow *other;
    struct iovec iov;
    int status;

    CHECK(peer_net_dispatch(net) == -ECHILD && peer_net_wait(net, 0) == -ECHILD);
    CHECK(peer_net_fd(net) == -ECHILD && peer_net_pop_event(net, &event) == -ECHILD);
    CHECK(peer_connect(net, &call, &other, NULL) == -ECHILD);
    CHECK(peer_ping(net, &ping, NULL) == -ECHILD);
    CHECK(peer_net_get_stats(net, &stats) == -ECHILD && peer_net_get_info(net, &info) == -ECHILD);
    CHECK(peer_flow_write(flow, "x", 1) == -ECHILD && peer_flow_peek(flow, &iov, 1) == -ECHILD);
    CHECK(peer_flow_get_info(flow, &flow_info) == -ECHILD && peer_flow_shutdown(flow) == -ECHILD);
    CHECK(peer_flow_write_room(flow) == 0 && peer_listener_get_port(heard) == 0);
    CHECK(peer_net_socket(net, AF_INET, SOCK_STREAM, 0, NULL) == -ECHILD);
    CHECK(peer_net_start_capture(net, "/dev/null", NULL) == -ECHILD);
    CHECK(peer_process_wait(process, 0, &status) == -ECHILD);
    CHECK(peer_process_signal(process, SIGKILL) == -ECHILD);
    CHECK(peer_net_leave(net) == -ECHILD && !peer_net_pop_notice(net));
    peer_flow_reset(flow);
    peer_flow_close(flow);
}

static void a_child_may_use_and_free_all_and_harms_nothing(void **state)
{
    char *argv[] = {"sleep", "1000", NULL};
    struct peer_net *net = netlib_isolated();
    int listener = netlib_server(net, NETLIB_PORT), status;
    struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);
    struct peer_listener *heard;
    struct peer_process *process;

    (void)state;
    netlib_await(net, PEER_EVENT_CONNECTED);
    int server = accept(listener, NULL, NULL);
    assert_int_equal(peer_listen(net, &(struct peer_listen_config){.port = 7}, &heard, NULL), 0);
    assert_int_equal(peer_net_spawn(net, &(struct peer_spawn_config){.argv = argv}, &process, NULL),
                     0);
    assert_true(peer_net_fd(net) >= 0);
    for (int way = 0; way < 4; way++) {
        pid_t pid = fork();
        if (pid == 0) {
            use_all(net, flow, heard, process);
            if (way == 1) {
                peer_flow_free(flow);
                peer_listener_free(heard);
                peer_process_free(process);
            }
            if (way == 3)
                peer_net_abandon(net);
            else if (way > 0)
                peer_net_free(net);
            if (way > 0) /* and has one of its own */
                peer_net_free(netlib_isolated());
            _exit(0);
        }
        await_child(pid);
        talk(net, flow, server);
        assert_int_equal(peer_process_wait(process, 0, &status), 0);
    }
    peer_net_free(net);
    close(server);
    close(listener);
}

static void the_device_goes_even_when_a_child_has_what_it_hangs_on(void **state)
{
    int ends[2];
    char byte;

    (void)state;
    for (int isolate = 0; isolate < 2; isolate++) {
        struct peer_net_info info;
        struct peer_net *net =
            isolate ? netlib_isolated()
                    : netlib_new(&(struct peer_net_config){.local = NETLIB_HOST "/24"});
        int probe = peer_net_socket(net, AF_INET, SOCK_DGRAM, 0, NULL);
        char name[IF_NAMESIZE];
        struct ifreq request = {0};

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        peer_net_get_info(net, &info);
        snprintf(name, sizeof(name), "%s", info.device);
        pid_t pid = fork();
        if (pid == 0) {
            close(ends[1]);
            _exit(read(ends[0], &byte, 1) != 0);
        }
        snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
        assert_int_equal(ioctl(probe, SIOCGIFINDEX, &request), 0);
        peer_net_free(net);
        assert_int_equal(ioctl(probe, SIOCGIFINDEX, &request), -1);
        assert_int_equal(errno, ENODEV);
        close(ends[1]);
        close(ends[0]);
        close(probe);
        await_child(pid);
    }
}

/* Makes a net whose device a child of its own hangs on to, gives up what made it, and frees it. */
static void free_confined(bool unfiltered, int name_fd, int held)
{
    const struct peer_confine_config config = {.unfiltered = unfiltered};
    struct peer_net *net = netlib_new(&(struct peer_net_config){.local = NETLIB_HOST "/24"});
    struct peer_net_info info;
    char name[IF_NAMESIZE] = "", byte;

    peer_net_get_info(net, &info);
    snprintf(name, sizeof(name), "%s", info.device);
    CHECK(write(name_fd, name, sizeof(name)) == sizeof(name));
    pid_t pid = fork();
    if (pid == 0)
        _exit(read(held, &byte, 1) != 0);
    CHECK(pid > 0 && peer_confine(net, &config, NULL) >= 0);
    peer_net_free(net);
    CHECK(write(name_fd, "f", 1) == 1 && read(held, &byte, 1) == 0);
    _exit(0);
}

/* It may not remove it itself, nor make the thread that would wait for it. */
static void the_device_goes_when_its_process_is_confined(void **state)
{
    (void)state;
    for (int unfiltered = 0; unfiltered < 2; unfiltered++) {
        struct ifreq request = {0};
        int told[2], held[2];
        char byte = 0;

        assert_int_equal(pipe2(told, O_CLOEXEC) | pipe2(held, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(held[1]);
            free_confined(unfiltered, told[1], held[0]);
        }
        close(told[1]);
        int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(read(told[0], request.ifr_name, IF_NAMESIZE), IF_NAMESIZE);
        assert_int_equal(read(told[0], &byte, 1), 1);
        assert_int_equal(ioctl(probe, SIOCGIFINDEX, &request), -1);
        assert_int_equal(errno, ENODEV);
        close(held[1]);
        await_child(pid);
        close(held[0]);
        close(told[0]);
        close(probe);
    }
}

static void abandoned_by_its_own_process_a_net_is_gone_without_a_word(void **state)
{
    struct peer_net *net = netlib_isolated();
    int listener = netlib_server(net, NETLIB_PORT);
    struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);
    int before = count_fds();

    (void)state;
    netlib_await(net, PEER_EVENT_CONNECTED);
    int server = accept(listener, NULL, NULL);
    (void)flow;
    assert_null(peer_net_abandon(net));
    assert_null(peer_net_abandon(NULL));
    assert_int_equal(recv(server, &(char){0}, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN); /* no reset came */
    assert_true(count_fds() < before);
    close(server);
    close(listener);
    peer_net_free(netlib_isolated());
}

static void nets_one_after_the_other_leave_nothing(void **state)
{
    int fds = 0;
    size_t bytes = 0;

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct peer_net *net =
            i % 2 ? netlib_isolated()
                  : netlib_new(&(struct peer_net_config){.local = NETLIB_HOST "/24"});
        int listener = netlib_server(net, NETLIB_PORT);
        struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);
        netlib_await(net, PEER_EVENT_CONNECTED);
        peer_flow_free(flow);
        close(listener);
        peer_net_free(net);
        if (i == 10) { /* what is made once is there */
            fds = count_fds();
            bytes = mallinfo2().uordblks;
        }
    }
    assert_int_equal(count_fds(), fds);
    /* The C library has less than a KB for each thread that still closes a device, of which there are
       16 at the most; what were lost of each net would be more, 39 times. */
    assert_in_range(mallinfo2().uordblks, 0, bytes + 16 * 1024);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left either */
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_may_use_and_free_all_and_harms_nothing),
        cmocka_unit_test(the_device_goes_even_when_a_child_has_what_it_hangs_on),
        cmocka_unit_test(the_device_goes_when_its_process_is_confined),
        cmocka_unit_test(abandoned_by_its_own_process_a_net_is_gone_without_a_word),
        cmocka_unit_test(nets_one_after_the_other_leave_nothing),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
