using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Placement;

public sealed class LayerListTests
{
    /// <summary>Layer 0 is dense, layers 1 to 3 have experts.</summary>
    private static readonly ModelSpec _spec = SmallModel.Of(
        true,
        [(SmallModel.Attention("0.attn"), SmallModel.Dense("0.mlp")), .. Enumerable.Range(1, 3).Select(layer =>
            ((Mixer)SmallModel.Attention($"{layer}.attn"), (Ffn)SmallModel.Sparse($"{layer}.mlp", shared: false)))]);

    [Theory]
    [InlineData("", "", 0)]
    [InlineData("1", "1", 0)]
    [InlineData("3,1-2,2", "1-3", 0)]
    [InlineData("0-3", "1-3", 1)]
    [InlineData("0", "", 1)]
    public void Layers_without_experts_are_left_out_with_a_warning(string text, string expected, int warnings)
    {
        var told = new List<string>();

        var layers = LayerList.Parse("RESIDENT", text).Resolve(_spec, told);

        Assert.Equal(expected, LayerList.Format(layers));
        Assert.Equal(warnings, told.Count);
        Assert.All(told, line => Assert.Contains("layers without experts are on the GPU anyway: 0.", line, StringComparison.Ordinal));
    }

    [Fact]
    public void A_layer_that_the_model_has_not_is_an_error() =>
        Assert.Equal(
            "RESIDENT=1-4: there is no layer 4; the model has layers 0-3.",
            Assert.Throws<ConfigurationException>(() => LayerList.Parse("RESIDENT", "1-4").Resolve(_spec, [])).Message);

    [Theory]
    [InlineData("5-0", "the range 5-0 ends before it begins; write 0-5")]
    [InlineData("0,x", "\"x\" is not such a part")]
    [InlineData("0,,1", "\"\" is not such a part")]
    [InlineData("1-2-3", "\"1-2-3\" is not such a part")]
    [InlineData("0-", "\"0-\" is not such a part")]
    [InlineData("all", "\"all\" is not such a part")]
    public void A_bad_part_is_named(string text, string expected) =>
        Assert.Contains(
            expected, Assert.Throws<ConfigurationException>(() => LayerList.Parse("RESIDENT", text)).Message, StringComparison.Ordinal);
}
