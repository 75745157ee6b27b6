/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose packet it is: scenes of events as they befall one thread, some of them on top of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/observe/dropreason_internal.h"

enum { OURS = DROPREASON_OURS, ANSWER = DROPREASON_ANSWER, LIKELY = DROPREASON_LIKELY };
enum { LEFT_OUT = -1 };

struct step {
    enum dropreason_kind kind;
    uint64_t address;
    const char *text; /* device, or reason */
    bool deferred;
    int owner; /* or LEFT_OUT */
};

static void play(const struct step *steps, int count)
{
    struct custody custody = {.device = "peer0"};

    for (int i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        struct dropreason_event event = {.kind = step->kind, .deferred = step->deferred};
        if (step->kind == DROPREASON_DROP)
            (void)strncpy(event.reason, step->text, sizeof(event.reason) - 1);
        else if (step->text)
            (void)strncpy(event.device, step->text, sizeof(event.device) - 1);
        event.datagram = step->kind == DROPREASON_NOTICE;
        const bool kept = custody_take(&custody, &event, step->address);
        if (kept != (step->owner != LEFT_OUT) || (kept && (int)event.owner != step->owner))
            fail_msg("step %d: kept %d, owner %d", i + 1, kept, (int)event.owner);
    }
}

#define PLAY(...)                                                                                  \
    do {                                                                                           \
        const struct step steps[] = {__VA_ARGS__};                                                 \
        play(steps, (int)(sizeof(steps) / sizeof(steps[0])));                                      \
    } while (0)

static void the_packet_is_known_by_its_address(void **state)
{
    (void)state;
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", false, OURS});
    /* in the softirq too, as behind a card to which it was redirected, or when a neighbour fails */
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_DROP, 0x20, "NEIGH_FAILED", true, LEFT_OUT},
         {DROPREASON_DROP, 0x10, "NEIGH_FAILED", true, OURS});
}

static void what_runs_on_top_of_the_thread_is_anothers(void **state)
{
    (void)state;
    PLAY({DROPREASON_DROP, 0x30, "NEIGH_FAILED", true, LEFT_OUT},
         {DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_RECEIVE, 0x20, "eth0", true, LEFT_OUT},
         {DROPREASON_SEND, 0x20, "veth1", true, LEFT_OUT},
         {DROPREASON_ROUTE, 0, NULL, true, LEFT_OUT},
         {DROPREASON_DROP, 0x20, "NO_SOCKET", true, LEFT_OUT},
         {DROPREASON_CONSUME, 0x40, NULL, true, LEFT_OUT});
}

static void packets_by_other_devices_are_not_ours(void **state)
{
    (void)state;
    PLAY({DROPREASON_RECEIVE, 0x10, "tap7", false, LEFT_OUT},
         {DROPREASON_RECEIVE, 0x20, "peer0", false, OURS},
         {DROPREASON_RECEIVE, 0x30, "peer0", true, LEFT_OUT});
}

static void an_address_is_anothers_after_the_end(void **state)
{
    (void)state;
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_CONSUME, 0x10, NULL, false, OURS},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", true, LEFT_OUT});
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_DROP, 0x10, "IP_RPFILTER", false, OURS},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", true, LEFT_OUT});
    /* taken again by somebody's device without any word of its end */
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_RECEIVE, 0x10, "eth0", true, LEFT_OUT},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", true, LEFT_OUT});
    /* read by the program, on another processor, unseen */
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_NOTICE, 0, NULL, false, LEFT_OUT},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", true, LEFT_OUT});
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_NOTICE, 0, NULL, true, LEFT_OUT}, /* another's socket */
         {DROPREASON_DROP, 0x10, "NO_SOCKET", false, OURS});
}

static void what_left_this_machine_is_lost_elsewhere(void **state)
{
    (void)state;
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_SEND, 0x10, "eth0", false, OURS},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", true, LEFT_OUT});
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_SEND, 0x10, "eth0", false, OURS},
         {DROPREASON_DROP, 0x10, "QDISC_DROP", false, OURS});
}

static void answers_are_what_the_write_sends(void **state)
{
    (void)state;
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_SEND, 0x20, "peer0", false, ANSWER},
         {DROPREASON_DROP, 0x20, "FULL_RING", false, ANSWER},
         {DROPREASON_DROP, 0x10, "NO_SOCKET", false, OURS});
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_SEND, 0x20, "eth0", false, ANSWER},
         {DROPREASON_DROP, 0x20, "QDISC_DROP", false, ANSWER});
    /* what goes to our device is for a peer, whoever sends it */
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_SEND, 0x20, "peer0", true, ANSWER},
         {DROPREASON_DROP, 0x20, "FULL_RING", true, ANSWER});
}

static void of_the_write_itself_it_is_likely(void **state)
{
    (void)state;
    PLAY({DROPREASON_DROP, 0x10, "DEV_READY", false, LIKELY});
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_DROP, 0x20, "NETFILTER_DROP", false, LIKELY});
    /* queues hold everybody's */
    PLAY({DROPREASON_RECEIVE, 0x10, "peer0", false, OURS},
         {DROPREASON_DROP, 0x20, "QDISC_OVERLIMIT", false, LEFT_OUT},
         {DROPREASON_DROP, 0x30, "NEIGH_QUEUEFULL", false, LEFT_OUT});
}

static void more_packets_than_there_is_room_for_are_no_fault(void **state)
{
    (void)state;
    struct custody custody = {.device = ""};

    for (uint64_t i = 1; i <= 2 * CUSTODY_PACKETS; i++) {
        struct dropreason_event event = {.kind = DROPREASON_RECEIVE, .device = "any"};
        assert_true(custody_take(&custody, &event, i));
    }
    assert_int_equal(custody.count, CUSTODY_PACKETS);
    for (uint64_t i = 1; i <= 2 * CUSTODY_PACKETS; i++) {
        struct dropreason_event event = {.kind = DROPREASON_DROP, .deferred = true};
        assert_int_equal(custody_take(&custody, &event, i), i <= CUSTODY_PACKETS);
    }
    assert_int_equal(custody.count, 0);
}

static void every_deferred_stack_is_known(void **state)
{
    (void)state;
    static const char *const deferred[] = {
        "handle_softirqs",          "__do_softirq",  "call_timer_fn",
        "run_timer_softirq",        "net_tx_action", "net_rx_action",
        "asm_common_interrupt",     "do_softirq",    "sysvec_apic_timer_interrupt",
        "__irq_exit_rcu",           "rcu_core",      "asm_sysvec_apic_timer_interrupt",
        "__common_interrupt",       "irq_exit_rcu",  "expire_timers.constprop.0",
        "__sysvec_x86_platform_ipi"};
    static const char *const direct[] = {
        "tun_get_user",   "ip_rcv", "__netif_receive_skb_core", "vfs_write", "do_syscall_64",
        "do_softirq_own", ""};

    for (size_t i = 0; i < sizeof(deferred) / sizeof(deferred[0]); i++)
        if (!dropreason_is_deferred(deferred[i]))
            fail_msg("%s", deferred[i]);
    for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++)
        if (dropreason_is_deferred(direct[i]))
            fail_msg("%s", direct[i]);
}

static void copies_are_told_from_ends(void **state)
{
    (void)state;
    assert_true(dropreason_copies("skb_pp_cow_data"));
    assert_true(dropreason_copies("do_xdp_generic.part.0"));
    assert_true(dropreason_copies("")); /* the kernel hides its symbols */
    assert_false(dropreason_copies("tcp_v4_rcv"));
    assert_false(dropreason_copies("icmp_rcv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_packet_is_known_by_its_address),
        cmocka_unit_test(what_runs_on_top_of_the_thread_is_anothers),
        cmocka_unit_test(packets_by_other_devices_are_not_ours),
        cmocka_unit_test(an_address_is_anothers_after_the_end),
        cmocka_unit_test(what_left_this_machine_is_lost_elsewhere),
        cmocka_unit_test(answers_are_what_the_write_sends),
        cmocka_unit_test(of_the_write_itself_it_is_likely),
        cmocka_unit_test(more_packets_than_there_is_room_for_are_no_fault),
        cmocka_unit_test(every_deferred_stack_is_known),
        cmocka_unit_test(copies_are_told_from_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
