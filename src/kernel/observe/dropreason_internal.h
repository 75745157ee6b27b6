/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_DROPREASON_INTERNAL_H
#define KERNEL_OBSERVE_DROPREASON_INTERNAL_H

#include "kernel/observe/dropreason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text of the kernel to facts, without a kernel: for the tests as well. */

/** A field of a tracepoint's record; size 0 when there is none. */
struct tracepoint_field {
    uint16_t offset, size;
};
/** "ID: 2310" of a tracepoint's format file; -EINVAL when there is none. */
int tracepoint_parse_id(const char *format, uint16_t *ret_id);
/** "field:unsigned short protocol; offset:32; size:2;", found by its name. */
struct tracepoint_field tracepoint_parse_field(const char *format, const char *name);
/** The name of a number in the list of __print_symbolic, without a prefix. False when it is not
 *  there. */
bool tracepoint_parse_symbol(const char *format, uint32_t number, char *buf, size_t room);

/** A line of /proc/kallsyms that is a function: its address and where its name begins. */
bool kallsyms_parse(const char *line, uint64_t *ret_address, const char **ret_name,
                    size_t *ret_len);

/** The hook that `function` calls, or NULL. Suffixes of the compiler (".isra.0") do not matter. */
const char *dropreason_hook(const char *function);
/** Is it a sign that something else runs on top of the thread: a softirq, a timer, an interrupt? */
bool dropreason_is_deferred(const char *function);
/** Does it free a packet because a copy goes on in its place? */
bool dropreason_copies(const char *function);

/* ---- dropreason_own.c: whose packet it is ---- */

enum { CUSTODY_PACKETS = 64 };

struct custody_packet {
    uint64_t address;
    enum dropreason_owner owner;
    bool sent; /* on its way out of this machine */
};

struct custody {
    char device[16]; /* where ours come in, "": anywhere */
    struct custody_packet packets[CUSTODY_PACKETS];
    int count;
    bool received; /* one of ours was seen */
};

/**
 * The next event, of the packet at `address` (0: of none). Sets `event->owner`; false when it is
 * nothing that anybody wants to know: another's, or only for this book-keeping.
 */
bool custody_take(struct custody *custody, struct dropreason_event *event, uint64_t address);

#endif
