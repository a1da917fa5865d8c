/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * undo.h: the undo stack of a sequence: named steps, run in reverse when a later one fails.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_UNDO_H
#define LEASEHOLD_DOMAIN_LOCK_UNDO_H

#include <leasehold/lock_types.h>

typedef struct _virUndo virUndo;
typedef gboolean (*virUndoFunc)(gpointer data, GError **error);

virUndo *virUndoNew(void);
/** @name: a static string: what was done, "take the leases". */
void virUndoPush(virUndo *undo, const char *name, virUndoFunc func, gpointer data);
/** Undoes everything, newest first; one that fails does not stop the others, but is added to
 * the message of *@error, which must be set. TRUE: the world is as before. */
gboolean virUndoRun(virUndo *undo, GError **error);
/** Success: nothing will be undone. */
void virUndoForget(virUndo *undo);
void virUndoFree(virUndo *undo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virUndo, virUndoFree)

#endif
