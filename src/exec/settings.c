/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new namespace begins with the kernel's defaults, in a few cases with what the first one has, and
 * the host's administrator chose others. Copied is what decides how a client sends, waits and
 * retries, and what a program may bind to. Not copied is what is the machine's (tcp_mem, buffers of
 * net.core), routing, and what a place has its own reason for.
 */
#include "exec/settings.h"

#include "base/macro.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NET "/proc/sys/net/"

static const char *const copied[] = {
    "core/somaxconn",
    "core/txrehash",
    "ipv4/ip_autobind_reuse",
    "ipv4/ip_default_ttl",
    "ipv4/ip_no_pmtu_disc",
    "ipv4/ip_unprivileged_port_start",
    "ipv4/tcp_adv_win_scale",
    "ipv4/tcp_app_win",
    "ipv4/tcp_autocorking",
    "ipv4/tcp_base_mss",
    "ipv4/tcp_comp_sack_delay_ns",
    "ipv4/tcp_comp_sack_nr",
    "ipv4/tcp_congestion_control",
    "ipv4/tcp_dsack",
    "ipv4/tcp_early_retrans",
    "ipv4/tcp_ecn",
    "ipv4/tcp_ecn_fallback",
    "ipv4/tcp_fastopen",
    "ipv4/tcp_fastopen_blackhole_timeout_sec",
    "ipv4/tcp_fin_timeout",
    "ipv4/tcp_frto",
    "ipv4/tcp_keepalive_intvl",
    "ipv4/tcp_keepalive_probes",
    "ipv4/tcp_keepalive_time",
    "ipv4/tcp_limit_output_bytes",
    "ipv4/tcp_max_reordering",
    "ipv4/tcp_max_syn_backlog",
    "ipv4/tcp_min_snd_mss",
    "ipv4/tcp_min_tso_segs",
    "ipv4/tcp_moderate_rcvbuf",
    "ipv4/tcp_mtu_probing",
    "ipv4/tcp_notsent_lowat",
    "ipv4/tcp_orphan_retries",
    "ipv4/tcp_pacing_ca_ratio",
    "ipv4/tcp_pacing_ss_ratio",
    "ipv4/tcp_recovery",
    "ipv4/tcp_reordering",
    "ipv4/tcp_retries1",
    "ipv4/tcp_retries2",
    "ipv4/tcp_rmem",
    "ipv4/tcp_rto_max_ms",
    "ipv4/tcp_rto_min_us",
    "ipv4/tcp_sack",
    "ipv4/tcp_slow_start_after_idle",
    "ipv4/tcp_syn_linear_timeouts",
    "ipv4/tcp_syn_retries",
    "ipv4/tcp_synack_retries",
    "ipv4/tcp_thin_linear_timeouts",
    "ipv4/tcp_timestamps",
    "ipv4/tcp_tso_win_divisor",
    "ipv4/tcp_window_scaling",
    "ipv4/tcp_wmem",
    "ipv4/udp_rmem_min",
    "ipv4/udp_wmem_min",
    "ipv6/auto_flowlabels",
    "ipv6/bindv6only",
};
static_assert(ARRAY_SIZE(copied) <= SETTINGS_MAX, "each has its place");

/* What a place has for itself: all it sends goes out by one device, and nothing passes through. */
static const struct own {
    const char *name, *value;
} own[] = {
    {"ipv4/ip_local_port_range", "1024 65535"}, /* of a whole crowd */
    {"ipv4/ip_local_reserved_ports", ""},
    {"ipv4/tcp_tw_reuse", "1"},
    {"ipv4/ip_forward", "0"}, /* first: it resets others */
    {"ipv4/conf/all/rp_filter", "0"},
    {"ipv4/conf/all/log_martians", "0"},
    {"ipv6/conf/all/forwarding", "0"},
};

/* ---- files ---- */

static void read_text(const char *name, char text[SETTINGS_TEXT])
{
    char path[128];

    (void)snprintf(path, sizeof(path), NET "%s", name);
    text[0] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const ssize_t len = read(fd, text, SETTINGS_TEXT);
    (void)close(fd);
    if (len <= 0 || len == SETTINGS_TEXT) /* a part of one would be another one */
        text[0] = '\0';
    else
        text[len] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static int write_text(const char *name, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), NET "%s", name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* One byte at the least: the end of the line. */
    char line[SETTINGS_TEXT + 1];
    const int len = snprintf(line, sizeof(line), "%s\n", text);
    const int status = write(fd, line, (size_t)len) < 0 ? -errno : 0;
    (void)close(fd);
    return status;
}

/* ---- the interface ---- */

void settings_read(struct settings *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
        read_text(copied[i], ret->values[i]);
}

/* Groups of the namespace's owner alone can be named there. */
static void open_ping(void)
{
    char range[SETTINGS_TEXT];

    if (write_text("ipv4/ping_group_range", "0 2147483647") == 0)
        return;
    (void)snprintf(range, sizeof(range), "%u %u", (unsigned)getegid(), (unsigned)getegid());
    (void)write_text("ipv4/ping_group_range", range);
}

void settings_apply(const struct settings *settings)
{
    char now[SETTINGS_TEXT];

    for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
        if (!settings->values[i][0])
            continue;
        read_text(copied[i], now);
        if (strcmp(now, settings->values[i]) != 0)
            (void)write_text(copied[i], settings->values[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        (void)write_text(own[i].name, own[i].value);
    open_ping();
}

static int write_of_device(const char *family, const char *device, const char *key,
                           const char *value)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%s/conf/%s/%s", family, device, key);
    return write_text(name, value);
}

void settings_of_device(const char *device, uint8_t family)
{
    static const struct {
        const char *family, *key, *value;
    } quiet[] = {
        {"ipv4", "rp_filter", "0"},
        {"ipv4", "accept_redirects", "0"},
        {"ipv6", "accept_ra", "0"},
        {"ipv6", "accept_redirects", "0"},
        {"ipv6", "router_solicitations", "0"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(quiet); i++)
        (void)write_of_device(quiet[i].family, device, quiet[i].key, quiet[i].value);
    if (family == 4) /* else it would join groups, and tell the routers that are not there */
        (void)write_of_device("ipv6", device, "disable_ipv6", "1");
}

int settings_admit_localhost(const char *device)
{
    return write_of_device("ipv4", device, "route_localnet", "1");
}
