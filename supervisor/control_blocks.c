/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_blocks.c: SnapshotDisk, BlockCommit, BlockPull, BlockCopy: jobs that take long.
 */
#include "supervisor/supervisor.h"

/* QEMU's speed is a signed number */
#define CONTROL_MAX_BANDWIDTH ((guint64)G_MAXINT64)

typedef gboolean (*virControlBlockFunc)(virDomainLockObj *obj,
                                        const virDomainLockBlockSpec *spec,
                                        GError **error);

typedef struct {
    virControlBlockFunc func;
    virDomainLockBlockSpec *spec;
} virControlBlock;

static void
virControlBlockFree(gpointer data)
{
    virControlBlock *block = data;

    virDomainLockBlockSpecFree(block->spec);
    g_free(block);
}

static gboolean
virControlBlockRun(virDomainLockObj *obj, gpointer data, GError **error)
{
    virControlBlock *block = data;

    return block->func(obj, block->spec, error);
}

/* Takes @spec. */
static void
virControlBlockAdd(virSupervisorControl *control, GDBusMethodInvocation *invocation,
                   const char *name, virControlBlockFunc func,
                   virDomainLockBlockSpec *spec)
{
    virControlBlock *block = g_new0(virControlBlock, 1);
    virSupervisorLongJob job = {.name = name,
                                .run = virControlBlockRun,
                                .free = virControlBlockFree,
                                .data = block};

    block->func = func;
    block->spec = spec;
    virSupervisorControlLong(control, &job, invocation);
}

/* Answers and frees @spec unless it can be understood. */
static gboolean
virControlBlockCheck(virDomainLockBlockSpec *spec, guint known,
                     GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) error = NULL;

    if (spec->flags & ~known)
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                            "flags %#x are not known", spec->flags & ~known);
    else if (spec->bandwidth > CONTROL_MAX_BANDWIDTH)
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                            "a bandwidth of %" G_GUINT64_FORMAT " is too large",
                            spec->bandwidth);
    else if (!spec->targets || !spec->targets[0])
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "no disk is named");
    if (!error)
        return TRUE;
    virSupervisorControlFail(invocation, error);
    virDomainLockBlockSpecFree(spec);
    return FALSE;
}

/* D-Bus has no null string. */
static char *
virControlText(const char *text)
{
    return *text ? g_strdup(text) : NULL;
}

static char **
virControlOne(const char *text)
{
    const char *one[] = {text, NULL};

    return g_strdupv((char **)one);
}

void
virSupervisorControlSnapshotDisk(virSupervisorControl *control, GVariant *parameters,
                                 GDBusMethodInvocation *invocation)
{
    virDomainLockBlockSpec *spec = g_new0(virDomainLockBlockSpec, 1);
    g_autoptr(GStrvBuilder) targets = g_strv_builder_new();
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();
    g_autoptr(GVariantIter) iter = NULL;
    const char *target, *path;

    g_variant_get(parameters, "(a(ss)u)", &iter, &spec->flags);
    while (g_variant_iter_next(iter, "(&s&s)", &target, &path)) {
        g_strv_builder_add(targets, target);
        g_strv_builder_add(paths, path);
    }
    spec->targets = g_strv_builder_end(targets);
    spec->paths = g_strv_builder_end(paths);
    if (virControlBlockCheck(spec, 0, invocation))
        virControlBlockAdd(control, invocation, "taking a snapshot",
                           virDomainLockDiskSnapshot, spec);
}

void
virSupervisorControlBlockCommit(virSupervisorControl *control, GVariant *parameters,
                                GDBusMethodInvocation *invocation)
{
    virDomainLockBlockSpec *spec = g_new0(virDomainLockBlockSpec, 1);
    const char *target, *top, *base;

    g_variant_get(parameters, "(&s&s&stu)", &target, &top, &base, &spec->bandwidth,
                  &spec->flags);
    spec->targets = virControlOne(target);
    spec->top = virControlText(top);
    spec->base = virControlText(base);
    if (virControlBlockCheck(spec, 0, invocation))
        virControlBlockAdd(control, invocation, "committing a disk",
                           virDomainLockDiskCommit, spec);
}

void
virSupervisorControlBlockPull(virSupervisorControl *control, GVariant *parameters,
                              GDBusMethodInvocation *invocation)
{
    virDomainLockBlockSpec *spec = g_new0(virDomainLockBlockSpec, 1);
    const char *target, *base;

    g_variant_get(parameters, "(&s&stu)", &target, &base, &spec->bandwidth, &spec->flags);
    spec->targets = virControlOne(target);
    spec->base = virControlText(base);
    if (virControlBlockCheck(spec, 0, invocation))
        virControlBlockAdd(control, invocation, "pulling into a disk",
                           virDomainLockDiskPull, spec);
}

void
virSupervisorControlBlockCopy(virSupervisorControl *control, GVariant *parameters,
                              GDBusMethodInvocation *invocation)
{
    virDomainLockBlockSpec *spec = g_new0(virDomainLockBlockSpec, 1);
    const char *target, *dest, *format;

    g_variant_get(parameters, "(&s&s&stu)", &target, &dest, &format, &spec->bandwidth,
                  &spec->flags);
    spec->targets = virControlOne(target);
    spec->paths = virControlOne(dest);
    spec->format = virControlText(format);
    if (virControlBlockCheck(spec,
                             VIR_DOMAIN_LOCK_BLOCK_SHALLOW | VIR_DOMAIN_LOCK_BLOCK_REUSE |
                                 VIR_DOMAIN_LOCK_BLOCK_PIVOT,
                             invocation))
        virControlBlockAdd(control, invocation, "copying a disk", virDomainLockDiskCopy,
                           spec);
}
