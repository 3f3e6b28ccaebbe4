// rms_norm against sums in double.
#include <cmath>

#include "kit.h"

namespace {

using namespace cuda_on_cpu;

struct RmsNormArgs {
    const float* x;
    const float* weight;
    float* y;
    long long x_stride, y_stride;
    unsigned width, groups;
    float epsilon;
};

TEST(RmsNorm, MatchesSumsInDouble) {
    for (const unsigned width : {1u, 31u, 100u, 257u}) {
        for (const unsigned groups : {1u, 3u}) {
            constexpr unsigned kRows = 3;
            const unsigned stride = width * groups + 2;
            const kit::Buffer<float> x(kit::numbers(kRows * stride)), weight(kit::numbers(width, 2));
            kit::Buffer<float> y(kRows * width * groups);
            const RmsNormArgs args{x.data(), weight.data(), y.data(), stride, width * groups, width, groups, 1e-6f};

            kit::launch_all("rms_norm", {groups, kRows, 1, 128}, args, [&] { y.clear(); }, [&] {
                for (unsigned row = 0; row < kRows; ++row) {
                    for (unsigned group = 0; group < groups; ++group) {
                        const float* const in = x.data() + row * stride + group * width;
                        double squares = 0;
                        for (unsigned i = 0; i < width; ++i) squares += in[i] * in[i];
                        const double scale = 1 / std::sqrt(squares / width + 1e-6);
                        for (unsigned i = 0; i < width; ++i) {
                            ASSERT_NEAR(y[(row * groups + group) * width + i], in[i] * scale * weight[i], 1e-5);
                        }
                    }
                }
            });
        }
    }
}

}  // namespace
