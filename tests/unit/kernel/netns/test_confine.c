/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a confined process may still do, and what ends it. Each case is a child of its own, since
 * nothing of it can be undone.
 */
#include "kernel/netns/confine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The value of a line of /proc/self/status. The file is opened before the filter is set. */
static unsigned long long status_value(int fd, const char *name, int base)
{
    char text[8192];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = 0;
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, base) : ~0ULL;
}

/* Runs `work` in a confined child: its wait status. */
static int run_confined(const struct confine *confine, int (*work)(int status_fd))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        struct peer_error error = {0};
        if (confine_process(confine, &error) != 0) {
            fprintf(stderr, "%s\n", error.text);
            _exit(99);
        }
        _exit(work(fd));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_done(int status)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_killed(int status)
{
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- what is left ---- */

static int nothing_is_left(int fd)
{
    return status_value(fd, "CapEff:", 16) != 0 || status_value(fd, "CapPrm:", 16) != 0 ||
           status_value(fd, "CapInh:", 16) != 0 || status_value(fd, "CapAmb:", 16) != 0 ||
           status_value(fd, "Seccomp:", 10) != 2 || status_value(fd, "NoNewPrivs:", 10) != 1 ||
           (geteuid() == 0 && status_value(fd, "CapBnd:", 16) != 0);
}

static void no_capability_is_left_and_a_filter_is_set(void **state)
{
    (void)state;
    assert_done(run_confined(&(struct confine){0}, nothing_is_left));
}

static int nothing_is_left_but_system_calls(int fd)
{
    return status_value(fd, "CapEff:", 16) != 0 || status_value(fd, "CapPrm:", 16) != 0 ||
           status_value(fd, "NoNewPrivs:", 10) != 1 ||
           mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int one_capability_is_left(int fd)
{
    const unsigned long long kept = 1ULL << CAP_KILL;
    return status_value(fd, "CapEff:", 16) != kept || status_value(fd, "CapPrm:", 16) != kept ||
           status_value(fd, "CapBnd:", 16) != kept;
}

static void what_is_named_is_kept(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* there is none to keep */
    assert_done(
        run_confined(&(struct confine){.capabilities = 1ULL << CAP_KILL}, one_capability_is_left));
}

static int user_is_another(int fd)
{
    return geteuid() != 65534 || status_value(fd, "Uid:", 10) != 65534 ||
           status_value(fd, "Gid:", 10) != 65534 || status_value(fd, "CapEff:", 16) != 0;
}

static int user_is_another_with_one_capability(int fd)
{
    return status_value(fd, "Uid:", 10) != 65534 ||
           status_value(fd, "CapEff:", 16) != 1ULL << CAP_NET_ADMIN;
}

static void root_becomes_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct confine confine = {.change_user = true, .uid = 65534, .gid = 65534};
    assert_done(run_confined(&confine, user_is_another));
    confine.capabilities = 1ULL << CAP_NET_ADMIN;
    assert_done(run_confined(&confine, user_is_another_with_one_capability));
}

/* ---- what is allowed ---- */

static int reads_writes_and_waits(int fd)
{
    char byte;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int size;

    if (pread(fd, &byte, 1, 0) != 1 || memory == MAP_FAILED || munmap(memory, 4096) < 0)
        return 1;
    if (kill(getpid(), 0) < 0) /* to itself */
        return 2;
    return ioctl(fd, FIONREAD, &size) < 0 && errno != ENOTTY;
}

static void the_steady_state_goes_on(void **state)
{
    (void)state;
    assert_done(run_confined(&(struct confine){0}, reads_writes_and_waits));
}

static int reads_a_file(int fd)
{
    (void)fd;
    int opened = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    return opened < 0;
}

static int makes_a_file(int fd)
{
    (void)fd;
    (void)syscall(SYS_openat, AT_FDCWD, "/proc/self/comm", O_RDWR, 0);
    return 0;
}

static int makes_a_socket(int fd)
{
    (void)fd;
    return syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0) < 0;
}

static int runs_a_program(int fd)
{
    char *none[] = {NULL};
    (void)fd;
    (void)syscall(SYS_execveat, -1, "", none, none, 0);
    return 0;
}

static int makes_code(int fd)
{
    (void)fd;
    (void)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return 0;
}

static int signals_its_parent(int fd)
{
    (void)fd;
    (void)syscall(SYS_kill, getppid(), 0);
    return 0;
}

static int types_into_the_terminal(int fd)
{
    (void)syscall(SYS_ioctl, fd, TIOCSTI, "x");
    return 0;
}

static int forks_and_confines(int fd)
{
    int status;

    (void)fd;
    const pid_t child = fork();
    if (child == 0)
        _exit(confine_process(&(struct confine){0}, NULL));
    return child < 0 || waitpid(child, &status, 0) != child || status != 0;
}

static int accepts_nobody(int fd)
{
    return accept4(fd, NULL, NULL, 0) >= 0 || errno != ENOTSOCK;
}

static int binds_a_datagram_socket(int fd)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};

    (void)fd;
    const int made = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return made < 0 || bind(made, (const struct sockaddr *)&any, sizeof(any)) < 0;
}

static int makes_a_netlink_socket(int fd)
{
    (void)fd;
    return socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) < 0;
}

static int makes_a_file_for_itself(int fd)
{
    (void)fd;
    return open("/dev/null", O_RDWR | O_CLOEXEC) < 0;
}

static void groups_open_what_they_name(void **state)
{
    (void)state;
    assert_done(run_confined(&(struct confine){.calls = CONFINE_FORKS | CONFINE_WAITS},
                             forks_and_confines));
    assert_done(run_confined(&(struct confine){.calls = CONFINE_ACCEPTS}, accepts_nobody));
    assert_done(run_confined(&(struct confine){.calls = CONFINE_OBSERVES}, makes_a_file_for_itself));
    assert_done(run_confined(&(struct confine){.calls = CONFINE_FILES}, reads_a_file));
    assert_done(run_confined(&(struct confine){.calls = CONFINE_SOCKETS}, makes_a_socket));
    assert_done(run_confined(&(struct confine){.calls = CONFINE_BINDS}, binds_a_datagram_socket));
}

static void an_unfiltered_process_has_no_privileges_all_the_same(void **state)
{
    (void)state;
    assert_done(run_confined(&(struct confine){.unfiltered = true}, makes_a_netlink_socket));
    assert_done(run_confined(&(struct confine){.unfiltered = true}, nothing_is_left_but_system_calls));
}

static void all_else_ends_the_process(void **state)
{
    (void)state;
    const struct confine all = {.calls = CONFINE_TERMINAL | CONFINE_FILES};
    const struct confine none = {0};

    assert_killed(run_confined(&none, makes_a_socket));
    assert_killed(run_confined(&none, accepts_nobody));
    assert_killed(run_confined(&none, binds_a_datagram_socket));
    assert_killed(run_confined(&(struct confine){.calls = CONFINE_BINDS}, makes_a_socket));
    assert_killed(run_confined(&(struct confine){.calls = CONFINE_BINDS}, makes_a_netlink_socket));
    assert_killed(run_confined(&all, runs_a_program));
    assert_killed(run_confined(&(struct confine){.calls = ~0U}, runs_a_program));
    assert_killed(run_confined(&all, types_into_the_terminal));
#if !defined(__SANITIZE_ADDRESS__) /* which needs these itself */
    assert_killed(run_confined(&none, reads_a_file));
    assert_killed(run_confined(&all, makes_a_file));
    assert_killed(run_confined(&none, makes_code));
    assert_killed(run_confined(&none, signals_its_parent));
#else
    (void)makes_a_file, (void)makes_code, (void)signals_its_parent;
#endif
}

/* As containers of old forbid it. */
static int forbid_filters(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) +
                                               (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void without_a_filter_all_else_is_given_up(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        struct peer_error error = {0};
        if (forbid_filters() < 0)
            _exit(1);
        if (confine_process(&(struct confine){0}, &error) != 1 || !strstr(error.text, "filter"))
            _exit(2);
        _exit(status_value(fd, "CapEff:", 16) != 0 || status_value(fd, "CapPrm:", 16) != 0 ||
                      status_value(fd, "NoNewPrivs:", 10) != 1
                  ? 3
                  : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_done(status);
}

static void a_user_that_cannot_be_taken_may_be_let_be(void **state)
{
    (void)state;
    struct confine confine = {.change_user = true, .uid = 65533, .gid = 65533};
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* a user namespace without any user */
        if (unshare(CLONE_NEWUSER) < 0)
            _exit(77);
        int refused = confine_process(&confine, NULL);
        confine.may_stay = true;
        _exit(refused < 0 && confine_process(&confine, NULL) >= 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_done(status);
}

static void note_number(int number, siginfo_t *info, void *context)
{
    char name[CONFINE_NAME_TEXT];

    (void)number;
    (void)context;
    _exit(strcmp(confine_call_name(info->si_syscall, name), "socket") == 0 ? 7 : 8);
}

static int is_caught(int fd)
{
    (void)fd;
    (void)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    return 0;
}

static void a_trap_names_the_call(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = note_number, .sa_flags = SA_SIGINFO}, before;

    sigaction(SIGSYS, &action, &before);
    int status = run_confined(&(struct confine){.trap = true}, is_caught);
    sigaction(SIGSYS, &before, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* ---- descriptors ---- */

static void all_descriptors_but_the_named_are_closed(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int pair[2], kept[2];
        if (pipe(pair) < 0)
            _exit(1);
        int high = fcntl(pair[1], F_DUPFD, 200), low = fcntl(pair[0], F_DUPFD, 20);
        kept[0] = high;
        kept[1] = low;
        confine_descriptors(kept, 2);
        _exit(fcntl(high, F_GETFD) < 0 || fcntl(low, F_GETFD) < 0 || fcntl(pair[0], F_GETFD) >= 0 ||
              fcntl(pair[1], F_GETFD) >= 0 || fcntl(0, F_GETFD) >= 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_done(status);
}

/* An emulator of another processor has no filters, and old containers forbid them. */
static bool filters_can_be_set(void)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(confine_process(&(struct confine){0}, NULL) != 0);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

int main(void)
{
    if (!filters_can_be_set()) {
        printf("skipped: no filter of system calls can be set here\n");
        return 77;
    }

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_capability_is_left_and_a_filter_is_set),
        cmocka_unit_test(what_is_named_is_kept),
        cmocka_unit_test(root_becomes_another_user),
        cmocka_unit_test(the_steady_state_goes_on),
        cmocka_unit_test(groups_open_what_they_name),
        cmocka_unit_test(all_else_ends_the_process),
        cmocka_unit_test(an_unfiltered_process_has_no_privileges_all_the_same),
        cmocka_unit_test(without_a_filter_all_else_is_given_up),
        cmocka_unit_test(a_user_that_cannot_be_taken_may_be_let_be),
        cmocka_unit_test(a_trap_names_the_call),
        cmocka_unit_test(all_descriptors_but_the_named_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
