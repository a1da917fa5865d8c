/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_save_define.c: another description for a guest that is saved.
 *
 * What its memory knows must stay: the machine. What lies outside may change: where images and
 * sockets are, what follows a reboot or a crash. So both descriptions are taken without what
 * may change, and the rest has to be the same, element by element.
 */
#include "domain_lock/domain/domain_xml.h"
#include "domain_lock/save/save.h"
#include <string.h>

/* Elements that may change, as parent and name; a NULL parent: anywhere. */
static const struct {
    const char *parent;
    const char *name;
} mayChange[] = {
    {"domain", "title"},
    {"domain", "description"},
    {"domain", "metadata"},
    {"domain", "on_poweroff"},
    {"domain", "on_reboot"},
    {"domain", "on_crash"},
    {"domain", "on_lockfailure"},
    {"devices", "emulator"},
    {"devices", "lease"},
    {"disk", "source"},
    {"disk", "driver"},
    {"disk", "backingStore"},
    {"os", "nvram"},
    {"os", "loader"},
    {"interface", "source"},
    {"interface", "target"},
    {"interface", "script"},
    {"serial", "source"},
    {"console", "source"},
    {"channel", "source"},
    {"parallel", "source"},
    {"rng", "backend"},
    {"tpm", "backend"},
    {"devices", "graphics"},
    {NULL, "seclabel"},
    {NULL, "alias"},
};

static gboolean
virDefineMayChange(const virXmlNode *node)
{
    const char *name = node->name;
    const char *parent = node->parent ? (const char *)node->parent->name : "";

    for (gsize i = 0; i < G_N_ELEMENTS(mayChange); i++) {
        if (g_strcmp0(mayChange[i].name, name) == 0 &&
            (!mayChange[i].parent || g_strcmp0(mayChange[i].parent, parent) == 0))
            return TRUE;
    }
    return FALSE;
}

static virXmlNode *
virDefineNext(virXmlNode *node)
{
    while (node && (node->kind != VIR_XML_ELEMENT || virDefineMayChange(node)))
        node = node->next;
    return node;
}

/* An image may be a file here and a device there. */
static gboolean
virDefineAttributeMayChange(const virXmlNode *node, const char *name)
{
    static const char *const types[] = {"disk",    "interface", "serial",
                                        "console", "channel",   "parallel"};

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_str_equal(node->name, types[i]) && g_str_equal(name, "type"))
            return TRUE;
    }
    return FALSE;
}

static gboolean
virDefineHasAttributes(virXmlNode *a, virXmlNode *b)
{
    for (const virXmlAttr *attr = a->attributes; attr; attr = attr->next) {
        const char *theirs = virXmlNodeGet(b, attr->name);

        if (!virDefineAttributeMayChange(a, attr->name) &&
            (!theirs || !g_str_equal(attr->value, theirs)))
            return FALSE;
    }
    return TRUE;
}

/* Text without what is only layout; of an element without children. */
static char *
virDefineText(const virXmlNode *node)
{
    GString *text = g_string_new(NULL);

    for (const virXmlNode *child = node->children; child; child = child->next) {
        if (child->kind == VIR_XML_TEXT_NODE)
            g_string_append(text, child->content);
    }
    return g_strstrip(g_string_free(text, FALSE));
}

/* The first element that differs, or NULL. */
static const virXmlNode *
virDefineCompare(virXmlNode *a, virXmlNode *b)
{
    g_autofree char *mine = virDefineText(a);
    g_autofree char *theirs = virDefineText(b);
    virXmlNode *x = virDefineNext(a->children);
    virXmlNode *y = virDefineNext(b->children);

    if (!g_str_equal(a->name, b->name) || !g_str_equal(mine, theirs) ||
        !virDefineHasAttributes(a, b) || !virDefineHasAttributes(b, a))
        return b;
    while (x && y) {
        const virXmlNode *differs = virDefineCompare(x, y);

        if (differs)
            return differs;
        x = virDefineNext(x->next);
        y = virDefineNext(y->next);
    }
    if (!x && !y)
        return NULL;
    return y ? y : b; /* one too many, or one is missing in it */
}

static gboolean
virDefineCheckSame(const char *old, const char *new, GError **error)
{
    g_autoptr(virXmlNode) before = virXmlParse(old, -1, error);
    g_autoptr(virXmlNode) after = before ? virXmlParse(new, -1, error) : NULL;
    const virXmlNode *differs = NULL;

    if (!after)
        return FALSE;
    differs = virDefineCompare(before, after);
    if (!differs)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "line %u: <%s> is not as it was when the guest was saved, and the guest "
                "would notice; start from what 'save-image show --xml' prints",
                differs->line, differs->name);
    return FALSE;
}

/* As QEMU would be started with it: a description that no restore could use is refused here. */
static gboolean
virDefineCheckXML(const virSaveImage *image, const char *xml, GError **error)
{
    g_autoptr(virDomainDef) def = NULL;

    if (!image->spec->xml) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "guest '%s' has a command line, and no description", image->name);
        return FALSE;
    }
    def = virDomainDefParseXML(xml, -1, image->spec->flags, error);
    return def && virDefineCheckSame(image->spec->xml, xml, error);
}

gboolean
virSaveFlagsCheck(guint flags, guint known, GError **error)
{
    const guint both = VIR_DOMAIN_LOCK_SAVE_RUNNING | VIR_DOMAIN_LOCK_SAVE_PAUSED;

    if ((flags & both) == both) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "a guest is restored either running or paused: the flags RUNNING and "
                    "PAUSED are mutually exclusive");
        return FALSE;
    }
    if ((flags & ~known) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "flags %#x are not known here", flags & ~known);
    return FALSE;
}

gboolean
virDomainLockSaveDefineXML(const char *path, const char *xml, guint flags, GError **error)
{
    const guint known = VIR_DOMAIN_LOCK_SAVE_RUNNING | VIR_DOMAIN_LOCK_SAVE_PAUSED;
    g_autoptr(virSaveImage) image = NULL;

    if (!virSaveFlagsCheck(flags, known, error))
        return FALSE;
    image = virSaveFileRead(path, error);
    if (!image || (xml && !virDefineCheckXML(image, xml, error)))
        return FALSE;
    if (xml) {
        g_free(image->spec->xml);
        image->spec->xml = g_strdup(xml);
    }
    if (flags)
        image->paused = (flags & VIR_DOMAIN_LOCK_SAVE_PAUSED) != 0;
    return virSaveFileRewrite(path, image, error);
}
