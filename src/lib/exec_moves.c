/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What moves the packets of programs (src/exec/exec.h), joined to a net: in this process, or by workers,
 * who are forked before the first program starts. Each has all programs' devices to write to; who reads
 * which, and how flows are shared, src/exec/crew.c says.
 */
#include "lib/execs.h"

#include "kernel/netns/child.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- targets ---- */

static bool on_allowed(void *user, const struct peer_addr *to)
{
    struct peer_exec *exec = user;

    return exec->net->forwards || peer_net_is_local(exec->net, to) > 0;
}

/* Of workers each has its part of the lines. */
static unsigned refusals_told(const struct peer_exec *exec)
{
    const unsigned workers = MAX(exec->net->workers, 1u);

    return MAX(REFUSALS_TOLD / workers, 1u);
}

static void on_refused(void *user, unsigned side, const struct peer_addr *to)
{
    struct peer_exec *exec = user;
    char text[PEER_ADDR_TEXT];

    (void)side;
    for (unsigned i = 0; i < exec->told_count; i++) {
        if (peer_addr_equal(&exec->told[i], to))
            return;
    }
    if (exec->told_count == refusals_told(exec))
        return;
    exec->told[exec->told_count++] = *to;
    notice_add(exec->net, "%s is no address of this machine: prohibited%s",
               peer_addr_format(to, text),
               exec->told_count == refusals_told(exec) ? " (and no more of these lines)" : "");
}

/* When it begins; how much it came to is in the figures. */
static void on_crowded(void *user, int status)
{
    struct peer_exec *exec = user;
    bool *told = status == -ENOSPC ? &exec->told_full : &exec->told_ports;

    if (!*told)
        notice_add(exec->net, "%s: the program's new connections are not carried until others end",
                   status == -ENOSPC ? "there are as many connections at once as may be"
                                     : "a peer has no port left towards a target");
    *told = true;
}

/* ---- what moves packets ---- */

static int open_device(struct peer_exec *exec, const struct place *place,
                       struct device **ret_device)
{
    const struct device_tun_config tun = {
        .fd = place->tun_fd,
        .layer = FRAME_IP,
        .name = "peer0",
        .mtu = exec->net->attachment.mtu,
        .offload_tcp = place->offload_tcp,
        .offload_udp = place->offload_udp,
    };

    return device_tun_new(&tun, ret_device);
}

static int open_devices(struct peer_exec *exec, struct device **devices)
{
    int status = 0;
    unsigned made = 0;

    while (made < exec->copy_count && status == 0) {
        status = open_device(exec, &exec->copies[made].place, &devices[made]);
        made += status == 0;
    }
    while (status < 0 && made > 0)
        device_free(devices[--made]);
    return status;
}

static int start_moving(struct peer_exec *exec, const struct exec_crew *crew, uint64_t max_flows,
                        struct peer_error *error)
{
    static const enum rewrite_spread spreads[] = {
        [PEER_SPREAD_CONNECTION] = REWRITE_CONNECTION,
        [PEER_SPREAD_DESTINATION] = REWRITE_DESTINATION,
        [PEER_SPREAD_RUN] = REWRITE_RUN,
    };
    const struct attachment *attachment = &exec->net->attachment;
    struct device **devices = calloc(exec->copy_count, sizeof(struct device *));
    const struct exec_config moves = {.crew = *crew,
                                      .engine = exec->net->engine,
                                      .peers = &attachment->peers,
                                      .first_mac = attachment->first_mac,
                                      .devices = devices,
                                      .side_count = exec->copy_count,
                                      .spread = spreads[exec->spread],
                                      .seed = attachment->seed,
                                      .max_flows = max_flows,
                                      .localhost = exec->localhost,
                                      .manners = exec->specs,
                                      .manner_count = exec->spec_count,
                                      .roam_ns = exec->roam_ns,
                                      .allowed = on_allowed,
                                      .refused = on_refused,
                                      .crowded = on_crowded,
                                      .user = exec};

    int status = devices ? open_devices(exec, devices) : -ENOMEM;
    if (status == 0)
        status = exec_new(&moves, &exec->moves);
    free(devices);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot move the program's packets: %s", error_text(-status));
    return 0;
}

int exec_start_moving(struct peer_exec *exec, struct peer_error *error)
{
    static const struct exec_crew alone;

    int status = start_moving(exec, &alone, exec->max_flows, error);
    if (status == 0)
        exec->net->exec = exec->moves;
    return status;
}

/* ---- by workers: in one ---- */

static struct peer_exec *exec_of(const struct worker *worker)
{
    return worker->crew->data;
}

static size_t keep(struct worker *worker, int *fds, size_t room)
{
    const struct peer_exec *exec = exec_of(worker);
    size_t count = 0;

    for (unsigned i = 0; i < exec->copy_count && count < room; i++)
        fds[count++] = exec->copies[i].place.tun_fd;
    for (unsigned i = 0; i < worker->crew->count && count < room; i++)
        fds[count++] = exec->inboxes[i][i == worker->index ? 0 : 1];
    return count;
}

static int prepare(struct worker *worker, struct peer_error *error)
{
    struct peer_exec *exec = exec_of(worker);
    int *others = calloc(worker->crew->count, sizeof(*others));
    const struct exec_crew crew = {.all = &worker->all,
                                   .member = worker->index,
                                   .members = worker->crew->count,
                                   .inbox = exec->inboxes[worker->index][0],
                                   .others = others,
                                   .secret = worker->net->attachment.seed_told};

    if (!others)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    for (unsigned i = 0; i < worker->crew->count; i++)
        others[i] = exec->inboxes[i][1];
    worker->data = others; /* for as long as it lives */
    int status = start_moving(exec, &crew, worker_part(worker, exec->max_flows), error);
    worker->net->exec = exec->moves;
    return status;
}

static void fill(struct worker *worker, struct crew_told *told)
{
    const struct peer_exec *exec = exec_of(worker);

    if (!exec->moves)
        return;
    exec_get_stats(exec->moves, &told->exec.stats);
    exec_get_unfinished(exec->moves, &told->exec.unfinished);
}

static void heed(struct worker *worker, const struct crew_message *message)
{
    if (message->word != CREW_TELL)
        return;
    worker_tell_counts(worker);
    worker_say(worker, &(struct crew_message){.word = CREW_DONE}, NULL, 0);
}

static void end(struct worker *worker)
{
    struct peer_exec *exec = exec_of(worker);

    worker->net->exec = NULL;
    exec->moves = exec_free(exec->moves);
}

/* ---- and in the process that has them ---- */

static const struct crew_work exec_work = {
    .keep = keep, .prepare = prepare, .fill = fill, .heed = heed, .end = end};

static bool roams(const struct peer_exec_config *config, const struct manner_spec *specs, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(specs[i].manner->name, "roam") == 0)
            return true;
    }
    return config->roam_ns > 0;
}

int exec_check_workers(const struct peer_net *net, const struct peer_exec_config *config,
                       const struct manner_spec *specs, int spec_count, struct peer_error *error)
{
    if (net->worker)
        return net_check_alone(net, "programs", error);
    if (net->crew)
        return error_set(error, PEER_ERROR_USAGE, EBUSY,
                         "the workers of this net are at work already; they do one thing at a time");
    if (config->spread == PEER_SPREAD_RUN)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a program that is one peer is one worker's: no `workers` then");
    if (config->max_flows && config->max_flows < net->workers)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%llu flows (`max_flows`) cannot be shared by %u workers: ask for more, or "
                         "take fewer `workers`",
                         (unsigned long long)config->max_flows, net->workers);
    if (roams(config, specs, spec_count))
        return exec_crew_check_roaming(&net->attachment.peers, MAX(config->copies, 1u),
                                       net->workers, error);
    return 0;
}

static void close_inboxes(struct peer_exec *exec, unsigned count)
{
    for (unsigned i = 0; exec->inboxes && i < count; i++) {
        (void)close(exec->inboxes[i][0]);
        (void)close(exec->inboxes[i][1]);
    }
    free(exec->inboxes);
    exec->inboxes = NULL;
}

int exec_start_workers(struct peer_exec *exec, struct peer_error *error)
{
    struct peer_net *net = exec->net;
    unsigned made = 0;
    int status = 0;

    exec->inboxes = calloc(net->workers, sizeof(*exec->inboxes));
    if (!exec->inboxes)
        status = -ENOMEM;
    while (made < net->workers && status == 0) {
        status = child_pair(exec->inboxes[made]);
        made += status == 0;
    }
    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, -status, "cannot start the workers: %s",
                        error_text(-status));
    else
        status = crew_start(net, &exec_work, exec, error);
    close_inboxes(exec, made);
    return status;
}

/* ---- figures ---- */

static void add(struct exec_stats *into, const struct exec_stats *from)
{
    into->peers += from->peers;
    into->prohibited += from->prohibited;
    into->begun += from->begun;
    into->send_drops += from->send_drops;
    into->passed += from->passed;
    into->flows.flows += from->flows.flows;
    into->flows.tcp_flows += from->flows.tcp_flows;
    into->flows.udp_flows += from->flows.udp_flows;
    into->flows.echo_flows += from->flows.echo_flows;
    into->flows.packets_out += from->flows.packets_out;
    into->flows.bytes_out += from->flows.bytes_out;
    into->flows.packets_in += from->flows.packets_in;
    into->flows.bytes_in += from->flows.bytes_in;
    into->flows.full += from->flows.full;
    into->flows.no_port += from->flows.no_port;
    into->flows.unsupported += from->flows.unsupported;
    into->flows.roamed += from->flows.roamed;
}

void exec_get_told(const struct peer_exec *exec, struct exec_stats *ret_stats,
                   struct exec_unfinished *ret_unfinished)
{
    struct crew *crew = exec->net->crew;

    *ret_stats = (struct exec_stats){.peers = 0};
    *ret_unfinished = (struct exec_unfinished){.flows = 0};
    if (exec->moves) {
        exec_get_stats(exec->moves, ret_stats);
        exec_get_unfinished(exec->moves, ret_unfinished);
        return;
    }
    if (!crew)
        return;
    (void)crew_order(crew, &(struct crew_message){.word = CREW_TELL}, NULL);
    for (unsigned i = 0; i < crew->count; i++) {
        const struct crew_told *told = &crew->members[i].told;
        add(ret_stats, &told->exec.stats);
        ret_unfinished->flows += told->exec.unfinished.flows;
        ret_unfinished->packets += told->exec.unfinished.packets;
    }
}
