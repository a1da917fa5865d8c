/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_migrate.c: both commands of a migration. They only bring the two supervisors
 * together: the remote shell is started here, and both its ends are given away, so that the
 * death of either command changes nothing.
 */
#include "client.h"
#include "common/fd.h"
#include "common/spawn.h"
#include "domain_lock/migrate/migrate_channel.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The remote shell ends when both supervisors have closed the channel. */
#define MIGRATE_RSH_END_USEC (2 * G_USEC_PER_SEC)
#define MIGRATE_REQUEST_USEC (60 * G_USEC_PER_SEC)
/* A guest with much memory takes hours. */
#define MIGRATE_IN_USEC (G_TIME_SPAN_DAY * 365)
/* A supervisor that fails has QEMU killed before it ends. Less than the source waits to hear
 * that the guest runs. */
#define MIGRATE_DEATH_USEC (8 * G_USEC_PER_SEC)
/* The source holds what this host reserves, so nobody else has it; but two who take a lease to
 * read it at the same time may find each other in the way for a moment. */
#define MIGRATE_BUSY_USEC (5 * G_USEC_PER_SEC)

/* --- the remote shell --------------------------------------------------------------- */

typedef struct {
    pid_t pid;
    int pidfd;
    int in;  /* what it says */
    int out; /* what it hears */
} virRsh;

static void
virRshClear(virRsh *rsh)
{
    virFdClose(rsh->pidfd);
    virFdClose(rsh->in);
    virFdClose(rsh->out);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virRsh, virRshClear)

/* "RSH... HOST leasehold migrate-in"; split into words, never seen by a local shell. */
static char **
virRshArgv(virDomainLock *dom, const char *host,
           const virDomainLockMigrateOptions *options, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    const char *configured = virLockConfigGet(dom->config, "migrate", "rsh");
    g_auto(GStrv) words = NULL;
    g_autofree char *program = NULL;

    if (options->rsh)
        words = g_strdupv((char **)options->rsh);
    else if (!g_shell_parse_argv(configured, NULL, &words, error)) {
        g_prefix_error(error, "rsh in [migrate] of the configuration: ");
        return NULL;
    }
    if (!words[0] || !*host || *host == '-') {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    words[0] ? "'%s' is no name of a host"
                             : "there is no remote shell to reach host '%s'",
                    host);
        return NULL;
    }
    program = g_find_program_in_path(words[0]);
    if (!program) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "there is no program '%s' to reach host '%s'", words[0], host);
        return NULL;
    }
    g_strv_builder_add(builder, program);
    g_strv_builder_addv(builder, (const char **)words + 1);
    g_strv_builder_add_many(builder, host, "leasehold", "migrate-in", NULL);
    return g_strv_builder_end(builder);
}

static gboolean
virRshStart(virRsh *rsh, char **argv, GError **error)
{
    int toRsh[2] = {-1, -1};
    int fromRsh[2] = {-1, -1};
    virSpawnOptions options = {.what = "the remote shell",
                               .flags = VIR_SPAWN_NEW_SESSION | VIR_SPAWN_CLOSE_FDS,
                               .argv = (const char *const *)argv};
    gboolean ok = FALSE;

    if (pipe2(toRsh, O_CLOEXEC) < 0 || pipe2(fromRsh, O_CLOEXEC) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot make a channel to the other host: %s", g_strerror(errno));
    } else {
        options.stdioFds[0] = toRsh[0];
        options.stdioFds[1] = fromRsh[1];
        options.stdioFds[2] = VIR_SPAWN_STDIO_INHERIT;
        ok = virSpawn(&options, &rsh->pid, &rsh->pidfd, error);
        rsh->out = g_steal_fd(&toRsh[1]);
        rsh->in = g_steal_fd(&fromRsh[0]);
    }
    virFdClose(toRsh[0]);
    virFdClose(toRsh[1]);
    virFdClose(fromRsh[0]);
    virFdClose(fromRsh[1]);
    return ok;
}

/* Why there is no channel any more, the remote shell knows better. */
static void
virRshEnd(virRsh *rsh, const char *name, GError **error)
{
    g_autofree char *how = NULL;
    int status = 0;

    if (!virSpawnReap(rsh->pid, rsh->pidfd, g_get_monotonic_time() + MIGRATE_RSH_END_USEC,
                      &status) ||
        status == 0 || !error || !*error ||
        (!strstr((*error)->message, VIR_MIGRATE_CHANNEL_ENDED) &&
         !strstr((*error)->message, VIR_MIGRATE_CHANNEL_NOT_OURS)))
        return;
    how = virSpawnDescribeStatus(status);
    g_prefix_error(error, "'%s' %s: ", name, how);
}

/* --- the source --------------------------------------------------------------------- */

static GVariant *
virMigrateParameters(const char *host, const virDomainLockMigrateOptions *options,
                     const virRsh *rsh)
{
    g_autofree char *in = g_strdup_printf("/proc/%d/fd/%d", (int)getpid(), rsh->in);
    g_autofree char *out = g_strdup_printf("/proc/%d/fd/%d", (int)getpid(), rsh->out);
    GVariantBuilder dict;

    g_variant_builder_init(&dict, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&dict, "{sv}", "timeout_sec",
                          g_variant_new_uint32(options->timeoutSec));
    g_variant_builder_add(&dict, "{sv}", "bandwidth",
                          g_variant_new_uint64(options->bandwidth));
    g_variant_builder_add(&dict, "{sv}", "downtime_msec",
                          g_variant_new_uint32(options->downtimeMsec));
    g_variant_builder_add(&dict, "{sv}", "connections",
                          g_variant_new_uint32(options->connections));
    g_variant_builder_add(&dict, "{sv}", "flags", g_variant_new_uint32(options->flags));
    return g_variant_new("(sa{sv}ss)", host, &dict, in, out);
}

/* The supervisor has both ends: a copy of ours would keep the channel open when it dies. */
static void
virMigrateBegun(gpointer data)
{
    virRsh *rsh = data;

    virFdClose(rsh->in);
    virFdClose(rsh->out);
    rsh->in = rsh->out = -1;
}

/* Before anybody on another host is asked. */
static gboolean
virMigrateIsThere(virDomainLock *dom, GError **error)
{
    g_autoptr(virDomainLockInfo) info = NULL;

    if (!virDomainLockAttachIfOrphan(dom, error))
        return FALSE;
    info = virDomainLockGetInfo(dom, error);
    if (!info)
        return FALSE;
    if (info->state != VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "guest '%s' does not run on this host", info->name);
    return FALSE;
}

gboolean
virDomainLockMigrate(virDomainLock *dom, const char *host,
                     const virDomainLockMigrateOptions *options, const virLockWait *wait,
                     GError **error)
{
    static const virDomainLockMigrateOptions defaults = {.structSize = sizeof(defaults)};
    g_auto(virRsh) rsh = {.pidfd = -1, .in = -1, .out = -1};
    g_auto(GStrv) argv =
        virRshArgv(dom, host, options ? options : &defaults, error);
    virDomainLockBegun begun = {"migrating", virMigrateBegun, &rsh};
    g_autoptr(GError) why = NULL;
    gboolean ok;

    if (!argv || !virMigrateIsThere(dom, error) || !virRshStart(&rsh, argv, error))
        return FALSE;
    ok = virDomainLockCallJobBegun(
        dom, "Migrate", virMigrateParameters(host, options ? options : &defaults, &rsh),
        &begun, wait, &why);
    virMigrateBegun(&rsh);
    virRshEnd(&rsh, argv[0], &why);
    if (!ok)
        g_propagate_error(error, g_steal_pointer(&why));
    return ok;
}

/* --- the destination ---------------------------------------------------------------- */

/* The spec of the guest that comes; the rest of the request goes to its supervisor. */
static virDomainLockSpec *
virMigrateInSpec(JsonObject *request, GError **error)
{
    JsonObject *guest = virDomainLockJsonObject(request, "guest");
    gint64 version = virDomainLockJsonInt(request, "version", 0);
    virDomainLockSpec *spec;

    if (!g_str_equal(virMigrateMessageType(request), "request") ||
        version != VIR_MIGRATE_PROTOCOL_VERSION || !guest) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the source speaks version %" G_GINT64_FORMAT
                    " of the migration protocol, this host knows %d",
                    version, VIR_MIGRATE_PROTOCOL_VERSION);
        return NULL;
    }
    json_object_remove_member(guest, "attach"); /* that is for guests of this host */
    spec = virDomainLockSpecFromJson(guest, error);
    if (!spec)
        return NULL;
    json_object_remove_member(request, "guest");
    spec->incoming = json_object_ref(request);
    return spec;
}

/* The guest that comes; NULL: the request does not say. */
static virDomainLock *
virMigrateInGuest(virLockConfig *config, JsonObject *request)
{
    const char *text = virDomainLockJsonString(request, "ticket");
    g_autoptr(JsonObject) ticket = text ? virDomainLockJsonParse(text, -1, NULL) : NULL;
    const char *uuid = virDomainLockJsonString(ticket, "uuid");

    return uuid ? virDomainLockNew(config, uuid, uuid) : NULL;
}

/* An arrival whose supervisor died is finished or undone by the next one, so that the source
 * gets its guest back, or is rid of it. */
static gboolean
virMigrateInRecover(virDomainLock *dom)
{
    g_autoptr(GError) why = NULL;

    if (!dom || virDomainLockAttachIfOrphan(dom, &why))
        return TRUE;
    g_info("%s", why->message);
    return FALSE;
}

/* All zero when the guest has none here. */
static virDomainLockProcess
virMigrateInSupervisor(virDomainLock *dom)
{
    g_autofree char *dir = dom ? virDomainLockDir(dom) : NULL;
    g_autoptr(virDomainLockStatus) status = dir ? virDomainLockStatusLoad(dir, NULL) : NULL;

    return status ? status->supervisor : (virDomainLockProcess){0};
}

/* A supervisor that is killed falls silent before it is dead, and so does one that has said
 * that it failed: until its last thread has ended nobody can tell what it has left behind.
 * @before: who was the guest's supervisor here before this arrival */
static void
virMigrateInAwaitDeath(virDomainLock *dom, const virDomainLockProcess *before)
{
    virDomainLockProcess now = virMigrateInSupervisor(dom);
    g_auto(virFd) pidfd = -1;

    if (now.pid == 0 || (now.pid == before->pid && now.startTime == before->startTime))
        return;
    pidfd = virPidfdOpenExact((pid_t)now.pid, now.startTime);
    if (pidfd >= 0 && !virPidfdWait(pidfd, g_get_monotonic_time() + MIGRATE_DEATH_USEC))
        g_message("supervisor %" G_GINT64_FORMAT " has not ended yet", now.pid);
}

/* TRUE: it runs here all the same. FALSE with @error, which says whether it may run yet. */
static gboolean
virMigrateInRescue(virDomainLock *dom, const virDomainLockProcess *before, GError **error)
{
    g_autoptr(virDomainLockInfo) info = NULL;

    virMigrateInAwaitDeath(dom, before);
    /* the next one has undone what was begun, and ends too */
    if (!virMigrateInRecover(dom))
        virMigrateInAwaitDeath(dom, before);
    if (!g_error_matches(*error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
        return FALSE;
    info = virDomainLockReadInfo(dom->config, dom->uuid);
    if (!info || info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF) {
        g_clear_error(error);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "its supervisor there died, and what that had begun is undone");
        return FALSE;
    }
    if (info->state == VIR_DOMAIN_LOCK_STATE_STARTING ||
        info->state == VIR_DOMAIN_LOCK_STATE_UNSUPERVISED)
        return FALSE;
    g_clear_error(error);
    return TRUE;
}

/* The supervisor that would have said it is dead. */
static void
virMigrateInSayRunning(virMigrateChannel *channel)
{
    g_autoptr(JsonObject) running = virMigrateMessageNew("running");
    g_autoptr(GError) gone = NULL;

    /* a source that does not hear it finds out by the epoch */
    if (!virMigrateChannelSend(channel, running, &gone))
        g_info("%s", gone->message);
}

/* Who lives under that name here is the same guest. */
static gboolean
virMigrateInIsNameFree(virDomainLock *guest, const virDomainLockSpec *spec, GError **error)
{
    g_autofree char *name = virDomainLockSpecLabel(spec);
    g_autoptr(virDomainLock) other = virDomainLockLookup(guest->config, name, NULL);
    g_autoptr(virDomainLockInfo) info =
        other ? virDomainLockReadInfo(guest->config, other->uuid) : NULL;

    if (!info || info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF ||
        g_ascii_strcasecmp(info->uuid, guest->uuid) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "another guest (%s) has the name '%s' on that host", info->uuid, name);
    return FALSE;
}

/* A source that has thought better of it has said why, on its own side. */
static gboolean
virMigrateInIsWanted(JsonObject *request, GError **error)
{
    if (!g_str_equal(virMigrateMessageType(request), "cancel"))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "the source keeps the guest");
    return FALSE;
}

static virDomainLock *
virMigrateInRun(virLockConfig *config, virMigrateChannel *channel, const int *fds,
                gboolean *told, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + MIGRATE_IN_USEC};
    g_autoptr(JsonObject) request = virMigrateChannelReceive(
        channel, g_get_monotonic_time() + MIGRATE_REQUEST_USEC, NULL, error);
    g_autoptr(virDomainLockSpec) spec =
        request && virMigrateInIsWanted(request, error) ? virMigrateInSpec(request, error)
                                                        : NULL;
    g_autoptr(virDomainLock) guest = spec ? virMigrateInGuest(config, request) : NULL;
    virDomainLockProcess before;
    virDomainLock *dom;
    GError *why = NULL;

    if (told)
        *told = request != NULL;
    if (!spec)
        return NULL;
    (void)virMigrateInRecover(guest);
    if (guest && !virMigrateInIsNameFree(guest, spec, error))
        return NULL;
    before = virMigrateInSupervisor(guest);
    memcpy(spec->channel, fds, sizeof(spec->channel));
    wait.busyUsec = g_get_monotonic_time() + MIGRATE_BUSY_USEC;
    dom = virDomainLockCreateSpec(config, spec, &wait, &why);
    if (dom)
        return dom;
    if (guest && virMigrateInRescue(guest, &before, &why)) {
        virMigrateInSayRunning(channel);
        return g_steal_pointer(&guest);
    }
    g_propagate_error(error, why);
    return NULL;
}

virDomainLock *
virDomainLockMigrateIn(virLockConfig *config, int inFd, int outFd, gboolean *told,
                       GError **error)
{
    /* copies: the channel closes what it has, and the numbers are the supervisor's */
    g_autoptr(virMigrateChannel) channel =
        virMigrateChannelNew(fcntl(inFd, F_DUPFD_CLOEXEC, 3), fcntl(outFd, F_DUPFD_CLOEXEC, 3));
    g_auto(virFd) in = fcntl(inFd, F_DUPFD_CLOEXEC, 3);
    g_auto(virFd) out = fcntl(outFd, F_DUPFD_CLOEXEC, 3);
    const int fds[] = {in, out};
    GError *why = NULL;
    virDomainLock *dom;

    if (told)
        *told = FALSE;
    if (in < 0 || out < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the channel to the source is not open: %s", g_strerror(errno));
        return NULL;
    }
    dom = virMigrateInRun(config, channel, fds, told, &why);
    if (why) {
        /* perhaps for the second time: better than not at all */
        virMigrateChannelSendError(channel, why);
        g_propagate_error(error, why);
    }
    return dom;
}
