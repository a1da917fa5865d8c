/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c: runs a fuzz target over its corpus without a fuzzer, for "make check".
 *
 * The corpus of fuzz-NAME is fuzz/corpus/NAME. Each file is fed whole, then cut at every
 * length up to 64 and at some beyond, and with single bytes changed, so that a parser that
 * believes what it reads fails here and not only under a fuzzer. To fuzz for real, link the
 * target with -fsanitize=fuzzer instead of this file.
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly this size, so that a sanitizer sees a read behind its end. */
static void
feed(const char *bytes, gsize len)
{
    g_autofree uint8_t *copy = g_memdup2(bytes, len ? len : 1);

    LLVMFuzzerTestOneInput(copy, len);
}

static void
replayFile(gconstpointer data)
{
    g_autofree char *bytes = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    gsize len;

    g_file_get_contents(data, &bytes, &len, &error);
    g_assert_no_error(error);
    feed(bytes, len);
    for (gsize cut = 0; cut < len; cut += cut < 64 ? 1 : 1 + cut / 8)
        feed(bytes, cut);
    for (guint i = 0; len > 0 && i < 500; i++) {
        gsize at = g_rand_int_range(random, 0, MIN(len, G_MAXINT32));
        char old = bytes[at];

        bytes[at] = (char)g_rand_int(random);
        feed(bytes, len);
        bytes[at] = old;
    }
}

int
main(int argc, char **argv)
{
    g_autofree char *program = g_path_get_basename(argv[0]);
    const char *name = g_str_has_prefix(program, "fuzz-") ? program + 5 : program;
    const char *top = g_getenv("top_srcdir");
    g_autofree char *folder =
        g_build_filename(top ? top : ".", "fuzz", "corpus", name, NULL);
    char *tapArgv[] = {argv[0], (char *)"--tap", NULL};
    char **tap = tapArgv;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *entry;
    int n = 2;

    g_test_init(&n, &tap, NULL);
    if (!dir)
        g_error("no corpus in %s", folder);
    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("/replay/%s/%s", name, entry);

        g_test_add_data_func_full(path, g_build_filename(folder, entry, NULL), replayFile,
                                  g_free);
    }
    return g_test_run();
}
