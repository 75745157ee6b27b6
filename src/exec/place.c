/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a holder makes the namespace (netns_isolate), a helper enters it, sets it up
 * and sends home the device and the sockets of the resolver (netns_run), and the resolver is forked
 * from here, whose sockets are then the host's.
 *
 * What a helper may write below /proc/sys depends on who mounted it; a container has it read-only.
 * So no setting is a condition, but the one without which --localhost gets no answer.
 */
#include "exec/place.h"

#include "base/addr_set.h"
#include "base/error.h"
#include "base/macro.h"
#include "exec/settings.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/netlink/tun.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    LO = 1,             /* in every namespace */
    QUEUE_LEN = 20000,  /* of the device: a burst of the program's waits for us */
    HIGHEST_PREFIX = 128,
};
#define DEVICE "peer0"

struct making {
    const struct place_config *config;
    const struct settings *settings; /* the host's */
    struct tun tun;
    struct resolver_door doors[RESOLVER_MAX]; /* first as wanted, then as they are */
    int door_count;
};

/* ---- in the helper ---- */

static struct addr_prefix whole(const struct peer_addr *addr)
{
    return (struct addr_prefix){*addr, addr->family == 6 ? HIGHEST_PREFIX : 32};
}

static int make_device(struct rtnl *rtnl, struct making *making, struct peer_error *error)
{
    const struct place_config *config = making->config;
    const struct tun_config tun = {
        .node = config->node, .name = DEVICE, .offload = config->offload};
    struct rtnl_link_change change = {
        .up = true, .mtu = config->mtu, .txqueuelen = QUEUE_LEN, .no_ipv6_autoconf = true};

    int status = tun_open(&tun, &making->tun, error);
    if (status < 0)
        return status;
    settings_of_device(DEVICE, config->inside.family); /* before it comes up, and says anything */
    status = rtnl_link_set(rtnl, making->tun.ifindex, &change, error);
    if (status == -EAFNOSUPPORT || status == -EOPNOTSUPP) { /* a kernel without IPv6 */
        change.no_ipv6_autoconf = false;
        status = rtnl_link_set(rtnl, making->tun.ifindex, &change, error);
    }
    /* Nothing ever waits in a queueing discipline of this device, and each frame would pay for it. */
    if (status == 0)
        (void)rtnl_link_no_queue(rtnl, making->tun.ifindex);
    return status;
}

static int lead_out(struct rtnl *rtnl, const struct making *making, struct peer_error *error)
{
    const struct place_config *config = making->config;
    const int device = making->tun.ifindex;
    const struct addr_prefix inside = whole(&config->inside);
    const struct addr_prefix everywhere = {.addr = {.family = config->inside.family}, .length = 0};

    int status = rtnl_addr_add(rtnl, device, &inside, error);
    if (status == 0)
        status = rtnl_route_add(rtnl, device, &everywhere, NULL, &config->inside, error);
    if (status < 0 || !config->localhost)
        return status;
    status = settings_admit_localhost(DEVICE);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "localhost cannot lead out of the program's namespace: "
                         "/proc/sys/net/ipv4/conf/" DEVICE "/route_localnet cannot be written: %s",
                         error_text(-status));
    return rtnl_localhost_lead(rtnl, device, &config->inside, error);
}

static bool is_loopback(const struct peer_addr *addr)
{
    static const struct peer_addr localhost = {6, {[15] = 1}};

    return addr->family == 4 ? addr->bytes[0] == 127 : peer_addr_equal(addr, &localhost);
}

/* A nameserver that cannot be had here does not answer; the program asks the next one. */
static bool open_door(struct rtnl *rtnl, struct resolver_door *door)
{
    const struct addr_prefix prefix = whole(&door->nameserver);

    if (!is_loopback(&door->nameserver)) {
        const int status = rtnl_addr_add(rtnl, LO, &prefix, NULL);
        if (status < 0 && status != -EEXIST)
            return false;
    }
    return resolver_open(door) == 0;
}

static void open_doors(struct rtnl *rtnl, struct making *making)
{
    int count = 0;

    for (int i = 0; i < making->door_count; i++) {
        struct resolver_door door = making->doors[i];
        if (open_door(rtnl, &door))
            making->doors[count++] = door;
    }
    making->door_count = count;
}

static int set_up(void *arg, struct netns_result *result)
{
    struct making *making = arg;
    struct rtnl *rtnl;

    int status = rtnl_open(&rtnl, &result->error);
    if (status < 0)
        return status;
    settings_apply(making->settings);
    open_doors(rtnl, making); /* before ::1 goes */
    status = make_device(rtnl, making, &result->error);
    if (status == 0)
        status = lead_out(rtnl, making, &result->error);
    rtnl_free(rtnl);
    result->fds[result->fd_count++] = making->tun.fd;
    for (int i = 0; i < making->door_count; i++) {
        result->fds[result->fd_count++] = making->doors[i].udp;
        result->fds[result->fd_count++] = making->doors[i].tcp;
    }
    return status;
}

/* ---- here ---- */

/* Can and should the place reach it as it reaches any other server here? */
static bool is_target(struct rtnl *rtnl, const struct place_config *config,
                      const struct peer_addr *addr)
{
    int ifindex;

    return !config->elsewhere && !is_loopback(addr) && addr->family == config->inside.family &&
           rtnl_addr_owned(rtnl, addr, &ifindex, NULL) > 0;
}

static int choose_doors(struct making *making, struct peer_error *error)
{
    const char *path = making->config->resolv_conf;
    struct peer_addr nameservers[RESOLVER_MAX];
    struct rtnl *rtnl;
    const int count = resolver_read(path ? path : "/etc/resolv.conf", nameservers);

    int status = rtnl_open(&rtnl, error);
    if (status < 0)
        return status;
    for (int i = 0; i < count; i++) {
        if (!is_target(rtnl, making->config, &nameservers[i]))
            making->doors[making->door_count++].nameserver = nameservers[i];
    }
    rtnl_free(rtnl);
    return 0;
}

/* The resolver has its own copies of the sockets. */
static int start_resolver(struct making *making, const struct netns_result *result,
                          struct place *place, struct peer_error *error)
{
    int status = 0;

    for (int i = 0; i < making->door_count; i++) {
        making->doors[i].udp = result->fds[1 + 2 * i];
        making->doors[i].tcp = result->fds[2 + 2 * i];
    }
    if (making->door_count > 0)
        status = resolver_start(making->doors, making->door_count, &place->resolver, error);
    for (int i = 1; i < result->fd_count; i++)
        (void)close(result->fds[i]);
    return status;
}

static int make_inside(struct making *making, struct place *place, struct peer_error *error)
{
    const struct netns_errand errand = {
        .place = {place->isolated.netns_fd, place->isolated.holder},
        .work = set_up,
        .arg = making,
        .data = making,
        .data_len = sizeof(*making),
    };
    struct netns_result result = {0};

    int status = choose_doors(making, error);
    if (status == 0)
        status = netns_run(&errand, &result, error);
    if (status < 0)
        return status;
    place->tun_fd = result.fds[0];
    place->offload_tcp = making->tun.offload_tcp;
    place->offload_udp = making->tun.offload_udp;
    return start_resolver(making, &result, place, error);
}

int place_make(const struct place_config *config, struct place *ret, struct peer_error *error)
{
    struct settings settings;
    struct making making = {.config = config, .settings = &settings, .tun = {.fd = -1}};
    struct place place = {.tun_fd = -1};

    if (config->localhost && config->inside.family != 4)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "localhost can lead to an IPv4 address only: Linux takes no packet from "
                         "::1 by any device but lo");
    int status = netns_isolate(&config->program, &place.isolated, error);
    if (status < 0)
        return status;
    settings_read(&settings);
    status = make_inside(&making, &place, error);
    if (status < 0) {
        (void)place_end(&place, 0);
        return status;
    }
    *ret = place;
    return 0;
}

int place_end(struct place *place, int grace_ms)
{
    if (!place || place->isolated.holder <= 0)
        return -1;
    const int status = netns_isolate_end(&place->isolated, grace_ms);

    resolver_end(&place->resolver);
    if (place->tun_fd >= 0)
        (void)close(place->tun_fd);
    *place = (struct place){0};
    return status;
}

void place_abandon(struct place *place)
{
    if (place->isolated.holder <= 0)
        return;
    netns_isolate_abandon(&place->isolated);
    if (place->resolver.end > 0)
        (void)close(place->resolver.end);
    if (place->tun_fd >= 0)
        (void)close(place->tun_fd);
    *place = (struct place){0};
}
