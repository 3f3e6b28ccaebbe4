using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// A device that only counts what it is asked to hold. Binding a model to it says what binding it to a real one will
/// take, to the byte, from the same code.
/// </summary>
public sealed class CountingDevice : IDevice
{
    private readonly CountingMemory _memory;
    private readonly CountingExperts _experts;

    /// <param name="nodeThreads">Threads of each NUMA node; matrices are cut over them.</param>
    public CountingDevice(IReadOnlyList<int> nodeThreads)
    {
        _memory = new CountingMemory(nodeThreads);
        _experts = new CountingExperts(nodeThreads);
    }

    public string Name => "counting";

    public DType ActivationType => DType.F32;

    public IDeviceMemory Memory => _memory;

    /// <summary>None: blocks keep it for passes that never come.</summary>
    public IDeviceOps Ops => null!;

    public IExperts Experts => _experts;

    /// <summary>Bytes asked for so far, experts apart.</summary>
    public long Bytes => _memory.Bytes;

    /// <summary>Those of matrices, by node.</summary>
    public IReadOnlyList<long> BytesByNode => _memory.BytesByNode;

    /// <summary>Experts' bytes in the order in which banks were asked for, by node.</summary>
    public IReadOnlyList<long[]> Banks => _experts.Banks;

    public void Dispose()
    {
    }

    private static long[] Cut(int rows, long rowBytes, IReadOnlyList<int> nodeThreads) =>
        [.. RowSplit.Rows(rows, nodeThreads).Select(count => count * rowBytes)];

    private sealed class CountingMemory(IReadOnlyList<int> nodeThreads) : IDeviceMemory
    {
        public long Bytes { get; private set; }

        public long[] BytesByNode { get; } = new long[nodeThreads.Count];

        public long BytesFree => long.MaxValue;

        public Tensor Allocate(DType type, int rows, int columns)
        {
            var bytes = (long)rows * columns * type.Bytes();
            Bytes += bytes;
            return new Tensor(new CountedBuffer(bytes), 0, type, rows, columns, columns);
        }

        public WeightMatrix AllocateMatrix(DType type, int rows, int columns)
        {
            var matrix = new CountedMatrix(type, rows, columns);
            Bytes += matrix.Bytes;
            var cut = Cut(rows, (long)columns * type.Bytes(), nodeThreads);
            for (var node = 0; node < cut.Length; node++)
            {
                BytesByNode[node] += cut[node];
            }

            return matrix;
        }

        public void Upload<T>(ReadOnlySpan<T> source, Tensor target)
            where T : unmanaged
        {
        }

        public ReadOnlySpan<T> Read<T>(Tensor source)
            where T : unmanaged => throw new InvariantException("a counting device holds nothing");
    }

    private sealed class CountingExperts(IReadOnlyList<int> nodeThreads) : IExperts
    {
        public List<long[]> Banks { get; } = [];

        public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate)
        {
            var up = Cut(intermediate, 2L * experts * hidden * type.Bytes(), nodeThreads);
            var down = Cut(hidden, (long)experts * intermediate * type.Bytes(), nodeThreads);
            Banks.Add([.. up.Zip(down, (a, b) => a + b)]);
            return new CountedBank(type, hidden, intermediate);
        }

        public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes) => throw new InvariantException("a counting device runs nothing");

        public void Join(in ExpertRun run, Tensor y) => throw new InvariantException("a counting device runs nothing");
    }

    private sealed class CountedBuffer(long bytes) : DeviceBuffer
    {
        public override long Bytes => bytes;

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class CountedMatrix(DType type, int rows, int columns) : WeightMatrix(type, rows, columns)
    {
        public override void Fill(int rowStart, int rowCount, RowReader read) =>
            throw new InvariantException("a counting device holds nothing");
    }

    /// <summary>Says that it has no experts: nobody needs a list of up to a hundred thousand matrices that are not there.</summary>
    private sealed class CountedBank(DType type, int hidden, int intermediate) : ExpertBank(type, 0, hidden, intermediate)
    {
        public override WeightMatrix Gate(int expert) => throw new InvariantException("a counting device holds nothing");

        public override WeightMatrix Up(int expert) => throw new InvariantException("a counting device holds nothing");

        public override WeightMatrix Down(int expert) => throw new InvariantException("a counting device holds nothing");
    }
}
