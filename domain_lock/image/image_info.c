/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_info.c: backing files of the formats that are rare on hosts (vmdk, vdi, vhdx, ...),
 * asked from qemu-img. Starting it costs more than all leases of a disk, so qcow2 does not
 * come here.
 */
#include "common/text.h"
#include "config.h"
#include "image_chain.h"

#include <json-glib/json-glib.h>
#include <leasehold/lock_types.h>
#include <string.h>

#define VIR_IMAGE_INFO_TIMEOUT_SEC 30

gboolean
virImageInfoKnows(const char *format)
{
    static const char *const formats[] = {"vmdk", "vdi",       "vhdx", "vpc", "qed",
                                          "qcow", "parallels", "dmg",  NULL};

    return g_strv_contains(formats, format);
}

static gboolean virImageInfoError(GError **error, int code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
virImageInfoError(GError **error, int code, const char *format, ...)
{
    g_autofree char *words = NULL;
    g_autofree char *printable = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    printable = virTextPrintable(g_strchomp(words));
    g_set_error_literal(error, VIR_LOCK_ERROR, code, printable);
    return FALSE;
}

static const char *
virImageInfoString(JsonObject *object, const char *member)
{
    JsonNode *node = json_object_get_member(object, member);

    return node && JSON_NODE_HOLDS_VALUE(node) &&
                   json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}

/* A vmdk may be spread over files; a lease on the one that describes them guards nothing. */
static gboolean
virImageInfoCheckExtents(JsonObject *root, const char *path, GError **error)
{
    JsonNode *specific = json_object_get_member(root, "format-specific");
    JsonNode *data, *extents;
    guint n;

    if (!specific || !JSON_NODE_HOLDS_OBJECT(specific))
        return TRUE;
    data = json_object_get_member(json_node_get_object(specific), "data");
    if (!data || !JSON_NODE_HOLDS_OBJECT(data))
        return TRUE;
    extents = json_object_get_member(json_node_get_object(data), "extents");
    if (!extents || !JSON_NODE_HOLDS_ARRAY(extents))
        return TRUE;
    n = json_array_get_length(json_node_get_array(extents));
    for (guint i = 0; i < n; i++) {
        JsonNode *one = json_array_get_element(json_node_get_array(extents), i);
        const char *file = JSON_NODE_HOLDS_OBJECT(one)
                               ? virImageInfoString(json_node_get_object(one), "filename")
                               : NULL;

        if (!file || !g_str_equal(file, path))
            return virImageInfoError(error, VIR_LOCK_ERROR_CONFIG,
                                     "its data is in another file ('%s'), which is not "
                                     "supported; convert it: qemu-img convert -O qcow2",
                                     file ? file : "?");
    }
    return TRUE;
}

gboolean
virImageInfoParse(const char *json, gssize len, const char *path, virImageHeader *header,
                  GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) err = NULL;
    JsonObject *root;
    JsonNode *encrypted;
    const char *backing;

    memset(header, 0, sizeof(*header));
    if (!json_parser_load_from_data(parser, json, len, &err) ||
        !json_parser_get_root(parser) ||
        !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        return virImageInfoError(error, VIR_LOCK_ERROR_INTERNAL,
                                 "qemu-img gave an answer that is not JSON: %s",
                                 err ? err->message : "no object");
    root = json_node_get_object(json_parser_get_root(parser));
    if (!virImageInfoCheckExtents(root, path, error))
        return FALSE;
    backing = virImageInfoString(root, "backing-filename");
    encrypted = json_object_get_member(root, "encrypted");
    header->backing = g_strdup(backing && *backing ? backing : NULL);
    header->backingFormat = g_strdup(virImageInfoString(root, "backing-filename-format"));
    header->encrypted = encrypted && json_node_get_boolean(encrypted);
    return TRUE;
}

/* --- running qemu-img ----------------------------------------------------------------------- */

typedef struct _virImageInfoRun {
    GMainLoop *loop;
    GCancellable *cancellable;
    char *out;
    char *err;
    gboolean ok, timedOut;
    GError *error;
} virImageInfoRun;

static void
virImageInfoDone(GObject *source, GAsyncResult *result, gpointer opaque)
{
    virImageInfoRun *run = opaque;

    run->ok = g_subprocess_communicate_utf8_finish(G_SUBPROCESS(source), result,
                                                   &run->out, &run->err, &run->error);
    g_main_loop_quit(run->loop);
}

static gboolean
virImageInfoTimedOut(gpointer opaque)
{
    virImageInfoRun *run = opaque;

    run->timedOut = TRUE;
    g_cancellable_cancel(run->cancellable);
    return G_SOURCE_REMOVE;
}

static void
virImageInfoForwardCancel(GCancellable *from, GCancellable *to)
{
    g_cancellable_cancel(to);
}

/* qemu-img's file option string: commas doubled. */
static char *
virImageInfoOptions(const char *path, const char *format, gboolean isBlock)
{
    g_auto(GStrv) parts = g_strsplit(path, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts);

    return g_strdup_printf("driver=%s,file.driver=%s,file.filename=%s", format,
                           isBlock ? "host_device" : "file", escaped);
}

/* Waits in a main context of its own: the caller is a worker thread. */
static void
virImageInfoCommunicate(GSubprocess *process, GCancellable *cancellable,
                        virImageInfoRun *run)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GSource) timer = g_timeout_source_new_seconds(VIR_IMAGE_INFO_TIMEOUT_SEC);
    gulong forward = 0;

    g_main_context_push_thread_default(context);
    run->loop = g_main_loop_new(context, FALSE);
    run->cancellable = g_cancellable_new();
    if (cancellable)
        forward = g_cancellable_connect(
            cancellable, G_CALLBACK(virImageInfoForwardCancel), run->cancellable, NULL);
    g_source_set_callback(timer, virImageInfoTimedOut, run, NULL);
    g_source_attach(timer, context);
    g_subprocess_communicate_utf8_async(process, NULL, run->cancellable, virImageInfoDone,
                                        run);
    g_main_loop_run(run->loop);
    g_source_destroy(timer);
    if (cancellable)
        g_cancellable_disconnect(cancellable, forward);
    if (!run->ok)
        g_subprocess_force_exit(process);
    g_main_loop_unref(run->loop);
    g_object_unref(run->cancellable);
    g_main_context_pop_thread_default(context);
}

static gboolean
virImageInfoJudge(GSubprocess *process, const virImageInfoRun *run,
                  GCancellable *cancellable, GError **error)
{
    if (run->timedOut)
        return virImageInfoError(error, VIR_LOCK_ERROR_UNAVAILABLE,
                                 "qemu-img did not answer within %d s",
                                 VIR_IMAGE_INFO_TIMEOUT_SEC);
    if (g_cancellable_is_cancelled(cancellable))
        return virImageInfoError(error, VIR_LOCK_ERROR_CANCELLED, "cancelled");
    if (!run->ok)
        return virImageInfoError(error, VIR_LOCK_ERROR_UNAVAILABLE, "qemu-img: %s",
                                 run->error->message);
    if (!g_subprocess_get_successful(process))
        return virImageInfoError(error, VIR_LOCK_ERROR_CONFIG,
                                 "qemu-img cannot read it: %s", run->err ? run->err : "");
    return TRUE;
}

gboolean
virImageInfoRead(const char *path, const char *format, gboolean isBlock,
                 GCancellable *cancellable, virImageHeader *header, GError **error)
{
    g_autofree char *options = virImageInfoOptions(path, format, isBlock);
    g_autoptr(GError) err = NULL;
    virImageInfoRun run = {NULL};
    g_autoptr(GSubprocess) process = g_subprocess_new(
        G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &err, "qemu-img",
        "info", "--output=json", "-U", "--image-opts", options, NULL);
    gboolean ok;

    if (!process)
        return virImageInfoError(error, VIR_LOCK_ERROR_CONFIG,
                                 "format '%s' needs qemu-img, which cannot be run: %s",
                                 format, err->message);
    virImageInfoCommunicate(process, cancellable, &run);
    ok = virImageInfoJudge(process, &run, cancellable, error) &&
         virImageInfoParse(run.out, -1, path, header, error);
    g_free(run.out);
    g_free(run.err);
    g_clear_error(&run.error);
    return ok;
}
