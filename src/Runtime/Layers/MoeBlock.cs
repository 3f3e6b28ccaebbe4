using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Layers;

/// <summary>Routed experts, which their place computes between Start and Join while the device is free for other work.</summary>
public sealed class MoeBlock(Moe spec, WeightMatrix gate, ExpertBank bank, IDeviceOps ops, IExperts experts) : Block
{
    public override void Forward(Tensor x, Tensor residual, in StepInputs step)
    {
        var routes = step.Workspace.Routes(x.Rows, spec.Router.TopK);
        ops.Route(x, gate, spec.Router, routes);
        var run = experts.Start(bank, x, routes);
        experts.Join(run, residual);
    }
}
