/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netns_open and netns_run. All runs twice: with rights over the sandbox (a private mount and
 * network namespace with a /run of its own), then as an ordinary user of it.
 */
#include "base/error.h"
#include "kernel/netns/netns.h"
#include "support/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* since Linux 5.14 */
#endif

/* ---- sandbox ---- */

static void need(bool done, const char *what)
{
    if (done)
        return;
    fprintf(stderr, "skipped: %s: %s\n", what, strerror(errno));
    exit(77);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* An ordinary user has all rights in a user namespace; the user there is 65534, not root. */
static void become_owner(void)
{
    char uid[32], gid[32];

    snprintf(uid, sizeof(uid), "65534 %u 1", geteuid());
    snprintf(gid, sizeof(gid), "65534 %u 1", getegid());
    need(unshare(CLONE_NEWUSER) == 0, "user namespace");
    need(write_text("/proc/self/setgroups", "deny"), "setgroups");
    need(write_text("/proc/self/uid_map", uid) && write_text("/proc/self/gid_map", gid), "maps");
}

static void make_file(const char *path, mode_t mode)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600);

    need(fd >= 0 && fchmod(fd, mode) == 0, path);
    close(fd);
}

static void enter_sandbox(void)
{
    if (geteuid() != 0)
        become_owner();
    need(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, "mount and network namespace");
    need(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
    need(mount("none", "/run", "tmpfs", 0, "mode=0755") == 0, "a /run of our own");
    need(mkdir("/run/netns", 0755) == 0, "/run/netns");
    make_file("/run/netns/mine", 0);
    need(mount("/proc/self/ns/net", "/run/netns/mine", NULL, MS_BIND, NULL) == 0, "bind mount");
    make_file("/run/netns/left-over", 0444);
    make_file("/run/netns/closed", 0);
    need(mkfifo("/run/fifo", 0600) == 0 && chmod("/run/fifo", 0444) == 0, "a FIFO");
}

static void become_ordinary(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};

    if (geteuid() == 0)
        need(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setuid");
    need(syscall(SYS_capset, &header, none) == 0, "capset");
    need(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
}

static bool same_file(int fd, const char *path)
{
    struct stat a, b;

    assert_int_equal(fstat(fd, &a), 0);
    assert_int_equal(stat(path, &b), 0);
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* ---- netns_open ---- */

static void open_fails(const char *spec, int code, const char *text)
{
    struct peer_error error = {0};
    pid_t pid = -7;
    int fds = count_fds();

    assert_int_equal(netns_open(spec, &pid, &error), -code);
    assert_int_equal(error.code, code);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, error.text);
    assert_null(strchr(error.text, '\n'));
    assert_int_equal(pid, -7);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(netns_open(spec, NULL, NULL), -code);
}

static void opens_own_namespace(const char *spec, pid_t expect)
{
    struct peer_error error = {0};
    pid_t pid = -7;
    int fd = netns_open(spec, &pid, &error);

    assert_string_equal(error.text, "");
    assert_true(fd >= 0);
    assert_int_equal(pid, expect);
    assert_true(same_file(fd, "/proc/self/ns/net"));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void open_takes_a_process_id(void **state)
{
    char spec[16];

    (void)state;
    snprintf(spec, sizeof(spec), "%d", getpid());
    opens_own_namespace(spec, getpid());
}

static void open_takes_a_path(void **state)
{
    (void)state;
    opens_own_namespace("/proc/self/ns/net", 0);
}

static void open_takes_a_name(void **state)
{
    (void)state;
    opens_own_namespace("mine", 0);
}

static void open_of_an_unknown_name_says_where_it_looked(void **state)
{
    (void)state;
    open_fails("foo", ENOENT,
               "no network namespace \"foo\": it is neither in /run/netns (see \"ip netns list\") "
               "nor a process id nor a path");
}

static void open_of_an_unknown_process_says_so(void **state)
{
    (void)state;
    open_fails("2147483647", ESRCH, "no process 2147483647");
    open_fails("99999999999999999999", ESRCH, "no process 99999999999999999999");
    open_fails("0", ESRCH, "no process 0");
}

static void open_of_a_process_that_ended_says_so(void **state)
{
    char spec[16];
    siginfo_t info;

    (void)state;
    pid_t zombie = fork();
    if (zombie == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
    snprintf(spec, sizeof(spec), "%d", zombie);
    open_fails(spec, ESRCH, "has ended");
    waitpid(zombie, NULL, 0);
}

static void open_of_an_unknown_path_says_so(void **state)
{
    (void)state;
    open_fails("/no/such", ENOENT, "no network namespace \"/no/such\": ");
    open_fails("/dev/null/x", ENOTDIR, "no network namespace \"/dev/null/x\": ");
}

static void open_refuses_what_is_no_network_namespace(void **state)
{
    (void)state;
    open_fails("/dev/null", EINVAL, "\"/dev/null\" is not a network namespace");
    open_fails("/run", EINVAL, "\"/run\" is not a network namespace");
    open_fails("/proc/self/ns/uts", EINVAL, "is a namespace of another kind");
    open_fails("left-over", EINVAL, "\"/run/netns/left-over\" is not a network namespace; it is");
    open_fails("..", EINVAL, "is not a network namespace");
}

static void open_does_not_wait_for_the_writer_of_a_fifo(void **state)
{
    (void)state;
    open_fails("/run/fifo", EINVAL, "is not a network namespace");
}

static void open_refuses_empty_and_endless_names(void **state)
{
    char name[5000];

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    open_fails("", EINVAL, "is empty");
    open_fails(name, ENAMETOOLONG, "too long");
}

static void open_tells_who_has_no_permission(void **state)
{
    char spec[16];

    (void)state;
    open_fails("closed", EACCES, "no permission to open");
    snprintf(spec, sizeof(spec), "%d", getppid());
    open_fails(spec, EACCES, "no permission to enter the network namespace of process");
}

/* ---- netns_run ---- */

/* A namespace that is not ours: at `*state`. */
static int make_foreign(void **state)
{
    static struct netns_isolated isolated;
    struct peer_error error;

    if (netns_isolate(&(struct netns_isolate_config){.argv = NULL}, &isolated, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        return -1;
    }
    *state = &isolated;
    return 0;
}

static int end_foreign(void **state)
{
    return netns_isolate_end(*state, 0) == -1 ? 0 : -1;
}

static int foreign(void **state)
{
    return ((struct netns_isolated *)*state)->netns_fd;
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);

    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
    return cookie;
}

static int open_two_sockets(void *arg, struct netns_result *result)
{
    uint64_t *cookie = arg;

    for (int i = 0; i < 2; i++)
        result->fds[result->fd_count++] = socket(AF_INET, SOCK_DGRAM, 0);
    *cookie = cookie_of(result->fds[0]);
    return 17;
}

static void run_brings_home_descriptors_of_the_namespace(void **state)
{
    struct netns_result result;
    uint64_t cookie = 0;
    int fds = count_fds();
    int home = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(netns_run(&(struct netns_errand){.place = {foreign(state), 0},
                                                      .work = open_two_sockets,
                                                      .arg = &cookie,
                                                      .data = &cookie,
                                                      .data_len = sizeof(cookie)},
                               &result, NULL),
                     17);
    assert_int_equal(result.fd_count, 2);
    assert_int_equal(result.status, 17);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cookie_of(result.fds[i]), cookie);
        assert_int_not_equal(cookie_of(result.fds[i]), cookie_of(home));
        assert_true(fcntl(result.fds[i], F_GETFD) & FD_CLOEXEC);
        close(result.fds[i]);
    }
    close(home);
    assert_int_equal(count_fds(), fds);
}

static void run_closes_descriptors_nobody_asked_for(void **state)
{
    uint64_t cookie = 0;
    int fds = count_fds();

    assert_int_equal(netns_run(&(struct netns_errand){.place = {foreign(state), 0},
                                                      .work = open_two_sockets,
                                                      .arg = &cookie},
                               NULL, NULL),
                     17);
    assert_int_equal(cookie, 0); /* not given as data: the helper's copy alone was written */
    assert_int_equal(count_fds(), fds);
}

static int fill(void *arg, struct netns_result *result)
{
    (void)result;
    memset(arg, 'z', NETNS_DATA_MAX);
    return 0;
}

static void run_brings_home_4_kib_of_data(void **state)
{
    char data[NETNS_DATA_MAX] = "", expect[NETNS_DATA_MAX];

    memset(expect, 'z', sizeof(expect));
    assert_int_equal(netns_run(&(struct netns_errand){.place = {foreign(state), 0},
                                                      .work = fill,
                                                      .arg = data,
                                                      .data = data,
                                                      .data_len = sizeof(data)},
                               NULL, NULL),
                     0);
    assert_memory_equal(data, expect, sizeof(data));
}

static int fail_with_text(void *arg, struct netns_result *result)
{
    *(int *)arg = 5;
    result->fds[result->fd_count++] = STDERR_FILENO;
    return error_set(&result->error, PEER_ERROR_USAGE, EBUSY, "the name is taken; %s", "mend it");
}

static void run_brings_home_the_error_of_the_work(void **state)
{
    struct netns_result result = {.fd_count = -3};
    struct peer_error error = {0};
    int data = 4, fds = count_fds();

    assert_int_equal(netns_run(&(struct netns_errand){.place = {foreign(state), 0},
                                                      .work = fail_with_text,
                                                      .arg = &data,
                                                      .data = &data,
                                                      .data_len = sizeof(data)},
                               &result, &error),
                     -EBUSY);
    assert_string_equal(error.text, "the name is taken; mend it");
    assert_int_equal(error.code, EBUSY);
    assert_int_equal(error.kind, PEER_ERROR_USAGE);
    assert_int_equal(data, 4);
    assert_int_equal(result.fd_count, -3);
    assert_int_equal(count_fds(), fds);
}

static int fail_silently(void *arg, struct netns_result *result)
{
    (void)arg;
    (void)result;
    return -ENODEV;
}

static int die(void *arg, struct netns_result *result)
{
    (void)result;
    raise(*(int *)arg);
    _exit(3);
}

static int return_bad_descriptor(void *arg, struct netns_result *result)
{
    (void)arg;
    result->fds[result->fd_count++] = 999999;
    return 0;
}

static void run_fails(void **state, int (*work)(void *, struct netns_result *), void *arg, int code,
                      const char *text)
{
    struct peer_error error = {0};
    int fds = count_fds();

    assert_int_equal(
        netns_run(&(struct netns_errand){.place = {foreign(state), 0}, .work = work, .arg = arg},
                  NULL, &error),
        -code);
    assert_int_equal(error.code, code);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, error.text);
    assert_int_equal(count_fds(), fds);
}

static void run_finds_words_for_work_that_has_none(void **state)
{
    run_fails(state, fail_silently, NULL, ENODEV, "the work in the network namespace failed: ");
}

static void run_reports_a_helper_that_died(void **state)
{
    int kill_number = SIGKILL, harmless = SIGCHLD;

    run_fails(state, die, &kill_number, EIO, "was killed by signal 9 (Killed)");
    run_fails(state, die, &harmless, EIO, "ended with status 3 before it answered");
}

static void run_reports_descriptors_that_cannot_be_sent(void **state)
{
    run_fails(state, return_bad_descriptor, NULL, EBADF, "cannot send descriptors home");
}

static int return_stdio(void *arg, struct netns_result *result)
{
    (void)arg;
    for (int i = 0; i < NETNS_FDS_MAX; i++)
        result->fds[result->fd_count++] = STDERR_FILENO;
    return 0;
}

static void run_keeps_no_descriptor_when_there_is_no_room_for_all(void **state)
{
    struct rlimit before, tight;
    int fds = count_fds();
    int lowest = dup(STDERR_FILENO);

    assert_true(lowest >= 0);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)lowest + 4; /* the socketpair, and few others */
    setrlimit(RLIMIT_NOFILE, &tight);
    int status = netns_run(
        &(struct netns_errand){.place = {foreign(state), 0}, .work = return_stdio}, NULL, NULL);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(status, -EMFILE);
    assert_int_equal(count_fds(), fds);
}

static int nothing(void *arg, struct netns_result *result)
{
    (void)arg;
    (void)result;
    return 0;
}

static void run_flushes_no_stdio_of_the_caller(void **state)
{
    int ends[2];
    struct pollfd readable = {.events = POLLIN};

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    FILE *file = fdopen(ends[1], "w");
    fputs("pending", file);
    assert_int_equal(
        netns_run(&(struct netns_errand){.place = {foreign(state), 0}, .work = nothing}, NULL,
                  NULL),
        0);
    readable.fd = ends[0];
    assert_int_equal(poll(&readable, 1, 0), 0);
    fclose(file);
    close(ends[0]);
}

static void run_leaves_mask_and_namespace_of_the_caller_alone(void **state)
{
    sigset_t before, after;
    char ours[64] = "", still[64] = "";

    assert_true(readlink("/proc/self/ns/net", ours, sizeof(ours) - 1) > 0);
    sigprocmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(
        netns_run(&(struct netns_errand){.place = {foreign(state), 0}, .work = nothing}, NULL,
                  NULL),
        0);
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
    assert_true(readlink("/proc/self/ns/net", still, sizeof(still) - 1) > 0);
    assert_string_equal(ours, still);
}

static void run_works_where_sigchld_is_ignored(void **state)
{
    int kill_number = SIGKILL;

    signal(SIGCHLD, SIG_IGN);
    int status = netns_run(&(struct netns_errand){.place = {foreign(state), 0}, .work = nothing},
                           NULL, NULL);
    run_fails(state, die, &kill_number, EIO, "ended before it answered");
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(status, 0);
}

static void run_tells_who_may_not_enter(void **state)
{
    struct peer_error error = {0};

    (void)state;
    int fd = netns_open("mine", NULL, &error);
    assert_true(fd >= 0);
    assert_int_equal(
        netns_run(&(struct netns_errand){.place = {fd, 0}, .work = nothing}, NULL, &error), -EPERM);
    assert_non_null(strstr(error.text, "no permission to enter the network namespace: "));
    assert_non_null(strstr(error.text, "try with sudo"));
    close(fd);
}

static void run_refuses_what_is_no_namespace(void **state)
{
    struct peer_error error = {0};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(
        netns_run(&(struct netns_errand){.place = {fd, 0}, .work = nothing}, NULL, &error),
        -EINVAL);
    assert_non_null(strstr(error.text, "cannot enter the network namespace: "));
    close(fd);
}

#define FOREIGN(test) cmocka_unit_test_setup_teardown(test, make_foreign, end_foreign)

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_takes_a_process_id),
        cmocka_unit_test(open_takes_a_path),
        cmocka_unit_test(open_takes_a_name),
        cmocka_unit_test(open_of_an_unknown_name_says_where_it_looked),
        cmocka_unit_test(open_of_an_unknown_process_says_so),
        cmocka_unit_test(open_of_a_process_that_ended_says_so),
        cmocka_unit_test(open_of_an_unknown_path_says_so),
        cmocka_unit_test(open_refuses_what_is_no_network_namespace),
        cmocka_unit_test(open_does_not_wait_for_the_writer_of_a_fifo),
        cmocka_unit_test(open_refuses_empty_and_endless_names),
        FOREIGN(run_brings_home_descriptors_of_the_namespace),
        FOREIGN(run_closes_descriptors_nobody_asked_for),
        FOREIGN(run_brings_home_4_kib_of_data),
        FOREIGN(run_brings_home_the_error_of_the_work),
        FOREIGN(run_finds_words_for_work_that_has_none),
        FOREIGN(run_reports_a_helper_that_died),
        FOREIGN(run_reports_descriptors_that_cannot_be_sent),
        FOREIGN(run_keeps_no_descriptor_when_there_is_no_room_for_all),
        FOREIGN(run_flushes_no_stdio_of_the_caller),
        FOREIGN(run_leaves_mask_and_namespace_of_the_caller_alone),
        FOREIGN(run_works_where_sigchld_is_ignored),
        cmocka_unit_test(run_refuses_what_is_no_namespace),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

/* What only an ordinary user is refused. */
static int run_refusals(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_tells_who_has_no_permission),
        cmocka_unit_test(run_tells_who_may_not_enter),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}

int main(void)
{
    int status;

    enter_sandbox();
    int failed = run_all("with rights");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        become_ordinary();
        failed = run_all("as an ordinary user") + run_refusals();
        fflush(NULL);
        _exit(failed ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    waitpid(child, &status, 0);
    return failed || status ? EXIT_FAILURE : EXIT_SUCCESS;
}
