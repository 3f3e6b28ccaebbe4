using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Reference;
using Xunit.Abstractions;

namespace LsglangSharp.Runtime.Tests.Reference;

public sealed class ReferenceTensorParallelTests(ITestOutputHelper output) : TensorParallelGoldens(output)
{
    protected override (IReadOnlyList<IDevice> Devices, Func<StepSizes, int, ICollective> Collective) NewDevices(int ranks) =>
        ([.. Enumerable.Range(0, ranks).Select(_ => new ReferenceDevice())], (_, _) => new ReferenceCollective());
}
