/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create.c: having the helper create missing lease slots.
 */
#include "plugins/sanlock/helper_run.h"
#include "plugins/sanlock/lease.h"

gboolean
virSanlockLeaseSetCreate(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                         GError **error)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    g_autoptr(GPtrArray) argv = virSanlockHelperArgv(set->config, "create-slots",
                                                     set->geometry.lockspace, bounds);

    for (gsize i = 0; i < set->n; i++)
        if (set->leases[i].slot < 0)
            g_ptr_array_add(argv, g_strdup(set->leases[i].name));
    g_ptr_array_add(argv, NULL);
    return virSanlockHelperRun(argv, answer, bounds, error) &&
           virSanlockLeaseSetLocate(set, bounds, error);
}
