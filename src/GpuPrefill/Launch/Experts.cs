using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in experts.cuh. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExpertArgs
{
    public required nint Weights;
    public required nint X;
    public required nint Scales;
    public required nint Chosen;
    public required nint RouteWeights;
    public required nint Order;
    public required nint Tiles;
    public required nint Y;
    public required long XStride;
    public required long ChosenStride;
    public required long RouteWeightStride;
    public required long YStride;
    public required int TopK;
    public required int Outputs;
    public required int Inputs;
    public required int TwoTerms;
}

/// <summary>Field for field the struct in expert_group.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExpertGroupArgs
{
    public required nint Chosen;
    public required nint Order;
    public required nint Tiles;
    public required long ChosenStride;
    public required int Routes;
    public required int TopK;
    public required int Experts;
    public required int TileRoutes;
}

/// <summary>Field for field the struct in expert_group.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExpertCombineArgs
{
    public required nint Parts;
    public required nint Chosen;
    public required nint Y;
    public required long ChosenStride;
    public required long YStride;
    public required int TopK;
    public required int Width;
}

/// <summary>Where the intermediate values of a problem lie in scratch, in bytes from its start.</summary>
internal readonly record struct ExpertLayout
{
    private const int Alignment = 256;
    private const int TileBytes = 16;

    public ExpertLayout(in ExpertProblem problem)
    {
        // Any plan: what is aligned and what is not is known only when it comes.
        long routes = problem.Routes;
        Order = 0;
        Tiles = Aligned(routes * sizeof(uint));
        Scales = Tiles + Aligned((1 + Math.Min(routes, problem.Experts + (routes / 8))) * TileBytes);
        InnerScales = Scales + Aligned((long)problem.Tokens * sizeof(float));
        Inner = InnerScales + Aligned(routes * sizeof(float));
        Parts = Inner + Aligned(routes * problem.Intermediate * sizeof(float));
        Bytes = Parts + Aligned(routes * problem.Hidden * sizeof(float));
    }

    public long Order { get; }

    public long Tiles { get; }

    public long Scales { get; }

    public long InnerScales { get; }

    /// <summary>F32 [routes, intermediate].</summary>
    public long Inner { get; }

    /// <summary>F32 [routes, hidden].</summary>
    public long Parts { get; }

    public long Bytes { get; }

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}

/// <summary>Launches expert_*.cu.</summary>
internal sealed class Experts
{
    private const int CombineThreads = 256;
    private const int GroupThreads = 512;
    private const int VectorBytes = 16;

    private readonly Dictionary<(ExpertPlan Plan, DType Type, bool IsDown), CudaKernel<ExpertArgs>> _kernels = [];
    private readonly CudaKernel<ExpertGroupArgs> _group;
    private readonly CudaKernel<ExpertCombineArgs> _combine;
    private readonly Rows _rows;
    private readonly bool _twoTerms;

    public Experts(CudaDevice device)
    {
        _rows = new Rows(device.Kernels);
        _twoTerms = device.Options.ExactActivations;
        _group = device.Kernels.Get<ExpertGroupArgs>("expert_group");
        _combine = device.Kernels.Get<ExpertCombineArgs>("expert_combine");
        foreach (var type in new[] { DType.F32, DType.BF16, DType.F16 })
        {
            foreach (var (plan, sharedBytes) in ExpertPlan.All(type))
            {
                foreach (var isDown in new[] { false, true })
                {
                    _kernels.Add((plan, type, isDown), device.Kernels.Get<ExpertArgs>(plan.Name(type, isDown), sharedBytes));
                }
            }
        }
    }

    /// <summary>Everything but the last sum, into scratch. Returns the plan that <see cref="Finish"/> goes on with.</summary>
    public ExpertPlan Start(CudaStream stream, CudaExpertBank bank, Tensor x, Routes routes, nint scratch)
    {
        var isAligned = CudaBuffer.Address(x, DType.F32) % VectorBytes == 0 && x.RowStride % 4 == 0;
        var problem = Problem(bank, x.Rows, routes, isAligned);
        var (plan, layout) = (ExpertPlan.For(problem), new ExpertLayout(problem));
        var isScaled = plan.IsGrouped && bank.Type == DType.F16;
        if (plan.IsGrouped)
        {
            stream.Launch(_group, new LaunchGrid(1, GroupThreads), new ExpertGroupArgs
            {
                Chosen = CudaBuffer.Address(routes.Experts, DType.I32),
                Order = scratch + (nint)layout.Order,
                Tiles = scratch + (nint)layout.Tiles,
                ChosenStride = routes.Experts.RowStride,
                Routes = problem.Routes,
                TopK = problem.TopK,
                Experts = problem.Experts,
                TileRoutes = plan.Size,
            });
        }

        var args = Args(bank, routes, scratch, layout) with
        {
            X = CudaBuffer.Address(x, DType.F32),
            XStride = x.RowStride,
            Scales = isScaled ? scratch + (nint)layout.Scales : 0,
        };
        if (isScaled)
        {
            _rows.Scales(stream, args.X, args.XStride, x.Rows, bank.Hidden, args.Scales);
        }

        stream.Launch(_kernels[(plan, bank.Type, false)], plan.Grid(problem, isDown: false), args);
        if (plan.IsGrouped)
        {
            Down(stream, bank, problem, plan, args with { Y = scratch + (nint)layout.Parts, YStride = bank.Hidden }, layout, scratch);
        }

        return plan;
    }

    /// <summary>y[t] += the sum over the token's routes of what <see cref="Start"/> has left in scratch.</summary>
    public void Finish(CudaStream stream, CudaExpertBank bank, ExpertPlan plan, Routes routes, nint scratch, Tensor y)
    {
        var problem = Problem(bank, y.Rows, routes, isAligned: true);
        var layout = new ExpertLayout(problem);
        if (!plan.IsGrouped)
        {
            var args = Args(bank, routes, scratch, layout) with { Y = CudaBuffer.Address(y, DType.F32), YStride = y.RowStride };
            Down(stream, bank, problem, plan, args, layout, scratch);
            return;
        }

        var grid = new LaunchGrid((bank.Hidden + CombineThreads - 1) / CombineThreads, y.Rows, 1, CombineThreads);
        stream.Launch(_combine, grid, new ExpertCombineArgs
        {
            Parts = scratch + (nint)layout.Parts,
            Chosen = CudaBuffer.Address(routes.Experts, DType.I32),
            Y = CudaBuffer.Address(y, DType.F32),
            ChosenStride = routes.Experts.RowStride,
            YStride = y.RowStride,
            TopK = problem.TopK,
            Width = bank.Hidden,
        });
    }

    private static ExpertProblem Problem(CudaExpertBank bank, int tokens, Routes routes, bool isAligned) =>
        new(tokens, routes.Experts.Columns, bank.Experts, bank.Hidden, bank.Intermediate, bank.Type, isAligned);

    private void Down(
        CudaStream stream,
        CudaExpertBank bank,
        in ExpertProblem problem,
        ExpertPlan plan,
        in ExpertArgs args,
        in ExpertLayout layout,
        nint scratch)
    {
        var isScaled = plan.IsGrouped && bank.Type == DType.F16;
        var own = args with
        {
            Weights = bank.DownAddress,
            X = scratch + (nint)layout.Inner,
            XStride = bank.Intermediate,
            Scales = isScaled ? scratch + (nint)layout.InnerScales : 0,
            Outputs = bank.Hidden,
            Inputs = bank.Intermediate,
        };
        if (isScaled)
        {
            _rows.Scales(stream, own.X, own.XStride, problem.Routes, bank.Intermediate, own.Scales);
        }

        stream.Launch(_kernels[(plan, bank.Type, true)], plan.Grid(problem, isDown: true), own);
    }

    /// <summary>Of the first product, into inner.</summary>
    private ExpertArgs Args(CudaExpertBank bank, Routes routes, nint scratch, in ExpertLayout layout) => new()
    {
        Weights = bank.GateUpAddress,
        X = 0,
        Scales = 0,
        Chosen = CudaBuffer.Address(routes.Experts, DType.I32),
        RouteWeights = CudaBuffer.Address(routes.Weights, DType.F32),
        Order = scratch + (nint)layout.Order,
        Tiles = scratch + (nint)layout.Tiles,
        Y = scratch + (nint)layout.Inner,
        XStride = 0,
        ChosenStride = routes.Experts.RowStride,
        RouteWeightStride = routes.Weights.RowStride,
        YStride = bank.Intermediate,
        TopK = routes.Experts.Columns,
        Outputs = bank.Intermediate,
        Inputs = bank.Hidden,
        TwoTerms = _twoTerms ? 1 : 0,
    };
}
