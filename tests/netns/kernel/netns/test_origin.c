/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program in a namespace as without peer: what it finds, what is heard of it, and its end in all
 * ways. As the user who started this and, when that is root, once more as an ordinary one.
 */
#include "isolate_bench.h"

struct bench {
    struct netns_origin origin;
    struct netns_isolate_config config;
    struct netns_isolated isolated;
    int output;
};

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    assert_int_equal(netns_origin_take(&bench->origin), 0);
    bench->config.origin = &bench->origin;
}

/* A shell with a script, whose stdout comes here. */
static void bench_start(struct bench *bench, const char *script)
{
    char *const argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    struct peer_error error = {0};
    int ends[2];

    fflush(NULL);
    bench->config.argv = argv;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
    int status = netns_isolate(&bench->config, &bench->isolated, &error);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(before);
    close(ends[1]);
    assert_string_equal(error.text, "");
    assert_int_equal(status, 0);
    (void)netns_isolate_start(&bench->isolated, &error);
    assert_string_equal(error.text, "");
    bench->output = ends[0];
}

static void bench_done(struct bench *bench)
{
    netns_isolate_end(&bench->isolated, 0);
    close(bench->output);
    netns_origin_done(&bench->origin);
}

static void says(const char *script, const char *expected)
{
    struct bench bench;
    char text[256];

    bench_init(&bench);
    bench_start(&bench, script);
    read_all(dup(bench.output), text, sizeof(text));
    assert_string_equal(text, expected);
    bench_done(&bench);
}

static int next_news(struct bench *bench, int *ret_value)
{
    assert_true(readable(bench->isolated.control, PATIENCE_MS));
    return netns_isolate_next(&bench->isolated, ret_value);
}

/* ---- what it finds ---- */

static void user_and_group_are_the_caller_s(void **state)
{
    char expected[64];

    (void)state;
    snprintf(expected, sizeof(expected), "%u %u\n", geteuid(), getegid());
    says("echo $(id -u) $(id -g)", expected);
}

static void capabilities_are_the_caller_s(void **state)
{
    char line[128], expected[128] = "";
    FILE *file = fopen("/proc/self/status", "re");

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "CapEff:\t", 8) == 0)
            snprintf(expected, sizeof(expected), "%s", line + 8);
    }
    fclose(file);
    says("sed -n 's/^CapEff:\\t//p' /proc/self/status", expected);
}

static void session_and_group_are_the_caller_s(void **state)
{
    char expected[64];

    (void)state;
    snprintf(expected, sizeof(expected), "%d %d\n", getpgrp(), getsid(0));
    says("cut -d' ' -f5,6 /proc/$$/stat", expected);
}

static void holder_and_sweeper_are_in_other_sessions(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "exec sleep 1000");
    assert_int_not_equal(getsid(bench.isolated.holder), getsid(0));
    assert_int_not_equal(getsid(bench.isolated.sweeper_pid), getsid(0));
    bench_done(&bench);
}

static void environment_is_the_caller_s_and_more(void **state)
{
    char *const more[] = {"PEER_FROM=198.18.0.2", "PEER_INDEX=3", NULL};
    struct bench bench;
    char text[128];

    (void)state;
    setenv("PEER_TEST_ORIGIN", "is here", 1);
    bench_init(&bench);
    bench.config.environment = more;
    bench_start(&bench, "echo $PEER_FROM $PEER_INDEX $PEER_TEST_ORIGIN");
    read_all(dup(bench.output), text, sizeof(text));
    assert_string_equal(text, "198.18.0.2 3 is here\n");
    assert_null(getenv("PEER_FROM"));
    bench_done(&bench);
}

static void descriptors_are_those_that_were_inherited(void **state)
{
    struct bench bench;
    char script[128], text[32];
    const int low = dup(STDERR_FILENO), high = fcntl(STDERR_FILENO, F_DUPFD, 300);

    (void)state;
    bench_init(&bench);
    const int later = fcntl(STDERR_FILENO, F_DUPFD, 400); /* as if opened since */
    snprintf(script, sizeof(script), "cd /proc/$$/fd; for i in %d %d %d; do test -e $i; echo $?; done",
             low, high, later);
    bench_start(&bench, script);
    read_all(dup(bench.output), text, sizeof(text));
    assert_string_equal(text, "0\n0\n1\n");
    bench_done(&bench);
    close(low);
    close(high);
    close(later);
}

static void signals_limits_and_umask_are_as_they_were(void **state)
{
    struct bench bench;
    struct rlimit limit, changed;
    sigset_t set, before;
    char text[256];

    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &before);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    getrlimit(RLIMIT_NOFILE, &limit);
    changed = limit;
    changed.rlim_cur = 77;
    setrlimit(RLIMIT_NOFILE, &changed);
    const mode_t mask = umask(027);
    bench_init(&bench);
    signal(SIGUSR1, SIG_DFL); /* what peer makes of it afterwards */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_SETMASK, &set, NULL);
    setrlimit(RLIMIT_NOFILE, &limit);
    umask(mask);
    bench_start(&bench, "exec sed -n 's/^Sig\\(Blk\\|Ign\\):\\t//p; s/^Umask:\\t//p' "
                        "/proc/self/status - <<-END\n$(ulimit -Sn | sed 's/^/Umask:\\t/')\nEND");
    read_all(dup(bench.output), text, sizeof(text));
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(text, "0027\n0000000000000800\n0000000000000200\n77\n");
    bench_done(&bench);
}

/* ---- what is heard of it ---- */

/* However fast they follow each other. */
static void stops_and_continues_are_told_in_order(void **state)
{
    struct bench bench;
    int value = -7;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "kill -STOP $$; kill -STOP $$; kill -STOP $$; exit 5");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_news(&bench, &value), NETNS_STOPPED);
        assert_int_equal(value, SIGSTOP);
        assert_int_equal(netns_isolate_next(&bench.isolated, &value), NETNS_NOTHING);
        assert_int_equal(netns_isolate_signal(&bench.isolated, SIGCONT), 0);
        if (i < 2)
            assert_int_equal(next_news(&bench, &value), NETNS_CONTINUED);
    }
    int news = next_news(&bench, &value);
    if (news == NETNS_CONTINUED) /* it may have ended meanwhile */
        news = next_news(&bench, &value);
    assert_int_equal(news, NETNS_ENDED);
    assert_int_equal(WEXITSTATUS(value), 5);
    value = -7;
    assert_int_equal(netns_isolate_next(&bench.isolated, &value), NETNS_ENDED);
    assert_int_equal(WEXITSTATUS(value), 5);
    assert_false(readable(bench.isolated.control, 0));
    bench_done(&bench);
}

static void what_it_left_behind_is_not_heard_of(void **state)
{
    struct bench bench;
    int value = -7;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "sh -c 'echo $$; kill -STOP $$; exit 3' & exit 4");
    const int stopped = read_number(bench.output);
    assert_int_equal(next_news(&bench, &value), NETNS_ENDED);
    assert_int_equal(WEXITSTATUS(value), 4);
    const int pidfd = open_pid(stopped);
    bench_done(&bench);
    assert_ends(pidfd);
}

static void signals_reach_it(void **state)
{
    struct bench bench;
    int value = -7;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "trap 'exit 6' USR1; echo 1; while :; do read x < /dev/null; done");
    assert_int_equal(read_number(bench.output), 1);
    assert_int_equal(netns_isolate_signal(&bench.isolated, SIGUSR1), 0);
    assert_int_equal(next_news(&bench, &value), NETNS_ENDED);
    assert_int_equal(WEXITSTATUS(value), 6);
    assert_int_equal(netns_isolate_signal(&bench.isolated, SIGUSR1), 0); /* to nobody */
    bench_done(&bench);
}

static void a_dead_holder_is_told_and_what_it_held_swept(void **state)
{
    struct bench bench;
    int value = -7;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "setsid sleep 1000 & echo $!; sleep 1000");
    const int left = open_pid(read_number(bench.output));
    const int program = open_pid(bench.isolated.program);
    assert_int_equal(kill(bench.isolated.holder, SIGKILL), 0);
    assert_ends(program);
    assert_int_equal(next_news(&bench, &value), -EPIPE);
    assert_ends(left);
    assert_int_equal(netns_isolate_next(&bench.isolated, &value), -EPIPE);
    assert_int_equal(netns_isolate_signal(&bench.isolated, SIGUSR1), -EPIPE);
    bench_done(&bench);
}

/* ---- the end ---- */

/* By the sweeper: a caller that is confined may not look for them. */
static void the_end_without_a_holder_clears_the_namespace(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "setsid sleep 1000 & echo $!; sleep 1000");
    const int left = open_pid(read_number(bench.output)), sweeper = open_pid(bench.isolated.sweeper_pid);
    assert_int_equal(kill(bench.isolated.holder, SIGKILL), 0);
    assert_int_equal(netns_isolate_end(&bench.isolated, PATIENCE_MS), -1);
    assert_ends(left);
    assert_ends(sweeper);
    bench_done(&bench);
}

static void sweeper_ends_with_its_caller_s_leave(void **state)
{
    struct bench bench;
    const int fds = count_fds();

    (void)state;
    bench_init(&bench);
    bench_start(&bench, "exit 0");
    const int sweeper = open_pid(bench.isolated.sweeper_pid);
    bench_done(&bench);
    assert_ends(sweeper);
    assert_int_equal(count_fds(), fds);
}

static _Noreturn void be_caller(int report)
{
    struct bench bench;

    bench_init(&bench);
    bench_start(&bench, "setsid sleep 1000 & echo $!; sleep 1000");
    const int pids[] = {bench.isolated.holder, bench.isolated.program, read_number(bench.output),
                        bench.isolated.sweeper_pid};
    if (write(report, pids, sizeof(pids)) != sizeof(pids))
        _exit(EXIT_FAILURE);
    for (;;)
        pause();
}

/* Kills the caller, the holder, the sweeper: those whose bit is set. */
static void nothing_outlives(unsigned victims)
{
    int ends[2], pids[4], pidfds[4];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    const pid_t caller = fork();
    if (caller == 0)
        be_caller(ends[1]);
    assert_int_equal(read(ends[0], pids, sizeof(pids)), sizeof(pids));
    for (int i = 0; i < 4; i++)
        pidfds[i] = open_pid(pids[i]);
    const pid_t killed[] = {caller, pids[0], pids[3]};
    for (int i = 0; i < 3; i++) {
        if (victims >> i & 1)
            assert_int_equal(kill(killed[i], SIGKILL), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_ends(pidfds[i]);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(caller, NULL, 0), caller);
}

static void nothing_outlives_its_caller_whoever_is_killed_with_it(void **state)
{
    (void)state;
    nothing_outlives(1);
    nothing_outlives(1 | 2); /* the sweeper's case */
    nothing_outlives(1 | 4);
}

/* ---- all of them ---- */

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_and_group_are_the_caller_s),
        cmocka_unit_test(capabilities_are_the_caller_s),
        cmocka_unit_test(session_and_group_are_the_caller_s),
        cmocka_unit_test(holder_and_sweeper_are_in_other_sessions),
        cmocka_unit_test(environment_is_the_caller_s_and_more),
        cmocka_unit_test(descriptors_are_those_that_were_inherited),
        cmocka_unit_test(signals_limits_and_umask_are_as_they_were),
        cmocka_unit_test(stops_and_continues_are_told_in_order),
        cmocka_unit_test(what_it_left_behind_is_not_heard_of),
        cmocka_unit_test(signals_reach_it),
        cmocka_unit_test(a_dead_holder_is_told_and_what_it_held_swept),
        cmocka_unit_test(the_end_without_a_holder_clears_the_namespace),
        cmocka_unit_test(sweeper_ends_with_its_caller_s_leave),
        cmocka_unit_test(nothing_outlives_its_caller_whoever_is_killed_with_it),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return run_as_both(run_all);
}
