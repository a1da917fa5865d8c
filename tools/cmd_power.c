/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_power.c: leasehold power GUEST [suspend|hibernate|hybrid|wakeup] [--duration SEC]
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

/* What became of it, for the sentence "guest 'web' ...". */
static const char *const results[VIR_DOMAIN_LOCK_POWER_TARGETS] = {
    [VIR_DOMAIN_LOCK_POWER_SUSPEND] = "is suspended; its leases stay held",
    [VIR_DOMAIN_LOCK_POWER_HIBERNATE] = "is hibernated",
    [VIR_DOMAIN_LOCK_POWER_HYBRID] =
        "is suspended, its memory is on its disk too; its leases "
        "stay held",
    [VIR_DOMAIN_LOCK_POWER_WAKEUP] = "is awake",
};

static void
virToolPowerPrint(const virDomainLockPower *power)
{
    gint64 left = (power->wakeupUsec - g_get_real_time()) / G_USEC_PER_SEC;
    g_autofree char *span = virToolFormatSpan(MAX(left, 0));
    g_autofree char *wakeup = g_strdup_printf("in %s", span);

    virToolField("Power:", virDomainLockPowerStateName(power->state));
    virToolField("Woken:", power->wakeupUsec ? wakeup : NULL);
    for (guint i = 0; i < VIR_DOMAIN_LOCK_POWER_TARGETS; i++) {
        g_autofree char *label = g_strdup_printf("%s:", virDomainLockPowerTargetName(i));
        g_autofree char *value = power->whyNot[i]
                                     ? g_strdup_printf("no: %s", power->whyNot[i])
                                     : g_strdup("yes");

        virToolField(label, value);
    }
}

static void
virToolPowerJson(virDomainLock *dom, const virDomainLockPower *power)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", virDomainLockGetName(dom));
    virToolJsonString(builder, "uuid", virDomainLockGetUuid(dom));
    virToolJsonString(builder, "power", virDomainLockPowerStateName(power->state));
    virToolJsonTime(builder, "wakeup", power->wakeupUsec);
    json_builder_set_member_name(builder, "why_not");
    json_builder_begin_object(builder);
    for (guint i = 0; i < VIR_DOMAIN_LOCK_POWER_TARGETS; i++)
        virToolJsonString(builder, virDomainLockPowerTargetName(i), power->whyNot[i]);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

static int
virToolPowerShow(virTool *tool)
{
    g_autoptr(virDomainLock) dom = virToolGuest(tool, tool->args[0]);
    g_autoptr(virDomainLockPower) power = NULL;
    g_autoptr(GError) error = NULL;

    if (!dom)
        return tool->exitStatus;
    power = virDomainLockGetPowerState(dom, &error);
    if (!power)
        return virToolFail(tool, error);
    if (tool->json)
        virToolPowerJson(dom, power);
    else
        virToolPowerPrint(power);
    return VIR_TOOL_EXIT_OK;
}

static int
virToolPowerSet(virTool *tool, virDomainLockPowerTarget target, guint durationSec)
{
    g_autoptr(virDomainLock) dom = virToolGuest(tool, tool->args[0]);
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;

    if (!dom)
        return tool->exitStatus;
    if (!virDomainLockSetPowerState(dom, target, durationSec, 0, &error))
        return virToolFail(tool, error);
    sentence = durationSec > 0
                   ? g_strdup_printf("%s; it is woken %u s after the request",
                                     target == VIR_DOMAIN_LOCK_POWER_HIBERNATE
                                         ? "is hibernated; its leases stay held"
                                         : results[target],
                                     durationSec)
                   : g_strdup(results[target]);
    return virToolReportGuest(tool, dom, sentence);
}

int
virToolCmdPower(virTool *tool)
{
    int durationSec = -1;
    const GOptionEntry entries[] = {
        {"duration", 0, 0, G_OPTION_ARG_INT, &durationSec,
         "wake the guest after this many seconds", "SEC"},
        {NULL},
    };
    guint target = 0;

    if (!virToolParse(tool, entries, 1, 2))
        return tool->exitStatus;
    if (durationSec == 0 || durationSec < -1)
        return virToolUsage(tool, "--duration needs a positive number of seconds");
    if (!tool->args[1] && durationSec != -1)
        return virToolUsage(tool, "--duration is for suspend, hibernate and hybrid");
    if (!tool->args[1])
        return virToolPowerShow(tool);
    while (target < VIR_DOMAIN_LOCK_POWER_TARGETS &&
           strcmp(virDomainLockPowerTargetName(target), tool->args[1]) != 0)
        target++;
    if (target == VIR_DOMAIN_LOCK_POWER_TARGETS)
        return virToolUsage(
            tool,
            "there is no power state '%s': suspend, hibernate, hybrid and "
            "wakeup are",
            tool->args[1]);
    if (target == VIR_DOMAIN_LOCK_POWER_WAKEUP && durationSec != -1)
        return virToolUsage(tool, "--duration is for a sleep, not for wakeup");
    return virToolPowerSet(tool, target, (guint)MAX(durationSec, 0));
}
