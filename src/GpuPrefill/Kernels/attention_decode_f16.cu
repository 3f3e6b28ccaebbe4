// Attention of one query row a sequence over a cache of f16: attention_decode.cuh.
#include "attention_decode.cuh"

ATTENTION_DECODE(f16, 64)
ATTENTION_DECODE(f16, 128)
ATTENTION_DECODE(f16, 256)
