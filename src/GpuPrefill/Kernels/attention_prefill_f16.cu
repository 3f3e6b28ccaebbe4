// Attention of several query rows a sequence over a cache of f16: attention_prefill.cuh.
#include "attention_prefill.cuh"

ATTENTION_PREFILL(f16, 64)
ATTENTION_PREFILL(f16, 128)
ATTENTION_PREFILL(f16, 256)
