/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that a soak reads before it begins.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* It is kept in memory. */
enum { FILE_MOST = 256 << 20 };

static void say_too_large(struct soak_source source)
{
    say("cannot read the %s \"%s\": it is larger than 256 MiB", source.what, source.path);
}

/* A device or a pipe may have no end; a file may have holes, or be as large as an address space, as
   /proc/kcore is. */
static int open_regular(struct soak_source source)
{
    struct stat about;
    int fd = open(source.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &about) < 0) {
        say("cannot read the %s \"%s\": %s", source.what, source.path, strerror(errno));
    } else if (!S_ISREG(about.st_mode)) {
        say("cannot read the %s \"%s\": it is no regular file", source.what, source.path);
    } else if (about.st_size > FILE_MOST) {
        say_too_large(source);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int soak_read_file(struct soak_source source, char **ret_text, size_t *ret_len)
{
    char chunk[65536];
    size_t left = FILE_MOST + 1;
    ssize_t len = 0;
    int fd = open_regular(source);
    if (fd < 0)
        return STATUS_USAGE;
    FILE *out = open_memstream(ret_text, ret_len);
    while (out && left > 0 &&
           (len = read(fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk))) > 0) {
        fwrite(chunk, 1, (size_t)len, out);
        left -= (size_t)len;
    }
    int code = len < 0 ? errno : ENOMEM;
    bool failed = len < 0 || !out || ferror(out);
    if (left == 0) {
        say_too_large(source); /* the files of /proc have no size */
        fclose(out);
        close(fd);
        return STATUS_USAGE;
    }
    if (out && fclose(out) != 0)
        failed = true;
    close(fd);
    if (failed)
        say("cannot read the %s \"%s\": %s", source.what, source.path, strerror(code));
    return failed ? STATUS_USAGE : 0;
}

int read_queries(struct soak_options *options)
{
    size_t len = 0;

    if (!options->queries)
        return 0;
    int status = soak_read_file((struct soak_source){"queries", options->queries},
                                &options->queries_read, &len);
    if (status == 0 && strlen(options->queries_read) != len)
        return usage_error(&command_soak, "the queries \"%s\" have a byte of 0, and are no text",
                           options->queries);
    options->soak.queries = options->queries_read;
    return status;
}
