/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_attach.c: a new supervisor for a guest that has lost its own.
 *
 * Who is the supervisor of a guest is decided by the lock on its folder and by nothing else:
 * of any number of callers one gets it, and what the others find is a guest with a supervisor.
 */
#include "client.h"
#include "common/fd.h"

/* Somebody else's attach: how long it is waited for. */
#define ATTACH_OTHER_USEC (30 * G_USEC_PER_SEC)
#define ATTACH_POLL_USEC 50000
/* A thread of a dead supervisor, or the first moments of a new one. */
#define ATTACH_HANDS_USEC (5 * G_USEC_PER_SEC)
#define ATTACH_HANDS_POLL_USEC 10000

/* The folder is held: by a supervisor that answers, or by one that does not. */
static void
virAttachSetSupervised(virDomainLock *dom, const virDomainLockInfo *info, GError **error)
{
    g_autoptr(virDomainLockInfo) answer = virDomainLockCallInfo(dom, NULL);

    if (answer)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                    "guest '%s' has a supervisor (pid %" G_GINT64_FORMAT ")", dom->name,
                    answer->supervisorPid);
    else
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
            "the supervisor (pid %" G_GINT64_FORMAT ") of guest '%s' lives but does "
            "not answer: 'kill -CONT %" G_GINT64_FORMAT "' if it was stopped, or "
            "'kill -KILL %" G_GINT64_FORMAT "', which leaves the guest running, and "
            "then 'leasehold attach %s'",
            info->supervisorPid, dom->name, info->supervisorPid, info->supervisorPid,
            dom->name);
}

static virDomainLock *
virAttachSpawn(virDomainLock *dom, const virLockWait *wait, GError **error)
{
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();

    spec->attach = g_strdup(dom->uuid);
    spec->name = g_strdup(dom->name); /* for ps */
    return virDomainLockCreateSpec(dom->config, spec, wait, error);
}

gboolean
virDomainLockChangesHands(const char *dir)
{
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(dir, NULL);

    return status && virDomainLockRuntimeIsHeld(dir) &&
           !virDomainLockProcessAlive(&status->supervisor);
}

static void
virAttachAwaitHands(const char *dir)
{
    gint64 until = g_get_monotonic_time() + ATTACH_HANDS_USEC;

    while (virDomainLockChangesHands(dir) && g_get_monotonic_time() < until)
        g_usleep(ATTACH_HANDS_POLL_USEC);
}

virDomainLock *
virDomainLockAttach(virLockConfig *config, const char *nameOrUuid,
                    const virLockWait *wait, GError **error)
{
    g_autoptr(virDomainLock) dom = virDomainLockLookup(config, nameOrUuid, error);
    g_autoptr(virDomainLockInfo) info = NULL;
    g_autofree char *dir = dom ? virDomainLockDir(dom) : NULL;

    if (!dom)
        return NULL;
    virAttachAwaitHands(dir);
    info = virDomainLockReadInfo(config, dom->uuid);
    /* a folder without holder is for the supervisor to look at, be QEMU dead or not: it
     * writes down what can be said of the end */
    if (info && info->supervisorPid != 0) {
        virAttachSetSupervised(dom, info, error);
        return NULL;
    }
    if (g_file_test(dir, G_FILE_TEST_IS_DIR))
        return virAttachSpawn(dom, wait, error);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "guest '%s' does not run on this host", dom->name);
    return NULL;
}

/* Somebody else is at it, and takes calls from the beginning: they wait for their turn. */
static gboolean
virAttachAwaitOther(virDomainLock *dom)
{
    gint64 until = g_get_monotonic_time() + ATTACH_OTHER_USEC;

    do {
        g_autoptr(virDomainLockInfo) info = virDomainLockCallInfo(dom, NULL);

        if (info)
            return TRUE;
        g_usleep(ATTACH_POLL_USEC);
    } while (g_get_monotonic_time() < until);
    return FALSE;
}

static gboolean
virAttachIsSupervised(const char *dir)
{
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(dir, NULL);

    return status && virDomainLockRuntimeIsHeld(dir) &&
           virDomainLockProcessAlive(&status->supervisor);
}

gboolean
virDomainLockAttachIfOrphan(virDomainLock *dom, GError **error)
{
    g_autofree char *dir = virDomainLockDir(dom);
    g_autoptr(virDomainLockInfo) info = NULL;
    g_autoptr(virDomainLock) attached = NULL;
    g_autoptr(GError) why = NULL;

    if (virAttachIsSupervised(dir))
        return TRUE;
    virAttachAwaitHands(dir);
    info = virDomainLockReadInfo(dom->config, dom->uuid);
    if (!info || info->state != VIR_DOMAIN_LOCK_STATE_UNSUPERVISED)
        return TRUE;
    attached = virAttachSpawn(dom, NULL, &why);
    if (attached || (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY) &&
                     virAttachAwaitOther(dom)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
