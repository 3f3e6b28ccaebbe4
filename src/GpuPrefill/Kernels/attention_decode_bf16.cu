// Attention of one query row a sequence over a cache of bf16: attention_decode.cuh.
#include "attention_decode.cuh"

ATTENTION_DECODE(bf16, 64)
ATTENTION_DECODE(bf16, 128)
ATTENTION_DECODE(bf16, 256)
