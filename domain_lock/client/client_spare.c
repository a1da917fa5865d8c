/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_spare.c: spawning supervisors. Each begins as a spare, which has no guest yet: it
 * loads what every guest needs, and waits at its socket to be told which one it is for.
 *
 * It is spawned detached: it belongs to nobody, so a program that uses this library gets no
 * child that it would have to reap later. When the other end of its socket is closed before it
 * was told, it ends, and has touched nothing.
 *
 * This file needs GLib and nothing that lies above it.
 */
#include "client.h"
#include "common/fd.h"
#include "common/helper.h"
#include "common/spawn.h"
#include "domain_lock/step.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

struct _virDomainLockSpare {
    int sock;
    char *program;
    virSpawnBegun begun;
    gboolean awaited;
};

#define SPARE_WHAT "the supervisor"
#define SPARE_FLAGS                                                                      \
    (VIR_SPAWN_DETACHED | VIR_SPAWN_NEW_SESSION | VIR_SPAWN_CLOSE_FDS)

/* Whatever tunables the user has set stay. The service manager waits for the one who starts
 * the guest, and nobody is to answer in its place. */
static char **
virSpareEnvironment(void)
{
    char **env = g_environ_setenv(g_get_environ(), "GLIBC_TUNABLES", VIR_SPEC_TUNABLES, FALSE);

    return g_environ_unsetenv(env, "NOTIFY_SOCKET");
}

/* ps shows it later, and cannot show more than there is room for now. */
static char *
virSpareRoomForName(void)
{
    char *guest = g_strnfill(strlen(VIR_SPEC_GUEST_ARG) + VIR_SPEC_GUEST_ROOM, ' ');

    memcpy(guest, VIR_SPEC_GUEST_ARG, strlen(VIR_SPEC_GUEST_ARG));
    return guest;
}

static gboolean
virSpareBegin(virDomainLockSpare *spare, int statusFd, const int *channel, GError **error)
{
    g_autofree char *status = g_strdup_printf("--status-fd=%d", statusFd);
    g_autofree char *guest = virSpareRoomForName();
    g_autofree char *in = g_strdup_printf("--channel-in=%d", channel ? channel[0] : -1);
    g_autofree char *out = g_strdup_printf("--channel-out=%d", channel ? channel[1] : -1);
    const char *argv[] = {spare->program, status, guest, channel ? in : NULL, out, NULL};
    g_auto(GStrv) env = virSpareEnvironment();
    int keep[4] = {statusFd};
    virSpawnOptions options = {
        .what = SPARE_WHAT,
        .flags = SPARE_FLAGS,
        .stdioFds = {VIR_SPAWN_STDIO_NULL, VIR_SPAWN_STDIO_NULL, VIR_SPAWN_STDIO_NULL},
        .keepFds = keep,
        .nKeepFds = 1,
        .argv = argv,
        .envp = (const char *const *)env,
    };

    if (virStepFd() > 2)
        keep[options.nKeepFds++] = virStepFd();
    for (gsize i = 0; channel && i < 2; i++)
        keep[options.nKeepFds++] = channel[i];
    return virSpawnBegin(&options, &spare->begun, error);
}

virDomainLockSpare *
virDomainLockSpareSpawn(const int *channel, GError **error)
{
    virDomainLockSpare *spare = NULL;
    g_auto(virFd) theirs = -1;
    int socks[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot talk to a supervisor: %s", g_strerror(errno));
        return NULL;
    }
    theirs = socks[1];
    spare = g_new0(virDomainLockSpare, 1);
    spare->sock = socks[0];
    spare->program = virHelperPath("leasehold-supervisor");
    spare->awaited = !virSpareBegin(spare, theirs, channel, error);
    if (spare->awaited)
        g_clear_pointer(&spare, virDomainLockSpareFree);
    return spare;
}

gboolean
virDomainLockSpareAwait(virDomainLockSpare *spare, GError **error)
{
    const char *argv[] = {spare->program, NULL};
    const virSpawnOptions options = {.what = SPARE_WHAT, .flags = SPARE_FLAGS, .argv = argv};

    if (spare->awaited)
        return TRUE;
    spare->awaited = TRUE;
    return virSpawnFinish(&options, &spare->begun, error);
}

int
virDomainLockSpareGetSocket(virDomainLockSpare *spare)
{
    return spare->sock;
}

gboolean
virDomainLockSpareIsGone(virDomainLockSpare *spare)
{
    struct pollfd poller = {.fd = spare->sock, .events = POLLIN};

    return poll(&poller, 1, 0) > 0;
}

virDomainLockSpare *
virDomainLockSpareNew(GError **error)
{
    return virDomainLockSpareSpawn(NULL, error);
}

void
virDomainLockSpareFree(virDomainLockSpare *spare)
{
    g_autoptr(GError) error = NULL;

    if (!spare)
        return;
    virFdClose(spare->sock);
    if (!virDomainLockSpareAwait(spare, &error))
        g_debug("%s", error->message);
    g_free(spare->program);
    g_free(spare);
}
