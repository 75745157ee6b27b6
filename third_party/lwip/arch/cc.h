/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_LWIP_ARCH_CC_H
#define PEER_LWIP_ARCH_CC_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* lwIP asks the program for memory and random numbers, and reports broken invariants of its own. */
void *peer_lwip_malloc(size_t size);
void *peer_lwip_calloc(size_t count, size_t size);
void peer_lwip_free(void *memory);
uint32_t peer_lwip_random(void);
_Noreturn void peer_lwip_assert(const char *message, const char *file, int line);

#define LWIP_RAND()                   peer_lwip_random()
#define LWIP_PLATFORM_ASSERT(message) peer_lwip_assert(message, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(arguments) ((void)0)
/* A violated argument check returns an error: its text would only disturb. */
#define LWIP_ERROR(message, expression, handler)                                                   \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            handler;                                                                               \
        }                                                                                          \
    } while (0)

#define BYTE_ORDER __BYTE_ORDER
/* htons() and its like are the C library's: on big-endian machines both would define them. */
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS
#define LWIP_CHKSUM_ALGORITHM 3

#endif
