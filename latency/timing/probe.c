/* Looks around on a device: any server of TVM's RPC runs this, whatever else is installed there.

   read_file(path: uint8[n], result: uint8[m]) -> bytes read, or -1
   use_cores(count) -> how many cores the session's thread may now use, the last of those it had */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int32_t type_index;
    int32_t padding;
    union {
        int64_t integer;
        void *pointer;
    } value;
} Any; /* TVMFFIAny */

typedef struct {
    void *data;
    struct {
        int32_t type, id;
    } device;
    int32_t dimensions;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} Tensor; /* DLTensor */

enum { INTEGER = 1, TENSOR_OBJECT = 70, OBJECT_HEADER = 24 };

static uint8_t *bytes(const Any *argument, int64_t *size) {
    char *found = argument->value.pointer;
    if (argument->type_index == TENSOR_OBJECT) found += OBJECT_HEADER;
    Tensor *tensor = (Tensor *)found;
    *size = tensor->shape[0];
    return (uint8_t *)tensor->data + tensor->byte_offset;
}

static int give(Any *result, int64_t value) {
    result->type_index = INTEGER;
    result->padding = 0;
    result->value.integer = value;
    return 0;
}

int __tvm_ffi_read_file(void *self, const Any *arguments, int32_t count, Any *result) {
    (void)self, (void)count;
    int64_t length, room;
    const uint8_t *path = bytes(&arguments[0], &length);
    uint8_t *into = bytes(&arguments[1], &room);
    char name[256] = {0};
    if (length >= (int64_t)sizeof name) return give(result, -1);
    memcpy(name, path, (size_t)length);
    FILE *file = fopen(name, "rb");
    if (!file) return give(result, -1);
    int64_t found = (int64_t)fread(into, 1, (size_t)room, file);
    fclose(file);
    return give(result, found);
}

int __tvm_ffi_use_cores(void *self, const Any *arguments, int32_t count, Any *result) {
    (void)self, (void)count;
    cpu_set_t allowed, wanted;
    int left = (int)arguments[0].value.integer;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return give(result, 0);
    CPU_ZERO(&wanted);
    for (int core = CPU_SETSIZE - 1; core >= 0 && left > 0; core--)
        if (CPU_ISSET(core, &allowed)) CPU_SET(core, &wanted), left--;
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) return give(result, 0);
    return give(result, CPU_COUNT(&wanted));
}
