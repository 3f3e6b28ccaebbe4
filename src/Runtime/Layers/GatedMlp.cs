using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Runtime.Layers;

/// <summary>residual += down(silu(gate(x)) * up(x)).</summary>
public sealed class GatedMlp(WeightMatrix gate, WeightMatrix up, WeightMatrix down, IDeviceOps ops) : Block
{
    public override void Forward(Tensor x, Tensor residual, in StepInputs step) =>
        ops.GatedMlp(x, gate, up, down, residual);
}
