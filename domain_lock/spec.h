/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spec.h: what the starter tells a new supervisor, as one line of JSON over the inherited
 * socket: the description of the guest, the configuration file, flags and bounds.
 *
 * Lines of the starter:     the spec; later perhaps {"cancel": true}
 * Lines of the supervisor:  {"progress": {...}} now and then, at the end one of
 *                           {"ready": {the guest, as in state.json}} and
 *                           {"error": {"code", "message"}}
 * The end of the file without a cancel changes nothing: the start goes on.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SPEC_H
#define LEASEHOLD_DOMAIN_LOCK_SPEC_H

#include "codec.h"
#include "runtime.h"

#define VIR_SPEC_VERSION 1
/** Longest line either side accepts. */
#define VIR_SPEC_MAX (16 * 1024 * 1024)
/** GLIBC_TUNABLES of a supervisor: what malloc keeps beside its heap for each thread is 90 KiB
 * of one that is idle, and mallopt cannot tell it not to. */
#define VIR_SPEC_TUNABLES "glibc.malloc.tcache_count=0"

/** Argument of a supervisor with the name of its guest, for ps. It is told the guest when it runs
 * already, and writes what fits into the room that it was given. */
#define VIR_SPEC_GUEST_ARG "--guest="
#define VIR_SPEC_GUEST_ROOM 256

typedef struct _virDomainLockSpec {
    char *attach;  /* uuid of a guest that runs and has lost its supervisor: what it was
                    * started from is not told then. NULL: a start */
    char *xml;     /* or NULL: a foreign command line */
    char *packed;  /* the same, parsed by the starter (xml_packed.h); not kept; or NULL */
    char *name;    /* of a foreign command line, like all down to argv */
    char *uuid;    /* or NULL */
    GArray *disks; /* virDomainLockDisk; paths owned by diskPaths */
    GPtrArray *diskPaths;
    char **argv;
    char *configPath;    /* NULL: the default one */
    guint flags;         /* virDomainLockCreateFlags */
    virDomainLockProcess owner; /* AUTODESTROY: whose end is the guest's; else no pid */
    JsonObject *incoming; /* the guest comes from another host: what that asks for
                           * (migrate_channel.h); else NULL */
    int channel[2];       /* to that host: in, out; inherited by number, -1: none */
    JsonObject *restore; /* the guest comes from a file: "path", "id" and "generation" of the
                          * file that was looked at, "flags" (virDomainLockSaveFlagsType); or
                          * NULL */
    JsonObject *snapshot; /* work on the snapshots of a guest that does not run: "op", "name",
                           * "description", "flags" (snapshot_offline.c); or NULL */
    char *discard;       /* a saved guest that is of no use any more once this one runs */
    gint64 deadlineUsec; /* CLOCK_MONOTONIC: both ends are on one machine */
    gint64 busyUsec;
} virDomainLockSpec;

virDomainLockSpec *virDomainLockSpecNew(void);
void virDomainLockSpecFree(virDomainLockSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockSpec, virDomainLockSpecFree)
void virDomainLockSpecSetCommand(virDomainLockSpec *spec,
                                 const virDomainLockCommand *command);

/** The guest alone: neither where it comes from nor the bounds of its start. */
virDomainLockSpec *virDomainLockSpecCopyGuest(const virDomainLockSpec *spec);

JsonObject *virDomainLockSpecToJson(const virDomainLockSpec *spec);
virDomainLockSpec *virDomainLockSpecFromJson(JsonObject *object,
                                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

JsonObject *virDomainLockProgressToJson(const virLockProgress *progress);
/** Calls @func with what @object says. */
void virDomainLockProgressFromJson(JsonObject *object, virLockProgressFunc func,
                                   gpointer data);

#endif
