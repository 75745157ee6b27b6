/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file is a section header block, one interface description block and an enhanced packet block a
 * frame, all in the byte order of this machine (the section header says which).
 *
 * Blocks are built in place at the end of one buffer: the frame is gathered there, its checksum
 * completed there, its lengths set last. The buffer has room for a whole block beyond the mark at
 * which it is written out, so that a block is never split and nothing is copied twice.
 *
 * The first error ends the writing and is kept; later calls do nothing. Plain write(2) is used,
 * since the target may be a file: on a closed pipe the program must ignore SIGPIPE to see EPIPE.
 */
#include "packet/pcapng.h"

#include "base/error.h"
#include "packet/checksum.h"

#include <net/if.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
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
};
enum {
    BUFFER_BYTES = 64 * 1024,
    COMMENT_MAX = 1024,
    BLOCK_MAX = FRAME_LARGE_BYTES + COMMENT_MAX + 128,
};

struct pcapng {
    int fd;
    int error; /* 0 or -errno */
    size_t len;
    uint8_t buffer[BUFFER_BYTES + BLOCK_MAX];
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

static void put_frame(struct pcapng *pcapng, const struct iovec *iov, int iov_count, size_t len,
                      const struct frame_offload *offload)
{
    struct frame_offload rest = *offload;
    uint8_t *copy = pcapng->buffer + pcapng->len;

    iov_gather(iov, iov_count, copy);
    (void)checksum_complete(copy, len, &rest); /* a broken one is shown as it is */
    pcapng->len += len;
    pad(pcapng, len);
}

/* ---- the descriptor ---- */

/* Writes all, or returns -errno. Standard output may have been made non-blocking by whoever shares
   it; then we wait as a blocking write would. */
static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, data, len);
        if (done < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            (void)poll(&writable, 1, -1);
            continue;
        }
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        data += done;
        len -= (size_t)done;
    }
    return 0;
}

void pcapng_flush(struct pcapng *pcapng)
{
    if (pcapng->error == 0)
        pcapng->error = write_all(pcapng->fd, pcapng->buffer, pcapng->len);
    pcapng->len = 0;
}

static int open_path(const char *path)
{
    int fd = strcmp(path, "-") == 0
                 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) /* so that closing is ours */
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd >= 0 && strcmp(path, "-") != 0)
        (void)fcntl(fd, F_SETFL, 0); /* a FIFO that nobody reads would have made us wait */
    return fd < 0 ? -errno : fd;
}

static int open_error(const char *path, int code, struct peer_error *error)
{
    bool usage = code == ENOENT || code == ENOTDIR || code == EISDIR || code == ENAMETOOLONG;

    return error_set(error, usage ? PEER_ERROR_USAGE : PEER_ERROR_MACHINE, code,
                     "cannot write the capture to %s: %s",
                     strcmp(path, "-") == 0 ? "standard output" : path,
                     code == ENXIO ? "nobody reads it" : error_text(code));
}

int pcapng_open(const char *path, const char *ifname, enum frame_layer layer,
                struct pcapng **ret_pcapng, struct peer_error *error)
{
    struct pcapng *pcapng = malloc(sizeof(*pcapng));
    if (!pcapng)
        return open_error(path, ENOMEM, error);
    pcapng->error = 0;
    pcapng->len = 0;
    pcapng->fd = open_path(path);
    int status = pcapng->fd;
    if (status >= 0) {
        put_section(pcapng);
        put_interface(pcapng, ifname, layer);
        pcapng_flush(pcapng); /* a reader of a pipe learns at once what is to come */
        status = pcapng->error;
    }
    if (status < 0) {
        pcapng_free(pcapng);
        return open_error(path, -status, error);
    }
    *ret_pcapng = pcapng;
    return 0;
}

struct pcapng *pcapng_free(struct pcapng *pcapng)
{
    if (!pcapng)
        return NULL;
    if (pcapng->fd >= 0) {
        pcapng_flush(pcapng);
        close(pcapng->fd);
    }
    free(pcapng);
    return NULL;
}

void pcapng_write(struct pcapng *pcapng, uint64_t wall_ns, enum pcapng_direction direction,
                  const struct iovec *iov, int iov_count, const struct frame_offload *offload,
                  const char *comment)
{
    size_t len = iov_total(iov, iov_count);
    uint32_t flags = direction;

    if (pcapng->error)
        return;
    assert(len <= FRAME_LARGE_BYTES);
    size_t block = block_begin(pcapng, BLOCK_PACKET);
    put_u32(pcapng, 0); /* interface */
    put_u32(pcapng, (uint32_t)(wall_ns >> 32));
    put_u32(pcapng, (uint32_t)wall_ns);
    put_u32(pcapng, (uint32_t)len); /* captured */
    put_u32(pcapng, (uint32_t)len); /* on the wire */
    put_frame(pcapng, iov, iov_count, len, offload);
    put_option(pcapng, OPTION_FLAGS, &flags, sizeof(flags));
    if (comment)
        put_option(pcapng, OPTION_COMMENT, comment, comment_len(comment));
    put_option(pcapng, OPTION_END, NULL, 0);
    block_end(pcapng, block);
    if (pcapng->len >= BUFFER_BYTES)
        pcapng_flush(pcapng);
}

int pcapng_error(const struct pcapng *pcapng)
{
    return pcapng->error;
}
