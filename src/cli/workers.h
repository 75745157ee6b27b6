/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_WORKERS_H
#define CLI_WORKERS_H

#include "cli.h"

/** --workers and --cpus: into `common`. */
extern const struct option_def options_workers[];

/** What "auto" means: as many as there are processors, and no more than `most` (0: no limit). Workers stay
 *  on one NUMA node where that has enough of them. 0, or STATUS_USAGE after a message. */
int choose_workers(const struct command *command, struct common_options *common, uint64_t most);
/** Once the net is made, with programs that are not peer's: this process stays there too. */
void settle_workers(const struct common_options *common);

/** How many addresses --from names, for choose_workers: as many can share them. */
uint64_t count_peers(const struct common_options *common);

/** "4 workers on CPUs 0-3", with what the kernel knows of them, as a line and as "workers" (say_workers: on
 *  standard error). Nothing
 *  without workers. */
void say_workers(struct peer_net *net, const struct common_options *common);
void print_workers(struct peer_net *net, const struct common_options *common);
void json_add_workers(json_t *document, struct peer_net *net, const struct common_options *common);

#endif
