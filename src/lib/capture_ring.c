/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring of capture files has a process of its own, a scribe. Descriptors that are opened before would
 * have been an alternative, but names that tell which is the last one could not be kept by them, and to
 * cut a file of 100 MB takes milliseconds. The names: FILE is what is written, FILE.1 came before it, and
 * so on, as logs are named; at the turn all are renamed.
 *
 * What went wrong is told in a page of memory that both see.
 */
#include "lib/internal.h"

#include "packet/pcapring.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILES_DEFAULT = 10, FILES_MOST = 1000 };

struct writer {
    struct scribe_file file;
    unsigned files;
    bool shared; /* by workers */
    struct pcapring_config config;
    struct pcapring *ring;
};

/* ---- the process that writes ---- */

/* "FILE", "FILE.1"... */
static const char *file_name(const struct writer *writer, unsigned number, char buf[NAME_MAX + 16])
{
    if (number)
        (void)snprintf(buf, NAME_MAX + 16, "%s.%u", writer->file.name, number);
    else
        (void)snprintf(buf, NAME_MAX + 16, "%s", writer->file.name);
    return buf;
}

static int next_file(void *user)
{
    const struct writer *writer = user;
    const int folder = writer->file.folder;
    char from[NAME_MAX + 16], to[NAME_MAX + 16];

    for (unsigned i = writer->files - 1; i > 0; i--) {
        if (renameat(folder, file_name(writer, i - 1, from), folder, file_name(writer, i, to)) < 0 &&
            errno != ENOENT)
            return -errno;
    }
    int fd = openat(folder, writer->file.name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    (void)scribe_lock(fd);
    return fd;
}

static int begin(void *user)
{
    struct writer *writer = user;

    if (ftruncate(writer->file.fd, 0) < 0)
        return -errno;
    writer->config.fd = writer->file.fd;
    return pcapring_new(&writer->config, &writer->ring);
}

static int take(void *user, const void *data, size_t len)
{
    return pcapring_take(((struct writer *)user)->ring, data, len);
}

static void end(void *user)
{
    pcapring_free(((struct writer *)user)->ring);
}

/* ---- its start ---- */

static int check(const struct peer_net_config *config, struct peer_error *error)
{
    if (config->pcap_rotate_bytes < PCAPRING_LEAST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a file of a ring of captures has 128 KiB at the least");
    if (config->pcap_files && (config->pcap_files < 2 || config->pcap_files > FILES_MOST))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a ring of captures has 2 to %d files, and not %u", (int)FILES_MOST,
                         (unsigned)config->pcap_files);
    return 0;
}

static int start(struct writer *writer, struct capture_ring *ring, int *ret_fd,
                 struct peer_error *error)
{
    const struct scribe_work work = {.process = "peer-capture",
                                     .shared = writer->shared,
                                     .file = &writer->file,
                                     .begin = begin,
                                     .take = take,
                                     .end = end,
                                     .user = writer};

    ring->told = mmap(NULL, sizeof(*ring->told), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ring->told == MAP_FAILED) {
        ring->told = NULL;
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    }
    writer->config.told = ring->told;
    return scribe_start(&ring->scribe, &work, ret_fd, error);
}

int capture_ring_start(struct capture_ring *ring, const struct peer_net_config *config, int *ret_fd,
                       struct peer_error *error)
{
    struct writer writer = {.files = config->pcap_files ? config->pcap_files : FILES_DEFAULT,
                            .shared = config->workers > 1};

    int status = check(config, error);
    if (status < 0)
        return status;
    writer.config = (struct pcapring_config){
        .bytes = config->pcap_rotate_bytes, .next = next_file, .user = &writer};
    status = scribe_open(config->pcap, "ring of captures", &writer.file, error);
    if (status == 0)
        status = start(&writer, ring, ret_fd, error);
    scribe_close(&writer.file);
    return status;
}

/* ---- its end ---- */

void capture_ring_forget(struct capture_ring *ring)
{
    if (ring->told)
        (void)munmap(ring->told, sizeof(*ring->told));
    *ring = (struct capture_ring){.told = NULL};
}

/* That somebody killed it looks as if the reader of a pipe had left, which is a wish. */
void capture_ring_add_stats(const struct capture_ring *ring, struct peer_net_stats *stats)
{
    if (!ring->told)
        return;
    if (stats->pcap_error == -EPIPE)
        stats->pcap_error = -EOWNERDEAD;
    if (!stats->pcap_error)
        stats->pcap_error = ring->told->error;
    stats->pcap_dropped += ring->told->dropped;
}
