/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_wait.c: bounds, progress and cancellation of one call of the libraries.
 *
 * The calls block, so a signal has to reach them from outside: the handler writes one byte
 * into a pipe, a thread reads it and cancels the GCancellable (which no handler may do). Of a
 * call that cannot be cancelled the handler says so, and ends the program. The handlers are
 * one-shot: a second Ctrl-C ends the program in the usual way. Signals are not blocked, so that
 * a program started by the call does not inherit a mask.
 *
 * Progress shows after one second: on a terminal a bar, elsewhere a line now and then, with
 * --json an object a line.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VIR_TOOL_PROGRESS_AFTER_USEC (1 * G_USEC_PER_SEC)
#define VIR_TOOL_PROGRESS_LINE_USEC (5 * G_USEC_PER_SEC)
#define VIR_TOOL_PROGRESS_BAR_WIDTH 24
/* ten years; far from the end of the scale, where a library's sum would overflow */
#define VIR_TOOL_WAIT_FOREVER_SEC ((gint64)315360000)

struct _virToolWait {
    virLockWait wait;
    virTool *tool;
    char *onInterrupt; /* what to say, or NULL: the call is cancelled */
    GThread *thread;
    int readFd, writeFd;
    gint64 beginUsec;
    gint64 lineUsec; /* when the last plain line was printed */
    gboolean terminal;
    gboolean barShown;
    struct sigaction before[3];
};

static const int virToolSignals[] = {SIGINT, SIGTERM, SIGHUP};
G_STATIC_ASSERT(G_N_ELEMENTS(virToolSignals) ==
                G_N_ELEMENTS(((struct _virToolWait *)NULL)->before));

/* A signal handler has no other way to its context. NULL: no wait is in progress. */
static virToolWait *_Atomic virToolSignalled;

static void
virToolSignalSay(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void
virToolSignalHandler(int signum)
{
    const virToolWait *wait = virToolSignalled;
    int saved = errno;
    char byte = (char)signum;

    if (wait && wait->onInterrupt) {
        virToolSignalSay(wait->barShown ? "\r\033[K" : "");
        virToolSignalSay(wait->onInterrupt);
        _exit(wait->tool->exitBase + VIR_TOOL_EXIT_FAILURE);
    }
    if (wait)
        (void)!write(wait->writeFd, &byte, 1);
    errno = saved;
}

/* Ends with the byte 0 that virToolWaitFree writes, or after the first signal. */
static gpointer
virToolSignalThread(gpointer data)
{
    virToolWait *wait = data;
    char byte = 0;
    ssize_t n;

    do {
        n = read(wait->readFd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1 && byte != 0)
        g_cancellable_cancel(wait->wait.cancellable);
    return NULL;
}

static gboolean
virToolSignalThreadBegin(virToolWait *wait)
{
    g_autoptr(GError) error = NULL;
    int fds[2];

    if (!g_unix_open_pipe(fds, FD_CLOEXEC, &error))
        return FALSE;
    wait->readFd = fds[0];
    wait->writeFd = fds[1];
    wait->thread = g_thread_new("signals", virToolSignalThread, wait);
    return TRUE;
}

static void
virToolSignalsBegin(virToolWait *wait)
{
    struct sigaction action = {.sa_handler = virToolSignalHandler,
                               .sa_flags = SA_RESTART | (int)SA_RESETHAND};

    /* without a pipe there is no polite way; the signals then end the program as usual */
    if (!wait->onInterrupt && !virToolSignalThreadBegin(wait))
        return;
    virToolSignalled = wait;
    for (gsize i = 0; i < G_N_ELEMENTS(virToolSignals); i++) {
        (void)sigaction(virToolSignals[i], NULL, &wait->before[i]);
        /* nohup: what is ignored stays ignored */
        if (wait->before[i].sa_handler != SIG_IGN)
            (void)sigaction(virToolSignals[i], &action, NULL);
    }
}

static void
virToolSignalsEnd(virToolWait *wait)
{
    char byte = 0;

    if (virToolSignalled != wait)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(virToolSignals); i++)
        (void)sigaction(virToolSignals[i], &wait->before[i], NULL);
    virToolSignalled = NULL;
    if (!wait->thread)
        return;
    (void)!write(wait->writeFd, &byte, 1);
    g_thread_join(wait->thread);
    (void)close(wait->writeFd);
    (void)close(wait->readFd);
}

void
virToolWaitClear(virToolWait *wait)
{
    if (!wait->barShown)
        return;
    fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    wait->barShown = FALSE;
}

/* "joining lockspace vm  [######......]  42%  12 s left" */
static void
virToolProgressBar(virToolWait *wait, const virLockProgress *progress, const char *what)
{
    guint columns = virToolTerminalWidth(stderr);
    g_autofree char *cut = NULL;
    GString *line = g_string_new(NULL);

    if (progress->fraction >= 0) {
        guint done =
            (guint)(CLAMP(progress->fraction, 0, 1) * VIR_TOOL_PROGRESS_BAR_WIDTH);

        g_string_append(line, "  [");
        for (guint i = 0; i < VIR_TOOL_PROGRESS_BAR_WIDTH; i++)
            g_string_append_c(line, i < done ? '#' : '.');
        g_string_append_printf(line, "] %3.0f%%", CLAMP(progress->fraction, 0, 1) * 100);
    }
    if (progress->etaSec >= 0) {
        g_autofree char *span = virToolFormatSpan(progress->etaSec);

        g_string_append_printf(line, "  %s left", span);
    }
    cut = virToolTextCut(what, columns > line->len + 12 ? columns - line->len - 1 : 11);
    fprintf(stderr, "\r%s%s\033[K", cut, line->str);
    (void)fflush(stderr);
    wait->barShown = TRUE;
    g_string_free(line, TRUE);
}

static void
virToolProgressLine(const virLockProgress *progress, const char *what)
{
    g_autofree char *span =
        progress->etaSec >= 0 ? virToolFormatSpan(progress->etaSec) : NULL;

    fprintf(stderr, "leasehold: %s%s%s%s\n", what, span ? ", " : "", span ? span : "",
            span ? " left" : "");
}

static void
virToolProgressJson(const virLockProgress *progress)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "progress");
    json_builder_begin_object(builder);
    virToolJsonString(builder, "what", progress->what);
    json_builder_set_member_name(builder, "fraction");
    if (progress->fraction >= 0)
        json_builder_add_double_value(builder, progress->fraction);
    else
        json_builder_add_null_value(builder);
    virToolJsonKnown(builder, "eta_sec", progress->etaSec);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stderr, FALSE);
}

/* What goes on, and for whom we wait. */
static char *
virToolProgressText(const virLockProgress *progress)
{
    const virLockOwner *holder = progress->holder;
    g_autofree char *host = NULL;
    g_autofree char *text = NULL;

    if (!holder)
        return virTextPrintable(progress->what ? progress->what : "waiting");
    host = virToolHostText(holder->hostName, holder->hostId);
    text = g_strdup_printf(
        "%s, held by %s%s%s%s", progress->what ? progress->what : "waiting", host,
        holder->guestName ? " for guest '" : "",
        holder->guestName ? holder->guestName : "", holder->guestName ? "'" : "");
    return virTextPrintable(text);
}

static void
virToolProgress(const virLockProgress *progress, gpointer data)
{
    virToolWait *wait = data;
    gint64 now = g_get_monotonic_time();
    g_autofree char *what = virToolProgressText(progress);

    if (wait->tool->quiet || now - wait->beginUsec < VIR_TOOL_PROGRESS_AFTER_USEC)
        return;
    if (wait->terminal && !wait->tool->json) {
        virToolProgressBar(wait, progress, what);
        return;
    }
    if (wait->lineUsec != 0 && now - wait->lineUsec < VIR_TOOL_PROGRESS_LINE_USEC)
        return;
    wait->lineUsec = now;
    if (wait->tool->json)
        virToolProgressJson(progress);
    else
        virToolProgressLine(progress, what);
}

virToolWait *
virToolWaitNew(virTool *tool, gint64 limitSec, gint64 busySec, const char *onInterrupt)
{
    virToolWait *wait = g_new0(virToolWait, 1);

    wait->tool = tool;
    wait->onInterrupt =
        onInterrupt ? g_strdup_printf("leasehold: %s\n", onInterrupt) : NULL;
    wait->beginUsec = g_get_monotonic_time();
    wait->terminal = virToolTerminalWidth(stderr) > 0;
    wait->wait.structSize = sizeof(wait->wait);
    wait->wait.deadlineUsec =
        wait->beginUsec +
        (limitSec > 0 ? limitSec : VIR_TOOL_WAIT_FOREVER_SEC) * G_USEC_PER_SEC;
    wait->wait.busyUsec = busySec > 0 ? wait->beginUsec + busySec * G_USEC_PER_SEC : 0;
    wait->wait.cancellable = g_cancellable_new();
    wait->wait.progress = virToolProgress;
    wait->wait.progressData = wait;
    virToolSignalsBegin(wait);
    tool->wait = wait;
    return wait;
}

const virLockWait *
virToolWaitGet(virToolWait *wait)
{
    return &wait->wait;
}

gboolean
virToolWaitInterrupted(virToolWait *wait)
{
    return g_cancellable_is_cancelled(wait->wait.cancellable);
}

void
virToolWaitFree(virToolWait *wait)
{
    if (!wait)
        return;
    virToolSignalsEnd(wait);
    virToolWaitClear(wait);
    wait->tool->wait = NULL;
    g_object_unref(wait->wait.cancellable);
    g_free(wait->onInterrupt);
    g_free(wait);
}
