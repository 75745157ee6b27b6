/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SHARD_H
#define CLI_SHARD_H

#include "cli/cli.h"

/** --shard, --shards, --start-at. */
struct shard_options {
    const char *shard; /* RANK/SIZE, "none", or NULL: what started us may tell */
    uint64_t shards;
    uint64_t start_at_ns; /* Unix time; 0: at once */
};
option_set option_set_start_at; /* uint64_t nanoseconds of Unix time */

/** Finds out which shard this is, and puts it into `common`. 0, or STATUS_USAGE after a message. */
int choose_shard(const struct command *command, const struct shard_options *options,
                 struct common_options *common);
/** `path` with the shard's number for "{}", allocated; NULL without memory. */
char *number_path(const char *path, uint64_t shard);

#endif
