/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One function a check, in a table. Each looks and says; none changes anything. A namespace that is
 * made for a try is gone when the check returns.
 */
#include "attachment/attach.h"
#include "base/addr_set.h"
#include "base/error.h"
#include "base/macro.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/netlink/tun.h"
#include "kernel/netns/netns.h"
#include "kernel/observe/sysctl.h"
#include "kernel/wire/wire.h"
#include "lib/doctor_internal.h"
#include "lib/internal.h"

#include <peer/doctor.h>
#include <peer/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char default_range[] = "198.18.0.0/15";

struct doctor {
    const struct peer_doctor_config *config;
    const char *node;
    struct peer_check *check; /* the one at hand */
    bool can_administrate;    /* CAP_NET_ADMIN here */
    struct wire_card card;    /* ifindex 0: no wire, or none that would do */
};

__attribute__((format(printf, 3, 4))) static void
tell(struct doctor *doctor, enum peer_check_status status, const char *format, ...)
{
    va_list arguments;

    doctor->check->status = status;
    va_start(arguments, format);
    vsnprintf(doctor->check->text, sizeof(doctor->check->text), format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void mend(struct doctor *doctor, const char *format,
                                                       ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(doctor->check->mend, sizeof(doctor->check->mend), format, arguments);
    va_end(arguments);
}

/** A problem in the words of an error, "WHAT; what to do". */
static void tell_error(struct doctor *doctor, const struct peer_error *error)
{
    const char *rest = strstr(error->text, "; ");
    const int len = rest ? (int)(rest - error->text) : (int)strlen(error->text);

    tell(doctor, PEER_CHECK_PROBLEM, "%.*s", len, error->text);
    if (rest)
        mend(doctor, "%.250s", rest + strlen("; "));
}

static void check_kernel(struct doctor *doctor)
{
    struct utsname name;
    int major = 0, minor = 0;

    uname(&name);
    if (sscanf(name.release, "%d.%d", &major, &minor) == 2 && major * 100 + minor >= 511) {
        tell(doctor, PEER_CHECK_OK, "Linux %s", name.release);
        return;
    }
    tell(doctor, PEER_CHECK_PROBLEM, "Linux %s is too old: epoll_pwait2 came with 5.11",
         name.release);
}

static void check_node(struct doctor *doctor)
{
    struct stat stat;

    if (lstat(doctor->node, &stat) < 0) {
        tell(doctor, PEER_CHECK_PROBLEM, "%s: %s", doctor->node, error_text(errno));
        mend(doctor, "modprobe tun || { mkdir -p /dev/net && mknod -m 0666 %s c 10 200; }",
             doctor->node);
        return;
    }
    int fd = open(doctor->node, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        tell(doctor, PEER_CHECK_PROBLEM, "%s cannot be opened: %s", doctor->node,
             error_text(errno));
        if (errno == EACCES)
            mend(doctor, "sudo chmod 0666 %s", doctor->node);
        else
            mend(doctor, "sudo modprobe tun");
        return;
    }
    close(fd);
    if ((stat.st_mode & 0666) == 0666) {
        tell(doctor, PEER_CHECK_OK, "%s opens, for every user", doctor->node);
    } else {
        tell(doctor, PEER_CHECK_NOTE, "%s opens for you, but has mode %04o: not for every user",
             doctor->node, stat.st_mode & 07777);
        mend(doctor, "sudo chmod 0666 %s", doctor->node);
    }
}

static void check_capability(struct doctor *doctor)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    doctor->can_administrate = syscall(SYS_capget, &header, data) == 0 &&
                               data[CAP_NET_ADMIN / 32].effective & 1u << (CAP_NET_ADMIN % 32);
    if (doctor->can_administrate) {
        tell(doctor, PEER_CHECK_OK, "CAP_NET_ADMIN: devices can be made in this namespace");
        return;
    }
    tell(doctor, PEER_CHECK_NOTE,
         "no CAP_NET_ADMIN: use `isolate`, or `netns` with a namespace of your own processes");
    mend(doctor, "sudo peer ..., or sudo setcap cap_net_admin+ep peer");
}

static void check_namespaces(struct doctor *doctor)
{
    struct netns_isolated isolated = {0};
    struct peer_error error = {0};

    int status = netns_isolate(&(struct netns_isolate_config){.argv = NULL}, &isolated, &error);
    if (status == 0) {
        netns_isolate_end(&isolated, 0);
        tell(doctor, PEER_CHECK_OK, "`isolate` works: a fresh namespace could be made");
        return;
    }
    tell(doctor, doctor->can_administrate ? PEER_CHECK_NOTE : PEER_CHECK_PROBLEM, "%.250s",
         error.text);
}

static int open_device(void *arg, struct netns_result *result)
{
    const struct doctor *doctor = arg;
    const struct tun_config config = {.node = doctor->node, .offload = true};
    struct tun tun;

    int status = tun_open(&config, &tun, &result->error);
    if (status < 0)
        return status;
    result->fds[result->fd_count++] = tun.fd;
    return 0;
}

/* A namespace as exec makes it for a program, and a device in there. Which users it knows differs,
   and nothing can stand in the way of that alone. */
static int try_exec(struct doctor *doctor, struct peer_error *error)
{
    struct netns_isolated isolated = {0};

    int status = netns_isolate(&(struct netns_isolate_config){.argv = NULL}, &isolated, error);
    if (status < 0)
        return status;
    const struct netns_errand errand = {
        .place = {isolated.netns_fd, isolated.holder}, .work = open_device, .arg = doctor};
    status = netns_run(&errand, NULL, error);
    netns_isolate_end(&isolated, 0);
    return status;
}

static void check_exec(struct doctor *doctor)
{
    struct peer_error error = {0};

    if (try_exec(doctor, &error) < 0) {
        tell_error(doctor, &error);
        if (doctor->can_administrate) /* all other commands work */
            doctor->check->status = PEER_CHECK_NOTE;
        return;
    }
    tell(doctor, PEER_CHECK_OK,
         doctor->can_administrate
             ? "exec works: a namespace with a device in it could be made for a program"
             : "exec works with `isolate`, or `netns` and a namespace of your own: one with a "
               "device in it could be made for a program");
}

static void check_ipv6(struct doctor *doctor)
{
    int64_t off;

    if (sysctl_read("net/ipv6/conf/all/disable_ipv6", &off) < 0) {
        tell(doctor, PEER_CHECK_NOTE, "this kernel has no IPv6: peers can be IPv4 only");
    } else if (off) {
        tell(doctor, PEER_CHECK_NOTE, "IPv6 is switched off: peers can be IPv4 only");
        mend(doctor, "sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0");
    } else {
        tell(doctor, PEER_CHECK_OK, "IPv6 is on");
    }
}

static void check_rp_filter(struct doctor *doctor)
{
    int64_t all = 0, fresh = 0;

    if (sysctl_read("net/ipv4/conf/all/rp_filter", &all) < 0 ||
        sysctl_read("net/ipv4/conf/default/rp_filter", &fresh) < 0) {
        tell(doctor, PEER_CHECK_NOTE, "rp_filter cannot be read");
        return;
    }
    int64_t effective = MAX(all, fresh);
    if (effective != 1)
        tell(doctor, PEER_CHECK_OK,
             "rp_filter of a new device is %lld (max of all %lld, default %lld)",
             (long long)effective, (long long)all, (long long)fresh);
    else
        tell(doctor, PEER_CHECK_OK,
             "rp_filter of a new device is 1 (max of all %lld, default %lld): strict; peer's own "
             "routes "
             "satisfy it",
             (long long)all, (long long)fresh);
}

static void check_arp(struct doctor *doctor)
{
    static const char *const keys[] = {"arp_ignore", "arp_filter"};
    char path[64];

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        int64_t value = 0;
        snprintf(path, sizeof(path), "net/ipv4/conf/all/%s", keys[i]);
        if (sysctl_read(path, &value) < 0 || value == 0)
            continue;
        tell(doctor, PEER_CHECK_NOTE,
             "%s is %lld: on a TAP device this machine may not answer ARP for addresses of other "
             "interfaces; use `local`, or TUN",
             keys[i], (long long)value);
        mend(doctor, "sudo sysctl -w net.ipv4.conf.all.%s=0", keys[i]);
        return;
    }
    tell(doctor, PEER_CHECK_OK,
         "ARP is answered for every local address (arp_ignore, arp_filter 0)");
}

static void check_forwarding(struct doctor *doctor)
{
    int64_t value = 0;

    if (sysctl_read("net/ipv4/ip_forward", &value) < 0)
        tell(doctor, PEER_CHECK_NOTE, "ip_forward cannot be read");
    else if (value)
        tell(
            doctor, PEER_CHECK_NOTE,
            "this machine forwards (ip_forward 1): peer refuses targets that are not local, unless "
            "`allow_forward` is given");
    else
        tell(doctor, PEER_CHECK_OK, "this machine does not forward (ip_forward 0)");
}

static int set_conflict(struct rtnl *rtnl, const struct addr_set *set, struct rtnl_route *ret_route,
                        struct addr_prefix *ret_prefix, struct peer_error *error)
{
    struct addr_prefix *prefixes;
    int count = addr_set_prefixes(set, &prefixes);
    int status = count < 0 ? count : 0;

    for (int i = 0; i < count && status == 0; i++) {
        *ret_prefix = prefixes[i];
        status = rtnl_route_conflict(rtnl, &prefixes[i], ret_route, error);
    }
    if (count >= 0)
        free(prefixes);
    return status;
}

static void check_range(struct doctor *doctor, const char *from)
{
    struct rtnl *rtnl = NULL;
    struct addr_set set;
    struct addr_prefix prefix;
    struct rtnl_route route;
    struct peer_error error = {0};
    char text[160], peers[PEER_ADDR_TEXT];

    if (addr_set_parse(from, &set, &error) < 0) {
        tell(doctor, PEER_CHECK_PROBLEM, "%.250s", error.text);
        return;
    }
    int status = rtnl_open(&rtnl, &error);
    if (status == 0)
        status = set_conflict(rtnl, &set, &route, &prefix, &error);
    if (status < 0) {
        tell(doctor, PEER_CHECK_NOTE, "routes cannot be read: %.200s", error.text);
    } else if (status == 0) {
        tell(doctor, PEER_CHECK_OK, "no route stands in the way of %.200s", from);
    } else {
        tell(doctor, PEER_CHECK_PROBLEM, "%s/%d is routed already: %s",
             peer_addr_format(&prefix.addr, peers), prefix.length,
             rtnl_route_format(&route, text, sizeof(text)));
        mend(doctor, "use other addresses with `from`");
    }
    rtnl_free(rtnl);
    addr_set_done(&set);
}

static void check_routes(struct doctor *doctor)
{
    if (doctor->config->wire) /* where the card's own routes lead to the peers: check_wire_peers */
        return;
    check_range(doctor, doctor->config->from ? doctor->config->from : default_range);
}

static void check_conntrack(struct doctor *doctor)
{
    int64_t count = 0, max = 0;

    if (sysctl_read("net/netfilter/nf_conntrack_max", &max) < 0) {
        tell(doctor, PEER_CHECK_OK, "connection tracking is not loaded");
        return;
    }
    (void)sysctl_read("net/netfilter/nf_conntrack_count", &count);
    if (count > max / 2) {
        tell(doctor, PEER_CHECK_PROBLEM, "connection tracking is half full: %lld of %lld",
             (long long)count, (long long)max);
        mend(doctor, "sudo sysctl -w net.netfilter.nf_conntrack_max=%lld", (long long)max * 4);
        return;
    }
    tell(doctor, PEER_CHECK_OK, "connection tracking holds %lld of %lld, if rules use it",
         (long long)count, (long long)max);
}

static void tell_left(struct doctor *doctor, const struct privileges_left *left)
{
    const bool all = !left->capabilities && left->no_new_privs;
    char capabilities[48] = "no capability";

    if (left->capabilities)
        (void)snprintf(capabilities, sizeof(capabilities), "capabilities %#llx",
                       (unsigned long long)left->capabilities);
    tell(doctor, !all ? PEER_CHECK_PROBLEM : left->filtered ? PEER_CHECK_OK : PEER_CHECK_NOTE,
         "what reads packets has user %u, %s, %s, %s%.120s", (unsigned)left->uid, capabilities,
         left->no_new_privs ? "no_new_privs" : "no no_new_privs",
         left->filtered ? "a filter of system calls" : "and no filter: ",
         left->filtered ? "" : left->error.text);
}

/* The way of connect, listen, ping and soak, once they are set up. */
static void check_privileges(struct doctor *doctor)
{
    static const struct peer_confine_config none;
    struct peer_error error = {0};
    struct privileges_left left;

    int status = privileges_try(doctor->config->confine ? doctor->config->confine : &none, &left,
                                &error);
    if (status < 0)
        tell(doctor, PEER_CHECK_NOTE, "%.250s", error.text);
    else if (left.status < 0)
        tell(doctor, PEER_CHECK_PROBLEM, "%.250s", left.error.text);
    else
        tell_left(doctor, &left);
}

/* ---- the wire of an interface ---- */

static void check_wire(struct doctor *doctor)
{
    struct rtnl *rtnl = NULL;
    struct peer_error error = {0};

    if (!doctor->config->wire)
        return;
    int status = rtnl_open(&rtnl, &error);
    if (status == 0)
        status = wire_card(rtnl, doctor->config->wire, &doctor->card, &error);
    rtnl_free(rtnl);
    if (status < 0)
        tell_error(doctor, &error);
    else
        tell(doctor, PEER_CHECK_OK,
             "%s is an Ethernet interface, up, and receives by itself; MTU %u", doctor->card.name,
             doctor->card.mtu);
}

static void check_wire_by(struct doctor *doctor)
{
    struct peer_error error = {0};

    if (!doctor->card.ifindex)
        return;
    if (!doctor->can_administrate) {
        tell(doctor, PEER_CHECK_PROBLEM, "no CAP_NET_ADMIN: nothing can be attached to %s",
             doctor->card.name);
        mend(doctor, "sudo peer ...");
        return;
    }
    const int by = wire_try(&error);
    if (by < 0)
        tell_error(doctor, &error);
    else if (by == WIRE_TCX)
        tell(doctor, PEER_CHECK_OK, "eBPF programs (tcx) may be attached");
    else
        tell(doctor, PEER_CHECK_OK,
             "filters of tc (u32, mirred) would do it: eBPF programs (tcx) are not permitted, or "
             "not known here");
}

static int judge_wire_peers(struct doctor *doctor, const struct addr_set *peers,
                            struct peer_error *error)
{
    struct rtnl *rtnl = NULL;
    bool on_link = false;

    int status = rtnl_open(&rtnl, error);
    if (status == 0)
        status = attach_check_owned(rtnl, peers, error);
    if (status == 0)
        status = wire_check_peers(rtnl, &doctor->card, peers, &on_link, error);
    rtnl_free(rtnl);
    return status < 0 ? status : on_link;
}

static void check_wire_peers(struct doctor *doctor)
{
    const char *from = doctor->config->from ? doctor->config->from : default_range;
    struct peer_error error = {0};
    struct addr_set peers;

    if (!doctor->card.ifindex)
        return;
    int status = addr_set_parse(from, &peers, &error);
    if (status >= 0) {
        status = judge_wire_peers(doctor, &peers, &error);
        addr_set_done(&peers);
    }
    if (status < 0)
        tell_error(doctor, &error);
    else
        tell(doctor, PEER_CHECK_OK,
             "answers to %.100s would leave by %s%s, and no machine known to this one is there",
             from, doctor->card.name, status ? "" : ", to a gateway");
}

static const struct {
    const char *name;
    void (*run)(struct doctor *doctor);
} checks[] = {
    {"kernel", check_kernel},
    {"device-node", check_node},
    {"capability", check_capability},
    {"user-namespaces", check_namespaces},
    {"exec", check_exec},
    {"ipv6", check_ipv6},
    {"rp-filter", check_rp_filter},
    {"arp", check_arp},
    {"forwarding", check_forwarding},
    {"routes", check_routes},
    {"conntrack", check_conntrack},
    {"privileges", check_privileges},
    {"wire", check_wire},
    {"wire-by", check_wire_by},
    {"wire-peers", check_wire_peers},
};

/* ---- the way to a target ---- */

struct path {
    void (*each)(void *user, const struct peer_check *check);
    void *user;
    int problems;
};

static void path_tell(struct path *path, const struct peer_check *check)
{
    path->problems += check->status == PEER_CHECK_PROBLEM;
    path->each(path->user, check);
}

static void path_station(void *user, const struct peer_trace_station *station)
{
    static const enum peer_check_status statuses[] = {[PEER_TRACE_PASSED] = PEER_CHECK_OK,
                                                      [PEER_TRACE_LOST] = PEER_CHECK_NOTE,
                                                      [PEER_TRACE_NOTE] = PEER_CHECK_NOTE,
                                                      [PEER_TRACE_UNSEEN] = PEER_CHECK_NOTE};
    struct peer_check check = {.name = station->name, .status = statuses[station->state]};

    snprintf(check.text, sizeof(check.text), "%s%.100s: %.140s", station->back ? "back, " : "",
             station->where, station->text);
    path_tell(user, &check);
}

static void path_verdict(struct path *path, const struct peer_trace_result *result)
{
    bool fine = result->outcome == PEER_TRACE_ANSWERED || result->outcome == PEER_TRACE_ARRIVED;
    struct peer_check check = {.name = "target",
                               .status = fine ? PEER_CHECK_OK : PEER_CHECK_PROBLEM};

    snprintf(check.text, sizeof(check.text), "%.250s", result->text);
    snprintf(check.mend, sizeof(check.mend), "%.250s", result->mend);
    path_tell(path, &check);
}

/* The stations that a packet would pass, by a trace that sends none. */
static int check_target(const struct peer_doctor_config *config,
                        void (*each)(void *user, const struct peer_check *check), void *user)
{
    struct peer_net_config net_config = {.from = config->from,
                                         .target = config->to,
                                         .wire = config->wire,
                                         .wire_look = config->wire != NULL,
                                         .allow_forward = true,
                                         .allow_loopback = true,
                                         .device_node = config->device_node};
    struct path path = {.each = each, .user = user};
    struct peer_trace_config trace = {.protocol = config->udp ? IPPROTO_UDP : IPPROTO_TCP,
                                      .to = config->to,
                                      .to_port = config->to_port,
                                      .dry = true,
                                      .each = path_station,
                                      .user = &path};
    struct peer_trace_result result;
    struct peer_error error = {0};
    struct peer_net *net = NULL;

    int status = peer_net_new(&net_config, &net, &error);
    if (status == 0)
        status = peer_trace(net, &trace, &result, &error);
    if (status == 0) {
        path_verdict(&path, &result);
    } else {
        struct peer_check check = {.name = "target", .status = PEER_CHECK_PROBLEM};
        snprintf(check.text, sizeof(check.text), "%.250s", error.text);
        path_tell(&path, &check);
    }
    peer_net_free(net);
    return path.problems;
}

static void tell_nobody(void *user, const struct peer_check *check)
{
    (void)user;
    (void)check;
}

static int examine(const struct peer_doctor_config *config,
                   void (*each)(void *user, const struct peer_check *check), void *user)
{
    struct doctor doctor = {.config = config,
                            .node = config->device_node ? config->device_node : "/dev/net/tun"};
    int problems = 0;

    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        struct peer_check check = {.name = checks[i].name};
        doctor.check = &check;
        checks[i].run(&doctor);
        if (!check.text[0]) /* not asked for */
            continue;
        problems += check.status == PEER_CHECK_PROBLEM;
        each(user, &check);
    }
    return config->to.family ? problems + check_target(config, each, user) : problems;
}

int peer_doctor_sized(const struct peer_doctor_config *given, size_t size,
                      void (*each)(void *user, const struct peer_check *check), void *user)
{
    struct peer_doctor_config config;

    int status = border_take(&config, sizeof(config), given, size, NULL);
    return status < 0 ? status : examine(&config, each ? each : tell_nobody, user);
}
