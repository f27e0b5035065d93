#ifndef IKELET_VIRT_H
#define IKELET_VIRT_H

#include <stdint.h>

#define VIRT_TICKS_PER_MS (10000) // CLINT mtime runs at 10 MHz

uint64_t virt_ticks(void);

#endif
