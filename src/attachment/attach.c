/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device and what the local machine needs to know about it. Checks come first: nothing is made
 * before it is known that the target is local and the peers' addresses are free.
 *
 *   target    asked of the kernel (RTM_GETROUTE): only RTN_LOCAL will do; an address that was given
 *             a moment ago is waited for
 *   peers     no address of this machine, no route that leads elsewhere
 *   device    TUN or TAP, queue length, MTU, up
 *   local     its address, when wanted; on TAP with IPv6 a link-local one, without which the kernel
 *             sends no neighbour solicitation
 *   routes    the fewest prefixes that cover the peers
 *
 * All of it hangs on the device, so the kernel takes it back whatever way the process ends; a
 * guardian (kernel/wire/guard.h) holds the device a moment longer, until nothing is sent to the
 * peers.
 *
 * The wire of an interface (kernel/wire/wire.h) has addresses and routes already. None are added, and
 * answers must leave by it.
 */
#include "attachment/attach.h"

#include "base/error.h"
#include "base/macro.h"
#include "kernel/netlink/diag.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/netlink/watch.h"
#include "kernel/netns/name.h"
#include "kernel/wire/guard.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TX_QUEUE_LEN = 20000, CANDIDATES = 4096 };
enum { DEVICE_NAME_TEXT = 32 };
/* The kernel's neighbour table holds 1024 by default, for all namespaces together. */
enum { NEIGHBOURS_ASKED = 512, NEIGHBOURS_PERMANENT = 131072 };

struct attach {
    const struct attach_plan *plan;
    struct rtnl *rtnl;
    struct diag *diag;
    struct attach_outcome out;
    struct addr_set peers; /* the plan's, or one chosen address */
    bool peers_chosen;
    bool on_link; /* wire: peers are in the card's subnets */
};

/* ---- the target ---- */

struct own_addresses {
    char text[200];
    size_t len;
    uint8_t family;
    int count;
};

static int list_own_address(void *user, int ifindex, const struct addr_prefix *prefix)
{
    struct own_addresses *own = user;
    char text[PEER_ADDR_TEXT];

    (void)ifindex;
    if (prefix->addr.family != own->family || addr_is_loopback(&prefix->addr) ||
        addr_is_link_local(&prefix->addr))
        return 0;
    int len = snprintf(own->text + own->len, sizeof(own->text) - own->len, "%s%s",
                       own->count ? ", " : "", peer_addr_format(&prefix->addr, text));
    own->len += (size_t)len;
    return ++own->count == 3;
}

/* What this machine could be reached at instead. */
static const char *own_addresses(struct attach *attach, struct own_addresses *own)
{
    *own = (struct own_addresses){.family = attach->plan->family};
    (void)rtnl_addr_each(attach->rtnl, list_own_address, own, NULL);
    if (!own->count)
        snprintf(own->text, sizeof(own->text), "give the device one with `local`");
    return own->text;
}

static int refuse_loopback(struct attach *attach, struct peer_error *error)
{
    struct own_addresses own;
    char target[PEER_ADDR_TEXT];

    return error_set(
        error, PEER_ERROR_MACHINE, ENETUNREACH,
        "%s is loopback, which no remote machine can reach: the kernel drops packets to it "
        "that come from a device; let the application listen on another address of this "
        "machine (or on all) and name that: %s",
        peer_addr_format(&attach->plan->config->target, target), own_addresses(attach, &own));
}

static int refuse_foreign(struct attach *attach, struct peer_error *error)
{
    struct own_addresses own;
    char target[PEER_ADDR_TEXT];

    return error_set(error, PEER_ERROR_MACHINE, ENETUNREACH,
                     "%s is no address of this machine, so packets would be forwarded to a real "
                     "network with a made-up source; use an address of this machine: %s (or "
                     "`allow_forward`, if forwarding is what you want)",
                     peer_addr_format(&attach->plan->config->target, target),
                     own_addresses(attach, &own));
}

static int check_target(struct attach *attach, struct peer_error *error)
{
    const struct attach_plan *plan = attach->plan;
    const struct peer_addr *target = &plan->config->target;

    if (!target->family)
        return 0;
    if (addr_is_loopback(target) && !plan->config->allow_loopback)
        return refuse_loopback(attach, error);
    if (plan->config->allow_forward || peer_addr_equal(target, &plan->local.addr))
        return 0;
    return rtnl_addr_is_local(attach->rtnl, target) ? 0 : refuse_foreign(attach, error);
}

/* ---- the peers' addresses ---- */

struct owned {
    const struct addr_set *peers;
    struct peer_addr addr;
    int ifindex;
};

static int find_owned(void *user, int ifindex, const struct addr_prefix *prefix)
{
    struct owned *owned = user;

    if (addr_set_find(owned->peers, &prefix->addr) < 0)
        return 0;
    owned->addr = prefix->addr;
    owned->ifindex = ifindex;
    return 1;
}

int attach_check_owned(struct rtnl *rtnl, const struct addr_set *peers, struct peer_error *error)
{
    struct owned owned = {.peers = peers};
    struct rtnl_link link = {.name = "?"};
    char text[PEER_ADDR_TEXT];

    int status = rtnl_addr_each(rtnl, find_owned, &owned, error);
    if (status <= 0)
        return status;
    (void)rtnl_link_get(rtnl, owned.ifindex, NULL, &link, NULL);
    return error_set(error, PEER_ERROR_MACHINE, EADDRINUSE,
                     "%s is this machine's own address, on %s; choose other addresses with `from`",
                     peer_addr_format(&owned.addr, text), link.name);
}

static int check_not_owned(struct attach *attach, const struct addr_set *peers,
                           struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (attach->plan->local.addr.family && addr_set_find(peers, &attach->plan->local.addr) >= 0)
        return error_set(
            error, PEER_ERROR_USAGE, EADDRINUSE,
            "%s would be the local side's and a peer's address; choose another with `from` "
            "or `local`",
            peer_addr_format(&attach->plan->local.addr, text));
    return attach_check_owned(attach->rtnl, peers, error);
}

static void format_device_name(int ifindex, char ret_text[DEVICE_NAME_TEXT])
{
    (void)snprintf(ret_text, DEVICE_NAME_TEXT, "peer-device/%d", ifindex);
}

/* Is that the device of a peer that has just ended, whose guardian is about to let it go? Waits
   until it has; false at once when it is anything else. */
static bool device_goes(int ifindex)
{
    char text[DEVICE_NAME_TEXT];

    format_device_name(ifindex, text);
    const int name = name_take(text);
    if (name >= 0)
        close(name);
    return name >= 0;
}

static int find_conflict(struct attach *attach, const struct addr_prefix *prefix,
                         struct rtnl_route *ret_route, struct peer_error *error)
{
    int status = rtnl_route_conflict(attach->rtnl, prefix, ret_route, error);

    if (status > 0 && device_goes(ret_route->oif))
        status = rtnl_route_conflict(attach->rtnl, prefix, ret_route, error);
    return status;
}

/* The device of another peer process has routes to that one's peers, as ours will have. */
static int refuse_routed(struct attach *attach, const struct addr_prefix *prefix,
                         const struct rtnl_route *route, struct peer_error *error)
{
    struct rtnl_link link = {.is_tun = false};
    char peers[PEER_ADDR_TEXT], text[160];

    if (route->oif > 0) /* a blackhole has no device */
        (void)rtnl_link_get(attach->rtnl, route->oif, NULL, &link, NULL);
    (void)peer_addr_format(&prefix->addr, peers);
    (void)rtnl_route_format(route, text, sizeof(text));
    if (link.is_tun)
        return error_set(
            error, PEER_ERROR_MACHINE, EADDRINUSE,
            "%s/%d is in use already, by another peer process if %s is its device (%s): all "
            "connections of a peer come from one process; choose other addresses with `from`, or "
            "end that process",
            peers, prefix->length, link.name, text);
    return error_set(error, PEER_ERROR_MACHINE, EADDRINUSE,
                     "%s/%d is routed elsewhere already (%s); choose other addresses with `from`, "
                     "or remove that route",
                     peers, prefix->length, text);
}

static int check_not_routed(struct attach *attach, const struct addr_prefix *prefixes, int count,
                            struct peer_error *error)
{
    struct rtnl_route route;

    for (int i = 0; i < count; i++) {
        int status = find_conflict(attach, &prefixes[i], &route, error);
        if (status < 0)
            return status;
        if (status > 0)
            return refuse_routed(attach, &prefixes[i], &route, error);
    }
    return 0;
}

/* Neighbours in the card's own subnets have to be asked for, or set one by one, on the card. */
static int check_wire(struct attach *attach, const struct addr_set *peers, struct peer_error *error)
{
    int status = wire_check_peers(attach->rtnl, &attach->out.card, peers, &attach->on_link, error);

    if (status == 0 && attach->on_link && peers->count > NEIGHBOURS_PERMANENT)
        return error_set(
            error, PEER_ERROR_USAGE, E2BIG,
            "with `wire` there can be %d peers in a subnet of %s at the most; choose fewer "
            "with `from`",
            NEIGHBOURS_PERMANENT, attach->out.card.name);
    return status;
}

static int check_peers(struct attach *attach, const struct addr_set *peers,
                       struct peer_error *error)
{
    struct addr_prefix *prefixes;
    int status = check_not_owned(attach, peers, error);
    if (status < 0)
        return status;
    if (attach->out.card.ifindex)
        return check_wire(attach, peers, error);
    int count = addr_set_prefixes(peers, &prefixes);
    if (count < 0)
        return error_set(error, PEER_ERROR_USAGE, -count,
                         "the peers' addresses need too many routes; give whole prefixes, such as "
                         "198.18.0.0/16");
    status = check_not_routed(attach, prefixes, count, error);
    free(prefixes);
    return status;
}

/* The n-th address to try for a peer whose address nobody gave: inside the local side's subnet when
   it has one, else in the ranges for benchmarks (RFC 2544, RFC 5180). */
static struct peer_addr candidate(const struct attach_plan *plan, uint32_t n)
{
    static const struct peer_addr bases[] = {
        {4, {198, 18, 0, 2}},
        {6, {0x20, 0x01, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}},
    };
    struct peer_addr addr = bases[plan->family == 6];
    int last = plan->family == 6 ? 15 : 3;
    int room = (plan->family == 6 ? 128 : 32) - plan->local.length;

    if (plan->config->local && room >= 2) {
        addr = plan->local.addr;
        n += 1; /* the ones after the local side's own */
        uint32_t mask = room >= 16 ? 0xffff : (1u << room) - 1;
        uint32_t low = ((uint32_t)addr.bytes[last - 1] << 8 | addr.bytes[last]);
        low = (low & ~mask) | ((low + n) & mask);
        addr.bytes[last - 1] = (uint8_t)(low >> 8);
        addr.bytes[last] = (uint8_t)low;
        return addr;
    }
    addr.bytes[last - 1] = (uint8_t)(addr.bytes[last - 1] + (n + 2) / 256);
    addr.bytes[last] = (uint8_t)(n + 2);
    return addr;
}

static int choose_peer(struct attach *attach, uint32_t *turn, struct peer_error *error)
{
    struct peer_error last = {0};
    char text[PEER_ADDR_TEXT];

    for (; *turn < CANDIDATES; ++*turn) {
        struct peer_addr addr = candidate(attach->plan, *turn);
        struct addr_set set;
        if (addr_set_parse(peer_addr_format(&addr, text), &set, NULL) < 0)
            continue;
        if (check_peers(attach, &set, &last) == 0) {
            attach->peers = set;
            attach->peers_chosen = true;
            attach->out.chosen = addr;
            return 0;
        }
        addr_set_done(&set);
        if (attach->out.card.ifindex && last.code == ENETUNREACH)
            break; /* so it is with the others */
    }
    if (attach->out.card.ifindex && last.code) {
        if (error)
            *error = last;
        return -last.code;
    }
    return error_set(error, PEER_ERROR_MACHINE, EADDRINUSE,
                     "no free address for a peer was found; name some with `from`");
}

/* ---- the device ---- */

/* TUNSETIFF would join a persistent device of that name, on which our addresses would stay. */
static int check_name_free(struct attach *attach, struct peer_error *error)
{
    const char *name = attach->plan->config->dev;
    struct rtnl_link link;

    if (!name || strchr(name, '%') || rtnl_link_get(attach->rtnl, 0, name, &link, NULL) < 0)
        return 0;
    if (device_goes(link.ifindex) && rtnl_link_get(attach->rtnl, 0, name, &link, NULL) < 0)
        return 0;
    return error_set(error, PEER_ERROR_MACHINE, EBUSY,
                     "there is a device %s already; choose another name with `dev`", name);
}

static struct tun_config tun_of(const struct attach_plan *plan)
{
    const struct peer_net_config *config = plan->config;

    return (struct tun_config){.node = config->device_node,
                               .name = config->dev,
                               .tap = plan->kind == PEER_TAP,
                               .offload = !config->no_offload,
                               .queues = config->workers};
}

int attach_add_queue(const struct attach_plan *plan, const char *device, struct peer_error *error)
{
    const struct tun_config tun = tun_of(plan);

    return tun_add_queue(&tun, device, error);
}

static int make_device(struct attach *attach, struct peer_error *error)
{
    struct tun_config tun = tun_of(attach->plan);
    struct rtnl_link_change change = {
        .up = true, .mtu = attach->out.mtu, .txqueuelen = TX_QUEUE_LEN, .no_ipv6_autoconf = true};

    tun.peers = &attach->peers;
    int status = check_name_free(attach, error);
    if (status == 0)
        status = tun_open(&tun, &attach->out.tun, error);
    if (status < 0)
        return status;
    if (attach->out.card.ifindex) {
        attach->out.tun.mac = attach->out.card.mac; /* the peers' counterpart is the card */
        change.mac = &attach->out.tun.mac;
    }
    status = rtnl_link_set(attach->rtnl, attach->out.tun.ifindex, &change, error);
    if (status == -EAFNOSUPPORT || status == -EOPNOTSUPP) { /* a kernel without IPv6 */
        change.no_ipv6_autoconf = false;
        status = rtnl_link_set(attach->rtnl, attach->out.tun.ifindex, &change, error);
    }
    /* Each frame would pay for a queueing discipline, and none ever waits there: when the device's
       own ring is full the kernel drops. Without leave to change it, it stays. */
    if (status == 0)
        (void)rtnl_link_no_queue(attach->rtnl, attach->out.tun.ifindex);
    return status;
}

/* As the peers and the plan are now. */
static void fill_standing(const struct attach *attach, struct standing *standing)
{
    const struct addr_prefix *local = &attach->plan->local;
    const int card = attach->out.card.ifindex;

    standing->rtnl = attach->rtnl;
    standing->ifindex = attach->out.tun.ifindex;
    standing->neighbour_ifindex = card ? card : attach->out.tun.ifindex;
    standing->by_wire = card != 0;
    standing->kind = attach->plan->kind;
    standing->mac = attach->out.tun.mac;
    standing->peers = &attach->peers;
    standing->first_mac = attach->plan->first_mac;
    standing->local = *local;
    standing->local_is_source = local->addr.family != 0;
    standing->neighbours = attach->out.neighbours;
}

static struct standing standing_of(const struct attach *attach)
{
    struct standing standing;

    fill_standing(attach, &standing);
    return standing;
}

static int add_local(struct attach *attach, struct peer_error *error)
{
    const struct standing standing = standing_of(attach);

    attach->out.local = attach->plan->local;
    return standing_add_local(&standing, error);
}

static enum peer_neighbours choose_neighbours(const struct attach *attach)
{
    if (attach->out.card.ifindex && !attach->on_link)
        return PEER_NEIGHBOURS_ASK; /* of the real gateway */
    if (attach->plan->kind != PEER_TAP || attach->peers.count <= NEIGHBOURS_ASKED)
        return PEER_NEIGHBOURS_ASK;
    return attach->peers.count <= NEIGHBOURS_PERMANENT ? PEER_NEIGHBOURS_PERMANENT
                                                       : PEER_NEIGHBOURS_GATEWAY;
}

static int add_neighbours(struct attach *attach, struct peer_error *error)
{
    const struct standing standing = standing_of(attach);

    return standing_add_neighbours(&standing, error);
}

static int add_routes(struct attach *attach, struct peer_error *error)
{
    const struct standing standing = standing_of(attach);

    return standing_add_routes(&standing, error);
}

/* Local programs need an address to call from: does the kernel find one? */
static int ensure_caller_address(struct attach *attach, struct peer_error *error)
{
    const struct attach_plan *plan = attach->plan;
    struct rtnl_lookup lookup = {.dst = addr_set_at(&attach->peers, 0)};
    struct rtnl_route route;

    if (!plan->config->local_needed || plan->local.addr.family)
        return 0;
    if (rtnl_route_lookup(attach->rtnl, &lookup, &route, NULL) == 0 && route.prefsrc.family &&
        !addr_is_loopback(&route.prefsrc) && !addr_is_link_local(&route.prefsrc))
        return 0;
    for (uint32_t n = 0; n < CANDIDATES; n++) {
        struct addr_prefix prefix = {.addr = candidate(plan, n),
                                     .length = plan->family == 6 ? 128 : 32};
        int on;
        prefix.addr.bytes[1] |= plan->family == 4; /* 198.19.0.0/16, so that peers keep 198.18 */
        if (plan->family == 6)
            prefix.addr.bytes[5] = 1;
        if (addr_set_find(&attach->peers, &prefix.addr) >= 0 ||
            rtnl_addr_owned(attach->rtnl, &prefix.addr, &on, NULL) != 0)
            continue;
        attach->out.local = prefix;
        return rtnl_addr_add(attach->rtnl, attach->out.tun.ifindex, &prefix, error);
    }
    return error_set(error, PEER_ERROR_MACHINE, EADDRINUSE,
                     "no free address for the local side was found; give one with `local`");
}

/* ---- in order ---- */

/* Another peer may take a chosen address between the look and the grab: then the next one. */
static int add_routes_or_choose_again(struct attach *attach, uint32_t *turn,
                                      struct peer_error *error)
{
    int status = add_routes(attach, error);

    while (status == -EEXIST && attach->peers_chosen) {
        addr_set_done(&attach->peers);
        attach->peers_chosen = false;
        ++*turn;
        status = choose_peer(attach, turn, error);
        if (status == 0)
            status = add_routes(attach, error);
    }
    return status;
}

static int join_wire_or_choose_again(struct attach *attach, uint32_t *turn,
                                     struct peer_error *error)
{
    const struct wire_join join = {.card = &attach->out.card,
                                   .tap_ifindex = attach->out.tun.ifindex,
                                   .peers = &attach->peers,
                                   .first_mac = attach->plan->first_mac};
    int status;

    while ((status = wire_attach(attach->rtnl, &join, &attach->out.wire, error)) == -EADDRINUSE &&
           attach->peers_chosen) {
        addr_set_done(&attach->peers);
        attach->peers_chosen = false;
        ++*turn;
        status = choose_peer(attach, turn, error);
        if (status < 0)
            break;
    }
    return status;
}

/* What stands on the machine for the peers: addresses, routes and neighbours of the device, or what
   joins it to a wire. */
static int settle(struct attach *attach, uint32_t *turn, struct peer_error *error)
{
    int status;

    if (attach->plan->config->wire_look)
        return 0;
    if (attach->out.card.ifindex) {
        status = join_wire_or_choose_again(attach, turn, error);
        return status < 0 ? status : add_neighbours(attach, error);
    }
    status = add_local(attach, error);
    if (status == 0)
        status = add_routes_or_choose_again(attach, turn, error);
    if (status == 0)
        status = add_neighbours(attach, error);
    if (status == 0)
        status = ensure_caller_address(attach, error);
    return status;
}

int attach_guard(const char *device, int ifindex, const struct addr_set *peers, int tun_fd,
                 struct guard *ret_guard, struct peer_error *error)
{
    struct guard_job job = {.what = device,
                            .process_name = "peer-guard",
                            .peers = peers,
                            .ifindex = ifindex,
                            .kept = &tun_fd,
                            .kept_count = 1};
    char text[DEVICE_NAME_TEXT];

    format_device_name(ifindex, text);
    job.name = name_take(text);
    if (job.name < 0)
        return error_set(error, PEER_ERROR_MACHINE, -job.name, "cannot guard %s: %s", device,
                         error_text(-job.name));
    int status = guard_start(&job, ret_guard, error);
    close(job.name); /* the guardian has it */
    return status;
}

/* In a namespace of its own nothing leads to a real network, and it ends with its programs. */
static int start_guard(struct attach *attach, struct peer_error *error)
{
    const struct tun *tun = &attach->out.tun;

    if (attach->out.card.ifindex || attach->plan->config->isolate)
        return 0;
    return attach_guard(tun->name, tun->ifindex, &attach->peers, tun->fd, &attach->out.guard,
                        error);
}

static int find_card(struct attach *attach, struct peer_error *error)
{
    const char *wire = attach->plan->config->wire;
    const uint32_t mtu = attach->plan->mtu;
    struct wire_card *card = &attach->out.card;

    attach->out.mtu = mtu;
    if (!wire)
        return 0;
    int status = wire_card(attach->rtnl, wire, card, error);
    if (status < 0)
        return status;
    attach->out.mtu = mtu ? mtu : MIN(card->mtu, (uint32_t)PEER_MTU_MAX_TAP);
    if (mtu > card->mtu)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "MTU %u is more than the %u of %s, on whose wire the peers are", mtu,
                         card->mtu, card->name);
    return 0;
}

static int attach_steps(struct attach *attach, struct peer_error *error)
{
    uint32_t turn = 0;
    int status = rtnl_open(&attach->rtnl, error);
    if (status == 0)
        status = diag_open(&attach->diag, error);
    if (status == 0)
        status = find_card(attach, error);
    if (status == 0)
        status = check_target(attach, error);
    if (status == 0 && attach->plan->peers.family)
        status = check_peers(attach, &attach->peers, error);
    else if (status == 0)
        status = choose_peer(attach, &turn, error);
    if (status == 0)
        status = make_device(attach, error);
    attach->out.neighbours = choose_neighbours(attach);
    if (status == 0)
        status = settle(attach, &turn, error);
    if (status == 0)
        status = start_guard(attach, error);
    if (status == 0)
        status = watch_open(&attach->out.watch_fd, error);
    fill_standing(attach, &attach->out.standing);
    attach->out.standing.local = attach->out.local; /* the one chosen for local callers, too */
    return status;
}

int attach_list_fds(struct attach_outcome *outcome, int *ret_places[ATTACH_FDS_MAX])
{
    int count = 0;

    ret_places[count++] = &outcome->tun.fd;
    ret_places[count++] = &outcome->rtnl_fd;
    ret_places[count++] = &outcome->diag_fd;
    ret_places[count++] = &outcome->watch_fd;
    if (outcome->guard.fd >= 0)
        ret_places[count++] = &outcome->guard.fd;
    if (outcome->wire.fd_count > 0)
        ret_places[count++] = &outcome->wire.guard.fd;
    for (int i = 0; i < outcome->wire.fd_count; i++)
        ret_places[count++] = &outcome->wire.fds[i];
    return count;
}

int attach_run(const struct attach_plan *plan, struct attach_outcome *ret_outcome,
               struct peer_error *error)
{
    struct attach attach;

    memset(&attach, 0, sizeof(attach)); /* a helper sends `out`, with what is between its fields */
    attach.plan = plan;
    attach.peers = plan->peers;
    attach.out.tun.fd = attach.out.guard.fd = -1;
    int status = attach_steps(&attach, error);

    if (status == 0) {
        attach.out.rtnl_fd = dup(rtnl_fd(attach.rtnl));
        attach.out.diag_fd = dup(diag_fd(attach.diag));
        *ret_outcome = attach.out;
    } else {
        if (attach.out.tun.fd >= 0)
            close(attach.out.tun.fd);
        guard_end(&attach.out.guard);
        wire_detach(&attach.out.wire);
    }
    if (attach.peers_chosen)
        addr_set_done(&attach.peers);
    rtnl_free(attach.rtnl);
    diag_free(attach.diag);
    return status;
}
