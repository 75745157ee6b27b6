/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The holder of an isolated namespace: makes it, sits in it, runs the program and cleans up.
 *
 * It must outlive its parent by the moment it takes to kill all that runs in the namespace, so it
 * has no SIGKILL from the kernel at its parent's end. It learns of that end twice: the control
 * socket is closed (at once, unless a fork of the parent's has a copy of its end), and SIGHUP comes
 * as the parent-death signal. It is in a process group of its own, so that neither Ctrl-C nor a
 * SIGKILL to the parent's group takes it. All signals are blocked, and two are read from a
 * signalfd.
 *
 * As a subreaper it becomes the parent of whatever the program leaves behind. "Kill my children and
 * wait, until there are none" then reaches every descendant, whatever sessions and groups it made.
 * A PID namespace would do that too, but the program's process ids would not be those that ps, gdb
 * and pid files outside know. The children are read from /proc/thread-self/children (the kernel's
 * PROC_CHILDREN, which distributions have); without it only the program itself is killed.
 *
 * It keeps no descriptor of the caller's: a TUN descriptor would pin the device, and the end of a
 * pipeline (`peer ... | head`) would not be seen while the holder has stdout. What a program as
 * without peer inherits, it keeps until that runs. Of its privileges it keeps what it kills by.
 *
 * Such a program is a member of a shell's job. Its process group would never be an orphaned one, and
 * the kernel would not end it with its terminal, if its parent were in that session: so the holder
 * leaves the session, which only who leads no group can, and the program stays.
 */
#include "kernel/netns/holder.h"

#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"
#include "kernel/netns/origin.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>

struct holder {
    const struct netns_isolate_config *config;
    int control, signals, timer;
    int netns_fd; /* until it was handed over, then < 0 */
    pid_t parent;
    pid_t parent_group;
    bool as_user; /* in a user namespace, where there is but this one */
    pid_t program; /* 0: none, or ended */
    bool stopped;  /* it stands still */
    bool stopping; /* all is to end */
};

/* Why a program did not start. */
struct failure {
    int code;         /* errno; 0: it did */
    bool interpreter; /* the file is there, what should run it is not */
    bool directory;   /* it cannot go there */
};

/* ---- the namespace ---- */

/* One write: the kernel takes a map whole or not at all. */
static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int status = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return status;
}

static int map_one(const char *path, unsigned inside, unsigned outside)
{
    char line[32];

    snprintf(line, sizeof(line), "%u %u 1\n", inside, outside);
    return write_file(path, line);
}

/* The caller's user is the only one in a user namespace: as its root, or as who he is. Either has
   all capabilities there until it executes a program. */
static int unshare_as_user(bool same)
{
    uid_t user = geteuid();
    gid_t group = getegid();

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return -errno;
    /*
     * A program that gained rights by execve (file capabilities) cannot write its own maps. It has
     * no such rights any more since the line above, so its user may look into it again.
     */
    prctl(PR_SET_DUMPABLE, 1);
    int status = write_file("/proc/self/setgroups", "deny");
    if (status < 0)
        return status;
    status = map_one("/proc/self/uid_map", same ? user : 0, user);
    return status < 0 ? status : map_one("/proc/self/gid_map", same ? group : 0, group);
}

/* Root needs no user namespace, and would lose its other users in it. In a container it may have
 * to. */
static int unshare_network(bool same, bool *ret_as_user)
{
    *ret_as_user = false;
    if (geteuid() == 0) {
        if (unshare(CLONE_NEWNET) == 0)
            return 0;
        if (errno != EPERM)
            return -errno;
    }
    *ret_as_user = true;
    return unshare_as_user(same);
}

static int bring_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int status = ioctl(fd, SIOCGIFFLAGS, &request);
    if (status == 0) {
        request.ifr_flags |= IFF_UP;
        status = ioctl(fd, SIOCSIFFLAGS, &request);
    }
    if (status < 0)
        status = -errno;
    close(fd);
    return status;
}

/* The new namespace's descriptor. The parent could not always open it by /proc: we pass it on. */
static int make_namespace(bool same, bool *ret_as_user)
{
    int status = unshare_network(same, ret_as_user);
    if (status == 0)
        status = bring_loopback_up();
    if (status < 0)
        return status;
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* ---- descriptors ---- */

/* Keeps stdio and what else the program inherits, the control socket, and the namespace to enter. */
static int keep_only(const struct holder *holder)
{
    const struct netns_isolate_config *config = holder->config;
    const struct netns_origin *origin = config->origin;
    const int *inherited = origin ? origin->fds : config->kept;
    const size_t inherited_count = origin ? origin->fd_count : config->kept_count;
    int *kept = calloc(inherited_count + 8, sizeof(*kept));
    size_t count = 0;

    if (!kept)
        return -ENOMEM;
    for (int stdio = 0; stdio <= STDERR_FILENO; stdio++) {
        kept[count++] = stdio;
        if (config->stdio_fds && config->stdio_fds[stdio] > STDERR_FILENO)
            kept[count++] = config->stdio_fds[stdio];
    }
    kept[count++] = holder->control;
    if (config->place && config->place->fd >= 0)
        kept[count++] = config->place->fd;
    if (inherited_count > 0)
        memcpy(kept + count, inherited, sizeof(*kept) * inherited_count);
    confine_descriptors(kept, count + inherited_count);
    free(kept);
    return 0;
}

/* Once the program has its descriptors and working directory, nothing of that is held here. */
static void let_go(const struct holder *holder)
{
    int kept[] = {0, 1, 2, holder->control, holder->signals, holder->timer, holder->netns_fd};
    const size_t count = sizeof(kept) / sizeof(kept[0]);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int stdio = 0; stdio <= STDERR_FILENO; stdio++) {
        if (fd < 0)
            close(stdio);
        else if (fd != stdio)
            dup3(fd, stdio, O_CLOEXEC);
    }
    confine_descriptors(kept, holder->netns_fd < 0 ? count - 1 : count);
    if (chdir("/") < 0) {
        /* Then it stays where it is, which hurts only who wants to unmount that. */
    }
}

/* ---- children ---- */

static int reply(const struct holder *holder, enum holder_kind kind, int value)
{
    struct holder_message message = {.kind = kind, .value = value};
    const struct iovec part = {&message, sizeof(message)};

    return child_send(holder->control, &part, 1, NULL, 0);
}

/* How many children took the signal. */
static int signal_children(const struct holder *holder, int signal_number)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    int count = 0, pid;

    if (!file)
        return holder->program && kill(holder->program, signal_number) == 0;
    while (fscanf(file, "%d", &pid) == 1)
        count += kill(pid, signal_number) == 0;
    fclose(file);
    return count;
}

static void tell_continued(struct holder *holder)
{
    holder->stopped = false;
    reply(holder, HOLDER_CONTINUED, 0);
    if (holder->config->waiter > 0)
        kill(holder->config->waiter, SIGCONT);
}

/* Nobody there: nobody to tell. The kernel tells the last state only: who stopped again went on
   before. */
static void note(struct holder *holder, pid_t pid, int status)
{
    if (pid != holder->program)
        return;
    if (WIFSTOPPED(status)) {
        if (holder->stopped)
            tell_continued(holder);
        holder->stopped = true;
        reply(holder, HOLDER_STOPPED, WSTOPSIG(status));
    } else if (WIFCONTINUED(status)) {
        tell_continued(holder);
    } else {
        holder->program = 0;
        reply(holder, HOLDER_ENDED, status);
    }
}

/* Each round kills the children there are; theirs become ours by that. */
static _Noreturn void kill_all_and_exit(struct holder *holder)
{
    int status;

    for (;;) {
        /* None to kill: reap what is dead already, but wait for nobody. */
        int flags = signal_children(holder, SIGKILL) > 0 ? 0 : WNOHANG;
        pid_t pid = waitpid(-1, &status, flags);
        if (pid <= 0)
            _exit(EXIT_SUCCESS);
        note(holder, pid, status);
    }
}

static void terminate(const struct holder *holder)
{
    if (holder->program) {
        kill(holder->program, SIGTERM);
        kill(holder->program, SIGCONT); /* a stopped one would not see it */
    } else {
        signal_children(holder, SIGTERM);
        signal_children(holder, SIGCONT);
    }
}

/* Reaps all that ended. When stopping, what was left behind is asked to end as well. */
static void reap(struct holder *holder)
{
    const int stops = holder->config->origin ? WUNTRACED | WCONTINUED : 0;
    int status, count = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG | stops)) > 0) {
        note(holder, pid, status);
        count++;
    }
    if (!holder->stopping)
        return;
    if (pid < 0) /* no child left */
        _exit(EXIT_SUCCESS);
    if (count > 0 && !holder->program)
        terminate(holder);
}

static void stop(struct holder *holder, int grace_ms)
{
    if (grace_ms <= 0)
        kill_all_and_exit(holder);
    if (holder->stopping) /* once more */
        return;
    const struct itimerspec grace = {
        .it_value = {.tv_sec = grace_ms / 1000, .tv_nsec = grace_ms % 1000 * 1000000L}};
    if (timerfd_settime(holder->timer, 0, &grace, NULL) < 0)
        kill_all_and_exit(holder);
    holder->stopping = true;
    terminate(holder);
    reap(holder);
}

/* ---- the program ---- */

/*
 * Default where the caller has a handler: one that ran before execve would swallow a SIGTERM. What
 * is ignored stays so (nohup), but for SIGPIPE, which callers ignore for their own sockets.
 */
static void reset_signals(void)
{
    struct sigaction action;
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            signal(number, SIG_DFL);
    }
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none); /* nor does a mask for the caller's signalfd concern the program */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Is there a file of this name anywhere in PATH? Folders that one may not search do not count. */
static bool is_in_path(const char *name)
{
    char file[PATH_MAX];
    const char *folder = getenv("PATH");

    while (folder && *folder) {
        size_t len = strcspn(folder, ":");
        int file_len = snprintf(file, sizeof(file), "%.*s/%s", (int)len, len ? folder : ".", name);
        if (file_len > 0 && (size_t)file_len < sizeof(file) && access(file, F_OK) == 0)
            return true;
        folder += len + (folder[len] == ':');
    }
    return false;
}

/* What execvp's error comes from, where its errno alone would mislead. */
static struct failure explain_exec(const char *name, int code)
{
    bool is_path = strchr(name, '/') != NULL;

    /* One folder of PATH that we may not search, root's say, is enough for EACCES. */
    if (code == EACCES && !is_path && !is_in_path(name))
        code = ENOENT;
    return (struct failure){.code = code,
                            .interpreter = code == ENOENT && is_path && access(name, F_OK) == 0};
}

/* Aside first: any of them may be where another one is to go. */
static void set_stdio(const int *fds)
{
    int aside[STDERR_FILENO + 1];

    for (int i = 0; i <= STDERR_FILENO; i++) {
        int fd = fds[i] >= 0 ? fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
        aside[i] = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fds[i] < 0 && fd > STDERR_FILENO)
            close(fd);
    }
    for (int i = 0; i <= STDERR_FILENO; i++)
        (void)dup2(aside[i], i);
}

/* What the program was given of its own. */
static struct failure set_surroundings(const struct netns_isolate_config *config)
{
    if (config->stdio_fds)
        set_stdio(config->stdio_fds);
    for (size_t i = 0; i < config->kept_count; i++)
        (void)fcntl(config->kept[i], F_SETFD, 0);
    for (char *const *word = config->environment; word && *word; word++)
        putenv(*word);
    if (config->directory && chdir(config->directory) < 0)
        return (struct failure){.code = errno, .directory = true};
    return (struct failure){.code = 0};
}

static _Noreturn void become_program(const struct holder *holder, pid_t self, int report)
{
    const struct netns_isolate_config *config = holder->config;

    setpgid(0, holder->parent_group); /* fails when nobody is left there: then we end anyway */
    if (child_watch_parent(self, SIGKILL) < 0)
        _exit(EXIT_FAILURE);
    struct failure failure = set_surroundings(config);
    if (config->origin)
        origin_restore(config->origin);
    else
        reset_signals();
    if (!failure.code) {
        execvpe(config->argv[0], config->argv,
                config->all_environment ? config->all_environment : environ);
        failure = explain_exec(config->argv[0], errno);
    }
    _exit(write(report, &failure, sizeof(failure)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Forks and waits until execve has happened or failed: the errno, 0 when it runs. */
static struct failure start_program(struct holder *holder)
{
    struct failure failure = {.code = 0};
    int report[2];
    pid_t self = getpid();

    if (pipe2(report, O_CLOEXEC) < 0)
        return (struct failure){.code = errno};
    pid_t pid = child_fork();
    if (pid == 0)
        become_program(holder, self, report[1]);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return (struct failure){.code = -pid};
    }
    /* All signals are blocked: no EINTR. */
    ssize_t len = read(report[0], &failure, sizeof(failure));
    close(report[0]);
    if (len == 0) {
        holder->program = pid;
        return failure;
    }
    child_reap(pid);
    if (len != sizeof(failure))
        failure = (struct failure){.code = EIO};
    return failure;
}

/* Once it has nothing more to start: a program would inherit it. Others may look into the namespace
   by /proc all the same. */
static void give_up_privileges(const struct holder *holder)
{
    const struct confine confine = {
        .calls = CONFINE_SIGNALS | CONFINE_WAITS | CONFINE_FILES,
        .capabilities = holder->as_user ? 0 : UINT64_C(1) << CAP_KILL, /* programs may be anybody's */
        .dumpable = true,
    };

    (void)confine_process(&confine, NULL);
}

static bool has_program(const struct holder *holder)
{
    return holder->config->argv && holder->config->argv[0];
}

static void start(struct holder *holder)
{
    const struct netns_isolate_config *config = holder->config;
    struct failure failure = {.code = EINVAL}; /* no program was given */

    if (has_program(holder))
        failure = start_program(holder);
    if (!failure.code) {
        if (config->origin)
            setsid();
        let_go(holder);
        give_up_privileges(holder);
        reply(holder, HOLDER_STARTED, holder->program);
        return;
    }
    struct holder_message message = {.kind = HOLDER_NOT_STARTED,
                                     .value = failure.code,
                                     .interpreter = failure.interpreter,
                                     .directory = failure.directory};
    const struct iovec part = {&message, sizeof(message)};
    if (has_program(holder))
        snprintf(message.name, sizeof(message.name), "%s",
                 failure.directory ? config->directory : config->argv[0]);
    child_send(holder->control, &part, 1, NULL, 0);
}

/* ---- life ---- */

static void obey(struct holder *holder)
{
    struct holder_message message;
    const struct iovec part = {&message, sizeof(message)};

    if (child_receive(holder->control, 0, &part, 1, NULL, NULL) != (ssize_t)sizeof(message))
        kill_all_and_exit(holder); /* the caller is gone */
    if (message.kind == HOLDER_START)
        start(holder);
    else if (message.kind == HOLDER_STOP)
        stop(holder, message.value);
    else if (holder->program)
        kill(holder->program, message.value);
}

static void hear(struct holder *holder)
{
    struct signalfd_siginfo info;

    if (read(holder->signals, &info, sizeof(info)) < 0)
        return;
    /* Whoever sent it: SIGHUP is the parent's death only if that is true. */
    if (getppid() != holder->parent)
        kill_all_and_exit(holder);
    reap(holder);
}

static _Noreturn void live(struct holder *holder)
{
    struct pollfd polls[] = {{.fd = holder->control, .events = POLLIN},
                             {.fd = holder->signals, .events = POLLIN},
                             {.fd = holder->timer, .events = POLLIN}};

    for (;;) {
        if (poll(polls, 3, -1) < 0 || polls[2].revents)
            kill_all_and_exit(holder);
        if (polls[1].revents)
            hear(holder);
        if (polls[0].revents)
            obey(holder);
    }
}

static int open_events(struct holder *holder)
{
    sigset_t heard;

    signal(SIGCHLD, SIG_DFL); /* where it is ignored, the kernel reaps our children */
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SIGHUP);
    holder->signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    if (holder->signals < 0)
        return -errno;
    holder->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    return holder->timer < 0 ? -errno : 0;
}

/* The one to be in: made, or entered. */
static int find_namespace(struct holder *holder)
{
    const struct netns_place *place = holder->config->place;

    if (place)
        return place->fd >= 0 ? netns_enter(*place) : 0;
    holder->netns_fd = make_namespace(holder->config->origin != NULL, &holder->as_user);
    return holder->netns_fd < 0 ? holder->netns_fd : 0;
}

static int settle(struct holder *holder)
{
    int status = open_events(holder);
    if (status < 0)
        return status;
    prctl(PR_SET_NAME, holder->config->place ? "peer-program" : "peer-isolate");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    status = find_namespace(holder);
    if (status < 0)
        return status;
    return child_watch_parent(holder->parent, SIGHUP); /* last: new credentials undo it */
}

void holder_run(int control, pid_t parent, const struct netns_isolate_config *config)
{
    struct holder holder = {
        .config = config, .control = control, .parent = parent, .parent_group = getpgrp(),
        .netns_fd = -1};
    struct holder_message message = {.kind = HOLDER_READY};
    const struct iovec part = {&message, sizeof(message)};

    if (!config->origin)
        setpgid(0, 0);
    int status = keep_only(&holder);
    if (status == 0)
        status = settle(&holder);
    if (status < 0) {
        reply(&holder, HOLDER_REFUSED, -status);
        _exit(EXIT_FAILURE);
    }
    if (!has_program(&holder)) {
        let_go(&holder);
        give_up_privileges(&holder);
    }
    if (child_send(control, &part, 1, &holder.netns_fd, holder.netns_fd < 0 ? 0 : 1) < 0)
        _exit(EXIT_FAILURE);
    if (holder.netns_fd >= 0)
        close(holder.netns_fd);
    holder.netns_fd = -1;
    live(&holder);
}
