// Attention of one query row a sequence over a cache of fp8: attention_decode.cuh.
#include "attention_decode.cuh"

ATTENTION_DECODE(fp8, 64)
ATTENTION_DECODE(fp8, 128)
ATTENTION_DECODE(fp8, 256)
