/* SPDX-License-Identifier: BSD-3-Clause */
/* See words.h. */
#include "words.h"

const char *const soak_status_classes[PEER_STATUS_CLASSES] = {"other", "1xx", "2xx",
                                                              "3xx",   "4xx", "5xx"};

#define COUNTER(member) offsetof(struct peer_soak_counts, member)
const struct soak_error_kind soak_error_kinds[PEER_SOAK_ERROR_KINDS] = {
    [PEER_SOAK_REFUSED] = {"refused", "refused", COUNTER(refused)},
    [PEER_SOAK_RESET] = {"reset", "reset", COUNTER(reset)},
    [PEER_SOAK_TIMEOUT] = {"timeout", "timeout", COUNTER(timeout)},
    [PEER_SOAK_BAD_ANSWER] = {"bad_answer", "bad answer", COUNTER(bad_answer)},
    [PEER_SOAK_CLOSED_EARLY] = {"closed_early", "closed early", COUNTER(closed_early)},
    [PEER_SOAK_STATUS] = {"status", "of unexpected status", COUNTER(unexpected_status)},
    [PEER_SOAK_CLOSED_IDLE] = {"closed_idle", "closed while idle", COUNTER(closed_idle)},
    [PEER_SOAK_LOGIN] = {"login", "login refused", COUNTER(login)},
    [PEER_SOAK_FULL] = {"full", "refused since the application is full", COUNTER(full)},
    [PEER_SOAK_TLS_PROTOCOL] = {"tls_protocol", "errors of TLS", COUNTER(tls_protocol)},
    [PEER_SOAK_TLS_CERTIFICATE] = {"tls_certificate", "certificates refused",
                                   COUNTER(tls_certificate)},
    [PEER_SOAK_TLS_CLOSED] = {"tls_closed", "closed in the handshake of TLS", COUNTER(tls_closed)},
};

uint64_t soak_error_count(const struct peer_soak_counts *counts, size_t kind)
{
    return *(const uint64_t *)(const void *)((const char *)counts + soak_error_kinds[kind].at);
}

double soak_per_s(uint64_t count, uint64_t duration_ns)
{
    return duration_ns ? (double)count / ((double)duration_ns / 1e9) : 0;
}

uint64_t soak_active_ns(const struct peer_soak_report *report)
{
    uint64_t paused_ns = report->paused_ns;

    return report->duration_ns > paused_ns ? report->duration_ns - paused_ns : 0;
}

struct peer_soak_counts soak_timed_counts(const struct peer_soak_report *report)
{
    struct peer_soak_counts timed = report->in_time;

    timed.completed += report->carried;
    return timed;
}

double soak_reached_rate(const struct peer_soak_report *report)
{
    return soak_per_s(report->in_time.completed + report->carried, soak_active_ns(report));
}

uint64_t soak_after_end(const struct peer_soak_report *report)
{
    return report->counts.completed - report->in_time.completed;
}

const char *soak_trace_advice(const struct soak_run *run, const struct peer_soak_report *report,
                              char buf[TRACE_COMMAND])
{
    struct common_options common = run->options->common;

    if (!run->net)
        return NULL;
    if (!report->first_errors[PEER_SOAK_TIMEOUT] && !report->first_errors[PEER_SOAK_REFUSED])
        return NULL;
    if (common.isolate && !common.program)
        return NULL;
    common.udp = run->options->soak.udp;
    return trace_command(&common, &run->options->target, buf);
}

/* Without what it spent for want of answers. */
static double cpu_needed(const struct peer_soak_report *report)
{
    return report->cpu_user_s + report->cpu_sys_s - report->cpu_spin_s;
}

enum { WAITED_PERCENT = 25, BUSY_PERCENT = 95 };

/* Times and costs of several processes are sums. */
static double count_processes(const struct soak_run *run)
{
    uint64_t workers, lost;

    (void)soak_lost(run->result, &workers, &lost);
    return workers > lost ? (double)(workers - lost) : 1;
}

const char *soak_limited_by(const struct soak_run *run, const struct peer_soak_report *report)
{
    double percent = (double)report->duration_ns / 1e11 * count_processes(run);

    if (report->asked_rate <= 0 || report->behind * 100 <= report->counts.requests)
        return NULL;
    if (report->cpu_throttled_s > WAITED_PERCENT * percent)
        return "quota";
    if (report->cpu_waited_s + report->cpu_throttled_s > WAITED_PERCENT * percent)
        return "processors";
    if (report->local.listen_overflows)
        return "accept queue";
    return cpu_needed(report) > BUSY_PERCENT * percent ? "peer" : "application";
}
