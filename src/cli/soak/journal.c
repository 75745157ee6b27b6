/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results as files: read, whole or as far as a journal goes, and a soak's own journal.
 */
#include "soak.h"

#include <peer/journal.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- reading ---- */

static void say_extent(const char *path, const struct peer_journal_extent *extent)
{
    char figures[32], intervals[32];

    if (extent->damaged_at)
        say("\"%s\" can be read up to byte %llu: what follows is cut off or damaged", path,
            (unsigned long long)extent->damaged_at);
    if (!extent->complete)
        say("the run of \"%s\" did not come to its end: figures are those of its first %s, "
            "intervals go to %s",
            path, format_time(extent->figures_ns, figures),
            format_time(extent->intervals_ns, intervals));
}

int read_result_file(const char *path, struct peer_result **ret_result)
{
    struct peer_journal_extent extent;
    struct peer_error error = {0};
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        say("cannot read \"%s\": %s", path, strerror(errno));
        return STATUS_USAGE;
    }
    int status = peer_result_read(fd, ret_result, &error);
    if (fd != STDIN_FILENO)
        close(fd);
    if (status < 0) {
        say("cannot read \"%s\": %s", path, error.text);
        return STATUS_USAGE;
    }
    if (peer_result_get_extent(*ret_result, &extent))
        say_extent(path, &extent);
    say_lost(path, *ret_result);
    return 0;
}

/* ---- writing ---- */

int open_journal(struct soak_run *run)
{
    struct soak_options *options = run->options;
    struct peer_error error = {0};

    if (!options->journal)
        return 0;
    char *path = number_path(options->journal, options->common.shard);
    if (!path)
        return STATUS_MACHINE;
    int status = peer_journal_new(path, &options->soak.journal, &error);
    free(path);
    return status < 0 ? report_error(&error) : 0;
}

void look_at_journal(struct soak_run *run)
{
    const struct peer_journal *journal = run->options->soak.journal;
    const int error = journal && !run->journal_told ? peer_journal_error(journal) : 0;

    if (!error)
        return;
    say("the journal \"%s\" misses a part from now on: %s", run->options->journal, written_text(error));
    run->journal_told = true;
}

int finish_journal(struct soak_run *run)
{
    struct peer_journal *journal = run->options->soak.journal;

    if (!journal)
        return STATUS_DONE;
    int status = peer_journal_end(journal, run->result);
    if (status < 0)
        say("the journal \"%s\" is not whole: %s", run->options->journal, written_text(status));
    return status < 0 ? STATUS_MACHINE : STATUS_DONE;
}
