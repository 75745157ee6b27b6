/* SPDX-License-Identifier: BSD-3-Clause */
/* The PROXY header against bytes that were put together by hand from the specification. */
#include "flow/proxy_header.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct stack_tuple tuple_of(const char *from, uint16_t from_port, const char *to,
                                   uint16_t to_port)
{
    struct stack_tuple tuple = {.local_port = from_port, .remote_port = to_port};

    assert_int_equal(peer_addr_parse(from, &tuple.local), 0);
    assert_int_equal(peer_addr_parse(to, &tuple.remote), 0);
    return tuple;
}

static void expect(uint8_t version, const struct stack_tuple *tuple, const void *bytes, size_t len)
{
    uint8_t header[PROXY_HEADER_MOST];

    memset(header, 0xee, sizeof(header));
    assert_int_equal(proxy_header_write(version, tuple, header), len);
    assert_memory_equal(header, bytes, len);
    for (size_t i = len; i < sizeof(header); i++)
        assert_int_equal(header[i], 0xee);
}

static void version_1_is_a_line(void **state)
{
    static const struct {
        const char *from, *to, *line;
        uint16_t from_port, to_port;
    } rows[] = {
        {"198.18.0.2", "192.0.2.80", "PROXY TCP4 198.18.0.2 192.0.2.80 49152 80\r\n", 49152, 80},
        {"255.255.255.255", "255.255.255.255",
         "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 65535, 65535},
        {"1.2.3.4", "0.0.0.0", "PROXY TCP4 1.2.3.4 0.0.0.0 1 0\r\n", 1, 0},
        {"2001:2::9", "2001:db8::80", "PROXY TCP6 2001:2::9 2001:db8::80 50000 443\r\n", 50000, 443},
        {"fe80:1:2:3:4:5:6:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "PROXY TCP6 fe80:1:2:3:4:5:6:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         65535, 65535},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct stack_tuple tuple =
            tuple_of(rows[i].from, rows[i].from_port, rows[i].to, rows[i].to_port);
        expect(PROXY_HEADER_TEXT, &tuple, rows[i].line, strlen(rows[i].line));
    }
}

static void version_2_is_binary_over_ipv4(void **state)
{
    static const uint8_t bytes[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
                                    0x54, 0x0a, 0x21, 0x11, 0x00, 0x0c, 198,  18,   0,    2,
                                    192,  0,    2,    80,   0xc0, 0x00, 0x00, 0x50};
    const struct stack_tuple tuple = tuple_of("198.18.0.2", 49152, "192.0.2.80", 80);

    (void)state;
    expect(PROXY_HEADER_BINARY, &tuple, bytes, sizeof(bytes));
}

static void version_2_is_binary_over_ipv6(void **state)
{
    static const uint8_t bytes[] = {
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21,
        0x21, 0x00, 0x24, 0x20, 0x01, 0x00, 0x02, 0,    0,    0,    0,    0,    0,
        0,    0,    0,    0,    0x01, 0x09, 0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,
        0,    0,    0,    0,    0,    0,    0,    0,    0x80, 0xc3, 0x50, 0x01, 0xbb};
    const struct stack_tuple tuple = tuple_of("2001:2::109", 50000, "2001:db8::80", 443);

    (void)state;
    expect(PROXY_HEADER_BINARY, &tuple, bytes, sizeof(bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_is_a_line),
        cmocka_unit_test(version_2_is_binary_over_ipv4),
        cmocka_unit_test(version_2_is_binary_over_ipv6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
