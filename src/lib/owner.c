/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose is a net? Of the process that made it: a child that was forked from that one shares its
 * descriptors, and whatever it did with them would happen to its parent. A page that the kernel empties
 * at fork tells the two apart, without a system call in each function.
 *
 * In a child nothing may be sent, written or asked by what both have: the device is silenced, the
 * capture and the descriptors of loops are let go. What then is freed is memory alone.
 */
#include "lib/internal.h"

#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int owner_mark(struct peer_net *net)
{
    unsigned char *page =
        mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -errno;
    *page = 1;
    /* A kernel without it (before 4.14) cannot tell them apart. */
    (void)madvise(page, page_bytes(), MADV_WIPEONFORK);
    net->owned = page;
    return 0;
}

void owner_done(struct peer_net *net)
{
    if (net->owned)
        (void)munmap((void *)(uintptr_t)net->owned, page_bytes());
    net->owned = NULL;
}

void owner_let_go(struct peer_net *net)
{
    if (net->abandoned || !net->engine)
        return;
    net->abandoned = true;
    device_tun_silence(engine_device(net->engine));
    engine_abandon(net->engine);
}
