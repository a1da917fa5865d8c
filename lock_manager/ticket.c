/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ticket.c: see ticket.h. The other side may be newer, older or hostile: every member is
 * checked for its type before it is read (json-glib's getters abort a strict program
 * otherwise), and the size is bounded.
 */
#include "lock_manager/ticket.h"
#include "common/text.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define TICKET_VERSION 1
#define TICKET_KIND "leasehold-ticket"
#define COOKIE_KIND "leasehold-cookie"
/* a thousand leases with long paths stay below this */
#define TICKET_MAX_BYTES (4 * 1024 * 1024)
#define TICKET_MAX_DEPTH 16

static const char *const virLockTicketTypes[] = {
    [VIR_LOCK_RESOURCE_RUN] = "run",
    [VIR_LOCK_RESOURCE_DISK] = "disk",
    [VIR_LOCK_RESOURCE_LEASE] = "lease",
    NULL,
};

static const char *const virLockTicketModes[] = {
    [VIR_LOCK_MODE_NONE] = "none",
    [VIR_LOCK_MODE_SHARED] = "shared",
    [VIR_LOCK_MODE_EXCLUSIVE] = "exclusive",
    NULL,
};

static void
virLockTicketLeaseFree(virLockTicketLease *lease)
{
    g_free(lease->name);
    g_free(lease->path);
    g_free(lease);
}

virLockTicket *
virLockTicketNew(void)
{
    virLockTicket *ticket = g_new0(virLockTicket, 1);

    ticket->leases =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockTicketLeaseFree);
    return ticket;
}

void
virLockTicketFree(virLockTicket *ticket)
{
    if (!ticket)
        return;
    g_free(ticket->nonce);
    g_free(ticket->uuid);
    g_free(ticket->guestName);
    g_free(ticket->hostName);
    g_free(ticket->plugin);
    g_free(ticket->uri);
    g_ptr_array_unref(ticket->leases);
    g_free(ticket);
}

virLockTicketLease *
virLockTicketAddLease(virLockTicket *ticket, const char *name)
{
    virLockTicketLease *lease = g_new0(virLockTicketLease, 1);

    lease->name = g_strdup(name);
    g_ptr_array_add(ticket->leases, lease);
    return lease;
}

virLockTicketLease *
virLockTicketFindLease(virLockTicket *ticket, const char *name)
{
    for (guint i = 0; i < ticket->leases->len; i++) {
        virLockTicketLease *lease = ticket->leases->pdata[i];

        if (g_str_equal(lease->name, name))
            return lease;
    }
    return NULL;
}

/* --- writing ------------------------------------------------------------------------------ */

static void
virLockTicketPutText(JsonObject *object, const char *member, const char *value)
{
    if (value)
        json_object_set_string_member(object, member, value);
}

static JsonObject *
virLockTicketHead(const char *kind, const virLockTicket *ticket)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "kind", kind);
    json_object_set_int_member(object, "version", TICKET_VERSION);
    json_object_set_string_member(object, "nonce", ticket->nonce);
    json_object_set_string_member(object, "uuid", ticket->uuid);
    return object;
}

static char *
virLockTicketToString(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return json_to_string(node, FALSE);
}

char *
virLockTicketFormat(const virLockTicket *ticket)
{
    JsonObject *object = virLockTicketHead(TICKET_KIND, ticket);
    JsonObject *source = json_object_new();
    JsonArray *leases = json_array_new();

    virLockTicketPutText(object, "name", ticket->guestName);
    virLockTicketPutText(object, "uri", ticket->uri);
    virLockTicketPutText(source, "host", ticket->hostName);
    virLockTicketPutText(source, "plugin", ticket->plugin);
    json_object_set_int_member(source, "host-id", ticket->hostId);
    json_object_set_int_member(source, "generation", (gint64)ticket->generation);
    json_object_set_object_member(object, "source", source);
    for (guint i = 0; i < ticket->leases->len; i++) {
        const virLockTicketLease *lease = ticket->leases->pdata[i];
        JsonObject *entry = json_object_new();

        json_object_set_string_member(entry, "name", lease->name);
        json_object_set_string_member(entry, "type", virLockTicketTypes[lease->type]);
        json_object_set_string_member(entry, "mode", virLockTicketModes[lease->mode]);
        json_object_set_int_member(entry, "epoch", (gint64)lease->epoch);
        virLockTicketPutText(entry, "path", lease->path);
        json_array_add_object_element(leases, entry);
    }
    json_object_set_array_member(object, "leases", leases);
    return virLockTicketToString(object);
}

char *
virLockCookieFormat(const virLockTicket *ticket)
{
    return virLockTicketToString(virLockTicketHead(COOKIE_KIND, ticket));
}

/* --- reading ------------------------------------------------------------------------------ */

static gboolean
virLockTicketBad(GError **error, const char *kind, const char *why)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the %s of this migration cannot be used: %s",
                g_str_equal(kind, COOKIE_KIND) ? "cookie" : "ticket", why);
    return FALSE;
}

/* NULL if it is not there or not a string. */
static const char *
virLockTicketGetText(JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member(object, member);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

static gboolean
virLockTicketGetInt(JsonObject *object, const char *member, gint64 *value)
{
    JsonNode *node = json_object_get_member(object, member);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_INT64)
        return FALSE;
    *value = json_node_get_int(node);
    return *value >= 0;
}

static int
virLockTicketGetWord(JsonObject *object, const char *member, const char *const *words)
{
    const char *text = virLockTicketGetText(object, member);

    for (int i = 0; text && words[i]; i++)
        if (g_str_equal(words[i], text))
            return i;
    return -1;
}

/* The whole text as an object of this kind and version; NULL with @error. */
static JsonNode *
virLockTicketRead(const char *text, const char *kind, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) local = NULL;
    g_autofree char *why = NULL;
    JsonNode *root;
    JsonObject *object;
    gint64 version;

    if (strlen(text) > TICKET_MAX_BYTES)
        why = g_strdup("it is too large");
    else if (virTextNestsDeeper(text, -1, TICKET_MAX_DEPTH))
        why = g_strdup("it nests too deeply");
    else if (!json_parser_load_from_data(parser, text, -1, &local))
        why = g_strdup_printf("it is not JSON (%s)", local->message);
    root = why ? NULL : json_parser_get_root(parser);
    if (!why && (!root || !JSON_NODE_HOLDS_OBJECT(root)))
        why = g_strdup("it is not an object");
    if (why) {
        (void)virLockTicketBad(error, kind, why);
        return NULL;
    }
    object = json_node_get_object(root);
    if (g_strcmp0(virLockTicketGetText(object, "kind"), kind) != 0)
        why = g_strdup_printf("it is not a %s", kind);
    else if (!virLockTicketGetInt(object, "version", &version))
        why = g_strdup("it has no version");
    else if (version != TICKET_VERSION)
        why = g_strdup_printf("it has version %" G_GINT64_FORMAT
                              ", this host reads version %d",
                              version, TICKET_VERSION);
    else if (!virLockTicketGetText(object, "nonce") ||
             !virLockTicketGetText(object, "uuid"))
        why = g_strdup("it lacks its nonce or the guest's uuid");
    if (why) {
        (void)virLockTicketBad(error, kind, why);
        return NULL;
    }
    return json_node_ref(root);
}

static gboolean
virLockTicketReadLease(virLockTicket *ticket, JsonNode *node, GError **error)
{
    virLockTicketLease *lease;
    JsonObject *object;
    const char *name;
    gint64 epoch;
    int type;
    int mode;

    if (!JSON_NODE_HOLDS_OBJECT(node))
        return virLockTicketBad(error, TICKET_KIND, "a lease in it is not an object");
    object = json_node_get_object(node);
    name = virLockTicketGetText(object, "name");
    type = virLockTicketGetWord(object, "type", virLockTicketTypes);
    mode = virLockTicketGetWord(object, "mode", virLockTicketModes);
    if (!name || !*name || strlen(name) > VIR_LOCK_NAME_MAX)
        return virLockTicketBad(error, TICKET_KIND, "a lease in it has no proper name");
    if (virLockTicketFindLease(ticket, name))
        return virLockTicketBad(error, TICKET_KIND, "a lease is in it twice");
    if (type < 0 || mode <= VIR_LOCK_MODE_NONE ||
        !virLockTicketGetInt(object, "epoch", &epoch))
        return virLockTicketBad(error, TICKET_KIND,
                                "a lease in it lacks its type, mode or epoch");
    lease = virLockTicketAddLease(ticket, name);
    lease->type = type;
    lease->mode = mode;
    lease->epoch = epoch;
    lease->path = g_strdup(virLockTicketGetText(object, "path"));
    return TRUE;
}

static gboolean
virLockTicketReadSource(virLockTicket *ticket, JsonObject *object, GError **error)
{
    JsonNode *node = json_object_get_member(object, "source");
    JsonObject *source =
        node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    gint64 hostId;
    gint64 generation;

    if (!source || !virLockTicketGetText(source, "host") ||
        !virLockTicketGetInt(source, "host-id", &hostId) || hostId > G_MAXUINT ||
        !virLockTicketGetInt(source, "generation", &generation))
        return virLockTicketBad(error, TICKET_KIND,
                                "it does not say which host is the source");
    ticket->hostName = g_strdup(virLockTicketGetText(source, "host"));
    ticket->plugin = g_strdup(virLockTicketGetText(source, "plugin"));
    ticket->hostId = hostId;
    ticket->generation = generation;
    return TRUE;
}

virLockTicket *
virLockTicketParse(const char *text, GError **error)
{
    g_autoptr(JsonNode) root = virLockTicketRead(text, TICKET_KIND, error);
    g_autoptr(virLockTicket) ticket = virLockTicketNew();
    JsonObject *object;
    JsonNode *node;
    JsonArray *leases;

    if (!root)
        return NULL;
    object = json_node_get_object(root);
    ticket->nonce = g_strdup(virLockTicketGetText(object, "nonce"));
    ticket->uuid = g_strdup(virLockTicketGetText(object, "uuid"));
    ticket->guestName = g_strdup(virLockTicketGetText(object, "name"));
    ticket->uri = g_strdup(virLockTicketGetText(object, "uri"));
    node = json_object_get_member(object, "leases");
    if (!node || !JSON_NODE_HOLDS_ARRAY(node)) {
        (void)virLockTicketBad(error, TICKET_KIND, "it has no list of leases");
        return NULL;
    }
    if (!virLockTicketReadSource(ticket, object, error))
        return NULL;
    leases = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(leases); i++)
        if (!virLockTicketReadLease(ticket, json_array_get_element(leases, i), error))
            return NULL;
    return g_steal_pointer(&ticket);
}

gboolean
virLockCookieCheck(const char *text, const virLockTicket *ticket, GError **error)
{
    g_autoptr(JsonNode) root = virLockTicketRead(text, COOKIE_KIND, error);
    JsonObject *object;

    if (!root)
        return FALSE;
    object = json_node_get_object(root);
    if (g_str_equal(virLockTicketGetText(object, "nonce"), ticket->nonce) &&
        g_str_equal(virLockTicketGetText(object, "uuid"), ticket->uuid))
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
        "the word of host '%s' is for another migration than the ticket of this one",
        ticket->hostName);
    return FALSE;
}
