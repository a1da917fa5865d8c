/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-xml-node.c: a description in memory: what libxml2 read is all there, it is written as it
 * was read, and it comes through packing unchanged; what was packed by nobody is refused.
 */
#include "config.h"
#include "common/xml_packed.h"
#include "domain_lock/domain/domain_def.h"
#include "domain_lock/domain/domain_xml.h"
#include "tests/lib/vir_test.h"

#include <leasehold/lock_types.h>
#include <string.h>

static const char sample[] =
    "<?xml version='1.0'?>\n"
    "<!-- before -->\n"
    "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>a &lt;b&gt; &amp; <![CDATA[<c>]]>&#10;d</name>\n"
    "  <!-- within -->\n"
    "  <metadata xmlns='urn:x' xmlns:y='urn:y'><y:z y:k='1'/></metadata>\n"
    "  <empty/><text at='1&quot;2&#9;3&amp;4&lt;'>mixed<b/>tail</text>\n"
    "  <qemu:commandline><qemu:arg value='\303\244'/></qemu:commandline>\n"
    "</domain>\n"
    "<!-- after -->\n";

static virXmlNode *
parsed(const char *text)
{
    g_autoptr(GError) error = NULL;
    virXmlNode *root = virXmlParse(text, -1, &error);

    g_assert_no_error(error);
    return root;
}

static void
testRead(void)
{
    g_autoptr(virXmlNode) root = parsed(sample);
    const virXmlNode *name = virXmlNodeFirstElement(root);
    const virXmlNode *meta = virXmlNodeNextElement(name);
    const virXmlNode *empty = virXmlNodeNextElement(meta);
    const virXmlNode *text = virXmlNodeNextElement(empty);
    const virXmlNode *command = virXmlNodeNextElement(text);

    g_assert_cmpstr(root->name, ==, "domain");
    g_assert_cmpuint(root->line, ==, 3);
    g_assert_null(root->ns);
    g_assert_cmpstr(virXmlNodeGet(root, "type"), ==, "qemu");
    g_assert_null(virXmlNodeGet(root, "qemu"));
    g_assert_cmpuint(name->line, ==, 4);
    g_assert_cmpstr(name->children->content, ==, "a <b> & <c>\nd");
    g_assert_null(name->children->next);
    g_assert_cmpstr(meta->ns, ==, "urn:x");
    g_assert_cmpstr(meta->children->ns, ==, "urn:y");
    g_assert_cmpstr(meta->children->attributes->prefix, ==, "y");
    g_assert_null(virXmlNodeGet(meta->children, "k"));
    g_assert_null(empty->children);
    g_assert_cmpstr(virXmlNodeGet(text, "at"), ==, "1\"2\t3&4<");
    g_assert_cmpstr(command->name, ==, "commandline");
    g_assert_cmpstr(command->prefix, ==, "qemu");
    g_assert_cmpstr(command->ns, ==, "http://libvirt.org/schemas/domain/qemu/1.0");
    g_assert_null(virXmlNodeNextElement(command));
}

/* What was written is read as the same, and is then written the same. */
static void
testFormat(void)
{
    g_autoptr(virXmlNode) root = parsed(sample);
    g_autofree char *once = virXmlNodeFormat(root);
    g_autoptr(virXmlNode) again = parsed(once);
    g_autofree char *twice = virXmlNodeFormat(again);
    g_autoptr(virXmlNode) plain = parsed("<a><b c='1'><d/></b><e>f</e></a>");
    g_autofree char *indented = virXmlNodeFormat(plain);

    g_assert_cmpstr(once, ==, twice);
    g_assert_nonnull(strstr(once, "<!-- within -->"));
    g_assert_nonnull(strstr(once, "<name>a &lt;b&gt; &amp; &lt;c&gt;\nd</name>"));
    g_assert_nonnull(strstr(once, "at=\"1&quot;2&#9;3&amp;4&lt;\">mixed<b/>tail</text>"));
    g_assert_nonnull(strstr(once, "<metadata xmlns=\"urn:x\" xmlns:y=\"urn:y\">"));
    g_assert_nonnull(strstr(once, "<y:z y:k=\"1\"/>"));
    g_assert_cmpstr(indented, ==,
                    "<a>\n  <b c=\"1\">\n    <d/>\n  </b>\n  <e>f</e>\n</a>");
}

static void
testEdit(void)
{
    g_autoptr(virXmlNode) root = parsed("<a><b/><c k='1'>x<d/></c></a>");
    virXmlNode *b = virXmlNodeFirstElement(root);
    virXmlNode *c = virXmlNodeNextElement(b);
    g_autofree char *text = NULL;

    virXmlNodeInsertAfter(c, virXmlNodeCopy(c));
    virXmlNodeInsertAfter(b, virXmlNodeNew(VIR_XML_ELEMENT, "n"));
    virXmlNodeSetText(c, "y");
    virXmlNodeSet(c, "k", "2");
    virXmlNodeSet(c, "l", "3");
    virXmlNodeFree(b);
    virXmlNodeAdd(root, "end");
    text = virXmlNodeFormat(root);
    g_assert_cmpstr(text, ==,
                    "<a>\n  <n/>\n  <c k=\"2\" l=\"3\">y</c>\n"
                    "  <c k=\"1\">x<d/></c>\n  <end/>\n</a>");
    g_assert_cmpstr(root->last->name, ==, "end");
}

static void
testPack(void)
{
    g_autoptr(virXmlNode) root = parsed(sample);
    g_autofree char *text = virXmlNodeFormat(root);
    g_autofree char *packed = virXmlNodePack(root);
    g_autoptr(virXmlNode) again = parsed(packed);
    g_autofree char *same = virXmlNodeFormat(again);
    g_autofree char *repacked = virXmlNodePack(again);

    g_assert_cmpstr(text, ==, same);
    g_assert_cmpstr(packed, ==, repacked);
    g_assert_cmpuint(virXmlNodeFirstElement(again)->line, ==, 4);
    g_assert_false(virXmlNodeIsPacked(text, strlen(text)));
}

/* What packing cannot promise to give back goes as text. */
static void
testNotPlain(void)
{
    static const char *const texts[] = {
        "<a><\303\244/></a>",
        "<a xml:lang='de'/>",
        "<a xmlns:p='urn:p' xmlns:q='urn:q' p:k='1' q:k='2'/>",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(virXmlNode) root = parsed(texts[i]);
        g_autofree char *text = virXmlNodeFormat(root);

        g_assert_null(virXmlNodePack(root));
        g_assert_cmpstr(virDomainLockPackXML(texts[i]), ==, NULL);
        g_assert_nonnull(strstr(text, "<a"));
    }
}

/* Every prefix, and every prefix with something else behind it. */
static void
testDamaged(void)
{
    g_autoptr(virXmlNode) root = parsed(sample);
    g_autofree char *packed = virXmlNodePack(root);
    gsize size = strlen(packed);

    for (gsize i = 0; i < size; i++) {
        g_autofree char *cut = g_strndup(packed, i);
        g_autofree char *odd = g_strdup_printf("%s\377%s", cut, packed + i + 1);
        g_autoptr(virXmlNode) damaged = virXmlNodeUnpack(odd, size);

        g_assert_null(virXmlNodeUnpack(cut, i));
        g_assert_null(damaged);
    }
}

static void
assertNotUnpacked(const char *rest)
{
    g_autofree char *text = g_strconcat("leasehold-xml-1;", rest, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(virXmlParse(text, -1, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

static void
testHostile(void)
{
    static const char *const texts[] = {
        "",
        "0;1;-;-;1;a-;0;0;0;x",                         /* something behind it */
        "1;1;-;-;4;text1;x0;0;0;",                      /* the root is a text */
        "3;1;-;-;1;a-;0;0;0;",                          /* no such kind */
        "0;1;-;-;-;-;0;0;0;",                           /* no name */
        "0;1;-;-;0;-;0;0;0;",                           /* an empty one */
        "0;1;-;-;1;a1;\001" "0;0;0;",                    /* what XML cannot have */
        "0;1;-;-;1;a3;\357\277\276" "0;0;0;",            /* U+FFFE */
        "0;1;-;-;3;a>b-;0;0;0;",                        /* one that ends its tag */
        "0;1;-;-;1;a-;1;-;3;k=\"1;v0;0;",               /* so does an attribute's */
        "0;1;-;-;99999999999999999999;a-;0;0;0;",       /* longer than there is text */
        "0;1;-;-;1;a-;0;0;4000000000;",                 /* more children */
        "0;1;-;-;1;a-;60000;0;0;",                      /* more attributes */
        "0;1;-;-;1;a-;0;0;1;1;1;-;-;4;text-;0;0;0;",    /* a text without one */
        "0;1;-;-;1;a-;0;0;1;1;1;-;-;4;text1;x0;0;1;0;", /* a text with a child */
        /* what would be no XML, or other XML, when it is written */
        "0;1;-;-;2;1a-;0;0;0;",                                  /* names */
        "0;1;-;-;2;\303\244-;0;0;0;",
        "0;1;-;-;3;a:b-;0;0;0;",
        "0;1;-;-;1;a1;x0;0;0;",                                  /* content of an element */
        "0;1;-;-;1;a-;0;0;1;2;1;-;-;7;comment4;a--b0;0;0;",      /* comments */
        "0;1;-;-;1;a-;0;0;1;2;1;-;-;7;comment2;a-0;0;0;",
        "0;1;1;p-;1;a-;0;0;0;",                                  /* undeclared prefixes */
        "0;1;-;-;1;a-;1;1;p1;k1;v0;0;",
        "0;1;-;-;1;a-;1;3;xml4;lang1;v0;0;",
        "0;1;-;1;u1;a-;0;0;0;",                                  /* another namespace */
        "0;1;1;p1;u1;a-;0;1;1;p-;1;v0;",
        "0;1;1;p-;1;a-;0;1;1;p-;0;0;",
        "0;1;-;-;1;a-;2;-;1;k1;v-;1;k1;w0;0;",                   /* twice the same */
        "0;1;-;-;1;a-;0;2;1;p-;1;u1;p-;1;v0;",
        "0;1;-;-;1;a-;2;1;p1;k1;v1;q1;k1;w2;1;p-;1;u1;q-;1;u0;",
        "0;1;-;-;1;a-;1;-;5;xmlns1;v0;0;",                       /* a declaration in disguise */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        assertNotUnpacked(texts[i]);
}

/* @n elements, each in the one before, or all beside each other in one. */
static char *
manyPacked(guint n, gboolean nested)
{
    GString *text = g_string_new("leasehold-xml-1;");

    if (!nested)
        g_string_append_printf(text, "0;1;-;-;1;a-;0;0;%u;", n);
    for (guint i = 1; i < n; i++)
        g_string_append(text, nested ? "0;1;-;-;1;a-;0;0;1;" : "0;1;-;-;1;a-;0;0;0;");
    return g_string_free(g_string_append(text, "0;1;-;-;1;a-;0;0;0;"), FALSE);
}

static void
testBounds(void)
{
    g_autofree char *deep = manyPacked(VIR_XML_MAX_DEPTH, TRUE);
    g_autofree char *deeper = manyPacked(VIR_XML_MAX_DEPTH + 1, TRUE);
    g_autofree char *wide = manyPacked(VIR_XML_MAX_NODES - 1, FALSE);
    g_autofree char *wider = manyPacked(VIR_XML_MAX_NODES, FALSE);
    g_autoptr(virXmlNode) one = virXmlNodeUnpack(deep, strlen(deep));
    g_autoptr(virXmlNode) two = virXmlNodeUnpack(wide, strlen(wide));

    g_assert_nonnull(one);
    g_assert_nonnull(two);
    g_assert_null(virXmlNodeUnpack(deeper, strlen(deeper)));
    g_assert_null(virXmlNodeUnpack(wider, strlen(wider)));
}

/* What is short when it is packed may be too long as text. */
static void
testGrows(void)
{
    GString *packed = g_string_new("leasehold-xml-1;");

    for (guint i = 2; i < VIR_XML_MAX_DEPTH; i++)
        g_string_append(packed, "0;1;-;-;1;a-;0;0;1;");
    g_string_append(packed, "0;1;-;-;1;a-;0;0;40000;");
    for (guint i = 0; i < 40000; i++)
        g_string_append(packed, "0;1;-;-;1;a-;0;0;0;");
    g_assert_cmpuint(packed->len, <, VIR_XML_MAX_SIZE / 2);
    g_assert_null(virXmlNodeUnpack(packed->str, packed->len));
    g_string_free(packed, TRUE);
}

/* An installation whose parser is missing says so. */
static void
testNoModule(void)
{
    g_autoptr(GError) error = NULL;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_passed();
        return;
    }
    g_setenv("LEASEHOLD_HELPER_DIR", "/nonexistent", TRUE);
    g_assert_null(virXmlParse("<a/>", -1, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "XML parser of this installation"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain/xml/no-module", testNoModule);
    g_test_add_func("/domain/xml/read", testRead);
    g_test_add_func("/domain/xml/format", testFormat);
    g_test_add_func("/domain/xml/edit", testEdit);
    g_test_add_func("/domain/xml/pack", testPack);
    g_test_add_func("/domain/xml/not-plain", testNotPlain);
    g_test_add_func("/domain/xml/damaged", testDamaged);
    g_test_add_func("/domain/xml/hostile", testHostile);
    g_test_add_func("/domain/xml/bounds", testBounds);
    g_test_add_func("/domain/xml/grows", testGrows);
    return g_test_run();
}
