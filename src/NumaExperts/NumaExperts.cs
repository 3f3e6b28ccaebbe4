using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>Routed experts on the pinned pool, sliced over the NUMA nodes.</summary>
internal sealed class NumaExperts(DeviceHandle device, CpuMemory memory) : IExperts, IMailboxExperts
{
    // What Start computes and Join adds; grows to the largest step.
    private Tensor? _sums;

    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate) =>
        memory.AllocateExperts(type, experts, topK, hidden, intermediate);

    public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes)
    {
        Check.That(bank is CpuExpertBank);
        var source = CpuBuffer.View(x);
        var experts = CpuBuffer.View(routes.Experts);
        var weights = CpuBuffer.View(routes.Weights);
        var sums = CpuBuffer.View(Sums(x.Rows, x.Columns));
        LkException.ThrowIfFailed(
            LkMoe.Moe(device, ((CpuExpertBank)bank).Handle, source, experts, weights, sums));
        return new ExpertRun(bank, x, routes);
    }

    public void Join(in ExpertRun run, Tensor y)
    {
        var sums = CpuBuffer.View(Sums(run.X.Rows, run.X.Columns));
        var target = CpuBuffer.View(y);
        LkException.ThrowIfFailed(LkMoe.Add(device, sums, target));
    }

    public IMailboxServer Serve(MailboxMemory memory, IReadOnlyList<MailboxRequest> requests) =>
        new MailboxServer(device, memory, requests);

    private Tensor Sums(int rows, int columns)
    {
        var needed = (long)rows * columns * sizeof(float);
        if (_sums is not { } held || held.Buffer.Bytes < needed)
        {
            _sums?.Buffer.Dispose();
            _sums = held = memory.Allocate(DType.F32, rows, columns);
        }

        return held with { Rows = rows, Columns = columns, RowStride = columns };
    }
}
