/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save_file.h: files with a saved guest: whole, or not there.
 *
 * Writing: VirSaveWriter makes a file of another name beside the one that is wanted, fills it
 * (from any one thread at a time), writes its header last and renames it. Reading: the header
 * is believed only if the file is exactly as long as it says.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SAVE_FILE_H
#define LEASEHOLD_DOMAIN_LOCK_SAVE_FILE_H

#include "save_image.h"

/** How much is read or written at a time; also the alignment that O_DIRECT gets. */
#define VIR_SAVE_CHUNK (1024 * 1024)
#define VIR_SAVE_ALIGN 4096

typedef enum {
    VIR_SAVE_FILE_DIRECT = 1 << 0, /* past the host's page cache */
} virSaveFileFlags;

/* --- writing ------------------------------------------------------------------------ */

typedef struct _virSaveWriter virSaveWriter;

/**
 * virSaveWriterNew:
 * @path: absolute; a directory or a device is CONFIG
 * @tag: distinguishes writers; what an earlier one of the same tag left is replaced
 * @offset: where the stream will begin
 */
virSaveWriter *virSaveWriterNew(const char *path, const char *tag, guint64 offset,
                                guint flags, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Removes what a writer that was killed left. */
void virSaveWriterSweep(const char *path, const char *tag);
/** Closes; removes the file unless it was published. */
void virSaveWriterFree(virSaveWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSaveWriter, virSaveWriterFree)
/** Reads @fd to its end into the file. *@moved grows while it runs (atomically). */
gboolean virSaveWriterFill(virSaveWriter *writer, int fd, gint64 *moved,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Length and checksum of what was filled in go into @image, and that becomes the header;
 * then all is on stable storage. */
gboolean virSaveWriterSeal(virSaveWriter *writer, virSaveImage *image,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The file gets its name, and stays. After a failure it may have it: *@uncertain. */
gboolean virSaveWriterPublish(virSaveWriter *writer, gboolean *uncertain,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- writing to storage that may not answer (save_within.c) --------------------------- */

/** What an action works with, and keeps when it is left behind. */
typedef struct _virSaveWork {
    char *path;
    guint flags;
    virSaveImage *image;
    virSaveWriter *writer;
    gboolean uncertain; /* as of Publish */
} virSaveWork;
/** @abandoned becomes TRUE when nobody waits any more. */
typedef gboolean (*virSaveAction)(virSaveWork *work, const gint *abandoned,
                                  GError **error);
gboolean virSaveActionNew(virSaveWork *work, const gint *abandoned, GError **error);
gboolean virSaveActionSeal(virSaveWork *work, const gint *abandoned, GError **error);
gboolean virSaveActionPublish(virSaveWork *work, const gint *abandoned, GError **error);
/**
 * virSaveWithin: does @action in a thread.
 * @sec: how long it is waited for; 0: until somebody cancels
 *
 * CANCELLED or TIMEOUT: it goes on, and has all of @work, which is empty then.
 */
gboolean virSaveWithin(virSaveWork *work, virSaveAction action, GCancellable *cancellable,
                       guint sec, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- reading ------------------------------------------------------------------------ */

/** Opens a file and reads its header; CONFIG: no saved guest, not whole, a later version,
 * damaged. @image is the newer of both headers. Returns the descriptor (CLOEXEC), or -1. */
int virSaveFileOpen(const char *path, guint flags, virSaveImage **image,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The header alone. */
virSaveImage *virSaveFileRead(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Replaces the header: at any moment the file has the old one or the new one. */
gboolean virSaveFileRewrite(const char *path, virSaveImage *image,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virSaveFileDrain: writes the stream to @out but its last byte, which is left in *@last;
 * INTERNAL when the checksum is another. @out is the caller's, to be closed by it.
 *
 * EPIPE ends it with UNAVAILABLE: whoever reads is gone.
 */
gboolean virSaveFileDrain(int fd, const virSaveImage *image, int out, guint8 *last,
                          gint64 *moved, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
