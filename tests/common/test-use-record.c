/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-use-record.c: use records keep their epoch through torn writes and damage (I7).
 *
 * Seen failing: with virUseRingParse never setting "doubtful", the tests of a lost
 * record.
 */
#include "common/use_record.h"
#include "tests/lib/vir_test.h"

#include <string.h>

#define LEASE "disk-0123456789abcdef"
#define SECTOR 4096

typedef struct {
    guint8 bytes[VIR_USE_RING_SECTORS * SECTOR];
} Fixture;

static virUseRecord
user(const char *guestName)
{
    virUseRecord record = {
        .generation = 7, .timeUsec = 1700000000000000, .hostId = 3, .pid = 42};

    g_strlcpy(record.hostName, "alpha", sizeof(record.hostName));
    g_strlcpy(record.guestUuid, "6c1e0f6e-93a1-4c47-9b6b-6a4f6f0f1d11",
              sizeof(record.guestUuid));
    g_strlcpy(record.guestName, guestName, sizeof(record.guestName));
    return record;
}

static virUseRing
parse(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    virUseRing ring;
    gboolean ok = virUseRingParse(f->bytes, SECTOR, LEASE, &ring, &error);

    virAssertNoError(error);
    g_assert_true(ok);
    return ring;
}

static guint8 *
sectorOf(Fixture *f, guint64 epoch)
{
    return f->bytes + virUseRingOffset(epoch, SECTOR);
}

static void
advance(Fixture *f)
{
    virUseRing ring = parse(f);
    virUseRecord who = user("web");
    virUseRecord records[2];
    guint n = virUseRingAdvance(&ring, &who, LEASE, records);

    for (guint i = 0; i < n; i++)
        virUseRecordEncode(&records[i], sectorOf(f, records[i].epoch));
}

static void
advanceTo(Fixture *f, guint64 epoch)
{
    for (guint64 i = parse(f).epoch; i < epoch; i++)
        advance(f);
}

static void
assertDamaged(Fixture *f, virLockErrorCode code)
{
    g_autoptr(GError) error = NULL;
    virUseRing ring;

    g_assert_false(virUseRingParse(f->bytes, SECTOR, LEASE, &ring, &error));
    g_assert_error(error, VIR_LOCK_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, LEASE));
}

static void
testRoundTrip(void)
{
    virUseRecord in = user("wëb"), out;
    guint8 sector[VIR_USE_RECORD_SIZE], again[VIR_USE_RECORD_SIZE];

    in.epoch = VIR_USE_RECORD_MAX_EPOCH;
    in.reason = VIR_USE_REASON_REPAIR;
    g_strlcpy(in.lease, LEASE, sizeof(in.lease));
    virUseRecordEncode(&in, sector);

    g_assert_cmpint(virUseRecordDecode(sector, &out), ==, VIR_USE_RECORD_VALID);
    g_assert_cmpuint(out.epoch, ==, in.epoch);
    g_assert_cmpstr(out.guestName, ==, "wëb");
    virUseRecordEncode(&out, again);
    g_assert_cmpmem(sector, sizeof(sector), again, sizeof(again));
}

/* The bytes are shared by hosts: they must not change with compiler or machine. */
static void
testLayout(void)
{
    virUseRecord in = user("web");
    guint8 sector[VIR_USE_RECORD_SIZE];

    in.epoch = 0x0102030405060708;
    virUseRecordEncode(&in, sector);

    g_assert_cmpmem(sector, 12, "LHUSEREC\1\0\0\2", 12);
    g_assert_cmpmem(sector + 16, 8, "\10\7\6\5\4\3\2\1", 8);
    g_assert_cmpmem(sector + 40, 8, "\3\0\0\0\52\0\0\0", 8);
    g_assert_cmpstr((char *)sector + 96, ==, "alpha");
    g_assert_cmpstr((char *)sector + 200, ==, "web");
    g_assert_cmpmem(sector + 508, 4, "\124\364\104\300", 4);
}

static void
testEpochWithoutRoomIsDamage(void)
{
    virUseRecord in = user("web"), out;
    guint8 sector[VIR_USE_RECORD_SIZE];

    in.epoch = VIR_USE_RECORD_MAX_EPOCH + 1;
    virUseRecordEncode(&in, sector);
    g_assert_cmpint(virUseRecordDecode(sector, &out), ==, VIR_USE_RECORD_DAMAGED);
}

static void
testLongNameIsCutAtCharacter(void)
{
    g_autofree char *longName = g_strnfill(300, 'x');
    virUseRecord in = user("web"), out;
    guint8 sector[VIR_USE_RECORD_SIZE];

    /* "é" would straddle the end of the field */
    longName[254] = (char)0xc3;
    longName[255] = '\0';
    memcpy(in.guestName, longName, sizeof(in.guestName));
    in.epoch = 1;
    virUseRecordEncode(&in, sector);

    g_assert_cmpint(virUseRecordDecode(sector, &out), ==, VIR_USE_RECORD_VALID);
    g_assert_cmpuint(strlen(out.guestName), ==, 254);
}

static void
testEveryFlippedBitIsSeen(void)
{
    virUseRecord in = user("web"), out;
    guint8 sector[VIR_USE_RECORD_SIZE];

    in.epoch = 5;
    virUseRecordEncode(&in, sector);

    for (gsize bit = 0; bit < sizeof(sector) * 8; bit++) {
        sector[bit / 8] ^= 1 << bit % 8;
        g_assert_cmpint(virUseRecordDecode(sector, &out), ==, VIR_USE_RECORD_DAMAGED);
        sector[bit / 8] ^= 1 << bit % 8;
    }
}

static void
testNeverUsed(Fixture *f, gconstpointer data)
{
    virUseRing ring = parse(f);

    g_assert_cmpuint(ring.epoch, ==, 0);
    g_assert_cmpuint(ring.nRecords, ==, 0);
    g_assert_false(ring.doubtful);
}

static void
testHistoryNewestFirst(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) uses = NULL;
    virUseRing ring;

    for (guint64 epoch = 1; epoch <= 21; epoch++) {
        advance(f);
        ring = parse(f);
        g_assert_cmpuint(ring.epoch, ==, epoch);
        g_assert_cmpuint(ring.nRecords, ==, MIN(epoch, VIR_USE_RING_SECTORS));
    }

    uses = virUseRingToUses(&ring, 2);
    g_assert_cmpuint(uses->len, ==, 3);
    for (guint i = 0; i < uses->len; i++)
        g_assert_cmpuint(((virLockUse *)uses->pdata[i])->epoch, ==, 21 - i);
    g_assert_cmpstr(((virLockUse *)uses->pdata[0])->guestName, ==, "web");
}

static void
testTornWriteLeavesTheOthers(Fixture *f, gconstpointer data)
{
    const guint64 *epoch = data;
    virUseRing ring;

    /* given a record that was written half */
    advanceTo(f, *epoch);
    memset(sectorOf(f, *epoch + 1), 0xa5, 256);

    /* then its epoch counts as used, and who had it is not invented */
    ring = parse(f);
    g_assert_true(ring.doubtful);
    g_assert_cmpuint(ring.epoch, ==, *epoch + 1);

    /* when it is advanced, then the doubt is gone for good */
    for (guint i = 0; i < 20; i++) {
        advance(f);
        ring = parse(f);
        g_assert_false(ring.doubtful);
        g_assert_cmpuint(ring.epoch, ==, *epoch + 2 + i);
    }
}

static void
testDoubtfulUseHasNoNames(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) uses = NULL;
    virUseRing ring;
    virLockUse *first;

    advanceTo(f, 3);
    memset(sectorOf(f, 4), 0xa5, 256);
    ring = parse(f);
    uses = virUseRingToUses(&ring, 8);

    g_assert_cmpuint(uses->len, ==, 4);
    first = uses->pdata[0];
    g_assert_cmpuint(first->epoch, ==, 4);
    g_assert_null(first->guestName);
}

static void
testLostCurrentRecordIsCounted(Fixture *f, gconstpointer data)
{
    const guint64 *epoch = data;

    /* damage, and zeroes (a device that lost a write after it came back) */
    advanceTo(f, *epoch);
    memset(sectorOf(f, *epoch), 0xa5, SECTOR);
    g_assert_cmpuint(parse(f).epoch, ==, *epoch);
    memset(sectorOf(f, *epoch), 0, SECTOR);
    g_assert_cmpuint(parse(f).epoch, ==,
                     *epoch < VIR_USE_RING_SECTORS + 1 ? *epoch - 1 : *epoch);
}

static void
testOldDamageIsHarmless(Fixture *f, gconstpointer data)
{
    virUseRing ring;

    advanceTo(f, 20);
    memset(sectorOf(f, 17), 0xa5, SECTOR);

    ring = parse(f);
    g_assert_cmpuint(ring.epoch, ==, 20);
    g_assert_false(ring.doubtful);
    g_assert_cmpuint(ring.nDamaged, ==, 1);
}

static void
testTwoLostRecordsAreRefused(Fixture *f, gconstpointer data)
{
    advanceTo(f, 20);
    memset(sectorOf(f, 20), 0xa5, SECTOR);
    memset(sectorOf(f, 19), 0, SECTOR);
    assertDamaged(f, VIR_LOCK_ERROR_INTERNAL);
}

static void
testGarbageIsRefused(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < VIR_USE_RING_SECTORS; i++) {
        memset(f->bytes, 0, sizeof(f->bytes));
        memset(f->bytes + i * SECTOR, 0x5a, SECTOR);
        if (i == 1)
            g_assert_cmpuint(parse(f).epoch, ==, 1);
        else
            assertDamaged(f, VIR_LOCK_ERROR_INTERNAL);
    }
    memset(f->bytes, 0xff, sizeof(f->bytes));
    assertDamaged(f, VIR_LOCK_ERROR_INTERNAL);
}

static void
testForeignRecordIsNotOurs(Fixture *f, gconstpointer data)
{
    virUseRecord other = user("other");

    advanceTo(f, 2);
    other.epoch = 3;
    g_strlcpy(other.lease, "disk-of-another", sizeof(other.lease));
    virUseRecordEncode(&other, sectorOf(f, 3));

    g_assert_true(parse(f).doubtful);
}

static void
testNewerVersionIsRefused(Fixture *f, gconstpointer data)
{
    /* CRC of a record with version 2, epoch 1, no strings, computed by zlib */
    static const guint8 crc[4] = {0x1e, 0xdb, 0xc5, 0x24};
    guint8 *sector = sectorOf(f, 1);

    memcpy(sector, "LHUSEREC\2\0\0\2", 12);
    sector[16] = 1;
    memcpy(sector + 508, crc, sizeof(crc));
    assertDamaged(f, VIR_LOCK_ERROR_CONFIG);
}

/* A lease that was forgotten and made anew: whatever epoch it had, none is told again. */
static void
testResetGoesOnFromTheFloor(Fixture *f, gconstpointer data)
{
    const guint64 *floor = data;
    guint64 first = MAX(*floor, VIR_USE_RING_SECTORS);
    g_autoptr(GPtrArray) uses = NULL;
    virUseRing ring;

    virUseRingReset(f->bytes, SECTOR, LEASE, *floor, 1700000000000000);
    ring = parse(f);
    g_assert_cmpuint(ring.epoch, ==, first);
    g_assert_false(ring.doubtful);
    g_assert_cmpuint(ring.nDamaged, ==, 0);

    uses = virUseRingToUses(&ring, 10);
    g_assert_cmpuint(uses->len, ==, 1);
    g_assert_null(((virLockUse *)uses->pdata[0])->guestName);
    g_clear_pointer(&uses, g_ptr_array_unref);

    for (guint i = 1; i <= 10; i++) {
        advance(f);
        ring = parse(f);
        g_assert_cmpuint(ring.epoch, ==, first + i);
        g_assert_false(ring.doubtful);
        uses = virUseRingToUses(&ring, 10);
        g_assert_cmpuint(uses->len, ==, MIN(i, VIR_USE_RING_SECTORS));
        g_clear_pointer(&uses, g_ptr_array_unref);
    }
}

/* A write that the first user of such a lease began is not lost either. */
static void
testTornAfterResetIsCounted(Fixture *f, gconstpointer data)
{
    virUseRing ring;

    virUseRingReset(f->bytes, SECTOR, LEASE, 12, 1700000000000000);
    memset(sectorOf(f, 13), 0x55, 100);
    ring = parse(f);
    g_assert_true(ring.doubtful);
    g_assert_cmpuint(ring.epoch, ==, 13);
}

static void
testResetWithoutFloorIsEmpty(Fixture *f, gconstpointer data)
{
    virUseRingReset(f->bytes, SECTOR, LEASE, 0, 1700000000000000);
    g_assert_cmpuint(parse(f).epoch, ==, 0);
}

int
main(int argc, char **argv)
{
    static const guint64 early = 3, wrap = 8, late = 21;

    virTestInit(&argc, &argv);
    g_test_add_func("/use-record/round-trip", testRoundTrip);
    g_test_add_func("/use-record/layout", testLayout);
    g_test_add_func("/use-record/no-room", testEpochWithoutRoomIsDamage);
    g_test_add_func("/use-record/long-name", testLongNameIsCutAtCharacter);
    g_test_add_func("/use-record/flipped-bit", testEveryFlippedBitIsSeen);
#define ADD(name, data, func)                                                            \
    g_test_add("/use-record/" name, Fixture, data, NULL, func, NULL)
    ADD("never-used", NULL, testNeverUsed);
    ADD("history", NULL, testHistoryNewestFirst);
    ADD("torn/early", &early, testTornWriteLeavesTheOthers);
    ADD("torn/wrap", &wrap, testTornWriteLeavesTheOthers);
    ADD("torn/late", &late, testTornWriteLeavesTheOthers);
    ADD("doubtful-has-no-names", NULL, testDoubtfulUseHasNoNames);
    ADD("lost/early", &early, testLostCurrentRecordIsCounted);
    ADD("lost/late", &late, testLostCurrentRecordIsCounted);
    ADD("old-damage", NULL, testOldDamageIsHarmless);
    ADD("two-lost", NULL, testTwoLostRecordsAreRefused);
    ADD("garbage", NULL, testGarbageIsRefused);
    ADD("foreign", NULL, testForeignRecordIsNotOurs);
    ADD("newer", NULL, testNewerVersionIsRefused);
    ADD("reset/low", &early, testResetGoesOnFromTheFloor);
    ADD("reset/wrap", &wrap, testResetGoesOnFromTheFloor);
    ADD("reset/high", &late, testResetGoesOnFromTheFloor);
    ADD("reset/torn", NULL, testTornAfterResetIsCounted);
    ADD("reset/none", NULL, testResetWithoutFloorIsEmpty);
    return g_test_run();
}
