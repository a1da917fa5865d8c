/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-qcow2.c: image headers: ours of qcow2, and qemu-img's answer about other formats.
 */
#include "config.h"
#include "domain_lock/image/image_chain.h"

#include <leasehold/lock_types.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
judge(gboolean ok, const virImageHeader *header, const GError *error)
{
    g_assert(ok == (error == NULL));
    g_assert(ok || error->domain == VIR_LOCK_ERROR);
    if (header->backing)
        g_assert(ok && *header->backing);
    if (header->dataFile)
        g_assert(ok && *header->dataFile);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_auto(virImageHeader) qcow2 = {NULL}, info = {NULL};
    g_autoptr(GError) error = NULL, infoError = NULL;
    gboolean ok;

    g_assert(virImageQcow2HeaderSize(data, size) <= VIR_IMAGE_QCOW2_MAX_CLUSTER);
    ok = virImageQcow2Parse(data, size, &qcow2, &error);
    judge(ok, &qcow2, error);
    ok = virImageInfoParse((const char *)data, (gssize)size, "/image", &info, &infoError);
    judge(ok, &info, infoError);
    return 0;
}
