/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of --targets, read to its end before anything is opened: a pipe is one too. And what became
 * of each in the report.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MOST = 256 << 20 };

static int refuse(const struct soak_options *options, const char *why)
{
    say("cannot read the targets \"%s\": %s", options->targets_file, why);
    return STATUS_USAGE;
}

/* All of it, or NULL; `errno` is EFBIG for what is too long. */
static char *read_text(int fd, size_t *ret_len)
{
    char *text = NULL, *larger, chunk[65536];
    size_t len = 0;
    ssize_t part;

    while ((part = read(fd, chunk, sizeof(chunk))) != 0) {
        if (part < 0 && errno == EINTR)
            continue;
        if (part > 0 && len + (size_t)part > TEXT_MOST)
            errno = EFBIG;
        larger =
            part < 0 || len + (size_t)part > TEXT_MOST ? NULL : realloc(text, len + (size_t)part);
        if (!larger) {
            free(text);
            return NULL;
        }
        text = larger;
        memcpy(text + len, chunk, (size_t)part);
        len += (size_t)part;
    }
    *ret_len = len;
    return text ? text : calloc(1, 1);
}

int read_targets(struct soak_options *options)
{
    const char *path = options->targets_file;
    struct peer_error error = {0};
    size_t len = 0;

    if (!path)
        return 0;
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse(options, strerror(errno));
    char *text = read_text(fd, &len);
    int code = errno;
    if (fd != STDIN_FILENO)
        close(fd);
    if (!text)
        return refuse(options, code == EFBIG ? "it is larger than 256 MiB" : strerror(code));
    options->soak.targets = peer_targets_new();
    int status = options->soak.targets
                     ? peer_targets_parse(options->soak.targets, text, len, &error)
                     : -ENOMEM;
    free(text);
    return status < 0 ? refuse(options, status == -ENOMEM ? strerror(ENOMEM) : error.text) : 0;
}

/* ---- the report ---- */

static json_t *json_target(const struct peer_soak_target *target)
{
    json_t *codes = json_object();
    char name[16];

    for (size_t i = 0; i < CLI_ARRAY_SIZE(target->statuses) && target->statuses[i].count; i++) {
        snprintf(name, sizeof(name), "%u", target->statuses[i].status);
        json_object_set_new(codes, target->statuses[i].status ? name : "other",
                            json_integer((json_int_t)target->statuses[i].count));
    }
    return json_pack("{s:s, s:I, s:I, s:o}", "name", target->name, "completed",
                     (json_int_t)target->completed, "errors", (json_int_t)target->errors,
                     "status_codes", codes);
}

json_t *json_targets(const struct peer_result *result)
{
    struct peer_soak_target target;
    json_t *targets = json_array();

    for (size_t i = 0; peer_result_get_target(result, i, &target); i++)
        json_array_append_new(targets, json_target(&target));
    return targets;
}

/* A list may be long: the rest is in JSON. */
enum { TARGETS_SHOWN = 20 };

void print_targets(const struct peer_result *result)
{
    struct peer_soak_target target;
    size_t count = 0;

    for (; peer_result_get_target(result, count, &target); count++) {
        if (count >= TARGETS_SHOWN)
            continue;
        printf("  %8llu of %s", (unsigned long long)target.completed, target.name);
        for (size_t i = 0; i < CLI_ARRAY_SIZE(target.statuses) && target.statuses[i].count; i++) {
            if (target.statuses[i].status)
                printf("%s%u: %llu", i ? ", " : "   ", target.statuses[i].status,
                       (unsigned long long)target.statuses[i].count);
            else
                printf(", others: %llu", (unsigned long long)target.statuses[i].count);
        }
        if (target.errors)
            printf(", errors: %llu", (unsigned long long)target.errors);
        putchar('\n');
    }
    if (count > TARGETS_SHOWN)
        printf("  and %zu targets more, see --json\n", count - TARGETS_SHOWN);
}
