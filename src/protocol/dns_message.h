/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_DNS_MESSAGE_H
#define PROTOCOL_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * DNS messages (RFC 1035) as bytes: queries are made, answers are judged. No flow, no clock.
 */
enum {
    DNS_HEADER = 12,
    DNS_NAME_MOST = 255, /* on the wire, with the root's 0 */
    DNS_QUERY_MOST = DNS_HEADER + DNS_NAME_MOST + 4 + 11,
    DNS_MESSAGE_MOST = 65535,
    DNS_RCODES = 25, /* those with a name, and one for the rest */
};

/** By RCODE: "NOERROR", "NXDOMAIN" ... NULL at the end. */
extern const char *const dns_rcode_names[DNS_RCODES + 1];
/** The number of such a name, whatever its case, or of digits; -1: it is none. */
int dns_rcode_read(const char *text, size_t len);
/** "AAAA", or "TYPE28" (RFC 3597): its number, or -1. */
int dns_type_read(const char *text, size_t len);
/** "IN", "CH" ... or "CLASS1"; -1: it is none. */
int dns_class_read(const char *text, size_t len);
/** A name as zone files have it (RFC 1035 5.1: \. and \065), with or without its last dot. How many
 *  bytes it has on the wire; -1, and why in words. */
int dns_name_read(const char *text, size_t len, uint8_t out[DNS_NAME_MOST], const char **ret_why);

/** What a query asks for beyond its name. */
struct dns_asks {
    uint16_t type, class;
    uint16_t edns_bytes; /* the answer's room over UDP as EDNS(0) tells it; 0: without EDNS */
    bool dnssec;         /* DO (RFC 3225); with EDNS only */
};
/** A query of id 0 that wants recursion; `name` as on the wire. How many bytes. */
size_t dns_query_write(const uint8_t *name, size_t name_len, const struct dns_asks *asks,
                       uint8_t out[DNS_QUERY_MOST]);

struct dns_answer {
    uint16_t rcode; /* with the upper bits of EDNS */
    bool truncated; /* TC: what lies in it was not looked at, it may be cut anywhere */
};
/** The id of a message of at least two bytes. */
static inline uint16_t dns_id(const uint8_t *message)
{
    return (uint16_t)(message[0] << 8 | message[1]);
}
/** Looks at every byte of an answer to `query`, but for its id. NULL when it is one, else why not in
 *  words. `ret_other`: where the name lies that it is about instead, 0 for anything else. */
const char *dns_answer_read(const uint8_t *data, size_t len, const uint8_t *query,
                            struct dns_answer *ret_answer, size_t *ret_other);

#endif
