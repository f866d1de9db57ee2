/* Asks Linux for AMX's tile registers when a library that uses them is loaded: whoever loads it, a server of
   TVM's RPC for one, need not know. It is asked of a process once; to ask again changes nothing. */
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

__attribute__((constructor)) static void ask_for_tiles(void) {
    (void)syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
}
