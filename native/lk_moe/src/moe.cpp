// Routed experts, and the dense gated MLP as the case of one expert.
//
// Tokens are grouped by expert, so that each expert's weights are read once however many tokens share it. Two barriers:
// all gate and up rows of all active experts (silu and the routing weight applied where they arise), then all down
// rows, where the worker that owns a row of the output adds up all experts. Few tokens an expert: gemv, bound by
// reading the weights. Many: packed activations and gemm; the second phase then packs behind a barrier of its own.
#include <algorithm>
#include <cstring>

#include "ops.h"

namespace lk {
namespace {

constexpr std::size_t kTileTokens = 2 * kPackTokens;

// One expert's rows of the sorted assignments.
struct Group {
    std::uint32_t expert;
    std::uint32_t first;
    std::uint32_t count;
};

// Up to kTileTokens assignments of a group that meet a row chunk together.
struct Tile {
    std::uint32_t group;
    std::uint32_t first;
    std::uint32_t count;
};

// Assignments sorted by expert: the token of each and its weight.
struct Plan {
    std::uint32_t* tokens = nullptr;
    float* weights = nullptr;
    Group* groups = nullptr;
    Tile* tiles = nullptr;
    std::size_t* packed = nullptr;  // where each tile's packed activations begin
    std::size_t count = 0;
    std::size_t group_count = 0;
    std::size_t tile_count = 0;
    std::size_t tokens_of_largest = 0;
};

// Where the weights of an expert lie.
struct Experts {
    const ExpertBank* bank = nullptr;  // or else the three matrices
    MatrixView dense[kParts];
    Format format = Format::f32;
    std::size_t count = 1;
    std::size_t hidden = 0;
    std::size_t intermediate = 0;

    MatrixView view(std::size_t expert, Part part) const {
        return bank != nullptr ? bank->view(static_cast<int>(expert), part) : dense[static_cast<std::size_t>(part)];
    }
};

struct Job {
    Device& device;
    const Experts& experts;
    const Plan& plan;
    const Grid& x;
    const Grid& y;
    float* activations;  // [assignment][intermediate]
    std::byte* packed;
    bool clear;          // y starts from zero
    const Gemm& gemm;

    bool by_gemv(const Tile& tile) const { return tile.count <= gemv_tokens_max(gemm); }
    bool few() const { return plan.tokens_of_largest <= gemv_tokens_max(gemm); }
};

// Memory for a plan of so many assignments, taken apart from one block.
Plan reserve_plan(Device& device, std::size_t assignments, std::size_t experts) {
    const std::size_t groups = std::min(assignments, experts);
    const std::size_t tiles = groups + assignments / kTileTokens;
    auto* at = static_cast<std::byte*>(device.shared(Use::plan).reserve(
        tiles * (sizeof(std::size_t) + sizeof(Tile)) + groups * sizeof(Group) + assignments * 8));
    Plan plan;
    const auto take = [&]<typename T>(T*& target, std::size_t count) {
        target = reinterpret_cast<T*>(at);
        at += count * sizeof(T);
    };
    take(plan.packed, tiles);
    take(plan.tiles, tiles);
    take(plan.groups, groups);
    take(plan.tokens, assignments);
    take(plan.weights, assignments);
    return plan;
}

void cut_tiles(Plan& plan) {
    for (std::size_t g = 0; g < plan.group_count; ++g) {
        const Group& group = plan.groups[g];
        plan.tokens_of_largest = std::max<std::size_t>(plan.tokens_of_largest, group.count);
        for (std::uint32_t done = 0; done < group.count; done += kTileTokens) {
            const auto count = std::min<std::uint32_t>(kTileTokens, group.count - done);
            plan.tiles[plan.tile_count++] = {static_cast<std::uint32_t>(g), group.first + done, count};
        }
    }
}

Plan group_routes(Device& device, const RoutesView& routes, std::size_t tokens, std::size_t experts) {
    Plan plan = reserve_plan(device, tokens * routes.k, experts);
    auto* const ends = device.shared(Use::scores).reserve_of<std::uint32_t>(experts);
    std::fill_n(ends, experts, 0u);

    // An expert that a token names again is met once, with the sum of the weights.
    const auto for_assignments = [&](const auto& body) {
        for (std::size_t t = 0; t < tokens; ++t) {
            const std::int32_t* const named = routes.experts + t * routes.expert_stride;
            const float* const weights = routes.weights + t * routes.weight_stride;
            for (std::size_t i = 0; i < routes.k; ++i) {
                if (named[i] < 0 || std::find(named, named + i, named[i]) != named + i) continue;
                float weight = weights[i];
                for (std::size_t j = i + 1; j < routes.k; ++j) weight += named[j] == named[i] ? weights[j] : 0.0f;
                body(static_cast<std::size_t>(named[i]), t, weight);
            }
        }
    };
    for_assignments([&](std::size_t expert, std::size_t, float) { ++ends[expert]; });
    std::uint32_t first = 0;
    for (std::size_t e = 0; e < experts; ++e) {
        const std::uint32_t count = ends[e];
        if (count > 0) plan.groups[plan.group_count++] = {static_cast<std::uint32_t>(e), first, count};
        ends[e] = first;
        first += count;
    }
    plan.count = first;
    for_assignments([&](std::size_t expert, std::size_t token, float weight) {
        plan.tokens[ends[expert]] = static_cast<std::uint32_t>(token);
        plan.weights[ends[expert]++] = weight;
    });
    cut_tiles(plan);
    return plan;
}

Plan group_all(Device& device, std::size_t tokens) {
    Plan plan = reserve_plan(device, tokens, 1);
    plan.groups[0] = {0, 0, static_cast<std::uint32_t>(tokens)};
    plan.group_count = 1;
    plan.count = tokens;
    for (std::size_t t = 0; t < tokens; ++t) {
        plan.tokens[t] = static_cast<std::uint32_t>(t);
        plan.weights[t] = 1.0f;
    }
    cut_tiles(plan);
    return plan;
}

// silu(gate) * up * weight for a tile and a chunk of rows; gate and up are [tokens][chunk].
void activate(const Job& job, const Tile& tile, std::size_t row, std::size_t count, const float* gate, const float* up,
              std::size_t stride) {
    for (std::size_t i = 0; i < tile.count; ++i) {
        const std::size_t assignment = tile.first + i;
        job.device.kernels().silu_mul(gate + i * stride, up + i * stride, job.plan.weights[assignment],
                                      job.activations + assignment * job.experts.intermediate + row, count);
    }
}

struct Chunk {
    std::size_t first;
    std::size_t count;
};

void gate_up_few(const Job& job, const Worker& worker, const Tile& tile, Chunk chunk, float* memory) {
    const Group& group = job.plan.groups[tile.group];
    const auto gemv = job.device.kernels().gemv[index_of(job.experts.format)];
    float* const outputs[2] = {memory, memory + kTileTokens * chunk.count};
    std::size_t row = 0;
    for (const Part part : {Part::gate, Part::up}) {
        const MatrixView view = job.experts.view(group.expert, part);
        const Slice& slice = view.slices[static_cast<std::size_t>(worker.rank)];
        const Weights weights = view.weights(slice, static_cast<int>(chunk.first), static_cast<int>(chunk.count));
        float* const output = outputs[static_cast<std::size_t>(part)];
        row = static_cast<std::size_t>(slice.row_start) + chunk.first;
        for (std::size_t t = 0; t < tile.count; t += kGemvTokens) {
            gemv(weights, {job.x.data, job.x.stride, job.plan.tokens + tile.first + t},
                 std::min<std::size_t>(kGemvTokens, tile.count - t), {output + t * chunk.count, chunk.count}, false);
        }
    }
    activate(job, tile, row, chunk.count, outputs[0], outputs[1], chunk.count);
}

void gate_up_many(const Job& job, const Worker& worker, const Tile& tile, Chunk chunk, float* memory) {
    const Group& group = job.plan.groups[tile.group];
    float* const outputs[2] = {memory, memory + kTileTokens * chunk.count};
    auto* const packed = reinterpret_cast<std::byte*>(memory + round_up(2 * kTileTokens * chunk.count, 16));
    job.gemm.pack({job.x.data, job.x.stride, job.plan.tokens + tile.first}, tile.count, job.experts.hidden, packed);
    std::size_t row = 0;
    for (const Part part : {Part::gate, Part::up}) {
        const MatrixView view = job.experts.view(group.expert, part);
        const Slice& slice = view.slices[static_cast<std::size_t>(worker.rank)];
        row = static_cast<std::size_t>(slice.row_start) + chunk.first;
        job.gemm.multiply(view.weights(slice, static_cast<int>(chunk.first), static_cast<int>(chunk.count)), packed,
                          tile.count, {outputs[static_cast<std::size_t>(part)], chunk.count}, false);
    }
    activate(job, tile, row, chunk.count, outputs[0], outputs[1], chunk.count);
}

// The chunks in which a rank's rows of gate and up are handed out.
std::size_t gate_up_chunk(const Job& job, std::size_t rows, std::size_t workers) {
    if (job.few()) {
        const std::size_t row_bytes = job.experts.hidden * size_of(job.experts.format);
        return gemv_chunk_rows(rows, row_bytes, job.plan.tokens_of_largest, divide_up(workers, job.plan.tile_count));
    }
    return gemm_chunk_rows(rows, job.plan.tile_count, workers);
}

void gate_up(const Job& job, const Worker& worker) {
    const Slice& slice =
        job.experts.view(job.plan.groups[0].expert, Part::gate).slices[static_cast<std::size_t>(worker.rank)];
    const auto rows = static_cast<std::size_t>(slice.row_count);
    if (rows == 0) return;
    const std::size_t chunk = gate_up_chunk(job, rows, static_cast<std::size_t>(worker.rank_size));
    const std::size_t chunks = divide_up(rows, chunk);
    auto* const memory = job.device.own(worker.index).reserve_of<float>(0);
    Turns& turns = job.device.turns(0, worker.rank);
    for (std::size_t turn; (turn = turns.take()) < job.plan.tile_count * chunks;) {
        const Tile& tile = job.plan.tiles[turn / chunks];
        const std::size_t first = turn % chunks * chunk;
        const Chunk part{first, std::min(chunk, rows - first)};
        if (job.by_gemv(tile)) {
            gate_up_few(job, worker, tile, part, memory);
        } else {
            gate_up_many(job, worker, tile, part, memory);
        }
    }
}

void pack_activations(const Job& job) {
    Turns& turns = job.device.turns(1, 0);
    for (std::size_t turn; (turn = turns.take()) < job.plan.tile_count;) {
        const Tile& tile = job.plan.tiles[turn];
        if (job.by_gemv(tile)) continue;
        const std::size_t width = job.experts.intermediate;
        job.gemm.pack({job.activations + tile.first * width, width}, tile.count, width,
                      job.packed + job.plan.packed[turn]);
    }
}

// y's rows [first, first + count) of the rank's slice, for all experts. y's own rows are reached through the tokens.
void down_chunk(const Job& job, const Worker& worker, Chunk chunk) {
    const std::size_t width = job.experts.intermediate;
    const auto gemv = job.device.kernels().gemv[index_of(job.experts.format)];
    for (std::size_t i = 0; i < job.plan.tile_count; ++i) {
        const Tile& tile = job.plan.tiles[i];
        const MatrixView view = job.experts.view(job.plan.groups[tile.group].expert, Part::down);
        const Slice& slice = view.slices[static_cast<std::size_t>(worker.rank)];
        const Weights weights = view.weights(slice, static_cast<int>(chunk.first), static_cast<int>(chunk.count));
        float* const target = job.y.data + static_cast<std::size_t>(slice.row_start) + chunk.first;
        if (!job.by_gemv(tile)) {
            job.gemm.multiply(weights, job.packed + job.plan.packed[i], tile.count,
                              {target, job.y.stride, job.plan.tokens + tile.first}, true);
            continue;
        }
        for (std::size_t t = 0; t < tile.count; t += kGemvTokens) {
            gemv(weights, {job.activations + (tile.first + t) * width, width},
                 std::min<std::size_t>(kGemvTokens, tile.count - t),
                 {target, job.y.stride, job.plan.tokens + tile.first + t}, true);
        }
    }
}

void down(const Job& job, const Worker& worker) {
    const Slice& slice =
        job.experts.view(job.plan.groups[0].expert, Part::down).slices[static_cast<std::size_t>(worker.rank)];
    const auto rows = static_cast<std::size_t>(slice.row_count);
    const auto workers = static_cast<std::size_t>(worker.rank_size);
    const std::size_t row_bytes = job.experts.intermediate * size_of(job.experts.format);
    const std::size_t chunk = job.few() ? gemv_chunk_rows(rows, row_bytes, job.plan.tokens_of_largest, workers)
                                        : gemm_chunk_rows(rows, 1, workers);
    Turns& turns = job.device.turns(2, worker.rank);
    for (std::size_t first; (first = turns.take() * chunk) < rows;) {
        const Chunk part{first, std::min(chunk, rows - first)};
        if (job.clear) {
            for (std::size_t t = 0; t < job.y.rows; ++t) {
                std::fill_n(job.y.row(t) + static_cast<std::size_t>(slice.row_start) + first, part.count, 0.0f);
            }
        }
        down_chunk(job, worker, part);
    }
}

// Where each tile's packed activations go, and how much memory that takes.
std::size_t place_packed(Plan& plan, const Gemm& gemm, std::size_t width) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < plan.tile_count; ++i) {
        plan.packed[i] = bytes;
        if (plan.tiles[i].count > gemv_tokens_max(gemm))
            bytes += round_up(gemm.packed_bytes(plan.tiles[i].count, width), 64);
    }
    return bytes;
}

void run(Device& device, const Experts& experts, Plan& plan, const Grid& x, const Grid& y, bool clear,
         const Written& written) {
    const Gemm& gemm = gemm_for(device, experts.format, x.rows);
    const bool few = plan.tokens_of_largest <= gemv_tokens_max(gemm);
    const std::size_t packed_bytes = few ? 0 : place_packed(plan, gemm, experts.intermediate);
    const Job job{device,
                  experts,
                  plan,
                  x,
                  y,
                  device.shared(Use::activations).reserve_of<float>(plan.count * experts.intermediate),
                  static_cast<std::byte*>(device.shared(Use::packed).reserve(packed_bytes)),
                  clear,
                  gemm};

    std::size_t chunk_max = 0;
    for (const Slice& slice : experts.view(plan.groups[0].expert, Part::gate).slices) {
        const auto rows = static_cast<std::size_t>(slice.row_count);
        const auto workers = static_cast<std::size_t>(device.pool().rank_size(slice.rank));
        if (rows > 0) chunk_max = std::max(chunk_max, std::min(rows, gate_up_chunk(job, rows, workers)));
    }
    const std::size_t own_floats = round_up(2 * kTileTokens * chunk_max, 16);
    const std::size_t own_packed = few ? 0 : gemm.packed_bytes(kTileTokens, experts.hidden);
    for (int worker = 0; worker < device.pool().size(); ++worker) {
        device.own(worker).reserve(own_floats * sizeof(float) + own_packed);
    }

    device.reset_turns();
    const auto work = [&](const Worker& worker) {
        gate_up(job, worker);
        device.pool().barrier();
        if (packed_bytes > 0) {
            pack_activations(job);
            device.pool().barrier();
        }
        down(job, worker);
    };
    if (written.call == nullptr) {
        device.pool().run(work);
    } else {
        device.pool().run(work, written);
    }
}

}  // namespace

void moe(Device& device, const ExpertBank& bank, const Grid& x, const RoutesView& routes, const Grid& y,
         const Written& written) {
    const ExpertBank::Shape& shape = bank.shape();
    Experts experts;
    experts.bank = &bank;
    experts.format = shape.format;
    experts.count = static_cast<std::size_t>(shape.experts);
    experts.hidden = static_cast<std::size_t>(shape.hidden);
    experts.intermediate = static_cast<std::size_t>(shape.intermediate);
    Plan plan = group_routes(device, routes, x.rows, experts.count);
    if (plan.group_count == 0) {
        for (std::size_t t = 0; t < y.rows; ++t) std::fill_n(y.row(t), y.columns, 0.0f);
        written();
        return;
    }
    run(device, experts, plan, x, y, true, written);
}

void gated_mlp(Device& device, const Grid& x, const MatrixView& gate, const MatrixView& up, const MatrixView& down,
               const Grid& y) {
    if (x.rows == 0) return;
    Experts experts;
    experts.dense[static_cast<std::size_t>(Part::gate)] = gate;
    experts.dense[static_cast<std::size_t>(Part::up)] = up;
    experts.dense[static_cast<std::size_t>(Part::down)] = down;
    experts.format = gate.format;
    experts.hidden = static_cast<std::size_t>(gate.columns);
    experts.intermediate = static_cast<std::size_t>(gate.rows);
    Plan plan = group_all(device, x.rows);
    run(device, experts, plan, x, y, false, {});
}

}  // namespace lk
