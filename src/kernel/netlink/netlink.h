/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_NETLINK_H
#define KERNEL_NETLINK_NETLINK_H

#include <peer/addr.h>
#include <peer/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <linux/netlink.h>

/**
 * Internal to kernel: one netlink socket, one exchange at a time. Below rtnl and diag, and what its
 * other rooms ask the kernel by themselves.
 *
 * All answers of an exchange are collected before the caller sees the first, so that a dump which
 * the kernel declares inconsistent can be repeated unseen, and so that the caller may use the same
 * socket while it walks through them.
 */
enum {
    NL_BUFFER_BYTES = 64 * 1024, /* twice the largest datagram of a dump */
    NL_REQUEST_BYTES = 256,
    NL_WHY_BYTES = 192,
};

struct nl {
    int fd; /* owned */
    uint32_t port_id;
    uint32_t seq;           /* of the last message sent */
    char why[NL_WHY_BYTES]; /* the kernel's words on the last failure, "" when it had none */
    _Alignas(8) uint8_t buffer[NL_BUFFER_BYTES];
};

/** Opens a socket of `protocol` (NETLINK_ROUTE, ...) in the namespace of the calling thread. */
int nl_open(struct nl *nl, int protocol);
/**
 * Takes `fd` over; -EINVAL when it is no netlink socket of `protocol`. On failure `fd` stays the
 * caller's. What was left unread on it is thrown away.
 */
int nl_adopt(struct nl *nl, int fd, int protocol);
void nl_done(struct nl *nl);

/**
 * A message under construction, in `room` bytes of the caller's that begin 4-byte aligned. Whatever
 * is put must fit: all the lengths are our own.
 */
struct nl_message {
    struct nlmsghdr *header; /* where those bytes begin */
    size_t room;
};
/** `message` has header and room set. `family_header` is what follows nlmsghdr: rtmsg, ... */
void nl_message_begin(struct nl_message *message, uint16_t type, uint16_t flags,
                      const void *family_header, size_t family_header_len);
void nl_message_put(struct nl_message *message, uint16_t type, const void *data, size_t len);
void nl_message_put_u32(struct nl_message *message, uint16_t type, uint32_t value);
/** With its terminating zero. */
void nl_message_put_text(struct nl_message *message, uint16_t type, const char *text);
struct nlattr *nl_message_nest(struct nl_message *message, uint16_t type);
void nl_message_nest_end(struct nl_message *message, struct nlattr *nest);

/** The same with memory of its own, enough for one request of rtnetlink or sock_diag. */
struct nl_request {
    union {
        struct nlmsghdr header;
        uint8_t bytes[NL_REQUEST_BYTES];
    };
};
void nl_begin(struct nl_request *request, uint16_t type, uint16_t flags, const void *family_header,
              size_t family_header_len);
void nl_put(struct nl_request *request, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_request *request, uint16_t type, uint8_t value);
void nl_put_u32(struct nl_request *request, uint16_t type, uint32_t value);
void nl_put_addr(struct nl_request *request, uint16_t type, const struct peer_addr *addr);
struct nlattr *nl_nest(struct nl_request *request, uint16_t type);
void nl_nest_end(struct nl_request *request, struct nlattr *nest);

/** Messages that came as the answer, each 4-byte aligned and complete. {0} is empty. */
struct nl_answers {
    uint8_t *bytes; /* owned */
    size_t len, room;
};
/** The message after `message`, the first for NULL; NULL at the end or where lengths stop making
 * sense. */
const struct nlmsghdr *nl_next(const struct nl_answers *answers, const struct nlmsghdr *message);
void nl_answers_done(struct nl_answers *answers);

/**
 * Sends `request` and waits for its acknowledgement. `answers` (may be NULL) collects what came
 * before it and is the caller's to end, on failure too. 0 or -errno, with `nl->why`.
 */
int nl_call(struct nl *nl, struct nl_request *request, struct nl_answers *answers);
/** The same for a dump. Repeated while the kernel says that it was interrupted; -EINTR when that
 * never ends. */
int nl_dump(struct nl *nl, struct nl_request *request, struct nl_answers *answers);
/**
 * Sends `count` requests that stand one behind the other in `bytes` as one datagram, with one
 * acknowledgement in all. The kernel does not stop at a failure; the first one is returned, its
 * place (0, 1, ...) in `*ret_failed`. Keep `count` small enough for as many error messages to fit
 * the receive buffer: NL_BATCH_MAX.
 */
enum { NL_BATCH_MAX = 128 };
int nl_batch(struct nl *nl, uint8_t *bytes, size_t len, uint32_t count, uint32_t *ret_failed);

/** Joins or leaves a multicast group of notifications. They wait unread and are skipped by
 * exchanges. */
int nl_member(struct nl *nl, int group, bool join);
/** Waits at most `timeout_ms` for notifications, and throws away all that are there. */
void nl_wait(struct nl *nl, int timeout_ms);

/** error_set() with "cannot WHAT: WHY", and what would help when permission is what lacks. */
int nl_fail(const struct nl *nl, int status, struct peer_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Reading. Nothing here believes a length. */

/** The family header of a message, or NULL when that is shorter than `len`. */
const void *nl_payload(const struct nlmsghdr *message, size_t len);
/** What an attribute holds, and how many bytes of it. */
const void *nl_data(const struct nlattr *attribute);
size_t nl_len(const struct nlattr *attribute);

/**
 * Files the attributes behind `family_header_len` bytes of family header under `table[type]`
 * (`max` + 1 entries; types above are skipped; the last of a type wins). False when the message is
 * too short for the family header.
 */
bool nl_attributes(const struct nlmsghdr *message, size_t family_header_len,
                   const struct nlattr **table, uint16_t max);
/** The same for `len` bytes of attributes, which begin 4-byte aligned. */
void nl_file(const void *bytes, size_t len, const struct nlattr **table, uint16_t max);
/** The same for the attributes within `nest`; none when that is NULL. */
void nl_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max);
/** Copies the first `len` bytes of the payload; false when `attribute` is NULL or shorter. */
bool nl_get(const struct nlattr *attribute, void *ret, size_t len);
/** An address of `family` (AF_*), exactly as long as those are. */
bool nl_get_addr(const struct nlattr *attribute, int family, struct peer_addr *ret_addr);
/** Text, terminated here; false when it does not fit into `room`. */
bool nl_get_text(const struct nlattr *attribute, char *buf, size_t room);
/** NLMSG_ERROR or NLMSG_DONE: the code as 0 or -errno, and the extended-ack text as one line (""
 * when none). */
int nl_verdict(const struct nlmsghdr *message, char why[NL_WHY_BYTES]);

/** peer_addr.family (4, 6) to AF_*, and back (0 for others). */
static inline int nl_family(uint8_t family)
{
    return family == 6 ? AF_INET6 : AF_INET;
}
/** Bytes and bits of an address of AF_INET or AF_INET6; 0 for other families. */
static inline uint8_t nl_addr_len(int family)
{
    return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

#endif
