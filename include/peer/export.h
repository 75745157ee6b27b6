/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_EXPORT_H
#define PEER_EXPORT_H

/** Marks what the library shows of itself. */
#if defined(__GNUC__)
#define PEER_EXPORT __attribute__((visibility("default")))
#else
#define PEER_EXPORT
#endif

/** Words as printf(3) has them: which argument is the format, and which the first of those behind. */
#if defined(__GNUC__)
#define PEER_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define PEER_PRINTF(format_at, first_at)
#endif

#endif
