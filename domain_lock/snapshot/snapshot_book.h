/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_book.h: what a snapshot was of: the "book" beside an image.
 *
 * That a snapshot exists is what the images say, because they are what all hosts share. What a
 * qcow2 image has no room for is in a file beside it: which guest it was, with the whole
 * description, which disks belong together, and which snapshot the guest goes back to. The
 * file is "<image>.snapshots" beside the first disk, so that whoever has the image has the
 * book; for a block device it is in the state folder of the host that made it, because beside
 * a device there is no place. It is written only by who holds the lease of the image, whole or
 * not at all.
 *
 * The book is believed only as far as the images bear it out: an entry whose snapshot is in no
 * image any more is forgotten, and one that was made anew under the same name (another id or
 * time in the image) is not taken for the old one.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SNAPSHOT_BOOK_H
#define LEASEHOLD_DOMAIN_LOCK_SNAPSHOT_BOOK_H

#include "domain_lock/image/image_snapshots.h"
#include <leasehold/domain_lock.h>

/** One disk of a guest, as it was when the snapshot was made, or as it is now. */
typedef struct _virSnapshotDisk {
    char *target;
    char *path;
    char *format;
    char *lease;       /* its name on every host; the path, where it has no identity */
    GStrv chain;       /* the same of its backing files, uppermost first */
    gboolean included; /* FALSE: the guest only reads it */
    gboolean isBlock;
    gboolean shared;        /* other guests write to it, too */
    guint64 epoch;          /* of its use record; 0: not known */
    virImageSnapshot *mark; /* as its image has it; NULL: not (yet) */
} virSnapshotDisk;

void virSnapshotDiskFree(virSnapshotDisk *disk);

typedef struct _virSnapshotEntry {
    char *name;
    char *description; /* of a person; NULL */
    char *parent;      /* name; NULL */
    char *guestName;
    char *guestUuid;
    char *hostName;
    char *xml; /* the guest at that moment */
    gint64 createdUsec;
    virDomainLockState state; /* RUNNING, PAUSED, SHUTOFF */
    gboolean unsafeCache;     /* the guest was started with UNSAFE_CACHE */
    gboolean pending;         /* is being made; or was, when whoever made it died */
    GPtrArray *disks;         /* virSnapshotDisk */
} virSnapshotEntry;

virSnapshotEntry *virSnapshotEntryNew(void);
void virSnapshotEntryFree(virSnapshotEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSnapshotEntry, virSnapshotEntryFree)

typedef struct _virSnapshotBook {
    char *path;
    char *image; /* that it stands beside */
    char *
        current; /* name of the one that the guest goes back to, or was made last; NULL */
    char *reverting; /* name of the one that a revert has begun to bring back, and has not
                      * ended; NULL */
    GPtrArray *entries; /* virSnapshotEntry, oldest first */
} virSnapshotBook;

void virSnapshotBookFree(virSnapshotBook *book);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSnapshotBook, virSnapshotBookFree)

/** Where the book of this disk is; g_free. */
char *virSnapshotBookPath(const virSnapshotDisk *disk, const char *stateDir);
/** An empty one if there is none. CONFIG: the file is damaged, or of a later version. */
virSnapshotBook *virSnapshotBookLoad(const virSnapshotDisk *disk, const char *stateDir,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** On stable storage, whole, when it returns TRUE; else the old one stays. An empty book is no
 * file. Only with the lease of the image. TIMEOUT: the storage has not answered, and if it does
 * later nothing is written. INDETERMINATE: it was about to get its name, and may have it. */
gboolean virSnapshotBookSave(const virSnapshotBook *book,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** virSnapshotBookWrite: the same with any @text; NULL: there shall be no file. */
gboolean virSnapshotBookWrite(const char *path, const char *image, const char *text,
                              guint sec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Takes @text as a book would be read (a test's way in). */
gboolean virSnapshotBookParse(virSnapshotBook *book, const char *text,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

virSnapshotEntry *virSnapshotBookFind(const virSnapshotBook *book, const char *name);
/** Forgets an entry; the children of it become those of its parent. */
void virSnapshotBookRemove(virSnapshotBook *book, const char *name);

#endif
