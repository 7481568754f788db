/* A CUDA driver over plain memory, to run the calls of `cuda.py` through a real C interface.
 * Streams do their work at once; what is recorded is counted, not replayed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int Status;
static int current, recording;

Status cuInit(unsigned flags) { return flags != 0; }
Status cuDriverGetVersion(int *version) { *version = 13000; return 0; }
Status cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal == 0 ? 0 : 101; }
Status cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, "Stub GPU", (size_t)length);
    return device;
}
Status cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : -1;
    return device;
}
Status cuDevicePrimaryCtxRetain(void **context, int device) { *context = &current; return device; }
Status cuCtxSetCurrent(void *context) { return context != &current; }
Status cuMemAlloc_v2(unsigned long long *address, size_t size) {
    if (size > ((size_t)1 << 40)) return 2;
    *address = (unsigned long long)(uintptr_t)malloc(size);
    return 0;
}
Status cuMemFree_v2(unsigned long long address) {
    free((void *)(uintptr_t)address);
    return 0;
}
Status cuMemAllocHost_v2(void **address, size_t size) { *address = malloc(size); return 0; }
Status cuMemFreeHost(void *address) { free(address); return 0; }
Status cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t size, void *stream) {
    memcpy((void *)(uintptr_t)to, from, size);
    return stream == 0;
}
Status cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t size, void *stream) {
    memcpy(to, (void *)(uintptr_t)from, size);
    return stream == 0;
}
Status cuStreamCreate(void **stream, unsigned flags) { *stream = malloc(1); return flags != 1; }
Status cuStreamDestroy_v2(void *stream) { free(stream); return 0; }
Status cuStreamSynchronize(void *stream) { return stream == 0; }
Status cuStreamBeginCapture_v2(void *stream, int mode) {
    recording = 1;
    return stream == 0 || mode != 1;
}
Status cuStreamEndCapture(void *stream, void **graph) {
    if (!recording) return 901;
    recording = 0;
    *graph = malloc(1);
    return stream == 0;
}
Status cuGraphInstantiateWithFlags(void **runnable, void *graph, unsigned long long flags) {
    *runnable = malloc(1);
    return graph == 0 || flags != 0;
}
Status cuGraphLaunch(void *runnable, void *stream) {
    return runnable == 0 || stream == 0;
}
Status cuGraphExecDestroy(void *runnable) { free(runnable); return 0; }
Status cuGraphDestroy(void *graph) { free(graph); return 0; }
Status cuGetErrorString(Status status, const char **text) {
    *text = status == 2 ? "out of memory" : 0;
    return 0;
}
