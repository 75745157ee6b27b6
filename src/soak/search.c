/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/search.h"

#include "base/macro.h"

#include <math.h>

enum { FAILURES_MOST = 2 };

void rate_search_init(struct rate_search *search, double low, double high)
{
    *search = (struct rate_search){.low = low, .high = high};
}

/* Three digits: what a person reads is what was tried. */
static double rounded(double rate)
{
    double unit = pow(10, floor(log10(rate)) - 3);

    return round(rate / unit) * unit;
}

static bool is_over(const struct rate_search *search)
{
    if (search->failed > 0)
        return search->failed <= search->low ||
               (search->kept > 0 && search->failed / search->kept <= SEARCH_NARROW);
    return search->kept >= search->high;
}

static double choose(const struct rate_search *search)
{
    if (search->kept <= 0)
        return search->low;
    if (search->failed <= 0)
        return MIN(2 * search->kept, search->high);
    return rounded(sqrt(search->kept * search->failed));
}

bool rate_search_next(struct rate_search *search, double *ret_rate)
{
    if (is_over(search))
        return false;
    if (!search->failures)
        search->rate = choose(search);
    *ret_rate = search->rate;
    return true;
}

void rate_search_tell(struct rate_search *search, bool held)
{
    if (held) {
        search->kept = search->rate;
        search->failures = 0;
    } else if (++search->failures == FAILURES_MOST) {
        search->failed = search->rate;
        search->failures = 0;
    }
}
