/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes are gathered until blocks are whole; whole blocks that follow each other are written by one
 * call. The first two of a stream, section and interface, are kept and begin each file.
 *
 * Secrets are kept too, the last ones as far as there is room: a reader needs them in the file that has
 * the handshake, and where that is spread over two, whoever joins these finds them wherever he looks
 * first. Those of older handshakes would be of no use: no reader takes up a connection without it.
 */
#include "packet/pcapring.h"

#include "base/fd.h"
#include "base/macro.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_INTERFACE = 1, BLOCK_PACKET = 6, BLOCK_SECRETS = 10, BLOCK_LEAST = 12 };
enum {
    ROOM = 256 << 10,       /* of the stream: more than the longest block */
    HEAD_ROOM = 1024,       /* for section and interface */
    SECRETS_ROOM = 32 << 10 /* some hundred handshakes */
};

struct pcapring {
    struct pcapring_config config;
    uint64_t written; /* to the file, in whole blocks */
    bool has_frames;  /* so has the file */
    bool has_head;    /* section and interface have come */
    bool wrong;       /* the stream is none */
    size_t len, head_len, secrets_len;
    uint8_t head[HEAD_ROOM], secrets[SECRETS_ROOM];
    uint8_t stream[ROOM]; /* begins with the beginning of a block */
};

struct block {
    const uint8_t *bytes;
    uint32_t type, len;
};

/* 1, 0 when it is not whole yet, or -EBADMSG. */
static int block_at(const struct pcapring *ring, size_t at, struct block *ret_block)
{
    const uint8_t *bytes = ring->stream + at;
    struct block block = {.bytes = bytes};

    if (ring->len - at < BLOCK_LEAST)
        return 0;
    memcpy(&block.type, bytes, sizeof(block.type));
    memcpy(&block.len, bytes + 4, sizeof(block.len));
    if (block.len < BLOCK_LEAST || block.len > ROOM || block.len % 4)
        return -EBADMSG;
    *ret_block = block;
    return block.len <= ring->len - at;
}

/* ---- a file ---- */

static void note_error(struct pcapring *ring, int status)
{
    if (!ring->config.told->error)
        ring->config.told->error = status;
}

/* All of it or nothing. */
static int write_blocks(struct pcapring *ring, const uint8_t *bytes, size_t len)
{
    int status = fd_write(ring->config.fd, bytes, len);

    if (status == 0) {
        ring->written += len;
        return 0;
    }
    note_error(ring, status);
    if (ftruncate(ring->config.fd, (off_t)ring->written) < 0 ||
        lseek(ring->config.fd, (off_t)ring->written, SEEK_SET) < 0)
        note_error(ring, -errno);
    return status;
}

static bool begin_file(struct pcapring *ring)
{
    bool begun = write_blocks(ring, ring->head, ring->head_len) == 0;

    if (begun && ring->secrets_len)
        (void)write_blocks(ring, ring->secrets, ring->secrets_len);
    ring->has_frames = false;
    return begun;
}

/* False: the disk has no room for its beginning, or there is no next one. */
static bool next_file(struct pcapring *ring)
{
    int fd = ring->config.next(ring->config.user);

    if (fd < 0) {
        note_error(ring, fd);
        return false;
    }
    (void)close(ring->config.fd);
    ring->config.fd = fd;
    ring->config.told->files++;
    ring->written = 0;
    return begin_file(ring);
}

/* ---- blocks ---- */

/* The oldest ones make room. */
static void keep_secrets(struct pcapring *ring, const struct block *block)
{
    uint32_t len;

    if (block->len > SECRETS_ROOM)
        return;
    while (ring->secrets_len + block->len > SECRETS_ROOM) {
        memcpy(&len, ring->secrets + 4, sizeof(len));
        ring->secrets_len -= len;
        memmove(ring->secrets, ring->secrets + len, ring->secrets_len);
    }
    memcpy(ring->secrets + ring->secrets_len, block->bytes, block->len);
    ring->secrets_len += block->len;
}

/* Whole blocks that go to one file. */
struct stretch {
    size_t from, len;
    uint64_t frames;
};

static void write_stretch(struct pcapring *ring, struct stretch *stretch)
{
    bool room = ring->has_head && (ring->written > 0 || begin_file(ring));

    if (stretch->len && (!room || write_blocks(ring, ring->stream + stretch->from, stretch->len) < 0))
        ring->config.told->dropped += stretch->frames;
    else
        ring->has_frames |= stretch->frames > 0;
    stretch->from += stretch->len;
    stretch->len = stretch->frames = 0;
}

static bool is_full(const struct pcapring *ring, const struct stretch *stretch, uint32_t more)
{
    return (ring->has_frames || stretch->frames) &&
           ring->written + stretch->len + more > ring->config.bytes;
}

static void take_block(struct pcapring *ring, struct stretch *stretch, const struct block *block)
{
    if (is_full(ring, stretch, block->len)) {
        write_stretch(ring, stretch);
        if (ring->has_frames && !next_file(ring)) {
            ring->config.told->dropped += block->type == BLOCK_PACKET;
            stretch->from += block->len;
            return;
        }
    }
    if (block->type == BLOCK_SECRETS) {
        write_stretch(ring, stretch); /* the beginning of a file has those of before */
        keep_secrets(ring, block);
    }
    stretch->len += block->len;
    stretch->frames += block->type == BLOCK_PACKET;
}

/* Is it one of section and interface, with which a stream begins? */
static bool take_head(struct pcapring *ring, const struct block *block)
{
    if (ring->has_head || ring->head_len + block->len > HEAD_ROOM)
        return false;
    memcpy(ring->head + ring->head_len, block->bytes, block->len);
    ring->head_len += block->len;
    ring->has_head = block->type == BLOCK_INTERFACE;
    return true;
}

int pcapring_take(struct pcapring *ring, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len && !ring->wrong) {
        size_t part = MIN(len, ROOM - ring->len);
        memcpy(ring->stream + ring->len, from, part);
        ring->len += part;
        from += part;
        len -= part;

        struct stretch stretch = {0};
        struct block block;
        int status;
        while ((status = block_at(ring, stretch.from + stretch.len, &block)) > 0) {
            if (take_head(ring, &block))
                stretch.from += block.len;
            else
                take_block(ring, &stretch, &block);
        }
        write_stretch(ring, &stretch);
        ring->len -= stretch.from;
        memmove(ring->stream, ring->stream + stretch.from, ring->len);
        ring->wrong = status < 0;
    }
    return ring->wrong ? -EBADMSG : 0;
}

int pcapring_new(const struct pcapring_config *config, struct pcapring **ret_ring)
{
    struct pcapring *ring = malloc(sizeof(*ring));

    if (!ring)
        return -ENOMEM;
    ring->config = *config;
    ring->written = 0;
    ring->has_frames = ring->has_head = ring->wrong = false;
    ring->len = ring->head_len = ring->secrets_len = 0;
    config->told->files = 1;
    *ret_ring = ring;
    return 0;
}

struct pcapring *pcapring_free(struct pcapring *ring)
{
    if (!ring)
        return NULL;
    (void)close(ring->config.fd);
    explicit_bzero(ring, sizeof(*ring));
    free(ring);
    return NULL;
}
