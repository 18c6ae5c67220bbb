// A fake of NVIDIA's driver library, for tests/kernels.rs: there is no GPU in it. The kernels are compiled here as C++ and run on the CPU, a
// block after the other, each thread of a block as a fiber that stops at barriers and shuffles. What a kernel computes, which arguments it is
// launched with and what is copied where is thereby tested; nothing is said of speed, of races between blocks, or of what a GPU's compiler
// makes of the text. Its name makes the library take it for an L4.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static

struct Index { unsigned x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace fibers {
enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Fiber { ucontext_t context; std::vector<char> stack; State state; unsigned long long slot; };
static std::vector<Fiber> all;
static ucontext_t scheduler;
static unsigned running;
static void (*body)(void **);
static void **arguments;

static void stop(State why) {
  all[running].state = why;
  const unsigned me = running;
  swapcontext(&all[me].context, &scheduler);
}
static void enter() {
  body(arguments);
  stop(DONE);
}
static bool waiting(unsigned from, unsigned to, State state) {
  bool some = false;
  for (unsigned i = from; i < to; i++) {
    if (all[i].state != state && all[i].state != DONE) return false;
    some = some || all[i].state == state;
  }
  return some;
}
static void release(unsigned from, unsigned to) {
  for (unsigned i = from; i < to; i++) if (all[i].state != DONE) all[i].state = READY;
}
static void block(unsigned threads) {
  if (all.size() < threads) all.resize(threads);
  for (unsigned i = 0; i < threads; i++) {
    all[i].stack.resize(64 << 10);
    getcontext(&all[i].context);
    all[i].context.uc_stack.ss_sp = all[i].stack.data();
    all[i].context.uc_stack.ss_size = all[i].stack.size();
    all[i].context.uc_link = &scheduler;
    makecontext(&all[i].context, enter, 0);
    all[i].state = READY;
  }
  for (;;) {
    bool ran = false, done = true;
    for (running = 0; running < threads; running++) {
      if (all[running].state == READY) {
        threadIdx.x = running;
        swapcontext(&scheduler, &all[running].context);
        ran = true;
      }
      done = done && all[running].state == DONE;
    }
    if (done) return;
    for (unsigned from = 0; from < threads; from += 32) {
      const unsigned to = from + 32 < threads ? from + 32 : threads;
      if (waiting(from, to, AT_WARP)) release(from, to);
    }
    if (waiting(0, threads, AT_BLOCK)) release(0, threads);
    if (!ran) {
      fprintf(stderr, "fake GPU: threads wait for each other at different places\n");
      abort();
    }
  }
}
}  // namespace fibers

static void __syncthreads() { fibers::stop(fibers::AT_BLOCK); }
template <class T> static T __shfl_xor_sync(unsigned, T value, unsigned step) {
  const unsigned me = fibers::running, other = (me & ~31u) | ((me ^ step) & 31u);
  memcpy(&fibers::all[me].slot, &value, sizeof value);
  fibers::stop(fibers::AT_WARP);
  T theirs;
  memcpy(&theirs, &fibers::all[other].slot, sizeof theirs);
  fibers::stop(fibers::AT_WARP);
  return theirs;
}
static unsigned atomicAdd(unsigned *to, unsigned value) {
  const unsigned before = *to;
  *to += value;
  return before;
}
static unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

#include "../../src/run/kernels/cuda/frames.cu"
#include "../../src/run/kernels/cuda/nearest.cu"
#include "../../src/run/kernels/cuda/scenes.cu"

template <class T> static T at(void **arguments, int i) { return *(T *)arguments[i]; }
static void call_features(void **a) {
  frame_features(at<const unsigned char *>(a, 0), at<unsigned>(a, 1), at<unsigned>(a, 2), at<unsigned *>(a, 3));
}
static void call_resize(void **a) {
  resize_area(at<const unsigned char *>(a, 0), at<unsigned>(a, 1), at<unsigned>(a, 2), at<unsigned char *>(a, 3), at<unsigned>(a, 4),
              at<unsigned>(a, 5));
}
static void call_nearest(void **a) {
  nearest(at<const float *>(a, 0), at<const float *>(a, 1), at<unsigned>(a, 2), at<unsigned>(a, 3), at<unsigned>(a, 4), at<float>(a, 5),
          at<unsigned>(a, 6), at<unsigned long long *>(a, 7));
}

typedef unsigned long long Pointer;
static std::mutex turn;
static thread_local int fails;
// What this thread asked for, in order: copies to (H) and from (D) the device, kernels (K), waiting (S), each with its stream. A copy of memory
// that is not pinned is written small: a driver makes the host wait for it.
static thread_local char asked[1 << 16];
static thread_local size_t length;
static std::mutex pins;
static std::map<const char *, size_t> pinned;
static void note(char what, void *stream) {
  if (length < sizeof asked - 32) length += sprintf(asked + length, "%c%p ", what, stream);
}
static bool is_pinned(const void *memory, size_t bytes) {
  const std::lock_guard<std::mutex> mine(pins);
  auto after = pinned.upper_bound((const char *)memory);
  if (after == pinned.begin()) return false;
  const auto &block = *--after;
  return (const char *)memory + bytes <= block.first + block.second;
}
#define DRIVER extern "C" __attribute__((visibility("default"))) int
// From now on this thread's launches fail as if a kernel had touched memory that is not its own.
DRIVER fake_gpu_fails(int whether) { fails = whether; return 0; }
// What this thread asked for since it looked last.
extern "C" __attribute__((visibility("default"))) const char *fake_gpu_asked() {
  static thread_local char told[sizeof asked];
  memcpy(told, asked, length + 1);
  length = 0;
  asked[0] = 0;
  return told;
}

DRIVER cuInit(unsigned) { return 0; }
DRIVER cuDriverGetVersion(int *version) { *version = 13000; return 0; }
DRIVER cuDeviceGetCount(int *count) { *count = 1; return 0; }
DRIVER cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal == 0 ? 0 : 101; }
DRIVER cuDeviceGetName(char *name, int length, int) { snprintf(name, length, "NVIDIA L4 (a fake)"); return 0; }
DRIVER cuDeviceGetUuid_v2(char *uuid, int) { memset(uuid, 1, 16); return 0; }
DRIVER cuDeviceTotalMem_v2(size_t *bytes, int) { *bytes = 1u << 30; return 0; }
// 75 and 76 are the two numbers of the compute capability: 9.0.
DRIVER cuDeviceGetAttribute(int *value, int attribute, int) { *value = attribute == 75 ? 9 : 0; return 0; }
DRIVER cuDevicePrimaryCtxRetain(void **context, int) { *context = (void *)1; return 0; }
DRIVER cuDevicePrimaryCtxRelease_v2(int) { return 0; }
DRIVER cuCtxSetCurrent(void *) { return 0; }
DRIVER cuCtxGetCurrent(void **context) { *context = (void *)1; return 0; }
DRIVER cuCtxSynchronize() { return 0; }
DRIVER cuStreamCreate(void **stream, unsigned) { *stream = malloc(1); return 0; }
DRIVER cuStreamDestroy_v2(void *stream) { free(stream); return 0; }
DRIVER cuStreamSynchronize(void *stream) { note('S', stream); return 0; }
DRIVER cuStreamWaitEvent(void *, void *, unsigned) { return 0; }
DRIVER cuEventCreate(void **event, unsigned) { *event = malloc(1); return 0; }
DRIVER cuEventDestroy_v2(void *event) { free(event); return 0; }
DRIVER cuEventRecord(void *, void *) { return 0; }
DRIVER cuEventSynchronize(void *) { return 0; }
DRIVER cuEventQuery(void *) { return 0; }
// Memory that was not written is full of something, as on a GPU.
DRIVER cuMemAlloc_v2(Pointer *memory, size_t bytes) {
  void *taken = aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset(taken, 0xa5, bytes);
  *memory = (Pointer)taken;
  return 0;
}
DRIVER cuMemFree_v2(Pointer memory) { free((void *)memory); return 0; }
DRIVER cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  cuMemAlloc_v2((Pointer *)memory, bytes);
  const std::lock_guard<std::mutex> mine(pins);
  pinned[(const char *)*memory] = bytes;
  return 0;
}
DRIVER cuMemFreeHost(void *memory) {
  const std::lock_guard<std::mutex> mine(pins);
  pinned.erase((const char *)memory);
  free(memory);
  return 0;
}
DRIVER cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, void *) { memset((void *)to, value, bytes); return 0; }
DRIVER cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *stream) {
  note(is_pinned(from, bytes) ? 'H' : 'h', stream);
  memcpy((void *)to, from, bytes);
  return 0;
}
DRIVER cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *stream) {
  note(is_pinned(to, bytes) ? 'D' : 'd', stream);
  memcpy(to, (void *)from, bytes);
  return 0;
}
// Machine code cannot be run here: it must be some, and the kernels above stand in for it.
DRIVER cuModuleLoadData(void **module, const void *image) {
  *module = (void *)1;
  return memcmp(image, "\x7f" "ELF", 4) == 0 ? 0 : 200;
}
DRIVER cuModuleUnload(void *) { return 0; }
DRIVER cuModuleGetFunction(void **function, void *, const char *name) {
  *function = !strcmp(name, "frame_features") ? (void *)call_features
              : !strcmp(name, "resize_area")  ? (void *)call_resize
              : !strcmp(name, "nearest")      ? (void *)call_nearest
                                              : nullptr;
  return *function ? 0 : 500;
}
DRIVER cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned, void *stream, void **arguments,
                      void **) {
  if (fails) return 700;
  note('K', stream);
  if (by != 1 || bz != 1 || gz != 1 || gx == 0 || gy == 0 || bx > 1024) return 1;
  const std::lock_guard<std::mutex> mine(turn);
  gridDim = {gx, gy, gz};
  blockDim = {bx, by, bz};
  fibers::body = (void (*)(void **))function;
  fibers::arguments = arguments;
  for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++) {
    for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++) fibers::block(bx);
  }
  return 0;
}
DRIVER cuGetErrorName(int, const char **text) { *text = "CUDA_ERROR"; return 0; }
DRIVER cuGetErrorString(int error, const char **text) {
  *text = error == 700 ? "an illegal memory access was encountered" : "an error of the fake GPU";
  return 0;
}
