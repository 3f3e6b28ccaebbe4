using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Layers;

/// <summary>A router and its weights: gate [experts, hidden], correction F32 [1, experts] or null.</summary>
public sealed record RouterWeights(Router Spec, WeightMatrix Gate, Tensor? Correction);

/// <summary>
/// Routed experts beside the shared one: their place computes between Start and Join while the device does its own.
/// </summary>
public sealed class MoeBlock(
    RouterWeights router, ExpertBank bank, Block? shared, IDeviceOps ops, IExperts experts) : Block
{
    public override void Forward(Tensor x, Tensor residual, in StepInputs step)
    {
        var routes = step.Workspace.Routes(x.Rows, router.Spec.TopK) with { LiveRows = step.LiveRows };
        ops.Route(x, router.Gate, router.Correction, router.Spec, routes, step.LiveRows);
        step.OnRoutes?.Invoke(routes);
        var run = experts.Start(bank, x, routes);
        shared?.Forward(x, residual, step);
        experts.Join(run, residual);
    }
}
