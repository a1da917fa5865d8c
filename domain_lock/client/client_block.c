/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_block.c: the block operations, from the caller's side.
 */
#include "client.h"
#include <string.h>

/* A caller that was built against an older header gives a shorter struct. */
static virDomainLockBlockOptions
virBlockOptionsOf(const virDomainLockBlockOptions *options)
{
    virDomainLockBlockOptions copy = {0};

    if (options)
        memcpy(&copy, options, MIN(options->structSize, sizeof(copy)));
    return copy;
}

static const char *
virBlockText(const char *text)
{
    return text ? text : "";
}

gboolean
virDomainLockSnapshotDisks(virDomainLock *dom, const virDomainLockOverlay *overlays,
                           gsize n, guint flags, const virLockWait *wait, GError **error)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ss)"));
    for (gsize i = 0; i < n; i++)
        g_variant_builder_add(&builder, "(ss)", overlays[i].target, overlays[i].path);
    return virDomainLockCallJob(dom, "SnapshotDisk",
                                g_variant_new("(a(ss)u)", &builder, flags), wait, error);
}

gboolean
virDomainLockBlockCommit(virDomainLock *dom, const char *target,
                         const virDomainLockBlockOptions *options,
                         const virLockWait *wait, GError **error)
{
    const virDomainLockBlockOptions o = virBlockOptionsOf(options);

    return virDomainLockCallJob(dom, "BlockCommit",
                                g_variant_new("(ssstu)", target, virBlockText(o.top),
                                              virBlockText(o.base), o.bandwidth, o.flags),
                                wait, error);
}

gboolean
virDomainLockBlockPull(virDomainLock *dom, const char *target,
                       const virDomainLockBlockOptions *options, const virLockWait *wait,
                       GError **error)
{
    const virDomainLockBlockOptions o = virBlockOptionsOf(options);

    return virDomainLockCallJob(
        dom, "BlockPull",
        g_variant_new("(sstu)", target, virBlockText(o.base), o.bandwidth, o.flags), wait,
        error);
}

gboolean
virDomainLockBlockCopy(virDomainLock *dom, const char *target, const char *dest,
                       const virDomainLockBlockOptions *options, const virLockWait *wait,
                       GError **error)
{
    const virDomainLockBlockOptions o = virBlockOptionsOf(options);

    return virDomainLockCallJob(dom, "BlockCopy",
                                g_variant_new("(ssstu)", target, dest,
                                              virBlockText(o.format), o.bandwidth,
                                              o.flags),
                                wait, error);
}
