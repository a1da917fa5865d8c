/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contract.c: what every plugin keeps, whatever it is made of.
 *
 *     contract CONFIG-OF-ALPHA CONFIG-OF-BETA
 *
 * Two hosts with configurations of their own use one lock directory or one store. A test that
 * needs a capability that the plugin does not promise is skipped by name.
 *
 * Seen failing: without the look at the bridge in the plugin (bridge tests), without the undo
 * of a partial acquire (all-or-nothing), without the epoch comparison (epoch).
 */
#include "tests/contract/contract.h"
#include "tests/lib/vir_test.h"

#include <leasehold/lock_driver.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

Agent alpha;
Agent beta;

static const char *alphaConfig;

/* --- helpers ------------------------------------------------------------------------------ */

char *
contractKey(void)
{
    static guint count;

    return g_strdup_printf("k%u", ++count);
}

char *
contractAssertOk(char *answer, const char *file, int line)
{
    char *rest;

    if (!g_str_has_prefix(answer, "ok"))
        g_error("%s:%d: %s", file, line, answer);
    rest = g_strdup(answer[2] ? answer + 3 : "");
    g_free(answer);
    return rest;
}

char *
contractAssertCode(char *answer, const char *code, const char *file, int line)
{
    gsize length = strlen(code);
    char *rest;

    if (strncmp(answer, code, length) != 0 || answer[length] != ' ')
        g_error("%s:%d: expected %s: %s", file, line, code, answer);
    rest = g_strdup(answer + length + 1);
    g_test_message("%s: %s", code, rest);
    g_free(answer);
    return rest;
}

void
contractGuestWith(Agent *host, const char *name, const char *uuid,
                  const char *const *keys, const char *mode)
{
    expectOk(agentAsk(host, "new\t%s\t%s", name, uuid));
    for (; keys && *keys; keys++)
        expectOk(agentAsk(host, "lease\t%s\t%s\t%s", name, *keys, mode));
    expectOk(agentAsk(host, "park\t%s", name));
}

char *
contractGuest(Agent *host, const char *name, const char *key, const char *mode)
{
    const char *const keys[] = {key, NULL};
    char *uuid = g_uuid_string_random();

    contractGuestWith(host, name, uuid, keys, mode);
    return uuid;
}

void
contractEnd(Agent *host, const char *name)
{
    expectOk(agentAsk(host, "kill\t%s", name));
    expectOk(agentAsk(host, "shutdown\t%s", name));
    expectOk(agentAsk(host, "free\t%s", name));
}

gboolean
contractHas(guint64 capabilities)
{
    g_autofree char *text = assertOk(agentAsk(&alpha, "caps"));
    guint64 missing = capabilities & ~g_ascii_strtoull(text, NULL, 10);

    for (guint bit = 0; bit < 64; bit++)
        if (missing & (G_GUINT64_CONSTANT(1) << bit)) {
            g_autofree char *why = g_strdup_printf(
                "the plugin does not promise %s",
                virLockManagerCapabilityName(G_GUINT64_CONSTANT(1) << bit));

            g_test_skip(why);
            return FALSE;
        }
    return TRUE;
}

/* The backend says the same as the library. */
static void
assertInquireEqualsLeases(Agent *host, const char *name)
{
    g_autofree char *backend = assertOk(agentAsk(host, "inquire\t%s", name));
    g_autofree char *library = assertOk(agentAsk(host, "leases\t%s", name));

    g_assert_cmpstr(backend, ==, library);
}

/* --- exclusion ---------------------------------------------------------------------------- */

static void
testConflict(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *uuid = contractGuest(&alpha, "web", key, "rw");
    g_autofree char *other = contractGuest(&beta, "db", key, "rw");

    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectOk(agentAsk(&alpha, "advance\tweb"));
    /* the owner is named by host and guest, and the resource by what the user called it */
    if (contractHas(VIR_LOCK_CAP_QUERY_OWNER)) {
        expectCodeNaming(agentAsk(&beta, "acquire\tdb"), "BUSY", "'alpha'");
        expectCodeNaming(agentAsk(&beta, "acquire\tdb"), "BUSY", "'web'");
        expectCodeNaming(agentAsk(&beta, "acquire\tdb"), "BUSY", key);
    }
    contractEnd(&alpha, "web");
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tdb"));
    contractEnd(&beta, "db");
}

static void
testRunLease(void)
{
    g_autofree char *uuid = g_uuid_string_random();

    contractGuestWith(&alpha, "web", uuid, NULL, NULL);
    contractGuestWith(&beta, "web", uuid, NULL, NULL);
    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectCode(agentAsk(&beta, "acquire\tweb"), "BUSY");
    contractEnd(&alpha, "web");
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tweb"));
    contractEnd(&beta, "web");
}

static void
testSameHost(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *uuid = contractGuest(&alpha, "web", key, "rw");
    g_autofree char *other = contractGuest(&alpha, "db", key, "rw");

    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectCode(agentAsk(&alpha, "acquire\tdb"), "BUSY");
    assertInquireEqualsLeases(&alpha, "web");
    contractEnd(&alpha, "web");
    expectOk(agentAsk(&alpha, "wait\t10000\t5000\tacquire\tdb"));
    contractEnd(&alpha, "db");
}

static void
testShared(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *a = contractGuest(&alpha, "r1", key, "ro");
    g_autofree char *b = contractGuest(&beta, "r2", key, "ro");
    g_autofree char *c = contractGuest(&beta, "w", key, "rw");

    if (!contractHas(VIR_LOCK_CAP_SHARED))
        return;
    expectOk(agentAsk(&alpha, "acquire\tr1"));
    expectOk(agentAsk(&beta, "acquire\tr2"));
    expectCode(agentAsk(&beta, "acquire\tw"), "BUSY");
    contractEnd(&alpha, "r1");
    expectCode(agentAsk(&beta, "acquire\tw"), "BUSY");
    contractEnd(&beta, "r2");
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tw"));

    /* and a reader is kept away by a writer */
    g_free(contractGuest(&alpha, "r3", key, "ro"));
    expectCode(agentAsk(&alpha, "acquire\tr3"), "BUSY");
    contractEnd(&alpha, "r3");
    contractEnd(&beta, "w");
}

/* --- all or nothing ------------------------------------------------------------------------ */

static void
checkAllOrNothing(guint n, guint taken)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *holder = NULL;
    g_autofree char *listed = NULL;
    g_auto(GStrv) words = NULL;

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(keys, contractKey());
    g_ptr_array_add(keys, NULL);
    holder = contractGuest(&alpha, "holder", keys->pdata[taken], "rw");
    expectOk(agentAsk(&alpha, "acquire\tholder"));
    contractGuestWith(&beta, "many", uuid, (const char *const *)keys->pdata, "rw");

    /* when one of them is held elsewhere, none is taken */
    expectCode(agentAsk(&beta, "acquire\tmany"), "BUSY");
    listed = assertOk(agentAsk(&beta, "inquire\tmany"));
    g_assert_cmpstr(listed, ==, "");
    for (guint i = 0; i < n; i++) {
        g_autofree char *owner = NULL;

        if (i == taken || !contractHas(VIR_LOCK_CAP_QUERY_OWNER))
            continue;
        owner = assertOk(agentAsk(&alpha, "owner\tlease-%s", (char *)keys->pdata[i]));
        g_assert_cmpstr(owner, ==, "");
    }

    /* and when it is free, all are */
    contractEnd(&alpha, "holder");
    expectOk(agentAsk(&beta, "wait\t20000\t10000\tacquire\tmany"));
    assertInquireEqualsLeases(&beta, "many");
    g_free(listed);
    listed = assertOk(agentAsk(&beta, "inquire\tmany"));
    words = g_strsplit(listed, " ", -1);
    g_assert_cmpuint(g_strv_length(words), ==, n + 1);
    contractEnd(&beta, "many");
}

static void
testAllOrNothing(void)
{
    checkAllOrNothing(3, 1);
}

static void
testAllOrNothingMany(void)
{
    checkAllOrNothing(40, 39);
}

/* --- use records --------------------------------------------------------------------------- */

static guint64
epochOnStorage(Agent *host, const char *key)
{
    g_autofree char *uses = assertOk(agentAsk(host, "use\tlease-%s\t0", key));

    return g_ascii_strtoull(uses, NULL, 10);
}

static void
testUseRecords(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *uuid = contractGuest(&alpha, "first", key, "rw");
    g_autofree char *history = NULL;
    guint64 epoch;

    if (!contractHas(VIR_LOCK_CAP_USE_RECORDS))
        return;
    /* taking alone changes nothing */
    expectOk(agentAsk(&alpha, "acquire\tfirst"));
    g_assert_cmpuint(epochOnStorage(&beta, key), ==, 0);
    /* the right to write does, once */
    expectOk(agentAsk(&alpha, "advance\tfirst"));
    epoch = epochOnStorage(&beta, key);
    g_assert_cmpuint(epoch, >, 0);
    expectOk(agentAsk(&alpha, "advance\tfirst"));
    g_assert_cmpuint(epochOnStorage(&beta, key), ==, epoch);
    contractEnd(&alpha, "first");

    /* each user advances by one; the history tells who, newest first */
    g_free(contractGuest(&beta, "second", key, "rw"));
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tsecond"));
    expectOk(agentAsk(&beta, "advance\tsecond"));
    g_assert_cmpuint(epochOnStorage(&alpha, key), ==, epoch + 1);
    history = assertOk(agentAsk(&alpha, "use\tlease-%s\t5", key));
    {
        g_autofree char *expected = g_strdup_printf(
            "%" G_GUINT64_FORMAT "/second/beta %" G_GUINT64_FORMAT "/first/alpha",
            epoch + 1, epoch);

        g_assert_cmpstr(history, ==, expected);
    }
    contractEnd(&beta, "second");
}

/* More often than the ring has sectors. */
static void
testUseRecordsRing(void)
{
    g_autofree char *key = contractKey();
    guint64 first = 0;

    if (!contractHas(VIR_LOCK_CAP_USE_RECORDS))
        return;
    for (guint i = 0; i < 11; i++) {
        g_free(contractGuest(&alpha, "again", key, "rw"));
        expectOk(agentAsk(&alpha, "wait\t10000\t5000\tacquire\tagain"));
        expectOk(agentAsk(&alpha, "advance\tagain"));
        contractEnd(&alpha, "again");
        if (i == 0)
            first = epochOnStorage(&beta, key);
        g_assert_cmpuint(epochOnStorage(&beta, key), ==, first + i);
    }
}

static void
testReaderDoesNotAdvance(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *uuid = contractGuest(&alpha, "reader", key, "ro");

    if (!contractHas(VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_SHARED))
        return;
    expectOk(agentAsk(&alpha, "acquire\treader"));
    expectOk(agentAsk(&alpha, "advance\treader"));
    g_assert_cmpuint(epochOnStorage(&beta, key), ==, 0);
    contractEnd(&alpha, "reader");
}

static void
testCheckEpoch(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *uuid = contractGuest(&alpha, "saved", key, "rw");
    g_autofree char *listed = NULL;
    guint64 epoch;

    if (!contractHas(VIR_LOCK_CAP_USE_RECORDS))
        return;
    /* given: memory state that was saved at this epoch */
    expectOk(agentAsk(&alpha, "acquire\tsaved"));
    expectOk(agentAsk(&alpha, "advance\tsaved"));
    epoch = epochOnStorage(&alpha, key);
    contractEnd(&alpha, "saved");

    /* nobody used the disk since: it may come back, also elsewhere */
    expectOk(agentAsk(&beta, "new\tback\t%s", uuid));
    expectOk(agentAsk(&beta, "lease\tback\t%s\trw", key));
    expectOk(agentAsk(&beta, "epoch\tback\tlease-%s\t%" G_GUINT64_FORMAT, key, epoch));
    expectOk(agentAsk(&beta, "park\tback"));
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tback\tcheck"));
    expectOk(agentAsk(&beta, "advance\tback"));
    contractEnd(&beta, "back");

    /* it was used once more: STALE, and nothing is held afterwards */
    expectOk(agentAsk(&alpha, "new\tlate\t%s", uuid));
    expectOk(agentAsk(&alpha, "lease\tlate\t%s\trw", key));
    expectOk(agentAsk(&alpha, "epoch\tlate\tlease-%s\t%" G_GUINT64_FORMAT, key, epoch));
    expectOk(agentAsk(&alpha, "park\tlate"));
    expectCodeNaming(agentAsk(&alpha, "wait\t10000\t5000\tacquire\tlate\tcheck"), "STALE",
                     "'back'");
    listed = assertOk(agentAsk(&alpha, "inquire\tlate"));
    g_assert_cmpstr(listed, ==, "");
    contractEnd(&alpha, "late");
}

/* --- asking ------------------------------------------------------------------------------- */

static void
testOwner(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *owner = NULL;
    g_autofree char *uuid = NULL;
    g_autofree char *pid = NULL;
    g_autofree char *expected = NULL;

    if (!contractHas(VIR_LOCK_CAP_QUERY_OWNER | VIR_LOCK_CAP_USE_RECORDS))
        return;
    owner = assertOk(agentAsk(&beta, "owner\tlease-%s", key));
    g_assert_cmpstr(owner, ==, "");

    uuid = g_uuid_string_random();
    expectOk(agentAsk(&alpha, "new\tweb\t%s", uuid));
    expectOk(agentAsk(&alpha, "lease\tweb\t%s\trw", key));
    pid = assertOk(agentAsk(&alpha, "park\tweb"));
    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectOk(agentAsk(&alpha, "advance\tweb"));
    expected = g_strdup_printf("lease/exclusive/alpha/web/%s/", uuid);
    g_free(owner);
    owner = assertOk(agentAsk(&beta, "owner\tlease-%s", key));
    g_assert_true(g_str_has_prefix(owner, expected));
    /* on its own host the process is known too */
    g_free(owner);
    g_free(expected);
    expected = g_strdup_printf("lease/exclusive/alpha/web/%s/%s", uuid, pid);
    owner = assertOk(agentAsk(&alpha, "owner\tlease-%s", key));
    g_assert_cmpstr(owner, ==, expected);
    contractEnd(&alpha, "web");
}

/* --- bounds ------------------------------------------------------------------------------- */

static void
testBusyUntil(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *a = contractGuest(&alpha, "web", key, "rw");
    g_autofree char *b = contractGuest(&beta, "db", key, "rw");
    gint64 start;

    expectOk(agentAsk(&alpha, "acquire\tweb"));
    /* a busy lease is tried again until the given time and then refused */
    start = g_get_monotonic_time();
    expectCode(agentAsk(&beta, "wait\t5000\t1500\tacquire\tdb"), "BUSY");
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 700 * 1000);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    /* and without such a time refused at once */
    start = g_get_monotonic_time();
    expectCode(agentAsk(&beta, "acquire\tdb"), "BUSY");
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
    /* a lease that comes free meanwhile is taken */
    agentSend(&beta, "wait\t20000\t20000\tacquire\tdb");
    g_usleep(200 * 1000);
    contractEnd(&alpha, "web");
    expectOk(agentReceive(&beta));
    contractEnd(&beta, "db");
}

static void
testCancel(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *a = contractGuest(&alpha, "web", key, "rw");
    g_autofree char *b = contractGuest(&beta, "db", key, "rw");
    g_autofree char *listed = NULL;
    gint64 start = g_get_monotonic_time();

    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectCode(agentAsk(&beta, "wait\t30000\t30000\tacquire\tdb\tcancel"), "CANCELLED");
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    listed = assertOk(agentAsk(&beta, "inquire\tdb"));
    g_assert_cmpstr(listed, ==, "");
    contractEnd(&alpha, "web");
    contractEnd(&beta, "db");
}

/* --- hotplug ------------------------------------------------------------------------------ */

static void
testHotplug(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *disk = contractKey();
    g_autofree char *a = contractGuest(&alpha, "web", key, "rw");
    g_autofree char *b = contractGuest(&beta, "db", NULL, NULL);

    if (!contractHas(VIR_LOCK_CAP_HOTPLUG))
        return;
    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectOk(agentAsk(&beta, "acquire\tdb"));
    expectOk(agentAsk(&alpha, "plug\tweb\t%s\trw", disk));
    assertInquireEqualsLeases(&alpha, "web");
    expectCode(agentAsk(&beta, "plug\tdb\t%s\trw", disk), "BUSY");
    assertInquireEqualsLeases(&beta, "db");
    expectOk(agentAsk(&alpha, "unplug\tweb\t%s", disk));
    assertInquireEqualsLeases(&alpha, "web");
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tplug\tdb\t%s\trw", disk));
    assertInquireEqualsLeases(&beta, "db");
    /* what is not there can not be given up */
    expectCode(agentAsk(&alpha, "unplug\tweb\t%s", disk), "STATE");
    contractEnd(&alpha, "web");
    contractEnd(&beta, "db");
}

static void
testConvert(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *a = contractGuest(&alpha, "web", key, "ro");
    g_autofree char *b = contractGuest(&beta, "db", key, "ro");

    if (!contractHas(VIR_LOCK_CAP_CONVERT))
        return;
    expectOk(agentAsk(&alpha, "acquire\tweb"));
    expectOk(agentAsk(&beta, "acquire\tdb"));
    /* not while another one reads; what was held stays held */
    expectCode(agentAsk(&alpha, "convert\tweb\t%s\trw", key), "BUSY");
    assertInquireEqualsLeases(&alpha, "web");
    contractEnd(&beta, "db");
    expectOk(agentAsk(&alpha, "wait\t10000\t5000\tconvert\tweb\t%s\trw", key));
    assertInquireEqualsLeases(&alpha, "web");
    g_free(contractGuest(&beta, "dc", key, "ro"));
    expectCode(agentAsk(&beta, "acquire\tdc"), "BUSY");
    /* and back */
    expectOk(agentAsk(&alpha, "convert\tweb\t%s\tro", key));
    assertInquireEqualsLeases(&alpha, "web");
    expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tdc"));
    contractEnd(&alpha, "web");
    contractEnd(&beta, "dc");
}

/* --- death -------------------------------------------------------------------------------- */

static void
testHolderKilled(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *a = contractGuest(&alpha, "web", key, "rw");
    g_autofree char *b = contractGuest(&beta, "db", key, "rw");

    expectOk(agentAsk(&alpha, "acquire\tweb"));
    /* Shutdown does not believe that a living child holds nothing */
    expectCodeNaming(agentAsk(&alpha, "wait\t1000\t0\tshutdown\tweb"), "BUSY", key);
    expectOk(agentAsk(&alpha, "kill\tweb"));
    expectOk(agentAsk(&alpha, "shutdown\tweb"));
    /* it was seen free: no patience is needed */
    expectOk(agentAsk(&beta, "acquire\tdb"));
    expectOk(agentAsk(&alpha, "free\tweb"));
    contractEnd(&beta, "db");
}

/* A start that fails before it used anything: there is no record of it, or one of an earlier use.
 * Its leases are seen free all the same. */
static void
testKilledBeforeUse(void)
{
    g_autofree char *key = contractKey();

    for (guint round = 0; round < 8; round++) {
        g_free(contractGuest(&alpha, "web", key, "rw"));
        expectOk(agentAsk(&alpha, "acquire\tweb"));
        if (round == 4)
            expectOk(agentAsk(&alpha, "advance\tweb"));
        contractEnd(&alpha, "web");
        g_free(contractGuest(&beta, "db", key, "rw"));
        expectOk(agentAsk(&beta, "acquire\tdb"));
        contractEnd(&beta, "db");
    }
}

/* The daemon that started the guest dies: the guest keeps its leases; a new daemon finds them. */
static void
testHostProcessKilled(void)
{
    g_autofree char *key = contractKey();
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *pid = NULL;
    g_autofree char *b = contractGuest(&beta, "db", key, "rw");
    Agent first;
    Agent second;

    agentStart(&first, "alpha", alphaConfig);
    expectOk(agentAsk(&first, "new\tweb\t%s", uuid));
    expectOk(agentAsk(&first, "lease\tweb\t%s\trw", key));
    pid = assertOk(agentAsk(&first, "park\tweb"));
    expectOk(agentAsk(&first, "acquire\tweb"));
    expectOk(agentAsk(&first, "advance\tweb"));
    agentKill(&first);
    expectCode(agentAsk(&beta, "acquire\tdb"), "BUSY");

    if (contractHas(VIR_LOCK_CAP_ATTACH)) {
        agentStart(&second, "alpha", alphaConfig);
        /* a lease that it does not hold is missed by name */
        expectOk(agentAsk(&second, "new\tbad\t%s\tattach", uuid));
        expectOk(agentAsk(&second, "lease\tbad\t%s\trw", key));
        expectOk(agentAsk(&second, "lease\tbad\tnot-held\trw"));
        expectOk(agentAsk(&second, "pid\tbad\t%s", pid));
        expectCodeNaming(agentAsk(&second, "acquire\tbad"), "LOST", "not-held");
        expectOk(agentAsk(&second, "free\tbad"));
        /* what it holds is taken over, and can be given up */
        expectOk(agentAsk(&second, "new\tweb\t%s\tattach", uuid));
        expectOk(agentAsk(&second, "lease\tweb\t%s\trw", key));
        expectOk(agentAsk(&second, "pid\tweb\t%s", pid));
        expectOk(agentAsk(&second, "acquire\tweb"));
        assertInquireEqualsLeases(&second, "web");
        expectOk(agentAsk(&second, "unplug\tweb\t%s", key));
        expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tdb"));
        agentKill(&second);
    }
    (void)kill((pid_t)atoi(pid), SIGKILL);
    (void)waitpid((pid_t)atoi(pid), NULL, 0);
    if (contractHas(VIR_LOCK_CAP_ATTACH))
        contractEnd(&beta, "db");
    else {
        expectOk(agentAsk(&beta, "wait\t10000\t5000\tacquire\tdb"));
        contractEnd(&beta, "db");
    }
}

/* --- main --------------------------------------------------------------------------------- */

int
main(int argc, char **argv)
{
    int rc;

    if (argc < 3) {
        g_printerr("usage: contract CONFIG-OF-ALPHA CONFIG-OF-BETA\n");
        return 2;
    }
    /* guests whose host process was killed become ours */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    alphaConfig = argv[1];
    agentStart(&alpha, "alpha", argv[1]);
    agentStart(&beta, "beta", argv[2]);
    virTestInit(&argc, &argv);

    g_test_add_func("/contract/conflict", testConflict);
    g_test_add_func("/contract/run-lease", testRunLease);
    g_test_add_func("/contract/same-host", testSameHost);
    g_test_add_func("/contract/shared", testShared);
    g_test_add_func("/contract/all-or-nothing", testAllOrNothing);
    g_test_add_func("/contract/all-or-nothing-40", testAllOrNothingMany);
    g_test_add_func("/contract/use-records", testUseRecords);
    g_test_add_func("/contract/use-records-ring", testUseRecordsRing);
    g_test_add_func("/contract/reader-does-not-advance", testReaderDoesNotAdvance);
    g_test_add_func("/contract/check-epoch", testCheckEpoch);
    g_test_add_func("/contract/owner", testOwner);
    g_test_add_func("/contract/busy-until", testBusyUntil);
    g_test_add_func("/contract/cancel", testCancel);
    g_test_add_func("/contract/hotplug", testHotplug);
    g_test_add_func("/contract/convert", testConvert);
    g_test_add_func("/contract/holder-killed", testHolderKilled);
    g_test_add_func("/contract/killed-before-use", testKilledBeforeUse);
    g_test_add_func("/contract/host-process-killed", testHostProcessKilled);
    contractAddMigrate();
    rc = g_test_run();
    agentKill(&alpha);
    agentKill(&beta);
    return rc;
}
