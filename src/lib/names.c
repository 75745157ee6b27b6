/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers of the library as words. Those of errors say what a code means here.
 */
#include "lib/internal.h"

static const struct {
    int code;
    const char *text;
} meanings[] = {
    {0, "success"},
    {EADDRINUSE, "the address or port is in use"},
    {EADDRNOTAVAIL, "the address is none of the peers"},
    {EAFNOSUPPORT, "the address is of another family than the peers"},
    {EAGAIN, "no room now: PEER_EVENT_WRITABLE follows"},
    {EBADFD, "the device is gone"},
    {EBUSY, "this process has a net already, or the device's name is taken"},
    {ECHILD, "the net is of the process that this one was forked from"},
    {E2BIG, "it asks for what this version of the library does not know"},
    {EINTR, "a signal came"},
    {EINVAL, "something in the configuration is wrong"},
    {EMSGSIZE, "longer than a datagram can be"},
    {ENETUNREACH, "the target is no address of this machine (any more)"},
    {ENODEV, "the interface is gone, or there is none of that name"},
    {ENOSPC, "as many flows are open as max_flows allows"},
    {ENOTCONN, "the flow is not open"},
    {EOWNERDEAD, "somebody killed a process that the net needs"},
    {EPIPE, "the flow's write side is shut, or it is over"},
    {EPROTONOSUPPORT, "neither TCP nor UDP"},
    {ERANGE, "there are no more"},
    {ESRCH, "the program has ended, or there is no such process"},
};

const char *peer_strerror(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++) {
        if (meanings[i].code == -status)
            return meanings[i].text;
    }
    return status < 0 && status > -4096 ? error_text(-status) : "no error of this library";
}

static const char *name_of(const char *const *names, size_t count, size_t index)
{
    return index < count && names[index] ? names[index] : "unknown";
}

const char *peer_event_name(enum peer_event_type type)
{
    static const char *const names[] = {
        [PEER_EVENT_NONE] = "none",
        [PEER_EVENT_CONNECTED] = "connected",
        [PEER_EVENT_ACCEPTED] = "accepted",
        [PEER_EVENT_READABLE] = "readable",
        [PEER_EVENT_WRITABLE] = "writable",
        [PEER_EVENT_EOF] = "eof",
        [PEER_EVENT_CLOSED] = "closed",
        [PEER_EVENT_PING] = "ping",
        [PEER_EVENT_UNREACHABLE] = "unreachable",
    };

    return name_of(names, ARRAY_SIZE(names), (size_t)type);
}

const char *peer_end_name(enum peer_end end)
{
    static const char *const names[] = {
        [PEER_END_NONE] = "none",       [PEER_END_CLOSED] = "closed",
        [PEER_END_REFUSED] = "refused", [PEER_END_RESET] = "reset",
        [PEER_END_TIMEOUT] = "timeout", [PEER_END_UNREACHABLE] = "unreachable",
        [PEER_END_LOCAL] = "local",     [PEER_END_DEVICE] = "device",
        [PEER_END_TARGET] = "target",
        [PEER_END_TLS] = "tls",
    };

    return name_of(names, ARRAY_SIZE(names), (size_t)end);
}

const char *peer_flow_state_name(enum peer_flow_state state)
{
    static const char *const names[] = {
        [PEER_FLOW_CLOSED] = "CLOSED",         [PEER_FLOW_SYN_SENT] = "SYN-SENT",
        [PEER_FLOW_SYN_RECEIVED] = "SYN-RECV", [PEER_FLOW_ESTABLISHED] = "ESTAB",
        [PEER_FLOW_FIN_WAIT_1] = "FIN-WAIT-1", [PEER_FLOW_FIN_WAIT_2] = "FIN-WAIT-2",
        [PEER_FLOW_CLOSE_WAIT] = "CLOSE-WAIT", [PEER_FLOW_CLOSING] = "CLOSING",
        [PEER_FLOW_LAST_ACK] = "LAST-ACK",     [PEER_FLOW_TIME_WAIT] = "TIME-WAIT",
        [PEER_FLOW_UNCONNECTED] = "UNCONN",
    };

    return name_of(names, ARRAY_SIZE(names), (size_t)state);
}
