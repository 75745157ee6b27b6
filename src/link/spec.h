/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LINK_SPEC_H
#define LINK_SPEC_H

#include <peer/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * What is wrong with one direction of a wire, in the words of tc-netem(8):
 *
 *   delay TIME [JITTER [CORRELATION]]   distribution uniform|normal|pareto
 *   loss [random] P [CORRELATION]       loss gemodel p [r [1-h [1-k]]]
 *   duplicate P [CORRELATION]           reorder P [CORRELATION]   gap N
 *   corrupt P [CORRELATION]             rate RATE                 limit PACKETS
 *
 * in any order, each word once, after at most one profile ("3g loss 5%": the word replaces all that
 * the profile says under that word). "none" is the wire without a fault.
 *
 * P and CORRELATION are percentages, with or without the sign. TIME takes ns, us, ms, s; RATE takes
 * bit, kbit, mbit, gbit, tbit (bits a second), bps, kbps, mbps... (BYTES a second, as in tc), and
 * kibit, kibps... Units have no case. A bare number, which tc reads as microseconds or bits a
 * second, is refused.
 */

/** Shares are integers, so that a text has one value and a value has one text. */
#define LINK_WHOLE UINT32_C(1000000000) /* 100 % */

#define LINK_DELAY_MAX_NS (UINT64_C(3600) * 1000000000)
#define LINK_RATE_MAX     UINT64_C(100000000000000) /* 100 tbit */

enum { LINK_LIMIT_DEFAULT = 1000, LINK_LIMIT_MAX = 10000000 };

enum link_direction {
    LINK_UPLINK,   /* peer to local */
    LINK_DOWNLINK, /* local to peer */
};

enum link_distribution { LINK_UNIFORM, LINK_NORMAL, LINK_PARETO };

struct link_chance {
    uint32_t share;       /* of LINK_WHOLE; 0 = never */
    uint32_t correlation; /* with the packet before, of LINK_WHOLE */
};

struct link_spec {
    uint64_t delay_ns;
    uint64_t jitter_ns;         /* uniform: half the width; the others: standard deviation */
    uint32_t delay_correlation; /* of LINK_WHOLE */
    uint8_t distribution;       /* enum link_distribution */
    bool gemodel;               /* `gilbert` holds, not `loss` */
    struct link_chance loss, duplicate, reorder, corrupt;
    struct {
        uint32_t to_bad, to_good;     /* p, r */
        uint32_t bad_loss, good_loss; /* 1-h, 1-k */
    } gilbert;
    uint32_t gap;      /* with reorder: every gap-th packet at the soonest; 1 unless given */
    uint32_t limit;    /* packets held at a time, those under way included; as in netem */
    uint64_t rate_bit; /* bits a second, 0 = no limit */
};

/**
 * Parses `text` for one direction (a profile may have two sides). The errors are -EINVAL with one
 * line that quotes the word in question; `error` may be NULL.
 */
int link_spec_parse(const char *text, enum link_direction direction, struct link_spec *ret_spec,
                    struct peer_error *error);

/** A wire without a fault: what "none" means. */
void link_spec_clear(struct link_spec *spec);

/** No frame is ever held, changed or dropped. */
bool link_spec_is_clear(const struct link_spec *spec);

/** A named wire. The texts are constants, and are what link_spec_parse takes. */
struct link_profile {
    const char *name;
    const char *uplink, *downlink;
    const char *about; /* whose figures these are */
};

/** All profiles, slowest first. `ret_count` gets their number. */
const struct link_profile *link_profiles(size_t *ret_count);

#endif
