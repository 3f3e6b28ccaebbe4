// Attention of several query rows a sequence over a cache of bf16: attention_prefill.cuh.
#include "attention_prefill.cuh"

ATTENTION_PREFILL(bf16, 64)
ATTENTION_PREFILL(bf16, 128)
ATTENTION_PREFILL(bf16, 256)
