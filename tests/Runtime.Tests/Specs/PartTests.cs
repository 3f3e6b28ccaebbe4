using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Tests.Specs;

public sealed class PartTests
{
    [Fact]
    public void A_vector_has_one_row_and_a_matrix_as_many_as_it_says()
    {
        var vector = new TensorSpec("v", [5]);
        var matrix = new TensorSpec("m", [3, 4]);

        Assert.Equal((1, 5, 5), (vector.Rows, vector.Columns, vector.ElementCount));
        Assert.Equal((3, 4, 12), (matrix.Rows, matrix.Columns, matrix.ElementCount));
    }

    [Fact]
    public void Attention_names_its_tensors_with_the_shapes_of_its_heads()
    {
        var gqa = new Gqa("a", 64, 4, 2, 16, new Rotary(16, 1e6)) { QkvBias = true, OutputBias = true, QkNormEpsilon = 1e-6f };

        Assert.Equal(
            "a.q_proj.weight 64x64, a.k_proj.weight 32x64, a.v_proj.weight 32x64, a.o_proj.weight 64x64, a.q_proj.bias 64, " +
            "a.k_proj.bias 32, a.v_proj.bias 32, a.o_proj.bias 64, a.q_norm.weight 16, a.k_norm.weight 16",
            Text(gqa));
        Assert.Equal(2 * 2 * 16, gqa.CachedElementsPerToken);
    }

    [Fact]
    public void Plain_attention_has_no_more_than_four_matrices() =>
        Assert.Equal(
            "a.q_proj.weight 64x64, a.k_proj.weight 32x64, a.v_proj.weight 32x64, a.o_proj.weight 64x64",
            Text(new Gqa("a", 64, 4, 2, 16, new Rotary(16, 1e6))));

    [Fact]
    public void Experts_live_with_the_experts_and_everything_else_on_the_device()
    {
        var moe = new Moe("m", 8, 4, new Router(2, 1, RouterScoring.Softmax)) { Shared = new Mlp("m.shared", 8, 6) };

        Assert.Equal(
            "m.gate.weight 2x8, m.shared.gate_proj.weight 6x8, m.shared.up_proj.weight 6x8, m.shared.down_proj.weight 8x6, " +
            "m.experts.0.gate_proj.weight 4x8, m.experts.0.up_proj.weight 4x8, m.experts.0.down_proj.weight 8x4, " +
            "m.experts.1.gate_proj.weight 4x8, m.experts.1.up_proj.weight 4x8, m.experts.1.down_proj.weight 8x4",
            Text(moe));
        Assert.All(moe.Tensors, tensor => Assert.Equal(
            tensor.Name.Contains(".experts.", StringComparison.Ordinal) ? Residency.Experts : Residency.Device, tensor.Residency));
    }

    [Fact]
    public void A_correction_is_a_vector_beside_the_gate()
    {
        var moe = new Moe("m", 8, 4, new Router(2, 1, RouterScoring.Sigmoid)) { CorrectionName = "gate.e_score_correction_bias" };

        Assert.StartsWith("m.gate.weight 2x8, m.gate.e_score_correction_bias 2, m.experts.0.", Text(moe), StringComparison.Ordinal);
    }

    [Fact]
    public void Fused_experts_lie_one_behind_the_other_gate_rows_first()
    {
        var expert = new Moe("m", 8, 4, new Router(3, 1, RouterScoring.Softmax)).Expert(2);

        Assert.Equal(("m.experts.gate_up_proj", 16L), (expert.Gate.Alternatives[0].Name, expert.Gate.Alternatives[0].RowStart));
        Assert.Equal(("m.experts.gate_up_proj", 20L), (expert.Up.Alternatives[0].Name, expert.Up.Alternatives[0].RowStart));
        Assert.Equal(("m.experts.down_proj", 16L), (expert.Down.Alternatives[0].Name, expert.Down.Alternatives[0].RowStart));
        Assert.Equal([3L, 8, 8], expert.Gate.Alternatives[0].Shape.ToArray());
        Assert.Equal([3L, 8, 4], expert.Down.Alternatives[0].Shape.ToArray());
    }

    [Fact]
    public void A_tied_head_has_no_tensor_of_its_own()
    {
        Assert.Equal("h.weight 10x8", Text(new Head("h", 10, 8, Tied: false)));
        Assert.Equal("", Text(new Head("h", 10, 8, Tied: true)));
    }

    private static string Text(Part part) =>
        string.Join(", ", part.Tensors.Select(tensor => $"{tensor.Name} {string.Join('x', tensor.Shape)}"));
}
