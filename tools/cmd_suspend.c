/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_suspend.c: leasehold suspend GUEST
 */
#include "config.h"

#include "tools/tool.h"

int
virToolCmdSuspend(virTool *tool)
{
    return virToolGuestAct(tool, virDomainLockSuspend, "is paused; its leases stay held");
}
