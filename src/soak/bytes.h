/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_BYTES_H
#define SOAK_BYTES_H

/**
 * Values as bytes, the same on every machine. Numbers are seven bits a byte, lowest first (LEB128),
 * doubles eight bytes of their bits, lowest first; texts have their length before them.
 *
 * What is read may come from anywhere: every length is doubted, and what is not as it was written
 * makes `wrong`. Past the end everything is 0.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zero is empty; `bytes` is for free(). `failed`: there was no memory, and `bytes` is not whole. */
struct out {
    uint8_t *bytes;
    size_t len, room;
    bool failed;
};

void bytes_put(struct out *out, const void *data, size_t len);
void bytes_put_number(struct out *out, uint64_t number);
void bytes_put_real(struct out *out, double real);
void bytes_put_text(struct out *out, const char *text);
/** Of `count` counters of 64 bits only those that are not 0, and how many before each are. */
void bytes_put_sparse(struct out *out, const void *counters, size_t count);

struct in {
    const uint8_t *at, *end;
    bool wrong;
};

uint64_t bytes_get_number(struct in *in);
/** None that is negative, infinite, or larger than anything that one could mean. */
double bytes_get_real(struct in *in);
/** "?" for what a terminal would act on, and for what is no UTF-8 (RFC 3629 4): others chose these bytes. */
void bytes_make_visible(char *text);
/** What is longer than there is room for is cut, and all of it made visible. */
void bytes_get_text(struct in *in, char *text, size_t room);
/** Adds to `counters`; those beyond `count` are passed over, from a later version. */
void bytes_get_sparse(struct in *in, void *counters, size_t count);
/** Adds the file, up to its end. -errno; -EFBIG when `out` became longer than `most`. */
int bytes_read(int fd, size_t most, struct out *out);

#endif
