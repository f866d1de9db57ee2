/* Runs a compiled network where there is no TVM: constants, an input and sizes come in as files.

   device CONSTANTS INPUT OUTPUT input_rank output_floats workspace_bytes output_rank SHAPES... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct { int32_t type, id; } Device;
typedef struct { uint8_t code, bits; uint16_t lanes; } Type;
typedef struct {
  void *data; Device device; int32_t ndim; Type type; int64_t *shape, *strides; uint64_t offset;
} Tensor;
typedef struct { int32_t kind, padding; union { int64_t number; void *pointer; }; } Any;

enum { CPU = 1, UINT = 1, FLOAT = 2, TENSOR_POINTER = 7 };

/* What the entry calls when its arguments are not as compiled. */
void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *text) { fprintf(stderr, "%s %s\n", kind, text); }
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  for (int32_t i = 0; i < count; ++i) fprintf(stderr, "%s %s\n", kind, parts[i]);
}

int32_t __tvm_ffi_network(void *self, Any *arguments, int32_t count, Any *result);

static void *block(size_t bytes) {
  void *found = NULL;
  if (posix_memalign(&found, 64, bytes ? bytes : 1)) exit(3);
  return found;
}

static void *contents(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (!file) exit(4);
  fseek(file, 0, SEEK_END);
  *bytes = (size_t)ftell(file);
  rewind(file);
  void *found = block(*bytes);
  if (fread(found, 1, *bytes, file) != *bytes) exit(5);
  fclose(file);
  return found;
}

int main(int count, char **words) {
  if (count < 8) return 2;
  size_t constant_bytes, input_bytes, output_bytes = strtoull(words[5], NULL, 10) * 4;
  size_t workspace_bytes = strtoull(words[6], NULL, 10);
  void *constants = contents(words[1], &constant_bytes), *input = contents(words[2], &input_bytes);
  float *output = block(output_bytes);
  int64_t input_shape[4], output_shape[4], constant_shape = (int64_t)constant_bytes;
  int64_t workspace_shape = (int64_t)workspace_bytes;
  int input_rank = atoi(words[4]), output_rank = atoi(words[7]);
  for (int i = 0; i < input_rank; ++i) input_shape[i] = atoll(words[8 + i]);
  for (int i = 0; i < output_rank; ++i) output_shape[i] = atoll(words[8 + input_rank + i]);
  Device cpu = {CPU, 0};
  Type number = {FLOAT, 32, 1}, byte = {UINT, 8, 1};
  Tensor tensors[4] = {
      {input, cpu, input_rank, number, input_shape, NULL, 0},
      {constants, cpu, 1, byte, &constant_shape, NULL, 0},
      {block(workspace_bytes), cpu, 1, byte, &workspace_shape, NULL, 0},
      {output, cpu, output_rank, number, output_shape, NULL, 0},
  };
  Any arguments[4], result = {0, 0, {0}};
  for (int i = 0; i < 4; ++i) {
    arguments[i].kind = TENSOR_POINTER;
    arguments[i].padding = 0;
    arguments[i].number = 0;
    arguments[i].pointer = &tensors[i];
  }
  if (__tvm_ffi_network(NULL, arguments, 4, &result)) return 6;
  FILE *file = fopen(words[3], "wb");
  if (!file || fwrite(output, 1, output_bytes, file) != output_bytes) return 7;
  return fclose(file) ? 8 : 0;
}
