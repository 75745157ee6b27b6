/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The coordinator of work in several processes.
 *
 *   fork    each worker inherits all that the work is to be, and keeps of the descriptors its queue, its
 *           inbox and the others' (device/device.h), the capture and the socket to here
 *   ready   each has its engine; then all are told one moment to begin at, since a schedule that is
 *           shared is exact only by one clock
 *   run     they tell counts now and then; they hear of news of the kernel, which are read here alone,
 *           and ask what only the kernel knows. What else is said is the work's
 *   end     they stay for as long as frames may come
 *
 * A worker that ends by itself ends the run; how, is the work's to say (struct crew_work). When the
 * coordinator is killed each of them finds the socket closed, and ends without a word to anybody, as one
 * process that is killed.
 *
 * The capture is one file: who writes to one open file by whole blocks shares it with others.
 */
#include "lib/crew.h"

#include "kernel/netns/child.h"

#include <poll.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define AHEAD_NS (2 * NS_PER_MS) /* of the moment to begin at: then all have heard of it */
enum { END_MS = 5000, EVENTS = 32, DEATH_TEXT = 160 };

/* ---- what they tell ---- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash | 1;
}

/* What happens to all of them is told of once. */
static void take_notice(struct crew *crew, const char *text)
{
    const uint64_t hash = hash_of(text);

    for (unsigned i = 0; i < CREW_NOTICES; i++) {
        if (crew->noticed[i] == hash)
            return;
    }
    crew->noticed[crew->notice_turn++ % CREW_NOTICES] = hash;
    notice_add(crew->net, "%s", text);
}

static void answer_local(struct crew *crew, const struct crew_member *member,
                         const struct peer_addr *addr)
{
    const struct crew_message answer = {.word = CREW_LOCAL,
                                        .status = net_is_local(crew->net, addr)};

    (void)crew_send(member->control, &answer, NULL, 0);
}

static void take_counts(struct crew *crew, struct crew_member *member, const void *data)
{
    memcpy(&member->told, data, sizeof(member->told));
    placing_tell(&crew->placing, (unsigned)(member - crew->members),
                 member->told.stats.bytes_sent + member->told.stats.bytes_received,
                 member->told.at_ns);
}

static void take_message(struct crew *crew, struct crew_member *member,
                         const struct crew_message *message, const void *data, size_t len)
{
    int status = 0;

    switch (message->word) {
    case CREW_COUNTS:
        if (len == sizeof(member->told))
            take_counts(crew, member, data);
        break;
    case CREW_LEFT:
        member->left = true;
        break;
    case CREW_NOTICE:
        take_notice(crew, message->text);
        break;
    case CREW_IS_LOCAL:
        answer_local(crew, member, &message->addr);
        break;
    case CREW_GONE:
        member->gone = true;
        status = message->status;
        break;
    default:
        if (crew->work->take)
            status = crew->work->take(crew, (unsigned)(member - crew->members), message, data, len);
        break;
    }
    if (status < 0 && !crew->failed)
        crew->failed = status;
}

static void forget_member(struct crew *crew, struct crew_member *member)
{
    (void)epoll_ctl(crew->net->crew_fd, EPOLL_CTL_DEL, member->control, NULL);
    (void)close(member->control);
    member->control = -1;
}

/* It was not asked to end. `text` becomes who it was, and what became of it. */
static void lose_member(struct crew *crew, struct crew_member *member, char text[DEATH_TEXT])
{
    const unsigned number = (unsigned)(member - crew->members) + 1;
    const int status = child_reap(member->pid);
    char how[80] = "is gone";

    if (status >= 0 && WIFSIGNALED(status))
        (void)snprintf(how, sizeof(how), "was killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else if (status >= 0)
        (void)snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
    (void)snprintf(text, DEATH_TEXT, "worker %u of %u (process %d) %s", number, crew->count,
                   (int)member->pid, how);
    forget_member(crew, member);
    member->lost = member->left = true;
    if (++crew->lost == crew->count || !crew->work->lost)
        crew->failed = -EOWNERDEAD;
}

static void member_died(struct crew *crew, struct crew_member *member)
{
    char text[DEATH_TEXT];

    lose_member(crew, member, text);
    notice_add(crew->net, "%s, and its part of the run is lost%s", text,
               crew->failed ? "" : ": the run ends");
    if (crew->work->lost)
        crew->work->lost(crew, (unsigned)(member - crew->members));
}

/* All that is there now. */
static void read_member(struct crew *crew, struct crew_member *member)
{
    struct crew_message message;
    ssize_t len;

    while ((len = crew_receive(member->control, MSG_DONTWAIT, &message, crew->net->crew_piece)) >= 0)
        take_message(crew, member, &message, crew->net->crew_piece, (size_t)len);
    if (len != -EAGAIN)
        member_died(crew, member);
}

static int look(void *user)
{
    struct peer_net *net = user;
    struct epoll_event events[EVENTS];
    int count = epoll_wait(net->crew_fd, events, EVENTS, 0);

    for (int i = 0; i < count && net->crew; i++)
        read_member(net->crew, &net->crew->members[events[i].data.u32]);
    return net->crew ? net->crew->failed : 0;
}

/* ---- their beginning ---- */

static int out_of(struct peer_error *error, int status, const char *what)
{
    return error_set(error, PEER_ERROR_MACHINE, -status, "cannot start the workers: %s: %s", what,
                     error_text(-status));
}

static int open_inboxes(struct crew *crew, struct peer_error *error)
{
    crew->shared = mmap(NULL, sizeof(*crew->shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (crew->shared == MAP_FAILED) {
        crew->shared = NULL;
        return out_of(error, -errno, "memory");
    }
    for (unsigned i = 0; i < crew->count; i++) {
        int status = child_pair(crew->inboxes[i]);
        if (status < 0)
            return out_of(error, status, "sockets");
    }
    return 0;
}

static void close_inboxes(struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        for (int end = 0; end < 2; end++) {
            if (crew->inboxes[i][end] >= 0)
                (void)close(crew->inboxes[i][end]);
            crew->inboxes[i][end] = -1;
        }
    }
}

static int fork_member(struct crew *crew, unsigned index, struct peer_error *error)
{
    struct crew_member *member = &crew->members[index];
    int ends[2];

    int status = child_pair(ends);
    if (status < 0)
        return out_of(error, status, "sockets");
    const pid_t pid = child_fork();
    if (pid == 0)
        worker_run(crew, index, ends[1]);
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return out_of(error, (int)pid, "processes");
    }
    member->control = ends[0];
    member->pid = pid;
    return 0;
}

/* Instead of its word. */
static int death(struct crew *crew, struct crew_member *member, enum crew_word word,
                 struct peer_error *error)
{
    const bool began = word != CREW_READY && word != CREW_STARTED;
    char text[DEATH_TEXT];

    if (began && !member->lost)
        member_died(crew, member);
    if (began)
        return error_set(error, PEER_ERROR_MACHINE, EOWNERDEAD, "a worker is lost, and the run ends");
    lose_member(crew, member, text);
    return error_set(error, PEER_ERROR_MACHINE, EOWNERDEAD, "%s before the run began", text);
}

/* Its word, or why it cannot. */
static int await_word(struct crew *crew, struct crew_member *member, enum crew_word word,
                      struct peer_error *error)
{
    struct crew_message message = {.word = word};
    ssize_t len;

    do {
        len = member->control < 0
                  ? -EPIPE
                  : crew_receive(member->control, 0, &message, crew->net->crew_piece);
        if (len >= 0)
            take_message(crew, member, &message, crew->net->crew_piece, (size_t)len);
    } while (len >= 0 && message.word != word && message.word != CREW_FAILED && !member->gone);
    if (len >= 0 && member->gone)
        return error_set(error, PEER_ERROR_MACHINE, -message.status, "a worker cannot go on: %s",
                         error_text(-message.status));
    if (len < 0)
        return death(crew, member, word, error);
    if (message.word != CREW_FAILED)
        return 0;
    if (error)
        *error = message.error;
    return message.status;
}

int crew_hear(struct crew *crew, unsigned index)
{
    const int control = crew->members[index].control;
    struct crew_message message;
    const ssize_t len =
        control < 0 ? -EPIPE : crew_receive(control, 0, &message, crew->net->crew_piece);

    if (len < 0) {
        member_died(crew, &crew->members[index]);
        return (int)len;
    }
    take_message(crew, &crew->members[index], &message, crew->net->crew_piece, (size_t)len);
    return crew->failed;
}

/* From all of them; of what cannot be, the first is told. */
static int await_all(struct crew *crew, enum crew_word word, struct peer_error *error)
{
    int first = 0;

    for (unsigned i = 0; i < crew->count; i++) {
        int status = await_word(crew, &crew->members[i], word, first < 0 ? NULL : error);
        first = first < 0 ? first : status;
    }
    return first;
}

static int watch_all(struct crew *crew, struct peer_error *error)
{
    int status = 0;

    for (unsigned i = 0; i < crew->count && status == 0; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(crew->net->crew_fd, EPOLL_CTL_ADD, crew->members[i].control, &event) < 0)
            status = -errno;
    }
    if (status == 0)
        status = engine_watch(crew->net->engine, crew->net->crew_fd, look, crew->net);
    return status < 0 ? out_of(error, status, "watching them") : 0;
}

static int start_all(struct crew *crew, struct peer_error *error)
{
    struct crew_message go = {.word = CREW_GO};
    int status = open_inboxes(crew, error);

    for (unsigned i = 0; i < crew->count && status == 0; i++)
        status = fork_member(crew, i, error);
    close_inboxes(crew);
    if (status == 0)
        status = await_all(crew, CREW_READY, error);
    if (status < 0)
        return status;
    go.start_ns = engine_now_fresh_ns(crew->net->engine) + AHEAD_NS;
    go.wall_ns = engine_wall_ns(crew->net->engine) + AHEAD_NS;
    crew->begun_ns = go.start_ns;
    crew_tell(crew->net, &go);
    status = await_all(crew, CREW_STARTED, error);
    if (status == 0)
        crew_place(crew);
    return status < 0 ? status : watch_all(crew, error);
}

int crew_start(struct peer_net *net, const struct crew_work *work, void *data,
               struct peer_error *error)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    if (!crew) {
        if (work->free)
            work->free(&(struct crew){.data = data});
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    }
    crew->net = net;
    crew->work = work;
    crew->data = data;
    crew->count = net->workers;
    for (unsigned i = 0; i < crew->count; i++) {
        crew->members[i].control = crew->inboxes[i][0] = crew->inboxes[i][1] = -1;
    }
    net->crew = crew;
    net->crew_runs++;
    net->leaving = (struct leaving){.begun = false};
    int status = start_all(crew, error);
    if (status < 0)
        crew_end(net);
    return status;
}

/* ---- their end ---- */

/* What it says meanwhile is heard: its last counts, above all. One that does not end is left. */
static void end_member(struct crew *crew, struct crew_member *member)
{
    struct pollfd wanted = {.fd = member->control, .events = POLLIN};
    struct crew_message message;
    ssize_t len = 0;

    while (len >= 0 && poll(&wanted, 1, END_MS) > 0) {
        len = crew_receive(member->control, MSG_DONTWAIT, &message, crew->net->crew_piece);
        if (len >= 0)
            take_message(crew, member, &message, crew->net->crew_piece, (size_t)len);
    }
    forget_member(crew, member);
    if (len < 0)
        (void)child_reap(member->pid);
}

void crew_end(struct peer_net *net)
{
    struct crew *crew = net->crew;

    if (!crew)
        return;
    engine_unwatch(net->engine, net->crew_fd);
    crew_tell(net, &(struct crew_message){.word = CREW_END});
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->members[i].control >= 0)
            end_member(crew, &crew->members[i]);
    }
    crew_unplace(crew);
    crew_add_stats(net, &net->crew_stats);
    net->crew = NULL;
    if (crew->work->free)
        crew->work->free(crew);
    if (crew->shared)
        (void)munmap(crew->shared, sizeof(*crew->shared));
    free(crew);
}

/* ---- meanwhile ---- */

void crew_tell(struct peer_net *net, const struct crew_message *message)
{
    struct crew *crew = net->crew;

    for (unsigned i = 0; crew && i < crew->count; i++) {
        if (crew->members[i].control >= 0)
            (void)crew_send(crew->members[i].control, message, NULL, 0);
    }
}

int crew_order(struct crew *crew, const struct crew_message *order, struct peer_error *error)
{
    if (crew->failed)
        return error_set(error, PEER_ERROR_MACHINE, -crew->failed, "the workers are gone");
    crew_tell(crew->net, order);
    return await_all(crew, CREW_DONE, error);
}

int crew_leave(struct crew *crew, bool is_heard)
{
    if (!crew->leaving)
        crew_tell(crew->net, &(struct crew_message){.word = CREW_LEAVE});
    crew->leaving = true;
    if (is_heard && !crew->heard) {
        crew->heard = true;
        crew_tell(crew->net, &(struct crew_message){.word = CREW_HEARD});
    }
    for (unsigned i = 0; i < crew->count; i++) {
        if (!crew->members[i].left && !crew->members[i].gone && crew->members[i].control >= 0)
            return 0;
    }
    return 1;
}
