/* Classifies images by the network beside it: prints each file's name and its class, as predict.py does.

   Files are PGM or PPM (P2, P3, P5, P6) of the network's size, 8 bits a channel. Needs network.c, and the C
   library for files; on a board, copy image_of and call bitnas_network yourself. */
#include "network.h"
#include "images.h"

#include <ctype.h>
#include <stdio.h>

static float image[BITNAS_INPUT_SIZE], scores[BITNAS_OUTPUT_SIZE];

static int failed(const char *path, const char *problem) {
  fprintf(stderr, "Error: %s: %s\n", path, problem);
  return 0;
}

static int unfit(const char *path, const char *problem) {
  fprintf(stderr, "Error: %s: %s; bring any image to %dx%d as in training by: %s\n", path, problem, BITNAS_WIDTH,
          BITNAS_HEIGHT, BITNAS_CONVERT);
  return 0;
}

/* The next number of a header or of a plain file, behind white space and comments; -1 where there is none. */
static long number(FILE *file) {
  int c = getc(file);
  while (isspace(c) || c == '#') {
    if (c == '#')
      while (c != '\n' && c != EOF) c = getc(file);
    c = getc(file);
  }
  if (!isdigit(c)) return -1;
  long value = 0;
  for (; isdigit(c); c = getc(file)) {
    value = value * 10 + (c - '0');
    if (value > 65535) return 65536;
  }
  return value; /* and the one white space behind it is read */
}

/* 0..greatest to 0..255, halves to the even one, as Pillow reads such files. */
static int of_255(long value, long greatest) {
  double exact = (double)value / (double)greatest * 255;
  int whole = (int)exact;
  double rest = exact - whole;
  return whole + (rest > 0.5 || (rest == 0.5 && whole % 2));
}

/* 0..255 to what the training data has, such as 0..16. */
static int of_training(int value) { return (2 * value * BITNAS_LARGEST + 255) / 510; }

/* A file as the network takes it, channel by channel, scaled as in training; 0 where it cannot be used. */
static int image_of(const char *path, FILE *file) {
  int letter = getc(file), kind = getc(file);
  if (letter != 'P' || (kind != '2' && kind != '3' && kind != '5' && kind != '6'))
    return unfit(path, "it is no PGM or PPM file");
  int is_plain = kind < '5', channels = kind == '3' || kind == '6' ? 3 : 1;
  long width = number(file), height = number(file), greatest = number(file);
  if (width < 1 || height < 1 || greatest < 1) return failed(path, "its header is broken; write it again");
  if (greatest > 255) return failed(path, "it has more than 8 bits a channel; convert it to 8");
  if (width != BITNAS_WIDTH || height != BITNAS_HEIGHT) return unfit(path, "it has another size than the network takes");
  int brightest = 0;
  for (int i = 0; i < BITNAS_WIDTH * BITNAS_HEIGHT; ++i) {
    int seen[3];
    for (int c = 0; c < channels; ++c) {
      long value = is_plain ? number(file) : getc(file);
      if (value < 0) return failed(path, "it is cut short; write it again");
      if (value > greatest) return failed(path, "a pixel is above the greatest value that its header names");
      seen[c] = of_255(value, greatest);
    }
    if (channels == 1) seen[1] = seen[2] = seen[0];
    /* grey by ITU-R BT.601 in 16 bits, as Pillow makes it */
    else if (BITNAS_CHANNELS == 1) seen[0] = (seen[0] * 19595 + seen[1] * 38470 + seen[2] * 7471 + 32768) >> 16;
    for (int c = 0; c < BITNAS_CHANNELS; ++c) {
      if (seen[c] > brightest) brightest = seen[c];
      image[c * BITNAS_WIDTH * BITNAS_HEIGHT + i] =
          ((float)of_training(seen[c]) - bitnas_mean[c]) / bitnas_deviation[c];
    }
  }
  if (BITNAS_LARGEST < 255 && brightest > 0 && brightest <= BITNAS_LARGEST)
    fprintf(stderr, "Warning: %s: its brightest pixel is %d of 255, and 255 counts as %d in training\n", path,
            brightest, BITNAS_LARGEST);
  return 1;
}

int main(int count, char **paths) {
  if (count < 2) {
    fprintf(stderr, "Usage: %s IMAGE.ppm...\n", count ? paths[0] : "classify");
    return 2;
  }
  for (int i = 1; i < count; ++i) {
    FILE *file = fopen(paths[i], "rb");
    if (!file) {
      failed(paths[i], "it cannot be opened; name a file that is there");
      return 1;
    }
    int is_good = image_of(paths[i], file);
    fclose(file);
    if (!is_good) return 1;
    bitnas_network(image, scores);
    int best = 0;
    for (int c = 1; c < BITNAS_OUTPUT_SIZE; ++c)
      if (scores[c] > scores[best]) best = c;
    printf("%s\t%s\n", paths[i], bitnas_classes[best]);
  }
  return 0;
}
