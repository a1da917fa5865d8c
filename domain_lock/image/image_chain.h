/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_chain.h: which files a disk image consists of.
 *
 * An image's format is what its description says, never what it looks like: a guest that
 * writes a qcow2 header into its raw disk must not make its host open other files. The top
 * image's format comes from the domain, each backing file's from the header above it.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_IMAGE_CHAIN_H
#define LEASEHOLD_DOMAIN_LOCK_IMAGE_CHAIN_H

#include <gio/gio.h>

#define VIR_IMAGE_MAX_DEPTH 200 /* as libvirt's */

/** virImage: one file or block device of a chain. */
typedef struct _virImage {
    char *path; /* absolute, spelled as the description or the header above has it */
    char *format;
    char *dataFile; /* qcow2 with external data: absolute path of it, else NULL */
    gboolean isBlock;
    gboolean dataFileIsBlock;
    gboolean encrypted;
    gboolean doubtful; /* used as raw, and begins like qcow2; known when it was looked at */
    gboolean directIo; /* its storage can do O_DIRECT, its data file's too */
    guint64 device, inode;
    guint node; /* its number in the names of QEMU's nodes; no other image of its disk has it */
} virImage;

/** virImageChain: the top image first. */
typedef struct _virImageChain {
    GPtrArray *images;
} virImageChain;

virImage *virImageCopy(const virImage *image);
void virImageFree(virImage *image);
/** An empty one. */
virImageChain *virImageChainNew(void);

/**
 * virImageChainRead:
 * @path: absolute
 * @format: of the top image
 * @what: how a message calls it: "disk 'vda'"
 *
 * Reads with O_DIRECT where that is possible, so that it sees what another host wrote, not
 * what this host remembers. Blocks as long as the storage does; @cancellable is looked at
 * between images. CONFIG for what has to be changed (missing image, loop, protocol name,
 * backing file without format), UNAVAILABLE for storage that fails. The images are numbered
 * from 0, the top one's.
 */
virImageChain *virImageChainRead(const char *path, const char *format, const char *what,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same, and looks at how raw images begin, for people who forgot to say the format: what
 * they look like changes nothing else. */
virImageChain *virImageChainReadAndLook(const char *path, const char *format,
                                        const char *what, GCancellable *cancellable,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** @chain is another reading of @seen, of which it is known how its images look. */
void virImageChainRecall(virImageChain *chain, const virImageChain *seen);
/** How long the images of a guest that runs are waited for. */
#define VIR_IMAGE_READ_SEC 20
/** As virImageChainReadAndLook, but TIMEOUT when the storage has not answered after @sec. */
virImageChain *virImageChainReadWithin(const char *path, const char *format,
                                       const char *what, guint sec,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virImageChainFree(virImageChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virImageChain, virImageChainFree)

/**
 * virImagePeek: the other files that @path names if it begins like a qcow2 image: its backing
 * file and its external data file, absolute; empty if there are none. For refusals only: what
 * an image looks like is the word of whoever wrote it. NULL: as for virImageChainRead.
 */
GPtrArray *virImagePeek(const char *path, const char *what,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** What a header says, for both readers of headers; free the strings with virImageHeaderClear. */
typedef struct _virImageHeader {
    char *backing; /* as stored; NULL: none */
    char *backingFormat;
    char *dataFile; /* as stored */
    gboolean encrypted;
} virImageHeader;
void virImageHeaderClear(virImageHeader *header);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virImageHeader, virImageHeaderClear)

#define VIR_IMAGE_QCOW2_MAX_CLUSTER (2 * 1024 * 1024)
/** How much of the file virImageQcow2Parse wants to see, from its first 512 bytes: one
 * cluster. 0 when it is not qcow2. */
gsize virImageQcow2HeaderSize(const guint8 *data, gsize len);
/**
 * virImageQcow2Parse: the header in @data, the first @len bytes of the file (a cluster, or
 * all if it is smaller). Does no I/O. CONFIG, without the name of the image.
 */
gboolean virImageQcow2Parse(const guint8 *data, gsize len, virImageHeader *header,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Formats that we leave to qemu-img (vmdk, vdi, ...). */
gboolean virImageInfoKnows(const char *format);
gboolean virImageInfoRead(const char *path, const char *format, gboolean isBlock,
                          GCancellable *cancellable, virImageHeader *header,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same from qemu-img's answer. */
gboolean virImageInfoParse(const char *json, gssize len, const char *path,
                           virImageHeader *header,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
