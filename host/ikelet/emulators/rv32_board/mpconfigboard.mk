# QEMU "virt", RV32IMAC: the instruction set of the ESP32-C3, plus atomics.

QEMU_ARCH = riscv32
QEMU_MACHINE = virt
# GCC 12 picks a 64-bit multilib for the spelling that the port would use.
RV32_ARCH = rv32imac -misa-spec=2.2
MPY_CROSS_FLAGS += -march=rv32imc

LDSCRIPT = mcu/rv32/virt.ld
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o

MICROPY_VFS_LFS2 = 1
MPY_LIB_DIR = $(BOARD_DIR)
FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py

vpath %.c $(BOARD_DIR)
SRC_C += virt.c
CFLAGS += -I$(BOARD_DIR)
CFLAGS += -DQEMU_SOC_VIRT -DMICROPY_HW_MCU_NAME='"rv32imac"'
CFLAGS += -DMICROPY_PY_OS_URANDOM=1 -DMICROPY_PY_OS_INCLUDEFILE='"virt_os.c"'
# The port's start-up code clears .bss only, not .bss.* or .sbss.*: without these flags a reset
# leaves variables as they were. (CFLAGS_EXTRA comes after the port's own flags.)
CFLAGS_EXTRA += -fno-data-sections -msmall-data-limit=0
# The port starts at a REPL and spins in it: these two hooks boot main.py, and sleep.
LDFLAGS += -Wl,--wrap=mp_init -Wl,--wrap=mp_hal_stdin_rx_chr
