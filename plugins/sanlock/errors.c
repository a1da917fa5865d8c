/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * errors.c: one table for all return codes of sanlock 3.8.5 to 5.1.
 *
 * The numbers are those of sanlock_rv.h; the codes that 4.x and 5.x added or moved are given
 * by number, because 3.8.5's header does not have them.
 */
#include "plugins/sanlock/errors.h"

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>
#include "plugins/sanlock/libsanlock.h"

#define NEVER VIR_SANLOCK_RETRY_NEVER
#define AT_ONCE VIR_SANLOCK_RETRY_AT_ONCE
#define SHORTLY VIR_SANLOCK_RETRY_SHORTLY
#define WAIT VIR_SANLOCK_RETRY_BUSY
#define E(rv, code, retry, text)                                                         \
    {                                                                                    \
        rv, VIR_LOCK_ERROR_##code, retry, text                                           \
    }

static const virSanlockError errorTable[] = {
    /* errno, as the daemon or the connection to it gives it */
    E(-1, INTERNAL, NEVER, "sanlock broke off, or does not know the lease"),
    E(-ENOENT, STATE, NEVER, "sanlock does not know it"),
    E(-ESRCH, STATE, NEVER,
      "the guest process is not registered with sanlock (it ended?)"),
    E(-E2BIG, INTERNAL, NEVER, "too many leases in one call"),
    E(-EAGAIN, BUSY, SHORTLY, "this host is still giving it up, or it is held shared"),
    E(-ENOMEM, UNAVAILABLE, NEVER, "sanlock is out of memory"),
    E(-EACCES, CONFIG, NEVER,
      "no permission to talk to sanlock; add this user to its group"),
    E(-EPERM, CONFIG, NEVER, "sanlock does not permit it"),
    E(-EBUSY, UNAVAILABLE, SHORTLY, "sanlock is busy with another call for it"),
    E(-EEXIST, BUSY, NEVER, "another guest of this host holds it"),
    E(-EINVAL, CONFIG, NEVER, "sanlock rejects the arguments"),
    E(-EIO, UNAVAILABLE, NEVER, "the storage of the store reports an I/O error"),
    E(-ENOTTY, STATE, NEVER, "the guest process ended meanwhile"),
    E(-ESTALE, STATE, NEVER, "the guest process ended meanwhile"),
    E(-ENOSPC, NOT_JOINED, NEVER,
      "this host is not in the lockspace, or lost it; run 'leasehold host join'"),
    E(-ERANGE, INTERNAL, NEVER, "wrong number of disks"),
    E(-EMSGSIZE, CONFIG, NEVER, "the place lies behind the end of the store"),
    E(-EPIPE, UNAVAILABLE, NEVER, "the sanlock daemon died"),
    E(-ECONNRESET, UNAVAILABLE, NEVER, "the sanlock daemon died"),
    E(-ECONNREFUSED, UNAVAILABLE, NEVER, "the sanlock daemon is not running"),
    E(-ENOTCONN, INTERNAL, NEVER, "sanlock got a short message"),
    E(-EALREADY, STATE, NEVER, "it has this mode already"),
    E(-EINPROGRESS, UNAVAILABLE, SHORTLY, "a join or leave of the lockspace is running"),
    E(-EUCLEAN, BUSY, NEVER, "a guest of this host died and left it as an orphan"),
    E(-ELIBSCN, CONFIG, NEVER, "a lease name or path of this client has a space in it"),

    E(SANLK_ERROR, UNAVAILABLE, NEVER, "sanlock gave up, or was told to"),
    E(SANLK_AIO_TIMEOUT, UNAVAILABLE, NEVER,
      "the storage of the store did not answer in time"),
    E(SANLK_WD_ERROR, CONFIG, NEVER,
      "sanlock cannot use the watchdog: wdmd is not running, or has no /dev/watchdog"),
    E(-204, CONFIG, NEVER,
      "the store has a format version that this sanlock does not know"),

    E(SANLK_DBLOCK_READ, UNAVAILABLE, NEVER, "I/O error reading the ballot of the lease"),
    E(SANLK_DBLOCK_WRITE, UNAVAILABLE, NEVER,
      "I/O error writing the ballot of the lease"),
    E(SANLK_DBLOCK_LVER, UNAVAILABLE, AT_ONCE, "lost a ballot"),
    E(SANLK_DBLOCK_MBAL, UNAVAILABLE, AT_ONCE, "lost a ballot"),
    E(SANLK_DBLOCK_CHECKSUM, UNAVAILABLE, NEVER, "the ballot of the lease is corrupt"),

    E(SANLK_LEADER_READ, UNAVAILABLE, NEVER, "I/O error reading the store"),
    E(SANLK_LEADER_WRITE, UNAVAILABLE, NEVER, "I/O error writing the store"),
    E(SANLK_LEADER_DIFF, UNAVAILABLE, NEVER, "the copies of the lease differ"),
    E(SANLK_LEADER_MAGIC, CONFIG, NEVER,
      "there is no lease: the store is not formatted, was truncated, or is not this "
      "file"),
    E(SANLK_LEADER_VERSION, CONFIG, NEVER, "another generation of sanlock formatted it"),
    E(SANLK_LEADER_SECTORSIZE, CONFIG, NEVER, "it was formatted for another sector size"),
    E(SANLK_LEADER_LOCKSPACE, CONFIG, NEVER, "it belongs to another lockspace"),
    E(SANLK_LEADER_RESOURCE, CONFIG, NEVER, "another lease is at its place"),
    E(SANLK_LEADER_NUMHOSTS, CONFIG, NEVER,
      "the host id is larger than the store was created for"),
    E(SANLK_LEADER_CHECKSUM, UNAVAILABLE, NEVER, "the lease is corrupt"),
    E(SANLK_ADDLS_SIZES, CONFIG, NEVER, "sector size and alignment do not fit"),
    E(SANLK_ADDLS_INVALID_HOSTID, CONFIG, NEVER, "the host id is not possible"),

    E(SANLK_ACQUIRE_LVER, STALE, NEVER, "somebody else owned it since"),
    E(SANLK_ACQUIRE_LOCKSPACE, CONFIG, NEVER, "its owner's lockspace is not known here"),
    E(SANLK_ACQUIRE_IDDISK, UNAVAILABLE, NEVER, "its owner's lockspace cannot be opened"),
    E(SANLK_ACQUIRE_IDLIVE, BUSY, WAIT, "a live host holds it"),
    E(SANLK_ACQUIRE_OWNED, BUSY, WAIT, "another host was faster"),
    E(SANLK_ACQUIRE_OTHER, BUSY, AT_ONCE, "another host was faster"),
    E(SANLK_ACQUIRE_SHRETRY, BUSY, AT_ONCE, "too many hosts want it at once"),
    E(SANLK_ACQUIRE_OWNED_RETRY, BUSY, WAIT,
      "a host holds it that is silent, but not yet dead"),
    E(-248, UNAVAILABLE, NEVER,
      "the generation of its owner went backwards: the store was restored from a copy"),
    E(-249, BUSY, NEVER, "its owner failed and must be fenced by hand"),

    /* 250 and 251 moved to 252 and 253 in 5.0 */
    E(SANLK_RELEASE_LVER, LOST, NEVER, "it changed hands under us"),
    E(SANLK_RELEASE_OWNER, LOST, NEVER, "the store names another owner"),
    E(-252, LOST, NEVER, "it changed hands under us"),
    E(-253, LOST, NEVER, "the store names another owner"),

    E(SANLK_RENEW_OWNER, LOST, NEVER,
      "another host took this host's id: two hosts have the same host_id"),
    E(SANLK_RENEW_DIFF, LOST, NEVER,
      "another host took this host's id: two hosts have the same host_id"),
    E(SANLK_HOSTID_BUSY, CONFIG, NEVER,
      "another host uses this host_id; give each host its own"),
    E(-263, LOST, NEVER, "this host was declared dead"),

    E(SANLK_REQUEST_MAGIC, CONFIG, NEVER, "its request record is damaged"),
    E(SANLK_REQUEST_VERSION, CONFIG, NEVER, "its request record has another version"),
    E(SANLK_REQUEST_OLD, UNAVAILABLE, NEVER, "the request is out of date"),
    E(SANLK_REQUEST_LVER, UNAVAILABLE, NEVER, "the request is out of date"),
    E(SANLK_RINDEX_MAGIC, CONFIG, NEVER, "there is no lease index"),
    E(SANLK_RINDEX_VERSION, CONFIG, NEVER, "the lease index has an unknown version"),
    E(SANLK_RINDEX_LOCKSPACE, CONFIG, NEVER,
      "the lease index belongs to another lockspace"),
    E(SANLK_RINDEX_OFFSET, CONFIG, NEVER,
      "the lease index believes to be at another place"),
    E(SANLK_RINDEX_DIFF, CONFIG, NEVER, "the lease index and the lease disagree"),

    E(-280, UNAVAILABLE, NEVER, "the generation of this host is another one"),
    E(-281, CONFIG, NEVER, "the storage does not do compare-and-write"),
    E(-282, CONFIG, NEVER, "compare-and-write is not set up for this lease"),
    E(-283, UNAVAILABLE, NEVER, "compare-and-write failed"),
    E(-284, UNAVAILABLE, NEVER, "compare-and-write failed"),
    E(-285, BUSY, AT_ONCE, "another host was faster"),
    E(-286, UNAVAILABLE, NEVER, "compare-and-write failed"),
    E(-287, UNAVAILABLE, NEVER, "compare-and-write failed"),
    E(-288, UNAVAILABLE, NEVER, "compare-and-write failed"),
};

const virSanlockError *
virSanlockErrorLookup(int rv)
{
    static const virSanlockError unknown = {0, VIR_LOCK_ERROR_INTERNAL, NEVER,
                                            "sanlock answers something unknown"};

    for (gsize i = 0; i < G_N_ELEMENTS(errorTable); i++)
        if (errorTable[i].rv == rv)
            return &errorTable[i];
    return &unknown;
}

void
virSanlockErrorSet(GError **error, int rv, const char *format, ...)
{
    const virSanlockError *entry = virSanlockErrorLookup(rv);
    g_autofree char *prefix = NULL;
    va_list args;

    va_start(args, format);
    prefix = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VIR_LOCK_ERROR, entry->code, "%s: %s (sanlock %d)", prefix,
                entry->text, rv);
}

gboolean
virSanlockErrorIsConnection(int rv)
{
    return rv == -ECONNREFUSED || rv == -ECONNRESET || rv == -EPIPE || rv == -EACCES ||
           rv == -ENOENT;
}
