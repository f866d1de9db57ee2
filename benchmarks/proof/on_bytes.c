/* Runs a network in C on images from a file, here or on an emulated board:

   on_bytes INPUT OUTPUT     float32, one image after the other; prints instructions for the last one on a board */
#include "network.h"

#include <stdint.h>
#include <stdio.h>

static float input[BITNAS_INPUT_SIZE], output[BITNAS_OUTPUT_SIZE];

#ifdef __ARM_ARCH_7EM__
/* Timer 0 of the board counts down at 25 MHz; the emulator runs an instruction a nanosecond: 40 a tick. */
enum { PER_TICK = 40 };
static volatile uint32_t *const timer = (volatile uint32_t *)0x40000000; /* control, value, reload */
static void start(void) {
  timer[0] = 0;
  timer[2] = timer[1] = 0xFFFFFFFFu;
  timer[0] = 1;
}
static uint32_t ticks(void) { return 0xFFFFFFFFu - timer[1]; }
#else
enum { PER_TICK = 0 };
static void start(void) {}
static uint32_t ticks(void) { return 0; }
#endif

int main(int count, char **paths) {
  if (count != 3) return 2;
  FILE *images = fopen(paths[1], "rb"), *outputs = fopen(paths[2], "wb");
  uint32_t taken = 0;
  if (!images || !outputs) return 3;
  while (fread(input, 4, BITNAS_INPUT_SIZE, images) == BITNAS_INPUT_SIZE) {
    start();
    bitnas_network(input, output);
    taken = ticks();
    if (fwrite(output, 4, BITNAS_OUTPUT_SIZE, outputs) != BITNAS_OUTPUT_SIZE) return 4;
  }
  printf("%lu\n", (unsigned long)(taken * (uint64_t)PER_TICK / 1000));
  return fclose(outputs) ? 5 : 0;
}
