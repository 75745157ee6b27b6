/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which calls are heard while more come than can be answered.
 *
 * Nine tenths of what a SYN costs is the kernel's: a third for handing it to us, the rest for
 * taking the answer, which for an address that exists nowhere goes nowhere. A flood that takes a
 * whole processor leaves none to the honest. They are known: the address of a caller that has
 * acknowledged an answer before is heard at once. Of strangers so many are heard in each
 * millisecond. Another one that is honest sends the same SYN again a second later, which a flood
 * does not: so it is remembered, and then it is heard.
 *
 * A flood may come from an address that is known, that of a machine where somebody honest is too. Its
 * SYNs mostly have no options, which no stack's own has: such a one is a stranger's whatever its
 * address.
 *
 * The table of the known forgets: an address has one place, and the next of that place takes it.
 * Places are by a keyed hash, so nobody chooses whom he displaces, and only who completes
 * handshakes gets one.
 *
 * What was not heard is remembered in sets of bits (Bloom's filters), one for each stretch of time,
 * of which the two before the present one are asked: a SYN that is a second old is in one of them.
 * A call that is found is taken out, so that the same SYN without end is heard once in a while. The
 * sets exist from the first call that was not heard until none was for some seconds.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 3, SET_MS = 700, SET_BITS = 1 << 22, WORD_BITS = 64 };

struct siege_memory {
    uint64_t set; /* the number of the present one: time in units of SET_MS */
    uint64_t sets[SETS][SET_BITS / WORD_BITS];
};

static uint64_t caller_hash(const struct stack *stack, const struct peer_addr *addr)
{
    return siphash(stack->cookie_key, addr->bytes, sizeof(addr->bytes));
}

void siege_met(struct stack *stack, const struct peer_addr *caller)
{
    const uint64_t hash = caller_hash(stack, caller);

    stack->known_callers[hash % SIEGE_KNOWN] = hash;
}

/* ---- calls that come again ---- */

static uint64_t call_hash(const struct stack *stack, const struct stack_tuple *tuple, uint32_t seq)
{
    struct {
        uint8_t local[16], remote[16];
        uint32_t ports, seq;
    } input = {.ports = (uint32_t)tuple->local_port << 16 | tuple->remote_port, .seq = seq};

    memcpy(input.local, tuple->local.bytes, 16);
    memcpy(input.remote, tuple->remote.bytes, 16);
    return siphash(stack->cookie_key, &input, sizeof(input));
}

static uint64_t *word_of(uint64_t *set, uint64_t hash, uint64_t *ret_bit)
{
    *ret_bit = UINT64_C(1) << hash % WORD_BITS;
    return &set[hash / WORD_BITS % (SET_BITS / WORD_BITS)];
}

/* A call is two bits of a set. */
static bool set_has(uint64_t *set, uint64_t hash)
{
    uint64_t bit, other, *word = word_of(set, hash, &bit), *more = word_of(set, hash >> 32, &other);

    return *word & bit && *more & other;
}

static void set_change(uint64_t *set, uint64_t hash, bool in)
{
    uint64_t bit, other, *word = word_of(set, hash, &bit), *more = word_of(set, hash >> 32, &other);

    *word = in ? *word | bit : *word & ~bit;
    *more = in ? *more | other : *more & ~other;
}

/* Empties the sets whose time has come round. */
static void turn_sets(struct siege_memory *memory, uint64_t set)
{
    uint64_t behind = MIN(set - memory->set, (uint64_t)SETS);

    for (uint64_t i = 0; i < behind; i++)
        memset(memory->sets[(set - i) % SETS], 0, sizeof(memory->sets[0]));
    memory->set = set;
}

/* Whether this call was made a second ago; if not, it is remembered. */
static bool calls_again(struct stack *stack, const struct stack_tuple *tuple, uint32_t seq)
{
    const uint64_t hash = call_hash(stack, tuple, seq), set = stack->now_ns / NS_PER_MS / SET_MS;

    if (!stack->siege)
        stack->siege = calloc(1, sizeof(*stack->siege));
    if (!stack->siege)
        return false;
    turn_sets(stack->siege, set);
    for (uint64_t age = 1; age < SETS; age++) {
        uint64_t *before = stack->siege->sets[(set - age) % SETS];
        if (set_has(before, hash)) {
            set_change(before, hash, false);
            return true;
        }
    }
    set_change(stack->siege->sets[set % SETS], hash, true);
    return false;
}

bool siege_ages(struct stack *stack)
{
    const uint64_t set = stack->now_ns / NS_PER_MS / SET_MS;

    if (stack->siege && set - stack->siege->set > SETS)
        siege_done(stack);
    return stack->siege != NULL;
}

void siege_done(struct stack *stack)
{
    free(stack->siege);
    stack->siege = NULL;
}

/* ---- who is heard ---- */

bool siege_hears(struct stack *stack, const struct stack_tuple *tuple, uint32_t seq, bool options)
{
    const uint64_t hash = caller_hash(stack, &tuple->remote), now_ms = stack->now_ns / NS_PER_MS;

    if (options && stack->known_callers[hash % SIEGE_KNOWN] == hash)
        return true;
    if (stack->strangers_ms != now_ms) {
        stack->strangers_ms = now_ms;
        stack->strangers = stack->strangers_again = 0;
    }
    if (stack->strangers < LIMIT_STRANGERS_IN_A_MS) {
        stack->strangers++;
        return true;
    }
    return stack->strangers_again < LIMIT_STRANGERS_IN_A_MS && calls_again(stack, tuple, seq) &&
           ++stack->strangers_again;
}
