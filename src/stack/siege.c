/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which calls are heard while more come than can be answered.
 *
 * Nine tenths of what a SYN costs is the kernel's: a third for handing it to us, the rest for
 * taking the answer, which for an address that exists nowhere goes nowhere. A flood that takes a
 * whole processor leaves none to the honest. They are known: the address of a caller that has
 * acknowledged an answer before is heard at once. Of strangers so many are heard in each
 * millisecond; another one that is honest calls again.
 *
 * The table forgets: an address has one place, and the next of that place takes it. Places are by a
 * keyed hash, so nobody chooses whom he displaces, and only who completes handshakes gets one.
 */
#include "stack/internal.h"

#include "base/rng.h"

/* 20 000 in a second: a twentieth of a processor, where a flood brings ten to twenty times as many.
 */
enum { STRANGERS_IN_A_MS = 20 };

static uint64_t caller_hash(const struct stack *stack, const struct peer_addr *addr)
{
    return siphash(stack->cookie_key, addr->bytes, sizeof(addr->bytes));
}

void siege_met(struct stack *stack, const struct peer_addr *caller)
{
    const uint64_t hash = caller_hash(stack, caller);

    stack->known_callers[hash % SIEGE_KNOWN] = hash;
}

bool siege_hears(struct stack *stack, const struct peer_addr *caller)
{
    const uint64_t hash = caller_hash(stack, caller), now_ms = stack->now_ns / NS_PER_MS;

    if (stack->known_callers[hash % SIEGE_KNOWN] == hash)
        return true;
    if (stack->strangers_ms != now_ms) {
        stack->strangers_ms = now_ms;
        stack->strangers = 0;
    }
    return stack->strangers++ < STRANGERS_IN_A_MS;
}
