/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker of a soak, from its fork to its end: see crew.c. It is a net of its own on one queue of the
 * device that its coordinator made. What stands on the machine is not its own: it asks the kernel
 * nothing, and leaves everything as it is.
 *
 * It gives up what its coordinator still may, if that has given up privileges: it opens and forks
 * nothing. Signals are blocked, so that Ctrl-C, which goes to all processes of a terminal, is the
 * coordinator's to answer.
 */
#include "lib/crew.h"

#include "base/shard.h"
#include "kernel/netns/confine.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TELL_NS  (200 * NS_PER_MS)
#define LEAVE_NS (10 * NS_PER_MS)

struct worker {
    struct crew *crew;
    struct peer_net *net;
    struct peer_soak *soak; /* NULL: not begun */
    unsigned index;
    int control;
    struct addr_set all; /* peers, of all workers */
    int others[PEER_WORKERS_MOST];
    bool leaving, over, left, ended;
    uint64_t told_ns;
    uint8_t piece[CREW_PIECE];
};

unsigned worker_index(const struct worker *worker)
{
    return worker ? worker->index : 0;
}

static void say(struct worker *worker, const struct crew_message *message, const void *data,
                size_t len)
{
    if (crew_send(worker->control, message, data, len) < 0)
        _exit(EXIT_FAILURE); /* the coordinator is gone */
}

static void say_word(struct worker *worker, enum crew_word word)
{
    say(worker, &(struct crew_message){.word = word}, NULL, 0);
}

void worker_tell_measured(struct worker *worker, bool begins)
{
    say(worker, &(struct crew_message){.word = CREW_MEASURED, .on = begins}, NULL, 0);
}

/* ---- figures ---- */

static void tell_counts(struct worker *worker)
{
    struct crew_told told;

    memset(&told, 0, sizeof(told));
    if (worker->soak)
        peer_soak_get_state(worker->soak, &told.state);
    (void)peer_net_get_stats(worker->net, &told.stats);
    told.at_ns = engine_now_ns(worker->net->engine);
    say(worker, &(struct crew_message){.word = CREW_COUNTS}, &told, sizeof(told));
}

/* A coordinator that does not read now hears of it later. */
static void tell_counts_in_time(struct worker *worker)
{
    struct pollfd wanted = {.fd = worker->control, .events = POLLOUT};
    const uint64_t now_ns = engine_now_ns(worker->net->engine);

    if (now_ns < worker->told_ns + TELL_NS || poll(&wanted, 1, 0) <= 0)
        return;
    worker->told_ns = now_ns;
    tell_counts(worker);
}

static void tell_intervals(struct worker *worker)
{
    struct result_interval interval;

    while (soak_take_interval(worker->soak, &interval)) {
        uint8_t *bytes = NULL;
        size_t len = 0;
        if (result_interval_pack(&interval, &bytes, &len) == 0 && len <= CREW_PIECE)
            say(worker, &(struct crew_message){.word = CREW_INTERVAL}, bytes, len);
        free(bytes);
        result_interval_done(&interval);
    }
}

static int pack_result(struct worker *worker, uint8_t **ret_bytes, size_t *ret_len)
{
    struct result result;
    int status = result_init(&result);

    if (status == 0)
        status = soak_fill_result(worker->soak, &result);
    if (status == 0)
        status = result_pack(&result, ret_bytes, ret_len);
    result_done(&result);
    return status;
}

static void tell_result(struct worker *worker)
{
    struct crew_message message = {.word = CREW_FOUND};
    uint8_t *bytes = NULL;
    size_t len = 0;

    tell_counts(worker);
    if (pack_result(worker, &bytes, &len) < 0)
        len = 0; /* which is no result, and so it is taken */
    for (size_t at = 0; at < len || at == 0; at += CREW_PIECE) {
        const size_t piece = MIN(len - at, (size_t)CREW_PIECE);
        message.on = at + piece < len;
        say(worker, &message, bytes ? bytes + at : NULL, piece);
    }
    free(bytes);
}

/* ---- orders ---- */

static void heed_link(struct peer_net *net, const struct crew_message *message)
{
    (void)peer_net_set_link(net, message->link.has_uplink ? message->link.uplink : NULL,
                            message->link.has_downlink ? message->link.downlink : NULL, NULL);
}

/* What is asked of the soak: done, or why not. */
static void steer(struct worker *worker, const struct crew_message *message)
{
    struct crew_message answer = {.word = CREW_DONE};
    struct soak *run = worker->soak->run;

    engine_now_fresh_ns(worker->net->engine);
    if (message->word == CREW_RATE)
        answer.status = soak_set_rate(run, message->rate, &answer.error);
    else if (message->word == CREW_PAUSE)
        answer.status = soak_pause(run, &answer.error);
    else if (message->word == CREW_RESUME)
        answer.status = soak_go_on(run, &answer.error);
    else
        answer.status = soak_set_manners(run, *message->text ? message->text : NULL, &answer.error);
    if (answer.status < 0)
        answer.word = CREW_FAILED;
    engine_touch(worker->net->engine, false);
    say(worker, &answer, NULL, 0);
}

/* Of the kernel, and of links. */
static void heed_news(struct peer_net *net, const struct crew_message *message)
{
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
    case CREW_LINK:
        heed_link(net, message);
        break;
    case CREW_PLUG:
        (void)peer_net_unplug(net, &message->addr, message->on);
        break;
    default:
        break;
    }
}

static void heed(struct worker *worker, const struct crew_message *message)
{
    switch (message->word) {
    case CREW_STOP:
        if (worker->soak)
            peer_soak_stop(worker->soak, message->grace_ns);
        break;
    case CREW_LEAVE:
        worker->leaving = true;
        break;
    case CREW_HEARD:
        worker->net->heard = true;
        break;
    case CREW_RESULT:
        tell_result(worker);
        break;
    case CREW_END:
        worker->ended = true;
        break;
    case CREW_RATE:
    case CREW_PAUSE:
    case CREW_RESUME:
    case CREW_MANNERS:
        steer(worker, message);
        break;
    default:
        heed_news(worker->net, message);
    }
}

/* Without a coordinator nobody is to hear anything more. */
static int look(void *user)
{
    struct worker *worker = user;
    struct crew_message message;
    ssize_t len;

    while ((len = crew_receive(worker->control, MSG_DONTWAIT, &message, worker->piece)) >= 0)
        heed(worker, &message);
    if (len != -EAGAIN)
        _exit(EXIT_FAILURE);
    return 0;
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
    int kept[PEER_WORKERS_MOST + CPU_GROUPS_MAX + 16];
    size_t count = 0;

    kept[count++] = STDERR_FILENO; /* of sanitizers, and of who dies */
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
    return status < 0 ? status : confine(worker, error);
}

/* Its part of the numbers; rates are cut too, and phases see to it that all together are even. */
static void cut(const struct worker *worker, struct peer_soak_config *config)
{
    const uint64_t index = worker->index, count = worker->crew->count;

    config->watch = NULL; /* the coordinator's */
    config->journal = NULL;
    config->flows = shard_begin(config->flows, index + 1, count) -
                    shard_begin(config->flows, index, count);
    config->touch = shard_begin(config->touch, index + 1, count) -
                    shard_begin(config->touch, index, count);
    config->total = shard_turns(config->total, index, count);
    config->rate /= (double)count;
    config->connect_rate /= (double)count;
}

static int begin(struct worker *worker, struct peer_error *error)
{
    struct peer_net *net = worker->net;
    struct peer_soak_config config = worker->crew->config;
    struct crew_message go;
    int status = 0;

    if (crew_receive(worker->control, 0, &go, worker->piece) < 0 || go.word != CREW_GO)
        _exit(EXIT_FAILURE);
    while (engine_now_fresh_ns(net->engine) < go.start_ns && status >= 0)
        status = engine_wait(net->engine, NULL, 0, go.start_ns - engine_now_ns(net->engine));
    cut(worker, &config);
    const struct soak_part part = {go.start_ns, go.wall_ns, worker,
                                   MAX(worker->crew->config.flows, UINT64_C(1))};
    return soak_start_part(net, &config, &part, &worker->soak, error);
}

/* ---- its life ---- */

static void tell_state(struct worker *worker)
{
    tell_intervals(worker);
    if (!worker->over && peer_soak_is_over(worker->soak)) {
        worker->over = true;
        tell_counts(worker);
        say_word(worker, CREW_OVER);
    }
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

    say(worker, &(struct crew_message){.word = CREW_GONE, .status = status}, NULL, 0);
    while (!worker->ended) {
        if (poll(&wanted, 1, -1) > 0)
            (void)look(worker);
    }
}

static void live(struct worker *worker)
{
    while (!worker->ended) {
        const uint64_t wait_ns = worker->leaving && !worker->left ? LEAVE_NS : TELL_NS;
        int status = peer_net_wait(worker->net, wait_ns);
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

    worker->soak = peer_soak_free(worker->soak);
    engine_reset_flows(net->engine, true);
    engine_end_capture(net->engine);
    tell_counts(worker);
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
        say(worker, &failed, NULL, 0);
        _exit(EXIT_FAILURE);
    }
    say_word(worker, CREW_STARTED);
    live(worker);
    end(worker);
    _exit(EXIT_SUCCESS);
}
