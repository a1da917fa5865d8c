/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock_tray.S: a boot sector that locks the tray of the CD drive which is the secondary IDE
 * master ("hdc" of the pc machine), says L on I/O port 0xe9, and then does nothing.
 *
 * ATAPI: the PACKET command, then the 12 bytes of PREVENT ALLOW MEDIUM REMOVAL. It is sent
 * twice, because the first one after a reset may only be told of the reset.
 */
        .set    DATA, 0x170
        .set    DRIVE, 0x176
        .set    COMMAND, 0x177          /* and status */
        .set    PACKET, 0xa0
        .set    BUSY, 0x80
        .set    WANTS_DATA, 0x08

        .code16
        .text
        .globl  _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        cld
        movw    $2, %bx
again:  movw    $DRIVE, %dx
        movb    $0xa0, %al              /* the master */
        outb    %al, %dx
        call    ready
        movb    $PACKET, %al
        outb    %al, %dx
wait:   call    ready
        testb   $WANTS_DATA, %al
        jz      wait
        movw    $lock, %si
        movw    $6, %cx
        movw    $DATA, %dx
        rep     outsw
        call    ready
        decw    %bx
        jnz     again
        movb    $'L', %al
        outb    %al, $0xe9
stop:   hlt
        jmp     stop

/* The status, in %al, once the drive is not busy; leaves %dx at the command port. */
ready:  movw    $COMMAND, %dx
1:      inb     %dx, %al
        testb   $BUSY, %al
        jnz     1b
        ret

lock:   .byte   0x1e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0

        .org    510
        .word   0xaa55
