/* SPDX-License-Identifier: BSD-3-Clause */
/* What is under test, inside the net's namespace: sockets of this process, and programs. */
#include "netlib.h"

#include "support/fds.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

/* ---- sockets ---- */

static void talk_with_own_server(struct peer_net *net)
{
    int listener = netlib_server(net, NETLIB_PORT);
    struct peer_flow *flow = netlib_connect(net, NETLIB_PORT);
    struct iovec iov;

    netlib_await(net, PEER_EVENT_CONNECTED);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(write(server, "hello", 5), 5);
    netlib_await(net, PEER_EVENT_READABLE);
    assert_int_equal(peer_flow_peek(flow, &iov, 1), 1);
    assert_int_equal(iov.iov_len, 5);
    assert_memory_equal(iov.iov_base, "hello", 5);
    peer_flow_free(flow);
    close(server);
    close(listener);
}

static void a_server_lives_in_the_process_that_tests_it(void **state)
{
    struct peer_net *net = netlib_isolated();

    (void)state;
    talk_with_own_server(net);
    assert_true(peer_net_netns_fd(net) >= 0);
    peer_net_free(net);
}

static void a_net_of_this_namespace_has_sockets_of_it(void **state)
{
    struct peer_net *net = netlib_new(&(struct peer_net_config){.local = NETLIB_HOST "/24"});

    (void)state;
    assert_int_equal(peer_net_netns_fd(net), -1);
    talk_with_own_server(net);
    peer_net_free(net);
}

static void a_socket_that_cannot_be_is_an_error_in_words(void **state)
{
    struct peer_error error = {0};
    struct peer_net *net = netlib_isolated();

    (void)state;
    assert_int_equal(peer_net_socket(net, 4711, SOCK_STREAM, 0, &error), -EAFNOSUPPORT);
    assert_non_null(strstr(error.text, "socket"));
    peer_net_free(net);
}

/* ---- programs ---- */

static struct peer_process *spawn(struct peer_net *net, const struct peer_spawn_config *config)
{
    struct peer_process *process = NULL;
    struct peer_error error = {0};

    if (peer_net_spawn(net, config, &process, &error) < 0)
        fail_msg("%s", error.text);
    return process;
}

static int run_shell(struct peer_net *net, const char *script, struct peer_spawn_config *config)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    int status = -1;

    config->argv = argv;
    struct peer_process *process = spawn(net, config);
    assert_true(peer_process_pid(process) > 0);
    assert_int_equal(peer_process_wait(process, UINT64_MAX, &status), 1);
    assert_int_equal(peer_process_wait(process, 0, &status), 1); /* and again */
    assert_int_equal(peer_process_signal(process, SIGTERM), -ESRCH);
    peer_process_free(process);
    return status;
}

static void a_program_has_what_it_was_given_and_no_more(void **state)
{
    char *envp[] = {"PATH=/usr/bin:/bin", "GREETING=hello", NULL};
    struct peer_net *net = netlib_isolated();
    int in[2], out[2];
    char text[200] = "";

    (void)state;
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    const int kept[] = {in[0]}, stdio[] = {-1, out[1], out[1]};
    struct peer_spawn_config config = {
        .envp = envp, .cwd = "/usr", .stdio = stdio, .kept = kept, .kept_count = 1};
    char script[200];
    int other = dup(in[0]); /* not close-on-exec */
    snprintf(script, sizeof(script),
             "echo $GREETING $(pwd) $(cat) $(cat <&%d); echo \"$HOME\" >&2; "
             "[ -e /proc/$$/fd/%d ] && echo too much; exit 7",
             in[0], other);
    assert_int_equal(write(in[1], "kept", 4), 4);
    close(in[1]);
    int status = run_shell(net, script, &config);
    assert_int_equal(WEXITSTATUS(status), 7);
    close(out[1]);
    assert_true(read(out[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "hello /usr kept\n\n");
    close(other);
    close(in[0]);
    close(out[0]);
    peer_net_free(net);
}

static void streams_may_change_places(void **state)
{
    struct peer_net *net = netlib_isolated();
    int out[2], saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    char text[10] = "";

    (void)state;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(dup2(out[1], STDIN_FILENO), 0); /* our stdin is its stdout */
    const int stdio[] = {-1, STDIN_FILENO, -1};
    struct peer_spawn_config config = {.stdio = stdio};
    assert_int_equal(run_shell(net, "echo out; echo error >&2", &config), 0);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(out[1]);
    assert_int_equal(read(out[0], text, sizeof(text)), 4);
    assert_memory_equal(text, "out\n", 4);
    close(out[0]);
    peer_net_free(net);
}

static void what_cannot_be_started_is_told_in_words(void **state)
{
    char *missing[] = {"no-such-program", NULL}, *fine[] = {"true", NULL};
    const int shut[] = {-1, 999, -1};
    const struct {
        struct peer_spawn_config config;
        int status;
        const char *words;
    } cases[] = {
        {{.argv = missing}, -ENOENT, "no-such-program"},
        {{.argv = NULL}, -EINVAL, "no program"},
        {{.argv = fine, .cwd = "/no/such/place"}, -ENOENT, "/no/such/place"},
        {{.argv = fine, .stdio = shut}, -EBADF, "999"},
        {{.argv = fine, .kept = shut + 1, .kept_count = 1}, -EBADF, "999"},
    };
    struct peer_net *net = netlib_isolated();
    int before = count_fds();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer_process *process = NULL;
        struct peer_error error = {0};
        assert_int_equal(peer_net_spawn(net, &cases[i].config, &process, &error), cases[i].status);
        assert_null(process);
        assert_non_null(strstr(error.text, cases[i].words));
    }
    assert_int_equal(count_fds(), before);
    peer_net_free(net);
}

static void several_programs_run_at_once_and_each_hears_its_signal(void **state)
{
    char *argv[] = {"sh", "-c", "trap 'exit 3' USR1; while :; do read -r _ || :; done", NULL};
    struct peer_net *net = netlib_isolated();
    struct peer_process *first, *second;
    int ends[2], status;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int stdio[] = {ends[0], -1, -1};
    first = spawn(net, &(struct peer_spawn_config){.argv = argv, .stdio = stdio});
    second = spawn(net, &(struct peer_spawn_config){.argv = argv, .stdio = stdio});
    assert_int_equal(peer_process_wait(first, 0, &status), 0);
    assert_int_equal(peer_process_signal(first, 4711), -EINVAL);
    assert_int_equal(peer_process_signal(second, SIGKILL), 0);
    assert_int_equal(peer_process_wait(second, UINT64_MAX, &status), 1);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(peer_process_wait(first, 0, &status), 0);
    close(ends[0]);
    close(ends[1]);
    peer_net_free(net); /* ends what is left */
}

static void a_listener_is_waited_for_and_a_program_that_ends_first_is_told(void **state)
{
    char *argv[] = {"sh", "-c", "exit 5", NULL};
    struct peer_wait_config wait = {.port = 80, .timeout_ns = UINT64_MAX};
    struct peer_net *net = netlib_isolated();
    struct peer_error error = {0};

    (void)state;
    struct peer_process *process = spawn(net, &(struct peer_spawn_config){.argv = argv});
    wait.process = process;
    assert_int_equal(peer_net_wait_listener(net, &wait, &error), -ESRCH);
    assert_non_null(strstr(error.text, "status 5"));
    wait.process = NULL;
    wait.timeout_ns = 1;
    assert_int_equal(peer_net_wait_listener(net, &wait, &error), -ETIMEDOUT);
    int listener = netlib_server(net, 80);
    wait.timeout_ns = UINT64_MAX;
    assert_int_equal(peer_net_wait_listener(net, &wait, &error), 0);
    close(listener);
    peer_net_free(net);
}

/* Everybody who has the pipe's end has gone when it is read empty. */
static void nothing_that_was_started_outlives_who_started_it(void **state)
{
    char *argv[] = {"sh", "-c", "sh -c 'echo; exec sleep 1000' & exec sleep 1000", NULL};
    int out[2], status;
    char byte;

    (void)state;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const int stdio[] = {-1, out[1], -1};
        struct peer_net *net = netlib_isolated();
        spawn(net, &(struct peer_spawn_config){.argv = argv, .stdio = stdio});
        pause();
    }
    close(out[1]);
    assert_int_equal(read(out[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(read(out[0], &byte, 1), 0);
    close(out[0]);
}

/* A user without privileges, with a device node as udev makes it. 0, or why that cannot be. */
static int become_user(void)
{
    if (geteuid() != 0)
        return 0;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev/net", "tmpfs", 0, NULL) < 0 ||
        mknod("/dev/net/tun", S_IFCHR, makedev(10, 200)) < 0 || chmod("/dev/net/tun", 0666) < 0 ||
        setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return errno;
    return prctl(PR_SET_DUMPABLE, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_server_lives_in_the_process_that_tests_it),
    cmocka_unit_test(a_socket_that_cannot_be_is_an_error_in_words),
    cmocka_unit_test(a_program_has_what_it_was_given_and_no_more),
    cmocka_unit_test(streams_may_change_places),
    cmocka_unit_test(what_cannot_be_started_is_told_in_words),
    cmocka_unit_test(several_programs_run_at_once_and_each_hears_its_signal),
    cmocka_unit_test(a_listener_is_waited_for_and_a_program_that_ends_first_is_told),
    cmocka_unit_test(nothing_that_was_started_outlives_who_started_it),
};

/* All of it once more, in a process that cannot come back. */
static int run_as_user(void)
{
    int status;

    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int code = become_user();
        status = code ? netns_skip("a user of its own", code)
                      : cmocka_run_group_tests_name("as a user", tests, NULL, NULL);
        (void)fflush(NULL);
        _exit(status);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(void)
{
    const struct CMUnitTest more[] = {
        cmocka_unit_test(a_net_of_this_namespace_has_sockets_of_it),
    };

    int user = run_as_user();
    int status = netns_enter_with_tun();
    if (status)
        return status;
    status = cmocka_run_group_tests_name("as root", tests, NULL, NULL) +
             cmocka_run_group_tests_name("here", more, NULL, NULL);
    return status ? status : user;
}
