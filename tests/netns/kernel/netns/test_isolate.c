/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netns_isolate and the program in it. All runs as the user who started it and, when that is root,
 * once more as an ordinary one. That something ended is seen by pidfds, so no test has to sleep.
 */
#include "isolate_bench.h"

static int look_at_interfaces(void *arg, struct netns_result *result)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct if_nameindex *list = if_nameindex();

    (void)arg;
    (void)result;
    if (fd < 0 || !list || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return -errno;
    bool only_lo = strcmp(list[0].if_name, "lo") == 0 && list[1].if_index == 0;
    return only_lo && (request.ifr_flags & IFF_UP) ? 1 : 0;
}

static void namespace_is_fresh_with_loopback_up(void **state)
{
    struct netns_isolated isolated;
    struct peer_error error = {0};
    int fds = count_fds();

    (void)state;
    assert_int_equal(isolate(NULL, &isolated, &error), 0);
    int seen = netns_run(&(struct netns_errand){.place = {isolated.netns_fd, isolated.holder},
                                                .work = look_at_interfaces},
                         NULL, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(seen, 1);
    assert_int_equal(netns_isolate_end(&isolated, 0), -1);
    assert_int_equal(isolated.holder, 0);
    assert_int_equal(count_fds(), fds);
}

static void namespace_is_that_of_the_holder_in_proc(void **state)
{
    struct netns_isolated isolated;
    struct stat mine, theirs;
    char spec[16];

    (void)state;
    assert_int_equal(isolate(NULL, &isolated, NULL), 0);
    snprintf(spec, sizeof(spec), "%d", isolated.holder);
    int fd = netns_open(spec, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &theirs), 0);
    assert_int_equal(fstat(isolated.netns_fd, &mine), 0);
    assert_int_equal(mine.st_ino, theirs.st_ino);
    close(fd);
    netns_isolate_end(&isolated, 0);
}

static void end_takes_nothing(void **state)
{
    struct netns_isolated nothing = {0};

    (void)state;
    assert_int_equal(netns_isolate_end(NULL, 0), -1);
    assert_int_equal(netns_isolate_end(&nothing, 0), -1);
}

static void holder_without_program_keeps_no_stdio(void **state)
{
    struct netns_isolated isolated;
    char text[16];

    (void)state;
    int output = isolate_with_output(NULL, &isolated);
    read_all(output, text, sizeof(text));
    assert_string_equal(text, "");
    netns_isolate_end(&isolated, 0);
}

/* ---- the program ---- */

static void program_sees_itself_as_root(void **state)
{
    char *const argv[] = {"id", "-u", NULL};
    struct netns_isolated isolated;
    char text[16];

    (void)state;
    read_all(start_with_output(argv, &isolated), text, sizeof(text));
    assert_string_equal(text, "0\n");
    assert_int_equal(wait_ended(&isolated), 0);
    netns_isolate_end(&isolated, 0);
}

static void program_runs_in_the_namespace(void **state)
{
    char *const argv[] = {"readlink", "/proc/self/ns/net", NULL};
    struct netns_isolated isolated;
    struct stat mine;
    char text[64], expect[64];

    (void)state;
    read_all(start_with_output(argv, &isolated), text, sizeof(text));
    assert_int_equal(fstat(isolated.netns_fd, &mine), 0);
    snprintf(expect, sizeof(expect), "net:[%lu]\n", (unsigned long)mine.st_ino);
    assert_string_equal(text, expect);
    netns_isolate_end(&isolated, 0);
}

static void program_is_not_started_before_it_is_asked_for(void **state)
{
    char *const argv[] = {"echo", "started", NULL};
    struct netns_isolated isolated;
    char text[16];
    int status = -7;

    (void)state;
    int output = isolate_with_output(argv, &isolated);
    assert_int_equal(netns_isolate_ended(&isolated, &status), 0);
    assert_int_equal(status, -7);
    assert_int_equal(netns_isolate_end(&isolated, PATIENCE_MS), -1);
    read_all(output, text, sizeof(text));
    assert_string_equal(text, "");
}

static void exit_status_is_delivered(void **state)
{
    struct netns_isolated isolated;
    int fds = count_fds(), status = -7;

    (void)state;
    int output = start_shell("sleep 1000 & echo $!; wait; exit 7", &isolated);
    pid_t sleeper = read_number(output);
    assert_false(readable(isolated.control, 0));
    assert_int_equal(netns_isolate_ended(&isolated, &status), 0);
    assert_int_equal(kill(sleeper, SIGTERM), 0);
    status = wait_ended(&isolated);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_false(readable(isolated.control, 0)); /* told once: a poll loop does not spin */
    int again = -7;
    assert_int_equal(netns_isolate_ended(&isolated, &again), 1);
    assert_int_equal(again, status);
    assert_int_equal(netns_isolate_end(&isolated, 0), status);
    close(output);
    assert_int_equal(count_fds(), fds);
}

static void death_by_signal_is_delivered(void **state)
{
    struct netns_isolated isolated;

    (void)state;
    int output = start_shell("kill -9 $$", &isolated);
    int status = wait_ended(&isolated);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    netns_isolate_end(&isolated, 0);
    close(output);
}

static void output_ends_with_the_program_though_the_holder_lives(void **state)
{
    char *const argv[] = {"echo", "hello", NULL};
    struct netns_isolated isolated;
    char text[16];

    (void)state;
    read_all(start_with_output(argv, &isolated), text, sizeof(text));
    assert_string_equal(text, "hello\n");
    assert_int_equal(kill(isolated.holder, 0), 0);
    netns_isolate_end(&isolated, 0);
}

static void program_gets_no_descriptor_but_stdio(void **state)
{
    char *const argv[] = {"ls", "/proc/self/fd", NULL};
    struct netns_isolated isolated;
    char text[256];
    int low = dup(STDERR_FILENO), high = fcntl(STDERR_FILENO, F_DUPFD, 200); /* not CLOEXEC */

    (void)state;
    read_all(start_with_output(argv, &isolated), text, sizeof(text));
    assert_string_equal(text, "0\n1\n2\n3\n"); /* 3 is what ls reads from */
    netns_isolate_end(&isolated, 0);
    close(low);
    close(high);
}

static void on_signal(int number)
{
    (void)number;
}

static void program_gets_no_signal_setting_of_the_caller(void **state)
{
    char *const argv[] = {"sed", "-n", "s/^Sig\\(Blk\\|Ign\\):\\t//p", "/proc/self/status", NULL};
    struct netns_isolated isolated;
    sigset_t set, before;
    char text[64];

    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &before);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, SIG_IGN); /* as nohup would: that stays */
    signal(SIGHUP, SIG_DFL);  /* which nohup did, */
    signal(SIGINT, SIG_DFL);  /* and a shell that started all this behind it */
    signal(SIGQUIT, SIG_DFL);
    read_all(start_with_output(argv, &isolated), text, sizeof(text));
    int status = wait_ended(&isolated);
    netns_isolate_end(&isolated, 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(text, "0000000000000000\n0000000000000200\n");
    assert_int_equal(status, 0);
}

static void program_is_in_the_group_of_the_caller_and_the_holder_is_not(void **state)
{
    char *const argv[] = {"cut", "-d ", "-f5", "/proc/self/stat", NULL};
    struct netns_isolated isolated;

    (void)state;
    int output = start_with_output(argv, &isolated);
    assert_int_equal(read_number(output), getpgrp());
    assert_int_equal(getpgid(isolated.holder), isolated.holder);
    netns_isolate_end(&isolated, 0);
    close(output);
}

/* ---- a program that does not start ---- */

static void start_fails(char *name, int code, const char *text)
{
    char *const argv[] = {name, NULL};
    struct netns_isolated isolated;
    struct peer_error error = {0};
    int status, fds = count_fds();

    assert_int_equal(isolate(argv, &isolated, NULL), 0);
    assert_int_equal(netns_isolate_start(&isolated, &error), -code);
    assert_int_equal(error.code, code);
    assert_text(&error, text);
    assert_int_equal(netns_isolate_ended(&isolated, &status), 0);
    assert_int_equal(netns_isolate_end(&isolated, PATIENCE_MS), -1);
    assert_int_equal(count_fds(), fds);
}

static void start_of_an_unknown_program_says_so(void **state)
{
    (void)state;
    start_fails("no-such-program", ENOENT,
                "cannot run \"no-such-program\": no such program in PATH");
    start_fails("/no/such", ENOENT, "cannot run \"/no/such\": no such file");
    start_fails("", ENOENT, "cannot run \"\": no such program");
}

static void start_is_not_misled_by_a_closed_folder_in_path(void **state)
{
    char path[] = "/tmp/peer-test-XXXXXX", before[4096], with[sizeof(before) + sizeof(path)];

    (void)state;
    assert_non_null(mkdtemp(path));
    assert_int_equal(chmod(path, 0), 0);
    snprintf(before, sizeof(before), "%s", getenv("PATH"));
    snprintf(with, sizeof(with), "%s:%s", path, before);
    setenv("PATH", with, 1);
    start_fails("no-such-program", ENOENT, "no such program in PATH");
    setenv("PATH", before, 1);
    rmdir(path);
}

static void start_of_what_is_no_program_says_so(void **state)
{
    (void)state;
    start_fails("/dev/null", EACCES, "cannot run \"/dev/null\": permission denied");
}

static void start_tells_a_missing_interpreter_from_a_missing_file(void **state)
{
    char path[] = "/tmp/peer-test-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_true(write(fd, "#!/no/such\n", 11) == 11);
    assert_int_equal(fchmod(fd, 0755), 0);
    close(fd);
    start_fails(path, ENOENT, "it is there, but what should run it");
    unlink(path);
}

static void start_without_program_or_twice_is_refused(void **state)
{
    char *const nothing[] = {NULL};
    struct netns_isolated isolated;
    struct peer_error error = {0};

    (void)state;
    assert_int_equal(isolate(nothing, &isolated, NULL), 0);
    assert_int_equal(netns_isolate_start(&isolated, &error), -EINVAL);
    assert_string_equal(error.text, "there is no program to start");
    netns_isolate_end(&isolated, 0);

    int output = start_shell("exit 0", &isolated);
    assert_int_equal(netns_isolate_start(&isolated, &error), -EALREADY);
    netns_isolate_end(&isolated, 0);
    close(output);
}

/* ---- the end ---- */

static void end_lets_the_program_end_by_itself(void **state)
{
    struct netns_isolated isolated;

    (void)state;
    /* The number comes from behind an execve: a fork that still has the trap would lose a
       SIGTERM. */
    int output = start_shell("trap 'exit 5' TERM; sh -c 'echo $$; exec sleep 1000' & "
                             "while :; do wait; done",
                             &isolated);
    int sleeper = open_pid(read_number(output));
    int status = netns_isolate_end(&isolated, PATIENCE_MS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_ends(sleeper);
    close(output);
}

static void end_wakes_a_stopped_program(void **state)
{
    struct netns_isolated isolated;

    (void)state;
    int output = start_shell("echo 1; kill -STOP $$; exit 6", &isolated);
    assert_int_equal(read_number(output), 1);
    int status = netns_isolate_end(&isolated, PATIENCE_MS);
    /* The signal ends it, or the shell gets on before. */
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGTERM : WEXITSTATUS(status) == 6);
    close(output);
}

static void end_kills_a_stubborn_program_and_its_children(void **state)
{
    struct netns_isolated isolated;

    (void)state;
    int output = start_shell("trap '' TERM; sleep 1000 & echo $!; wait", &isolated);
    int sleeper = open_pid(read_number(output));
    int program = open_pid(isolated.program);
    int status = netns_isolate_end(&isolated, 20);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_ends(sleeper);
    assert_ends(program);
    close(output);
}

static void end_kills_what_went_to_the_background(void **state)
{
    struct netns_isolated isolated;

    (void)state;
    int output = start_shell("setsid sleep 1000 & echo $!; exit 3", &isolated);
    int daemon_pidfd = open_pid(read_number(output));
    assert_int_equal(WEXITSTATUS(wait_ended(&isolated)), 3);
    assert_false(readable(daemon_pidfd, 0)); /* it may be the very server under test */
    int status = netns_isolate_end(&isolated, PATIENCE_MS);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_ends(daemon_pidfd);
    close(output);
}

static void end_at_once_kills_a_whole_tree(void **state)
{
    struct netns_isolated isolated;
    int pidfds[3];

    (void)state;
    int output = start_shell("sh -c 'sh -c \"sleep 1000 & echo \\$!; wait\" & echo $!; wait' & "
                             "echo $!; wait",
                             &isolated);
    for (int i = 0; i < 3; i++)
        pidfds[i] = open_pid(read_number(output));
    int status = netns_isolate_end(&isolated, 0);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    for (int i = 0; i < 3; i++)
        assert_ends(pidfds[i]);
    close(output);
}

static void death_of_the_holder_takes_the_program_along(void **state)
{
    struct netns_isolated isolated;
    int status;

    (void)state;
    int output = start_shell("echo 1; exec sleep 1000", &isolated);
    assert_int_equal(read_number(output), 1);
    int program = open_pid(isolated.program);
    assert_int_equal(kill(isolated.holder, SIGKILL), 0);
    assert_ends(program);
    assert_true(readable(isolated.control, PATIENCE_MS));
    assert_int_equal(netns_isolate_ended(&isolated, &status), -EPIPE);
    assert_int_equal(netns_isolate_end(&isolated, PATIENCE_MS), -1);
    close(output);
}

/* A process of its own that isolates a program and its child; all three are watched from here. */
struct victim {
    pid_t caller;
    int holder, program, grandchild; /* pidfds */
};

static _Noreturn void be_victim(int report, bool with_copy)
{
    char *const argv[] = {"sh", "-c", "setsid sleep 1000 & echo $!; wait", NULL};
    struct netns_isolated isolated;
    int output = start_with_output(argv, &isolated);
    int pids[] = {isolated.holder, isolated.program, read_number(output)};

    /* A fork of the caller's (a guardian, a worker) has the control socket too, and lives on. */
    if (with_copy && fork() == 0) {
        close(report);
        for (;;)
            pause();
    }
    if (write(report, pids, sizeof(pids)) != sizeof(pids))
        _exit(EXIT_FAILURE);
    for (;;)
        pause();
}

static struct victim make_victim(bool with_copy)
{
    struct victim victim;
    int ends[2], pids[3];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    victim.caller = fork();
    if (victim.caller == 0) {
        close(ends[0]);
        setpgid(0, 0);
        be_victim(ends[1], with_copy);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], pids, sizeof(pids)), sizeof(pids));
    close(ends[0]);
    victim.holder = open_pid(pids[0]);
    victim.program = open_pid(pids[1]);
    victim.grandchild = open_pid(pids[2]);
    return victim;
}

static void assert_victim_vanishes(const struct victim *victim)
{
    assert_ends(victim->program);
    assert_ends(victim->grandchild);
    assert_ends(victim->holder);
    waitpid(victim->caller, NULL, 0);
}

static void nothing_outlives_a_killed_caller(void **state)
{
    struct victim victim = make_victim(false);

    (void)state;
    assert_int_equal(kill(victim.caller, SIGKILL), 0);
    assert_victim_vanishes(&victim);
}

static void nothing_outlives_a_caller_whose_control_socket_has_a_copy(void **state)
{
    struct victim victim = make_victim(true);

    (void)state;
    assert_int_equal(kill(victim.caller, SIGKILL), 0);
    assert_ends(victim.program);
    assert_ends(victim.grandchild);
    assert_ends(victim.holder);
    kill(-victim.caller, SIGKILL); /* the copy: all that is left in that group */
    waitpid(victim.caller, NULL, 0);
}

static void nothing_outlives_a_killed_process_group(void **state)
{
    struct victim victim = make_victim(false);

    (void)state;
    assert_int_equal(kill(-victim.caller, SIGKILL), 0);
    assert_victim_vanishes(&victim);
}

/* ---- refusals ---- */

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done ? 0 : -1;
}

/* Whoever calls this cannot make a user namespace: the limit in its own one is 0. */
static int forbid_by_limit(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    char uid[32], gid[32];

    snprintf(uid, sizeof(uid), "65534 %u 1", geteuid());
    snprintf(gid, sizeof(gid), "65534 %u 1", getegid());
    if (unshare(CLONE_NEWUSER) < 0 || write_text("/proc/self/setgroups", "deny") < 0 ||
        write_text("/proc/self/uid_map", uid) < 0 || write_text("/proc/self/gid_map", gid) < 0 ||
        write_text("/proc/sys/user/max_user_namespaces", "0") < 0)
        return -1;
    return (int)syscall(SYS_capset, &header, none);
}

/* As a container's policy does it. */
static int forbid_by_filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

struct refusal {
    int status;
    struct peer_error error;
};

static struct refusal refusal_after(int (*forbid)(void))
{
    struct refusal refusal = {0};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct netns_isolated isolated;
        int fds = count_fds();
        if (forbid() < 0)
            _exit(EXIT_FAILURE);
        refusal.status = isolate(NULL, &isolated, &refusal.error);
        if (count_fds() != fds || waitpid(-1, NULL, 0) >= 0)
            _exit(EXIT_FAILURE);
        _exit(write(ends[1], &refusal, sizeof(refusal)) == sizeof(refusal) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &refusal, sizeof(refusal)), sizeof(refusal));
    close(ends[0]);
    waitpid(child, NULL, 0);
    return refusal;
}

static void refusal_by_limit_names_the_sysctl(void **state)
{
    struct refusal refusal = refusal_after(forbid_by_limit);

    (void)state;
    assert_int_equal(refusal.status, -ENOSPC);
    assert_text(&refusal.error, "\"sudo sysctl -w user.max_user_namespaces=10000\"");
    assert_null(strstr(refusal.error.text, "apparmor"));
}

static void refusal_by_policy_says_so(void **state)
{
    struct refusal refusal = refusal_after(forbid_by_filter);

    (void)state;
    assert_int_equal(refusal.status, -EPERM);
    assert_text(&refusal.error, "cannot make an isolated network namespace: ");
    assert_text(&refusal.error, "sandbox");
}

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(namespace_is_fresh_with_loopback_up),
        cmocka_unit_test(namespace_is_that_of_the_holder_in_proc),
        cmocka_unit_test(end_takes_nothing),
        cmocka_unit_test(holder_without_program_keeps_no_stdio),
        cmocka_unit_test(program_sees_itself_as_root),
        cmocka_unit_test(program_runs_in_the_namespace),
        cmocka_unit_test(program_is_not_started_before_it_is_asked_for),
        cmocka_unit_test(exit_status_is_delivered),
        cmocka_unit_test(death_by_signal_is_delivered),
        cmocka_unit_test(output_ends_with_the_program_though_the_holder_lives),
        cmocka_unit_test(program_gets_no_descriptor_but_stdio),
        cmocka_unit_test(program_gets_no_signal_setting_of_the_caller),
        cmocka_unit_test(program_is_in_the_group_of_the_caller_and_the_holder_is_not),
        cmocka_unit_test(start_of_an_unknown_program_says_so),
        cmocka_unit_test(start_is_not_misled_by_a_closed_folder_in_path),
        cmocka_unit_test(start_of_what_is_no_program_says_so),
        cmocka_unit_test(start_tells_a_missing_interpreter_from_a_missing_file),
        cmocka_unit_test(start_without_program_or_twice_is_refused),
        cmocka_unit_test(end_lets_the_program_end_by_itself),
        cmocka_unit_test(end_wakes_a_stopped_program),
        cmocka_unit_test(end_kills_a_stubborn_program_and_its_children),
        cmocka_unit_test(end_kills_what_went_to_the_background),
        cmocka_unit_test(end_at_once_kills_a_whole_tree),
        cmocka_unit_test(death_of_the_holder_takes_the_program_along),
        cmocka_unit_test(nothing_outlives_a_killed_caller),
        cmocka_unit_test(nothing_outlives_a_caller_whose_control_socket_has_a_copy),
        cmocka_unit_test(nothing_outlives_a_killed_process_group),
        cmocka_unit_test(refusal_by_limit_names_the_sysctl),
        cmocka_unit_test(refusal_by_policy_says_so),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return run_as_both(run_all);
}
