/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process that looks at the application's. It is forked in the net's namespace, where sockets are
 * asked for, before privileges are given up, and keeps what it takes to read other users' files in /proc.
 * An order is one byte and nothing to choose by; all that it works with it knows since the fork. So who
 * finds a fault in this process gets sums from it.
 *
 * A process is its directory in /proc, which stays open: its id may become another's, the directory does
 * not. When one has ended, and at each tenth look, it looks who has the socket by now.
 */
#include "lib/application.h"

#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"
#include "kernel/observe/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <peer/watch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROCESSES = 64, INODES = 64, LOOK_AGAIN = 10 };

struct seen {
    uint64_t pid, started;
    char name[32];
};
struct answer {
    struct result_watch watch;
    uint32_t count;
    struct seen seen[PROCESSES];
};

struct peer_watch {
    struct peer_net *net;
    int end;
    pid_t pid;
    bool asked;
};

/* ---- the process that looks ---- */

struct watched {
    pid_t pid;
    int process;
    uint64_t started, cpu_ns; /* at the last look */
};

struct watcher {
    struct peer_watch_config config;
    struct diag *diag;
    struct watched watched[PROCESSES];
    size_t count;
    uint32_t inodes[INODES];
    size_t inode_count;
    uint64_t looks;
    bool had_some, by_socket;
};

static bool is_watched(const struct watcher *watcher, pid_t pid)
{
    for (size_t i = 0; i < watcher->count; i++) {
        if (watcher->watched[i].pid == pid)
            return true;
    }
    return false;
}

static int watch_process(void *user, pid_t pid)
{
    struct watcher *watcher = user;

    if (watcher->count == PROCESSES)
        return 1;
    if (is_watched(watcher, pid))
        return 0;
    int process = process_open(pid);
    if (process >= 0)
        watcher->watched[watcher->count++] = (struct watched){.pid = pid, .process = process};
    return 0;
}

static int note_socket(void *user, const struct diag_socket *socket)
{
    static const uint8_t zero[16];
    struct watcher *watcher = user;
    const struct peer_addr *to = &watcher->config.to;
    const size_t len = socket->local.family == 4 ? 4 : 16;

    /* At that address, or at all of them. */
    if (memcmp(socket->local.bytes, zero, len) != 0 &&
        (socket->local.family != to->family || memcmp(socket->local.bytes, to->bytes, len) != 0))
        return 0;
    if (!socket->connected && socket->inode && watcher->inode_count < INODES)
        watcher->inodes[watcher->inode_count++] = socket->inode;
    return 0;
}

static void look_for(struct watcher *watcher)
{
    const uint8_t protocol = watcher->config.udp ? IPPROTO_UDP : IPPROTO_TCP;

    watcher->inode_count = 0;
    (void)diag_listeners(watcher->diag, protocol, watcher->config.to_port, note_socket, watcher, NULL);
    process_each_holder(watcher->inodes, watcher->inode_count, watch_process, watcher);
}

static void forget(struct watcher *watcher, size_t index)
{
    (void)close(watcher->watched[index].process);
    watcher->watched[index] = watcher->watched[--watcher->count];
}

static void add(struct watched *watched, const struct process_use *use, struct answer *answer)
{
    struct seen *seen = &answer->seen[answer->count++];

    *seen = (struct seen){.pid = (uint64_t)watched->pid, .started = use->started};
    memcpy(seen->name, use->name, sizeof(seen->name));
    answer->watch.processes++;
    answer->watch.rss_bytes += use->rss_bytes;
    answer->watch.fds += use->fds;
    answer->watch.threads += use->threads;
    if (watched->started && use->cpu_ns > watched->cpu_ns)
        answer->watch.cpu_ns += use->cpu_ns - watched->cpu_ns;
    watched->started = use->started;
    watched->cpu_ns = use->cpu_ns;
}

/* Those that are still there. Returns how many are not. */
static size_t read_all(struct watcher *watcher, struct answer *answer)
{
    struct process_use use;
    size_t gone = 0;

    *answer = (struct answer){.watch.taken = true};
    for (size_t i = 0; i < watcher->count;) {
        if (process_read(watcher->watched[i].process, &use) == 0) {
            add(&watcher->watched[i++], &use, answer);
        } else {
            forget(watcher, i);
            gone++;
        }
    }
    return gone;
}

static void look(struct watcher *watcher, struct answer *answer)
{
    size_t gone = read_all(watcher, answer);
    const bool left = answer->count > 0;

    watcher->by_socket |= !left;
    if (watcher->by_socket && (gone || !left || watcher->looks % LOOK_AGAIN == 0)) {
        const uint64_t cpu_ns = answer->watch.cpu_ns;
        look_for(watcher);
        (void)read_all(watcher, answer);
        answer->watch.cpu_ns += cpu_ns;
    }
    watcher->looks++;
    if (!left && watcher->had_some && answer->count)
        answer->watch.restarts = 1;
    watcher->had_some |= answer->count > 0;
}

static void serve(struct watcher *watcher, int end)
{
    struct answer answer;
    char order;

    while (child_receive(end, 0, &(struct iovec){&order, 1}, 1, NULL, NULL) == 1) {
        look(watcher, &answer);
        if (child_send(end, &(struct iovec){&answer, sizeof(answer)}, 1, NULL, 0) < 0)
            return;
    }
}

static void run(void *user, int end)
{
    struct watcher *watcher = user;
    int kept[2 + PROCESSES] = {end, diag_fd(watcher->diag)};

    for (size_t i = 0; i < watcher->count; i++)
        kept[2 + i] = watcher->watched[i].process;
    (void)prctl(PR_SET_NAME, "peer-watch");
    (void)signal(SIGCHLD, SIG_IGN);
    confine_descriptors(kept, 2 + watcher->count);
    (void)confine_process(&(struct confine){.calls = CONFINE_FILES,
                                            .capabilities = UINT64_C(1) << CAP_SYS_PTRACE |
                                                            UINT64_C(1) << CAP_DAC_READ_SEARCH},
                          NULL);
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    serve(watcher, end);
    _exit(EXIT_SUCCESS);
}

/* ---- its start ---- */

struct start {
    struct watcher *watcher;
    int end;
    pid_t pid;
};

static int start_here(struct start *start, struct peer_error *error)
{
    struct watcher *watcher = start->watcher;

    int status = diag_open(&watcher->diag, error);
    if (status < 0)
        return status;
    status = child_start(run, watcher, &start->end, &start->pid);
    diag_free(watcher->diag);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start the process that watches the application: %s",
                         error_text(-status));
    return 0;
}

/* In a helper process. */
static int start_there(void *arg, struct netns_result *result)
{
    struct start *start = arg;
    int status = start_here(start, &result->error);

    if (status == 0)
        result->fds[result->fd_count++] = start->end;
    return status;
}

static int start_in(const struct peer_net *net, struct start *start, struct peer_error *error)
{
    const struct netns_errand errand = {.place = net->attachment.netns,
                                        .work = start_there,
                                        .arg = start,
                                        .data = start,
                                        .data_len = sizeof(*start)};
    struct netns_result result = {0};

    if (net->attachment.netns.fd < 0)
        return start_here(start, error);
    int status = netns_run(&errand, &result, error);
    if (status == 0)
        start->end = result.fds[0];
    return status;
}

/* Those that were named. */
static int open_processes(struct watcher *watcher, struct peer_error *error)
{
    const struct peer_watch_config *config = &watcher->config;

    if (config->pid_count > PROCESSES)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "up to %d processes can be watched",
                         (int)PROCESSES);
    for (size_t i = 0; i < config->pid_count; i++) {
        const int pid = (int)config->pids[i];
        const size_t before = watcher->count;
        (void)watch_process(watcher, config->pids[i]);
        if (watcher->count == before && !is_watched(watcher, config->pids[i]))
            return error_set(error, PEER_ERROR_USAGE, ESRCH, "there is no process %d to watch", pid);
        int status = process_check(watcher->watched[watcher->count - 1].process);
        if (status < 0)
            return error_set(error, PEER_ERROR_MACHINE, -status,
                             "process %d cannot be watched, as it is another user's: %s", pid,
                             error_text(-status));
    }
    return 0;
}

static int start_watch(struct peer_net *net, const struct peer_watch_config *config,
                       struct peer_watch *watch, struct peer_error *error)
{
    struct watcher watcher = {.config = *config, .by_socket = !config->pid_count};
    struct start start = {.watcher = &watcher, .end = -1};

    int status = open_processes(&watcher, error);
    if (status == 0)
        status = start_in(net, &start, error);
    while (watcher.count)
        forget(&watcher, 0);
    if (status < 0)
        return status;
    *watch = (struct peer_watch){.net = net, .end = start.end, .pid = start.pid};
    return 0;
}

int peer_watch_new_sized(struct peer_net *net, const struct peer_watch_config *given, size_t size,
                         struct peer_watch **ret_watch, struct peer_error *error)
{
    struct peer_watch_config config;

    if (!net_is_ours(net))
        return -ECHILD;
    int status = border_take(&config, sizeof(config), given, size, error);
    if (status < 0)
        return status;
    if (net->attachment.confined)
        return error_set(error, PEER_ERROR_USAGE, EPERM,
                         "this process has given up what it takes to watch another one");
    struct peer_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    status = start_watch(net, &config, watch, error);
    if (status < 0)
        free(watch);
    else
        *ret_watch = watch;
    return status;
}

struct peer_watch *peer_watch_free(struct peer_watch *watch)
{
    if (watch && watch->end >= 0)
        child_end(watch->end, watch->pid);
    free(watch);
    return NULL;
}

/* ---- its samples ---- */

/* Somebody killed who gives them, which ends no run. */
static void lose(struct peer_watch *watch)
{
    notice_add(watch->net,
               "somebody killed the process that looks at the application (%d): what it uses is not "
               "known from now on",
               (int)watch->pid);
    child_end(watch->end, watch->pid);
    watch->end = -1;
}

/* 1, 0: it is not there yet, or -errno: somebody killed who gives it. */
static int take_answer(struct peer_watch *watch, struct answer *answer)
{
    ssize_t len = child_receive(watch->end, MSG_DONTWAIT, &(struct iovec){answer, sizeof(*answer)},
                                1, NULL, NULL);

    if (len == -EAGAIN)
        return 0;
    watch->asked = false;
    if (len == (ssize_t)sizeof(*answer))
        return 1;
    lose(watch);
    return -EPIPE;
}

bool application_ask(struct peer_watch *watch)
{
    struct answer late;

    if (watch->asked)
        (void)take_answer(watch, &late);
    if (watch->asked || watch->end < 0)
        return false;
    const int status = child_send(watch->end, &(struct iovec){"", 1}, 1, NULL, 0);
    watch->asked = status == 0;
    if (status < 0 && status != -EAGAIN)
        lose(watch);
    return watch->asked;
}

static void note_seen(const struct answer *answer, uint64_t at_ns, struct result *series)
{
    for (size_t i = 0; i < answer->count && i < PROCESSES; i++) {
        const struct seen *seen = &answer->seen[i];
        struct result_process process = {
            .pid = seen->pid, .started = seen->started, .first_ns = at_ns, .last_ns = at_ns};
        memcpy(process.name, seen->name, sizeof(process.name) - 1);
        (void)result_add_process(series, &process);
    }
}

int application_take(struct peer_watch *watch, int wait_ms, uint64_t at_ns,
                     struct result_watch *ret_watch, struct result *series)
{
    struct pollfd readable = {.fd = watch->end, .events = POLLIN};
    struct answer answer;

    if (!watch->asked)
        return -EBADF;
    if (wait_ms)
        (void)poll(&readable, 1, wait_ms);
    int status = take_answer(watch, &answer);
    if (status <= 0)
        return status;
    *ret_watch = answer.watch;
    note_seen(&answer, at_ns, series);
    return 1;
}
