/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_migrate.c: the method Migrate. The channel comes as paths (the socket takes no
 * descriptors): FIFOs, or /proc/PID/fd/N of pipes that the caller has open; the kernel lets us
 * open those of our own user.
 */
#include "supervisor/migration.h"
#include "supervisor/supervisor.h"
#include "common/fd.h"
#include <errno.h>
#include <fcntl.h>

typedef struct {
    virSupervisor *sup;
    virMigrateOut *out;
} virControlMigrate;

static gboolean
virControlMigrateRun(virDomainLockObj *obj, gpointer data, GError **error)
{
    virControlMigrate *self = data;

    return virDomainLockMigrateOut(self->out, error);
}

static void
virControlMigrateFree(gpointer data)
{
    virControlMigrate *self = data;

    virSupervisorMigrationSent(virSupervisorGetMigration(self->sup), self->out);
    g_free(self);
}

/* Unknown options are refused: one that is not obeyed may be the one that matters. */
static gboolean
virControlMigrateParams(GVariantIter *options, virMigrateParams *params, GError **error)
{
    const struct {
        const char *name;
        const char *type;
        gpointer target;
    } known[] = {
        {"timeout_sec", "u", &params->timeoutSec},
        {"bandwidth", "t", &params->bandwidth},
        {"downtime_msec", "u", &params->downtimeMsec},
        {"connections", "u", &params->connections},
        {"flags", "u", &params->flags},
    };
    const char *name = NULL;
    GVariant *value = NULL;

    while (g_variant_iter_loop(options, "{&sv}", &name, &value)) {
        gsize i = 0;

        while (i < G_N_ELEMENTS(known) &&
               (!g_str_equal(known[i].name, name) ||
                !g_variant_is_of_type(value, G_VARIANT_TYPE(known[i].type))))
            i++;
        if (i < G_N_ELEMENTS(known)) {
            g_variant_get(value, known[i].type, known[i].target);
            continue;
        }
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "option '%s' of type %s is not known", name,
                    g_variant_get_type_string(value));
        g_variant_unref(value);
        return FALSE;
    }
    if (params->flags & ~(guint)VIR_DOMAIN_LOCK_MIGRATE_ALL || params->connections > 255 ||
        ((params->flags & VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY) &&
         (params->connections > 0 ||
          params->flags & VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED))) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "flags %#x with %u connections are not possible", params->flags,
                    params->connections);
        return FALSE;
    }
    return TRUE;
}

/* Without waiting for the other end to be open: it is, or it has gone already. */
static int
virControlMigrateOpen(const char *path, int mode, GError **error)
{
    g_auto(virFd) fd = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd >= 0 && virFdSetNonblock(fd, FALSE) == 0)
        return g_steal_fd(&fd);
    /* ENXIO: nobody reads it any more; what was said before that is worth reading */
    if (errno != ENXIO || mode != O_WRONLY)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot open the channel to the other host, '%s': %s", path,
                    g_strerror(errno));
    return -1;
}

static virMigrateChannel *
virControlMigrateChannel(const char *in, const char *out, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_auto(virFd) inFd = virControlMigrateOpen(in, O_RDONLY, error);
    g_auto(virFd) outFd =
        inFd >= 0 ? virControlMigrateOpen(out, O_WRONLY, &why) : -1;

    if (inFd >= 0 && !why)
        return virMigrateChannelNew(g_steal_fd(&inFd), g_steal_fd(&outFd));
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

void
virSupervisorControlMigrate(virSupervisorControl *control, GVariant *parameters,
                            GDBusMethodInvocation *invocation)
{
    virSupervisor *sup = virSupervisorControlGetSupervisor(control);
    virSupervisorLongJob job = {.name = "migrating",
                                .run = virControlMigrateRun,
                                .free = virControlMigrateFree};
    g_autoptr(GVariantIter) options = NULL;
    g_autoptr(GError) error = NULL;
    virMigrateParams params = {0};
    virMigrateChannel *channel = NULL;
    virControlMigrate *self;
    const char *host = NULL;
    const char *in = NULL;
    const char *out = NULL;

    g_variant_get(parameters, "(&sa{sv}&s&s)", &host, &options, &in, &out);
    if (virControlMigrateParams(options, &params, &error))
        channel = virControlMigrateChannel(in, out, &error);
    if (!channel) {
        virSupervisorControlFail(invocation, error);
        return;
    }
    self = g_new0(virControlMigrate, 1);
    self->sup = sup;
    self->out = virMigrateOutNew(virSupervisorGetObj(sup), channel, host);
    self->out->params = params;
    job.data = self;
    virSupervisorControlLong(control, &job, invocation);
}
