// Pictures of one size -> the same at another: every pixel is the mean of the area it covers, in integers, so that the twin in ../frames.rs
// computes exactly the same.

// Grid: x covers the pixels of a picture, y is the picture. Positions are in 1/to_width and 1/to_height of a source pixel.
extern "C" __global__ void resize_area(const unsigned char *from, unsigned width, unsigned height, unsigned char *to, unsigned to_width,
                                       unsigned to_height) {
  const unsigned pixel = blockIdx.x * blockDim.x + threadIdx.x;
  if (pixel >= to_width * to_height) return;
  const unsigned char *picture = from + (unsigned long long)blockIdx.y * width * height * 3;
  const unsigned left = pixel % to_width * width, top = pixel / to_width * height;
  const unsigned right = left + width, bottom = top + height;
  unsigned long long sums[3] = {0, 0, 0};
  for (unsigned y = top / to_height; y * to_height < bottom; y++) {
    const unsigned begin_y = y * to_height, end_y = begin_y + to_height;
    const unsigned high = (end_y < bottom ? end_y : bottom) - (begin_y > top ? begin_y : top);
    unsigned row[3] = {0, 0, 0};
    for (unsigned x = left / to_width; x * to_width < right; x++) {
      const unsigned begin_x = x * to_width, end_x = begin_x + to_width;
      const unsigned wide = (end_x < right ? end_x : right) - (begin_x > left ? begin_x : left);
      const unsigned char *p = picture + ((unsigned long long)y * width + x) * 3;
      for (int c = 0; c < 3; c++) row[c] += wide * p[c];
    }
    for (int c = 0; c < 3; c++) sums[c] += (unsigned long long)high * row[c];
  }
  const unsigned long long area = (unsigned long long)width * height;
  unsigned char *out = to + ((unsigned long long)blockIdx.y * to_width * to_height + pixel) * 3;
  for (int c = 0; c < 3; c++) out[c] = (unsigned char)((sums[c] + area / 2) / area);
}
