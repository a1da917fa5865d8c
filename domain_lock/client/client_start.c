/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_start.c: starting a guest: a supervisor (client_spare.c) is told what to start, and
 * listened to until it says ready or error.
 */
#include "client.h"
#include "common/fd.h"
#include "domain_lock/domain/domain_def.h"
#include "domain_lock/spec.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After the deadline or a cancel the supervisor gets this long to undo and to say so. It
 * gives up by itself before (supervisor.c), so this is reached only if it is stopped. */
#define START_GRACE_USEC (30 * G_USEC_PER_SEC)

/* Under this the configuration keeps a supervisor that was offered. */
#define VIR_SPARE_KEY "domain-lock-spare"

typedef struct {
    int sock;
    GString *input;
    const virLockWait *wait;
    gint64 deadlineUsec;
    gboolean cancelled; /* and the supervisor knows */
    virDomainLock *dom; /* the result */
    virLockConfig *config;
} virStartClient;

/* --- what it is for, and who does it -------------------------------------------------- */

typedef struct {
    const char *element;
    char *text;
} virStartLook;

static void
virStartLookAt(GMarkupParseContext *context, const char *text, gsize len, gpointer data,
               GError **error)
{
    virStartLook *look = data;
    const GSList *stack = g_markup_parse_context_get_element_stack(context);

    if (!look->text && g_slist_length((GSList *)stack) == 2 &&
        g_str_equal(stack->data, look->element))
        look->text = g_strstrip(g_strndup(text, len));
}

/* The first element of this name below the root; NULL if there is none. A description that is
 * no XML is the supervisor's business to refuse. */
static char *
virStartElement(const char *xml, const char *element)
{
    static const GMarkupParser parser = {.text = virStartLookAt};
    virStartLook look = {.element = element};
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &look, NULL);

    (void)g_markup_parse_context_parse(context, xml, (gssize)MIN(strlen(xml), 4096),
                                       NULL);
    g_markup_parse_context_free(context);
    return look.text;
}

char *
virDomainLockSpecLabel(const virDomainLockSpec *spec)
{
    char *name = spec->xml ? virStartElement(spec->xml, "name") : g_strdup(spec->name);

    return name ? name : g_strdup("?");
}

/* The one that was offered, unless it is of no use. One that ended meanwhile is: nothing was
 * begun by it. */
static virDomainLockSpare *
virStartSpare(virLockConfig *config, const virDomainLockSpec *spec, GError **error)
{
    g_autoptr(virDomainLockSpare) spare = NULL;

    if (spec->incoming)
        return virDomainLockSpareSpawn(spec->channel, error);
    spare = virLockConfigStealData(config, VIR_SPARE_KEY);
    if (spare && !virDomainLockSpareIsGone(spare))
        return g_steal_pointer(&spare);
    return virDomainLockSpareSpawn(NULL, error);
}

void
virDomainLockSpareOffer(virDomainLockSpare *spare, virLockConfig *config)
{
    virLockConfigSetData(config, VIR_SPARE_KEY, spare,
                         (GDestroyNotify)virDomainLockSpareFree);
}

/* --- talking ------------------------------------------------------------------------ */

static gboolean
virStartSay(virStartClient *client, JsonObject *object, GError **error)
{
    g_autofree char *line = virDomainLockJsonLine(object);
    gsize len = strlen(line);
    gsize done = 0;

    while (done < len) {
        ssize_t n = send(client->sock, line + done, len - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        /* a supervisor that failed early has left its reason for us to read */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return TRUE;
        if (n < 0) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                        "cannot tell the supervisor what to start: %s",
                        g_strerror(errno));
            return FALSE;
        }
        done += (gsize)n;
    }
    return TRUE;
}

static void
virStartCancel(virStartClient *client)
{
    g_autoptr(JsonObject) object = json_object_new();
    gint64 grace = g_get_monotonic_time() + START_GRACE_USEC;

    client->cancelled = TRUE;
    client->deadlineUsec = MIN(client->deadlineUsec, grace);
    json_object_set_boolean_member(object, "cancel", TRUE);
    (void)virStartSay(client, object, NULL);
}

typedef enum {
    VIR_START_GOES_ON,
    VIR_START_READY,
    VIR_START_FAILED,
} virStartResult;

static virStartResult
virStartHandle(virStartClient *client, const char *line, GError **error)
{
    g_autoptr(JsonObject) object = virDomainLockJsonParse(line, -1, NULL);
    JsonObject *progress = virDomainLockJsonObject(object, "progress");
    JsonObject *ready = virDomainLockJsonObject(object, "ready");
    JsonObject *failed = virDomainLockJsonObject(object, "error");

    if (progress && client->wait && client->wait->progress)
        virDomainLockProgressFromJson(progress, client->wait->progress,
                                      client->wait->progressData);
    if (ready) {
        client->dom =
            virDomainLockNew(client->config, virDomainLockJsonString(ready, "name"),
                             virDomainLockJsonString(ready, "uuid"));
        client->dom->startInfo = virDomainLockInfoFromJson(ready);
        return VIR_START_READY;
    }
    if (failed) {
        g_propagate_error(error, virDomainLockErrorFromJson(failed));
        return VIR_START_FAILED;
    }
    return VIR_START_GOES_ON;
}

static virStartResult
virStartHandleLines(virStartClient *client, GError **error)
{
    virStartResult result = VIR_START_GOES_ON;
    const char *end = NULL;

    while (result == VIR_START_GOES_ON &&
           (end = memchr(client->input->str, '\n', client->input->len))) {
        g_autofree char *line =
            g_strndup(client->input->str, (gsize)(end - client->input->str));

        g_string_erase(client->input, 0, end + 1 - client->input->str);
        result = virStartHandle(client, line, error);
    }
    return result;
}

/* TRUE: there is something to read (or the end). */
static gboolean
virStartPoll(virStartClient *client, GError **error)
{
    GCancellable *cancellable = client->wait ? client->wait->cancellable : NULL;
    GPollFD cancelFd = {.fd = -1};
    gboolean watchCancel = !client->cancelled && cancellable &&
                           g_cancellable_make_pollfd(cancellable, &cancelFd);
    struct pollfd fds[2] = {{.fd = client->sock, .events = POLLIN},
                            {.fd = watchCancel ? cancelFd.fd : -1, .events = POLLIN}};
    int n = poll(fds, 2, virPollTimeoutMsec(client->deadlineUsec));

    if (watchCancel)
        g_cancellable_release_fd(cancellable);
    if (n > 0 && fds[1].revents)
        virStartCancel(client);
    if (n > 0 && fds[0].revents)
        return TRUE;
    if (n == 0 && g_get_monotonic_time() >= client->deadlineUsec)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
            "the supervisor does not say whether the guest was started; 'leasehold "
            "list' shows what it knows");
    return FALSE;
}

static gboolean
virStartListen(virStartClient *client, GError **error)
{
    virStartResult result = VIR_START_GOES_ON;
    GError *why = NULL;

    while (result == VIR_START_GOES_ON) {
        char buffer[4096];
        ssize_t n = 0;

        if (!virStartPoll(client, &why)) {
            if (!why)
                continue;
            g_propagate_error(error, why);
            return FALSE;
        }
        n = recv(client->sock, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0 || client->input->len > VIR_SPEC_MAX) {
            g_set_error(
                error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                "the supervisor died while it started the guest; what it had done so "
                "far ended with it unless 'leasehold list' shows the guest");
            return FALSE;
        }
        g_string_append_len(client->input, buffer, n);
        result = virStartHandleLines(client, error);
    }
    return result == VIR_START_READY;
}

/* With the description parsed already. One that cannot be is the supervisor's business, too. */
static JsonObject *
virStartSpecToJson(const virDomainLockSpec *spec)
{
    JsonObject *object = virDomainLockSpecToJson(spec);
    g_autofree char *packed =
        spec->xml && !spec->attach ? virDomainLockPackXML(spec->xml) : NULL;

    if (packed)
        json_object_set_string_member(object, "packed", packed);
    return object;
}

/* --- the public calls --------------------------------------------------------------- */

virDomainLock *
virDomainLockCreateSpec(virLockConfig *config, virDomainLockSpec *spec,
                        const virLockWait *wait, GError **error)
{
    g_autoptr(JsonObject) object = NULL;
    g_autoptr(GString) input = g_string_new(NULL);
    virStartClient client = {.sock = -1, .input = input, .wait = wait, .config = config};
    g_autoptr(virDomainLockSpare) supervisor = NULL;

    g_free(spec->configPath);
    spec->configPath = g_strdup(virLockConfigGetPath(config));
    spec->deadlineUsec =
        wait && wait->deadlineUsec > 0
            ? wait->deadlineUsec
            : g_get_monotonic_time() + VIR_LOCK_WAIT_DEFAULT_SEC * G_USEC_PER_SEC;
    spec->busyUsec = wait ? wait->busyUsec : 0;
    supervisor = virStartSpare(config, spec, error);
    if (!supervisor)
        return NULL;
    client.sock = virDomainLockSpareGetSocket(supervisor);
    client.deadlineUsec = spec->deadlineUsec + START_GRACE_USEC;
    /* the supervisor is being loaded meanwhile */
    object = virStartSpecToJson(spec);
    if (!virStartSay(&client, object, error) ||
        !virDomainLockSpareAwait(supervisor, error) || !virStartListen(&client, error))
        return NULL;
    return client.dom;
}

/* The guest of this description if it runs here already: of the same uuid, or of the name
 * where the description leaves the uuid to be made from that. */
static virDomainLock *
virStartFindRunning(virLockConfig *config, const virDomainLockSpec *spec)
{
    g_autofree char *name = virDomainLockSpecLabel(spec);
    g_autofree char *uuid =
        spec->xml ? virStartElement(spec->xml, "uuid") : g_strdup(spec->uuid);
    g_autoptr(virDomainLock) dom = virDomainLockLookup(config, uuid ? uuid : name, NULL);
    g_autoptr(virDomainLockInfo) info =
        dom ? virDomainLockReadInfo(config, dom->uuid) : NULL;

    return info && info->state != VIR_DOMAIN_LOCK_STATE_SHUTOFF ? g_steal_pointer(&dom)
                                                                : NULL;
}

static virDomainLock *
virStartOrAttach(virLockConfig *config, virDomainLockSpec *spec, const virLockWait *wait,
                 GError **error)
{
    gboolean mayAttach = (spec->flags & VIR_DOMAIN_LOCK_CREATE_ATTACH) != 0;
    gboolean owns = (spec->flags & VIR_DOMAIN_LOCK_CREATE_AUTODESTROY) != 0;
    g_autoptr(virDomainLock) dom = NULL;

    if (owns && mayAttach) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "AUTODESTROY and ATTACH are mutually exclusive: a guest that runs "
                    "already belongs to somebody else");
        return NULL;
    }
    if (owns)
        spec->owner = virDomainLockProcessOf(getpid());
    if (mayAttach)
        dom = virStartFindRunning(config, spec);
    spec->flags &= ~(guint)VIR_DOMAIN_LOCK_CREATE_ATTACH;
    if (!dom)
        return virDomainLockCreateOrResume(config, spec, wait, error);
    return virDomainLockAttachIfOrphan(dom, error) ? g_steal_pointer(&dom) : NULL;
}

virDomainLock *
virDomainLockCreateXML(virLockConfig *config, const char *xml, guint flags,
                       const virLockWait *wait, GError **error)
{
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();

    spec->xml = g_strdup(xml);
    spec->flags = flags;
    return virStartOrAttach(config, spec, wait, error);
}

virDomainLock *
virDomainLockCreateCommand(virLockConfig *config, const virDomainLockCommand *command,
                           guint flags, const virLockWait *wait, GError **error)
{
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();

    virDomainLockSpecSetCommand(spec, command);
    spec->flags = flags;
    return virStartOrAttach(config, spec, wait, error);
}
