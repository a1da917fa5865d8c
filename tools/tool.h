/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool.h: what the subcommands of `leasehold` share.
 *
 * main.c splits the command line, finds the subcommand in the table of commands.c and calls
 * its function, which parses its own options into locals (virToolParse), calls the public
 * libraries and reports. A function returns the exit status; only main() exits.
 *
 * Results go to stdout; errors, notes and progress to stderr. With --json each report is one
 * JSON object on stdout (events: one a line), and each line on stderr is a JSON object too.
 */
#ifndef LEASEHOLD_TOOLS_TOOL_H
#define LEASEHOLD_TOOLS_TOOL_H

#include <json-glib/json-glib.h>
#include <leasehold/domain_lock.h>
#include <leasehold/lock_driver.h>
#include <stdio.h>

typedef struct _virTool virTool;
typedef struct _virToolWait virToolWait;

/** Exit statuses; which error becomes which is a table in tool_error.c. */
typedef enum {
    VIR_TOOL_EXIT_OK = 0,
    VIR_TOOL_EXIT_FAILURE = 1,
    VIR_TOOL_EXIT_USAGE = 2,
    VIR_TOOL_EXIT_BUSY = 3,
    VIR_TOOL_EXIT_UNAVAILABLE = 4,
    VIR_TOOL_EXIT_INDETERMINATE = 5,
    VIR_TOOL_EXIT_STALE = 6,
    /* run --foreground adds this to all of the above until the guest's program runs, whose
     * own status cannot be told from ours otherwise */
    VIR_TOOL_EXIT_FOREGROUND = 120,
    VIR_TOOL_EXIT_SIGNAL = 128,
} virToolExit;

typedef enum {
    VIR_TOOL_COMMAND_TAIL = 1 << 0,   /* what follows "--" is a program's command line */
    VIR_TOOL_COMMAND_HIDDEN = 1 << 1, /* not in the list of commands */
} virToolCommandFlags;

typedef struct _virToolCommand {
    const char *name;    /* one or two words: "run", "store create" */
    const char *args;    /* positional arguments as usage shows them; "" for none */
    const char *summary; /* one line for the list of commands */
    const char *help;    /* paragraphs for --help; may be NULL */
    guint flags;         /* virToolCommandFlags */
    int (*run)(virTool *tool);
} virToolCommand;

struct _virTool {
    char *configPath; /* --config, or NULL */
    gboolean json;
    gboolean quiet;
    virLockConfig *config; /* loaded by virToolConfig */
    virDomainLockSpare *spare; /* for a command that starts a guest; NULL: none yet */
    const virToolCommand *command;
    GStrv args; /* what follows the command's name; after virToolParse: the
                           * positional arguments */
    GStrv tail; /* COMMAND_TAIL: what follows "--", or NULL */
    GPtrArray
        *options;      /* completion: virToolParse puts the options here ("--disk=": takes
                           * a value) and stops; NULL: it parses */
    int exitBase;      /* 0, or VIR_TOOL_EXIT_FOREGROUND */
    int exitStatus;    /* why virToolParse returned FALSE */
    char *notifySocket; /* where systemd hears of us; NULL: nobody asked */
    virToolWait *wait; /* the wait in progress, whose bar a message must not overwrite */
};

/* --- commands.c ------------------------------------------------------------------------ */

extern const virToolCommand virToolCommands[]; /* ends with a NULL name */
/** Finds the command whose name @args begin with; *@used is the number of its words. NULL:
 * *@problem says so and suggests the nearest. */
const virToolCommand *virToolFindCommand(char *const *args, guint *used, char **problem);
void virToolPrintCommands(void);

int virToolCmdRun(virTool *tool);
int virToolCmdExec(virTool *tool);
int virToolCmdList(virTool *tool);
int virToolCmdShow(virTool *tool);
int virToolCmdEvents(virTool *tool);
int virToolCmdShutdown(virTool *tool);
int virToolCmdDestroy(virTool *tool);
int virToolCmdSuspend(virTool *tool);
int virToolCmdResume(virTool *tool);
int virToolCmdPower(virTool *tool);
int virToolCmdReboot(virTool *tool);
int virToolCmdReset(virTool *tool);
int virToolCmdJob(virTool *tool);
int virToolCmdAttach(virTool *tool);
int virToolCmdMigrate(virTool *tool);
int virToolCmdMigrateIn(virTool *tool);
int virToolCmdAttachDisk(virTool *tool);
int virToolCmdDetachDisk(virTool *tool);
int virToolCmdSnapshotDisk(virTool *tool);
int virToolCmdSnapshotCreate(virTool *tool);
int virToolCmdSnapshotList(virTool *tool);
int virToolCmdSnapshotShow(virTool *tool);
int virToolCmdSnapshotRevert(virTool *tool);
int virToolCmdSnapshotDelete(virTool *tool);
int virToolCmdBlockCommit(virTool *tool);
int virToolCmdBlockPull(virTool *tool);
int virToolCmdBlockCopy(virTool *tool);
int virToolCmdChangeMedia(virTool *tool);
int virToolCmdAttachLease(virTool *tool);
int virToolCmdDetachLease(virTool *tool);
int virToolCmdSave(virTool *tool);
int virToolCmdRestore(virTool *tool);
int virToolCmdSaveImageShow(virTool *tool);
int virToolCmdSaveImageDefine(virTool *tool);
int virToolCmdManagedSave(virTool *tool);
int virToolCmdWho(virTool *tool);
int virToolCmdIdentify(virTool *tool);
int virToolCmdStoreCreate(virTool *tool);
int virToolCmdStoreGc(virTool *tool);
int virToolCmdStoreList(virTool *tool);
int virToolCmdStoreCheck(virTool *tool);
int virToolCmdStoreInfo(virTool *tool);
int virToolCmdHostJoin(virTool *tool);
int virToolCmdHostLeave(virTool *tool);
int virToolCmdHostStatus(virTool *tool);
int virToolCmdHostList(virTool *tool);
int virToolCmdPluginList(virTool *tool);
int virToolCmdPluginShow(virTool *tool);
int virToolCmdDoctor(virTool *tool);
int virToolCmdHelp(virTool *tool);
int virToolCmdVersion(virTool *tool);
int virToolCmdComplete(virTool *tool);

/* --- tool_options.c -------------------------------------------------------------------- */

/**
 * virToolParse:
 * @entries: the command's own options, ended by a NULL entry; or NULL
 * @min: positional arguments that it needs
 * @max: positional arguments that it takes
 *
 * Reads tool->args; adds the global options and --help. FALSE: the command returns
 * tool->exitStatus (--help was printed, or the usage is wrong and was reported).
 */
gboolean virToolParse(virTool *tool, const GOptionEntry *entries, guint min,
                      guint max) G_GNUC_WARN_UNUSED_RESULT;
/** The global options that precede the command; leaves the rest in tool->args. */
gboolean virToolParseGlobal(virTool *tool) G_GNUC_WARN_UNUSED_RESULT;
/** The configuration, loaded once; NULL with the error reported and exitStatus set. */
virLockConfig *virToolConfig(virTool *tool) G_GNUC_WARN_UNUSED_RESULT;
/** The configured plugin, or NULL with the error reported and exitStatus set. */
virLockManagerPlugin *virToolPlugin(virTool *tool) G_GNUC_WARN_UNUSED_RESULT;
/** The same for a command that needs a plugin with @capability, called @what in the error;
 * when none is configured, the installed one that has it. */
virLockManagerPlugin *virToolPluginWith(virTool *tool, virLockCapability capability,
                                        const char *what) G_GNUC_WARN_UNUSED_RESULT;
/** @path as other processes can open it; ".." and symlinks are the kernel's business. */
char *virToolAbsolutePath(const char *path);
/** Reads "PATH[,readonly|,shared]" into @disk; its path is to be freed with g_free. A path may
 * have commas of its own, so only these two words at the end are options, and another one is an
 * error unless such a file exists. FALSE: reported. */
gboolean virToolParseDisk(virTool *tool, const char *text,
                          virDomainLockDisk *disk) G_GNUC_WARN_UNUSED_RESULT;

/* --- tool_error.c ---------------------------------------------------------------------- */

/** Prints @error and returns the exit status that stands for it. */
int virToolFail(virTool *tool, const GError *error);
/** Only the exit status of that, for what was told in another way. */
int virToolErrorStatus(const GError *error);
/** Prints a usage error and the way to the help; returns the exit status. */
int virToolUsage(virTool *tool, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** For people, on stderr; silent with -q. */
void virToolNote(virTool *tool, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** The result of a command in one line on stdout; silent with -q and with --json. */
void virToolSay(virTool *tool, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* --- tool_wait.c ----------------------------------------------------------------------- */

/**
 * virToolWaitNew:
 * @limitSec: deadline of the call; 0: none
 * @busySec: how long a busy lease is tried again
 * @onInterrupt: NULL: the first SIGINT, SIGTERM or SIGHUP cancels the call, which then says
 *   what became of it. Otherwise the call cannot be cancelled: say this and exit.
 *
 * Bounds, progress and cancellation of one call of the libraries. A second signal ends the
 * program at once.
 */
virToolWait *virToolWaitNew(virTool *tool, gint64 limitSec, gint64 busySec,
                            const char *onInterrupt);
const virLockWait *virToolWaitGet(virToolWait *wait);
/** TRUE after a signal asked for the end. */
gboolean virToolWaitInterrupted(virToolWait *wait);
/** Takes the progress bar off the terminal. */
void virToolWaitClear(virToolWait *wait);
void virToolWaitFree(virToolWait *wait);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virToolWait, virToolWaitFree)

/* --- tool_notify.c --------------------------------------------------------------------- */

/** Takes NOTIFY_SOCKET out of the environment, so that no program that we start answers for
 * us. Before there are threads. */
void virToolNotifyBegin(virTool *tool);
/** Tells the service manager, if there is one: @state is sd_notify(3)'s "READY=1" or
 * "STOPPING=1", @format the STATUS. What cannot be told is noted on stderr. */
void virToolNotify(virTool *tool, const char *state, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* --- tool_text.c ----------------------------------------------------------------------- */

typedef enum {
    VIR_TOOL_COLOUR_NONE = 0,
    VIR_TOOL_COLOUR_BOLD,
    VIR_TOOL_COLOUR_RED,
    VIR_TOOL_COLOUR_GREEN,
    VIR_TOOL_COLOUR_YELLOW,
    VIR_TOOL_COLOUR_DIM,
} virToolColour;

/** Escape sequence to begin @colour on @stream, or "" where colours are not wanted. */
const char *virToolColourBegin(FILE *stream, virToolColour colour);
const char *virToolColourEnd(FILE *stream);
/** @text with bytes that are not UTF-8 made visible: for JSON, which escapes the rest. */
char *virToolUtf8(const char *text);
/** Columns that @text takes on a terminal. */
guint virToolTextWidth(const char *text);
/** @text cut to @width columns, its end replaced by an ellipsis. */
char *virToolTextCut(const char *text, guint width);
/** Columns of the terminal behind @stream; 0 when it is none. */
guint virToolTerminalWidth(FILE *stream);
/** TRUE when the locale can show more than ASCII. */
gboolean virToolIsUtf8(void);
/** "14:03:02" today, else "2026-11-21 14:03:02", local time; "-" for 0. */
char *virToolFormatTime(gint64 wallUsec);
/** "128 s", "12 min", "3 h 20 min", "4 d". */
char *virToolFormatSpan(gint64 sec);

/* --- tool_table.c ---------------------------------------------------------------------- */

typedef struct _virToolTable virToolTable;

/** Headings, ended by NULL. '>' before one aligns it right; '~' marks a column that is cut
 * when the terminal is too narrow; '?' before the last one is '~', and the column is left out
 * when no row has anything there. */
virToolTable *virToolTableNew(const char *heading, ...) G_GNUC_NULL_TERMINATED;
/** One cell for each heading; NULL shows as "-". */
void virToolTableAdd(virToolTable *table, ...);
/** Colour of one cell of the row that was added last. */
void virToolTableMark(virToolTable *table, guint column, virToolColour colour);
void virToolTablePrint(virToolTable *table);
void virToolTableFree(virToolTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virToolTable, virToolTableFree)

/** One "Label:   value" line of show and info; nothing when @value is NULL. */
void virToolField(const char *label, const char *value);

/* --- tool_json.c ----------------------------------------------------------------------- */

void virToolJsonString(JsonBuilder *builder, const char *key, const char *value);
void virToolJsonInt(JsonBuilder *builder, const char *key, gint64 value);
/** null when @value is negative: unknown. */
void virToolJsonKnown(JsonBuilder *builder, const char *key, gint64 value);
/** null for 0: no such process. */
void virToolJsonPid(JsonBuilder *builder, const char *key, gint64 pid);
void virToolJsonBool(JsonBuilder *builder, const char *key, gboolean value);
/** RFC 3339, UTC, milliseconds; null for 0. */
void virToolJsonTime(JsonBuilder *builder, const char *key, gint64 wallUsec);
void virToolJsonOwner(JsonBuilder *builder, const virLockOwner *owner);
void virToolJsonUse(JsonBuilder *builder, const virLockUse *use);
/** "ok" and "findings" of the present object. */
void virToolJsonFindings(JsonBuilder *builder, const GPtrArray *findings);
/** Prints what was built, indented; or on one line. */
void virToolJsonPrint(JsonBuilder *builder, FILE *stream, gboolean pretty);

/* --- tool_guest.c ---------------------------------------------------------------------- */

/** The guest named on the command line, or NULL with the error reported. */
virDomainLock *virToolGuest(virTool *tool,
                            const char *nameOrUuid) G_GNUC_WARN_UNUSED_RESULT;
/** The text of a description, or NULL. @path "-": standard input. */
char *virToolReadXml(const char *path, GError **error);
/** Notes on what is doubtful about the images of the guest and was not @before (or NULL). */
void virToolNoteImages(virTool *tool, const virDomainLockInfo *info,
                       const virDomainLockInfo *before);
/** The same of @dom since it was looked up, and then virToolReportGuest. */
int virToolReportImages(virTool *tool, virDomainLock *dom, const char *sentence);
/** On a terminal, says for which job of the guest the command has to wait, if there is one. */
void virToolNoteJob(virTool *tool, virDomainLock *dom, gboolean noWait);
/** "acpi,agent" as flags of a shutdown or reboot, or 0 with the usage error reported. */
guint virToolShutdownModes(virTool *tool, const char *text);
/** The members job, job_detail, job_started, job_done and job_total. */
void virToolJsonJob(JsonBuilder *builder, const virDomainLockInfo *info);
void virToolJsonGuest(virTool *tool, JsonBuilder *builder, const virDomainLockInfo *info);
/** The result of an act on a guest: a sentence, or the guest as JSON. */
int virToolReportGuest(virTool *tool, virDomainLock *dom, const char *sentence);
typedef gboolean (*virToolGuestFunc)(virDomainLock *dom, GError **error);
/** A whole command GUEST without options: does @act and reports @sentence. */
int virToolGuestAct(virTool *tool, virToolGuestFunc act, const char *sentence);
/** "running (shutdown requested)". */
char *virToolGuestState(const virDomainLockInfo *info);
/** "copying a disk (vda): 42 %, 1.3 GiB of 3.0 GiB, for 12 s"; NULL: no job. */
char *virToolJobText(const virDomainLockInfo *info);
/** How QEMU ended: "exit status 1", "killed by signal 9 (Killed)"; NULL: not known. */
char *virToolExitText(int waitStatus);

/* --- tool_report.c --------------------------------------------------------------------- */

/** "host 'alpha' (host id 1)" */
char *virToolHostText(const char *name, guint hostId);
const char *virToolHoldName(virLockHold hold);
const char *virToolModeName(virLockMode mode);
const char *virToolHostStateName(virLockHostState state);
const char *virToolFindingName(virLockFindingLevel level);
/** Findings (virLockFinding) as a list for people. */
void virToolPrintFindings(const GPtrArray *findings);
/** {"ok": ..., "findings": [...]} */
void virToolPrintFindingsJson(const GPtrArray *findings);
/** FAILURE when one of them is an error. */
int virToolFindingsExit(const GPtrArray *findings);

#endif
