// Frames (RGB, 3 bytes a pixel, one after the other) -> per frame 512 counts of colours (3 bits a channel) and 256 counts of edges (16 x 16
// cells). Integers only, so that the twin in ../scenes.rs counts exactly the same.

#define BINS 512u
#define GRID 16u
#define FEATURES (BINS + GRID * GRID)
#define EDGE 128
// A tile is worked on at once; its luma with a border of one pixel lies in shared memory, so that a pixel is read once, not nine times.
#define TILE_W 64u
#define TILE_H 8u

__device__ __forceinline__ int luma(const unsigned char *p) { return (77 * p[0] + 150 * p[1] + 29 * p[2] + 128) >> 8; }

// Grid: x shares the tiles of a frame, y is the frame. `features` is zero at the start.
extern "C" __global__ void frame_features(const unsigned char *frames, unsigned width, unsigned height, unsigned *features) {
  __shared__ unsigned counts[FEATURES];
  __shared__ short light[TILE_H + 2][TILE_W + 2];
  for (unsigned i = threadIdx.x; i < FEATURES; i += blockDim.x) counts[i] = 0;
  const unsigned char *frame = frames + (unsigned long long)blockIdx.y * width * height * 3;
  const unsigned across = (width + TILE_W - 1) / TILE_W, down = (height + TILE_H - 1) / TILE_H;
  for (unsigned tile = blockIdx.x; tile < across * down; tile += gridDim.x) {
    const int left = (int)(tile % across * TILE_W), top = (int)(tile / across * TILE_H);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < (TILE_W + 2) * (TILE_H + 2); i += blockDim.x) {
      const int column = (int)(i % (TILE_W + 2)), row = (int)(i / (TILE_W + 2));
      const int x = left + column - 1, y = top + row - 1;
      if (x < 0 || y < 0 || x >= (int)width || y >= (int)height) continue;
      const unsigned char *p = frame + ((unsigned long long)y * width + x) * 3;
      light[row][column] = (short)luma(p);
      const bool inner = column >= 1 && row >= 1 && column <= (int)TILE_W && row <= (int)TILE_H;
      if (inner) atomicAdd(&counts[(p[0] >> 5) << 6 | (p[1] >> 5) << 3 | p[2] >> 5], 1u);
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < TILE_W * TILE_H; i += blockDim.x) {
      const int column = (int)(i % TILE_W) + 1, row = (int)(i / TILE_W) + 1;
      const int x = left + column - 1, y = top + row - 1;
      // The border of a frame has no neighbours to differ from.
      if (x < 1 || y < 1 || x + 1 >= (int)width || y + 1 >= (int)height) continue;
      const int nw = light[row - 1][column - 1], n = light[row - 1][column], ne = light[row - 1][column + 1];
      const int w = light[row][column - 1], e = light[row][column + 1];
      const int sw = light[row + 1][column - 1], s = light[row + 1][column], se = light[row + 1][column + 1];
      const int gx = ne + 2 * e + se - nw - 2 * w - sw, gy = sw + 2 * s + se - nw - 2 * n - ne;
      if ((gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy) > EDGE) {
        atomicAdd(&counts[BINS + (unsigned)y * GRID / height * GRID + (unsigned)x * GRID / width], 1u);
      }
    }
  }
  __syncthreads();
  unsigned *mine = features + (unsigned long long)blockIdx.y * FEATURES;
  for (unsigned i = threadIdx.x; i < FEATURES; i += blockDim.x) {
    if (counts[i]) atomicAdd(&mine[i], counts[i]);
  }
}
