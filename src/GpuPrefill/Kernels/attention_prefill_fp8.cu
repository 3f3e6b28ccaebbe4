// Attention of several query rows a sequence over a cache of fp8: attention_prefill.cuh.
#include "attention_prefill.cuh"

ATTENTION_PREFILL(fp8, 64, 2)
ATTENTION_PREFILL(fp8, 128, 2)
ATTENTION_PREFILL(fp8, 256, 2)
ATTENTION_PREFILL(fp8, 64, 1)
ATTENTION_PREFILL(fp8, 128, 1)
ATTENTION_PREFILL(fp8, 256, 1)
