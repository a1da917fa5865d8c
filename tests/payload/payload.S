/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload.S: a guest without an operating system that stamps its disk as fast as it can and
 * notices when somebody else writes there. The format is in payload.h.
 *
 * Real mode throughout, one segment; disk by the firmware's INT 13h, so that one program
 * works on virtio-blk, virtio-scsi, IDE and SATA, on pc and q35, in 16 MiB (SeaBIOS).
 * The ACPI power button ends it (soft-off); on the pc machine it ejects a PCI device when the
 * host asks to unplug it. Each B(oot), C(onflict), E(ject), P(ower) is a letter on I/O port
 * 0xe9 (-device isa-debugcon).
 *
 * The registers are those that SeaBIOS sets up for QEMU: power management at 0x600 on both
 * machines, PCI hotplug of i440fx at 0xae00, fw_cfg at 0x510.
 */
#include "payload.h"

        .set    STACK, 0x7c00
        .set    REST, 0x7e00            /* where the code after the boot sector goes */
        .set    MINE, 0x9000            /* the record that we wrote last, or write now */
        .set    HEAD, 0x9200            /* what is on the disk */
        .set    SCRATCH, 0x9400

        .set    DEBUGCON, 0xe9
        .set    FW_CFG, 0x510
        .set    FW_CFG_UUID, 2
        .set    FW_CFG_DIRECTORY, 0x19
        .set    PM_STATUS, 0x600
        .set    PM_ENABLE, 0x602
        .set    PM_CONTROL, 0x604
        .set    PM_TIMER, 0x608
        .set    POWER_BUTTON, 0x100
        .set    SLEEP_ENABLE, 0x2000    /* with type 0: soft-off */
        .set    PCIHP_DOWN, 0xae04
        .set    PCIHP_EJECT, 0xae08
        .set    PCIHP_SELECT, 0xae10
        .set    PCI_ADDRESS, 0xcf8
        .set    PCI_DATA, 0xcfc
        .set    I440FX, 0x12378086
        .set    PIT_HZ, 1193182

        .macro  say letter
        movb    $\letter, %al
        outb    %al, $DEBUGCON
        .endm

        .code16
        .text
        .globl  _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $STACK, %sp
        sti
        cld
        movb    %dl, drive
        movl    $1, %ebx
        movw    $REST, %di
        movw    $(PAYLOAD_CODE_SECTORS - 1), %cx
        call    read
        jmp     main

/* read, write: %cx sectors at LBA %ebx to or from %di. An error is tried again for ever: a
 * test that takes the disk away wants the guest to wait for it. */
read:   movb    $0x42, %ah
        jmp     transfer
write:  movb    $0x43, %ah
transfer:
        movw    %cx, packet_count
        movw    %di, packet_buffer
        movl    %ebx, packet_lba
        movb    %ah, function
1:      movb    function, %ah
        xorb    %al, %al
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        jc      1b
        ret

packet: .byte   16, 0
packet_count:   .word 0
packet_buffer:  .word 0, 0
packet_lba:     .quad 0
function:       .byte 0
drive:          .byte 0

        .org    PAYLOAD_PAUSE_OFFSET
pause:  .word   0
flags:  .word   0
        .org    510
        .word   0xaa55

/* ---- the rest of the code ---------------------------------------------------------- */

main:   say     'B'
        movw    $MINE, %di
        movw    $(PAYLOAD_SECTOR / 2), %cx
        xorw    %ax, %ax
        rep stosw
        movl    $PAYLOAD_MAGIC_LOW, MINE + PAYLOAD_MAGIC
        movl    $PAYLOAD_MAGIC_HIGH, MINE + PAYLOAD_MAGIC + 4
        call    find_label
        call    find_hotplug
        call    draw_nonce
        call    start_clock
        movw    $PM_ENABLE, %dx
        movw    $POWER_BUTTON, %ax
        outw    %ax, %dx

        call    read_head
        movl    HEAD + PAYLOAD_BOOTS, %eax
        incl    %eax
        movl    %eax, MINE + PAYLOAD_BOOTS
        jmp     stamp                   /* the first record follows whatever is there */

round:  call    read_head
        movw    $MINE, %si
        movw    $HEAD, %di
        movw    $(PAYLOAD_SECTOR / 2), %cx
        repe cmpsw
        je      stamp
        call    conflict
stamp:  call    fill
        movl    MINE + PAYLOAD_SEQ, %ebx
        andl    $(PAYLOAD_RING_SECTORS - 1), %ebx
        addl    $PAYLOAD_RING_LBA, %ebx
        call    write_mine
        movl    $PAYLOAD_HEAD_LBA, %ebx
        call    write_mine
        call    power_button
        call    eject
        call    nap
        jmp     round

read_head:
        movl    $PAYLOAD_HEAD_LBA, %ebx
        movw    $HEAD, %di
        movw    $1, %cx
        jmp     read

write_mine:
        movw    $MINE, %di
        movw    $1, %cx
        jmp     write

/* conflict: keep the first one as evidence, count all. The counter goes into the records
 * that follow only, so that the evidence shows our record as it was written. */
conflict:
        say     'C'
        cmpl    $0, MINE + PAYLOAD_CONFLICTS
        jne     1f
        movl    $PAYLOAD_CONFLICT_LBA, %ebx
        call    write_mine
        movl    $(PAYLOAD_CONFLICT_LBA + 1), %ebx
        movw    $HEAD, %di
        movw    $1, %cx
        call    write
1:      incl    MINE + PAYLOAD_CONFLICTS
        ret

/* fill: make MINE the successor of HEAD. */
fill:   movl    HEAD + PAYLOAD_SEQ, %eax
        movl    %eax, MINE + PAYLOAD_PREV_SEQ
        incl    %eax
        movl    %eax, MINE + PAYLOAD_SEQ
        movl    %eax, MINE + PAYLOAD_SEQ_AGAIN
        movl    HEAD + PAYLOAD_SUM, %eax
        movl    %eax, MINE + PAYLOAD_PREV_SUM

        movw    $FW_CFG_UUID, %ax
        movw    $(MINE + PAYLOAD_UUID), %di
        movw    $16, %cx
        call    fw_cfg
        movw    label_key, %ax
        movw    $(MINE + PAYLOAD_LABEL), %di
        movw    label_size, %cx
        call    fw_cfg

        movw    $PM_TIMER, %dx
        inl     %dx, %eax
        movl    %eax, MINE + PAYLOAD_PMTIMER
        movw    $(MINE + PAYLOAD_RTC), %di
        call    read_rtc

        xorl    %eax, %eax              /* payloadSum() in record.c is the same */
        movw    $MINE, %si
        movw    $(PAYLOAD_SUM / 4), %cx
1:      roll    $1, %eax
        addl    (%si), %eax
        addw    $4, %si
        loop    1b
        movl    %eax, MINE + PAYLOAD_SUM
        ret

read_rtc:
        movb    $0, %al
        call    1f
        movb    $2, %al
        call    1f
        movb    $4, %al
1:      outb    %al, $0x70
        inb     $0x71, %al
        stosb
        ret

/* draw_nonce: the time stamp counter starts at 0 with QEMU, but how long the firmware ran
 * differs by many microseconds each time; the clock tells boots of different seconds apart. */
draw_nonce:
        rdtsc
        movl    %eax, MINE + PAYLOAD_NONCE
        movw    $(MINE + PAYLOAD_NONCE + 4), %di
        jmp     read_rtc

/* fw_cfg: %cx bytes of item %ax to %di. */
fw_cfg: movw    $FW_CFG, %dx
        outw    %ax, %dx
more:   movw    $(FW_CFG + 1), %dx
        rep insb
        ret

/* find_label: item and size of the file PAYLOAD_LABEL_FILE; without one, 0 bytes are read.
 * The directory is a count, then entries of 64 bytes, all big-endian: size, item, name. */
find_label:
        movw    $FW_CFG_DIRECTORY, %ax
        movw    $SCRATCH, %di
        movw    $4, %cx
        call    fw_cfg
        movl    SCRATCH, %ebp
        bswap   %ebp
1:      testl   %ebp, %ebp
        jz      2f
        decl    %ebp
        movw    $SCRATCH, %di
        movw    $64, %cx
        call    more
        movw    $label_file, %si
        movw    $(SCRATCH + 8), %di
        movw    $(label_file_end - label_file), %cx
        repe cmpsb
        jne     1b
        movw    SCRATCH + 4, %ax
        xchgb   %al, %ah
        movw    %ax, label_key
        movl    SCRATCH, %eax
        bswap   %eax
        cmpl    $16, %eax
        jbe     3f
        movw    $16, %ax
3:      movw    %ax, label_size
2:      ret

label_file:     .asciz PAYLOAD_LABEL_FILE
label_file_end:
label_key:      .word 0
label_size:     .word 0

power_button:
        testw   $PAYLOAD_FLAG_DEAF, flags
        jnz     1f
        movw    $PM_STATUS, %dx
        inw     %dx, %ax
        testw   $POWER_BUTTON, %ax
        jz      1f
        say     'P'
        movw    $PM_CONTROL, %dx
        movw    $SLEEP_ENABLE, %ax
        outw    %ax, %dx
1:      ret

/* The hotplug registers are there on i440fx only; elsewhere these ports are something else. */
find_hotplug:
        movw    $PCI_ADDRESS, %dx
        movl    $0x80000000, %eax
        outl    %eax, %dx
        movw    $PCI_DATA, %dx
        inl     %dx, %eax
        cmpl    $I440FX, %eax
        sete    has_hotplug
        ret

eject:  cmpb    $0, has_hotplug
        je      1f
        movw    $PCIHP_SELECT, %dx
        xorl    %eax, %eax
        outl    %eax, %dx
        movw    $PCIHP_DOWN, %dx
        inl     %dx, %eax
        testl   %eax, %eax
        jz      1f
        movw    $PCIHP_EJECT, %dx
        outl    %eax, %dx
        say     'E'
1:      ret

has_hotplug:    .byte 0

/* The timer interrupt a thousand times a second, for nap(); the BIOS's clock then runs fast,
 * which nobody reads. */
start_clock:
        cmpw    $0, pause
        je      1f
        movb    $0x34, %al              /* channel 0, rate generator */
        outb    %al, $0x43
        movb    $(PIT_HZ / 1000 & 0xff), %al
        outb    %al, $0x40
        movb    $(PIT_HZ / 1000 >> 8), %al
        outb    %al, $0x40
1:      ret

nap:    movw    pause, %cx
        jcxz    1f
        sti
2:      hlt
        loop    2b
1:      ret

        .org    PAYLOAD_CODE_SECTORS * PAYLOAD_SECTOR
