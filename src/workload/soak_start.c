/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what was asked for to a run that begins: what goes together, what is meant by what was left
 * out, what is made before the first connection.
 */
#include "workload/pattern.h"
#include "workload/soak.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct soak_ops *choose_ops(const struct peer_soak_config *config)
{
    static const struct soak_ops *const ops[][2] = {
        [PEER_WORKLOAD_HTTP] = {&soak_http, NULL},
        [PEER_WORKLOAD_ECHO] = {&soak_echo, &soak_echo_udp},
        [PEER_WORKLOAD_SEND] = {&soak_send, &soak_send_udp},
        [PEER_WORKLOAD_RECEIVE] = {&soak_receive, NULL},
        [PEER_WORKLOAD_IDLE] = {&soak_idle, NULL},
    };
    return ops[config->workload][config->udp];
}

static int refuse(struct peer_error *error, const char *text)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", text);
}

static int check(const struct peer_soak_config *config, const struct addr_set *peers,
                 struct peer_error *error)
{
    bool asks = config->workload == PEER_WORKLOAD_HTTP || config->workload == PEER_WORKLOAD_ECHO;

    if (!choose_ops(config))
        return refuse(error, "this workload needs TCP");
    if (config->to.family != peers->family)
        return refuse(error, "the peers and the target are of different families");
    if (config->rate < 0 || config->connect_rate < 0)
        return refuse(error, "a rate cannot be negative");
    if (config->rate > 0 && !asks && !config->udp)
        return refuse(error, "a rate of requests needs a workload of requests: http or echo");
    if (config->udp && config->workload == PEER_WORKLOAD_SEND && config->rate <= 0)
        return refuse(error, "sending UDP needs a rate (-R): nothing else would slow it down");
    if (config->expect && config->workload != PEER_WORKLOAD_HTTP)
        return refuse(error, "statuses are expected of HTTP alone");
    if (config->udp && config->message_bytes > flow_datagram_max(config->to.family))
        return refuse(error, config->to.family == 6 ? "a datagram has at most 65487 bytes over IPv6"
                                                    : "a datagram has at most 65507 bytes");
    if (config->flows > peers->count * 64512)
        return refuse(error,
                      "more flows than the peers have ports (64512 each): give more addresses "
                      "with --from");
    return 0;
}

static void fill_defaults(struct peer_soak_config *config)
{
    if (!config->flows)
        config->flows = 1;
    bool endless = config->workload >= PEER_WORKLOAD_SEND && !config->udp;
    if (!config->duration_ns && (!config->total || endless))
        config->duration_ns = 10 * NS_PER_S;
    if (!config->timeout_ns)
        config->timeout_ns = config->udp ? NS_PER_S : 10 * NS_PER_S;
    if (!config->interval_ns)
        config->interval_ns = NS_PER_S;
    if (!config->message_bytes)
        config->message_bytes = 64;
}

/* "200", "200-299" or "2xx", up to a comma or the end: 0 and both ends, or -EINVAL. */
static int read_statuses(const char *text, size_t len, unsigned *first, unsigned *last)
{
    char word[16], after;

    if (len >= sizeof(word))
        return -EINVAL;
    memcpy(word, text, len);
    word[len] = 0;
    if (len == 3 && strcasecmp(word + 1, "xx") == 0 && isdigit((unsigned char)*word)) {
        *first = (unsigned)(*word - '0') * 100;
        *last = *first + 99;
    } else if (strspn(word, "0123456789-") != len) {
        return -EINVAL;
    } else if (sscanf(word, "%3u-%3u%c", first, last, &after) != 2) {
        if (sscanf(word, "%3u%c", first, &after) != 1)
            return -EINVAL;
        *last = *first;
    }
    return *first >= 100 && *first <= *last && *last < PEER_STATUS_CODES ? 0 : -EINVAL;
}

static int read_expect(struct soak *soak, struct peer_error *error)
{
    const char *text = soak->config.expect;
    unsigned first, last;

    if (!text)
        return 0;
    soak->config.expect = NULL; /* the caller's string */
    soak->expects = true;
    for (;;) {
        size_t len = strcspn(text, ",");
        if (read_statuses(text, len, &first, &last) < 0)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%.*s\" is no status to expect: 200, 200-299 or 2xx",
                             (int)MIN(len, (size_t)64), text);
        for (; first <= last; first++)
            soak->expected[first] = true;
        if (!text[len])
            return 0;
        text += len + 1;
    }
}

static int prepare(struct soak *soak, struct peer_error *error)
{
    int status = measure_init(&soak->measure, soak_now(soak));

    soak->scratch = malloc(SOAK_SCRATCH_BYTES);
    if (status < 0 || !soak->scratch)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    pattern_fill(soak->seed, 0, soak->scratch, SOAK_SCRATCH_BYTES);
    status = read_expect(soak, error);
    if (status == 0 && soak->config.workload == PEER_WORKLOAD_HTTP)
        status = soak_http_prepare(soak, error);
    return status;
}

static void init_lists(struct soak *soak)
{
    list_init(&soak->connecting);
    list_init(&soak->ready);
    list_init(&soak->busy);
    list_init(&soak->thinking);
    list_init(&soak->leaving);
    list_init(&soak->ending);
    list_init(&soak->closing);
}

int soak_start(const struct peer_soak_config *config, struct flows *flows,
               const struct addr_set *peers, uint64_t seed, struct soak **ret_soak,
               struct peer_error *error)
{
    int status = check(config, peers, error);
    if (status < 0)
        return status;
    struct soak *soak = calloc(1, sizeof(*soak));
    if (!soak)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    soak->config = *config;
    fill_defaults(&soak->config);
    soak->ops = choose_ops(config);
    soak->flows = flows;
    soak->peers = peers;
    soak->seed = seed;
    soak->start_ns = soak_now(soak);
    soak_init(soak);
    init_lists(soak);
    status = prepare(soak, error);
    if (status == 0)
        status = soak_shares_new(soak, error);
    if (status < 0) {
        soak_free(soak);
        return status;
    }
    soak_begin(soak);
    soak_shares_begin(soak);
    *ret_soak = soak;
    return 0;
}

void soak_plan(struct soak *soak)
{
    const struct peer_soak_config *config = &soak->config;
    uint64_t warm_ns = soak->start_ns + config->warmup_ns;
    soak->schedule = (struct schedule){
        .rate = config->rate,
        .connect_rate = config->connect_rate,
        .ramp_ns = config->ramp_ns,
        .flows = config->flows,
        .total = config->total,
        .by_opening = config->rate > 0 && config->requests_per_connection == 1,
        .start_ns = soak->start_ns,
        .warm_ns = warm_ns,
        .end_ns = config->duration_ns ? warm_ns + config->duration_ns : UINT64_MAX,
    };
}

struct soak *soak_new_share(const struct peer_soak_config *config, struct soak *parent)
{
    struct soak *soak = calloc(1, sizeof(*soak));
    if (!soak)
        return NULL;
    *soak = (struct soak){
        .config = *config,
        .parent = parent,
        .ops = parent->ops,
        .flows = parent->flows,
        .peers = parent->peers,
        .seed = parent->seed,
        .start_ns = parent->start_ns,
        .request = parent->request,
        .scratch = parent->scratch,
        .expects = parent->expects,
    };
    memcpy(soak->expected, parent->expected, sizeof(soak->expected));
    soak_init(soak);
    init_lists(soak);
    return measure_init(&soak->measure, soak->start_ns) < 0 ? soak_free(soak) : soak;
}
