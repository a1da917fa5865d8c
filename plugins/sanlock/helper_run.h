/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper_run.h: running leasehold-sanlock-helper, which changes the index of a store.
 *
 * It is a process of its own because it registers itself with sanlock and holds the guard
 * lease: both end with it, so a deadline is kept by killing it.
 */
#ifndef LEASEHOLD_SANLOCK_HELPER_RUN_H
#define LEASEHOLD_SANLOCK_HELPER_RUN_H

#include "plugins/sanlock/call.h"
#include "plugins/sanlock/settings.h"

#define VIR_SANLOCK_HELPER_MAX_ANSWER 65536

/** The words that every command begins with; the caller adds its own and NULL. Free with
 * g_ptr_array_unref. */
GPtrArray *virSanlockHelperArgv(const virSanlockConfig *config, const char *command,
                                const char *lockspace, const virSanlockBounds *bounds);
/** Runs it within the bounds. @answer: what it printed, also in parts when it fails. */
gboolean virSanlockHelperRun(GPtrArray *argv, GString *answer,
                             const virSanlockBounds *bounds,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
