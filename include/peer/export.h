/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_EXPORT_H
#define PEER_EXPORT_H

/** Marks what the library shows of itself. */
#if defined(__GNUC__)
#define PEER_EXPORT __attribute__((visibility("default")))
#else
#define PEER_EXPORT
#endif

#endif
