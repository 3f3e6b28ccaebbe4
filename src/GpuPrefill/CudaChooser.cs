using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// Chooses tokens on the GPU. All that a choice depends on lies at fixed addresses; what is chosen is copied to page-locked
/// memory behind the kernels, and an event says when it is there.
/// </summary>
internal sealed class CudaChooser : IChooser
{
    private const int Places = 2;
    private const int MostEdits = 1 << 17;

    private readonly CudaDevice _device;
    private readonly Sampling _sampling;
    private readonly int _vocabulary;
    private readonly Tensor _rules;
    private readonly Tensor _edits;
    private readonly Tensor _sources;
    private readonly Tensor _maxima;
    private readonly Tensor _sums;
    private readonly Tensor _chunkPlaces;
    private readonly Tensor[] _results = new Tensor[Places];
    private readonly PinnedMemory?[] _read = new PinnedMemory?[Places];
    private readonly CudaEvent?[] _done = new CudaEvent?[Places];
    private readonly int[] _counts = new int[Places];

    public CudaChooser(CudaDevice device, int vocabulary, int rowsMax)
    {
        Check.That(vocabulary is > 0 and <= Sampling.VocabularyMax && rowsMax is > 0 and <= LaunchGrid.MinorMax);
        Check.That(Unsafe.SizeOf<ChoiceRule>() == 72 && Unsafe.SizeOf<ChosenToken>() == 184 && Unsafe.SizeOf<TokenEdit>() == 8);
        _device = device;
        _vocabulary = vocabulary;
        _sampling = new Sampling(device.Kernels);
        RowsMax = rowsMax;
        var chunks = Sampling.Chunks(vocabulary);
        var memory = device.Memory;
        _rules = memory.Allocate(DType.I32, rowsMax, Unsafe.SizeOf<ChoiceRule>() / sizeof(int));
        _edits = memory.Allocate(DType.I32, EditsMax, Unsafe.SizeOf<TokenEdit>() / sizeof(int));
        _sources = memory.Allocate(DType.I32, 1, rowsMax);
        _maxima = memory.Allocate(DType.F32, rowsMax, chunks);
        _sums = memory.Allocate(DType.F32, rowsMax, chunks);
        _chunkPlaces = memory.Allocate(DType.I32, rowsMax, chunks);
        for (var place = 0; place < Places; place++)
        {
            _results[place] = memory.Allocate(DType.I32, rowsMax, Unsafe.SizeOf<ChosenToken>() / sizeof(int));
            _read[place] = new PinnedMemory(device.Context, (long)rowsMax * Unsafe.SizeOf<ChosenToken>());
            _done[place] = new CudaEvent(device.Context);
        }
    }

    public int RowsMax { get; }

    /// <summary>A hundred requests with a penalty on a thousand tokens each.</summary>
    public int EditsMax => MostEdits;

    /// <summary>Bytes of device memory that one takes; 0 for a vocabulary that is chosen from elsewhere.</summary>
    public static long Bytes(int vocabulary, int rowsMax)
    {
        var row = Unsafe.SizeOf<ChoiceRule>() + sizeof(int) + (3 * sizeof(float) * Sampling.Chunks(vocabulary))
            + (Places * Unsafe.SizeOf<ChosenToken>());
        return vocabulary > Sampling.VocabularyMax ? 0 : ((long)rowsMax * row) + ((long)MostEdits * Unsafe.SizeOf<TokenEdit>());
    }

    public void Start(Tensor logits, ChoiceRules rules, int place)
    {
        var rows = rules.Rows.Length;
        Check.That(rows <= RowsMax && rules.Edits.Length <= EditsMax && logits.Columns == _vocabulary);
        _counts[place] = rows;
        if (rows > 0)
        {
            _device.Memory.Upload(rules.Rows, _rules.SliceRows(0, rows));
            if (rules.Edits.Length > 0)
            {
                _device.Memory.Upload(rules.Edits, _edits.SliceRows(0, rules.Edits.Length));
            }

            Launch(logits, rows, CudaBuffer.Address(_results[place]));
            _device.Stream.CopyToHost(
                _read[place]!.Address, CudaBuffer.Address(_results[place]), (long)rows * Unsafe.SizeOf<ChosenToken>());
        }

        _done[place]!.Record(_device.Stream);
    }

    public ReadOnlySpan<ChosenToken> Finish(int place)
    {
        _done[place]!.Synchronize();
        var bytes = _counts[place] * Unsafe.SizeOf<ChosenToken>();
        return MemoryMarshal.Cast<byte, ChosenToken>(_read[place]!.Span(0, bytes));
    }

    public void TakeTokens(int place, ReadOnlySpan<int> sources, Tensor tokens)
    {
        Check.That(sources.Length <= RowsMax && tokens.Columns == sources.Length);
        _device.Memory.Upload(sources, _sources.SliceColumns(0, sources.Length));
        _sampling.Take(_device.Stream, new TakeTokensArgs
        {
            Results = CudaBuffer.Address(_results[place]),
            Sources = CudaBuffer.Address(_sources),
            Tokens = CudaBuffer.Address(tokens, DType.I32),
            Count = sources.Length,
        });
    }

    /// <summary>Page-locked memory and events; the device frees its own.</summary>
    public void Dispose()
    {
        for (var place = 0; place < Places; place++)
        {
            _read[place]?.Dispose();
            _done[place]?.Dispose();
        }
    }

    private void Launch(Tensor logits, int rows, nint results)
    {
        var stream = _device.Stream;
        _sampling.Scan(
            stream,
            new SampleScanArgs
            {
                Rows = CudaBuffer.Address(_rules),
                Edits = CudaBuffer.Address(_edits),
                Logits = CudaBuffer.Address(logits, DType.F32),
                Maxima = CudaBuffer.Address(_maxima),
                Sums = CudaBuffer.Address(_sums),
                Places = CudaBuffer.Address(_chunkPlaces),
                LogitStride = logits.RowStride,
                Vocabulary = _vocabulary,
            },
            rows);
        _sampling.Choose(
            stream,
            new SampleChooseArgs
            {
                Rows = CudaBuffer.Address(_rules),
                Logits = CudaBuffer.Address(logits, DType.F32),
                Maxima = CudaBuffer.Address(_maxima),
                Sums = CudaBuffer.Address(_sums),
                Places = CudaBuffer.Address(_chunkPlaces),
                Results = results,
                LogitStride = logits.RowStride,
                Vocabulary = _vocabulary,
                Chunks = Sampling.Chunks(_vocabulary),
            },
            rows);
    }
}
