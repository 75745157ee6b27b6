/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of policy routing, as a dump of RTM_GETRULE lists them: by preference. A look-up of a route
 * tells what came of them, but not that it was a rule which refused.
 */
#include "kernel/netlink/rtnl_internal.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

/** Is the address in what the rule names? A rule without one takes any. */
static bool address_matches(const struct nlattr *attribute, uint8_t length,
                            const struct peer_addr *addr)
{
    struct addr_prefix prefix = {.length = length};

    if (length == 0)
        return true;
    return addr->family && nl_get_addr(attribute, nl_family(addr->family), &prefix.addr) &&
           addr_prefix_contains(&prefix, addr);
}

static bool mark_matches(const struct nlattr *const *table, uint32_t mark)
{
    uint32_t wanted = 0, mask = 0;

    (void)nl_get(table[FRA_FWMARK], &wanted, sizeof(wanted));
    (void)nl_get(table[FRA_FWMASK], &mask, sizeof(mask));
    return (mark & mask) == wanted;
}

static bool device_matches(struct rtnl *rtnl, const struct nlattr *name, int ifindex)
{
    char wanted[IF_NAMESIZE];
    struct rtnl_link link = {.name = "lo"}; /* what is sent from here comes from there */

    if (!nl_get_text(name, wanted, sizeof(wanted)))
        return true;
    if (ifindex > 0 && rtnl_link_get(rtnl, ifindex, NULL, &link, NULL) < 0)
        return false;
    return !strcmp(wanted, link.name);
}

static bool port_matches(const struct nlattr *range, uint16_t port)
{
    struct fib_rule_port_range wanted;

    return !nl_get(range, &wanted, sizeof(wanted)) || (port >= wanted.start && port <= wanted.end);
}

static bool rule_matches(struct rtnl *rtnl, const struct fib_rule_hdr *head,
                         const struct nlattr *const *table, const struct rtnl_lookup *lookup)
{
    uint8_t protocol = 0;
    bool matches = address_matches(table[FRA_SRC], head->src_len, &lookup->src) &&
                   address_matches(table[FRA_DST], head->dst_len, &lookup->dst) &&
                   mark_matches(table, lookup->mark) &&
                   device_matches(rtnl, table[FRA_IIFNAME], lookup->iif) &&
                   port_matches(table[FRA_SPORT_RANGE], lookup->sport) &&
                   port_matches(table[FRA_DPORT_RANGE], lookup->dport);

    if (nl_get(table[FRA_IP_PROTO], &protocol, sizeof(protocol)))
        matches = matches && protocol == lookup->protocol;
    return matches != !!(head->flags & FIB_RULE_INVERT);
}

static bool take_rule(struct rtnl *rtnl, const struct nlmsghdr *message,
                      const struct rtnl_lookup *lookup, struct rtnl_rule *ret_rule)
{
    const struct nlattr *table[FRA_DPORT_RANGE + 1];
    struct rtnl_rule rule = {0};

    if (message->nlmsg_type != RTM_NEWRULE ||
        !nl_attributes(message, sizeof(struct fib_rule_hdr), table, FRA_DPORT_RANGE))
        return false;
    const struct fib_rule_hdr *head = nl_payload(message, sizeof(*head));
    if (head->action != FR_ACT_BLACKHOLE && head->action != FR_ACT_UNREACHABLE &&
        head->action != FR_ACT_PROHIBIT)
        return false;
    if (!rule_matches(rtnl, head, table, lookup))
        return false;
    rule.action = head->action;
    (void)nl_get(table[FRA_PRIORITY], &rule.pref, sizeof(rule.pref));
    *ret_rule = rule;
    return true;
}

int rtnl_rule_refusing(struct rtnl *rtnl, const struct rtnl_lookup *lookup,
                       struct rtnl_rule *ret_rule, struct peer_error *error)
{
    const struct fib_rule_hdr info = {.family = (uint8_t)nl_family(lookup->dst.family)};
    struct nl_answers answers = {0};
    struct nl_request request;

    nl_begin(&request, RTM_GETRULE, 0, &info, sizeof(info));
    int r = nl_dump(&rtnl->nl, &request, &answers);
    if (r < 0)
        r = nl_fail(&rtnl->nl, r, error, "list the rules of IPv%u", lookup->dst.family);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && r == 0; m = nl_next(&answers, m))
        r = take_rule(rtnl, m, lookup, ret_rule);
    nl_answers_done(&answers);
    return r;
}
