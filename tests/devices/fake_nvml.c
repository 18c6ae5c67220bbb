/* A fake of NVIDIA's management library, beside fake drivers: it manages nothing and answers from the macros below.
 *   -DFIRST=0x10 -DCOUNT=2   GPUs whose UUIDs have this byte 16 times, the next one that byte + 1
 *   -DINSTANCE               what the driver lists is an instance (MIG) of a parted GPU; management knows the GPU by another UUID
 * Each GPU takes 300 W from the moment that it is first asked. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#ifndef COUNT
#define COUNT 2
#endif
#ifndef FIRST
#define FIRST 0x10
#endif
enum { NOT_SUPPORTED = 3, NOT_FOUND = 6 };
typedef void *Device;

static void uuid(char *to, const char *kind, unsigned i) {
  to += sprintf(to, "%s", kind);
  for (int byte = 0; byte < 16; byte++) to += sprintf(to, byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-%02x" : "%02x", FIRST + i);
}

EXPORT int nvmlInit_v2(void) { return 0; }
EXPORT int nvmlShutdown(void) { return 0; }
EXPORT int nvmlSystemGetDriverVersion(char *to, unsigned length) {
  snprintf(to, length, "570.00 (a fake)");
  return 0;
}
EXPORT int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = COUNT;
  return 0;
}
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, Device *device) {
  *device = (Device)(size_t)(i + 1);
  return i < COUNT ? 0 : NOT_FOUND;
}
EXPORT int nvmlDeviceGetUUID(Device device, char *to, unsigned length) {
  char text[64];
#ifdef INSTANCE
  snprintf(text, sizeof text, "GPU-ffffffff-ffff-ffff-ffff-ffffffffffff");
#else
  uuid(text, "GPU-", (unsigned)(size_t)device - 1);
#endif
  snprintf(to, length, "%s", text);
  return 0;
}
EXPORT int nvmlDeviceGetHandleByUUID(const char *wanted, Device *device) {
  for (unsigned i = 0; i < COUNT; i++) {
    char own[64];
#ifdef INSTANCE
    uuid(own, "MIG-", i);
#else
    uuid(own, "GPU-", i);
#endif
    *device = (Device)(size_t)(i + 1);
    if (!strcmp(own, wanted)) return 0;
  }
  return NOT_FOUND;
}
EXPORT int nvmlDeviceGetName(Device device, char *to, unsigned length) {
  (void)device;
  snprintf(to, length, "NVIDIA L4 (a fake)");
  return 0;
}
EXPORT int nvmlDeviceGetMemoryInfo_v2(Device device, void *to) {
  (void)device;
  struct { unsigned version; unsigned long long total, reserved, free, used; } memory = {0, 80000000000ull, 0, 78000000000ull, 2000000000ull};
  memcpy(to, &memory, sizeof memory);
  return 0;
}
EXPORT int nvmlDeviceGetUtilizationRates(Device device, void *to) {
  (void)device;
  struct { unsigned gpu, memory; } percent = {41, 7};
  memcpy(to, &percent, sizeof percent);
  return 0;
}
#ifndef INSTANCE
EXPORT int nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) {
  (void)device;
  *milliwatts = 300000;
  return 0;
}
EXPORT int nvmlDeviceGetEnforcedPowerLimit(Device device, unsigned *milliwatts) {
  (void)device;
  *milliwatts = 700000;
  return 0;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long *millijoules) {
  (void)device;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *millijoules = (unsigned long long)now.tv_sec * 300000 + (unsigned long long)now.tv_nsec * 3 / 10000;
  return 0;
}
EXPORT int nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
  *current = *pending = (size_t)device == 2;
  return 0;
}
EXPORT int nvmlDeviceGetNvLinkState(Device device, unsigned link, unsigned *up) {
  (void)device;
  *up = link != 3;
  return link < 6 ? 0 : NOT_SUPPORTED;
}
EXPORT int nvmlDeviceGetPciInfo_v3(Device device, void *to) {
  struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci = {"0000:17:00.0", 0, 0x17, 0, 0, 0, "00000000:17:00.0"};
  (void)device;
  memcpy(to, &pci, sizeof pci);
  return 0;
}
#endif
