/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_BITS_H
#define EXEC_BITS_H

#include <stdbool.h>
#include <stdint.h>

/** A set of numbers below 2^32, which come in runs. Zeroed: empty. */
struct bits {
    uint64_t **pages; /* of as many bits each; NULL: none of those is in the set */
    uint64_t page_count, count;
};
/** True: it was not in the set. Without memory it is not in it afterwards either. */
bool bits_add(struct bits *bits, uint64_t number);
void bits_remove(struct bits *bits, uint64_t number);
bool bits_have(const struct bits *bits, uint64_t number);
void bits_done(struct bits *bits);

#endif
