/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resources.c: what a guest needs, in the words of the lock manager.
 */
#include "sequence.h"

typedef virLockManagerParam virResourceParams[4];

/* NULL: there are none. Strings are borrowed. */
static const virLockManagerParam *
virResourceSetParams(virResourceParams params, const virDomainResource *resource)
{
    const char *values[][2] = {{"lockspace", resource->lockspace},
                               {"path", resource->leasePath},
                               {"offset", resource->leaseOffset}};
    gsize n = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(values); i++) {
        if (values[i][1])
            params[n++] = (virLockManagerParam){values[i][0], values[i][1]};
    }
    params[n] = (virLockManagerParam){NULL, NULL};
    return n > 0 ? params : NULL;
}

gboolean
virDomainLockRegister(virDomainLockObj *obj, const virDomainResource *resource,
                      GError **error)
{
    virResourceParams params;

    return virLockManagerRegisterResource(obj->man, resource->type, resource->path,
                                          virResourceSetParams(params, resource),
                                          resource->flags, error);
}

gboolean
virDomainLockAcquire(virDomainLockObj *obj, const virDomainResource *resource,
                     const virLockWait *wait, GError **error)
{
    virResourceParams params;

    return virLockManagerAcquireResource(obj->man, resource->type, resource->path,
                                         virResourceSetParams(params, resource),
                                         resource->flags, wait, error);
}
