/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parallel.c: see parallel.h.
 */
#include "plugins/sanlock/parallel.h"

/* What pays: reads of 60 us each, nine one after the other 560 us, with four threads more
 * 200 us. Where a read takes less than this (memory, a controller's cache) threads cost more
 * than they save. */
#define QUICK_USEC 20
#define HELPERS_MAX 4

static gpointer
virSanlockAsideThread(gpointer data)
{
    virSanlockAside *aside = data;

    aside->ok = aside->func(aside->data, &aside->error);
    return NULL;
}

void
virSanlockAsideStart(virSanlockAside *aside, virSanlockJobFunc func, gpointer data)
{
    *aside = (virSanlockAside){.func = func, .data = data};
    aside->thread = g_thread_try_new("sanlock-aside", virSanlockAsideThread, aside, NULL);
    if (!aside->thread)
        (void)virSanlockAsideThread(aside);
}

gboolean
virSanlockAsideEnd(virSanlockAside *aside, GError **error)
{
    if (aside->thread)
        (void)g_thread_join(aside->thread);
    aside->thread = NULL;
    if (aside->error)
        g_propagate_error(error, g_steal_pointer(&aside->error));
    return aside->ok;
}

/* --- each -------------------------------------------------------------------------------- */

typedef struct {
    virSanlockEachFunc func;
    gpointer data;
    gsize n;
    GMutex mutex; /* of all below */
    gsize next;
    gsize failed; /* n: none */
    GError *error;
} virSanlockEachState;

/* FALSE: nothing is left to begin. */
static gboolean
virSanlockEachNext(virSanlockEachState *state, gsize *i)
{
    gboolean more;

    g_mutex_lock(&state->mutex);
    more = state->next < state->n && state->failed == state->n;
    *i = more ? state->next++ : 0;
    g_mutex_unlock(&state->mutex);
    return more;
}

static void
virSanlockEachOne(virSanlockEachState *state, gsize i)
{
    g_autoptr(GError) error = NULL;

    if (state->func(state->data, i, &error))
        return;
    g_mutex_lock(&state->mutex);
    if (i < state->failed) {
        state->failed = i;
        g_clear_error(&state->error);
        state->error = g_steal_pointer(&error);
    }
    g_mutex_unlock(&state->mutex);
}

static gboolean
virSanlockEachRest(gpointer data, GError **error)
{
    gsize i;

    while (virSanlockEachNext(data, &i))
        virSanlockEachOne(data, i);
    return TRUE;
}

static void
virSanlockEachTogether(virSanlockEachState *state)
{
    virSanlockAside helpers[HELPERS_MAX];
    gsize nHelpers = MIN(HELPERS_MAX, state->n - state->next - 1);

    for (gsize i = 0; i < nHelpers; i++)
        virSanlockAsideStart(&helpers[i], virSanlockEachRest, state);
    (void)virSanlockEachRest(state, NULL);
    for (gsize i = 0; i < nHelpers; i++)
        virSanlockAsideEnd(&helpers[i], NULL);
}

gboolean
virSanlockEach(gsize n, virSanlockEachFunc func, gpointer data, GError **error)
{
    virSanlockEachState state = {.func = func, .data = data, .n = n, .failed = n};
    gint64 began = g_get_monotonic_time();
    gsize i;

    g_mutex_init(&state.mutex);
    if (virSanlockEachNext(&state, &i))
        virSanlockEachOne(&state, i);
    if (n > 2 && g_get_monotonic_time() - began > QUICK_USEC)
        virSanlockEachTogether(&state);
    else
        (void)virSanlockEachRest(&state, NULL);
    g_mutex_clear(&state.mutex);
    if (state.error)
        g_propagate_error(error, g_steal_pointer(&state.error));
    return state.failed == n;
}
