/* SPDX-License-Identifier: BSD-3-Clause */
/* What the options of peer soak mean together, and with which target they go. */
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find_protocol(const char *name, struct peer_protocol *ret_protocol)
{
    for (size_t i = 0; peer_protocol(i, ret_protocol); i++) {
        if (strcmp(ret_protocol->name, name) == 0)
            return 1;
    }
    return 0;
}

/* Those that --workload takes: the rest has schemes, or is --idle. */
static bool has_a_name_only(const struct peer_protocol *protocol)
{
    return !protocol->scheme && strcmp(protocol->name, "idle") != 0;
}

int print_workloads(void)
{
    struct peer_protocol protocol;

    for (size_t i = 0; peer_protocol(i, &protocol); i++) {
        const char *over = protocol.scheme ? "" : protocol.udp ? "TCP, TLS, UDP" : "TCP, TLS";
        char about[512];
        snprintf(about, sizeof(about), "%s", protocol.about);
        printf("%-8s %s%s%s%s%s%s\n  %s\n", protocol.name, protocol.scheme ? protocol.scheme : "",
               protocol.scheme ? "://" : "", protocol.tls_scheme ? ", " : "",
               protocol.tls_scheme ? protocol.tls_scheme : "", protocol.tls_scheme ? "://" : "",
               over, name_options(about));
    }
    return STATUS_DONE;
}

static int refuse_workload(const char *name)
{
    struct peer_protocol protocol;
    char all[256];
    size_t len = 0;

    for (size_t i = 0; peer_protocol(i, &protocol) && len < sizeof(all); i++) {
        if (has_a_name_only(&protocol))
            len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", len ? ", " : "",
                                    protocol.name);
    }
    return usage_error(&command_soak, "--workload: \"%s\" is none of %s", name, all);
}

static int choose_protocol(struct soak_options *options)
{
    struct peer_protocol protocol;
    const char *name = options->workload;

    if (options->soak.touch && !options->idle)
        return usage_error(&command_soak, "--touch goes with --idle");
    if (name && (options->idle || options->soak.protocol))
        return usage_error(&command_soak, "--workload goes with tcp://, udp:// and tls:// targets");
    if (name && (!find_protocol(name, &protocol) || !has_a_name_only(&protocol)))
        return refuse_workload(name);
    if (options->idle && options->soak.protocol &&
        find_protocol(options->soak.protocol, &protocol) && protocol.has_hold)
        options->soak.hold = true;
    else if (options->idle)
        options->soak.protocol = "idle";
    else if (!options->soak.protocol)
        options->soak.protocol = name ? name : "echo";
    return 0;
}

static bool takes_headers(const struct peer_protocol *protocol)
{
    return protocol->has_headers;
}

static bool takes_login(const struct peer_protocol *protocol)
{
    return protocol->has_login;
}

bool soak_takes_pipeline(const struct peer_protocol *protocol)
{
    return protocol->has_pipeline;
}

static bool takes_body(const struct peer_protocol *protocol)
{
    return protocol->has_body;
}

static bool takes_follow(const struct peer_protocol *protocol)
{
    return protocol->has_follow;
}

bool soak_takes_text(const struct peer_protocol *protocol)
{
    return protocol->has_text;
}

bool soak_takes_frames(const struct peer_protocol *protocol)
{
    return protocol->has_frames;
}

bool soak_takes_messages(const struct peer_protocol *protocol)
{
    return protocol->has_messages;
}

static bool takes_targets(const struct peer_protocol *protocol)
{
    return protocol->has_targets;
}

static bool takes_expect(const struct peer_protocol *protocol)
{
    return protocol->has_expect;
}

static bool takes_queries(const struct peer_protocol *protocol)
{
    return protocol->has_queries;
}

static bool takes_tcp(const struct peer_protocol *protocol)
{
    return protocol->tcp && protocol->datagrams;
}

/* Of HTTP, and what only one of them has. */
static int check_versions(const struct soak_options *options, const struct peer_protocol *protocol)
{
    bool http = protocol->tls_scheme && strcmp(protocol->tls_scheme, "https") == 0;
    bool https = http && options->common.tls_on;

    if (options->http1 && options->http2)
        return usage_error(&command_soak, "--http1 and --http2 are given both");
    if ((options->http1 || options->http2) && !https)
        return usage_error(&command_soak, "--http1 and --http2 go with https:// targets; h2c:// "
                                          "is HTTP/2 without TLS");
    if (options->streams > 1 && (!protocol->has_streams || (http && !https)))
        return usage_error(&command_soak, "-m goes with h2c:// and https:// targets");
    return 0;
}

/* What goes with some targets only. */
static int check_protocol(const struct soak_options *options)
{
    const struct {
        bool given;
        bool (*takes)(const struct peer_protocol *protocol);
        const char *names;
    } rows[] = {
        {options->header_count || options->soak.method, takes_headers, "-H and --method go"},
        {options->soak.expect, takes_expect, "--expect goes"},
        {options->body, takes_body, "--body goes"},
        {options->soak.pipeline, soak_takes_pipeline, "-P goes"},
        {options->user || options->password, takes_login, "a login goes"},
        {options->soak.follow || options->soak.cookies, takes_follow, "--follow and --cookies go"},
        {options->targets_file, takes_targets, "--targets goes"},
        {options->tcp, takes_tcp, "--tcp goes"},
        {options->queries, takes_queries, "--queries goes"},
        {options->edns || options->edns_size || options->soak.dnssec, takes_queries,
         "-e, --edns-size and --dnssec go"},
        {options->soak.text, soak_takes_text, "--text goes"},
        {options->fragments || options->soak.ping_ns, soak_takes_frames, "--ws-fragments and --ws-ping go"},
    };
    struct peer_protocol protocol;
    char all[256];

    if (!find_protocol(options->soak.protocol, &protocol))
        return STATUS_MACHINE;
    int status = check_versions(options, &protocol);
    if (status != 0)
        return status;
    for (size_t i = 0; i < CLI_ARRAY_SIZE(rows); i++) {
        if (!rows[i].given || rows[i].takes(&protocol))
            continue;
        list_takers(rows[i].takes, "://", all, sizeof(all));
        return usage_error(&command_soak, "%s with %s targets", rows[i].names, all);
    }
    return 0;
}

static int read_body(struct soak_options *options)
{
    const char *body = options->body;

    if (!body)
        return 0;
    if (*body != '@') {
        options->soak.body = body;
        options->soak.body_len = strlen(body);
        return 0;
    }
    int status = soak_read_file((struct soak_source){"body", body + 1}, &options->body_read,
                                &options->soak.body_len);
    options->soak.body = options->body_read;
    return status;
}

/* What the target does not say; it is nobody's business who reads the arguments. */
static void take_password(struct soak_options *options)
{
    struct peer_protocol protocol;

    options->soak.user = options->user;
    options->soak.password = options->password;
    if (!options->password && find_protocol(options->soak.protocol, &protocol) &&
        protocol.has_login)
        options->soak.password = getenv("PEER_PASSWORD");
}

static int settle_targets(struct soak_options *options)
{
    const char *order = options->targets_order;

    if (order && !options->targets_file)
        return usage_error(&command_soak, "--targets-order goes with --targets");
    if (options->targets_file && (options->soak.method || options->body))
        return usage_error(&command_soak, "--method and --body stand in the file of --targets");
    if (order && strcmp(order, "random") == 0)
        options->soak.targets_at_random = true;
    else if (order && strcmp(order, "turn") != 0)
        return usage_error(&command_soak, "--targets-order: \"%s\" is none of turn, random", order);
    return read_targets(options);
}

/* The room for answers that works everywhere (dnsflagday.net/2020). */
enum { EDNS_BYTES = 1232 };

int settle_options(struct soak_options *options)
{
    struct peer_soak_config *soak = &options->soak;
    int status = choose_protocol(options);

    if (status == 0)
        status = check_protocol(options);
    if (status != 0)
        return status;
    if (options->no_keep_alive)
        soak->requests_per_connection = 1;
    if (options->close && strcmp(options->close, "rst") == 0)
        soak->close_with_reset = true;
    else if (options->close && strcmp(options->close, "fin") != 0)
        return usage_error(&command_soak, "--close: \"%s\" is none of fin, rst", options->close);
    if (options->edns)
        soak->edns_bytes = EDNS_BYTES;
    if (options->edns_size)
        soak->edns_bytes = (uint16_t)options->edns_size;
    soak->fragments = (uint32_t)options->fragments;
    status = read_body(options);
    if (status == 0)
        status = settle_targets(options);
    if (status == 0)
        status = read_queries(options);
    if (status == 0)
        status = check_manners(NULL, &options->common, PEER_MANNER_SOAK);
    if (status == 0)
        status = check_proxy_protocol(&command_soak, &options->common);
    if (status == 0)
        status = check_tls(&command_soak, &options->common);
    if (status == 0)
        status = settle_search(options);
    soak->proxy_protocol = options->common.proxy_protocol;
    soak->manners = options->common.manners;
    soak->timeout_ns = options->common.timeout_ns;
    soak->streams = (uint32_t)options->streams;
    soak->http_version = options->http1 ? 1 : options->http2 ? 2 : 0;
    soak->headers = options->headers;
    soak->path = options->path;
    soak->host = options->authority;
    take_password(options);
    return status;
}
