/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_HDR_MALLOC_H
#define PEER_HDR_MALLOC_H

/*
 * The allocator of HdrHistogram_c: the C library's. hdr_histogram.c includes this by the name in
 * HDR_MALLOC_INCLUDE, in place of the header of the server whose archive it comes in.
 */

#include <stdlib.h>

#define hdr_malloc  malloc
#define hdr_calloc  calloc
#define hdr_realloc realloc
#define hdr_free    free

#endif
