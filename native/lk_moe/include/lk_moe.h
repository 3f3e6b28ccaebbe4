/*
 * lk_moe: everything that a mixture-of-experts model computes on CPUs, on pinned threads, next to the
 * memory that each NUMA node owns. This header is the whole contract.
 *
 * - Every call returns a status; lk_last_error() has the sentence, per thread, until that thread's next call.
 * - Structs begin with their size, as the caller sees it; another size is refused.
 * - Activations are f32. Weights and KV caches are f32, bf16 or f16.
 * - One device runs one operation at a time; calls from several threads are taken one after the other.
 * - No call reads the environment, but for LK_ISA when a device is made; nothing is written to stdout or stderr.
 */
#ifndef LK_MOE_H
#define LK_MOE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_ABI_VERSION 2

#if defined(__GNUC__)
#define LK_API __attribute__((visibility("default")))
#else
#define LK_API
#endif

typedef int32_t lk_status;
enum {
    LK_OK = 0,
    LK_INVALID_ARGUMENT = 1,
    LK_OUT_OF_MEMORY = 2,
    LK_INTERNAL = 3,
    LK_TIMED_OUT = 4,  /* nobody asked in time */
    LK_PEER_FAULT = 5, /* the other side of a mailbox has given up */
};

/* The numbers are those of LsglangSharp.Runtime.Primitives.DType. */
typedef int32_t lk_dtype;
enum {
    LK_F32 = 0,
    LK_F16 = 1,
    LK_BF16 = 2,
    LK_I32 = 3,
};

typedef int32_t lk_binding;
enum {
    LK_BIND_CPU_CORE = 0,  /* a worker a core */
    LK_BIND_NUMA_NODE = 1, /* a worker may move between the cores of its node */
};

typedef int32_t lk_scoring;
enum {
    LK_SOFTMAX = 0,
    LK_SIGMOID = 1,
};

typedef int32_t lk_part;
enum {
    LK_GATE = 0, /* [intermediate, hidden] */
    LK_UP = 1,   /* [intermediate, hidden] */
    LK_DOWN = 2, /* [hidden, intermediate] */
};

typedef struct lk_device lk_device;
typedef struct lk_buffer lk_buffer;
typedef struct lk_matrix lk_matrix;
typedef struct lk_experts lk_experts;

LK_API uint32_t lk_abi_version(void);

/* Why this thread's last call failed. Never null. */
LK_API const char* lk_last_error(void);

/* ---- the machine ---- */

/*
 * What sysfs, procfs and cgroups say, as JSON: packages, nodes, cores, limits, warnings. `root` is put before
 * /sys and /proc; null means the real ones. Writes at most `capacity` bytes, the final zero included, and always says
 * in `out_length` how long the text is without it.
 */
LK_API lk_status lk_topology_describe(const char* root, char* text, uint32_t capacity, uint32_t* out_length);

/* Bytes that may still be allocated without being killed for it: what the system and the cgroup leave, less promises.
 */
LK_API lk_status lk_memory_available(uint64_t* out_bytes);

/* ---- the device: a pool of pinned workers, and memory ---- */

typedef struct lk_device_config {
    uint32_t struct_size;
    int32_t threads;         /* 0: chosen from the cores that this process may use */
    lk_binding binding;
    int32_t power_saving;    /* 1: idle workers yield and park earlier */
    int32_t interleave;      /* 1: memory is spread over all nodes, page by page */
    int32_t exact_gemm;      /* 1: activations stay f32 for any number of tokens */
    int32_t park_micros;     /* idle time before workers park; 0: the default */
    int32_t reserved;
    const char* cores;       /* "0-42|43-85": the cores of each rank; null: chosen */
    const char* root;        /* as in lk_topology_describe */
} lk_device_config;

LK_API lk_status lk_device_create(const lk_device_config* config, lk_device** out_device);

/* Everything that was made on the device must be destroyed before. */
LK_API void lk_device_destroy(lk_device* device);

/* JSON: isa, threads, ranks with their node and cores, warnings. Lives as long as the device. */
LK_API lk_status lk_device_describe(const lk_device* device, const char** out_text);

/* Binds the calling thread to the core (or node) that the pool keeps for the thread that runs the operations. */
LK_API lk_status lk_device_attach(lk_device* device);

/* How many workers are parked now; the calling thread is not one of them. */
LK_API lk_status lk_device_parked(const lk_device* device, int32_t* out_workers);

/*
 * Reads memory of each rank's own node on the rank's threads for `millis`, all ranks at once. Writes the bytes per
 * second of each rank and returns how many there are; at most `capacity` are written.
 */
LK_API lk_status lk_bandwidth(lk_device* device, int32_t millis, double* rates, int32_t capacity, int32_t* out_ranks);

/* ---- memory ---- */

/* Zeroed, 64-byte aligned. */
LK_API lk_status lk_buffer_create(lk_device* device, uint64_t bytes, lk_buffer** out_buffer, void** out_address);
LK_API void lk_buffer_destroy(lk_buffer* buffer);

/* Rows [row_start, row_start + row_count) of a weight, contiguous at `address`, in the memory of `node`. */
typedef struct lk_slice {
    void* address;
    int32_t row_start;
    int32_t row_count;
    int32_t rank;
    int32_t node;
} lk_slice;

LK_API lk_status lk_matrix_create(lk_device* device, lk_dtype type, int32_t rows, int32_t columns,
                                  lk_matrix** out_matrix);
LK_API void lk_matrix_destroy(lk_matrix* matrix);
LK_API lk_status lk_matrix_slice_count(const lk_matrix* matrix, int32_t* out_count);
LK_API lk_status lk_matrix_slice(const lk_matrix* matrix, int32_t index, lk_slice* out_slice);

/* The routed experts of one layer; every expert lies on every rank, sliced by rows. */
typedef struct lk_experts_config {
    uint32_t struct_size;
    lk_dtype type;
    int32_t experts;
    int32_t top_k;
    int32_t hidden;
    int32_t intermediate;
} lk_experts_config;

LK_API lk_status lk_experts_create(lk_device* device, const lk_experts_config* config, lk_experts** out_experts);
LK_API void lk_experts_destroy(lk_experts* experts);
LK_API lk_status lk_experts_slice_count(const lk_experts* experts, lk_part part, int32_t* out_count);
LK_API lk_status lk_experts_slice(const lk_experts* experts, int32_t expert, lk_part part, int32_t index,
                                  lk_slice* out_slice);

/* ---- operations ---- */

/* Row-major, rows `row_stride` elements apart. */
typedef struct lk_tensor {
    void* data;
    int64_t row_stride;
    int32_t rows;
    int32_t columns;
    lk_dtype type;
    int32_t reserved;
} lk_tensor;

/* Keys and values of one layer: [page][kv head][slot in page][head dimension]; rows = pages * kv_heads * page_size. */
typedef struct lk_kv_layer {
    lk_tensor keys;
    lk_tensor values;
    int32_t page_size;
    int32_t kv_heads;
    int32_t head_dim;
    int32_t reserved;
} lk_kv_layer;

/*
 * Sequence i owns the rows [query_starts[i], query_starts[i + 1]) of q and y, and its last row is at position
 * context_lengths[i] - 1. Row i of page_tables holds the pages of its context, in order.
 */
typedef struct lk_attention_batch {
    const int32_t* query_starts;
    const int32_t* context_lengths;
    const int32_t* page_tables;
    int64_t page_table_stride;
    int32_t sequences;
    int32_t pages_per_sequence;
} lk_attention_batch;

/* How experts are chosen. */
typedef struct lk_router {
    const float* correction;  /* [experts], added to the scores for choosing, not for the weights; null: none */
    const int32_t* live_rows; /* rows from this count on get experts -1 and weights 0; null: there are none */
    lk_scoring scoring;
    int32_t renormalize; /* 1: the kept weights are divided by their sum */
    int32_t groups;      /* 1 to 32 groups of neighbouring experts, as large as each other */
    int32_t groups_kept; /* so many can be chosen from */
    int32_t group_best;  /* a group is worth its best score (1) or the sum of its two best (2) */
    float scale;         /* multiplies the weights, after all else */
} lk_router;

/* y[t] = table[ids[t]] */
LK_API lk_status lk_embed(lk_device* device, const lk_matrix* table, const int32_t* ids, const lk_tensor* y);

/* Each `width` elements of a row are divided by their root mean square and multiplied by the weight; y may be x. */
LK_API lk_status lk_rms_norm(lk_device* device, const lk_tensor* x, const float* weight, int32_t width, float epsilon,
                             const lk_tensor* y);

/* y = x w' + bias, or y += ...; bias may be null. */
LK_API lk_status lk_linear(lk_device* device, const lk_tensor* x, const lk_matrix* w, const float* bias,
                           const lk_tensor* y, int32_t accumulate);

/* cos_sin[t] = cosines, then sines, of (float)positions[t] * frequencies[i], times scale. */
LK_API lk_status lk_rotary_angles(lk_device* device, const int32_t* positions, const float* frequencies, float scale,
                                  const lk_tensor* cos_sin);

/* Rotates in place the first cos_sin->columns elements of each head. */
LK_API lk_status lk_rotate(lk_device* device, const lk_tensor* x, int32_t head_dim, const lk_tensor* cos_sin,
                           int32_t interleaved);

/* k[t] and v[t] to slots[t] of the cache, rounded to its type; slot -1 stores nothing. */
LK_API lk_status lk_write_kv(lk_device* device, const lk_tensor* k, const lk_tensor* v, const lk_kv_layer* cache,
                             const int32_t* slots);

/*
 * Causal softmax attention. window 0: none. sinks: a score for each query head that joins the softmax's denominator
 * without a value; may be null. Rows of a sequence whose context length is 0 become zeros.
 */
LK_API lk_status lk_attention(lk_device* device, const lk_tensor* q, const lk_kv_layer* cache,
                              const lk_attention_batch* batch, float scale, int32_t window, const float* sinks,
                              const lk_tensor* y);

/* y += down(silu(gate x) * (up x)) */
LK_API lk_status lk_gated_mlp(lk_device* device, const lk_tensor* x, const lk_matrix* gate, const lk_matrix* up,
                              const lk_matrix* down, const lk_tensor* y);

/* Scores, then the k = experts->columns best of each row, the best first, ties to the lower expert. */
LK_API lk_status lk_route(lk_device* device, const lk_tensor* x, const lk_matrix* gate, const lk_router* router,
                          const lk_tensor* experts, const lk_tensor* weights);

/* y[i] = x[rows[i]] */
LK_API lk_status lk_gather_rows(lk_device* device, const lk_tensor* x, const int32_t* rows, const lk_tensor* y);

/* indices[t] = the first index of the largest element of row t, or of its first NaN. */
LK_API lk_status lk_argmax(lk_device* device, const lk_tensor* x, int32_t* indices);

/* y[t] += x[t] */
LK_API lk_status lk_add(lk_device* device, const lk_tensor* x, const lk_tensor* y);

/*
 * y[t] = sum over k of weights[t][k] * expert experts[t][k] of x[t]; an expert of -1 adds nothing, one that is named
 * twice counts twice. y must not be x.
 */
LK_API lk_status lk_moe(lk_device* device, const lk_experts* bank, const lk_tensor* x, const lk_tensor* experts,
                        const lk_tensor* weights, const lk_tensor* y);

/* ---- the mailbox: rows come from another processor, and their sums go back, without a call in between ---- */

/*
 * Memory that both sides see. The client writes x, experts and weights, then raises `request` to 1 (release). The
 * server writes y, lowers `request` to 0 and raises `done` to 1 (release). The client reads y, lowers `done` to 0 and
 * may ask again. Each flag lies alone in its cache lines: 128 bytes, because processors fetch lines in pairs.
 */
typedef struct lk_mailbox_slot {
    uint32_t* request;
    uint32_t* done;
    const float* x;         /* [rows, hidden], rows close together, as all four */
    const int32_t* experts; /* [rows, top_k of the request]; -1 adds nothing */
    const float* weights;   /* [rows, top_k of the request] */
    float* y;               /* [rows, hidden] */
} lk_mailbox_slot;

/* What a done flag says beside 0. */
enum {
    LK_MAILBOX_ANSWER = 1,
    LK_MAILBOX_NO_ANSWER = 2, /* y stays as it is: the fault word has the reason */
};

/* Whoever gives up says so here, and nobody waits any longer. Zero while all is well. */
typedef uint32_t lk_mailbox_fault;
enum {
    LK_MAILBOX_CLIENT_TIMED_OUT = 1, /* no answer came in time */
    LK_MAILBOX_SERVER_TIMED_OUT = 2, /* no request came in time */
    LK_MAILBOX_SERVER_FAILED = 3,
};

typedef struct lk_mailbox {
    uint32_t struct_size;
    int32_t slots;
    int32_t rows_max;
    int32_t hidden;
    uint32_t* fault;
    const lk_mailbox_slot* slot;
} lk_mailbox;

/* What comes next in a slot. */
typedef struct lk_mailbox_request {
    const lk_experts* bank;
    int32_t slot;
    int32_t top_k;
} lk_mailbox_request;

/*
 * Serves `count` requests in their order, each as soon as its flag is up: y = lk_moe of the first `rows` rows. Waits at
 * most timeout_micros for each, spinning as the pool does. `out_served` says how many were answered, also on failure.
 * On failure the fault word is set (unless the client has set it) and every done flag says that no answer will come, so
 * that the client never waits; flags and fault word then stay as they are until both sides are at rest and somebody clears them.
 */
LK_API lk_status lk_mailbox_serve(lk_device* device, const lk_mailbox* mailbox, const lk_mailbox_request* requests,
                                  int32_t count, int32_t rows, int64_t timeout_micros, int32_t* out_served);

#ifdef __cplusplus
}
#endif

#endif /* LK_MOE_H */
