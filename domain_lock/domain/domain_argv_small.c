/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_argv_small.c: graphics, video and the devices that take one line each.
 */
#include "config.h"
#include "domain_argv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VIR_GRAPHICS_FIRST_PORT 5900
#define VIR_GRAPHICS_LAST_PORT 65535

/* --- graphics ----------------------------------------------------------------------------------- */

/* SPICE cannot look for a free port itself, as VNC can. Another process may take it before
 * QEMU does; then QEMU says so and the start fails. */
static guint64
virGraphicsFreePort(const char *host)
{
    for (guint port = VIR_GRAPHICS_FIRST_PORT; port <= VIR_GRAPHICS_LAST_PORT; port++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((guint16)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int one = 1, rc;

        if (fd < 0)
            return 0;
        if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
            address.sin_addr.s_addr = htonl(INADDR_ANY);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (rc == 0)
            return port;
    }
    return 0;
}

static gboolean
virGraphicsIsSocket(const virDomainGraphics *graphics)
{
    return graphics->socket || g_strcmp0(graphics->listenType, "socket") == 0;
}

static char *
virGraphicsSocketPath(const virArgv *argv, const virDomainGraphics *graphics)
{
    g_autofree char *name = g_strdup_printf("%s.sock", graphics->type);

    return graphics->socket ? g_strdup(graphics->socket)
                            : g_build_filename(argv->context->runDir, name, NULL);
}

static void
virArgvVnc(virArgv *argv, const virDomainGraphics *graphics)
{
    const char *host = graphics->listen ? graphics->listen : "127.0.0.1";
    gboolean v6 = strchr(host, ':') != NULL;
    GString *opts = virOptNew(NULL);

    if (g_strcmp0(graphics->listenType, "none") == 0) {
        g_string_append(opts, "none");
    } else if (virGraphicsIsSocket(graphics)) {
        g_autofree char *path = virGraphicsSocketPath(argv, graphics);
        g_auto(GStrv) parts = g_strsplit(path, ",", -1);
        g_autofree char *escaped = g_strjoinv(",,", parts);

        g_string_append_printf(opts, "unix:%s", escaped);
    } else if (graphics->hasPort && graphics->autoport != VIR_XML_YES) {
        g_string_append_printf(opts, v6 ? "[%s]:%d" : "%s:%d", host,
                               (int)graphics->port - VIR_GRAPHICS_FIRST_PORT);
    } else {
        g_string_append_printf(opts, v6 ? "[%s]:0,to=%d" : "%s:0,to=%d", host,
                               VIR_GRAPHICS_LAST_PORT - VIR_GRAPHICS_FIRST_PORT);
    }
    if (graphics->websocket)
        virOptUint(opts, "websocket", graphics->websocket);
    virOpt(opts, "share", graphics->sharePolicy);
    virArgvAddOpts(argv, "-vnc", opts);
}

static gboolean
virArgvSpice(virArgv *argv, const virDomainGraphics *graphics, GError **error)
{
    const char *host = graphics->listen ? graphics->listen : "127.0.0.1";
    g_autofree char *path = virGraphicsSocketPath(argv, graphics);
    GString *opts = virOptNew(NULL);

    /* listen type 'none' has no address at all: a socket that only we know */
    if (virGraphicsIsSocket(graphics) || g_strcmp0(graphics->listenType, "none") == 0) {
        virOpt(opts, "unix", "on");
        virOpt(opts, "addr", path);
    } else {
        guint64 port = graphics->hasPort && graphics->autoport != VIR_XML_YES
                           ? graphics->port
                           : virGraphicsFreePort(host);

        if (!port) {
            g_string_free(opts, TRUE);
            return virDomainError(error, "<graphics type='spice'>: no free port on '%s'",
                                  host);
        }
        g_string_append_printf(opts, "port=%d", (int)port);
        virOpt(opts, "addr", host);
    }
    virOpt(opts, "disable-ticketing", "on");
    virOpt(opts, "image-compression", graphics->imageCompression);
    virOpt(opts, "jpeg-wan-compression", graphics->jpeg);
    virOpt(opts, "zlib-glz-wan-compression", graphics->zlib);
    virOptBool(opts, "playback-compression", graphics->playback);
    virOpt(opts, "streaming-video", graphics->streaming);
    if (graphics->mouse)
        virOpt(opts, "agent-mouse",
               g_str_equal(graphics->mouse, "client") ? "on" : "off");
    if (graphics->copyPaste == VIR_XML_NO)
        virOpt(opts, "disable-copy-paste", "on");
    if (graphics->fileTransfer == VIR_XML_NO)
        virOpt(opts, "disable-agent-file-xfer", "on");
    virOpt(opts, "seamless-migration", "on");
    virArgvAddOpts(argv, "-spice", opts);
    return TRUE;
}

static void
virArgvVideo(virArgv *argv, const virDomainVideo *video, gboolean primary)
{
    static const struct {
        const char *model, *primary, *secondary;
    } names[] = {
        {"vga", "VGA", "secondary-vga"},
        {"cirrus", "cirrus-vga", "cirrus-vga"},
        {"qxl", "qxl-vga", "qxl"},
        {"virtio", "virtio-vga", "virtio-gpu-pci"},
        {"bochs", "bochs-display", "bochs-display"},
        {"ramfb", "ramfb", "ramfb"},
    };
    gboolean qxl = g_str_equal(video->model, "qxl");
    GString *opts = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(names) && !opts; i++)
        if (g_str_equal(names[i].model, video->model))
            opts = virOptNew(primary ? names[i].primary : names[i].secondary);
    if (!opts)
        return; /* model 'none' */
    virOpt(opts, "id", video->dev.id);
    if (qxl) {
        virOptUint(opts, "ram_size", video->ram * 1024);
        virOptUint(opts, "vram_size", video->vram * 1024);
        virOptUint(opts, "vgamem_mb", video->vgamem / 1024);
    } else if (g_str_equal(video->model, "vga") || g_str_equal(video->model, "cirrus")) {
        virOptUint(opts, "vgamem_mb", video->vram / 1024);
    } else if (g_str_equal(video->model, "bochs")) {
        virOptUint(opts, "vgamem", video->vram * 1024);
    }
    if (qxl || g_str_equal(video->model, "virtio"))
        virOptUint(opts, "max_outputs", video->heads);
    virOptUint(opts, "xres", video->x);
    virOptUint(opts, "yres", video->y);
    virOptPci(opts, argv, &video->dev);
    virArgvAddOpts(argv, "-device", opts);
}

gboolean
virArgvGraphics(virArgv *argv, GError **error)
{
    const virDomainDef *def = argv->def;

    for (guint i = 0; i < def->graphics->len; i++) {
        const virDomainGraphics *graphics = g_ptr_array_index(def->graphics, i);

        if (graphics->keymap)
            virArgvAdd(argv, "-k", graphics->keymap);
        if (g_str_equal(graphics->type, "vnc"))
            virArgvVnc(argv, graphics);
        else if (!virArgvSpice(argv, graphics, error))
            return FALSE;
    }
    if (!def->graphics->len)
        virArgvAdd(argv, "-display", "none");
    for (guint i = 0; i < def->videos->len; i++)
        virArgvVideo(argv, g_ptr_array_index(def->videos, i), i == 0);
    return TRUE;
}

/* --- input, sound ------------------------------------------------------------------------------------ */

static void
virArgvInput(virArgv *argv, const virDomainInput *input)
{
    gboolean usb = g_str_equal(input->bus, "usb");
    const char *type = usb && g_str_equal(input->type, "keyboard") ? "kbd" : input->type;
    g_autofree char *name = g_strdup_printf(usb ? "usb-%s" : "virtio-%s-pci", type);
    g_autofree char *bus = virUsbBus(argv, &input->dev);
    GString *opts;

    if (g_str_equal(input->bus, "ps2"))
        return; /* every PC has them */
    opts = virOptNew(name);
    virOpt(opts, "id", input->dev.id);
    if (usb) {
        virOpt(opts, "bus", bus);
        virOpt(opts, "port", input->dev.address.usbPort);
    } else {
        virOptPci(opts, argv, &input->dev);
    }
    virArgvAddOpts(argv, "-device", opts);
}

static void
virArgvSound(virArgv *argv, const virDomainSound *sound)
{
    static const struct {
        const char *model, *qemu;
    } names[] = {{"ich6", "intel-hda"},
                 {"ich9", "ich9-intel-hda"},
                 {"ac97", "AC97"},
                 {"es1370", "ES1370"},
                 {"usb", "usb-audio"}};
    gboolean hda = g_str_has_prefix(sound->model, "ich");
    gboolean usb = g_str_equal(sound->model, "usb");
    g_autofree char *bus = virUsbBus(argv, &sound->dev);
    gsize i = 0;
    GString *opts;

    while (!g_str_equal(names[i].model, sound->model))
        i++;
    opts = virOptNew(names[i].qemu);
    virOpt(opts, "id", sound->dev.id);
    virOpt(opts, "audiodev", hda ? NULL : "audio1");
    virOpt(opts, "bus", usb ? bus : NULL);
    virOptPci(opts, argv, &sound->dev);
    virArgvAddOpts(argv, "-device", opts);
    for (guint c = 0; hda && c < MAX(sound->codecs->len, 1); c++) {
        const char *type =
            c < sound->codecs->len ? g_ptr_array_index(sound->codecs, c) : "duplex";

        opts = virOptNew("hda-");
        g_string_append_printf(opts, "%s,id=%s-codec%u,bus=%s.0,cad=%u,audiodev=audio1",
                               type, sound->dev.id, c, sound->dev.id, c);
        virArgvAddOpts(argv, "-device", opts);
    }
}

static void
virArgvSounds(virArgv *argv)
{
    const virDomainDef *def = argv->def;

    if (def->sounds->len) {
        GString *opts = virOptNew("id=audio1");

        virOpt(opts, "driver", def->audioDriver ? def->audioDriver : "none");
        virArgvAddOpts(argv, "-audiodev", opts);
    }
    for (guint i = 0; i < def->sounds->len; i++)
        virArgvSound(argv, g_ptr_array_index(def->sounds, i));
}

/* --- one line each -------------------------------------------------------------------------------------- */

static void
virArgvRng(virArgv *argv, const virDomainRng *rng)
{
    gboolean builtin = g_str_equal(rng->backend, "builtin");
    GString *object = virOptNew(builtin ? "rng-builtin" : "rng-random");
    g_autofree char *id = g_strdup_printf("obj%s", rng->dev.id);
    g_autofree char *name = virVirtioName("virtio-rng", rng->model);
    GString *opts = virOptNew(name);

    virOpt(object, "id", id);
    if (!builtin)
        virOpt(object, "filename", rng->source ? rng->source : "/dev/urandom");
    virArgvAddOpts(argv, "-object", object);
    virOpt(opts, "rng", id);
    virOpt(opts, "id", rng->dev.id);
    virOptUint(opts, "max-bytes", rng->bytes);
    if (rng->bytes)
        virOptUint(opts, "period", rng->period ? rng->period : 1000);
    virOptPci(opts, argv, &rng->dev);
    virArgvAddOpts(argv, "-device", opts);
}

static void
virArgvBalloon(virArgv *argv)
{
    const virDomainBalloon *balloon = argv->def->balloon;
    g_autofree char *name = virVirtioName("virtio-balloon", balloon->model);
    GString *opts;

    if (g_str_equal(balloon->model, "none"))
        return;
    opts = virOptNew(name);
    virOpt(opts, "id", balloon->dev.id);
    virOptBool(opts, "deflate-on-oom", balloon->autodeflate);
    virOptBool(opts, "free-page-reporting", balloon->freePageReporting);
    virOptPci(opts, argv, &balloon->dev);
    virArgvAddOpts(argv, "-device", opts);
}

static void
virArgvWatchdogs(virArgv *argv)
{
    const virDomainDef *def = argv->def;

    for (guint i = 0; i < def->watchdogs->len; i++) {
        const virDomainWatchdog *watchdog = g_ptr_array_index(def->watchdogs, i);
        GString *opts = virOptNew(watchdog->model);

        virOpt(opts, "id", watchdog->dev.id);
        if (g_str_equal(watchdog->model, "i6300esb"))
            virOptPci(opts, argv, &watchdog->dev);
        virArgvAddOpts(argv, "-device", opts);
        if (i == 0) /* QEMU has one action for all */
            virArgvAdd(argv, "-watchdog-action",
                       watchdog->action ? watchdog->action : "reset");
    }
}

static void
virArgvTpm(virArgv *argv)
{
    const virDomainTpm *tpm = argv->def->tpm;
    GString *opts;

    if (!tpm)
        return;
    if (g_str_equal(tpm->backend, "passthrough")) {
        opts = virOptNew("passthrough,id=tpm-tpm0");
        virOpt(opts, "path", tpm->devicePath ? tpm->devicePath : "/dev/tpm0");
    } else {
        g_autofree char *own = virDomainTpmSocket(argv->context->runDir);
        gboolean external = g_str_equal(tpm->backend, "external");

        opts = virOptNew("socket,id=chrtpm");
        virOpt(opts, "path", external ? tpm->sourcePath : own);
        virArgvAddOpts(argv, "-chardev", opts);
        opts = virOptNew("emulator,id=tpm-tpm0,chardev=chrtpm");
    }
    virArgvAddOpts(argv, "-tpmdev", opts);
    opts = virOptNew(tpm->model ? tpm->model : "tpm-tis");
    g_string_append(opts, ",tpmdev=tpm-tpm0,id=tpm0");
    virArgvAddOpts(argv, "-device", opts);
}

void
virArgvSmallDevices(virArgv *argv)
{
    const virDomainDef *def = argv->def;

    for (guint i = 0; i < def->hubs->len; i++) {
        const virDomainInput *hub = g_ptr_array_index(def->hubs, i);
        g_autofree char *bus = virUsbBus(argv, &hub->dev);
        GString *opts = virOptNew("usb-hub");

        virOpt(opts, "bus", bus);
        virOpt(opts, "port", hub->dev.address.usbPort);
        virOpt(opts, "id", hub->dev.id);
        virArgvAddOpts(argv, "-device", opts);
    }
    for (guint i = 0; i < def->inputs->len; i++)
        virArgvInput(argv, g_ptr_array_index(def->inputs, i));
    virArgvSounds(argv);
    for (guint i = 0; i < def->rngs->len; i++)
        virArgvRng(argv, g_ptr_array_index(def->rngs, i));
    virArgvBalloon(argv);
    virArgvWatchdogs(argv);
    for (guint i = 0; i < def->panics->len; i++) {
        const virDomainPanic *panic = g_ptr_array_index(def->panics, i);

        if (g_strcmp0(panic->model, "hyperv") != 0)
            virArgvAdd(argv, "-device", "pvpanic");
    }
    virArgvTpm(argv);
}
