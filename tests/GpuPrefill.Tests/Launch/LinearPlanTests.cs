using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Tests.Launch;

public sealed class LinearPlanTests
{
    private const int Multiprocessors = 132;

    [Theory]
    [InlineData(1, 4096, 2048, DType.BF16, "linear_gemv_bf16_1")]
    [InlineData(3, 4096, 2048, DType.BF16, "linear_gemv_bf16_4")]
    [InlineData(2, 128, 2048, DType.F16, "linear_gemv_few_f16_2")]
    [InlineData(5, 4096, 2048, DType.BF16, "linear_skinny_bf16_8")]
    [InlineData(16, 4096, 2048, DType.F16, "linear_skinny_f16_16")]
    [InlineData(32, 4096, 2048, DType.BF16, "linear_skinny_bf16_32")]
    [InlineData(33, 4096, 2048, DType.BF16, "linear_gemm_bf16_64")]
    [InlineData(1024, 4096, 2048, DType.BF16, "linear_gemm_bf16_128")]
    [InlineData(4096, 4096, 2048, DType.BF16, "linear_gemm_bf16_256")]
    [InlineData(4096, 4096, 2048, DType.F16, "linear_gemm_f16_128")]
    [InlineData(4096, 4096, 2044, DType.BF16, "linear_any_bf16")]
    [InlineData(4, 4096, 2044, DType.F32, "linear_gemv_f32_4")]
    [InlineData(5, 4096, 2048, DType.F32, "linear_any_f32")]
    public void Rows_columns_and_type_choose_the_kernel(int tokens, int outputs, int inputs, DType type, string expected)
    {
        var plan = LinearPlan.For(new(tokens, outputs, inputs, type, IsAligned: true), Multiprocessors);

        Assert.Equal(expected, LinearPlan.Name(plan.Path, type, isGated: false, plan.Size));
    }

    [Theory]
    [InlineData(1, "gate_up_gemv_bf16_1")]
    [InlineData(8, "gate_up_skinny_bf16_8")]
    [InlineData(100, "gate_up_gemm_bf16_64")]
    [InlineData(5000, "gate_up_gemm_bf16_256")]
    public void Gated_products_have_kernels_of_their_own(int tokens, string expected)
    {
        var plan = LinearPlan.For(new(tokens, 768, 2048, DType.BF16, IsAligned: true, IsGated: true), Multiprocessors);

        Assert.Equal(expected, LinearPlan.Name(plan.Path, DType.BF16, isGated: true, plan.Size));
    }

    [Fact]
    public void Rows_that_are_not_aligned_take_the_path_that_reads_single_elements()
    {
        var plan = LinearPlan.For(new(64, 4096, 2048, DType.BF16, IsAligned: false), Multiprocessors);

        Assert.Equal(LinearPath.Any, plan.Path);
    }

    [Theory]
    [InlineData(128, 2048, 8)]
    [InlineData(128, 512, 2)]
    [InlineData(2048, 2048, 8)]
    [InlineData(4096, 2048, 4)]
    [InlineData(151_936, 2048, 1)]
    public void Few_rows_are_split_over_warps_until_the_device_is_busy(int outputs, int inputs, int slices)
    {
        var plans = new[] { 1, 2, 3, 4 }.Select(
            tokens => LinearPlan.For(new(tokens, outputs, inputs, DType.BF16, IsAligned: true), Multiprocessors));

        Assert.All(plans, plan => Assert.Equal(slices, plan.Slices));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_plan_covers_all_tokens_and_rows_with_a_kernel_that_exists(bool isGated)
    {
        foreach (var type in new[] { DType.F32, DType.BF16, DType.F16 })
        {
            var known = LinearPlan.Kernels(type, isGated).Select(kernel => (kernel.Path, kernel.Size, kernel.SharedBytes)).ToHashSet();
            foreach (var tokens in new[] { 1, 4, 5, 8, 9, 31, 33, 64, 65, 1000, 65_536 })
            {
                foreach (var outputs in new[] { 1, 8, 17, 527, 528, 4096, 151_936 })
                {
                    foreach (var inputs in new[] { 1, 8, 260, 2048, 12_288 })
                    {
                        var plan = LinearPlan.For(new(tokens, outputs, inputs, type, IsAligned: true, isGated), Multiprocessors);

                        Assert.Contains((plan.Path, plan.Size, plan.Grid.SharedBytes), known);
                        Assert.True(TokensOf(plan) >= tokens && RowsOf(plan, isGated) >= outputs);
                        Assert.InRange(plan.Grid.Y, 1, LaunchGrid.MinorMax);
                    }
                }
            }
        }
    }

    [Fact]
    public void No_tokens_make_no_blocks()
    {
        foreach (var type in new[] { DType.F32, DType.BF16 })
        {
            var plan = LinearPlan.For(new(0, 64, 64, type, IsAligned: true), Multiprocessors);

            Assert.Equal(0, plan.Grid.X * plan.Grid.Y);
        }
    }

    private static int TokensOf(in LinearPlan plan) => plan.Path switch
    {
        LinearPath.Any => 16 * plan.Grid.X,
        LinearPath.Gemm => Math.Min(plan.Size, 128) * plan.Grid.X,
        _ => plan.Size,
    };

    /// <summary>A warp has four rows, one where there are few, or two of each of a gated pair.</summary>
    private static int RowsOf(in LinearPlan plan, bool isGated) => plan.Path switch
    {
        LinearPath.Any => plan.Grid.Y * (isGated ? 32 : 64),
        LinearPath.Gemm => plan.Grid.Y * (isGated ? plan.Size / 2 : plan.Size),
        LinearPath.Skinny => plan.Grid.X * (isGated ? 8 : 16),
        LinearPath.GemvFew => plan.Grid.X * (8 / plan.Slices),
        _ => plan.Grid.X * (8 / plan.Slices) * (isGated ? 2 : 4),
    };
}
