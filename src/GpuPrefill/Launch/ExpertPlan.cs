using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>The ways to compute routed experts: the files expert_*.cu.</summary>
internal enum ExpertPath
{
    /// <summary>Every route by itself, float32 arithmetic.</summary>
    Direct,

    /// <summary>The same for any shape and alignment.</summary>
    Any,

    /// <summary>Tensor cores over tiles of a few routes of one expert, without shared memory.</summary>
    Skinny,

    /// <summary>Tensor cores over tiles in shared memory.</summary>
    Gemm,
}

/// <summary>Rows of a step and the experts that they are routed to.</summary>
/// <param name="Tokens">Rows.</param>
/// <param name="TopK">Routes of a row.</param>
/// <param name="Experts">Of the layer.</param>
/// <param name="Hidden">Width of a row.</param>
/// <param name="Intermediate">Inner width of an expert.</param>
/// <param name="Type">Of the weights.</param>
/// <param name="IsAligned">All rows of activations begin at multiples of sixteen bytes.</param>
internal readonly record struct ExpertProblem(
    int Tokens, int TopK, int Experts, int Hidden, int Intermediate, DType Type, bool IsAligned)
{
    public int Routes => Tokens * TopK;
}

/// <summary>Which kernels run, over tiles of how many routes (0 where every route is by itself).</summary>
internal readonly record struct ExpertPlan(ExpertPath Path, int Size)
{
    /// <summary>With so few tokens hardly two share an expert, and float32 arithmetic keeps up with reading weights.</summary>
    private const int DirectTokensMax = 4;

    /// <summary>Up to so many routes an expert on average, tiles of 32 read the weights once or twice.</summary>
    private const int SkinnyRoutesMax = 24;

    /// <summary>From so many routes an expert on average, most of a tile of 128 is used.</summary>
    private const int LargeRoutesMin = 96;

    private const int Warp = 32;
    private const int Warps = 8;
    private const int LargeTile = 128;
    private const int SmallTile = 64;
    private const int Stages = 4;

    public bool IsGrouped => Path is ExpertPath.Skinny or ExpertPath.Gemm;

    /// <summary>
    /// Tensor cores for 16-bit weights from five tokens up; tiles as large as the experts' shares of the routes, because
    /// what a tile does not use is computed nevertheless.
    /// </summary>
    public static ExpertPlan For(in ExpertProblem problem)
    {
        var vector = problem.Type == DType.F32 ? 4 : 8;
        if (!problem.IsAligned || problem.Hidden % vector != 0 || problem.Intermediate % vector != 0)
        {
            return new(ExpertPath.Any, 0);
        }

        if (problem.Tokens <= DirectTokensMax || problem.Type == DType.F32)
        {
            return new(ExpertPath.Direct, 0);
        }

        var share = (double)problem.Routes / problem.Experts;
        return share <= SkinnyRoutesMax
            ? new(ExpertPath.Skinny, share <= 4 ? 8 : share <= 8 ? 16 : 32)
            : new(ExpertPath.Gemm, share >= LargeRoutesMin ? LargeTile : SmallTile);
    }

    /// <summary>All plans that there may be for weights of the type, with the shared memory that they ask for.</summary>
    public static IEnumerable<(ExpertPlan Plan, int SharedBytes)> All(DType type)
    {
        yield return (new(ExpertPath.Any, 0), 0);
        yield return (new(ExpertPath.Direct, 0), 0);
        if (type != DType.F32)
        {
            yield return (new(ExpertPath.Skinny, 8), 0);
            yield return (new(ExpertPath.Skinny, 16), 0);
            yield return (new(ExpertPath.Skinny, 32), 0);
            yield return (new(ExpertPath.Gemm, SmallTile), SharedBytes(SmallTile));
            yield return (new(ExpertPath.Gemm, LargeTile), SharedBytes(LargeTile));
        }
    }

    /// <summary>The name of a kernel in its file: of the first product, or of the second.</summary>
    public string Name(DType type, bool isDown)
    {
        var element = type switch
        {
            DType.F32 => "f32",
            DType.BF16 => "bf16",
            DType.F16 => "f16",
            _ => throw new InvariantException($"no weights of {type}"),
        };
        var path = Path switch
        {
            ExpertPath.Direct => "direct",
            ExpertPath.Any => "any",
            ExpertPath.Skinny => "skinny",
            _ => "gemm",
        };
        return $"expert_{(isDown ? "down" : "gate_up")}_{path}_{element}{(Size == 0 ? "" : $"_{Size}")}";
    }

    /// <summary>
    /// As many tiles as the worst routing makes: each expert that is chosen has one that is not full. Their number is known on
    /// the device alone, so that blocks are launched for all.
    /// </summary>
    public int TilesMax(in ExpertProblem problem) =>
        IsGrouped ? Math.Min(problem.Routes, problem.Experts + (problem.Routes / Size)) : 0;

    public LaunchGrid Grid(in ExpertProblem problem, bool isDown)
    {
        var outputs = isDown ? problem.Hidden : problem.Intermediate;
        var alone = isDown ? problem.Tokens : problem.Routes;
        return Path switch
        {
            ExpertPath.Direct => new(DivideUp(outputs, isDown ? 4 : 2 * Warps), alone, 1, Warps * Warp),
            ExpertPath.Any => new(DivideUp(outputs, Warps), alone, 1, Warps * Warp),
            ExpertPath.Skinny => new(TilesMax(problem), DivideUp(outputs, isDown ? 16 : 8), 1, Warps * Warp),
            _ => new(
                TilesMax(problem), DivideUp(isDown ? outputs : 2 * outputs, Size), 1, Size == LargeTile ? 256 : 128,
                SharedBytes(Size)),
        };
    }

    /// <summary>Steps of 32 columns: of weights two bytes each, of activations four.</summary>
    private static int SharedBytes(int tile) => Stages * ((tile * 32 * 2) + (tile * 32 * 4));

    private static int DivideUp(int a, int b) => (a + b - 1) / b;
}
