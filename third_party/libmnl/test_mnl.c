/* SPDX-License-Identifier: BSD-3-Clause */
/* The stand-in and libmnl, side by side: the same calls make the same bytes and read the same. */
#define mnl_nlmsg_get_payload      own_nlmsg_get_payload
#define mnl_nlmsg_get_payload_len  own_nlmsg_get_payload_len
#define mnl_attr_get_payload       own_attr_get_payload
#define mnl_attr_get_payload_len   own_attr_get_payload_len
#define mnl_nlmsg_put_header       own_nlmsg_put_header
#define mnl_nlmsg_put_extra_header own_nlmsg_put_extra_header
#define mnl_attr_put_check         own_attr_put_check
#define mnl_attr_nest_start_check  own_attr_nest_start_check
#define mnl_attr_nest_end          own_attr_nest_end
#include "mnl.c"
#undef mnl_nlmsg_get_payload
#undef mnl_nlmsg_get_payload_len
#undef mnl_attr_get_payload
#undef mnl_attr_get_payload_len
#undef mnl_nlmsg_put_header
#undef mnl_nlmsg_put_extra_header
#undef mnl_attr_put_check
#undef mnl_attr_nest_start_check
#undef mnl_attr_nest_end

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* After what it needs. */
#include <cmocka.h>

/* libmnl's own, which its header could not declare twice. */
extern void *mnl_nlmsg_get_payload(const struct nlmsghdr *message);
extern size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr *message);
extern void *mnl_attr_get_payload(const struct nlattr *attr);
extern uint16_t mnl_attr_get_payload_len(const struct nlattr *attr);
extern struct nlmsghdr *mnl_nlmsg_put_header(void *buf);
extern void *mnl_nlmsg_put_extra_header(struct nlmsghdr *message, size_t size);
extern bool mnl_attr_put_check(struct nlmsghdr *message, size_t room, uint16_t type, size_t len,
                               const void *data);
extern struct nlattr *mnl_attr_nest_start_check(struct nlmsghdr *message, size_t room,
                                                uint16_t type);
extern void mnl_attr_nest_end(struct nlmsghdr *message, struct nlattr *start);

enum { ROOM = 256 };
struct both {
    _Alignas(8) char own[ROOM], real[ROOM];
    struct nlmsghdr *a, *b;
};

static void begin(struct both *both, size_t extra)
{
    memset(both, 0, sizeof(*both)); /* not every version of libmnl writes the padding */
    both->a = own_nlmsg_put_header(both->own);
    both->b = mnl_nlmsg_put_header(both->real);
    char *own = own_nlmsg_put_extra_header(both->a, extra);
    char *real = mnl_nlmsg_put_extra_header(both->b, extra);
    assert_int_equal(own - both->own, real - both->real);
}

static void put(struct both *both, size_t room, uint16_t type, size_t len)
{
    static const char data[ROOM] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const bool own = own_attr_put_check(both->a, room, type, len, data);

    assert_int_equal(own, mnl_attr_put_check(both->b, room, type, len, data));
}

static void are_equal(const struct both *both)
{
    assert_memory_equal(both->own, both->real, ROOM);
}

static void messages_are_written_alike(void **state)
{
    struct both both;

    (void)state;
    for (size_t extra = 0; extra < 20; extra++) {
        for (size_t len = 0; len < 40; len++) {
            begin(&both, extra);
            put(&both, ROOM, 7, len);
            struct nlattr *own = own_attr_nest_start_check(both.a, ROOM, 3);
            struct nlattr *real = mnl_attr_nest_start_check(both.b, ROOM, 3);
            put(&both, ROOM, 9, 40 - len);
            own_attr_nest_end(both.a, own);
            mnl_attr_nest_end(both.b, real);
            are_equal(&both);
        }
    }
}

static void what_has_no_room_is_refused_alike(void **state)
{
    struct both both;

    (void)state;
    for (size_t room = 0; room < 60; room++) {
        for (size_t len = 0; len < 20; len++) {
            begin(&both, 4);
            put(&both, room, 1, len);
            are_equal(&both);
        }
        const bool own = own_attr_nest_start_check(both.a, room, 2) != NULL;
        assert_int_equal(own, mnl_attr_nest_start_check(both.b, room, 2) != NULL);
        are_equal(&both);
    }
}

static void messages_are_read_alike(void **state)
{
    struct both both;

    (void)state;
    for (size_t len = 0; len < 40; len++) {
        begin(&both, 0);
        put(&both, ROOM, 7, len);
        const struct nlattr *attr = mnl_nlmsg_get_payload(both.a);
        assert_ptr_equal(own_nlmsg_get_payload(both.a), attr);
        assert_int_equal(own_nlmsg_get_payload_len(both.a), mnl_nlmsg_get_payload_len(both.a));
        assert_int_equal(own_attr_get_payload_len(attr), mnl_attr_get_payload_len(attr));
        assert_int_equal(own_attr_get_payload_len(attr), len);
        assert_ptr_equal(own_attr_get_payload(attr), mnl_attr_get_payload(attr));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_written_alike),
        cmocka_unit_test(what_has_no_room_is_refused_alike),
        cmocka_unit_test(messages_are_read_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
