/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of one run become the whole: shards on several machines, workers on one. They are of one run
 * when they say the same of what was asked for, and share no peer. Each has measured from its own
 * beginning; the wall clock says how far these are apart.
 */
#include "soak/result_internal.h"

#include "base/addr_set.h"
#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <string.h>

/* ---- of one run? ---- */

static int differ(struct peer_error *error, const char *what, const char *one, const char *other)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "it is no part of the same run: its %s is %s, that of the others %s", what,
                     other, one);
}

/* What is no set is not known. */
static bool share_peers(const char *a, const char *b)
{
    struct addr_set one = {0}, other = {0};

    bool shared = *a && *b && addr_set_parse(a, &one, NULL) == 0 &&
                  addr_set_parse(b, &other, NULL) == 0 && addr_set_overlap(&one, &other);
    addr_set_done(&one);
    addr_set_done(&other);
    return shared;
}

static int check_shards(const struct result_part *a, const struct result_part *b,
                        struct peer_error *error)
{
    const unsigned long long shard = b->shard, shards = b->shards;

    if (a->shards != b->shards)
        return error_set(
            error, PEER_ERROR_USAGE, EINVAL,
            "it is no part of the same run: that has %llu shards, and this is shard %llu of %llu",
            (unsigned long long)a->shards, shard, shards);
    if (!b->shards)
        return 0;
    if (a->shard == b->shard)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "shard %llu of %llu is there twice",
                         shard, shards);
    if (share_peers(a->peers, b->peers))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "shards %llu and %llu have peers in common: %s and %s",
                         (unsigned long long)a->shard, shard, a->peers, b->peers);
    return 0;
}

static int check_part(const struct result_part *a, const struct result_part *b,
                      struct peer_error *error)
{
    if (strcmp(a->version, b->version) != 0)
        return differ(error, "version of peer", a->version, b->version);
    if (strcmp(a->protocol, b->protocol) != 0)
        return differ(error, "workload", a->protocol, b->protocol);
    if (strcmp(a->target, b->target) != 0)
        return differ(error, "target", a->target, b->target);
    if (a->interval_ns != b->interval_ns)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "it is no part of the same run: its intervals have another length");
    return check_shards(a, b, error);
}

static int check(const struct result *into, const struct result *from, struct peer_error *error)
{
    if (!from->part_count)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "it does not say by whom it was found");
    for (size_t i = 0; i < into->part_count; i++) {
        for (size_t j = 0; j < from->part_count; j++) {
            int status = check_part(&into->parts[i], &from->parts[j], error);
            if (status < 0)
                return status;
        }
    }
    return 0;
}

/* ---- one clock ---- */

static uint64_t first_start(const struct result *result)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < result->part_count; i++)
        first = MIN(first, result->parts[i].started_ns);
    return first;
}

static uint64_t last_end(const struct result *result)
{
    uint64_t last = 0;

    for (size_t i = 0; i < result->part_count; i++)
        last = MAX(last, result->parts[i].started_ns + result->parts[i].duration_ns);
    return last;
}

int result_join(struct result *into, const struct result *from, struct peer_error *error)
{
    int status = check(into, from, error);
    if (status < 0)
        return status;
    const uint64_t into_ns = into->part_count ? first_start(into) : first_start(from);
    const uint64_t from_ns = first_start(from);

    for (size_t i = 0; i < into->interval_count && from_ns < into_ns; i++)
        into->intervals[i].start_ns += into_ns - from_ns;
    for (size_t i = 0; i < into->change_count && from_ns < into_ns; i++)
        into->changes[i].at_ns = (int64_t)((uint64_t)into->changes[i].at_ns + into_ns - from_ns);
    status = result_add_later(into, from, from_ns > into_ns ? from_ns - into_ns : 0);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    into->duration_ns = last_end(into) - first_start(into);
    return 0;
}
