/* Starts a program on a bare Cortex-M4: memory, floating point, then main; files are the debugger's (semihosting). */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t data_in_flash[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];
int main(int count, char **words);
void initialise_monitor_handles(void); /* newlib's: opens standard streams at the debugger */
void reset(void);
static void fault(void);

/* What the processor reads first: the stack, where to start, and where to go when something is wrong. */
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, reset, fault, fault, fault, fault, fault};

static int ask(int what, void *block) { /* ARM's semihosting: the debugger stops here and answers */
  register int number __asm__("r0") = what;
  register void *pointer __asm__("r1") = block;
  __asm__ volatile("bkpt 0xAB" : "+r"(number) : "r"(pointer) : "memory");
  return number;
}

static void fault(void) {
  static uint32_t reason[2] = {0x20023, 0}; /* ADP_Stopped_InternalError */
  ask(0x20, reason);                        /* SYS_EXIT_EXTENDED */
  for (;;) continue;
}

/* The command line, in words. */
static int words_of(char *line, char **words, int most) {
  int count = 0;
  while (count < most - 1) {
    while (*line == ' ') *line++ = 0;
    if (!*line) break;
    words[count++] = line;
    while (*line && *line != ' ') ++line;
  }
  words[count] = 0;
  return count;
}

__attribute__((used)) static void run(void) {
  static char line[1024], *words[32];
  struct { char *text; int length; } given = {line, sizeof line};
  for (uint32_t *to = data_start, *from = data_in_flash; to < data_end;) *to++ = *from++;
  for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
  initialise_monitor_handles();
  ask(0x15, &given); /* SYS_GET_CMDLINE */
  exit(main(words_of(line, words, 32), words));
}

/* No instruction of the floating-point unit may run before it is switched on. */
__attribute__((naked)) void reset(void) {
  __asm__ volatile(
      "ldr r0, =0xE000ED88\n" /* CPACR */
      "ldr r1, [r0]\n"
      "orr r1, r1, #0xF00000\n" /* coprocessors 10 and 11 */
      "str r1, [r0]\n"
      "dsb\n"
      "isb\n"
      "b run\n");
}

/* What newlib's exit and heap look for. */
void _init(void) {}
void _fini(void) {}
