/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target of a soak as a URL (RFC 3986): the authority is what is connected to, path and query
 * are asked for as they were written, the fragment stays here.
 */
#include "soak.h"

#include "http/percent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct scheme {
    char prefix[24];
    const char *protocol; /* NULL: a later word says which */
    bool udp, tls, has_path, has_login;
    bool tcp; /* too, when it is asked for */
    int port; /* 0: must be given */
};

static void fill_scheme(const struct peer_protocol *protocol, bool tls, struct scheme *ret_scheme)
{
    *ret_scheme = (struct scheme){.protocol = protocol->name,
                                  .udp = !tls && (protocol->datagrams || !protocol->tcp),
                                  .tcp = protocol->tcp,
                                  .tls = tls,
                                  .has_path = protocol->has_path,
                                  .has_login = protocol->has_login,
                                  .port = tls ? protocol->tls_port : protocol->port};
    snprintf(ret_scheme->prefix, sizeof(ret_scheme->prefix), "%s://",
             tls ? protocol->tls_scheme : protocol->scheme);
}

/* Those of protocols, and the three for what is asked for by name. */
static bool scheme_at(size_t index, struct scheme *ret_scheme)
{
    static const struct scheme bare[] = {{.prefix = "tcp://"},
                                         {.prefix = "udp://", .udp = true},
                                         {.prefix = "tls://", .tls = true}};
    struct peer_protocol protocol;
    size_t named = 0;

    for (size_t i = 0; peer_protocol(i, &protocol); i++) {
        if (protocol.scheme && named++ == index) {
            fill_scheme(&protocol, false, ret_scheme);
            return true;
        }
        if (protocol.tls_scheme && named++ == index) {
            fill_scheme(&protocol, true, ret_scheme);
            return true;
        }
    }
    if (index - named >= CLI_ARRAY_SIZE(bare))
        return false;
    *ret_scheme = bare[index - named];
    return true;
}

static bool find_scheme(const char *text, struct scheme *ret_scheme)
{
    for (size_t i = 0; scheme_at(i, ret_scheme); i++) {
        if (strncasecmp(text, ret_scheme->prefix, strlen(ret_scheme->prefix)) == 0)
            return true;
    }
    return false;
}

/* "http, https, tcp or udp" */
static void list_schemes(char *out, size_t room)
{
    struct scheme scheme, next;
    size_t len = 0;

    for (size_t i = 0; scheme_at(i, &scheme) && len < room; i++) {
        const char *between = !i ? "" : scheme_at(i + 1, &next) ? ", " : " or ";
        len += (size_t)snprintf(out + len, room - len, "%s%.*s", between,
                                (int)strcspn(scheme.prefix, ":"), scheme.prefix);
    }
}

void list_takers(bool (*takes)(const struct peer_protocol *), const char *behind, char *out,
                 size_t room)
{
    struct peer_protocol protocol;
    const char *last = NULL; /* is put when it is known whether another follows */
    size_t len = 0;

    *out = 0;
    for (size_t i = 0; peer_protocol(i, &protocol) && len < room; i++) {
        if (!protocol.scheme || !takes(&protocol))
            continue;
        if (last)
            len += (size_t)snprintf(out + len, room - len, "%s%s%s", len ? ", " : "", last, behind);
        last = protocol.scheme;
    }
    if (last && len < room)
        snprintf(out + len, room - len, "%s%s%s", len ? " and " : "", last, behind);
}

static bool takes_path(const struct peer_protocol *protocol)
{
    return protocol->has_path;
}

static int refuse_path(const char *path)
{
    char all[256];

    list_takers(takes_path, "", all, sizeof(all));
    return usage_error(&command_soak, "only %s targets have a path: \"%s\"", all, path);
}

/* Cuts "HOST:PORT", "[V6]:PORT" or either without a port in two; NULL: there is no port. */
static int split_authority(char *authority, char **ret_port)
{
    char *host_end = *authority == '[' ? strchr(authority, ']') : authority;
    char *colon = host_end ? strrchr(host_end, ':') : NULL;

    if (!*authority || *authority == ':')
        return usage_error(&command_soak, "the target has no host");
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

/* "USER:PASSWORD@", or either; each may be written with %XX. What follows is moved to the front. The
   password's bytes in `seen`, of which `authority` is a copy, are overwritten. */
static int take_login(struct soak_options *options, const struct scheme *scheme, char *authority,
                      char *seen)
{
    char *at = strrchr(authority, '@'), *colon;

    if (!at)
        return 0;
    *at = 0;
    colon = strchr(authority, ':');
    if (colon) {
        memset(seen + (colon + 1 - authority), 'x', strlen(colon + 1));
        *colon = 0;
    }
    if (!scheme->has_login)
        return usage_error(&command_soak, "a user name or password in the target: give "
                                          "-H \"Authorization: ...\" instead");
    if (http_percent_decode(authority) < 0 || (colon && http_percent_decode(colon + 1) < 0))
        return usage_error(&command_soak, "the login of the target has a %% without two hexadecimal "
                                          "digits, or a %%00");
    if (*authority)
        options->user = strdup(authority);
    if (colon && colon[1])
        options->password = strdup(colon + 1);
    memmove(authority, at + 1, strlen(at + 1) + 1);
    return 0;
}

/* What stands behind the authority; "http://HOST?query" asks for "/?query". */
static int take_path(struct soak_options *options, const struct scheme *scheme, char *text)
{
    char *rest = text + strcspn(text, "/?#");
    char *path = NULL;

    if (*rest && !scheme->has_path)
        return refuse_path(rest);
    rest[strcspn(rest, "#")] = 0;
    if (*rest && asprintf(&path, "%s%s", *rest == '?' ? "/" : "", rest) < 0)
        return STATUS_MACHINE;
    *rest = 0;
    options->path = path;
    return 0;
}

int parse_url(struct soak_options *options, char *url)
{
    struct scheme scheme;
    char all[256];

    if (!find_scheme(url, &scheme)) {
        list_schemes(all, sizeof(all));
        const int shown = (int)(strchr(url, '@') ? strcspn(url, ":@") : strlen(url));
        return usage_error(&command_soak, "\"%.*s%s\" is no target: SCHEME://HOST:PORT/PATH, with one "
                           "of %s", shown, url, url[shown] ? "..." : "", all);
    }
    char *rest = strdup(url + strlen(scheme.prefix));
    if (!rest)
        return STATUS_MACHINE;
    const size_t len = strlen(rest);
    options->soak.protocol = scheme.protocol;
    options->soak.udp = options->common.udp = scheme.udp && !(options->tcp && scheme.tcp);
    options->common.tls_on = scheme.tls;
    int status = take_path(options, &scheme, rest);
    if (status == 0)
        status = take_login(options, &scheme, rest, url + strlen(scheme.prefix));
    if (status == 0)
        status = parse_authority(options, &scheme, rest);
    explicit_bzero(rest, len);
    free(rest);
    return status;
}
