/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values as nft(8) writes them: what bytes in a register, in a comparison or in a set mean.
 */
#include "kernel/observe/nftrace_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS_SHOWN = 8, ELEMENTS_MAX = 128 };

struct word {
    uint32_t number;
    const char *text;
};

static const struct word protocols[] = {
    {IPPROTO_ICMP, "icmp"}, {IPPROTO_TCP, "tcp"},         {IPPROTO_UDP, "udp"},
    {IPPROTO_SCTP, "sctp"}, {IPPROTO_ICMPV6, "icmpv6"},   {IPPROTO_GRE, "gre"},
    {IPPROTO_ESP, "esp"},   {IPPROTO_UDPLITE, "udplite"}, {IPPROTO_DCCP, "dccp"},
};
static const struct word families[] = {{NFPROTO_IPV4, "ipv4"}, {NFPROTO_IPV6, "ipv6"}};
static const struct word ethertypes[] = {{0x0800, "ip"}, {0x86dd, "ip6"}, {0x0806, "arp"}};
static const struct word ct_states[] = {
    {1, "invalid"}, {2, "established"}, {4, "related"}, {8, "new"}, {64, "untracked"}};
static const struct word ct_statuses[] = {
    {2, "seen-reply"}, {4, "assured"}, {8, "confirmed"}, {16, "snat"}, {32, "dnat"}};
static const struct word fib_types[] = {
    {1, "unicast"}, {2, "local"}, {3, "broadcast"}, {4, "anycast"}, {5, "multicast"}};

static const char *word_of(const struct word *words, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].number == number)
            return words[i].text;
    return NULL;
}

uint64_t nft_machine_number(const uint8_t *data, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len && i < 8; i++)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        value |= (uint64_t)data[i] << (8 * i);
#else
        value = value << 8 | data[i];
#endif
    return value;
}

uint64_t nft_network_number(const uint8_t *data, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len && i < 8; i++)
        value = value << 8 | data[i];
    return value;
}

/** "established,related" */
static void format_bits(const struct word *words, size_t count, uint64_t bits, char *buf,
                        size_t room)
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if ((bits & words[i].number) && len < room)
            len += (size_t)snprintf(buf + len, room - len, "%s%s", len ? "," : "", words[i].text);
    if (len == 0)
        (void)snprintf(buf, room, "0x%llx", (unsigned long long)bits);
}

void nft_hex_format(const uint8_t *data, size_t len, char *buf, size_t room)
{
    size_t at = (size_t)snprintf(buf, room, "0x");

    for (size_t i = 0; i < len && at + 2 < room; i++)
        at += (size_t)snprintf(buf + at, room - at, "%02x", data[i]);
}

void nft_addr_format(const uint8_t *data, size_t len, char *buf, size_t room)
{
    struct peer_addr addr = {.family = len == 16 ? 6 : 4};
    char text[PEER_ADDR_TEXT];

    if (len != 4 && len != 16) {
        nft_hex_format(data, len, buf, room);
        return;
    }
    memcpy(addr.bytes, data, len);
    (void)snprintf(buf, room, "%s", peer_addr_format(&addr, text));
}

void nft_value_format(enum nft_kind kind, const uint8_t *data, size_t len, char *buf, size_t room)
{
    const uint64_t host = nft_machine_number(data, len), net = nft_network_number(data, len);
    const char *word = NULL;

    switch (kind) {
    case KIND_ADDR:
        nft_addr_format(data, len, buf, room);
        return;
    case KIND_TEXT:
        /* Without a zero at the end only the beginning is compared. */
        (void)snprintf(buf, room, "\"%.*s%s\"", (int)strnlen((const char *)data, len), data,
                       strnlen((const char *)data, len) == len && len < IF_NAMESIZE ? "*" : "");
        return;
    case KIND_CT_STATE:
        format_bits(ct_states, ARRAY_SIZE(ct_states), host, buf, room);
        return;
    case KIND_CT_STATUS:
        format_bits(ct_statuses, ARRAY_SIZE(ct_statuses), host, buf, room);
        return;
    case KIND_HEX:
        nft_hex_format(data, len, buf, room);
        return;
    case KIND_PROTOCOL:
        word = word_of(protocols, ARRAY_SIZE(protocols), host);
        break;
    case KIND_FAMILY:
        word = word_of(families, ARRAY_SIZE(families), host);
        break;
    case KIND_FIB_TYPE:
        word = word_of(fib_types, ARRAY_SIZE(fib_types), host);
        break;
    case KIND_ETHERTYPE:
        word = word_of(ethertypes, ARRAY_SIZE(ethertypes), net);
        break;
    case KIND_NUMBER:
    case KIND_PORT:
        break;
    }
    if (word)
        (void)snprintf(buf, room, "%s", word);
    else
        (void)snprintf(
            buf, room, "%llu",
            (unsigned long long)(kind == KIND_PORT || kind == KIND_ETHERTYPE ? net : host));
}

/** Bytes of an NFTA_DATA_VALUE within `nest`; 0 when there are none. */
size_t nft_data_value(const struct nlattr *nest, uint8_t data[16])
{
    const struct nlattr *table[NFTA_DATA_VERDICT + 1];

    nl_nested(nest, table, NFTA_DATA_VERDICT);
    if (!table[NFTA_DATA_VALUE])
        return 0;
    size_t len = MIN(nl_len(table[NFTA_DATA_VALUE]), (size_t)16);
    memcpy(data, nl_data(table[NFTA_DATA_VALUE]), len);
    return len;
}

/** The verdict within `nest` (NFTA_DATA_VERDICT), in words; false when there is none. */
bool nft_verdict_format(const struct nlattr *nest, char *buf, size_t room)
{
    const struct nlattr *table[NFTA_DATA_VERDICT + 1], *verdict[NFTA_VERDICT_CHAIN + 1];
    char chain[NFTRACE_NAME] = "";

    nl_nested(nest, table, NFTA_DATA_VERDICT);
    if (!table[NFTA_DATA_VERDICT])
        return false;
    nl_nested(table[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_CHAIN);
    (void)nl_get_text(verdict[NFTA_VERDICT_CHAIN], chain, sizeof(chain));
    const char *word =
        nftrace_verdict_text(nftrace_verdict_of(nft_get_u32(verdict[NFTA_VERDICT_CODE], 0)));
    (void)snprintf(buf, room, "%s%s%s", word, chain[0] ? " " : "", chain);
    return true;
}

const char *nft_protocol_text(uint8_t protocol)
{
    return word_of(protocols, ARRAY_SIZE(protocols), protocol);
}

/* ---- sets ---- */

struct element {
    uint8_t key[16];
    size_t len;
    bool end;                     /* the first behind an interval */
    char data[NFTRACE_NAME + 16]; /* of a verdict map */
};

static int by_key(const void *left, const void *right)
{
    const struct element *a = left, *b = right;
    const int order = memcmp(a->key, b->key, sizeof(a->key));

    return order ? order : b->end - a->end;
}

static bool parse_element(const struct nlattr *attribute, struct element *element)
{
    const struct nlattr *table[NFTA_SET_ELEM_FLAGS + 1];

    nl_nested(attribute, table, NFTA_SET_ELEM_FLAGS);
    *element = (struct element){.end = nft_get_u32(table[NFTA_SET_ELEM_FLAGS], 0) &
                                       NFT_SET_ELEM_INTERVAL_END};
    element->len = nft_data_value(table[NFTA_SET_ELEM_KEY], element->key);
    if (table[NFTA_SET_ELEM_DATA])
        (void)nft_verdict_format(table[NFTA_SET_ELEM_DATA], element->data, sizeof(element->data));
    return element->len > 0;
}

/** The elements of a set, sorted; -errno. */
static int read_set(struct nl *nl, const struct nft_set *set, struct element *elements)
{
    struct nl_answers answers = {0};
    struct nl_request request;
    int count = 0;

    if (strlen(set->table) + strlen(set->name) > NL_REQUEST_BYTES - 64)
        return -ENAMETOOLONG;
    nftrace_ask(&request, NFT_MSG_GETSETELEM, set->family);
    nl_put(&request, NFTA_SET_ELEM_LIST_TABLE, set->table, strlen(set->table) + 1);
    nl_put(&request, NFTA_SET_ELEM_LIST_SET, set->name, strlen(set->name) + 1);
    int status = nl_dump(nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && status == 0;
         m = nl_next(&answers, m)) {
        const struct nlattr *table[NFTA_SET_ELEM_LIST_ELEMENTS + 1], *attribute;
        if (!nl_attributes(m, sizeof(struct nfgenmsg), table, NFTA_SET_ELEM_LIST_ELEMENTS) ||
            !table[NFTA_SET_ELEM_LIST_ELEMENTS])
            continue;
        nftrace_each_nested(attribute, table[NFTA_SET_ELEM_LIST_ELEMENTS])
        {
            if (count < ELEMENTS_MAX && parse_element(attribute, &elements[count]))
                count++;
        }
    }
    nl_answers_done(&answers);
    qsort(elements, (size_t)count, sizeof(*elements), by_key);
    return status < 0 ? status : count;
}

/** The last one of an interval is one before its end. */
static void step_back(struct element *element)
{
    for (size_t i = element->len; i-- > 0;)
        if (element->key[i]-- != 0)
            break;
}

static void format_set(enum nft_kind kind, struct element *elements, int count, char *buf,
                       size_t room)
{
    size_t len = (size_t)snprintf(buf, room, "{");
    int shown = 0;

    for (int i = 0; i < count && len < room; i++) {
        char first[64], last[64] = "";
        if (elements[i].end) /* of nothing: the set begins with a gap */
            continue;
        if (++shown > ELEMENTS_SHOWN) {
            len += (size_t)snprintf(buf + len, room - len, ", ...");
            break;
        }
        nft_value_format(kind, elements[i].key, elements[i].len, first, sizeof(first));
        if (i + 1 < count && elements[i + 1].end) {
            step_back(&elements[i + 1]);
            nft_value_format(kind, elements[i + 1].key, elements[i + 1].len, last, sizeof(last));
        }
        const bool range = last[0] && strcmp(first, last) != 0;
        len += (size_t)snprintf(buf + len, room - len, "%s%s%s%s%s%s", shown > 1 ? ", " : " ",
                                first, range ? "-" : "", range ? last : "",
                                elements[i].data[0] ? " : " : "", elements[i].data);
    }
    if (len < room)
        (void)snprintf(buf + len, room - len, " }");
}

int nft_set_format(struct nl *nl, const struct nft_set *set, char *buf, size_t room)
{
    struct element *elements = calloc(ELEMENTS_MAX, sizeof(*elements));
    if (!elements)
        return -ENOMEM;
    const int count = read_set(nl, set, elements);
    if (count > 0)
        format_set(set->kind, elements, count, buf, room);
    free(elements);
    return count > 0 ? 0 : -ENOENT;
}
