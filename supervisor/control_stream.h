/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_stream.h: the bytes of one connection of the control socket, with a bound on all
 * that a client can make us keep.
 *
 * GDBus reads whatever a client sends, up to 128 MiB a message, and queues answers and signals
 * without end for one that does not read. Here a client is hung up on when it has asked too
 * much without an answer, or when too much waits for it to be read; and descriptors that it
 * passes are dropped by the kernel (this is read, not recvmsg).
 */
#ifndef LEASEHOLD_SUPERVISOR_CONTROL_STREAM_H
#define LEASEHOLD_SUPERVISOR_CONTROL_STREAM_H

#include <gio/gio.h>

/** Bytes of calls that have no answer yet. The longest argument is an element of a domain. */
#define VIR_CONTROL_UNANSWERED_MAX (1024 * 1024)
/** Calls that have no answer yet, and answers and signals that are still to be written (what
 * the kernel has taken is written). */
#define VIR_CONTROL_PENDING_MAX 256

/** Reference counted, any thread; owns the descriptor. */
typedef struct _virControlStream virControlStream;

/** Counts who still has something of one stream; the last may be a job that its client did
 * not wait for. */
typedef gatomicrefcount virControlLifeline;
virControlLifeline *virControlLifelineRef(virControlLifeline *lifeline);
void virControlLifelineUnref(virControlLifeline *lifeline);
/** TRUE when nobody but the caller has it. */
gboolean virControlLifelineIsLast(virControlLifeline *lifeline);

/** @fd (transfer full): non-blocking. */
virControlStream *virControlStreamNew(int fd);
virControlStream *virControlStreamRef(virControlStream *stream);
void virControlStreamUnref(virControlStream *stream);
int virControlStreamGetFd(virControlStream *stream);
/** Held by the stream until its descriptor is closed. */
virControlLifeline *virControlStreamGetLifeline(virControlStream *stream);
/** For an authenticated peer; messages wait until start_message_processing. */
GDBusConnection *virControlStreamConnect(virControlStream *stream,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A signal is about to be queued. */
void virControlStreamCountSignal(virControlStream *stream);
/** Ends the connection whatever it is in the middle of. */
void virControlStreamHangUp(virControlStream *stream);

#endif
