// Attention of several query rows a sequence over a cache of bf16: attention_prefill.cuh.
#include "attention_prefill.cuh"

ATTENTION_PREFILL(bf16, 64, 2)
ATTENTION_PREFILL(bf16, 128, 2)
ATTENTION_PREFILL(bf16, 256, 2)
ATTENTION_PREFILL(bf16, 64, 1)
ATTENTION_PREFILL(bf16, 128, 1)
ATTENTION_PREFILL(bf16, 256, 1)
