/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fault.c: a plugin that passes every call on to a real one, unless it was told otherwise.
 *
 *     [fault]
 *     plugin = /path/of/lockfile.so       the real plugin
 *     rules  = /path/of/a/file            read again at each call; may be missing
 *     daemon = PID                        what stands for the lock daemon
 *     interval, expire, takeover = SEC    of the renewals it makes up
 *     dir    = DIR                        handed on
 *
 * A line of the rules: CALLBACK N ACTION [ARGUMENT]; the Nth call of that callback since the
 * plugin was loaded (0: every call) does
 *
 *     fail CODE     fails with that error code ("BUSY") without asking the real plugin
 *     after CODE    asks the real plugin and then says that it failed
 *     delay MSEC    waits before it asks
 *     hang          does not return before the caller's deadline, then TIMEOUT
 *     stuck         does not return at all, like a call that ignores its deadline
 *
 * "lose" is "renewal 0 fail LOST". It promises LOSS_EVENTS, so that programs can be tested
 * against every way of losing leases without a lock daemon.
 */
#include <leasehold/lock_driver.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef enum {
    CALL_ACQUIRE = 0,
    CALL_RELEASE,
    CALL_INQUIRE,
    CALL_PREPARE_CHILD,
    CALL_REGISTER_CHILD,
    CALL_SET_PID,
    CALL_CONVERT,
    CALL_USE_READ,
    CALL_USE_ADVANCE,
    CALL_RESERVE,
    CALL_UNRESERVE,
    CALL_SETTLE,
    CALL_QUERY_OWNER,
    CALL_WATCH_DAEMON,
    CALL_RENEWAL,
    CALL_LAST,
} Call;

static const char *const callNames[] = {
    [CALL_ACQUIRE] = "acquire",
    [CALL_RELEASE] = "release",
    [CALL_INQUIRE] = "inquire",
    [CALL_PREPARE_CHILD] = "prepareChild",
    [CALL_REGISTER_CHILD] = "registerChild",
    [CALL_SET_PID] = "setPid",
    [CALL_CONVERT] = "convert",
    [CALL_USE_READ] = "useRead",
    [CALL_USE_ADVANCE] = "useAdvance",
    [CALL_RESERVE] = "reserve",
    [CALL_UNRESERVE] = "unreserve",
    [CALL_SETTLE] = "settle",
    [CALL_QUERY_OWNER] = "queryOwner",
    [CALL_WATCH_DAEMON] = "watchDaemon",
    [CALL_RENEWAL] = "renewal",
};

G_STATIC_ASSERT(G_N_ELEMENTS(callNames) == CALL_LAST);

/* As virLockErrorCode. */
static const char *const codeNames[] = {
    "INTERNAL", "BUSY",  "UNAVAILABLE", "NOT_JOINED", "CONFIG",    "UNSUPPORTED",
    "STATE",    "STALE", "LOST",        "TIMEOUT",    "CANCELLED", "INDETERMINATE",
};

typedef struct _Fault {
    const virLockDriver *real;
    gpointer realData;
    char *rules;
    gint64 daemon;
    guint interval;
    guint expire;
    guint takeover;
    int counts[CALL_LAST]; /* atomic */
} Fault;

typedef struct _FaultObject {
    Fault *fault;
    gpointer real;
} FaultObject;

/* --- rules -------------------------------------------------------------------------------- */

typedef struct _Rule {
    char action[16];
    char argument[64];
} Rule;

static gboolean
faultFindRule(Fault *fault, Call call, Rule *rule)
{
    int count = g_atomic_int_add(&fault->counts[call], 1) + 1;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    memset(rule, 0, sizeof(*rule));
    if (!fault->rules || !g_file_get_contents(fault->rules, &text, NULL, NULL))
        return FALSE;
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char name[32];
        int n;

        if (sscanf(*line, "%31s %d %15s %63s", name, &n, rule->action, rule->argument) >=
                3 &&
            strcmp(name, callNames[call]) == 0 && (n == 0 || n == count))
            return TRUE;
    }
    memset(rule, 0, sizeof(*rule));
    return FALSE;
}

static gboolean
faultFail(const char *code, Call call, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(codeNames); i++)
        if (strcmp(codeNames[i], code) == 0) {
            g_set_error(error, VIR_LOCK_ERROR, i, "injected: %s fails", callNames[call]);
            return FALSE;
        }
    g_error("fault plugin: '%s' is not an error code", code);
}

/* Until the deadline, or for ever. */
static void
faultHang(const virLockWait *wait, gboolean stuck)
{
    while (stuck || (g_get_monotonic_time() < wait->deadlineUsec &&
                     !g_cancellable_is_cancelled(wait->cancellable)))
        g_usleep(10 * 1000);
}

/* FALSE: @error is set, the real plugin is not asked. *after: fail when it was. */
static gboolean
faultBefore(Fault *fault, Call call, const virLockWait *wait, Rule *rule, GError **error)
{
    if (!faultFindRule(fault, call, rule))
        return TRUE;
    if (strcmp(rule->action, "fail") == 0)
        return faultFail(rule->argument, call, error);
    if (strcmp(rule->action, "delay") == 0)
        g_usleep(g_ascii_strtoull(rule->argument, NULL, 10) * 1000);
    if (strcmp(rule->action, "hang") == 0 || strcmp(rule->action, "stuck") == 0) {
        faultHang(wait, strcmp(rule->action, "stuck") == 0);
        return faultFail("TIMEOUT", call, error);
    }
    return TRUE;
}

static gboolean
faultAfter(gboolean ok, Call call, const Rule *rule, GError **error)
{
    if (!ok || strcmp(rule->action, "after") != 0)
        return ok;
    return faultFail(rule->argument, call, error);
}

/* One wrapper: BODY is the call of the real plugin. */
#define PASS_ON(fault, call, wait, BODY)                                                 \
    G_STMT_START                                                                         \
    {                                                                                    \
        Rule rule;                                                                       \
        if (!faultBefore(fault, call, wait, &rule, error))                               \
            return FALSE;                                                                \
        return faultAfter(BODY, call, &rule, error);                                     \
    }                                                                                    \
    G_STMT_END

/* --- life --------------------------------------------------------------------------------- */

static const virLockDriver *
faultOpen(const char *path, GError **error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    virLockDriverGetFunc get =
        module ? (virLockDriverGetFunc)dlsym(module, VIR_LOCK_DRIVER_SYMBOL) : NULL;

    if (get)
        return get();
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "fault: cannot load %s: %s",
                path, dlerror());
    return NULL;
}

static void
faultDeinit(gpointer driverData)
{
    Fault *fault = driverData;

    if (fault->real)
        fault->real->deinit(fault->realData);
    g_free(fault->rules);
    g_free(fault);
}

static gboolean
faultInit(const virLockDriverConfig *config, gpointer *driverData, GError **error)
{
    Fault *fault = g_new0(Fault, 1);
    virLockDriverConfig inner = *config;
    virLockDriverParam innerParams[] = {
        {"dir", NULL}, {"unsafe_network", "false"}, {NULL, NULL}};
    const char *plugin = NULL;

    for (const virLockDriverParam *param = config->params; param->key; param++) {
        guint number = g_ascii_strtoull(param->value, NULL, 10);

        if (strcmp(param->key, "plugin") == 0)
            plugin = param->value;
        else if (strcmp(param->key, "rules") == 0)
            fault->rules = g_strdup(param->value);
        else if (strcmp(param->key, "dir") == 0)
            innerParams[0].value = param->value;
        else if (strcmp(param->key, "daemon") == 0)
            fault->daemon = number;
        else if (strcmp(param->key, "interval") == 0)
            fault->interval = number;
        else if (strcmp(param->key, "expire") == 0)
            fault->expire = number;
        else if (strcmp(param->key, "takeover") == 0)
            fault->takeover = number;
    }
    inner.params = innerParams;
    if (!plugin || !(fault->real = faultOpen(plugin, error)) ||
        !fault->real->init(&inner, &fault->realData, error)) {
        fault->real = NULL;
        faultDeinit(fault);
        if (!plugin)
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "fault: [fault] plugin is missing");
        return FALSE;
    }
    *driverData = fault;
    return TRUE;
}

static gboolean
faultObjectNew(gpointer driverData, const virLockDriverObject *info, guint flags,
               gpointer *objectData, GError **error)
{
    Fault *fault = driverData;
    FaultObject *object = g_new0(FaultObject, 1);

    object->fault = fault;
    if (!fault->real->objectNew(fault->realData, info, flags, &object->real, error)) {
        g_free(object);
        return FALSE;
    }
    *objectData = object;
    return TRUE;
}

static void
faultObjectFree(gpointer objectData)
{
    FaultObject *object = objectData;

    object->fault->real->objectFree(object->real);
    g_free(object);
}

/* --- calls -------------------------------------------------------------------------------- */

static const virLockWait noWait = {.structSize = sizeof(noWait)};

static gboolean
faultAcquire(gpointer objectData, virLockDriverResource *const *resources, gsize n,
             guint flags, const virLockWait *wait, GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_ACQUIRE, wait,
            object->fault->real->acquire(object->real, resources, n, flags, wait, error));
}

/* The callbacks of a set of resources without flags. */
#define SET_CALL(function, callback, call)                                               \
    static gboolean function(gpointer objectData,                                        \
                             virLockDriverResource *const *resources, gsize n,           \
                             const virLockWait *wait, GError **error)                    \
    {                                                                                    \
        FaultObject *object = objectData;                                                \
                                                                                         \
        PASS_ON(object->fault, call, wait,                                               \
                object->fault->real->callback(object->real, resources, n, wait, error)); \
    }

SET_CALL(faultRelease, release, CALL_RELEASE)
SET_CALL(faultUseAdvance, useAdvance, CALL_USE_ADVANCE)
SET_CALL(faultReserve, reserve, CALL_RESERVE)
SET_CALL(faultUnreserve, unreserve, CALL_UNRESERVE)
SET_CALL(faultSettle, settle, CALL_SETTLE)

static gboolean
faultInquire(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
             GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_INQUIRE, wait,
            object->fault->real->inquire(object->real, leases, wait, error));
}

static gboolean
faultPrepareChild(gpointer objectData, GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_PREPARE_CHILD, &noWait,
            object->fault->real->prepareChild(object->real, error));
}

/* In the forked child: no rules file can be read here. The rule is taken from the environment. */
static int
faultRegisterChild(gpointer objectData, int *inheritFd, const char **message)
{
    FaultObject *object = objectData;

    if (getenv("LEASEHOLD_FAULT_REGISTER_CHILD")) {
        *message = "injected: registerChild fails";
        return EIO;
    }
    return object->fault->real->registerChild(object->real, inheritFd, message);
}

static gboolean
faultSetPid(gpointer objectData, pid_t pid, GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_SET_PID, &noWait,
            object->fault->real->setPid(object->real, pid, error));
}

static gboolean
faultConvert(gpointer objectData, virLockDriverResource *resource, virLockMode mode,
             const virLockWait *wait, GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_CONVERT, wait,
            object->fault->real->convert(object->real, resource, mode, wait, error));
}

static gboolean
faultUseRead(gpointer driverData, const virLockDriverResource *resource, guint maxHistory,
             GPtrArray **uses, const virLockWait *wait, GError **error)
{
    Fault *fault = driverData;

    PASS_ON(
        fault, CALL_USE_READ, wait,
        fault->real->useRead(fault->realData, resource, maxHistory, uses, wait, error));
}

static gboolean
faultQueryOwner(gpointer driverData, const virLockDriverResource *resource,
                GPtrArray **owners, const virLockWait *wait, GError **error)
{
    Fault *fault = driverData;

    PASS_ON(fault, CALL_QUERY_OWNER, wait,
            fault->real->queryOwner(fault->realData, resource, owners, wait, error));
}

/* --- made-up daemon ----------------------------------------------------------------------- */

static gboolean
faultOpenDaemon(const Fault *fault, int *fd, GError **error)
{
    *fd = (int)syscall(SYS_pidfd_open, (pid_t)(fault->daemon ? fault->daemon : getpid()),
                       0);
    if (*fd >= 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "fault: the daemon (process %d) is gone", (int)fault->daemon);
    return FALSE;
}

static gboolean
faultWatchDaemon(gpointer objectData, int *fd, GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_WATCH_DAEMON, &noWait,
            faultOpenDaemon(object->fault, fd, error));
}

static gboolean
faultFreshRenewal(const Fault *fault, virLockRenewal *renewal)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    renewal->lastUsec = now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
    renewal->intervalSec = fault->interval;
    renewal->expireSec = fault->expire;
    renewal->takeoverSec = fault->takeover;
    return TRUE;
}

static gboolean
faultRenewal(gpointer objectData, virLockRenewal *renewal, const virLockWait *wait,
             GError **error)
{
    FaultObject *object = objectData;

    PASS_ON(object->fault, CALL_RENEWAL, wait, faultFreshRenewal(object->fault, renewal));
}

/* --- the driver --------------------------------------------------------------------------- */

static const virLockDriverKey faultKeys[] = {
    {"plugin", NULL, "path of the real plugin"},
    {"rules", NULL, "file with the faults"},
    {"dir", NULL, "handed on to the real plugin"},
    {"daemon", "0", "pid that stands for the lock daemon; 0: this process"},
    {"interval", "20", "seconds between two made-up renewals"},
    {"expire", "80", "seconds after a renewal until holders are killed"},
    {"takeover", "140", "seconds after a renewal until others may take over"},
    {NULL, NULL, NULL},
};

static virLockDriver faultDriver = {
    .threadModel = VIR_LOCK_THREAD_SERIALIZE_OBJECT,
    .capabilities = VIR_LOCK_CAP_SHARED | VIR_LOCK_CAP_HOTPLUG | VIR_LOCK_CAP_CONVERT |
                    VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_MIGRATE |
                    VIR_LOCK_CAP_QUERY_OWNER | VIR_LOCK_CAP_CHILD_REGISTER |
                    VIR_LOCK_CAP_LOSS_EVENTS | VIR_LOCK_CAP_ATTACH,
    .name = "fault",
    .version = "1",
    .summary = "for tests: a real plugin with faults",
    .keys = faultKeys,
    .init = faultInit,
    .deinit = faultDeinit,
    .objectNew = faultObjectNew,
    .objectFree = faultObjectFree,
    .acquire = faultAcquire,
    .release = faultRelease,
    .inquire = faultInquire,
    .prepareChild = faultPrepareChild,
    .registerChild = faultRegisterChild,
    .setPid = faultSetPid,
    .convert = faultConvert,
    .useRead = faultUseRead,
    .useAdvance = faultUseAdvance,
    .reserve = faultReserve,
    .unreserve = faultUnreserve,
    .settle = faultSettle,
    .queryOwner = faultQueryOwner,
    .watchDaemon = faultWatchDaemon,
    .renewal = faultRenewal,
};

VIR_LOCK_DRIVER_REGISTER(faultDriver)
