using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Placement;

public sealed class ShardTests
{
    [Theory]
    [InlineData(32, 8, 1)]
    [InlineData(32, 8, 2)]
    [InlineData(32, 4, 8)]
    [InlineData(64, 4, 4)]
    [InlineData(3, 1, 2)]
    [InlineData(3, 1, 4)]
    [InlineData(12, 3, 2)]
    [InlineData(6, 2, 3)]
    [InlineData(40, 8, 5)]
    public void Every_head_is_on_one_rank_beside_its_key_value_head(int heads, int kvHeads, int ranks)
    {
        const int HeadDim = 4;
        var gqa = new Gqa("a", 16, heads, kvHeads, HeadDim, new Rotary(HeadDim, 10_000)) { HasSinks = true };
        var seen = new List<int>();
        for (var rank = 0; rank < ranks; rank++)
        {
            var shard = new Shard(rank, ranks);
            var local = shard.Local(gqa);
            var first = First(shard.Query(gqa, gqa.Query)) / HeadDim;
            var firstKv = First(shard.KeyValue(gqa, gqa.Key)) / HeadDim;
            for (var head = 0; head < local.Heads; head++)
            {
                seen.Add(first + head);
                var kvHead = firstKv + (head / (local.Heads / local.KvHeads));
                Assert.Equal((first + head) / (heads / kvHeads), kvHead);
            }

            Assert.Equal(local.Heads * HeadDim, shard.Output(gqa).Columns);
            var sinks = shard.Sinks(gqa, gqa.Sinks!);
            Assert.Equal((first, local.Heads), ((int)(sinks.Part?.ColumnStart ?? 0), (int)sinks.ElementCount));
            Assert.Equal(local.Heads * HeadDim, shard.Query(gqa, gqa.Query).Rows);
        }

        Assert.Equal(Enumerable.Range(0, heads), seen);
    }

    [Theory]
    [InlineData(768, 4)]
    [InlineData(100, 3)]
    [InlineData(16, 4)]
    [InlineData(1408, 8)]
    public void Inner_widths_are_shared_without_gaps(int width, int ranks)
    {
        var end = 0;
        for (var rank = 0; rank < ranks; rank++)
        {
            var (start, count) = new Shard(rank, ranks).Inner(width);
            Assert.Equal(end, start);
            Assert.InRange(count, 1, (width / ranks) + 16);
            end = start + count;
        }

        Assert.Equal(width, end);
    }

    [Fact]
    public void More_ranks_than_the_inner_width_are_refused()
    {
        var spec = Runtime.Models.ModelFolder.Open(GoldenCase.Open("qwen3_moe").Folder).Spec;

        var error = Assert.Throws<ConfigurationException>(() => Shard.Require(spec, 64));

        Assert.Contains("--tp-size 64", error.Message, StringComparison.Ordinal);
        Assert.Contains("32", error.Message, StringComparison.Ordinal);
    }

    private static int First(TensorSpec tensor) => (int)(tensor.Part?.RowStart ?? 0);
}
