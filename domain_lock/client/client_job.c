/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_job.c: calls that become a job that takes long, and its cancelling.
 *
 * The call's own connection also brings the changes of the job's properties, in a context of
 * its own, so that the caller's main loop is left alone. Cancelling or the deadline ask the
 * supervisor to cancel the job; its answer says what became of it, and is waited for, because
 * until then nobody knows. A supervisor that does not answer even that is INDETERMINATE.
 */
#include "client.h"
#include "domain_lock/codec.h"

/* JobCancel, flags: only the job that this connection asked for. Another one may run while it
 * waits for its turn. */
#define JOB_CANCEL_MINE 1
/* So long a job may take to undo itself. */
#define JOB_UNDO_SEC 120
#define JOB_CANCEL_MSEC (JOB_UNDO_SEC * 1000)

typedef struct {
    virDomainLock *dom;
    const virLockWait *wait;
    GMainContext *context;
    GDBusConnection *connection;
    const char *job; /* how it is called when it has begun */
    void (*begun)(gpointer data); /* or NULL */
    gpointer data;
    GVariant *reply;
    GError *error;
    gboolean answered;
    gboolean late;           /* because of the deadline */
    gboolean silent;         /* it did not answer */
    gint64 askedUsec;        /* to cancel; 0: not */
    GVariant *known;         /* a{sv}: properties as they were told; NULL: none yet */
    virDomainLockInfo *info; /* the same */
} virJobCall;

gboolean
virDomainLockJobCancel(virDomainLock *dom, GError **error)
{
    return virDomainLockCall(dom, "JobCancel", g_variant_new("(u)", 0), JOB_CANCEL_MSEC,
                             error);
}

/* --- progress ----------------------------------------------------------------------- */

static gint64
virJobEta(const virDomainLockInfo *info)
{
    gint64 spent = g_get_real_time() - info->jobStartedUsec;
    gint64 left = info->jobTotal - info->jobDone;

    if (info->jobStartedUsec == 0 || info->jobDone <= 0 || info->jobTotal <= 0)
        return -1;
    return (gint64)((double)spent * (double)MAX(left, 0) / (double)info->jobDone /
                    G_USEC_PER_SEC);
}

static void
virJobReport(virJobCall *call)
{
    const virDomainLockInfo *info = call->info;
    g_autofree char *what = NULL;
    virLockProgress progress = {.structSize = sizeof(progress), .fraction = -1};

    if (!call->wait || !call->wait->progress || !info || !info->job)
        return;
    what = info->jobDetail ? g_strdup_printf("%s (%s)", info->job, info->jobDetail)
                           : g_strdup(info->job);
    progress.what = what;
    if (info->jobTotal > 0)
        progress.fraction = (double)info->jobDone / (double)info->jobTotal;
    progress.etaSec = virJobEta(info);
    call->wait->progress(&progress, call->wait->progressData);
}

static void
virJobChanged(GDBusConnection *connection, const char *sender, const char *path,
              const char *interface, const char *signal, GVariant *parameters,
              gpointer data)
{
    virJobCall *call = data;
    g_autoptr(GVariant) changed = NULL;
    GVariantDict all;
    GVariantIter iter;
    const char *name = NULL;
    GVariant *value = NULL;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    changed = g_variant_get_child_value(parameters, 1);
    g_variant_dict_init(&all, call->known);
    g_variant_iter_init(&iter, changed);
    while (g_variant_iter_loop(&iter, "{&sv}", &name, &value))
        g_variant_dict_insert_value(&all, name, value);
    g_clear_pointer(&call->known, g_variant_unref);
    call->known = g_variant_ref_sink(g_variant_dict_end(&all));
    virDomainLockInfoFree(call->info);
    call->info = virDomainLockInfoFromVariant(call->known);
    if (call->begun && g_strcmp0(call->info->job, call->job) == 0)
        g_steal_pointer(&call->begun)(call->data);
    virJobReport(call);
}

/* --- waiting ------------------------------------------------------------------------ */

static void
virJobAnswered(GObject *object, GAsyncResult *result, gpointer data)
{
    virJobCall *call = data;

    call->reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(object), result, &call->error);
    call->answered = TRUE;
}

/* Again each second: the job may not have had its turn yet. */
static void
virJobAsk(virJobCall *call)
{
    gint64 now = g_get_monotonic_time();

    if (call->askedUsec != 0 && now - call->askedUsec < G_USEC_PER_SEC)
        return;
    call->askedUsec = now;
    g_dbus_connection_call(call->connection, NULL, "/io/leasehold/Guest",
                           "io.leasehold.Guest1", "JobCancel",
                           g_variant_new("(u)", JOB_CANCEL_MINE), NULL,
                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static gboolean
virJobTick(gpointer data)
{
    return G_SOURCE_CONTINUE; /* only wakes the loop up */
}

static GSource *
virJobAttach(virJobCall *call, GSource *source)
{
    g_source_set_callback(source, virJobTick, NULL, NULL);
    g_source_attach(source, call->context);
    return source;
}

/* Until the answer is here, or there will be none. */
static void
virJobLoop(virJobCall *call)
{
    gint64 deadline = call->wait ? call->wait->deadlineUsec : 0;
    GCancellable *cancellable = call->wait ? call->wait->cancellable : NULL;
    g_autoptr(GSource) tick = virJobAttach(call, g_timeout_source_new(250));
    gint64 giveUp = 0;

    while (!call->answered) {
        gint64 now = g_get_monotonic_time();

        if (call->askedUsec == 0 && deadline > 0 && now >= deadline)
            call->late = TRUE;
        if (call->late || g_cancellable_is_cancelled(cancellable))
            virJobAsk(call);
        if (call->askedUsec != 0 && giveUp == 0)
            giveUp = now + JOB_UNDO_SEC * G_USEC_PER_SEC;
        if (giveUp > 0 && now >= giveUp)
            break;
        g_main_context_iteration(call->context, TRUE);
    }
    g_source_destroy(tick);
}

static gboolean
virJobResult(virJobCall *call, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (call->reply)
        return TRUE;
    if (!call->silent && g_error_matches(call->error, G_IO_ERROR, G_IO_ERROR_CLOSED))
        why = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                          "the supervisor of guest '%s' ended meanwhile, and what became "
                          "of it is not known; 'leasehold attach %s' finishes or undoes it",
                          call->dom->name, call->dom->name);
    else if (!call->silent)
        why = virDomainLockErrorFromRemote(call->error);
    else
        why = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                          "the supervisor of guest '%s' was asked to cancel the job and "
                          "has not answered in %d s; 'leasehold show %s' tells what is",
                          call->dom->name, JOB_UNDO_SEC, call->dom->name);
    if (call->late && why->code == VIR_LOCK_ERROR_CANCELLED) {
        why->code = VIR_LOCK_ERROR_TIMEOUT;
        g_prefix_error(&why, "it took longer than it may: ");
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static void
virJobCallRun(virJobCall *call, const char *method, GVariant *parameters)
{
    guint changes = g_dbus_connection_signal_subscribe(
        call->connection, NULL, "org.freedesktop.DBus.Properties", "PropertiesChanged",
        "/io/leasehold/Guest", NULL, G_DBUS_SIGNAL_FLAGS_NONE, virJobChanged, call, NULL);
    g_autoptr(GCancellable) gone = g_cancellable_new();

    g_dbus_connection_call(call->connection, NULL, "/io/leasehold/Guest",
                           "io.leasehold.Guest1", method, parameters, NULL,
                           G_DBUS_CALL_FLAGS_NONE, G_MAXINT, gone, virJobAnswered, call);
    virJobLoop(call);
    g_dbus_connection_signal_unsubscribe(call->connection, changes);
    call->silent = !call->answered;
    g_cancellable_cancel(gone);
    while (!call->answered)
        g_main_context_iteration(call->context, TRUE);
    /* the callbacks of what is left are in our context: none may come after this */
    (void)g_dbus_connection_close_sync(call->connection, NULL, NULL);
    while (g_main_context_iteration(call->context, FALSE))
        continue;
}

gboolean
virDomainLockCallJob(virDomainLock *dom, const char *method, GVariant *parameters,
                     const virLockWait *wait, GError **error)
{
    virDomainLockBegun nothing = {NULL, NULL, NULL};

    return virDomainLockCallJobBegun(dom, method, parameters, &nothing, wait, error);
}

gboolean
virDomainLockCallJobBegun(virDomainLock *dom, const char *method, GVariant *parameters,
                          const virDomainLockBegun *begun, const virLockWait *wait,
                          GError **error)
{
    g_autoptr(GVariant) arguments = g_variant_ref_sink(parameters);
    g_autoptr(GMainContext) context = g_main_context_new();
    virJobCall call = {.dom = dom,
                       .wait = wait,
                       .context = context,
                       .job = begun->job,
                       .begun = begun->func,
                       .data = begun->data};
    gboolean ok = FALSE;

    g_main_context_push_thread_default(context);
    if (virDomainLockAttachIfOrphan(dom, error))
        call.connection = virDomainLockConnect(dom, error);
    if (call.connection) {
        virJobCallRun(&call, method, arguments);
        ok = virJobResult(&call, error);
        g_object_unref(call.connection);
    }
    g_main_context_pop_thread_default(context);
    g_clear_pointer(&call.reply, g_variant_unref);
    g_clear_error(&call.error);
    g_clear_pointer(&call.known, g_variant_unref);
    virDomainLockInfoFree(call.info);
    return ok;
}
