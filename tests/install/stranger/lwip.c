/* SPDX-License-Identifier: BSD-3-Clause */
/* A program with an lwIP of its own, which is Debian's: both work, each on its own memory. */
#include <lwip/init.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <stdio.h>
#include <stdlib.h>

/* Before main() of hello.c. */
__attribute__((constructor)) static void use_own_lwip(void)
{
    struct tcp_pcb *pcb;
    struct pbuf *pbuf;

    tcpip_init(NULL, NULL);
    LOCK_TCPIP_CORE();
    pbuf = pbuf_alloc(PBUF_TRANSPORT, 100, PBUF_RAM);
    pcb = tcp_new();
    if (!pbuf || !pcb || pbuf_free(pbuf) != 1) {
        fputs("the program's own lwIP does not work\n", stderr);
        abort();
    }
    tcp_abort(pcb);
    UNLOCK_TCPIP_CORE();
}
