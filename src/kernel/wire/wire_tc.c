/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: where eBPF is not to be had, u32 filters with a mirred action do the same,
 * by rtnetlink. One filter redirects all that enters the TAP device to the card's ingress; on the
 * card's egress there is one for each prefix of the peers and each way to name it: IPv4 destination
 * and ARP target, IPv6 destination and target of a neighbour solicitation. u32 counts from the
 * network header.
 *
 * The priority makes the card's filters ours: nobody else has it, since the index of the TAP device
 * is in it, so they are removed by it alone. A filter with a protocol never sees a frame with a
 * VLAN tag.
 *
 * The clsact of a card may be somebody's, or made by one of us and used by others of us; then the
 * last one to go removes it. A lock per card keeps those apart who come and who go.
 */
#include "kernel/wire/wire_internal.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

enum { KEYS_MAX = 6, PRIORITIES = 4096 };

/**
 * The number of the first of our filters within its priority, when one of us made the clsact: the
 * kernel, which counts from 0x800 on by itself, tells it to those who come after.
 */
enum { NODE_ANY = 0, NODE_MADE = 0x5e7, NODE_MASK = 0xfff };

/** What one filter looks for. */
struct match {
    uint16_t protocol; /* ETH_P_* */
    struct tc_u32_key keys[KEYS_MAX];
    uint8_t count;
    uint32_t node; /* NODE_* */
};

static void want(struct match *match, int at, uint32_t value, uint32_t mask)
{
    match->keys[match->count++] =
        (struct tc_u32_key){.mask = htonl(mask), .val = htonl(value & mask), .off = at};
}

static void want_prefix(struct match *match, int at, const struct addr_prefix *prefix)
{
    for (int i = 0, bits = prefix->length; bits > 0; i++, bits -= 32) {
        uint32_t word;
        memcpy(&word, prefix->addr.bytes + i * 4, sizeof(word));
        want(match, at + i * 4, ntohl(word), bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits));
    }
}

/** The two ways to name a prefix. */
static void match_packets(struct match *match, const struct addr_prefix *prefix)
{
    const bool v6 = prefix->addr.family == 6;

    *match = (struct match){.protocol = v6 ? ETH_P_IPV6 : ETH_P_IP};
    want_prefix(match, v6 ? 24 : 16, prefix);
}

static void match_questions(struct match *match, const struct addr_prefix *prefix)
{
    if (prefix->addr.family == 4) {
        *match = (struct match){.protocol = ETH_P_ARP};
        want_prefix(match, 24, prefix);
        return;
    }
    *match = (struct match){.protocol = ETH_P_IPV6};
    want(match, 4, 58 << 8, 0xff00);                  /* ICMPv6 */
    want(match, 40, UINT32_C(135) << 24, 0xff000000); /* neighbour solicitation */
    want_prefix(match, 48, prefix);
}

/* ---- one filter ---- */

static void put_redirect(struct nl_request *request, int ifindex, int direction)
{
    const struct tc_mirred mirred = {
        .action = TC_ACT_STOLEN, .eaction = direction, .ifindex = (uint32_t)ifindex};

    struct nlattr *actions = nl_nest(request, TCA_U32_ACT);
    struct nlattr *action = nl_nest(request, 1);
    nl_put(request, TCA_ACT_KIND, "mirred", sizeof("mirred"));
    struct nlattr *options = nl_nest(request, TCA_ACT_OPTIONS);
    nl_put(request, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
    nl_nest_end(request, options);
    nl_nest_end(request, action);
    nl_nest_end(request, actions);
}

static void put_match(struct nl_request *request, const struct match *match)
{
    const struct tc_u32_sel sel = {.flags = TC_U32_TERMINAL, .nkeys = match->count};
    const size_t keys_bytes = match->count * sizeof(match->keys[0]);
    uint8_t bytes[sizeof(sel) + sizeof(match->keys)]; /* the keys follow it */

    memcpy(bytes, &sel, sizeof(sel));
    memcpy(bytes + sizeof(sel), match->keys, keys_bytes);
    nl_put(request, TCA_U32_SEL, bytes, sizeof(sel) + keys_bytes);
}

struct place {
    int ifindex;
    uint32_t hook; /* TC_H_MIN_INGRESS or TC_H_MIN_EGRESS */
    uint16_t priority;
};

static struct tcmsg place_message(const struct place *place, uint16_t protocol)
{
    return (struct tcmsg){.tcm_ifindex = place->ifindex,
                          .tcm_parent = TC_H_MAKE(TC_H_CLSACT, place->hook),
                          .tcm_info = TC_H_MAKE((uint32_t)place->priority << 16, htons(protocol))};
}

static int add_filter(struct rtnl *rtnl, const struct place *place, const struct match *match,
                      int to_ifindex, int direction)
{
    struct tcmsg info = place_message(place, match->protocol);
    struct nl_request request;

    info.tcm_handle = match->node;
    nl_begin(&request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    nl_put(&request, TCA_KIND, "u32", sizeof("u32"));
    struct nlattr *options = nl_nest(&request, TCA_OPTIONS);
    put_match(&request, match);
    put_redirect(&request, to_ifindex, direction);
    nl_nest_end(&request, options);
    return nl_call(&rtnl->nl, &request, NULL);
}

/** All filters of one priority at a place. */
static void remove_filters(struct rtnl *rtnl, const struct place *place, uint16_t protocol)
{
    const struct tcmsg info = place_message(place, protocol);
    struct nl_request request;

    nl_begin(&request, RTM_DELTFILTER, 0, &info, sizeof(info));
    (void)nl_call(&rtnl->nl, &request, NULL);
}

/* ---- the place ---- */

/** Calls `each` for every filter on the card's egress (or ingress), until it returns true. */
static int each_filter(struct rtnl *rtnl, int ifindex, uint32_t hook,
                       bool (*each)(void *user, const struct tcmsg *filter, const char *kind),
                       void *user)
{
    const struct tcmsg info = {.tcm_ifindex = ifindex, .tcm_parent = TC_H_MAKE(TC_H_CLSACT, hook)};
    const struct nlattr *table[TCA_KIND + 1];
    struct nl_answers answers = {0};
    struct nl_request request;
    char kind[16];
    bool found = false;

    nl_begin(&request, RTM_GETTFILTER, 0, &info, sizeof(info));
    int status = nl_dump(&rtnl->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && !found;
         m = nl_next(&answers, m)) {
        if (m->nlmsg_type != RTM_NEWTFILTER ||
            !nl_attributes(m, sizeof(struct tcmsg), table, TCA_KIND))
            continue;
        if (!nl_get_text(table[TCA_KIND], kind, sizeof(kind)))
            kind[0] = '\0';
        found = each(user, nl_payload(m, sizeof(struct tcmsg)), kind);
    }
    nl_answers_done(&answers);
    return found ? 1 : status < 0 ? status : 0;
}

/** The two priorities at hand. */
static bool is_taken(void *user, const struct tcmsg *filter, const char *kind)
{
    const uint16_t *first = user;
    const unsigned priority = filter->tcm_info >> 16;

    (void)kind;
    return priority == *first || priority == *first + 1U;
}

static bool is_any(void *user, const struct tcmsg *filter, const char *kind)
{
    (void)user;
    (void)filter;
    (void)kind;
    return true;
}

static bool is_of_maker(void *user, const struct tcmsg *filter, const char *kind)
{
    (void)user;
    return (filter->tcm_handle & NODE_MASK) == NODE_MADE && strcmp(kind, "u32") == 0;
}

int wire_tc_lock(int ifindex, struct peer_error *error)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "peer-wire/%d", ifindex);
    const int fd = name_take(name);
    if (fd >= 0)
        return fd;
    return error_set(error, PEER_ERROR_MACHINE, -fd,
                     "another process that changes the tc filters does not come to an end: %s",
                     error_text(-fd));
}

int wire_tc_plan(struct rtnl *rtnl, const struct wire_job *job, struct wire_tc *ret_tc,
                 struct peer_error *error)
{
    struct wire_tc tc = {.ifindex = job->card->ifindex, .family = job->family};

    for (int i = 0; i < PRIORITIES; i++) {
        /* Low ones come first: somebody's filter must not let a frame out before ours sees it. */
        tc.priority = (uint16_t)(1 + (job->tap_ifindex + i) % PRIORITIES * 2);
        /* Without a clsact there are no filters at all, which is an error to the kernel. */
        if (each_filter(rtnl, tc.ifindex, TC_H_MIN_EGRESS, is_taken, &tc.priority) <= 0) {
            *ret_tc = tc;
            return 0;
        }
    }
    return error_set(error, PEER_ERROR_MACHINE, EBUSY, "there are too many tc filters on %s",
                     job->card->name);
}

static int add_clsact(struct rtnl *rtnl, int ifindex)
{
    const struct tcmsg info = {
        .tcm_ifindex = ifindex, .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0), .tcm_parent = TC_H_CLSACT};
    struct nl_request request;

    nl_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    nl_put(&request, TCA_KIND, "clsact", sizeof("clsact"));
    return nl_call(&rtnl->nl, &request, NULL);
}

static void remove_clsact(struct rtnl *rtnl, int ifindex)
{
    const struct tcmsg info = {
        .tcm_ifindex = ifindex, .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0), .tcm_parent = TC_H_CLSACT};
    struct nl_request request;

    nl_begin(&request, RTM_DELQDISC, 0, &info, sizeof(info));
    (void)nl_call(&rtnl->nl, &request, NULL);
}

int wire_tc_qdiscs(struct rtnl *rtnl, const struct wire_job *job, struct wire_tc *tc,
                   struct peer_error *error)
{
    int status = add_clsact(rtnl, job->card->ifindex);

    tc->removes_qdisc =
        status == 0 || (status == -EEXIST && each_filter(rtnl, job->card->ifindex, TC_H_MIN_EGRESS,
                                                         is_of_maker, NULL) > 0);
    if (status == 0 || status == -EEXIST)
        status = add_clsact(rtnl, job->tap_ifindex);
    if (status < 0)
        return nl_fail(&rtnl->nl, status, error, "put a clsact qdisc on %s", job->card->name);
    return 0;
}

/* ---- the filters ---- */

static int add_egress(struct rtnl *rtnl, const struct wire_job *job, const struct wire_tc *tc,
                      void (*write)(struct match *match, const struct addr_prefix *prefix),
                      int step)
{
    const struct place egress = {tc->ifindex, TC_H_MIN_EGRESS, (uint16_t)(tc->priority + step)};
    struct match match;
    int status = 0;

    for (int i = 0; i < job->prefix_count && status == 0; i++) {
        write(&match, &job->prefixes[i]);
        match.node = tc->removes_qdisc && i == 0 ? NODE_MADE : NODE_ANY;
        status = add_filter(rtnl, &egress, &match, job->tap_ifindex, TCA_EGRESS_REDIR);
    }
    return status;
}

static int add_ingress(struct rtnl *rtnl, const struct wire_job *job)
{
    const struct place ingress = {job->tap_ifindex, TC_H_MIN_INGRESS, 1};
    struct match all = {.protocol = ETH_P_ALL};

    want(&all, 0, 0, 0);
    return add_filter(rtnl, &ingress, &all, job->card->ifindex, TCA_INGRESS_REDIR);
}

int wire_tc_filters(struct rtnl *rtnl, const struct wire_job *job, const struct wire_tc *tc,
                    struct peer_error *error)
{
    int status = add_egress(rtnl, job, tc, match_packets, 0);

    if (status == 0)
        status = add_egress(rtnl, job, tc, match_questions, 1);
    if (status == 0)
        status = add_ingress(rtnl, job);
    if (status == -ENOENT || status == -EOPNOTSUPP)
        return error_set(
            error, PEER_ERROR_MACHINE, -status,
            "this kernel can neither attach eBPF programs to %s (tcx, Linux 6.6 and root) "
            "nor has it u32 and mirred: modprobe cls_u32; modprobe act_mirred",
            job->card->name);
    if (status < 0)
        return nl_fail(&rtnl->nl, status, error, "add tc filters to %s", job->card->name);
    return 0;
}

int wire_tc_try(struct rtnl *rtnl, int ifindex)
{
    const struct place egress = {ifindex, TC_H_MIN_EGRESS, 1};
    struct match all = {.protocol = ETH_P_ALL};

    want(&all, 0, 0, 0);
    const int status = add_clsact(rtnl, ifindex);
    return status < 0 ? status : add_filter(rtnl, &egress, &all, ifindex, TCA_EGRESS_REDIR);
}

void wire_tc_remove(struct rtnl *rtnl, const struct wire_tc *tc)
{
    const bool v6 = tc->family == 6;
    const int lock = wire_tc_lock(tc->ifindex, NULL);

    for (int step = 0; step < 2; step++) {
        const struct place egress = {tc->ifindex, TC_H_MIN_EGRESS, (uint16_t)(tc->priority + step)};
        remove_filters(rtnl, &egress, v6 ? ETH_P_IPV6 : step ? ETH_P_ARP : ETH_P_IP);
    }
    /* Somebody may have put filters of his own there since. Without the lock, which somebody keeps
       far too long, an empty clsact is the smaller evil. */
    if (tc->removes_qdisc && lock >= 0 &&
        each_filter(rtnl, tc->ifindex, TC_H_MIN_EGRESS, is_any, NULL) == 0 &&
        each_filter(rtnl, tc->ifindex, TC_H_MIN_INGRESS, is_any, NULL) == 0)
        remove_clsact(rtnl, tc->ifindex);
    if (lock >= 0)
        (void)close(lock);
}
