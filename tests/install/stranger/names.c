/* SPDX-License-Identifier: BSD-3-Clause */
/* Names that libpeer has inside. To be linked beside it: whose call comes here had another in mind. */
#include <stdio.h>
#include <stdlib.h>

#define STRANGER(name)                                                                             \
    void name(void);                                                                               \
    void name(void)                                                                                \
    {                                                                                              \
        fputs(#name " of the program was called by the library\n", stderr);                        \
        abort();                                                                                   \
    }

STRANGER(error_set)
STRANGER(siphash)
STRANGER(mem_malloc)
STRANGER(mem_free)
STRANGER(tcp_input)
STRANGER(tcp_new)
STRANGER(udp_input)
STRANGER(ip4_input)
STRANGER(pbuf_alloc)
STRANGER(memp_malloc)
STRANGER(sys_check_timeouts)
STRANGER(netif_add)
STRANGER(hdr_init)
STRANGER(engine_new)
STRANGER(stack_new)
