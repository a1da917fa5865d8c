/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-domain-xml.c: domain descriptions, to the command line. No image is opened: what a
 * description names is not looked at here.
 */
#include "config.h"
#include "common/xml_packed.h"
#include "domain_lock/domain/domain_priv.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzzArgv(virDomainDef *def)
{
    virDomainArgvContext context = {.runDir = "/run/leasehold/x", .qmpFd = 3};
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = NULL;

    def->fingerprint = g_strdup(""); /* as if the images had been read */
    argv = virDomainDefFormatArgv(def, &context, &error);
    g_assert(argv || error);
    for (gsize i = 0; argv && argv[i]; i++)
        g_assert(g_utf8_validate(argv[i], -1, NULL));
}

/* What is accepted in parsed form can be written and read again. */
static void
fuzzPacked(const char *data, size_t size)
{
    g_autoptr(virXmlNode) root = virXmlNodeUnpack(data, size);
    g_autofree char *text = root ? virXmlNodeFormat(root) : NULL;
    g_autoptr(virXmlNode) again = text ? virXmlParse(text, -1, NULL) : NULL;

    g_assert(!root || again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def = virDomainDefParseXML((const char *)data, (gssize)size, 0, &error);

    fuzzPacked((const char *)data, size);
    g_assert((def != NULL) != (error != NULL));
    if (!def) {
        g_assert(error->domain == VIR_LOCK_ERROR && error->code == VIR_LOCK_ERROR_CONFIG);
        g_assert(!strchr(error->message, '\n'));
        return 0;
    }
    g_assert(virDomainDefGetName(def) && virDomainDefGetUuid(def));
    (void)!virDomainDefRequireDirectIo(def, NULL);
    fuzzArgv(def);
    return 0;
}
