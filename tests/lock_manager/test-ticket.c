/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-ticket.c: ticket and cookie: what is written can be read, and what is wrong is named. */
#include "lock_manager/ticket.h"
#include "tests/lib/vir_test.h"

#include <string.h>

static virLockTicket *
makeTicket(void)
{
    virLockTicket *ticket = virLockTicketNew();
    virLockTicketLease *lease;

    ticket->nonce = g_strdup("nonce");
    ticket->uuid = g_strdup("c7a5fdbd-cdaf-9455-926a-d65c16db1809");
    ticket->guestName = g_strdup("web \"quoted\" \xc3\xa9");
    ticket->hostName = g_strdup("alpha");
    ticket->hostId = 3;
    ticket->generation = 12;
    lease = virLockTicketAddLease(ticket, "guest-x");
    lease->mode = VIR_LOCK_MODE_EXCLUSIVE;
    lease->epoch = 1795259570;
    lease = virLockTicketAddLease(ticket, "disk-y");
    lease->type = VIR_LOCK_RESOURCE_DISK;
    lease->mode = VIR_LOCK_MODE_SHARED;
    lease->path = g_strdup("/vm/a,b.qcow2");
    return ticket;
}

static void
testRoundTrip(void)
{
    g_autoptr(virLockTicket) ticket = makeTicket();
    g_autofree char *text = virLockTicketFormat(ticket);
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockTicket) back = virLockTicketParse(text, &error);
    g_autofree char *again = NULL;

    virAssertNoError(error);
    again = virLockTicketFormat(back);
    g_assert_cmpstr(again, ==, text);
    g_assert_cmpuint(virLockTicketFindLease(back, "guest-x")->epoch, ==, 1795259570);
    g_assert_cmpstr(virLockTicketFindLease(back, "disk-y")->path, ==, "/vm/a,b.qcow2");
}

static void
testCookie(void)
{
    g_autoptr(virLockTicket) ticket = makeTicket();
    g_autoptr(virLockTicket) other = makeTicket();
    g_autofree char *cookie = virLockCookieFormat(ticket);
    g_autofree char *text = virLockTicketFormat(ticket);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) second = NULL;

    g_assert_true(virLockCookieCheck(cookie, ticket, &error));
    /* the word of another migration */
    g_free(other->nonce);
    other->nonce = g_strdup("other");
    g_assert_false(virLockCookieCheck(cookie, other, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE);
    /* a ticket is no word */
    g_assert_false(virLockCookieCheck(text, ticket, &second));
    g_assert_error(second, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

static char *
replaced(const char *from, const char *to)
{
    g_autoptr(virLockTicket) ticket = makeTicket();
    g_autofree char *text = virLockTicketFormat(ticket);
    g_autoptr(GString) string = g_string_new(text);

    g_assert_cmpuint(g_string_replace(string, from, to, 1), ==, 1);
    return g_string_free(g_steal_pointer(&string), FALSE);
}

static void
testUnknownMembers(void)
{
    g_autofree char *text = replaced("\"nonce\"", "\"future\":{\"a\":[1]},\"nonce\"");
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockTicket) ticket = virLockTicketParse(text, &error);

    virAssertNoError(error);
    g_assert_cmpuint(ticket->leases->len, ==, 2);
}

static void
expectBad(const char *text, const char *word)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(virLockTicketParse(text, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    if (!strstr(error->message, word))
        g_error("'%s' does not say '%s'", error->message, word);
}

static void
testBad(void)
{
    static const struct {
        const char *from;
        const char *to;
        const char *word;
    } cases[] = {
        {"\"version\":1", "\"version\":2", "version 2"},
        {"\"version\":1", "\"version\":\"1\"", "no version"},
        {"\"nonce\":\"nonce\"", "\"nonce\":7", "nonce"},
        {"\"leases\":[", "\"leases\":7,\"x\":[", "list of leases"},
        {"\"host-id\":3", "\"host-id\":-3", "source"},
        {"\"source\":{", "\"source\":[],\"x\":{", "source"},
        {"\"guest-x\"", "\"disk-y\"", "twice"},
        {"\"guest-x\"", "\"\"", "name"},
        {"\"mode\":\"shared\"", "\"mode\":\"none\"", "mode"},
        {"\"type\":\"disk\"", "\"type\":\"tape\"", "type"},
        {"\"epoch\":0", "\"epoch\":-1", "epoch"},
        {"\"epoch\":0", "\"epoch\":1.5", "epoch"},
        {"leasehold-ticket", "leasehold-cookie", "leasehold-ticket"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = replaced(cases[i].from, cases[i].to);

        expectBad(text, cases[i].word);
    }
    expectBad("", "not an object");
    expectBad("[]", "not an object");
    expectBad("{", "not JSON");
    expectBad("{}", "not a leasehold-ticket");
}

/* A text that nests without end must not exhaust the stack. */
static void
testDeep(void)
{
    g_autofree char *text = g_strnfill(1000 * 1000, '[');

    expectBad(text, "deeply");
}

static void
testHuge(void)
{
    g_autofree char *text = g_strnfill(5 * 1024 * 1024, ' ');

    expectBad(text, "too large");
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/ticket/round-trip", testRoundTrip);
    g_test_add_func("/ticket/cookie", testCookie);
    g_test_add_func("/ticket/unknown-members", testUnknownMembers);
    g_test_add_func("/ticket/bad", testBad);
    g_test_add_func("/ticket/deep", testDeep);
    g_test_add_func("/ticket/huge", testHuge);
    return g_test_run();
}
