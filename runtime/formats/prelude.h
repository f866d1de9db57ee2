#include <stdint.h>
#include <string.h>

/* Sums and products are rounded one by one where the code does not say otherwise: GCC does so with -std=c99. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
/* Vectors are moved faster where they do not cross a line of the cache; machines without any save the bytes. */
#if defined(__SSE__) || defined(__ARM_NEON) || defined(__ALTIVEC__) || defined(__riscv_vector)
#define ALIGNMENT 64
#else
#define ALIGNMENT 8
#endif
#if defined(__GNUC__)
#define ALIAS __attribute__((may_alias))
#define ALIGNED __attribute__((aligned(ALIGNMENT)))
#else
#define ALIAS
#define ALIGNED
#endif
/* GCC 12 puts addresses of static memory into a copy of a kernel, and vectorizes its loops wrongly there. */
#if defined(__GNUC__) && !defined(__clang__)
#define SEPARATE __attribute__((noinline, noclone))
#else
#define SEPARATE
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packed bits are read in the order of a little-endian machine"
#endif

/* Memory is used again under other types, bits are written as 16 and read as 32. */
typedef float ALIAS f32;
typedef int8_t ALIAS i8;
typedef uint8_t ALIAS u8;
typedef uint16_t ALIAS u16;
typedef int32_t ALIAS i32;
typedef uint32_t ALIAS u32;
typedef int64_t ALIAS i64;

#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__ARM_NEON))
#define popcount(x) ((u32)__builtin_popcount(x))
#else
static inline uint32_t popcount(uint32_t x) {
  x -= (x >> 1) & 0x55555555u;
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return (((x + (x >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24;
}
#endif

/* One rounding where the machine does it in one instruction, as compiled networks do. */
#if defined(__GNUC__) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA))
#define multiply_add(a, b, c) __builtin_fmaf(a, b, c)
#else
#define multiply_add(a, b, c) ((a) * (b) + (c))
#endif

static inline int32_t floor_div(int32_t a, int32_t b) {
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}
static inline int32_t floor_mod(int32_t a, int32_t b) {
  return a - floor_div(a, b) * b;
}
static inline int32_t float_bits(float x) {
  int32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
static inline float bits_float(int32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

/* With BITNAS_NO_LIBM nothing of math.h is needed. The square root is the same to the bit, as IEEE 754 has one
   result for it; the logarithm is within a unit in the last place. */
#ifndef BITNAS_NO_LIBM
#include <math.h>
#define square_root sqrtf
#define logarithm logf
#else
#if defined(__GNUC__)
#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()
#else
#define INFINITY (1e38f * 10.0f)
#define NAN (INFINITY - INFINITY)
#endif
/* x = significand * 2^(exponent - 23), with the significand in 2^23..2^24; x is finite and above zero. */
static inline uint32_t significand_of(float x, int32_t *exponent) {
  uint32_t bits = (uint32_t)float_bits(x), significand = bits & 0x7FFFFFu;
  *exponent = (int32_t)(bits >> 23) - 127;
  if (bits >> 23) return significand | 0x800000u;
  for (*exponent = -126; significand < 0x800000u; significand <<= 1) --*exponent;
  return significand;
}
static inline float square_root(float x) {
  if (!(x > 0.0f) || x == INFINITY) return x < 0.0f ? NAN : x;
  int32_t exponent;
  uint64_t square = significand_of(x, &exponent);
  if (exponent & 1) square <<= 1, --exponent;
  square <<= 25;
  uint32_t root = 0; /* of 25 bits: the last one tells how to round, and is never all that is left */
  for (uint32_t bit = 1u << 24; bit; bit >>= 1)
    if ((uint64_t)(root | bit) * (root | bit) <= square) root |= bit;
  return bits_float((exponent / 2 + 126) * 0x800000 + (int32_t)((root + 1) >> 1));
}
/* log(2^k (1 + f)) = k log 2 + f - s (f - r), where s = f / (2 + f) and r = 2 atanh(s) / s - 2. */
static inline float logarithm(float x) {
  if (!(x > 0.0f) || x == INFINITY) return x < 0.0f ? NAN : x == 0.0f ? -INFINITY : x;
  int32_t exponent;
  int32_t significand = (int32_t)significand_of(x, &exponent);
  int32_t is_high = significand > 0xB504F3; /* above the root of 2: half of it is nearer to 1 */
  float f = bits_float((127 - is_high) * 0x800000 + (significand & 0x7FFFFF)) - 1.0f, k = (float)(exponent + is_high);
  float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
  float r = z * (2.0f / 3 + z * (2.0f / 5 + z * (2.0f / 7 + z * (2.0f / 9))));
  return k * 0x1.62ep-1f - ((half - (s * (half + r) + k * 0x1.0bfbe8p-15f)) - f);
}
#endif
