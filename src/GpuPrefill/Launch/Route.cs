using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using Router = LsglangSharp.Runtime.Specs.Router;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in route.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RouteArgs
{
    public required nint Logits;
    public required nint Correction;
    public required nint LiveRows;
    public required nint Chosen;
    public required nint Weights;
    public required long LogitStride;
    public required long ChosenStride;
    public required long WeightStride;
    public required int Rows;
    public required int Experts;
    public required int TopK;
    public required int Groups;
    public required int GroupsKept;
    public required int GroupBest;
    public required int IsSigmoid;
    public required int Renormalize;
    public required float Scale;
}

/// <summary>Launches route.cu behind the product with the gate: a warp a row.</summary>
internal sealed class Route(CudaDevice device)
{
    public const int ExpertsMax = 512;
    public const int TopKMax = 64;

    private const int RowsPerBlock = 4;
    private const int Warp = 32;

    private readonly Linear _linear = new(device, new Rows(device.Kernels));
    private readonly CudaKernel<RouteArgs> _kernel = device.Kernels.Get<RouteArgs>("route");

    public void Launch(
        CudaStream stream, Tensor x, WeightMatrix gate, Tensor? correction, Router router, Routes routes, Tensor? liveRows)
    {
        var size = router.Experts / router.Groups;
        Check.That(gate.Rows == router.Experts && gate.Columns == x.Columns && router.Experts <= ExpertsMax);
        Check.That(router.Groups is >= 1 and <= Router.GroupsMax && size * router.Groups == router.Experts);
        Check.That(router.GroupsKept >= 1 && router.GroupsKept <= router.Groups);
        Check.That(router.TopK is > 0 and <= TopKMax && router.TopK <= router.GroupsKept * size);
        Check.That(router.GroupScoring == GroupScoring.Best || size > 1);
        Check.That(routes.Experts.Rows == x.Rows && routes.Experts.Columns == router.TopK);
        Check.That(routes.Weights.Rows == x.Rows && routes.Weights.Columns == router.TopK);
        var logits = device.RouterScratch;
        logits.Reserve(stream, ScratchBytes(x.Rows, router.Experts));
        _linear.Exactly(stream, x, gate, logits.Address);
        stream.Launch(_kernel, Grid(x.Rows), new RouteArgs
        {
            Logits = logits.Address,
            Correction = correction is { } tensor ? CudaBuffer.Numbers(tensor, DType.F32, router.Experts) : 0,
            LiveRows = liveRows is { } count ? CudaBuffer.Numbers(count, DType.I32, 1) : 0,
            Chosen = CudaBuffer.Address(routes.Experts, DType.I32),
            Weights = CudaBuffer.Address(routes.Weights, DType.F32),
            LogitStride = router.Experts,
            ChosenStride = routes.Experts.RowStride,
            WeightStride = routes.Weights.RowStride,
            Rows = x.Rows,
            Experts = router.Experts,
            TopK = router.TopK,
            Groups = router.Groups,
            GroupsKept = router.GroupsKept,
            GroupBest = router.GroupScoring == GroupScoring.BestTwo ? 2 : 1,
            IsSigmoid = router.Scoring == RouterScoring.Sigmoid ? 1 : 0,
            Renormalize = router.Renormalize ? 1 : 0,
            Scale = router.Scale,
        });
    }

    /// <summary>The logits of so many rows.</summary>
    public static long ScratchBytes(int rows, int experts) => (long)rows * experts * DType.F32.Bytes();

    public static LaunchGrid Grid(int rows) => new((rows + RowsPerBlock - 1) / RowsPerBlock, RowsPerBlock * Warp);
}
