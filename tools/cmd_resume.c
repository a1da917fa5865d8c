/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_resume.c: leasehold resume GUEST
 */
#include "config.h"

#include "tools/tool.h"

int
virToolCmdResume(virTool *tool)
{
    return virToolGuestAct(tool, virDomainLockResume, "runs");
}
