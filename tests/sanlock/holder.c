/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holder: a guest without a guest: a process that registers with a plugin and sleeps, and
 * a parent that takes leases for it as it is told on standard input. For shell tests.
 *
 *     holder PLUGIN.so KEY=VALUE...
 *
 * Keys are the plugin's, and: name (guest), uuid, state_dir, run_dir (host's), host, helper
 * (loss helper), helper_args. It prints "pid CHILD SELF"; then, for each line it reads, one line:
 * "ok MSEC RESULT" or "error CODE MSEC MESSAGE". Commands, where LEASE is NAME, or NAME:sh for
 * shared:
 *
 *     acquire|release|reserve|unreserve|settle|advance LEASE...
 *     convert NAME sh|ex        inquire        owner NAME        use NAME
 *     renewal    watch (waits for the daemon's end)
 *     deadline MSEC             busy MSEC      cancel MSEC: for the next commands
 *     park (ends the child)     attach PID
 */
#include <errno.h>
#include <gmodule.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <leasehold/lock_driver.h>

typedef struct {
    const virLockDriver *driver;
    gpointer driverData;
    gpointer object;
    pid_t child;
    gint64 deadlineMsec;
    gint64 busyMsec;
    gint64 cancelMsec;
} Holder;

/* --- arguments ---------------------------------------------------------------------------------- */

static const char *
argument(char **argv, const char *key, const char *fallback)
{
    gsize len = strlen(key);

    for (char **arg = argv; *arg; arg++)
        if (strncmp(*arg, key, len) == 0 && (*arg)[len] == '=')
            return *arg + len + 1;
    return fallback;
}

static gboolean
loadPlugin(Holder *holder, char **argv, GError **error)
{
    GModule *module = g_module_open(argv[1], G_MODULE_BIND_LOCAL);
    virLockDriverGetFunc get = NULL;
    virLockDriverParam *params = g_new0(virLockDriverParam, g_strv_length(argv) + 1);
    virLockDriverConfig config = {
        .structSize = sizeof(config),
        .params = params,
        .hostName = argument(argv, "host", "testhost"),
        .stateDir = argument(argv, "state_dir", "/nonexistent"),
        .runDir = argument(argv, "run_dir_host", "/nonexistent"),
        .helperDir = g_getenv("LEASEHOLD_HELPER_DIR"),
    };
    gsize n = 0;

    if (!module || !g_module_symbol(module, VIR_LOCK_DRIVER_SYMBOL, (gpointer *)&get)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "%s", g_module_error());
        return FALSE;
    }
    holder->driver = get();
    for (const virLockDriverKey *key = holder->driver->keys; key && key->name; key++)
        if (argument(argv, key->name, NULL))
            params[n++] =
                (virLockDriverParam){key->name, argument(argv, key->name, NULL)};
    return holder->driver->init(&config, &holder->driverData, error);
}

static gboolean
newObject(Holder *holder, char **argv, pid_t pid, GError **error)
{
    virLockDriverObject object = {
        .structSize = sizeof(object),
        .name = argument(argv, "name", "web"),
        .uuid = argument(argv, "uuid", "11111111-2222-3333-4444-555555555555"),
        .pid = pid,
        .lossHelper = argument(argv, "helper", NULL),
        .lossHelperArgs = argument(argv, "helper_args", ""),
    };

    return holder->driver->objectNew(holder->driverData, &object,
                                     pid ? VIR_LOCK_DRIVER_NEW_ATTACH : 0,
                                     &holder->object, error);
}

/* --- the child --------------------------------------------------------------------------------------- */

static void
runChild(Holder *holder, int ready)
{
    const char *message = "";
    int fd = -1;
    int rc = holder->driver->registerChild(holder->object, &fd, &message);

    if (rc != 0)
        dprintf(ready, "error %d %s\n", rc, message);
    else
        dprintf(ready, "ok\n");
    close(ready);
    for (; rc == 0;)
        pause();
    _exit(1);
}

static gboolean
parkChild(Holder *holder, GError **error)
{
    char answer[256] = "";
    int ends[2];

    if (!holder->driver->prepareChild(holder->object, error))
        return FALSE;
    if (pipe(ends) < 0)
        return FALSE;
    holder->child = fork();
    if (holder->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(0);
        close(ends[0]);
        runChild(holder, ends[1]);
    }
    close(ends[1]);
    if (read(ends[0], answer, sizeof(answer) - 1) <= 0 || strncmp(answer, "ok", 2) != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "child: %s",
                    answer);
        return FALSE;
    }
    close(ends[0]);
    return holder->driver->setPid(holder->object, holder->child, error);
}

/* --- commands ---------------------------------------------------------------------------------------- */

static gpointer
cancelLater(gpointer data)
{
    gpointer *pair = data;

    g_usleep(GPOINTER_TO_INT(pair[1]) * 1000);
    g_cancellable_cancel(pair[0]);
    g_object_unref(pair[0]);
    g_free(pair);
    return NULL;
}

static void
showProgress(const virLockProgress *progress, gpointer data)
{
    fprintf(stderr, "progress %s %.2f %" G_GINT64_FORMAT "%s%s\n", progress->what,
            progress->fraction, progress->etaSec, progress->holder ? " holder " : "",
            progress->holder ? progress->holder->hostName : "");
}

static virLockWait
makeWait(Holder *holder)
{
    gint64 now = g_get_monotonic_time();
    virLockWait wait = {
        .structSize = sizeof(wait),
        .deadlineUsec = now + holder->deadlineMsec * 1000,
        .busyUsec = holder->busyMsec ? now + holder->busyMsec * 1000 : 0,
        .cancellable = g_cancellable_new(),
        .progress = showProgress,
    };

    if (holder->cancelMsec) {
        gpointer *pair = g_new(gpointer, 2);

        pair[0] = g_object_ref(wait.cancellable);
        pair[1] = GINT_TO_POINTER(holder->cancelMsec);
        g_thread_unref(g_thread_new("cancel", cancelLater, pair));
    }
    return wait;
}

/* Words "NAME[:sh]"; freed with the process. */
static virLockDriverResource **
makeResources(char **words, gsize *n)
{
    virLockDriverResource **list =
        g_new0(virLockDriverResource *, g_strv_length(words) + 1);

    for (*n = 0; words[*n]; (*n)++) {
        virLockDriverResource *one = list[*n] = g_new0(virLockDriverResource, 1);
        char *name = g_strdup(words[*n]);

        one->structSize = sizeof(*one);
        one->mode = VIR_LOCK_MODE_EXCLUSIVE;
        if (g_str_has_suffix(name, ":sh")) {
            one->mode = VIR_LOCK_MODE_SHARED;
            name[strlen(name) - 3] = '\0';
        }
        one->name = name;
        one->type = VIR_LOCK_RESOURCE_DISK;
        one->label = g_strdup_printf("disk /vm/%s", name);
    }
    return list;
}

static void
appendOwners(GString *out, GPtrArray *owners)
{
    for (guint i = 0; i < owners->len; i++) {
        virLockOwner *o = owners->pdata[i];

        g_string_append_printf(out,
                               "[%s %s %s host=%u/%s gen=%" G_GUINT64_FORMAT
                               " state=%d guest=%s eta=%" G_GINT64_FORMAT
                               " seen=%" G_GINT64_FORMAT "]",
                               o->lease, o->mode == VIR_LOCK_MODE_SHARED ? "sh" : "ex",
                               o->hold == VIR_LOCK_HOLD_BRIDGE ? "bridge" : "lease",
                               o->hostId, o->hostName, o->generation, o->hostState,
                               o->guestName ? o->guestName : "-", o->etaSec, o->seenSec);
    }
}

static gboolean
runReport(Holder *holder, char **words, const virLockWait *wait, GString *out,
          GError **error)
{
    g_autoptr(GPtrArray) list = NULL;
    gsize n;
    virLockDriverResource **r = makeResources(words + 1, &n);

    if (strcmp(words[0], "inquire") == 0) {
        if (!holder->driver->inquire(holder->object, &list, wait, error))
            return FALSE;
        for (guint i = 0; i < list->len; i++) {
            virLockLease *l = list->pdata[i];

            g_string_append_printf(out, "%s%s/%s%s", i ? " " : "", l->name,
                                   l->mode == VIR_LOCK_MODE_SHARED ? "sh" : "ex",
                                   l->hold == VIR_LOCK_HOLD_BRIDGE ? "/bridge" : "");
        }
        return TRUE;
    }
    if (strcmp(words[0], "owner") == 0) {
        if (!holder->driver->queryOwner(holder->driverData, r[0], &list, wait, error))
            return FALSE;
        appendOwners(out, list);
        return TRUE;
    }
    if (!holder->driver->useRead(holder->driverData, r[0], 10, &list, wait, error))
        return FALSE;
    for (guint i = 0; i < list->len; i++) {
        virLockUse *u = list->pdata[i];

        g_string_append_printf(out, "%s%" G_GUINT64_FORMAT ":%s@%s", i ? " " : "",
                               u->epoch, u->guestName, u->hostName);
    }
    return TRUE;
}

static gboolean
runRenewal(Holder *holder, char **words, const virLockWait *wait, GString *out,
           GError **error)
{
    virLockRenewal renewal = {.structSize = sizeof(renewal)};
    struct pollfd poller = {.events = POLLIN};
    struct timespec now;

    if (strcmp(words[0], "watch") == 0) {
        if (!holder->driver->watchDaemon(holder->object, &poller.fd, error))
            return FALSE;
        printf("watching\n");
        fflush(stdout);
        g_string_append_printf(out, "%d", poll(&poller, 1, holder->deadlineMsec));
        return TRUE;
    }
    if (!holder->driver->renewal(holder->object, &renewal, wait, error))
        return FALSE;
    clock_gettime(CLOCK_BOOTTIME, &now);
    g_string_append_printf(out,
                           "age=%" G_GINT64_FORMAT " interval=%u expire=%u takeover=%u",
                           (gint64)now.tv_sec - renewal.lastUsec / G_USEC_PER_SEC,
                           renewal.intervalSec, renewal.expireSec, renewal.takeoverSec);
    return TRUE;
}

static gboolean
runLease(Holder *holder, char **words, const virLockWait *wait, GString *out,
         GError **error)
{
    const virLockDriver *d = holder->driver;
    const char *verb = words[0];
    gsize n;
    virLockDriverResource **r = makeResources(words + 1, &n);
    gboolean ok;

    if (strcmp(verb, "acquire") == 0)
        ok = d->acquire(holder->object, r, n, 0, wait, error);
    else if (strcmp(verb, "release") == 0)
        ok = d->release(holder->object, r, n, wait, error);
    else if (strcmp(verb, "reserve") == 0)
        ok = d->reserve(holder->object, r, n, wait, error);
    else if (strcmp(verb, "unreserve") == 0)
        ok = d->unreserve(holder->object, r, n, wait, error);
    else if (strcmp(verb, "settle") == 0)
        ok = d->settle(holder->object, r, n, wait, error);
    else if (strcmp(verb, "advance") == 0)
        ok = d->useAdvance(holder->object, r, n, wait, error);
    else
        ok = d->convert(holder->object, r[0],
                        strcmp(words[2], "sh") == 0 ? VIR_LOCK_MODE_SHARED
                                                    : VIR_LOCK_MODE_EXCLUSIVE,
                        wait, error);
    for (gsize i = 0; ok && i < n && i < 3; i++)
        g_string_append_printf(out, "%s%" G_GUINT64_FORMAT, i ? " " : "epoch ",
                               r[i]->epoch);
    return ok;
}

static gboolean
runCommand(Holder *holder, char **words, GString *out, GError **error)
{
    static const char *const reports[] = {"inquire", "owner", "use", NULL};
    static const char *const leases[] = {"acquire", "release", "reserve", "unreserve",
                                         "settle",  "advance", "convert", NULL};
    virLockWait wait = makeWait(holder);

    if (strcmp(words[0], "deadline") == 0)
        holder->deadlineMsec = atoi(words[1]);
    else if (strcmp(words[0], "busy") == 0)
        holder->busyMsec = atoi(words[1]);
    else if (strcmp(words[0], "cancel") == 0)
        holder->cancelMsec = atoi(words[1]);
    else if (strcmp(words[0], "park") == 0)
        kill(holder->child, SIGKILL);
    else if (g_strv_contains(reports, words[0]))
        return runReport(holder, words, &wait, out, error);
    else if (g_strv_contains(leases, words[0]))
        return runLease(holder, words, &wait, out, error);
    else
        return runRenewal(holder, words, &wait, out, error);
    return TRUE;
}

int
main(int argc, char **argv)
{
    Holder holder = {.deadlineMsec = 20000};
    g_autoptr(GError) error = NULL;
    const char *attach = argc > 1 ? argument(argv, "attach", NULL) : NULL;
    char line[65536];

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || !loadPlugin(&holder, argv, &error) ||
        !newObject(&holder, argv, attach ? atoi(attach) : 0, &error) ||
        (!attach && !parkChild(&holder, &error))) {
        printf("error %d 0 %s\n", error ? error->code : -1,
               error ? error->message : "usage");
        return 1;
    }
    printf("pid %d %d\n", (int)(attach ? atoi(attach) : holder.child), (int)getpid());
    while (fgets(line, sizeof(line), stdin)) {
        g_auto(GStrv) words = NULL;
        g_autoptr(GString) out = g_string_new(NULL);
        g_autoptr(GError) local = NULL;
        gint64 start = g_get_monotonic_time();
        gboolean ok;
        int msec;

        if (!g_shell_parse_argv(line, NULL, &words, NULL))
            continue;
        ok = runCommand(&holder, words, out, &local);
        msec = (g_get_monotonic_time() - start + 500) / 1000;
        if (ok)
            printf("ok %d %s\n", msec, out->str);
        else
            printf("error %d %d %s\n", local->code, msec,
                   g_strdelimit(local->message, "\n", '|'));
    }
    holder.driver->objectFree(holder.object);
    return 0;
}
