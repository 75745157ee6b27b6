/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIMTEST_H
#define TESTS_SIMTEST_H

/*
 * What a test in virtual time begins with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "support/simnet.h"

/** One that fails shows its last frames and leaves no network behind. */
#define TEST(name) cmocka_unit_test_teardown(name, simnet_teardown)

#endif
