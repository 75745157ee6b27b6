/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of requests as callers of the library hold them: the list itself is src/protocol/targets.h.
 */
#include "lib/internal.h"

#include "protocol/targets.h"

#include <fcntl.h>
#include <peer/soak.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct peer_targets *peer_targets_new(void)
{
    return targets_new();
}

struct peer_targets *peer_targets_free(struct peer_targets *targets)
{
    return targets_free(targets);
}

int peer_targets_add_sized(struct peer_targets *targets, const struct peer_target *given,
                           size_t size, struct peer_error *error)
{
    struct peer_target target;

    int status = border_take(&target, sizeof(target), given, size, error);
    if (status < 0)
        return status;
    if (!target.url)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a target needs a URL");
    return targets_add(targets, &target, error);
}

static int refuse_file(struct peer_error *error, const char *path, const char *why)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "cannot read the body \"%s\": %s", path, why);
}

/* A device or a pipe may have no end. */
static int open_regular(const char *path, size_t most, size_t *ret_len, struct peer_error *error)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return refuse_file(error, path, error_text(errno));
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && (uint64_t)about.st_size <= most) {
        *ret_len = (size_t)about.st_size;
        return fd;
    }
    bool regular = S_ISREG(about.st_mode);
    close(fd);
    return refuse_file(error, path,
                       regular ? "bodies of more than 256 MiB in all" : "it is no regular file");
}

/* What grows meanwhile is read to the length that it had. */
static int read_body(void *user, const char *path, size_t most, void **ret_body, size_t *ret_len,
                     struct peer_error *error)
{
    size_t len = 0, at = 0;
    ssize_t part = 1;

    (void)user;
    int fd = open_regular(path, most, &len, error);
    if (fd < 0)
        return fd;
    char *body = malloc(MAX(len, (size_t)1));
    while (body && at < len && (part = read(fd, body + at, len - at)) > 0)
        at += (size_t)part;
    int code = errno;
    close(fd);
    if (!body)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    if (part < 0) {
        free(body);
        return refuse_file(error, path, error_text(code));
    }
    *ret_body = body;
    *ret_len = at;
    return 0;
}

int peer_targets_parse(struct peer_targets *targets, const char *text, size_t len,
                       struct peer_error *error)
{
    return targets_parse(targets, text, len, read_body, NULL, error);
}
