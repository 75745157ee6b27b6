/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues that bring frames to the wrong member of a crew, or to one of all that need them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "device/device.h"
#include "packet/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MEMBERS = 3, FRAME = 60 };

static struct addr_set peers; /* 192.0.2.1 to .30: ten each */
static struct device_crew_shared shared;
static struct device *kernel[MEMBERS], *crew[MEMBERS];
static int inboxes[MEMBERS][2], others[MEMBERS][MEMBERS];
static struct frame_pool pool;

static void begin(enum frame_layer layer, const char *from)
{
    memset(&shared, 0, sizeof(shared));
    frame_pool_init(&pool);
    assert_int_equal(addr_set_parse(from, &peers, NULL), 0);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, inboxes[i]), 0);
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct device_crew_config config = {.peers = &peers,
                                            .member = i,
                                            .members = MEMBERS,
                                            .inbox = inboxes[i][0],
                                            .others = others[i],
                                            .shared = &shared};
        for (unsigned j = 0; j < MEMBERS; j++)
            others[i][j] = inboxes[j][1];
        assert_int_equal(device_mem_pair(layer, 1500, true, 100000, &kernel[i], &config.queue), 0);
        assert_int_equal(device_crew_new(&config, &crew[i]), 0);
    }
}

static void end(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        device_free(crew[i]);
        device_free(kernel[i]);
        close(inboxes[i][0]);
        close(inboxes[i][1]);
    }
    addr_set_done(&peers);
    frame_pool_done(&pool);
}

static void bring(unsigned queue, const uint8_t *bytes, size_t len, uint8_t mark)
{
    static const struct frame_offload offload = {.gso_size = 0};
    uint8_t copy[FRAME] = {0};
    const struct iovec part = {copy, len};

    memcpy(copy, bytes, len);
    copy[len - 1] = mark;
    assert_int_equal(device_send(kernel[queue], &part, 1, &offload), 0);
}

/* Its mark, or -1: there is none. */
static int take(unsigned member)
{
    struct frame *frame = frame_get(&pool, FRAME_LARGE_BYTES);
    const int status = device_recv(crew[member], frame);
    const int mark = status > 0 ? frame->data[frame->len - 1] : -1;

    assert_true(status >= 0);
    frame_put(frame);
    return mark;
}

static void packet_to(uint8_t bytes[FRAME], const char *text)
{
    struct peer_addr addr;

    memset(bytes, 0, FRAME);
    assert_int_equal(peer_addr_parse(text, &addr), 0);
    bytes[0] = addr.family == 6 ? 0x60 : 0x45;
    memcpy(bytes + (addr.family == 6 ? 24 : 16), addr.bytes, addr.family == 6 ? 16 : 4);
}

static void what_is_another_ones_is_passed_on(void **state)
{
    uint8_t bytes[FRAME];

    (void)state;
    begin(FRAME_IP, "192.0.2.1-192.0.2.30");
    packet_to(bytes, "192.0.2.25");
    bring(0, bytes, FRAME, 7);
    packet_to(bytes, "192.0.2.1");
    bring(0, bytes, FRAME, 8);
    assert_int_equal(take(2), -1); /* nobody has read it yet */
    assert_int_equal(take(0), 8);
    assert_int_equal(take(0), -1);
    assert_int_equal(take(1), -1);
    assert_int_equal(take(2), 7);
    assert_int_equal(take(2), -1);
    assert_int_equal(device_crew_passed(crew[0]), 1);
    assert_int_equal(device_crew_passed(crew[2]), 0);
    end();
}

static void what_is_for_all_comes_to_all(void **state)
{
    static const char *const addresses[] = {"224.0.0.1", "255.255.255.255", "192.0.2.255"};
    uint8_t bytes[FRAME];

    (void)state;
    begin(FRAME_IP, "192.0.2.1-192.0.2.30");
    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
        packet_to(bytes, addresses[i]);
        bring(i, bytes, FRAME, (uint8_t)(10 + i));
        assert_int_equal(take(i), 10 + (int)i);
        for (unsigned member = 0; member < MEMBERS; member++)
            assert_int_equal(take(member), member == i ? -1 : 10 + (int)i); /* and passed on no more */
        for (unsigned member = 0; member < MEMBERS; member++)
            assert_int_equal(take(member), -1);
    }
    end();
}

/* More than the inbox holds: they wait, nothing is read meanwhile, and all come in their order. */
static void a_full_inbox_loses_nothing(void **state)
{
    enum { MANY = 5000 };
    uint8_t bytes[FRAME];
    int taken = 0, mine = 0;

    (void)state;
    begin(FRAME_IP, "192.0.2.1-192.0.2.30");
    packet_to(bytes, "192.0.2.15");
    for (int i = 0; i < MANY; i++)
        bring(0, bytes, FRAME, (uint8_t)i);
    packet_to(bytes, "192.0.2.5");
    bring(0, bytes, FRAME, 99);
    for (int i = 0; i < MANY && !crew[0]->again; i++)
        assert_int_equal(take(0), -1);
    assert_true(crew[0]->again); /* it waits for another */
    for (int turn = 0; taken < MANY && turn < 100 * MANY; turn++) {
        const int mark = take(1);
        if (mark >= 0)
            assert_int_equal(mark, (uint8_t)taken++);
        mine += take(0) == 99;
    }
    for (int i = 0; i < 10 && !mine; i++)
        mine += take(0) == 99;
    assert_int_equal(taken, MANY);
    assert_int_equal(mine, 1);
    assert_false(crew[0]->again);
    assert_int_equal(crew[0]->send_drops, 0);
    end();
}

/* Two whose inboxes are full of each other's frames go on. */
static void two_that_wait_for_each_other_go_on(void **state)
{
    enum { MANY = 3000 };
    uint8_t first[FRAME], second[FRAME];
    int taken[2] = {0, 0};

    (void)state;
    begin(FRAME_IP, "192.0.2.1-192.0.2.30");
    packet_to(first, "192.0.2.5");
    packet_to(second, "192.0.2.15");
    for (int i = 0; i < MANY; i++) {
        bring(0, second, FRAME, 1);
        bring(1, first, FRAME, 2);
    }
    for (int turn = 0; (taken[0] < MANY || taken[1] < MANY) && turn < 100 * MANY; turn++) {
        for (unsigned member = 0; member < 2; member++) {
            const int mark = take(member);
            assert_true(mark == -1 || mark == (member ? 1 : 2));
            taken[member] += mark >= 0;
        }
    }
    assert_int_equal(taken[0], MANY);
    assert_int_equal(taken[1], MANY);
    end();
}

static void ethernet_to(uint8_t bytes[FRAME], unsigned type, size_t at, const void *addr, size_t len)
{
    memset(bytes, 0, FRAME);
    bytes[0] = 0x02;
    bytes[12] = (uint8_t)(type >> 8);
    bytes[13] = (uint8_t)type;
    memcpy(bytes + 14 + at, addr, len);
}

static unsigned owner(const uint8_t *bytes, size_t len, unsigned self)
{
    return device_crew_owner(&peers, MEMBERS, self, FRAME_ETHERNET, bytes, len);
}

static void whose_a_frame_of_ethernet_is(void **state)
{
    const uint8_t third[4] = {192, 0, 2, 21}, nobody[4] = {10, 0, 0, 1};
    uint8_t bytes[FRAME];

    (void)state;
    begin(FRAME_ETHERNET, "192.0.2.1-192.0.2.30");
    ethernet_to(bytes, 0x0800, 16, third, 4);
    assert_int_equal(owner(bytes, FRAME, 0), 2);
    ethernet_to(bytes, 0x0806, 24, third, 4); /* who has it? */
    bytes[0] = 0xff;
    assert_int_equal(owner(bytes, FRAME, 0), 2);
    ethernet_to(bytes, 0x0806, 24, nobody, 4); /* who tells of himself */
    bytes[0] = 0xff;
    assert_int_equal(owner(bytes, FRAME, 0), MEMBERS);
    ethernet_to(bytes, 0x88cc, 0, third, 4);
    assert_int_equal(owner(bytes, FRAME, 1), 1);
    bytes[0] = 0x01;
    assert_int_equal(owner(bytes, FRAME, 1), MEMBERS);
    for (size_t len = 0; len < 30; len++) { /* cut off: never read beyond */
        uint8_t *cut = malloc(len + 1);
        ethernet_to(bytes, 0x0800, 16, third, 4);
        memcpy(cut, bytes, len);
        assert_int_equal(owner(cut, len, 1), 1);
        free(cut);
    }
    end();
}

static void whose_a_frame_of_ipv6_is(void **state)
{
    uint8_t bytes[FRAME + 20] = {0};
    struct peer_addr second, all;

    (void)state;
    begin(FRAME_ETHERNET, "2001:2::1-2001:2::1e");
    assert_int_equal(peer_addr_parse("2001:2::b", &second), 0);
    assert_int_equal(peer_addr_parse("ff02::1", &all), 0);
    memcpy(bytes + 12, "\x86\xdd", 2);
    memcpy(bytes + 14 + 24, second.bytes, 16);
    assert_int_equal(owner(bytes, sizeof(bytes), 0), 1);
    memcpy(bytes + 14 + 24, all.bytes, 16);
    bytes[0] = 0x33;
    assert_int_equal(owner(bytes, sizeof(bytes), 0), MEMBERS);
    bytes[14 + 6] = 58; /* a solicitation goes to a group, and asks for one */
    bytes[14 + 40] = 135;
    memcpy(bytes + 14 + 48, second.bytes, 16);
    assert_int_equal(owner(bytes, sizeof(bytes), 0), 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_another_ones_is_passed_on),
        cmocka_unit_test(what_is_for_all_comes_to_all),
        cmocka_unit_test(a_full_inbox_loses_nothing),
        cmocka_unit_test(two_that_wait_for_each_other_go_on),
        cmocka_unit_test(whose_a_frame_of_ethernet_is),
        cmocka_unit_test(whose_a_frame_of_ipv6_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
