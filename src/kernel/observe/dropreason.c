/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: perf events on tracepoints, for this thread only, all written to one ring
 * that is shared with the kernel. Records carry the time, the raw record of the tracepoint and, of
 * drops, the stack of kernel functions, from which the netfilter hook follows.
 *
 * A tracepoint's number and fields are read from tracefs. Where that is not mounted, a mount of our
 * own is made that no directory shows (fsmount): it is gone with its descriptor.
 *
 * Addresses become names by one pass over /proc/kallsyms, made only when there is something to
 * name.
 */
#include "kernel/observe/dropreason.h"

#include "base/macro.h"
#include "kernel/observe/dropreason_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RING_PAGES = 64, FORMAT_BYTES = 32 * 1024, POINTS_MAX = 7, NAME_BYTES = 48 };
enum { RAW_MAX = 1024, FLAG_HARDIRQ = 8, FLAG_SOFTIRQ = 16 }; /* of common_flags */
/* Of linux/mount.h, which does not go with sys/mount.h. */
enum { PRIVATE_FSCONFIG_CMD_CREATE = 6, PRIVATE_CLOEXEC = 1 };

static const struct {
    const char *path;
    enum dropreason_kind kind;
    uint8_t family; /* 0: both. Each one costs a wait of the kernel's when it is closed */
} tracepoints[POINTS_MAX] = {
    {"skb/kfree_skb", DROPREASON_DROP, 0}, /* the only one that must be there */
    {"net/netif_receive_skb_entry", DROPREASON_RECEIVE, 0},
    {"fib/fib_table_lookup", DROPREASON_ROUTE, 4},
    {"fib6/fib6_table_lookup", DROPREASON_ROUTE, 6},
    {"net/net_dev_queue", DROPREASON_SEND, 0},
    {"sock/sk_data_ready", DROPREASON_NOTICE, 0},
    {"skb/consume_skb", DROPREASON_CONSUME, 0},
};

struct point {
    int fd; /* -1: not there */
    uint16_t id;
    struct tracepoint_field flags, location, protocol, reason, family, socket, packet, name;
};

/** An event and the addresses that still want names. */
struct raw_event {
    struct dropreason_event event;
    uint64_t location;
    uint64_t frames[DROPREASON_FRAMES_MAX];
    int frame_count;
};

struct dropreason {
    struct point points[POINTS_MAX];
    uint8_t *ring; /* a page of struct perf_event_mmap_page, then the records */
    size_t ring_bytes, page_bytes;
    char *format; /* of kfree_skb: the names of the reasons */
    struct custody custody;
    struct raw_event *events; /* RAW_MAX of them */
    int event_count;
    uint64_t lost;
};

/* ---- tracefs ---- */

/** A directory of tracefs, mounted or mounted just for us; -errno. */
static int open_tracefs(void)
{
    static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    int r = -ENOENT;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        int dir = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            continue;
        if (faccessat(dir, "events/skb", R_OK, 0) == 0)
            return dir;
        r = errno == EACCES ? -EACCES : r;
        (void)close(dir);
    }
    int context = (int)syscall(SYS_fsopen, "tracefs", PRIVATE_CLOEXEC);
    if (context < 0)
        return errno == EPERM || r == -EACCES ? -EACCES : r;
    if (syscall(SYS_fsconfig, context, PRIVATE_FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        r = (int)syscall(SYS_fsmount, context, PRIVATE_CLOEXEC, 0);
    else
        r = -1;
    if (r < 0)
        r = -errno;
    (void)close(context);
    return r;
}

/** The format file of a tracepoint into `buf`, terminated. 0 or -errno. */
static int read_format(int tracefs, const char *path, char *buf, size_t room)
{
    char file[96];
    size_t len = 0;
    ssize_t n;

    (void)snprintf(file, sizeof(file), "events/%s/format", path);
    int fd = openat(tracefs, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (len < room - 1 && (n = read(fd, buf + len, room - 1 - len)) > 0)
        len += (size_t)n;
    buf[len] = '\0';
    (void)close(fd);
    return len ? 0 : -ENODATA;
}

/* ---- the events ---- */

static int perf_open(uint16_t id, bool callchain)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof(attr),
        .config = id,
        .sample_period = 1,
        .sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_RAW | (callchain ? PERF_SAMPLE_CALLCHAIN : 0),
        .disabled = 1,
        .exclude_callchain_user = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
        .sample_max_stack = callchain ? DROPREASON_FRAMES_MAX : 0,
    };

    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_point(struct dropreason *dropreason, int tracefs, size_t i)
{
    struct point *point = &dropreason->points[i];
    int r = read_format(tracefs, tracepoints[i].path, dropreason->format, FORMAT_BYTES);

    if (r == 0)
        r = tracepoint_parse_id(dropreason->format, &point->id);
    if (r < 0)
        return r;
    point->flags = tracepoint_parse_field(dropreason->format, "common_flags");
    point->packet = tracepoint_parse_field(dropreason->format, "skbaddr");
    point->name = tracepoint_parse_field(dropreason->format, "name");
    point->location = tracepoint_parse_field(dropreason->format, "location");
    point->protocol = tracepoint_parse_field(dropreason->format, "protocol");
    point->reason = tracepoint_parse_field(dropreason->format, "reason");
    point->family = tracepoint_parse_field(dropreason->format, "family");
    point->socket = tracepoint_parse_field(dropreason->format, "skaddr");
    /* All records must look the same for one reader, so all have the (short) stack. */
    r = perf_open(point->id, true);
    if (r < 0)
        return r;
    point->fd = r;
    return 0;
}

static int map_ring(struct dropreason *dropreason)
{
    dropreason->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    dropreason->ring_bytes = (1 + RING_PAGES) * dropreason->page_bytes;
    void *ring = mmap(NULL, dropreason->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      dropreason->points[0].fd, 0);
    if (ring == MAP_FAILED)
        return -errno;
    dropreason->ring = ring;
    return 0;
}

static int open_points(struct dropreason *dropreason, int tracefs, uint8_t family)
{
    for (size_t i = POINTS_MAX; i-- > 0;) { /* the first one last: its format is kept */
        if (tracepoints[i].family && tracepoints[i].family != family)
            continue;
        int r = open_point(dropreason, tracefs, i);
        if (r < 0 && i == 0)
            return r;
    }
    int r = map_ring(dropreason);
    for (size_t i = 1; i < POINTS_MAX && r == 0; i++) {
        struct point *point = &dropreason->points[i];
        if (point->fd >= 0 &&
            ioctl(point->fd, PERF_EVENT_IOC_SET_OUTPUT, dropreason->points[0].fd) < 0) {
            (void)close(point->fd);
            point->fd = -1;
        }
    }
    return r;
}

int dropreason_open(uint8_t family, const char *device, struct dropreason **ret_dropreason)
{
    int tracefs = open_tracefs();
    if (tracefs < 0)
        return tracefs;
    struct dropreason *dropreason = calloc(1, sizeof(*dropreason));
    int r = -ENOMEM;
    if (dropreason) {
        for (size_t i = 0; i < POINTS_MAX; i++)
            dropreason->points[i].fd = -1;
        (void)snprintf(dropreason->custody.device, sizeof(dropreason->custody.device), "%s",
                       device);
        dropreason->format = malloc(FORMAT_BYTES);
        dropreason->events = malloc(sizeof(*dropreason->events) * RAW_MAX);
        r = dropreason->format && dropreason->events ? open_points(dropreason, tracefs, family)
                                                     : -ENOMEM;
    }
    (void)close(tracefs);
    if (r < 0) {
        dropreason_free(dropreason);
        return r;
    }
    *ret_dropreason = dropreason;
    return 0;
}

struct dropreason *dropreason_free(struct dropreason *dropreason)
{
    if (!dropreason)
        return NULL;
    if (dropreason->ring)
        (void)munmap(dropreason->ring, dropreason->ring_bytes);
    for (size_t i = 0; i < POINTS_MAX; i++)
        if (dropreason->points[i].fd >= 0)
            (void)close(dropreason->points[i].fd);
    free(dropreason->format);
    free(dropreason->events);
    free(dropreason);
    return NULL;
}

int dropreason_enable(struct dropreason *dropreason, bool on)
{
    for (size_t i = 0; i < POINTS_MAX; i++) {
        int fd = dropreason->points[i].fd;
        if (fd >= 0 && ioctl(fd, on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0) < 0)
            return -errno;
    }
    return 0;
}

/* ---- names of addresses ---- */

struct symbol {
    uint64_t wanted, found;
    char name[NAME_BYTES];
};

enum { SYMBOLS_MAX = 512 };

struct symbols {
    struct symbol entries[SYMBOLS_MAX];
    int count;
};

static void symbols_want(struct symbols *symbols, uint64_t address)
{
    for (int i = 0; i < symbols->count; i++)
        if (symbols->entries[i].wanted == address)
            return;
    if (symbols->count < SYMBOLS_MAX)
        symbols->entries[symbols->count++] = (struct symbol){.wanted = address};
}

static const char *symbols_name(const struct symbols *symbols, uint64_t address)
{
    for (int i = 0; i < symbols->count; i++)
        if (symbols->entries[i].wanted == address)
            return symbols->entries[i].name;
    return "";
}

static void symbols_take(struct symbols *symbols, const char *line)
{
    uint64_t address;
    const char *name;
    size_t len;

    if (!kallsyms_parse(line, &address, &name, &len))
        return;
    for (int i = 0; i < symbols->count; i++) {
        struct symbol *symbol = &symbols->entries[i];
        if (address > symbol->wanted || address < symbol->found)
            continue;
        symbol->found = address;
        (void)snprintf(symbol->name, sizeof(symbol->name), "%.*s", (int)len, name);
    }
}

/** Every name is "" where the kernel hides its addresses. */
static void symbols_resolve(struct symbols *symbols)
{
    char line[512];
    FILE *file = symbols->count ? fopen("/proc/kallsyms", "re") : NULL;

    if (!file)
        return;
    while (fgets(line, sizeof(line), file))
        symbols_take(symbols, line);
    (void)fclose(file);
}

/* ---- reading the ring ---- */

/** A record, taken apart; `raw` lies in the caller's copy of it. */
struct record {
    uint64_t at_ns;
    uint64_t frames[DROPREASON_FRAMES_MAX];
    int frame_count;
    const uint8_t *raw;
    size_t raw_len;
};

/** TIME, CALLCHAIN, RAW: in this order. */
static bool parse_sample(const uint8_t *body, size_t len, struct record *record)
{
    uint64_t count;
    uint32_t raw_len;

    if (len < 16)
        return false;
    memcpy(&record->at_ns, body, 8);
    memcpy(&count, body + 8, 8);
    body += 16;
    len -= 16;
    if (count > len / 8)
        return false;
    record->frame_count = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t address;
        memcpy(&address, body + i * 8, 8);
        /* Marks such as "kernel frames follow" are no addresses. */
        if (address < PERF_CONTEXT_MAX && record->frame_count < DROPREASON_FRAMES_MAX)
            record->frames[record->frame_count++] = address;
    }
    body += count * 8;
    len -= count * 8;
    if (len < 4)
        return false;
    memcpy(&raw_len, body, 4);
    record->raw = body + 4;
    record->raw_len = raw_len;
    return raw_len <= len - 4;
}

static uint64_t field(const struct record *record, struct tracepoint_field field)
{
    uint64_t value = 0;

    if (field.size == 0 || field.size > sizeof(value) ||
        (size_t)field.offset + field.size > record->raw_len)
        return 0;
    memcpy(&value, record->raw + field.offset, field.size); /* little-endian or whole */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value >>= 8 * (sizeof(value) - field.size);
#endif
    return value;
}

static int point_of(const struct dropreason *dropreason, const struct record *record)
{
    const uint64_t id = field(record, (struct tracepoint_field){0, 2}); /* common_type */

    for (int i = 0; i < POINTS_MAX; i++)
        if (dropreason->points[i].fd >= 0 && dropreason->points[i].id == id)
            return i;
    return -1;
}

/** A text of variable length: its place and its length, 16 bits each. */
static void text_field(const struct record *record, struct tracepoint_field where, char buf[16])
{
    const uint32_t at = (uint32_t)field(record, where);
    const size_t offset = at & 0xffff, len = MIN((size_t)(at >> 16), (size_t)15);

    buf[0] = '\0';
    if (where.size != 4 || offset + len > record->raw_len)
        return;
    memcpy(buf, record->raw + offset, len);
    buf[len] = '\0';
}

static void take_reason(const struct dropreason *dropreason, const struct point *point,
                        const struct record *record, struct dropreason_event *event)
{
    const uint32_t reason = (uint32_t)field(record, point->reason);

    if (point->reason.size &&
        !tracepoint_parse_symbol(dropreason->format, reason, event->reason, sizeof(event->reason)))
        (void)snprintf(event->reason, sizeof(event->reason), "#%u", reason);
}

/* Whose it is follows from the address alone, so what others do takes no room here. */
static bool take_record(struct dropreason *dropreason, const struct record *record,
                        struct raw_event *ret_event)
{
    const int i = point_of(dropreason, record);
    if (i < 0)
        return false;
    const struct point *point = &dropreason->points[i];
    struct raw_event raw = {.location = field(record, point->location),
                            .frame_count = record->frame_count,
                            .event = {.kind = tracepoints[i].kind, .at_ns = record->at_ns}};
    struct dropreason_event *event = &raw.event;

    memcpy(raw.frames, record->frames, sizeof(raw.frames));
    event->protocol = (uint16_t)field(record, point->protocol);
    event->deferred = field(record, point->flags) & (FLAG_HARDIRQ | FLAG_SOFTIRQ);
    if (event->kind == DROPREASON_NOTICE) {
        event->netlink = field(record, point->family) == AF_NETLINK;
        event->datagram = event->protocol == IPPROTO_UDP;
        event->socket = field(record, point->socket);
    }
    if (event->kind == DROPREASON_RECEIVE || event->kind == DROPREASON_SEND)
        text_field(record, point->name, event->device);
    if (event->kind == DROPREASON_DROP)
        take_reason(dropreason, point, record, event);
    if (!custody_take(&dropreason->custody, event, field(record, point->packet)))
        return false;
    *ret_event = raw;
    return true;
}

/** Copies out of the ring, which has an end. */
static void ring_copy(const struct dropreason *dropreason, uint64_t at, void *to, size_t len)
{
    const size_t size = RING_PAGES * dropreason->page_bytes;
    const uint8_t *data = dropreason->ring + dropreason->page_bytes;
    const size_t start = (size_t)(at % size), first = MIN(len, size - start);

    memcpy(to, data + start, first);
    memcpy((uint8_t *)to + first, data, len - first);
}

void dropreason_drain(struct dropreason *dropreason)
{
    struct perf_event_mmap_page *page = (void *)dropreason->ring;
    uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), at = page->data_tail;
    _Alignas(8) uint8_t body[4096];
    struct raw_event raw;

    while (head - at >= sizeof(struct perf_event_header)) {
        struct perf_event_header header;
        struct record record;
        ring_copy(dropreason, at, &header, sizeof(header));
        if (header.size < sizeof(header) || header.size > head - at)
            break;
        const size_t len = MIN(header.size - sizeof(header), sizeof(body));
        ring_copy(dropreason, at + sizeof(header), body, len);
        at += header.size;
        if (header.type == PERF_RECORD_LOST && len >= 16) {
            uint64_t more;
            memcpy(&more, body + 8, 8);
            dropreason->lost += more;
        }
        if (header.type != PERF_RECORD_SAMPLE || !parse_sample(body, len, &record) ||
            !take_record(dropreason, &record, &raw))
            continue;
        if (dropreason->event_count == RAW_MAX)
            dropreason->lost++;
        else
            dropreason->events[dropreason->event_count++] = raw;
    }
    __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}

/* ---- names ---- */

static void want_names(struct symbols *symbols, const struct raw_event *raw)
{
    if (raw->event.kind == DROPREASON_CONSUME)
        symbols_want(symbols, raw->location);
    if (raw->event.kind != DROPREASON_DROP)
        return;
    symbols_want(symbols, raw->location);
    for (int i = 0; i < raw->frame_count; i++)
        symbols_want(symbols, raw->frames[i]);
}

/* The stack says where netfilter was, and whether the thread itself was at work. */
static void read_stack(const struct symbols *symbols, const struct raw_event *raw,
                       struct dropreason_event *event)
{
    bool filtered = false;

    for (int i = 0; i < raw->frame_count; i++) {
        const char *name = symbols_name(symbols, raw->frames[i]);
        filtered = filtered || !strncmp(name, "nf_hook_slow", 12) || !strcmp(name, "nft_do_chain");
        if (filtered && !event->hook)
            event->hook = dropreason_hook(name);
        if (!strncmp(name, "nf_conntrack_in", 15))
            event->conntrack = true;
        if (dropreason_is_deferred(name))
            event->deferred = true;
    }
}

static void give_names(const struct symbols *symbols, struct raw_event *raw)
{
    struct dropreason_event *event = &raw->event;

    if (event->kind == DROPREASON_CONSUME)
        event->copied = dropreason_copies(symbols_name(symbols, raw->location));
    if (event->kind != DROPREASON_DROP)
        return;
    (void)snprintf(event->location, sizeof(event->location), "%s",
                   symbols_name(symbols, raw->location));
    event->location[strcspn(event->location, ".")] = '\0';
    read_stack(symbols, raw, event);
    if (!strncmp(event->location, "nf_conntrack", 12))
        event->conntrack = true;
    if (event->deferred && event->owner == DROPREASON_LIKELY)
        event->owner = DROPREASON_OTHERS;
}

/* The list of names is long: it is not read for a packet that nobody dropped. */
static bool any_drop(const struct dropreason *dropreason)
{
    for (int i = 0; i < dropreason->event_count; i++)
        if (dropreason->events[i].event.kind == DROPREASON_DROP)
            return true;
    return false;
}

int dropreason_collect(struct dropreason *dropreason, struct dropreason_event *events, int room,
                       uint64_t *ret_lost)
{
    struct symbols *symbols = calloc(1, sizeof(*symbols));

    if (!symbols)
        return -ENOMEM;
    dropreason_drain(dropreason);
    if (any_drop(dropreason))
        for (int i = 0; i < dropreason->event_count; i++)
            want_names(symbols, &dropreason->events[i]);
    symbols_resolve(symbols);
    for (int i = 0; i < dropreason->event_count; i++) {
        give_names(symbols, &dropreason->events[i]);
        if (i < room)
            events[i] = dropreason->events[i].event;
    }
    free(symbols);
    const int taken = MIN(room, dropreason->event_count);
    if (ret_lost)
        *ret_lost = dropreason->lost + (uint64_t)(dropreason->event_count - taken);
    dropreason->event_count = 0;
    dropreason->lost = 0;
    return taken;
}
