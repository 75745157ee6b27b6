/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_JOURNAL_H
#define PEER_JOURNAL_H

#include <peer/soak.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A result that is written while its soak runs, and can be read whatever ends that: peer_result_read takes
 * it as it takes a result. Each interval is written as it ends; all figures when the run is a tenth longer
 * than at the last time, or a minute. Each record has a sum; what was cut off is passed over.
 *
 * It stays below 16 MiB: what is superseded is left out when it is written anew, into "PATH.new", which is
 * then renamed. With the figures it is brought to the disk (fdatasync), so that a machine which loses its
 * power loses no more than a process that is killed does. A process of its own writes it
 * ("peer-journal"): nothing waits for the disk, and it goes on after peer_confine.
 */
struct peer_journal;

/** Makes the file, or leaves it as it is until a soak with it begins; before peer_confine. Errors with
 *  text. `journal` of struct peer_soak_config is then the one that is written: several soaks may have it
 *  one after the other, and it is the last one's. */
PEER_EXPORT int peer_journal_new(const char *path, struct peer_journal **ret_journal,
                                 struct peer_error *error);
/** Writes what the whole run has found, which is complete then. Waits for the disk, up to 5 s. 0 or
 *  -errno: the journal is not whole. */
PEER_EXPORT int peer_journal_end(struct peer_journal *journal, const struct peer_result *result);
/** 0, or -errno of the first write that failed: what is missing is written when there is room again. */
PEER_EXPORT int peer_journal_error(const struct peer_journal *journal);
/** After the soak is freed. Takes NULL, returns NULL. */
PEER_EXPORT struct peer_journal *peer_journal_free(struct peer_journal *journal);

/** How far a result goes that was read from a journal. */
struct peer_journal_extent {
    bool complete;         /* the run came to its end */
    uint64_t figures_ns;   /* all figures are those up to then, since the start of the measured time, */
    uint64_t intervals_ns; /* and there are intervals up to then */
    uint64_t damaged_at;   /* the byte from which on nothing could be read; 0: all was */
};
/** 1, or 0: it is no journal's. */
PEER_EXPORT int peer_result_get_extent_sized(const struct peer_result *result,
                                             struct peer_journal_extent *ret_extent, size_t size);
static inline int peer_result_get_extent(const struct peer_result *result,
                                         struct peer_journal_extent *ret_extent)
{
    return peer_result_get_extent_sized(result, ret_extent, sizeof(*ret_extent));
}

#ifdef __cplusplus
}
#endif

#endif
