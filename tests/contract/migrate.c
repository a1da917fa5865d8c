/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate.c: bridges and the handing over of a guest (I5, I6, I7), with both orders of each
 * race forced: the stranger first, and the destination first.
 */
#include "tests/contract/contract.h"

#include <leasehold/lock_driver.h>
#include <string.h>

#define NEEDS (VIR_LOCK_CAP_MIGRATE | VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_QUERY_OWNER)

typedef struct _Move {
    char *uuid;
    char *key;
    char *ticket;
} Move;

static void
moveClear(Move *move)
{
    g_free(move->uuid);
    g_free(move->key);
    g_free(move->ticket);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Move, moveClear)

/* A guest that runs on alpha and has its ticket. */
static void
moveBegin(Move *move)
{
    move->key = contractKey();
    move->uuid = contractGuest(&alpha, "src", move->key, "rw");
    expectOk(agentAsk(&alpha, "acquire\tsrc"));
    expectOk(agentAsk(&alpha, "advance\tsrc"));
    move->ticket = assertOk(agentAsk(&alpha, "ticket\tsrc"));
}

/* Its destination on beta, parked. */
static void
moveDestination(const Move *move)
{
    expectOk(agentAsk(&beta, "new\tdst\t%s\tmigrate\t%s", move->uuid, move->ticket));
    expectOk(agentAsk(&beta, "lease\tdst\t%s\trw", move->key));
    expectOk(agentAsk(&beta, "park\tdst"));
}

static char *
stranger(Agent *host, const char *key, const char *mode)
{
    g_free(contractGuest(host, "stranger", key, mode));
    return agentAsk(host, "acquire\tstranger");
}

static void
testMove(void)
{
    g_auto(Move) move = {0};
    g_autofree char *cookie = NULL;
    g_autofree char *held = NULL;
    g_autofree char *library = NULL;

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    expectOk(agentAsk(&beta, "acquire\tdst"));
    held = assertOk(agentAsk(&beta, "inquire\tdst"));
    library = assertOk(agentAsk(&beta, "leases\tdst"));
    g_assert_cmpstr(held, ==, library);
    g_assert_nonnull(strstr(held, "/bridge"));
    g_assert_null(strstr(held, "/lease"));

    /* without the word of the source the destination must not run */
    expectCode(agentAsk(&beta, "in\tdst\tcookie\t{}"), "CONFIG");
    cookie = assertOk(agentAsk(&alpha, "out\tsrc"));
    expectOk(agentAsk(&beta, "in\tdst\tcookie\t%s", cookie));
    /* nothing settles while the source lives */
    expectCode(agentAsk(&beta, "wait\t5000\t200\tsettle\tdst"), "BUSY");
    contractEnd(&alpha, "src");
    expectCode(stranger(&alpha, move.key, "rw"), "BUSY");
    contractEnd(&alpha, "stranger");
    expectOk(agentAsk(&beta, "wait\t20000\t10000\tsettle\tdst"));
    g_free(held);
    held = assertOk(agentAsk(&beta, "inquire\tdst"));
    g_assert_null(strstr(held, "/bridge"));
    expectCode(stranger(&alpha, move.key, "rw"), "BUSY");
    contractEnd(&alpha, "stranger");
    expectOk(agentAsk(&beta, "advance\tdst"));
    contractEnd(&beta, "dst");
}

/* Order 1: the bridge stands, then the source dies and a stranger comes. */
static void
testBridgeFirst(void)
{
    g_auto(Move) move = {0};

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    expectOk(agentAsk(&beta, "acquire\tdst"));
    contractEnd(&alpha, "src");
    expectCode(stranger(&alpha, move.key, "rw"), "BUSY");
    contractEnd(&alpha, "stranger");
    /* a reader too: it would read what the guest is about to write */
    expectCode(stranger(&alpha, move.key, "ro"), "BUSY");
    contractEnd(&alpha, "stranger");
    /* the bridge given back: the disk is free */
    expectOk(agentAsk(&beta, "in\tdst\tcancel"));
    g_free(contractGuest(&alpha, "stranger", move.key, "rw"));
    expectOk(agentAsk(&alpha, "wait\t10000\t5000\tacquire\tstranger"));
    contractEnd(&alpha, "stranger");
    contractEnd(&beta, "dst");
}

/* Order 2: a stranger has the lease, then the destination comes. */
static void
testStrangerFirst(void)
{
    g_auto(Move) move = {0};
    g_autofree char *held = NULL;

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    contractEnd(&alpha, "src");
    g_free(contractGuest(&alpha, "stranger", move.key, "rw"));
    expectOk(agentAsk(&alpha, "wait\t10000\t5000\tacquire\tstranger"));
    expectOk(agentAsk(&alpha, "advance\tstranger"));
    expectCode(agentAsk(&beta, "acquire\tdst"), "STALE");
    held = assertOk(agentAsk(&beta, "inquire\tdst"));
    g_assert_cmpstr(held, ==, "");
    contractEnd(&alpha, "stranger");
    contractEnd(&beta, "dst");
}

/* The source is gone and nobody has the disk: the ticket is worth nothing any more. */
static void
testSourceGone(void)
{
    g_auto(Move) move = {0};
    g_autofree char *held = NULL;

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    contractEnd(&alpha, "src");
    expectCode(agentAsk(&beta, "wait\t10000\t0\tacquire\tdst"), "STALE");
    held = assertOk(agentAsk(&beta, "inquire\tdst"));
    g_assert_cmpstr(held, ==, "");
    contractEnd(&beta, "dst");
}

/* Neither order is forced: the destination settles while a stranger tries again and again. */
static void
testSettleRace(void)
{
    if (!contractHas(NEEDS))
        return;
    for (guint round = 0; round < 5; round++) {
        g_auto(Move) move = {0};
        g_autofree char *cookie = NULL;
        g_autofree char *refused = NULL;

        moveBegin(&move);
        moveDestination(&move);
        expectOk(agentAsk(&beta, "acquire\tdst"));
        cookie = assertOk(agentAsk(&alpha, "out\tsrc"));
        expectOk(agentAsk(&beta, "in\tdst\tcookie\t%s", cookie));
        g_free(contractGuest(&alpha, "stranger", move.key, "rw"));
        agentSend(&beta, "wait\t20000\t20000\tsettle\tdst");
        contractEnd(&alpha, "src");
        refused =
            assertCode(agentAsk(&alpha, "wait\t5000\t300\tacquire\tstranger"), "BUSY");
        expectOk(agentReceive(&beta));
        contractEnd(&alpha, "stranger");
        contractEnd(&beta, "dst");
    }
}

/* Cancel before the word: the source goes on as if nothing had been. */
static void
testCancelBeforeWord(void)
{
    g_auto(Move) move = {0};

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    expectOk(agentAsk(&beta, "acquire\tdst"));
    expectOk(agentAsk(&beta, "in\tdst\tcancel"));
    expectOk(agentAsk(&alpha, "out\tsrc\tcancel"));
    g_free(move.ticket);
    move.ticket = assertOk(agentAsk(&alpha, "ticket\tsrc"));
    contractEnd(&alpha, "src");
    contractEnd(&beta, "dst");
}

/* After the word: only if the destination gave up its bridge and has not run. */
static void
testTakeBack(void)
{
    g_auto(Move) move = {0};
    g_autofree char *cookie = NULL;

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    expectOk(agentAsk(&beta, "acquire\tdst"));
    cookie = assertOk(agentAsk(&alpha, "out\tsrc"));
    expectCode(agentAsk(&alpha, "out\tsrc\tcancel"), "BUSY");
    expectOk(agentAsk(&beta, "in\tdst\tcancel"));
    expectOk(agentAsk(&alpha, "wait\t10000\t5000\tout\tsrc\tcancel"));
    contractEnd(&alpha, "src");
    contractEnd(&beta, "dst");
}

static void
testTakeBackTooLate(void)
{
    g_auto(Move) move = {0};
    g_autofree char *cookie = NULL;

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    moveDestination(&move);
    expectOk(agentAsk(&beta, "acquire\tdst"));
    cookie = assertOk(agentAsk(&alpha, "out\tsrc"));
    expectOk(agentAsk(&beta, "in\tdst\tcookie\t%s", cookie));
    /* the destination ran and died: the memory of the source is of the past */
    contractEnd(&beta, "dst");
    expectCode(agentAsk(&alpha, "wait\t10000\t5000\tout\tsrc\tcancel"), "STALE");
    contractEnd(&alpha, "src");
}

/* The destination's images are not the source's. */
static void
testOtherDisk(void)
{
    g_auto(Move) move = {0};
    g_autofree char *other = contractKey();

    if (!contractHas(NEEDS))
        return;
    moveBegin(&move);
    expectOk(agentAsk(&beta, "new\tdst\t%s\tmigrate\t%s", move.uuid, move.ticket));
    expectOk(agentAsk(&beta, "lease\tdst\t%s\trw", other));
    expectOk(agentAsk(&beta, "park\tdst"));
    expectCodeNaming(agentAsk(&beta, "acquire\tdst"), "CONFIG", move.key);
    contractEnd(&beta, "dst");
    contractEnd(&alpha, "src");
}

void
contractAddMigrate(void)
{
    g_test_add_func("/contract/migrate/move", testMove);
    g_test_add_func("/contract/migrate/bridge-first", testBridgeFirst);
    g_test_add_func("/contract/migrate/stranger-first", testStrangerFirst);
    g_test_add_func("/contract/migrate/source-gone", testSourceGone);
    g_test_add_func("/contract/migrate/settle-race", testSettleRace);
    g_test_add_func("/contract/migrate/cancel-before-word", testCancelBeforeWord);
    g_test_add_func("/contract/migrate/take-back", testTakeBack);
    g_test_add_func("/contract/migrate/take-back-too-late", testTakeBackTooLate);
    g_test_add_func("/contract/migrate/other-disk", testOtherDisk);
}
