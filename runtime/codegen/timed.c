/* Functions that call a kernel as a network would, on two blocks of memory, to time it: TIMED(name, call) makes
   name(workspace, constants, count), which calls so often, and name_once(workspace, constants).

   They are in C rather than compiled by TVM, which takes as long for them as for the kernel. */
#include <tvm/ffi/c_api.h>

static inline unsigned char *block(const TVMFFIAny *argument) {
    const DLTensor *tensor = argument->type_index == kTVMFFITensor
                                 ? (const DLTensor *)((const char *)argument->v_obj + sizeof(TVMFFIObject))
                                 : (const DLTensor *)argument->v_ptr;
    return (unsigned char *)tensor->data + tensor->byte_offset;
}

#define TIMED(name, call)                                                                                   \
    int __tvm_ffi_##name(void *self, const TVMFFIAny *arguments, int32_t given, TVMFFIAny *result) {         \
        unsigned char *workspace = block(&arguments[0]), *constants = block(&arguments[1]);                 \
        for (int64_t left = arguments[2].v_int64; left > 0; left--) call;                                   \
        result->type_index = kTVMFFINone;                                                                   \
        return (void)self, (void)given, (void)workspace, (void)constants, 0;                                \
    }                                                                                                       \
    int __tvm_ffi_##name##_once(void *self, const TVMFFIAny *arguments, int32_t given, TVMFFIAny *result) {  \
        unsigned char *workspace = block(&arguments[0]), *constants = block(&arguments[1]);                 \
        call;                                                                                               \
        result->type_index = kTVMFFINone;                                                                   \
        return (void)self, (void)given, (void)workspace, (void)constants, 0;                                \
    }
