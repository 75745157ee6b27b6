/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ISOLATE_BENCH_H
#define ISOLATE_BENCH_H

/* What the tests of isolation start, wait for and read. */

#include "kernel/netns/netns.h"
#include "support/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Long enough for the slowest machine; a test that gets there has failed. */
enum { PATIENCE_MS = 60000 };

/* ---- tools ---- */

static inline bool readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, timeout_ms) == 1;
}

static inline int open_pid(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    assert_true(fd >= 0);
    return fd;
}

/* Waits for the end of a process and closes its pidfd. */
static inline void assert_ends(int pidfd)
{
    assert_true(readable(pidfd, PATIENCE_MS));
    close(pidfd);
}

static inline void assert_text(const struct peer_error *error, const char *text)
{
    if (!strstr(error->text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, error->text);
}

/* For an application. */
static inline int isolate(char *const argv[], struct netns_isolated *ret, struct peer_error *error)
{
    return netns_isolate(&(struct netns_isolate_config){.argv = argv}, ret, error);
}

/* netns_isolate with stdout in a pipe, whose other end is returned. */
static inline int isolate_with_output(char *const argv[], struct netns_isolated *ret)
{
    struct peer_error error = {0};
    int ends[2];

    fflush(stdout);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
    int status = isolate(argv, ret, &error);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(before);
    close(ends[1]);
    assert_string_equal(error.text, "");
    assert_int_equal(status, 0);
    return ends[0];
}

static inline int start_with_output(char *const argv[], struct netns_isolated *ret)
{
    struct peer_error error = {0};
    int output = isolate_with_output(argv, ret);

    netns_isolate_start(ret, &error);
    assert_string_equal(error.text, "");
    return output;
}

static inline int start_shell(const char *script, struct netns_isolated *ret)
{
    char *const argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};

    return start_with_output(argv, ret);
}

/* All output up to its end, which comes when nobody has stdout any more. */
static inline void read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got;

    while (readable(fd, PATIENCE_MS) && (got = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(fd);
}

/* One line with a number: what a script echoed. */
static inline int read_number(int fd)
{
    char text[16] = "";

    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        if (read(fd, text + len, 1) != 1 || text[len] == '\n')
            break;
    }
    return atoi(text);
}

static inline int wait_ended(struct netns_isolated *isolated)
{
    int status = -7;

    assert_true(readable(isolated->control, PATIENCE_MS));
    assert_int_equal(netns_isolate_ended(isolated, &status), 1);
    return status;
}

/* ---- the namespace ---- */

/* ---- as the user who started this, and when that is root, once more as an ordinary one ---- */

/* Without namespaces there is nothing to test. */
static void skip_where_refused(void)
{
    struct netns_isolated isolated;
    struct peer_error error;

    if (isolate(NULL, &isolated, &error) == 0) {
        netns_isolate_end(&isolated, 0);
        return;
    }
    fprintf(stderr, "skipped: %s\n", error.text);
    exit(77);
}

static _Noreturn void run_as_ordinary_user(int (*run_all)(const char *name))
{
    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        _exit(EXIT_FAILURE);
    prctl(PR_SET_DUMPABLE, 1);
    skip_where_refused();
    int failed = run_all("as an ordinary user");
    fflush(NULL);
    _exit(failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int run_as_both(int (*run_all)(const char *name))
{
    int status = 0;

    skip_where_refused();
    int failed = run_all(geteuid() == 0 ? "as root" : "as the user at hand");
    fflush(NULL);
    if (geteuid() == 0) {
        pid_t child = fork();
        if (child == 0)
            run_as_ordinary_user(run_all);
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) /* it said why */
            status = 0;
    }
    return failed || status ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
