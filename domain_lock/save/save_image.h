/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save_image.h: the header of a file that holds a saved guest (docs/save-format.txt): what
 * the guest is, under which use of its disks it was saved, and where its memory is.
 *
 * Bytes only: nothing here reads a file. What is read may come from anybody.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SAVE_IMAGE_H
#define LEASEHOLD_DOMAIN_LOCK_SAVE_IMAGE_H

#include "domain_lock/spec.h"

#define VIR_SAVE_IMAGE_VERSION 1
/** What precedes the document in a slot. */
#define VIR_SAVE_IMAGE_FIXED 64
/** A file begins with two slots of one size, a power of two within these bounds. */
#define VIR_SAVE_IMAGE_MIN_SLOT (64 * 1024)
#define VIR_SAVE_IMAGE_MAX_SLOT (16 * 1024 * 1024)

/** One lease as it was when the guest was saved: who comes later has to find the same. */
typedef struct _virSaveLease {
    char *name;
    char *path; /* image or key, for messages */
    virLockResourceType type;
    virLockMode mode;
    guint64 epoch; /* 0: it was never used for writing */
    guint hostId;  /* and time: a store that was made anew begins with low epochs again */
    gint64 timeUsec;
} virSaveLease;

typedef struct _virSaveImage {
    /* where the memory is; of the file, not of the document */
    guint64 slotSize;
    guint64 generation; /* of this header: save-image define writes the next one */
    guint64 streamOffset;
    guint64 streamLength;
    guint32 streamCrc; /* CRC-32C */

    char *id; /* a uuid of its own: this save and no other */
    char *name;
    char *uuid;
    gboolean paused; /* how it is restored unless somebody says otherwise */
    gint64 savedUsec;
    char *hostName;
    char *plugin;
    char *qemuVersion;
    gboolean checked;        /* the plugin keeps use records */
    GPtrArray *leases;       /* virSaveLease; without shareable disks */
    GPtrArray *shareable;    /* paths of those */
    virDomainLockSpec *spec; /* the guest: description or command line, flags */
} virSaveImage;

virSaveImage *virSaveImageNew(void);
void virSaveImageFree(virSaveImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSaveImage, virSaveImageFree)
virSaveLease *virSaveImageAddLease(virSaveImage *image, const char *name,
                                   const char *path);
const virSaveLease *virSaveImageFindLease(const virSaveImage *image, const char *name);

/** The slot size that leaves room for the description to grow. */
guint64 virSaveImageRoom(const virSaveImage *image);
/** One slot, virSaveImage.slotSize bytes, to be freed with g_free; NULL with CONFIG when the
 * description is longer than the slot. */
guint8 *virSaveImageEncode(const virSaveImage *image,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
    VIR_SAVE_SLOT_GOOD = 0, /* the fixed part makes sense; the whole has to be decoded */
    VIR_SAVE_SLOT_FOREIGN,  /* not a saved guest */
    VIR_SAVE_SLOT_NEWER,    /* written by a later version */
} virSaveSlot;
/** Judges the fixed part; *slotSize is set when it is GOOD. */
virSaveSlot virSaveImagePeek(const guint8 *bytes, gsize len, guint64 *slotSize);
/** Decodes one slot (@len: its size or less). CONFIG says what is wrong with it. */
virSaveImage *virSaveImageDecode(const guint8 *bytes, gsize len,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
