/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS on the command line: one table of options for all who speak it, and words for what was agreed on.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(member) .offset = offsetof(struct common_options, member)

static int set_verify(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    struct common_options *common = options;

    (void)option, (void)why;
    common->tls.verify = true;
    common->tls.ca_file = text;
    return 0;
}

/* "50%", or "all". */
static int set_resume(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    struct common_options *common = options;
    char *end = NULL;
    double share = strcmp(text, "all") == 0 ? 100 : strtod(text, &end);

    (void)option;
    bool read = strcmp(text, "all") == 0 || (end > text && strcmp(end, "%") == 0);
    if (!read || !(share >= 0 && share <= 100)) {
        snprintf(why, 128, "is no share such as 50%%");
        return -EINVAL;
    }
    common->tls.resume = share / 100;
    return 0;
}

const struct option_def options_tls_sni[] = {
    {0, "sni", "NAME", "TLS: the server's name that is sent (HOST, if it is a name)",
     option_set_string, FIELD(tls.sni)},
    {0},
};
const struct option_def options_tls[] = {
    {0, "alpn", "NAMES", "TLS: protocols to offer, with commas between: \"h2,http/1.1\"",
     option_set_string, FIELD(tls.alpn)},
    {0, "tls-version", "V[-V]", "TLS: 1.2, 1.3, or from-to (what this machine's OpenSSL allows)",
     option_set_string, FIELD(tls.versions), .values = "1.2 1.3 1.2-1.3"},
    {0, "ciphers", "LIST", "TLS: as OpenSSL names them, with colons between", option_set_string,
     FIELD(tls.ciphers)},
    {0, "cert", "FILE", "TLS: our certificate (PEM); %d in the name: one for each peer",
     option_set_string, FIELD(tls.cert), .values = "FILES"},
    {0, "key", "FILE", "TLS: its key, when it is not in the same file", option_set_string,
     FIELD(tls.key), .values = "FILES"},
    {0, "verify", "[CAFILE]", "TLS: check the other side's certificate (by what this machine trusts)",
     set_verify, .offset = 0, .values = "FILES"},
    {0},
};
const struct option_def options_tls_switch[] = {
    {0, "tls", NULL, "TLS on top of TCP", option_set_flag, FIELD(tls_on)},
    {0},
};
const struct option_def options_tls_resume[] = {
    {0, "tls-resume", "SHARE", "TLS: so many connections resume a session of their peer: \"50%\"",
     set_resume, .offset = 0},
    {0},
};

/* Is it a name, which can be sent and checked, or an address? */
static bool is_name(const char *host)
{
    struct peer_addr addr;

    return host && peer_addr_parse(host, &addr) < 0;
}

bool tls_was_asked_for(const struct common_options *common)
{
    const struct peer_tls_config *tls = &common->tls;

    return tls->sni || tls->alpn || tls->versions || tls->ciphers || tls->cert || tls->key ||
           tls->verify || tls->resume > 0;
}

int check_tls(const struct command *command, const struct common_options *common)
{
    if (!common->tls_on && tls_was_asked_for(common))
        return usage_error(command, "options of TLS go with %s",
                           command == &command_soak ? "https:// and tls:// targets" : "--tls");
    if (common->tls_on && common->udp)
        return usage_error(command, "--tls needs TCP");
    if (common->tls.key && !common->tls.cert)
        return usage_error(command, "--key goes with --cert");
    return 0;
}

int open_tls(struct peer_net *net, const struct common_options *common, const char *host,
             struct peer_tls **ret_tls)
{
    struct peer_tls_config config = common->tls;
    struct peer_error error = {0};

    *ret_tls = NULL;
    if (!common->tls_on)
        return 0;
    if (!config.sni && is_name(host))
        config.sni = host;
    if (!config.sni)
        config.name = host;
    int status = peer_tls_new(net, &config, ret_tls, &error);
    return status < 0 ? report_error(&error) : 0;
}

const char *tls_words(const struct peer_tls_info *info, char buf[TLS_WORDS])
{
    char time[32];
    int len = snprintf(buf, TLS_WORDS, "%s in %s, %s", info->version,
                       format_time(info->handshake_ns, time), info->cipher);

    if (info->group[0])
        len += snprintf(buf + len, TLS_WORDS - (size_t)len, ", %s", info->group);
    if (info->alpn[0])
        len += snprintf(buf + len, TLS_WORDS - (size_t)len, ", ALPN %s", info->alpn);
    snprintf(buf + len, TLS_WORDS - (size_t)len, "%s", info->resumed ? ", resumed" : "");
    return buf;
}

const char *tls_certificate_words(const struct peer_tls_info *info, char buf[TLS_WORDS])
{
    if (!info->subject[0])
        return NULL;
    snprintf(buf, TLS_WORDS, "certificate of %s, by %s, until %s: %s", info->subject, info->issuer,
             info->until, info->verified);
    return buf;
}

const char *tls_failure_words(const struct peer_flow *flow, char buf[TLS_WORDS])
{
    static const char *const kinds[PEER_TLS_ERRORS] = {
        [PEER_TLS_NO_ERROR] = "TLS failed",
        [PEER_TLS_PROTOCOL] = "TLS failed",
        [PEER_TLS_CERTIFICATE] = "TLS failed: a certificate was refused",
        [PEER_TLS_CLOSED] = "TLS failed",
    };
    struct peer_tls_info info;

    if (peer_flow_get_tls(flow, &info) < 0 || !info.error)
        return NULL;
    snprintf(buf, TLS_WORDS, "%s: %s", kinds[info.error], info.reason);
    return buf;
}
