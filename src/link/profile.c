/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named wires, written in the grammar itself. A published round trip is halved: each direction has
 * one half. Where a source has one bandwidth or one loss, both directions have it.
 *
 * Sources:
 *   comcast      the table of network conditions in the README of the tool "comcast"
 *   WebPageTest  its connectivity.ini.sample, and its current list for 4g and lte; the figures
 *                browsers and page-speed tools use under the same names
 *   dummynet     ipfw(8): a queue has 50 slots. Both tables above were made for it, so the slow
 *                wires have `limit` 50 and what fits on the way; a thousand packets at 50 kbit/s
 *                would be four minutes
 *   Ookla        Speedtest Q3 2021: Starlink 87.25/13.54 Mbit/s at 44 ms, HughesNet 19.30/2.54
 *   Huston       "A transport protocol's view of Starlink", 2024: jitter of 7 ms in the round trip
 *   RFC 2488     2: a round trip over a geostationary satellite is at least 558 ms
 *
 * Since these have a rate, their jitter does not reorder (see link.c).
 */
#include "link/spec.h"

#include "base/macro.h"

static const struct link_profile profiles[] = {
    {"gprs", "delay 250ms loss 2% rate 50kbit limit 50", "delay 250ms loss 2% rate 50kbit limit 50",
     "2G: comcast, GPRS (good)"},
    {"dialup", "delay 60ms rate 30kbit limit 50", "delay 60ms rate 49kbit limit 50",
     "56k modem: WebPageTest"},
    {"edge", "delay 150ms loss 1.5% rate 250kbit limit 50",
     "delay 150ms loss 1.5% rate 250kbit limit 50", "2.75G: comcast, EDGE (good)"},
    {"3g-slow", "delay 200ms rate 400kbit limit 60", "delay 200ms rate 400kbit limit 60",
     "WebPageTest, Mobile 3G - Slow"},
    {"3g", "delay 150ms rate 768kbit limit 60", "delay 150ms rate 1600kbit limit 70",
     "WebPageTest, Mobile 3G"},
    {"3g-fast", "delay 75ms rate 768kbit limit 60", "delay 75ms rate 1600kbit limit 60",
     "WebPageTest, Mobile 3G - Fast"},
    {"hsdpa", "delay 125ms loss 1.5% rate 750kbit limit 60",
     "delay 125ms loss 1.5% rate 750kbit limit 60", "3.5G: comcast, 3G/HSDPA (good)"},
    {"4g", "delay 85ms rate 9mbit limit 120", "delay 85ms rate 9mbit limit 120", "WebPageTest, 4G"},
    {"lte", "delay 35ms rate 12mbit limit 100", "delay 35ms rate 12mbit limit 100",
     "WebPageTest, LTE"},
    {"dsl", "delay 25ms rate 384kbit limit 50", "delay 25ms rate 1500kbit limit 60",
     "WebPageTest, DSL"},
    {"dsl-poor", "delay 35ms loss 2% rate 2mbit limit 60", "delay 35ms loss 2% rate 2mbit limit 60",
     "comcast, DSL (poor)"},
    {"dsl-good", "delay 20ms loss 0.5% rate 8mbit limit 70",
     "delay 20ms loss 0.5% rate 8mbit limit 70", "comcast, DSL (good)"},
    {"cable", "delay 14ms rate 1mbit limit 60", "delay 14ms rate 5mbit limit 60",
     "WebPageTest, Cable"},
    {"fiber", "delay 2ms rate 5mbit limit 60", "delay 2ms rate 20mbit limit 60",
     "WebPageTest, FIOS"},
    {"wifi", "delay 20ms loss 0.2% rate 30mbit", "delay 20ms loss 0.2% rate 30mbit",
     "comcast, WIFI (good)"},
    {"satellite", "delay 279ms loss 0.2% rate 2540kbit", "delay 279ms loss 0.2% rate 19300kbit",
     "geostationary: delay RFC 2488, rates Ookla (HughesNet, 2021), loss comcast"},
    {"starlink", "delay 22ms 5ms distribution normal loss 1% rate 13540kbit",
     "delay 22ms 5ms distribution normal loss 1% rate 87250kbit",
     "delay and rates Ookla 2021, jitter and loss Huston 2024"},
    {"lossy", "loss 5%", "loss 5%", "no measurement: the hardest point of the goodput benchmark"},
    {"bursty", "loss gemodel 1% 20%", "loss gemodel 1% 20%",
     "no measurement: 4.8 % lost in bursts of five on average"},
};

const struct link_profile *link_profiles(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(profiles);
    return profiles;
}
