/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper.c: see helper.h.
 */
#include "common/helper.h"

#include <dlfcn.h>

const char *
virHelperDir(void)
{
    const char *dir = g_getenv("LEASEHOLD_HELPER_DIR");

    return dir && *dir ? dir : LEASEHOLD_HELPERDIR;
}

char *
virHelperPath(const char *name)
{
    return g_build_filename(virHelperDir(), name, NULL);
}

/* In the build tree a module lies beside the programs, where libtool has put it. */
static char *
virHelperModulePath(const char *name)
{
    g_autofree char *path = virHelperPath(name);
    g_autofree char *built = g_build_filename(".libs", name, NULL);

    if (g_getenv("LEASEHOLD_HELPER_DIR") && !g_file_test(path, G_FILE_TEST_EXISTS))
        return virHelperPath(built);
    return g_steal_pointer(&path);
}

gpointer
virHelperSymbol(const char *module, const char *symbol, GError **error)
{
    g_autofree char *path = virHelperModulePath(module);
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    gpointer found = handle ? dlsym(handle, symbol) : NULL;

    if (!found)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "%s", dlerror());
    if (handle) /* NODELETE keeps the mapping; only the handle goes */
        (void)dlclose(handle);
    return found;
}
