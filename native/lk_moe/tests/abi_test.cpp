// The ABI refuses what would go wrong, with a sentence, and what it describes is what it does.
#include <thread>

#include "ops_support.h"

namespace lk::testing {
namespace {

void refused(lk_status status, const char* sentence) {
    EXPECT_EQ(status, LK_INVALID_ARGUMENT);
    EXPECT_NE(std::string(lk_last_error()).find(sentence), std::string::npos) << lk_last_error();
}

TEST(AbiTest, Refuses_a_struct_of_another_size) {
    lk_device_config config = config_of(1);
    config.struct_size -= 4;
    lk_device* device = nullptr;
    refused(lk_device_create(&config, &device), "size differs");
    EXPECT_EQ(device, nullptr);
}

TEST(AbiTest, Errors_are_per_thread) {
    refused(lk_memory_available(nullptr), "out_bytes");
    std::thread([] { EXPECT_STREQ(lk_last_error(), ""); }).join();
}

TEST(AbiTest, Describes_the_topology_in_pieces_or_whole) {
    uint32_t length = 0;
    ok(lk_topology_describe(two_sockets().root().c_str(), nullptr, 0, &length));
    std::string text(length + 1, 'x');
    ok(lk_topology_describe(two_sockets().root().c_str(), text.data(), length + 1, &length));
    EXPECT_NE(text.find("\"cpus\":\"0-3,8-11\""), std::string::npos) << text;
    char piece[4] = "zzz";
    ok(lk_topology_describe(two_sockets().root().c_str(), piece, sizeof piece, &length));
    EXPECT_STREQ(piece, "{\"p");
}

TEST(AbiTest, A_device_says_what_it_could_not_do) {
    const auto device = make_device(3, two_sockets().root());
    const char* text = nullptr;
    ok(lk_device_describe(device.get(), &text));
    const std::string description = text;
    EXPECT_NE(description.find("\"threads\":3"), std::string::npos);
    EXPECT_NE(description.find("\"node\":1"), std::string::npos);
    ok(lk_device_attach(make_device(1).get()));
}

TEST(AbiTest, Slices_are_counted_and_bounded) {
    const auto device = make_device(4, two_sockets().root());
    lk_matrix* made = nullptr;
    ok(lk_matrix_create(device.get(), LK_BF16, 64, 8, &made));
    const MatrixPointer matrix(made);
    int32_t count = 0;
    ok(lk_matrix_slice_count(made, &count));
    ASSERT_EQ(count, 2);
    lk_slice slice{};
    ok(lk_matrix_slice(made, 1, &slice));
    EXPECT_EQ(slice.row_start, 32);
    EXPECT_EQ(slice.rank, 1);
    EXPECT_EQ(slice.node, 1);
    refused(lk_matrix_slice(made, 2, &slice), "no slice");
    refused(lk_matrix_slice(made, -1, &slice), "no slice");
    refused(lk_matrix_create(device.get(), LK_I32, 4, 4, &made), "f32, f16 or bf16");
    refused(lk_matrix_create(device.get(), LK_F32, 0, 4, &made), "at least one row");
}

TEST(AbiTest, Operations_refuse_shapes_that_do_not_fit) {
    const auto device = make_device(1);
    Random random(1);
    Weight w(device.get(), LK_F32, 6, 4, random);
    Floats x(2, 4), y(2, 6), narrow(2, 5), short_y(1, 6);
    lk_tensor xt = x.tensor(), yt = y.tensor(), nt = narrow.tensor(), st = short_y.tensor();
    refused(lk_linear(device.get(), &nt, w.matrix.get(), nullptr, &yt, 0), "as wide as the matrix");
    refused(lk_linear(device.get(), &xt, w.matrix.get(), nullptr, &nt, 0), "as the matrix has rows");
    refused(lk_linear(device.get(), &xt, w.matrix.get(), nullptr, &st, 0), "as many rows");
    refused(lk_linear(nullptr, &xt, w.matrix.get(), nullptr, &yt, 0), "device must be set");
    lk_tensor overlapping = xt;
    overlapping.row_stride = 3;
    refused(lk_linear(device.get(), &overlapping, w.matrix.get(), nullptr, &yt, 0), "must not overlap");
    lk_tensor halves = xt;
    halves.type = LK_BF16;
    refused(lk_linear(device.get(), &halves, w.matrix.get(), nullptr, &yt, 0), "activations are f32");
    refused(lk_rms_norm(device.get(), &xt, x.values.data(), 3, 0, &xt), "whole groups");
    refused(lk_rotate(device.get(), &xt, 2, &xt, 0), "fit in a head");
}

TEST(AbiTest, Operations_refuse_indices_outside) {
    const auto device = make_device(1);
    Random random(1);
    Weight w(device.get(), LK_F32, 6, 4, random);
    Floats y(2, 4);
    lk_tensor yt = y.tensor();
    const int32_t ids[2] = {0, 6}, negative[2] = {-1, 0};
    refused(lk_embed(device.get(), w.matrix.get(), ids, &yt), "token 6 is not below 6");
    refused(lk_gather_rows(device.get(), &yt, negative, &yt), "row -1");
}

TEST(AbiTest, Measures_every_rank) {
    const auto device = make_device(3, two_sockets().root());
    double rates[2] = {};
    int32_t ranks = 0;
    ok(lk_bandwidth(device.get(), 5, rates, 2, &ranks));
    EXPECT_EQ(ranks, 2);
    EXPECT_GT(rates[0], 0);
    EXPECT_GT(rates[1], 0);
}

}  // namespace
}  // namespace lk::testing
