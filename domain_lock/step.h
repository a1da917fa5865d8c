/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.h: stops for tests. With LEASEHOLD_STEP_FD set, each sequence writes "start:4\n"
 * there before its step 4 and waits for one byte (or the end of the file); unset it costs
 * one comparison.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_STEP_H
#define LEASEHOLD_DOMAIN_LOCK_STEP_H

#include <glib.h>

/** The descriptor, or -1. It is the test's: never passed on to QEMU. */
int virStepFd(void);
void virStepStop(const char *sequence, guint number);

#endif
