/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * with_swtpm.c: leasehold-with-swtpm, which the parked child executes in place of QEMU when
 * the guest has an emulated TPM:
 *
 *   leasehold-with-swtpm SOCKET STATE-FOLDER 1|2 -- QEMU ARGS...
 *
 * It starts swtpm and then becomes QEMU, with the same pid. swtpm has to come from here and
 * not from the supervisor: the folder of the TPM's state is guarded by a lease, leases live
 * with the connection that the parked child inherited, and so swtpm has to inherit it too.
 * The socket is listening before either of them runs, so neither has to wait for the other.
 */
#include "common/fd.h"
#include "common/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static gboolean
virTpmSpawn(const char *state, const char *version, int listenFd, GError **error)
{
    g_autofree char *program = g_find_program_in_path("swtpm");
    g_autofree char *control = g_strdup_printf("type=unixio,fd=%d", listenFd);
    g_autofree char *storage = g_strdup_printf("dir=%s,mode=0600", state);
    const char *argv[] = {program,  "socket", "--terminate", "--tpmstate", storage,
                          "--ctrl", control,  NULL,          NULL};
    virSpawnOptions options = {
        .what = "swtpm",
        .stdioFds = {VIR_SPAWN_STDIO_NULL, VIR_SPAWN_STDIO_INHERIT,
                     VIR_SPAWN_STDIO_INHERIT},
        .keepFds = &listenFd,
        .nKeepFds = 1,
        .argv = argv,
    };
    pid_t pid = 0;

    if (!program) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the guest has an emulated TPM, but swtpm is not installed");
        return FALSE;
    }
    if (strchr(state, ',')) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "swtpm cannot use a folder with a comma in its name: %s", state);
        return FALSE;
    }
    if (g_str_equal(version, "2"))
        argv[7] = "--tpm2";
    /* nobody waits for swtpm: it ends with QEMU's connection, and what does not is ended by
     * the supervisor as a leftover */
    return virSpawn(&options, &pid, NULL, error);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int fd = -1;

    if (argc < 6 || !g_str_equal(argv[4], "--")) {
        g_printerr(
            "usage: leasehold-with-swtpm SOCKET STATE-FOLDER 1|2 -- QEMU ARGS...\n");
        return 2;
    }
    fd = virUnixListen(argv[1], SOCK_STREAM, &error);
    if (fd < 0 || !virTpmSpawn(argv[2], argv[3], fd, &error)) {
        g_printerr("leasehold-with-swtpm: %s\n", error->message);
        return EXIT_FAILURE;
    }
    virFdClose(fd);
    execv(argv[5], argv + 5);
    g_printerr("leasehold-with-swtpm: cannot execute %s: %s\n", argv[5],
               g_strerror(errno));
    return EXIT_FAILURE;
}
