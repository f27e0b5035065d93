// Board support for QEMU's RISC-V machine "virt": see README.md.

#include <string.h>

#include "py/builtin.h"
#include "extmod/vfs.h"
#include "py/gc.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/runtime/pyexec.h"
#include "uart.h"
#include "virt.h"

#define MTIMECMP ((volatile uint32_t *)0x02004000)
#define MTIME ((volatile uint32_t *)0x0200bff8)
#define SIFIVE_TEST (*(volatile uint32_t *)0x00100000)
#define SIFIVE_TEST_RESET (0x7777)

#define UART_REG(n) (*(volatile uint8_t *)(0x10000000 + (n)))
#define UART_IER (1)
#define UART_DLL (0)
#define UART_FCR (2)
#define UART_LCR (3)
#define UART_LSR (5)
#define UART_LSR_DR (0x01)
#define UART_IRQ (10)

#define PLIC_PRIORITY(n) (*(volatile uint32_t *)(0x0c000000 + 4 * (n)))
#define PLIC_ENABLE (*(volatile uint32_t *)0x0c002000)
#define PLIC_CLAIM (*(volatile uint32_t *)0x0c200004)

#define MSTATUS_MIE (1 << 3)
#define MIE_MTIE (1 << 7)
#define MIE_MEIE (1 << 11)

#define STRAP (*(volatile uint32_t *)0x80700000)

#define FLASH ((uint8_t *)0x80800000)
#define FLASH_SIZE (0x100000)
#define FLASH_BLOCK (4096)

#define FOREVER (~0ull)

// Clock

uint64_t virt_ticks(void) {
    uint32_t high, low;
    do {
        high = MTIME[1];
        low = MTIME[0];
    } while (high != MTIME[1]);
    return (uint64_t)high << 32 | low;
}

uint64_t mp_hal_time_ns(void) {
    return virt_ticks() * (1000000 / VIRT_TICKS_PER_MS);
}

// Sleep

static void wait_init(void) {
    // QEMU hands bytes over in lots of the FIFO's trigger level; the rest of a lot interrupts
    // after 4 character times, so the line is fast: 400 kBd.
    UART_REG(UART_LCR) = 0x80; // divisor latch
    UART_REG(UART_DLL) = 1;
    UART_REG(UART_LCR) = 0x03; // 8N1
    UART_REG(UART_FCR) = 0xc1; // FIFO on, trigger level 14
    UART_REG(UART_IER) = 0x01; // interrupt on received data
    PLIC_PRIORITY(UART_IRQ) = 1;
    PLIC_ENABLE = 1 << UART_IRQ;
}

// Returns when the serial line has a byte to read, or at the deadline. Interrupts only end the
// WFI: with MSTATUS.MIE clear none is taken.
static void wait_until(uint64_t deadline) {
    MTIMECMP[1] = 0xffffffff; // so that no half-written value fires
    MTIMECMP[0] = (uint32_t)deadline;
    MTIMECMP[1] = (uint32_t)(deadline >> 32);
    __asm volatile ("csrc mstatus, %0" :: "r" (MSTATUS_MIE));
    __asm volatile ("csrs mie, %0" :: "r" (MIE_MTIE | MIE_MEIE));
    for (;;) {
        uint32_t irq = PLIC_CLAIM; // a byte from here on interrupts anew
        if (irq) {
            PLIC_CLAIM = irq;
        }
        if ((UART_REG(UART_LSR) & UART_LSR_DR) || virt_ticks() >= deadline) {
            break;
        }
        __asm volatile ("wfi");
    }
    __asm volatile ("csrc mie, %0" :: "r" (MIE_MTIE | MIE_MEIE));
    __asm volatile ("csrs mstatus, %0" :: "r" (MSTATUS_MIE));
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    for (;;) {
        int c = uart_rx_chr();
        if (c >= 0) {
            return c;
        }
        wait_until(FOREVER);
    }
}

// Boot: what main() of other ports does between mp_init() and the REPL.

void __real_mp_init(void);

static int run_user_files(void) {
    if (STRAP || pyexec_mode_kind != PYEXEC_MODE_FRIENDLY_REPL) {
        return 0;
    }
    int result = pyexec_file_if_exists("boot.py");
    if (!(result & PYEXEC_FORCED_EXIT) && result != 0) {
        result = pyexec_file_if_exists("main.py");
    }
    return result;
}

void __wrap_mp_init(void) {
    wait_init();
    for (;;) {
        __real_mp_init();
        pyexec_frozen_module("_boot.py", false);
        if (!(run_user_files() & PYEXEC_FORCED_EXIT)) {
            return;
        }
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}

// Flash: the block device under LittleFS is the module itself. RAM that neither the heap nor a
// reset touches; a page needs no erasing before it is programmed.

static uint8_t *flash_at(size_t n_args, const mp_obj_t *args, size_t length) {
    size_t at = mp_obj_get_int(args[0]) * FLASH_BLOCK + (n_args == 3 ? mp_obj_get_int(args[2]) : 0);
    if (at > FLASH_SIZE || length > FLASH_SIZE - at) {
        mp_raise_OSError(MP_EIO);
    }
    return FLASH + at;
}

// readblocks(block, buffer, offset=0)
static mp_obj_t virt_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t into;
    mp_get_buffer_raise(args[1], &into, MP_BUFFER_WRITE);
    memcpy(into.buf, flash_at(n_args, args, into.len), into.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(virt_readblocks_obj, 2, 3, virt_readblocks);

// writeblocks(block, buffer, offset=0)
static mp_obj_t virt_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t from;
    mp_get_buffer_raise(args[1], &from, MP_BUFFER_READ);
    memcpy(flash_at(n_args, args, from.len), from.buf, from.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(virt_writeblocks_obj, 2, 3, virt_writeblocks);

static mp_obj_t virt_ioctl(mp_obj_t operation, mp_obj_t argument) {
    switch (mp_obj_get_int(operation)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(FLASH_SIZE / FLASH_BLOCK);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(FLASH_BLOCK);
        case MP_BLOCKDEV_IOCTL_BLOCK_ERASE:
            return MP_OBJ_NEW_SMALL_INT(0);
        default:
            return mp_const_none;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_2(virt_ioctl_obj, virt_ioctl);

// Module virt

static mp_obj_t virt_ticks_ms(void) {
    return MP_OBJ_NEW_SMALL_INT((uint32_t)(virt_ticks() / VIRT_TICKS_PER_MS) & 0x3fffffff);
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_ticks_ms_obj, virt_ticks_ms);

// The 10 MHz clock, modulo 2**30. With QEMU's -icount shift=0 a tick is 100 instructions.
static mp_obj_t virt_ticks_py(void) {
    return MP_OBJ_NEW_SMALL_INT((uint32_t)virt_ticks() & 0x3fffffff);
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_ticks_obj, virt_ticks_py);

// wait(ms): sleeps until the time is over or there is a byte to read.
static mp_obj_t virt_wait(mp_obj_t ms) {
    mp_int_t n = mp_obj_get_int(ms);
    if (n > 0) {
        wait_until(virt_ticks() + (uint64_t)n * VIRT_TICKS_PER_MS);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(virt_wait_obj, virt_wait);

// readinto(buffer): takes what the serial line has, without waiting; returns the number of bytes.
static mp_obj_t virt_readinto(mp_obj_t buffer) {
    mp_buffer_info_t into;
    mp_get_buffer_raise(buffer, &into, MP_BUFFER_WRITE);
    size_t n = 0;
    int c;
    while (n < into.len && (c = uart_rx_chr()) >= 0) {
        ((uint8_t *)into.buf)[n++] = c;
    }
    return MP_OBJ_NEW_SMALL_INT(n);
}
static MP_DEFINE_CONST_FUN_OBJ_1(virt_readinto_obj, virt_readinto);

// write(buffer): as it is, no newline translation.
static mp_obj_t virt_write(mp_obj_t buffer) {
    mp_buffer_info_t from;
    mp_get_buffer_raise(buffer, &from, MP_BUFFER_READ);
    uart_tx_strn(from.buf, from.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(virt_write_obj, virt_write);

// reset(): the whole machine, as the reset button does. (machine.reset() of this port ends QEMU.)
static mp_obj_t virt_reset(void) {
    SIFIVE_TEST = SIFIVE_TEST_RESET;
    for (;;) { // QEMU acts on it a moment later
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_reset_obj, virt_reset);

static const mp_rom_map_elem_t virt_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_virt) },
    { MP_ROM_QSTR(MP_QSTR_ticks_ms), MP_ROM_PTR(&virt_ticks_ms_obj) },
    { MP_ROM_QSTR(MP_QSTR_ticks), MP_ROM_PTR(&virt_ticks_obj) },
    { MP_ROM_QSTR(MP_QSTR_wait), MP_ROM_PTR(&virt_wait_obj) },
    { MP_ROM_QSTR(MP_QSTR_readinto), MP_ROM_PTR(&virt_readinto_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&virt_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&virt_reset_obj) },
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&virt_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&virt_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&virt_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(virt_globals, virt_globals_table);

const mp_obj_module_t virt_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&virt_globals,
};
MP_REGISTER_MODULE(MP_QSTR_virt, virt_module);
