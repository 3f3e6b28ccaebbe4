using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Weights;

/// <summary>How to load.</summary>
public sealed record LoadOptions
{
    /// <summary>Threads that read and convert.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Told about ten times a second, and at the end, on the calling thread.</summary>
    public IProgress<LoadProgress>? Progress { get; init; }
}

/// <summary>How far loading is.</summary>
public readonly record struct LoadProgress(long BytesDone, long BytesTotal)
{
    public double Fraction => BytesTotal == 0 ? 1 : (double)BytesDone / BytesTotal;
}

/// <summary>
/// Carries out a plan: every tensor is read straight into its final place, by several threads, in pieces of bounded
/// size and in the order in which the files hold them.
/// </summary>
public static class WeightLoader
{
    /// <summary>
    /// Bytes of one piece: long enough that a read call costs nothing beside its copy, short enough that the threads
    /// end together.
    /// </summary>
    private const int PieceBytes = 8 << 20;

    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Fills everything in the plan. Throws <see cref="ConfigurationException"/> when the source cannot give what the
    /// plan asks for.
    /// </summary>
    public static void Load(
        WeightPlan plan, IWeightSource source, LoadOptions options, CancellationToken cancellation = default) =>
        Load([plan], source, options, cancellation);

    /// <summary>The same for the plans of several devices; what more than one of them wants is read for each.</summary>
    public static void Load(
        IReadOnlyList<WeightPlan> plans, IWeightSource source, LoadOptions options, CancellationToken cancellation = default)
    {
        Check.That(options.Threads > 0);
        MatrixBinding[] matrices = [.. plans.SelectMany(plan => plan.Matrices)];
        TensorSpec[] tensors =
        [
            .. matrices.Select(matrix => matrix.Tensor),
            .. plans.SelectMany(plan => plan.Vectors).SelectMany(vector => vector.Joined),
        ];
        var wholes = source.Open([.. tensors.Select(tensor => tensor.Part?.Whole ?? tensor)]);
        Check.That(wholes.Count == tensors.Length);
        TensorReader[] readers = [.. tensors.Zip(wholes, SliceReader.Of)];
        var run = new Run(Pieces(matrices, readers), plans.Sum(plan => plan.Bytes), options.Progress);
        run.LoadVectors(plans, readers.Skip(matrices.Length), cancellation);
        run.LoadMatrices(options.Threads, cancellation);
    }

    private static Piece[] Pieces(IReadOnlyList<MatrixBinding> matrices, IReadOnlyList<TensorReader> readers)
    {
        var pieces = new List<Piece>(matrices.Count);
        for (var i = 0; i < matrices.Count; i++)
        {
            var (tensor, target, start) = matrices[i];
            var rows = (int)tensor.Rows;
            var step = (int)Math.Max(1, PieceBytes / ((long)target.Columns * target.Type.Bytes()));
            for (var row = 0; row < rows; row += step)
            {
                pieces.Add(new Piece(matrices[i], readers[i], start + row, Math.Min(step, rows - row)));
            }
        }

        return [.. pieces.OrderBy(piece => piece.Reader.Position).ThenBy(piece => piece.RowStart)];
    }

    /// <summary>Rows [RowStart, RowStart + RowCount) of the binding's target.</summary>
    private sealed record Piece(MatrixBinding Binding, TensorReader Reader, int RowStart, int RowCount)
    {
        public void Load()
        {
            var target = Binding.Target;
            target.Fill(RowStart, RowCount, (rowStart, rowCount, bytes) =>
                Reader.Read(rowStart - Binding.RowStart, rowCount, target.Type, bytes));
        }

        public long Bytes => (long)RowCount * Binding.Target.Columns * Binding.Target.Type.Bytes();
    }

    /// <summary>The state that the threads of one load share.</summary>
    private sealed class Run(Piece[] pieces, long bytesTotal, IProgress<LoadProgress>? progress)
    {
        private int _next = -1;
        private long _bytesDone;
        private volatile bool _failed;

        /// <summary>They are few and small, and uploads come from one thread.</summary>
        public void LoadVectors(
            IReadOnlyList<WeightPlan> plans, IEnumerable<TensorReader> readers, CancellationToken cancellation)
        {
            using var next = readers.GetEnumerator();
            foreach (var (plan, vector) in plans.SelectMany(plan => plan.Vectors.Select(vector => (plan, vector))))
            {
                cancellation.ThrowIfCancellationRequested();
                var bytes = new byte[vector.Target.Columns * DType.F32.Bytes()];
                var offset = 0;
                foreach (var tensor in vector.Joined)
                {
                    next.MoveNext();
                    var length = (int)tensor.ElementCount * DType.F32.Bytes();
                    var elements = bytes.AsSpan(offset, length);
                    next.Current.Read(0, (int)tensor.Rows, DType.F32, elements);
                    Add(tensor.Added, MemoryMarshal.Cast<byte, float>(elements));
                    offset += length;
                }

                plan.Upload(vector, bytes);
                _bytesDone += bytes.Length;
            }
        }

        private static void Add(float added, Span<float> elements)
        {
            for (var i = 0; added != 0 && i < elements.Length; i++)
            {
                elements[i] += added;
            }
        }

        public void LoadMatrices(int threadCount, CancellationToken cancellation)
        {
            var workers = new Task[Math.Min(threadCount, pieces.Length)];
            for (var i = 0; i < workers.Length; i++)
            {
                workers[i] = Task.Factory.StartNew(
                    () => Work(cancellation),
                    CancellationToken.None,
                    TaskCreationOptions.LongRunning,
                    TaskScheduler.Default);
            }

            var all = Task.WhenAll(workers);
            while (!((IAsyncResult)all).AsyncWaitHandle.WaitOne(ReportInterval))
            {
                progress?.Report(new LoadProgress(Volatile.Read(ref _bytesDone), bytesTotal));
            }

            all.GetAwaiter().GetResult();
            cancellation.ThrowIfCancellationRequested();
            progress?.Report(new LoadProgress(_bytesDone, bytesTotal));
        }

        private void Work(CancellationToken cancellation)
        {
            var ended = false;
            try
            {
                while (!_failed && !cancellation.IsCancellationRequested)
                {
                    var index = Interlocked.Increment(ref _next);
                    if (index >= pieces.Length)
                    {
                        break;
                    }

                    pieces[index].Load();
                    Interlocked.Add(ref _bytesDone, pieces[index].Bytes);
                }

                ended = true;
            }
            finally
            {
                // The first failure ends the others, too; it reaches the caller through its task.
                _failed |= !ended;
            }
        }
    }
}
