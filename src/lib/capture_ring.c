/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring of capture files has a process of its own. It may wait for the disk, which the engine may not,
 * and it keeps the right to make and rename files in one directory, which this process gives up: all it
 * gets is the capture, by a pipe, and which files it writes was settled before. The names: FILE is what
 * is written, FILE.1 came before it, and so on, as logs are named; at the turn all are renamed.
 *
 * What went wrong is told in a page of memory that both see. It ends when the pipe does, or the socket:
 * others may have copies of the pipe.
 */
#include "lib/internal.h"

#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"
#include "packet/pcapring.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_DEFAULT = 10, FILES_MOST = 1000, CHUNK = 256 << 10 };
enum { PIPE_WANTED = 8 << 20, PIPE_GIVEN = 1 << 20 };

struct writer {
    int folder, file, stream; /* `stream`: to read from */
    unsigned files;
    char name[NAME_MAX + 1];
    struct pcapring_config ring;
};

/* ---- the process that writes ---- */

/* "FILE", "FILE.1"...; long enough names are refused at the start. */
static const char *file_name(const struct writer *writer, unsigned number, char buf[NAME_MAX + 16])
{
    if (number)
        (void)snprintf(buf, NAME_MAX + 16, "%s.%u", writer->name, number);
    else
        (void)snprintf(buf, NAME_MAX + 16, "%s", writer->name);
    return buf;
}

static int next_file(void *user)
{
    const struct writer *writer = user;
    char from[NAME_MAX + 16], to[NAME_MAX + 16];

    for (unsigned i = writer->files - 1; i > 0; i--) {
        if (renameat(writer->folder, file_name(writer, i - 1, from), writer->folder,
                     file_name(writer, i, to)) < 0 &&
            errno != ENOENT)
            return -errno;
    }
    int fd = openat(writer->folder, writer->name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

/* Until the stream has ended, or whoever writes it wants us to. */
static void spread(const struct writer *writer, int end, struct pcapring *ring)
{
    uint8_t *chunk = malloc(CHUNK);
    struct pollfd fds[] = {{.fd = writer->stream, .events = POLLIN}, {.fd = end, .events = POLLIN}};

    while (chunk) {
        ssize_t len = read(writer->stream, chunk, CHUNK);
        if (len == 0 || (len > 0 && pcapring_take(ring, chunk, (size_t)len) < 0))
            break;
        if (len < 0 && errno != EINTR && (errno != EAGAIN || fds[1].revents))
            break;
        if (len < 0)
            (void)poll(fds, 2, -1);
    }
    if (chunk)
        explicit_bzero(chunk, CHUNK);
    free(chunk);
}

static void write_files(void *user, int end)
{
    struct writer *writer = user;
    struct pcapring *ring;
    int kept[] = {end, writer->folder, writer->file, writer->stream};

    (void)prctl(PR_SET_NAME, "peer-capture");
    confine_descriptors(kept, ARRAY_SIZE(kept));
    (void)confine_process(&(struct confine){.calls = CONFINE_RECORDS,
                                            .capabilities = UINT64_C(1) << CAP_DAC_OVERRIDE},
                          NULL);
    if (pcapring_new(&writer->ring, &ring) < 0)
        _exit(EXIT_FAILURE);
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    spread(writer, end, ring);
    pcapring_free(ring);
    _exit(EXIT_SUCCESS);
}

/* ---- its start ---- */

static int check(const struct peer_net_config *config, struct peer_error *error)
{
    if (strcmp(config->pcap, "-") == 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a ring of captures has files, and standard output is none");
    if (config->pcap_rotate_bytes < PCAPRING_LEAST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a file of a ring of captures has 128 KiB at the least");
    if (config->pcap_files && (config->pcap_files < 2 || config->pcap_files > FILES_MOST))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a ring of captures has 2 to %d files, and not %u", (int)FILES_MOST,
                         (unsigned)config->pcap_files);
    return 0;
}

static int fail(const char *path, int status, struct peer_error *error)
{
    const bool usage = status == -ENOENT || status == -ENOTDIR || status == -EISDIR ||
                       status == -ENAMETOOLONG;

    return error_set(error, usage ? PEER_ERROR_USAGE : PEER_ERROR_MACHINE, -status,
                     "cannot write the capture to %s: %s", path, error_text(-status));
}

/* Its directory, and its name in there. */
static int open_folder(const char *path, struct writer *writer)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char folder[PATH_MAX] = ".";

    if (!*name || strlen(name) + strlen(".1000") > NAME_MAX || strlen(path) >= sizeof(folder))
        return *name ? -ENAMETOOLONG : -EISDIR;
    if (slash)
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path);
    memcpy(writer->name, name, strlen(name) + 1);
    writer->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return writer->folder < 0 ? -errno : 0;
}

static int open_file(const char *path, struct writer *writer, struct peer_error *error)
{
    struct stat status;
    int result = open_folder(path, writer);

    if (result < 0)
        return fail(path, result, error);
    writer->file = openat(writer->folder, writer->name,
                          O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
    if (writer->file < 0)
        return fail(path, -errno, error);
    if (fstat(writer->file, &status) < 0 || !S_ISREG(status.st_mode))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a ring of captures has files, and %s is none", path);
    return ftruncate(writer->file, 0) < 0 ? fail(path, -errno, error) : 0;
}

static int start(struct writer *writer, struct capture_ring *ring, int *ret_fd)
{
    int stream[2];

    ring->told = mmap(NULL, sizeof(*ring->told), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ring->told == MAP_FAILED) {
        ring->told = NULL;
        return -ENOMEM;
    }
    if (pipe2(stream, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    if (fcntl(stream[1], F_SETPIPE_SZ, PIPE_WANTED) < 0)
        (void)fcntl(stream[1], F_SETPIPE_SZ, PIPE_GIVEN); /* what everybody may have */
    writer->stream = stream[0];
    writer->ring = (struct pcapring_config){.fd = writer->file,
                                            .bytes = writer->ring.bytes,
                                            .next = next_file,
                                            .user = writer,
                                            .told = ring->told};
    int status = child_start(write_files, writer, &ring->end, &ring->writer);
    (void)close(stream[0]);
    if (status < 0)
        (void)close(stream[1]);
    else
        *ret_fd = stream[1];
    return status;
}

int capture_ring_start(struct capture_ring *ring, const struct peer_net_config *config, int *ret_fd,
                       struct peer_error *error)
{
    struct writer writer = {.folder = -1,
                            .file = -1,
                            .files = config->pcap_files ? config->pcap_files : FILES_DEFAULT,
                            .ring.bytes = config->pcap_rotate_bytes};

    int status = check(config, error);
    if (status < 0)
        return status;
    status = open_file(config->pcap, &writer, error);
    if (status == 0) {
        status = start(&writer, ring, ret_fd);
        if (status < 0)
            status = error_set(error, PEER_ERROR_MACHINE, -status,
                               "cannot start the process that writes captures: %s",
                               error_text(-status));
    }
    if (writer.folder >= 0)
        (void)close(writer.folder);
    if (writer.file >= 0)
        (void)close(writer.file);
    return status;
}

/* ---- its end ---- */

void capture_ring_end(struct capture_ring *ring)
{
    if (ring->writer)
        child_end(ring->end, ring->writer);
    ring->writer = 0;
}

void capture_ring_abandon(struct capture_ring *ring)
{
    if (ring->writer)
        (void)close(ring->end);
    ring->writer = 0;
}

void capture_ring_forget(struct capture_ring *ring)
{
    if (ring->told)
        (void)munmap(ring->told, sizeof(*ring->told));
    *ring = (struct capture_ring){.writer = 0};
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
