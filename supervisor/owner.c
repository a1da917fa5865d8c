/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner.c: the process whose end is the end of the guest.
 */
#include "supervisor/owner.h"
#include "common/fd.h"
#include "supervisor/supervisor.h"
#include <glib-unix.h>

struct _virSupervisorOwner {
    virSupervisor *sup;
    gint64 pid;
    int pidfd;
    guint source;
};

static gboolean
virOwnerGone(virSupervisorOwner *self)
{
    virDomainLockObj *obj = virSupervisorGetObj(self->sup);
    g_autofree char *message = g_strdup_printf(
        "the program that the guest belongs to (pid %" G_GINT64_FORMAT ") has ended",
        self->pid);
    g_autoptr(GError) error = NULL;

    self->source = 0;
    if (virSupervisorIsEnding(self->sup))
        return G_SOURCE_REMOVE;
    virDomainLockObjEmit(obj, "OWNER_GONE", "host", message);
    if (!virSupervisorDestroy(self->sup, 0, &error))
        g_warning("%s", error->message);
    return G_SOURCE_REMOVE;
}

static gboolean
virOwnerEnded(gint fd, GIOCondition condition, gpointer data)
{
    return virOwnerGone(data);
}

static gboolean
virOwnerWasGone(gpointer data)
{
    return virOwnerGone(data);
}

virSupervisorOwner *
virSupervisorOwnerNew(virSupervisor *sup, const virDomainLockSpec *spec)
{
    virSupervisorOwner *self = NULL;

    if (spec->owner.pid == 0)
        return NULL;
    self = g_new0(virSupervisorOwner, 1);
    self->sup = sup;
    self->pid = spec->owner.pid;
    self->pidfd = virPidfdOpenExact((pid_t)spec->owner.pid, spec->owner.startTime);
    self->source = self->pidfd >= 0
                       ? g_unix_fd_add(self->pidfd, G_IO_IN, virOwnerEnded, self)
                       : g_idle_add(virOwnerWasGone, self);
    return self;
}

void
virSupervisorOwnerFree(virSupervisorOwner *self)
{
    if (!self)
        return;
    if (self->source)
        g_source_remove(self->source);
    virFdClose(self->pidfd);
    g_free(self);
}
