/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The coordinator of a soak in several processes.
 *
 *   fork    each worker inherits all that the soak is to be, and keeps of the descriptors its queue, its
 *           inbox and the others' (device/device.h), the capture and the socket to here
 *   ready   each has its engine; then all are told one moment to begin at, since a schedule that is
 *           shared is exact only by one clock
 *   run     they tell counts now and then and every interval; they hear of stops and of news of the
 *           kernel, which are read here alone
 *   end     when all are over, what each found is added up; they stay for as long as frames may come
 *
 * A worker that ends by itself ends the run, since rates and numbers are those of all: the others are
 * told to stop, and the result is theirs, which says how many are lost. When the coordinator is killed
 * each of them finds the socket closed, and ends without a word to anybody, as one process that is killed.
 *
 * The capture is one file: who writes to one open file by whole blocks shares it with others.
 */
#include "lib/crew.h"

#include "base/shard.h"
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

#define SNAPSHOT_NS (100 * NS_PER_MS)
#define AHEAD_NS    (2 * NS_PER_MS) /* of the moment to begin at: then all have heard of it */
#define LOST_GRACE_NS NS_PER_S  /* when one is lost: for what is under way with the others */
enum { END_MS = 5000, EVENTS = 32, DEATH_TEXT = 160 };

/* ---- what they tell ---- */

static int add_interval(struct crew_member *member, const void *data, size_t len)
{
    void *more = realloc(member->intervals,
                         (member->interval_count + 1) * sizeof(*member->intervals));

    if (!more)
        return -ENOMEM;
    member->intervals = more;
    int status = result_interval_parse(data, len, &member->intervals[member->interval_count]);
    member->interval_count += status == 0;
    return status;
}

static int add_bytes(struct crew_member *member, const void *data, size_t len, bool more)
{
    uint8_t *bytes = realloc(member->bytes, member->len + len);

    if (!bytes)
        return -ENOMEM;
    memcpy(bytes + member->len, data, len);
    member->bytes = bytes;
    member->len += len;
    member->found = !more;
    return 0;
}

static void drop_first(struct crew_member *member)
{
    result_interval_done(&member->intervals[0]);
    memmove(member->intervals, member->intervals + 1,
            --member->interval_count * sizeof(*member->intervals));
}

static void take_measured(struct crew *crew, struct crew_member *member, bool begins)
{
    while (begins && member->interval_count) /* of the warm-up */
        drop_first(member);
    member->measured |= begins;
    if (begins && !crew->measured)
        soak_is_being_measured(crew->soak, true);
    if (begins && crew->config.warmup_ns && !crew->measured)
        crew->measured_ns = crew->begun_ns + crew->config.warmup_ns;
    crew->measured |= begins;
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
    case CREW_MEASURED:
        take_measured(crew, member, message->on);
        break;
    case CREW_COUNTS:
        if (len == sizeof(member->told))
            take_counts(crew, member, data);
        break;
    case CREW_INTERVAL:
        status = add_interval(member, data, len);
        break;
    case CREW_OVER:
        member->over = true;
        break;
    case CREW_LEFT:
        member->left = true;
        break;
    case CREW_FOUND:
        status = add_bytes(member, data, len, message->on);
        break;
    case CREW_GONE:
        member->gone = true;
        status = message->status;
        break;
    default:
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
    member->lost = member->over = member->left = true;
    if (++crew->lost == crew->count)
        crew->failed = -EOWNERDEAD;
}

static void member_died(struct crew *crew, struct crew_member *member)
{
    char text[DEATH_TEXT];

    lose_member(crew, member, text);
    notice_add(crew->net, "%s, and its part of the run is lost%s", text,
               crew->failed ? "" : ": the run ends");
    crew_tell(crew->net, &(struct crew_message){.word = CREW_STOP, .grace_ns = LOST_GRACE_NS});
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
    } while (len >= 0 && message.word != word && message.word != CREW_FAILED);
    if (len < 0)
        return death(crew, member, word, error);
    if (message.word != CREW_FAILED)
        return 0;
    if (error)
        *error = message.error;
    return message.status;
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
    crew->begun_ns = crew->measured_ns = go.start_ns;
    crew_tell(crew->net, &go);
    status = await_all(crew, CREW_STARTED, error);
    if (status == 0)
        crew_place(crew);
    return status < 0 ? status : watch_all(crew, error);
}

static int check_part(uint64_t number, const char *what, const char *option, unsigned workers,
                      struct peer_error *error)
{
    if (!number || number >= workers)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "%llu %s%s (%s) cannot be shared by %u workers: ask for more, or take fewer `workers`",
                     (unsigned long long)number, what, number == 1 ? "" : "s", option, workers);
}

static int check(const struct peer_net *net, const struct peer_soak_config *config,
                 struct peer_error *error)
{
    const unsigned workers = net->workers;

    if (net->crew)
        return error_set(error, PEER_ERROR_USAGE, EBUSY,
                         "the workers of this net run a soak already; they run one at a time");
    if (config->workload)
        return error_set(error, PEER_ERROR_USAGE, EOPNOTSUPP,
                         "hooks of your own are called in this process: no `workers` then");
    int status = check_part(MAX(config->flows, UINT64_C(1)), "flow", "-c", workers, error);
    if (status == 0)
        status = check_part(config->total, "request", "-n", workers, error);
    if (status == 0)
        status = check_part(config->touch, "message", "`touch`", workers, error);
    return status;
}

int crew_start(struct peer_net *net, struct peer_soak *soak, const struct peer_soak_config *config,
               struct peer_error *error)
{
    int status = check(net, config, error);
    if (status < 0)
        return status;
    struct crew *crew = calloc(1, sizeof(*crew));
    if (!crew)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    crew->net = net;
    crew->soak = soak;
    crew->config = *config;
    crew->count = net->workers;
    for (unsigned i = 0; i < crew->count; i++) {
        crew->members[i].control = crew->inboxes[i][0] = crew->inboxes[i][1] = -1;
    }
    net->crew = crew;
    net->crew_runs++;
    net->leaving = (struct leaving){.begun = false};
    status = start_all(crew, error);
    crew->config = (struct peer_soak_config){.warmup_ns = config->warmup_ns};
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

static void free_member(struct crew_member *member)
{
    for (size_t i = 0; i < member->interval_count; i++)
        result_interval_done(&member->intervals[i]);
    free(member->intervals);
    free(member->bytes);
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
    for (unsigned i = 0; i < crew->count; i++)
        free_member(&crew->members[i]);
    if (crew->snapshot_ns)
        result_done(&crew->snapshot);
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

bool crew_is_over(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        if (!crew->members[i].over)
            return false;
    }
    return true;
}

void crew_get_state(const struct crew *crew, struct peer_soak_state *ret_state)
{
    struct peer_soak_state sum = {.paused = crew->paused};

    for (unsigned i = 0; i < crew->count; i++) {
        const struct peer_soak_state *told = &crew->members[i].told.state;
        result_add_counts(&sum.counts, &told->counts);
        sum.open += told->open;
        sum.flows += told->flows;
        sum.rate += told->rate;
        sum.behind += told->behind;
        sum.warming |= told->warming;
        sum.ending |= told->ending;
        sum.elapsed_ns = MAX(sum.elapsed_ns, told->elapsed_ns);
        sum.paused_ns = MAX(sum.paused_ns, told->paused_ns);
        sum.retransmits += told->retransmits;
        sum.syn_retransmits += told->syn_retransmits;
    }
    *ret_state = sum;
}

int crew_order(struct crew *crew, const struct crew_message *order, struct peer_error *error)
{
    if (crew->failed)
        return error_set(error, PEER_ERROR_MACHINE, -crew->failed, "the workers are gone");
    crew_tell(crew->net, order);
    return await_all(crew, CREW_DONE, error);
}

const struct result *crew_snapshot(struct crew *crew)
{
    const uint64_t now_ns = engine_now_fresh_ns(crew->net->engine);

    if (crew->snapshot_ns && now_ns < crew->snapshot_ns + SNAPSHOT_NS)
        return &crew->snapshot;
    if (crew->snapshot_ns)
        result_done(&crew->snapshot);
    crew->snapshot_ns = 0;
    if (result_init(&crew->snapshot) < 0 || crew_get_result(crew, &crew->snapshot) < 0) {
        result_done(&crew->snapshot);
        return NULL;
    }
    crew->snapshot_ns = now_ns;
    return &crew->snapshot;
}

static void add_link(struct peer_link_stats *into, const struct peer_link_stats *from)
{
    const double delayed = (double)into->delayed + (double)from->delayed;

    if (delayed > 0)
        into->delay_mean_ns =
            (uint64_t)(((double)into->delay_mean_ns * (double)into->delayed +
                        (double)from->delay_mean_ns * (double)from->delayed) / delayed);
    into->sent += from->sent;
    into->delivered += from->delivered;
    into->lost += from->lost;
    into->overflowed += from->overflowed;
    into->discarded += from->discarded;
    into->duplicated += from->duplicated;
    into->corrupted += from->corrupted;
    into->reordered += from->reordered;
    into->delayed += from->delayed;
    into->delay_max_ns = MAX(into->delay_max_ns, from->delay_max_ns);
    into->queued += from->queued;
    into->queued_max = MAX(into->queued_max, from->queued_max);
}

static void add_limits(struct peer_limit_stats *into, const struct peer_limit_stats *from)
{
    into->half_open += from->half_open;
    into->strangers += from->strangers;
    into->icmp_errors += from->icmp_errors;
    into->challenges += from->challenges;
    into->fragments += from->fragments;
    into->unread += from->unread;
    into->gaps += from->gaps;
    into->unacknowledged += from->unacknowledged;
    into->neighbours += from->neighbours;
}

static void add_stats(struct peer_net_stats *into, const struct peer_net_stats *from)
{
    into->frames_sent += from->frames_sent;
    into->frames_received += from->frames_received;
    into->bytes_sent += from->bytes_sent;
    into->bytes_received += from->bytes_received;
    into->frames_ignored += from->frames_ignored;
    into->frames_bad += from->frames_bad;
    into->send_drops += from->send_drops;
    into->flows += from->flows;
    into->flows_refused += from->flows_refused;
    into->retransmits += from->retransmits;
    add_limits(&into->limits, &from->limits);
    add_link(&into->uplink, &from->uplink);
    add_link(&into->downlink, &from->downlink);
    into->pcap_error = into->pcap_error ? into->pcap_error : from->pcap_error;
    into->pcap_frames += from->pcap_frames;
    into->pcap_dropped += from->pcap_dropped;
    into->frames_passed += from->frames_passed;
    into->cpu_left_ns += from->cpu_left_ns;
}

void crew_add_stats(const struct peer_net *net, struct peer_net_stats *stats)
{
    if (stats != &net->crew_stats)
        add_stats(stats, &net->crew_stats);
    for (unsigned i = 0; net->crew && i < net->crew->count; i++)
        add_stats(stats, &net->crew->members[i].told.stats);
    if (net->crew)
        stats->cpu_left_ns += net->crew->placing.given_ns;
}

/* ---- intervals ---- */

/* The earliest that has come and not been taken; NULL: not all who are to tell one have. */
static const struct result_interval *earliest(const struct crew *crew)
{
    const struct result_interval *first = NULL;

    for (unsigned i = 0; i < crew->count; i++) {
        const struct crew_member *member = &crew->members[i];
        if (!member->interval_count && !member->over)
            return NULL;
        if (crew->measured && !member->measured && !member->over)
            return NULL; /* the others have done with their warm-up */
        const struct result_interval *next = member->interval_count ? member->intervals : NULL;
        if (next && (!first || next->after_end < first->after_end ||
                     (next->after_end == first->after_end && next->start_ns < first->start_ns)))
            first = next;
    }
    return first;
}

int crew_pop_interval(struct crew *crew, struct result_interval *ret_interval)
{
    const struct result_interval *first = earliest(crew);
    struct result_interval sum = {.start_ns = 0};

    if (!first)
        return 0;
    sum.start_ns = first->start_ns;
    sum.length_ns = first->length_ns;
    sum.after_end = first->after_end;
    for (unsigned i = 0; i < crew->count; i++) {
        struct crew_member *member = &crew->members[i];
        if (!member->interval_count || !result_interval_matches(&member->intervals[0], &sum))
            continue;
        if (result_interval_add(&sum, &member->intervals[0], true) < 0)
            crew->failed = -ENOMEM;
        drop_first(member);
    }
    *ret_interval = sum;
    return 1;
}

/* ---- what they found ---- */

static int await_found(struct crew *crew, struct crew_member *member)
{
    struct crew_message message;

    while (!member->found && !crew->failed) {
        ssize_t len = crew_receive(member->control, 0, &message, crew->net->crew_piece);
        if (len < 0)
            member_died(crew, member);
        if (len < 0)
            return 0;
        take_message(crew, member, &message, crew->net->crew_piece, (size_t)len);
    }
    return crew->failed;
}

static int add_found(struct crew *crew, struct crew_member *member, struct result *result)
{
    struct result found;
    int status = await_found(crew, member);

    const bool is_found = status == 0 && member->found;
    if (is_found)
        status = result_parse(member->bytes, member->len, &found, NULL);
    free(member->bytes);
    member->bytes = NULL;
    member->len = 0;
    member->found = false;
    if (status < 0 || !is_found)
        return status;
    status = result_add(result, &found);
    result_done(&found);
    return status;
}

int crew_get_result(struct crew *crew, struct result *result)
{
    int status = 0;

    crew_tell(crew->net, &(struct crew_message){.word = CREW_RESULT});
    for (unsigned i = 0; i < crew->count && status == 0; i++) {
        if (!crew->members[i].lost)
            status = add_found(crew, &crew->members[i], result);
    }
    return status < 0 ? status : crew->failed;
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
