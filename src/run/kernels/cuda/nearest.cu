// Vectors (float, one a row) and a query -> of each block of 512 rows the `most` with the largest cosine, as keys that order them. A row is
// read once: the time is that of reading the rows from memory. Twin: ../nearest.rs.

#define ROWS 512u
#define WARP 32u

// Larger keys are nearer; of equal cosines the earlier row's key is larger. 0 is below every row's key.
__device__ __forceinline__ unsigned long long key(float cosine, unsigned row) {
  const unsigned bits = __float_as_uint(cosine + 0.0f);
  const unsigned ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
  return (unsigned long long)ordered << 32 | (unsigned)~row;
}

__device__ __forceinline__ unsigned long long larger(unsigned long long a, unsigned long long b) { return a > b ? a : b; }

// Blocks of 256 threads; `first` is the number of the first row here among all, `query_square` the query's with itself; `best` has `most` keys a block.
extern "C" __global__ void __launch_bounds__(256) nearest(const float *rows, const float *query, unsigned count, unsigned length,
                                                          unsigned first, float query_square, unsigned most,
                                                          unsigned long long *best) {
  __shared__ unsigned long long keys[ROWS];
  __shared__ unsigned long long winners[WARP];
  const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
  const unsigned begin = blockIdx.x * ROWS;
  const unsigned here = count - begin < ROWS ? count - begin : ROWS;
  for (unsigned i = here + threadIdx.x; i < ROWS; i += blockDim.x) keys[i] = 0;
  for (unsigned i = warp; i < here; i += warps) {
    const float *row = rows + (unsigned long long)(begin + i) * length;
    float dot = 0.0f, square = 0.0f;
    if (length % 4 == 0) {
      // Four numbers at once: rows then begin at multiples of 16 bytes.
      const float4 *row4 = (const float4 *)row, *query4 = (const float4 *)query;
      for (unsigned k = lane; k < length / 4; k += WARP) {
        const float4 a = row4[k], q = query4[k];
        dot += a.x * q.x + a.y * q.y + a.z * q.z + a.w * q.w;
        square += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
      }
    } else {
      for (unsigned k = lane; k < length; k += WARP) {
        dot += row[k] * query[k];
        square += row[k] * row[k];
      }
    }
    for (unsigned step = WARP / 2; step > 0; step /= 2) {
      dot += __shfl_xor_sync(0xffffffffu, dot, step);
      square += __shfl_xor_sync(0xffffffffu, square, step);
    }
    const float both = sqrtf(square * query_square);
    if (lane == 0) keys[i] = key(both > 0.0f ? dot / both : 0.0f, first + begin + i);
  }
  __syncthreads();
  for (unsigned round = 0; round < most; round++) {
    unsigned long long mine = 0;
    for (unsigned i = threadIdx.x; i < ROWS; i += blockDim.x) mine = larger(mine, keys[i]);
    for (unsigned step = WARP / 2; step > 0; step /= 2) mine = larger(mine, __shfl_xor_sync(0xffffffffu, mine, step));
    if (lane == 0) winners[warp] = mine;
    __syncthreads();
    unsigned long long winner = 0;
    for (unsigned i = 0; i < warps; i++) winner = larger(winner, winners[i]);
    if (threadIdx.x == 0) best[(unsigned long long)blockIdx.x * most + round] = winner;
    for (unsigned i = threadIdx.x; i < ROWS; i += blockDim.x) {
      if (keys[i] == winner) keys[i] = 0;
    }
    __syncthreads();
  }
}
