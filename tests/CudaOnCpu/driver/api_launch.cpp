// Modules, kernels and graphs.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "api.h"

namespace cuda_on_cpu::driver {

namespace {

constexpr std::uint32_t kSharedWithoutAsking = 48 << 10;

// The newest PTX that a driver takes: CUDA 12.x reads ISA 8.x, 11.x reads 7.x.
int isa_max(int driver_version) {
    const int major = driver_version / 1000, minor = driver_version / 10 % 100;
    return (major - 4) * 10 + minor;
}

void write_log(unsigned count, const CUjit_option* options, void** values, const std::string& text) {
    char* log = nullptr;
    std::size_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char*>(values[i]);
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) bytes = reinterpret_cast<std::uintptr_t>(values[i]) & 0xffffffff;
    }
    if (log != nullptr && bytes != 0) std::snprintf(log, bytes, "%s", text.c_str());
}

CUresult check_target(const Options& options, const PtxText& ptx, std::string& why) {
    const int cc = options.cc_major * 10 + options.cc_minor;
    if (!ptx.wrong.empty()) {
        why = ptx.wrong;
        return CUDA_ERROR_INVALID_PTX;
    }
    if (ptx.isa > isa_max(options.driver_version)) {
        why = "PTX " + std::to_string(ptx.isa) + " is newer than the driver";
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    }
    if (ptx.target > cc || (ptx.is_exact && ptx.target != cc)) {
        why = "PTX for sm_" + std::to_string(ptx.target) + (ptx.is_exact ? "a" : "") + " on sm_" + std::to_string(cc);
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    return CUDA_SUCCESS;
}

CUresult check_launch(const World& w, const Function& function, const Grid& grid) {
    const std::uint32_t shared = grid.shared_bytes + function.entry.static_shared;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.threads == 0) return CUDA_ERROR_INVALID_VALUE;
    if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 || grid.threads > 1024) return CUDA_ERROR_INVALID_VALUE;
    if (grid.threads > function.entry.threads_max) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    if (grid.shared_bytes > function.dynamic_shared_max) return CUDA_ERROR_INVALID_VALUE;
    if (shared > static_cast<std::uint32_t>(shared_optin(w.options))) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    return CUDA_SUCCESS;
}

}  // namespace

}  // namespace cuda_on_cpu::driver

using namespace cuda_on_cpu;
using namespace cuda_on_cpu::driver;

CUresult cuModuleLoadDataEx(CUmodule* result, const void* image, unsigned count, CUjit_option* options, void** values) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) -> CUresult {
        if (result == nullptr || image == nullptr || (count != 0 && (options == nullptr || values == nullptr))) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        const auto module = std::make_shared<Module>();
        module->ptx = parse_ptx(static_cast<const char*>(image));
        std::string why;
        if (const CUresult wrong = check_target(w.options, module->ptx, why); wrong != CUDA_SUCCESS) {
            write_log(count, options, values, why);
            return wrong;
        }
        module->handle = new_handle();
        module->context = context;
        w.modules.add(module);
        *result = reinterpret_cast<CUmodule>(module->handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuModuleUnload(CUmodule handle) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        const ModulePtr module = w.modules.find(handle);
        if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        for (const auto& [name, function] : module->functions) w.functions.items.erase(function);
        w.modules.remove(handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuModuleGetFunction(CUfunction* result, CUmodule handle, const char* name) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        const ModulePtr module = w.modules.find(handle);
        if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        if (result == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (const auto known = module->functions.find(name); known != module->functions.end()) {
            *result = reinterpret_cast<CUfunction>(known->second);
            return CUDA_SUCCESS;
        }
        const auto entry = std::find_if(module->ptx.entries.begin(), module->ptx.entries.end(),
                                        [&](const PtxEntry& each) { return each.name == name; });
        const Kernel* const kernel = find_kernel(name);
        if (entry == module->ptx.entries.end()) return CUDA_ERROR_NOT_FOUND;
        if (kernel == nullptr) {
            std::fprintf(stderr, "cuda_on_cpu: %s is in the PTX but not in the build for the CPU\n", name);
            return CUDA_ERROR_NOT_FOUND;
        }
        if (kernel->args_bytes != entry->parameter_bytes) {
            std::fprintf(stderr, "cuda_on_cpu: %s takes %zu bytes in the PTX and %zu in the build for the CPU\n", name,
                         entry->parameter_bytes, kernel->args_bytes);
            return CUDA_ERROR_INVALID_IMAGE;
        }
        const auto function = std::make_shared<Function>();
        function->handle = new_handle();
        function->module = module;
        function->entry = *entry;
        function->kernel = kernel;
        function->dynamic_shared_max =
            entry->static_shared < kSharedWithoutAsking ? kSharedWithoutAsking - entry->static_shared : 0;
        module->functions[name] = function->handle;
        w.functions.add(function);
        *result = reinterpret_cast<CUfunction>(function->handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction handle) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        const FunctionPtr function = w.functions.find(handle);
        if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
        const auto threads = static_cast<int>(function->entry.threads_max);
        switch (attribute) {
            case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = threads; return CUDA_SUCCESS;
            case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = static_cast<int>(function->entry.static_shared); return CUDA_SUCCESS;
            case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
            case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *value = 0; return CUDA_SUCCESS;
            // Nothing here assigns registers. This many the launch bound leaves to each thread.
            case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = std::min(255, 65536 / threads); return CUDA_SUCCESS;
            case CU_FUNC_ATTRIBUTE_PTX_VERSION: *value = function->module->ptx.target; return CUDA_SUCCESS;
            case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = w.options.cc_major * 10 + w.options.cc_minor; return CUDA_SUCCESS;
            case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
                *value = static_cast<int>(function->dynamic_shared_max);
                return CUDA_SUCCESS;
            case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = -1; return CUDA_SUCCESS;
        }
        return CUDA_ERROR_INVALID_VALUE;
    });
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        const FunctionPtr function = w.functions.find(handle);
        if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
            return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        }
        if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
            value + static_cast<int>(function->entry.static_shared) > shared_optin(w.options)) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        function->dynamic_shared_max = static_cast<std::uint32_t>(value);
        return CUDA_SUCCESS;
    });
}

CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared_bytes, CUstream stream_handle, void** parameters, void** extra) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) -> CUresult {
        StreamPtr stream;
        const FunctionPtr function = w.functions.find(handle);
        if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        if (const CUresult result = find_stream(w, stream_handle, stream); result != CUDA_SUCCESS) return result;
        if (function->module->context != context || stream->context != context) return CUDA_ERROR_INVALID_HANDLE;
        // Our kernels know one dimension of threads, and take one struct.
        if (parameters == nullptr || parameters[0] == nullptr || extra != nullptr || block_y != 1 || block_z != 1) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        Work work;
        work.kind = Work::Kind::kernel;
        work.context = context;
        work.kernel = function->kernel;
        work.grid = {grid_x, grid_y, grid_z, block_x, shared_bytes};
        if (const CUresult result = check_launch(w, *function, work.grid); result != CUDA_SUCCESS) return result;
        if (w.fail_launch != 0 && w.fail_launch_kind == 0 && stream->capture == nullptr && --w.fail_launch == 0) {
            return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
        }
        work.args.resize((function->kernel->args_bytes + 7) / 8);
        {
            const Seen seen;
            std::memcpy(work.args.data(), parameters[0], function->kernel->args_bytes);
        }
        return submit(w, stream, std::move(work));
    });
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle, int threads, std::size_t shared_bytes) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        const FunctionPtr function = w.functions.find(handle);
        if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        if (blocks == nullptr || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
        // By threads, blocks and shared memory; registers are not known here.
        const int warps = (threads + 31) / 32;
        const auto shared = static_cast<int>(shared_bytes + function->entry.static_shared + 1024);
        *blocks = std::min({warps_max(w.options) / warps, blocks_max(w.options), (shared_optin(w.options) + 1024) / shared});
        if (threads > static_cast<int>(function->entry.threads_max)) *blocks = 0;
        return CUDA_SUCCESS;
    });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* result, CUgraph handle, unsigned long long flags) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) -> CUresult {
        const GraphPtr graph = w.graphs.find(handle);
        if (graph == nullptr || result == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
        const auto exec = std::make_shared<GraphExec>();
        exec->handle = new_handle();
        exec->context = context;
        exec->nodes = graph->nodes;
        cut_into_chains(w, *exec);
        w.execs.add(exec);
        *result = reinterpret_cast<CUgraphExec>(exec->handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuGraphUpload(CUgraphExec handle, CUstream stream_handle) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        if (w.execs.find(handle) == nullptr) return CUDA_ERROR_INVALID_VALUE;
        return find_stream(w, stream_handle, stream);
    });
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        const GraphExecPtr exec = w.execs.find(handle);
        if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult result = find_stream(w, stream_handle, stream); result != CUDA_SUCCESS) return result;
        if (stream->capture != nullptr) {
            stream->capture->is_invalid = true;
            return CUDA_ERROR_NOT_SUPPORTED;
        }
        Item item;
        item.work.context = stream->context;
        item.graph = exec;
        if (exec->last != nullptr) item.waits.push_back(exec->last);
        exec->last = enqueue(w, stream, std::move(item));
        return CUDA_SUCCESS;
    });
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
    return with_driver([&](World& w, Lock&) {
        if (w.execs.find(handle) == nullptr) return CUDA_ERROR_INVALID_VALUE;
        w.execs.remove(handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuGraphDestroy(CUgraph handle) {
    return with_driver([&](World& w, Lock&) {
        if (w.graphs.find(handle) == nullptr) return CUDA_ERROR_INVALID_VALUE;
        w.graphs.remove(handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, std::size_t* count) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        const GraphPtr graph = w.graphs.find(handle);
        if (graph == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (nodes != nullptr) {
            for (std::size_t i = 0; i < *count; ++i) {
                nodes[i] = i < graph->nodes.size() ? reinterpret_cast<CUgraphNode>(graph->nodes[i].handle) : nullptr;
            }
            *count = std::min(*count, graph->nodes.size());
        } else {
            *count = graph->nodes.size();
        }
        return CUDA_SUCCESS;
    });
}
