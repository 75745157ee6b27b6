/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_LWIPOPTS_H
#define PEER_LWIPOPTS_H

/*
 * lwIP's configuration for peer. Each option that differs from lwIP's default has its reason.
 */

/* One thread, no operating system: src/stack calls the raw API and tells the time. */
#define NO_SYS                          1
#define SYS_LIGHTWEIGHT_PROT            0
#define LWIP_NETCONN                    0
#define LWIP_SOCKET                     0
/* Timers are ours: each flow has one deadline (src/stack/context.c). tcp_timer_needed() is then
   lwIP's own empty function. */
#define LWIP_TIMERS                     0

/* Memory: from us (base/arena.h) for everything, so that no fixed pool runs dry and kills another
   connection. Limits are ours, counted and reported. */
#define MEM_CUSTOM_ALLOCATOR            1
#define MEM_CUSTOM_MALLOC               peer_lwip_malloc
#define MEM_CUSTOM_CALLOC               peer_lwip_calloc
#define MEM_CUSTOM_FREE                 peer_lwip_free
#define MEMP_MEM_MALLOC                 1
#define MEM_ALIGNMENT                   8
/* Pools count their elements: the leak oracle of the tests. Other statistics cost time. */
#define LWIP_STATS                      1
#define LWIP_STATS_LARGE                1
#define MEMP_STATS                      1
#define MEM_STATS                       0
#define LINK_STATS                      0
#define ETHARP_STATS                    0
#define IP_STATS                        0
#define IPFRAG_STATS                    0
#define ICMP_STATS                      0
#define UDP_STATS                       0
#define TCP_STATS                       0
#define IP6_STATS                       0
#define ICMP6_STATS                     0
#define IP6_FRAG_STATS                  0
#define ND6_STATS                       0
#define SYS_STATS                       0

/* Payload of received frames is used where it lies (src/stack/input.c). */
#define LWIP_SUPPORT_CUSTOM_PBUF        1
/* 14 bytes of Ethernet plus 2, so that IP and TCP headers are written aligned. */
#define PBUF_LINK_ENCAPSULATION_HLEN    2

/* One netif that takes on the address and MAC of the peer at hand. */
#define LWIP_SINGLE_NETIF               1
#define LWIP_HAVE_LOOPIF                0
#define LWIP_NETIF_LOOPBACK             0
#define LWIP_NETIF_TX_SINGLE_PBUF       0

#define LWIP_IPV4                       1
#define LWIP_ARP                        1
/* Many peers may ask for the same address in one batch, before the first answer is read. */
#define ARP_TABLE_SIZE                  64
#define ARP_QUEUEING                    1
#define ARP_QUEUE_LEN                   2048
#define IP_REASSEMBLY                   1
#define IP_FRAG                         1
#define IP_REASS_MAX_PBUFS              1024
#define IP_REASS_MAXAGE                 30 /* seconds, as Linux */
#define IP_DEFAULT_TTL                  64
#define LWIP_ICMP                       1
/* Only for reassembled packets, which are given back to our own dispatch. */
#define LWIP_RAW                        1
#define LWIP_DHCP                       0
#define LWIP_AUTOIP                     0
#define LWIP_IGMP                       0
#define LWIP_DNS                        0

#define LWIP_IPV6                       1
/* Required on 64-bit machines: the reassembly helper does not fit into an IPv6 header. */
#define IPV6_FRAG_COPYHEADER            1
/* One address at a time; peers use no link-local addresses, so zones are not needed. */
#define LWIP_IPV6_NUM_ADDRESSES         1
#define LWIP_IPV6_SCOPES                0
#define LWIP_IPV6_REASS                 1
#define LWIP_IPV6_FRAG                  1
/* Addresses are given, not discovered; no noise at the start. */
#define LWIP_IPV6_AUTOCONFIG            0
#define LWIP_IPV6_MLD                   0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT   0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS   0
#define LWIP_IPV6_ADDRESS_LIFETIMES     0
#define LWIP_ND6_ALLOW_RA_UPDATES       0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0

#define LWIP_UDP                        1
#define LWIP_UDPLITE                    0

#define LWIP_TCP                        1
/* The event API needs one function and no five pointers in each connection. */
#define LWIP_EVENT_API                  1
#define LWIP_CALLBACK_API               0
#define TCP_LISTEN_BACKLOG              0
/* An upper bound only: what a SYN announces comes from the MTU, and a connection's `mss` may
   then be raised to a multiple of the real one (super-segments). */
#define TCP_MSS                         65280
/* lwIP's checks of these values want a small maximum segment, for sums in 16 bits that our values of
   TCP_SNDLOWAT and the buffers do not reach. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS  1
#define TCP_CALCULATE_EFF_SEND_MSS      1
#define LWIP_WND_SCALE                  1
#define TCP_RCV_SCALE                   7
/* 4 MiB each way at the most (src/stack/window.c): 100 ms at 300 Mbit/s. Costs memory only while it
   is used. */
#define TCP_WND                         (4 * 1024 * 1024)
#define TCP_SND_BUF                     (4 * 1024 * 1024)
#define TCP_SND_QUEUELEN                0xfff0
#define TCP_SNDLOWAT                    (64 * 1024)
#define TCP_SNDQUEUELOWAT               1024
/* A copied write takes what it needs, not what a super-segment would. */
#define TCP_OVERSIZE                    0
#define LWIP_TCP_TIMESTAMPS             1
#define LWIP_TCP_SACK_OUT               1
/* With timestamps there is room for three. */
#define LWIP_TCP_MAX_SACK_NUM           3
#define TCP_QUEUE_OOSEQ                 1
/* What waits behind a gap is walked for each segment that joins it, and a segment of one byte holds a
   buffer of 2 KiB: a full window of ordinary segments fits (2 900), a flood of tiny ones does not. */
#define TCP_OOSEQ_MAX_PBUFS             4096
/* The coarse tick is twice this: 10 ms. RTO, RTT and the like count in it. */
#define TCP_TMR_INTERVAL                5
/* As Linux: SYN again after 1 s (RFC 6298), 4 times and then 6 times; TIME-WAIT for 60 s. Data 12 times (Linux:
   15), which is as far as lwIP's table of back-offs goes. FIN-WAIT-2 and SYN-RCVD would last 20 s: see
   src/stack/context.c. */
#define LWIP_TCP_RTO_TIME               1000
#define TCP_SYNMAXRTX                   10
#define TCP_MAXRTX                      12
#define TCP_MSL                         30000UL
#define TCP_TTL                         64
#define UDP_TTL                         64
#define ICMP_TTL                        64

/* TCP and UDP checksums are left to the device (or done by packet/checksum.c, which is faster), IPv4
   header checksums are made at the very end (src/stack/output.c). What was received is checked
   before lwIP sees it. UDP datagrams above the MTU need lwIP's, since they are fragmented. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF    1
#define CHECKSUM_GEN_IP                 0
#define CHECKSUM_GEN_TCP                0
#define CHECKSUM_GEN_UDP                1
#define CHECKSUM_GEN_ICMP               1
#define CHECKSUM_GEN_ICMP6              1
#define CHECKSUM_CHECK_IP               1
#define CHECKSUM_CHECK_TCP              0
#define CHECKSUM_CHECK_UDP              0
#define CHECKSUM_CHECK_ICMP             1
#define CHECKSUM_CHECK_ICMP6            1

/* ISN by RFC 6528. */
#define LWIP_HOOK_FILENAME              "arch/hooks.h"
#define LWIP_HOOK_TCP_ISN               peer_hook_tcp_isn

#endif
