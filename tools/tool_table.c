/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_table.c: tables whose columns line up, for people.
 *
 * Widths are counted in terminal columns, not bytes. On a terminal the columns marked with
 * '~' give way when the table is too wide; in a pipe nothing is ever cut.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VIR_TOOL_TABLE_GAP 2
#define VIR_TOOL_TABLE_CUT_MIN 8 /* a cut column keeps at least this much */
#define VIR_TOOL_TABLE_COLUMNS_MAX 16
#define VIR_TOOL_TABLE_NOTHING "-"
#define VIR_TOOL_FIELD_WIDTH 14

typedef struct _virToolCell {
    char *text;
    virToolColour colour;
} virToolCell;

struct _virToolTable {
    guint nColumns;
    gboolean right[VIR_TOOL_TABLE_COLUMNS_MAX];
    gboolean cuttable[VIR_TOOL_TABLE_COLUMNS_MAX];
    gboolean optional[VIR_TOOL_TABLE_COLUMNS_MAX];
    GPtrArray *rows; /* virToolCell[nColumns]; the first is the heading */
};

static virToolCell *
virToolTableAddRow(virToolTable *table)
{
    virToolCell *row = g_new0(virToolCell, table->nColumns);

    g_ptr_array_add(table->rows, row);
    return row;
}

virToolTable *
virToolTableNew(const char *heading, ...)
{
    virToolTable *table = g_new0(virToolTable, 1);
    const char *names[VIR_TOOL_TABLE_COLUMNS_MAX];
    virToolCell *row;
    va_list args;

    table->rows = g_ptr_array_new();
    va_start(args, heading);
    for (; heading; heading = va_arg(args, const char *)) {
        guint i = table->nColumns++;

        g_assert(i < VIR_TOOL_TABLE_COLUMNS_MAX);
        table->right[i] = heading[0] == '>';
        table->optional[i] = heading[0] == '?';
        table->cuttable[i] = heading[0] == '~' || table->optional[i];
        names[i] = heading + (table->right[i] || table->cuttable[i]);
    }
    va_end(args);
    row = virToolTableAddRow(table);
    for (guint i = 0; i < table->nColumns; i++) {
        row[i].text = g_strdup(names[i]);
        row[i].colour = VIR_TOOL_COLOUR_BOLD;
    }
    return table;
}

void
virToolTableAdd(virToolTable *table, ...)
{
    virToolCell *row = virToolTableAddRow(table);
    va_list args;

    va_start(args, table);
    for (guint i = 0; i < table->nColumns; i++) {
        const char *text = va_arg(args, const char *);

        row[i].text =
            text && *text ? virTextPrintable(text) : g_strdup(VIR_TOOL_TABLE_NOTHING);
    }
    va_end(args);
}

void
virToolTableMark(virToolTable *table, guint column, virToolColour colour)
{
    virToolCell *row = g_ptr_array_index(table->rows, table->rows->len - 1);

    row[column].colour = colour;
}

/* Takes the last column away when it is optional and no row has anything there. */
static void
virToolTableDropEmpty(virToolTable *table)
{
    guint last = table->nColumns - 1;

    if (!table->optional[last])
        return;
    for (guint r = 1; r < table->rows->len; r++) {
        virToolCell *row = g_ptr_array_index(table->rows, r);

        if (strcmp(row[last].text, VIR_TOOL_TABLE_NOTHING) != 0)
            return;
    }
    for (guint r = 0; r < table->rows->len; r++) {
        virToolCell *row = g_ptr_array_index(table->rows, r);

        g_clear_pointer(&row[last].text, g_free);
    }
    table->nColumns--;
}

static guint
virToolTableMeasure(const virToolTable *table, guint *widths)
{
    guint total = (table->nColumns - 1) * VIR_TOOL_TABLE_GAP;

    for (guint i = 0; i < table->nColumns; i++) {
        widths[i] = 0;
        for (guint r = 0; r < table->rows->len; r++) {
            virToolCell *row = g_ptr_array_index(table->rows, r);

            widths[i] = MAX(widths[i], virToolTextWidth(row[i].text));
        }
        total += widths[i];
    }
    return total;
}

/* Takes what is too much from the cuttable columns, the widest first. */
static void
virToolTableFit(const virToolTable *table, guint *widths, guint total, guint limit)
{
    while (limit > 0 && total > limit) {
        guint widest = table->nColumns;

        for (guint i = 0; i < table->nColumns; i++) {
            if (table->cuttable[i] && widths[i] > VIR_TOOL_TABLE_CUT_MIN &&
                (widest == table->nColumns || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == table->nColumns)
            return;
        widths[widest]--;
        total--;
    }
}

static void
virToolTablePrintRow(const virToolTable *table, const virToolCell *row,
                     const guint *widths)
{
    for (guint i = 0; i < table->nColumns; i++) {
        g_autofree char *text = virToolTextCut(row[i].text, widths[i]);
        int pad = (int)(widths[i] - virToolTextWidth(text));
        gboolean last = i + 1 == table->nColumns;

        printf("%*s%s%s%s", table->right[i] ? pad : 0, "",
               virToolColourBegin(stdout, row[i].colour), text,
               row[i].colour != VIR_TOOL_COLOUR_NONE ? virToolColourEnd(stdout) : "");
        /* no blanks at the end of a line */
        if (!last)
            printf("%*s", (table->right[i] ? 0 : pad) + VIR_TOOL_TABLE_GAP, "");
    }
    putchar('\n');
}

void
virToolTablePrint(virToolTable *table)
{
    guint widths[VIR_TOOL_TABLE_COLUMNS_MAX];
    guint total;

    virToolTableDropEmpty(table);
    total = virToolTableMeasure(table, widths);
    virToolTableFit(table, widths, total, virToolTerminalWidth(stdout));
    for (guint r = 0; r < table->rows->len; r++)
        virToolTablePrintRow(table, g_ptr_array_index(table->rows, r), widths);
}

void
virToolTableFree(virToolTable *table)
{
    if (!table)
        return;
    for (guint r = 0; r < table->rows->len; r++) {
        virToolCell *row = g_ptr_array_index(table->rows, r);

        for (guint i = 0; i < table->nColumns; i++)
            g_free(row[i].text);
        g_free(row);
    }
    g_ptr_array_unref(table->rows);
    g_free(table);
}

void
virToolField(const char *label, const char *value)
{
    g_autofree char *shown = NULL;

    if (!value)
        return;
    shown = virTextPrintable(value);
    printf("%-*s%s\n", VIR_TOOL_FIELD_WIDTH, label, shown);
}
