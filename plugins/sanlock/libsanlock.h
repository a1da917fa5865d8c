/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libsanlock.h: libsanlock's headers, which do not include what they use.
 */
#ifndef LEASEHOLD_SANLOCK_LIBSANLOCK_H
#define LEASEHOLD_SANLOCK_LIBSANLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_direct.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>

#endif
