/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_complete.c: leasehold __complete WORD... (hidden; for bash completion)
 *
 * Prints what the last WORD may become, one candidate a line; ":file" stands for any file
 * name. It knows the commands and options from the tables that parse them, so the completion
 * cannot fall behind. Problems are silence: a shell is waiting in the middle of a line.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

#define VIR_TOOL_COMPLETE_FILES ":file"

/* One candidate is one line: what has a control character cannot be completed. */
static void
virToolOffer(const char *candidate, const char *typed)
{
    g_autofree char *shown = virTextPrintable(candidate);

    if (g_str_has_prefix(candidate, typed) && strcmp(shown, candidate) == 0)
        printf("%s\n", candidate);
}

/* The first or second words of the command names that fit. */
static void
virToolOfferCommands(const char *group, const char *typed)
{
    const char *last = NULL;
    g_autofree char *previous = NULL;

    for (const virToolCommand *command = virToolCommands; command->name; command++) {
        g_auto(GStrv) words = g_strsplit(command->name, " ", 2);
        const char *word = group ? words[1] : words[0];

        if ((command->flags & VIR_TOOL_COMMAND_HIDDEN) || !word ||
            (group && strcmp(words[0], group) != 0) || g_strcmp0(word, last) == 0)
            continue;
        virToolOffer(word, typed);
        g_free(previous);
        last = previous = g_strdup(word);
    }
}

static void
virToolOfferGuests(virTool *tool, const char *typed)
{
    g_autoptr(virLockConfig) config = virLockConfigLoad(tool->configPath, NULL);
    g_autoptr(GPtrArray) guests =
        config ? virDomainLockList(config, VIR_DOMAIN_LOCK_LIST_ALL, NULL) : NULL;

    for (guint i = 0; guests && i < guests->len; i++) {
        const virDomainLockInfo *info = g_ptr_array_index(guests, i);

        virToolOffer(info->name, typed);
    }
}

/* Of the guest that stands before it. */
static void
virToolOfferSnapshots(virTool *tool, const char *guest, const char *typed)
{
    g_autoptr(virLockConfig) config = virLockConfigLoad(tool->configPath, NULL);
    g_autoptr(virDomainLock) dom =
        config ? virDomainLockLookup(config, guest, NULL) : NULL;
    g_autoptr(GPtrArray) list = dom ? virDomainLockSnapshotList(dom, 0, NULL) : NULL;

    for (guint i = 0; list && i < list->len; i++) {
        const virDomainLockSnapshot *snapshot = g_ptr_array_index(list, i);

        virToolOffer(snapshot->name, typed);
    }
}

static void
virToolOfferPlugins(const char *typed)
{
    g_autoptr(GPtrArray) names = virLockManagerPluginList(NULL);

    for (guint i = 0; names && i < names->len; i++)
        virToolOffer(g_ptr_array_index(names, i), typed);
}

/* "GUEST [suspend|wakeup]": the second argument is one of these words. */
static gboolean
virToolOfferChoices(const char *usage, const char *typed)
{
    const char *begin = g_str_has_prefix(usage, "GUEST [") ? usage + 7 : NULL;
    g_autofree char *inside = begin ? g_strndup(begin, strcspn(begin, "]")) : NULL;
    g_auto(GStrv) words = inside ? g_strsplit(inside, "|", -1) : NULL;

    if (!words || g_strv_length(words) < 2)
        return FALSE;
    for (guint i = 0; words[i]; i++)
        virToolOffer(words[i], typed);
    return TRUE;
}

/* What a positional argument may be follows from its name in the usage. */
static void
virToolOfferArgument(virTool *tool, const virToolCommand *command, const char *previous,
                     const char *typed)
{
    gboolean first = *previous == '\0';

    if (!first && strcmp(command->args, "GUEST NAME") == 0) {
        virToolOfferSnapshots(tool, previous, typed);
        return;
    }
    if (!first && virToolOfferChoices(command->args, typed))
        return;
    if (!first && strstr(command->args, "GUEST FILE"))
        printf("%s\n", VIR_TOOL_COMPLETE_FILES);
    else if (strstr(command->args, "GUEST"))
        virToolOfferGuests(tool, typed);
    else if (strcmp(command->args, "NAME") == 0)
        virToolOfferPlugins(typed);
    else if (strstr(command->args, "COMMAND"))
        virToolOfferCommands(NULL, typed);
    else if (*command->args)
        printf("%s\n", VIR_TOOL_COMPLETE_FILES);
}

/* TRUE when @word is an option that takes a value, which is then what is being typed. */
static gboolean
virToolTakesValue(const GPtrArray *options, const char *word)
{
    gsize len = strlen(word);

    for (guint i = 0; i < options->len; i++) {
        const char *option = g_ptr_array_index(options, i);

        if (strncmp(option, word, len) == 0 && strcmp(option + len, "=") == 0)
            return TRUE;
    }
    return FALSE;
}

static void
virToolOfferValue(const char *option, const char *typed)
{
    static const char *const modes[] = {"acpi", "agent"};

    if (strcmp(option, "--mode") == 0) {
        for (guint i = 0; i < G_N_ELEMENTS(modes); i++)
            virToolOffer(modes[i], typed);
    } else if (strcmp(option, "--disk") == 0 || strcmp(option, "--source") == 0 ||
               strcmp(option, "--config") == 0) {
        printf("%s\n", VIR_TOOL_COMPLETE_FILES);
    }
}

static void
virToolOfferOptions(const GPtrArray *options, const char *typed)
{
    for (guint i = 0; i < options->len; i++) {
        g_autofree char *option = g_strdup(g_ptr_array_index(options, i));

        g_strdelimit(option, "=", '\0');
        virToolOffer(option, typed);
    }
}

/* @words: what stands between the command's name and the word that is being typed. */
static void
virToolCompleteCommand(virTool *tool, const virToolCommand *command, char *const *words,
                       const char *typed)
{
    g_autoptr(GPtrArray) options = g_ptr_array_new_with_free_func(g_free);
    virTool asked = {.command = command, .options = options, .args = g_new0(char *, 1)};
    const char *previous = "";

    (void)command->run(&asked);
    g_strfreev(asked.args);
    for (; *words; words++)
        previous = *words;
    if (virToolTakesValue(options, previous))
        virToolOfferValue(previous, typed);
    else if (*typed == '-')
        virToolOfferOptions(options, typed);
    else
        virToolOfferArgument(tool, command, previous, typed);
}

int
virToolCmdComplete(virTool *tool)
{
    guint n = g_strv_length(tool->args), used = 0;
    g_autofree char *typed = NULL;
    g_autofree char *problem = NULL;
    const virToolCommand *command;

    if (tool->options || n == 0)
        return VIR_TOOL_EXIT_OK;
    typed = g_steal_pointer(&tool->args[n - 1]);
    if (n >= 2 && strcmp(tool->args[n - 2], "--config") == 0) {
        printf("%s\n", VIR_TOOL_COMPLETE_FILES);
        return VIR_TOOL_EXIT_OK;
    }
    /* global options before the command; a half-typed one is no error here */
    if (tool->args[0] && *tool->args[0] == '-' && !virToolParseGlobal(tool))
        return VIR_TOOL_EXIT_OK;
    n = g_strv_length(tool->args);
    if (n == 0 && *typed == '-') {
        virToolOffer("--config", typed);
        virToolOffer("--json", typed);
        virToolOffer("--quiet", typed);
        virToolOffer("--help", typed);
        virToolOffer("--version", typed);
        return VIR_TOOL_EXIT_OK;
    }
    command = n > 0 ? virToolFindCommand(tool->args, &used, &problem) : NULL;
    if (command)
        virToolCompleteCommand(tool, command, tool->args + used, typed);
    else if (n <= 1)
        virToolOfferCommands(n == 1 ? tool->args[0] : NULL, typed);
    return VIR_TOOL_EXIT_OK;
}
