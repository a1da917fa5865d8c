/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.h: strings of strangers (paths, names, XML, messages of backends) made fit for one
 * line of a message or a log.
 */
#ifndef LEASEHOLD_COMMON_TEXT_H
#define LEASEHOLD_COMMON_TEXT_H

#include <glib.h>

/**
 * virTextPrintable: a copy of @text in which control characters, invalid UTF-8 and
 * characters that reorder or hide text are written \xNN; NULL gives "(none)". Free:
 * g_free.
 */
char *virTextPrintable(const char *text);

/** virTextDistance: how many letters must be added, removed or replaced to make @b of @a
 * (Levenshtein), for "did you mean". */
guint virTextDistance(const char *a, const char *b);
/** virTextNearest: the one of @candidates (NULL-terminated) with the least distance to @word;
 * NULL when there are none. */
const char *virTextNearest(const char *word, const char *const *candidates);

/** virTextNestsDeeper: TRUE if arrays and objects of this JSON (@len bytes; -1: up to NUL) stand
 * in more than @depth others. json-glib reads by recursion: text of a stranger that nests without
 * end would exhaust the stack. */
gboolean virTextNestsDeeper(const char *text, gssize len, guint depth);

#endif
