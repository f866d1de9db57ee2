# make                      the program `classify` for this machine: ./classify IMAGE.ppm
# make NO_LIBM=1            the same without math.h and the mathematical library
# make size                 flash and RAM of network.c on a Cortex-M4, by arm-none-eabi-gcc
CC ?= cc
CFLAGS ?= -O3 -march=native
CROSS ?= arm-none-eabi-
CORTEX ?= -O2 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16
# One rounding for each operation: else a compiler may fuse some, and outputs differ in their last digits.
EXACT := -std=c99 -ffp-contract=off

ifdef NO_LIBM
EXACT += -DBITNAS_NO_LIBM
else
LIBM := -lm
endif

.PHONY: size clean

classify: main.c network.c network.h images.h
	$(CC) $(EXACT) $(CFLAGS) main.c network.c -o $@ $(LIBM)

size: network.c network.h
	$(CROSS)gcc $(EXACT) $(CORTEX) -c network.c -o network.o
	$(CROSS)size network.o
	rm -f network.o

clean:
	rm -f classify network.o
