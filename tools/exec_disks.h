/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec_disks.h: the --disk options of `leasehold exec`.
 */
#ifndef LEASEHOLD_TOOLS_EXEC_DISKS_H
#define LEASEHOLD_TOOLS_EXEC_DISKS_H

#include "tools/tool.h"

/** PATH[,readonly|,shared][,format=FORMAT], each; virDomainLockImage. NULL: a usage error was
 * reported. */
GPtrArray *virToolExecDisksParse(virTool *tool, GStrv texts) G_GNUC_WARN_UNUSED_RESULT;
/** The same files with the same flags? */
gboolean virToolExecDisksEqual(GPtrArray *a, GPtrArray *b);

#endif
