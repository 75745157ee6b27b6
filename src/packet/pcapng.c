/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file is a section header block, one interface description block and an enhanced packet block a
 * frame, all in the byte order of this machine (the section header says which).
 *
 * Blocks are built in place at the end of one buffer: the frame is gathered there, its checksum
 * completed there, its lengths set last. The buffer has room for a whole block beyond the mark at
 * which it is full, so that a block is never split and nothing is copied twice.
 *
 * A file is waited for. A reader of a pipe is not, since who waits for it is the whole network:
 * what it does not take is kept, up to as much as tcpdump keeps, and then frames are dropped until
 * half of that is free. The first frame behind a gap says how many are missing.
 *
 * Secrets of TLS come when a handshake has been worked on, which is after the frame that they are
 * needed for; and readers want them before it. So while they may come frames are kept for two rounds of
 * their owner's, and the block with the secrets is put before all that is not written yet.
 *
 * The first error ends the writing and is kept; later calls do nothing. Plain write(2) is used,
 * since the target may be a file: on a closed pipe the program must ignore SIGPIPE to see EPIPE.
 */
#include "packet/pcapng.h"

#include "base/error.h"
#include "base/iov.h"
#include "base/macro.h"
#include "packet/checksum.h"

#include <net/if.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BLOCK_SECRETS = 10,
    SECRETS_TLS_KEY_LOG = 0x544c534b,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,
};
enum {
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_USERAPPL = 4, /* of the section */
    OPTION_IF_NAME = 2,  /* of the interface */
    OPTION_IF_TSRESOL = 9,
    OPTION_FLAGS = 2, /* of a packet */
    OPTION_DROPCOUNT = 4,
};
enum {
    WRITE_BYTES = 64 * 1024, /* written out when there are so many */
    KEEP_BYTES = 2 << 20,    /* kept for a reader who is slow; tcpdump -B has the same */
    PIPE_BYTES = 1 << 20,    /* asked of the kernel, which gives so many to everybody */
    KEPT_MOST = 16 << 20, /* of what secrets may follow for */
    COMMENT_MAX = 1024,
    SECRETS_MAX = 1000,
    BLOCK_MAX = FRAME_LARGE_BYTES + COMMENT_MAX + 128,
};

/* Where what is kept begins: the mark of the last call, and of the one before. */
struct keeping {
    bool on;
    size_t older, newer;
};

struct pcapng {
    int fd;
    int error;            /* 0 or -errno */
    bool patient;         /* a file: it is waited for */
    bool shared;          /* no file, and the descriptor is others' too, so that it may block */
    bool ended;           /* nothing is written any more */
    size_t message_bytes; /* whole blocks are written, so many at once; 0: as much as is taken */
    size_t at, len, room; /* of the buffer: written so far, filled so far, full */
    struct keeping keeping;
    uint64_t frames, dropped, gap; /* `gap` of the dropped, since the last that was not */
    uint8_t *buffer;               /* begins with the beginning of a block */
};

/* ---- blocks ---- */

static void put(struct pcapng *pcapng, const void *data, size_t len)
{
    memcpy(pcapng->buffer + pcapng->len, data, len);
    pcapng->len += len;
}

static void put_u16(struct pcapng *pcapng, uint16_t value)
{
    put(pcapng, &value, sizeof(value));
}

static void put_u32(struct pcapng *pcapng, uint32_t value)
{
    put(pcapng, &value, sizeof(value));
}

/* Zeros up to the next multiple of four. */
static void pad(struct pcapng *pcapng, size_t len)
{
    put(pcapng, "\0\0", (4 - len % 4) % 4);
}

static void put_option(struct pcapng *pcapng, uint16_t code, const void *value, size_t len)
{
    put_u16(pcapng, code);
    put_u16(pcapng, (uint16_t)len);
    if (len)
        put(pcapng, value, len);
    pad(pcapng, len);
}

/* Returns where the block starts, for block_end. */
static size_t block_begin(struct pcapng *pcapng, uint32_t type)
{
    size_t start = pcapng->len;

    put_u32(pcapng, type);
    put_u32(pcapng, 0); /* the length, by block_end */
    return start;
}

static void block_end(struct pcapng *pcapng, size_t start)
{
    uint32_t len = (uint32_t)(pcapng->len - start) + 4;

    put_u32(pcapng, len);
    memcpy(pcapng->buffer + start + 4, &len, sizeof(len));
}

static void put_section(struct pcapng *pcapng)
{
    static const char program[] = "peer";
    static const uint64_t unknown_len = UINT64_MAX;
    size_t block = block_begin(pcapng, BLOCK_SECTION);

    put_u32(pcapng, BYTE_ORDER_MAGIC);
    put_u16(pcapng, 1); /* version 1.0 */
    put_u16(pcapng, 0);
    put(pcapng, &unknown_len, sizeof(unknown_len));
    put_option(pcapng, OPTION_USERAPPL, program, strlen(program));
    put_option(pcapng, OPTION_END, NULL, 0);
    block_end(pcapng, block);
}

static void put_interface(struct pcapng *pcapng, const char *ifname, enum frame_layer layer)
{
    static const uint8_t nanoseconds = 9;
    size_t block = block_begin(pcapng, BLOCK_INTERFACE);

    put_u16(pcapng, layer == FRAME_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW);
    put_u16(pcapng, 0);
    put_u32(pcapng, 0); /* no limit to the length of a packet */
    put_option(pcapng, OPTION_IF_NAME, ifname, strnlen(ifname, IF_NAMESIZE));
    put_option(pcapng, OPTION_IF_TSRESOL, &nanoseconds, 1);
    put_option(pcapng, OPTION_END, NULL, 0);
    block_end(pcapng, block);
}

/* The longest start of `text` within COMMENT_MAX that does not cut a UTF-8 character. */
static size_t comment_len(const char *text)
{
    size_t len = strnlen(text, COMMENT_MAX + 1);

    if (len <= COMMENT_MAX)
        return len;
    len = COMMENT_MAX;
    while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void put_frame(struct pcapng *pcapng, const struct frame_parts *parts, size_t len)
{
    struct frame_offload rest = *parts->offload;
    uint8_t *copy = pcapng->buffer + pcapng->len;

    iov_gather(parts->iov, parts->count, copy);
    (void)checksum_complete(copy, len, &rest); /* a broken one is shown as it is */
    pcapng->len += len;
    pad(pcapng, len);
}

/* ---- the descriptor ---- */

/* The block at `at` of the buffer: where the next one begins. */
static size_t block_after(const struct pcapng *pcapng, size_t at)
{
    uint32_t len;

    memcpy(&len, pcapng->buffer + at + 4, sizeof(len));
    return at + len;
}

/* From `at` on, where a block begins: one, and as many more as a message has room for. */
static size_t whole_blocks(const struct pcapng *pcapng, size_t at, size_t end)
{
    size_t next = block_after(pcapng, at);

    for (size_t after = next; after < end; next = after) {
        after = block_after(pcapng, after);
        if (after - at > pcapng->message_bytes)
            break;
    }
    return next - at;
}

/* As write(2), or -errno; -EAGAIN: a reader takes nothing now. A pipe that has room takes PIPE_BUF
   without making us wait. */
static ssize_t write_some(const struct pcapng *pcapng, const uint8_t *data, size_t len)
{
    if (pcapng->shared) {
        struct pollfd writable = {.fd = pcapng->fd, .events = POLLOUT};
        if (poll(&writable, 1, 0) == 0)
            return -EAGAIN;
        len = MIN(len, (size_t)PIPE_BUF);
    }
    ssize_t done = write(pcapng->fd, data, len);
    if (done < 0 && pcapng->message_bytes && errno == ECONNRESET)
        return -EPIPE; /* a socket with something unread */
    return done < 0 ? -errno : done;
}

static void forget(struct pcapng *pcapng)
{
    pcapng->at = pcapng->len = pcapng->keeping.older = pcapng->keeping.newer = 0;
}

/* What stands before `from` is not needed any more. */
static void move_up(struct pcapng *pcapng, size_t from)
{
    struct keeping *keeping = &pcapng->keeping;

    memmove(pcapng->buffer, pcapng->buffer + from, pcapng->len - from);
    pcapng->at -= from;
    pcapng->len -= from;
    keeping->older -= MIN(keeping->older, from);
    keeping->newer -= MIN(keeping->newer, from);
}

/* What is kept stays; the rest is written. */
void pcapng_flush(struct pcapng *pcapng)
{
    const size_t end = pcapng->keeping.on ? pcapng->keeping.older : pcapng->len;
    ssize_t done = 0;

    while (pcapng->at < end && !pcapng->error) {
        const size_t len =
            pcapng->message_bytes ? whole_blocks(pcapng, pcapng->at, end) : end - pcapng->at;
        done = write_some(pcapng, pcapng->buffer + pcapng->at, len);
        if (done == -EAGAIN)
            return;
        if (done >= 0)
            pcapng->at += (size_t)done;
        else if (done != -EINTR)
            pcapng->error = (int)done;
    }
    if (pcapng->error || end == pcapng->len)
        forget(pcapng);
    else if (pcapng->at)
        move_up(pcapng, pcapng->at); /* the beginning of a block */
}

/* Nothing more follows that belongs before what is kept. */
static void keep_nothing(struct pcapng *pcapng)
{
    pcapng->keeping = (struct keeping){.on = false};
}

void pcapng_keep(struct pcapng *pcapng)
{
    struct keeping *keeping = &pcapng->keeping;

    keeping->older = keeping->on ? keeping->newer : pcapng->len;
    keeping->newer = pcapng->len;
    keeping->on = true;
}

bool pcapng_waits(const struct pcapng *pcapng)
{
    return pcapng->len > 0;
}

static bool is_frame(const struct pcapng *pcapng, size_t at)
{
    uint32_t type;

    memcpy(&type, pcapng->buffer + at, sizeof(type));
    return type == BLOCK_PACKET;
}

/* The first block that is not written, or not all of it. */
static size_t block_at(const struct pcapng *pcapng)
{
    size_t at = 0;

    for (size_t next; at < pcapng->len && (next = block_after(pcapng, at)) <= pcapng->at;)
        at = next;
    return at;
}

/* A file has as much room as what is kept needs; where that is too much it is kept no longer. */
static void make_more_room(struct pcapng *pcapng)
{
    const size_t room = 2 * pcapng->room;
    uint8_t *larger =
        room <= KEPT_MOST ? realloc(pcapng->buffer, room + BLOCK_MAX) : NULL;

    if (larger) {
        pcapng->buffer = larger;
        pcapng->room = room;
    } else {
        pcapng->keeping.older = pcapng->keeping.newer = pcapng->len;
        pcapng_flush(pcapng);
    }
}

/* Moves what is left to the front, seldom enough that a byte is moved once. */
static bool make_room(struct pcapng *pcapng)
{
    pcapng_flush(pcapng);
    if (pcapng->at >= pcapng->room / 2)
        move_up(pcapng, block_at(pcapng));
    if (pcapng->len > pcapng->room && pcapng->patient && pcapng->keeping.on)
        make_more_room(pcapng);
    return pcapng->len <= pcapng->room;
}

size_t pcapng_drain(struct pcapng *pcapng, int timeout_ms)
{
    struct pollfd writable = {.fd = pcapng->fd, .events = POLLOUT};

    keep_nothing(pcapng);
    pcapng_flush(pcapng);
    if (pcapng->len > 0 && poll(&writable, 1, timeout_ms) > 0)
        pcapng_flush(pcapng);
    return pcapng->len - pcapng->at;
}

void pcapng_finish(struct pcapng *pcapng)
{
    keep_nothing(pcapng);
    pcapng_flush(pcapng);
    pcapng->ended = true; /* perhaps in the middle of a block */
    for (size_t at = block_at(pcapng); at < pcapng->len; at = block_after(pcapng, at))
        pcapng->dropped += is_frame(pcapng, at);
    forget(pcapng);
}

static int open_path(const char *path)
{
    int fd = strcmp(path, "-") == 0
                 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) /* so that closing is ours */
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600);
    return fd < 0 ? -errno : fd;
}

/* Of what was opened: is it waited for? That of others is left as it is. */
static bool is_patient(int fd, bool ours)
{
    struct stat status;
    bool patient = fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));

    if (patient && ours)
        (void)fcntl(fd, F_SETFL, 0);
    if (!patient)
        (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* or it is no pipe, or does with less */
    return patient;
}

static int open_error(const char *path, int code, struct peer_error *error)
{
    bool usage = code == ENOENT || code == ENOTDIR || code == EISDIR || code == ENAMETOOLONG;

    return error_set(error, usage ? PEER_ERROR_USAGE : PEER_ERROR_MACHINE, code,
                     "cannot write the capture to %s: %s",
                     strcmp(path, "-") == 0 ? "standard output" : path,
                     code == ENXIO ? "nobody reads it" : error_text(code));
}

static struct pcapng *make(int fd, bool ours, size_t keep_bytes)
{
    bool patient = is_patient(fd, ours);
    size_t room = patient ? WRITE_BYTES : keep_bytes;
    struct pcapng *pcapng = malloc(sizeof(*pcapng));

    if (!pcapng)
        return NULL;
    *pcapng = (struct pcapng){.fd = fd,
                              .patient = patient,
                              .shared = !patient && !ours,
                              .room = room,
                              .buffer = malloc(room + BLOCK_MAX)};
    if (pcapng->buffer)
        return pcapng;
    free(pcapng);
    return NULL;
}

/* A reader of a pipe learns at once what is to come. */
static int begin(struct pcapng *pcapng, const char *ifname, enum frame_layer layer)
{
    put_section(pcapng);
    put_interface(pcapng, ifname, layer);
    pcapng_flush(pcapng);
    return pcapng->error;
}

int pcapng_adopt(int fd, size_t keep_bytes, size_t message_bytes, const char *ifname,
                 enum frame_layer layer, struct pcapng **ret_pcapng)
{
    struct pcapng *pcapng = make(fd, true, keep_bytes);
    if (!pcapng)
        return -ENOMEM;
    pcapng->message_bytes = message_bytes;
    *ret_pcapng = pcapng;
    return begin(pcapng, ifname, layer);
}

int pcapng_open(const char *path, const char *ifname, enum frame_layer layer,
                struct pcapng **ret_pcapng, struct peer_error *error)
{
    int fd = open_path(path);
    if (fd < 0)
        return open_error(path, -fd, error);
    struct pcapng *pcapng = make(fd, strcmp(path, "-") != 0, KEEP_BYTES);
    if (!pcapng) {
        close(fd);
        return open_error(path, ENOMEM, error);
    }
    int status = begin(pcapng, ifname, layer);
    if (status < 0) {
        pcapng_free(pcapng);
        return open_error(path, -status, error);
    }
    *ret_pcapng = pcapng;
    return 0;
}

int pcapng_fd(const struct pcapng *pcapng)
{
    return pcapng->fd;
}

bool pcapng_is_file(const struct pcapng *pcapng)
{
    return pcapng->patient;
}

struct pcapng *pcapng_free(struct pcapng *pcapng)
{
    if (pcapng) {
        keep_nothing(pcapng);
        pcapng_flush(pcapng);
    }
    return pcapng_abandon(pcapng);
}

struct pcapng *pcapng_abandon(struct pcapng *pcapng)
{
    if (!pcapng)
        return NULL;
    close(pcapng->fd);
    if (pcapng->buffer) /* with secrets */
        explicit_bzero(pcapng->buffer, pcapng->len);
    free(pcapng->buffer);
    free(pcapng);
    return NULL;
}

/* Whether the frame is to be written. */
static bool take(struct pcapng *pcapng)
{
    if (pcapng->error)
        return false;
    pcapng->frames++;
    if (!pcapng->ended && (pcapng->len <= pcapng->room || make_room(pcapng)))
        return true;
    pcapng->dropped++;
    pcapng->gap++;
    return false;
}

void pcapng_write(struct pcapng *pcapng, uint64_t wall_ns, enum pcapng_direction direction,
                  const struct frame_parts *parts, const char *comment)
{
    size_t len = iov_total(parts->iov, parts->count);
    uint32_t flags = direction;

    if (!take(pcapng))
        return;
    assert(len <= FRAME_LARGE_BYTES);
    size_t block = block_begin(pcapng, BLOCK_PACKET);
    put_u32(pcapng, 0); /* interface */
    put_u32(pcapng, (uint32_t)(wall_ns >> 32));
    put_u32(pcapng, (uint32_t)wall_ns);
    put_u32(pcapng, (uint32_t)len); /* captured */
    put_u32(pcapng, (uint32_t)len); /* on the wire */
    put_frame(pcapng, parts, len);
    put_option(pcapng, OPTION_FLAGS, &flags, sizeof(flags));
    if (pcapng->gap)
        put_option(pcapng, OPTION_DROPCOUNT, &pcapng->gap, sizeof(pcapng->gap));
    pcapng->gap = 0;
    if (comment)
        put_option(pcapng, OPTION_COMMENT, comment, comment_len(comment));
    put_option(pcapng, OPTION_END, NULL, 0);
    block_end(pcapng, block);
    if (pcapng->len - pcapng->at >= WRITE_BYTES)
        pcapng_flush(pcapng);
}

/* A block that is put together elsewhere. */
static size_t secrets_block(const char *lines, size_t len, uint8_t *out)
{
    const uint32_t padded = (uint32_t)(len + 3) / 4 * 4, total = 20 + padded;
    const uint32_t head[] = {BLOCK_SECRETS, total, SECRETS_TLS_KEY_LOG, (uint32_t)len};

    memcpy(out, head, sizeof(head));
    memset(out + sizeof(head), 0, padded);
    memcpy(out + sizeof(head), lines, len);
    memcpy(out + sizeof(head) + padded, &total, sizeof(total));
    return total;
}

void pcapng_write_secrets(struct pcapng *pcapng, const char *lines, size_t len)
{
    struct keeping *keeping = &pcapng->keeping;
    uint8_t block[SECRETS_MAX + 24];

    if (pcapng->error || pcapng->ended || len > SECRETS_MAX ||
        (pcapng->len > pcapng->room && !make_room(pcapng)))
        return;
    len = secrets_block(lines, len, block);
    size_t at = block_at(pcapng);
    if (at < pcapng->at) /* in the middle of a block */
        at = block_after(pcapng, at);
    memmove(pcapng->buffer + at + len, pcapng->buffer + at, pcapng->len - at);
    memcpy(pcapng->buffer + at, block, len);
    pcapng->len += len;
    keeping->older += keeping->older >= at ? len : 0;
    keeping->newer += keeping->newer >= at ? len : 0;
}

int pcapng_error(const struct pcapng *pcapng)
{
    return pcapng->error;
}

void pcapng_get_counts(const struct pcapng *pcapng, uint64_t *ret_frames, uint64_t *ret_dropped)
{
    *ret_frames = pcapng->frames;
    *ret_dropped = pcapng->dropped;
}
