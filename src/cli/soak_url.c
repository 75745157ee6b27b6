/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target of a soak as a URL (RFC 3986): the authority is what is connected to, path and query
 * are asked for as they were written, the fragment stays here.
 */
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct scheme {
    const char *prefix;
    enum peer_workload workload;
    bool udp;
    int port; /* 0: must be given */
};
static const struct scheme schemes[] = {
    {"http://", PEER_WORKLOAD_HTTP, false, 80},
    {"tcp://", PEER_WORKLOAD_ECHO, false, 0},
    {"udp://", PEER_WORKLOAD_ECHO, true, 0},
};

static const struct scheme *find_scheme(const char *text)
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(schemes); i++) {
        if (strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return &schemes[i];
    }
    return NULL;
}

/* Cuts "HOST:PORT", "[V6]:PORT" or either without a port in two; NULL: there is no port. */
static int split_authority(char *authority, char **ret_port)
{
    char *host_end = *authority == '[' ? strchr(authority, ']') : authority;
    char *colon = host_end ? strrchr(host_end, ':') : NULL;

    if (!*authority || *authority == ':')
        return usage_error(&command_soak, "the target has no host");
    if (strchr(authority, '@'))
        return usage_error(&command_soak, "a user name or password in the target: give "
                                          "-H \"Authorization: ...\" instead");
    if (!host_end || (*authority == '[' && host_end[1] && host_end[1] != ':'))
        return usage_error(&command_soak, "\"%s\" is no [IPV6]:PORT", authority);
    if (colon && strchr(host_end, ':') != colon)
        return usage_error(&command_soak, "an IPv6 address of a target stands in brackets: [%s]",
                           authority);
    *ret_port = colon;
    return 0;
}

/* The port may be left empty (RFC 3986 3.2.3), which is the scheme's. */
static int parse_authority(struct soak_options *options, const struct scheme *scheme,
                           char *authority)
{
    char *colon = NULL, port_text[8];

    int status = split_authority(authority, &colon);
    if (status != 0)
        return status;
    if (colon && !colon[1])
        *colon = 0;
    bool has_port = colon && *colon;
    if (!has_port && !scheme->port)
        return usage_error(&command_soak, "the target has no port: %sHOST:PORT", scheme->prefix);
    options->authority = strdup(authority);
    snprintf(port_text, sizeof(port_text), "%d", scheme->port);
    if (has_port)
        *colon = 0;
    char *words[] = {authority, has_port ? colon + 1 : port_text};
    return parse_target(&command_soak, &options->common, 2, words, &options->target);
}

/* What stands behind the authority; "http://HOST?query" asks for "/?query". */
static int take_path(struct soak_options *options, const struct scheme *scheme, char *text)
{
    char *rest = text + strcspn(text, "/?#");
    char *path = NULL;

    if (*rest && scheme->workload != PEER_WORKLOAD_HTTP)
        return usage_error(&command_soak, "only http targets have a path: \"%s\"", rest);
    rest[strcspn(rest, "#")] = 0;
    if (*rest && asprintf(&path, "%s%s", *rest == '?' ? "/" : "", rest) < 0)
        return STATUS_MACHINE;
    *rest = 0;
    options->path = path;
    return 0;
}

int parse_url(struct soak_options *options, const char *url)
{
    const struct scheme *scheme = find_scheme(url);

    if (!scheme)
        return usage_error(&command_soak,
                           "\"%s\" is no target: http://HOST:PORT/PATH, tcp://HOST:PORT or "
                           "udp://HOST:PORT",
                           url);
    char *rest = strdup(url + strlen(scheme->prefix));
    if (!rest)
        return STATUS_MACHINE;
    options->soak.workload = scheme->workload;
    options->soak.udp = options->common.udp = scheme->udp;
    int status = take_path(options, scheme, rest);
    if (status == 0)
        status = parse_authority(options, scheme, rest);
    free(rest);
    return status;
}
