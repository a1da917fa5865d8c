/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_argv.h: the parts of QEMU's command line, one function for each; shared by the
 * domain_argv*.c files only. All texts of the description go through virOpt or JSON, never
 * into an option as they are: a comma in a path must not begin another option.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_DOMAIN_ARGV_H
#define LEASEHOLD_DOMAIN_LOCK_DOMAIN_ARGV_H

#include "domain_priv.h"

/** A command line in the making. */
typedef struct _virArgv {
    const virDomainDef *def;
    const virDomainArgvContext *context;
    GPtrArray *args; /* char * */
} virArgv;

void virArgvAdd(virArgv *argv, const char *option, const char *value);
/** Takes over @opts. */
void virArgvAddOpts(virArgv *argv, const char *option, GString *opts);

/** An option string that begins with @first ("virtio-blk-pci"). */
GString *virOptNew(const char *first);
/** Adds ",key=value", commas of the value doubled. A NULL value adds nothing. */
void virOpt(GString *opts, const char *key, const char *value);
void virOptUint(GString *opts, const char *key, guint64 value); /* 0 adds nothing */
void virOptBool(GString *opts, const char *key,
                virXmlBool value); /* ABSENT adds nothing */
/** ",bus=pci.1,addr=0x2.0x0", ",bootindex=1", ",id=..." */
void virOptPci(GString *opts, const virArgv *argv, const virDomainDevice *dev);
void virOptBoot(GString *opts, const virDomainDevice *dev);
/** "virtio-blk-pci", with the suffix of a (non-)transitional model. */
char *virVirtioName(const char *stem, const char *model);
char *virUsbBus(const virArgv *argv, const virDomainDevice *dev);

void virArgvMachine(virArgv *argv);
void virArgvMonitor(virArgv *argv);
void virArgvActions(virArgv *argv);
void virArgvFirmware(virArgv *argv);
void virArgvControllers(virArgv *argv);
void virArgvDisks(virArgv *argv);
/** "-blockdev" JSON, lowest node first, then "-device" options. */
/** Its nodes alone, lowest first. */
void virArgvDiskNodes(virArgv *argv, const virDomainDisk *disk);
void virArgvDisk(virArgv *argv, const virDomainDisk *disk);
void virArgvNics(virArgv *argv);
void virArgvChars(virArgv *argv);
gboolean virArgvGraphics(virArgv *argv, GError **error);
void virArgvSmallDevices(virArgv *argv);
/** -blockdev of one file: name of the node, flags. */
void virArgvFileNode(virArgv *argv, const char *path, gboolean isBlock, const char *node,
                     gboolean readOnly, gboolean direct, const virDomainDisk *disk);

#endif
