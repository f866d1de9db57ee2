/* The threads of a compiled network, linked into its library; ENTRY(name) makes each function that is called
   from outside.

   Every thread runs the whole function; what a loop does is split among them by the number that
   bitnas_thread() gives, and bitnas_barrier() ends each loop. The caller is thread 0. Waiting is spinning at
   first, for kernels take microseconds, and sleeping in the kernel of the system when it takes longer. */
#ifndef THREADS
#error "THREADS: how many threads run a network"
#endif

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#define SPINS 5000 /* some hundred microseconds, more than a loop over images pauses between two runs */
#define YIELD_EVERY 1000 /* spins, where there are more threads than cores */

typedef struct {
    int32_t type_index;
    int32_t padding;
    int64_t value;
} Any; /* TVMFFIAny */
typedef int (*Function)(void *, const Any *, int32_t, Any *);
extern void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message);

static _Thread_local int32_t number;
static atomic_uint arrived, phase;

static pthread_mutex_t one_call = PTHREAD_MUTEX_INITIALIZER; /* callers take turns */
static pthread_mutex_t sleeping = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static pthread_t workers[THREADS];
static int started; /* workers there are, thread 0 included */
static atomic_uint calls;
static atomic_int stopping;
static struct {
    Function function;
    void *self;
    const Any *arguments;
    int32_t count;
} call;

static inline void pause_briefly(unsigned spins) {
    if (spins % YIELD_EVERY == YIELD_EVERY - 1) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__ARM_ARCH_7A__)
    __asm__ volatile("yield");
#endif
}

int32_t bitnas_thread(void) { return number; }

/* Returns when all threads have come here; what they wrote before is then seen by all. */
int32_t bitnas_barrier(void) {
    unsigned now = atomic_load_explicit(&phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&arrived, 1, memory_order_acq_rel) == THREADS - 1) {
        atomic_store_explicit(&arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&phase, now + 1, memory_order_release);
        return 0;
    }
    for (unsigned spins = 0; atomic_load_explicit(&phase, memory_order_acquire) == now; spins++)
        pause_briefly(spins);
    return 0;
}

static void wait_for_call(unsigned last) {
    for (unsigned spins = 0; spins < SPINS; spins++) {
        if (atomic_load_explicit(&calls, memory_order_acquire) != last) return;
        pause_briefly(spins);
    }
    pthread_mutex_lock(&sleeping);
    while (atomic_load_explicit(&calls, memory_order_acquire) == last) pthread_cond_wait(&woken, &sleeping);
    pthread_mutex_unlock(&sleeping);
}

static void announce(void) {
    pthread_mutex_lock(&sleeping); /* so that nobody falls asleep between looking and sleeping */
    atomic_fetch_add_explicit(&calls, 1, memory_order_release);
    pthread_cond_broadcast(&woken);
    pthread_mutex_unlock(&sleeping);
}

static void *work(void *argument) {
    number = (int32_t)(intptr_t)argument;
    for (unsigned last = 0;; last++) {
        wait_for_call(last);
        if (atomic_load(&stopping)) return 0;
        Any ignored = {0};
        call.function(call.self, call.arguments, call.count, &ignored);
        bitnas_barrier();
    }
}

static void forget_workers(void) { /* in the child of a fork, which has no threads but its own */
    static const pthread_mutex_t fresh_mutex = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t fresh_condition = PTHREAD_COND_INITIALIZER;
    one_call = sleeping = fresh_mutex;
    woken = fresh_condition;
    started = 0;
    number = 0;
    atomic_store(&calls, 0);
    atomic_store(&arrived, 0);
}

static int start_workers(void) {
    if (started == 0) {
        static int told;
        if (!told && pthread_atfork(0, 0, forget_workers) == 0) told = 1;
        started = 1;
    }
    for (; started < THREADS; started++)
        if (pthread_create(&workers[started], 0, work, (void *)(intptr_t)started) != 0) return -1;
    return 0;
}

static int run(Function function, void *self, const Any *arguments, int32_t count, Any *result) {
    pthread_mutex_lock(&one_call);
    if (start_workers() != 0) {
        pthread_mutex_unlock(&one_call);
        TVMFFIErrorSetRaisedFromCStr("RuntimeError", "the system gives the network no more threads");
        return -1;
    }
    call.function = function, call.self = self, call.arguments = arguments, call.count = count;
    announce();
    int status = function(self, arguments, count, result);
    bitnas_barrier();
    pthread_mutex_unlock(&one_call);
    return status;
}

/* The library's code goes away when it is unloaded: no thread may be in it. */
__attribute__((destructor)) static void stop_workers(void) {
    atomic_store(&stopping, 1);
    announce();
    for (int i = 1; i < started; i++) pthread_join(workers[i], 0);
}

#define ENTRY(name)                                                                                      \
    extern int __tvm_ffi_threads_##name(void *, const Any *, int32_t, Any *);                            \
    __attribute__((visibility("default"))) int __tvm_ffi_##name(void *self, const Any *arguments,        \
                                                                int32_t count, Any *result) {            \
        return run(__tvm_ffi_threads_##name, self, arguments, count, result);                            \
    }
