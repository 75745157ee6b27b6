/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SUPPORT_LINK_SPEC_FORMAT_H
#define SUPPORT_LINK_SPEC_FORMAT_H

#include "link/spec.h"

/** Room for the longest canonical text, with the terminating zero. */
enum { LINK_SPEC_TEXT = 384 };

/** The canonical text, which parses to the same spec again; "none" for no fault. Returns `buf`. */
const char *link_spec_format(const struct link_spec *spec, char buf[LINK_SPEC_TEXT]);

#endif
