using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Layers;

/// <summary>
/// Routed experts beside the shared one: their place computes between Start and Join while the device does its own.
/// </summary>
public sealed class MoeBlock(
    Router router, WeightMatrix gate, ExpertBank bank, Block? shared, IDeviceOps ops, IExperts experts) : Block
{
    public override void Forward(Tensor x, Tensor residual, in StepInputs step)
    {
        var routes = step.Workspace.Routes(x.Rows, router.TopK);
        ops.Route(x, gate, router, routes);
        step.OnRoutes?.Invoke(routes);
        var run = experts.Start(bank, x, routes);
        shared?.Forward(x, residual, step);
        experts.Join(run, residual);
    }
}
