using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Tests.Launch;

public sealed class ExpertPlanTests
{
    private static readonly ExpertProblem _qwen = new(1, 8, 128, 2048, 768, DType.BF16, true);

    [Theory]
    [InlineData(1, "expert_gate_up_direct_bf16")]
    [InlineData(4, "expert_gate_up_direct_bf16")]
    [InlineData(5, "expert_gate_up_skinny_bf16_8")]
    [InlineData(64, "expert_gate_up_skinny_bf16_8")]
    [InlineData(128, "expert_gate_up_skinny_bf16_16")]
    [InlineData(256, "expert_gate_up_skinny_bf16_32")]
    [InlineData(512, "expert_gate_up_gemm_bf16_64")]
    [InlineData(2048, "expert_gate_up_gemm_bf16_128")]
    public void Tiles_are_as_large_as_what_an_expert_gets(int tokens, string kernel) =>
        Assert.Equal(kernel, ExpertPlan.For(_qwen with { Tokens = tokens }).Name(DType.BF16, isDown: false));

    [Fact]
    public void What_is_not_aligned_goes_another_way()
    {
        Assert.Equal(ExpertPath.Any, ExpertPlan.For(_qwen with { IsAligned = false }).Path);
        Assert.Equal(ExpertPath.Any, ExpertPlan.For(_qwen with { Intermediate = 772 }).Path);
        Assert.Equal(ExpertPath.Direct, ExpertPlan.For(_qwen with { Intermediate = 772, Type = DType.F32 }).Path);
    }

    [Fact]
    public void Grids_have_a_block_for_every_row_of_weights_and_every_tile_that_there_may_be()
    {
        Assert.Equal(new LaunchGrid(48, 8, 1, 256), ExpertPlan.For(_qwen).Grid(_qwen, isDown: false));
        Assert.Equal(new LaunchGrid(512, 1, 1, 256), ExpertPlan.For(_qwen).Grid(_qwen, isDown: true));

        var eight = _qwen with { Tokens = 8 };
        Assert.Equal(new LaunchGrid(64, 96, 1, 256), ExpertPlan.For(eight).Grid(eight, isDown: false));
        Assert.Equal(new LaunchGrid(64, 128, 1, 256), ExpertPlan.For(eight).Grid(eight, isDown: true));

        var many = _qwen with { Tokens = 2048 };
        Assert.Equal(new LaunchGrid(256, 12, 1, 256, 98_304), ExpertPlan.For(many).Grid(many, isDown: false));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(64)]
    public void No_routing_makes_more_tiles_than_there_is_room_for(int tokens)
    {
        var random = new Random(3);
        var problem = _qwen with { Tokens = tokens, Experts = 16, TopK = 4 };
        var plan = ExpertPlan.For(problem);
        for (var trial = 0; trial < 200; trial++)
        {
            var spread = random.Next(1, 17);
            var tiles = Enumerable.Range(0, problem.Routes).GroupBy(_ => random.Next(spread))
                .Sum(expert => (expert.Count() + plan.Size - 1) / plan.Size);
            Assert.InRange(tiles, 1, plan.TilesMax(problem));
        }
    }

    [Fact]
    public void Scratch_is_laid_out_without_overlap()
    {
        var layout = new ExpertLayout(_qwen with { Tokens = 100 });

        Assert.True(layout.Tiles >= 800 * 4);
        Assert.True(layout.Scales >= layout.Tiles + (16 * (1 + 128 + 100)));
        Assert.True(layout.InnerScales >= layout.Scales + (4 * 100));
        Assert.True(layout.Inner >= layout.InnerScales + (4 * 800));
        Assert.Equal(layout.Inner + (4L * 800 * 768), layout.Parts);
        Assert.Equal(layout.Parts + (4L * 800 * 2048), layout.Bytes);
        Assert.All([layout.Tiles, layout.Scales, layout.Inner, layout.Parts], at => Assert.Equal(0, at % 256));
    }
}
