/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one file that knows libmnl.
 *
 * Theory of operation: a request gets a sequence number and the flag that asks for an
 * acknowledgement; then datagrams are read until the acknowledgement (or, for a dump, NLMSG_DONE)
 * with that number arrives. Whatever has another number is left over from an exchange that failed
 * half-way and is skipped. The kernel works on a request within sendto(), so no read here waits.
 *
 * A batch is the same with a range of numbers: only its last message asks for an acknowledgement,
 * but a message that fails reports that whether asked or not.
 */
#include "kernel/netlink/netlink.h"

#include "base/error.h"
#include "base/macro.h"

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DUMP_TRIES = 16 };

/** Messages and attributes begin at multiples of four. */
static size_t nl_align(size_t len)
{
    return (len + NLMSG_ALIGNTO - 1) & ~(size_t)(NLMSG_ALIGNTO - 1);
}

/** One exchange: the numbers sent, and what has come of them. */
struct exchange {
    uint32_t first, last;
    uint32_t failed; /* number of the first that failed, when status < 0 */
    int status;
    bool finished, interrupted;
    struct nl_answers *answers;
};

static void socket_options(int fd)
{
    static const int options[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
    const int on = 1;

    /* An old kernel without one of them only says less, or sends more than was asked for. */
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        (void)setsockopt(fd, SOL_NETLINK, options[i], &on, sizeof(on));
}

/** Binds when that was not done yet, and learns the port number. */
static int socket_bind(int fd, uint32_t *ret_port_id)
{
    struct sockaddr_nl addr = {0};
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return -errno;
    if (addr.nl_pid == 0) {
        addr = (struct sockaddr_nl){.nl_family = AF_NETLINK};
        len = sizeof(addr);
        if (bind(fd, (struct sockaddr *)&addr, len) < 0 ||
            getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
            return -errno;
    }
    *ret_port_id = addr.nl_pid;
    return 0;
}

static void nl_drain(struct nl *nl)
{
    while (recv(nl->fd, nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
           errno == EINTR)
        ;
}

int nl_open(struct nl *nl, int protocol)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -errno;
    int r = nl_adopt(nl, fd, protocol);
    if (r < 0)
        (void)close(fd);
    return r;
}

int nl_adopt(struct nl *nl, int fd, int protocol)
{
    int domain = 0, actual = 0;
    socklen_t len = sizeof(int);
    uint32_t port_id = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &actual, &len) < 0)
        return errno == ENOTSOCK ? -EINVAL : -errno;
    if (domain != AF_NETLINK || actual != protocol)
        return -EINVAL;
    int r = socket_bind(fd, &port_id);
    if (r < 0)
        return r;
    socket_options(fd);
    /* Numbers start at one again, so nothing older may be left in the queue. */
    nl->fd = fd;
    nl_drain(nl);
    nl->port_id = port_id;
    nl->seq = 0;
    nl->why[0] = '\0';
    return 0;
}

void nl_done(struct nl *nl)
{
    if (nl->fd >= 0)
        (void)close(nl->fd);
    nl->fd = -1;
}

void nl_message_begin(struct nl_message *message, uint16_t type, uint16_t flags,
                      const void *family_header, size_t family_header_len)
{
    assert(message->room >= sizeof(struct nlmsghdr) + nl_align(family_header_len));
    struct nlmsghdr *header = mnl_nlmsg_put_header(message->header);
    header->nlmsg_type = type;
    header->nlmsg_flags = flags;
    memcpy(mnl_nlmsg_put_extra_header(header, family_header_len), family_header, family_header_len);
}

void nl_message_put(struct nl_message *message, uint16_t type, const void *data, size_t len)
{
    bool fits = mnl_attr_put_check(message->header, message->room, type, len, data);
    assert(fits);
    (void)fits;
}

void nl_message_put_u32(struct nl_message *message, uint16_t type, uint32_t value)
{
    nl_message_put(message, type, &value, sizeof(value));
}

void nl_message_put_text(struct nl_message *message, uint16_t type, const char *text)
{
    nl_message_put(message, type, text, strlen(text) + 1);
}

struct nlattr *nl_message_nest(struct nl_message *message, uint16_t type)
{
    struct nlattr *nest = mnl_attr_nest_start_check(message->header, message->room, type);
    assert(nest);
    return nest;
}

void nl_message_nest_end(struct nl_message *message, struct nlattr *nest)
{
    mnl_attr_nest_end(message->header, nest);
}

static struct nl_message of_request(struct nl_request *request)
{
    return (struct nl_message){&request->header, sizeof(*request)};
}

void nl_begin(struct nl_request *request, uint16_t type, uint16_t flags, const void *family_header,
              size_t family_header_len)
{
    struct nl_message message = of_request(request);

    memset(request, 0, sizeof(*request));
    nl_message_begin(&message, type, flags, family_header, family_header_len);
}

void nl_put(struct nl_request *request, uint16_t type, const void *data, size_t len)
{
    struct nl_message message = of_request(request);
    nl_message_put(&message, type, data, len);
}

void nl_put_u8(struct nl_request *request, uint16_t type, uint8_t value)
{
    nl_put(request, type, &value, sizeof(value));
}

void nl_put_u32(struct nl_request *request, uint16_t type, uint32_t value)
{
    nl_put(request, type, &value, sizeof(value));
}

void nl_put_addr(struct nl_request *request, uint16_t type, const struct peer_addr *addr)
{
    nl_put(request, type, addr->bytes, nl_addr_len(nl_family(addr->family)));
}

struct nlattr *nl_nest(struct nl_request *request, uint16_t type)
{
    struct nl_message message = of_request(request);
    return nl_message_nest(&message, type);
}

void nl_nest_end(struct nl_request *request, struct nlattr *nest)
{
    mnl_attr_nest_end(&request->header, nest);
}

const struct nlmsghdr *nl_next(const struct nl_answers *answers, const struct nlmsghdr *message)
{
    size_t at = 0;

    if (message)
        at = (size_t)((const uint8_t *)message - answers->bytes) + nl_align(message->nlmsg_len);
    if (at >= answers->len || answers->len - at < sizeof(struct nlmsghdr))
        return NULL;
    message = (const struct nlmsghdr *)(const void *)(answers->bytes + at);
    if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > answers->len - at)
        return NULL;
    return message;
}

void nl_answers_done(struct nl_answers *answers)
{
    free(answers->bytes);
    *answers = (struct nl_answers){0};
}

static int answers_add(struct nl_answers *answers, const struct nlmsghdr *message)
{
    size_t len = message->nlmsg_len, padded = nl_align(len);

    if (answers->room - answers->len < padded) {
        size_t room = MAX(answers->room * 2, answers->len + padded);
        room = MAX(room, (size_t)4096);
        uint8_t *bytes = realloc(answers->bytes, room);
        if (!bytes)
            return -ENOMEM;
        answers->bytes = bytes;
        answers->room = room;
    }
    memcpy(answers->bytes + answers->len, message, len);
    memset(answers->bytes + answers->len + len, 0, padded - len);
    answers->len += padded;
    return 0;
}

static int nl_send(struct nl *nl, const void *data, size_t len)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n;

    do
        n = sendto(nl->fd, data, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == len ? 0 : -EMSGSIZE;
}

/** One datagram from the kernel into the buffer. Returns its length; 0 when it came from
 *  elsewhere. */
static ssize_t nl_receive(struct nl *nl)
{
    struct sockaddr_nl from = {0};
    struct iovec iov = {.iov_base = nl->buffer, .iov_len = sizeof(nl->buffer)};
    struct msghdr header = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    do
        n = recvmsg(nl->fd, &header, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (header.msg_namelen != sizeof(from) || from.nl_pid != 0)
        return 0;
    return header.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

static void take_verdict(struct nl *nl, struct exchange *exchange, const struct nlmsghdr *message)
{
    char why[NL_WHY_BYTES];
    int status = nl_verdict(message, why);

    if (status < 0 && exchange->status == 0) {
        exchange->status = status;
        exchange->failed = message->nlmsg_seq;
        memcpy(nl->why, why, sizeof(why));
    }
    if (message->nlmsg_seq == exchange->last)
        exchange->finished = true;
}

static int take_message(struct nl *nl, struct exchange *exchange, const struct nlmsghdr *message)
{
    if (message->nlmsg_pid != nl->port_id ||
        message->nlmsg_seq - exchange->first > exchange->last - exchange->first)
        return 0;
    if (message->nlmsg_flags & NLM_F_DUMP_INTR)
        exchange->interrupted = true;
    switch (message->nlmsg_type) {
    case NLMSG_NOOP:
        return 0;
    case NLMSG_OVERRUN:
        return -ENOBUFS;
    case NLMSG_ERROR:
    case NLMSG_DONE:
        take_verdict(nl, exchange, message);
        return 0;
    default:
        return exchange->answers ? answers_add(exchange->answers, message) : 0;
    }
}

/** Reads until the exchange is finished. Its verdict, or -errno when the socket itself failed. */
static int exchange_finish(struct nl *nl, struct exchange *exchange)
{
    nl->why[0] = '\0';
    while (!exchange->finished) {
        ssize_t n = nl_receive(nl);
        if (n < 0)
            return (int)n;
        const struct nl_answers datagram = {.bytes = nl->buffer, .len = (size_t)n};
        for (const struct nlmsghdr *m = nl_next(&datagram, NULL); m; m = nl_next(&datagram, m)) {
            int r = take_message(nl, exchange, m);
            if (r < 0)
                return r;
        }
    }
    return exchange->status;
}

int nl_batch(struct nl *nl, uint8_t *bytes, size_t len, uint32_t count, uint32_t *ret_failed)
{
    const struct nl_answers requests = {.bytes = bytes, .len = len};
    struct exchange exchange = {.first = nl->seq + 1, .last = nl->seq + count};
    uint32_t seq = nl->seq;

    assert(count > 0 && count <= NL_BATCH_MAX);
    for (const struct nlmsghdr *m = nl_next(&requests, NULL); m; m = nl_next(&requests, m)) {
        struct nlmsghdr *message =
            (struct nlmsghdr *)(void *)(bytes + ((const uint8_t *)m - bytes));
        message->nlmsg_seq = ++seq;
        message->nlmsg_flags |= NLM_F_REQUEST;
        if (seq == exchange.last)
            message->nlmsg_flags |= NLM_F_ACK;
    }
    assert(seq == exchange.last);
    nl->seq = seq;
    nl->why[0] = '\0';
    int r = nl_send(nl, bytes, len);
    if (r == 0)
        r = exchange_finish(nl, &exchange);
    if (r < 0 && ret_failed)
        *ret_failed = exchange.status < 0 ? exchange.failed - exchange.first : 0;
    return r;
}

static int call(struct nl *nl, struct nl_request *request, struct exchange *exchange)
{
    exchange->first = exchange->last = ++nl->seq;
    request->header.nlmsg_seq = nl->seq;
    nl->why[0] = '\0';
    int r = nl_send(nl, request->bytes, request->header.nlmsg_len);
    return r < 0 ? r : exchange_finish(nl, exchange);
}

int nl_call(struct nl *nl, struct nl_request *request, struct nl_answers *answers)
{
    struct exchange exchange = {.answers = answers};

    request->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    return call(nl, request, &exchange);
}

int nl_dump(struct nl *nl, struct nl_request *request, struct nl_answers *answers)
{
    size_t before = answers->len;

    request->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
    for (int i = 0; i < DUMP_TRIES; i++) {
        struct exchange exchange = {.answers = answers};
        answers->len = before;
        int r = call(nl, request, &exchange);
        if (r < 0 || !exchange.interrupted)
            return r;
    }
    (void)snprintf(nl->why, sizeof(nl->why), "the kernel's table keeps changing while it is read");
    return -EINTR;
}

int nl_member(struct nl *nl, int group, bool join)
{
    const int option = join ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
    return setsockopt(nl->fd, SOL_NETLINK, option, &group, sizeof(group)) < 0 ? -errno : 0;
}

void nl_wait(struct nl *nl, int timeout_ms)
{
    struct pollfd wanted = {.fd = nl->fd, .events = POLLIN};

    if (poll(&wanted, 1, timeout_ms) > 0)
        nl_drain(nl);
}

int nl_fail(const struct nl *nl, int status, struct peer_error *error, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    const char *why = nl->why[0] ? nl->why : error_text(-status);
    return error_set(error, PEER_ERROR_MACHINE, -status, "cannot %s: %s%s", what, why,
                     status == -EPERM ? "; run it with sudo, or use `isolate`" : "");
}

const void *nl_payload(const struct nlmsghdr *message, size_t len)
{
    return mnl_nlmsg_get_payload_len(message) < len ? NULL : mnl_nlmsg_get_payload(message);
}

const void *nl_data(const struct nlattr *attribute)
{
    return mnl_attr_get_payload(attribute);
}

size_t nl_len(const struct nlattr *attribute)
{
    return mnl_attr_get_payload_len(attribute);
}

void nl_file(const void *bytes, size_t len, const struct nlattr **table, uint16_t max)
{
    const uint8_t *at = bytes;

    memset(table, 0, sizeof(*table) * ((size_t)max + 1));
    while (len >= sizeof(struct nlattr)) {
        const struct nlattr *attribute = (const void *)at;
        const size_t step = nl_align(attribute->nla_len);
        if (attribute->nla_len < sizeof(*attribute) || attribute->nla_len > len)
            return;
        if ((attribute->nla_type & NLA_TYPE_MASK) <= max)
            table[attribute->nla_type & NLA_TYPE_MASK] = attribute;
        if (step >= len)
            return;
        at += step;
        len -= step;
    }
}

bool nl_attributes(const struct nlmsghdr *message, size_t family_header_len,
                   const struct nlattr **table, uint16_t max)
{
    const uint8_t *payload = mnl_nlmsg_get_payload(message);
    const size_t len = mnl_nlmsg_get_payload_len(message), skip = nl_align(family_header_len);

    nl_file(NULL, 0, table, max);
    if (len < family_header_len)
        return false;
    if (len > skip)
        nl_file(payload + skip, len - skip, table, max);
    return true;
}

void nl_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max)
{
    if (nest)
        nl_file(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), table, max);
    else
        nl_file(NULL, 0, table, max);
}

bool nl_get(const struct nlattr *attribute, void *ret, size_t len)
{
    if (!attribute || mnl_attr_get_payload_len(attribute) < len)
        return false;
    memcpy(ret, mnl_attr_get_payload(attribute), len);
    return true;
}

bool nl_get_addr(const struct nlattr *attribute, int family, struct peer_addr *ret_addr)
{
    size_t len = nl_addr_len(family);
    struct peer_addr addr = {.family = family == AF_INET6 ? 6 : 4};

    if (len == 0 || !attribute || mnl_attr_get_payload_len(attribute) != len)
        return false;
    memcpy(addr.bytes, mnl_attr_get_payload(attribute), len);
    *ret_addr = addr;
    return true;
}

bool nl_get_text(const struct nlattr *attribute, char *buf, size_t room)
{
    if (!attribute)
        return false;
    const char *text = mnl_attr_get_payload(attribute);
    size_t len = strnlen(text, mnl_attr_get_payload_len(attribute));
    if (len >= room)
        return false;
    memcpy(buf, text, len);
    buf[len] = '\0';
    return true;
}

/** Where the attributes of a verdict begin, counted from the payload; 0 when there are none. */
static size_t verdict_attributes(const struct nlmsghdr *message, size_t len)
{
    if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
        return 0;
    if (message->nlmsg_type == NLMSG_DONE)
        return sizeof(int);
    if (len < sizeof(struct nlmsgerr))
        return 0;
    /* Without CAPPED the whole request is quoted, and its length is only a claim. */
    const struct nlmsgerr *quote = mnl_nlmsg_get_payload(message);
    size_t quoted = message->nlmsg_flags & NLM_F_CAPPED ? sizeof(quote->msg) : quote->msg.nlmsg_len;
    return quoted > len ? 0 : sizeof(int) + nl_align(quoted);
}

/** The kernel's sentence as part of ours: one line, printable, no full stop. */
static void tidy(char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = ' ';
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '.'))
        text[--len] = '\0';
}

int nl_verdict(const struct nlmsghdr *message, char why[NL_WHY_BYTES])
{
    const struct nlattr *table[NLMSGERR_ATTR_MSG + 1];
    size_t len = mnl_nlmsg_get_payload_len(message);
    int code;

    why[0] = '\0';
    if (len < sizeof(code)) /* old kernels end a dump without a code */
        return message->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
    memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
    size_t at = verdict_attributes(message, len);
    if (at > 0 && nl_attributes(message, at, table, NLMSGERR_ATTR_MSG) &&
        nl_get_text(table[NLMSGERR_ATTR_MSG], why, NL_WHY_BYTES))
        tidy(why);
    if (code > 0 || code < -4095)
        return -EBADMSG;
    return code;
}
