/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The caller's side of an isolated namespace; holder.c is the other.
 *
 * The control socket carries requests and answers in turn until the program runs. From then on
 * HOLDER_ENDED alone can come, so "readable" means "ended" (or the holder is gone); of a program as
 * without peer HOLDER_STOPPED and HOLDER_CONTINUED too, before that. HOLDER_SIGNAL has no answer.
 * All waiting with a time limit is done in the holder: here one blocks for an answer or its end.
 */
#include "kernel/netns/netns.h"

#include "base/error.h"
#include "kernel/netns/child.h"
#include "kernel/netns/holder.h"
#include "kernel/netns/sweep.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- why namespaces are refused ---- */

/* -1 when there is no such setting (or no /proc). */
static long read_setting(const char *path)
{
    long value = -1;
    FILE *file = fopen(path, "re");

    if (!file)
        return -1;
    if (fscanf(file, "%ld", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

/* The settings by which a machine closes namespaces to its users, and what opens them again. */
static const struct gate {
    int code;         /* the errno it causes */
    const char *path; /* below /proc/sys */
    long shut;        /* the value that shuts it */
    const char *text;
} gates[] = {
    {EPERM, "/proc/sys/kernel/unprivileged_userns_clone", 0,
     "user namespaces are closed to ordinary users; try \"sudo sysctl -w "
     "kernel.unprivileged_userns_clone=1\", or run as root"},
    {EPERM, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1,
     "AppArmor closes user namespaces to ordinary programs; try \"sudo sysctl -w "
     "kernel.apparmor_restrict_unprivileged_userns=0\", or run as root"},
    {ENOSPC, "/proc/sys/user/max_user_namespaces", 0,
     "user namespaces are switched off; try \"sudo sysctl -w user.max_user_namespaces=10000\", or "
     "run as root"},
    {ENOSPC, "/proc/sys/user/max_net_namespaces", 0,
     "network namespaces are switched off; try \"sudo sysctl -w user.max_net_namespaces=10000\""},
};

static const char *describe_refusal(int code)
{
    switch (code) {
    case EPERM:
        return geteuid() == 0
                   ? "this container or sandbox does not allow namespaces; give it CAP_SYS_ADMIN "
                     "or run peer outside"
                   : "the policy of this machine, container or sandbox does not allow user "
                     "namespaces; run as root";
    case ENOSPC:
        return "the limit of namespaces is reached; end some, or raise user.max_user_namespaces "
               "and user.max_net_namespaces with \"sudo sysctl -w\"";
    case EUSERS:
        return "user namespaces are nested too deeply";
    case EINVAL:
    case ENOSYS:
        return "this kernel has no user or no network namespaces; run as root, or on a kernel "
               "with CONFIG_USER_NS and CONFIG_NET_NS";
    case ENOENT:
        return "/proc is not mounted";
    default:
        return NULL;
    }
}

static int explain_refusal(int code, struct peer_error *error)
{
    static const char what[] = "cannot make an isolated network namespace";
    const int seen = code;

    if (code == EACCES) /* a security module's word for it */
        code = EPERM;
    for (size_t i = 0; i < sizeof(gates) / sizeof(gates[0]); i++) {
        if (gates[i].code == EPERM && geteuid() == 0)
            continue; /* they are for ordinary users */
        if (gates[i].code == code && read_setting(gates[i].path) == gates[i].shut)
            return error_set(error, PEER_ERROR_MACHINE, seen, "%s: %s", what, gates[i].text);
    }
    const char *text = describe_refusal(code);
    return error_set(error, PEER_ERROR_MACHINE, seen, "%s: %s", what,
                     text ? text : error_text(code));
}

/* ---- talk ---- */

static int request(const struct netns_isolated *isolated, enum holder_kind kind, int value)
{
    struct holder_message message = {.kind = kind, .value = value};
    const struct iovec part = {&message, sizeof(message)};

    return child_send(isolated->control, &part, 1, NULL, 0);
}

/* 0; -EPIPE when the holder is gone; -EAGAIN only with MSG_DONTWAIT. */
static int answer(const struct netns_isolated *isolated, int flags,
                  struct holder_message *ret_message, int *ret_fd)
{
    const struct iovec part = {ret_message, sizeof(*ret_message)};
    int fds[CHILD_FDS_MAX], count = 0;

    ssize_t len = child_receive(isolated->control, flags, &part, 1, ret_fd ? fds : NULL, &count);
    if (len <= 0)
        return len < 0 ? (int)len : -EPIPE;
    assert((size_t)len == sizeof(*ret_message));
    if (count > 0)
        *ret_fd = fds[0];
    return 0;
}

/* Closes and reaps; whatever the holder still has to do, it does before it ends. Without one the
   sweeper does: we may have given up what it takes. */
static void release(struct netns_isolated *isolated, bool sweep)
{
    close(isolated->control);
    const int holder = child_reap(isolated->holder);
    const bool killed = holder < 0 || WIFSIGNALED(holder); /* also a moment ago, unseen till here */
    if (isolated->sweeper > 0)
        sweeper_end(isolated->sweeper, isolated->sweeper_pid, sweep || killed);
    if (isolated->netns_fd >= 0)
        close(isolated->netns_fd);
    *isolated = (struct netns_isolated){0};
}

static enum netns_news note(struct netns_isolated *isolated, const struct holder_message *message)
{
    if (message->kind == HOLDER_STOPPED)
        return NETNS_STOPPED;
    if (message->kind == HOLDER_CONTINUED)
        return NETNS_CONTINUED;
    assert(message->kind == HOLDER_ENDED);
    isolated->ended = true;
    isolated->status = message->value;
    return NETNS_ENDED;
}

/* ---- the interface ---- */

static int await_ready(const struct netns_isolate_config *config, struct netns_isolated *isolated,
                       struct peer_error *error)
{
    struct holder_message message;
    int status = answer(isolated, 0, &message, &isolated->netns_fd);

    if (status < 0)
        return error_set(
            error, PEER_ERROR_MACHINE, -status, "%s: %s",
            config->place ? "cannot start a process to hold the program"
                          : "cannot make an isolated network namespace",
            status == -EPIPE ? "the process that holds it was killed" : error_text(-status));
    if (message.kind == HOLDER_REFUSED && config->place)
        return error_set(error, PEER_ERROR_MACHINE, message.value,
                         "cannot enter the network namespace: %s", error_text(message.value));
    if (message.kind == HOLDER_REFUSED)
        return explain_refusal(message.value, error);
    assert(message.kind == HOLDER_READY && (isolated->netns_fd >= 0 || config->place));
    return 0;
}

/* In the child: the caller goes on using its stdin and stdout alone. */
static void stdio_aside(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd > STDIN_FILENO) {
        dup2(fd, STDIN_FILENO);
        close(fd);
    }
    dup2(STDERR_FILENO, STDOUT_FILENO);
}

static int start_holder(const struct netns_isolate_config *config, struct netns_isolated *isolated,
                        struct peer_error *error)
{
    int ends[2];
    pid_t self = getpid();

    int status = child_pair(ends);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot talk to a child process: %s",
                         error_text(-status));
    isolated->control = ends[0];
    isolated->holder = child_fork();
    if (isolated->holder == 0) {
        if (config->stdio == NETNS_STDIO_ASIDE)
            stdio_aside();
        holder_run(ends[1], self, config);
    }
    close(ends[1]);
    if (isolated->holder >= 0)
        return 0;
    close(ends[0]);
    return error_set(error, PEER_ERROR_MACHINE, -isolated->holder,
                     "cannot start a process to hold the namespace: %s",
                     error_text(-isolated->holder));
}

static int start_sweeper(struct netns_isolated *isolated, struct peer_error *error)
{
    int status = sweeper_start(isolated->netns_fd, isolated->holder, &isolated->sweeper,
                               &isolated->sweeper_pid);

    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start a process to tidy the namespace up: %s",
                         error_text(-status));
    return 0;
}

int netns_isolate(const struct netns_isolate_config *config, struct netns_isolated *ret,
                  struct peer_error *error)
{
    struct netns_isolated isolated = {.netns_fd = -1, .tells = config->origin != NULL};

    int status = start_holder(config, &isolated, error);
    if (status < 0)
        return status;
    status = await_ready(config, &isolated, error);
    if (status == 0 && config->origin && isolated.netns_fd >= 0)
        status = start_sweeper(&isolated, error);
    if (status < 0) {
        release(&isolated, true);
        return status;
    }
    *ret = isolated;
    return 0;
}

static int refuse_start(const struct holder_message *message, struct peer_error *error)
{
    const char *reason = error_text(message->value);

    if (message->value == EINVAL && !message->name[0])
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no program to start");
    if (message->directory)
        return error_set(error, PEER_ERROR_USAGE, message->value, "cannot run it in \"%s\": %s",
                         message->name, reason);
    if (message->interpreter)
        reason = "it is there, but what should run it (its \"#!\" line, its loader) is not";
    else if (message->value == ENOENT)
        reason =
            strchr(message->name, '/') ? "no such file or directory" : "no such program in PATH";
    return error_set(error, PEER_ERROR_USAGE, message->value, "cannot run \"%s\": %s",
                     message->name, reason);
}

int netns_isolate_start(struct netns_isolated *isolated, struct peer_error *error)
{
    struct holder_message message;

    if (isolated->program)
        return error_set(error, PEER_ERROR_USAGE, EALREADY, "the program was started before");
    int status = request(isolated, HOLDER_START, 0);
    if (status == 0)
        status = answer(isolated, 0, &message, NULL);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot start the program: %s",
                         status == -EPIPE ? "the process that holds its namespace was killed"
                                          : error_text(-status));
    if (message.kind == HOLDER_NOT_STARTED)
        return refuse_start(&message, error);
    assert(message.kind == HOLDER_STARTED);
    isolated->program = message.value;
    return 0;
}

/* enum netns_news or -errno. */
static int take_news(struct netns_isolated *isolated, int *ret_value)
{
    struct holder_message message;

    if (!isolated->program)
        return NETNS_NOTHING;
    if (isolated->ended) {
        *ret_value = isolated->status;
        return NETNS_ENDED;
    }
    int status = answer(isolated, MSG_DONTWAIT, &message, NULL);
    if (status < 0)
        return status == -EAGAIN ? NETNS_NOTHING : status;
    *ret_value = message.value;
    return (int)note(isolated, &message);
}

int netns_isolate_ended(struct netns_isolated *isolated, int *ret_status)
{
    assert(!isolated->tells);
    return take_news(isolated, ret_status); /* NETNS_ENDED is 1, and no other comes */
}

int netns_isolate_next(struct netns_isolated *isolated, int *ret_value)
{
    assert(isolated->tells);
    int news = take_news(isolated, ret_value);
    if (news == -EPIPE && isolated->sweeper > 0) { /* what the holder would have killed */
        sweeper_end(isolated->sweeper, isolated->sweeper_pid, true);
        isolated->sweeper = 0;
    }
    return news;
}

int netns_isolate_signal(struct netns_isolated *isolated, int signal_number)
{
    return request(isolated, HOLDER_SIGNAL, signal_number);
}

bool netns_isolate_is_dead(const struct netns_isolated *isolated)
{
    struct pollfd control = {.fd = isolated->control, .events = POLLIN};

    return poll(&control, 1, 0) > 0 && control.revents & (POLLHUP | POLLERR);
}

void netns_isolate_clear(const struct netns_isolated *isolated)
{
    if (isolated->netns_fd >= 0 && !isolated->tells) /* not ours alone; the sweeper's */
        sweep_namespace(isolated->netns_fd);
}

void netns_isolate_abandon(struct netns_isolated *isolated)
{
    if (isolated->holder <= 0)
        return;
    close(isolated->control);
    if (isolated->sweeper > 0)
        close(isolated->sweeper);
    if (isolated->netns_fd >= 0)
        close(isolated->netns_fd);
    *isolated = (struct netns_isolated){0};
}

void netns_isolate_stop(const struct netns_isolated *isolated, int grace_ms)
{
    if (isolated->holder > 0)
        (void)request(isolated, HOLDER_STOP, grace_ms);
}

int netns_isolate_end(struct netns_isolated *isolated, int grace_ms)
{
    struct holder_message message;

    if (!isolated || isolated->holder <= 0)
        return -1;
    bool dead = netns_isolate_is_dead(isolated) || request(isolated, HOLDER_STOP, grace_ms) < 0;
    while (answer(isolated, 0, &message, NULL) == 0)
        (void)note(isolated, &message);
    if (dead && !isolated->cleared)
        netns_isolate_clear(isolated);
    int status = isolated->ended ? isolated->status : -1;
    release(isolated, dead);
    return status;
}
