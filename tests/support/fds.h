/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SUPPORT_FDS_H
#define TESTS_SUPPORT_FDS_H

#include <dirent.h>

/** How many descriptors this process has, and the one that it reads this with; -1: none is told. */
static inline int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    if (!dir)
        return -1;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

#endif
