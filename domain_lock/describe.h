/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * describe.h: the description of a running guest, kept where others find it.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_DESCRIBE_H
#define LEASEHOLD_DOMAIN_LOCK_DESCRIBE_H

#include "object.h"

/** In the guest's runtime folder, and as <uuid>.xml beside its last state when it has ended. */
#define VIR_DESCRIBE_FILE "description.xml"

/**
 * virDomainLockObjUpdateDescription: the description has changed (a disk came or went, has
 * another medium or chain): formats it and replaces the kept one. Worker thread.
 *
 * FALSE: the file could not be written; the one in memory is the new one. Nothing to do for a
 * foreign command line.
 */
gboolean virDomainLockObjUpdateDescription(virDomainLockObj *obj,
                                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same where it is too late to undo anything: a failure is a warning in the log. */
void virDomainLockObjKeepDescription(virDomainLockObj *obj);
/** What is doubtful about its images (of disk @target; NULL: of all) may be why QEMU failed: it is
 * appended to the message of *@error. */
void virDomainLockObjAddNotes(virDomainLockObj *obj, const char *target, GError **error);
/**
 * virDomainLockObjGetDescription: what was last kept. Any thread. UNSUPPORTED: a foreign
 * command line; STATE: the guest has not got as far as QEMU. Free: g_free.
 */
char *virDomainLockObjGetDescription(virDomainLockObj *obj,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virDomainLockDescribe: the description for another QEMU that takes over the memory of this
 * one (migration, a saved file): also the version of the machine is written down, as the QEMU
 * that runs calls it. Worker thread. Free: g_free.
 */
char *virDomainLockDescribe(virDomainLockObj *obj,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
