/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: leasehold-supervisor, the process that stays with one guest.
 *
 * Started by libdomain_lock with a socket (--status-fd) over which it is told what to start
 * and reports how that went (domain_lock/spec.h). Order:
 *
 *  1. the surroundings: we are nobody's child, in a session of our own, without descriptors
 *     but the two that were meant for us (all that by the starter, common/spawn.c);
 *  2. while the starter may still be finding out what it wants: load what every guest of this
 *     host needs. Nothing is touched, so that a starter that thinks better of it, or is wrong
 *     about it, leaves no trace of us;
 *  3. read the specification, describe the guest, take its runtime folder, fork the parked
 *     child: all in this one thread (a fork beside threads inherits their locks in any state),
 *     none of it touching storage;
 *  4. only then threads: the control socket and the main loop here, the start as a job.
 *
 * SIGTERM ends this process and not the guest: QEMU goes on under its own leases, as after a
 * crash of the supervisor, and can be taken up again. SIGINT and SIGHUP are ignored.
 */
#include "common/fd.h"
#include "domain_lock/client/client.h"
#include "domain_lock/save/archive.h"
#include "domain_lock/step.h"
#include "lock_manager/plugin.h"
#include "supervisor/guest_qemu.h"
#include "supervisor/log_limit.h"
#include "supervisor/restart.h"
#include "supervisor/supervisor.h"
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without an answer of QEMU by then its monitor is tried again by the attach itself. */
#define ATTACH_QMP_USEC G_USEC_PER_SEC

typedef struct {
    int statusFd;
    int channel[2]; /* of a guest that comes from another host: in, out; else -1 */
    char *shownName; /* in argv: what ps shows, once it is known; NULL: there is no room */
    virSupervisorStarter *starter;
    virLockConfig *config;
    virDomainLockSpec *spec;
    virDomainLockObj *obj;
    virDomainLockGuest *guest;
    char *logPath;
    gboolean logIsNew;
} virMain;

/* --- the surroundings --------------------------------------------------------------- */

static void
virMainSetSignals(void)
{
    sigset_t blocked;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM); /* read from a signalfd; threads inherit this */
    (void)pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

/* One arena and a low threshold for giving memory back: there is one of us per guest. */
static void
virMainSetMalloc(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

static gboolean
virMainOpenLog(virMain *self, const char *path, GError **error)
{
    g_auto(virFd) fd = -1;

    self->logPath = g_strdup(path);
    self->logIsNew = !g_file_test(path, G_FILE_TEST_EXISTS);
    fd = virArchiveOpenLog(path, error);
    return fd >= 0 && dup2(fd, STDERR_FILENO) >= 0;
}

/* A start that was refused leaves no empty log behind. */
static void
virMainDropEmptyLog(virMain *self)
{
    struct stat st;

    if (self->logIsNew && stat(self->logPath, &st) == 0 && st.st_size == 0)
        (void)unlink(self->logPath);
}

/* --- the guest ---------------------------------------------------------------------- */

static virDomainLockGuest *
virMainNewGuest(virDomainLockObj *obj, int *qmpFd, gpointer data, GError **error)
{
    virMain *self = data;
    const virDomainLockInfo *info = obj->status->info;
    virSupervisorGuestOptions options = {
        .name = info->name,
        .uuid = info->uuid,
        .runDir = virDomainLockRuntimeGetPath(obj->runtime),
        .logPath = info->logPath,
    };

    if (!virMainOpenLog(self, info->logPath, error))
        return NULL;
    self->guest = virSupervisorGuestNew(&options, error);
    if (self->guest)
        *qmpFd = virSupervisorGuestGetQmpFd(self->guest);
    return self->guest;
}

static virDomainLockGuest *
virMainAttachGuest(virDomainLockObj *obj, gpointer data, GError **error)
{
    virMain *self = data;
    const virDomainLockInfo *info = obj->status->info;
    const virDomainLockProcess *qemu = &obj->status->qemu;
    virSupervisorGuestOptions options = {
        .name = info->name,
        .uuid = info->uuid,
        .runDir = virDomainLockRuntimeGetPath(obj->runtime),
        .logPath = info->logPath,
    };

    if (!virMainOpenLog(self, info->logPath, error))
        return NULL;
    self->guest =
        virSupervisorGuestAttach(&options, (pid_t)qemu->pid, qemu->startTime,
                                 g_get_monotonic_time() + ATTACH_QMP_USEC, error);
    return self->guest;
}

/* In the place of our own argument, whose length is the room that there is. */
static void
virMainShowName(virMain *self)
{
    g_autofree char *name = virDomainLockSpecLabel(self->spec);
    gsize room = self->shownName ? strlen(self->shownName) : 0;

    for (gsize i = 0, len = strlen(name); i < room; i++)
        self->shownName[i] = i < len ? name[i] : '\0';
}

/* Most guests have the configuration that there is without being told. What is wrong with it
 * or with its plugin is said when they are needed. */
static void
virMainLoadAhead(virMain *self)
{
    self->config = virLockConfigLoad(NULL, NULL);
    if (self->config)
        virLockManagerPluginPreload(self->config);
}

static gboolean
virMainLoadConfig(virMain *self, GError **error)
{
    const char *path = self->spec->configPath;

    if (self->config && g_strcmp0(virLockConfigGetPath(self->config), path) == 0)
        return TRUE;
    g_clear_pointer(&self->config, virLockConfigUnref);
    self->config = virLockConfigLoad(path, error);
    return self->config != NULL;
}

static gboolean
virMainPrepare(virMain *self, GError **error)
{
    virMainLoadAhead(self);
    self->spec = virSupervisorStarterReadSpec(self->starter, error);
    if (!self->spec)
        return FALSE;
    virMainShowName(self);
    memcpy(self->spec->channel, self->channel, sizeof(self->channel));
    if (!virMainLoadConfig(self, error))
        return FALSE;
    self->obj = self->spec->attach
                    ? virDomainLockReattachPrepare(self->config, &self->spec,
                                                   virMainAttachGuest, self, error)
                    : virDomainLockStartPrepare(self->config, self->spec, virMainNewGuest,
                                                self, error);
    if (self->spec) /* it was needed once */
        g_clear_pointer(&self->spec->packed, g_free);
    return self->obj != NULL;
}

static int
virMainServe(virMain *self)
{
    g_autoptr(virSupervisorLogLimit) limit = virSupervisorLogLimitNew(self->logPath);
    virSupervisor *sup = virSupervisorNew(self->obj, g_steal_pointer(&self->starter));
    gboolean ended = virSupervisorRun(sup, self->spec);

    virSupervisorFree(sup);
    if (ended && virSupervisorWantsRestart(self->obj)) {
        /* the next supervisor needs the folder, and starts it from its disks */
        g_clear_pointer(&self->spec->incoming, json_object_unref);
        g_clear_pointer(&self->obj->runtime, virDomainLockRuntimeFree);
        ended = virSupervisorRestart(self->obj, self->spec);
    }
    return ended ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
virMainClear(virMain *self)
{
    virDomainLockGuest *guest = self->guest;

    virMainDropEmptyLog(self);
    virDomainLockObjFree(self->obj);
    /* a QEMU that goes on keeps its descriptors; ours end with us */
    if (guest)
        virSupervisorGuestFree(guest);
    virDomainLockSpecFree(self->spec);
    if (self->config)
        virLockConfigUnref(self->config);
    virSupervisorStarterFree(self->starter);
    g_free(self->logPath);
}

static int
virMainRun(virMain *self)
{
    g_autoptr(GError) error = NULL;
    int status = EXIT_FAILURE;

    virMainSetSignals();
    self->starter = virSupervisorStarterNew(self->statusFd);
    if (virStepFd() >= 0)
        (void)virFdSetCloexec(virStepFd(), TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(self->channel); i++)
        if (self->channel[i] >= 0)
            (void)virFdSetCloexec(self->channel[i], TRUE);
    if (virMainPrepare(self, &error))
        status = virMainServe(self);
    else
        virSupervisorStarterFail(self->starter, error);
    virMainClear(self);
    return status;
}

/* --- main --------------------------------------------------------------------------- */

static gboolean
virMainParse(virMain *self, int argc, char **argv, GError **error)
{
    g_autofree char *guest = NULL;
    const GOptionEntry entries[] = {
        {"status-fd", 0, 0, G_OPTION_ARG_INT, &self->statusFd, "Socket to the starter",
         "FD"},
        {"channel-in", 0, 0, G_OPTION_ARG_INT, &self->channel[0],
         "A guest comes: from its source", "FD"},
        {"channel-out", 0, 0, G_OPTION_ARG_INT, &self->channel[1],
         "A guest comes: to its source", "FD"},
        {"guest", 0, 0, G_OPTION_ARG_FILENAME, &guest, "Name of the guest, shown by ps",
         "NAME"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(
        context, "The process that stays with one guest. It is started by "
                 "'leasehold run' and by libdomain_lock, not by hand.");
    g_option_context_add_main_entries(context, entries, NULL);
    for (int i = 1; i < argc; i++)
        if (g_str_has_prefix(argv[i], VIR_SPEC_GUEST_ARG))
            self->shownName = argv[i] + strlen(VIR_SPEC_GUEST_ARG);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return FALSE;
    if (self->statusFd < 3) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "this program is started by 'leasehold run', not by hand");
        return FALSE;
    }
    return TRUE;
}

int
main(int argc, char **argv)
{
    virMain self = {.statusFd = -1, .channel = {-1, -1}};
    g_autoptr(GError) error = NULL;

    virMainSetMalloc();
    /* it was for this process only, not for QEMU */
    if (g_strcmp0(g_getenv("GLIBC_TUNABLES"), VIR_SPEC_TUNABLES) == 0)
        g_unsetenv("GLIBC_TUNABLES");
    setlocale(LC_ALL, "");
    if (!virMainParse(&self, argc, argv, &error)) {
        g_printerr("leasehold-supervisor: %s\n", error->message);
        return 2;
    }
    /* not exit: a thread may be stuck in a call to storage */
    _exit(virMainRun(&self));
}
