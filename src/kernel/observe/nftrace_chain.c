/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains and rules as the kernel lists them.
 */
#include "kernel/observe/nftrace_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void nftrace_ask(struct nl_request *request, uint8_t message, uint8_t family)
{
    const struct nfgenmsg head = {.nfgen_family = family};
    nl_begin(request, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message), 0, &head, sizeof(head));
}

const struct nlattr *nftrace_next_nested(const struct nlattr *nest, const struct nlattr *at)
{
    const uint8_t *start = nl_data(nest);
    const uint8_t *next = at ? (const uint8_t *)at + NLMSG_ALIGN((size_t)at->nla_len) : start;
    const size_t used = (size_t)(next - start), len = nl_len(nest);
    const struct nlattr *attribute = (const void *)next;

    if (used >= len || len - used < sizeof(*attribute) || attribute->nla_len < sizeof(*attribute) ||
        attribute->nla_len > len - used)
        return NULL;
    return attribute;
}

bool nftrace_chain_parse(const struct nlmsghdr *message, struct nftrace_chain *ret_chain)
{
    const struct nlattr *table[NFTA_CHAIN_TYPE + 1], *hook[NFTA_HOOK_PRIORITY + 1];
    struct nftrace_chain chain = {.hook = NFTRACE_NO_HOOK};

    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) ||
        !nl_attributes(message, sizeof(struct nfgenmsg), table, NFTA_CHAIN_TYPE))
        return false;
    const struct nfgenmsg *head = nl_payload(message, sizeof(*head));
    chain.family = head->nfgen_family;
    if (!nl_get_text(table[NFTA_CHAIN_TABLE], chain.table, sizeof(chain.table)) ||
        !nl_get_text(table[NFTA_CHAIN_NAME], chain.name, sizeof(chain.name)))
        return false;
    if (table[NFTA_CHAIN_HOOK]) {
        nl_nested(table[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_PRIORITY);
        chain.hook =
            nftrace_hook_of(chain.family, nft_get_u32(hook[NFTA_HOOK_HOOKNUM], UINT32_MAX));
        chain.priority = (int32_t)nft_get_u32(hook[NFTA_HOOK_PRIORITY], 0);
        chain.drops = nft_get_u32(table[NFTA_CHAIN_POLICY], NF_ACCEPT) == NF_DROP;
        (void)nl_get_text(table[NFTA_CHAIN_TYPE], chain.type, sizeof(chain.type));
    }
    *ret_chain = chain;
    return true;
}

static int by_place(const void *left, const void *right)
{
    const struct nftrace_chain *a = left, *b = right;

    if (a->hook != b->hook)
        return a->hook < b->hook ? -1 : 1;
    return (a->priority > b->priority) - (a->priority < b->priority);
}

int nftrace_load_chains(struct nftrace *nftrace)
{
    struct nl_answers answers = {0};
    struct nl_request request;

    if (!nftrace->chains)
        nftrace->chains = malloc(sizeof(*nftrace->chains) * NFTRACE_CHAINS);
    if (!nftrace->chains)
        return -ENOMEM;
    nftrace_ask(&request, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC);
    int status = nl_dump(&nftrace->owner, &request, &answers);
    nftrace->chain_count = 0;
    for (const struct nlmsghdr *m = nl_next(&answers, NULL);
         m && status == 0 && nftrace->chain_count < NFTRACE_CHAINS; m = nl_next(&answers, m)) {
        struct nftrace_chain *chain = &nftrace->chains[nftrace->chain_count];
        if (nftrace_chain_parse(m, chain) && strncmp(chain->table, "peer-trace-", 11) != 0)
            nftrace->chain_count++;
    }
    nl_answers_done(&answers);
    qsort(nftrace->chains, (size_t)nftrace->chain_count, sizeof(*nftrace->chains), by_place);
    return status;
}

int nftrace_each_chain(struct nftrace *nftrace,
                       int (*each)(void *user, const struct nftrace_chain *chain), void *user)
{
    int status = nftrace_load_chains(nftrace);

    for (int i = 0; i < nftrace->chain_count && status == 0; i++)
        if (nftrace->chains[i].hook != NFTRACE_NO_HOOK)
            status = each(user, &nftrace->chains[i]);
    return status;
}

int nftrace_rule_text(struct nftrace *nftrace, const struct nftrace_chain *chain, uint64_t handle,
                      char *buf, size_t room, bool *ret_rejects)
{
    const uint32_t number[2] = {htonl((uint32_t)(handle >> 32)), htonl((uint32_t)handle)};
    struct nl_answers answers = {0};
    struct nl_request request;

    buf[0] = '\0';
    if (ret_rejects)
        *ret_rejects = false;
    if (strlen(chain->table) + strlen(chain->name) > NL_REQUEST_BYTES - 64)
        return -ENAMETOOLONG;
    nftrace_ask(&request, NFT_MSG_GETRULE, chain->family);
    nl_put(&request, NFTA_RULE_TABLE, chain->table, strlen(chain->table) + 1);
    nl_put(&request, NFTA_RULE_CHAIN, chain->name, strlen(chain->name) + 1);
    nl_put(&request, NFTA_RULE_HANDLE, number, sizeof(number));
    int status = nl_call(&nftrace->owner, &request, &answers);
    const struct nlmsghdr *message = nl_next(&answers, NULL);
    if (status == 0 && message)
        nftrace_rule_format(&nftrace->owner, message, buf, room, ret_rejects);
    else if (status == 0)
        status = -ENOENT;
    nl_answers_done(&answers);
    return status;
}
