/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients are handed to who has fewest, no more than may be, and none of them is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/lobby.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MEMBERS = 3 };

static const struct sockaddr_storage nobody = {.ss_family = AF_UNIX};

static struct lobby *lobby_of(uint64_t most, uint64_t each)
{
    const struct lobby_config config = {.members = MEMBERS, .most = most, .each = each};
    struct lobby *lobby;

    assert_int_equal(lobby_new(&config, &lobby), 0);
    return lobby;
}

static int a_client(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    return fd;
}

static int come(struct lobby *lobby, unsigned listener)
{
    assert_true(lobby_reserve(lobby));
    return lobby_pass(lobby, a_client(), listener, &nobody);
}

/* How many wait for that member; they are taken. */
static unsigned take_all(struct lobby *lobby, unsigned member, unsigned listener)
{
    struct sockaddr_storage from;
    unsigned count = 0, which;

    while (lobby_has(lobby, member)) {
        int fd = lobby_take(lobby, member, &which, &from);
        assert_true(fd >= 0);
        assert_int_equal(which, listener);
        assert_int_equal(from.ss_family, AF_UNIX);
        (void)close(fd);
        count++;
    }
    assert_int_equal(lobby_take(lobby, member, &which, &from), -EAGAIN);
    return count;
}

static bool rings(const struct lobby *lobby)
{
    struct pollfd bell = {.fd = lobby_fd(lobby, LOBBY_ACCEPTS), .events = POLLIN};

    return poll(&bell, 1, 0) > 0;
}

static void a_burst_is_shared_evenly(void **state)
{
    (void)state;
    struct lobby *lobby = lobby_of(0, 100);
    struct lobby_stats stats;

    for (int i = 0; i < 30; i++)
        assert_int_equal(come(lobby, 4), 0);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(take_all(lobby, i, 4), 10);
    /* Two have gone from one, and one has a caller: the next three are theirs. */
    lobby_left(lobby, 1);
    lobby_left(lobby, 1);
    lobby_enter(lobby, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(come(lobby, 0), 0);
    assert_int_equal(take_all(lobby, 2, 0), 0);
    assert_int_equal(take_all(lobby, 0, 0) + take_all(lobby, 1, 0), 3);
    lobby_get_stats(lobby, &stats);
    assert_int_equal(stats.open, 32);
    assert_int_equal(stats.open_most, 32);
    lobby_free(lobby);
}

static void there_are_no_more_than_may_be(void **state)
{
    (void)state;
    struct lobby *lobby = lobby_of(2, 100);

    assert_int_equal(come(lobby, 0), 0);
    assert_int_equal(come(lobby, 0), 0);
    assert_false(lobby_reserve(lobby));
    assert_false(rings(lobby));
    lobby_left(lobby, 0); /* and then somebody may come */
    assert_true(rings(lobby));
    assert_int_equal(come(lobby, 0), 0);
    assert_false(lobby_reserve(lobby));
    lobby_release(lobby); /* who had reserved did not come */
    assert_true(lobby_reserve(lobby));
    lobby_free(lobby);
}

static void who_finds_nobody_waits_and_is_not_lost(void **state)
{
    (void)state;
    struct lobby *lobby = lobby_of(0, 1);

    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(come(lobby, 0), 0);
    assert_int_equal(come(lobby, 3), -EAGAIN); /* each has as many as its descriptors */
    assert_int_equal(lobby_pass_kept(lobby), -EAGAIN);
    assert_int_equal(take_all(lobby, 1, 0), 1);
    lobby_left(lobby, 1);
    assert_int_equal(lobby_pass_kept(lobby), 0);
    assert_int_equal(take_all(lobby, 1, 3), 1);
    assert_int_equal(lobby_pass_kept(lobby), 0); /* nobody is kept any more */
    assert_false(lobby_has(lobby, 1));
    lobby_free(lobby);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_shared_evenly),
        cmocka_unit_test(there_are_no_more_than_may_be),
        cmocka_unit_test(who_finds_nobody_waits_and_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
