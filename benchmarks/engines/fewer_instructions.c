/* Keeps a process to the instruction sets of an older CPU.
 *
 * Loaded before all libraries (LD_PRELOAD), it asks Linux to let the CPUID instruction fault, and answers in its
 * place without the sets that BITNAS_HIDE lists. A library that asks CPUID what there is then chooses other code.
 * CPUs of Intel can do that since Ivy Bridge, and virtual machines on them. Where it cannot be done, the process
 * ends with code 3.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

enum { EAX, EBX, ECX, EDX };

static const struct {
    const char *flag;
    unsigned leaf, part, place, bits;
} SETS[] = {
    {"avx", 1, 0, ECX, BIT(28) | BIT(12) | BIT(29)}, /* and FMA, F16C */
    {"avx2", 7, 0, EBX, BIT(5)},
    {"avx512", 7, 0, EBX, BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)},
    {"avx512", 7, 0, ECX, BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)},
    {"avx512", 7, 0, EDX, BIT(2) | BIT(3) | BIT(8) | BIT(23)},
    {"avx512", 7, 1, EAX, BIT(5)},
    {"avx512_vnni", 7, 0, ECX, BIT(11)},
    {"avx_vnni", 7, 1, EAX, BIT(4)},
    {"amx", 7, 0, EDX, BIT(22) | BIT(24) | BIT(25)},
    {"amx", 7, 1, EAX, BIT(21)},
};
#define COUNT (sizeof SETS / sizeof *SETS)

static char hidden[COUNT];

static int let_fault(int faults) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, !faults) == 0; }

static int usual_sigaction(int number, const struct sigaction *new, struct sigaction *old) {
    static int (*usual)(int, const struct sigaction *, struct sigaction *);
    if (!usual) *(void **)&usual = dlsym(RTLD_NEXT, "sigaction");
    return usual(number, new, old);
}

static void answer(int number, siginfo_t *info, void *given) {
    greg_t *registers = ((ucontext_t *)given)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) { /* another one comes again, and kills */
        struct sigaction usual = {.sa_handler = SIG_DFL};
        usual_sigaction(number, &usual, NULL);
        if (info->si_code <= 0) raise(number); /* a process sent it */
        return;
    }
    unsigned leaf = registers[REG_RAX], part = registers[REG_RCX], found[4];
    let_fault(0);
    __cpuid_count(leaf, part, found[EAX], found[EBX], found[ECX], found[EDX]);
    let_fault(1);
    for (unsigned i = 0; i < COUNT; i++)
        if (hidden[i] && SETS[i].leaf == leaf && (leaf == 1 || SETS[i].part == part))
            found[SETS[i].place] &= ~SETS[i].bits;
    registers[REG_RAX] = found[EAX];
    registers[REG_RBX] = found[EBX];
    registers[REG_RCX] = found[ECX];
    registers[REG_RDX] = found[EDX];
    registers[REG_RIP] += 2;
}

/* Libraries that print a trace where they crash must not take the handler's place. */
int sigaction(int number, const struct sigaction *new, struct sigaction *old) {
    return usual_sigaction(number, number == SIGSEGV ? NULL : new, old);
}

sighandler_t signal(int number, sighandler_t handler) {
    static sighandler_t (*usual)(int, sighandler_t);
    if (!usual) *(void **)&usual = dlsym(RTLD_NEXT, "signal");
    return number == SIGSEGV ? SIG_DFL : usual(number, handler);
}

__attribute__((constructor)) static void start(void) {
    char *listed = getenv("BITNAS_HIDE"), *rest = NULL;
    if (!listed) return;
    char words[256] = "";
    strncpy(words, listed, sizeof words - 1);
    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        for (unsigned i = 0; i < COUNT; i++)
            if (strcmp(word, SETS[i].flag) == 0) hidden[i] = 1;
    struct sigaction mine = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (usual_sigaction(SIGSEGV, &mine, NULL) != 0 || !let_fault(1)) _exit(3);
}
