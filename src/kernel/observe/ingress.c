/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the link's own message tells about XDP, a dump of the queueing disciplines
 * about clsact, a dump of the filters below it how many there are, and bpf(2) about tcx.
 */
#include "kernel/observe/ingress.h"

#include "kernel/netlink/rtnl_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

enum { TCX_INGRESS = 46 }; /* BPF_TCX_INGRESS, Linux 6.6 */

static void parse_xdp(const struct nlmsghdr *message, struct ingress *ingress)
{
    const struct nlattr *table[IFLA_XDP + 1], *xdp[IFLA_XDP_PROG_ID + 1];

    if (message->nlmsg_type != RTM_NEWLINK ||
        !nl_attributes(message, sizeof(struct ifinfomsg), table, IFLA_XDP))
        return;
    nl_nested(table[IFLA_XDP], xdp, IFLA_XDP_PROG_ID);
    (void)nl_get(xdp[IFLA_XDP_ATTACHED], &ingress->xdp, sizeof(ingress->xdp));
    (void)nl_get(xdp[IFLA_XDP_PROG_ID], &ingress->xdp_id, sizeof(ingress->xdp_id));
}

static int survey_xdp(struct rtnl *rtnl, int ifindex, struct ingress *ingress)
{
    const struct ifinfomsg info = {.ifi_index = ifindex};
    struct nl_answers answers = {0};
    struct nl_request request;

    nl_begin(&request, RTM_GETLINK, 0, &info, sizeof(info));
    int status = nl_call(&rtnl->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m; m = nl_next(&answers, m))
        parse_xdp(m, ingress);
    nl_answers_done(&answers);
    return status;
}

/** Dumps `type` for the device below `parent`; calls `each` for every message of it. */
static int survey_tc(struct rtnl *rtnl, uint16_t type, int ifindex, uint32_t parent,
                     void (*each)(const struct nlmsghdr *message, struct ingress *ingress),
                     struct ingress *ingress)
{
    const struct tcmsg info = {.tcm_ifindex = ifindex, .tcm_parent = parent};
    struct nl_answers answers = {0};
    struct nl_request request;

    nl_begin(&request, type, 0, &info, sizeof(info));
    int status = nl_dump(&rtnl->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && status == 0;
         m = nl_next(&answers, m)) {
        const struct tcmsg *tc = nl_payload(m, sizeof(*tc));
        if (tc && tc->tcm_ifindex == ifindex)
            each(m, ingress);
    }
    nl_answers_done(&answers);
    return status;
}

static void take_qdisc(const struct nlmsghdr *message, struct ingress *ingress)
{
    const struct nlattr *table[TCA_KIND + 1];
    char kind[16];

    if (nl_attributes(message, sizeof(struct tcmsg), table, TCA_KIND) &&
        nl_get_text(table[TCA_KIND], kind, sizeof(kind)) &&
        (!strcmp(kind, "clsact") || !strcmp(kind, "ingress")))
        ingress->clsact = true;
}

static void take_filter(const struct nlmsghdr *message, struct ingress *ingress)
{
    const struct tcmsg *tc = nl_payload(message, sizeof(*tc));

    if (tc->tcm_handle != 0) /* without a handle it is but the head of a list */
        ingress->filters++;
}

static int count_tcx(int ifindex)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.query.target_fd = (uint32_t)ifindex;
    attr.query.attach_type = TCX_INGRESS;
    if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0)
        return errno == EPERM ? -1 : 0; /* an old kernel has none */
    return (int)attr.query.prog_cnt;
}

int ingress_survey(struct rtnl *rtnl, int ifindex, bool same_namespace, struct ingress *ret_ingress,
                   struct peer_error *error)
{
    struct ingress ingress = {.tcx = -1};
    int status = survey_xdp(rtnl, ifindex, &ingress);

    if (status < 0)
        return nl_fail(&rtnl->nl, status, error, "find the device with index %d", ifindex);
    /* Kernels without tc have nothing there. */
    (void)survey_tc(rtnl, RTM_GETQDISC, ifindex, 0, take_qdisc, &ingress);
    if (ingress.clsact)
        (void)survey_tc(rtnl, RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
                        take_filter, &ingress);
    if (same_namespace)
        ingress.tcx = count_tcx(ifindex);
    *ret_ingress = ingress;
    return 0;
}
