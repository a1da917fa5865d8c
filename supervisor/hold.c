/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold.c: see hold.h.
 *
 * To the kernel a tracer is one thread, so a thread of its own does it all, from top to bottom:
 *
 *   seize         with EXITKILL: the child does not outlive this thread unless it is let go
 *   exec stop     the program is mapped, its loader has not run
 *   breakpoint    at the program's entry point, which the auxiliary vector has (AT_ENTRY)
 *   entry stop    the libraries are linked and initialized; of the program itself not one
 *                 instruction was executed
 *   release       the breakpoint is taken out again, and the child is let go
 *
 * Only the thread that executed the program is held: one that a library makes for itself meanwhile
 * runs, and what it might execute is not caught.
 *
 * On other processors than the one below, and of a program with another word size than ours, the
 * child stays in its exec stop.
 */
#include "supervisor/hold.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/fd.h"

typedef enum {
    HOLD_SEIZING,
    HOLD_SEIZED,
    HOLD_OVER, /* let go, dead, or never executed */
    HOLD_FAILED,
} virSupervisorHoldState;

/* Shared by the thread and who waits for it: the thread may be stuck for as long as the
 * kernel loads a program from a server that is dead. */
struct _virSupervisorHold {
    pid_t pid;
    gulong entry; /* 0: no breakpoint was set */
    long code;    /* what is at the entry point */
    GMutex lock;  /* all below */
    GCond cond;
    virSupervisorHoldState state;
    gboolean released;
    gboolean abandoned;
};

static void
holdClear(gpointer data)
{
    virSupervisorHold *hold = data;

    g_mutex_clear(&hold->lock);
    g_cond_clear(&hold->cond);
}

static void
holdEnter(virSupervisorHold *hold, virSupervisorHoldState state)
{
    g_mutex_lock(&hold->lock);
    hold->state = state;
    g_cond_broadcast(&hold->cond);
    g_mutex_unlock(&hold->lock);
}

/* --- the breakpoint ----------------------------------------------------------------------- */

#ifdef __x86_64__

/* int3; the program counter is behind it when it was hit */
#define BREAKPOINT 0xccL
#define BREAKPOINT_MASK 0xffL
#define BREAKPOINT_BYTES 1

static gboolean
getRegisters(pid_t pid, struct user_regs_struct *regs)
{
    struct iovec io = {.iov_base = regs, .iov_len = sizeof(*regs)};

    return ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) == 0 &&
           io.iov_len == sizeof(*regs);
}

static gboolean
breakpointWasHit(const virSupervisorHold *hold)
{
    struct user_regs_struct regs;

    return getRegisters(hold->pid, &regs) && regs.rip == hold->entry + BREAKPOINT_BYTES;
}

static gboolean
stepBack(const virSupervisorHold *hold)
{
    struct user_regs_struct regs;
    struct iovec io = {.iov_base = &regs, .iov_len = sizeof(regs)};

    if (!getRegisters(hold->pid, &regs))
        return FALSE;
    regs.rip = hold->entry;
    return ptrace(PTRACE_SETREGSET, hold->pid, NT_PRSTATUS, &io) == 0;
}

#else

#define BREAKPOINT 0L
#define BREAKPOINT_MASK 0L

static gboolean
breakpointWasHit(const virSupervisorHold *hold)
{
    return FALSE;
}

static gboolean
stepBack(const virSupervisorHold *hold)
{
    return FALSE;
}

#endif

/* Where the program begins; 0: not to be found. */
static gulong
findEntry(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/auxv", (int)pid);
    g_auto(virFd) fd = open(path, O_RDONLY | O_CLOEXEC);
    struct {
        gulong type;
        gulong value;
    } item;

    while (fd >= 0 && virFdReadFull(fd, &item, sizeof(item)) == 0 && item.type != AT_NULL)
        if (item.type == AT_ENTRY)
            return item.value;
    return 0;
}

static gboolean
setBreakpoint(virSupervisorHold *hold)
{
    gulong entry = BREAKPOINT_MASK ? findEntry(hold->pid) : 0;

    hold->entry = 0;
    if (!entry)
        return FALSE;
    errno = 0;
    hold->code = ptrace(PTRACE_PEEKTEXT, hold->pid, entry, NULL);
    if (errno != 0 || ptrace(PTRACE_POKETEXT, hold->pid, entry,
                             (hold->code & ~BREAKPOINT_MASK) | BREAKPOINT) < 0)
        return FALSE;
    hold->entry = entry;
    return TRUE;
}

static gboolean
takeOutBreakpoint(virSupervisorHold *hold)
{
    return !hold->entry ||
           (ptrace(PTRACE_POKETEXT, hold->pid, hold->entry, hold->code) == 0 &&
            stepBack(hold));
}

/* --- stops -------------------------------------------------------------------------------- */

#define EXEC_STOP (SIGTRAP | PTRACE_EVENT_EXEC << 8)

/* What stopped the child, as ptrace(2) encodes it; 0: it has ended. It is not reaped here. */
static int
awaitStop(const virSupervisorHold *hold)
{
    siginfo_t info = {0};
    int rc;

    while ((rc = waitid(P_PID, (id_t)hold->pid, &info, WEXITED | WSTOPPED | WNOWAIT)) <
               0 &&
           errno == EINTR)
        continue;
    return rc == 0 && info.si_code == CLD_TRAPPED ? info.si_status : 0;
}

/* What others do to the child takes its course: signals reach it, one that stops it too. */
static void
resume(const virSupervisorHold *hold, int stop)
{
    int event = stop >> 8;
    int signum = stop & 0xff;
    gboolean stopped = event == PTRACE_EVENT_STOP && signum != SIGTRAP;

    (void)ptrace(stopped ? PTRACE_LISTEN : PTRACE_CONT, hold->pid, NULL,
                 event ? NULL : GINT_TO_POINTER(signum));
}

/* Only its own is the sign that execve failed: anybody else's would set it free to execute. */
static gboolean
isItsOwn(const virSupervisorHold *hold)
{
    siginfo_t info = {0};

    return ptrace(PTRACE_GETSIGINFO, hold->pid, NULL, &info) == 0 &&
           info.si_code == SI_TKILL && info.si_pid == hold->pid;
}

/* FALSE: it has ended, or could not execute anything and is let go. */
static gboolean
awaitExec(const virSupervisorHold *hold)
{
    int stop;

    while ((stop = awaitStop(hold)) != EXEC_STOP) {
        if (stop == 0)
            return FALSE;
        if (stop == SIGTRAP && isItsOwn(hold)) {
            (void)ptrace(PTRACE_DETACH, hold->pid, NULL, NULL);
            return FALSE;
        }
        resume(hold, stop);
    }
    return TRUE;
}

/* FALSE: it has ended. A library, or what sanitizers put before the entry point, may execute
 * another program, or the same once more: then it is that one's entry point. */
static gboolean
awaitEntry(virSupervisorHold *hold)
{
    int stop = EXEC_STOP;

    do {
        if (stop == EXEC_STOP && !setBreakpoint(hold))
            return TRUE;
        resume(hold, stop);
        stop = awaitStop(hold);
        if (stop == 0)
            return FALSE;
    } while (stop != SIGTRAP || !breakpointWasHit(hold));
    return TRUE;
}

/* --- the thread --------------------------------------------------------------------------- */

/* FALSE: nobody wants it any more. */
static gboolean
awaitRelease(virSupervisorHold *hold)
{
    gboolean released;

    g_mutex_lock(&hold->lock);
    while (!hold->released && !hold->abandoned)
        g_cond_wait(&hold->cond, &hold->lock);
    released = hold->released && !hold->abandoned;
    g_mutex_unlock(&hold->lock);
    return released;
}

static virSupervisorHoldState
letGo(virSupervisorHold *hold)
{
    if (takeOutBreakpoint(hold) && ptrace(PTRACE_DETACH, hold->pid, NULL, NULL) == 0)
        return HOLD_OVER;
    /* a child that was killed meanwhile is no failure */
    return errno == ESRCH ? HOLD_OVER : HOLD_FAILED;
}

static gpointer
holdThread(gpointer data)
{
    virSupervisorHold *hold = data;

    if (ptrace(PTRACE_SEIZE, hold->pid, NULL,
               GINT_TO_POINTER(PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC)) < 0) {
        holdEnter(hold, HOLD_FAILED);
    } else {
        holdEnter(hold, HOLD_SEIZED);
        if (!awaitExec(hold) || !awaitEntry(hold))
            holdEnter(hold, HOLD_OVER);
        else if (awaitRelease(hold))
            holdEnter(hold, letGo(hold));
    }
    g_atomic_rc_box_release_full(hold, holdClear);
    return NULL;
}

/* --- from outside ------------------------------------------------------------------------- */

gboolean
virSupervisorHoldSuits(const char *file)
{
    struct stat st;

    return stat(file, &st) == 0 && !(st.st_mode & (S_ISUID | S_ISGID)) &&
           getxattr(file, "security.capability", NULL, 0) <= 0;
}

virSupervisorHold *
virSupervisorHoldNew(pid_t pid)
{
    virSupervisorHold *hold = g_atomic_rc_box_new0(virSupervisorHold);
    GThread *thread;
    gboolean seized;

    hold->pid = pid;
    g_mutex_init(&hold->lock);
    g_cond_init(&hold->cond);
    thread = g_thread_try_new("hold", holdThread, g_atomic_rc_box_acquire(hold), NULL);
    if (!thread) {
        g_atomic_rc_box_release(hold);
        virSupervisorHoldFree(hold);
        return NULL;
    }
    g_thread_unref(thread);
    g_mutex_lock(&hold->lock);
    while (hold->state == HOLD_SEIZING)
        g_cond_wait(&hold->cond, &hold->lock);
    seized = hold->state != HOLD_FAILED;
    g_mutex_unlock(&hold->lock);
    if (seized)
        return hold;
    virSupervisorHoldFree(hold);
    return NULL;
}

gboolean
virSupervisorHoldRelease(virSupervisorHold *hold, gint64 deadlineUsec, GError **error)
{
    virSupervisorHoldState state;

    g_mutex_lock(&hold->lock);
    hold->released = TRUE;
    g_cond_broadcast(&hold->cond);
    while (hold->state < HOLD_OVER)
        if (!g_cond_wait_until(&hold->cond, &hold->lock, deadlineUsec))
            break;
    state = hold->state;
    hold->abandoned = state < HOLD_OVER;
    g_mutex_unlock(&hold->lock);
    if (state == HOLD_OVER)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR,
                state == HOLD_FAILED ? VIR_LOCK_ERROR_INTERNAL : VIR_LOCK_ERROR_TIMEOUT,
                "%s",
                state == HOLD_FAILED ? "it is loaded but cannot be let go"
                                     : "the kernel did not load it in time");
    return FALSE;
}

void
virSupervisorHoldFree(virSupervisorHold *hold)
{
    if (!hold)
        return;
    g_mutex_lock(&hold->lock);
    hold->abandoned = TRUE;
    g_cond_broadcast(&hold->cond);
    g_mutex_unlock(&hold->lock);
    g_atomic_rc_box_release_full(hold, holdClear);
}
