/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The texts in which the kernel describes its tracepoints and itself. Numbers of drop reasons and
 * offsets of fields differ from kernel to kernel, so they are never compiled in.
 */
#include "kernel/observe/dropreason_internal.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tracepoint_parse_id(const char *format, uint16_t *ret_id)
{
    const char *at = strstr(format, "\nID: ");
    if (!at)
        return -EINVAL;
    unsigned long id = strtoul(at + 5, NULL, 10);
    if (id == 0 || id > UINT16_MAX)
        return -EINVAL;
    *ret_id = (uint16_t)id;
    return 0;
}

/** The number behind `key` in the line at `line`. */
static uint16_t line_number(const char *line, size_t len, const char *key)
{
    const char *at = memmem(line, len, key, strlen(key));
    unsigned long value = at ? strtoul(at + strlen(key), NULL, 10) : 0;
    return value > UINT16_MAX ? 0 : (uint16_t)value;
}

struct tracepoint_field tracepoint_parse_field(const char *format, const char *name)
{
    const size_t name_len = strlen(name);
    const char *line = format;

    while ((line = strstr(line, "field:"))) {
        const size_t len = strcspn(line, "\n");
        const char *end = memchr(line, ';', len);
        /* "field:TYPE NAME;", or "NAME[4];" for an array; "char[] NAME;" lies elsewhere */
        const char *bracket = end ? memchr(line, '[', (size_t)(end - line)) : NULL;
        const char *last = bracket && bracket[1] != ']' ? bracket : end;
        if (last && (size_t)(last - line) > name_len && last[-(ptrdiff_t)name_len - 1] == ' ' &&
            !memcmp(last - name_len, name, name_len))
            return (struct tracepoint_field){line_number(line, len, "offset:"),
                                             line_number(line, len, "size:")};
        line += len;
    }
    return (struct tracepoint_field){0};
}

bool tracepoint_parse_symbol(const char *format, uint32_t number, char *buf, size_t room)
{
    const char *at = strstr(format, "__print_symbolic");

    while (at && (at = strstr(at, "{ "))) {
        char *end;
        unsigned long value = strtoul(at + 2, &end, 0);
        if (end[0] != ',' || end[1] != ' ' || end[2] != '"')
            return false;
        const char *name = end + 3;
        const size_t len = strcspn(name, "\"");
        if (value == number) {
            (void)snprintf(buf, room, "%.*s", (int)MIN(len, room), name);
            return true;
        }
        at = name + len;
    }
    return false;
}

bool kallsyms_parse(const char *line, uint64_t *ret_address, const char **ret_name, size_t *ret_len)
{
    char *end;
    const uint64_t address = strtoull(line, &end, 16);

    if (end == line || end[0] != ' ' || !end[1] || !strchr("tTwW", end[1]) || end[2] != ' ')
        return false;
    *ret_address = address;
    *ret_name = end + 3;
    *ret_len = strcspn(*ret_name, " \t\n");
    return address != 0 && *ret_len > 0;
}

const char *dropreason_hook(const char *function)
{
    static const struct {
        const char *function, *hook;
    } hooks[] = {
        {"__netif_receive_skb_core", "ingress"},
        {"nf_hook_ingress", "ingress"},
        {"ip_rcv", "prerouting"},
        {"ipv6_rcv", "prerouting"},
        {"ip_sublist_rcv", "prerouting"},
        {"ip6_sublist_rcv", "prerouting"},
        {"ip_local_deliver", "input"},
        {"ip6_input", "input"},
        {"ip_forward", "forward"},
        {"ip6_forward", "forward"},
        {"__ip_local_out", "output"},
        {"ip_local_out", "output"},
        {"__ip6_local_out", "output"},
        {"ip6_local_out", "output"},
        {"ip6_xmit", "output"},
        {"ndisc_send_skb", "output"},
        {"ip_output", "postrouting"},
        {"ip6_output", "postrouting"},
        {"ip_mc_output", "postrouting"},
        {"__dev_queue_xmit", "egress"},
    };
    const size_t len = strcspn(function, ".");

    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
        if (strlen(hooks[i].function) == len && !strncmp(hooks[i].function, function, len))
            return hooks[i].hook;
    return NULL;
}
