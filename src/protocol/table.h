/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_TABLE_H
#define PROTOCOL_TABLE_H

#include "soak/protocol.h"

/** The table: in the order of protocols.def. NULL past the end. */
const struct protocol *protocol_at(size_t index);
/** The one of that name; of NULL the first. NULL: there is none. */
const struct protocol *protocol_named(const char *name);
/** What it does, in words. */
const char *protocol_about(size_t index);

#define PROTOCOL(name, about) extern const struct protocol protocol_##name;
#include "protocol/protocols.def"
#undef PROTOCOL

#endif
