using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// Routed experts whose weights lie in the GPU's memory, on the stream of the other operations. A step of more rows than
/// <see cref="RowsMax"/> is computed piece by piece when it is joined, so that what lies between the products stays small.
/// </summary>
internal sealed class CudaExperts(CudaDevice device) : IExperts, IDisposable
{
    /// <summary>
    /// Of a layer with 128 experts of which 8 are chosen, so many rows give each 128: the weights are used often enough.
    /// </summary>
    public const int RowsMax = 2048;

    private readonly Experts _experts = new(device);
    private readonly CudaScratch _scratch = new(device.DeviceMemory);
    private ExpertProblem _largest;
    private ExpertPlan _plan;
    private bool _isOpen;

    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate)
    {
        Check.That(experts <= Route.ExpertsMax && topK <= Route.TopKMax);
        _largest = new(
            0, Math.Max(topK, _largest.TopK), Math.Max(experts, _largest.Experts), Math.Max(hidden, _largest.Hidden),
            Math.Max(intermediate, _largest.Intermediate), type, true);
        return new CudaExpertBank(device.DeviceMemory, type, experts, topK, hidden, intermediate);
    }

    /// <summary>Bytes that steps of up to so many rows take beside the weights.</summary>
    public static long ScratchBytes(int rows, int topK, int experts, int hidden, int intermediate) =>
        new ExpertLayout(new(PieceRows(rows, topK), topK, experts, hidden, intermediate, DType.F32, true)).Bytes;

    public void Reserve(int rows)
    {
        if (_largest.Experts > 0)
        {
            Reserve(_largest with { Tokens = PieceRows(rows, _largest.TopK) });
            device.RouterScratch.Reserve(device.Stream, Route.ScratchBytes(rows, _largest.Experts));
        }
    }

    public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes)
    {
        Check.That(!_isOpen && bank is CudaExpertBank);
        Check.That(x.Columns == bank.Hidden && routes.Experts.Rows == x.Rows && routes.Weights.Rows == x.Rows);
        Check.That(routes.Experts.Columns == routes.Weights.Columns);
        _isOpen = true;
        if (x.Rows <= PieceRows(x.Rows, routes.Experts.Columns))
        {
            StartPiece((CudaExpertBank)bank, x, routes);
        }

        return new ExpertRun(bank, x, routes);
    }

    public void Join(in ExpertRun run, Tensor y)
    {
        Check.That(_isOpen && y.Rows == run.X.Rows && y.Columns == run.Bank.Hidden);
        _isOpen = false;
        var bank = (CudaExpertBank)run.Bank;
        var piece = PieceRows(y.Rows, run.Routes.Experts.Columns);
        if (y.Rows <= piece)
        {
            _experts.Finish(device.Stream, bank, _plan, run.Routes, _scratch.Address, y);
            return;
        }

        // Which rows count does not matter here: the others have no expert.
        var routes = run.Routes with { LiveRows = null };
        for (var start = 0; start < y.Rows; start += piece)
        {
            var count = Math.Min(piece, y.Rows - start);
            var own = routes.SliceRows(start, count);
            StartPiece(bank, run.X.SliceRows(start, count), own);
            _experts.Finish(device.Stream, bank, _plan, own, _scratch.Address, y.SliceRows(start, count));
        }
    }

    public void Dispose() => _scratch.Dispose();

    /// <summary>A grid has no more than 65,535 blocks in y, and a route may be one.</summary>
    private static int PieceRows(int rows, int topK) => Math.Min(rows, Math.Min(RowsMax, LaunchGrid.MinorMax / topK));

    private void StartPiece(CudaExpertBank bank, Tensor x, Routes routes)
    {
        Reserve(new ExpertProblem(x.Rows, routes.Experts.Columns, bank.Experts, bank.Hidden, bank.Intermediate, bank.Type, true));
        _plan = _experts.Start(device.Stream, bank, x, routes, _scratch.Address);
    }

    /// <summary>Zeroed when it grows: of routes without an expert nothing is ever written, and yet their scales are taken.</summary>
    private void Reserve(in ExpertProblem problem)
    {
        var before = _scratch.Bytes;
        _scratch.Reserve(device.Stream, new ExpertLayout(problem).Bytes);
        if (_scratch.Bytes > before)
        {
            device.Stream.Zero(_scratch.Address, _scratch.Bytes);
        }
    }
}
