// os.urandom: entropy from the virtio device of QEMU's "virt" machine. Included by extmod/modos.c.
// Virtio 1.1: 4.2.2 (MMIO registers), 2.6 (split queue), 5.4 (entropy device).

#include "py/mperrno.h"
#include "py/mphal.h"
#include "virt.h"

#define VIRTIO_MMIO (0x10001000u)
#define VIRTIO_SLOTS (8)
#define VIRTIO_MAGIC (0x74726976u)
#define VIRTIO_ID_ENTROPY (4)
#define ENTROPY_TIMEOUT_MS (1000)

enum {
    REG_MAGIC = 0x000, REG_VERSION = 0x004, REG_DEVICE_ID = 0x008,
    REG_DRIVER_FEATURES = 0x020, REG_DRIVER_FEATURES_SEL = 0x024,
    REG_QUEUE_SEL = 0x030, REG_QUEUE_NUM = 0x038, REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = 0x050, REG_STATUS = 0x070,
    REG_QUEUE_DESC = 0x080, REG_QUEUE_AVAIL = 0x090, REG_QUEUE_USED = 0x0a0,
};

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { DESC_WRITE = 2 };

// A queue of one descriptor: one request is under way at a time.
typedef struct {
    struct { uint64_t address; uint32_t length; uint16_t flags; uint16_t next; } desc;
    struct { uint16_t flags; uint16_t index; uint16_t ring[1]; } avail;
    struct { uint16_t flags; uint16_t index; struct { uint32_t id; uint32_t length; } ring[1]; } used;
} queue_t;

static volatile queue_t queue __attribute__((aligned(16)));

static inline volatile uint32_t *reg(uintptr_t device, unsigned offset) {
    return (volatile uint32_t *)(device + offset);
}

static inline void fence(void) {
    __asm volatile ("fence" ::: "memory");
}

static uintptr_t entropy_find(void) {
    for (int slot = 0; slot < VIRTIO_SLOTS; slot++) {
        uintptr_t device = VIRTIO_MMIO + slot * 0x1000;
        if (*reg(device, REG_MAGIC) == VIRTIO_MAGIC && *reg(device, REG_VERSION) == 2
            && *reg(device, REG_DEVICE_ID) == VIRTIO_ID_ENTROPY) {
            return device;
        }
    }
    mp_raise_OSError(MP_ENODEV);
}

static void entropy_init(uintptr_t device) {
    memset((void *)&queue, 0, sizeof(queue));
    *reg(device, REG_STATUS) = 0;
    *reg(device, REG_STATUS) = ACKNOWLEDGE | DRIVER;
    *reg(device, REG_DRIVER_FEATURES_SEL) = 1;
    *reg(device, REG_DRIVER_FEATURES) = 1; // VIRTIO_F_VERSION_1
    *reg(device, REG_STATUS) |= FEATURES_OK;
    *reg(device, REG_QUEUE_SEL) = 0;
    *reg(device, REG_QUEUE_NUM) = 1;
    *reg(device, REG_QUEUE_DESC) = (uintptr_t)&queue.desc;
    *reg(device, REG_QUEUE_AVAIL) = (uintptr_t)&queue.avail;
    *reg(device, REG_QUEUE_USED) = (uintptr_t)&queue.used;
    *reg(device, REG_QUEUE_READY) = 1;
    *reg(device, REG_STATUS) |= DRIVER_OK;
}

// Asks for up to n bytes; returns how many the device gave.
static size_t entropy_read(uintptr_t device, uint8_t *buf, size_t n) {
    uint16_t before = queue.used.index;
    queue.desc.address = (uintptr_t)buf;
    queue.desc.length = n;
    queue.desc.flags = DESC_WRITE;
    fence();
    queue.avail.index += 1; // ring[0] is always descriptor 0
    fence();
    *reg(device, REG_QUEUE_NOTIFY) = 0;
    uint64_t deadline = virt_ticks() + ENTROPY_TIMEOUT_MS * VIRT_TICKS_PER_MS;
    while (queue.used.index == before) {
        if (virt_ticks() > deadline) {
            *reg(device, REG_STATUS) = 0; // takes the buffer back from the device
            mp_raise_OSError(MP_ETIMEDOUT);
        }
    }
    fence();
    return MIN(queue.used.ring[0].length, n);
}

static mp_obj_t mp_os_urandom(mp_obj_t num) {
    mp_int_t n = mp_obj_get_int(num);
    if (n < 0) {
        mp_raise_ValueError(NULL);
    }
    vstr_t vstr;
    vstr_init_len(&vstr, n);
    uintptr_t device = entropy_find();
    entropy_init(device);
    for (mp_int_t done = 0; done < n;) {
        done += entropy_read(device, (uint8_t *)vstr.buf + done, n - done);
    }
    *reg(device, REG_STATUS) = 0;
    return mp_obj_new_bytes_from_vstr(&vstr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
