/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_reset.c: leasehold reset GUEST
 */
#include "config.h"

#include "tools/tool.h"

int
virToolCmdReset(virTool *tool)
{
    return virToolGuestAct(tool, virDomainLockReset, "was reset");
}
