/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Soaks as callers of the library hold them: the run itself is src/soak; here it is joined with
 * what the local kernel counted meanwhile, and with what it cost this process.
 */
#include "lib/soak_crew.h"
#include "lib/soaks.h"

#include "base/macro.h"
#include "base/shard.h"
#include "lib/application.h"
#include "lib/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { INTERVALS_MOST = 2048 };
/* The application is looked at no more often, and a sample waited for no longer. */
enum { LOOK_LAST_MS = 200 };
#define LOOK_NS         (90 * NS_PER_MS)
#define LOOK_LONGEST_NS (500 * NS_PER_MS)

/* ---- what there is ---- */

int peer_protocol_sized(size_t index, struct peer_protocol *ret_protocol, size_t size)
{
    const struct protocol *protocol = protocol_at(index);

    if (!protocol)
        return 0;
    const struct peer_protocol found = {
        .name = protocol->name,
        .about = protocol_about(index),
        .scheme = protocol->scheme,
        .port = protocol->port,
        .tls_scheme = protocol->tls_scheme,
        .tls_port = protocol->tls_port,
        .tcp = protocol->tcp,
        .udp = protocol->udp,
        .asks = protocol->tcp && protocol->tcp->kind == PROTOCOL_ASKS,
        .has_path = protocol->takes & PROTOCOL_TAKES_PATH,
        .datagrams = protocol->datagrams,
        .has_expect = protocol->takes & PROTOCOL_TAKES_EXPECT,
        .has_queries = protocol->takes & PROTOCOL_TAKES_QUERIES,
        .has_headers = protocol->takes & PROTOCOL_TAKES_HEADERS,
        .has_body = protocol->takes & PROTOCOL_TAKES_BODY,
        .has_streams = protocol->takes & PROTOCOL_TAKES_STREAMS,
        .has_login = protocol->takes & PROTOCOL_TAKES_LOGIN,
        .has_pipeline = protocol->takes & PROTOCOL_TAKES_PIPELINE,
        .has_follow = protocol->takes & PROTOCOL_TAKES_FOLLOW,
        .has_targets = protocol->takes & PROTOCOL_TAKES_TARGETS,
        .has_text = protocol->takes & PROTOCOL_TAKES_TEXT,
        .has_frames = protocol->takes & PROTOCOL_TAKES_FRAMES,
        .has_messages = protocol->takes & PROTOCOL_TAKES_MESSAGES,
        .has_hold = protocol->held,
    };
    border_give(ret_protocol, size, &found, sizeof(found));
    return 1;
}

/* ---- the kernel's counters ---- */

static const struct {
    const char *group, *name;
    size_t offset;
} counters[] = {
    {"TcpExt", "ListenOverflows", offsetof(struct counted, local.listen_overflows)},
    {"TcpExt", "ListenDrops", offsetof(struct counted, local.listen_drops)},
    {"TcpExt", "SyncookiesSent", offsetof(struct counted, local.syn_cookies)},
    {"TcpExt", "TCPReqQFullDrop", offsetof(struct counted, local.request_queue_drops)},
    {"TcpExt", "TCPAbortOnOverflow", offsetof(struct counted, local.overflow_aborts)},
    {"TcpExt", "TCPSynRetrans", offsetof(struct counted, syn_retransmits)},
    {"Udp", "RcvbufErrors", offsetof(struct counted, local.udp_receive_errors)},
    {"Tcp", "RetransSegs", offsetof(struct counted, local.retransmits)},
};

static void read_counters(const struct counters *files, struct counted *counted)
{
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
        (void)counters_read(files, counters[i].group, counters[i].name,
                            (uint64_t *)(void *)((char *)counted + counters[i].offset));
    (void)counters_read_number(files, COUNTERS_CONNTRACK_COUNT, &counted->local.conntrack_count);
    (void)counters_read_number(files, COUNTERS_CONNTRACK_MAX, &counted->local.conntrack_max);
}

static int add_drops(void *user, const struct diag_socket *socket)
{
    struct counted *counted = user;

    counted->local.listener_drops += socket->drops;
    return 0;
}

/* Totals as they are now, of those who are called at a port; what cannot be read stays 0. */
static void read_local(struct attachment *attachment, uint8_t protocol, uint16_t port,
                       struct counted *counted)
{
    memset(counted, 0, sizeof(*counted));
    read_counters(&attachment->meters.counters, counted);
    (void)diag_listeners(attachment->diag, protocol, port, add_drops, counted, NULL);
    counted->local.device_drops = attachment_drops(attachment);
}

static uint64_t since(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0; /* a listener may have been replaced */
}

/* A listener's drops are also the resets that take handshakes back at the end of a run, and what
   came for those: only as many as were dropped for want of room are losses. A SYN-ACK that was sent
   again is none. */
void soak_read_local(const struct peer_soak *soak, struct peer_soak_local *ret_local)
{
    const struct peer_soak_local *before = &soak->before.local;
    struct counted counted;

    read_local(&soak->net->attachment, soak->protocol, soak->port, &counted);
    const struct peer_soak_local *now = &counted.local;
    uint64_t dropped = since(now->listener_drops, before->listener_drops);
    uint64_t listen_drops = since(now->listen_drops, before->listen_drops);
    uint64_t syns = since(counted.syn_retransmits, soak->before.syn_retransmits);
    *ret_local = (struct peer_soak_local){
        .listen_overflows = since(now->listen_overflows, before->listen_overflows),
        .listen_drops = listen_drops,
        .listener_drops = soak->protocol == IPPROTO_UDP ? dropped : MIN(dropped, listen_drops),
        .udp_receive_errors = since(now->udp_receive_errors, before->udp_receive_errors),
        .retransmits = since(since(now->retransmits, before->retransmits), syns),
        .syn_cookies = since(now->syn_cookies, before->syn_cookies),
        .request_queue_drops = since(now->request_queue_drops, before->request_queue_drops),
        .overflow_aborts = since(now->overflow_aborts, before->overflow_aborts),
        .device_drops = since(now->device_drops, before->device_drops),
        .conntrack_count = now->conntrack_count,
        .conntrack_max = now->conntrack_max,
    };
}

/* ---- this process ---- */

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static uint64_t spun_ns(const struct peer_net *net)
{
    struct engine_stats stats;

    engine_get_stats(net->engine, &stats);
    return stats.spun_ns;
}

static void read_cost(const struct peer_net *net, struct cost *cost)
{
    getrusage(RUSAGE_SELF, &cost->usage);
    cpu_wait_read(&net->attachment.meters.cpu, &cost->wait);
    cost->spun_ns = spun_ns(net);
}

static void report_cost(const struct peer_soak *soak, struct result *result)
{
    const struct cost *before = &soak->cost_before;
    struct cost now = soak->cost_after;

    if (!soak->run || !soak_is_measured(soak->run))
        read_cost(soak->net, &now);
    result->cpu_user_s += seconds(&now.usage.ru_utime) - seconds(&before->usage.ru_utime);
    result->cpu_sys_s += seconds(&now.usage.ru_stime) - seconds(&before->usage.ru_stime);
    result->cpu_spin_s += (double)(now.spun_ns - before->spun_ns) / 1e9;
    result->cpu_waited_s += (double)since(now.wait.waited_ns, before->wait.waited_ns) / 1e9;
    if (result->cpu_throttled_s <= 0) /* a group's: all are in it */
        result->cpu_throttled_s =
            (double)since(now.wait.throttled_ns, before->wait.throttled_ns) / 1e9;
    result->rss_bytes += meters_resident_bytes(&soak->net->attachment.meters);
}

static void report_sent(const struct peer_soak *soak, struct result *result)
{
    struct stack_stats now;

    flows_get_stats(engine_flows(soak->net->engine), &now);
    result->syn_retransmits = now.syn_retransmits - soak->sent_before.syn_retransmits;
    result->syn_repeated = now.syn_repeated - soak->sent_before.syn_repeated;
    result->ecn_connections = now.ecn - soak->sent_before.ecn;
    result->ecn_marked = now.ecn_marked - soak->sent_before.ecn_marked;
    result->ecn_reduced = now.ecn_reduced - soak->sent_before.ecn_reduced;
    result->retransmits = now.retransmits - soak->sent_before.retransmits - result->syn_retransmits;
}

static void report_net(const struct peer_soak *soak, struct result *result)
{
    struct peer_net_stats stats;

    if (peer_net_get_stats(soak->net, &stats) < 0)
        return;
    result->limits = stats.limits;
    result->uplink = stats.uplink;
    result->downlink = stats.downlink;
}

/* Who this is, to those who read the result elsewhere. */
static void describe(struct peer_soak *soak, const struct peer_soak_config *config,
                     const char *protocol)
{
    const struct attachment *attachment = &soak->net->attachment;
    struct result_part *part = &soak->part;
    char target[PEER_ENDPOINT_TEXT];

    *part = (struct result_part){
        .version = PEER_VERSION,
        .peer_count = attachment->peers.count,
        .flows = MAX(config->flows, UINT64_C(1)),
        .seed = attachment->seed_told,
        .shard = attachment->shard,
        .shards = attachment->shards > 1 ? attachment->shards : 0,
        .workers = soak->worker ? 0 : soak->net->workers,
        .interval_ns = config->interval_ns ? config->interval_ns : NS_PER_S,
    };
    (void)gethostname(part->host, sizeof(part->host) - 1);
    (void)snprintf(part->protocol, sizeof(part->protocol), "%s", protocol);
    (void)snprintf(part->target, sizeof(part->target), "%s",
                   peer_endpoint_format(&config->to, config->to_port, target));
    addr_set_format(&attachment->peers, part->peers, sizeof(part->peers));
}

static void begin_measuring(struct peer_soak *soak)
{
    soak->warming = false;
    if (soak->holds)
        result_interval_done(&soak->held);
    soak->holds = false;
    soak->part.started_ns = engine_wall_ns(soak->net->engine);
    if (!soak->worker)
        read_local(&soak->net->attachment, soak->protocol, soak->port, &soak->before);
    flows_get_stats(engine_flows(soak->net->engine), &soak->sent_before);
    read_cost(soak->net, &soak->cost_before);
    if (soak->watch)
        (void)application_ask(soak->watch); /* from which its processor time counts */
}

/* Kernel counters go on to the end of the stragglers; to read them takes long enough to be seen in
   latencies, but when measuring begins no request is under way that counts. */
static void on_measured(void *user, bool begins)
{
    struct peer_soak *soak = user;

    if (begins)
        begin_measuring(soak);
    else
        read_cost(soak->net, &soak->cost_after);
    if (soak->worker)
        soak_worker_tell_measured(soak->worker, begins);
}

void soak_is_being_measured(struct peer_soak *soak, bool begins)
{
    if (begins)
        begin_measuring(soak);
}

/* ---- what waits for the end of a hook ---- */

static struct timers *timers_of(const struct peer_soak *soak)
{
    return engine_flows(soak->net->engine)->timers;
}

/* A timer's turn comes with no hook under way. */
static void wait_for_hook(struct peer_soak *soak)
{
    (void)timer_arm(timers_of(soak), &soak->later, engine_now_ns(soak->net->engine));
}

static void bury(struct peer_soak *soak)
{
    timer_cancel(timers_of(soak), &soak->later);
    if (!soak->run && net_is_ours(soak->net))
        crew_end(soak->net);
    soak_free(soak->run);
    if (soak->holds)
        result_interval_done(&soak->held);
    result_done(&soak->series);
    free(soak);
}

void soaks_bury(struct peer_net *net)
{
    for (struct peer_soak *soak; (soak = net->doomed);) {
        net->doomed = soak->next;
        bury(soak);
    }
}

static void do_later(struct timer *timer, uint64_t now_ns)
{
    struct peer_soak *soak = list_entry(timer, struct peer_soak, later);

    (void)now_ns;
    if (soak->frees)
        soaks_bury(soak->net);
    else if (soak->stops)
        soak_stop(soak->run, soak->grace_ns);
}

/* ---- the run ---- */

static int check_manners(struct peer_net *net, const struct peer_soak_config *config,
                         struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];
    int count = manners_read(net, config->manners, config->udp, PEER_MANNER_SOAK, specs, error);

    if (count > 0 && manners_check_tls(specs, count, config->tls, error) < 0)
        return -EINVAL;
    if (count < 0 || net->worker) /* the coordinator has asked the kernel */
        return MIN(count, 0);
    return manners_check_target(net, specs, count, &config->to, error);
}

/* ---- its part, where there are several ---- */

static int cut(uint64_t *number, const char *what, const struct attachment *attachment,
               struct peer_error *error)
{
    const uint64_t shard = attachment->shard, shards = attachment->shards;

    if (*number && *number < shards)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "%llu %s%s cannot be shared by %llu shards",
                         (unsigned long long)*number, what, *number == 1 ? "" : "s", (unsigned long long)shards);
    *number = shard_begin(*number, shard + 1, shards) - shard_begin(*number, shard, shards);
    return 0;
}

static int take_part(const struct attachment *attachment, struct peer_soak_config *config,
                     struct peer_error *error)
{
    if (attachment->shards <= 1)
        return 0;
    config->flows = MAX(config->flows, UINT64_C(1));
    int status = cut(&config->flows, "flow", attachment, error);
    if (status == 0)
        status = cut(&config->total, "request", attachment, error);
    if (status == 0)
        status = cut(&config->touch, "message", attachment, error);
    config->rate /= (double)attachment->shards;
    config->connect_rate /= (double)attachment->shards;
    return status;
}

/* ---- what it has found ---- */

uint64_t soak_measured_from_ns(const struct peer_soak *soak)
{
    struct soak_state state;

    if (!soak->run)
        return soak->net->crew ? soak_crew_of(soak->net->crew)->measured_ns : 0;
    soak_get_state(soak->run, &state);
    return state.start_ns;
}

/* Told by the clock of the measured time. */
static int copy_changes(const struct peer_soak *soak, struct result *result)
{
    const uint64_t start_ns = soak_measured_from_ns(soak);
    int status = 0;

    for (size_t i = 0; i < soak->series.change_count && status == 0; i++) {
        struct result_change change = soak->series.changes[i];
        change.at_ns -= (int64_t)start_ns;
        status = result_add_change(result, &change);
    }
    return status;
}

/* Theirs becomes one: whose they are is no matter any more, and the rate was asked of all. (Where it
   was changed it is a mean already, and where one is lost it is what was asked of the others.) */
static int fill_by_workers(struct peer_soak *soak, struct result *result)
{
    struct crew *crew = soak->net->crew;
    int status = crew ? soak_crew_get_result(crew, result) : -EPIPE;

    free(result->parts);
    result->parts = NULL;
    result->part_count = 0;
    soak->part.workers_lost = crew ? crew->lost : 0;
    if (result->asked_rate > 0 && !soak->series.change_count && !soak->part.workers_lost)
        result->asked_rate = soak->asked_rate;
    return status;
}

static int fill_by_run(struct peer_soak *soak, struct result *result)
{
    int status = soak_get_result(soak->run, engine_now_ns(soak->net->engine), result);

    report_sent(soak, result);
    report_net(soak, result);
    return status;
}

/* All but the intervals. */
static int fill_figures(struct peer_soak *soak, struct result *result)
{
    int status = soak->run ? fill_by_run(soak, result) : fill_by_workers(soak, result);

    if (!soak->worker)
        soak_read_local(soak, &result->local);
    report_cost(soak, result);
    if (status == 0)
        status = copy_changes(soak, result);
    for (size_t i = 0; i < soak->series.process_count && status == 0; i++)
        status = result_add_process(result, &soak->series.processes[i]);
    soak->part.duration_ns = result->duration_ns;
    return status < 0 ? status : result_add_part(result, &soak->part);
}

int soak_fill_result(struct peer_soak *soak, struct result *result)
{
    int status = fill_figures(soak, result);

    for (size_t i = 0; i < soak->series.interval_count && status == 0; i++)
        status = result_copy_interval(result, &soak->series.intervals[i]);
    return status;
}

/* All that was found so far. Without memory it is not written this time. */
static void keep_journal(struct peer_soak *soak,
                         void (*write)(struct peer_journal *journal, const struct result *result))
{
    struct result result;

    if (!soak->journal)
        return;
    if (result_init(&result) == 0 && fill_figures(soak, &result) == 0) {
        result.intervals = soak->series.intervals; /* lent */
        result.interval_count = soak->series.interval_count;
        write(soak->journal, &result);
        soak->changes_written = soak->series.change_count;
        result.intervals = NULL;
        result.interval_count = 0;
    }
    result_done(&result);
}

/* ---- its beginning ---- */

/* What is spoken: the caller's own, or one of the table. In `config` it is one that stays. */
static int find_protocol(struct peer_soak *soak, struct peer_soak_config *config,
                         const struct protocol **ret_protocol, struct peer_error *error)
{
    bool custom = config->protocol && strcmp(config->protocol, PEER_WORKLOAD_CUSTOM) == 0;

    if (custom || config->workload) {
        int status = workload_take(&soak->workload, soak->net, config, error);
        config->workload = (const void *)&soak->workload;
        *ret_protocol = &soak->workload.protocol;
        return status;
    }
    *ret_protocol = protocol_named(config->protocol);
    return *ret_protocol ? 0
                         : error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" is no protocol",
                                     config->protocol);
}

/* The run itself: here, or by workers. */
static int start_run(struct peer_soak *soak, const struct peer_soak_config *config,
                     const struct protocol *protocol, const struct soak_part *part,
                     struct peer_error *error)
{
    struct peer_net *net = soak->net;
    const struct attachment *attachment = &net->attachment;
    const unsigned workers = part->worker ? net->workers : 1;
    const uint64_t shard = attachment->shard * workers + worker_index(part->worker);
    const uint64_t shards = MAX(attachment->shards, UINT64_C(1)) * workers;
    const struct soak_host host = {
        .flows = engine_flows(net->engine),
        .peers = &attachment->peers,
        .seed = attachment->seed,
        .begin_ns = part->begin_ns,
        .phase = (double)shard / (double)shards,
        .parts = shards,
        .worker = worker_index(part->worker),
        .workers = part->worker ? workers : 0,
        .all_flows = part->all_flows,
        .tls = config->tls ? config->tls->context : NULL,
        .measured = on_measured,
        .user = soak,
    };

    if (net->workers && !part->worker)
        return soak_crew_start(net, soak, config, error);
    return soak_start(config, protocol, &host, &soak->run, error);
}

static int start_soak(struct peer_net *net, struct peer_soak_config *config,
                      const struct soak_part *part, struct peer_soak **ret_soak,
                      struct peer_error *error)
{
    const struct protocol *protocol;
    struct peer_soak *soak = calloc(1, sizeof(*soak));
    if (!soak)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    soak->net = net;
    soak->worker = part->worker;
    soak->asked_rate = config->rate;
    soak->to = config->to;
    soak->port = config->to_port;
    soak->protocol = config->udp ? IPPROTO_UDP : IPPROTO_TCP;
    soak->tls = config->tls;
    soak->journal = config->journal;
    soak->watch = config->watch;
    soak->keeps = config->keep_intervals || soak->journal;
    soak->intervals_most = config->intervals_most ? config->intervals_most : INTERVALS_MOST;
    timer_init(&soak->later, do_later);
    attachment_open_meters(&net->attachment);
    int status = find_protocol(soak, config, &protocol, error);
    if (status == 0)
        describe(soak, config, protocol->name);
    begin_measuring(soak);
    soak->warming = config->warmup_ns > 0;
    engine_now_fresh_ns(net->engine);
    if (status == 0)
        status = check_manners(net, config, error);
    if (status >= 0)
        status = start_run(soak, config, protocol, part, error);
    if (status < 0) {
        free(soak);
        return status;
    }
    engine_touch(net->engine, false);
    keep_journal(soak, journal_begin);
    *ret_soak = soak;
    return 0;
}

int peer_soak_start_sized(struct peer_net *net, const struct peer_soak_config *given, size_t size,
                          struct peer_soak **ret_soak, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_soak_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    if (status == 0)
        status = take_part(&net->attachment, &config, error);
    const struct soak_part all = {.worker = NULL};
    return status < 0 ? status : start_soak(net, &config, &all, ret_soak, error);
}

int soak_start_part(struct peer_net *net, const struct peer_soak_config *config,
                    const struct soak_part *part, struct peer_soak **ret_soak,
                    struct peer_error *error)
{
    struct peer_soak_config own = *config;

    return start_soak(net, &own, part, ret_soak, error);
}

void peer_soak_stop(struct peer_soak *soak, uint64_t grace_ns)
{
    if (!net_is_ours(soak->net) || soak->frees)
        return;
    if (soak->net->hooks) {
        soak->stops = true;
        soak->grace_ns = grace_ns;
        wait_for_hook(soak);
        return;
    }
    if (!soak->run) {
        crew_tell(soak->net, &(struct crew_message){.word = CREW_STOP, .grace_ns = grace_ns});
        return;
    }
    engine_now_fresh_ns(soak->net->engine);
    soak_stop(soak->run, grace_ns);
    engine_touch(soak->net->engine, false);
}

bool peer_soak_is_over(const struct peer_soak *soak)
{
    if (!soak->run)
        return !soak->net->crew || soak_crew_is_over(soak->net->crew);
    return soak_is_over(soak->run);
}

struct peer_soak *peer_soak_free(struct peer_soak *soak)
{
    if (!soak || soak->frees)
        return NULL;
    soak->frees = true;
    if (!soak->net->hooks) {
        (void)owner_frees(soak->net);
        engine_now_fresh_ns(soak->net->engine);
        bury(soak);
        return NULL;
    }
    soak->next = soak->net->doomed;
    soak->net->doomed = soak;
    wait_for_hook(soak);
    return NULL;
}

void peer_soak_get_counts(const struct peer_soak *soak, struct peer_soak_counts *ret_counts,
                          uint64_t *ret_open)
{
    struct peer_soak_state state = {.open = 0};

    if (soak->run) {
        *ret_counts = *soak_counts(soak->run, ret_open);
        return;
    }
    if (soak->net->crew)
        soak_crew_get_state(soak->net->crew, &state);
    *ret_counts = state.counts;
    *ret_open = state.open;
}

int soak_take_interval(struct peer_soak *soak, struct result_interval *ret_interval)
{
    if (soak->run)
        return soak_pop_interval(soak->run, ret_interval);
    return soak->net->crew ? soak_crew_pop_interval(soak->net->crew, ret_interval) : 0;
}

/* The interval is the series' from then on, or nobody's. */
static void keep_interval(struct peer_soak *soak, struct result_interval *interval)
{
    const bool due =
        soak->journal && !soak->warming && journal_add_interval(soak->journal, interval);

    if (!soak->keeps || soak->warming || result_keep_interval(&soak->series, interval, soak->intervals_most) < 0)
        result_interval_done(interval);
    if (due || (soak->journal && soak->changes_written != soak->series.change_count))
        keep_journal(soak, journal_add_state);
}

/* With what the application uses, if that was looked at: then it waits a little for it. */
static bool next_interval(struct peer_soak *soak, struct result_interval *ret_interval)
{
    const uint64_t now_ns = engine_now_ns(soak->net->engine);
    const bool over = peer_soak_is_over(soak);

    if (!soak->holds) {
        if (!soak_take_interval(soak, ret_interval))
            return false;
        const bool soon = soak->looked_ns && now_ns - soak->looked_ns < LOOK_NS;
        if (!soak->watch || (soon && !over) || !application_ask(soak->watch))
            return true;
        soak->looked_ns = now_ns;
        soak->held = *ret_interval;
        soak->holds = true;
    }
    int status = application_take(soak->watch, over ? LOOK_LAST_MS : 0,
                                  soak->held.start_ns + soak->held.length_ns, &soak->held.watch,
                                  &soak->series);
    if (status == 0 && !over && now_ns - soak->looked_ns < LOOK_LONGEST_NS)
        return false;
    *ret_interval = soak->held;
    soak->holds = false;
    return true;
}

int peer_soak_pop_interval_sized(struct peer_soak *soak, struct peer_soak_interval *ret_interval,
                                 size_t size)
{
    if (!net_is_ours(soak->net))
        return -ECHILD;
    struct result_interval interval;
    struct peer_soak_interval told;

    if (!next_interval(soak, &interval))
        return 0;
    result_interval_get(&interval, &told);
    border_give(ret_interval, size, &told, sizeof(told));
    keep_interval(soak, &interval);
    return 1;
}

int peer_soak_get_result(struct peer_soak *soak, struct peer_result **ret_result)
{
    if (!net_is_ours(soak->net))
        return -ECHILD;
    struct peer_result *result = peer_result_new();

    if (!result)
        return -ENOMEM;
    int status = soak_fill_result(soak, &result->value);
    if (status < 0)
        peer_result_free(result);
    else
        *ret_result = result;
    return status;
}
