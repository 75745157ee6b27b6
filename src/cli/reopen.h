/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_REOPEN_H
#define CLI_REOPEN_H

#include "printer.h"

struct common_options;

/**
 * Standard output that is a file goes on in a new one of that name when SIGHUP comes, as logrotate wants
 * it. A process that keeps the right to make it does so ("peer-reopen").
 */
struct reopen;

/** Before privileges go. `*ret_reopen` is NULL where standard output is no file with a name. 0, or an exit
 *  status after a message. */
int reopen_start(struct reopen **ret_reopen);
struct reopen *reopen_free(struct reopen *reopen);
/** To be waited for: then reopen_work. */
int reopen_fd(const struct reopen *reopen);
/** Takes signals. 1: one came that ends the run; a SIGHUP that somebody sent does not. */
int reopen_take_signals(struct reopen *reopen, int signal_fd);
/** Goes on in the new file, once it is there. */
void reopen_work(struct reopen *reopen, struct printer *printer);

#endif
