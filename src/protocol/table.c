/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/table.h"

#include "base/macro.h"

#include <string.h>

static const struct {
    const struct protocol *protocol;
    const char *about;
} table[] = {
#define PROTOCOL(name, about) {&protocol_##name, about},
#include "protocol/protocols.def"
#undef PROTOCOL
};

const struct protocol *protocol_at(size_t index)
{
    return index < ARRAY_SIZE(table) ? table[index].protocol : NULL;
}

const char *protocol_about(size_t index)
{
    return index < ARRAY_SIZE(table) ? table[index].about : NULL;
}

const struct protocol *protocol_named(const char *name)
{
    if (!name)
        return table[0].protocol;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (strcmp(table[i].protocol->name, name) == 0)
            return table[i].protocol;
    }
    return NULL;
}
