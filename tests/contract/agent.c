/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent.c: see agent.h. Guests here are real forked children, registered and parked as in the
 * own-fork mode of lock_manager.h, which receive the files that a plugin passes.
 */
#include "tests/contract/agent.h"

#include "common/fd.h"

#include <leasehold/lock_driver.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES (1024 * 1024)

typedef struct _Guest {
    virLockManager *man;
    pid_t pid;
    int sock; /* to the parked child */
} Guest;

typedef struct _Host {
    virLockConfig *config;
    virLockManagerPlugin *plugin;
    GHashTable *guests;
} Host;

/* --- parked children ---------------------------------------------------------------------- */

/* The test process has the other end: when it is gone, for whatever reason, so are its guests.
 * Process-wide, as file descriptors are. */
static int leash[2] = {-1, -1};

/* Nobody who reads the test's output has to wait for a guest that it left behind. */
static void
guestDetachForkSafe(void)
{
    int null = open("/dev/null", O_RDWR);

    for (int fd = 0; fd < 3; fd++)
        (void)dup2(null, fd);
}

/* As exec would do it: a parked child must not keep the files of other guests of its host. */
static void
guestCloseForkSafe(int sock, int inheritFd)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fd != sock && fd != inheritFd && fd != leash[0])
            (void)close(fd);
}

/* Waits for a message; FALSE: the host process is gone, FALSE and _exit: the test is. */
static gboolean
guestWaitForkSafe(int sock)
{
    struct pollfd fds[2] = {{leash[0], POLLIN, 0}, {sock, POLLIN, 0}};

    (void)poll(fds, sock < 0 ? 1 : 2, -1);
    if (fds[0].revents)
        _exit(0);
    return (fds[1].revents & POLLIN) != 0;
}

/* Registers, says so, then keeps every file that is passed until it is killed. A host process
 * that dies leaves it alone, like QEMU under a dead supervisor. */
static G_NORETURN void
guestChildForkSafe(virLockManager *man, int sock)
{
    const char *message = NULL;
    int inheritFd = -1;
    int rc = virLockManagerRegisterChild(man, &inheritFd, &message);
    char byte = rc == 0 ? 'r' : 'f';

    guestDetachForkSafe();
    guestCloseForkSafe(sock, inheritFd);
    (void)!write(sock, &byte, 1);
    if (rc != 0)
        _exit(1);
    for (;;) {
        gsize len = 0;
        int fd = -1;

        if (!guestWaitForkSafe(sock) || virFdRecv(sock, &byte, 1, &len, &fd) != 0 ||
            len == 0)
            sock = -1;
        else
            (void)!write(sock, "k", 1);
    }
}

static gboolean
guestPassFd(int fd, const char *name, gpointer data, GError **error)
{
    Guest *guest = data;
    char byte = 'f';
    int rc = virFdSend(guest->sock, &byte, 1, fd);

    if (rc == 0)
        rc = virFdReadFull(guest->sock, &byte, 1);
    if (rc == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST, "the child is gone: %s",
                g_strerror(rc));
    return FALSE;
}

static gboolean
guestPark(Guest *guest, GError **error)
{
    g_autofree char *pidText = NULL;
    int socks[2];
    char byte = 0;

    if (!virLockManagerPrepareChild(guest->man, error))
        return FALSE;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), ==, 0);
    guest->pid = fork();
    if (guest->pid == 0) {
        (void)close(socks[0]);
        guestChildForkSafe(guest->man, socks[1]);
    }
    (void)close(socks[1]);
    guest->sock = socks[0];
    virLockManagerSetFdPass(guest->man, guestPassFd, guest);
    if (virFdReadFull(guest->sock, &byte, 1) != 0 || byte != 'r') {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "the child could not register");
        return FALSE;
    }
    pidText = g_strdup_printf("%d", (int)guest->pid);
    return virLockManagerSetParameter(guest->man, "pid", pidText, error);
}

static void
guestKill(Guest *guest)
{
    if (guest->pid <= 0)
        return;
    (void)kill(guest->pid, SIGKILL);
    (void)waitpid(guest->pid, NULL, 0);
    guest->pid = 0;
}

static void
guestFree(Guest *guest)
{
    guestKill(guest);
    virFdClose(guest->sock);
    virLockManagerFree(guest->man);
    g_free(guest);
}

/* --- commands ----------------------------------------------------------------------------- */

typedef struct _Command {
    Host *host;
    Guest *guest; /* of word 1, if the command has one */
    char **words;
    guint n;
    virLockWait wait;
    char *answer;
} Command;

static const char *
commandWord(Command *command, guint i)
{
    return i < command->n ? command->words[i] : "";
}

static gint64
commandNumber(Command *command, guint i)
{
    return g_ascii_strtoll(commandWord(command, i), NULL, 10);
}

static guint
commandMode(Command *command, guint i)
{
    const char *word = commandWord(command, i);

    if (g_str_equal(word, "ro"))
        return VIR_LOCK_MANAGER_RESOURCE_READONLY;
    return g_str_equal(word, "sh") ? VIR_LOCK_MANAGER_RESOURCE_SHARED : 0;
}

/* "wait DEADLINE_MS BUSY_MS" in front of a command. */
static void
commandSetWait(Command *command)
{
    gint64 now = g_get_monotonic_time();

    command->wait = (virLockWait){.structSize = sizeof(virLockWait)};
    command->wait.deadlineUsec = now + 60 * G_USEC_PER_SEC;
    if (!g_str_equal(commandWord(command, 0), "wait"))
        return;
    command->wait.deadlineUsec = now + commandNumber(command, 1) * 1000;
    command->wait.busyUsec = now + commandNumber(command, 2) * 1000;
    command->words += 3;
    command->n -= 3;
}

static gboolean
doCaps(Command *command, GError **error)
{
    command->answer =
        g_strdup_printf("%" G_GUINT64_FORMAT,
                        virLockManagerPluginGetInfo(command->host->plugin)->capabilities);
    return TRUE;
}

/* new NAME UUID [attach|migrate] [TICKET or PID] */
static gboolean
doNew(Command *command, GError **error)
{
    const char *mode = commandWord(command, 3);
    guint flags = 0;
    Guest *guest = g_new0(Guest, 1);

    if (g_str_equal(mode, "migrate"))
        flags = VIR_LOCK_MANAGER_NEW_MIGRATE;
    else if (g_str_equal(mode, "attach"))
        flags = VIR_LOCK_MANAGER_NEW_ATTACH;
    guest->sock = -1;
    guest->man = virLockManagerNew(command->host->plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN,
                                   flags, error);
    if (!guest->man) {
        g_free(guest);
        return FALSE;
    }
    g_hash_table_replace(command->host->guests, g_strdup(commandWord(command, 1)), guest);
    return virLockManagerSetParameter(guest->man, "uuid", commandWord(command, 2),
                                      error) &&
           virLockManagerSetParameter(guest->man, "name", commandWord(command, 1),
                                      error) &&
           (flags != VIR_LOCK_MANAGER_NEW_MIGRATE ||
            virLockManagerSetParameter(guest->man, "ticket", commandWord(command, 4),
                                       error));
}

/* pid NAME PID: for attach */
static gboolean
doPid(Command *command, GError **error)
{
    return virLockManagerSetParameter(command->guest->man, "pid", commandWord(command, 2),
                                      error);
}

/* lease NAME KEY MODE; disk NAME PATH MODE */
static gboolean
doLease(Command *command, GError **error)
{
    return virLockManagerRegisterResource(command->guest->man, VIR_LOCK_RESOURCE_LEASE,
                                          commandWord(command, 2), NULL,
                                          commandMode(command, 3), error);
}

static gboolean
doDisk(Command *command, GError **error)
{
    return virLockManagerRegisterResource(command->guest->man, VIR_LOCK_RESOURCE_DISK,
                                          commandWord(command, 2), NULL,
                                          commandMode(command, 3), error);
}

static gboolean
doPark(Command *command, GError **error)
{
    if (!guestPark(command->guest, error))
        return FALSE;
    command->answer = g_strdup_printf("%d", (int)command->guest->pid);
    return TRUE;
}

/* epoch NAME LEASE EPOCH */
static gboolean
doEpoch(Command *command, GError **error)
{
    return virLockManagerSetEpoch(command->guest->man, commandWord(command, 2),
                                  commandNumber(command, 3), error);
}

static gpointer
cancelLater(gpointer data)
{
    g_usleep(200 * 1000);
    g_cancellable_cancel(data);
    return NULL;
}

/* acquire NAME [check|cancel] */
static gboolean
doAcquire(Command *command, GError **error)
{
    const char *how = commandWord(command, 2);
    g_autoptr(GCancellable) cancellable = NULL;
    g_autoptr(GThread) thread = NULL;
    gboolean ok;

    if (g_str_equal(how, "cancel")) {
        cancellable = g_cancellable_new();
        command->wait.cancellable = cancellable;
        thread = g_thread_new("cancel", cancelLater, cancellable);
    }
    ok = virLockManagerAcquireObject(
        command->guest->man,
        g_str_equal(how, "check") ? VIR_LOCK_MANAGER_ACQUIRE_CHECK_EPOCH : 0,
        &command->wait, error);
    if (thread)
        (void)g_thread_join(g_steal_pointer(&thread));
    return ok;
}

static gboolean
doAdvance(Command *command, GError **error)
{
    return virLockManagerAdvanceUse(command->guest->man, &command->wait, error);
}

/* plug NAME KEY MODE */
static gboolean
doPlug(Command *command, GError **error)
{
    return virLockManagerAcquireResource(command->guest->man, VIR_LOCK_RESOURCE_LEASE,
                                         commandWord(command, 2), NULL,
                                         commandMode(command, 3), &command->wait, error);
}

static gboolean
doUnplug(Command *command, GError **error)
{
    return virLockManagerReleaseResource(command->guest->man, VIR_LOCK_RESOURCE_LEASE,
                                         commandWord(command, 2), &command->wait, error);
}

/* convert NAME KEY ro|rw */
static gboolean
doConvert(Command *command, GError **error)
{
    return virLockManagerConvertResource(
        command->guest->man, VIR_LOCK_RESOURCE_LEASE, commandWord(command, 2),
        commandMode(command, 3) ? VIR_LOCK_MODE_SHARED : VIR_LOCK_MODE_EXCLUSIVE,
        &command->wait, error);
}

static gboolean
doKill(Command *command, GError **error)
{
    guestKill(command->guest);
    return TRUE;
}

static gboolean
doShutdown(Command *command, GError **error)
{
    return virLockManagerShutdown(command->guest->man, &command->wait, error);
}

static gboolean
doFree(Command *command, GError **error)
{
    g_hash_table_remove(command->host->guests, commandWord(command, 1));
    return TRUE;
}

static int
compareText(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "name/mode/hold/epoch" for each lease, sorted; the epoch only where it is known. */
static char *
describeLeases(GPtrArray *leases, gboolean epochs)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = leases->pdata[i];
        const char *mode = lease->mode == VIR_LOCK_MODE_SHARED ? "shared" : "exclusive";
        const char *hold = lease->hold == VIR_LOCK_HOLD_BRIDGE  ? "bridge"
                           : lease->hold == VIR_LOCK_HOLD_LEASE ? "lease"
                                                                : "none";

        if (epochs)
            g_ptr_array_add(texts,
                            g_strdup_printf("%s/%s/%s/%" G_GUINT64_FORMAT, lease->name,
                                            mode, hold, lease->epoch));
        else
            g_ptr_array_add(texts, g_strdup_printf("%s/%s/%s", lease->name, mode, hold));
    }
    g_ptr_array_sort(texts, compareText);
    g_ptr_array_add(texts, NULL);
    return g_strjoinv(" ", (char **)texts->pdata);
}

static gboolean
doInquire(Command *command, GError **error)
{
    g_autoptr(GPtrArray) leases =
        virLockManagerInquire(command->guest->man, &command->wait, error);

    if (!leases)
        return FALSE;
    command->answer = describeLeases(leases, FALSE);
    return TRUE;
}

static gboolean
doLeases(Command *command, GError **error)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(command->guest->man);

    command->answer = describeLeases(leases, FALSE);
    return TRUE;
}

/* epochof NAME LEASE: as this object knows it */
static gboolean
doEpochOf(Command *command, GError **error)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(command->guest->man);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = leases->pdata[i];

        if (g_str_equal(lease->name, commandWord(command, 2)))
            command->answer = g_strdup_printf("%" G_GUINT64_FORMAT, lease->epoch);
    }
    return TRUE;
}

/* owner LEASE: "hold/mode/host/guest/uuid/pid" for each */
static gboolean
doOwner(Command *command, GError **error)
{
    g_autoptr(GPtrArray) owners = virLockManagerQueryOwnerByLease(
        command->host->plugin, commandWord(command, 1), &command->wait, error);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!owners)
        return FALSE;
    for (guint i = 0; i < owners->len; i++) {
        const virLockOwner *owner = owners->pdata[i];

        g_string_append_printf(
            text, "%s%s/%s/%s/%s/%s/%d", i ? " " : "",
            owner->hold == VIR_LOCK_HOLD_BRIDGE ? "bridge" : "lease",
            owner->mode == VIR_LOCK_MODE_SHARED ? "shared" : "exclusive",
            owner->hostName ? owner->hostName : "?",
            owner->guestName ? owner->guestName : "?",
            owner->guestUuid ? owner->guestUuid : "?", (int)owner->pid);
    }
    command->answer = g_string_free(g_steal_pointer(&text), FALSE);
    return TRUE;
}

/* use LEASE MAX: "epoch/guest/host" newest first */
static gboolean
doUse(Command *command, GError **error)
{
    g_autoptr(GPtrArray) uses =
        virLockManagerReadUse(command->host->plugin, commandWord(command, 1),
                              commandNumber(command, 2), &command->wait, error);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!uses)
        return FALSE;
    for (guint i = 0; i < uses->len; i++) {
        const virLockUse *use = uses->pdata[i];

        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT "/%s/%s", i ? " " : "",
                               use->epoch, use->guestName ? use->guestName : "?",
                               use->hostName ? use->hostName : "?");
    }
    command->answer = g_string_free(g_steal_pointer(&text), FALSE);
    return TRUE;
}

static gboolean
doPrepareMigrate(Command *command, GError **error)
{
    return virLockManagerPrepareMigrate(command->guest->man, "test", 0, &command->answer,
                                        &command->wait, error);
}

/* out NAME [cancel] */
static gboolean
doOut(Command *command, GError **error)
{
    gboolean cancel = g_str_equal(commandWord(command, 2), "cancel");

    return virLockManagerCompleteMigrateOut(command->guest->man,
                                            cancel ? VIR_LOCK_MANAGER_MIGRATE_CANCEL : 0,
                                            &command->answer, &command->wait, error);
}

/* in NAME cancel | in NAME cookie COOKIE */
static gboolean
doIn(Command *command, GError **error)
{
    gboolean cancel = g_str_equal(commandWord(command, 2), "cancel");

    return virLockManagerCompleteMigrateIn(
        command->guest->man, cancel ? NULL : commandWord(command, 3),
        cancel ? VIR_LOCK_MANAGER_MIGRATE_CANCEL : 0, &command->wait, error);
}

static gboolean
doSettle(Command *command, GError **error)
{
    return virLockManagerSettle(command->guest->man, &command->wait, error);
}

static const struct {
    const char *name;
    gboolean hasGuest;
    gboolean (*func)(Command *command, GError **error);
} commands[] = {
    {"caps", FALSE, doCaps},
    {"new", FALSE, doNew},
    {"pid", TRUE, doPid},
    {"lease", TRUE, doLease},
    {"disk", TRUE, doDisk},
    {"park", TRUE, doPark},
    {"epoch", TRUE, doEpoch},
    {"acquire", TRUE, doAcquire},
    {"advance", TRUE, doAdvance},
    {"plug", TRUE, doPlug},
    {"unplug", TRUE, doUnplug},
    {"convert", TRUE, doConvert},
    {"kill", TRUE, doKill},
    {"shutdown", TRUE, doShutdown},
    {"free", TRUE, doFree},
    {"inquire", TRUE, doInquire},
    {"leases", TRUE, doLeases},
    {"epochof", TRUE, doEpochOf},
    {"owner", FALSE, doOwner},
    {"use", FALSE, doUse},
    {"ticket", TRUE, doPrepareMigrate},
    {"out", TRUE, doOut},
    {"in", TRUE, doIn},
    {"settle", TRUE, doSettle},
};

static char *
hostRun(Host *host, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, "\t", -1);
    Command command = {.host = host, .words = words, .n = g_strv_length(words)};
    g_autoptr(GError) error = NULL;
    g_autofree char *answer = NULL;
    gboolean ok = FALSE;
    gsize i = 0;

    commandSetWait(&command);
    while (i < G_N_ELEMENTS(commands) &&
           !g_str_equal(commands[i].name, commandWord(&command, 0)))
        i++;
    g_assert_cmpuint(i, <, G_N_ELEMENTS(commands));
    if (commands[i].hasGuest) {
        command.guest = g_hash_table_lookup(host->guests, commandWord(&command, 1));
        g_assert_nonnull(command.guest);
    }
    ok = commands[i].func(&command, &error);
    answer = command.answer;
    if (!ok)
        return g_strdup_printf("%s %s", virLockErrorCodeName(error->code),
                               error->message);
    return g_strdup_printf("ok%s%s", answer ? " " : "", answer ? answer : "");
}

static G_NORETURN void
hostMain(const char *configPath, int sock)
{
    g_autofree char *line = g_malloc(LINE_MAX_BYTES);
    g_autoptr(GError) error = NULL;
    Host host = {0};
    gsize len = 0;
    int fd;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    host.config = virLockConfigLoad(configPath, &error);
    if (host.config)
        host.plugin = virLockManagerPluginLoad(host.config, NULL, &error);
    if (!host.plugin)
        g_error("%s", error->message);
    host.guests =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)guestFree);
    while (virFdRecv(sock, line, LINE_MAX_BYTES - 1, &len, &fd) == 0 && len > 0) {
        g_autofree char *answer = NULL;

        line[len] = '\0';
        answer = hostRun(&host, line);
        (void)virFdSend(sock, answer, strlen(answer), -1);
    }
    g_hash_table_unref(host.guests);
    virLockManagerPluginUnload(host.plugin);
    virLockConfigUnref(host.config);
    _exit(0);
}

/* --- the test's side ---------------------------------------------------------------------- */

void
agentStart(Agent *agent, const char *name, const char *configPath)
{
    int size = LINE_MAX_BYTES;
    int socks[2];

    if (leash[0] < 0)
        g_assert_cmpint(pipe2(leash, O_CLOEXEC), ==, 0);
    agent->name = name;
    agent->configPath = configPath;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), ==, 0);
    for (int i = 0; i < 2; i++)
        (void)setsockopt(socks[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    agent->pid = fork();
    if (agent->pid == 0) {
        (void)close(socks[0]);
        (void)close(leash[1]);
        hostMain(configPath, socks[1]);
    }
    (void)close(socks[1]);
    agent->sock = socks[0];
}

void
agentKill(Agent *agent)
{
    (void)kill(agent->pid, SIGKILL);
    (void)waitpid(agent->pid, NULL, 0);
    (void)close(agent->sock);
}

static void
agentSendv(Agent *agent, const char *format, va_list args)
{
    g_autofree char *line = g_strdup_vprintf(format, args);

    g_assert_cmpint(virFdSend(agent->sock, line, strlen(line), -1), ==, 0);
}

void
agentSend(Agent *agent, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    agentSendv(agent, format, args);
    va_end(args);
}

char *
agentReceive(Agent *agent)
{
    char *line = g_malloc0(LINE_MAX_BYTES);
    gsize len = 0;
    int fd;

    if (virFdRecv(agent->sock, line, LINE_MAX_BYTES - 1, &len, &fd) != 0 || len == 0)
        g_error("host %s died", agent->name);
    return line;
}

char *
agentAsk(Agent *agent, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    agentSendv(agent, format, args);
    va_end(args);
    return agentReceive(agent);
}
