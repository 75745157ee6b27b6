/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HOST and PORT of the command line. A name may have several addresses: which of them will do is
 * found by whoever connects, one after the other (target_next).
 */
#include "cli.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int parse_port(const struct command *command, const char *text)
{
    char *end;

    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || port < 1 || port > PEER_PORT_MAX) {
        usage_error(command, "\"%s\" is no port: 1 to %d", text, PEER_PORT_MAX);
        return -1;
    }
    return (int)port;
}

/* Splits "HOST:PORT" and "[V6]:PORT" in place; a bare IPv6 address has no port in it. */
static char *split_port(char *text)
{
    char *colon = strrchr(text, ':');
    size_t len = strlen(text);

    if (*text == '[') {
        char *bracket = strchr(text, ']');
        if (!bracket || bracket[1] != ':')
            return NULL;
        *bracket = 0;
        memmove(text, text + 1, len); /* the terminating zero too */
        return bracket + 1;
    }
    if (!colon || strchr(text, ':') != colon)
        return NULL;
    *colon = 0;
    return colon + 1;
}

/* What the peers' own addresses leave of the families. */
static int family_wanted(const struct common_options *common)
{
    const char *given = common->from ? common->from : common->local;

    return common->family ? common->family : !given ? 0 : strchr(given, ':') ? 6 : 4;
}

/* One address that suits the peers', and the others that do. When none does, the first: why it
   will not do is said where the net is made. */
static int resolve_target(const struct common_options *common, const char *host,
                          struct target *target)
{
    struct peer_addr addrs[1 + TARGET_OTHERS];
    struct peer_error error;
    int wanted = family_wanted(common), taken = 0;

    int count = peer_resolve_all(host, (uint8_t)common->family, addrs, 1 + TARGET_OTHERS, &error);
    if (count < 0)
        return report_error(&error);
    for (int i = 0; i < count; i++) {
        if (!wanted || addrs[i].family == wanted)
            addrs[taken++] = addrs[i];
    }
    target->addr = addrs[0];
    target->other_count = taken > 1 ? taken - 1 : 0;
    memcpy(target->others, addrs + 1, (size_t)target->other_count * sizeof(*addrs));
    return 0;
}

int parse_target(const struct command *command, const struct common_options *common, int argc,
                 char **argv, struct target *ret_target)
{
    const char *port_text;
    char host[TARGET_HOST];

    if (argc < 1)
        return usage_error(command, "HOST and PORT are missing");
    if (argc > 2)
        return usage_error(command, "too many arguments: \"%s\"", argv[2]);
    if (snprintf(host, sizeof(host), "%s", argv[0]) >= (int)sizeof(host))
        return usage_error(command, "the host name is too long");
    if (argc == 2) {
        port_text = argv[1];
        size_t len = strlen(host);
        if (host[0] == '[' && host[len - 1] == ']') {
            host[len - 1] = 0;
            memmove(host, host + 1, len);
        }
    } else {
        port_text = split_port(host);
        if (!port_text)
            return usage_error(command, "the port is missing: HOST PORT, HOST:PORT or [IPV6]:PORT");
    }
    int port = parse_port(command, port_text);
    if (port < 0)
        return STATUS_USAGE;
    *ret_target = (struct target){.port = (uint16_t)port};
    snprintf(ret_target->host, sizeof(ret_target->host), "%s", host);
    return resolve_target(common, host, ret_target);
}

bool target_next(struct target *target)
{
    if (!target->other_count)
        return false;
    target->addr = target->others[0];
    memmove(target->others, target->others + 1,
            (size_t)--target->other_count * sizeof(*target->others));
    return true;
}

/*
 * Of a name's addresses the first that is this machine's and where somebody listens, without a
 * packet to ask. When none is, the last one stands, and what it does is reported.
 */
int open_net_any(const struct common_options *common, struct target *target,
                 struct peer_net **ret_net)
{
    int protocol = common->udp ? IPPROTO_UDP : IPPROTO_TCP;
    bool several = target->other_count > 0;
    char endpoint[PEER_ENDPOINT_TEXT];
    struct peer_error error = {0};

    for (;;) {
        peer_endpoint_format(&target->addr, target->port, endpoint);
        int status = try_net(common, target, false, ret_net, &error);
        bool last = !target->other_count || common->isolate || common->allow_forward;
        if (status < 0 && (status != -ENETUNREACH || last))
            return report_error(&error);
        if (status == 0 &&
            (last ||
             peer_net_has_listener(*ret_net, protocol, &target->addr, target->port) == 1)) {
            if (several)
                say("the target is %s", endpoint);
            return 0;
        }
        if (status == 0) {
            peer_net_free(*ret_net);
            say("nobody listens at %s; trying the next address", endpoint);
        } else {
            say("%s; trying the next address", error.text);
        }
        target_next(target);
    }
}
