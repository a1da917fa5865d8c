/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * commands.c: the table of subcommands, the search in it and the overview that --help prints.
 *
 * A new subcommand is a line here, a function in a file of its own, its section in
 * docs/man/leasehold.pod and its tests in tests/tools; `make check` compares table and page.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

const virToolCommand virToolCommands[] = {
    {"run", "DOMAIN.xml | --name NAME --disk PATH... -- QEMU ARGS...",
     "start a guest under its leases",
     "Starts a guest from libvirt domain XML (\"-\": standard input), or any QEMU "
     "command "
     "line whose images\nare declared with --disk. Nothing runs before every lease is "
     "held.",
     VIR_TOOL_COMMAND_TAIL, virToolCmdRun},
    {"exec", "--disk PATH... -- COMMAND ARGS...",
     "run any program under the leases of disks",
     "Runs a program (qemu-img, a backup) under the leases of the disks that it uses, "
     "and "
     "passes its status\non. Backing files are not looked for: name each image of a "
     "chain, "
     "the lower ones as readonly.",
     VIR_TOOL_COMMAND_TAIL, virToolCmdExec},
    {"list", "", "guests of this host", NULL, 0, virToolCmdList},
    {"show", "GUEST", "one guest: state, processes, leases", NULL, 0, virToolCmdShow},
    {"events", "[GUEST]", "what happened to a guest, or to all", NULL, 0,
     virToolCmdEvents},
    {"shutdown", "GUEST", "ask a guest to shut down",
     "Asks the guest by ACPI or by its agent. With --timeout it is forced off when it "
     "has "
     "not ended by then.",
     0, virToolCmdShutdown},
    {"reboot", "GUEST", "ask a guest to reboot",
     "By ACPI that is a shutdown after which the guest is switched on again. QEMU and "
     "all "
     "leases stay.",
     0, virToolCmdReboot},
    {"destroy", "GUEST", "end a guest at once", NULL, 0, virToolCmdDestroy},
    {"suspend", "GUEST", "stop a guest's processors; its leases stay held", NULL, 0,
     virToolCmdSuspend},
    {"resume", "GUEST", "let a suspended guest go on", NULL, 0, virToolCmdResume},
    {"reset", "GUEST", "press a guest's reset button", NULL, 0, virToolCmdReset},
    {"power", "GUEST [suspend|hibernate|hybrid|wakeup]",
     "show a guest's power state, send it to sleep, or wake it",
     "Only its guest agent can send a guest to sleep. Suspended it keeps its leases; "
     "hibernated it ends,\nunless --duration says when it is to be woken.",
     0, virToolCmdPower},
    {"job", "GUEST", "what is being done with a guest, and how far it is",
     "Shows the job that takes long: a copy, a migration. Suspend, resume, reset, "
     "shutdown "
     "and destroy work\nbeside it; what changes disks waits for it.",
     0, virToolCmdJob},
    {"attach", "GUEST", "take up a guest that has lost its supervisor",
     "The guest went on under its leases. What it holds is compared with what it uses, a "
     "job "
     "that was\ninterrupted is finished or undone, and what differed is said. Other "
     "commands do "
     "this by themselves.",
     0, virToolCmdAttach},
    {"attach-disk", "GUEST FILE.xml | GUEST --source PATH --target DEV",
     "give a running guest one more disk",
     "The disk is a <disk> element in FILE.xml (\"-\": standard input), or what the "
     "options "
     "say. The guest\nsees it when its leases are held.",
     0, virToolCmdAttachDisk},
    {"detach-disk", "GUEST TARGET", "ask a running guest to let go of a disk",
     "The leases are given up when the guest has let go, and not before. A guest that "
     "has "
     "not by the\ntimeout keeps its disk and the leases; when it lets go later, they are "
     "given up then.",
     0, virToolCmdDetachDisk},
    {"change-media", "GUEST TARGET PATH | GUEST TARGET --eject",
     "another medium for a cdrom or floppy drive",
     "The leases of the new medium are taken before it is opened, those of the old one "
     "given up when it\nis closed.",
     0, virToolCmdChangeMedia},
    {"attach-lease", "GUEST FILE.xml | GUEST --key KEY",
     "give a running guest one more explicit lease", NULL, 0, virToolCmdAttachLease},
    {"detach-lease", "GUEST KEY", "give up an explicit lease of a running guest", NULL, 0,
     virToolCmdDetachLease},
    {"snapshot create", "GUEST NAME", "keep a guest as it is, memory and disks",
     "Inside the images of its disks, which have to be qcow2. A guest that runs stands still "
     "until its memory\nis written; of one that is off its disks are kept.",
     0, virToolCmdSnapshotCreate},
    {"snapshot list", "GUEST", "snapshots that the images of a guest hold", NULL, 0,
     virToolCmdSnapshotList},
    {"snapshot show", "GUEST NAME", "one snapshot: its disks, and what it was of", NULL, 0,
     virToolCmdSnapshotShow},
    {"snapshot revert", "GUEST NAME", "let a guest go back to a snapshot",
     "What it did since is lost. A guest that runs keeps its QEMU and its leases; it has to be "
     "the one that\nit was then: what is different is named. One that is off is started as it "
     "was, if its memory was kept.",
     0, virToolCmdSnapshotRevert},
    {"snapshot delete", "GUEST NAME", "delete a snapshot from the images",
     "Also one that only some of the images have.", 0, virToolCmdSnapshotDelete},
    {"snapshot-disk", "GUEST TARGET OVERLAY [TARGET OVERLAY]...",
     "let disks write to new images over their present ones",
     "The OVERLAYs are made, as qcow2; several disks change over at one instant. The "
     "present "
     "images are only\nread from then on, and their leases are shared.",
     0, virToolCmdSnapshotDisk},
    {"blockcommit", "GUEST TARGET", "put what is in upper images into a lower one",
     "The lower image's lease becomes exclusive first: it is refused while another guest "
     "reads it. The images\nthat went are free afterwards, and can be removed.",
     0, virToolCmdBlockCommit},
    {"blockpull", "GUEST TARGET", "put what is in backing files into the active image",
     NULL, 0, virToolCmdBlockPull},
    {"blockcopy", "GUEST TARGET DEST", "copy a running disk to another place",
     "DEST is made, under a lease of its own before anything is written to it. With "
     "--pivot "
     "the guest goes on\nwith the copy, without a pause.",
     0, virToolCmdBlockCopy},
    {"migrate", "GUEST HOST | GUEST --cancel", "move a running guest to another host",
     "The guest goes on running while its memory is sent, and each of its disks stays "
     "under a lease\nthroughout. \"RSH HOST leasehold migrate-in\" has to work without "
     "questions.",
     0, virToolCmdMigrate},
    {"migrate-in", "", "the other end of migrate, started by it through a remote shell",
     NULL, VIR_TOOL_COMMAND_HIDDEN, virToolCmdMigrateIn},
    {"save", "GUEST FILE", "put a guest into a file, and end it",
     "Writes the guest's memory to FILE and ends the guest; 'restore' brings it back from "
     "where it was.\nUntil the file is whole the guest is only stopped, and goes on if it "
     "cannot be saved.",
     0, virToolCmdSave},
    {"restore", "FILE", "bring a guest back from a file",
     "Takes the leases of the guest in FILE and lets it go on, unless the guest or one of "
     "its disks was\nused since: the guest would not know what is on its disks, and damage "
     "them.",
     0, virToolCmdRestore},
    {"save-image show", "FILE", "what a file with a saved guest holds", NULL, 0,
     virToolCmdSaveImageShow},
    {"save-image define", "FILE [DOMAIN.xml]", "change what a saved guest is restored with",
     "DOMAIN.xml is what 'save-image show --xml' printed, with other paths of images, for "
     "example; what the\nguest would notice cannot be changed.",
     0, virToolCmdSaveImageDefine},
    {"managed-save", "GUEST", "save a guest where its next 'run' finds it",
     "The next 'run' of the guest on this host brings it back; 'run --force-boot' or "
     "--remove throws away\nwhat was saved.",
     0, virToolCmdManagedSave},
    {"who", "PATH|GUEST|LEASE", "who holds the lease of a disk or guest",
     "The argument is the path of an image, the name of a guest that runs on any host or "
     "was on this\none, a guest's uuid, a lease name, or the key of a <lease> element.",
     0, virToolCmdWho},
    {"identify", "PATH", "under which lease an image is known, and why", NULL, 0,
     virToolCmdIdentify},
    {"store create", "PATH", "format shared storage for leases", NULL, 0,
     virToolCmdStoreCreate},
    {"store list", "", "leases that exist in the store", NULL, 0, virToolCmdStoreList},
    {"store check", "", "verify the store; changes nothing", NULL, 0,
     virToolCmdStoreCheck},
    {"store gc", "", "make room: forget leases that nobody uses any more",
     "Of a lease that somebody holds nothing is forgotten. A guest that was saved before its "
     "leases were\nforgotten is refused afterwards, as one whose disks were used since.",
     0, virToolCmdStoreGc},
    {"store info", "", "format and size of the store", NULL, 0, virToolCmdStoreInfo},
    {"host join", "", "join this host to the lockspace", NULL, 0, virToolCmdHostJoin},
    {"host leave", "", "leave the lockspace; refused while guests run", NULL, 0,
     virToolCmdHostLeave},
    {"host status", "", "is this host joined?",
     "Exit status 0: joined and alive; 4: not joined.", 0, virToolCmdHostStatus},
    {"host list", "", "hosts of the lockspace", NULL, 0, virToolCmdHostList},
    {"plugin list", "", "lock manager plugins that are installed", NULL, 0,
     virToolCmdPluginList},
    {"plugin show", "NAME", "capabilities and configuration keys of a plugin", NULL, 0,
     virToolCmdPluginShow},
    {"doctor", "", "check configuration, programs, storage and daemons",
     "Exit status 0: nothing found that keeps guests from running safely.", 0,
     virToolCmdDoctor},
    {"help", "[COMMAND]", "this overview, or the options of a command", NULL, 0,
     virToolCmdHelp},
    {"version", "", "version of leasehold", NULL, 0, virToolCmdVersion},
    {"__complete", "WORD...", "candidates for bash completion", NULL,
     VIR_TOOL_COMMAND_HIDDEN, virToolCmdComplete},
    {NULL},
};

/* The name that was meant, or NULL. One word is compared with first words. */
static char *
virToolNearest(const char *typed)
{
    gboolean twoWords = strchr(typed, ' ') != NULL;
    g_autofree char *nearest = NULL;
    guint best = G_MAXUINT;

    for (const virToolCommand *command = virToolCommands; command->name; command++) {
        g_autofree char *name =
            twoWords ? g_strdup(command->name)
                     : g_strndup(command->name, strcspn(command->name, " "));
        guint distance = virTextDistance(typed, name);

        if ((command->flags & VIR_TOOL_COMMAND_HIDDEN) || distance >= best)
            continue;
        best = distance;
        g_free(nearest);
        nearest = g_steal_pointer(&name);
    }
    /* a third of the word wrong, and there is no telling what was meant */
    return best <= MAX(2, strlen(typed) / 3) ? g_steal_pointer(&nearest) : NULL;
}

/* The words that may follow @word ("store": "create, list, ..."), or NULL if it is no group. */
static char *
virToolGroupMembers(const char *word)
{
    GString *members = g_string_new(NULL);
    gsize len = strlen(word);

    for (const virToolCommand *command = virToolCommands; command->name; command++) {
        if (g_str_has_prefix(command->name, word) && command->name[len] == ' ')
            g_string_append_printf(members, "%s%s", members->len ? ", " : "",
                                   command->name + len + 1);
    }
    return g_string_free(members, members->len == 0);
}

static char *
virToolUnknownCommand(const char *first, const char *second)
{
    g_autofree char *members = virToolGroupMembers(first);
    g_autofree char *typed =
        second && members ? g_strconcat(first, " ", second, NULL) : g_strdup(first);
    g_autofree char *shown = virTextPrintable(typed);
    g_autofree char *nearest = virToolNearest(typed);

    if (members && !second)
        return g_strdup_printf("'%s' needs one of: %s", shown, members);
    if (nearest)
        return g_strdup_printf("there is no command '%s'; did you mean '%s'?", shown,
                               nearest);
    if (members)
        return g_strdup_printf("there is no command '%s'; '%s' takes one of: %s", shown,
                               first, members);
    return g_strdup_printf("there is no command '%s'", shown);
}

const virToolCommand *
virToolFindCommand(char *const *args, guint *used, char **problem)
{
    if (!args[0]) {
        *problem = g_strdup("a command is needed");
        return NULL;
    }
    for (const virToolCommand *command = virToolCommands; command->name; command++) {
        const char *space = strchr(command->name, ' ');
        gsize len = space ? (gsize)(space - command->name) : strlen(command->name);

        if (strncmp(args[0], command->name, len) != 0 || args[0][len] != '\0')
            continue;
        if (space && (!args[1] || strcmp(args[1], space + 1) != 0))
            continue;
        *used = space ? 2 : 1;
        return command;
    }
    *problem = virToolUnknownCommand(args[0], args[1]);
    return NULL;
}

void
virToolPrintCommands(void)
{
    printf("Usage: leasehold [--config FILE] [--json] [-q] COMMAND ...\n\n"
           "Runs QEMU guests under disk leases, so that no two hosts ever write the same "
           "disk.\n\nCommands:\n");
    for (const virToolCommand *command = virToolCommands; command->name; command++) {
        if (!(command->flags & VIR_TOOL_COMMAND_HIDDEN))
            printf("  %-18s %s\n", command->name, command->summary);
    }
    printf("\nGlobal options, before or after COMMAND:\n"
           "  --config FILE  configuration instead of /etc/leasehold/leasehold.conf\n"
           "  --json         reports as JSON, for programs\n"
           "  -q, --quiet    only errors and what was asked for\n"
           "\n'leasehold COMMAND --help' shows the options of a command; leasehold(1) is "
           "the "
           "manual.\n");
}
