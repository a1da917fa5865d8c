/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * undo.c: the undo stack of a sequence.
 */
#include "undo.h"

typedef struct {
    const char *name;
    virUndoFunc func;
    gpointer data;
} virUndoStep;

struct _virUndo {
    GArray *steps; /* virUndoStep */
};

virUndo *
virUndoNew(void)
{
    virUndo *undo = g_new0(virUndo, 1);

    undo->steps = g_array_new(FALSE, FALSE, sizeof(virUndoStep));
    return undo;
}

void
virUndoPush(virUndo *undo, const char *name, virUndoFunc func, gpointer data)
{
    virUndoStep step = {name, func, data};

    g_array_append_val(undo->steps, step);
}

gboolean
virUndoRun(virUndo *undo, GError **error)
{
    gboolean all = TRUE;

    g_assert(error && *error);
    while (undo->steps->len > 0) {
        virUndoStep step = g_array_index(undo->steps, virUndoStep, undo->steps->len - 1);
        g_autoptr(GError) why = NULL;

        g_array_set_size(undo->steps, undo->steps->len - 1);
        if (!step.func(step.data, &why)) {
            g_autofree char *first = g_strdup((*error)->message);

            g_free((*error)->message);
            (*error)->message = g_strdup_printf("%s\ncould not undo '%s': %s", first,
                                                step.name, why->message);
            all = FALSE;
        }
    }
    return all;
}

void
virUndoForget(virUndo *undo)
{
    g_array_set_size(undo->steps, 0);
}

void
virUndoFree(virUndo *undo)
{
    if (!undo)
        return;
    g_array_unref(undo->steps);
    g_free(undo);
}
