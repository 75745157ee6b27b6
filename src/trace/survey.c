/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings and counters that explain a loss where the kernel tells nobody its reason. Files of
 * /proc show the namespace of the reader, so a helper process reads them in the one of the device.
 */
#include "trace/internal.h"

#include "kernel/observe/sysctl.h"

#include <stdio.h>
#include <string.h>

static const char *const setting_paths[SETTINGS] = {
    [SETTING_FORWARD4] = "net/ipv4/conf/%s/forwarding",
    [SETTING_FORWARD6] = "net/ipv6/conf/all/forwarding",
    [SETTING_RP_ALL] = "net/ipv4/conf/all/rp_filter",
    [SETTING_RP_DEVICE] = "net/ipv4/conf/%s/rp_filter",
    [SETTING_LOCALNET_ALL] = "net/ipv4/conf/all/route_localnet",
    [SETTING_LOCALNET_DEVICE] = "net/ipv4/conf/%s/route_localnet",
    [SETTING_ACCEPT_LOCAL_ALL] = "net/ipv4/conf/all/accept_local",
    [SETTING_ACCEPT_LOCAL_DEVICE] = "net/ipv4/conf/%s/accept_local",
    [SETTING_ECHO_OFF4] = "net/ipv4/icmp_echo_ignore_all",
    [SETTING_ECHO_OFF6] = "net/ipv6/icmp/echo_ignore_all",
    [SETTING_IPV6_OFF] = "net/ipv6/conf/%s/disable_ipv6",
    [SETTING_FWMARK_ACCEPT] = "net/ipv4/tcp_fwmark_accept",
    [SETTING_REFLECT4] = "net/ipv4/fwmark_reflect",
    [SETTING_REFLECT6] = "net/ipv6/fwmark_reflect",
};

static const struct {
    const char *group, *name;
} counter_names[COUNTERS] = {
    [COUNTER_RP_FILTER] = {"TcpExt", "IPReversePathFilter"},
    [COUNTER_HEADER4] = {"Ip", "InHdrErrors"},
    [COUNTER_HEADER6] = {"Ip6", "InHdrErrors"},
    [COUNTER_ADDR4] = {"Ip", "InAddrErrors"},
    [COUNTER_ADDR6] = {"Ip6", "InAddrErrors"},
    [COUNTER_IN_NO_ROUTES4] = {"IpExt", "InNoRoutes"},
    [COUNTER_IN_NO_ROUTES6] = {"Ip6", "InNoRoutes"},
    [COUNTER_OUT_NO_ROUTES4] = {"Ip", "OutNoRoutes"},
    [COUNTER_OUT_NO_ROUTES6] = {"Ip6", "OutNoRoutes"},
    [COUNTER_LISTEN_OVERFLOWS] = {"TcpExt", "ListenOverflows"},
    [COUNTER_LISTEN_DROPS] = {"TcpExt", "ListenDrops"},
    [COUNTER_IP_CSUM] = {"IpExt", "InCsumErrors"},
    [COUNTER_ICMP_CSUM4] = {"Icmp", "InCsumErrors"},
    [COUNTER_ICMP_CSUM6] = {"Icmp6", "InCsumErrors"},
    [COUNTER_TCP_CSUM] = {"Tcp", "InCsumErrors"},
    [COUNTER_UDP_CSUM4] = {"Udp", "InCsumErrors"},
    [COUNTER_UDP_CSUM6] = {"Udp6", "InCsumErrors"},
    [COUNTER_UDP_NO_PORTS4] = {"Udp", "NoPorts"},
    [COUNTER_UDP_NO_PORTS6] = {"Udp6", "NoPorts"},
    [COUNTER_UDP_BUFFER4] = {"Udp", "RcvbufErrors"},
    [COUNTER_UDP_BUFFER6] = {"Udp6", "RcvbufErrors"},
};

struct survey_work {
    const char *device;
    bool wants_fds;
    struct {
        struct trace_survey survey;
        int fds_status;
    } found; /* comes home */
};

/* Its file lists the tables that there are; without root it does not open. */
static bool has_tables(const char *path)
{
    FILE *file = fopen(path, "re");
    const bool any = file && fgetc(file) != EOF;

    if (file)
        (void)fclose(file);
    return any;
}

/* The formats of the table hold one %s at the most. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void read_all(const char *device, struct trace_survey *survey)
{
    char path[96];

    for (int i = 0; i < SETTINGS; i++) {
        (void)snprintf(path, sizeof(path), setting_paths[i], device);
        (void)sysctl_read(path, &survey->settings[i]);
    }
    for (int i = 0; i < COUNTERS; i++)
        (void)snmp_read(0, counter_names[i].group, counter_names[i].name, &survey->counters[i]);
    survey->legacy[0] = has_tables("/proc/thread-self/net/ip_tables_names");
    survey->legacy[1] = has_tables("/proc/thread-self/net/ip6_tables_names");
}
#pragma GCC diagnostic pop

static int survey_work(void *arg, struct netns_result *result)
{
    struct survey_work *work = arg;

    read_all(work->device, &work->found.survey);
    if (work->wants_fds)
        work->found.fds_status = nftrace_open(result->fds);
    if (work->wants_fds && work->found.fds_status == 0)
        result->fd_count = NFTRACE_FDS;
    return 0;
}

int trace_survey(struct attachment *attachment, struct trace_survey *ret_survey, int *fds,
                 struct peer_error *error)
{
    struct survey_work work = {.device = attachment->arrival, .wants_fds = fds != NULL};
    const struct netns_errand errand = {.place = attachment->netns,
                                        .work = survey_work,
                                        .arg = &work,
                                        .data = &work.found,
                                        .data_len = sizeof(work.found)};
    struct netns_result result = {0};

    int status =
        attachment->netns.fd < 0 ? survey_work(&work, &result) : netns_run(&errand, &result, error);
    if (status < 0)
        return status;
    *ret_survey = work.found.survey;
    if (fds && work.found.fds_status < 0)
        fds[0] = work.found.fds_status;
    else if (fds)
        memcpy(fds, result.fds, sizeof(int) * NFTRACE_FDS);
    return 0;
}
