/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_doctor.c: leasehold doctor
 *
 * Looks at everything that a guest will need, changes nothing, and says what to do. The
 * checks are a list; each adds findings. The outage timeline shows what happens when a host
 * loses its storage, second by second, so that nobody learns it from an outage.
 */
#include "config.h"

#include "common/helper.h"
#include "tools/tool.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define VIR_TOOL_DOCTOR_SEC 30
#define VIR_TOOL_DOCTOR_FREE_MIN (4 * 1024 * 1024) /* sockets and states of many guests */

/** What the checks share. */
typedef struct _virToolDoctor {
    virTool *tool;
    virLockConfig *config;        /* NULL: it did not load */
    virLockManagerPlugin *plugin; /* NULL: it did not load */
    GPtrArray *findings;          /* virLockFinding */
    guint ioTimeoutSec;           /* of the store; 0: no store, or not known */
} virToolDoctor;

static void virToolDoctorAdd(virToolDoctor *doctor, virLockFindingLevel level,
                             const char *subject, const char *advice, const char *format,
                             ...) G_GNUC_PRINTF(5, 6);

static void
virToolDoctorAdd(virToolDoctor *doctor, virLockFindingLevel level, const char *subject,
                 const char *advice, const char *format, ...)
{
    virLockFinding *finding = g_new0(virLockFinding, 1);
    va_list args;

    va_start(args, format);
    finding->structSize = sizeof(*finding);
    finding->level = level;
    finding->subject = g_strdup(subject);
    finding->text = g_strdup_vprintf(format, args);
    finding->advice = g_strdup(advice);
    va_end(args);
    g_ptr_array_add(doctor->findings, finding);
}

static void
virToolDoctorConfig(virToolDoctor *doctor)
{
    g_autoptr(GError) error = NULL;
    const char *path;

    doctor->config = virLockConfigLoad(doctor->tool->configPath, &error);
    if (!doctor->config) {
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, "configuration",
                         "see leasehold.conf(5)", "%s", error->message);
        return;
    }
    path = virLockConfigGetPath(doctor->config);
    if (path)
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_OK, "configuration", NULL, "%s", path);
    else
        virToolDoctorAdd(
            doctor, VIR_LOCK_FINDING_NOTE, "configuration",
            "for several hosts configure the sanlock plugin: leasehold.conf(5)",
            "there is no file; leases hold on this host only");
}

static void
virToolDoctorPlugin(virToolDoctor *doctor)
{
    const virLockManagerPluginInfo *info;
    g_autoptr(GError) error = NULL;

    if (!doctor->config)
        return;
    doctor->plugin = virLockManagerPluginLoad(doctor->config, NULL, &error);
    if (!doctor->plugin) {
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, "plugin", NULL, "%s",
                         error->message);
        return;
    }
    info = virLockManagerPluginGetInfo(doctor->plugin);
    virToolDoctorAdd(doctor, VIR_LOCK_FINDING_OK, "plugin", NULL, "%s %s from %s",
                     info->name, info->version, info->path);
}

static void
virToolDoctorDiagnose(virToolDoctor *doctor)
{
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GPtrArray) findings = NULL;
    g_autoptr(GError) error = NULL;
    const virLockManagerPluginInfo *info;

    if (!doctor->plugin)
        return;
    info = virLockManagerPluginGetInfo(doctor->plugin);
    wait = virToolWaitNew(doctor->tool, VIR_TOOL_DOCTOR_SEC, 0, NULL);
    findings = virLockManagerDiagnose(doctor->plugin, virToolWaitGet(wait), &error);
    if (findings) {
        g_ptr_array_extend_and_steal(doctor->findings, g_steal_pointer(&findings));
    } else if (!g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED)) {
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, info->name, NULL, "%s",
                         error->message);
    }
}

static void
virToolDoctorStore(virToolDoctor *doctor)
{
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(virLockStoreInfo) store = NULL;
    g_autoptr(GError) error = NULL;

    if (!doctor->plugin ||
        !(virLockManagerPluginGetInfo(doctor->plugin)->capabilities & VIR_LOCK_CAP_STORE))
        return;
    wait = virToolWaitNew(doctor->tool, VIR_TOOL_DOCTOR_SEC, 0, NULL);
    store = virLockManagerStoreGetInfo(doctor->plugin, virToolWaitGet(wait), &error);
    /* why it cannot be read is among the plugin's own findings */
    if (!store)
        return;
    doctor->ioTimeoutSec = store->ioTimeoutSec;
    if (store->usedLeases >= store->maxLeases / 10 * 9)
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_WARNING, "store",
                         "make a store with more --max-leases before it is full",
                         "it is nearly full: %u of %u leases used", store->usedLeases,
                         store->maxLeases);
}

static void
virToolDoctorQemu(virToolDoctor *doctor)
{
    static const char *const programs[] = {"qemu-system-x86_64", "qemu-img"};

    for (guint i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i]);

        if (path)
            virToolDoctorAdd(doctor, VIR_LOCK_FINDING_OK, programs[i], NULL, "%s", path);
        else
            virToolDoctorAdd(
                doctor, i == 0 ? VIR_LOCK_FINDING_ERROR : VIR_LOCK_FINDING_WARNING,
                programs[i], "Debian: apt install qemu-system-x86 qemu-utils",
                "not found in PATH");
    }
}

/* The lock daemon runs these as root; whoever may write to one is root, too. */
static void
virToolDoctorHelper(virToolDoctor *doctor, const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    struct stat st;

    if (stat(path, &st) < 0) {
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, name, "install leasehold again",
                         "%s: %m", path);
        return;
    }
    if (access(path, X_OK) < 0)
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, name, "install leasehold again",
                         "%s cannot be executed: %m", path);
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) ||
             (st.st_uid != 0 && st.st_uid != geteuid()))
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, name, "chown root, chmod 755",
                         "%s can be changed by others (owner %u, mode %04o)", path,
                         st.st_uid, st.st_mode & 07777);
    else
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_OK, name, NULL, "%s", path);
}

static void
virToolDoctorHelpers(virToolDoctor *doctor)
{
    const char *dir = virHelperDir();
    const char *plugin =
        doctor->config ? virLockConfigGet(doctor->config, "lock", "plugin") : NULL;

    virToolDoctorHelper(doctor, dir, "leasehold-supervisor");
    virToolDoctorHelper(doctor, dir, "leasehold-lockfailure");
    if (g_strcmp0(plugin, "sanlock") == 0)
        virToolDoctorHelper(doctor, dir, "leasehold-sanlock-helper");
}

/* A directory that does not exist yet is made by the first guest, if its parent permits. */
static void
virToolDoctorDir(virToolDoctor *doctor, const char *key)
{
    const char *path = virLockConfigGet(doctor->config, "host", key);
    g_autofree char *existing = g_strdup(path);
    struct statvfs fs;
    struct stat st;

    while (stat(existing, &st) < 0 && strcmp(existing, "/") != 0) {
        char *parent = g_path_get_dirname(existing);

        g_free(existing);
        existing = parent;
    }
    if (!S_ISDIR(st.st_mode))
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, key, NULL,
                         "%s: %s is no directory", path, existing);
    else if (access(existing, W_OK | X_OK) < 0)
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, key,
                         "run as the user who owns it, or set another in [host]",
                         "%s: cannot write to %s: %m", path, existing);
    else if (statvfs(existing, &fs) == 0 &&
             (guint64)fs.f_bavail * fs.f_frsize < VIR_TOOL_DOCTOR_FREE_MIN)
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, key, "make room",
                         "%s: its file system is full", path);
    else if (strcmp(existing, path) == 0 && st.st_uid != 0 && st.st_uid != geteuid())
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, key, "set another in [host]",
                         "%s belongs to another user (uid %u)", path, st.st_uid);
    else if (strcmp(existing, path) == 0 && (st.st_mode & S_IWOTH))
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_ERROR, key, "chmod o-w",
                         "%s can be written by everybody (mode %04o)", path,
                         st.st_mode & 07777);
    else
        virToolDoctorAdd(doctor, VIR_LOCK_FINDING_OK, key, NULL, "%s%s", path,
                         strcmp(existing, path) == 0 ? "" : " (made by the first guest)");
}

static void
virToolDoctorDirs(virToolDoctor *doctor)
{
    if (!doctor->config)
        return;
    virToolDoctorDir(doctor, "run_dir");
    virToolDoctorDir(doctor, "state_dir");
}

/** One line of the outage timeline: at = factor x io_timeout + offset seconds after the last
 * good renewal. */
typedef struct _virToolOutageStep {
    guint factor;
    guint offset;
    const char *what;
} virToolOutageStep;

/* sanlock 3.8.5: id_renewal_seconds, id_renewal_warn_seconds, id_renewal_fail_seconds,
 * kill_grace_seconds (40) and watchdog_fire_timeout (60) in sanlock_internal.h and timeouts.h */
#define VIR_TOOL_OUTAGE_WATCHDOG                                                         \
    "the watchdog resets a host where that did not help (up to 9 s later)"

static const virToolOutageStep virToolOutage[] = {
    {0, 0, "the last renewal that succeeded; then the storage is gone"},
    {2, 0, "the next renewal is tried, and fails"},
    {6, 0, "sanlock begins to warn in its log"},
    {8, 0, "the leases are failing: each guest gets what its on_lockfailure says"},
    {8, 40, "sanlock kills (SIGKILL) every guest that still holds a lease"},
    {8, 50, VIR_TOOL_OUTAGE_WATCHDOG},
    {8, 60, "other hosts can take the leases"},
};

static const char *
virToolOutageText(const virToolDoctor *doctor, const virToolOutageStep *step)
{
    const char *watchdog = virLockConfigGet(doctor->config, "sanlock", "watchdog");

    if (g_strcmp0(watchdog, "unsafe-none") == 0 &&
        g_strcmp0(step->what, VIR_TOOL_OUTAGE_WATCHDOG) == 0)
        return "no watchdog: a guest that is stuck in the kernel is NOT stopped";
    return step->what;
}

static gboolean
virToolDoctorHasTimeline(const virToolDoctor *doctor)
{
    return doctor->ioTimeoutSec > 0 &&
           strcmp(virLockManagerPluginGetInfo(doctor->plugin)->name, "sanlock") == 0;
}

static void
virToolDoctorPrintTimeline(const virToolDoctor *doctor)
{
    g_autoptr(virToolTable) table = virToolTableNew(">AFTER", "~WHAT HAPPENS", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(virToolOutage); i++) {
        const virToolOutageStep *step = &virToolOutage[i];
        g_autofree char *at =
            g_strdup_printf("%u s", step->factor * doctor->ioTimeoutSec + step->offset);

        virToolTableAdd(table, at, virToolOutageText(doctor, step));
    }
    printf("\nIf this host loses its storage (io_timeout %u s):\n", doctor->ioTimeoutSec);
    virToolTablePrint(table);
}

static void
virToolDoctorPrintJson(const virToolDoctor *doctor)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    guint n = virToolDoctorHasTimeline(doctor) ? G_N_ELEMENTS(virToolOutage) : 0;

    json_builder_begin_object(builder);
    virToolJsonFindings(builder, doctor->findings);
    json_builder_set_member_name(builder, "timeline");
    json_builder_begin_array(builder);
    for (guint i = 0; i < n; i++) {
        json_builder_begin_object(builder);
        virToolJsonInt(builder, "at_sec",
                       virToolOutage[i].factor * doctor->ioTimeoutSec +
                           virToolOutage[i].offset);
        virToolJsonString(builder, "what", virToolOutageText(doctor, &virToolOutage[i]));
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

int
virToolCmdDoctor(virTool *tool)
{
    static void (*const checks[])(virToolDoctor *) = {
        virToolDoctorConfig, virToolDoctorPlugin, virToolDoctorDiagnose,
        virToolDoctorStore,  virToolDoctorQemu,   virToolDoctorHelpers,
        virToolDoctorDirs,
    };
    virToolDoctor doctor = {.tool = tool};
    int status;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    doctor.findings = g_ptr_array_new_with_free_func((GDestroyNotify)virLockFindingFree);
    for (guint i = 0; i < G_N_ELEMENTS(checks); i++)
        checks[i](&doctor);
    if (tool->json) {
        virToolDoctorPrintJson(&doctor);
    } else {
        virToolPrintFindings(doctor.findings);
        if (virToolDoctorHasTimeline(&doctor))
            virToolDoctorPrintTimeline(&doctor);
    }
    status = virToolFindingsExit(doctor.findings);
    g_ptr_array_unref(doctor.findings);
    g_clear_pointer(&doctor.plugin, virLockManagerPluginUnload);
    g_clear_pointer(&doctor.config, virLockConfigUnref);
    return status;
}
