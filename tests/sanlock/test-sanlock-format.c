/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-sanlock-format.c: the parsers of the sanlock plugin, fed with what is right, what is
 * wrong and what is hostile.
 */
#include "common/bytes.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/format.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <string.h>

#define LONGEST "0123456789012345678901234567890123456789abcdefg" /* 47 */

static virSanlockGeometry
geometry(guint sectorSize)
{
    virSanlockGeometry g = {
        .version = VIR_SANLOCK_STORE_VERSION,
        .sectorSize = sectorSize,
        .alignBytes = virSanlockAlignForSector(sectorSize),
        .maxHosts = 62,
        .maxSlots = 1000,
        .ioTimeoutSec = 10,
        .createdUsec = 1700000000000000,
        .lockspace = "vmstore",
        .uuid = "6c1e0f6e-93a1-4c47-9b6b-6a4f6f0f1d11",
    };

    return g;
}

/* --- header ---------------------------------------------------------------------------------- */

static void
testHeaderRoundTrip(void)
{
    virSanlockGeometry in = geometry(4096), out;
    guint8 bytes[VIR_SANLOCK_HEADER_SIZE], again[VIR_SANLOCK_HEADER_SIZE];

    in.epochFloor = 77;
    virSanlockHeaderEncode(&in, bytes);
    g_assert_cmpint(virSanlockHeaderDecode(bytes, &out), ==, VIR_SANLOCK_HEADER_VALID);
    g_assert_cmpuint(out.maxSlots, ==, 1000);
    g_assert_cmpuint(out.epochFloor, ==, 77);
    g_assert_cmpstr(out.lockspace, ==, "vmstore");
    virSanlockHeaderEncode(&out, again);
    g_assert_cmpmem(bytes, sizeof(bytes), again, sizeof(again));
}

static void
testHeaderFlippedBits(void)
{
    virSanlockGeometry g = geometry(512), out;
    guint8 bytes[VIR_SANLOCK_HEADER_SIZE];

    virSanlockHeaderEncode(&g, bytes);
    for (gsize bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= 1 << bit % 8;
        g_assert_cmpint(virSanlockHeaderDecode(bytes, &out), ==,
                        bit < 64 ? VIR_SANLOCK_HEADER_NONE : VIR_SANLOCK_HEADER_DAMAGED);
        bytes[bit / 8] ^= 1 << bit % 8;
    }
}

static void
assertHeader(virSanlockGeometry g, virSanlockHeaderVerdict verdict)
{
    virSanlockGeometry out;
    guint8 bytes[VIR_SANLOCK_HEADER_SIZE];

    virSanlockHeaderEncode(&g, bytes);
    g_assert_cmpint(virSanlockHeaderDecode(bytes, &out), ==, verdict);
}

/* A right checksum is no reason to believe the numbers: they become offsets and sizes. */
static void
testHeaderImpossible(void)
{
    virSanlockGeometry g;

#define BAD(member, value)                                                               \
    g = geometry(512);                                                                   \
    g.member = value;                                                                    \
    assertHeader(g, VIR_SANLOCK_HEADER_DAMAGED)
    BAD(sectorSize, 0);
    BAD(sectorSize, 1024);
    BAD(epochFloor, G_MAXUINT64);
    BAD(alignBytes, 0);
    BAD(alignBytes, G_MAXUINT64);
    BAD(maxHosts, 0);
    BAD(maxHosts, 2001);
    BAD(maxSlots, 0);
    BAD(maxSlots, 16001);
    BAD(maxSlots, G_MAXUINT);
    BAD(ioTimeoutSec, 0);
    BAD(ioTimeoutSec, 256);
    BAD(lockspace[3], ':');
    BAD(lockspace[0], '\0');
#undef BAD
    g = geometry(512);
    memset(g.lockspace, 'x', sizeof(g.lockspace));
    assertHeader(g, VIR_SANLOCK_HEADER_DAMAGED);
    g = geometry(512);
    memset(g.uuid, 'x', sizeof(g.uuid));
    assertHeader(g, VIR_SANLOCK_HEADER_DAMAGED);
    g = geometry(512);
    g.version = 2;
    assertHeader(g, VIR_SANLOCK_HEADER_VERSION);
}

/* docs/store-format.txt promises these to other programs. */
static void
testPlaces(void)
{
    virSanlockGeometry g = geometry(512);

    g_assert_cmpuint(virSanlockHeaderOffset(512), ==, 1044480);
    g_assert_cmpuint(virSanlockHeaderOffset(4096), ==, 8355840);
    g_assert_cmpuint(virSanlockGuardOffset(&g), ==, 1 << 20);
    g_assert_cmpuint(virSanlockIndexOffset(&g), ==, 2 << 20);
    g_assert_cmpuint(virSanlockSlotOffset(&g, 0), ==, 4 << 20);
    g_assert_cmpuint(virSanlockBridgeOffset(&g, 0), ==, 1004 << 20);
    g_assert_cmpuint(virSanlockUseOffset(&g, 0), ==, G_GUINT64_CONSTANT(2004) << 20);
    g_assert_cmpuint(virSanlockUseOffset(&g, 1), ==,
                     (G_GUINT64_CONSTANT(2004) << 20) + 4096);
    g_assert_cmpuint(virSanlockStoreBytes(&g), ==, G_GUINT64_CONSTANT(2008) << 20);
    g_assert_cmpuint(virSanlockIndexBytes(&g), ==, 512 + 64000);
    g = geometry(4096);
    g_assert_cmpuint(virSanlockSlotOffset(&g, 1), ==, 5 * (8 << 20));
    g_assert_cmpuint(virSanlockIndexBytes(&g), ==, 4096 + 65536);
}

/* --- names -------------------------------------------------------------------------------------- */

static void
testNames(void)
{
    char a[VIR_SANLOCK_NAME_SIZE], b[VIR_SANLOCK_NAME_SIZE];

    g_assert_true(virSanlockNameIsValid("a"));
    g_assert_true(virSanlockNameIsValid(LONGEST));
    g_assert_false(virSanlockNameIsValid(LONGEST "x"));
    g_assert_false(virSanlockNameIsValid(""));
    g_assert_false(virSanlockNameIsValid("a b"));
    g_assert_false(virSanlockNameIsValid("a:b"));
    g_assert_false(virSanlockNameIsValid("~a"));
    g_assert_false(virSanlockNameIsValid("\xc3\xa9"));

    virSanlockBridgeName("disk-1", a);
    g_assert_cmpstr(a, ==, "~disk-1");
    virSanlockBridgeName(LONGEST, a);
    g_assert_cmpuint(strlen(a), <, VIR_SANLOCK_NAME_SIZE);
    virSanlockBridgeName("0123456789012345678901234567890123456789abcdefh", b);
    g_assert_cmpstr(a, !=, b);
    virSanlockBridgeName("guard", a);
    g_assert_cmpstr(a, !=, VIR_SANLOCK_GUARD_NAME);
}

/* --- index ---------------------------------------------------------------------------------------- */

static guint8 *
makeIndex(const virSanlockGeometry *g)
{
    guint8 *bytes = g_malloc0(virSanlockIndexBytes(g));

    virSanlockIndexInit(bytes, g);
    return bytes;
}

static void
setEntry(guint8 *bytes, const virSanlockGeometry *g, guint slot, const char *name)
{
    guint8 *at = bytes + g->sectorSize + slot * 64;

    virBytesPut64(at, virSanlockSlotOffset(g, slot));
    memset(at + 16, 0, 48);
    memcpy(at + 16, name, MIN(strlen(name), 48));
}

static void
testIndexFinds(void)
{
    virSanlockGeometry g = geometry(512);
    g_autofree guint8 *bytes = makeIndex(&g);
    virSanlockIndexEntry entry;

    g_assert_null(virSanlockIndexCheck(bytes, &g));
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-1"), ==, -1);
    g_assert_cmpint(virSanlockIndexFindFree(bytes, &g), ==, 0);

    setEntry(bytes, &g, 0, "disk-0");
    setEntry(bytes, &g, 999, "disk-1");
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-1"), ==, 999);
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-"), ==, -1);
    g_assert_cmpint(virSanlockIndexFindFree(bytes, &g), ==, 1);

    /* the same name twice: every host takes the first */
    setEntry(bytes, &g, 17, "disk-1");
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-1"), ==, 17);

    /* removed: its neighbours stay, and the sector of it is told */
    setEntry(bytes, &g, 16, "disk-16");
    setEntry(bytes, &g, 18, "disk-18");
    g_assert_cmpuint(virSanlockIndexRemove(bytes, &g, 17), ==, 512 + 17 / 8 * 512);
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-1"), ==, 999);
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-16"), ==, 16);
    g_assert_cmpint(virSanlockIndexFind(bytes, &g, "disk-18"), ==, 18);
    virSanlockIndexGet(bytes, &g, 17, &entry);
    g_assert_cmpuint(entry.offset, ==, 0);
    g_assert_cmpstr(entry.name, ==, "");

    for (guint i = 0; i < g.maxSlots; i++)
        setEntry(bytes, &g, i, LONGEST "x");
    g_assert_cmpint(virSanlockIndexFindFree(bytes, &g), ==, -1);
    virSanlockIndexGet(bytes, &g, 999, &entry);
    g_assert_cmpstr(entry.name, ==, LONGEST); /* 48 characters without a NUL are cut */
}

static void
testIndexChecks(void)
{
    virSanlockGeometry g = geometry(512), other = geometry(512);
    g_autofree guint8 *bytes = makeIndex(&g);
    static const gsize fields[] = {0, 6, 12, 16, 24, 32};

    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        bytes[fields[i]] ^= 1;
        g_assert_nonnull(virSanlockIndexCheck(bytes, &g));
        bytes[fields[i]] ^= 1;
    }
    other.lockspace[0] = 'V';
    g_assert_nonnull(virSanlockIndexCheck(bytes, &other));
}

/* --- leaders ---------------------------------------------------------------------------------------- */

/* Sector 0 of a lease that sanlock 3.8.5 wrote: LS lvtest, RES disk1, owner 2/3, lver 7. */
static void
makeLeader(guint8 *bytes)
{
    memset(bytes, 0, 512);
    virBytesPut32(bytes, 0x06152010);
    virBytesPut32(bytes + 4, 0x00060004);
    virBytesPut32(bytes + 12, 512);
    virBytesPut64(bytes + 16, 62);
    virBytesPut64(bytes + 32, 2);
    virBytesPut64(bytes + 40, 3);
    virBytesPut64(bytes + 48, 7);
    strcpy((char *)bytes + 56, "lvtest");
    strcpy((char *)bytes + 104, "disk1");
    virBytesPut64(bytes + 152, 4711);
    virBytesPut16(bytes + 174, 10);
    virBytesPut64(bytes + 176, 1);
    virBytesPut32(bytes + 168, virBytesCrc32c(~1u, bytes, 168));
}

static void
testLeader(void)
{
    guint8 bytes[512];
    virSanlockLeader leader;

    makeLeader(bytes);
    g_assert_cmpint(virSanlockLeaderDecode(bytes, VIR_SANLOCK_LEADER_LEASE, &leader), ==,
                    VIR_SANLOCK_LEADER_VALID);
    g_assert_cmpuint(leader.ownerId, ==, 2);
    g_assert_cmpuint(leader.ownerGeneration, ==, 3);
    g_assert_cmpuint(leader.lver, ==, 7);
    g_assert_cmpuint(leader.timestamp, ==, 4711);
    g_assert_cmpuint(leader.ioTimeoutSec, ==, 10);
    g_assert_cmpuint(leader.writerId, ==, 1);
    g_assert_cmpstr(leader.lockspace, ==, "lvtest");
    g_assert_cmpstr(leader.name, ==, "disk1");

    g_assert_cmpint(virSanlockLeaderDecode(bytes, VIR_SANLOCK_LEADER_HOST, &leader), ==,
                    VIR_SANLOCK_LEADER_NONE);
    bytes[6] = 7;
    g_assert_cmpint(virSanlockLeaderDecode(bytes, VIR_SANLOCK_LEADER_LEASE, &leader), ==,
                    VIR_SANLOCK_LEADER_VERSION);
    makeLeader(bytes);
    bytes[100] ^= 1;
    g_assert_cmpint(virSanlockLeaderDecode(bytes, VIR_SANLOCK_LEADER_LEASE, &leader), ==,
                    VIR_SANLOCK_LEADER_DAMAGED);
}

/* CRC-32C as sanlock uses it: "123456789" with the usual seed and inversion is e3069283. */
static void
testChecksums(void)
{
    g_assert_cmphex(virBytesCrc32((const guint8 *)"123456789", 9), ==, 0xcbf43926);
    g_assert_cmphex(~virBytesCrc32c(~0u, (const guint8 *)"123456789", 9), ==, 0xe3069283);
}

/* --- what a client holds ------------------------------------------------------------------------ */

static void
testStateEmpty(void)
{
    g_autoptr(GArray) none = virSanlockParseState(NULL);
    g_autoptr(GArray) empty = virSanlockParseState("");

    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpuint(empty->len, ==, 0);
}

static void
testStateParses(void)
{
    g_autoptr(GArray) held = virSanlockParseState(
        "ls:disk-1:/dev/vg/store:4194304:12 ls:~disk-2:/a\\:b/s:18446744073709551615:SH");
    virSanlockHeld *one;

    g_assert_nonnull(held);
    g_assert_cmpuint(held->len, ==, 2);
    one = (virSanlockHeld *)held->data;
    g_assert_cmpstr(one[0].lockspace, ==, "ls");
    g_assert_cmpstr(one[0].name, ==, "disk-1");
    g_assert_cmpuint(one[0].offset, ==, 4194304);
    g_assert_cmpint(one[0].mode, ==, VIR_LOCK_MODE_EXCLUSIVE);
    g_assert_cmpstr(one[1].name, ==, "~disk-2");
    g_assert_cmpuint(one[1].offset, ==, G_MAXUINT64);
    g_assert_cmpint(one[1].mode, ==, VIR_LOCK_MODE_SHARED);
}

static void
testStateMany(void)
{
    g_autoptr(GString) state = g_string_new(NULL);
    g_autoptr(GArray) held = NULL;

    for (guint i = 0; i < 500; i++)
        g_string_append_printf(state, "%sls:disk-%u:/s:%u:1", i ? " " : "", i, i);
    held = virSanlockParseState(state->str);
    g_assert_cmpuint(held->len, ==, 500);
    g_assert_cmpstr(g_array_index(held, virSanlockHeld, 499).name, ==, "disk-499");
}

/* A list that is not understood is no list: half of it would be a lost lease. */
static void
testStateHostile(void)
{
    static const char *const texts[] = {
        "x",
        ":",
        "::::",
        "ls:r:/p:1",
        "ls:r:/p:1:2:3",
        "ls:r:/p:x:2",
        "ls:r:/p:1:",
        "ls:r:/p:1:sh",
        "ls:r:/p:-1:2",
        "ls:r:/p:18446744073709551616:2",
        "ls:r:/p:1:2 ",
        " ls:r:/p:1:2",
        "ls:r:/p:1:2  ls:s:/p:1:2",
        ":r:/p:1:2",
        "ls::/p:1:2",
        "ls:r::1:2",
        "ls:r:/p:1:2\\",
        "ls:" LONGEST "x:/p:1:2",
        LONGEST "x:r:/p:1:2",
        "ls:r:/p\\",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GArray) held = virSanlockParseState(texts[i]);

        if (held)
            g_error("'%s' was understood", texts[i]);
    }
}

static void
testWords(void)
{
    g_autofree char *value =
        virSanlockDaemonWord("a=1 use_watchdog=0 watchdog=2 e= f", "watchdog");
    g_autofree char *empty = virSanlockDaemonWord("a=1 e= f", "e");

    g_assert_cmpstr(value, ==, "2");
    g_assert_cmpstr(empty, ==, "");
    g_assert_null(virSanlockDaemonWord("a=1 f", "f"));
    g_assert_null(virSanlockDaemonWord("", "a"));
}

/* --- errors --------------------------------------------------------------------------------------- */

static void
testErrors(void)
{
    g_autoptr(GError) error = NULL;

    virSanlockErrorSet(&error, -243, "cannot take %s", "disk /vm/a");
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_cmpstr(error->message, ==,
                    "cannot take disk /vm/a: a live host holds it (sanlock -243)");
    g_assert_cmpint(virSanlockErrorLookup(-ENOSPC)->code, ==, VIR_LOCK_ERROR_NOT_JOINED);
    g_assert_cmpint(virSanlockErrorLookup(-12345)->code, ==, VIR_LOCK_ERROR_INTERNAL);
    /* both numbers of 3.8.5 and of 5.x */
    g_assert_cmpint(virSanlockErrorLookup(-251)->code, ==, VIR_LOCK_ERROR_LOST);
    g_assert_cmpint(virSanlockErrorLookup(-253)->code, ==, VIR_LOCK_ERROR_LOST);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/sanlock/header/round-trip", testHeaderRoundTrip);
    g_test_add_func("/sanlock/header/flipped-bits", testHeaderFlippedBits);
    g_test_add_func("/sanlock/header/impossible", testHeaderImpossible);
    g_test_add_func("/sanlock/places", testPlaces);
    g_test_add_func("/sanlock/names", testNames);
    g_test_add_func("/sanlock/index/finds", testIndexFinds);
    g_test_add_func("/sanlock/index/checks", testIndexChecks);
    g_test_add_func("/sanlock/leader", testLeader);
    g_test_add_func("/sanlock/checksums", testChecksums);
    g_test_add_func("/sanlock/state/empty", testStateEmpty);
    g_test_add_func("/sanlock/state/parses", testStateParses);
    g_test_add_func("/sanlock/state/many", testStateMany);
    g_test_add_func("/sanlock/state/hostile", testStateHostile);
    g_test_add_func("/sanlock/words", testWords);
    g_test_add_func("/sanlock/errors", testErrors);
    return g_test_run();
}
