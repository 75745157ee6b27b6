/* SPDX-License-Identifier: BSD-3-Clause */
/* What a soak says of its TLS. */
#include "soak.h"

/* What the first connection agreed on, and whether certificates were looked at. */
void json_add_tls(json_t *document, const struct soak_run *run,
                  const struct peer_soak_report *report)
{
    json_t *tls = json_object_get(document, "tls");

    if (!run->options->common.tls_on)
        return;
    if (!tls) {
        tls = json_pack("{s:i, s:i, s:f}", "handshakes", 0, "resumed", 0, "per_s", 0.0);
        json_object_set_new(document, "tls", tls);
    }
    json_object_set_new(tls, "verified", json_boolean(run->options->common.tls.verify));
    json_object_set_new(tls, "agreed",
                        report->tls_agreed ? json_string(report->tls_agreed) : json_null());
}

void print_tls(const struct soak_run *run, const struct peer_soak_report *report)
{
    if (!run->options->common.tls_on)
        return;
    printf("  TLS: %llu handshakes, %llu resumed; ", (unsigned long long)report->counts.tls,
           (unsigned long long)report->counts.tls_resumed);
    if (report->tls_agreed)
        printf("%s\n", report->tls_agreed);
    else
        printf("certificates are %s\n",
               run->options->common.tls.verify ? "verified" : "not verified");
}
