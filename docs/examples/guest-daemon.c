/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-daemon.c: a small hypervisor daemon on libdomain_lock.
 *
 *   cc guest-daemon.c -o guest-daemon $(pkg-config --cflags --libs leasehold-domain-lock gio-unix-2.0)
 *   ./guest-daemon /etc/guests/web.xml ...       (a file is named like its guest)
 *
 * It starts the guests that do not run, follows what happens to all of them, and does what
 * lines on its standard input say:
 *
 *   plug GUEST DISK.xml     unplug GUEST TARGET     shutdown GUEST     list     quit
 *
 * Its guests do not depend on it: each has a supervisor of its own. When the daemon is gone they
 * go on, and the next one finds them again.
 *
 * The main loop never waits. Calls that may take long (all that start or change a guest) run
 * in threads of GTask, and their results come back into the loop; a handle may be used by
 * any number of threads at once. What the loop itself calls reads files and asks nobody.
 */
#include <leasehold/domain_lock.h>

#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_SEC 120
#define UNPLUG_SEC 30
#define SHUTDOWN_SEC 60

typedef struct {
    virLockConfig *config;
    GMainLoop *loop;
    GCancellable *quitting; /* starts that still wait are given up */
    GDataInputStream *commands;
    guint running; /* tasks */
} Daemon;

/* --- calls that take long, in threads --------------------------------------------------- */

typedef struct _Task Task;
struct _Task {
    Daemon *daemon;
    const char *verb;
    char *guest;    /* name */
    char *argument; /* a path, or the target of a disk */
    gboolean (*call)(Task *task, virDomainLock *dom, GError **error); /* NULL: start */
};

static void
taskFree(gpointer data)
{
    Task *task = data;

    g_free(task->guest);
    g_free(task->argument);
    g_free(task);
}

/* In a thread. */
static void
taskRun(GTask *gtask, gpointer source, gpointer data, GCancellable *cancellable)
{
    Task *task = data;
    g_autoptr(virDomainLock) dom = NULL;
    GError *error = NULL;

    dom = virDomainLockLookup(task->daemon->config, task->guest, &error);
    if (dom && task->call(task, dom, &error))
        g_task_return_boolean(gtask, TRUE);
    else
        g_task_return_error(gtask, error);
}

/* In a thread: returns when the guest runs. */
static void
taskStart(GTask *gtask, gpointer source, gpointer data, GCancellable *cancellable)
{
    Task *task = data;
    virLockWait wait = {
        .structSize = sizeof(wait),
        .deadlineUsec = g_get_monotonic_time() + START_SEC * G_USEC_PER_SEC,
        .cancellable = task->daemon->quitting,
    };
    g_autofree char *xml = NULL;
    g_autoptr(virDomainLock) dom = NULL;
    GError *error = NULL;

    if (g_file_get_contents(task->argument, &xml, NULL, &error))
        dom = virDomainLockCreateXML(task->daemon->config, xml, 0, &wait, &error);
    if (dom)
        g_task_return_boolean(gtask, TRUE);
    else
        g_task_return_error(gtask, error);
}

/* In the main loop again. */
static void
taskDone(GObject *source, GAsyncResult *result, gpointer data)
{
    Daemon *daemon = data;
    Task *task = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;

    if (g_task_propagate_boolean(G_TASK(result), &error))
        g_print("done: %s %s\n", task->verb, task->guest);
    else if (g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
        g_print("unknown: %s %s: %s\n", task->verb, task->guest, error->message);
    else
        g_print("failed: %s %s: %s\n", task->verb, task->guest, error->message);
    if (--daemon->running == 0 && g_cancellable_is_cancelled(daemon->quitting))
        g_main_loop_quit(daemon->loop);
}

static void
taskBegin(Daemon *daemon, const Task *what)
{
    g_autoptr(GTask) gtask = g_task_new(NULL, NULL, taskDone, daemon);
    Task *task = g_memdup2(what, sizeof(*what));

    task->daemon = daemon;
    task->guest = g_strdup(what->guest);
    task->argument = g_strdup(what->argument);
    g_task_set_task_data(gtask, task, taskFree);
    daemon->running++;
    g_task_run_in_thread(gtask, task->call ? taskRun : taskStart);
}

static gboolean
plug(Task *task, virDomainLock *dom, GError **error)
{
    g_autofree char *xml = NULL;

    return g_file_get_contents(task->argument, &xml, NULL, error) &&
           virDomainLockAttachDisk(dom, xml, 0, error);
}

static gboolean
unplug(Task *task, virDomainLock *dom, GError **error)
{
    return virDomainLockDetachDisk(dom, task->argument, UNPLUG_SEC, 0, error);
}

/* Returns when the guest is gone: by itself, or by force after SHUTDOWN_SEC. */
static gboolean
shutDown(Task *task, virDomainLock *dom, GError **error)
{
    return virDomainLockShutdownFlags(dom, SHUTDOWN_SEC, VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK,
                                      error);
}

/* Its supervisor died while nobody was there to see it. */
static gboolean
attach(Task *task, virDomainLock *dom, GError **error)
{
    g_autoptr(virDomainLock) again =
        virDomainLockAttach(task->daemon->config, task->guest, NULL, error);

    return again != NULL;
}

/* --- events ----------------------------------------------------------------------------- */

static void
onEvent(const virDomainLockEvent *event, gpointer data)
{
    Daemon *daemon = data;
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virDomainLockInfo) info = NULL;

    g_print("event: %s %s %s\n", event->name, event->event,
            event->detail ? event->detail : "-");
    if (!g_str_equal(event->event, "STOPPED"))
        return;
    /* reads what the supervisor has published, so it may be called here */
    dom = virDomainLockLookup(daemon->config, event->uuid, NULL);
    info = dom ? virDomainLockPeekInfo(dom, NULL) : NULL;
    if (info)
        g_print("ended: %s %s\n", info->name, virDomainLockReasonName(info->reason));
}

/* --- guests ----------------------------------------------------------------------------- */

static void
listGuests(Daemon *daemon, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) guests = virDomainLockList(daemon->config, 0, &error);

    for (guint i = 0; guests && i < guests->len; i++) {
        const virDomainLockInfo *info = g_ptr_array_index(guests, i);

        g_print("%s: %s %s, QEMU %" G_GINT64_FORMAT ", %u leases\n", word, info->name,
                virDomainLockStateName(info->state), info->pid, info->leases->len);
    }
    if (!guests)
        g_print("failed: list: %s\n", error->message);
}

static void
startMissing(Daemon *daemon, const char *file)
{
    g_autofree char *name = g_path_get_basename(file);
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virDomainLockInfo) info = NULL;

    if (g_str_has_suffix(name, ".xml"))
        name[strlen(name) - strlen(".xml")] = '\0';
    dom = virDomainLockLookup(daemon->config, name, NULL);
    info = dom ? virDomainLockPeekInfo(dom, NULL) : NULL;
    if (!info || info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        taskBegin(daemon, &(Task){.verb = "start", .guest = name, .argument = (char *)file});
    else if (info->state == VIR_DOMAIN_LOCK_STATE_UNSUPERVISED)
        taskBegin(daemon, &(Task){.verb = "attach", .guest = name, .call = attach});
}

/* --- commands --------------------------------------------------------------------------- */

static void
quit(Daemon *daemon)
{
    g_cancellable_cancel(daemon->quitting);
    if (daemon->running == 0)
        g_main_loop_quit(daemon->loop);
}

static void
obey(Daemon *daemon, const char *line)
{
    static const struct {
        const char *verb;
        guint words;
        gboolean (*call)(Task *task, virDomainLock *dom, GError **error);
    } verbs[] = {{"plug", 3, plug}, {"unplug", 3, unplug}, {"shutdown", 2, shutDown}};
    g_auto(GStrv) words = g_strsplit(line, " ", 3);

    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (g_strv_length(words) != verbs[i].words || !g_str_equal(words[0], verbs[i].verb))
            continue;
        taskBegin(daemon, &(Task){.verb = verbs[i].verb,
                                  .guest = words[1],
                                  .argument = words[2],
                                  .call = verbs[i].call});
        return;
    }
    if (g_str_equal(line, "list"))
        listGuests(daemon, "guest");
    else if (g_str_equal(line, "quit"))
        quit(daemon);
    else
        g_print("failed: '%s' is not understood\n", line);
}

static void
onLine(GObject *source, GAsyncResult *result, gpointer data)
{
    Daemon *daemon = data;
    g_autofree char *line =
        g_data_input_stream_read_line_finish_utf8(daemon->commands, result, NULL, NULL);

    if (line)
        obey(daemon, line);
    if (!line)
        quit(daemon);
    else if (!g_cancellable_is_cancelled(daemon->quitting))
        g_data_input_stream_read_line_async(daemon->commands, G_PRIORITY_DEFAULT, NULL,
                                            onLine, daemon);
}

static gboolean
onSignal(gpointer data)
{
    quit(data);
    return G_SOURCE_CONTINUE;
}

/* --- main ------------------------------------------------------------------------------- */

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockConfig) config = virLockConfigLoad(NULL, &error);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GCancellable) quitting = g_cancellable_new();
    g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GDataInputStream) commands = g_data_input_stream_new(input);
    g_autoptr(GSource) events = NULL;
    Daemon daemon = {.config = config,
                     .loop = loop,
                     .quitting = quitting,
                     .commands = commands};

    /* events before the list, so that nothing falls between the two */
    if (config)
        events = virDomainLockWatchEvents(config, NULL, onEvent, &daemon, &error);
    if (!events) {
        g_printerr("guest-daemon: %s\n", error->message);
        return EXIT_FAILURE;
    }
    listGuests(&daemon, "found");
    for (int i = 1; i < argc; i++)
        startMissing(&daemon, argv[i]);
    g_unix_signal_add(SIGTERM, onSignal, &daemon);
    g_data_input_stream_read_line_async(commands, G_PRIORITY_DEFAULT, NULL, onLine, &daemon);
    g_main_loop_run(loop);
    g_source_destroy(events);
    return EXIT_SUCCESS;
}
