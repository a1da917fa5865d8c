/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner.c: who holds a lease or its bridge, for people.
 *
 * The lock itself says only "somebody". The use record names the guest that was the last to
 * get the right to write, and its process: if that process has the lock, it is the owner. If
 * another one has it (a reader, or a guest that is just starting), that process is named
 * without a guest, so that nobody is accused wrongly.
 */
#include "plugins/lockfile/lockfile.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* A supervisor has its guest's locks too; only the child is of interest. */
static gboolean
virLockfileIsParent(const virLockfileSeen *candidate, GPtrArray *seen, guint byte)
{
    for (guint i = 0; i < seen->len; i++) {
        const virLockfileSeen *other = seen->pdata[i];

        if (other->byte[byte] && other->parent == candidate->pid &&
            other->pid != candidate->pid)
            return TRUE;
    }
    return FALSE;
}

static virLockOwner *
virLockfileOwnerNew(const virLockfile *plugin, const virLockDriverResource *resource,
                    guint byte, virLockMode mode)
{
    virLockOwner *owner = g_new0(virLockOwner, 1);

    owner->structSize = sizeof(*owner);
    owner->lockspace = g_strdup(resource->lockspace);
    owner->lease = g_strdup(resource->name);
    owner->mode = mode;
    owner->hold =
        byte == VIR_LOCKFILE_BYTE_LEASE ? VIR_LOCK_HOLD_LEASE : VIR_LOCK_HOLD_BRIDGE;
    owner->hostState = VIR_LOCK_HOST_LIVE;
    owner->seenSec = -1;
    owner->etaSec = -1;
    return owner;
}

static void
virLockfileNameGuest(virLockOwner *owner, const virUseRecord *record)
{
    owner->pid = record->pid;
    owner->sinceUsec = record->timeUsec;
    owner->hostName = g_strdup(record->hostName);
    owner->guestName = g_strdup(record->guestName);
    owner->guestUuid = g_strdup(record->guestUuid);
}

/* The record of the last user, unless it is damaged or stands for nobody. */
static const virUseRecord *
virLockfileLastUser(int fd, const virLockDriverResource *resource, virUseRing *ring)
{
    guint64 base;

    if (!virLockfileReadRing(fd, resource->name, ring, &base, NULL) || ring->doubtful ||
        ring->nRecords == 0 || !*ring->records[0].guestUuid)
        return NULL;
    return &ring->records[0];
}

/* An exclusive lease may be open in what its holder started, too: the one that took it is who
 * the record names. */
static gboolean
virLockfileIsRecorded(const virUseRecord *record, GPtrArray *seen, guint byte)
{
    for (guint i = 0; record && i < seen->len; i++) {
        const virLockfileSeen *one = seen->pdata[i];

        if (one->byte[byte] && one->pid == record->pid)
            return TRUE;
    }
    return FALSE;
}

/* The owners of one byte, which is locked in @mode by others. */
static void
virLockfileOwnersOfByte(const virLockfile *plugin, const virLockDriverResource *resource,
                        const virUseRecord *record, GPtrArray *seen, guint byte,
                        virLockMode mode, GPtrArray *owners)
{
    guint before = owners->len;

    if (mode == VIR_LOCK_MODE_EXCLUSIVE && virLockfileIsRecorded(record, seen, byte)) {
        virLockOwner *owner = virLockfileOwnerNew(plugin, resource, byte, mode);

        virLockfileNameGuest(owner, record);
        g_ptr_array_add(owners, owner);
        return;
    }
    for (guint i = 0; i < seen->len; i++) {
        const virLockfileSeen *one = seen->pdata[i];
        virLockOwner *owner;

        if (!one->byte[byte] || virLockfileIsParent(one, seen, byte))
            continue;
        owner = virLockfileOwnerNew(plugin, resource, byte, mode);
        owner->pid = one->pid;
        owner->hostName = plugin->unsafeNetwork ? NULL : g_strdup(plugin->hostName);
        g_ptr_array_add(owners, owner);
        if (mode == VIR_LOCK_MODE_EXCLUSIVE)
            return;
    }
    if (owners->len > before)
        return;
    /* a process that we may not look at, or on another host: the record is all there is */
    g_ptr_array_add(owners, virLockfileOwnerNew(plugin, resource, byte, mode));
    if (record && mode == VIR_LOCK_MODE_EXCLUSIVE && byte == VIR_LOCKFILE_BYTE_LEASE)
        virLockfileNameGuest(owners->pdata[before], record);
}

static virLockMode
virLockfileModeOfOthers(int fd, guint byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return VIR_LOCK_MODE_NONE;
    return lock.l_type == F_RDLCK ? VIR_LOCK_MODE_SHARED : VIR_LOCK_MODE_EXCLUSIVE;
}

GPtrArray *
virLockfileOwners(const virLockfile *plugin, const virLockDriverResource *resource,
                  int fd)
{
    GPtrArray *owners = g_ptr_array_new_with_free_func((GDestroyNotify)virLockOwnerFree);
    virLockMode lease = virLockfileModeOfOthers(fd, VIR_LOCKFILE_BYTE_LEASE);
    virLockMode bridge = virLockfileModeOfOthers(fd, VIR_LOCKFILE_BYTE_BRIDGE);
    g_autoptr(GPtrArray) seen = NULL;
    const virUseRecord *record;
    virUseRing ring;
    struct stat file;

    if ((lease == VIR_LOCK_MODE_NONE && bridge == VIR_LOCK_MODE_NONE) ||
        fstat(fd, &file) < 0)
        return owners;
    record = virLockfileLastUser(fd, resource, &ring);
    seen = virLockfileScanAll(&file);
    if (lease != VIR_LOCK_MODE_NONE)
        virLockfileOwnersOfByte(plugin, resource, record, seen, VIR_LOCKFILE_BYTE_LEASE,
                                lease, owners);
    if (bridge != VIR_LOCK_MODE_NONE)
        virLockfileOwnersOfByte(plugin, resource, record, seen, VIR_LOCKFILE_BYTE_BRIDGE,
                                bridge, owners);
    return owners;
}

gboolean
virLockfileQueryOwner(gpointer driverData, const virLockDriverResource *resource,
                      GPtrArray **owners, const virLockWait *wait, GError **error)
{
    const virLockfile *plugin = driverData;
    g_autofree char *file = virLockfileName(resource);
    g_autoptr(GError) local = NULL;
    g_auto(virFd) fd = -1;

    if (virLockfileOpenReadOnly(plugin, file, &fd, &local)) {
        *owners = virLockfileOwners(plugin, resource, fd);
        return TRUE;
    }
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    *owners = g_ptr_array_new();
    return TRUE;
}

/* --- the refusal -------------------------------------------------------------------------- */

static void
virLockfileDescribeOwner(GString *text, const virLockOwner *owner)
{
    g_autoptr(GDateTime) when = NULL;
    g_autofree char *at = NULL;

    g_string_append_printf(text, "%s by ",
                           owner->mode == VIR_LOCK_MODE_SHARED ? " shared" : "");
    if (owner->hostName)
        g_string_append_printf(text, "host '%s'", owner->hostName);
    else
        g_string_append(text, "somebody");
    if (owner->guestName)
        g_string_append_printf(text, " for guest '%s'", owner->guestName);
    if (owner->pid)
        g_string_append_printf(text, " (process %d)", (int)owner->pid);
    if (owner->sinceUsec &&
        (when = g_date_time_new_from_unix_local(owner->sinceUsec / G_USEC_PER_SEC))) {
        at = g_date_time_format(when, "%F %T");
        g_string_append_printf(text, " since %s", at);
    }
}

void
virLockfileSetBusy(GError **error, const virLockDriverResource *resource,
                   virLockHold hold, GPtrArray *owners)
{
    g_autoptr(GString) text = g_string_new(resource->label);

    g_string_append(text, hold == VIR_LOCK_HOLD_BRIDGE ? " is reserved for a migration"
                                                       : " is held");
    for (guint i = 0; i < owners->len; i++) {
        const virLockOwner *owner = owners->pdata[i];

        if (owner->hold == hold) {
            virLockfileDescribeOwner(text, owner);
            break;
        }
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY, "%s (lock file %s, errno %d)",
                text->str, resource->name, EAGAIN);
}
