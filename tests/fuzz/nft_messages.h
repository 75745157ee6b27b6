/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_NFT_MESSAGES_H
#define FUZZ_NFT_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The input as decisions, and netlink messages as the kernel would build them by these. */

enum { NFT_ROOM = 8192 };

struct nft_out {
    _Alignas(4) uint8_t bytes[NFT_ROOM];
    size_t len;
};

void nft_input(const uint8_t *data, size_t len);
/** Bytes of the input that are left; what is decided without any is 0. */
size_t nft_left(void);
uint8_t nft_take8(void);
/** Below `bound`. */
uint32_t nft_pick(uint32_t bound);
bool nft_one_in(uint32_t n);

/** Appends, with padding. */
void nft_put(struct nft_out *out, const void *data, size_t len);
/** Begins a message and what its family has as a header; returns what nft_end is to be told. */
size_t nft_begin(struct nft_out *out, uint16_t type, const void *family_header, size_t len);
void nft_end(struct nft_out *out, size_t at);
/** One to four messages, some bytes of which are wrong. */
void nft_build(struct nft_out *out);

#endif
