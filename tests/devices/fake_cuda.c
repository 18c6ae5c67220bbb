/* A fake of NVIDIA's driver library, for tests/devices.rs: it drives nothing and answers from the macros below.
 *   -DNO_DEVICE   the driver is there and answers that no device is
 *   -DTOO_OLD     it lacks functions that newer drivers have
 *   -DINSTANCE    its devices are instances of parted GPUs (MIG)
 * otherwise two devices whose names, UUIDs and sizes are made up. */
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int cuInit(unsigned flags) {
  (void)flags;
#ifdef NO_DEVICE
  return 100; /* CUDA_ERROR_NO_DEVICE */
#else
  return 0;
#endif
}

EXPORT int cuDriverGetVersion(int *version) {
  *version = 12080;
  return 0;
}

EXPORT int cuDeviceGetCount(int *count) {
  *count = 2;
  return 0;
}

EXPORT int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return 0;
}

EXPORT int cuDeviceGetName(char *name, int length, int device) {
#ifdef INSTANCE
  const char *first = "NVIDIA H100 FAKE MIG 1g.10gb";
#else
  const char *first = "NVIDIA H100 FAKE";
#endif
  strncpy(name, device == 0 ? first : "NVIDIA STRANGER FAKE", length);
  return 0;
}

EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = 80000000000ull - (size_t)device;
  return 0;
}

/* 75 and 76 are the compute capability's two numbers. */
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  *value = attribute == 75 ? 9 : 0;
  return 0;
}

#ifndef TOO_OLD
EXPORT int cuDeviceGetUuid_v2(char *uuid, int device) {
  memset(uuid, 0x10 + device, 16);
  return 0;
}
#endif

EXPORT int cuGetErrorName(int error, const char **text) {
  (void)error;
  *text = "CUDA_ERROR_NO_DEVICE";
  return 0;
}

EXPORT int cuGetErrorString(int error, const char **text) {
  (void)error;
  *text = "no CUDA-capable device is detected";
  return 0;
}
