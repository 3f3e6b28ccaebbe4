using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>The ways to multiply activations by a weight: the files linear_*.cu.</summary>
internal enum LinearPath
{
    /// <summary>float32 arithmetic, four rows of weights a warp.</summary>
    Gemv,

    /// <summary>The same with one row of weights a warp, for weights of few rows.</summary>
    GemvFew,

    /// <summary>Tensor cores without shared memory: each weight is read once for up to 32 tokens.</summary>
    Skinny,

    /// <summary>Tensor cores, by tiles in shared memory.</summary>
    Gemm,

    /// <summary>Any shape and alignment.</summary>
    Any,
}

/// <summary>
/// What is to be multiplied: [tokens, inputs] by [outputs, inputs] of a type, or by two of them (gate and up).
/// </summary>
/// <param name="Tokens">Rows of activations.</param>
/// <param name="Outputs">Rows of the weight; of each of the two when gated.</param>
/// <param name="Inputs">Columns of both.</param>
/// <param name="Type">Of the weight.</param>
/// <param name="IsAligned">All rows of both begin at multiples of sixteen bytes.</param>
/// <param name="IsGated">silu(gate · x) * (up · x) instead of one product.</param>
internal readonly record struct LinearProblem(
    int Tokens, int Outputs, int Inputs, DType Type, bool IsAligned, bool IsGated = false);

/// <summary>Which kernel runs, and how.</summary>
/// <param name="Path">The file.</param>
/// <param name="Size">Tokens of a block, or rows of its tile; the last part of the kernel's name. 0 for any.</param>
/// <param name="Slices">Warps that share a row of weights.</param>
/// <param name="Grid">Blocks, threads, shared memory.</param>
internal readonly record struct LinearPlan(LinearPath Path, int Size, int Slices, LaunchGrid Grid)
{
    private const int Warp = 32;
    private const int WarpsOfBlock = 8;

    /// <summary>With more, float32 arithmetic takes longer than reading 16-bit weights does: docs/perf/gpu.md.</summary>
    private const int GemvTokensMax = 4;

    /// <summary>With more, the activations that a warp reads again outweigh its weights by more than four to one.</summary>
    private const int SkinnyTokensMax = 32;

    /// <summary>Warps of a multiprocessor whose loads together cover the latency of DRAM.</summary>
    private const int WarpsWanted = 16;

    private const int AnyTokens = 16;
    private const int AnyRows = 64;
    private const int HugeTile = 256;
    private const int LargeTile = 128;
    private const int SmallTile = 64;
    private const int Stages = 4;

    /// <summary>
    /// The kernel for a problem on a device of so many multiprocessors. Whether rows are split, and how, depends on the
    /// weight alone, so that up to four tokens get the same sums in any company.
    /// </summary>
    public static LinearPlan For(in LinearProblem problem, int multiprocessors)
    {
        var isWide = problem.Type == DType.F32;
        var vector = isWide ? 4 : 8;
        if (!problem.IsAligned || problem.Inputs % vector != 0)
        {
            return ForAny(problem);
        }

        if (problem.Tokens <= GemvTokensMax)
        {
            return ForGemv(problem, vector, multiprocessors);
        }

        return isWide ? ForAny(problem) : problem.Tokens <= SkinnyTokensMax ? ForSkinny(problem) : ForGemm(problem, multiprocessors);
    }

    /// <summary>All kernels that a plan may name for weights of the type.</summary>
    public static IEnumerable<(LinearPath Path, int Size, int SharedBytes)> Kernels(DType type, bool isGated)
    {
        yield return (LinearPath.Any, 0, 0);
        foreach (var tokens in new[] { 1, 2, 4 })
        {
            yield return (LinearPath.Gemv, tokens, 0);
            if (!isGated)
            {
                yield return (LinearPath.GemvFew, tokens, 0);
            }
        }

        if (type != DType.F32)
        {
            yield return (LinearPath.Skinny, 8, 0);
            yield return (LinearPath.Skinny, 16, 0);
            yield return (LinearPath.Skinny, 32, 0);
            yield return (LinearPath.Gemm, SmallTile, SharedBytes(SmallTile));
            yield return (LinearPath.Gemm, LargeTile, SharedBytes(LargeTile));
        }

        if (type == DType.BF16)
        {
            yield return (LinearPath.Gemm, HugeTile, SharedBytes(HugeTile));
        }
    }

    /// <summary>The name of the kernel in its file.</summary>
    public static string Name(LinearPath path, DType type, bool isGated, int size)
    {
        var family = isGated ? "gate_up" : "linear";
        var element = type switch
        {
            DType.F32 => "f32",
            DType.BF16 => "bf16",
            DType.F16 => "f16",
            _ => throw new InvariantException($"no weights of {type}"),
        };
        return path switch
        {
            LinearPath.Gemv => $"{family}_gemv_{element}_{size}",
            LinearPath.GemvFew => $"{family}_gemv_few_{element}_{size}",
            LinearPath.Skinny => $"{family}_skinny_{element}_{size}",
            LinearPath.Gemm => $"{family}_gemm_{element}_{size}",
            _ => $"{family}_any_{element}",
        };
    }

    private static LinearPlan ForGemv(in LinearProblem problem, int vector, int multiprocessors)
    {
        // A warp has four rows: of a gated pair, two each. Weights of very few rows get a warp a row.
        var few = !problem.IsGated && problem.Outputs < 4 * multiprocessors;
        var rowsOfWarp = few ? 1 : problem.IsGated ? 2 : 4;
        var warps = DivideUp(problem.Outputs, rowsOfWarp);
        var slices = 1;
        while (slices < WarpsOfBlock && warps * slices < WarpsWanted * multiprocessors
            && 2 * slices * Warp * vector <= problem.Inputs)
        {
            slices *= 2;
        }

        var size = problem.Tokens <= 2 ? Math.Max(1, problem.Tokens) : GemvTokensMax;
        var blocks = DivideUp(problem.Outputs, rowsOfWarp * (WarpsOfBlock / slices));
        return new(few ? LinearPath.GemvFew : LinearPath.Gemv, size, slices, Blocks(problem, blocks, WarpsOfBlock * Warp));
    }

    private static LinearPlan ForSkinny(in LinearProblem problem)
    {
        var size = problem.Tokens <= 8 ? 8 : problem.Tokens <= 16 ? 16 : SkinnyTokensMax;
        var blocks = DivideUp(problem.Outputs, problem.IsGated ? 8 : 16);
        return new(LinearPath.Skinny, size, WarpsOfBlock, Blocks(problem, blocks, WarpsOfBlock * Warp));
    }

    /// <summary>
    /// The largest tile of which there is one for each multiprocessor: it reads activations from L2 least often. Scales of
    /// f16 leave no registers for the largest of all.
    /// </summary>
    private static LinearPlan ForGemm(in LinearProblem problem, int multiprocessors)
    {
        var rows = problem.Outputs * (problem.IsGated ? 2 : 1);
        var tokens = problem.Tokens;
        bool Fills(int tile) => (long)DivideUp(tokens, TokensOf(tile)) * DivideUp(rows, tile) >= multiprocessors;
        var tile = problem.Type == DType.BF16 && Fills(HugeTile) ? HugeTile : Fills(LargeTile) ? LargeTile : SmallTile;
        var grid = new LaunchGrid(
            DivideUp(tokens, TokensOf(tile)), DivideUp(rows, tile), 1, tile == SmallTile ? 128 : 256, SharedBytes(tile));
        return new(LinearPath.Gemm, tile, 1, grid);
    }

    private static LinearPlan ForAny(in LinearProblem problem)
    {
        var rows = DivideUp(problem.Outputs, problem.IsGated ? AnyRows / 2 : AnyRows);
        return new(LinearPath.Any, 0, 1, new(DivideUp(problem.Tokens, AnyTokens), rows, 1, WarpsOfBlock * Warp));
    }

    /// <summary>No tokens, no blocks.</summary>
    private static LaunchGrid Blocks(in LinearProblem problem, int blocks, int threads) =>
        new(problem.Tokens == 0 ? 0 : blocks, threads);

    /// <summary>Steps of 32 columns: of weights two bytes each, of activations four.</summary>
    private static int SharedBytes(int tile) => Stages * ((tile * 32 * 2) + (TokensOf(tile) * 32 * 4));

    /// <summary>A tile is named by its rows of weights.</summary>
    private static int TokensOf(int tile) => Math.Min(tile, LargeTile);

    private static int DivideUp(int a, int b) => (a + b - 1) / b;
}
