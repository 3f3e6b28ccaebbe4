// The C ABI, its first half: the machine, the device and memory. Operations: abi_ops.cpp.
#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "bandwidth.h"
#include "check.h"
#include "guard.h"
#include "handles.h"
#include "topology.h"

using lk::guarded;
using lk::require;

// The same numbers as in the managed mirror's tests.
static_assert(sizeof(lk_device_config) == 48 && offsetof(lk_device_config, cores) == 32);
static_assert(sizeof(lk_experts_config) == 24 && offsetof(lk_experts_config, intermediate) == 20);
static_assert(sizeof(lk_slice) == 24 && offsetof(lk_slice, node) == 20);
static_assert(sizeof(lk_tensor) == 32 && offsetof(lk_tensor, type) == 24);
static_assert(sizeof(lk_router) == 40 && offsetof(lk_router, scoring) == 16 && offsetof(lk_router, scale) == 36);
static_assert(sizeof(lk_kv_layer) == 80 && offsetof(lk_kv_layer, page_size) == 64);
static_assert(sizeof(lk_attention_batch) == 40 && offsetof(lk_attention_batch, pages_per_sequence) == 36);

namespace {

std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }

// How a slice of a view looks from outside; empty slices are left out.
void export_slice(const lk::MatrixView& view, const lk::Placement& placement, int32_t index, lk_slice* out) {
    int32_t at = 0;
    for (const lk::Slice& slice : view.slices) {
        if (slice.row_count == 0 || at++ != index) continue;
        const int node = placement.ranks[static_cast<std::size_t>(slice.rank)].node;
        *out = {slice.data, slice.row_start, slice.row_count, slice.rank, node};
        return;
    }
    throw lk::InvalidArgument("no slice has this index");
}

int32_t count_slices(const lk::MatrixView& view) {
    return static_cast<int32_t>(std::count_if(view.slices.begin(), view.slices.end(),
                                              [](const lk::Slice& slice) { return slice.row_count > 0; }));
}

}  // namespace

extern "C" {

uint32_t lk_abi_version(void) { return LK_ABI_VERSION; }

const char* lk_last_error(void) { return lk::last_error; }

lk_status lk_topology_describe(const char* root, char* text, uint32_t capacity, uint32_t* out_length) {
    return guarded([&] {
        require(out_length != nullptr, "out_length must be set");
        require(text != nullptr || capacity == 0, "text must be set");
        const std::string json = lk::to_json(lk::read_topology(text_or_empty(root)));
        *out_length = static_cast<uint32_t>(json.size());
        if (capacity == 0) return;
        const std::size_t count = std::min<std::size_t>(capacity - 1, json.size());
        std::memcpy(text, json.data(), count);
        text[count] = '\0';
    });
}

lk_status lk_memory_available(uint64_t* out_bytes) {
    return guarded([&] {
        require(out_bytes != nullptr, "out_bytes must be set");
        *out_bytes = lk::memory_available("");
    });
}

lk_status lk_device_create(const lk_device_config* config, lk_device** out_device) {
    return guarded([&] {
        require(config != nullptr && out_device != nullptr, "config and out_device must be set");
        require(config->struct_size == sizeof(lk_device_config), "lk_device_config: size differs, rebuild");
        require(config->binding == LK_BIND_CPU_CORE || config->binding == LK_BIND_NUMA_NODE, "binding is not known");
        require(config->park_micros >= 0, "park_micros must not be negative");
        lk::Device::Options options;
        options.threads = {config->threads, config->binding == LK_BIND_NUMA_NODE, text_or_empty(config->cores)};
        options.pool = {config->power_saving != 0, config->park_micros};
        options.interleave = config->interleave != 0;
        options.exact_gemm = config->exact_gemm != 0;
        options.root = text_or_empty(config->root);
        *out_device = new lk_device{lk::Device(options)};
    });
}

void lk_device_destroy(lk_device* device) { delete device; }

lk_status lk_device_describe(const lk_device* device, const char** out_text) {
    return guarded([&] {
        require(device != nullptr && out_text != nullptr, "device and out_text must be set");
        *out_text = device->device.description().c_str();
    });
}

lk_status lk_device_attach(lk_device* device) {
    return guarded([&] {
        require(device != nullptr, "device must be set");
        // Where pinning is denied, the device's warnings say so already.
        device->device.pool().attach();
    });
}

lk_status lk_device_parked(const lk_device* device, int32_t* out_workers) {
    return guarded([&] {
        require(device != nullptr && out_workers != nullptr, "device and out_workers must be set");
        *out_workers = device->device.pool().parked();
    });
}

lk_status lk_bandwidth(lk_device* device, int32_t millis, double* rates, int32_t capacity, int32_t* out_ranks) {
    return guarded([&] {
        require(device != nullptr && out_ranks != nullptr, "device and out_ranks must be set");
        require(rates != nullptr || capacity == 0, "rates must be set");
        require(millis > 0 && millis <= 60'000, "millis must be 1 to 60000");
        const std::lock_guard lock(device->device.busy());
        const std::vector<double> measured = lk::measure_bandwidth(device->device, millis);
        *out_ranks = static_cast<int32_t>(measured.size());
        std::copy_n(measured.begin(),
                    std::min<std::size_t>(measured.size(), static_cast<std::size_t>(std::max(capacity, 0))), rates);
    });
}

lk_status lk_buffer_create(lk_device* device, uint64_t bytes, lk_buffer** out_buffer, void** out_address) {
    return guarded([&] {
        require(device != nullptr && out_buffer != nullptr && out_address != nullptr,
                "device, out_buffer and out_address must be set");
        auto* const buffer = new lk_buffer{lk::Block(bytes, lk::Residence{device->device.placement().interleave}, "")};
        *out_buffer = buffer;
        *out_address = buffer->block.data();
    });
}

void lk_buffer_destroy(lk_buffer* buffer) { delete buffer; }

lk_status lk_matrix_create(lk_device* device, lk_dtype type, int32_t rows, int32_t columns, lk_matrix** out_matrix) {
    return guarded([&] {
        require(device != nullptr && out_matrix != nullptr, "device and out_matrix must be set");
        require(rows > 0 && columns > 0, "a matrix has at least one row and one column");
        const lk::Format format = lk::to_format(type);
        auto* const matrix =
            new lk_matrix{lk::Matrix(format, rows, columns, device->device.placement()), device->device.placement()};
        *out_matrix = matrix;
        const std::lock_guard lock(device->device.busy());
        device->device.settle(matrix->matrix.blocks());
    });
}

void lk_matrix_destroy(lk_matrix* matrix) { delete matrix; }

lk_status lk_matrix_slice_count(const lk_matrix* matrix, int32_t* out_count) {
    return guarded([&] {
        require(matrix != nullptr && out_count != nullptr, "matrix and out_count must be set");
        *out_count = count_slices(matrix->matrix.view());
    });
}

lk_status lk_matrix_slice(const lk_matrix* matrix, int32_t index, lk_slice* out_slice) {
    return guarded([&] {
        require(matrix != nullptr && out_slice != nullptr, "matrix and out_slice must be set");
        export_slice(matrix->matrix.view(), matrix->placement, index, out_slice);
    });
}

lk_status lk_experts_create(lk_device* device, const lk_experts_config* config, lk_experts** out_experts) {
    return guarded([&] {
        require(device != nullptr && config != nullptr && out_experts != nullptr,
                "device, config and out_experts must be set");
        require(config->struct_size == sizeof(lk_experts_config), "lk_experts_config: size differs, rebuild");
        require(config->experts > 0 && config->hidden > 0 && config->intermediate > 0, "sizes must be positive");
        require(config->top_k > 0 && config->top_k <= config->experts, "top_k must be 1 to experts");
        const lk::ExpertBank::Shape shape{lk::to_format(config->type), config->experts, config->hidden,
                                          config->intermediate};
        auto* const experts =
            new lk_experts{lk::ExpertBank(shape, device->device.placement()), device->device.placement()};
        *out_experts = experts;
        const std::lock_guard lock(device->device.busy());
        device->device.settle(experts->bank.blocks());
    });
}

void lk_experts_destroy(lk_experts* experts) { delete experts; }

lk_status lk_experts_slice_count(const lk_experts* experts, lk_part part, int32_t* out_count) {
    return guarded([&] {
        require(experts != nullptr && out_count != nullptr, "experts and out_count must be set");
        *out_count = count_slices(experts->bank.view(0, lk::to_part(part)));
    });
}

lk_status lk_experts_slice(const lk_experts* experts, int32_t expert, lk_part part, int32_t index,
                           lk_slice* out_slice) {
    return guarded([&] {
        require(experts != nullptr && out_slice != nullptr, "experts and out_slice must be set");
        require(expert >= 0 && expert < experts->bank.shape().experts, "no expert has this number");
        export_slice(experts->bank.view(expert, lk::to_part(part)), experts->placement, index, out_slice);
    });
}

}  // extern "C"
