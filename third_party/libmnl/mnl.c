/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for libmnl where a program is linked without shared libraries and the system has no
 * static one: the few functions of it that src/kernel/netlink calls, as libmnl.h declares them.
 * Netlink messages and attributes are rows of headers and payload, each padded to 4 bytes
 * (netlink(7)).
 */
#include <libmnl/libmnl.h>
#include <string.h>

/* As sizes, which they are. */
enum { MESSAGE_HEADER = sizeof(struct nlmsghdr), ATTR_HEADER = sizeof(struct nlattr) };

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

static void *at(const void *start, size_t offset)
{
    return (char *)(uintptr_t)start + offset;
}

/* ---- reading ---- */

void *mnl_nlmsg_get_payload(const struct nlmsghdr *message)
{
    return at(message, MESSAGE_HEADER);
}

size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr *message)
{
    return message->nlmsg_len - MESSAGE_HEADER;
}

void *mnl_attr_get_payload(const struct nlattr *attr)
{
    return at(attr, ATTR_HEADER);
}

uint16_t mnl_attr_get_payload_len(const struct nlattr *attr)
{
    return (uint16_t)(attr->nla_len - ATTR_HEADER);
}

/* ---- writing: always at the end of the message ---- */

struct nlmsghdr *mnl_nlmsg_put_header(void *buf)
{
    struct nlmsghdr *message = buf;

    memset(buf, 0, MESSAGE_HEADER);
    message->nlmsg_len = MESSAGE_HEADER;
    return message;
}

void *mnl_nlmsg_put_extra_header(struct nlmsghdr *message, size_t size)
{
    void *header = at(message, message->nlmsg_len);

    memset(header, 0, padded(size));
    message->nlmsg_len += (uint32_t)padded(size);
    return header;
}

bool mnl_attr_put_check(struct nlmsghdr *message, size_t room, uint16_t type, size_t len,
                        const void *data)
{
    struct nlattr *attr = at(message, message->nlmsg_len);

    if (message->nlmsg_len + ATTR_HEADER + padded(len) > room)
        return false;
    attr->nla_type = type;
    attr->nla_len = (uint16_t)(ATTR_HEADER + len);
    if (len)
        memcpy(mnl_attr_get_payload(attr), data, len);
    memset(at(attr, ATTR_HEADER + len), 0, padded(len) - len);
    message->nlmsg_len += (uint32_t)(ATTR_HEADER + padded(len));
    return true;
}

struct nlattr *mnl_attr_nest_start_check(struct nlmsghdr *message, size_t room, uint16_t type)
{
    struct nlattr *attr = at(message, message->nlmsg_len);

    if (message->nlmsg_len + ATTR_HEADER > room)
        return NULL;
    attr->nla_type = NLA_F_NESTED | type;
    message->nlmsg_len += ATTR_HEADER;
    return attr;
}

void mnl_attr_nest_end(struct nlmsghdr *message, struct nlattr *start)
{
    start->nla_len = (uint16_t)((char *)message + message->nlmsg_len - (char *)start);
}
