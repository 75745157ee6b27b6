/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker, from its fork to its end: see crew.c. It is a net of its own on one queue of the device that
 * its coordinator made. What stands on the machine is not its own: it asks the kernel nothing (but by
 * the coordinator), and leaves everything as it is.
 *
 * It gives up what its coordinator still may, if that has given up privileges: it opens and forks
 * nothing. Signals are blocked, so that Ctrl-C, which goes to all processes of a terminal, is the
 * coordinator's to answer.
 */
#include "lib/crew.h"

#include "base/shard.h"
#include "kernel/netns/confine.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TELL_NS  (200 * NS_PER_MS)
#define LEAVE_NS (10 * NS_PER_MS)
enum { KEPT_OWN = 1280 }; /* descriptors of the work's own */

unsigned worker_index(const struct worker *worker)
{
    return worker ? worker->index : 0;
}

uint64_t worker_part(const struct worker *worker, uint64_t number)
{
    const uint64_t index = worker->index, count = worker->crew->count;

    return shard_begin(number, index + 1, count) - shard_begin(number, index, count);
}

static const struct crew_work *work_of(const struct worker *worker)
{
    return worker->crew->work;
}

void worker_say(struct worker *worker, const struct crew_message *message, const void *data,
                size_t len)
{
    if (crew_send(worker->control, message, data, len) < 0)
        _exit(EXIT_FAILURE); /* the coordinator is gone */
}

static void say_word(struct worker *worker, enum crew_word word)
{
    worker_say(worker, &(struct crew_message){.word = word}, NULL, 0);
}

/* ---- figures ---- */

void worker_tell_counts(struct worker *worker)
{
    struct crew_told told;

    memset(&told, 0, sizeof(told));
    if (work_of(worker)->fill)
        work_of(worker)->fill(worker, &told);
    (void)peer_net_get_stats(worker->net, &told.stats);
    told.at_ns = engine_now_ns(worker->net->engine);
    worker_say(worker, &(struct crew_message){.word = CREW_COUNTS}, &told, sizeof(told));
}

/* A coordinator that does not read now hears of it later. */
static void tell_counts_in_time(struct worker *worker)
{
    struct pollfd wanted = {.fd = worker->control, .events = POLLOUT};
    const uint64_t now_ns = engine_now_ns(worker->net->engine);

    if (now_ns < worker->told_ns + TELL_NS || poll(&wanted, 1, 0) <= 0)
        return;
    worker->told_ns = now_ns;
    worker_tell_counts(worker);
}

static void tell_notices(struct worker *worker)
{
    const char *text;

    while ((text = peer_net_pop_notice(worker->net))) {
        struct crew_message message = {.word = CREW_NOTICE};
        (void)snprintf(message.text, sizeof(message.text), "%s", text);
        worker_say(worker, &message, NULL, 0);
    }
}

/* ---- orders ---- */

static void heed_link(struct peer_net *net, const struct crew_message *message)
{
    (void)peer_net_set_link(net, message->link.has_uplink ? message->link.uplink : NULL,
                            message->link.has_downlink ? message->link.downlink : NULL, NULL);
}

/* Of the kernel, and of links; what is left is the work's. */
static void heed_news(struct worker *worker, const struct crew_message *message)
{
    struct peer_net *net = worker->net;

    switch (message->word) {
    case CREW_MTU:
        net->attachment.mtu = message->mtu;
        engine_set_mtu(net->engine, message->mtu);
        break;
    case CREW_MAC:
        net->attachment.local_mac = message->mac;
        engine_set_local_mac(net->engine, &message->mac);
        break;
    case CREW_BAR:
        engine_bar(net->engine, &message->addr);
        break;
    case CREW_ADDRESSES:
        attachment_ask_again(&net->attachment);
        if (net->exec)
            exec_ask_again(net->exec);
        break;
    case CREW_LINK:
        heed_link(net, message);
        break;
    case CREW_PLUG:
        (void)peer_net_unplug(net, &message->addr, message->on);
        break;
    default:
        if (work_of(worker)->heed)
            work_of(worker)->heed(worker, message);
        break;
    }
}

static void heed(struct worker *worker, const struct crew_message *message)
{
    switch (message->word) {
    case CREW_LEAVE:
        worker->leaving = true;
        break;
    case CREW_HEARD:
        worker->net->heard = true;
        break;
    case CREW_END:
        worker->ended = true;
        break;
    default:
        heed_news(worker, message);
    }
}

static void heed_kept(struct worker *worker)
{
    struct crew_message *kept = worker->kept;
    const size_t count = worker->kept_count;

    worker->kept = NULL;
    worker->kept_count = 0;
    for (size_t i = 0; i < count; i++)
        heed(worker, &kept[i]);
    free(kept);
}

/* Without a coordinator nobody is to hear anything more. */
static int look(void *user)
{
    struct worker *worker = user;
    struct crew_message message;
    ssize_t len;

    heed_kept(worker);
    while ((len = crew_receive(worker->control, MSG_DONTWAIT, &message, worker->piece)) >= 0)
        heed(worker, &message);
    if (len != -EAGAIN)
        _exit(EXIT_FAILURE);
    return 0;
}

/* ---- questions ---- */

static void keep(struct worker *worker, const struct crew_message *message)
{
    struct crew_message *more =
        realloc(worker->kept, (worker->kept_count + 1) * sizeof(*worker->kept));

    if (!more)
        _exit(EXIT_FAILURE); /* an order that is lost is worse */
    worker->kept = more;
    worker->kept[worker->kept_count++] = *message;
}

/* What else comes meanwhile waits: who asks is in the middle of something. */
static int ask_local(struct worker *worker, const struct peer_addr *addr)
{
    struct crew_message message = {.word = CREW_IS_LOCAL, .addr = *addr};

    worker_say(worker, &message, NULL, 0);
    for (;;) {
        if (crew_receive(worker->control, 0, &message, worker->piece) < 0)
            _exit(EXIT_FAILURE);
        if (message.word == CREW_LOCAL)
            return message.status;
        keep(worker, &message);
    }
}

int worker_is_local(struct worker *worker, const struct peer_addr *addr)
{
    struct targets *targets = &worker->net->attachment.targets;
    const uint64_t now_ns = engine_now_fresh_ns(worker->net->engine);
    int local = targets_find(targets, addr, now_ns);

    if (local >= 0)
        return local;
    local = ask_local(worker, addr);
    if (local >= 0)
        targets_note(targets, addr, local, now_ns);
    return local;
}

/* ---- becoming one ---- */

/* Its part of the peers, and what is not its own forgotten. */
static int take_part(struct worker *worker, struct peer_error *error)
{
    struct attachment *attachment = &worker->net->attachment;
    const struct crew *crew = worker->crew;
    const uint64_t count = attachment->peers.count;
    const uint64_t first = shard_begin(count, worker->index, crew->count);
    const uint64_t end = shard_begin(count, worker->index + 1, crew->count);

    worker->all = attachment->peers;
    if (addr_set_copy(&worker->all, &attachment->peers) < 0 ||
        addr_set_slice(&attachment->peers, first, end - first) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    if (attachment->neighbours != PEER_NEIGHBOURS_GATEWAY)
        attachment->first_mac = mac_add(attachment->first_mac, first);
    attachment->seed = attach_shard_seed(attachment->seed_told + worker->net->crew_runs - 1,
                                         attachment->shard * crew->count + worker->index);
    attachment->rtnl = NULL;
    attachment->diag = NULL;
    attachment->watch_fd = attachment->guard.fd = attachment->monitor.fd = -1;
    attachment->meters.open = false;
    attachment_open_own_meters(attachment);
    return 0;
}

static void close_others(struct worker *worker, int capture)
{
    struct attachment *attachment = &worker->net->attachment;
    const struct meters *meters = &attachment->meters;
    int kept[PEER_WORKERS_MOST + CPU_GROUPS_MAX + KEPT_OWN + 16];
    size_t count = 0;

    for (int fd = 0; fd <= STDERR_FILENO; fd++) /* or what is opened would be in their place */
        kept[count++] = fd;
    kept[count++] = worker->control;
    kept[count++] = attachment->queues[worker->index];
    kept[count++] = worker->crew->inboxes[worker->index][0];
    for (unsigned i = 0; i < worker->crew->count; i++) {
        worker->others[i] = i == worker->index ? -1 : worker->crew->inboxes[i][1];
        if (i != worker->index)
            kept[count++] = worker->others[i];
    }
    if (capture >= 0)
        kept[count++] = capture;
    if (meters->statm >= 0)
        kept[count++] = meters->statm;
    if (meters->cpu.schedstat >= 0)
        kept[count++] = meters->cpu.schedstat;
    for (int i = 0; i < meters->cpu.group_count; i++)
        kept[count++] = meters->cpu.groups[i];
    if (work_of(worker)->keep)
        count += work_of(worker)->keep(worker, kept + count, KEPT_OWN);
    confine_descriptors(kept, count);
}

static int make_engine(struct worker *worker, struct peer_error *error)
{
    const struct crew *crew = worker->crew;
    const struct device_crew_config device = {.peers = &worker->all,
                                              .member = worker->index,
                                              .members = crew->count,
                                              .inbox = crew->inboxes[worker->index][0],
                                              .others = worker->others,
                                              .shared = crew->shared};

    int status = net_make_worker_engine(worker->net, &device, error);
    if (status == 0)
        status = engine_watch(worker->net->engine, worker->control, look, worker);
    return status;
}

/* The coordinator's filter, if it has one, is wider: it forks, and opens files of /proc. */
static int confine(struct worker *worker, struct peer_error *error)
{
    struct confine confine = worker->net->confined_as;

    if (!worker->net->attachment.confined)
        return 0;
    if (!work_of(worker)->keeps_calls)
        confine.calls = 0;
    confine.capabilities = 0;
    confine.change_user = false;
    int status = confine_process(&confine, error);
    return MIN(status, 0);
}

static int pin(struct worker *worker, struct peer_error *error)
{
    const struct peer_net *net = worker->net;
    const int cpu = net->cpu_count ? net->cpus[worker->index % (unsigned)net->cpu_count] : -1;

    int status = cpu < 0 ? 0 : cpus_pin(cpu);
    if (status < 0)
        return error_set(error, PEER_ERROR_USAGE, -status,
                         "worker %u cannot run on CPU %d (`worker_cpus`): %s", worker->index + 1, cpu,
                         error_text(-status));
    return 0;
}

static int become(struct worker *worker, struct peer_error *error)
{
    struct peer_net *net = worker->net;

    owner_done(net); /* the mark of who has forked it */
    int status = owner_mark(net);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    net->crew = NULL;
    net->worker = worker;
    net->ring = (struct capture_ring){.told = NULL}; /* the coordinator's */
    status = pin(worker, error);
    if (status == 0)
        status = take_part(worker, error);
    if (status < 0)
        return status;
    close_others(worker, engine_capture_fd(net->engine));
    status = make_engine(worker, error);
    if (status == 0 && work_of(worker)->prepare)
        status = work_of(worker)->prepare(worker, error);
    return status < 0 ? status : confine(worker, error);
}

static int begin(struct worker *worker, struct peer_error *error)
{
    struct peer_net *net = worker->net;
    struct crew_message go;
    int status = 0;

    if (crew_receive(worker->control, 0, &go, worker->piece) < 0 || go.word != CREW_GO)
        _exit(EXIT_FAILURE);
    while (engine_now_fresh_ns(net->engine) < go.start_ns && status >= 0)
        status = engine_wait(net->engine, NULL, 0, go.start_ns - engine_now_ns(net->engine));
    return work_of(worker)->begin ? work_of(worker)->begin(worker, &go, error) : 0;
}

/* ---- its life ---- */

static void tell_state(struct worker *worker)
{
    if (worker->kept_count)
        heed_kept(worker);
    tell_notices(worker);
    if (work_of(worker)->turned)
        work_of(worker)->turned(worker);
    if (worker->leaving && !worker->closed && work_of(worker)->leave)
        work_of(worker)->leave(worker);
    worker->closed = worker->leaving;
    if (worker->leaving && !worker->left && peer_net_leave(worker->net) == 1) {
        worker->left = true;
        say_word(worker, CREW_LEFT);
    }
    tell_counts_in_time(worker);
}

/* Its engine has nothing more to work on. */
static void await_end(struct worker *worker, int status)
{
    struct pollfd wanted = {.fd = worker->control, .events = POLLIN};

    tell_notices(worker);
    worker_say(worker, &(struct crew_message){.word = CREW_GONE, .status = status}, NULL, 0);
    while (!worker->ended) {
        if (poll(&wanted, 1, -1) > 0)
            (void)look(worker);
    }
}

static int wait_for_something(struct worker *worker)
{
    const uint64_t wait_ns = worker->leaving && !worker->left ? LEAVE_NS : TELL_NS;

    if (work_of(worker)->wait && !worker->closed)
        return work_of(worker)->wait(worker, wait_ns);
    return peer_net_wait(worker->net, wait_ns);
}

static void live(struct worker *worker)
{
    while (!worker->ended) {
        int status = wait_for_something(worker);
        if (status < 0 && status != -EINTR)
            await_end(worker, status);
        else
            tell_state(worker);
    }
}

/* What is open is reset; the frames of that are in the capture, and its counts are the last word. */
static void end(struct worker *worker)
{
    struct peer_net *net = worker->net;

    if (work_of(worker)->end)
        work_of(worker)->end(worker);
    engine_reset_flows(net->engine, true);
    engine_end_capture(net->engine);
    worker_tell_counts(worker);
    net->engine = engine_free(net->engine);
}

void worker_run(struct crew *crew, unsigned index, int control)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    struct crew_message failed = {.word = CREW_FAILED};

    if (!worker)
        _exit(EXIT_FAILURE);
    worker->crew = crew;
    worker->net = crew->net;
    worker->index = index;
    worker->control = control;
    (void)prctl(PR_SET_NAME, "peer-worker");
    int status = become(worker, &failed.error);
    if (status == 0) {
        say_word(worker, CREW_READY);
        status = begin(worker, &failed.error);
    }
    if (status < 0) {
        failed.status = status;
        worker_say(worker, &failed, NULL, 0);
        _exit(EXIT_FAILURE);
    }
    say_word(worker, CREW_STARTED);
    live(worker);
    end(worker);
    _exit(EXIT_SUCCESS);
}
