/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What /proc tells of a process: of this one, of one that has ended, and of names that nobody expects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/observe/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void names_may_have_parentheses_and_blanks(void **state)
{
    static const char text[] = "12 (a) b (c d) S 1 12 12 0 -1 4194560 1 2 3 4 150 50 5 6 20 0 7 0 98765 1 2";
    struct process_use use = {.name = ""};

    (void)state;
    assert_int_equal(process_parse_stat(text, 100, &use), 0);
    assert_string_equal(use.name, "a) b (c d");
    assert_int_equal(use.threads, 7);
    assert_int_equal(use.started, 98765);
    assert_int_equal(use.cpu_ns, 2000000000);
}

static void what_is_no_stat_is_refused(void **state)
{
    static const char *const texts[] = {"", "12", "12 (a", "12 )a( S", "12 (a) S 1 2 3", "12 (a)"};
    struct process_use use = {.name = ""};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(process_parse_stat(texts[i], 100, &use), -EINVAL);
}

static void this_process_is_seen_as_it_is(void **state)
{
    struct process_use use, more;
    int process = process_open(getpid());

    (void)state;
    assert_true(process >= 0);
    assert_int_equal(process_check(process), 0);
    assert_int_equal(process_read(process, &use), 0);
    assert_true(use.rss_bytes > 100000 && use.threads >= 1 && use.fds_known && use.started > 0);
    int fd = dup(process);
    assert_int_equal(process_read(process, &more), 0);
    assert_int_equal(more.fds, use.fds + 1);
    close(fd);
    close(process);
}

static void one_that_has_ended_is_no_other(void **state)
{
    struct process_use use;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        pause();
        _exit(0);
    }
    int process = process_open(child);
    assert_true(process >= 0);
    assert_int_equal(process_read(process, &use), 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(process_read(process, &use), -ESRCH);
    assert_int_equal(process_open(child), -ESRCH);
    close(process);
}

static int note(void *user, pid_t pid)
{
    pid_t *found = user;

    found[found[0] + 1] = pid;
    found[0]++;
    return 0;
}

static void all_that_hold_a_socket_are_found(void **state)
{
    pid_t found[8] = {0};
    struct stat status;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    const uint32_t inodes[] = {1, (uint32_t)status.st_ino};
    process_each_holder(inodes, 2, note, found);
    assert_int_equal(found[0], 2);
    for (int i = 1; i <= 2; i++)
        assert_true(found[i] == getpid() || found[i] == child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_may_have_parentheses_and_blanks),
        cmocka_unit_test(what_is_no_stat_is_refused),
        cmocka_unit_test(this_process_is_seen_as_it_is),
        cmocka_unit_test(one_that_has_ended_is_no_other),
        cmocka_unit_test(all_that_hold_a_socket_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
